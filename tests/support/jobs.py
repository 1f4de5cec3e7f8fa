#!/usr/bin/env python3
"""What a command may have in its session beside its own group, as a shell with job control has: "NAME PID" of each on a line, once it is as
it is to be, its own last. `told` says "term" at each SIGTERM. With an argument it ends then, and the others hold none of its output."""
import os
import signal
import sys
import time


def say(*words):
    os.write(1, (' '.join(words) + '\n').encode())


def job():
    os.setpgid(0, 0)


def lasting():
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def told():
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, lambda *rest: say('term'))


def away():
    """Of another session: it is to stay."""
    os.setsid()


def begin(what):
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        what()
        for x in sys.argv[1:] and range(3):
            os.close(x)
        os.close(r)
        os.close(w)
        while True:
            time.sleep(1000)
    os.close(w)
    os.read(r, 1)
    os.close(r)
    say(what.__name__, str(pid))


for what in job, lasting, told, away:
    begin(what)
say('leader', str(os.getpid()))
while not sys.argv[1:]:
    time.sleep(1000)
