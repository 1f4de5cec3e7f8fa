# Part `relay`: what a context needs to have children (docs/protocol.md sections 3, 4, 7 and 11).
#
# Executed by the I/O thread in the core's namespace; it replaces the core's `up`, `large`, `route`, `turn`, `broken` and
# `die`. Everything here runs in the I/O thread but `up` and `large`, which any thread may call; what they share (the
# outputs) is guarded by LOCK. No descriptor that is written blocks; whoever queues something tries to write it at once, and
# only what the kernel does not take waits for POLLOUT. Invariant: an output finishes a frame before it begins another.
CHILDREN = {}                   # first id of a block -> Child
ROUTES = {}                     # dst -> Child or None: memory of `child_of`, emptied when an interval changes
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
        self.paused = []
        self.want = 0
        self.child = None

    def put(self, kind, s, origin):
        kind &= 3
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
            if self.sent > self.acked and self.sent - self.acked + n > self.window:
                break
            if self.paused:
                dst, = unpack('>I', s[4:8])
                if [x for x in self.paused if x[0] <= dst <= x[1]]:
                    continue
            del bulk[i]
            self.held[2] -= n
            self.sent += n
            self.after = origin, n
            return s
        return EMPTY

    def pump(self):
        # LOCK is held. Writes until the kernel or the queues have no more.
        while 1:
            if not self.now:
                self.now = self.pick()
                if not self.now:
                    break
            try:
                n = os.write(self.fd, self.now)
            except OSError:
                if sys.exc_info()[1].args[0] in (4, 11):
                    break
                if not self.child:
                    die()
                self.now = EMPTY
                self.queues = [[], [], []]
                self.first = []
                self.child.gone = 1
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


def up(kind, s):
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


def large(kind, dst, handle, reply, body):
    # Not in the I/O thread. Waits while much bulk is queued: credit makes room.
    LARGE.acquire()
    more = 1
    while more:
        s = body[:16384]
        body = body[16384:]
        more = len(body)
        while UP.held[2] > 131072:
            CREDIT.acquire()
        send(more and 18 or kind & 32 | 2, dst, handle, reply, s)
    LARGE.release()


def ack(kind, src, reply, body):
    UP.acked += decode(body)
    if UP.acked > UP.sent:
        die()
    LOCK.acquire()
    UP.pump()
    LOCK.release()


class Child:
    def __init__(self, ident, size, owner, slot):
        self.pid = self.ping = self.last = self.owed = self.unacked = self.ended = self.rtt = self.written = 0
        self.frames_in = self.frames_out = self.bytes_in = self.bytes_out = 0
        self.linked = self.heard = self.gone = self.promoted = self.paused = 0
        self.status = self.idle = self.out = None
        self.reason = self.evidence = ''
        self.rest = EMPTY
        self.ident = ident
        self.intervals = [(ident, ident + size)]
        self.owner = owner
        self.slot = slot
        self.served = {}
        self.fds = {}           # descriptor -> which: 1 stdout, 2 stderr, 3 terminal
        self.tty = self.slave = -1

    def event(self, code, s):
        send(1, self.owner, self.slot, 0, major(128, s and 2 or 1) + pack_value(code) + s)

    def shut(self, fd):
        watch(fd, 0)
        READERS.pop(fd, None)
        which = self.fds.pop(fd, 0)
        os.close(fd)
        if which == 1:
            if self.linked:
                self.end('eof')
            self.ended = self.ended or clock() + (self.linked and .25 or 2)

    def end(self, reason):
        self.reason = self.reason or reason
        if self.out.fd >= 0:
            watch(self.out.fd, 0)
            if self.out.fd not in self.fds:
                os.close(self.out.fd)
            self.out.fd = -1
        self.ended = self.ended or clock() + .25

    def slay(self, reason):
        self.reason = self.reason or reason
        try:
            os.kill(-self.pid, 9)
        except OSError:
            pass

    def take(self, fd):
        which = self.fds[fd]
        try:
            s = os.read(fd, which > 1 and 4096 or 65536)
        except OSError:
            if sys.exc_info()[1].args[0] in (4, 11):
                return
            s = EMPTY
        if not s:
            return self.shut(fd)
        self.last = clock()
        self.bytes_in += len(s)
        if self.linked and which == 1:
            if not self.gone:
                self.rest = child_frames(self, self.rest + s)
            return
        if self.linked:
            self.evidence = (self.evidence + text(s, 2000))[-1000:]
            if self.unacked + len(s) > 4096:
                return
        while s:
            self.event(which, byte_string(s[:16384]))
            self.unacked += len(s[:16384])
            s = s[16384:]
        if not self.linked and self.unacked >= 65536:
            for fd in self.fds:
                watch(fd, 0)

    def holds(self, i):
        for lo, hi in self.intervals:
            if lo <= i < hi:
                return True


