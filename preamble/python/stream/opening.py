# OPEN (docs/protocol.md section 9.1), its CANCEL, and CREDIT.
opening_die = die


def said(address):
    # A socket's address as text.
    if isinstance(address, tuple):
        return '%s %d' % address[:2]
    if isinstance(address, BYTES):
        address = address.decode('utf8', 'replace')
    return (address or '').replace('\0', '@', 1)


def path_of(x):
    s = x
    if isinstance(x, TEXT):
        s = x.encode('utf8')
    if not 0 < len(s) < SUN_PATH:    # abstract ones too: a native agent keeps a byte for the end of each
        raise EnvironmentError(22, '')
    if BYTES is str:
        x = s
    elif x is s:
        x = os.fsdecode(x)
    if x[:1] == '@':
        return '\0' + x[1:]
    return x


def clear_stale(socket, path):
    # A socket's file that nobody listens at is what a killed agent left.
    x = socket.socket(1, socket.SOCK_STREAM)
    x.setblocking(0)
    try:
        if os.lstat(path)[0] & 61440 == 49152 and x.connect_ex(path) == __import__('errno').ECONNREFUSED:
            os.unlink(path)
    except OSError:
        pass
    x.close()


def connect(x, address, local):
    # Of a unix socket whose backlog is full connect(2) says EAGAIN at once, for it does not wait with a timeout.
    tries = PATIENCE_S * FULL_RATE
    while 1:
        try:
            return x.connect(address)
        except:
            tries -= 1
            if not local or not tries or sys.exc_info()[1].args[:1] != (11,):
                raise
        time.sleep(1.0 / FULL_RATE)


def open_socket(what, args):
    # A connected or a listening socket, and its file. What socket(7) numbers is not the same everywhere (MIPS, SPARC); what tcp(7) does is.
    socket = __import__('socket')
    error = None
    if len(args) < 2:
        ways = [(1, path_of(args[0]))]
    else:
        host, port = args
        ways = [(x[0], x[4]) for x in socket.getaddrinfo(host or '127.0.0.1', port, 0, socket.SOCK_STREAM)]
        if what == 'listen':                    # most clients of a name mean version 4
            ways.sort(key=lambda x: x[0])
    for family, address in ways:
        x = socket.socket(family, socket.SOCK_STREAM)
        path = family == 1 and address[:1] != '\0' and address
        try:
            if family != 1:                     # what a listening one accepts has them too
                x.setsockopt(6, 1, 1)           # TCP_NODELAY
                x.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
                linger(x, 1)
            if what == 'listen':
                x.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                f = getattr(os, 'fchmod', None)
                if path:
                    clear_stale(socket, path)
                    f and f(x.fileno(), 384)
                x.bind(address)
                x.listen(LISTEN_BACKLOG)
                return x, path
            x.settimeout(PATIENCE_S)
            connect(x, address, family == 1)
            return x, path
        except:
            error = sys.exc_info()
            x.close()
    raise error[1]


def open_thread(src, slot, what, args, far, flag):
    try:
        if what == 'accept':
            x = ARRIVED.get(args[0])
            if not x or x[2].src != src or not ARRIVED.pop(args[0], 0):
                raise EnvironmentError(22, '')
            sock, until, listener, text = x
            changed(listener)
        else:
            sock, path = open_socket(what, args)
            text = said(what == 'listen' and sock.getsockname() or sock.getpeername())
            if len(args) < 2:
                text = said(path_of(args[0]))
        if OPENING.pop((src, slot), flag) is not flag or flag:
            if what == 'listen' and path:
                os.unlink(path)         # while it is ours
            return sock.close()
        if what == 'listen':
            x = Listener(src, far, sock, path)
        else:
            x = Connection(src, far, sock)
        send(1, src, slot, x.near, pack_value([0, x.near, text]))
        changed(x)
    except:
        not_opened(src, slot, flag)


def not_opened(src, slot, flag):
    # With the exception at hand.
    OPENING.pop((src, slot), 0)
    if flag:
        return
    v = sys.exc_info()[1]
    n = v.args and isinstance(v.args[0], int) and v.args[0] or 0
    s = v.args and v.args[-1]
    if not s or s == n:
        s = n > 0 and os.strerror(n) or v
    if n < 1 and s == 'timed out':
        n = 110
        s = os.strerror(n)
    send(1, src, slot, 0, pack_value([1, text(s, REASON_TEXT), max(n, 0)]))


def open_stream(kind, src, reply, body):
    what, args, far = decode(body)[:3]
    n = len(args + [])
    if not reply or n not in {'tcp': (2,), 'unix': (1,), 'listen': (1, 2), 'accept': (1,)}[isinstance(what, TEXT) and what]:
        raise ValueError
    number(far, 256, 1 << 32)
    if what == 'accept':
        number(args[0])
    elif not isinstance(args[0], (TEXT, BYTES)):
        raise ValueError
    elif n > 1:
        number(args[1], 0, 65536)
    if len(FLOWS) + len(DYING) + len(OPENING) + len(LISTENING) >= STREAMS_MAX:
        return notice('busy', src, reply)
    flag = OPENING[src, reply] = []
    try:
        start_mover()
        begin_thread(open_thread, src, reply, what, args, far, flag)
    except:
        not_opened(src, reply, flag)


def cancel_stream(kind, src, reply, body):
    x = src, number(decode(body)[0])
    if x in LISTENING:
        LISTENING[x].close_it()
    elif x in OPENING:
        OPENING.pop(x).append(1)
    else:
        flow_cancel(kind, src, reply, body)


def stream_credit(kind, src, reply, body):
    handle, n = decode(body)[:2]
    x = FLOWS.get(number(handle, 0, 1 << 32))
    number(n)
    if not x:
        flow_credit(kind, src, reply, body)
    elif x.dst != src:
        notice('no-authority', src, reply)
    else:
        x.credit(n)


def die(*rest):
    for x in list(LISTENING.values()):
        x.unlink_file()
    opening_die()
