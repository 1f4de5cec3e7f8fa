# What every part that moves bulk brings (whichever comes first): the window of a link, and of a stream.
#
# A hop's window follows its link as in router/credit.c, where the reasons are. What is measured here is the time until all that
# was in flight when credit ran out is acknowledged. A stream's window is widened as in router/stream.c.
PIECE = 229768                  # of one read: fourteen full frames, so that no frame of bulk is cut
pack('600000x')                 # Once so much was freed, glibc keeps twice that and takes no new pages for each PIECE: mallopt(3).
FRESH = H.setdefault('fresh', [])   # connections with something to write, once all that was read with it has been parsed


LATE = H.setdefault('late', {})     # thread that writes -> what it has sent meanwhile: see bulk_up


stamp = getattr(time, 'monotonic', time.time)   # finer than `clock`; the first, of 3.3 and later, is never set
TICKS_S = float(1 << 32) / os.sysconf('SC_CLK_TCK')
TIMES = H.setdefault('times', [(os.times()[4], 0)])     # of the last look: the system's time, and ours


def clock():
    # Seconds since the first part came, monotonic on every version. What os.times() has of a 32-bit system is a signed number of ticks:
    # it begins anywhere, and after 2 ** 31 - 1 comes - 2 ** 31. (So it is at most 248 days later than at the last look; any other step
    # back, as of called code's own os.times, is none. Any thread: what stands in TIMES was seen before who takes it from there looks.)
    x, n = TIMES[0]
    now = os.times()[4]
    x = (now - x) % TICKS_S
    if x < TICKS_S / 2:
        n += x
    TIMES[0] = now, n
    return n


def joined_write(fd, v):
    return os.write(fd, EMPTY.join(v))


def whole(s):
    return s


writev = getattr(os, 'writev', joined_write)    # Python 3.3 and later
write_once = getattr(os, 'writev', os.write)    # the same as one step (see lazy), of what `gathered` makes of the pieces
gathered = hasattr(os, 'writev') and whole or EMPTY.join


def lazy(name, new):
    # map or zip as Python 3 has them. A signal handler of called code is run between two steps of Python, and what
    # `v.extend(lazy(...)(...))` does is one: it is in v once it is done, whatever the handler raises. (Python 2's logging has imported
    # itertools by the first call.)
    return getattr(sys.modules.get('itertools'), name, new)


def attempt(lock, wait, f, *args):
    # [f(*args)] with the lock, which nothing that a handler raises leaves locked; None if it is not to be waited for, and is not free.
    had = []
    freed = []

    def let_go():
        if had and had[0] and not freed:
            freed.extend(lazy('izip', zip)([0], iter(lock.release, 0)))

    try:
        try:
            had.extend(lazy('imap', map)(lock.acquire, [wait]))
            if had[0]:
                return [f(*args)]
        finally:
            let_go()
    finally:
        let_go()                # the handler may raise while f's exception is under way


def holding(lock, f, *args):
    return attempt(lock, 1, f, *args)[0]


best = getattr(sys.modules.get('builtins'), 'memoryview', whole)    # what slices without a copy
try:
    EMPTY.join([best(EMPTY)])                   # 3.4 and later
except TypeError:
    best = whole
view = best                     # and nothing else meanwhile: a second part brings this again, and other threads call it


def write_fresh():
    while FRESH:
        FRESH.pop().write_out()


def parse(s):
    # As the core's, but what is left over is copied once.
    at = 0
    while len(s) - at > 27:
        x = unpack('>4B6I', s[at:at + 28])
        n = x[9] + 28
        if x[:2] != (236, 1) or x[2] & 195 > 2 or x[9] > FRAME_BODY_MAX >> (x[2] & 2):
            die()
        if n > len(s) - at:
            break
        route(*x[2:9] + (s[at + 28:at + n],))
        at += n
    write_fresh()
    return s[at:]


def bulk_turn():
    # With pieces as large as bulk comes in.
    leaf_turn(PIECE - len(REST))


def number(n, low=0, high=1 << 64):
    # n, if it is an integer from low to below high.
    if isinstance(n, bool) or not isinstance(n, (int, type(1 << 64))) or not low <= n < high:
        raise ValueError
    return n


def no_cancel(kind, src, reply, body):
    # CANCEL of what no part knows, any more or at all.
    decode(body)[0]


def no_credit(kind, src, reply, body):
    # CREDIT for what no part knows.
    notice('no-handle', src, reply)


def new_hop(most):
    # Window; bytes sent when credit ran out (0: that is not measured at the moment); when; best time; whether one was too long;
    # the largest window.
    return [HOP_WINDOW_MIN, 0, 0, 1e9, 0, most]


def ran_dry(hop, sent):
    if not hop[1]:
        hop[2] = stamp()
        hop[1] = sent


def sample(hop, acked):
    if not 0 < hop[1] <= acked:
        return
    hop[1] = 0
    t = (stamp() - hop[2]) * 1e3
    if not 0 < t < 1e6:
        return                  # the clock was changed
    hop[3] = min(hop[3], t)
    over = t - hop[3]
    n = hop[0]
    queue = n * over / t
    if over > max(10, hop[3] / 4) and queue > 49236:
        n -= n // (hop[4] and 4 or 2)
        hop[4] = 1
    elif over <= max(3, hop[3] / 16) or not hop[4] and queue <= 32824:
        n += hop[4] and n // 4 or n
    hop[0] = min(max(n, HOP_WINDOW_MIN), hop[5])


