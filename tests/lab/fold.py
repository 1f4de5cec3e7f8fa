"""Line 2: a command on eight leaves, one folded answer, one connection to the bastion."""
import imports


def run(lab):
    accepted = lab.sshd_log("bastion").count("Accepted publickey")
    path = lab.work + "/stats-fold"
    result = lab.run("exec", "-w", "a[01-04],b[01-04]", "-b", "--stats", path, "--", "id", "-un")
    lines = [x for x in result.out.splitlines() if x.strip("-")]
    lab.check("eight leaves give one folded answer", result.status == 0 and lines == ["a[01-04],b[01-04] (8)", "vlab-ops"],
              lines or result.brief())
    logins = lab.sshd_log("bastion").count("Accepted publickey") - accepted
    lab.check("one ssh connection to the bastion, in its sshd's log", logins == 1, "%d logins" % logins)
    rows = imports.tree(path)
    dials = {name: rows.get(name, {}).get("dials") for name in ("master", "bastion", "relay-a", "relay-b", "a01")}
    lab.check("... and in dials", dials == {"master": 1, "bastion": 2, "relay-a": 4, "relay-b": 4, "a01": 0}, dials)
