# The Python agent's core: what every Python context runs, as sent by the first stage (docs/boot.md, docs/protocol.md).
#
# Two threads. The I/O thread reads the parent link, answers what needs no application code, and never executes an import
# statement (on 2.x a thread that waits in one for a module holds the import lock, and the module comes through the I/O
# thread). The main thread runs calls in their order and writes its answers itself. Invariant: the I/O thread never waits
# for the main thread, so a context whose code hangs still ends when its parent does.
#
# Every byte counts here (preamble/build.py minifies and compresses), so comments are free and code is not:
# - one table H maps a handle to what takes it, f(kind, src, reply, body); slots and streams are in it too.
# - names in capitals are state that the parts (relay, exec, stats) share; they run in this same namespace and replace
#   route, up, large, parse, deliver, turn and die, which are looked up at each use for that reason.
# - the module is its own importer: its functions find_module ... get_data are what a finder and loader must have.
# - decode() is the only judge of what may travel; run_call asks it about its own answer.
# The source must stay in the common subset of Python 2.4 and 3.13 (tests/lint/py24.py).
import os
import zlib
import fcntl
import codecs
import select
import struct
import sys

# The namespace of `python -c` becomes module econtext, so that it needs no name of its own on the command line.
slave = True
__name__ = 'econtext'
SELF = sys.modules[__name__] = sys.modules['__main__']

pack = struct.pack
unpack = struct.unpack
EMPTY = REST = pack('')
BYTES = type(EMPTY)
TEXT = type(EMPTY.decode('utf8'))  # and Python 2 has loaded this codec, which the I/O thread must not do
thread = __import__('_thread'[BYTES is str:])
allocate = thread.allocate_lock

OWED = SENT = ACKED = 0         # bulk bytes to acknowledge; bulk bytes sent, and those acknowledged
COUNT = [0] * 7                 # bad_src, bad_auth, bad_reply, no_group, dropped_logs; see emit; dropped_logs as reported
IDLE = LAST = 1e9               # seconds of silence that end the link; when the parent was last heard
ENTRIES = {}                    # module name -> entry of GET_MODULE
COLLECT = {}                    # (src, handle, reply_to) -> [bytes, pieces...]; bytes < 0: thrown away
PIPES = {}                      # captured descriptor -> logger, bytes of a cut character
PROGRAMS = []
CALLS = []
# WORK is locked while the main thread has nothing to do. LOCK: one writer at a time. LARGE: one large message at a time;
# it waits at CREDIT for an ACK. DRAIN: what was read from a pipe is sent before anything else is read there.
WORK, LOCK, LARGE, CREDIT, DRAIN = [allocate() for x in range(5)]


def die(*rest):
    # The agent leads its process group (see the end): this ends it and what it started.
    os.kill(0, 9)


def now():
    # Monotonic on every version, unlike the time module.
    return os.times()[4]


def again():
    # The exception at hand: interrupted or not ready is for another try, anything else is the end.
    if sys.exc_info()[1].args[0] not in (4, 11):
        die()


# ---- values (section 2) ----

def strict(s):
    # The text in these bytes. Python 2 lets surrogates pass as UTF-8.
    if BYTES is str:
        for x in s.split('\xed')[1:]:
            if x[:1] > '\x9f':
                raise ValueError
    return s.decode('utf8')


