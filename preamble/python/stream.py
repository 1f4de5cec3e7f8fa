# Part `stream`: connections, listening sockets and channels (docs/protocol.md sections 4, 8 and 9.1).
#
# Executed by the I/O thread in the core's namespace, before or after `relay` and `exec`. Three kinds of thread meet here. The
# I/O thread takes frames: it writes to a socket what that takes at once, and never waits. One thread, the mover, does the rest
# for all sockets with one poll: an agent with 2,000 connections has no 2,000 threads. Resolving a name and connecting have a
# thread of their own while they last, for they block. And called code waits in a Channel, for credit or for a value.
#
# Invariants: what arrived and was not consumed is at most STREAM_ROOM a stream, else the stream (never the link) is reset; a
# socket is not read without credit; whoever finds that a socket is to be watched otherwise says so by `changed`, and only the
# mover touches the poll.
STREAM_ROOM = 262144
STREAM_MAX = 16777216
STREAMS_MAX = 4096
WAITING_MAX = 64                # connections that nobody has accepted yet, a listening socket
FLOWS = {}                      # own handle -> Flow
OPENING = {}                    # (who asked, slot) -> [cancelled]
LISTENING = {}                  # (who asked, event handle) -> Listener
ARRIVED = {}                    # number -> (socket, until when, its Listener, peer)
CHANGED = []                    # for the mover
MOVER = []                      # the pipe that wakes it, once there is one
NUMBERS = [0x90000000, 0]       # handles; connections that came
STREAM_LOCK = allocate()
flow_cancel = H[26]
flow_credit = H.get(34)


def stream_large(kind, dst, handle, reply, body):
    # As the core's, but the last frame keeps END, and nothing is a frame too. Once `relay` is here it has the credit.
    global SENT
    LARGE.acquire()
    for i in range(0, len(body) or 1, 16384):
        s = body[i:i + 16384]
        while SENT > ACKED and SENT - ACKED + len(s) > 262116 and 16 not in H:
            CREDIT.acquire()
        SENT += len(s) + 28
        send(i + 16384 < len(body) and 18 or kind & 32 | 2, dst, handle, reply, s)
    LARGE.release()


def rouse(lock):
    # Two threads may do so at once, and the second finds it done.
    try:
        if lock.locked():
            lock.release()
    except:
        pass


def changed(x):
    CHANGED.append(x)
    try:
        os.write(MOVER[0], pack('B', 0))
    except (OSError, IndexError):
        pass                    # the pipe is full: it will look


class Flow:
    # A stream: what both directions count. `take` and `finish` (I/O thread) and `fail` (any) are its user's.
    def __init__(self, dst, far):
        self.dst = dst
        self.far = far
        self.granted = STREAM_ROOM      # by credit, in all (I/O thread); of it sent (whoever sends)
        self.used = self.starved = 0
        self.arrived = self.given = self.owed = self.over = self.far_over = 0
        self.why = None
        NUMBERS[0] += 1
        self.near = NUMBERS[0]
        FLOWS[self.near] = self
        H[self.near] = self.frame

    def frame(self, kind, src, reply, body):
        if kind & 4:
            if ME <= src < ME + SIZE:
                COUNT[2] += 1
            else:
                self.lost(dict(enumerate(decode(body))).get(0))
        elif src != self.dst:
            COUNT[2] += 1
        else:
            self.arrived += len(body)
            if self.arrived - self.given > STREAM_ROOM or body and self.far_over:
                notice('bad-credit', src, reply or self.far)
                return self.lost('bad-credit')
            if body:
                self.take(body)
            if kind & 32 and not self.far_over:
                self.far_over = 1
                self.finish()
                self.settle()

    def credit(self, n):
        if self.granted == self.used:
            self.starved = 1            # all that was granted is under way: the window may be too small
        self.granted = min(self.granted + n, self.used + STREAM_MAX)
        self.ready()

    def free_room(self):
        return self.granted - self.used

    def consumed(self, n):
        # Any thread.
        STREAM_LOCK.acquire()
        self.owed += n
        n = self.owed
        if n > 65535:
            self.owed = 0
            self.given += n
        STREAM_LOCK.release()
        if n > 65535 and not self.far_over:
            send(0, self.dst, 34, 0, pack_value([self.far, n]))

    def emit_bytes(self, s):
        # Not in the I/O thread. At most `free_room`.
        if self.starved:
            self.starved = 0
            large(0, self.dst, self.far, self.near, EMPTY)
        self.used += len(s)
        large(0, self.dst, self.far, self.near, s)

    def end_sending(self):
        if not self.over:
            self.over = 1
            large(32, self.dst, self.far, self.near, EMPTY)
            self.settle()

    def settle(self):
        if self.over and self.far_over:
            self.forget()

    def forget(self):
        H.pop(self.near, 0)
        FLOWS.pop(self.near, 0)

    def lost(self, why):
        # The other end said so, or must be told otherwise: it is over.
        self.forget()
        self.why = why or 'reset'
        self.fail()

    def reset(self, why):
        if self.near in H:
            send(4, self.dst, self.far, 0, pack_value(['reset', self.far, ME, why]))
            self.lost(why)


