# Frames and their delivery (docs/protocol.md sections 1, 3, 4 and 5), for a leaf: one link, to the parent. Part `relay`
# replaces route, up, large and ack. A frame that breaks the link's rules ends the process: a leaf has nothing else to serve.

def up(kind, s):
    # Writes a whole frame to the parent; a parent that takes nothing for IDLE is as lost as a silent one.
    LOCK.acquire()
    while s:
        try:
            select.select([], [OUT], [], IDLE)[1] or die()
            s = s[os.write(OUT, s):]
        except:
            again()
    LOCK.release()


def send(kind, dst, handle, reply, body):
    if len(body) > FRAME_BODY_MAX:
        return large(kind, dst, handle, reply, body)
    up(kind, pack('>4B6I', 236, 1, kind, HOPS, dst, ME, ME, handle, reply, len(body)) + body)


def large(kind, dst, handle, reply, body):
    # Never in the I/O thread, which brings the ACKs.
    global SENT
    LARGE.acquire()
    for x in range(0, len(body), BULK_BODY_MAX):
        s = body[x:x + BULK_BODY_MAX]
        while SENT - ACKED + len(s) > LEAF_WINDOW:
            CREDIT.acquire()
        SENT += len(s) + HEADER
        send(x + BULK_BODY_MAX < len(body) and 18 or 2, dst, handle, reply, s)
    LARGE.release()


def notice(reason, src, reply, asked=0):
    if reply:
        send(4, src, reply, 0, pack_value([reason, asked or ME, ME, '']))


def parse(s):
    # All whole frames of s; what is left over comes back.
    while len(s) > 27:
        x = unpack('>4B6I', s[:HEADER])
        n = x[9] + HEADER
        if x[:2] != (236, 1) or x[2] & 195 > 2 or x[9] > FRAME_BODY_MAX >> (x[2] & 2):
            die()
        if len(s) < n:
            break
        route(*x[2:9] + (s[HEADER:n],))
        s = s[n:]
    return s


def route(kind, hops, dst, src, auth, handle, reply, body):
    # The first frame: HELLO. The next ones go to route2.
    global ME, PARENT, SIZE, IDLE, LEVEL, PREFIXES, route
    route = route2
    PARENT = src
    m = decode(body)
    ME, SIZE = m[1][:2]
    LEVEL = m.get(3, 30)
    kind | dst - ME | handle - 1 and die()
    IDLE = m[2] / 1e3 or 1e9  # seconds of silence that end the link
    try:
        # The title in `ps`: a process may write its own argument area (fields 48 and 49 of 52 of its stat). LINE is in it, and
        # longer than any title.
        x, n = map(int, open('/proc/self/stat').read().split()[-5:-3])
        f = open('/proc/self/mem', 'rb+', 0)
        f.seek(x)
        f.write(pack('%ds' % (n - x), m[4].encode('utf8')))
    except:
        pass
    # The parent of the agent (a wait() in called code would find a child) is its watcher: once the agent has ended, or its parent
    # has while called code holds the interpreter, it ends what there is. How the agent ended it says first, on the real stderr
    # (by a shell, as what that prints is the same in every Python, and where it cannot print nothing is raised here).
    f = select.poll()
    f.register(0, 0)
    x = os.fork()
    while x:
        n, s = os.waitpid(x, 1)
        n and die(os.system('echo>&2 status %d' % s))
        f.poll(WATCH_MS) and die(time.sleep(1))
    x = os.uname()
    send(0, src, 1, 0, pack_value(dict(enumerate([1, 'python', sys.version.split()[0], x[4], os.getpid(), os.getuid(), text(x[1], LOGGER_TEXT)]))))
    m[0] - 1 and die()
    PREFIXES = [x + '.' for x in m.get(6, ())]
    sys.meta_path[:0] = PREFIXES and [SELF]


def route2(kind, hops, dst, src, auth, handle, reply, body):
    # A leaf: everything comes from the parent, and what is not for me has no way on.
    global OWED
    if kind & 2:
        OWED += len(body) + HEADER
    if SIZE > src - ME >= 0:
        COUNT[0] += 1
    elif kind & 8:
        COUNT[3] += 1
    elif dst - ME:
        notice(('no-route', 'no-authority')[handle in (10, 11, 32) or handle < 7], src, reply, dst)
    else:
        deliver(kind, src, handle, reply, body)


def deliver(kind, src, handle, reply, body):
    if kind & 2:
        # Section 1.1: on with the whole message, or not at all as long as it is not whole.
        x = handle, reply
        c = COLLECT.get(src, ())
        if kind & 16 or x in c:
            if x not in c:
                c = COLLECT[src] = [0, x]
            if c[0] >= 0:
                c[0] += len(body)
                c.append(body)
                if c[0] > MESSAGE_MAX or sum(n[0] >= 0 for n in COLLECT.values()) > COLLECT_SOURCES or sum(n[0] for n in COLLECT.values()) > COLLECT_MAX:
                    c[:] = -1, x
                    notice('too-big', src, reply)
            if kind & 16 or COLLECT.pop(src)[0] < 0:
                return
            body = EMPTY.join(c[2:])
    if kind & 4:
        reply = 0
    try:
        if handle in (1, 3, 5, 6, 32, 33) or handle < 7 and src - PARENT:
            notice('no-authority', src, reply)
        elif handle not in H:
            notice('no-handle', src, reply)
        elif handle > 255 or not kind & 4:
            H[handle](kind, src, reply, body)
    except:
        handle < 7 and die()
        notice('bad-body', src, reply)


def ping(kind, src, reply, body):
    decode(body) + 0
    send(0, src, 3, 0, body)


def ack(kind, src, reply, body):
    global ACKED
    ACKED += decode(body)
    ACKED > SENT and die()
    if CREDIT.locked():
        CREDIT.release()


def echo(kind, src, reply, body):
    if reply:
        thread.start_new_thread(send, (1, src, reply, 0, body))


def part(kind, src, reply, body):
    exec(zlib.decompress(decode(body)[1]), globals())
    if reply:
        send(1, src, reply, 0, pack_value(None))


def call(kind, src, reply, body):
    module, name, args, kw = decode(body)       # a fifth item wants part `stream`
    CALLS.append([src, reply, module, name.split('.'), args, kw])
