"""Runs a module's test cases once for each Python that scripts/pythons finds; the agent is booted anew for each test."""
import os
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
import driver  # noqa: E402


def pythons():
    """[(version as a tuple, path)], oldest first; AGENT_PYTHONS="2.7 3.13" takes only these, if any of them is here."""
    p = subprocess.run([os.path.join(driver.ROOT, 'scripts', 'pythons')], stdout=subprocess.PIPE, check=True)
    found = [line.split() for line in p.stdout.decode().split('\n') if line]
    wanted = os.environ.get('AGENT_PYTHONS', '').split()
    chosen = [x for x in found if x[0] in wanted] or found
    return [(tuple(map(int, v.split('.'))), path) for v, path in chosen]


class Case(unittest.TestCase):
    """.python and .version are those of the interpreter under test."""
    python = version = None

    def boot(self, **kw):
        c = driver.Context(self.python, **kw)
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


def title(pid):
    with open('/proc/%d/cmdline' % pid, 'rb') as f:
        return f.read().strip(b'\0').decode()


def main(module):
    suite, here = unittest.TestSuite(), pythons()
    for version, path in here:
        for name, cls in sorted(vars(sys.modules[module]).items()):
            if isinstance(cls, type) and issubclass(cls, Case) and cls is not Case:
                what = type('%s_%d_%d' % ((name,) + version), (cls,), {'python': path, 'version': version})
                suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(what))
    r = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
    bad = len(r.failures) + len(r.errors)
    print('%d passed, %d failed%s' % (r.testsRun - bad - len(r.skipped), bad,
                                      ', %d skipped' % len(r.skipped) if r.skipped else ''))
    return 1 if bad or not r.testsRun else 0
