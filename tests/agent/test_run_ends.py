#!/usr/bin/env python3
"""Part `exec` of the Python agent (docs/protocol.md section 8): a program of `run` ends as in a process of its own, the second in a
context as the first, and what is none of its goes on."""
import gzip
import os
import sys

import support
import test_run

COPIES = {
    'dup': '''
import os
saved = os.dup(1)
os.dup2(2, 1)
os.dup2(saved, 1)
os.write(saved, 'out\\n'.encode())
os.write(os.dup(2), 'err\\n'.encode())
''',
    'stdout': '''
import sys
kept = open('/dev/stdout', 'w')
kept.write('out\\n')
kept.flush()
sys.stderr.write('err\\n')
''',
    'log': '''
import logging, sys
kept = logging.FileHandler('/dev/stdout', 'w')
kept.emit(logging.LogRecord('x', 30, '', 1, 'out', (), None))
sys.stderr.write('err\\n')
''',
    'outputs': '''
import os
os.write(1, 'out\\n'.encode())
os.write(2, 'err\\n'.encode())
os.dup2(os.dup(2), 1)
os.close(2)
''',
}


OPEN = '''
import csv, gzip, io, logging, sys, tempfile, os
d = sys.argv[1] + '/'
class K(object):
    def __init__(self):
        self.file = open(d + 'cycle', 'w')
        self.file.write('x')
        self.me = self
class End(object):
    def __del__(self, f=sys.stdout.write):
        f('del\\n')
def f():
    return g, end
g = gzip.open(d + 'gzip', 'wb')
g.write('x'.encode() * 100)
plain = open(d + 'plain', 'w')
plain.write('x')
k = K()
end = End()
new = io.open(d + 'io', 'wb')
new.write('x'.encode())
temporary = tempfile.NamedTemporaryFile(dir=sys.argv[1])
w = csv.writer(open(d + 'csv', 'w'))
for i in range(10000):
    w.writerow([i, i * i])
import helper_of_run
helper_of_run.log(d + 'helper')
%s
'''
# What called code has, and a program calls and leaves something with.
KEPT = '''
hooks = []
def ask(x):
    return [f(x) for f in hooks]
'''


