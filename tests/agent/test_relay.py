#!/usr/bin/env python3
"""Part `relay` of the Python agent: what it says itself beside what its children say, and the ends of their processes."""
import os
import signal
import subprocess
import sys
import time

import driver
import support

# A child that speaks frames: it answers HELLO, and does what `then` says with `send(kind, handle, body)` and `read(n)`.
CHILD = '''
import os, select, struct
def read(n):
    s = b''
    while len(s) < n:
        s += os.read(0, n - len(s)) or os._exit(0)
    return s
def frame():
    h = struct.unpack('>4B6I', read(28))
    return h, read(h[9])
def write(s):
    while s:
        s = s[os.write(1, s):]
def made(kind, handle, body):
    return struct.pack('>4B6I', 236, 1, kind, 64, %d, ME, ME, handle, 0, len(body)) + body
hello = frame()
ME = hello[0][4]
write(struct.pack('>4B6I', 236, 1, 0, 64, hello[0][5], ME, ME, 1, 0, 3) + b'\\xa1\\0\\1')
'''
# It keeps as much under way as it may, and says at each MiB how much it has sent.
MOST, LEFT = 12 << 20, 8 << 20
BUSY = CHILD % 0 + '''
sent = said = acked = 0
piece = made(2, 5000, b'x' * 16384)
while 1:
    while sent - acked < %d:
        write(piece)
        sent += len(piece)
    if sent - said > 1 << 20:
        said = sent
        os.write(2, b'%%d ' %% sent)
    h, s = frame()
    if h[7] == 4:
        acked += int.from_bytes(s[1:], 'big') if s[0] > 23 else s[0]
''' % MOST
# It asks for a module, reads no more until it is told to (by what it does not hear as a frame: a file), and then all of the answer.
ASKS = CHILD % 0 + '''
import sys, time
write(struct.pack('>4B6I', 236, 1, 1, 64, hello[0][5], ME, ME, 32, 300, 5) + b'\\x81\\x63big')
while not os.path.exists(sys.argv[1]):
    time.sleep(.05)
n, h = 0, (0,) * 10
while h[7] != 300 or h[2] & 16:
    h, s = frame()
    if h[2] & 2:
        write(struct.pack('>4B6I', 236, 1, 0, 64, hello[0][5], ME, ME, 4, 0, 5) + b'\\x1a' + struct.pack('>I', 28 + len(s)))
    if h[7] == 300:
        n += len(s)
os.write(2, b'%d of it.' % n)
'''
# It says more in class control than may wait anywhere; a file's length says how much it has.
MANY = 8192
TALKS = CHILD % 0 + '''
import sys
f = open(sys.argv[1], 'w')
for i in range(%d):
    write(made(0, 5000, b'x' * 1000))
    f.truncate(i + 1)
''' % MANY
# It reads nothing before a file is there, and then up to what is no notice: how many these were.
DEAF = CHILD % 0 + '''
import sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(.05)
n = 0
while frame()[0][2] == 4:
    n += 1
os.write(2, b'%d notices' % n)
'''
# It ends, and one that left its session and its group still has its output.
HELD = ['sh', '-c', 'setsid sleep 1000 & echo $!; exit 3']
HELD_LINK = CHILD % 0 + '''
p = os.fork()
if not p:
    os.setsid()
    os.close(2)
    os.execvp('sleep', ['sleep', '1000'])
os.write(2, b'%d' % p)
os._exit(3)
'''

# Of a large answer, how many bytes are copied to cut it: what is cut counts what is taken of it.
CUT = """
import sys
class Large:
    taken = [0]
    def __init__(self, n):
        self.n = n
    def __len__(self):
        return self.n
    def __radd__(self, other):
        return self
    def __getslice__(self, a, b):
        return self[slice(a, b)]
    def __getitem__(self, at):
        a, b, step = at.indices(self.n)
        self.taken[0] += b - a
        return Large(b - a)
class Empty:
    def join(self, pieces):
        return Large(9 << 20)
class Child:
    served = {}
    def put(self, kind, frame, where):
        self.sent.append(frame.n)
    def pump(self):
        pass
    def acquire(self):
        pass
    release = acquire
pack = lambda form, magic, version, kind, *rest: kinds.append(kind) or ''
major = lambda kind, n: ''
pack_value = byte_string = lambda v: ''
EMPTY, BULK_BODY_MAX, FRAME_BODY_MAX, HOPS, ME, CACHE, LOCK = Empty(), 16384, 65536, 64, 8, {'m': ['m', 0]}, Child()
kinds = []
exec(open(sys.argv[1]).read())
c = Child()
c.out, c.sent = c, []
serve(c, 9, 300, 'm')
print(' '.join([str(x) for x in (Large.taken[0], sum(c.sent), max(c.sent), len(c.sent), kinds.count(18), kinds[-1])]))
"""