def pack_value(o, major=0, s=EMPTY):
    # With major: the head of something of size o, and the thing behind it.
    if o is None:
        return pack('B', 246)
    if isinstance(o, bool):
        return pack('B', 244 + o)
    if isinstance(o, float):
        return pack('>Bd', 251, o)
    if isinstance(o, (int, type(1 << 64))):
        n = 0
        if o < 0:
            major = 32
            o = -1 - o
        if o >> 64:
            while o:
                s = pack('B', o & 255) + s
                o >>= 8
            return pack('B', 194 + major // 32) + pack_value(len(s), 64, s)
        if o < 24:
            return pack('B', major | o) + s
        while o >> (8 << n):
            n += 1
        return pack('>B' + 'BHIQ'[n], major | 24 + n, o) + s
    if isinstance(o, TEXT):
        major = 96
        s = o.encode('utf8')
    elif isinstance(o, BYTES):
        major = 64
        s = o
        try:
            if BYTES is str:
                strict(o)
                major = 96
        except ValueError:
            pass
    elif isinstance(o, dict):
        return pack_value(len(o), 160, EMPTY.join(sorted([pack_value(x) + pack_value(o[x]) for x in o])))
    elif isinstance(o, (list, tuple)):
        return pack_value(len(o), 128, EMPTY.join([pack_value(x) for x in o]))
    else:
        raise TypeError(type(o))
    return pack_value(len(s), major, s)


def decode(s):
    at = [0, 1 << 20]

    def take(n):
        # Past the end the place goes on: the last line finds out.
        at[0] += n
        return s[at[0] - n:at[0]]

    def item(depth, key=0):
        at[1] -= 1
        major = ord(take(1))
        n = major & 31
        if n > 23:
            n, = unpack('>' + (major == 251 and 'd' or 'BHIQ'[n - 24]), take(1 << n - 24))
        if at[1] < 0 or depth > 32 or key and 127 < major < 224 or 127 < major < 192 and n > at[1]:
            raise ValueError
        if major == 251:
            return n
        if major > 223:
            return (False, True, None)[major - 244 & 31]
        depth += 1
        major >>= 5
        if major < 2:
            return (n, -1 - n)[major]
        if major < 4:
            return (BYTES, strict)[major - 2](take(n))
        if major < 5:
            return [item(depth) for x in range(n)]
        if major < 6:
            v = dict([(item(depth, 1), item(depth)) for x in range(n)])
            if len(v) < n:
                raise ValueError
            return v
        at[1] += 1
        v = item(depth - 1)
        if len(v) > 4096 or not isinstance(v, BYTES):
            raise ValueError
        major = 0
        for x in unpack('%dB' % len(v), v):
            major = major << 8 | x
        return {2: major, 3: -1 - major}[n]

    v = item(1)
    if at[0] != len(s) or at[0] > 1 << 26:
        raise ValueError
    return v


def text(o, room):
    # Any object as text that can travel, at most room bytes of UTF-8: a longer one keeps head and tail.
    for f in str, TEXT, repr:
        try:
            s = f(o)
            if not isinstance(s, TEXT):
                s = s.decode('utf8', 'replace')
            s = s.encode('utf8')
            strict(s)
            break
        except:
            s = EMPTY
    if len(s) > room:
        s = s[:room // 2] + s[-room // 2:]
    return s.decode('utf8', 'ignore')


# ---- frames (section 1) ----

def up(kind, s):
    # Writes a whole frame to the parent; a parent that takes nothing for IDLE is as lost as a silent one.
    LOCK.acquire()
    while s:
        try:
            s = s[os.write(OUT, s):]
        except OSError:
            again()
            if not select.select([], [OUT], [], IDLE)[1]:
                die()
    LOCK.release()


def send(kind, dst, handle, reply, body):
    if len(body) > 65536:
        return large(kind, dst, handle, reply, body)
    up(kind, pack('>4B6I', 236, 1, kind, 64, dst, ME, ME, handle, reply, len(body)) + body)


def large(kind, dst, handle, reply, body):
    # Never in the I/O thread, which brings the ACKs.
    global SENT
    LARGE.acquire()
    while body:
        s = body[:16384]
        body = body[16384:]
        while SENT > ACKED and SENT - ACKED + len(s) > 65508:
            CREDIT.acquire()
        SENT += len(s) + 28
        send(body and 18 or 2, dst, handle, reply, s)
    LARGE.release()


def notice(reason, src, reply, asked=0):
    if reply:
        send(4, src, reply, 0, pack_value([reason, asked or ME, ME, '']))


def parse(s):
    # All whole frames of s; what is left over comes back.
    while len(s) > 27:
        x = unpack('>4B6I', s[:28])
        n = x[9]
        if x[:2] != (236, 1) or x[2] & 195 > 2 or n > 65536 >> (x[2] & 2):
            die()
        if n + 28 > len(s):
            break
        route(*x[2:9] + (s[28:n + 28],))
        s = s[n + 28:]
    return s


def route(kind, hops, dst, src, auth, handle, reply, body):
    # The first frame: HELLO. The next ones go to route2.
    global ME, PARENT, SIZE, IDLE, LEVEL, PREFIXES, route
    route = route2
    PARENT = src
    m = decode(body)
    ME, SIZE = m[1]
    x = os.uname()
    send(0, src, 1, 0, pack_value(dict(enumerate([1, 'python', sys.version.split()[0], x[4], os.getpid(), os.getuid(), x[1]]))))
    if m[0] != 1 or handle != 1:
        die()
    IDLE = m[2] / 1000. or 1e9
    LEVEL = m.get(3, 30)
    PREFIXES = [x + '.' for x in m.get(6, ())]
    if PREFIXES:
        sys.meta_path.insert(0, SELF)
    try:
        # The title in `ps`: a process may write its own argument area (fields 48 and 49 of 52 of its stat).
        x, n = map(int, open('/proc/self/stat', 'rb').read().split()[-5:-3])
        n -= x
        f = open('/proc/self/mem', 'r+b', 0)
        f.seek(x)
        f.write(pack('%ds' % n, m[4].encode('utf8')[:n - 1]))
    except:
        pass


def route2(kind, hops, dst, src, auth, handle, reply, body):
    # A leaf: everything comes from the parent, and what is not for me has no way on.
    if ME <= src < ME + SIZE:
        COUNT[0] += 1
    elif kind & 8:
        COUNT[3] += 1
    elif dst != ME:
        notice('no-route', src, reply, dst)
    else:
        deliver(kind, src, handle, reply, body)


def deliver(kind, src, handle, reply, body):
    global OWED
    if kind & 2:
        OWED += len(body) + 28
        # Section 1.1: on with the whole message, or not at all as long as it is not whole.
        x = src, handle, reply
        if kind & 16 or x in COLLECT:
            c = COLLECT.setdefault(x, [0])
            if c[0] >= 0:
                c[0] += len(body)
                c.append(body)
                if c[0] > 1 << 26 or len(COLLECT) > 32 or sum([n[0] for n in COLLECT.values()]) > 1 << 27:
                    c[:] = [-1]
                    notice('too-big', src, reply)
            if kind & 16:
                return
            del COLLECT[x]
            if c[0] < 0:
                return
            body = EMPTY.join(c[1:])
    if kind & 4:
        reply = 0
    f = H.get(handle, 'no-handle')
    if handle in (3, 5, 6, 32, 33) or handle < 7 and src != PARENT:
        f = 'no-authority'
    try:
        if isinstance(f, str):
            notice(f, src, reply)
        elif handle > 255 or not kind & 4:
            f(kind, src, reply, body)
    except:
        if handle < 7:
            die()
        notice('bad-body', src, reply)


def ping(kind, src, reply, body):
    decode(body)
    send(0, src, 3, 0, body)


def ack(kind, src, reply, body):
    global ACKED
    ACKED += decode(body)
    if ACKED > SENT:
        die()
    if CREDIT.locked():
        CREDIT.release()


def echo(kind, src, reply, body):
    if reply:
        thread.start_new_thread(send, (1, src, reply, 0, body))


def part(kind, src, reply, body):
    body = decode(body)[1]
    exec(zlib.decompress(body), globals())
    if reply:
        send(1, src, reply, 0, pack_value(None))


def call(kind, src, reply, body):
    CALLS.append((src, reply, body))
    if WORK.locked():
        WORK.release()


def cancel(kind, src, reply, body):
    reply = decode(body)[0]
    for x in CALLS[:]:
        if x[:2] == (src, reply):
            # The main thread may have taken it meanwhile: then remove raises and it goes on.
            CALLS.remove(x)
            notice('cancelled', src, reply)


# ---- modules (section 11) ----

def ask(name):
    # Entries from the parent, for any thread but the I/O thread. A lost parent ends the process, and the wait with it.
    wait = allocate()
    wait.acquire()
    got = []

    def answer(kind, src, reply, body):
        if src != PARENT:
            COUNT[2] += 1
        else:
            del H[slot]
            got.append(kind & 4 and pack('B', 128) or body)
            wait.release()

    slot = id(got) % (1 << 31) + 256
    H[slot] = answer
    send(1, PARENT, 32, slot, pack_value([name]))
    wait.acquire()
    return decode(got[0])


def fetch(name):
    # The entry of a module that the master serves, or None. Of a served package only its known children are asked for.
    # (e[-2] of a missing one is its name.)
    i = name.rfind('.')
    e = ENTRIES.get(name[:max(i, 0)])
    if e and name[i + 1:] not in e[-2]:
        return
    if name not in ENTRIES:
        for e in ask(name):
            ENTRIES[e[0]] = e
    e = ENTRIES.get(name, [0, 0])
    return e[1] and e


def inflate(e):
    # The master serves nothing above 16 MiB.
    return zlib.decompressobj().decompress(e[6], 1 << 24)


def find_module(name, *rest):
    # As finder of the last entry of sys.path (one argument), so that the machine's own modules win; as the first of
    # sys.meta_path (two) for PREFIXES only.
    for x in rest and PREFIXES or ['']:
        if (name + '.').startswith(x) and fetch(name):
            return SELF


def find_spec(name, *rest):
    # Here sys.path's has two arguments, sys.meta_path's three.
    if find_module(name, *rest[1:]):
        return type(sys.__spec__)(name, SELF, is_package=is_package(name))


def is_package(name):
    return ENTRIES[name][1] > 1


def load_module(name, also=None):
    m = sys.modules[name] = sys.modules[also or name] = type(sys)(name)
    try:
        exec_module(m)
    except:
        del sys.modules[name]
        raise
    return sys.modules[name]


def create_module(spec):
    pass


def exec_module(m):
    e = ENTRIES[m.__name__]
    m.__loader__ = SELF
    m.__file__ = 'econtext:/' + e[2]
    if e[1] > 1:
        m.__path__ = ['econtext:/']
    exec(compile(inflate(e), m.__file__, 'exec', 0, 1), m.__dict__)


def get_source(name):
    s = inflate(ENTRIES[name])
    return BYTES is str and s or s.decode('utf8', 'replace')


def get_data(path):
    for e in ask(path[10:])[:1]:
        if e[1]:
            return inflate(e)
    raise IOError(path)


def hook(path):
    if path[:9] != 'econtext:':
        raise ImportError
    return SELF


def load(name):
    # `./p`: a single-file program, loaded once as __main__ and under its stem.
    if name[:2] != './':
        __import__(name)
    else:
        name = name[2:]
        if fetch(name) and name not in PROGRAMS:
            load_module(name, '__main__')
            PROGRAMS.append(name)
    return sys.modules[name]


# ---- logs and stdio ----

def drain(rounds):
    # Sends what is in the captured pipes; 5 rounds hold more than a full pipe, and a child that never stops printing
    # does not hold the caller.
    DRAIN.acquire()
    ready = PIPES
    while ready and rounds:
        rounds -= 1
        ready = select.select(list(PIPES), [], [], 0)[0]
        for x in ready:
            name, s = PIPES[x]
            s += os.read(x, 16384)
            o, n = codecs.utf_8_decode(s, 'replace')
            PIPES[x] = name, s[n:]
            send(1, 0, 33, 0, pack_value([20, name, o, 0]))
    DRAIN.release()


def start_logging():
    # logging is slow to import: only contexts that are called pay for it.
    import logging

    def emit(record):
        # COUNT[5] is the time that records have used up, half a millisecond each: a second's burst, then 2,000 a second.
        # The handler's lock is held, so what comes while one is formatted is made by that: over the limit, too.
        x = now()
        COUNT[5] = max(COUNT[5], x) + .0005
        if COUNT[5] > x + 1:
            COUNT[4] += 1
        else:
            COUNT[5] += 2
            try:
                send(1, 0, 33, 0, pack_value([record.levelno, text(record.name, 256), text(h.format(record), 32768), COUNT[4] - COUNT[6]]))
                COUNT[6] = COUNT[4]
            except:
                h.handleError(record)
            COUNT[5] -= 2

    h = logging.Handler(LEVEL)
    h.emit = emit
    logging.root.addHandler(h)
    logging.root.setLevel(LEVEL)


# ---- calls (section 8), in the main thread ----

def run_call(src, reply, body):
    try:
        module, name, args, kw = decode(body)[:4]
        name = name.split('.')
        kw = dict([(str(x), kw[x]) for x in kw])
    except:
        return notice('bad-body', src, reply)
    kind = 0
    try:
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
        import traceback
        x, v, tb = sys.exc_info()
        s = ''.join(traceback.format_exception(x, v, tb.tb_next))
        name = x.__name__
        if x.__module__ != ValueError.__module__:
            name = x.__module__ + '.' + name
        if kind == 1:
            v = '%s cannot travel: %s' % (type(f), v)
        body = pack_value([1, text(name, 256), text(v, 16384), text(s, 32768), kind])
        f = v = tb = None
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except:
        pass
    drain(5)
    if reply:
        send(1, src, reply, 0, body)


def loop():
    try:
        while 1:
            turn()
    finally:
        die()


def turn():
    global LAST, OWED, REST
    try:
        ready = select.select([IN] + list(PIPES), [], [], IDLE / 4)[0]
        if IN in ready:
            x = os.read(IN, 65536)
            if not x:
                die()
            LAST = now()
            REST = parse(REST + x)
            if OWED:
                x = pack_value(OWED)
                OWED = 0
                send(0, PARENT, 4, 0, x)
        elif now() - LAST > IDLE:
            die()
        if ready != [IN]:
            drain(1)
    except:
        again()


def keep(fd):
    fcntl.fcntl(fd, 2, 1)       # FD_CLOEXEC
    return fd


H = {2: ping, 4: ack, 7: echo, 8: die, 24: part, 25: call, 26: cancel}
sys.path[:] = sys.path[1:] + ['econtext:/']  # the first was the working directory
sys.path_hooks.append(hook)
try:
    os.setsid()
except OSError:
    pass
IN = keep(os.dup(0))
OUT = keep(os.dup(1))
fcntl.fcntl(OUT, 4, os.O_NONBLOCK)
os.dup2(keep(os.open('/dev/null', 0)), 0)
for x in 1, 2:
    r, w = os.pipe()
    name = ('stdout', 'stderr')[x - 1]
    PIPES[keep(r)] = name, EMPTY
    os.dup2(keep(w), x)         # w stays open too, so that r never sees the end
    if BYTES is str:
        # Python 2's own stdout refuses text that is not ASCII when there is no locale.
        f = codecs.StreamWriter(os.fdopen(x, 'w', 1))
        f.encode = lambda o, s: (isinstance(o, TEXT) and o.encode('utf8') or o, 0)
    else:
        f = open(x, 'w', 1, 'utf-8', 'backslashreplace', closefd=False)
    setattr(sys, name, f)
WORK.acquire()
thread.start_new_thread(loop, ())
try:
    WORK.acquire()
    start_logging()
    while 1:
        while CALLS:
            run_call(*CALLS.pop(0))
        WORK.acquire()
finally:
    die()
