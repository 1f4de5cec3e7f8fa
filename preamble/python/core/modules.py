# Modules (docs/protocol.md section 11). The module econtext is its own importer: its functions find_module ... get_data
# are what a finder and a loader must have, old protocol (2.x, 3.3) and new.

def ask(name):
    # Entries from the parent, for any thread but the I/O thread. A lost parent ends the process, and the wait with it.
    # None for a fork of called code: the answer would come to the parent of that.
    wait = allocate()
    wait.acquire()
    got = []

    def answer(kind, src, reply, body):
        if src - PARENT:
            COUNT[2] += 1
        else:
            del H[slot]
            kind & 4 or got.append(body)
            wait.release()

    if PID - os.getpid():
        return got
    slot = id(got) % 2 ** 31 + 256
    H[slot] = answer
    send(1, PARENT, 32, slot, pack_value([name]))
    wait.acquire()
    return got and decode(got[0])


def fetch(name):
    # The kind of a module that the master serves, or what is false. Of a served package only its known children are asked for.
    # (e[-2] of a missing one is its name.)
    x = name.split('.')
    e = ENTRIES.get('.'.join(x[:-1]))
    if e and x[-1] not in e[-2]:
        return
    if name not in ENTRIES:
        for e in ask(name):
            ENTRIES[e[0]] = e
    return ENTRIES.get(name, [0, 0])[1]


def find_module(name, *rest):
    # As finder of the last entry of sys.path (one argument), so that the machine's own modules win; as the first of
    # sys.meta_path (two) for PREFIXES only.
    for x in rest and PREFIXES or ['']:
        if (name + '.').startswith(x) and fetch(name):
            return SELF


def find_spec(name, *rest):
    # Here sys.path's has two arguments, sys.meta_path's three.
    if find_module(name, *rest[1:]):
        e = ENTRIES[name]
        return type(sys.__spec__)(name, SELF, is_package=e[1] > 1, origin=ROOT + e[2])


def load_module(name):
    m = sys.modules[name] = type(sys)(str(name))
    try:
        exec_module(m)
        return sys.modules[name]
    except:
        sys.modules.pop(name, 0)
        raise


def create_module(spec):
    pass


def exec_module(m):
    e = ENTRIES[m.__name__]
    m.__file__ = ROOT + e[2]
    m.__loader__ = SELF
    if e[1] > 1:
        m.__path__ = [ROOT]
    exec(compile(zlib.decompress(e[6]), m.__file__, 'exec'), m.__dict__)


def get_source(name):
    # For tracebacks, which take an IOError as an answer; name is what the code calls itself. (Of Python 3's text a form feed
    # ends a line.)
    try:
        s = zlib.decompress(ENTRIES[name][6])
        return BYTES is str and s or s.decode('utf8', 'replace').replace('\f', '')
    except:
        raise IOError(name)


def get_data(path):
    try:
        return zlib.decompress(ask(path[11:])[0][6])
    except:
        raise IOError(path)


def get_resource_reader(name):
    # What importlib.resources asks for, of Python 3.7 and later: it is served, as few want it.
    return load('econtext_resource').Reader(name)


def load(name):
    # What is called (part `program` replaces it).
    __import__(name)
    return sys.modules[name]