class Relay(support.Case):
    def spawn(self, c, *argv, size=1):
        """(slot, pid) of a child with the first id behind the relay's own."""
        slot = c.request(16, {0: c.me + 1, 1: size, 2: [os.fsencode(x) for x in argv]})
        code, pid = c.answer(slot).value()
        self.assertEqual(code, 0)
        return slot, pid

    def link(self, c, slot):
        c.send(driver.CALL, 18, 0, [c.me + 1, driver.enc({0: 1, 1: [c.me + 1, 1], 2: 0})])
        self.assertEqual(c.answer(slot, 30).value()[0], 6)

    def test_script_without_first_line(self):
        """A shell's, as for EXEC and everywhere else: what a target names as its program may be one."""
        c = self.boot()
        c.part('relay')
        path = os.path.join(self.folder(), 'script')
        with open(path, 'w') as f:
            f.write('exit $1\n')
        os.chmod(path, 0o755)
        self.assertEqual(c.answer(self.spawn(c, path, '7')[0], 30).value(), [5, 7 << 8])

    def test_cut(self):
        """A large module goes in pieces, and each byte is copied once for that: the thread that does it moves all else, too."""
        text = os.path.join(driver.ROOT, 'preamble', 'python', 'relay', 'modules.py')
        p = subprocess.run([self.python, '-c', CUT, text], stdout=subprocess.PIPE, check=True)
        size = 9 << 20
        self.assertEqual([int(x) for x in p.stdout.split()], [size, size, 16384, 576, 575, 2])

    def test_many_wait_for_a_large_module(self):
        """Only as many answers are made as there is room for; the others are when they have gone, and nobody is told `busy`."""
        size, most = 9 << 20, 64 << 20
        many = 12
        c = self.boot(size=many + 1)
        for name in 'relay', 'stats':
            c.part(name)
        c.modules['big'] = [['big', 4, 'big', bytes(16), [], [], os.urandom(size)]]
        go = os.path.join(self.folder(), 'go')
        pids, said, ended = {}, {}, set()

        def event(f):
            if f.handle in pids:
                v = f.value()
                if v[0] == 2:
                    said[f.handle] = said.get(f.handle, b'') + v[1]
                elif v[0] == 8:
                    ended.add(f.handle)

        for i in range(1, many + 1):
            argv = [os.fsencode(x) for x in (sys.executable, '-c', ASKS, go)]
            slot = c.request(16, {0: c.me + i, 1: 1, 2: argv})
            pids[slot] = c.answer(slot, 30).value()[1]
        for i in range(1, many + 1):
            c.send(driver.CALL, 18, 0, [c.me + i, driver.enc({0: 1, 1: [c.me + i, 1], 2: 0})])
        while not c.asked:
            c.handle(c.link.frame(60))
        queued = 0
        while queued <= most:
            queued = c.answer(c.request(28, []), 30).value()[4]
        for i in range(5):
            queued = max(queued, c.answer(c.request(28, []), 30).value()[4])
        self.assertLess(queued, most + size + (1 << 20))
        self.assertEqual(c.asked, ['big'])
        with open(go, 'w'):
            pass
        for f in c.later:
            event(f)
        while len(ended) < many:
            f = c.link.frame(60)
            c.handle(f) or event(f)
        self.assertEqual(len(set(said.values())), 1, said)
        self.assertGreater(int(min(said.values()).split()[0]), size)

    def test_busy_children(self):
        """A relay sends what is its own while more than it keeps itself waits of its children's. (What the child has sent is acknowledged
        but for LEFT, of which a link's window, 4 MiB at most, may be under way: the rest waits, however fast each of them is.)"""
        c = self.boot()
        c.part('relay')
        c.serve('big', 'def get():\n    return "x" * 400000\n')
        slot, pid = self.spawn(c, sys.executable, '-c', BUSY)
        c.auto_ack = False
        self.link(c, slot)
        asked, got, said, sent, came, acked, end = 0, b'', b'', 0, 0, 0, time.monotonic() + 30
        while time.monotonic() < end:
            f = c.link.frame(30)
            if c.handle(f):
                continue
            if f.handle == 5000:
                came += 28 + len(f.body)
            elif f.handle == slot:
                code, s = f.value()
                self.assertEqual(code, 2)
                said += s
                sent = int(said.split(b' ')[-2])
                asked = asked or c.request(25, ['big', 'get', [], {}])
            elif f.handle == asked:
                got += f.body
                c.link.write(driver.frame(driver.CONTROL, c.me, 4, 0, driver.enc(len(f.body) + 28)))
                if not f.kind & driver.MORE:
                    break
            n = min(came, sent - LEFT) - acked
            if n > 0:
                acked += n
                c.link.write(driver.frame(driver.CONTROL, c.me, 4, 0, driver.enc(n)))
        self.assertEqual(len(got), 400007, 'what is of the relay itself')

    def test_control_for_a_parent_that_does_not_read(self):
        """What a child says without end waits in its pipe, and the relay lives."""
        c = self.boot()
        c.part('relay')
        path = os.path.join(self.folder(), 'said')
        open(path, 'w').close()
        slot = self.spawn(c, sys.executable, '-c', TALKS, path)[0]
        self.link(c, slot)
        last = -1
        while os.stat(path).st_size != last:
            last = os.stat(path).st_size
            time.sleep(1)
        came = 0
        while came < MANY:
            f = c.link.frame()
            self.assertIsNotNone(f, 'the relay has ended')
            came += not c.handle(f) and f.handle == 5000

    def test_notices_to_who_does_not_read(self):
        """Of those to somebody behind a child as many wait as have room; what else is for there is not lost with them, nor the link."""
        c = self.boot()
        c.part('relay')
        go = os.path.join(self.folder(), 'go')
        slot = self.spawn(c, sys.executable, '-c', DEAF, go, size=4)[0]
        self.link(c, slot)
        notice = driver.frame(driver.CONTROL | driver.DEAD, c.me + 3, 5000, 0, b'x' * 1000)
        for _ in range(MANY):
            c.link.write(notice)
        c.send(driver.CONTROL, 34, 0, [5000, 1], dst=c.me + 3)
        c.answer(c.request(7, 'behind them'))
        with open(go, 'w'):
            pass
        code, said = c.answer(slot, 30).value()
        self.assertEqual((code, said[-8:]), (2, b' notices'), said)
        self.assertLess(int(said.split()[0]), MANY)

    def test_sigchld_came_ignored(self):
        """As exec(2) hands it on: the status is seen all the same."""
        c = self.boot(before='env --ignore-signal=CHLD')
        c.part('relay')
        slot = self.spawn(c, 'sh', '-c', 'exit 7')[0]
        self.assertEqual(c.answer(slot, 30).value(), [5, 7 << 8])

    def test_sigchld_came_ignored_and_a_call_runs(self):
        """It keeps the main thread, whose matter signals are: then behind it."""
        c = self.boot(before='env --ignore-signal=CHLD')
        begun, go = [os.path.join(self.folder(), name) for name in ('begun', 'go')]
        c.serve('busy', 'import os, time\ndef wait(begun, go):\n os.mkdir(begun)\n while not os.path.exists(go):\n  time.sleep(.01)\n')
        asked = c.request(25, ['busy', 'wait', [begun, go], {}])
        while not os.path.exists(begun):
            c.answer(c.request(7, 0), 30)
        c.part('relay')
        os.mkdir(go)
        self.assertEqual(c.answer(asked, 30).value(), [0, None])
        self.assertEqual(c.call('busy', 'wait', begun + '2', go), [0, None])
        slot = self.spawn(c, 'sh', '-c', 'exit 7')[0]
        self.assertEqual(c.answer(slot, 30).value(), [5, 7 << 8])

    def test_end_that_called_code_has_taken(self):
        """How it ended is not known: that is not that it ended well."""
        c = self.boot()
        c.part('relay')
        c.serve('kids', 'import signal\ndef ignore():\n signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n')
        self.assertEqual(c.call('kids', 'ignore'), [0, None])
        self.assertEqual(c.answer(self.spawn(c, 'sh', '-c', 'exit 7')[0], 30).value(), [5, -1])
        slot = self.spawn(c, sys.executable, '-c', CHILD % 0 + 'os._exit(7)\n')[0]
        self.link(c, slot)
        self.assertEqual(c.answer(slot, 30).value(), [8, 'eof', -1, ''])

    def threads(self, c, there):
        """Whether one can be started: at the limit of processes it cannot."""
        module, built_in = self.version < (3,) and ('thread', '__builtin__') or ('_thread', 'builtins')
        x = "__import__('%s')" % module
        refuse = "(lambda *a: (i for i in [0]).throw(%s.error('no thread')))" % x
        code = "setattr(%s, 'had', %s.start_new_thread) or setattr(%s, 'start_new_thread', %s)" % (x, x, x, refuse)
        if there:
            code = "setattr(%s, 'start_new_thread', %s.had)" % (x, x)
        self.assertEqual(c.call(built_in, 'eval', code), [0, None])

    def no_thread(self, c):
        slot = c.request(16, {0: c.me + 1, 1: 1, 2: [b'no-such-program-either']})
        c.send(driver.CALL, 19, 0, [c.me + 1])
        self.assertEqual(c.answer(slot, 30).value(), [7, 'no-such-program-either: Resource temporarily unavailable', 11])

    def test_no_thread_for_a_child(self):
        """The limit of processes is said as if it were fork's, and nothing is left of the child."""
        c = self.boot()
        c.part('relay')
        slot = self.spawn(c, 'true')[0]
        self.assertEqual(c.answer(slot, 30).value(), [5, 0])
        self.threads(c, False)
        self.no_thread(c)
        self.no_thread(c)
        self.threads(c, True)
        slot = self.spawn(c, 'sh', '-c', 'exit 7')[0]
        self.assertEqual(c.answer(slot, 30).value(), [5, 7 << 8])

    def test_no_thread_for_the_relay(self):
        """It says so where a child is wanted, and gets one as soon as it can."""
        c = self.boot()
        self.threads(c, False)
        c.part('relay')
        self.no_thread(c)
        self.assertEqual(c.call('os', 'getppid')[0], 0)
        self.no_thread(c)
        self.threads(c, True)
        slot = self.spawn(c, 'sh', '-c', 'exit 7')[0]
        self.assertEqual(c.answer(slot, 30).value(), [5, 7 << 8])
        self.assertEqual(c.call('os', 'getppid')[0], 0)

    def held(self, c, slot, pid):
        """The events behind that which says the number of who holds on, which is ended."""
        v = c.answer(slot, 30).value()
        self.addCleanup(os.kill, int(v[1]), signal.SIGKILL)
        v = c.answer(slot, 30).value()
        self.assertFalse(os.path.exists('/proc/%d' % pid), 'waited for')
        return v

    def test_output_that_is_held(self):
        """A child whose process has ended is said to be over, though what it started still has its output."""
        c = self.boot()
        c.part('relay')
        slot, pid = self.spawn(c, *HELD)
        self.assertEqual(self.held(c, slot, pid), [5, 3 << 8])
        slot, pid = self.spawn(c, sys.executable, '-c', HELD_LINK)
        self.link(c, slot)
        self.assertEqual(self.held(c, slot, pid)[:3], [8, 'eof', 3 << 8])

    def test_all_that_was_printed(self):
        """What an ended process leaves in its pipe comes, also when what came before is acknowledged late or never."""
        c = self.boot()
        c.part('relay')
        slot, pid = self.spawn(c, 'sh', '-c', 'head -c 65536 /dev/zero; head -c 60000 /dev/zero; exit 3')
        n, v = 0, [1, b'']
        while v[0] == 1:
            n += len(v[1])
            v = c.answer(slot, 30).value()
        self.assertEqual((v, n), ([5, 3 << 8], 125536))


if __name__ == '__main__':
    sys.exit(support.main(__name__))
