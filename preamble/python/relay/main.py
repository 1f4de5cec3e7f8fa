# The relay's loop: poll in place of the core's select, acknowledgements, heartbeats, the end of children.

def heartbeat(now):
    for c in list(CHILDREN.values()):
        if c.linked and c.idle and not c.gone:
            if now - c.ping > min(5, max(.5, c.idle / 3)):
                c.ping = now
                send(0, c.ident, 2, 0, pack_value(int(now * 1000)))
            if now - c.last > c.idle:
                broken(c, 'silent')


def acknowledge(out, dst, n):
    s = pack_value(n)
    out.straight(0, pack('>4B6I', 236, 1, 0, HOPS, dst, ME, ME, 4, 0, len(s)) + s)


def settle():
    # What outputs have asked for: watching for room, acknowledgements, reports of RAW written.
    global OWED
    BUSY[0] = 0
    watch(UP.fd, UP.want)
    if OWED:
        n = OWED
        OWED = 0
        acknowledge(UP, PARENT, n)
    for c in list(CHILDREN.values()):
        if c.owed and c.linked:
            n = c.owed
            c.owed = 0
            c.taken -= n
            acknowledge(c.out, c.ident, n)
        if c.out.first and c.out.first[0][1] > 1:
            # Its stdin ends here. What comes behind that nobody reads: to no descriptor it counts as written.
            n = c.ended
            c.end('')
            c.ended = n
            LOCK.acquire()
            del c.out.first[0]
            c.out.pump()
            LOCK.release()
        if c.written:
            n = c.written
            c.written = 0
            c.event(4, pack_value(n))
        fd = c.out.fd
        if fd >= 0:
            watch(fd, c.out.want | (fd in c.fds and 1))


BEAT = [0]


def relay_turn():
    global LAST, REST
    try:
        ready = POLLER.poll(SOON[0] and REAP_MS or RELAY_LOOK_MS)
    except (OSError, select.error):
        return again()
    now = NOW[0] = clock()
    for fd, mask in ready:
        if fd == relay_in:
            try:
                x = os.read(fd, fd in WIDE and PIECE - len(REST) or READ_MAX)
            except OSError:
                again()
                continue
            if not x:
                die()
            if len(x) > 65535:
                widen(fd)
            LAST = now
            REST = heard(None, REST, x)
        elif fd in READERS and mask & 27:
            READERS[fd](fd)
        elif fd in PIPES:
            drain(1)
        elif fd == WAKE[0]:
            os.read(fd, 512)
            started()
        if mask & 4:
            LOCK.acquire()
            for o in [UP] + [c.out for c in CHILDREN.values()]:
                if o.fd == fd:
                    o.pump()
            LOCK.release()
    if ROOMLESS:
        serve_roomless()
    while UNREAD and UP.held[0] <= CONTROL_AT:
        c, fd = UNREAD.popitem()
        if fd in c.fds:
            watch(fd, 1)
        BUSY[0] = 1             # a terminal may have to be watched for more
    if BUSY[0] or OWED:
        settle()
    if SOON[0] or now - BEAT[0] > .4:
        BEAT[0] = now
        reap(now)
        heartbeat(now)
        if IDLE and now - LAST > IDLE:
            die()
    if CALLS and QUIET.locked():
        QUIET.release()


def relay_loop():
    global IO_THREAD
    IO_THREAD = thread.get_ident()
    # Whom this thread wakes has its processor only when it polls again, and who wakes this thread likewise: over three relays a
    # call takes a third of the time. (SCHED_BATCH, sched(7).)
    schedule(3)
    try:
        while 1:
            relay_turn()
    finally:
        die()


class Elsewhere:
    # In the place of the descriptor that the core's `turn` reads: who comes to wait there still is not to read beside the loop, nor
    # to wait with TURN. As if interrupted, it goes for another try, which is that of the `turn` below.
    def fileno(self):
        raise IOError(4, '')


class Before:
    # In the place of the descriptor that the core's `up` writes: a thread that was in it already when this part came, and waits for
    # LOCK, has that when it asks for the number. A frame that is half written here is finished first.
    def fileno(self):
        while UP.now:
            try:
                select.select([], [UP.fd], [], IDLE)[1] or die()
            except (OSError, select.error):
                again()
            UP.pump()
        return UP.fd
    __index__ = __int__ = fileno


BUSY = [0]
NOW = [0]
WAKE = os.pipe()
IO_THREAD = 0
QUIET = allocate()              # locked while nobody has seen a call
QUIET.acquire()
UP = Output(OUT, 1 << 22)
fcntl.fcntl(OUT, 4, os.O_NONBLOCK)
for x in WAKE:
    nonblock(x)
LAST = clock()
H['loop'] = 1
IN = Elsewhere()
for x in [relay_in, WAKE[0]] + list(PIPES):
    watch(x, 1)
# With the lock, so that what part `stream` or `exec` sends meanwhile was counted and written, or is neither and finds this part.
LOCK.acquire()
H.update({4: ack, 9: grant, 10: group, 11: ungroup, 16: spawn, 17: raw, 18: promote, 19: kill_child})
up = relay_up
large = relay_large
OUT = Before()
# What a thread in the core's own `large` has counted is written by the core's `up`, but for a frame that has not come there yet: see
# relay_up.
COUNTED = SENT
UP.sent += COUNTED
UP.acked += ACKED
LOCK.release()


def turn():
    # Last of all, as the core's two threads come here from now on, one of them when all that was read with this part is done:
    # a thread of its own reads from then on, so that no call delays what passes through. The main thread waits here for a call;
    # the second one has no more to do. (Who comes first takes the mark out; with TURN, as what was read behind this part may
    # still be under way, and the last of it is not in REST yet.)
    # At the limit of processes no thread is to be had: then these two do it, a turn each time, so that who wants a child here is told why
    # there is none, until there is one.
    global IO_THREAD
    TURN.acquire()
    try:
        if H.pop('loop', 0):
            thread.start_new_thread(relay_loop, ())
    except thread.error:
        H['loop'] = 1
        IO_THREAD = thread.get_ident()
        if RUNNING or not CALLS:
            relay_turn()
        IO_THREAD = 0
        return TURN.release()
    TURN.release()
    while RUNNING:
        time.sleep(1e6)
    QUIET.acquire()
    try:
        # Should the second one have come to wait here as well (a call ended just then), whoever wakes first wakes the other.
        CALLS and QUIET.release()
    except:
        pass                    # the relay's thread has meanwhile
