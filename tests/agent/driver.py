"""What a master does to a Python context, for the tests: boots it with the real first stage over pipes and speaks frames.

Only the standard library; the CBOR here is not the agent's own: what is sent is encoded as vectors are (tests/conformance/
notation.py), and what comes is read by a decoder that takes all that is CBOR.
"""
import os
import select
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, 'preamble'), os.path.join(ROOT, 'tests', 'conformance')]
import build  # noqa: E402
from notation import encode as enc, head  # noqa: E402, F401 (head is for the tests)

CONTROL, CALL, BULK = 0, 1, 2
DEAD, MULTICAST, MORE, END = 4, 8, 16, 32
PATIENCE = 60             # s: what comes is waited for as long, on a machine with too much to do; what fails is not quicker
_made = []


def read(name):
    with open(os.path.join(os.environ['AGENT_FILES'], name), 'rb') as f:
        return f.read()


def made():
    """(bytes of LINE + core as sent, {part: zlib source}): of AGENT_FILES, where build.py --dir has put them, or built here."""
    if not _made and 'AGENT_FILES' in os.environ:
        _made.append((read('core.sent'), dict((n, read(n + '.part')) for n in build.PARTS)))
    elif not _made:
        line, out = build.make()
        _made.append((line.encode() + b'\n' + out['core'][1], dict((n, out[n][1]) for n in out if n != 'core')))
    return _made[0]


def dec(s):
    v, p = dec_at(s, 0)
    if p != len(s):
        raise ValueError('trailing bytes')
    return v


def dec_at(s, p):
    b = s[p]
    m, n = b >> 5, b & 31
    p += 1
    if b == 0xfb:
        return struct.unpack('>d', s[p:p + 8])[0], p + 8
    if 23 < n < 28:
        k = 1 << n - 24
        n, p = int.from_bytes(s[p:p + k], 'big'), p + k
    elif n > 23:
        raise ValueError(b)
    if m == 0:
        return n, p
    if m == 1:
        return -1 - n, p
    if m in (2, 3):
        v = s[p:p + n]
        if len(v) != n:
            raise ValueError('short')
        return (v.decode() if m == 3 else v), p + n
    if m == 4:
        out = []
        for _ in range(n):
            v, p = dec_at(s, p)
            out.append(v)
        return out, p
    if m == 5:
        out, last = {}, b''
        for _ in range(n):
            q = p
            k, p = dec_at(s, p)
            if s[q:p] <= last:
                raise ValueError('map keys are not sorted')
            last = s[q:p]
            out[k], p = dec_at(s, p)
        return out, p
    if m == 6:
        v, p = dec_at(s, p)
        v = int.from_bytes(v, 'big')
        return (v if n == 2 else -1 - v), p
    return {244: False, 245: True, 246: None}[b], p


class Frame(object):
    def __init__(self, raw_head, body):
        (self.magic, self.version, self.kind, self.hops, self.dst, self.src, self.auth, self.handle, self.reply,
         n) = struct.unpack('>4B6I', raw_head)
        self.body = body

    def value(self):
        return dec(self.body)

    def __repr__(self):
        return '<kind %#x hops %d dst %d src %d auth %d handle %d reply %d body %r>' % (
            self.kind, self.hops, self.dst, self.src, self.auth, self.handle, self.reply, self.body[:200])


def frame(kind, dst, handle, reply, body, src=0, auth=None, hops=64):
    return struct.pack('>4B6I', 0xec, 1, kind, hops, dst, src, src if auth is None else auth, handle, reply,
                       len(body)) + body


STAGE = ('[ -t 0 ]&&stty raw -echo;p=%s;echo "EC:%s:$p:`uname -sm`";read -r l;case $p in *perl)exec $p -e "$l";;sh);;'
         '*)l="import sys;$l";esac;exec $p -c "$l"')


class Pipe(object):
    """One end of a link: bytes out, frames in."""

    def __init__(self, wfd, rfd):
        self.wfd, self.rfd, self.buf = wfd, rfd, b''

    def write(self, data):
        while data:
            data = data[os.write(self.wfd, data):]

    def more(self, timeout):
        if not select.select([self.rfd], [], [], max(0, timeout))[0]:
            return None
        d = os.read(self.rfd, 65536)
        self.buf += d
        return d

    def frame(self, timeout=PATIENCE):
        end = time.time() + timeout
        while 1:
            if len(self.buf) >= 28:
                n = struct.unpack('>I', self.buf[24:28])[0]
                if len(self.buf) >= 28 + n:
                    f = Frame(self.buf[:28], self.buf[28:28 + n])
                    self.buf = self.buf[28 + n:]
                    return f
            d = self.more(end - time.time())
            if d == b'':
                raise EOFError('the link ended')
            if d is None:
                raise TimeoutError('no frame')


