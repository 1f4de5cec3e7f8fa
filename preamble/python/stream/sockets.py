# Sockets: connections, listening ones, and the mover, which moves all of them with one poll.

FRAMES = 14                     # of one read of the mover's: a PIECE


def at_hand():
    # How many frames of bulk the link to the parent takes at once. Who sends more waits, and if that is the mover, all its sockets do.
    n = LEAF_HOP[0] + ACKED - SENT
    if 16 in H:
        n = RELAY_HELD - UP.own
    return n // 16412


def linger(sock, on):
    # SO_LINGER 0: closed, by us or because we end, it is a reset. On until the END for it was passed on.
    socket = sys.modules['socket']
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack('2i', on, 0))


class Connection(Flow):
    def __init__(self, dst, far, sock):
        self.sock = sock
        self.fd = sock.fileno()
        sock.setblocking(0)
        keep(self.fd)
        self.queue = []
        self.fresh = []
        self.gone = self.bad = self.heard = self.until = self.unacked = 0
        Flow.__init__(self, dst, far)

    def take(self, s):
        self.fresh.append(s)
        if len(self.fresh) < 2:
            FRESH.append(self)

    def write_out(self):
        # In the I/O thread. (The mover takes `fresh` for what is still to be written, too.)
        v = self.fresh
        if not self.queue:
            v = self.put(v)
        self.queue += v
        self.fresh = []
        if v or self.far_over:
            changed(self)

    def put(self, v):
        # What of them the socket does not take now. (The lock: while the I/O thread writes, the mover must not close, for the
        # descriptor may be another connection's then.)
        i = n = bad = 0
        WRITING.acquire()
        try:
            if self.gone or self.bad:
                n = sum([len(s) for s in v])
            else:
                n = writev(self.fd, len(v) > WRITEV_MAX and [EMPTY.join(v)] or v)
        except OSError:
            bad = sys.exc_info()[1].args[0]
        WRITING.release()
        if bad not in (0, 4, 11):
            self.broken(bad)
            return self.put(v)          # counts as taken: its sender may read nothing before it has sent all
        self.consumed(n)
        while i < len(v) and n >= len(v[i]):
            n -= len(v[i])
            i += 1
        if i < len(v):
            return [v[i][n:]] + v[i + 1:]
        return []

    def finish(self):
        changed(self)

    def ready(self, n):
        # Of credit before these n bytes there was none: only then the mover does not read. (It counts first what it uses.)
        if self.free_room() <= n:
            changed(self)

    def fail(self):
        # Its peer shall see a reset too, behind all that came before it, if it takes that.
        self.over = 1
        self.until = clock() + PATIENCE_S
        DYING.append(self)
        changed(self)

    def broken(self, why):
        # Any thread. Its peer may have answered and closed before it had read all: the mover reads what is left, and says so behind
        # all that. (Both ends may have been said, and what came is lost all the same.)
        self.bad = self.bad or os.strerror(why)
        changed(self)

    def wants(self):
        n = self.free_room() > 0 and not self.over and 1 or 0
        if self.bad:
            return n * 5                # what takes no more can be written to at once
        return n | (self.queue and 4 or 0)

    def move(self, mask):
        # In the mover.
        if self.bad:
            mask = 1
        if mask & 4 and not self.gone:
            if self.until:
                self.until = clock() + PATIENCE_S
            v = self.queue[:64]         # the I/O thread appends meanwhile
            self.queue[:len(v)] = self.put(v)
        again = 4
        while again and mask & 27 and not self.over and not self.gone and self.free_room() > 0:
            try:
                n = min(max(at_hand(), 1), FRAMES) * BULK_BODY_MAX      # one, so that each has its turn
                s = os.read(self.fd, min(self.free_room(), n))
            except OSError:
                n = sys.exc_info()[1].args[0]
                if self.bad or n not in (4, 11):
                    self.heard = 1
                    self.broken(n)
                return
            if s:
                self.emit_bytes(s)
            elif self.bad:
                self.heard = 1
            else:
                self.end_sending()
            # There is more, it seems: not asked of poll.
            again = len(s) >= n and at_hand() > 0 and again - 1
            s = EMPTY

    def untaken(self):
        # Bytes that TCP has and the peer has not: closed with SO_LINGER 0 it would drop them. No event tells that they went. A unix
        # socket's peer has all at once, and no TCP_INFO, whose first byte is the state (7: closed, nothing goes any more).
        try:
            if self.sock.getsockopt(6, 11, 1) == pack('B', 7):
                return 0
            n, = unpack('i', fcntl.ioctl(self.fd, __import__('termios').TIOCOUTQ, pack('i', 0)))
        except:
            return 0
        if n != self.unacked:
            self.until = clock() + PATIENCE_S
            self.unacked = n
        return n

    def tidy(self):
        # In the mover, after anything has changed. True: the socket is closed.
        if self.bad and self.queue:
            v = self.queue[:]
            self.queue[:len(v)] = self.put(v)
        if self.until and not self.gone and (self.bad or self.until < clock() or not self.fresh and not self.queue and not self.untaken()):
            self.gone = 1
            try:
                linger(self.sock, 1)
            except:
                pass
        if self.bad and (self.over or self.heard) and not self.gone:
            # Behind what was sent: it is not to be dropped. (Forgotten first: what comes once it is out finds no handle.)
            self.forget()
            large(4, self.dst, self.far, self.near, pack_value(['reset', ME, ME, self.bad]))
            self.lost(self.bad)
        if self.far_over == 1 and not self.fresh and not self.queue and not self.gone and not self.bad:
            self.far_over = 2
            try:
                linger(self.sock, 0)
                self.sock.shutdown(1)
            except:
                pass
            send(0, self.dst, 34, 0, pack_value([self.far, 0]))     # all of it is with the socket
        if self.gone or self.over and self.far_over == 2:
            WRITING.acquire()
            self.sock.close()
            WRITING.release()
            return 1


