"""1,000 no-op calls in a row at depth 4 over local contexts, ours and mitogen's in alternating blocks of one run.

The last line is "call-depth4 OURS_US MITOGEN_US RATIO", medians; 1 if the ratio is over 0.35.
"""
import os
import sys
import time

import mitogen.master

import side

DEPTH, CALLS, BLOCK, WARM = 4, 1000, 50, 50
LIMIT = 0.35      # with native relays, the default


def mitogen_block(context, calls):
    times = []
    for _ in range(calls):
        begun = time.perf_counter()
        context.call(os.getpid)
        times.append((time.perf_counter() - begun) * 1e6)
    return times


def main():
    broker = mitogen.master.Broker()
    router = mitogen.master.Router(broker)
    try:
        context = None
        for _ in range(DEPTH):
            args = {'via': context} if context else {}
            context = router.local(python_path=side.PYTHON, **args)
        ours_side = side.Ours('chain', DEPTH, side.PYTHON)
        mitogen_block(context, WARM)
        ours_side.ask(WARM)
        ours, theirs = [], []
        for _ in range(CALLS // BLOCK):
            ours += ours_side.ask(BLOCK)
            theirs += mitogen_block(context, BLOCK)
        ours_side.end()
    finally:
        broker.shutdown()
        broker.join()
    side.figures('econtext', ours)
    side.figures('mitogen', theirs)
    ratio = side.at(ours, .5) / side.at(theirs, .5)
    print('call-depth4 %.1f %.1f %.3f' % (side.at(ours, .5), side.at(theirs, .5), ratio))
    return 1 if ratio > LIMIT else 0


if __name__ == '__main__':
    sys.exit(main())