def clock():
    return os.times()[4]


def child_of(dst):
    if dst in ROUTES:
        return ROUTES[dst]
    if len(ROUTES) > 4096:
        ROUTES.clear()
    ROUTES[dst] = None
    for c in list(CHILDREN.values()):
        if c.linked and c.holds(dst):
            ROUTES[dst] = c
    return ROUTES[dst]


def mine(i):
    for lo, hi in BLOCKS:
        if lo <= i < hi:
            return True


# ---- routing (section 3) ----

def dead(reason, src, reply, asked, evidence):
    if reply:
        send(4, src, reply, 0, pack_value([reason, asked, ME, evidence]))


def forward(link, out, kind, hops, dst, src, auth, handle, reply, body):
    if kind & 3 == 1 and out.held[0] + out.held[1] > 1 << 20:
        if handle == 33:
            COUNT[4] += 1
        else:
            dead('busy', src, not kind & 4 and reply, dst, '')
        return
    s = pack('>4B6I', 236, 1, kind, hops - 1, dst, src, auth, handle, reply, len(body)) + body
    LOCK.acquire()
    out.put(kind, s, link)
    if not out.want:
        out.pump()
    LOCK.release()


def route(*rest):
    route_from(None, *rest)


def child_frames(c, s):
    # All whole frames of s; what is left over comes back. After a bad one, nothing is read any more.
    while len(s) > 27:
        magic, version, kind, hops, dst, src, auth, handle, reply, n = unpack('>4B6I', s[:28])
        if magic != 236 or version != 1 or kind & 195 > 2:
            broken(c, 'bad-frame')
            return EMPTY
        if n > 65536 >> (kind & 2):
            broken(c, 'frame-too-big')
            return EMPTY
        if n + 28 > len(s):
            break
        route_from(c, kind, hops, dst, src, auth, handle, reply, s[28:n + 28])
        s = s[n + 28:]
        if c.gone:
            return EMPTY
    return s


def route_from(link, kind, hops, dst, src, auth, handle, reply, body):
    global OWED
    if link is None:
        if mine(src):
            COUNT[0] += 1
            return
        if kind & 8:
            return multicast(kind, hops, dst, src, auth, handle, reply, body)
        if dst == ME:
            return deliver(kind, src, handle, reply, body)
        if kind & 2:
            OWED += len(body) + 28
    else:
        link.frames_in += 1
        if not link.heard:
            return hello(link, src, handle, body)
        if not link.holds(src):
            COUNT[0] += 1
            return owe(link, kind, body)
        if src == link.ident:
            auth = src
        elif not link.holds(auth):
            COUNT[1] += 1
            return owe(link, kind, body)
        if kind & 8:
            COUNT[1] += 1
            return owe(link, kind, body)
        if dst == ME:
            owe(link, kind, body)
            return from_child(link, kind, src, handle, reply, body)
    c = child_of(dst)
    if hops < 2:
        reason = 'hop-limit'
    elif c and link is None:
        if handle == 9:
            grant_below(c, body)
        c.frames_out += 1
        c.bytes_out += len(body) + 28
        forward(None, c.out, kind, hops, dst, src, auth, handle, reply, body)
        if not c.paused and c.out.held[2] > 262144:
            c.paused = 1
            for lo, hi in c.intervals:
                send(0, PARENT, 5, 0, pack_value([lo, hi - 1]))
        return
    elif c:
        reason = 'no-authority'
    elif mine(dst) or link is None:
        reason = 'no-route'
    else:
        return forward(link, UP, kind, hops, dst, src, auth, handle, reply, body)
    if link:
        owe(link, kind, body)
    if kind & 4:
        reply = 0
    evidence = ''
    for lo, hi, x in LOST:
        if reason == 'no-route' and lo <= dst < hi:
            reason = 'lost'
            evidence = x
    dead(reason, src, reply, dst, evidence)