class Listener:
    def __init__(self, src, handle, sock, name):
        self.src = src
        self.handle = handle
        self.sock = sock
        self.file = name
        self.fd = keep(sock.fileno())
        self.gone = self.rests = 0
        take_handle(self)
        LISTENING[src, handle] = self
        sock.setblocking(0)

    def frame(self, kind, src, reply, body):
        # Nobody hears of it any more.
        if kind & 4:
            self.close_it()

    def close_it(self):
        self.gone = 1
        LISTENING.pop((self.src, self.handle), 0)
        H.pop(self.near, 0)
        self.unlink_file()
        changed(self)

    def unlink_file(self):
        # The file, at once: the mover may come to nothing more.
        try:
            if self.file:
                os.unlink(self.file)
        except OSError:
            pass

    def wants(self):
        return not self.rests and len([x for x in list(ARRIVED.values()) if x[2] is self]) < WAITING_MAX and 1 or 0

    def move(self, mask):
        try:
            sock, peer = self.sock.accept()
        except:
            # It went again; or there is no descriptor, and poll would say so without end.
            if sys.exc_info()[1].args[:1] not in ((11,), (103,)):   # EAGAIN, ECONNABORTED
                self.rests = clock() + LISTEN_REST_S
                RESTING.append(self)
            return
        keep(sock.fileno())
        NUMBERS[0] = NUMBERS[0] + 1 & 0xffffffff    # none waits for so many others
        peer = said(peer)
        ARRIVED[NUMBERS[0]] = sock, clock() + PATIENCE_S, self, peer
        send(1, self.src, self.handle, self.near, pack_value([NUMBERS[0], peer]))

    def tidy(self):
        if self.gone:
            self.sock.close()
            for n, x in list(ARRIVED.items()):
                if x[2] is self and ARRIVED.pop(n, 0):
                    x[0].close()
            return 1


def mover(wake):
    poller = select.poll()
    poller.register(wake, 1)
    known = {}                  # descriptor -> object
    masks = {}
    while 1:
        try:
            ready = poller.poll(DYING and TAKEN_LOOK_MS or LOOK_MS)
        except select.error:
            ready = ()
        again_soon = DYING[:]
        for fd, mask in ready:
            if fd == wake:
                os.read(wake, READ_MAX)
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
        # (Who accepts one takes it out meanwhile.)
        for n, x in list(ARRIVED.items()):
            if x[1] < clock() and ARRIVED.pop(n, 0):
                x[0].close()
                changed(x[2])
        for x in DYING[:]:
            if x.gone:
                DYING.remove(x)
        while RESTING and RESTING[0].rests < clock():
            x = RESTING.pop(0)
            x.rests = 0
            changed(x)


def start_mover():
    # In the I/O thread only, so it is not begun twice. Where it cannot be, nothing of it stays, and who comes next tries again.
    if not MOVER:
        r, w = os.pipe()
        try:
            for x in r, w:
                fcntl.fcntl(keep(x), 4, os.O_NONBLOCK)
            begin_thread(mover, r)
        except:
            os.close(r)
            os.close(w)
            raise
        MOVER.append(w)
