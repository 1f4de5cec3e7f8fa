"""Line 17: a command whose output nobody reads costs every process on its way a few MB, and its neighbours nothing."""
import os
import signal
import subprocess

MEGABYTES = 8


def resident(pid):
    """KiB in memory."""
    try:
        with open("/proc/%d/status" % pid) as f:
            return [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]
    except (OSError, IndexError):
        return 0


def sizes(lab, program):
    found = {program.pid: ("econtext on the master", resident(program.pid))}
    for pid, (host, argv, _) in lab.processes().items():
        if argv.startswith(("econtext:", "ssh ", "yes")) or argv.startswith("sshd: vlab-ops"):
            found[pid] = "%s on %s" % (argv.split()[0], host), resident(pid)
    return found


def run(lab):
    before = set(lab.processes())
    lab.write("beside.py", "def main():\n    return 1\n")
    ends = os.pipe()
    program = lab.start("exec", "-w", "a01", "--", "yes", stdout=ends[1], stderr=subprocess.DEVNULL)
    os.close(ends[1])
    try:
        os.read(ends[0], 4096)
        first = sizes(lab, program)
        # Nobody reads any more; what was under way comes to rest: until nothing grows.
        last = [first]

        def still():
            new = sizes(lab, program)
            same = {p: x[1] for p, x in new.items()} == {p: x[1] for p, x in last[0].items()}
            last[0] = new
            return same

        rest, took = lab.until(still, 15, 1)
        grown = {"%s (%d)" % (what, pid): (size - first.get(pid, ("", size))[1]) for pid, (what, size) in last[0].items()}
        worst = max(grown, key=grown.get)
        lab.check("a reader that stops: memory of %d processes comes to rest" % len(grown), rest and grown[worst] < MEGABYTES * 1024,
                  "most is %d KiB more, by %s; at rest after %.0f s" % (grown[worst], worst, took))
        quick = min((lab.run("call", "-w", "a02", "./beside.py:main") for _ in range(2)), key=lambda r: r.wall)
        lab.check("a call to a02 by another program is quick", quick.status == 0 and quick.wall < 5, quick.brief())
        os.kill(program.pid, signal.SIGINT)
        gone, took = lab.until(lambda: not [x for p, x in lab.processes().items() if p not in before], 6)
        lab.check("^C ends it everywhere", gone, "after %.1f s" % took if gone else
                  [x for p, x in lab.processes().items() if p not in before])
        result = program.end(5)
        lab.check("... with status 130", result.status == 130, result.brief())
    finally:
        os.close(ends[0])