def bulk_kind(kind, more):
    # Of a piece of a message, or (128) of a stream, whose frames stand for themselves.
    return more and (kind & 128 and 2 or 18) or kind & 36 | 2


def behind(v, n):
    # The pieces v without their first n bytes.
    i = 0
    while i < len(v) and n >= len(v[i]):
        n -= len(v[i])
        i += 1
    v = v[i:]
    if n:
        v[0] = v[0][n:]
    return v


def persist(f, freed, raised):
    # f, which does the next steps, until `freed` says that all is done. What f raises is of the write itself, an error of the system
    # from a step of ours, or was raised by what interrupted it. (By the step alone it is not told: a handler in C, as that of SIGINT,
    # has none of its own.)
    while not freed:
        try:
            f()
        except:
            x, tb = sys.exc_info()[1:]
            while tb.tb_next:
                tb = tb.tb_next
            if isinstance(x, (EnvironmentError, select.error)) and tb.tb_frame.f_globals is globals():
                again()
            else:
                raised.append(x)
            x = tb = None


def write_all(v, bulk, said):
    # All of v, pieces of frames, which are taken out of it once they are written and never joined. What interrupts this thread
    # meanwhile, a signal handler of called code or a __del__, may log: see bulk_up (from before the lock is had, lest it be waited
    # for by who has it). What it raises, as a time limit of called code's own, is raised here once nothing is half written and the
    # lock is free. It may come at any step: so each can be done again, and what must not be is noted as it is done (see lazy). The
    # jump back to the begin of a loop is a step as well, of 3.12 and later outside of any `try` in that loop: hence the functions,
    # and the second `persist` for what comes while the first looks at an exception. Once all is written, something is in `said`.
    me = thread.get_ident()
    sent = SENT                 # LARGE is had if this is bulk: nobody else counts
    raised, had, freed, ours, done, late = [], [], said, [], [], []

    def left():
        return behind((ours and v or []) + late, sum(done))

    def write():
        global SENT
        LATE[me] = late, freed
        if not had:
            had.extend(lazy('imap', map)(LOCK.acquire, [1]))
        ours[:] = not (bulk and 16 in H) and [1] or []
        if bulk and ours:
            SENT = sent + sum([len(s) for s in v])
        s = left()
        while s:
            select.select([], [OUT], [], IDLE)[1] or die()
            done.extend(lazy('imap', map)(write_once, [OUT], [gathered(s)]))
            s = left()
        freed.extend(lazy('izip', zip)([0], iter(LOCK.release, 0)))

    def once():
        persist(write, freed, raised)

    persist(once, freed, raised)
    late = late and left()      # by what came just before the release
    LATE.pop(me, 0)
    if ours:
        del v[:]
    for s in late:
        up(1, s)
    if raised:
        raise raised.pop()


def bulk_up(kind, s, said=None):
    # As the core's; but what this thread sends while it writes already (interrupted, see write_all) goes behind that.
    late, freed = LATE.get(thread.get_ident(), (0, 1))
    if said is None:
        said = []
    if freed:
        write_all([s], 0, said)
    else:
        late.append(s)
        said.append(1)


def up_all(v):
    # As `up`, of several frames in pieces. They count as sent from here on, with the lock held: what `relay` (which comes with the
    # lock held) finds counted was written, and it counts the rest.
    write_all(v, 1, [])
    for i in range(0, len(v), 2):
        up(130, EMPTY.join(v[i:i + 2]))


def bulk_large(*args):
    holding(LARGE, bulk_pieces, *args)      # a handler of called code may raise while credit is waited for


def bulk_pieces(kind, dst, handle, reply, body):
    # As the core's `large`, but the last frame keeps END, nothing is a frame too, and up to fourteen are written at once. Once `relay`
    # is here it has the credit.
    v = []
    held = 0                    # bytes in v
    share = view(body)
    for i in range(0, len(body) or 1, BULK_BODY_MAX):
        s = share[i:i + BULK_BODY_MAX]
        n = len(s) + 28
        while len(v) > 27 or SENT + held > ACKED and SENT + held - ACKED + n > LEAF_HOP[0] and 16 not in H:
            if v:
                up_all(v)       # before anything is waited for
                v = []
                held = 0
            else:
                ran_dry(LEAF_HOP, SENT)
                CREDIT.acquire()
        held += n
        more = i + BULK_BODY_MAX < len(body)
        v.append(pack('>4B6I', 236, 1, bulk_kind(kind, more), HOPS, dst, ME, ME, handle, reply, n - 28))
        v.append(s)
    up_all(v)


def bulk_ack(kind, src, reply, body):
    global ACKED
    ACKED += decode(body)
    if ACKED > SENT:
        die()
    sample(LEAF_HOP, ACKED)
    if CREDIT.locked():
        CREDIT.release()


def widen_stream(x, streams):
    # The other end of x says with an empty frame that it stands still for want of credit. If all of the window was used, and
    # what came is consumed soon, it gets as much again.
    n = x.window
    if x.arrived >= x.tried and (x.arrived - x.given - x.owed) * 4 <= n < STREAM_WINDOW_MAX and \
            sum([y.window for y in list(streams.values())]) + n <= len(streams) * 262144 + STREAM_WIDENED_MAX:
        x.window += n
        x.tried = x.given + x.window
        send(0, x.dst, 34, 0, pack_value([x.far, n]))


if 16 not in H and H[4] is ack:
    LEAF_HOP = new_hop(LEAF_HOP_MAX)
    leaf_turn = turn
    turn = bulk_turn
    large = bulk_large
    H[4] = bulk_ack
