"""One hop through the native agent, beside a plain C relay (poll, read, write) between the same two ends on the same pipes.

The last line is "native-hop RTT_RATIO DOWN_RATIO UP_RATIO"; 1 if the median round trip is above 1.5 times the plain relay's, or
bulk in frames of 16 KiB, with hop credit, below 0.8 of its rate in either direction. Medians of rounds; echoes alternate in blocks.

All of it shares one processor: so work is what is measured. On several it would be where the kernel puts three processes that wake each
other, and waking an idle processor of a virtual machine takes five times as long as a whole round trip.
"""
import os
import subprocess
import sys

import side

ROUNDS = 9
RTT_MAX, BULK_MIN = 1.5, 0.8


def main():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    agent = os.path.join(side.BUILD, 'native', 'agent-' + os.uname().machine)
    run = subprocess.run([os.path.join(side.BUILD, 'bench_hop'), agent, str(ROUNDS)], stdout=subprocess.PIPE, timeout=300)
    rounds = [[float(word) for word in line.split()] for line in run.stdout.splitlines()]
    if run.returncode or len(rounds) != ROUNDS:
        raise SystemExit('the C side ended: status %d' % run.returncode)
    side.figures('plain', [r[0] / 1e3 for r in rounds])
    side.figures('native', [r[1] / 1e3 for r in rounds])
    middle = [side.at([r[i] for r in rounds], .5) for i in range(6)]
    print('bulk     down %.0f and %.0f MB/s, up %.0f and %.0f MB/s' % tuple(middle[2:]))
    rtt, down, up = (side.at([r[i + 1] / r[i] for r in rounds], .5) for i in (0, 2, 4))
    print('native-hop %.2f %.2f %.2f' % (rtt, down, up))
    return 1 if rtt > RTT_MAX or min(down, up) < BULK_MIN else 0


if __name__ == '__main__':
    sys.exit(main())