class RunEnds(support.Case):
    ready = test_run.Run.ready
    run_program = test_run.Run.run_program

    def read(self, *path):
        with open(os.path.join(*path), 'rb') as f:
            return f.read()

    def test_copies_of_its_outputs(self):
        """Whatever descriptors it leaves that lead there: its streams end. Those of calls stay."""
        c = self.ready()
        c.serve('other', 'import os\nr, w = os.pipe()\ndef f():\n    os.write(w, "still".encode())\n    return os.read(r, 9).decode()\n')
        self.assertEqual(c.call('other', 'f'), [0, 'still'])
        for how in sorted(COPIES) * 2:
            j = self.run_program(c, COPIES[how])
            self.assertEqual((j.out, j.err, j.answer), (b'out\n', b'err\n', [0, 0]), how)
        self.assertEqual(c.call('other', 'f'), [0, 'still'])

    def test_a_copy_that_a_thread_uses(self):
        """It writes to nothing then, and not to what has that number next."""
        c = self.ready()
        j = self.run_program(c, '''
import os, sys, threading
copy = os.dup(1)
go = threading.Event()
def late():
    go.wait(60)
    os.write(copy, 'nobody\\n'.encode())
    done.set()
done = threading.Event()
x = threading.Thread(target=late)
setattr(x, 'daemon', True)
x.start()
sys.late = go, done
''')
        self.assertEqual((j.out, j.err, j.answer), (b'', b'', [0, 0]))
        j = self.run_program(c, 'import sys\nsys.late[0].set()\nsys.late[1].wait(60)\nsys.stdout.write("%s" % sys.late[1].is_set())\n')
        self.assertEqual((j.out, j.err, j.answer), (b'True', b'', [0, 0]))

    def test_what_is_not_closed_is_whole(self):
        """Each time, and whether it ends well, by an exit or an exception."""
        c = self.ready()
        c.serve('helper_of_run', 'files = []\ndef log(x):\n    files.append(open(x, "w"))\n    files[-1].write("x")\n')
        for end, status in ('', 0), ('sys.exit(3)', 3), ('x = 1 // 0', 1):
            d = self.folder()
            j = self.run_program(c, OPEN % end, d)
            self.assertEqual((j.out, j.answer), (b'del\n', [0, status]), j.err)
            self.assertEqual(sorted(os.listdir(d)), 'csv cycle gzip helper io plain'.split())
            for x in 'cycle', 'helper', 'io', 'plain':
                self.assertEqual(self.read(d, x), b'x', x)
            self.assertEqual(len(self.read(d, 'csv').split()), 10000)
            with gzip.open(os.path.join(d, 'gzip')) as f:
                self.assertEqual(f.read(), b'x' * 100)

    def test_a_fork_leaves_whole_files(self):
        """Its own, and none twice of what calls have open."""
        d = self.folder()
        c = self.ready()
        c.serve('has', 'def f(x, s):\n    global file\n    file = open(x, "w")\n    file.write(s)\ndef g():\n    file.close()\n')
        self.assertEqual(c.call('has', 'f', d + '/called', 'x'), [0, None])
        j = self.run_program(c, '''
import os, sys
if os.fork():
    os.wait()
else:
    f = open(sys.argv[1] + '/child', 'w')
    f.write('x')
''', d)
        self.assertEqual((j.out, j.answer), (b'', [0, 0]), j.err)
        self.assertEqual(self.read(d, 'child'), b'x')
        self.assertEqual(c.call('has', 'g'), [0, None])
        self.assertEqual(self.read(d, 'called'), b'x')

    def test_what_goes_on_has_its_names(self):
        """A daemon thread of a program, and (but for Python 2) what it left with a module of called code."""
        c = self.ready()
        c.serve('kept', KEPT)
        self.assertEqual(c.call('kept', 'ask', 1), [0, []])
        d = self.folder()
        j = self.run_program(c, '''
import kept, os, sys, threading
go, done = threading.Event(), threading.Event()
name, said = sys.argv[1] + '/daemon', []
def work():
    go.wait(60)
    said.append(sys.modules['__main__'].name == name)
    f = open(name, 'w')
    f.write('%s' % said)
    f.close()
    done.set()
before = open(sys.argv[1] + '/before', 'w')
before.write('x')
x = threading.Thread(target=work)
setattr(x, 'daemon', True)
x.start()
kept.hooks.append(lambda x: go.set() or done.wait(60))
''', d)
        self.assertEqual((j.out, j.err, j.answer), (b'', b'', [0, 0]))
        self.assertEqual(self.read(d, 'before'), b'x')
        self.assertEqual(c.call('kept', 'ask', 1), [0, [True]])
        self.assertEqual(self.read(d, 'daemon'), b'[True]')
        j = self.run_program(c, 'import kept\nn = 41\ndef add(x):\n    return n + x\nkept.hooks[:] = [add]\n')
        self.assertEqual(j.answer, [0, 0])
        if self.version > (3,):
            self.assertEqual(c.call('kept', 'ask', 1), [0, [42]])

    def test_waits_for_threads_of_threads(self):
        """But not for those that threads of calls start, which may never cease to."""
        c = self.ready()
        c.serve('beats', '''
import threading
n = [0]
beaten = threading.Event()
def beat():
    n[0] += 1
    if n[0] < 10000:
        threading.Timer(.05, beat).start()
    else:
        beaten.set()
def end():
    n[0] = 10000
    beaten.wait(60)
    return beaten.is_set()
''')
        self.assertEqual(c.call('beats', 'beat'), [0, None])
        for i in range(2):
            j = self.run_program(c, '''
import sys, threading
def tick(n):
    sys.stdout.write('%d\\n' % n)
    n < 4 and threading.Timer(.05, tick, [n + 1]).start()
tick(1)
''')
            self.assertEqual((j.out, j.err, j.answer), (b'1\n2\n3\n4\n', b'', [0, 0]))
        self.assertEqual(c.call('beats', 'end'), [0, True])

    def test_what_logging_has_kept(self):
        c = self.ready()
        for i in range(2):
            d = self.folder()
            j = self.run_program(c, '''
import logging, logging.handlers, sys
to = logging.FileHandler(sys.argv[1] + '/log')
log = logging.getLogger('kept')
log.propagate = False
log.addHandler(logging.handlers.MemoryHandler(100, target=to))
log.warning('kept')
''', d)
            self.assertEqual((j.out, j.err, j.answer), (b'', b'', [0, 0]))
            self.assertEqual(self.read(d, 'log'), b'kept\n')

    def test_finalizers(self):
        """Those of a program run, in each; those of calls do not, and can do so later."""
        c = self.ready()
        c.serve('has', '''
import os, weakref
class X(object):
    pass
x, said = X(), []
def f():
    global end
    end = weakref.finalize(x, said.append, 1)
    return said
def g():
    end()
    return said
''')
        if c.call('has', 'f')[0]:
            self.skipTest('no weakref.finalize')
        for i in range(3):
            d = self.folder()
            j = self.run_program(c, '''
import atexit, sys, tempfile, weakref
class X(object):
    pass
x = X()
X.x = x
atexit.register(sys.stdout.write, 'first\\n')
weakref.finalize(x, sys.stdout.write, 'finalized\\n')
atexit.register(sys.stdout.write, 'last\\n')
y = X.y = tempfile.TemporaryDirectory(dir=sys.argv[1])
''', d)
            self.assertEqual(j.out, b'last\nfirst\nfinalized\n')
            self.assertEqual((j.answer, os.listdir(d)), ([0, 0], []))
        self.assertEqual(c.call('has', 'f'), [0, []])
        self.assertEqual(c.call('has', 'g'), [0, [1]])

    def test_its_hook_for_exceptions(self):
        c = self.ready()
        hook = '''
import sys
def hook(x, v, tb):
    while tb.tb_next:
        tb = tb.tb_next
    sys.stdout.write('%%s %%s %%d\\n' %% (x.__name__, v, tb.tb_frame.f_code.co_firstlineno))
    %s
sys.excepthook = hook
def f():
    raise ValueError('why')
%s
'''
        j = self.run_program(c, hook % ('', 'f()'))
        self.assertEqual((j.out, j.err, j.answer), (b'ValueError why 9\n', b'', [0, 1]))
        j = self.run_program(c, hook % ('sys.exit(7)', 'f()'))
        self.assertEqual((j.out, j.err, j.answer), (b'ValueError why 9\n', b'', [0, 7]))
        j = self.run_program(c, hook % ('1 // 0', 'f()'))
        self.assertEqual((j.out, j.answer), (b'ValueError why 9\n', [0, 1]))
        self.assertIn(b'ZeroDivisionError', j.err)
        self.assertTrue(self.version < (3,) or b'ValueError: why' in j.err, j.err)
        j = self.run_program(c, hook % ('', 'sys.exit(4)'))
        self.assertEqual((j.out, j.err, j.answer), (b'', b'', [0, 4]))
        j = self.run_program(c, 'raise ValueError("no hook")\n')
        self.assertEqual((j.out, j.err.split(b'\n')[-2], j.answer), (b'', b'ValueError: no hook', [0, 1]))


if __name__ == '__main__':
    sys.exit(support.main(__name__))
