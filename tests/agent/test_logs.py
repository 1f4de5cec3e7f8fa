#!/usr/bin/env python3
"""Log records and printed text of the Python agent: what comes, in which order, how much, and what it must not hold up."""
import sys

import driver
import support

M = r'''
import logging, os, sys, threading, time
log = logging.getLogger('app.db')
def at(level, text):
    log.log(level, text)
def named(name, text):
    logging.getLogger(name).warning(text)
def error():
    try:
        1 / 0
    except Exception:
        log.exception('it failed')
def text():
    sys.stdout.write('no newline')
def both():
    sys.stdout.write('out\n')
    sys.stderr.write('err\n')
    log.warning('log')
def letters():
    print(u'\xe9\u4e16')
def junk():
    os.write(1, bytearray([255, 254]))
def cut():
    os.write(1, bytearray([0xe4, 0xb8]))
    time.sleep(.2)
    os.write(1, bytearray([0x96]))
def system(command):
    return os.system(command)
def swap():
    sys.stdout = sys.stderr = open(os.devnull, 'w')
def many(n, later):
    """Logs n times in no time: the agent's clock stands still, `later` seconds after it last did."""
    real, now[0] = os.times, (now[0] or os.times()[4]) + later
    os.times = lambda: (0, 0, 0, 0, now[0])
    try:
        for i in range(n):
            log.warning('m')
    finally:
        os.times = real
now = [0]
def wrong():
    log.warning('%d', 'x')
class Talker(object):
    def __str__(self):
        log.warning('within')
        return 'talker'
def within():
    log.warning('%s', Talker())
def loud(more):
    log.setLevel(10)
    log.debug('quiet')
def start():
    def run():
        log.warning('from a thread')
        import served
        log.warning('served %s', served.name)
        print('printed by a thread')
    t = [threading.Thread(target=run) for i in range(4)]
    for x in t:
        x.start()
    return None
def flood():
    def run():
        while 1:
            os.write(1, bytearray(b'y' * 4096))
    t = threading.Thread(target=run)
    t.setDaemon(True) if hasattr(t, 'setDaemon') and sys.version_info < (3,) else setattr(t, 'daemon', True)
    t.start()
def quiet():
    return 'here'
'''


