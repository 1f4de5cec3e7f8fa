# Calls (docs/protocol.md section 8), the two threads, and the start of both.

def run_call(src, reply, module, name, args, kw):
    kind = 0
    try:
        prepare()
        f = load(module)
        kind = 2
        for x in name:
            f = getattr(f, x)
        kind = 0
        f = f(*args, **kw)
        kind = 1
        body = pack_value([0, f])
        decode(body)
    except:
        if PID - os.getpid():
            raise           # a fork of called code: it ends as any program, and says why
        import traceback
        x, v, tb = sys.exc_info()
        s = ''
        name = x.__name__
        try:
            # What Python cannot print, as a long chain of causes before 3.11, is said without.
            if x.__module__ != ValueError.__module__:
                name = '%s.%s' % (x.__module__, name)
            s = s.join(traceback.format_exception(x, v, tb.tb_next))
            if kind == 1:
                v = '%s cannot travel: %s' % (type(f), v)
        except:
            pass
        body = pack_value([1, text(name, LOGGER_TEXT), text(v, EXCEPTION_TEXT), text(s, TRACE_TEXT), kind])
        tb = v = 0
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except:
        pass
    if PID - os.getpid():
        os._exit(0)         # a fork that came back: the answer, and the link, are not its to use
    drain(6)
    if reply:
        send(1, src, reply, 0, body)


def loop():
    # The second thread: while a call runs that takes longer than 1 ms, it reads. It waits for calls 64 ms at a time, so that
    # short ones in a row wake it by a timer and not one by one.
    while 1:
        WORK.acquire()
        for x in range(64):
            time.sleep(1e-3)
            while RUNNING:
                turn()


def turn(n=READ_MAX):
    global LAST, OWED, REST
    TURN.acquire()
    try:
        ready = select.select(list(PIPES) + [IN], [], [], RUNNING or not CALLS)[0]
        if IN in ready:
            LAST = os.times()[4]
            REST = parse(REST + (os.read(IN, n) or die()))
            if OWED:
                send(0, PARENT, 4, 0, pack_value(OWED))
                OWED = 0
        elif os.times()[4] - LAST > IDLE:
            die()
        if ready != [IN]:
            drain(1)
    except:
        again()
    TURN.release()


def keep(fd):
    fcntl.fcntl(fd, 2, 1)       # FD_CLOEXEC
    return fd


H = {2: ping, 4: ack, 7: echo, 8: die, 24: part, 25: call}
IN = keep(fcntl.fcntl(0, 0, 4))         # F_DUPFD: not at 2, should that be closed
OUT = keep(fcntl.fcntl(1, 0, 4))
fcntl.fcntl(OUT, 4, os.O_NDELAY)
try:
    os.setsid()
except:
    pass
# HELLO, to its last byte and no further: there is one thread as yet, and the real stderr.
while route != route2:
    REST = parse(REST + (os.read(IN, 1) or die()))
os.dup2(keep(os.open('/dev/null', 0)), 0)
# Only now: what Python imports to warn of something (PYTHONDEVMODE) must not be asked for before HELLO.
sys.path.append(ROOT)       # (LINE has taken the working directory out)
sys.path_importer_cache[ROOT] = SELF
for x, name in (1, 'stdout'), (2, 'stderr'):
    r, w = os.pipe()
    os.dup2(keep(w), x)         # w stays open too, so that r never sees the end
    PIPES[keep(r)] = name, EMPTY
    if BYTES is str:
        # Python 2's own stdout refuses text that is not ASCII when there is no locale.
        f = codecs.StreamWriter(os.fdopen(x, 'w', 1))
        f.encode = lambda o, s: (isinstance(o, TEXT) and o.encode('utf8') or o, 0)
    else:
        f = os.fdopen(x, 'w', 1, 'utf8', 'backslashreplace')
    H[name] = sys.__dict__[name] = f    # in H lest it be closed when called code puts another in its place
PID = os.getpid()
LAST = os.times()[4]                    # when the parent was last heard
# (Should this end by an exception, the process does, and the watcher ends the rest.)
while 1:
    # 0 before it looks for a call: the second thread, should it read one now, finds it 0 then and leaves TURN to this one, which
    # waits there. (The other way round it would sit in select for a second, and the call with it.)
    RUNNING = 0
    while not CALLS:
        turn()
    RUNNING = 1
    if WORK.locked():
        WORK.release()
    run_call(*CALLS.pop(0))
