"""Runs a module's test cases once for each Python that scripts/pythons finds, or with AGENT_SHARE=1 each case with two of them; the agent
is booted anew for each test."""
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import driver  # noqa: E402

AT_ONCE = 3


def pythons():
    """[(version as a tuple, path)], oldest first; AGENT_PYTHONS="2.7 3.13" takes only these, if any of them is here."""
    p = subprocess.run([os.path.join(driver.ROOT, 'scripts', 'pythons')], stdout=subprocess.PIPE, check=True)
    found = [line.split() for line in p.stdout.decode().split('\n') if line]
    wanted = os.environ.get('AGENT_PYTHONS', '').split()
    chosen = [x for x in found if x[0] in wanted] or found
    return [(tuple(map(int, v.split('.'))), path) for v, path in chosen]


def plays(version, index):
    """Whether this version, of those in AGENT_AMONG, has the test of this number: the newest has all, the oldest every second one, and
    one of those between each of the others."""
    among = os.environ.get('AGENT_AMONG', '').split()
    if version not in among[:-1]:
        return True
    turn = among[:1] if index % 2 == 0 else among[1:-1] or among[:1]
    return turn[index // 2 % len(turn)] == version


class Case(unittest.TestCase):
    """.python and .version are those of the interpreter under test."""
    python = version = None

    def boot(self, before='', **kw):
        """before: a program that executes Python, with its options."""
        c = driver.Context(before and "'%s %s'" % (before, self.python) or self.python, **kw)
        self.addCleanup(self.end, c)
        return c

    def end(self, c):
        try:
            c.close()
        except Exception:
            pass
        try:
            os.killpg(c.proc.pid, signal.SIGKILL)
        except OSError:
            pass
        c.proc.wait()

    def folder(self):
        path = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, path)
        return path

    def waits(self, pid):
        """Whether the main thread sleeps, whenever it is looked at."""
        for i in range(20):
            with open('/proc/%d/task/%d/stat' % (pid, pid)) as f:
                if f.read().rsplit(')', 1)[1].split()[0] != 'S':
                    return False
            time.sleep(.02)
        return True

    def newest_only(self):
        if self.version != newest():
            self.skipTest('long: with the newest only')

    def until(self, what, true, seconds=10):
        """Waits for what is no event of the link: the end of processes."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                self.fail('not within %g s: %s' % (seconds, what))
            time.sleep(.02)


def alive(pid):
    """True if there is such a process and it is no zombie."""
    try:
        with open('/proc/%d/stat' % pid, 'rb') as f:
            return f.read().rsplit(b')', 1)[1].split()[0] not in (b'Z', b'X')
    except OSError:
        return False


def children(pid):
    """Of all its threads, of which one may end while it is looked at."""
    found, tasks = [], '/proc/%d/task' % pid
    for x in os.listdir(tasks):
        try:
            with open('%s/%s/children' % (tasks, x)) as f:
                found += map(int, f.read().split())
        except OSError:
            pass
    return found


def title(pid):
    with open('/proc/%d/cmdline' % pid, 'rb') as f:
        return f.read().strip(b'\0').decode()


def newest():
    """The newest of those that this run takes, as a tuple: for what is long and the same in all of them."""
    said = os.environ.get('AGENT_NEWEST')
    return tuple(map(int, said.split('.'))) if said else pythons()[-1][0]


def main(module):
    here = pythons()
    if len(here) > 1:
        return side_by_side(['.'.join(map(str, v)) for v, path in here])
    (version, path), suite = here[0], unittest.TestSuite()
    for name, cls in sorted(vars(sys.modules[module]).items()):
        if isinstance(cls, type) and issubclass(cls, Case) and cls is not Case:
            what = type('%s_%d_%d' % ((name,) + version), (cls,), {'python': path, 'version': version})
            tests = list(unittest.defaultTestLoader.loadTestsFromTestCase(what))
            suite.addTests(t for i, t in enumerate(tests) if plays('.'.join(map(str, version)), i))
    r = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
    for why in sorted(set(why for test, why in r.skipped)):
        print('skip: %s' % why)
    bad = len(r.failures) + len(r.errors)
    print('%d passed, %d failed%s' % (r.testsRun - bad - len(r.skipped), bad,
                                      ', %d skipped' % len(r.skipped) if r.skipped else ''))
    return 1 if bad or not (r.testsRun or os.environ.get('AGENT_AMONG')) else 0     # its turn may not have come


def side_by_side(versions):
    """A process for each Python, AT_ONCE of them: they wait more than they work. What they say comes in order, then the sum."""
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, AGENT_NEWEST=versions[-1])
        if env.get('AGENT_SHARE'):
            env['AGENT_AMONG'] = ' '.join(versions)
        if 'AGENT_FILES' not in env:
            subprocess.run([sys.executable, os.path.join(driver.ROOT, 'preamble', 'build.py'), '--dir', folder], check=True)
            env['AGENT_FILES'] = folder

        def one(version):
            return subprocess.run([sys.executable, sys.argv[0]], env=dict(env, AGENT_PYTHONS=version),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        sums, bad = [0, 0, 0], 0
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for p in pool.map(one, versions):
                said = p.stdout.decode('utf-8', 'replace')
                sys.stdout.write(said)
                counts = re.findall(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$', said, re.M)
                sums = [a + int(b or 0) for a, b in zip(sums, counts[-1] if counts else (0, 1, 0))]
                bad |= p.returncode
    print('%d passed, %d failed%s' % (sums[0], sums[1], ', %d skipped' % sums[2] if sums[2] else ''))
    return 1 if bad or sums[1] or not sums[0] else 0
