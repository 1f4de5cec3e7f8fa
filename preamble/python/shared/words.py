# What `relay` and `exec` bring: argv and environment out of a request, read as strictly as service/words.c does, and what a
# fork of ours closes and executes.

def typed(o, what):
    if not isinstance(o, what):
        raise ValueError
    return o


def raw_bytes(o):
    # argv, environment and paths: as bytes, so that no locale can refuse them.
    if isinstance(o, TEXT):
        o = o.encode('utf8')
    if pack('B', 0) in typed(o, BYTES):
        raise ValueError
    return o


def words(o):
    # An argv.
    v = [raw_bytes(x) for x in typed(o, list)]
    v[0]
    return v


def changes(o):
    # Of an environment: names, and values or None for those that go.
    v = {}
    if o is None:
        return v
    for k, x in typed(o, dict).items():
        k = raw_bytes(k)
        if not k or pack('B', 61) in k:
            raise ValueError    # with a `=` it would be another's name
        v[k] = x
        if x is not None:
            v[k] = raw_bytes(x)
    return v


def opened():
    # The descriptors there are, and some that there are not.
    try:
        return [int(x) for x in os.listdir('/proc/self/fd')]
    except OSError:
        return range(1024)


def clear(*kept):
    # In a forked process: nothing of the agent's stays open but 0, 1, 2 and these.
    for x in opened():
        try:
            if x > 2 and x not in kept:
                os.close(x)
        except OSError:
            pass


def execute(path, argv, env):
    # A script without its first line: as a shell does it.
    try:
        os.execve(path, argv, env)
    except OSError:
        if sys.exc_info()[1].args[0] != 8:
            raise
        os.execve('/bin/sh', ['/bin/sh', path] + argv[1:], env)
