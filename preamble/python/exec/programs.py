# Whole programs: run (section 8).

def complain():
    # Of the exception at hand in a program: its exit status, once said.
    x, v, tb = sys.exc_info()
    if x is SystemExit:
        if v.code is None or isinstance(v.code, int):
            return (v.code or 0) & 255
        sys.stderr.write(str(v.code) + '\n')
    else:
        sys.stderr.write(''.join(__import__('traceback').format_exception(x, v, tb.tb_next)))
    return 1


def run(name, argv, out, err):
    # A program as __main__, in the main thread; what it and its children write goes to the streams. It ends as it would in
    # a process of its own: threads are waited for, exit functions run. The streams end when the last child closes them, so
    # the answer does not wait for that.
    atexit = __import__('atexit')
    before = sys.stdout, sys.stderr, sys.argv, atexit.register
    saved = []
    exits = []
    status = 0

    def register(f, *args, **kw):
        exits.append((f, args, kw))
        return f

    for x in 1, 2:
        before[x - 1].flush()
        r, w = os.pipe()
        saved.append(keep(os.dup(x)))
        os.dup2(w, x)
        os.close(w)
        thread.start_new_thread(Stream(0, (out, err)[x - 1]).feed, (keep(r),))
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
        for f in (sys.stdout, sys.stderr) + before[:2]:
            try:
                f.flush()
            except:
                pass
        for i in range(4):
            setattr((sys, sys, sys, atexit)[i], ('stdout', 'stderr', 'argv', 'register')[i], before[i])
        for x in 1, 2:
            os.dup2(saved[x - 1], x)
            os.close(saved[x - 1])
    return status


H.update({8: die, 26: cancel_job, 27: exec_job, 34: take_credit})
