"""Streams through bastion, relay and leaf: a proxy, a tunnel, psql by port and by socket, ssh, scp and git through connect, as another
user, and past a host that forbids forwarding."""
import glob
import os
import shutil
import subprocess

from kit import SCRIPT

PORT = "8077"
DATABASE = "5433"


def listening(lab, *argv, **more):
    """The program, once it says where it listens."""
    said = os.path.join(lab.work, "said")
    with open(said, "w") as f:
        program = lab.start(*argv, stderr=f, **more)
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
    if not shutil.which("git"):
        lab.skip("git clone from %s through connect" % leaf, "no git")
        return
    lab.undo.append(lambda: lab.root(leaf, "rm -rf /tmp/e2e-repo"))
    lab.script("exec", "-u", "vlab-ops", leaf, "sh", "-c", "git init -q /tmp/e2e-repo && cd /tmp/e2e-repo && head -c 1048576 /dev/urandom >data && "
               "git add data && git -c user.name=e2e -c user.email=e2e@localhost commit -q -m one")
    copy = os.path.join(lab.work, "clone-" + leaf)
    got = on_master(lab, "env", "GIT_SSH_COMMAND=ssh -o ProxyJump=none -o '%s'" % command, "git", "clone", "-q", leaf + ":/tmp/e2e-repo", copy)
    sums = lab.root(leaf, "sha256sum </tmp/e2e-repo/data"), on_master(lab, "sh", "-c", "sha256sum <%s/data" % copy)[1]
    lab.check("git clone from %s through connect" % leaf, got == (0, "", "") and sums[0] == sums[1], (got, sums))


def database(lab, leaf, node):
    """psql through the topology's tunnels, by a port and by a unix socket, to a server that listens for its own host only."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not found or not shutil.which("psql"):
        lab.skip("psql through a tunnel to %s" % node, "no PostgreSQL here")
        return
    place, control = "/tmp/e2e-db", os.path.join(os.path.dirname(found[-1]), "pg_ctl")
    lab.undo.append(lambda: lab.script("exec", "-u", "vlab-app", leaf, "sh", "-c", "%s -D %s/d stop -m immediate >/dev/null; rm -rf %s"
                                       % (control, place, place)))
    lab.script("exec", "-u", "vlab-app", leaf, "sh", "-c", "mkdir %s && cd %s && %s -D d -A trust -U app --no-sync >said && %s -D d -l log -w -o "
               "'-c listen_addresses=127.0.0.1 -p %s -k %s -c fsync=off' start >said" % (place, place, found[-1], control, DATABASE, place))
    with open(lab.topology("topology.yaml")) as f:
        topology = lab.write("database.yaml", f.read() + '\ntunnels:\n  port: {listen: 0, exit: "%s", connect: "127.0.0.1:%s"}\n'
                             '  socket: {listen: %s/.s.PGSQL.1, exit: "%s", connect: %s/.s.PGSQL.%s}\n'
                             % (node, DATABASE, lab.work, node, place, DATABASE))
    for name in "port", "socket":
        program, at = listening(lab, "tunnel", name, topology=topology)
        where = ["-h", lab.work, "-p", "1"] if name == "socket" else ["-h", "127.0.0.1", "-p", at.rpartition(":")[2]]
        got = on_master(lab, "psql", "-X", "-A", "-t", "-U", "app", "-d", "postgres", *where, "-c", "select sum(i) from generate_series(1, 1000) i")
        lab.check("%s: psql through the tunnel of a %s" % (node, name), got == (0, "500500\n", ""), got)
        program.kill()


def run(lab):
    through(lab, "a01", "a01")
    through(lab, "a01", "a01:vlab-app")
    by_ssh(lab, "relay-a", "a01")
    database(lab, "a01", "a01:vlab-app")
    if "r01" in lab.hosts:
        through(lab, "r01", "r01")
        by_ssh(lab, "restricted", "r01")
        database(lab, "r01", "r01")
    else:
        lab.skip("restricted", "the lab was brought up without it")
