"""Line 8: every variant of the lab with a Python answers a call; without one, the error says what would help."""

PYTHON = ("ro full noisy oldpy py36 py37 py38 py39 py310 py311 py312 py313 slow restricted forced noexec csh bigenv tight "
          "notty requiretty pwauth").split()


def run(lab):
    result = lab.run("call", "--json", "-w", "@python", "platform:python_version", timeout=90)
    nodes = {e["node"]: e for e in result.events("result")}
    for name in PYTHON + ["r01"]:
        if name not in lab.hosts:
            lab.skip(name, "the lab was brought up without it")
            continue
        got = nodes.get(name, {})
        lab.check("%s answers" % name, got.get("status") == "ok",
                  "Python %s" % got["value"] if got.get("status") == "ok" else got.get("error") or result.brief())
    for name in "nopy", "noperl":
        if name not in lab.hosts:
            lab.skip(name, "the lab was brought up without it")
            continue
        result, e = lab.failure("call", "-w", name, "os:getuid")
        good = result.status == 3 and e.get("phase") == "boot" and e.get("code") == "no-python" \
            and "agent: native" in e.get("hint", "")
        lab.check("%s has no Python" % name, good, e or result.brief())
