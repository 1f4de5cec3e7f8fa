# What `relay` and `exec` bring: argv and environment out of a request, read as strictly as service/words.c does.

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
        v[raw_bytes(k)] = x
        if x is not None:
            v[raw_bytes(k)] = raw_bytes(x)
    return v
