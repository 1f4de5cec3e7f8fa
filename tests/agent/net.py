"""The asker's side of streams and channels (docs/protocol.md sections 4, 9.1, 9.2), for the tests of part `stream`."""
import os
import select
import socket
import threading

import driver
import support

WINDOW, MOST = 262144, 16 << 20


class Far(object):
    """One stream as the asker holds it: what came in .got, what it may still send in .room."""

    def __init__(self, net, handle, give=True):
        self.net, self.handle, self.give = net, handle, give
        self.got, self.room, self.near = bytearray(), WINDOW, None
        self.ended, self.dead, self.frames, self.settled = False, None, 0, False
        net.streams[handle] = self

    def take(self, f):
        if f.kind & driver.DEAD:
            self.dead = f.value()
            return
        assert f.kind & 3 == driver.BULK and not f.kind & driver.MORE and len(f.body) <= 16384, f
        assert not self.ended and not self.dead, 'a frame behind the end'
        assert self.near in (None, f.reply), 'the handle changed'
        self.near, self.frames = f.reply, self.frames + 1
        self.got += f.body
        if f.kind & driver.END:
            self.ended = True
        elif self.give and f.body:
            self.credit(len(f.body))

    def credit(self, n, src=0):
        self.net.c.send(driver.CONTROL, 34, 0, [self.near, n], src=src)

    def put(self, data, kind=0, src=0):
        """One frame, whatever the credit says."""
        self.room -= len(data)
        self.net.c.send(driver.BULK | kind, self.near, self.handle, data, raw=True, src=src)

    def send(self, data):
        """All of it, as credit comes; gives up when the stream is reset."""
        at = 0
        while at < len(data) and not self.dead:
            n = min(16384, self.room, len(data) - at)
            if n > 0:
                self.put(data[at:at + n])
                at += n
            self.net.step(0 if n > 0 else driver.PATIENCE)
        return at

    def fill(self):
        """Bytes until no credit comes any more: how many."""
        total = 0
        while self.room > 0 or self.net.step(.7) or self.net.echo() or self.room > 0:
            n = min(16384, self.room)
            if n > 0:
                self.put(b'f' * n)
                total += n
                self.net.step(0)
        return total

    def end(self):
        self.put(b'', driver.END)

    def reset(self, why='reset', src=0):
        self.net.c.send(driver.DEAD, self.near, 0, [why, self.near, 0, 'the test'], src=src)

    def over(self):
        return self.ended or self.dead


class Net(object):
    """All streams of one context, and its answers and events."""

    def __init__(self, c):
        self.c, self.streams, self.answers, self.events, self.next = c, {}, {}, {}, 20000
        self.last = None
        os.set_blocking(c.link.wfd, False)
        c.link.write = self.write

    def write(self, data):
        """Reads meanwhile: an agent that cannot write does not read either."""
        link = self.c.link
        while data:
            r, w, _ = select.select([link.rfd], [link.wfd], [], driver.PATIENCE)
            if r:
                got = os.read(link.rfd, 65536)
                if not got:
                    raise EOFError('the link ended')
                link.buf += got
            if w:
                data = data[os.write(link.wfd, data):]
            if not r and not w:
                raise TimeoutError('the agent takes nothing')

    def step(self, timeout=driver.PATIENCE):
        """One frame; False if none came."""
        try:
            f = self.c.link.frame(timeout)
        except TimeoutError:
            if timeout > 5:
                raise
            return False
        self.last = f
        if self.c.handle(f) and f.handle not in self.streams:
            return True
        if f.handle in self.streams:
            self.streams[f.handle].take(f)
        elif f.handle == 34:
            handle, n = f.value()
            self.streams[handle].room += n
            self.streams[handle].settled |= n == 0
        elif f.handle in self.events:
            self.events[f.handle].append(f)
        else:
            self.answers[f.handle] = f
        return True

    def idle(self, seconds):
        """Takes frames until none comes for that long; .last is the last one, None if there was none."""
        self.last = None
        while self.step(seconds):
            pass
        return True

    def until(self, true, seconds=driver.PATIENCE):
        while not true():
            self.step(seconds)

    def echo(self):
        """What was sent has been seen when this is over, and what is said to it at once has come."""
        assert self.answer(self.c.request(7, 1)).value() == 1

    def handle(self):
        self.next += 1
        return self.next

    def answer(self, slot, seconds=20):
        self.until(lambda: slot in self.answers, seconds)
        return self.answers.pop(slot)

    def ask(self, what, *args, **kw):
        """(slot, Far) of an OPEN whose answer is not waited for."""
        x = Far(self, self.handle(), kw.pop('give', True))
        return self.c.request(29, [what, list(args), x.handle]), x

    def taken(self, slot, x):
        f = self.answer(slot)
        v = f.value()
        assert not f.kind & driver.DEAD and v[0] == 0, v
        assert f.reply == v[1]
        x.near, x.text = v[1], v[2]
        return x

    def open(self, what, *args, **kw):
        return self.taken(*self.ask(what, *args, **kw))

    def refused(self, what, *args, seconds=20):
        """The answer's text and errno, or the dead notice's reason."""
        f = self.answer(self.ask(what, *args)[0], seconds)
        v = f.value()
        if f.kind & driver.DEAD:
            return v[0]
        assert v[0] == 1 and f.reply == 0, v
        return v[1:]

    def listen(self, *args):
        """(event handle, handle there, text); its events come to .events[event handle]."""
        slot, handle = None, self.handle()
        self.events[handle] = []
        slot = self.c.request(29, ['listen', list(args), handle])
        f = self.answer(slot)
        v = f.value()
        assert v[0] == 0 and f.reply == v[1], v
        return handle, v[1], v[2]

    def cancel(self, slot):
        self.c.send(driver.CONTROL, 26, 0, [slot])


class Server(object):
    """A listening socket whose connections are each served by f(connection) in a thread."""

    def __init__(self, f, address=('127.0.0.1', 0), family=socket.AF_INET, backlog=1000):
        self.f, self.open = f, []
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.bind(address)
        self.sock.listen(backlog)
        self.address = self.sock.getsockname()
        if f:
            threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while 1:
            try:
                x = self.sock.accept()[0]
            except OSError:
                return
            self.open.append(x)
            threading.Thread(target=self.serve, args=(x,), daemon=True).start()

    def serve(self, x):
        try:
            self.f(x)
        except OSError:
            pass

    def close(self):
        try:
            self.sock.shutdown(2)
        except OSError:
            pass
        for x in [self.sock] + self.open:
            x.close()


def read_all(x):
    out = bytearray()
    while 1:
        s = x.recv(65536)
        if not s:
            return bytes(out)
        out += s


def drains(x):
    while x.recv(1 << 20):
        pass


def sends_back(x):
    """All that came, once it has ended."""
    x.sendall(read_all(x))
    x.close()


def echoes(x):
    while 1:
        s = x.recv(65536)
        if not s:
            break
        x.sendall(s)
    x.close()


class StreamCase(support.Case):
    def ready(self, *parts):
        c = self.boot()
        for name in parts or ('stream',):
            c.part(name)
        return Net(c)

    def serve(self, f, *args, **kw):
        s = Server(f, *args, **kw)
        self.addCleanup(s.close)
        return s
