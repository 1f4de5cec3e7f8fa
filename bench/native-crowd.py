"""1,000 native contexts under one master: up, and all pinged; 500 under one native relay: its private memory, and that of an idle one.

The last line is "native-crowd UP_S PING_S IDLE_KIB RELAY_KIB"; 1 if over 10 s, 1 s, 256 KiB or 4,096 KiB.
"""
import glob
import os
import subprocess
import sys

import side


def crowd(*args):
    run = subprocess.Popen([os.path.join(side.BUILD, 'bench_crowd')] + list(args), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    words = run.stdout.readline().split()
    if len(words) != 2:
        raise SystemExit('crowd %s ended: status %s' % (' '.join(args), run.wait()))
    return run, [int(x) / 1e9 for x in words]


def end(run):
    run.stdin.close()
    run.wait(timeout=60)


def agents(root):
    """pid -> (parent, private KiB) of all below root."""
    parents = {}
    for path in glob.glob('/proc/[0-9]*/stat'):
        try:
            with open(path) as f:
                parents[int(path.split('/')[2])] = int(f.read().rsplit(')', 1)[1].split()[1])
        except OSError:
            pass
    below, found = {root}, True
    while found:
        found = {p for p, parent in parents.items() if parent in below} - below
        below |= found
    out = {}
    for pid in below - {root}:
        with open('/proc/%d/smaps_rollup' % pid) as f:
            out[pid] = parents[pid], sum(int(line.split()[1]) for line in f if line.startswith('Private_'))
    return out


def main():
    run, (up, ping) = crowd('1000')
    idle = sorted(size for _, size in agents(run.pid).values())
    end(run)
    run, _ = crowd('500', 'via')
    found = agents(run.pid)
    children = [parent for parent, _ in found.values()]
    relay = max((children.count(pid), size) for pid, (_, size) in found.items())[1]
    end(run)
    print('processes: median %d KiB private, most %d KiB' % (idle[len(idle) // 2], idle[-1]))
    print('native-crowd %.2f %.2f %d %d' % (up, ping, idle[-1], relay))
    return 1 if up > 10 or ping > 1 or idle[-1] > 256 or relay > 4096 else 0


if __name__ == '__main__':
    sys.exit(main())
