"""The native agent: on the relays, on hosts without a Python, past directories that do not execute; nothing of it is left."""
import hashlib
import os


def fails(lab, node, host, code, words):
    if host not in lab.hosts:
        lab.skip(node, "the lab was brought up without %s" % host)
        return
    result, e = lab.failure("exec", "-w", node, "--", "true", topology="native.yaml")
    good = result.status == 3 and e.get("phase") == "boot" and e.get("code") == code and words in e.get("saw", "") and e.get("hint")
    lab.check("%s: %s" % (node, code), good, e or result.brief())


def agents(lab, targets, topology="topology.yaml"):
    rows = lab.run("tree", "--json", "-w", targets, topology=topology).events()
    return {row["name"]: row for row in rows}


def run(lab):
    script = lab.write("script.sh", '#!/bin/sh\necho "$1 on $(uname -n)"\n')
    bare = [name for name in ("nopy", "noperl") if name in lab.hosts]
    for name in bare:
        before = lab.files(name)
        result = lab.run("exec", "-w", name, "--", "id", "-un")
        lab.check("%s answers exec" % name, (result.status, result.out) == (0, "%s: vlab-ops\n" % name), result.brief())
        result = lab.run("run", "-w", name, script, "run")
        lab.check("%s runs a shell script" % name, (result.status, result.out) == (0, "%s: run on %s\n" % (name, name)), result.brief())
        result = lab.run("trace", "-w", name)
        lab.check("%s is traced" % name, result.status == 0 and len(result.out.splitlines()) == 3, result.brief())
        row = agents(lab, name).get(name, {})
        lab.check("%s: tree says native" % name, (row.get("agent"), row.get("arch"), row.get("python")) == ("native", "x86_64", None), row)
        after = lab.files(name)
        made = sorted(p for p in after if p not in before or after[p][3:5] != before[p][3:5] and not p.endswith(("/dev/shm", "/tmp")))
        made = [p for p in made if "wtmp" not in p and "lastlog" not in p and "utmp" not in p]
        lab.check("%s: nothing is written there" % name, not made, made)
        data = os.urandom(300000)
        lab.write("blob", data)
        result = lab.run("cp", os.path.join(lab.work, "blob"), name + ":/tmp/econtext-blob")
        there = lab.root(name, "sha256sum </tmp/econtext-blob; stat -c %U /tmp/econtext-blob").split()
        lab.check("%s takes a file" % name, result.status == 0 and there[::2] == [hashlib.sha256(data).hexdigest(), "vlab-ops"], result.brief())
        result = lab.run("cp", name + ":/tmp/econtext-blob", os.path.join(lab.work, "blob-" + name))
        with open(os.path.join(lab.work, "blob-" + name), "rb") as f:
            lab.check("%s gives it back" % name, result.status == 0 and f.read() == data, result.brief())
        lab.root(name, "rm /tmp/econtext-blob")
    if not bare:
        lab.skip("hosts without Python", "the lab was brought up without them")

    rows = agents(lab, "a01,b01")
    found = {name: rows.get(name, {}).get("agent") for name in ("bastion", "relay-a", "relay-b")}
    lab.check("relays run native", set(found.values()) == {"native"}, found)
    result = lab.run("call", "-w", "relay-a,a01", "os:getuid")
    lab.check("a call at a relay", result.status == 0 and len(result.out.splitlines()) == 2, result.brief())

    rows = agents(lab, "always,never,relay-b", "native.yaml")
    found = {name: rows.get(name, {}).get("agent") for name in ("always", "never", "relay-b")}
    lab.check("always and never", found == {"always": "native", "never": "python", "relay-b": "native"}, found)

    if "noexec" in lab.hosts:
        for name in "memfd-perl", "memfd-py":
            result = lab.run("exec", "-w", name, "--", "readlink", "/proc/self/exe", topology="native.yaml")
            lab.check("%s: no directory executes" % name, result.status == 0, result.brief())
            where = lab.run("exec", "-w", name, 'readlink /proc/$PPID/exe', topology="native.yaml")
            lab.check("%s: from a memfd" % name, "/memfd:" in where.out, where.brief())
    fails(lab, "no-exec", "noexec", "no-native", "noexec: /dev/shm")
    fails(lab, "neither", "noexec", "no-native", "found only sh, and no native agent: noexec")
    fails(lab, "no-room", "full", "no-native", "no-")
    fails(lab, "forbidden", "nopy", "no-python", "found only perl")
