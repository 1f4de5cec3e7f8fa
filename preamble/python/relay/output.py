# Part `relay`: what a context needs to have children (docs/protocol.md sections 3, 4, 7 and 11).
#
# Executed by the I/O thread in the core's namespace; it replaces the core's `ack`, `ping`, `route`, `turn` and `die` and,
# last of all (other threads call them meanwhile), `up` and `large`. Everything here runs in the I/O thread but these two;
# what they share (the outputs) is guarded by LOCK. No descriptor that is written blocks; whoever queues something tries to write it at once, and
# only what the kernel does not take waits for POLLOUT. Invariant: an output finishes a frame before it begins another.
CHILDREN = {}                   # first id of a block -> Child
ROUTES = {}                     # dst -> Child or None: memory of `child_of`; see `frames` too. Emptied when an interval changes
BLOCKS = [(ME, ME + SIZE)]
LOST = []                       # the last 64 intervals whose link ended: lo, hi, evidence
GROUPS = {}                     # gid -> members among the children, and ME if I am one
CACHE = {}                      # module name -> entry
CACHED = [0, []]                # bytes, names from oldest to newest
WAITING = {}                    # module name asked upward -> who waits for it
STATS = {5: 0, 6: 0, 7: 0}      # modules cached, requests up, dials
POLLER = select.poll()
MASKS = {}
READERS = {}                    # descriptor -> function to call when it can be read
NONE = [0, 0, 0]
SOON = [0]                      # a child is to end: `reap` looks soon
relay_die = die
SIGNAL = sys.modules.get('_signal') or sys.modules.get('signal')  # every interpreter has loaded it
relay_in = IN


def major(kind, n):
    i = 0
    if n < 24:
        return pack('B', kind | n)
    while n >> (8 << i):
        i += 1
    return pack('>B' + 'BHIQ'[i], kind | 24 + i, n)


def byte_string(s):
    # pack_value() sends Python 2's str as text when it can.
    return major(64, len(s)) + s


def watch(fd, mask):
    if MASKS.get(fd, 0) != mask:
        MASKS[fd] = mask
        if mask:
            POLLER.register(fd, mask)
        else:
            POLLER.unregister(fd)
            del MASKS[fd]


def nonblock(fd):
    fcntl.fcntl(keep(fd), 4, os.O_NONBLOCK)
    return fd


class Output:
    # One direction of a link: what goes first (RAW, HELLO), then control, call and bulk frames.
    def __init__(self, fd, window):
        self.fd = fd
        self.first = []         # bytes, and how many of them to report as written
        self.queues = [[], [], []]
        self.held = [0, 0, 0]
        self.now = EMPTY        # what is being written
        self.after = None       # child whose bulk frame that is, and its bytes
        self.run = 0            # bytes of calls since the last bulk frame
        self.sent = self.acked = 0
        self.window = window
        self.paused = []        # intervals, one for each PAUSE without its RESUME
        self.whole = 0          # PAUSEs beyond 64: they hold everything
        self.want = 0
        self.child = None

    def put(self, kind, s, origin):
        kind &= 3
        if not kind and self.held[0] + self.held[1] + len(s) > 1 << 21:
            return broken(self.child, 'queue-overflow')
        self.queues[kind].append((s, origin))
        self.held[kind] += len(s)

    def pick(self):
        control, calls, bulk = self.queues
        self.after = None
        if self.first:
            return self.first[0][0]
        if control or calls and (self.run < 65536 or not bulk):
            i = not control
            x = self.queues[i]
            s = EMPTY.join([y[0] for y in x[:16]])
            del x[:16]
            self.held[i] -= len(s)
            self.run += i and len(s)
            return s
        self.run = 0
        for i in range(len(bulk)):
            s, origin = bulk[i]
            n = len(s)
            if self.whole or self.sent > self.acked and self.sent - self.acked + n > self.window:
                break
            if self.paused:
                dst, = unpack('>I', s[4:8])
                if [x for x in self.paused if x[0] <= dst < x[1]]:
                    continue
            del bulk[i]
            self.held[2] -= n
            self.sent += n
            self.after = origin, n
            return s
        return EMPTY

    def straight(self, kind, s):
        # Writes the frame s, which is not bulk: at once where nothing waits.
        n = 0
        LOCK.acquire()
        if self.held == NONE and not self.now and not self.first:
            try:
                n = os.write(self.fd, s)
            except OSError:
                pass            # pump finds out
        if n < len(s):
            if n:
                self.now = s[n:]
                self.after = None
            else:
                self.put(kind, s, None)
            self.pump()
        LOCK.release()

    def pump(self):
        # LOCK is held. Writes until the kernel or the queues have no more.
        while 1:
            if not self.now:
                self.now = self.pick()
                if not self.now:
                    break
            try:
                n = os.write(self.fd, self.now)
            except (OSError, ValueError):
                if sys.exc_info()[1].args[0] in (4, 11):
                    break
                if not self.child:
                    die()
                self.now = EMPTY
                self.queues = [[], [], []]
                self.first = []
                self.child.gone = SOON[0] = 1
                break
            self.now = self.now[n:]
            if self.first:
                x = self.first[0]
                if x[1]:
                    self.child.written += n
                    BUSY[0] = 1
                self.first[0] = self.now, x[1]
                if not self.now:
                    del self.first[0]
            elif not self.now and self.after:
                x, n = self.after
                if x:
                    x.owed += n
                    BUSY[0] = 1
        if CREDIT.locked() and self.held[2] < 131072:
            CREDIT.release()
        if self.now or self.first or self.held[0] + self.held[1]:
            want = 4
        else:
            want = 0
        if want != self.want:
            self.want = want
            BUSY[0] = 1


def wake():
    # Work for the I/O thread was found by another one.
    if thread.get_ident() != IO_THREAD and BUSY[0]:
        try:
            os.write(WAKE[1], pack('B', 0))
        except OSError:
            pass


def relay_up(kind, s):
    # Any frame of our own: to the parent, or down to a child.
    dst, = unpack('>I', s[4:8])
    child = child_of(dst)
    LOCK.acquire()
    try:
        if child:
            child.out.put(kind, s, None)
            child.out.pump()
        else:
            UP.put(kind, s, None)
            UP.pump()
    finally:
        LOCK.release()
    wake()


def relay_large(kind, dst, handle, reply, body):
    # Not in the I/O thread. Waits while much bulk is queued: credit makes room.
    LARGE.acquire()
    for i in range(0, len(body) or 1, 16384):
        while UP.held[2] > 131072:
            CREDIT.acquire()
        send(i + 16384 < len(body) and 18 or kind & 36 | 2, dst, handle, reply, body[i:i + 16384])
    LARGE.release()


def ack(kind, src, reply, body):
    global ACKED
    n = decode(body)
    UP.acked += n
    ACKED += n                  # a thread may still be in the core's `large`
    if UP.acked > UP.sent:
        die()
    LOCK.acquire()
    UP.pump()
    LOCK.release()
