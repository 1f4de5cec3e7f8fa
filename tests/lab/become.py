"""Line 3: chains of sudo, doas and su, and a wrong password: refused once, by name, soon."""
import subprocess

import kit

CHAINS = (("a01:vlab-app", 61773, "sudo, then sudo with a password"), ("a02:vlab-doas", 61775, "doas"),
          ("a03:vlab-db", 61774, "su"), ("a04:vlab-db", 61774, "sudo, then doas with a password, then su"),
          ("b01:vlab-db", 61774, "sudo, sudo and su behind the other relay"),
          ("requiretty:vlab-app", 61773, "sudo that insists on a terminal"))
# Each failed try is one line of PAM in the host's log.
WRONG = (("wrong-sudo:vlab-app", "a01", "sudo"), ("wrong-su:vlab-db", "a02", "su"), ("wrong-doas:vlab-doas", "a03", "doas"))
# Hosts have no syslog daemon: this takes its place, and writes what sudo, su, doas and PAM say.
LISTEN = """exec python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
os.chmod("/dev/log", 0o666)
print("listening", flush=True)
while 1:
    print(s.recv(65536).decode("utf8", "replace").replace("\\n", " "), flush=True)
'"""


class Syslog:
    def __init__(self, lab, host):
        lab.root(host, "rm -f /dev/log")
        lab.undo.append(lambda: lab.root(host, "rm -f /dev/log"))
        self.process = subprocess.Popen([kit.SCRIPT, "exec", host, "sh", "-c", LISTEN], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True, errors="replace")
        lab.undo.append(self.process.kill)
        self.process.stdout.readline()

    def end(self):
        self.process.kill()
        return self.process.communicate()[0].splitlines()


def run(lab):
    nodes = ",".join(node for node, _, _ in CHAINS)
    result = lab.run("call", "-w", nodes, "os:getuid")
    values = result.values()
    for node, uid, how in CHAINS:
        lab.check("%s by %s" % (node, how), values.get(node) == str(uid), values.get(node) or result.brief())
    for node, host, tool in WRONG:
        reach = lab.run("call", "-w", node.split(":")[0], "os:getuid", topology="wrong.yaml")
        syslog = Syslog(lab, host)
        result, e = lab.failure("call", "-w", node, "os:getuid", topology="wrong.yaml")
        tries = [x for x in syslog.end() if "auth): authentication failure;" in x]
        good = result.status == 4 and e.get("phase") == "become" and e.get("code") == "password-wrong" \
            and e.get("path", "").endswith(" > " + node)
        lab.check("a wrong password for %s" % tool, good, e or result.brief())
        seconds = e.get("after_ms", 1e6) / 1000
        lab.check("... is refused within 5 s", seconds < 5 and result.wall < 5 + 2 * reach.wall,
                  "%.1f s for the step, %.1f s in all; its parent alone takes %.1f s" % (seconds, result.wall, reach.wall))
        lab.check("... and was tried once", len(tries) == 1, "%d in the log of %s: %s" % (len(tries), host, "; ".join(tries)[:300]))