def owe(link, kind, body):
    if kind & 2:
        link.owed += len(body) + 28
        BUSY[0] = 1


def multicast(kind, hops, dst, src, auth, handle, reply, body):
    global OWED
    if kind & 2 and dst not in GROUPS:
        OWED += len(body) + 28
    if dst not in GROUPS:
        COUNT[3] += 1
        return
    me = 0
    for x in GROUPS[dst]:
        if x == ME:
            me = 1
        elif x in CHILDREN and hops > 1:
            forward(None, CHILDREN[x].out, kind, hops, dst, src, auth, handle, reply, body)
    if me:
        deliver(kind & 247, src, handle, reply, body)
    elif kind & 2:
        OWED += len(body) + 28


def hello(c, src, handle, body):
    if src != c.ident or handle != 1:
        return broken(c, 'bad-hello')
    try:
        if decode(body)[0] != 1:
            return broken(c, 'version')
    except ValueError:
        return broken(c, 'bad-body')
    c.heard = 1
    c.event(6, body)


def from_child(c, kind, src, handle, reply, body):
    # What a child may say to me; everything else is refused.
    near = src == c.ident
    if kind & 4:
        reply = 0
    try:
        if handle > 255:
            f = H.get(handle)
            if f and handle not in LOCAL:
                return f(kind, src, reply, body)
            dead('no-handle', src, reply, ME, '')
        elif handle == 3 and near:
            c.rtt = int((clock() - decode(body) / 1000.) * 1e6)
        elif handle == 4 and near:
            c.out.acked += decode(body)
            if c.out.acked > c.out.sent:
                return broken(c, 'bad-credit')
            LOCK.acquire()
            c.out.pump()
            LOCK.release()
            if c.paused and c.out.held[2] < 65536:
                c.paused = 0
                for lo, hi in c.intervals:
                    send(0, PARENT, 6, 0, pack_value([lo, hi - 1]))
        elif handle in (5, 6) and near:
            lo, hi = decode(body)[:2]
            if not (c.holds(lo) and c.holds(hi)):
                return broken(c, 'bad-pause')
            if handle == 5:
                c.out.paused.append((lo, hi))
            elif (lo, hi) in c.out.paused:
                c.out.paused.remove((lo, hi))
            LOCK.acquire()
            c.out.pump()
            LOCK.release()
        elif handle == 32 and near:
            get_module(c, src, reply, decode(body)[0])
        elif handle in H or handle in (1, 2, 3, 4, 5, 6, 32):
            dead('no-authority', src, reply, ME, '')
        else:
            dead('no-handle', src, reply, ME, '')
    except (ValueError, TypeError, IndexError, KeyError):
        if handle < 32:
            return broken(c, 'bad-body')
        dead('bad-body', src, reply, ME, '')


def broken(link, reason):
    if link is None:
        die()
    link.gone = 1
    link.slay(reason)


def die():
    for c in list(CHILDREN.values()):
        try:
            os.kill(-c.pid, 9)
        except OSError:
            pass
    relay_die()


# ---- blocks and groups ----

def join_interval(v, lo, hi):
    for x in v[:]:
        if x[1] == lo or x[0] == hi:
            v.remove(x)
            lo, hi = min(lo, x[0]), max(hi, x[1])
    v.append((lo, hi))
    ROUTES.clear()


def grant_below(c, body):
    lo, n = decode(body)[:2]
    join_interval(c.intervals, lo, lo + n)


