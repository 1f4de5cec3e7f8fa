#!/usr/bin/env python3
"""Part `exec` of the Python agent (docs/protocol.md section 8): the programs of `run`."""
import hashlib
import os
import resource
import sys

import driver
import support
from test_exec import ERR, Job, OUT

TICKS = '''
import signal
def arm():
    signal.signal(signal.SIGALRM, lambda *rest: 0)
    signal.setitimer(signal.ITIMER_REAL, 5000.25, 3)
def left():
    for i in range(300000):
        pass
    v = [signal.getitimer(x) for x in range(3)]
    return [int(4000 < v[0][0] <= 5000.25)] + [int(x[0] > 0) for x in v[1:]], [int(x[1]) for x in v]
'''
PROGRAM_TICKS = '''
import signal
def tick(*rest):
    seen.append(1)
seen = []
signal.signal(getattr(signal, {'REAL': 'SIGALRM', 'VIRTUAL': 'SIGVTALRM', 'PROF': 'SIGPROF'}['%(x)s']), tick)
signal.setitimer(signal.ITIMER_%(x)s, .0005, .0005)
while len(seen) < 3:
    pass
print('ticked')
'''


class Run(support.Case):
    def ready(self):
        c = self.boot()
        c.part('exec')
        return c

    def run_program(self, c, source, *argv):
        self.programs = getattr(self, 'programs', 0) + 1
        name = 'econtext_program_%d' % self.programs
        c.serve(name, source)
        j = Job(c, c.request(25, ['econtext', 'run', [name, ['./script.py'] + list(argv), OUT, ERR], {}]))
        while not (j.answer and len(j.ended) == 2 or j.dead):
            f = c.link.frame(30)
            if not c.handle(f) or f.handle in j.data:
                self.assertTrue(j.take(f), f)
        return j

    def test_run(self):
        c = self.ready()
        j = self.run_program(c, '''
import os, struct, sys
if __name__ == '__main__':
    sys.stdout.write('%s\\n' % (sys.argv[1:],))
    os.system('echo child; echo child >&2')
    os.write(1, struct.pack('B', 255))
    sys.stderr.write('e' * 100000)
    sys.exit(259)
''', 'a', 'b c')
        self.assertEqual((j.out, j.answer), (b"['a', 'b c']\nchild\n\xff", [0, 3]))
        self.assertEqual(j.err, b'child\n' + b'e' * 100000)
        self.assertEqual(c.logs, [])
        c.serve('after', 'import sys\ndef f():\n    sys.stdout.write("later\\n")\n    return sys.argv[1:]\n')
        self.assertEqual(c.call('after', 'f')[0], 0)
        self.assertEqual(c.text('stdout'), 'later\n')

    def test_run_ends(self):
        c = self.ready()
        self.assertEqual(self.run_program(c, 'x = 1').answer, [0, 0])
        self.assertEqual(self.run_program(c, 'import sys; sys.exit()').answer, [0, 0])
        j = self.run_program(c, 'import sys; sys.exit("the end")')
        self.assertEqual((j.err, j.answer), (b'the end\n', [0, 1]))
        j = self.run_program(c, 'def f():\n    raise ValueError("why")\nf()\n')
        self.assertEqual(j.answer, [0, 1])
        self.assertEqual(j.err.decode().split('\n')[0], 'Traceback (most recent call last):')
        self.assertIn('script.py", line 3, in <module>\n    f()\n', j.err.decode())
        self.assertEqual(j.err.decode().split('\n')[-2], 'ValueError: why')
        j = self.run_program(c, 'x ==== 1\n')
        self.assertEqual(j.answer, [0, 1])
        self.assertIn('SyntaxError', j.err.decode())
        f = c.answer(c.request(25, ['econtext', 'run', ['missing', ['./m.py'], 8001, 8002], {}]))
        while f.handle != 0 and not f.kind & 3 == driver.CALL:
            f = c.link.frame()
        self.assertEqual(f.value(), [0, 1])

    def test_run_ends_by_exit_of_any_kind(self):
        c = self.ready()
        self.assertEqual(self.run_program(c, 'class Exit(SystemExit): pass\nraise Exit(3)\n').answer, [0, 3])
        j = self.run_program(c, '# -*- coding: utf-8 -*-\nimport sys\nsys.exit(u"\u00fc")\n')
        self.assertEqual((j.err.decode(), j.answer), ('\u00fc\n', [0, 1]))
        j = self.run_program(c, 'import sys\nsys.exit([1])\n')
        self.assertEqual((j.err, j.answer), (b'[1]\n', [0, 1]))

    def test_run_without_its_outputs(self):
        """A program may close or replace them: its end is said all the same, and who comes after it finds them as they were."""
        c = self.ready()
        c.serve('after', 'import sys\ndef f():\n    sys.stdout.write("later\\n")\n    sys.stderr.write("too\\n")\n')
        for how in 'sys.stderr = None', 'sys.stderr = object()', 'sys.stderr.close()':
            j = self.run_program(c, 'import sys\n%s\nx = 1 // 0\n' % how)
            self.assertEqual(j.answer, [0, 1], how)
            if 'close' not in how:
                self.assertIn(b'ZeroDivisionError', j.err, how)
        j = self.run_program(c, 'import sys\nsys.stdout.write("x\\n")\nsys.stdout.close()\n')
        self.assertEqual((j.out, j.answer), (b'x\n', [0, 0]))
        j = self.run_program(c, 'import sys\nsys.stdout.write("y\\n")\nsys.stderr.write("z\\n")\n')
        self.assertEqual((j.out, j.err, j.answer), (b'y\n', b'z\n', [0, 0]))
        self.assertEqual(c.call('after', 'f'), [0, None])
        self.assertEqual((c.text('stdout'), c.text('stderr')), ('later\n', 'too\n'))

    def test_run_at_the_limit_of_descriptors(self):
        """It runs or is refused; then both its streams end, and the context has all that it had."""
        c = self.ready()
        c.serve('after', 'import sys\ndef f():\n    sys.stdout.write("later\\n")\n')
        pid, seen = c.hello.value()[4], set()

        def held(what='fd'):
            return sorted(map(int, os.listdir('/proc/%d/%s' % (pid, what))))

        # The C library wants a descriptor when the first thread ends, and aborts without one (libgcc_s.so.1, of pthread_exit).
        c.call('os', 'getpid')
        threads = held('task')
        self.run_program(c, 'x = 1')
        self.until('its threads have ended', lambda: held('task') == threads, 30)
        before = held()
        old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        for n in range(9):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (before[-1] + 1 + n, old[1]))
            j = self.run_program(c, 'x = 1')
            resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
            self.assertTrue(j.answer == [0, 0] or j.answer[:2] == [1, 'OSError'], j.answer)
            seen.add(j.answer[0])
            self.until('it has what it had: %d' % n, lambda: held() == before, 30)
        self.assertEqual(seen, set([0, 1]))
        self.assertEqual(c.call('after', 'f'), [0, None])
        self.assertEqual(c.text('stdout'), 'later\n')

    def test_run_codings(self):
        """A program is read as its own bytes say: a byte order mark, a coding; a traceback shows the line that failed."""
        c = self.ready()
        self.assertEqual(self.run_program(c, b'\xef\xbb\xbfprint("mark")\n').out, b'mark\n')
        j = self.run_program(c, b'# -*- coding: latin-1 -*-\nx = u"\xe9"\nprint([len(x), ord(x)])\n')
        self.assertEqual((j.out, j.answer), (b'[1, 233]\n', [0, 0]))
        if self.version > (3,):
            j = self.run_program(c, b'x = "\xff"\n')
            self.assertEqual(j.answer, [0, 1])
            self.assertIn(b'SyntaxError', j.err)
        j = self.run_program(c, b'x = 1\n\x0c\nz = 1 / 0\n')
        self.assertEqual(j.answer, [0, 1])
        self.assertIn(b'line 3', j.err)
        self.assertIn(b'z = 1 / 0', j.err)

    def test_run_waits(self):
        c = self.ready()
        j = self.run_program(c, '''
import atexit, sys, threading, time
def late():
    time.sleep(.3)
    sys.stdout.write('thread\\n')
atexit.register(sys.stdout.write, 'second\\n')
atexit.register(sys.stdout.write, 'first\\n')
threading.Thread(target=late).start()
sys.stdout.write('main\\n')
''')
        self.assertEqual((j.out, j.err, j.answer), (b'main\nthread\nfirst\nsecond\n', b'', [0, 0]))

    def test_run_imports_and_large_output(self):
        c = self.ready()
        c.serve('helper', 'NAME = "helped"\n')
        j = self.run_program(c, 'import helper, sys\nfor i in range(100000): sys.stdout.write("%s %d\\n" % (helper.NAME, i))\n')
        self.assertEqual(hashlib.md5(j.out).digest(), hashlib.md5(b''.join(b'helped %d\n' % i for i in range(100000))).digest())

    def test_run_with_executors(self):
        """Their workers end with the program that left them, and no other's: neither does it wait for what calls have left, nor does the
        next one find executors shut."""
        c = self.ready()
        have = c.call('importlib', 'import_module', 'concurrent.futures')
        if have[1] == 'ImportError':
            self.skipTest('no executors')
        for what in 'ThreadPoolExecutor', 'ProcessPoolExecutor':
            for i in range(2):
                j = self.run_program(c, '''
import atexit, sys, time
from concurrent.futures import %s
atexit.register(sys.stdout.write, 'end\\n')
x = %s(2)
sys.stdout.write('%%d\\n' %% x.submit(abs, -3).result())
f = x.submit(time.sleep, .2)
f.add_done_callback(lambda f: sys.stdout.write('done\\n'))
''' % (what, what))
                lines = j.out.split(b'\n')
                if self.version < (3, 9):
                    lines[1:] = sorted(lines[1:], key=[b'done', b'end', b''].index)     # there they end behind the exit functions
                self.assertEqual((lines, j.err, j.answer), ([b'3', b'done', b'end', b''], b'', [0, 0]), (what, i))

    def test_run_waits_for_its_own_threads_only(self):
        c = self.ready()
        c.serve('other', '''
import threading
go = threading.Event()
def work():
    go.wait(60)
def start():
    threading.Thread(target=work).start()
def end():
    go.set()
def pool():
    from concurrent.futures import ThreadPoolExecutor
    global x
    x = ThreadPoolExecutor(1)
    return use()
def use():
    return x.submit(abs, -3).result(30)
''')
        self.assertEqual(c.call('other', 'start'), [0, None])
        if c.call('importlib', 'import_module', 'concurrent.futures')[1] != 'ImportError':
            self.assertEqual(c.call('other', 'pool'), [0, 3])
        self.assertEqual(self.run_program(c, 'x = 1').answer, [0, 0])
        if c.call('importlib', 'import_module', 'concurrent.futures')[1] != 'ImportError':
            self.assertEqual(c.call('other', 'use', timeout_=40), [0, 3])
        self.assertEqual(c.call('other', 'end'), [0, None])

    def test_run_forks(self):
        """A fork of it ends with the status that a process of its own would have."""
        c = self.ready()
        j = self.run_program(c, '''
import os, sys
def end(how):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        sys.stdout.write('child\\n')
        exec(how)
        sys.exit()
    sys.stdout.write('%r\\n' % (os.waitpid(pid, 0)[1] >> 8,))
end('sys.exit(3)')
end('raise ValueError("why")')
end('pass')
''')
        self.assertEqual((j.out, j.answer), (b'child\n3\nchild\n1\nchild\n0\n', [0, 0]))
        self.assertEqual(j.err.split(b'\n')[-2:], [b'ValueError: why', b''])
        self.assertEqual(c.call('os', 'getpid'), [0, c.hello.value()[4]])

    def test_run_takes_exit_functions_back(self):
        c = self.ready()
        for i in range(2):
            j = self.run_program(c, '''
import atexit, sys
def first(): sys.stdout.write('first\\n')
def second(): sys.stdout.write('second\\n')
for f in first, second, first:
    atexit.register(f)
getattr(atexit, 'unregister', int)(first if hasattr(atexit, 'unregister') else 0)
''')
            self.assertEqual((j.out, j.answer), (self.version > (3,) and b'second\n' or b'first\nsecond\nfirst\n', [0, 0]))

    def test_run_leaves_no_signals(self):
        """Neither how it takes them, nor one that it wanted later."""
        c = self.ready()
        c.serve('took', 'import signal, time\ndef f():\n    time.sleep(1.2)\n'
                        '    return [int(signal.getsignal(x) is y) for x, y in ((13, signal.SIG_IGN), (14, signal.SIG_DFL), (10, signal.SIG_DFL))]\n')
        j = self.run_program(c, 'import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n'
                                'signal.signal(signal.SIGUSR1, lambda *x: 0)\nsignal.alarm(1)\n')
        self.assertEqual(j.answer, [0, 0])
        self.assertEqual(c.call('took', 'f'), [0, [1, 1, 1]])

    def test_run_leaves_no_timers(self):
        """None of the three goes on behind the program, whose handlers are gone; that of a call does, with its interval."""
        c = self.ready()
        c.serve('ticks', TICKS)
        self.assertEqual(c.call('ticks', 'arm'), [0, None])
        for x in 'VIRTUAL', 'PROF', 'REAL':
            j = self.run_program(c, PROGRAM_TICKS % {'x': x})
            self.assertEqual((j.out, j.err, j.answer), (b'ticked\n', b'', [0, 0]), x)
            self.assertEqual(c.call('ticks', 'left'), [0, [[1, 0, 0], [3, 0, 0]]], x)

    def test_run_empty_argument(self):
        j = self.run_program(self.ready(), 'import sys\nsys.stdout.write("%r %s\\n" % (sys.argv[1:], type(sys.argv[1]) is str))\n', '', 'b')
        self.assertEqual((j.out, j.err, j.answer), (b"['', 'b'] True\n", b'', [0, 0]))


if __name__ == '__main__':
    sys.exit(support.main(__name__))
