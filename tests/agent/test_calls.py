#!/usr/bin/env python3
"""Calls of the Python agent (docs/protocol.md section 8): values, names, errors and their bounds, order, CANCEL."""
import math
import os
import platform
import signal
import socket
import subprocess
import sys
import time

import driver
import support

ITEMS_MAX = 1 << 20
SAME = '''
def same(*a, **k):
    return [a, k]
def tell(o):
    return type(o).__name__, repr(o)
def size(o):
    return len(o)
class A(object):
    class B(object):
        @staticmethod
        def f(x):
            return x + 1
    @classmethod
    def g(cls):
        return cls.__name__
'''
TICKS = '''
import signal
def arm(s):
    signal.signal(signal.SIGALRM, lambda *a: None)
    signal.setitimer(signal.ITIMER_REAL, s, s)
def say():
    print('x')
    return 'said'
def long(n):
    return 'x' * n
def send(channel, n):
    signal.signal(signal.SIGALRM, lambda *a: 1 // 0)
    try:
        channel.send('x' * n)
    except ZeroDivisionError:
        return 'too late'
'''
ODD = '''
class Nowhere(Exception):
    __module__ = None
class Mute(type):
    def __repr__(cls):
        raise ValueError('no name')
Muted = Mute('Muted', (object,), {})
def nowhere():
    raise Nowhere('m')
def chain(n):
    e = None
    for i in range(n):
        x = ValueError(i)
        x.__cause__ = e
        e = x
    raise e
'''
WRONG = '''
class Oops(Exception):
    pass
class Evil(Exception):
    def __str__(self):
        raise ValueError('no text')
def oops():
    raise Oops('the message')
def evil():
    raise Evil()
def message(n):
    raise ValueError('a' * (n - 1) + 'z')
def name(n):
    raise type('N' * n, (Exception,), {'__module__': ValueError.__module__})('x')
def deep(n):
    if n:
        deep(n - 1)
    raise ValueError('the end')
def leave():
    raise SystemExit(3)
def interrupt():
    raise KeyboardInterrupt
def nest(n):
    o = 1
    for i in range(n):
        o = [o]
    return o
def odd(n):
    return [object(), set([1]), 1j, A, lambda: 0][n]
class A:
    pass
'''


