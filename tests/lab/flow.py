"""Line 17: a command whose output nobody reads costs every process on its way a few MB, and its neighbours nothing."""
import os
import signal
import subprocess

import kit

MEGABYTES = 8
WINDOW = 262144  # of a stream, docs/protocol.md section 4


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
    ends = os.pipe()
    program = lab.start("exec", "-w", "a01", "--", "yes", stdout=ends[1], stderr=subprocess.DEVNULL)
    os.close(ends[1])
    try:
        os.read(ends[0], 4096)
        first = sizes(lab, program)
        # Nobody reads any more; what was under way comes to rest: until nothing grows.
        last, calm = first, [0]

        def still():
            nonlocal last
            new = sizes(lab, program)
            calm[0] = calm[0] + 1 if new == last else 0
            last = new
            return calm[0] >= 3

        rest, took = lab.until(still, 20, 0.5)
        grown = {"%s (%d)" % (what, pid): (size - first.get(pid, ("", size))[1]) for pid, (what, size) in last.items()}
        worst = max(grown, key=grown.get)
        lab.check("a reader that stops: memory of %d processes comes to rest" % len(grown), rest and grown[worst] < MEGABYTES * 1024,
                  "most is %d KiB more, by %s; at rest after %.0f s" % (grown[worst], worst, took))
        os.kill(program.pid, signal.SIGINT)

        def left():  # sshd's take their own time
            return [x for p, x in lab.processes().items() if p not in before and not x[1].startswith("sshd:")]

        gone, took = lab.until(lambda: not left(), 6)
        lab.check("^C ends it everywhere", gone, "after %.1f s" % took if gone else left())
        result = program.end(5)
        lab.check("... with status 130", result.status == 130, result.brief())
    finally:
        os.close(ends[0])
    lab.put_back()
    beside(lab)


def beside(lab):
    """A call over the same links, in the same program."""
    binary = lab.work + "/beside"
    made = subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-I" + os.path.join(kit.TOP, "include"),
                           os.path.join(kit.HERE, "beside.c"), "-o", binary, "-L" + lab.build, "-lecontext",
                           "-Wl,-rpath," + lab.build], stderr=subprocess.PIPE, text=True)
    if made.returncode:
        lab.check("a program that calls a02 beside it is built", False, made.stderr)
        return
    out = lab.script("exec", "master", "env", *["%s=%s" % x for x in lab.env.items() if x[0].startswith("ECONTEXT_LAB_PW")],
                     binary, lab.topology("topology.yaml"), "a01", "a02")
    alone, busy, held = [int(x) for x in out.split()]
    lab.check("a call to a02 beside it stays quick", busy < max(3 * alone, alone + 50000),
              "median %.1f ms alone, %.1f ms beside it" % (alone / 1000, busy / 1000))
    lab.check("... and the program holds one window of output", 0 < held <= WINDOW, "%d bytes" % held)
