"""Line 9, second part: a link that is lost, a relay that is killed, a leaf that is frozen, while a call runs."""
import os
import time

IDLE = 4  # of faults.yaml


def during_a_call(lab, what, node, fault, code, path, limit, status=6):
    """A call runs on `node`; then fault(); then the error comes."""
    lab.write("mark.py", "import sys\nimport time\n\n\ndef main():\n    print('the call is here')\n    sys.stdout.flush()\n    time.sleep(60)\n")
    log = lab.work + "/log"
    with open(log, "w") as err:
        program = lab.start("call", "--json", "-w", node, "./mark.py:main", topology="faults.yaml", stdout=err, stderr=err)
        begun, _ = lab.until(lambda: "the call is here" in open(log).read(), 40)
    if not begun:
        lab.check(what, False, "the call has not begun: " + open(log).read()[-500:])
        return
    fault()
    began = time.monotonic()
    result = program.end(limit + 10)
    seconds = time.monotonic() - began
    result.out = open(log).read()
    errors = [e.get("error") or {} for e in result.events("result")]
    e = errors[0] if errors else {}
    right = result.status == status and (e.get("phase"), e.get("code"), e.get("path")) == ("lost", code, path) \
        and e.get("saw") and e.get("hint")
    lab.check(what, right, e or result.brief())
    lab.check("... within its limit and a second", seconds <= limit + 1, "%.1f s after it, the limit being %g s" % (seconds, limit))


def kill_agent(lab, host):
    for pid in lab.agents(host):
        os.kill(pid, 9)


def stop_agent(lab, host):
    """The last user's agent there; the watcher above it goes on."""
    pid = max(lab.agents(host))
    lab.undo.append(lambda: alive(pid) and os.kill(pid, 9))
    os.kill(pid, 19)


def alive(pid):
    return os.path.exists("/proc/%d" % pid)


def run(lab):
    during_a_call(lab, "link reset during a call", "a01", lambda: lab.fault("kill-link", "bastion", "relay-a", "--reset"),
                  "lost-running", "bastion > relay-a", 3)
    lab.put_back()
    during_a_call(lab, "link silent during a call", "a01", lambda: lab.fault("kill-link", "bastion", "relay-a"),
                  "silent", "bastion > relay-a", IDLE)
    lab.put_back()
    during_a_call(lab, "relay killed during a call", "a01", lambda: kill_agent(lab, "relay-a"), "lost-running",
                  "bastion > relay-a", 3)
    during_a_call(lab, "leaf killed during a call", "a01", lambda: kill_agent(lab, "a01"), "lost-running",
                  "bastion > relay-a > a01", 3)
    during_a_call(lab, "leaf frozen during a call", "a01", lambda: lab.fault("freeze", "a01", "--all"), "silent",
                  "bastion > relay-a > a01", IDLE)
    lab.put_back()
    during_a_call(lab, "agent of another user frozen during a call", "become:vlab-doas", lambda: stop_agent(lab, "a03"), "silent",
                  "bastion > relay-a > become > become:vlab-doas", IDLE)
