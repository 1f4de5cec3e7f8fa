"""Frames, and one end of a link over descriptors that never block the runner."""
import os
import select
import struct
import time

from notation import Bad, decode

CLASSES = {'control': 0, 'call': 1, 'bulk': 2, 'class3': 3}
FLAGS = {'dead': 4, 'multicast': 8, 'more': 16, 'end': 32, 'bit40': 64, 'bit80': 128}
HANDLES = {'HELLO': 1, 'PING': 2, 'PONG': 3, 'ACK': 4, 'PAUSE': 5, 'RESUME': 6, 'ECHO': 7, 'SHUTDOWN': 8, 'GRANT': 9,
           'GROUP': 10, 'UNGROUP': 11, 'SPAWN': 16, 'RAW': 17, 'PROMOTE': 18, 'KILL': 19, 'PART': 24, 'CALL': 25,
           'CANCEL': 26, 'EXEC': 27, 'STATS': 28, 'OPEN': 29, 'GET_MODULE': 32, 'LOG': 33, 'CREDIT': 34}
NAMES = dict((HANDLES[k], k) for k in HANDLES)
CONTROL, CALL, BULK, DEAD, END = 0, 1, 2, 4, 32
ACK, CREDIT = 4, 34
COUNTED = 'a CREDIT that was added up'


class Failure(Exception):
    pass


def kind_of(text):
    parts = text.split('+')
    return CLASSES[parts[0]] + sum(FLAGS[p] for p in parts[1:])


def kind_text(kind):
    return '+'.join([sorted(CLASSES, key=CLASSES.get)[kind & 3]] + [f for f in FLAGS if kind & FLAGS[f]])


class Frame(object):
    def __init__(self, kind, hops, dst, src, auth, handle, reply, body):
        self.kind, self.hops, self.dst, self.src = kind, hops, dst, src
        self.auth, self.handle, self.reply, self.body = auth, handle, reply, body

    def pack(self, magic=0xec, version=1, length=None):
        return struct.pack('>4B6I', magic, version, self.kind, self.hops, self.dst, self.src, self.auth, self.handle,
                           self.reply, len(self.body) if length is None else length) + self.body

    def __repr__(self):
        s = '%s %s' % (kind_text(self.kind), NAMES.get(self.handle, self.handle))
        if self.hops != 64:
            s += ' hops=%d' % self.hops
        s += ' dst=%d src=%d' % (self.dst, self.src)
        if self.auth != self.src:
            s += ' auth=%d' % self.auth
        if self.reply:
            s += ' reply=%d' % self.reply
        try:
            body = repr(decode(self.body)) if self.body else ''
        except Bad:
            body = "raw h'%s'" % self.body[:60].hex()
        return s + ' ' + (body if len(body) < 200 else body[:150] + '... (%d bytes)' % len(self.body))


class Link(object):
    """What the runner holds of a link: rfd brings what the implementation writes, wfd takes what it reads."""

    def __init__(self, name, rfd, wfd):
        self.name, self.rfd, self.wfd = name, rfd, wfd
        self.buf, self.ended, self.acks = bytearray(), False, 0
        self.deaf = False  # writing reads nothing meanwhile
        self.credits = {}  # handle -> what CREDIT for it came to, of those that are added up
        self.others = {}  # descriptor -> what to do when it can be read, while this link is waited for
        for fd in (rfd, wfd):
            os.set_blocking(fd, False)

    def fill(self):
        try:
            s = os.read(self.rfd, 1 << 20)
        except BlockingIOError:
            return
        except OSError:  # a terminal without its other side
            s = b''
        self.buf += s
        self.ended = self.ended or not s

    def write(self, data, limit):
        """Never waits for room without reading (but where it is deaf): the other side may have to write before it reads on."""
        end, data = time.monotonic() + limit, memoryview(data)
        while data:
            try:
                data = data[os.write(self.wfd, data[:1 << 20]):]
                end = time.monotonic() + limit
                continue
            except BlockingIOError:
                pass
            except OSError:
                return  # it has gone: what it says is what counts
            r, w, _ = select.select([] if self.ended or self.deaf else [self.rfd], [self.wfd], [], max(0, end - time.monotonic()))
            if r:
                self.fill()
            elif not w:
                raise Failure('%s: does not take what is sent' % self.name)

    def wait(self, end):
        """More bytes, or the end; False when there is no time left."""
        left = end - time.monotonic()
        ready = select.select([self.rfd] + list(self.others), [], [], max(0, left))[0]
        for fd in ready:
            if fd != self.rfd:
                self.others.pop(fd)()
        if self.rfd in ready:
            self.fill()
        return ready or left > 0

    def frame(self, limit):
        """The next frame; None at the end of the link."""
        end = time.monotonic() + limit
        while True:
            if len(self.buf) >= 28:
                x = struct.unpack_from('>4B6I', self.buf)
                if x[:2] != (0xec, 1) or x[2] & 0xc0 or x[2] & 3 == 3 or x[9] > 65536 >> (x[2] & 2):
                    raise Failure('%s: a header that no one may write: %s' % (self.name, self.buf[:28].hex()))
                if len(self.buf) >= 28 + x[9]:
                    f = Frame(*(x[2:9] + (bytes(self.buf[28:28 + x[9]]),)))
                    del self.buf[:28 + x[9]]
                    return f
            if self.ended:
                if self.buf:
                    raise Failure('%s: ended within a frame' % self.name)
                return None
            if not self.wait(end):
                raise Failure('%s: nothing came within %g s%s' % (self.name, limit, self.buf and ', but part of a frame' or ''))

    def next(self, limit):
        """The next frame that is no ACK, nor CREDIT that is added up; these may come together or late."""
        while True:
            f = self.credit_or_frame(limit)
            if f is not COUNTED:
                return f

    def credit_or_frame(self, limit):
        """As `next`, but COUNTED for a CREDIT that is added up."""
        while True:
            f = self.frame(limit)
            if f is None or f.kind != CONTROL or f.reply:
                return f
            if f.handle == CREDIT:
                far, n = decode(f.body)
                if far not in self.credits or not n:
                    return f
                self.credits[far] += n
                return COUNTED
            if f.handle != ACK:
                return f
            self.acks += decode(f.body)

    def waits(self, end):
        """Whether something is to be read by then."""
        return bool(self.buf) or self.ended or bool(select.select([self.rfd], [], [], max(0, end - time.monotonic()))[0])

    def close(self):
        for fd in set((self.rfd, self.wfd)) - set((-1,)):
            os.close(fd)
        self.rfd = self.wfd = -1
