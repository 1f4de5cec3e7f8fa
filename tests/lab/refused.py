"""Line 9, first part: hosts that cannot be booted; each failure has hop, phase, evidence and hint, and comes in time."""

PATH = "bastion > relay-a > "
SECONDS = {"resolve": 10, "connect": 10, "hostkey": 10, "banner": 10, "shell": 10}  # where the error says no limit


def reach(lab):
    """Seconds to get to the hop before."""
    return lab.run("call", "-w", "relay-a", "os:getuid", topology="faults.yaml").wall


def one(lab, what, node, status, phase, code, saw, topology="wrong.yaml", path=None, limit=None):
    base = reach(lab) if topology == "faults.yaml" else 0
    result, e = lab.failure("call", "-w", node, "os:getuid", topology=topology)
    path = path or PATH + node
    right = result.status == status and (e.get("phase"), e.get("code"), e.get("path")) == (phase, code, path) \
        and any(x in e.get("saw", "") for x in saw) and e.get("hint")
    lab.check(what, right, e or result.brief())
    limit = limit or e.get("limit_ms", 0) / 1000 or SECONDS.get(phase, 0)
    seconds = e.get("after_ms", 0) / 1000
    lab.check("... within its limit and a second", right and seconds <= limit + 1 and result.wall <= 2 * base + limit + 1,
              "%.1f s of %g s, %.1f s in all; reaching the hop before it takes %.1f s" % (seconds, limit, result.wall, base))


def account(lab):
    """a01: vlab-app may log in with the lab's key, and its shell ends at once."""
    lab.change("a01", "cp -a /home/vlab-ops/.ssh /home/vlab-app/.ssh && chown -R vlab-app: /home/vlab-app/.ssh && "
               "sed -i '/^vlab-app:/s,:[^:]*$,:/bin/false,' /etc/passwd",
               "rm -rf /home/vlab-app/.ssh; sed -i '/^vlab-app:/s,:[^:]*$,:/bin/bash,' /etc/passwd")


def script(lab, host, name, text):
    lab.change(host, "printf '%%s\\n' '#!/bin/sh' '%s' >/usr/local/bin/%s && chmod 755 /usr/local/bin/%s" % (text, name, name),
               "rm -f /usr/local/bin/%s" % name)


def run(lab):
    one(lab, "unknown host", "unknown-host", 3, "resolve", "unknown-host", ["Could not resolve"])
    one(lab, "refused port", "refused-port", 3, "connect", "connection-refused", ["Connection refused"])
    one(lab, "unreachable address", "no-route", 3, "connect", "host-unreachable", ["unreachable", "No route"])
    one(lab, "host key changed", "changed-key", 3, "hostkey", "hostkey-changed", ["CHANGED", "changed"], "faults.yaml")
    one(lab, "key refused", "no-key", 4, "auth", "auth-refused", ["Permission denied"])
    one(lab, "password wrong", "pwauth", 4, "auth", "password-wrong", ["Permission denied"])
    one(lab, "password not declared", "pwauth-bare", 4, "auth", "password-missing", ["Permission denied"])
    one(lab, "no python", "no-python", 3, "boot", "no-python", ["perl"])
    account(lab)
    one(lab, "shell that exits", "shell-exits", 3, "shell", "shell-exited", ["exit status 1"], "faults.yaml")
    script(lab, "a04", "python3", 'echo "Fatal Python error: no codec" >&2; kill -SEGV $$')
    one(lab, "python that crashes at start", "a04", 3, "boot", "boot-exited", ["Fatal Python error"], "faults.yaml")
    script(lab, "a02", "vlab-silent", "exec cat >/dev/null")
    one(lab, "agent silent", "agent-silent", 3, "boot", "boot-timeout", ["no output", "nothing"], "faults.yaml")
    sleeping = [x for x in lab.processes("a02").values() if "cat" in x[1].split()]
    lab.check("... and is not left there", not sleeping, sleeping or "nothing of it runs on a02")
    lab.change("restricted", "mv /usr/bin/ssh /usr/bin/ssh.away", "mv /usr/bin/ssh.away /usr/bin/ssh")
    one(lab, "no ssh on a relay", "r01", 3, "connect", "no-program", ["ssh"], "faults.yaml", PATH + "restricted > r01")
    lab.fault("freeze", "a03")
    one(lab, "sshd frozen", "a03", 3, "banner", "connect-timeout", ["banner"], "faults.yaml", limit=3)
    lab.fault("kill-link", "relay-b", "b04")
    one(lab, "address that does not answer", "b04", 3, "connect", "connect-timeout", ["timed out"], "faults.yaml",
        "bastion > relay-b > b04", 3)
