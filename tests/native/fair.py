"""What a native agent sends up a way that is slower than those who bring it: nobody waits for another's bytes, who has few of them least of all."""
import os
import threading
import time

from agent import BULK, CONTROL, LIMIT, ME, PARENT, Agent, Child, Frame, text_of
from unsent import joined

A_READ = 16384
QUEUED = 1 << 20    # more than is on the way already, of all together, when somebody begins to send: in the pipe and in the agent
MEASURED = 6 << 20
MANY = 8192         # KB: more than waits anywhere


class Flood:
    """Senders that always have more, and a parent that reads, and acknowledges, a frame at a time when all of them have sent what they can."""

    def __init__(self, agent, work):
        self.agent, self.work, self.socks, self.came = agent, work, {}, {}
        agent.link.fill = self.fill

    def fill(self):
        """In place of the link's: a little, and not before the agent has done what it could and all senders have sent what they could."""
        link, end = self.agent.link, time.monotonic() + LIMIT
        for far in self.socks.values():
            try:
                while True:
                    far.send(bytes(65536))
            except BlockingIOError:
                pass
        while b') S ' not in text_of('/proc/%d/stat' % self.agent.pid) and time.monotonic() < end:
            time.sleep(.0005)
        try:
            s = os.read(link.rfd, A_READ)
        except BlockingIOError:
            return
        link.buf += s
        link.ended = not s

    def credit(self, near):
        self.agent.send(34, [near, 15 << 20], kind=0)

    def open(self):
        """(slot of the stream, the socket at its end)"""
        good, slot, near, far = joined(self.agent, os.path.join(self.work, 'fair%d' % len(self.came)))
        self.credit(near)
        self.came[slot + 1] = 0
        far.setblocking(False)
        return slot + 1, far

    def download(self):
        slot, far = self.open()
        self.socks[slot] = far
        return slot

    def command(self):
        """One that writes for ever."""
        slot = self.agent.start(['cat', '/dev/zero']) + 1
        self.came[slot] = 0
        first = self.agent.answer(slot)
        self.credit(first.reply)
        return slot

    def step(self):
        """The slot of the next frame of bulk."""
        f = self.agent.kept.pop(0) if self.agent.kept else self.agent.next()
        if f.kind & 3 == BULK:
            self.came[f.handle] += len(f.body)
        return f.handle

    def before(self, slot):
        """How much comes before something of this slot does."""
        first = sum(self.came.values())
        while self.step() != slot:
            if sum(self.came.values()) - first > MEASURED:
                break
        return sum(self.came.values()) - first

    def shares(self):
        """Of each that sends, what part comes, in percent."""
        first = dict(self.came)
        while sum(self.came.values()) - sum(first.values()) < MEASURED:
            self.step()
        return [(self.came[x] - first[x]) * 100 // MEASURED for x in sorted(first)]


def connections(s, command, work):
    agent = Agent(command)
    flood = Flood(agent, work)
    slot, old = flood.open()
    for _ in range(3):
        flood.download()
    flood.shares()
    old.send(b'x')
    n = flood.before(slot)
    s.check('what an old connection sends does not wait for three downloads', n < QUEUED, n)
    shares = flood.shares()[1:]
    s.check('the downloads have the same', all(x >= 25 for x in shares), shares)
    agent.close()


def outputs(s, command, work):
    agent = Agent(command)
    flood = Flood(agent, work)
    for _ in range(2):
        flood.download()
        flood.command()
    flood.shares()
    shares = flood.shares()
    s.check('commands and connections have the same', all(x >= 15 for x in shares), shares)
    agent.close()


def control(s, command, house):
    """What a child says in class control without end waits in its pipe while the parent reads nothing, and the agent lives."""
    agent = Agent(command)
    child = Child(agent, house, ME + 8)
    child.hello()
    piece, sent, last, came = Frame(CONTROL, 64, PARENT, child.lo, child.lo, 5000, 0, bytes(1000)).pack(), [], -1, 0

    def talk():
        for _ in range(MANY):
            child.link.write(piece, LIMIT)
            sent.append(1)
    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    while len(sent) != last:
        last = len(sent)
        time.sleep(1)
    while came < MANY:
        came += agent.next().handle == 5000
    thread.join()
    s.equal('control for a parent that reads late', came, MANY)
    agent.echo()
    s.equal('its end', agent.close(), 0)
