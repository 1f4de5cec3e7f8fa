"""An agent that boots as it should and then lies: what `run` starts in ssh's place. $HOSTILE names the lie, a class below.

It speaks the marker, takes the real agent's bytes and throws them away, answers HELLO, and from then on says what no agent of ours
would. It keeps to credit where the lie is not about that: else the stream is reset before the lie is heard.
"""
import hashlib
import os
import re
import struct
import sys
import time

HELLO, PING, PONG, ACK, SHUTDOWN, SPAWN, RAW, PROMOTE = 1, 2, 3, 4, 8, 16, 17, 18
CALL, EXEC, STATS, OPEN, GET_MODULE, CREDIT = 25, 27, 28, 29, 32, 34
BULK, DEAD, END = 2, 4, 0x20
STREAM = 300  # our end of the channel


# ---- bytes ----

def head(major, n):
    for extra, size, code in ((23, 256, 'B'), (24, 65536, 'H'), (25, 1 << 32, 'I'), (26, 1 << 64, 'Q')):
        if n < 24:
            return bytes([major << 5 | n])
        if n < size:
            return bytes([major << 5 | extra + 1]) + struct.pack('>' + code, n)


def put(v):
    if v is None or isinstance(v, bool):
        return {None: b'\xf6', True: b'\xf5', False: b'\xf4'}[v]
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, float):
        return b'\xfb' + struct.pack('>d', v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b''.join(map(put, v))
    return head(5, len(v)) + b''.join(put(k) + put(v[k]) for k in sorted(v))


def get(b, i=0):
    """(value, where it ends)"""
    major, n = b[i] >> 5, b[i] & 31
    i += 1
    if major == 7:
        return {20: False, 21: True, 22: None}.get(n), i + (8 if n == 27 else 0)
    if n > 23:
        size = 1 << n - 24
        n, i = int.from_bytes(b[i:i + size], 'big'), i + size
    if major < 2:
        return -1 - n if major else n, i
    if major < 4:
        return b[i:i + n] if major == 2 else b[i:i + n].decode(), i + n
    items = []
    for _ in range(n * (major - 3)):
        item, i = get(b, i)
        items.append(item)
    return items if major == 4 else dict(zip(items[::2], items[1::2])), i


def read(n):
    out = b''
    while len(out) < n:
        s = os.read(0, min(65536, n - len(out)))
        if not s:
            sys.exit(0)
        out += s
    return out


def write(b):
    while b:
        b = b[os.write(1, b):]


# ---- the truth ----

class Agent:
    def frame(self, dst, handle, body, cls=1, reply_to=0):
        return struct.pack('>4B6I', 0xec, 1, cls, 64, dst, self.id, self.id, handle, reply_to, len(body)) + body

    def say(self, dst, handle, value, cls=1, reply_to=0):
        write(self.frame(dst, handle, put(value), cls, reply_to))

    def take(self):
        _, _, kind, _, dst, src, _, handle, reply_to, n = struct.unpack('>4B6I', read(28))
        return kind, dst, src, handle, reply_to, read(n)

    def boot(self):
        nonce = re.search(r'EC:(\w{8}):', ' '.join(sys.argv)).group(1)
        write(b'EC:%s:python3:Linux x86_64\n' % nonce.encode())
        line = b''
        while not line.endswith(b'\n'):
            line += read(1)
        read(int(re.search(br',(\d+)-len', line).group(1)))
        _, self.id, self.parent, _, _, _ = self.take()
        self.say(self.parent, HELLO, {0: 1, 1: 'python', 2: '3.11', 3: 'x86_64', 4: 1, 5: 0, 6: 'evil'}, 0)

    def run(self):
        self.boot()
        while True:
            kind, _, src, handle, reply_to, body = self.take()
            value = get(body)[0] if body and not kind & BULK else body
            if kind & BULK:
                self.say(self.parent, ACK, 28 + len(body), 0)
            if handle == PING:
                self.say(self.parent, PONG, value, 0)
            elif handle == SHUTDOWN:
                return
            else:
                self.hear(src, handle, reply_to, value)

    def hear(self, src, handle, reply_to, value):
        if handle == CALL:
            self.say(src, reply_to, [0, None])


# ---- lies about files ----

class Files(Agent):
    """words() is what `get` says; after a None it waits for an answer."""

    def hear(self, src, handle, reply_to, value):
        if handle == CALL and value[1] == 'algorithms':
            self.say(src, reply_to, [0, ['blake2b']])
        elif handle == CALL and value[1] == 'get':
            self.to, self.slot, self.near, self.credit, self.left = src, reply_to, value[4][0][1], 262144, b''
            self.all = self.words()
            self.more()
        elif handle == CREDIT:
            self.credit += value[1]
            self.more()
        elif handle == STREAM and value:
            self.more()

    def more(self):
        while self.credit:
            if not self.left:
                word = next(self.all, self)
                if word is None:
                    return
                if word is self:
                    write(self.frame(self.to, self.near, b'', BULK | END, STREAM))
                    self.say(self.to, self.slot, [0, None])
                    return
                self.left = struct.pack('>I', len(put(word))) + put(word)
            n = min(16384, self.credit, len(self.left))
            write(self.frame(self.to, self.near, self.left[:n], BULK, STREAM))
            self.left, self.credit = self.left[n:], self.credit - n


def digest(data=b''):
    return hashlib.blake2b(data, digest_size=32).digest()


class ModeThroughLink(Files):
    """A file that is there already, which becomes a link before its end is said."""

    def words(self):
        for mode in 0o644, 0o777:
            yield ['file', b'x/f', mode, 1e9, 5, 0, mode == 0o777]
            if mode == 0o777:
                yield None
                yield ['from', 5]
                yield ['link', b'x/f', os.environ['VICTIM'].encode()]
            else:
                yield b'hello'
            yield ['done', digest(b'hello')]

    def hear(self, src, handle, reply_to, value):
        if handle == CALL and value[1] == 'get':
            os.makedirs(os.environ['DEST'] + '/x')
        Files.hear(self, src, handle, reply_to, value)


class Hole(Files):
    def words(self):
        yield ['file', b'x', 0o644, 1e9, 1 << 43, 0]
        yield ['hole', 1 << 43]
        yield ['done', digest()]


class More(Files):
    def words(self):
        yield ['file', b'x', 0o644, 1e9, 5, 0]
        for _ in range(100):
            yield b'z' * 65536
        yield ['done', digest()]
        yield ['file', b'y', 0o644, 1e9, -1, 0]
        yield ['done', digest()]


class Names(Files):
    def words(self):
        for i, t in enumerate((float('-inf'), float('inf'), float('nan'), -1e300, 9.3e18, -1.5)):
            yield ['file', b'f%d' % i, 0o6777, t, 0, 0]
            yield ['done', digest()]
            yield ['dir', b'd%d' % i, 0o6777, t]
        for name in (b'../e', b'/tmp/e', b'a\0b', b'', b'.', b'..', b'a/../../e', b'a//b', b'x/', b'q' * 5000, b'\x1b]0;t\x07', '\u202e\x9b2J'):
            yield ['file', name, 0o644, 1e9, 0, 0]
            yield ['done', None]
            yield ['dir', name, 0o777, 1e9]
            yield ['error', name, 5, '\x1b[2J\r\n\x9b31m\u202e']
        yield ['link', b'.', os.environ['OUTSIDE'].encode()]
        yield ['link', b'out', os.environ['OUTSIDE'].encode()]
        yield ['dir', b'out', 0o777, 1e9]
        yield ['file', b'out/e', 0o644, 1e9, 0, 0]
        yield ['done', digest()]


class Unasked(Files):
    def words(self):
        yield ['dir', b'.ssh', 0o700, 1e9]
        for name in b'.profile', b'.ssh/keys':
            yield ['file', name, 0o666, 1e9, 4, 0]
            yield b'evil'
            yield ['done', digest(b'evil')]
        yield ['link', b'x', b'.profile']


class Causes(Files):
    def words(self):
        for i in range(1500):
            yield ['error', b'p%d' % i, 5, 'text %d' % i]


class One(Files):
    def words(self):
        yield ['file', b'x', 0o600, 1e9, 6, 0, True]
        yield None
        yield ['from', 0]
        yield b'secret'
        yield ['done', digest(b'secret')]


# ---- others ----

class Modules(Agent):
    """Asks for what is large, again and again, and does not answer the command."""

    def hear(self, src, handle, reply_to, value):
        if handle == EXEC:
            write(b''.join(self.frame(self.parent, GET_MODULE, put(['pkg/data.bin']), 1, 1000 + i) for i in range(1000)))


class Curious(Agent):
    """Asks for code and data as soon as it is up, and ends; $DEST/told: what it was given."""
    WANTED = ['served', 'pkg', 'pkg/data.bin', 'pkg/', 'econtext_files']

    def boot(self):
        Agent.boot(self)
        self.given = {}
        for i, name in enumerate(self.WANTED):
            self.say(self.parent, GET_MODULE, [name], 1, 1000 + i)

    def hear(self, src, handle, reply_to, value):
        if handle >= 1000:
            self.given[handle] = value[0][0] if value[0][1] else None
        if len(self.given) == len(self.WANTED):
            with open(os.environ['DEST'] + '/part', 'w') as f:
                f.write(' '.join(filter(None, (self.given[x] for x in sorted(self.given)))))
            os.rename(os.environ['DEST'] + '/part', os.environ['DEST'] + '/told')
            sys.exit()


class Up(Agent):
    """A relay whose child was never started, and is up, several times."""

    def hear(self, src, handle, reply_to, value):
        if handle == SPAWN:
            for _ in range(2): # once for itself, and once for who waits elsewhere
                self.say(src, reply_to, [6, {0: 1, 1: 'python', 2: '3', 3: 'x', 4: 1, 5: 0, 6: 'x'}])


class Refuses(Agent):
    """A relay that starts a child, and that the bytes and the PROMOTE of its boot do not come to."""

    def hear(self, src, handle, reply_to, value):
        if handle == SPAWN:
            nonce = re.search(br'EC:(\w{8}):', b' '.join(value[2])).group(1)
            self.say(src, reply_to, [0, 1])
            self.say(src, reply_to, [1, b'EC:%s:python3:Linux x86_64\n' % nonce])
        elif handle in (RAW, PROMOTE) and reply_to:
            self.say(src, reply_to, ['busy', self.id, self.id, 'full'], DEAD)


class Credit(Agent):
    """ACK for what was never sent, CREDIT without end, for others' streams and for what is none, data behind the end."""

    def hear(self, src, handle, reply_to, value):
        if handle != EXEC:
            return
        out, err, what = value[3], value[4], os.environ['WHAT']
        most = (1 << 64) - 1
        if what == 'ack':
            self.say(self.parent, ACK, 1 << 20, 0)
        elif what == 'ack-64':
            self.say(self.parent, ACK, most, 0)
        elif what == 'ack-negative':
            self.say(self.parent, ACK, -1, 0)
        elif what == 'credit':
            for n in (most, most, 1 << 32, (1 << 32) - 1, 1 << 31, 0, 1, -1) * 50:
                self.say(src, CREDIT, [out, n], 0)
                self.say(src, CREDIT, [err, n], 0)
        elif what == 'others':
            for i in range(4096):
                self.say(src, CREDIT, [256 + i, most], 0)
                write(self.frame(src, 256 + i, b'x' * 100, BULK, STREAM))
                write(self.frame(src, 256 + i, b'', BULK | END, STREAM))
                self.say(src, 256 + i, ['reset', 0, 0, 'gone'], 4)
                if 256 + i not in (out, err, reply_to):
                    self.say(src, 256 + i, [0, 0, 0])
        elif what == 'evidence':
            self.say(src, err, ['bad-credit', 0, 0, '\x1b[2J\x9b31m\u202e'], 4)
        elif what in ('reset', 'busy'):
            self.say(src, out, [what, 0, 0, 'full'], 4)
        elif what == 'behind-end':
            write(self.frame(src, out, b'x', BULK | END, STREAM) + self.frame(src, out, b'y', BULK, STREAM))
        elif what == 'pause':
            self.say(self.parent, 5, [0, (1 << 32) - 1], 0)
        if what in ('credit', 'others', 'evidence', 'reset', 'busy', 'behind-end'):
            for stream in out, err:
                write(self.frame(src, stream, b'', BULK | END, STREAM))
            self.say(src, reply_to, [0, 0, 0])


class Signal(Agent):
    def hear(self, src, handle, reply_to, value):
        if handle == EXEC:
            for stream in value[3], value[4]:
                write(self.frame(src, stream, b'', BULK | END, STREAM))
            self.say(src, reply_to, [0, 1 << 63, (1 << 63) + 9])


class Come(Agent):
    """6,000 connections to a socket that was to listen there; none is ever open."""

    def hear(self, src, handle, reply_to, value):
        if handle == OPEN and value[0] == 'listen':
            self.say(src, reply_to, [0, STREAM, '127.0.0.1 7'], 1, STREAM)
            write(b''.join(self.frame(src, value[2], put([i, 'x']), 1, STREAM) for i in range(6000)))


class Figures(Agent):
    """What it says of its children are figures of its sibling."""

    def hear(self, src, handle, reply_to, value):
        if handle == STATS:
            time.sleep(0.5)
            self.say(src, reply_to, {9: [[i, 1 << 40, 1 << 40, 1 << 40, 1 << 40, 0, 0] for i in range(8, 9000, 8) if i != self.id]})


if __name__ == '__main__':
    globals()[os.environ['HOSTILE']]().run()
