"""Boots of a local context, from the start of the connect to up, in turn with starts of the bare interpreter.

The last line is "boot-local OURS_US PYTHON_US RATIO", medians; 1 if the ratio is over 2.
"""
import os
import sys
import time

import side

TIMES, WARM = 60, 3
LIMIT = 2.0


def python():
    begun = time.perf_counter()
    pid = os.posix_spawn(side.PYTHON, [side.PYTHON, '-c', 'pass'], os.environ)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit('python does not start')
    return (time.perf_counter() - begun) * 1e6


def main():
    boots = side.Ours('boots', side.PYTHON)
    for _ in range(WARM):
        boots.ask(1)
        python()
    ours, theirs = [], []
    for _ in range(TIMES):
        ours += boots.ask(1)
        theirs.append(python())
    boots.end()
    side.figures('econtext', ours)
    side.figures('python', theirs)
    ratio = side.at(ours, .5) / side.at(theirs, .5)
    print('boot-local %.1f %.1f %.3f' % (side.at(ours, .5), side.at(theirs, .5), ratio))
    return 1 if ratio > LIMIT else 0


if __name__ == '__main__':
    sys.exit(main())
