# The outputs: what goes to the parent and to each child, in which order, and what is said about what finds no room there.
#
# No descriptor that is written blocks; whoever queues something tries to write it at once, and only what the kernel does not
# take waits for POLLOUT. Invariant: an output finishes a frame before it begins another.


def belongs(x, y):
    # Whether the queued frame x goes to the interval y.
    return y[0] <= unpack('>I', (x[0] + (EMPTY + x[1][:8]))[4:8])[0] < y[1]


def refused(out, kind, dst, src, handle, reply, body):
    # A call that finds a full queue: who sent it is told, and, if it is an answer, who waits for it. A log record is dropped: what is lost with it is the
    # lines of its text, one at least, and what it says is lost already.
    if handle == 33:
        n = 0
        lines = 1
        try:
            x = decode(body)
            lines = max(x[2].count('\n'), len(x[2]) > 0)
            n = number(x[3])
        except:
            pass
        LOCK.acquire()
        STATS[4] += lines
        out.lost += lines + n
        LOCK.release()
    elif not kind & 4 and src == ME and handle < 256:
        # My own question: there is nobody above who would tell me.
        reply in H and H[reply](4, PARENT, 0, pack_value(['busy', dst, ME, '']))
    elif not kind & 4:
        dead('busy', src, reply, dst, '')
        if handle > 255 and not (reply and out.child):
            dead('busy', dst, handle, src, '')


class Many:
    # Stands for where they came from with the frames of one Output that go to a group: they heed no PAUSE, and do not count for
    # one, as their members are not told apart here. What waits of them is at most what these gave credit for.
    def __init__(self):
        self.owed = 0           # minus the bytes that wait


