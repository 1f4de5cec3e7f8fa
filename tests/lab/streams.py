"""Streams through bastion, relay and leaf: a proxy, a tunnel, ssh and scp through connect, as another user, and past a host that
forbids forwarding."""
import os
import subprocess

from kit import SCRIPT

PORT = "8077"


def listening(lab, *argv):
    """The program, once it says where it listens."""
    said = os.path.join(lab.work, "said")
    with open(said, "w") as f:
        program = lab.start(*argv, stderr=f)
    lab.until(lambda: "listening at" in open(said).read(), 20)
    text = open(said).read()
    return program, text.partition("listening at ")[2].partition(",")[0].split()[0] if "listening at" in text else "?"


def on_master(lab, *argv):
    done = subprocess.run([SCRIPT, "exec", "master"] + list(argv), text=True, env=lab.env, cwd=lab.work, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return done.returncode, done.stdout, done.stderr


def through(lab, leaf, node):
    server = subprocess.Popen([SCRIPT, "exec", leaf, "python3", "-m", "http.server", "-b", "127.0.0.1", PORT, "-d", "/etc"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lab.until(lambda: ":%04X " % int(PORT) in lab.root(leaf, "cat /proc/net/tcp"), 10)
    want = lab.root(leaf, "cat /etc/hostname")
    program, at = listening(lab, "socks", "-D", "0", "--exit", node)
    got = on_master(lab, "curl", "-sS", "-m", "20", "--retry", "5", "--retry-connrefused", "--socks5-hostname", at,
                    "http://localhost:%s/hostname" % PORT)
    lab.check("%s: a proxy, a name and the loopback of the exit" % node, got[:2] == (0, want), got)
    program.kill()
    program, at = listening(lab, "tunnel", "-L", "0:127.0.0.1:" + PORT, "--exit", node)
    got = on_master(lab, "curl", "-sS", "-m", "20", "http://%s/hostname" % at)
    lab.check("%s: a tunnel" % node, got[:2] == (0, want), got)
    program.kill()
    server.terminate()
    server.wait()


def by_ssh(lab, via, leaf):
    command = "ProxyCommand=%s connect --topology %s %s %%h %%p" % (lab.program, lab.topology("topology.yaml"), via)
    got = on_master(lab, "ssh", "-o", command, "-o", "ProxyJump=none", leaf, "uname", "-n")
    lab.check("ssh to %s through connect" % leaf, got == (0, leaf + "\n", ""), got)
    data = lab.write("data", "0123456789abcdef" * 65536)
    got = on_master(lab, "scp", "-q", "-o", command, data, leaf + ":/tmp/e2e-data")
    lab.undo.append(lambda: lab.root(leaf, "rm -f /tmp/e2e-data"))
    size = lab.root(leaf, "wc -c </tmp/e2e-data").strip()
    lab.check("scp to %s through connect" % leaf, got[0] == 0 and size == "1048576", (got, size))


def run(lab):
    through(lab, "a01", "a01")
    through(lab, "a01", "a01:vlab-app")
    by_ssh(lab, "relay-a", "a01")
    if "r01" in lab.hosts:
        through(lab, "r01", "r01")
        by_ssh(lab, "restricted", "r01")
    else:
        lab.skip("restricted", "the lab was brought up without it")