class Logs(support.Case):
    def boot(self, **kw):
        c = support.Case.boot(self, **kw)
        c.serve('m', M)
        return c

    def wait_for(self, c, true, seconds=10):
        """Takes frames until what has come is enough."""
        for i in range(int(seconds * 20)):
            if true():
                return
            c.pump(.05)
        self.fail('have only %r' % c.logs[-20:])

    def test_levels(self):
        c = self.boot(level=30)
        for level in 10, 20, 29, 30, 40, 50:
            self.assertEqual(c.call('m', 'at', level, 'at %d' % level)[0], 0)
        self.assertEqual(c.logs, [[n, 'app.db', 'at %d' % n, 0] for n in (30, 40, 50)])
        c.call('m', 'loud', 1)          # a logger with a level of its own does not get past the caller's
        self.assertEqual(len(c.logs), 3)
        c = self.boot(level=10)
        c.call('m', 'at', 10, 'd')
        self.assertEqual(c.logs, [[10, 'app.db', 'd', 0]])

    def test_bounds(self):
        c = self.boot()
        for more in '', 'n':        # what is longer keeps its head and its tail
            c.call('m', 'named', 'a' * 128 + more + 'z' * 128, 'a' * 16384 + more + 'z' * 16384)
        for level, name, text, dropped in c.logs:
            self.assertEqual((len(name), name), (256, 'a' * 128 + 'z' * 128))
            self.assertEqual((len(text), text), (32768, 'a' * 16384 + 'z' * 16384))
        self.assertEqual(len(c.logs), 2)
        del c.logs[:]
        c.call('m', 'error')
        self.assertIn('it failed\nTraceback', c.logs[0][2])
        self.assertIn('ZeroDivisionError', c.logs[0][2])

    def test_printed(self):
        """What a call printed comes before its answer, with or without a newline, from whichever way it was written."""
        c = self.boot()
        c.call('m', 'text')
        self.assertEqual(c.logs, [[20, 'stdout', 'no newline', 0]])
        c.call('m', 'both')
        self.assertEqual([c.text(x) for x in ('stdout', 'stderr', 'app.db')], ['no newlineout\n', 'err\n', 'log'])
        del c.logs[:]
        c.call('m', 'letters')
        self.assertEqual(c.text('stdout'), '\u00e9\u4e16\n')
        del c.logs[:]
        c.call('m', 'junk')
        self.assertEqual(c.text('stdout'), '\ufffd\ufffd')
        del c.logs[:]
        c.call('m', 'cut')
        self.assertEqual(c.text('stdout'), '\u4e16')

    def test_no_locale(self):
        c = self.boot(env={'LC_ALL': 'C', 'PATH': '/usr/bin:/bin', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'})
        self.assertEqual(c.call('m', 'letters')[0], 0)
        self.assertEqual(c.text('stdout'), '\u00e9\u4e16\n')

    def test_children(self):
        c = self.boot()
        self.assertEqual(c.call('m', 'system', 'echo out; echo err >&2; exit 3')[1], 3 << 8)
        self.assertEqual((c.text('stdout'), c.text('stderr')), ('out\n', 'err\n'))
        # A child that outlives the call is heard as well; and neither stdin nor our descriptors are there for it.
        c.call('m', 'system', '(read x; echo read $?; ls /proc/self/fd | wc -l) &')
        self.wait_for(c, lambda: c.text('stdout').count('\n') == 3)
        self.assertEqual(c.text('stdout').split(), ['out', 'read', '1', '4'])

    def test_swapped(self):
        c = self.boot()
        c.call('m', 'swap')
        c.call('m', 'system', 'echo still; echo there >&2')
        self.assertEqual((c.text('stdout'), c.text('stderr')), ('still\n', 'there\n'))

    def test_rate(self):
        """A burst of 2,000 and 2,000 a second; each record that comes tells how many before it did not."""
        c = self.boot()
        told = 0
        for n, later, most in (5000, 0, 2000), (5000, .5, 1000), (400, .25, 400), (5000, 60, 2000), (1, 1, 1):
            before = len(c.logs)
            c.call('m', 'many', n, later, timeout_=60)
            self.assertIn(len(c.logs) - before - most, (0, 1))      # 1: half a millisecond has no end in binary
            told += n
        self.assertEqual(len(c.logs) + sum(x[3] for x in c.logs), told)

    def test_records_that_fail(self):
        c = self.boot()
        self.assertEqual(c.call('m', 'wrong')[0], 0)
        self.assertIn('Traceback', c.text('stderr'))
        self.assertEqual(c.call('m', 'within')[0], 0)
        self.assertIn('talker', c.text('app.db'))
        self.assertEqual(c.call('m', 'quiet'), [0, 'here'])

    def test_threads(self):
        """Threads of called code log, print and import after the call has ended."""
        c = self.boot()
        c.serve('served', 'import time\ntime.sleep(.05)\nname = "module"\n')
        self.assertEqual(c.call('m', 'start'), [0, None])
        self.wait_for(c, lambda: c.text('stdout').count('printed by a thread') == 4)
        self.assertEqual(sorted(x[2] for x in c.logs if x[1] == 'app.db'), ['from a thread'] * 4 + ['served module'] * 4)
        self.assertEqual(c.asked.count('served'), 1)

    def test_flood(self):
        """Who prints without end holds up neither the answers nor the end of the context."""
        c = self.boot()
        c.call('m', 'flood')
        for i in range(20):
            self.assertEqual(c.call('m', 'quiet', timeout_=20), [0, 'here'])


if __name__ == '__main__':
    sys.exit(support.main(__name__))
