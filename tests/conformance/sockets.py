"""A vector's words about sockets of the runner's own, which OPEN reaches or which reach what it opened, and about streams.

All of them on loopback or in the vector's folder, so nothing that a vector says depends on another program. A place is what
OPEN takes as its args: [host, port], or [path].
"""
import errno
import os
import socket
import struct
import threading
import time
from contextlib import suppress

from notation import Choice
from wire import BULK, COUNTED, END, Failure, Frame

WINDOW = 262144     # STREAM_WINDOW
BULK_MAX = 16384


def text(x):
    """How an answer names a place or a socket's own address; an IPv6 address has several forms."""
    place = x.place if isinstance(x, Socket) else x
    if len(place) == 1:
        return place[0] if isinstance(place[0], str) else place[0].decode()
    if place[0] == '::1':
        return Choice('::1 %d' % place[1], '0:0:0:0:0:0:0:1 %d' % place[1])
    return '%s %d' % tuple(place)


def place_of(words):
    """The place that a listening socket's text names."""
    host, port = words.rsplit(' ', 1)
    return [host, int(port)]


def address(place):
    """(family, address) as the socket module wants them."""
    if len(place) == 1:
        return socket.AF_UNIX, '\0' + place[0][1:] if place[0][:1] == '@' else place[0]
    return (socket.AF_INET6 if ':' in place[0] else socket.AF_INET), tuple(place)


def listened_at(place):
    """As the kernel tells, for a connection would be heard of."""
    if len(place) == 1:
        with open('/proc/net/unix') as f:
            return any(x[3] == '00010000' and x[7:] == [place[0]] for x in (line.split() for line in f))
    with open('/proc/net/tcp') as f:
        return any(x[3] == '0A' and int(x[1].split(':')[1], 16) == place[1] for x in (line.split() for line in f) if x[0] != 'sl')


class Server(list):
    """A listening socket, or (deaf) one that only has its address; as a value, its place."""

    def __init__(self, place, deaf, backlog):
        family, at = address(place)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.bind(at)
        list.__init__(self, place if len(place) == 1 else self.sock.getsockname()[:2])
        if not deaf:
            self.sock.listen(backlog)


class Socket(object):
    """A connection of the runner's."""

    def __init__(self, sock, limit):
        self.sock, self.writer = sock, None
        sock.settimeout(limit)
        self.place = list(sock.getsockname()[:2]) if sock.family != socket.AF_UNIX else ['']

    def write(self, data):
        """In the background: who is to read it may wait for us first."""
        before = self.writer

        def work():
            if before:
                before.join()
            with suppress(OSError):     # what has come is what counts
                self.sock.sendall(data)
        self.writer = threading.Thread(target=work, daemon=True)
        self.writer.start()
        if len(data) <= BULK_MAX:
            self.writer.join()


