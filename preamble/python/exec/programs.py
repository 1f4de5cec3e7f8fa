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


def run(name, argv, out, err):
    # A program as __main__, in the main thread; what it and its children write goes to the streams. It ends as it would in
    # a process of its own: threads are waited for, exit functions run. The streams end when the last child closes them, so
    # the answer does not wait for that.
    atexit = __import__('atexit')
    before = [sys.stdout, sys.stderr, sys.argv, atexit.register]
    ends = [Stream(0, out), Stream(0, err)]
    fds = []
    exits = []
    status = 0

    def register(f, *args, **kw):
        exits.append((f, args, kw))
        return f

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
    for x in 1, 2:
        try:
            before[x - 1].flush()
        except:
            pass                # called code has put it there
        os.dup2(fds[x * 2 - 2], x)
        os.close(fds[x * 2 - 2])
    try:
        try:
            if not find_module(name):
                raise ImportError(name)
            setattr(atexit, 'register', register)
            argv = [isinstance(x, str) and x or BYTES is str and x.encode('utf8') or os.fsdecode(x) for x in argv]
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
        x = sys.modules.get('threading')
        for x in x and x.enumerate() or ():
            if not getattr(x, 'daemon', 1) and getattr(x, 'ident', 0) != thread.get_ident():
                x.join()
        while exits:
            f, args, kw = exits.pop()
            try:
                f(*args, **kw)
            except:
                complain()
    finally:
        for f in [sys.stdout, sys.stderr] + before[:2]:
            try:
                f.flush()
            except:
                pass
        for x in 1, 2:
            os.dup2(fds[x * 2 - 1], x)
            os.close(fds[x * 2 - 1])
            name = ('stdout', 'stderr')[x - 1]
            if before[x - 1] is H[name]:
                before[x - 1] = reopened(x, name)
        for i in range(4):
            setattr((sys, sys, sys, atexit)[i], ('stdout', 'stderr', 'argv', 'register')[i], before[i])
    return status


H.update({8: die, 26: cancel_job, 27: exec_job, 34: take_credit})
