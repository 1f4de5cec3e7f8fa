"""Line 4: a program with a package of 50 modules, three hops down: few round trips, and nothing twice on the top link."""
import json
import random

MODULES = 50


def make(lab):
    """prog.py and its package; the modules do not compress, so that they can be seen in the bytes of a link. Their zlib
    size, at least."""
    letters = random.Random(4)
    size = 0
    lab.write("many/nothing.py", "def main():\n    return 0\n")
    lab.write("many/prog.py", "import pack50\n\n\ndef main():\n    return pack50.total()\n")
    names = ["m%02d" % i for i in range(MODULES - 1)]
    lab.write("many/pack50/__init__.py", "".join("from . import %s\n" % n for n in names)
              + "\n\ndef total():\n    return %s\n" % " + ".join("%s.VALUE" % n for n in names))
    for i, name in enumerate(names):
        noise = "%0512x" % letters.getrandbits(2048)
        size += 256
        lab.write("many/pack50/%s.py" % name, "NOISE = '%s'\nVALUE = %d\n" % (noise, i))
    return size


def tree(path):
    with open(path) as f:
        text = f.read()
    rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    return {row["name"]: row for row in rows}


def call(lab, nodes, name):
    path = lab.work + "/stats-" + name
    result = lab.run("call", "-w", nodes, "--stats", path, "./many/prog.py:main")
    return result, tree(path)


def run(lab):
    size = make(lab)
    expect = str(sum(range(MODULES - 1)))
    warm, idle = call_nothing(lab, "a01"), call_nothing(lab, "a01,a02")
    result, one = call(lab, "a01", "one")
    lab.check("a package of %d modules three hops down" % MODULES, result.values().get("a01") == expect, result.brief())
    requests = one["bastion"]["requests_up"]
    lab.check("at most 3 round trips on the top link", 1 <= requests <= 3, "requests_up of bastion %d, of relay-a %d, of a01 %d"
              % (requests, one["relay-a"]["requests_up"], one["a01"]["requests_up"]))
    result, two = call(lab, "a01,a02", "two")
    lab.check("the same at two leaves", [result.values().get(x) for x in ("a01", "a02")] == [expect, expect], result.brief())
    lab.check("... takes no more round trips", two["bastion"]["requests_up"] <= requests,
              "requests_up of bastion %d" % two["bastion"]["requests_up"])
    first = one["master"]["bytes_out"] - warm["master"]["bytes_out"]
    second = (two["master"]["bytes_out"] - idle["master"]["bytes_out"]) - first
    lab.check("the second leaf costs the top link no module bytes", first > size and second < size / 50,
              "the program costs it %d bytes for one leaf, %d more for the second; the modules are over %d" % (first, second, size))


def call_nothing(lab, nodes):
    """What the same leaves cost without modules of ours."""
    path = lab.work + "/stats-nothing"
    lab.run("call", "-w", nodes, "--stats", path, "./many/nothing.py:main")
    return tree(path)
