# Whole programs: run (section 8).

def complain():
    # Of the exception at hand in a program: its exit status, once said. Where the program has left no stderr that takes it, on the
    # context's own, which leads to the same stream.
    x, v, tb = sys.exc_info()
    if isinstance(v, SystemExit):
        s = v.code
        if s is None or isinstance(s, int):
            return (s or 0) & 255
    else:
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


def end_pools(before):
    # The workers of executors that the program has left end as with a process: from 3.9 on only the end of threading tells them
    # to, earlier an exit function of the first import. Those of the threads `before` are of calls, and do not hear of it; and
    # the next one that wants executors finds them open.
    for name in 'thread', 'process':
        m = sys.modules.get('concurrent.futures.' + name)
        for v in getattr(m, '_threads_queues', None), getattr(m, '_threads_wakeups', None):
            if v is not None:
                kept = [(x, v.pop(x)) for x in list(v) if x in before or not x.is_alive()]
                try:
                    m._python_exit()
                except:
                    complain()
                v.update(kept)
        for x in '_shutdown', '_global_shutdown':
            if hasattr(m, x):
                setattr(m, x, False)


def let_go(pipes):
    # What a program has left open of these (inode and device), under whatever number, leads to nothing now: their ends would not
    # come else. Their other ends, which we read, stay.
    try:
        v = os.listdir('/proc/self/fd')
    except OSError:
        v = range(1024)
    for x in v:
        try:
            x = int(x)
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


def run(name, argv, out, err):
    # A program as __main__, in the main thread; what it and its children write goes to the streams. It ends as it would in
    # a process of its own: threads are waited for, exit functions run. The streams end when the last child closes them, so
    # the answer does not wait for that. What calls have left here, threads and executors, is none of its, and handlers of
    # signals and timers of its own are gone with it (SIGPIPE as it is for a filter would end the context later).
    atexit = __import__('atexit')
    signal = __import__('signal')
    handlers = [(x, signal.getsignal(x)) for x in range(1, signal.NSIG)]
    unregister = getattr(atexit, 'unregister', None)        # Python 3
    before = [sys.stdout, sys.stderr, sys.argv, atexit.register]
    threads = 'threading' in sys.modules and sys.modules['threading'].enumerate() or []
    ends = [Stream(0, out), Stream(0, err)]
    fds = []
    exits = []
    status = 0

    def register(f, *args, **kw):
        exits.append((f, args, kw))
        return f

    def take_back(f):
        exits[:] = [x for x in exits if x[0] != f]
        unregister(f)

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
    pipes = [os.fstat(x)[1:3] for x in fds[::2]]
    for x in 1, 2:
        try:
            before[x - 1].flush()
        except:
            pass                # called code has put it there
        os.dup2(fds[x * 2 - 2], x)
        os.close(fds[x * 2 - 2])
    off = [[0]] * 3
    ticking = timers(signal, off)       # of a call before: they go on behind the program
    try:
        try:
            if not find_module(name):
                raise ImportError(name)
            setattr(atexit, 'register', register)
            if unregister:
                setattr(atexit, 'unregister', take_back)
            argv = [argument(x) for x in argv]
            setattr(sys, 'argv', argv)
            m = sys.modules['__main__'] = sys.modules[name] = type(sys)('__main__')
            m.__file__ = 'econtext:/' + os.path.basename(argv[0])
            # What a traceback shows of it; never a file of that name here.
            s = get_source(name)
            __import__('linecache').cache[m.__file__] = len(s), None, [x + '\n' for x in s.split('\n')], m.__file__
            # Its bytes: they say their coding.
            exec(compile(zlib.decompress(ENTRIES[name][6]), m.__file__, 'exec', 0, 1), m.__dict__)
        except:
            status = complain()
        m = sys.modules.get('threading')
        if hasattr(m, '_register_atexit'):
            end_pools(threads)
        for x in m and m.enumerate() or ():
            if x not in threads and getattr(x, 'ident', 0) != thread.get_ident():
                # Python 2 empties a module that nobody has, and the next run of the same takes this one's place.
                setattr(x, 'program', sys.modules.get(name))
                getattr(x, 'daemon', 1) or x.join()
        while exits:
            f, args, kw = exits.pop()
            try:
                f(*args, **kw)
            except:
                complain()
        end_pools(threads)
    finally:
        timers(signal, off)     # first, as it would strike what follows, or find no handler any more
        for f in [sys.stdout, sys.stderr] + before[:2]:
            try:
                f.flush()
            except:
                pass
        if PID - os.getpid():
            os._exit(status)    # a fork of the program: all this is not its, nor the answer
        for x in 1, 2:
            os.dup2(fds[x * 2 - 1], x)
            os.close(fds[x * 2 - 1])
            name = ('stdout', 'stderr')[x - 1]
            if before[x - 1] is H[name]:
                before[x - 1] = reopened(x, name)
        let_go(pipes)
        for i in range(4):
            setattr((sys, sys, sys, atexit)[i], ('stdout', 'stderr', 'argv', 'register')[i], before[i])
        if unregister:
            setattr(atexit, 'unregister', unregister)
        for x, f in handlers:
            if f is not None and signal.getsignal(x) != f:
                signal.signal(x, f)
        timers(signal, ticking)
    return status


H.update({8: die, 26: cancel_job, 27: exec_job, 34: take_credit})
if 16 not in H:
    up = bulk_up
