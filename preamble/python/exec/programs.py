# Whole programs: run (section 8).

def complain(old=None):
    # Of the exception at hand in a program: its exit status, once said: by sys.excepthook where that is to (old: what it was) and is
    # the program's. Where it has left no stderr that takes it, on the context's own, which leads to the same stream.
    x, v, tb = sys.exc_info()
    if isinstance(v, SystemExit):
        s = v.code
        if s is None or isinstance(s, int):
            return (s or 0) & 255
    else:
        try:
            if old and old is not sys.excepthook:
                sys.excepthook(x, v, tb.tb_next)
                return 1
        except:
            return complain()       # of Python 3 this shows the first as well
        s = ''.join(__import__('traceback').format_exception(x, v, tb.tb_next))[:-1]
    for f in sys.stderr, H['stderr']:
        try:
            if not isinstance(s, TEXT):
                s = str(s)
            f.write(s + '\n')
            break
        except:
            pass
    return 1


def reopened(x, name):
    # A program may close its stdout, as any may. What is printed after it finds another.
    f = H[name]
    if f.closed and BYTES is str:
        setattr(f, 'stream', os.fdopen(x, 'w', 1))
    elif f.closed:
        H[name] = os.fdopen(x, 'w', 1, 'utf8', 'backslashreplace')
    return H[name]


def argument(x):
    # Text and bytes as this Python has them in sys.argv.
    if isinstance(x, str):
        return x
    if BYTES is str:
        return x.encode('utf8')
    return os.fsdecode(x)


def threads_of(own):
    # The threads that a program has started, or those have, are marked with this list of its.
    return [x for x in sys.modules['threading'].enumerate() if getattr(x, 'program', 0) is own]


def end_pools(own):
    # The workers of executors that the program has left end as with a process: from 3.9 on only the end of threading tells them
    # to, earlier an exit function of the first import. Those whose threads are none of its are of calls, and do not hear of it; and
    # the next one that wants executors finds them open.
    for name in 'thread', 'process':
        m = sys.modules.get('concurrent.futures.' + name)
        for v in getattr(m, '_threads_queues', None), getattr(m, '_threads_wakeups', None):
            if v is not None:
                kept = [(x, v.pop(x)) for x in list(v) if getattr(x, 'program', 0) is not own or not x.is_alive()]
                try:
                    m._python_exit()
                except:
                    complain()
                v.update(kept)
        for x in '_shutdown', '_global_shutdown':
            if hasattr(m, x):
                setattr(m, x, False)


def flush_files(gc, pipes):
    # What the program has not closed is written now, whoever has it: as garbage a file may be closed before its buffers are
    # flushed. But not into a pipe that is none of these, as that may take nothing. (What Python 2 opens is not among those that
    # its collector knows.)
    for x in gc.get_objects():
        for x in [x] + (BYTES is str and gc.get_referents(x) or []):
            try:
                s = hasattr(type(x), 'flush') and os.fstat(x.fileno())
                if s and (s[0] >> 12 == 8 or s[1:3] in pipes):
                    x.flush()
            except:
                pass


def let_go(pipes):
    # What a program has left open of these (inode and device), under whatever number, leads to nothing now: their ends would not
    # come else. Their other ends, which we read, stay.
    for x in opened():
        try:
            if os.fstat(x)[1:3] in pipes and fcntl.fcntl(x, 3) & 3:
                n = os.open('/dev/null', 1)
                os.dup2(n, x)
                os.close(n)
        except EnvironmentError:
            pass


def timers(signal, new):
    # Sets the three timers of the process; what they were. (Before 2.6 there is but the alarm, in whole seconds.)
    f = getattr(signal, 'setitimer', None)
    if f:
        return [f(x, *new[x]) for x in range(3)]
    return [[signal.alarm(int(new[0][0]))]]


def piped(out, err):
    # For stdout and stderr: what a program is to write to, which is read into the stream, and what is there now.
    ends = [Stream(0, out), Stream(0, err)]
    fds = []
    try:
        for x in 1, 2:
            fds += os.pipe()
            fds.append(os.dup(x))
        for x in fds:
            keep(x)
        while ends:
            thread.start_new_thread(ends[0].feed, (fds[0],))
            del ends[0]
            fds = fds[3:] + fds[1:3]
    except:
        # No descriptor or no thread to be had: nothing of ours stays, and nobody waits for the end of a stream.
        for x in fds:
            os.close(x)
        for x in ends:
            x.feed(None)
        raise
    return fds


def flush_each(files):
    for x in files:
        try:
            x.flush()
        except:
            pass                # called code has put it there


def redirect(fds, n):
    # Descriptors 1 and 2 to those of fds from n on, by twos.
    for x in 1, 2:
        os.dup2(fds[x * 2 - 2 + n], x)
        os.close(fds[x * 2 - 2 + n])


