# SPAWN, RAW, PROMOTE, KILL (docs/protocol.md section 7): the verbs by which the master boots our children.

def execute_one(paths, argv, env):
    # The first of these that there is; else an errno, that of the most telling one: not allowed, before not there.
    n = 2
    for x in paths:
        try:
            execute(x, argv, env)
        except OSError:
            x = sys.exc_info()[1].args[0]
            if x not in (2, 20):
                n = x
    return n


def start(c, argv, env, mode):
    # The process of c (argv and env as of shared/words.py); raises OSError. What exec says comes back through a pipe that a success
    # closes. Nothing in the fork may import, as os.execvpe does: the main thread, which is not there, may have been importing the same.
    x = dict(getattr(os, 'environb', os.environ))
    for i in env:
        if env[i] is None:
            x.pop(i, None)
        else:
            x[i] = env[i]
    paths = argv[:1]
    slash, colon, path, usual = [raw_bytes(TEXT(i)) for i in ('/', ':', 'PATH', '/usr/bin:/bin')]
    if slash not in argv[0]:
        paths = [os.path.join(i, argv[0]) for i in (x.get(path) or usual).split(colon)]
    pipes = []
    slave = -1
    ours = []
    said = ()
    try:
        if mode != 1:
            for i in range(3):
                pipes += os.pipe()
        if mode:
            c.lacks = 'no terminal'
            master, slave = os.openpty()
            ours.append(master)
            name = os.ttyname(slave)
            c.lacks = ''
        said = os.pipe()
        for fd in pipes + list(said) + ours:
            keep(fd)
        if mode:
            keep(slave)         # Python 2 would let the child have it
        c.pid = os.fork()
    except OSError:
        for fd in pipes + ours + [slave] + list(said):
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
                    fd = keep(os.open(name, 2))
                if mode == 1:
                    v = [fd, fd, fd]
                else:
                    v = [pipes[0], pipes[3], pipes[5]]
                for i in 0, 1, 2:
                    os.dup2(v[i], i)
                # Whoever stands still from here on (a program on a server that is gone) holds nothing of ours open.
                clear(said[1])
                n = execute_one(paths, argv, x)
            except OSError:
                n = sys.exc_info()[1].args[0]
            os.write(said[1], pack('>I', n))
        finally:
            os._exit(127)
    os.close(said[1])
    if mode == 2:
        c.slave = slave         # nobody else holds it once exec closed the child's own: the terminal would end at once
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
    for fd in list(c.fds) + [stdin]:
        nonblock(fd)
    if s:
        os.waitpid(c.pid, 0)
        c.pid = 0
        if c.slave >= 0:
            os.close(c.slave)
        for fd in c.fds:
            if fd != stdin:
                os.close(fd)
        os.close(stdin)
        raise OSError(*unpack('>I', s))
    return stdin


def schedule(policy):
    # For this thread, and what it starts and forks. Python 3.3 and later.
    try:
        os.sched_setscheduler(0, policy, os.sched_param(0))
    except (AttributeError, OSError):
        pass


def launch(c, argv, env, mode):
    schedule(0)
    try:
        c.carrier = start(c, argv, env, mode)
    except:
        n = sys.exc_info()[1]
        fail(c, argv, isinstance(n, OSError) and n.args[0] or 22)
    begun(c)


def fail(c, argv, n):
    c.failed = pack_value([7, '%s: %s' % (c.lacks or text(argv[0].decode('utf8', 'replace'), 200), os.strerror(n)), n])


def begun(c):
    STARTED.append(c)
    os.write(WAKE[1], pack('B', 0))


def started():
    while STARTED:
        c = STARTED.pop(0)
        if c.failed:
            del CHILDREN[c.ident]
            send(1, c.owner, c.slot, 0, c.failed)
            continue
        c.event(0, pack_value(c.pid))
        c.out.fd = c.carrier
        for fd in c.fds:
            READERS[fd] = c.take
            watch(fd, 1)
        later = c.later
        c.later = None
        for f, x in later:
            try:
                f(*x)
            except:
                notice('bad-body', *x[1:3])


STARTED = []                    # children whose start is over


def spawn(kind, src, reply, body):
    m = decode(body)
    ident = number(m[0])
    size = number(m[1], 1)
    number(m.get(4, 0), 0, 3)
    argv = words(m[2])
    env = changes(m.get(3))
    if not reply or meets(ident, ident + size) or not [x for x in BLOCKS if x[0] <= ident and ident + size <= x[1]]:
        raise ValueError
    STATS[7] += 1
    c = CHILDREN[ident] = Child(ident, size, src, reply)
    c.out = Output(-1, 1 << 20)    # what a child that stops costs it, as a relay
    c.out.child = c
    # In a thread: fork waits for the import lock, which the main thread holds while a finder of ours waits for the I/O thread.
    try:
        thread.start_new_thread(launch, (c, argv, env, m.get(4, 0)))
    except thread.error:
        fail(c, argv, 11)       # EAGAIN: the limit of processes, as fork would say
        begun(c)


def not_yet(f, *rest):
    # Whether the child that f(*rest) is about is still being started: then it is done afterwards.
    c = CHILDREN.get(decode(rest[3])[0])
    if c and c.later is not None:
        c.later.append((f, rest))
        return 1


def octets(s):
    if not isinstance(s, BYTES):
        raise ValueError
    return s


TYPING = allocate()             # while a terminal is written to, and that is said: nothing is said of a child behind its end


def type_some(c, fd):
    # To the terminal of mode 2, as much as it takes at once. True: something is left.
    TYPING.acquire()
    try:
        return CHILDREN.get(c.ident) is c and type_now(c, fd)
    finally:
        TYPING.release()


