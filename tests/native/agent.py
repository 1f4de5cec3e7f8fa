"""The real native agent as its parent sees it, and children whose link is held by the test itself."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'conformance'))
from notation import Bad, decode, encode  # noqa: E402
from wire import BULK, CALL, CONTROL, DEAD, HANDLES, Failure, Frame, Link  # noqa: E402,F401

LIMIT = 30
ME, SIZE, PARENT = 8, 1 << 20, 0
MORE, END = 0x10, 0x20
SLOT = 0x10000
HELLO_ANSWER = {0: 1, 1: 'native', 2: '', 3: 'x86_64', 4: 1, 5: 0, 6: 'fake'}


def text_of(path):
    try:
        with open(path, 'rb') as f:
            return f.read()
    except OSError:     # it has ended meanwhile
        return b''


def marked(mark):
    """The processes that have this in their environment: all that an agent has started, whatever became of it."""
    found = []
    for pid in os.listdir('/proc'):
        if pid.isdigit() and mark.encode() in text_of('/proc/%s/environ' % pid):
            if b'\nState:\tZ' not in text_of('/proc/%s/status' % pid):
                found.append(int(pid))
    return found


def remain(mark, wanted, seconds=LIMIT):
    """Those that are left of them, once they are those that are wanted, or in the end."""
    end = time.monotonic() + seconds
    while True:
        found = sorted(marked(mark))
        if found == wanted or time.monotonic() > end:
            return found
        time.sleep(.01)


def gather(mark, number):
    """How many they are, once there are so many, or in the end: one that is being executed has no environment for a moment."""
    end = time.monotonic() + LIMIT
    while True:
        found = len(marked(mark))
        if found >= number or time.monotonic() > end:
            return found
        time.sleep(.01)


def vanish(mark):
    return remain(mark, []) == []


def status_kib(pid, key):
    found = re.search(key.encode() + rb':\s*(\d+) kB', text_of('/proc/%d/status' % pid))
    return int(found.group(1)) if found else 0


def private_kib(pid):
    return sum(int(n) for n in re.findall(rb'^Private_\w+:\s*(\d+) kB', text_of('/proc/%d/smaps_rollup' % pid), re.M))


def program(pid):
    try:
        return os.readlink('/proc/%d/exe' % pid)
    except OSError:
        return None


def children(pid):
    """Of an agent: but for the watcher, which runs the same program. Either may end meanwhile."""
    ours = program(pid)
    found = [int(n) for n in text_of('/proc/%d/task/%d/children' % (pid, pid)).split()]
    return [n for n in found if program(n) not in (ours, None)]


class Agent:
    """proc is the agent, and so is pid (as HELLO says it)."""
    count = 0

    def __init__(self, command, idle=0, hello=True, before=None):
        Agent.count += 1
        self.mark = 'ECONTEXT_TEST_NATIVE=%d.%d' % (os.getpid(), Agent.count)
        name, value = self.mark.split('=')
        self.proc = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True,
                                     preexec_fn=before, env=dict(os.environ, **{name: value}))
        self.link = Link('parent link', self.proc.stdout.fileno(), self.proc.stdin.fileno())
        self.slot, self.pid, self.kept = SLOT, None, []
        if hello:
            self.send('HELLO', {0: 1, 1: [ME, SIZE], 2: idle}, kind=CONTROL)
            self.pid = decode(self.next().body)[4]

    def send(self, handle, value=None, reply=0, dst=ME, kind=CALL, src=PARENT, body=None):
        body = encode(value) if body is None else body
        self.link.write(Frame(kind, 64, dst, src, src, HANDLES.get(handle, handle), reply, body).pack(), LIMIT)

    def next(self):
        f = self.link.next(LIMIT)
        if f is None:
            raise Failure('the agent has ended')
        if f.kind & 3 == BULK:
            self.send('ACK', 28 + len(f.body), kind=CONTROL)
        return f

    def answer(self, slot):
        """The frame for this slot; others are kept for whoever asks."""
        for f in self.kept:
            if f.handle == slot:
                self.kept.remove(f)
                return f
        while True:
            f = self.next()
            if f.handle == slot:
                return f
            self.kept.append(f)

    def unread(self, handle):
        """The reset of this stream. What comes before it is kept and not acknowledged; the notice overtakes such output."""
        while not self.kept or self.kept[-1].handle != handle or not self.kept[-1].kind & DEAD:
            self.kept.append(self.link.next(LIMIT))
        return self.kept.pop()

    def acknowledge(self):
        for f in self.kept:
            if f.kind & 3 == BULK:
                self.send('ACK', 28 + len(f.body), kind=CONTROL)

    def value(self, slot):
        f = self.answer(slot)
        return (['dead'] if f.kind & DEAD else []) + decode(f.body)

    def new_slot(self):
        self.slot += 8
        return self.slot

    def echo(self, dst=ME):
        slot = self.new_slot()
        self.send('ECHO', slot, reply=slot, dst=dst)
        if decode(self.answer(slot).body) != slot:
            raise Failure('a wrong echo')

    def watcher(self):
        found = [int(n) for n in text_of('/proc/%d/task/%d/children' % (self.pid, self.pid)).split()]
        return [n for n in found if program(n) == program(self.pid)][0]

    # ---- commands ----

    def start(self, argv, **more):
        """Slot of the answer. cwd, pty: as in the protocol. Output goes to slot + 1 and slot + 2."""
        slot = self.new_slot()
        body = {0: argv, 3: slot + 1, 4: slot + 2}
        body.update({2: more['cwd']} if 'cwd' in more else {})
        body.update({5: more['pty']} if 'pty' in more else {})
        self.send('EXEC', body, reply=slot)
        return slot

    def run(self, argv, **more):
        """(answer, stdout)"""
        slot = self.start(argv, **more)
        answer, out = self.value(slot), b''
        for f in self.kept:
            if f.handle == slot + 1 and not f.kind & DEAD:
                out += f.body
        return answer, out

    def cancel(self, slot):
        self.send('CANCEL', [slot])

    # ---- the end ----

    def ended(self, seconds=LIMIT):
        """Its status; None: it goes on."""
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self):
        """The status with which it ends when its parent goes."""
        for f in (self.proc.stdin, self.proc.stdout):
            f.close()
        status = self.ended()
        if status is None:
            self.proc.kill()
            self.proc.wait()
        return status


class Child:
    """A child of an agent; its end of the link is ours. With lie, these bytes are what it says in place of its HELLO."""

    def __init__(self, agent, house, lo, size=8):
        self.agent, self.lo, self.size, self.slot = agent, lo, size, agent.new_slot()
        name = str(lo)
        agent.send('SPAWN', {0: lo, 1: size, 2: [house.program, house.path, name], 3: {}, 4: 0}, reply=self.slot)
        hello = encode({0: 1, 1: [lo, size], 2: 0})
        agent.send('PROMOTE', [lo, hello], reply=self.slot)
        self.control, fds = house.take(name)
        self.link = Link('child %d' % lo, fds[0], fds[1])
        self.err = fds[2]
        self.link.next(LIMIT)

    def hello(self):
        self.send('HELLO', HELLO_ANSWER, kind=CONTROL)
        while self.agent.value(self.slot)[0] != 6:
            pass

    def send(self, handle, value=None, reply=0, dst=ME, kind=CALL, src=None, body=None):
        body = encode(value) if body is None else body
        src = self.lo if src is None else src
        self.link.write(Frame(kind, 64, dst, src, src, HANDLES.get(handle, handle), reply, body).pack(), LIMIT)

    def hang_up(self):
        """Ends it; the final event."""
        self.link.close()
        os.close(self.err)
        self.control.close()
        while True:
            event = self.agent.value(self.slot)
            if event[0] in (5, 7, 8):
                return event


def through(fifo, mode):
    """A line, to or from who opens its other end."""
    with open(fifo, mode) as f:
        return f.write('\n') if mode == 'w' else f.read()


class House:
    """Where conformance_child hands its descriptors over."""

    def __init__(self, build):
        self.program = os.path.join(build, 'conformance_child')
        self.folder = tempfile.mkdtemp(prefix='econtext-native-')
        self.path = os.path.join(self.folder, 's')
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.listener.settimeout(LIMIT)

    def take(self, name):
        s = self.listener.accept()[0]
        s.settimeout(LIMIT)
        said, fds = socket.recv_fds(s, 64, 4)[:2]
        if said.decode() != name:
            raise Failure('child %s came as %s' % (name, said))
        return s, fds

    def close(self):
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)