def grant(kind, src, reply, body):
    lo, n = decode(body)[:2]
    join_interval(BLOCKS, lo, lo + n)
    if reply:
        send(1, src, reply, 0, pack_value(None))


def group(kind, src, reply, body):
    gid, v = decode(body)[:2]
    if gid not in GROUPS and len(GROUPS) > 63:
        return dead('group-limit', src, reply, ME, '')
    members = GROUPS[gid] = []
    for c in list(CHILDREN.values()):
        part = []
        for i in range(0, len(v), 2):
            for lo, hi in c.intervals:
                lo, hi = max(lo, v[i]), min(hi, v[i + 1])
                if lo < hi:
                    part += [lo, hi]
        if part and c.linked:
            members.append(c.ident)
            send(0, c.ident, 10, 0, pack_value([gid, part]))
    for i in range(0, len(v), 2):
        if v[i] <= ME < v[i + 1]:
            members.append(ME)


def ungroup(kind, src, reply, body):
    gid = decode(body)[0]
    for x in GROUPS.pop(gid, []):
        if x in CHILDREN:
            send(0, x, 11, 0, body)


# ---- children (section 7) ----

def start(c, argv, env, mode):
    # The process of c; raises OSError. What exec says comes back through a pipe that a success closes.
    pipes = []
    slave = -1
    ours = []
    try:
        if mode != 1:
            for i in range(3):
                pipes += os.pipe()
        if mode:
            master, slave = os.openpty()
            ours.append(master)
            name = os.ttyname(slave)
        said = os.pipe()
        for fd in pipes + list(said) + ours:
            keep(fd)
        c.pid = os.fork()
    except OSError:
        for fd in pipes + ours + [slave]:
            if fd >= 0:
                os.close(fd)
        raise
    if not c.pid:
        try:
            try:
                os.setsid()
                for i in range(1, 65):
                    try:
                        SIGNAL.signal(i, SIGNAL.SIG_DFL)
                    except:
                        pass
                if mode:
                    fd = os.open(name, 2)
                if mode == 1:
                    v = [fd, fd, fd]
                else:
                    v = [pipes[0], pipes[3], pipes[5]]
                for i in 0, 1, 2:
                    os.dup2(v[i], i)
                x = dict(os.environ)
                for i in env:
                    if env[i] is None:
                        x.pop(str(i), None)
                    else:
                        x[str(i)] = str(env[i])
                os.execvpe(argv[0], argv, x)
            except OSError:
                os.write(said[1], pack('>I', sys.exc_info()[1].args[0]))
        finally:
            os._exit(127)
    os.close(said[1])
    if mode == 2:
        c.slave = keep(slave)   # nobody else holds it once exec closed the child's own: the terminal would end at once
    elif mode:
        os.close(slave)
    if mode == 1:
        c.fds = {ours[0]: 1}
        stdin = ours[0]
    else:
        for fd in pipes[0], pipes[3], pipes[5]:
            os.close(fd)
        stdin = pipes[1]
        c.fds = {pipes[2]: 1, pipes[4]: 2}
        if mode:
            c.tty = ours[0]
            c.fds[c.tty] = 3
    s = os.read(said[0], 4)
    os.close(said[0])
    c.out = Output(nonblock(stdin), 262144)
    c.out.child = c
    for fd in c.fds:
        nonblock(fd)
    if s:
        os.waitpid(c.pid, 0)
        if c.slave >= 0:
            os.close(c.slave)
        for fd in c.fds:
            if fd != stdin:
                os.close(fd)
        os.close(stdin)
        raise OSError(*unpack('>I', s))
    for fd in c.fds:
        READERS[fd] = c.take
        watch(fd, 1)


def spawn(kind, src, reply, body):
    m = decode(body)
    ident, size = m[0], m[1]
    for c in CHILDREN.values():
        for lo, hi in c.intervals:
            if ident < hi and lo < ident + size:
                raise ValueError
    if not mine(ident) or not mine(ident + size - 1) or ident == ME:
        raise ValueError
    c = Child(ident, size, src, reply)
    STATS[7] += 1
    try:
        start(c, m[2], m.get(3) or {}, m.get(4, 0))
    except OSError:
        n = sys.exc_info()[1].args[0]
        s = '%s: %s' % (text(m[2][0], 200), os.strerror(n))
        return send(1, src, reply, 0, pack_value([7, s, n]))
    CHILDREN[ident] = c
    c.event(0, pack_value(c.pid))