# ---- sockets ----

class Connection(Flow):
    def __init__(self, dst, far, sock):
        self.sock = sock
        self.fd = sock.fileno()
        sock.setblocking(0)
        keep(self.fd)
        self.queue = []
        self.gone = 0
        Flow.__init__(self, dst, far)

    def take(self, s):
        if not self.queue:
            s = self.put(s)
        if s:
            self.queue.append(s)
            changed(self)

    def put(self, s):
        # What the socket does not take now.
        try:
            n = os.write(self.fd, s)
        except OSError:
            if sys.exc_info()[1].args[0] not in (4, 11):
                self.broken()
                return EMPTY
            n = 0
        self.consumed(n)
        return s[n:]

    def finish(self):
        changed(self)

    def ready(self):
        changed(self)

    def fail(self):
        # Its peer shall see a reset too.
        try:
            self.sock.setsockopt(1, 13, pack('2i', 1, 0))       # SO_LINGER
        except:
            pass
        self.gone = 1
        changed(self)

    def broken(self):
        self.reset(os.strerror(sys.exc_info()[1].args[0]))

    def wants(self):
        return (self.free_room() > 0 and not self.over and 1 or 0) | (self.queue and 4 or 0)

    def move(self, mask):
        # In the mover.
        if mask & 4:
            while self.queue and not self.gone:
                s = self.put(self.queue[0])
                if s:
                    self.queue[0] = s
                    break
                del self.queue[0]
        if mask & 27 and not self.over and not self.gone and self.free_room() > 0:
            try:
                s = os.read(self.fd, min(self.free_room(), 16384))
            except OSError:
                if sys.exc_info()[1].args[0] not in (4, 11):
                    self.broken()
                return
            if s:
                self.emit_bytes(s)
            else:
                self.end_sending()

    def tidy(self):
        # In the mover, after anything has changed. True: the socket is closed.
        if self.far_over == 1 and not self.queue and not self.gone:
            self.far_over = 2
            try:
                self.sock.shutdown(1)
            except:
                pass
        if self.gone or self.over and self.far_over == 2:
            self.sock.close()
            return 1


