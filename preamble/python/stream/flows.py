# Part `stream`: connections, listening sockets and channels (docs/protocol.md sections 4, 8 and 9.1).
#
# Executed by the I/O thread in the core's namespace, before or after `relay` and `exec`. Three kinds of thread meet here. The
# I/O thread takes frames: it writes to a socket what that takes at once, and never waits. One thread, the mover, does the rest
# for all sockets with one poll: an agent with 2,000 connections has no 2,000 threads. Resolving a name and connecting have a
# thread of their own while they last, for they block. And called code waits in a Channel, for credit or for a value.
#
# Invariants: what arrived and was not consumed is at most its window, else the stream (never the link) is reset; a
# socket is not read without credit; whoever finds that a socket is to be watched otherwise says so by `changed`, and only the
# mover touches the poll.
STREAM_ROOM = 262144
STREAM_MAX = 16777216
STREAMS_MAX = 4096
WAITING_MAX = 64                # connections that nobody has accepted yet, a listening socket
FULL_RATE = 40                  # tries a second to connect to who is full
PATIENCE_S = 20                 # they wait, and so does connect(2)
FLOWS = {}                      # own handle -> Flow
OPENING = {}                    # (who asked, slot) -> [cancelled]
LISTENING = {}                  # (who asked, event handle) -> Listener
ARRIVED = {}                    # number -> (socket, until when, its Listener, peer)
CHANGED = []                    # for the mover
MOVER = []                      # the pipe that wakes it, once there is one
NUMBERS = [0]                   # of connections that came
RESTING = []                    # listeners that found no descriptor
DYING = []                      # connections that were reset, with what came before
TAKEN_LOOK_MS = 50              # from one look at whether their peers have it to the next
STREAM_LOCK = allocate()
WRITING = allocate()
LATE_MAX = 1000                 # changes at once that wait for the mover, beyond which what is late is not among them
flow_deliver = deliver
flow_cancel = H.get(26, no_cancel)
flow_credit = H.get(34, no_credit)


def rouse(lock):
    # Two threads may do so at once, and the second finds it done.
    try:
        if lock.locked():
            lock.release()
    except thread.error:
        pass


def changed(x):
    CHANGED.append(x)
    try:
        os.write(MOVER[0], pack('B', 0))
    except (OSError, IndexError):
        pass                    # the pipe is full: it will look


class Late:
    # `no-handle`, said by the mover, and so behind what it has sent.
    def __init__(self, *to):
        self.fd = None
        self.gone = 0
        self.to = to

    def tidy(self):
        large(4, *self.to + (pack_value(['no-handle', ME, ME, '']),))
        return 1


def deliver(kind, src, handle, reply, body):
    # As the core's; but where data is of a stream that has ended here, the last of the other way and its end may still be on the way.
    if kind & 23 == 2 and reply and handle > 255 and handle not in H and MOVER and len(CHANGED) < LATE_MAX and not (16 in H and CAST[0]):
        changed(Late(src, reply, handle))
    else:
        flow_deliver(kind, src, handle, reply, body)


def take_handle(x):
    x.near = new_handle()
    H[x.near] = x.frame


class Flow:
    # A stream: what both directions count. `take` and `finish` (I/O thread) and `fail` (any) are its user's.
    def __init__(self, dst, far):
        self.dst = dst
        self.far = far
        self.granted = STREAM_ROOM      # by credit, in all (I/O thread); of it sent (whoever sends)
        self.used = self.starved = 0
        self.arrived = self.given = self.owed = self.over = self.far_over = 0
        self.window = self.tried = STREAM_ROOM
        self.why = None
        take_handle(self)
        FLOWS[self.near] = self

    def frame(self, kind, src, reply, body):
        if kind & 4:
            # One that cannot be read is one all the same.
            try:
                body = decode(body)[0]
            except:
                body = 0
            self.lost(body)
        elif src != self.dst or kind & 3 != 2:
            COUNT[2] += 1
        else:
            self.arrived += len(body)
            if self.arrived - self.given > self.window or body and self.far_over:
                return self.reset('', 'bad-credit')
            if body:
                self.take(body)
            elif not kind & 32:
                widen_stream(self, FLOWS)
            if kind & 32 and not self.far_over:
                self.far_over = 1
                self.finish()
                self.settle()

    def credit(self, n):
        if self.granted == self.used:
            self.starved = 1            # all that was granted is under way: the window may be too small
        self.granted = min(self.granted + n, self.used + STREAM_MAX)
        self.ready(n)

    def free_room(self):
        return self.granted - self.used

    def owe(self, n):
        # With the lock: what of it is to be said now.
        self.owed += n
        n = self.owed
        if n < 65536 or n * 8 < self.window:    # each CREDIT wakes all on the way
            return 0
        self.owed = 0
        self.given += n
        return n

    def consumed(self, n):
        # Any thread.
        n = holding(STREAM_LOCK, self.owe, n)
        if n and not self.far_over and not self.why:
            send(0, self.dst, 34, 0, pack_value([self.far, n]))

    def emit_bytes(self, s):
        # Not in the I/O thread. At most `free_room`.
        if self.starved:
            self.starved = 0
            large(0, self.dst, self.far, self.near, EMPTY)
        self.used += len(s)
        large(128, self.dst, self.far, self.near, s)

    def end_sending(self):
        # Said again by who calls this again, if a handler of called code raised meanwhile (2: it was said).
        if self.over < 2:
            self.over = 1
            large(32, self.dst, self.far, self.near, EMPTY)
            self.over = 2
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

    def reset(self, why, reason='reset'):
        # Out of the table first: what comes meanwhile must not find it and be the cause of a second notice. True: it was there.
        if H.pop(self.near, 0):
            send(4, self.dst, self.far, 0, pack_value([reason, ME, ME, why]))
            self.lost(why or reason)
            return 1