class Sockets(object):
    """Part of Player: `.connections` are names of Server and Socket, `.held` sockets that have no name any more."""

    def shut(self):
        for x in [c.sock for c in self.connections.values()] + self.held:
            x.close()

    def do_server(self, rest, block):
        """server NAME tcp|tcp6|unix|abstract [deaf] [backlog=N]"""
        name, kind, *more = rest.split()
        path = os.path.join(self.folder, name)
        place = {'tcp': ['127.0.0.1', 0], 'tcp6': ['::1', 0], 'unix': [path], 'abstract': ['@' + path]}[kind]
        backlog = [int(w[8:]) for w in more if w.startswith('backlog=')] or [100]
        self.connections[name] = self.names[name] = Server(place, 'deaf' in more, backlog[0])
        self.connections[name].sock.settimeout(self.limit)

    def do_dial(self, rest, block):
        """dial NAME PLACE: a connection of ours to it."""
        name, place = rest.split(None, 1)
        family, at = address(self.value(place))
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(self.limit)
        sock.connect(at)
        self.called(name, sock)

    def called(self, name, sock):
        if name in self.connections:
            self.held.append(self.connections[name].sock)
        self.connections[name] = self.names[name] = Socket(sock, self.limit)

    def do_refused(self, rest, block):
        """refused PLACE: nobody listens there any more, and a file is gone; as soon as can be."""
        place = self.value(rest)
        family, at = address(place)
        end = time.monotonic() + self.limit
        while listened_at(place) or (len(place) == 1 and os.path.lexists(place[0])):
            if time.monotonic() > end:
                raise Failure('%s: it is still there' % place)
            time.sleep(.01)
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            if sock.connect_ex(at) not in (errno.ECONNREFUSED, errno.ENOENT):
                raise Failure('%s: it still answers' % place)

    def do_mode(self, rest, block):
        """mode OCTAL PATH: of a socket's file."""
        want, path = rest.split(None, 1)
        got = os.stat(self.value(path)).st_mode & 0o7777
        if got != int(want, 8):
            raise Failure('the mode is %o' % got)

    # ---- NAME VERB: of a server, of a connection ----

    def socket_accepts(self, x, rest):
        try:
            self.called(rest, x.sock.accept()[0])
        except socket.timeout:
            raise Failure('no connection came')

    def socket_fill(self, x, rest):
        """Connections until the kernel answers no more of them."""
        for i in range(int(rest)):
            sock = socket.socket(x.sock.family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex(x.sock.getsockname())
            self.held.append(sock)

    def socket_empty(self, x, rest):
        """Whoever waits there is accepted, from now on."""
        def work():
            with suppress(OSError):
                while True:
                    held.append(x.sock.accept()[0])
        held = self.held
        threading.Thread(target=work, daemon=True).start()

    def socket_writes(self, x, rest):
        data = self.value(rest)
        x.write(data.encode() if isinstance(data, str) else data)

    def socket_reads(self, x, rest):
        """These bytes come next."""
        want, got = self.value(rest), b''
        want = want.encode() if isinstance(want, str) else want
        while len(got) < len(want):
            s = x.sock.recv(len(want) - len(got))
            if not s:
                break
            got += s
        if got != want:
            raise Failure('the socket read %d bytes, %r, not %d, %r' % (len(got), got[:60], len(want), want[:60]))

    def socket_ends(self, x, rest):
        """Its writing half is closed."""
        if x.writer:
            x.writer.join(self.limit)
        x.sock.shutdown(socket.SHUT_WR)

    def last(self, x):
        """'' at the end, else an error or what came."""
        try:
            return x.sock.recv(1)
        except ConnectionResetError:
            return 'a reset'

    def socket_eof(self, x, rest):
        got = self.last(x)
        if got:
            raise Failure('the socket saw %r, not its end' % got)

    def socket_reset(self, x, rest):
        got = self.last(x)
        if got != 'a reset':
            raise Failure('the socket saw %r, not a reset' % got)

    def socket_over(self, x, rest):
        """Its end, or a reset."""
        if self.last(x) not in (b'', 'a reset'):
            raise Failure('the socket goes on')

    def socket_resets(self, x, rest):
        x.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        x.sock.close()

    # ---- streams ----

    def do_flow(self, rest, block):
        """flow[+end] FAR NEAR BYTES: frames of a stream to FAR, from NEAR, whose bytes are these (and then END).

        How they are cut is the sender's affair, and an empty frame says nothing (section 4). All are acknowledged.
        """
        self.flow(rest, False)

    def flow(self, rest, end):
        far, near, data = rest.split(None, 2)
        far, near, want, got = self.value(far), self.value(near), self.value(data), []
        want, size = want.encode() if isinstance(want, str) else want, 0
        while size < len(want) or end:
            f = self.link.next(self.limit)
            if f is None or f.kind not in (BULK, BULK | END) or (f.handle, f.reply) != (far, near):
                raise Failure('wanted data of stream %d after %d bytes, got %s' % (far, size, f or 'the end'))
            got.append(f.body)
            size += len(f.body)
            self.send(self.link, 'control ACK %d' % (28 + len(f.body)))
            if f.kind & END:
                break
        if b''.join(got) != want or end != bool(f.kind & END):
            raise Failure('stream %d: %d bytes came%s, not %d%s' % (far, size, ' and END' * bool(f.kind & END), len(want),
                                                                   ' and END' * end))

    def do_pour(self, rest, block):
        """pour NEAR FAR BYTES: as frames of a stream, whatever the credit."""
        near, far, data = rest.split(None, 2)
        near, far, data = self.value(near), self.value(far), self.value(data)
        for i in range(0, len(data), BULK_MAX):
            self.link.write(self.data_frame(near, far, data[i:i + BULK_MAX]), self.limit)

    def data_frame(self, near, far, data):
        me, parent = self.names['me'], self.names['parent']
        return Frame(BULK, 64, me, parent, parent, near, far, data).pack()

    def do_forgotten(self, rest, block):
        """forgotten NEAR FAR: as soon as can be, there is no such handle; an empty frame says nothing to a stream that is still there.

        Each names another slot to answer to: a call's answer may overtake the notice, and so it is known which of them have one."""
        near, far = [self.value(x) for x in rest.split()]
        end, asked = time.monotonic() + self.limit, []
        while True:
            self.probe += 1
            asked.append(self.probe)
            answer = 'call %d [%d]' % (self.probe, self.probe)
            self.link.write(self.data_frame(near, self.probe, b''), self.limit)
            self.send(self.link, 'call ECHO reply=%d [%d]' % (self.probe, self.probe))
            got = self.link.next(self.limit)
            if got is None or self.differs(self.link, answer, got):
                break
            if time.monotonic() > end:
                raise Failure('stream %d is still there' % far)
            time.sleep(.01)
        first = got.handle if got else 0
        wanted = [answer] + ['late %d' % n for n in asked if n >= first]
        while True:
            met = [text for text in wanted if not self.differs(self.link, text, got)]
            if not met:
                raise Failure('wanted one of %s, got %s' % (wanted, got or 'the end'))
            wanted.remove(met[0])
            if not wanted:
                break
            got = self.link.next(self.limit)
        self.link.write(self.data_frame(near, far, b''), self.limit)
        self.expect(self.link, 'late %d' % far)

    def do_credits(self, rest, block):
        """credits FAR: from here on CREDIT for it is added up, for it may come in parts."""
        self.link.credits[self.value(rest)] = 0

    def do_credited(self, rest, block):
        """credited FAR LOW HIGH: so much in all, as soon as can be; more than HIGH never."""
        far, low, high = [self.value(x) for x in rest.split()]
        held = []
        while self.link.credits[far] < low:
            f = self.link.credit_or_frame(self.limit)
            if f is None:
                raise Failure('it ended at a credit of %d' % self.link.credits[far])
            if f is not COUNTED:
                held.append(f)
        self.link.buf[:0] = b''.join(f.pack() for f in held)
        if self.link.credits[far] > high:
            raise Failure('stream %d: a credit of %d' % (far, self.link.credits[far]))

    def do_overrun(self, rest, block):
        """overrun NEAR FAR: to the last byte of its credit, and one more: it is reset, and not before.

        Credit that comes meanwhile is used too; the socket at the other end is not read, so there is an end to that.
        """
        near, far = [self.value(x) for x in rest.split()]
        sent = 0
        while True:
            left = WINDOW + self.link.credits[far] - sent
            n = min(left, BULK_MAX) or 1
            sent += n
            self.link.write(self.data_frame(near, far, b'o' * n), self.limit)
            if left:
                self.quiet(self.link)
                continue
            before = self.link.credits[far]
            f = self.link.credit_or_frame(self.limit)
            if f is COUNTED and self.link.credits[far] > before:
                continue
            wrong = self.differs(self.link, 'dead %d bad-credit' % far, f)
            if wrong:
                raise Failure('a byte more than its credit of %d: got %s: %s' % (sent - 1, f or 'the end', wrong))
            return