class Listener:
    def __init__(self, src, handle, sock, name):
        self.src = src
        self.handle = handle
        self.sock = sock
        self.file = name
        self.fd = keep(sock.fileno())
        self.gone = self.queue = 0
        NUMBERS[0] += 1
        self.near = NUMBERS[0]
        H[self.near] = self.frame
        LISTENING[src, handle] = self
        sock.setblocking(0)

    def frame(self, kind, src, reply, body):
        # Nobody hears of it any more.
        if kind & 4 and not ME <= src < ME + SIZE:
            self.close_it()

    def close_it(self):
        self.gone = 1
        LISTENING.pop((self.src, self.handle), 0)
        H.pop(self.near, 0)
        changed(self)

    def wants(self):
        return len([x for x in list(ARRIVED.values()) if x[2] is self]) < WAITING_MAX and 1 or 0

    def move(self, mask):
        try:
            sock, peer = self.sock.accept()
        except:
            return
        keep(sock.fileno())
        NUMBERS[1] += 1
        peer = said(peer)
        ARRIVED[NUMBERS[1]] = sock, now() + 20, self, peer
        send(1, self.src, self.handle, self.near, pack_value([NUMBERS[1], peer]))

    def tidy(self):
        if self.gone:
            self.sock.close()
            for n in list(ARRIVED):
                if ARRIVED[n][2] is self:
                    ARRIVED.pop(n)[0].close()
            try:
                if self.file:
                    os.unlink(self.file)
            except OSError:
                pass
            return 1


def mover(wake):
    poller = select.poll()
    poller.register(wake, 1)
    known = {}                  # descriptor -> object
    masks = {}
    while 1:
        try:
            ready = poller.poll(1000)
        except select.error:
            ready = ()
        again_soon = []
        for fd, mask in ready:
            if fd == wake:
                os.read(wake, 65536)
            elif fd in known:
                known[fd].move(mask)
                again_soon.append(known[fd])
        while CHANGED:
            again_soon.append(CHANGED.pop(0))
        for x in again_soon:
            if known.get(x.fd, x) is not x:
                continue        # it was closed, and its descriptor is another's
            if x.gone < 2 and x.tidy():
                x.gone = 2
                if known.pop(x.fd, 0) and masks.pop(x.fd, 0):
                    poller.unregister(x.fd)
                x.fd = -1
            elif x.gone < 2:
                known[x.fd] = x
                mask = x.wants()
                if mask != masks.get(x.fd, 0):
                    masks[x.fd] = mask
                    # 0: even an error is not told then, which would be over and over.
                    if mask:
                        poller.register(x.fd, mask)
                    else:
                        poller.unregister(x.fd)
        for n in list(ARRIVED):
            if ARRIVED[n][1] < now():
                ARRIVED[n][0].close()
                changed(ARRIVED.pop(n)[2])


def start_mover():
    # Not in the I/O thread.
    STREAM_LOCK.acquire()
    if not MOVER:
        r, w = os.pipe()
        for x in r, w:
            fcntl.fcntl(keep(x), 4, os.O_NONBLOCK)
        MOVER.append(w)
        thread.start_new_thread(mover, (r,))
    STREAM_LOCK.release()


# ---- OPEN ----

def said(address):
    # A socket's address as text.
    if isinstance(address, tuple):
        return '%s %d' % address[:2]
    if isinstance(address, BYTES):
        address = address.decode('utf8', 'replace')
    return (address or '').replace('\0', '@', 1)


def path_of(x):
    if BYTES is str and isinstance(x, TEXT):
        x = x.encode('utf8')
    if BYTES is not str and isinstance(x, BYTES):
        x = os.fsdecode(x)
    if x[:1] == '@':
        return '\0' + x[1:]
    return x


def open_socket(what, args):
    # A connected or a listening socket, and its file.
    socket = __import__('socket')
    error = None
    if len(args) < 2:
        ways = [(1, path_of(args[0]))]
    else:
        host, port = args
        ways = [(x[0], x[4]) for x in socket.getaddrinfo(host or None, port, 0, 1)]
    for family, address in ways:
        x = socket.socket(family, 1)
        path = family == 1 and address[:1] != '\0' and address
        try:
            if what == 'listen':
                x.setsockopt(1, 2, 1)           # SO_REUSEADDR
                f = getattr(os, 'fchmod', None)
                if path and f:
                    f(x.fileno(), 384)
                x.bind(address)
                x.listen(128)
                return x, path
            x.settimeout(20)
            x.connect(address)
            if family != 1:
                x.setsockopt(6, 1, 1)           # TCP_NODELAY
            return x, path
        except:
            error = sys.exc_info()
            x.close()
    raise error[1]