def type_now(c, fd):
    s = c.typed[0]
    n = len(s)
    try:
        n = os.write(fd, s)
    except OSError:
        if sys.exc_info()[1].args[0] in (4, 11):
            n = 0               # else nobody reads it any more: it counts as written
    LOCK.acquire()
    c.typed[0] = s[n:]
    if n == len(s):
        del c.typed[0]
    left = len(c.typed)
    LOCK.release()
    if n:
        c.event(4, pack_value(n))
    return left


def type_rest(c, fd):
    # The rest, as soon as it is taken, in a thread: a terminal that is not read is rare, and the loop has one output for a child.
    poller = select.poll()
    poller.register(fd, 4)
    while c.status is None:
        try:
            if poller.poll(RELAY_LOOK_MS) and not type_some(c, fd):
                break
        except select.error:
            again()
    os.close(fd)


def raw(kind, src, reply, body):
    m = decode(body)
    c = CHILDREN.get(m[0])
    if not_yet(raw, kind, src, reply, body) or not c or c.ended:
        return
    if m[1] in (0, 1) and not c.linked:
        octets(m[2])
        if sum([len(x) for x in [y[0] for y in c.out.first] + c.typed + m[2:3]]) > RAW_WINDOW:
            return broken(c, 'raw-overflow')
        if not m[1]:
            c.out.first.append((m[2], 1))
            LOCK.acquire()
            c.out.pump()
            LOCK.release()
        elif c.tty in c.fds:
            LOCK.acquire()
            c.typed.append(m[2])
            n = len(c.typed)
            LOCK.release()
            if n < 2 and type_some(c, c.tty):
                thread.start_new_thread(type_rest, (c, keep(os.dup(c.tty))))
        elif m[2]:
            c.event(4, pack_value(len(m[2])))   # a terminal that is not there: nobody reads it
    elif m[1] == 2:
        c.unacked = max(0, c.unacked - m[2])
        if c.unacked < RAW_WINDOW // 2:
            for fd in c.fds:
                watch(fd, 1)
    elif m[1] == 3 and not c.linked and c.out.fd not in c.fds:
        # Behind what waits.
        c.out.first.append((EMPTY, 2))
        BUSY[0] = 1


def promote(kind, src, reply, body):
    ident, s = decode(body)[:2]
    c = CHILDREN.get(ident)
    if not_yet(promote, kind, src, reply, body) or not c or c.linked:
        return
    if len(octets(s)) > HELLO_MAX:
        return broken(c, 'bad-body')
    if meets(*c.intervals[0] + (c, 0)):
        return broken(c, 'block-exhausted')     # a GRANT since SPAWN
    c.idle = decode(s).get(2, 0) / 1000. or None
    c.linked = c.promoted = 1
    c.last = c.ping = clock()
    ROUTES.clear()
    c.out.first.append((pack('>4B6I', 236, 1, 0, HOPS, ident, ME, ME, 1, 0, len(s)) + s, 0))
    c.out.counted(28 + len(s))
    LOCK.acquire()
    c.out.pump()
    LOCK.release()


def kill_child(kind, src, reply, body):
    c = CHILDREN.get(decode(body)[0])
    if not not_yet(kill_child, kind, src, reply, body) and c:
        c.gone = c.linked
        c.slay('killed')


def finish(c):
    for fd in list(c.fds):
        c.shut(fd)
    c.end(c.reason)
    tell(6, c.parts + (c.paused and c.intervals or []))
    TYPING.acquire()
    del CHILDREN[c.ident]
    TYPING.release()
    ROUTES.clear()
    for slot in list(WAITING):
        WAITING[slot] = [x for x in WAITING[slot] if x[0] is not c]
    if c.promoted or c.reason not in ('', 'killed'):
        s = pack_value(c.reason or 'eof') + pack_value(c.status) + pack_value(c.evidence[-END_EVIDENCE:])
        send(1, c.owner, c.slot, 0, major(128, 4) + pack_value(8) + s)
        for lo, hi in c.promoted and c.intervals or ():
            LOST.append((lo, hi, c.evidence[-LOST_EVIDENCE:] or c.reason or 'eof'))
        del LOST[:-LOST_KEPT]
    else:
        c.event(5, pack_value(c.status))


LEFT = []                       # processes whose end nobody asks for any more
LOOKED = [0]                    # when all were looked at: the stdout of one that has ended may stay open, held by a program of its


def reap(now):
    SOON[0] = 0
    all_now = now - LOOKED[0] > .4
    if all_now:
        LOOKED[0] = now
    for x in LEFT[:]:
        try:
            if os.waitpid(x, 1)[0]:
                LEFT.remove(x)
        except OSError:
            LEFT.remove(x)
    for c in list(CHILDREN.values()):
        if c.deaf and not c.ended:
            c.end('eof')
        if c.status is None and (c.ended or c.gone or c.reason or all_now and c.later is None):
            try:
                pid, status = os.waitpid(c.pid, 1)
            except OSError:
                pid, status = c.pid, -1     # called code has waited for it
            if pid:
                c.status = status
                if c.slave >= 0:
                    os.close(c.slave)
                    c.slave = -1
                c.ended = now + END_GRACE_S
                for fd in c.fds:
                    watch(fd, 1)        # what is in its pipes comes, whatever was acknowledged
            elif c.ended and now > c.ended + 2:
                # Not ours to kill, and frozen: the master has its answer, and we wait for the process beside.
                LEFT.append(c.pid)
                c.status = 9
            elif c.ended and now > c.ended:
                c.slay('')
        if c.status is not None and (not c.fds or now > c.ended):
            finish(c)
        elif c.ended or c.gone or c.reason:
            SOON[0] = 1