def raw(kind, src, reply, body):
    m = decode(body)
    c = CHILDREN.get(m[0])
    if not c or c.ended:
        return
    if m[1] == 0 and not c.linked:
        c.out.first.append((m[2], 1))
        LOCK.acquire()
        c.out.pump()
        LOCK.release()
    elif m[1] == 1 and c.tty >= 0:
        os.write(c.tty, m[2])
        c.event(4, pack_value(len(m[2])))
    elif m[1] == 2:
        c.unacked = max(0, c.unacked - m[2])
        if c.unacked < 32768:
            for fd in c.fds:
                watch(fd, 1)
    elif m[1] == 3 and not c.linked and c.out.fd not in c.fds:
        c.end('')
        c.ended = 0


def promote(kind, src, reply, body):
    ident, s = decode(body)[:2]
    c = CHILDREN.get(ident)
    if not c or c.linked:
        return
    c.linked = c.promoted = 1
    c.idle = decode(s).get(2, 0) / 1000. or None
    c.last = c.ping = clock()
    ROUTES.clear()
    c.out.first.append((pack('>4B6I', 236, 1, 0, 64, ident, ME, ME, 1, 0, len(s)) + s, 0))
    LOCK.acquire()
    c.out.pump()
    LOCK.release()


def kill_child(kind, src, reply, body):
    c = CHILDREN.get(decode(body)[0])
    if c:
        c.gone = c.linked
        c.slay('killed')


def finish(c):
    for fd in list(c.fds):
        c.shut(fd)
    c.end(c.reason)
    del CHILDREN[c.ident]
    ROUTES.clear()
    for slot in list(WAITING):
        WAITING[slot] = [x for x in WAITING[slot] if x[0] is not c]
    if c.promoted:
        s = pack_value(c.reason or 'eof') + pack_value(c.status) + pack_value(c.evidence[-500:])
        send(1, c.owner, c.slot, 0, major(128, 4) + pack_value(8) + s)
        for lo, hi in c.intervals:
            LOST.append((lo, hi, c.evidence[-200:]))
        del LOST[:-64]
    else:
        c.event(5, pack_value(c.status or 0))


def reap(now):
    for c in list(CHILDREN.values()):
        if c.status is None and (c.ended or c.gone or c.reason):
            try:
                pid, status = os.waitpid(c.pid, 1)
            except OSError:
                pid, status = c.pid, 0
            if pid:
                c.status = status
                if c.slave >= 0:
                    os.close(c.slave)
                    c.slave = -1
                c.ended = now + .25
            elif c.ended and now > c.ended:
                c.slay('')
        if c.status is not None and (not c.fds or now > c.ended):
            finish(c)


# ---- modules (section 11) ----

def entry_bytes(e):
    if len(e) < 7:
        return pack_value(e[:2])
    return major(128, 7) + EMPTY.join([pack_value(x) for x in e[:3]]) + byte_string(e[3]) + pack_value(e[4]) + pack_value(e[5]) + byte_string(e[6])


def get_module(c, src, reply, name):
    if name in CACHE:
        return serve(c, src, reply, name)
    if name in WAITING:
        return WAITING[name].append((c, src, reply))
    WAITING[name] = [(c, src, reply)]
    STATS[6] += 1

    def answer(kind, src, reply, body):
        if src != PARENT:
            COUNT[2] += 1
            return
        del H[slot], LOCAL[slot]
        if kind & 4:
            for c, src, reply in WAITING.pop(name):
                if c.ident in CHILDREN:
                    send(4, src, reply, 0, body)
            return
        for e in decode(body):
            remember(e)
        for c, src, reply in WAITING.pop(name):
            if c.ident in CHILDREN:
                serve(c, src, reply, name)

    slot = id(answer) % (1 << 31) + 256
    H[slot] = answer
    LOCAL[slot] = 1
    send(1, PARENT, 32, slot, pack_value([name]))


