"""Line 10: after kill -9 of the master, of the bastion's agent, of a leaf's agent nothing of ours is left on any host."""
import os
import subprocess

IDLE = 4  # of faults.yaml
SOON = 5
# What a called function leaves behind: a child, one that ignores hangups, one that ignores what can be ignored. (A daemon, in
# a session of its own, is meant to stay: docs/boot.md.)
PROGRAM = """import os
import subprocess
import sys
import time


def main():
    os.system('sleep 1001 & nohup sleep 1002 >/dev/null 2>&1 & true')
    subprocess.Popen(['sh', '-c', 'trap "" 1 2 15; sleep 1003; sleep 1004'])
    sys.stdout.write('all of it runs\\n')
    sys.stdout.flush()
    time.sleep(600)
"""


class Scene:
    """A call that runs on some leaves, with children."""

    def __init__(self, lab, nodes):
        self.lab = lab
        self.before = set(lab.processes())
        self.nodes = nodes.split(",")
        log = lab.work + "/log"
        lab.write("leave.py", PROGRAM)
        with open(log, "w") as err:
            self.program = lab.start("call", "-w", nodes, "./leave.py:main", topology="faults.yaml", stdout=err,
                                     stderr=subprocess.STDOUT)
        self.begun, _ = lab.until(lambda: open(log).read().count("all of it runs") == len(self.nodes), 30)
        self.count = len(self.left())
        if not self.begun:
            lab.check("a call with children runs on %s" % nodes, False, open(log).read()[-500:])

    def left(self, hosts=None):
        """What runs now and did not before; sshd, which waits for TCP when the other host is frozen, is not ours."""
        return ["%s: %s (%s)" % (host, argv[:80], state) for pid, (host, argv, state) in self.lab.processes().items()
                if pid not in self.before and (hosts is None or host in hosts) and argv and not argv.startswith("sshd:")]

    def gone(self, what, seconds, hosts=None):
        left, took = self.lab.until(lambda: not self.left(hosts), seconds)
        self.lab.check(what, self.begun and left, "%d processes, gone after %.1f s" % (self.count, took) if left
                       else "left after %.1f s: %s" % (took, "; ".join(self.left(hosts))[:600]))


def kill(pids):
    for pid in pids:
        os.kill(pid, 9)


def run(lab):
    scene = Scene(lab, "a01,b01,r01")
    kill([scene.program.pid])
    scene.gone("kill -9 of the master", SOON)
    lab.put_back()

    scene = Scene(lab, "a01,b01,r01")
    kill(lab.agents("bastion"))
    scene.gone("kill -9 of the bastion's agent", SOON)
    result = scene.program.end(10)
    lab.check("... and the master says so", result.status == 6, result.brief())
    lab.put_back()

    scene = Scene(lab, "a01,b01")
    kill(lab.agents("a01"))
    scene.gone("kill -9 of a leaf's agent, on the leaf", SOON, ["a01"])
    lab.check("... and the other leaf goes on", bool(lab.agents("b01")), "%d agents on b01" % len(lab.agents("b01")))
    kill([scene.program.pid])
    scene.gone("... and then of the master, on all", SOON)
    lab.put_back()

    scene = Scene(lab, "a01")
    lab.fault("freeze", "relay-a", "--all")
    kill([scene.program.pid])
    scene.gone("kill -9 of the master with a relay frozen, behind it and before it", IDLE + SOON, ["a01", "bastion"])
    lab.put_back()
    scene.gone("... and on the relay when it goes on", SOON)

    scene = Scene(lab, "a01")
    lab.fault("kill-link", "bastion", "relay-a")
    kill([scene.program.pid])
    scene.gone("kill -9 of the master with a link that is cut silently", IDLE + SOON)
    lab.put_back()