class Calls(support.Case):
    def test_hello(self):
        c = self.boot()
        h = c.hello.value()
        self.assertEqual((c.hello.kind, c.hello.dst, c.hello.src, c.hello.handle), (0, 0, 8, 1))
        self.assertEqual([h[0], h[1], h[3], h[5], h[6]],
                         [1, 'python', platform.machine(), os.getuid(), socket.gethostname()])
        self.assertEqual(h[2].split('.')[:2], ['%d' % x for x in self.version])
        self.assertTrue(support.alive(h[4]))
        self.assertEqual(c.call('os', 'getpid'), [0, h[4]])

    def test_name_of_the_host_that_is_no_text(self):
        named = os.path.join(self.folder(), 'named')
        with open(named, 'w') as f:
            f.write('#!/bin/sh\nexec unshare --uts sh -c \'printf "h\\366st" >/proc/sys/kernel/hostname && exec "$@"\' sh "$@"\n')
        os.chmod(named, 0o755)
        if subprocess.run([named, 'true'], stderr=subprocess.DEVNULL).returncode:
            self.skipTest('a name of its own is not allowed here')
        c = self.boot(before=named)
        self.assertRegex(c.hello.value()[6], '^.?h.*st.?$')
        self.assertEqual(c.call('os', 'getpid')[0], 0)

    def test_version_differs(self):
        c = self.boot(hello={0: 2, 1: [8, 8], 2: 0, 3: 30, 4: 'x', 5: 'x'})
        self.assertEqual(c.hello.value()[0], 1)
        self.assertRaises(EOFError, c.link.frame)

    def test_values(self):
        c = self.boot()
        c.serve('m', SAME)
        values = [None, True, False, 0.0, -1.5, 1e300, math.inf, -math.inf, '', 'text', '\u00e9\u4e16\U0001d11e', b'\xff\0',
                  [], [[]], [1, ['a', [None]]], {}, {'a': 1, 'b': {'c': [2]}, 3: 4}, '\0', 'x' * 70000, b'\xfe' * 70000]
        for n in 0, 23, 24, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64, 2**4096, 256**4096 - 1:
            values += [n, -n, -n - 1] if n < 256**4000 else [n]
        for v in values:
            self.assertEqual(c.call('m', 'same', v), [0, [[v], {}]])
        v = c.call('m', 'same', math.nan)[1][0][0]
        self.assertNotEqual(v, v)
        self.assertEqual(c.call('m', 'same', k=1, other=[2]), [0, [[], {'k': 1, 'other': [2]}]])
        self.assertEqual(c.call('m', 'tell', b'\xff')[1][0], 'str' if self.version < (3,) else 'bytes')

    def test_items(self):
        """1,048,576 in a body: those of a list, and six beside it. A fifth item is for part `stream` only."""
        self.newest_only()
        c = self.boot()
        c.serve('m', SAME)
        one = driver.enc(['m', 'size', [[0]], {}])
        for n, answer in (ITEMS_MAX - 6, [0, ITEMS_MAX - 6]), (ITEMS_MAX - 5, ['bad-body', c.me, c.me, '']):
            body = one.replace(driver.enc([0]), driver.head(4, n) + bytes(n))
            self.assertEqual(c.answer(c.request(25, body, raw=True)).value(), answer)
        self.assertEqual(c.answer(c.request(25, ['m', 'size', [[0]], {}, []])).value(), ['bad-body', c.me, c.me, ''])

    def test_names(self):
        c = self.boot()
        c.serve('m', SAME)
        self.assertEqual(c.call('m', 'A.B.f', 1), [0, 2])
        self.assertEqual(c.call('m', 'A.g'), [0, 'A'])
        self.assertEqual(c.call('os.path', 'basename', '/a/b'), [0, 'b'])
        for name in 'nope', 'A.nope', '':
            e = c.call('m', name)
            self.assertEqual((e[0], e[1], e[4]), (1, 'AttributeError', 2))
        e = c.call('no_such_module', 'f')
        self.assertIn(e[1], ('ImportError', 'ModuleNotFoundError'))
        self.assertEqual((e[0], e[4]), (1, 0))
        self.assertEqual(c.call('econtext', 'slave.__bool__' if self.version > (3,) else 'slave.__int__'), [0, True])

    def test_program(self):
        c = self.boot()
        c.part('program')
        c.serve('prog', 'import sys\ncount = []\ndef f():\n    count.append(1)\n    m = sys.modules\n'
                'main = len([sys.modules[x] for x in ("__main__", "prog")])\n'
                'def g():\n    f()\n    return [len(count), sys.modules["__main__"] is sys.modules["prog"], __file__]\n')
        for n in 1, 2:
            r = c.call('./prog', 'g')
            self.assertEqual(r[1][:2], [n, True])
            self.assertTrue(r[1][2].endswith('prog.py'))
        self.assertEqual(c.asked, ['prog'])
        self.assertEqual(c.call('./none', 'g')[0], 1)

    def test_programs_of_one_stem(self):
        """Each is itself: its code, what it has kept, its lines in a traceback; and who was called last has the name."""
        c = self.boot()
        c.part('program')
        text = ('import sys\ncount = []\nclass Own(object):\n    pass\ndef f():\n    count.append(1)\n    return ["%s", len(count), __name__, '
                'sys.modules["prog"].Own is Own is sys.modules["__main__"].Own]\ndef g():\n    return 1 / 0   # of %s\n')
        c.serve('prog', text % ('one', 'one'))
        c.serve('prog_00ff', text % ('two', 'two'), path='prog.py')
        c.serve('prog_11ff', 'raise ValueError("mine")    # of three\n', path='prog.py')
        for n in 1, 2:
            for name, what in ('./prog', 'one'), ('./prog_00ff', 'two'):
                self.assertEqual(c.call(name, 'f'), [0, [what, n, 'prog', True]])
                self.assertIn('prog.py", line 9, in g\n    return 1 / 0   # of %s\n' % what, c.call(name, 'g')[3])
            self.assertIn('of three', c.call('./prog_11ff', 'f')[3])
        # And if the one with the long name was the first that this context met.
        c.serve('met', 'def f():\n    return 1\n')
        c.serve('met_00ff', 'def f():\n    return 2\n', path='met.py')
        for name, n in ('./met_00ff', 2), ('./met', 1), ('./met_00ff', 2):
            self.assertEqual(c.call(name, 'f'), [0, n])

    def test_errors(self):
        c = self.boot()
        c.serve('w', WRONG)
        e = c.call('w', 'oops')
        self.assertEqual((e[0], e[1], e[2], e[4]), (1, 'w.Oops', 'the message', 0))
        self.assertIn("raise Oops('the message')", e[3])
        self.assertIn('w.py", line', e[3])
        self.assertNotIn('getattr', e[3])
        self.assertEqual(c.call('w', 'evil')[:2], [1, 'w.Evil'])
        self.assertEqual(c.call('w', 'leave')[:3], [1, 'SystemExit', '3'])
        self.assertEqual(c.call('w', 'interrupt')[:2], [1, 'KeyboardInterrupt'])
        self.assertEqual(c.call('os', 'getpid', 1)[:2], [1, 'TypeError'])
        self.assertEqual(c.call('os', 'getpid')[0], 0)

    def test_odd_errors(self):
        """What Python itself cannot print, or name, is an error like another, and the context goes on."""
        c = self.boot()
        c.serve('o', ODD)
        e = c.call('o', 'chain', 2000)
        self.assertEqual((e[0], e[1], e[2], e[4]), (1, 'ValueError', '1999', 0))
        e = c.call('o', 'nowhere')
        self.assertEqual(e[:3], [1, 'None.Nowhere', 'm'])
        self.assertTrue('o.py' in e[3] or (3, 6) <= self.version < (3, 9))     # which fail at a module that is no text
        e = c.call('o', 'Muted')
        self.assertEqual((e[0], e[4]), (1, 1))
        self.assertEqual(c.call('os', 'getpid')[0], 0)

    def test_bounds_of_errors(self):
        c = self.boot()
        c.serve('w', WRONG)
        self.assertEqual(c.call('w', 'name', 256)[1], 'N' * 256)
        self.assertEqual(len(c.call('w', 'name', 257)[1]), 256)
        m = c.call('w', 'message', 16384)[2]
        self.assertEqual(m, 'a' * 16383 + 'z')
        m = c.call('w', 'message', 16385)[2]
        self.assertEqual((len(m), m[-1]), (16384, 'z'))
        c.serve('many', ''.join('def f%d():\n    return f%d() # %s\n' % (i, i + 1, 'x' * 500) for i in range(90)) +
                'def f90():\n    raise ValueError("the end")\n')
        t = c.call('many', 'f0')[3]
        self.assertEqual(len(t.encode()), 32768)
        self.assertTrue(t.startswith('Traceback'))
        self.assertTrue(t.endswith('ValueError: the end\n'))

    def test_what_cannot_travel(self):
        c = self.boot()
        c.serve('w', WRONG)
        for i, name in enumerate(['object', 'set', 'complex']):
            e = c.call('w', 'odd', i)
            self.assertEqual((e[0], e[4]), (1, 1))
            self.assertIn(name, e[2])
            self.assertIn('> cannot travel: ', e[2])
        self.assertEqual(c.call('w', 'nest', 30)[0], 0)
        e = c.call('w', 'nest', 31)     # the answer's own array is one of the 32
        self.assertEqual((e[0], e[4]), (1, 1))
        self.assertIn("'list'> cannot travel: ", e[2])
        self.assertEqual(c.call('builtins' if self.version > (3,) else '__builtin__', 'pow', 256, 4096)[4], 1)

    def test_order_and_cancel(self):
        c = self.boot()
        c.part('cancel')
        c.serve('w', 'import sys\ndone = []\ndef wait():\n    return sys.stdin.read()\ndef go(n):\n    done.append(n)\n    return done\n'
                'import time\ndef slow():\n    time.sleep(.3)\n    return go("slow")\n')
        slots = [c.request(25, ['w', f, a, {}]) for f, a in (('slow', []), ('go', [1]), ('go', [2]), ('go', [3]))]
        c.send(driver.CONTROL, 26, 0, [slots[2]])
        c.send(driver.CONTROL, 26, 0, [9999])
        f = c.answer(slots[2])
        self.assertTrue(f.kind & driver.DEAD)
        self.assertEqual(f.value()[0], 'cancelled')
        self.assertEqual([c.answer(s).value()[1] for s in (slots[0], slots[1], slots[3])],
                         [['slow'], ['slow', 1], ['slow', 1, 3]])

    def test_no_stall(self):
        """The main thread reads the link, unless a call takes long: no hand-over loses a call until select(2) gives up, on one
        processor neither. (Long calls, short ones, and those that come while another runs.)"""
        for parts in (), ('relay',), ('stream',):
            c = self.boot()
            c.serve('w', 'import time\ndef slow(s):\n    time.sleep(s)\n    return s\n')
            for name in parts:
                c.part(name)
            os.sched_setaffinity(c.hello.value()[4], [min(os.sched_getaffinity(0))])     # before there is a second thread
            slow = 0
            for i in range(120):
                begun = time.time()
                slots = [c.request(25, ['w', 'slow', [.003], {}])] if i % 10 == 9 else []
                slots += [c.request(25, ['os', 'getpid', [], {}]) for _ in range(1 + (i % 7 == 6))]
                for x in slots:
                    self.assertEqual(c.answer(x).value()[0], 0)
                slow += time.time() - begun > .8
                self.assertLess(slow, 3, parts)

    def test_parts_come_at_any_time(self):
        """The relay's thread takes over whichever of the core's two reads the link."""
        def before(c):
            c.part('relay')

        def after(c):
            c.call('time', 'sleep', .01)
            c.part('relay')

        def meanwhile(c):
            slot = c.request(25, ['time', 'sleep', [.3], {}])
            time.sleep(.1)
            c.part('relay')
            c.answer(slot)

        for order in before, after, meanwhile:
            c = self.boot()
            order(c)
            for i in range(20):
                self.assertEqual(c.call('operator', 'neg', i), [0, -i])
            long = c.request(25, ['time', 'sleep', [.5], {}])
            queued = c.request(25, ['operator', 'neg', [1], {}])
            self.assertEqual(c.answer(c.request(7, b'meanwhile', raw=True)).body, b'meanwhile')   # ECHO
            self.assertFalse([f for f in c.later if f.handle in (long, queued)])
            self.assertEqual([c.answer(x).value() for x in (long, queued)], [[0, None], [0, -1]])

    def test_fork_comes_back(self):
        """A fork of called code that returns, or raises, neither answers nor reads the link."""
        c = self.boot()
        c.serve('w', 'import os\ndef fork():\n    pid = os.fork()\n    if not pid:\n        print("from the child")\n    return pid\n'
                'def leave(what):\n    pid = os.fork()\n    if not pid:\n        raise eval(what)\n    return os.waitpid(pid, 0)[1]\n')
        for what, status in (None, 0), ('ValueError("of the child")', 256), ('SystemExit(3)', 768), ('SystemExit()', 0), (None, 0):
            ok, pid = what and c.call('w', 'leave', what) or c.call('w', 'fork')
            self.assertEqual(ok, 0)
            if what:
                self.assertEqual(pid, status)
            else:
                self.assertGreater(pid, 0)
                self.assertEqual(c.call('os', 'waitpid', pid, 0), [0, [pid, 0]])
        self.assertIn('ValueError: of the child', ''.join(r[2] for r in c.logs))
        for i in range(50):
            self.assertEqual(c.call('operator', 'neg', i), [0, -i])

    def test_fork_imports(self):
        """A fork of called code finds what is there; what had to be asked for is not found, and is found by others."""
        c = self.boot()
        c.serve('here', '')
        c.serve('late', 'x = 1\n')
        c.serve('w', 'import here, os\ndef fork(name):\n    pid = os.fork()\n    if not pid:\n        try:\n            __import__(name)\n'
                '        except ImportError:\n            os._exit(7)\n        os._exit(8)\n    return os.waitpid(pid, 0)[1] >> 8\n'
                'def plain(name):\n    return __import__(name).x\n')
        for what, status in ('here', 8), ('late', 7), ('here', 8):
            self.assertEqual(c.call('w', 'fork', what), [0, status])
        self.assertEqual(c.call('w', 'plain', 'late'), [0, 1])
        self.assertEqual(c.call('w', 'fork', 'late'), [0, 8])

    def test_fork_logs(self):
        """What a fork logs is printed, and comes not into what its parent writes at the same time: a record is more than a pipe takes in
        one piece."""
        c = self.boot()
        c.serve('w', 'import logging, os\ndef both(n):\n    pid = os.fork()\n    for i in range(n):\n'
                '        logging.error("%s %d %s", pid and "parent" or "fork", i, "x" * 6000)\n    pid or (os.write(1, b"printed"), os._exit(0))\n'
                '    return os.waitpid(pid, 0)[1]\n')
        self.assertEqual(c.call('w', 'both', 50), [0, 0])
        self.assertEqual([r[2].split()[:2] for r in c.logs if r[1] == 'root'], [['parent', str(i)] for i in range(50)])
        self.assertEqual((c.text('stdout').split()[::3], c.text('stderr')), (['fork'] * 50 + ['printed'], ''))

    def test_signals(self):
        """Called code has a handler and a timer: before Python 3.5 each system call may be interrupted."""
        for parts in (), ('exec',), ('relay',), ('relay', 'stream'):
            c = self.boot()
            for name in parts:
                c.part(name)
            c.serve('m', TICKS)
            c.call('m', 'arm', .0005)
            for i in range(1500):
                self.assertEqual(c.call('m', 'say', timeout_=30), [0, 'said'], parts)
            # And while we take nothing: half a second is enough for a signal, and for none it is right too.
            for sizes in (60000, 60000, 60000), (60000, 200000, 200000):
                slots = [c.request(25, ['m', 'long', [n], {}]) for n in sizes]
                time.sleep(.5)
                for n, slot in zip(sizes, slots):
                    self.assertEqual(len(c.answer(slot, 30).value()[1]), n, parts)

    def test_handler_that_raises(self):
        """What ends a wait for the link's credit, as a time limit of called code's own, ends that channel and nothing else."""
        for parts in ('stream',), ('stream', 'relay'):
            c = self.boot()
            for name in parts:
                c.part(name)
            c.serve('m', TICKS)
            c.call('m', 'long', 1)
            c.auto_ack = False
            slot = c.request(25, ['m', 'send', [None, 2000000], {}, [[0, 6001, 0]]])
            got, dead = [c.link.frame(30)], False
            while not got[-1].reply:
                c.handle(got.pop())
                got.append(c.link.frame(30))
            c.handle(got[0])
            c.send(driver.CONTROL, 34, 0, [got[0].reply, 4000000])
            while sum(len(f.body) for f in got) < 3 * 16384:    # the link's credit; an empty frame may come before it
                got.append(c.link.frame(30))
                c.handle(got[-1])
            self.until('it waits for credit', lambda: self.waits(c.hello.value()[4]), 60)
            os.kill(c.hello.value()[4], signal.SIGALRM)
            f = None
            while not f or f.handle != slot:
                if not f and self.version < (3, 2):         # there no signal ends the wait for a lock
                    c.link.write(driver.frame(driver.CONTROL, c.me, 4, 0, driver.enc(c.bulk_in)))
                    c.auto_ack = True
                f = c.link.frame(30)
                dead = dead or f.handle == 6001 and f.kind & driver.DEAD and f.value()
                c.handle(f)
            self.assertEqual((f.value(), dead and dead[0]), ([0, 'too late'], 'reset'), parts)
            if not c.auto_ack:
                c.link.write(driver.frame(driver.CONTROL, c.me, 4, 0, driver.enc(c.bulk_in)))
            c.auto_ack = True
            self.assertEqual(c.call('m', 'long', 200000, timeout_=30), [0, 'x' * 200000], parts)

    def test_bad_calls(self):
        c = self.boot()
        for body in driver.enc(['os', 'getpid', []]), driver.enc({}), b'\xff', b'', driver.enc([1, 2, 3, 4]):
            f = c.answer(c.request(25, body, raw=True))
            self.assertTrue(f.kind & driver.DEAD)
            self.assertEqual(f.value()[0], 'bad-body')
        self.assertEqual(c.call('os', 'getuid'), [0, os.getuid()])

    def test_large(self):
        c = self.boot()
        c.serve('m', SAME)
        v = os.urandom(1 << 20)
        f = c.answer(c.request(25, ['m', 'same', [v], {}]), 30)
        self.assertEqual(f.value(), [0, [[v], {}]])

    def test_no_child_of_ours(self):
        """A wait() in called code finds no child that it did not start."""
        c = self.boot()
        e = c.call('os', 'wait')
        self.assertEqual((e[0], e[1]), (1, 'ChildProcessError' if self.version > (3,) else 'OSError'))


if __name__ == '__main__':
    sys.exit(support.main(__name__))