class Output:
    # One direction of a link: what goes first (RAW, HELLO), then control, call and bulk frames.
    def __init__(self, fd, most):
        self.fd = fd
        self.first = []         # bytes, and whether to report them as written; 2: what was before is written, the end (RAW, op 3)
        self.queues = [[], [], []]
        self.held = [0, 0, 0]
        self.own = 0            # of the bulk that waits: what came from no child, and counts for nobody else
        self.now = EMPTY        # what is being written
        self.after = None       # child whose bulk frame that is, and its bytes
        self.run = 0            # bytes of calls since the last bulk frame
        self.sent = self.acked = 0
        self.hop = new_hop(most)
        self.many = Many()
        self.paused = []        # intervals, one for each PAUSE without its RESUME
        self.whole = 0          # PAUSEs beyond PAUSED_MAX: they hold everything
        self.want = 0
        self.child = None
        self.lost = 0           # lines that found no room here: to be said to the master
        self.tags = {}          # flow of bulk -> the tag of its last frame
        self.tag = 0            # of the last frame that was written
        self.head = self.flow = None    # of the last frame that came
        self.notices = {}       # share of the ids behind a child -> bytes of notices since no control waited

    def counted(self, n):
        if self.child:
            self.child.frames_out += 1
            self.child.bytes_out += n

    def too_many(self, s):
        # Whether the notice s is dropped: somebody behind the child has got too many, which must not end a link that is others' too.
        dst = unpack('>I', s[4:8])[0]
        if not self.held[0]:
            self.notices = {}
        i = dst // 8 % NOTICE_SHARES
        n = self.notices[i] = self.notices.get(i, 0) + len(s)
        if n > NOTICES_EACH and self.held[0] > NOTICES_AT and dst != self.child.ident:
            COUNT[2] += 1
            return 1

    def put(self, kind, s, origin, rest=EMPTY):
        # The frame s + rest (of what is passed on only the first word is new). In front of it goes what was lost: it stands where
        # the lines are missing, and nobody has the answer of a call before. (At most one for each frame beyond the bound.)
        if self.lost and not self.child and self.held[1] < ANSWERS_MAX:
            x = pack_value([30, '', '', self.lost])
            self.lost = 0
            self.put(1, pack('>4B6I', 236, 1, 1, HOPS, 0, ME, ME, 33, 0, len(x)) + x, None)
        if kind & 7 == 4 and self.child and self.too_many(s):
            return
        kind &= 3
        n = len(s) + len(rest)
        if not kind and self.held[0] + n > CONTROL_MAX:
            return broken(self.child, 'queue-overflow')
        self.held[kind] += n
        self.counted(n)
        x = s, rest, origin, n
        v = self.queues[kind]
        if kind == 2:
            if origin is None:
                self.own += n
            # Flows take turns, by bytes (self-clocked fair queueing, Golestani 1994): a frame's tag is how far its flow has come,
            # and the smallest goes first.
            if not v or len(self.tags) > 4096 + 2 * len(v):
                self.tags = dict([y for y in self.tags.items() if v and y[1] > self.tag])
            h = s[4:24] or EMPTY + rest[:20]
            if h != self.head:
                self.head = h
                dst, src, auth, handle, reply = unpack('>5I', h)
                self.flow = dst, src, reply and handle > 255 and handle
            tag = self.tags[self.flow] = max(self.tags.get(self.flow, 0), self.tag) + n
            lo, hi = 0, len(v)
            if v and v[-1][4] > tag:
                x = s, EMPTY + rest, origin, n
            else:
                lo = hi
            while lo < hi:
                i = (lo + hi) // 2
                if v[i][4] > tag:
                    hi = i
                else:
                    lo = i + 1
            return v.insert(lo, x + (tag,))
        v.append(x)

    def put_run(self, kind, head, origin, share, at, n, k):
        # k bulk frames of n bytes that differ in their bodies only: each is `head`, and behind it what `share` has from 4 bytes on.
        v = self.queues[2]
        self.put(kind, head, origin, share[at + 4:at + n])
        tag = self.tags[self.flow]
        m = v[-1][4] == tag and k - 1
        for i in range(1, k):
            at += n
            tag += n
            if m:
                v.append((head, share[at + 4:at + n], origin, n, tag))  # behind it, as they are its flow's
            else:
                self.put(kind, head, origin, share[at + 4:at + n])
        if m:
            self.tags[self.flow] = tag
            self.held[2] += m * n
            if origin is None:
                self.own += m * n
            if self.child:
                self.child.frames_out += m
                self.child.bytes_out += m * n

    def write_run(self, head, origin, share, at, n, k):
        # As put_run, but written at once, where nothing waits. How many frames of it have been begun.
        m = min(k, (self.hop[0] - self.sent + self.acked) // n)
        if m < 1 or self.held != NONE or self.want or self.now or self.first or self.lost or self.paused or self.whole:
            return 0
        v = []
        for i in range(m):
            v.append(head)
            v.append(share[at + 4:at + n])
            at += n
        self.sent += m * n      # first: its ACK may come before writev returns
        try:
            size = writev(self.fd, v)
        except (OSError, ValueError):
            size = 0            # pump finds out
        widen(self.fd)
        whole = begun = size // n
        if size > whole * n:
            begun += 1
            self.now = (head + v[2 * whole + 1])[size - whole * n:]
            self.after = origin, n
            self.want = 4
        self.sent -= (m - begun) * n
        if origin and whole:
            origin.owed += whole * n
        BUSY[0] = 1
        if self.child:
            self.child.frames_out += begun
            self.child.bytes_out += begun * n
        return begun

    def pick(self):
        # What is written next, to its end: bytes, but no bulk.
        control, calls, bulk = self.queues
        self.after = None
        if self.first:
            return self.first[0][0]
        if control or calls and (self.run < CALL_RUN_MAX or not bulk):
            i = not control
            x = self.queues[i]
            n = m = 0
            for y in x[:16]:
                m += y[3]
                if n and m > 65536:
                    break
                n += 1
            s = EMPTY.join([y[0] for y in x[:n]])
            del x[:n]
            self.held[i] -= len(s)
            self.run += i and len(s)
            return s
        self.run = 0
        return EMPTY

    def pick_bulk(self):
        # As many bulk frames as go with one write: credit for all of them, and one only before calls.
        v = []
        n = self.sent - self.acked
        room = n + 262144
        for x in self.queues[2]:
            if (self.whole or self.paused) and self.is_paused(x):
                continue
            n += x[3]
            if n > x[3] and n > self.hop[0]:
                v or ran_dry(self.hop, self.sent)
                break
            if v and (n > room or self.queues[1] or len(v) > 63):
                break
            v.append(x)
        return v

    def is_paused(self, x):
        return x[2] is not self.many and (self.whole or [y for y in self.paused if belongs(x, y)])

    def straight(self, kind, s):
        # Writes the frame s, which is not bulk: at once where nothing waits.
        n = 0
        LOCK.acquire()
        if self.held == NONE and not self.now and not self.first and not self.lost:
            try:
                n = os.write(self.fd, s)
            except OSError:
                pass            # pump finds out
        if n:
            self.counted(len(s))
        else:
            self.put(kind, s, None)
        if n < len(s):
            if n:
                self.now = s[n:]
                self.after = None
            self.pump()
        LOCK.release()

    def pump(self):
        # LOCK is held. Writes until the kernel or the queues have no more.
        full = v = 0
        while not full:
            if not self.now:
                if self.first and self.first[0][1] > 1:
                    BUSY[0] = 1         # `settle` closes it
                    break
                self.now = self.pick()
                v = not self.now and self.pick_bulk()
                if not self.now and not v:
                    break
                for x in v or ():
                    self.sent += x[3]   # first: its ACK may come before writev returns
            try:
                if v:
                    n = writev(self.fd, [y for x in v for y in x[:2]])
                else:
                    n = os.write(self.fd, self.now)
            except (OSError, ValueError):
                if sys.exc_info()[1].args[0] in (4, 11):
                    full = 4
                    for x in v or ():
                        self.sent -= x[3]
                    break
                c = self.child
                if not c:
                    die()
                # Nobody reads it any more, or the terminal is gone. What is no link yet may go on; RAW counts as written.
                for x in self.first:
                    c.written += x[1] and len(x[0])
                self.now = EMPTY
                self.queues = [[], [], []]
                self.held = [0, 0, 0]
                self.own = 0
                self.first = []
                BUSY[0] = 1
                if c.linked:
                    c.gone = c.deaf = SOON[0] = 1
                break
            if v:
                widen(self.fd)
                # Those that were written, and of the one that was cut the rest; the others stay where they are.
                for x in v:
                    if n <= 0:
                        full = 4
                        self.sent -= x[3]
                        continue
                    self.queues[2].remove(x)
                    self.held[2] -= x[3]
                    if x[2] is None:
                        self.own -= x[3]
                    self.tag = x[4]
                    if n < x[3]:
                        self.now = (x[0] + x[1])[n:]
                        self.after = x[2:4]
                        full = 4
                    elif x[2]:
                        x[2].owed += x[3]
                        BUSY[0] = 1
                    n -= x[3]
                v = 0
                continue
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
        if CREDIT.locked() and self.own < RELAY_HELD:
            CREDIT.release()
        want = full
        if self.now or self.first or self.held[0] + self.held[1]:
            want = 4
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


def relay_up(kind, s, said=None):
    # Any frame of our own: to the parent, or down to a child. The bounds are those of `forward`. Once it is queued, something is in `said`.
    dst, src, auth, handle = unpack('>4I', s[4:20])
    child = child_of(dst)
    out = child and child.out or UP
    # Looked at with the lock held: many threads may answer at once, and each would find room.
    LOCK.acquire()
    try:
        n = out.held[0] + out.held[1] + len(s)
        full = kind & 3 == 1 and n > QUEUE_MAX and (child or handle == 33 or n > ANSWERS_MAX)
        if not full:
            if kind & 131 == 2 and SENT == COUNTED:
                UP.sent -= len(s)       # of the core's `large`, and counted when this part came: it is again when it is written
            out.put(kind, s, None)
            said is None or said.append(1)
            out.pump()
    finally:
        LOCK.release()
    if full:
        refused(out, kind, dst, src, handle, unpack('>I', s[20:24])[0], s[28:])
    wake()


def relay_large(kind, dst, handle, reply, body):
    # Not in the I/O thread. Waits while much bulk of our own is queued: credit makes room. (With that of the children counted, busy
    # ones would keep it from ever sending.)
    LARGE.acquire()
    try:
        c = child_of(dst)
        out = c and c.out or UP
        for i in range(0, len(body) or 1, BULK_BODY_MAX):
            while out.own > RELAY_HELD:
                CREDIT.acquire()
            s = EMPTY + body[i:i + BULK_BODY_MAX]
            more = i + BULK_BODY_MAX < len(body)
            LOCK.acquire()
            out.put(2, pack('>4B6I', 236, 1, bulk_kind(kind, more), HOPS, dst, ME, ME, handle, reply, len(s)), None, s)
            if not more or out.own > RELAY_PUMP_AT:
                out.pump()
            LOCK.release()
            wake()
    finally:
        LARGE.release()


def ack(kind, src, reply, body):
    global ACKED
    n = decode(body)
    UP.acked += n
    ACKED += n                  # a thread may still be in the core's `large`
    if UP.acked > UP.sent:
        die()
    sample(UP.hop, UP.acked)
    if UP.held[2] or CREDIT.locked():
        flush(UP)