def open_thread(src, slot, what, args, far, flag):
    try:
        start_mover()
        if what == 'accept':
            x = ARRIVED.pop(args[0], None)
            if not x:
                raise EnvironmentError(0, 'no such connection')
            sock, until, listener, text = x
            changed(listener)
        else:
            sock, path = open_socket(what, args)
            text = said(what == 'listen' and sock.getsockname() or sock.getpeername())
            if len(args) < 2:
                text = said(path_of(args[0]))
        if OPENING.pop((src, slot), flag) is not flag or flag:
            return sock.close()
        if what == 'listen':
            x = Listener(src, far, sock, path)
        else:
            x = Connection(src, far, sock)
        send(1, src, slot, x.near, pack_value([0, x.near, text]))
        changed(x)
    except:
        OPENING.pop((src, slot), 0)
        if flag:
            return
        v = sys.exc_info()[1]
        n = v.args and isinstance(v.args[0], int) and v.args[0] or 0
        s = n > 0 and os.strerror(n) or str(v.args[-1:] and v.args[-1] or v)
        if n < 1 and s == 'timed out':
            n = 110
            s = os.strerror(n)
        send(1, src, slot, 0, pack_value([1, complaint(s), max(n, 0)]))


def complaint(s):
    return text(s, 400)


def open_stream(kind, src, reply, body):
    what, args, far = decode(body)[:3]
    args = list(args)
    if len(args) not in {'tcp': (2,), 'unix': (1,), 'listen': (1, 2), 'accept': (1,)}[what] or not 255 < far < 1 << 32:
        raise ValueError
    if what == 'accept' and args[0] + 0 < 0 or len(args) > 1 and not 0 <= args[1] + 0 < 65536:
        raise ValueError
    if what != 'accept':
        args[0] + args[0][:0]
    if len(FLOWS) + len(OPENING) + len(LISTENING) >= STREAMS_MAX:
        return notice('busy', src, reply)
    flag = OPENING[src, reply] = []
    try:
        thread.start_new_thread(open_thread, (src, reply, what, args, far, flag))
    except:
        del OPENING[src, reply]
        notice('busy', src, reply)


def cancel_stream(kind, src, reply, body):
    x = src, decode(body)[0]
    if x in LISTENING:
        LISTENING[x].close_it()
    elif x in OPENING:
        OPENING.pop(x).append(1)
    else:
        flow_cancel(kind, src, reply, body)


def stream_credit(kind, src, reply, body):
    handle, n = decode(body)[:2]
    x = FLOWS.get(handle)
    if not x:
        return flow_credit and flow_credit(kind, src, reply, body)
    if x.dst != src:
        return notice('no-authority', src, reply)
    if n < 0:
        raise ValueError
    x.credit(n)


# ---- channels ----

class ChannelClosed(Exception):
    pass


class ChannelFlow(Flow):
    # What a Channel is made of: the table H holds this, so that a Channel which nobody holds any more can end.
    def __init__(self, dst, far):
        self.pieces = []
        self.fd = -2 - NUMBERS[0]   # it is told of to the mover, and has none
        self.gone = 0
        self.can_read, self.can_write, self.reading, self.writing = [allocate() for x in range(4)]
        self.can_read.acquire()
        self.can_write.acquire()
        Flow.__init__(self, dst, far)

    def take(self, s):
        self.pieces.append(s)
        rouse(self.can_read)

    def finish(self):
        rouse(self.can_read)

    def ready(self):
        rouse(self.can_write)

    def fail(self):
        rouse(self.can_read)
        rouse(self.can_write)

    def check(self):
        if self.why:
            raise ChannelClosed(self.why)

    def tidy(self):
        # In the mover: the Channel is gone.
        if self.near in H:
            self.end_sending()
            if not self.far_over:
                self.reset('nobody reads it')
        return 1