def as_main(name, argv, old):
    # Its exit status. (What an exception holds of this function is not the module, which nobody is to have in the end.)
    try:
        if not find_module(name):
            raise ImportError(name)
        argv = [argument(x) for x in argv]
        setattr(sys, 'argv', argv)
        m = sys.modules['__main__'] = sys.modules[name] = type(sys)('__main__')
        x = m.__file__ = 'econtext:/' + os.path.basename(argv[0])
        m = m.__dict__
        # What a traceback shows of it; never a file of that name here.
        s = get_source(name)
        __import__('linecache').cache[x] = len(s), None, [n + '\n' for n in s.split('\n')], x
        # Its bytes: they say their coding.
        exec(compile(zlib.decompress(ENTRIES[name][6]), x, 'exec', 0, 1), m)
        return 0
    except:
        return complain(old)


def wait_for(own):
    # The program's threads, until there are none: one may have started another.
    left = 1
    while left:
        if hasattr(sys.modules['threading'], '_register_atexit'):
            end_pools(own)
        left = [x for x in threads_of(own) if not getattr(x, 'daemon', 1)]
        for x in left:
            x.join()


def run_exits(exits):
    while exits:
        f, args, kw = exits.pop()
        try:
            f(*args, **kw)
        except:
            complain()


def forget(name, own, main, gc):
    if threads_of(own):
        # Python 2 empties a module that nobody has, and the next run of the same takes this one's place.
        own.append(sys.modules.get(name))
    else:
        sys.modules.pop(name, 0)
        sys.modules['__main__'] = main
        gc.collect()


def run(name, argv, out, err):
    # A program as __main__, in the main thread; what it and its children write goes to the streams. It ends as it would in
    # a process of its own: threads are waited for, exit functions run, what it has not closed is flushed, and goes with it where
    # none of its threads is left that could want it. (The modules that it imported stay: calls may use them.) The streams end
    # when the last child closes them, so the answer does not wait for that. What calls have left here, threads and
    # executors, is none of its, and handlers of signals and timers of its own are gone with it (SIGPIPE as it is for a filter
    # would end the context later).
    atexit = __import__('atexit')
    signal = __import__('signal')
    gc = __import__('gc')
    threading = __import__('threading')
    handlers = [(x, signal.getsignal(x)) for x in range(1, signal.NSIG)]
    unregister = getattr(atexit, 'unregister', None)        # Python 3
    before = [sys.stdout, sys.stderr, sys.argv, atexit.register, sys.excepthook, threading.Thread.start]
    own = []
    ident = thread.get_ident()
    main = sys.modules['__main__']
    exits = []
    # weakref.finalize has one exit function, for those of calls too, and once: so they are found without. (Where there is none, a
    # function of ours has what is set there.)
    final = getattr(__import__('weakref'), 'finalize', complain)
    setattr(final, '_registered_with_atexit', True)
    finals = getattr(final, '_registry', ())
    kept = list(finals)
    status = 0

    def register(f, *args, **kw):
        exits.append((f, args, kw))
        return f

    def mark_start(x):
        if thread.get_ident() in [ident] + [getattr(o, 'ident', 0) for o in threads_of(own)]:
            setattr(x, 'program', own)
        return before[5](x)

    def take_back(f):
        exits[:] = [x for x in exits if x[0] != f]
        unregister(f)

    fds = piped(out, err)
    pipes = [os.fstat(x)[1:3] for x in fds[::2]]
    flush_files(gc, ())         # of calls: a fork of the program would write it once more
    flush_each(before[:2])
    redirect(fds, 0)
    off = [[0]] * 3
    ticking = timers(signal, off)       # of a call before: they go on behind the program
    try:
        setattr(threading.Thread, 'start', mark_start)
        setattr(atexit, 'register', register)
        if unregister:
            setattr(atexit, 'unregister', take_back)
        status = as_main(name, argv, before[4])
        wait_for(own)
        exits[:0] = [(x, (), {}) for x in list(finals) if x not in kept and x.atexit]
        run_exits(exits)
        end_pools(own)
        flush_each([x() for x in sys.modules['logging']._handlerList[::-1]])    # not closed: calls may log there
    finally:
        timers(signal, off)     # first, as it would strike what follows, or find no handler any more
        for x, f in handlers:
            if f is not None and signal.getsignal(x) != f:
                signal.signal(x, f)
        f = x = 0
        flush_files(gc, pipes)
        forget(name, own, main, gc)
        flush_each([sys.stdout, sys.stderr] + before[:2])
        if PID - os.getpid():
            os._exit(status)    # a fork of the program: all this is not its, nor the answer
        redirect(fds, 1)
        for x in 1, 2:
            name = ('stdout', 'stderr')[x - 1]
            if before[x - 1] is H[name]:
                before[x - 1] = reopened(x, name)
        let_go(pipes)
        for i in range(6):
            setattr((sys, sys, sys, atexit, sys, threading.Thread)[i],
                    ('stdout', 'stderr', 'argv', 'register', 'excepthook', 'start')[i], before[i])
        if unregister:
            setattr(atexit, 'unregister', unregister)
        timers(signal, ticking)
    return status


H.update({8: die, 26: cancel_job, 27: exec_job, 34: take_credit})
if 16 not in H:
    up = bulk_up