class Context(object):
    """A booted context whose parent (id 0) is this driver."""

    def __init__(self, python, ident=8, size=8, idle=0, level=10, title='econtext:test', prefixes=None, hello=None,
                 env=None, early=True, login=''):
        self.me, self.size, self.slot = ident, size, 1000
        self.start(python, env, login)
        self.logs, self.modules, self.asked, self.events, self.later = [], {}, [], {}, []
        self.acked, self.bulk_in, self.auto_ack = 0, 0, True
        data = made()[0]
        if not early:
            self.marker()
        self.link.write(data)
        m = {0: 1, 1: [ident, size], 2: idle, 3: level, 4: title, 5: 'test'}
        if prefixes:
            m[6] = prefixes
        self.send(CONTROL, 1, 0, m if hello is None else hello)
        if early:
            self.marker()
        self.hello = self.link.frame()

    def start(self, python, env=None, login=''):
        """The first stage only, up to its marker; login: what a shell does before."""
        e = dict(os.environ if env is None else env)
        e.pop('PYTHONPATH', None)
        self.proc = subprocess.Popen(['sh', '-c', login + STAGE % (python, 'abcdefgh')], stdin=subprocess.PIPE, bufsize=0,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=e, start_new_session=True)
        self.link = Pipe(self.proc.stdin.fileno(), self.proc.stdout.fileno())

    def marker(self):
        while b'\n' not in self.link.buf:
            if not self.link.more(10):
                raise EOFError(self.proc.stderr.read())
        self.mark, self.link.buf = self.link.buf.split(b'\n', 1)

    def send(self, kind, handle, reply, value, dst=None, raw=False, src=0):
        body = value if raw else enc(value)
        dst = self.me if dst is None else dst
        if len(body) <= 65536:
            return self.link.write(frame(kind, dst, handle, reply, body, src))
        for i in range(0, len(body), 16384):
            more = MORE if i + 16384 < len(body) else 0
            while i - self.acked > 65536 * 2:
                self.handle(self.link.frame())
            self.link.write(frame(BULK | more, dst, handle, reply, body[i:i + 16384], src))
        self.acked = 0

    def request(self, handle, value, kind=CALL, dst=None, raw=False):
        self.slot += 1
        self.send(kind, handle, self.slot, value, dst, raw)
        return self.slot

    def handle(self, f):
        """Takes what is not an answer; True if it took it."""
        if f.kind & 3 == BULK:
            self.bulk_in += len(f.body) + 28
            if self.auto_ack:
                self.link.write(frame(CONTROL, self.me, 4, 0, enc(len(f.body) + 28)))
        if f.handle == 33:
            self.logs.append(f.value())
        elif f.handle == 4:
            self.acked += f.value()
        elif f.handle == 32 and f.dst == 0:
            name = f.value()[0]
            self.asked.append(name)
            entries = self.modules.get(name, [[name, 0]])
            self.send(CALL, f.reply, 0, entries)
        else:
            return False
        return True

    def answer(self, slot, timeout=PATIENCE):
        """The answer frame to a slot; a large message is put together in its body."""
        whole, end = b'', time.time() + timeout
        for f in self.later:
            if f.handle == slot:
                self.later.remove(f)
                return f
        while 1:
            f = self.link.frame(end - time.time())
            if self.handle(f):
                continue
            if f.handle != slot:
                self.later.append(f)
                continue
            whole += f.body
            if not f.kind & MORE:
                f.body = whole
                return f

    def call(self, module, name, *args, **kw):
        timeout = kw.pop('timeout_', PATIENCE)
        return self.answer(self.request(25, [module, name, list(args), kw]), timeout).value()

    def part(self, name):
        f = self.answer(self.request(24, [name, made()[1][name]]))
        assert f.value() is None and not f.kind & DEAD, f
        return f

    def serve(self, name, source, kind=1, path=None, imports=(), children=()):
        import hashlib
        import zlib
        z = zlib.compress(source if isinstance(source, bytes) else source.encode())
        path = path or name.replace('.', '/') + ('/__init__.py' if kind == 2 else '.py')
        e = [name, kind, path, hashlib.sha256(z).digest()[:16], list(imports), list(children), z]
        self.modules[name] = [e]
        return e

    def text(self, logger):
        return ''.join(x[2] for x in self.logs if x[1] == logger)

    def pump(self, seconds):
        """Handles frames for a while; keeps the others."""
        end = time.time() + seconds
        while time.time() < end:
            try:
                f = self.link.frame(end - time.time())
            except TimeoutError:
                return
            if not self.handle(f):
                self.later.append(f)

    def close(self):
        for f in (self.proc.stdin, self.proc.stdout, self.proc.stderr):
            try:
                f.close()
            except OSError:
                pass
        try:
            return self.proc.wait(6)
        except subprocess.TimeoutExpired:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
            raise