class Channel(object):
    def __init__(self, dst, far, shared):
        self.flow = ChannelFlow(dst, far)
        self.shared = shared
        if shared:
            H[shared] = self.flow.frame

    def __iter__(self):
        return self

    def __next__(self):
        # The next value. Pieces are taken whole; a value's length says how much of them is its.
        try:
            return self.receive()
        except EOFError:
            raise StopIteration

    def receive(self):
        x = self.flow
        x.reading.acquire()
        try:
            s = self.exactly(4, 1)
            if not s:
                raise EOFError
            return decode(self.exactly(unpack('>I', s)[0], 0))
        finally:
            x.reading.release()

    def exactly(self, n, may_end):
        got = EMPTY
        parts = []
        while n:
            got = self.some(n)
            if not got:
                if may_end and not parts:
                    return got
                raise ChannelClosed('it ended in the middle of a value')
            parts.append(got)
            n -= len(got)
        return EMPTY.join(parts)

    def some(self, n):
        # 1 to n bytes; nothing at the end. Waits.
        x = self.flow
        while not x.pieces:
            x.check()
            if x.far_over:
                return EMPTY
            x.can_read.acquire()
        s = x.pieces[0]
        if len(s) > n:
            x.pieces[0] = s[n:]
            s = s[:n]
        else:
            del x.pieces[0]
        x.consumed(len(s))
        if x.pieces or x.far_over:
            rouse(x.can_read)
        return s

    def some_locked(self, n):
        self.flow.reading.acquire()
        try:
            return self.some(n)
        finally:
            self.flow.reading.release()

    def put_value(self, value):
        s = pack_value(value)
        decode(s)
        self.put_bytes(pack('>I', len(s)) + s)

    def put_bytes(self, s):
        x = self.flow
        x.writing.acquire()
        try:
            while s:
                x.check()
                if x.over:
                    raise ChannelClosed('it was ended here')
                n = min(x.free_room(), len(s), 65536)
                if n:
                    x.emit_bytes(s[:n])
                    s = s[n:]
                else:
                    x.can_write.acquire()
        finally:
            x.writing.release()

    def finish_sending(self):
        x = self.flow
        x.writing.acquire()
        try:
            x.why or x.end_sending()
        finally:
            x.writing.release()

    def abandon(self, *rest):
        self.finish_sending()
        if not self.flow.far_over:
            self.flow.reset('closed')

    def itself(self):
        return self

    def __del__(self):
        H.pop(self.shared, 0)
        changed(self.flow)


for f, name in ((Channel.put_value, 'send'), (Channel.put_bytes, 'write'), (Channel.some_locked, 'read'), (Channel.receive, 'recv'),
                (Channel.finish_sending, 'end'), (Channel.abandon, 'close'), (Channel.itself, 'open'), (Channel.__next__, 'next'),
                (Channel.itself, '__enter__'), (Channel.abandon, '__exit__')):
    setattr(Channel, name, getattr(f, 'im_func', f))
setattr(SELF, 'ChannelClosed', ChannelClosed)


def stream_call(kind, src, reply, body):
    # CALL, whose fifth item says which arguments are channels.
    m = decode(body)
    if len(m) > 4 and m[4]:
        thread.start_new_thread(start_mover, ())
    for place, far, shared in len(m) > 4 and m[4] or ():
        x = Channel(src, far, shared)
        m[2 + (not isinstance(place, int))][place] = x
        thread.start_new_thread(large, (0, src, far, x.flow.near, EMPTY))
    module, name, args, kw = m[:4]
    CALLS.append((src, reply, module, name.split('.'), args, kw))
    if WORK.locked():
        WORK.release()


if 16 not in H:
    large = stream_large
H.update({25: stream_call, 26: cancel_stream, 29: open_stream, 34: stream_credit})
