"""What the benchmarks share: the C program on one side, and figures of a list of times."""
import os
import subprocess

BUILD = os.environ.get('ECONTEXT_BUILD') or os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build')
# Both sides run the same interpreter, named by its path: a wrapper on PATH would be measured along.
PYTHON = '/usr/bin/python3'


class Ours:
    """A C program of this folder that answers each line with nanoseconds."""

    def __init__(self, name, *args):
        self.process = subprocess.Popen([os.path.join(BUILD, 'bench_' + name)] + [str(a) for a in args],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        self.process.stdin.write(b'%d\n' % line)
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer.strip():
            raise SystemExit('the C side ended: status %s' % self.process.wait())
        return [int(n) / 1e3 for n in answer.split()]

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=30)
        if status:
            raise SystemExit('the C side ended with %d' % status)


def at(times, part):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * part))]


def figures(name, times):
    print('%-8s p10 %8.1f  median %8.1f  p90 %8.1f  p99 %8.1f us, %d times'
          % (name, at(times, .1), at(times, .5), at(times, .9), at(times, .99), len(times)))
