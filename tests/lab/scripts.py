"""Line 5: a script with its own imports, at every leaf; and not one file of any of them is changed by it."""

NAMES = "a01 a02 a03 a04 b01 b02 b03 b04 ro full oldpy py36 py313 noexec csh forced noisy bigenv tight notty r01".split()


def run(lab):
    lab.write("tool/helper/__init__.py", "from helper.inner import TEXT\n")
    lab.write("tool/helper/inner.py", "TEXT = 'helped'\n")
    lab.write("tool/script.py", "import os\nimport sys\n\nimport helper\n\nif __name__ == '__main__':\n"
              "    print('%s %s %s' % (helper.TEXT, sys.argv[0], sys.argv[1]))\n    sys.exit(int(sys.argv[2]))\n")
    names = [x for x in NAMES if x in lab.hosts]
    before = {host: lab.files(host) for host in names}
    result = lab.run("run", "-w", ",".join(names), "tool/script.py", "word", "0", timeout=90)
    values = result.values()
    want = "helped tool/script.py word"
    wrong = {host: values.get(host) for host in names if values.get(host) != want}
    lab.check("a script with its own imports at %d leaves, ro and full too" % len(names), result.status == 0 and not wrong,
              wrong and "%s; %s" % (wrong, result.brief()) or "each printed: " + want)
    changed = {}
    for host in names:
        after = lab.files(host)
        paths = [x for x in set(before[host]) | set(after) if before[host].get(x) != after.get(x)]
        if paths:
            changed[host] = sorted(paths)[:5]
    count = sum(len(x) for x in before.values())
    lab.check("no file there was made, changed or removed", not changed, changed or "%d files and folders compared" % count)
    result = lab.run("run", "-w", "a01", "tool/script.py", "word", "7")
    lab.check("its status is the script's", result.status == 1 and "7" in result.err, result.brief())