LOCAL = {}


def remember(e):
    name = e[0]
    if name not in CACHE:
        CACHED[1].append(name)
        CACHED[0] += len(e) > 6 and len(e[6])
    CACHE[name] = e
    while CACHED[0] > 1 << 26:
        x = CACHE.pop(CACHED[1].pop(0))
        CACHED[0] -= len(x) > 6 and len(x[6])
    STATS[5] = len(CACHE)


def serve(c, src, reply, name):
    # The entry and what it imports, as far as it is here and was not sent over this link.
    todo = [name]
    out = []
    while todo:
        x = todo.pop(0)
        e = CACHE.get(x)
        if not e or out and x in c.served:
            continue
        c.served[x] = 1
        out.append(entry_bytes(e))
        if len(e) > 6:
            todo += [y for y in e[4] if y not in c.served]
    body = major(128, len(out)) + EMPTY.join(out)
    if len(body) <= 65536:
        return send(1, src, reply, 0, body)
    LOCK.acquire()
    while body:
        s = body[:16384]
        body = body[16384:]
        c.out.put(2, pack('>4B6I', 236, 1, body and 18 or 2, 64, src, ME, ME, reply, 0, len(s)) + s, None)
    c.out.pump()
    LOCK.release()


# ---- the loop ----

def heartbeat(now):
    for c in list(CHILDREN.values()):
        if c.linked and c.idle and not c.gone:
            if now - c.ping > min(5, max(.5, c.idle / 3)):
                c.ping = now
                send(0, c.ident, 2, 0, pack_value(int(now * 1000)))
            if now - c.last > c.idle:
                broken(c, 'silent')


def settle():
    # What outputs have asked for: watching for room, acknowledgements, reports of RAW written.
    global OWED
    BUSY[0] = 0
    watch(OUT, UP.want)
    if OWED:
        n = OWED
        OWED = 0
        send(0, PARENT, 4, 0, pack_value(n))
    for c in list(CHILDREN.values()):
        if c.owed and c.linked:
            n = c.owed
            c.owed = 0
            send(0, c.ident, 4, 0, pack_value(n))
        if c.written:
            n = c.written
            c.written = 0
            c.event(4, pack_value(n))
        fd = c.out.fd
        if fd >= 0:
            watch(fd, c.out.want | (fd in c.fds and 1))


BEAT = [0]


def turn():
    global LAST, REST
    soon = 500
    for c in CHILDREN.values():
        if c.ended or c.gone or c.reason:
            soon = 20
    try:
        ready = POLLER.poll(soon)
    except (OSError, select.error):
        return again()
    now = clock()
    for fd, mask in ready:
        if fd == IN:
            try:
                x = os.read(IN, 65536)
            except OSError:
                again()
                continue
            if not x:
                die()
            LAST = now
            REST = parse(REST + x)
        elif fd in READERS and mask & 27:
            READERS[fd](fd)
        elif fd in PIPES:
            drain(1)
        elif fd == WAKE[0]:
            os.read(fd, 512)
        if mask & 4:
            LOCK.acquire()
            for o in [UP] + [c.out for c in CHILDREN.values()]:
                if o.fd == fd:
                    o.pump()
            LOCK.release()
    if BUSY[0] or OWED:
        settle()
    if soon < 500 or now - BEAT[0] > .4:
        BEAT[0] = now
        reap(now)
        heartbeat(now)
        if IDLE and now - LAST > IDLE:
            die()


BUSY = [0]
WAKE = os.pipe()
IO_THREAD = thread.get_ident()
UP = Output(OUT, 262144)
UP.sent, UP.acked = SENT, ACKED
fcntl.fcntl(OUT, 4, os.O_NONBLOCK)
for x in WAKE:
    nonblock(x)
LAST = clock()
for x in [IN, WAKE[0]] + list(PIPES):
    watch(x, 1)
H.update({4: ack, 9: grant, 10: group, 11: ungroup, 16: spawn, 17: raw, 18: promote, 19: kill_child})
