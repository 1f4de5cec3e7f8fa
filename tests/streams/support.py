"""What the tests of streams share: the program under test, servers on loopback, a SOCKS client, and what a process holds.

Everything is waited for with a limit, LIMIT seconds, which is how long it may take before the test has failed and not how
long it takes. Contents are slices of one block of random bytes, so that a byte of another connection, or of another place in
the same one, is seen.
"""
import contextlib
import errno
import os
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

LIMIT = 60
W = 262144  # STREAM_WINDOW
MIB = 1 << 20
DATA = b'y' + os.urandom(4 * MIB - 1)    # b'x' + DATA[1:] is another
SIZES = (0, 1, W - 1, W, W + 1, 3 * MIB)
ABORT = struct.pack('ii', 1, 0)  # SO_LINGER: close is a reset


def expect(good, *saw):
    if not good:
        raise AssertionError(' '.join(str(x) for x in saw)[:2000])


def until(what, limit=LIMIT):
    """What what() gave last: the first that is true, or what it was at the end of the limit."""
    end = time.monotonic() + limit
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got
        time.sleep(0.02)


# ---- processes ----

def below(pid):
    """The processes that pid started, and those that they did."""
    parents = {}
    for x in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError), open('/proc/%s/stat' % x) as f:
            state, parent = f.read().rpartition(')')[2].split()[:2]
            if state != 'Z':
                parents.setdefault(int(parent), []).append(int(x))
    found, todo = [], [pid]
    while todo:
        more = parents.get(todo.pop(), [])
        found += more
        todo += more
    return found


def alive(pid):
    with contextlib.suppress(OSError), open('/proc/%d/stat' % pid) as f:
        return f.read().rpartition(')')[2].split()[0] not in 'ZX'
    return False


def descriptors(pids):
    """pid -> how many it has open."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            found[pid] = len(os.listdir('/proc/%d/fd' % pid))
    return found


def memory(pids):
    """pid -> bytes of its own in memory."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError), open('/proc/%d/status' % pid) as f:
            found[pid] = sum(int(n) for n in re.findall(r'(?m)^Rss(?:Anon|Shmem):\s+(\d+)', f.read())) * 1024
    return found


def sanitized(build):
    with open(os.path.join(build, 'CMakeCache.txt')) as f:
        return bool(re.search(r'(?m)^ECONTEXT_SANITIZE:\w+=.+', f.read()))


TOOLS = 'sh cat dd stat sha256sum od head tail readlink setsid flock touch mv chmod mkdir ln rm sed tr wc sleep'.split()


def has_applet(box, name):
    """Debian's has no flock."""
    return name in subprocess.run([box, '--list'], stdout=subprocess.PIPE, text=True).stdout.split()


def without_python(folder, box=None):
    """A PATH on which there is nothing but what a copy by a shell wants: this machine's tools, or a busybox's."""
    os.mkdir(folder)
    for name in TOOLS:
        os.symlink(box and has_applet(box, name) and box or shutil.which(name), os.path.join(folder, name))
    return folder


class Place:
    """A folder, and a topology whose contexts have one kind of agent: top, leaf[1-3] behind it, deep behind leaf1.

    shell, busybox: the native one, on hosts that have no Python, whose tools are this machine's, or busybox's."""

    def __init__(self, build, agent):
        self.agent = agent
        self.shell = agent in ('shell', 'busybox')
        self.seconds = agent == 'busybox'  # its touch knows no less
        self.sanitized = sanitized(build)  # what a sanitizer's allocator keeps says nothing about ours
        self.program = os.path.join(build, 'econtext')
        self.folder = tempfile.mkdtemp(prefix='econtext-streams-')
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('ECONTEXT_')}
        self.env.update(HOME=self.folder, TERM='dumb', LC_ALL='C.UTF-8', ECONTEXT_TOPOLOGY=self.path('topology.yaml'))
        if self.shell:
            self.env['PATH'] = without_python(self.path('bin'), shutil.which('busybox') if agent == 'busybox' else None)
        self.tunnels = {}
        self.running = []
        self.declare()

    def declare(self):
        """Writes the topology, with the tunnels that there are."""
        which = 'native: never' if self.agent == 'python' else 'agent: native'
        with open(self.path('topology.yaml'), 'w') as f:
            f.write('econtext: 1\ndefaults: {%s}\nnodes:\n  top: {local: {}}\n  leaf[1-3]: {local: {}, via: top}\n  deep: {local: {}, via: leaf1}\n' % which)
            if self.tunnels:
                f.write('tunnels:\n' + ''.join('  %s: %s\n' % x for x in self.tunnels.items()))

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, *args, **how):
        program = Program(self, args, **how)
        self.running.append(program)
        return program

    def run(self, *args, data=b'', **how):
        """Runs it to its end with this stdin: (status, stdout, stderr's text)."""
        program = self.start(*args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **how)
        return program.finish(data)

    def close(self):
        for program in self.running:
            program.close()
        self.running = []

    def remove(self):
        self.close()
        shutil.rmtree(self.folder, True)


class Program:
    def __init__(self, place, args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=None):
        self.began = time.monotonic()
        self.process = subprocess.Popen([place.program] + list(args), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
                                        cwd=place.folder, env=dict(place.env, **(env or {})))
        self.pid = self.process.pid
        self.err = b''
        self.reader = threading.Thread(target=self.read_err, daemon=True)
        self.reader.start()

    def read_err(self):
        for line in iter(self.process.stderr.readline, b''):
            self.err += line

    def said(self):
        return self.err.decode('utf8', 'replace')

    def says(self, text, limit=LIMIT):
        """Waits until it has said on stderr what the pattern matches."""
        until(lambda: re.search(text, self.said()) or self.process.poll() is not None, limit)
        if self.process.poll() is not None:
            self.reader.join(limit)
        found = re.search(text, self.said())
        expect(found, 'it does not say %r, but %r' % (text, self.said()))
        return found

    def at(self):
        """Where it listens, as an address for Python's sockets."""
        where = self.says(r'listening at (\S+?),? ').group(1)
        if where.startswith('unix:'):
            return where[5:].replace('@', '\0', 1)
        host, _, port = where.rpartition(':')
        return host.strip('[]'), int(port)

    def finish(self, data=b'', limit=LIMIT):
        out = []
        reading = threading.Thread(target=lambda: out.append(self.process.stdout.read()), daemon=True)
        reading.start()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)
            self.process.stdin.close()
        reading.join(limit)
        expect(not reading.is_alive(), 'its stdout does not end:', self.said())
        return self.wait(limit), out[0], self.said()

    def wait(self, limit=LIMIT):
        status = self.process.wait(limit)
        self.reader.join(limit)
        return status

    def ends(self, number):
        """Ended by this signal; then nothing that it started may be left. Its status."""
        pids = below(self.pid)
        self.process.send_signal(number)
        status = self.wait()
        left = until(lambda: not [pid for pid in pids if alive(pid)])
        expect(left, 'left behind:', [pid for pid in pids if alive(pid)])
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for f in self.process.stdin, self.process.stdout:
            if f:
                with contextlib.suppress(OSError):
                    f.close()


def old_python(place):
    """A node `old` with Python 2.7, where there is one."""
    if place.shell:
        return []
    found = subprocess.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../scripts/pythons')], stdout=subprocess.PIPE, text=True).stdout.split()
    if '2.7' not in found:
        return []
    with open(place.path('topology.yaml'), 'a') as f:
        f.write('  old: {local: {}, python: %s}\n' % found[found.index('2.7') + 1])
    return ['old']


# ---- servers and clients ----

def read_all(sock):
    parts = []
    while True:
        s = sock.recv(65536)
        if not s:
            return b''.join(parts)
        parts.append(s)


def exactly(sock, n):
    got = b''
    while len(got) < n:
        s = sock.recv(n - len(got))
        expect(s, 'ended after %d of %d bytes' % (len(got), n))
        got += s
    return got


def family(address):
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ':' in address[0] else socket.AF_INET


def dial(address):
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    sock.settimeout(LIMIT)
    sock.connect(address)
    return sock


def narrow():
    """A socket that takes little."""
    sock = socket.socket()
    sock.settimeout(LIMIT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    return sock


class Server:
    """Listens; handle(sock) runs in a thread for each that comes, and what it gives, or raises, is in `results`."""

    def __init__(self, handle, address=('127.0.0.1', 0)):
        self.handle = handle
        self.results = queue.Queue()
        self.came = 0  # connections so far
        self.listener = socket.socket(family(address), socket.SOCK_STREAM)
        if not isinstance(address, str):
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(512)
        self.address = self.listener.getsockname()
        if isinstance(self.address, bytes):
            self.address = self.address.decode()
        self.port = None if isinstance(self.address, str) else self.address[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                sock = self.listener.accept()[0]
                self.came += 1
                threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        sock.settimeout(LIMIT)
        try:
            self.results.put(self.handle(sock))
        except Exception as e:
            self.results.put(e)
        sock.close()

    def result(self):
        return self.results.get(timeout=LIMIT)

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@contextlib.contextmanager
def full():
    """The port of a socket that takes none any more: who connects gets no answer."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(('127.0.0.1', 0))
        listening.listen(0)
        for i in range(16):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            expect(sock.connect_ex(listening.getsockname()) == errno.EINPROGRESS)
        yield listening.getsockname()[1]


def ours(size, at):
    return DATA[at:at + size]


def theirs(size, at):
    return DATA[at + 100:at + 100 + size]


def send_all(sock, data):
    with contextlib.suppress(OSError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


def exchange_server(sock):
    """`theirs` out and `ours` in, both at once, of the size that the first 8 bytes say. True: all came."""
    size, at = struct.unpack('>II', exactly(sock, 8))
    sending = threading.Thread(target=send_all, args=(sock, theirs(size, at)), daemon=True)
    sending.start()
    good = read_all(sock) == ours(size, at)
    sending.join(LIMIT)
    return good


def head(size, at):
    return struct.pack('>II', size, at)


def exchange(sock, size, at=0):
    """The client's side, on a socket."""
    sending = threading.Thread(target=send_all, args=(sock, head(size, at) + ours(size, at)), daemon=True)
    sending.start()
    got = read_all(sock)
    sending.join(LIMIT)
    sock.close()
    expect(got == theirs(size, at), 'of %d bytes %d came, or others' % (size, len(got)))


def carries(server, connect, sizes=SIZES):
    """All sizes both ways, through what connect() gives."""
    for at, size in enumerate(sizes):
        exchange(connect(), size, at)
        result = server.result()
        expect(result is True, 'the server saw other bytes than were sent, of', size, repr(result))


def socks(proxy, host, port, user=None, password=''):
    """SOCKS 5: (socket, reply). host is bytes for a packed address, text for a name. reply None: not let in."""
    sock = dial(proxy)
    sock.sendall(b'\5\1' + (b'\2' if user else b'\0'))
    if exactly(sock, 2)[1] == 255:
        return sock, None
    if user:
        sock.sendall(b'\1' + bytes([len(user)]) + user.encode() + bytes([len(password)]) + password.encode())
        if exactly(sock, 2)[1]:
            return sock, None
    kinds = {4: b'\1', 16: b'\4'}
    where = kinds[len(host)] + host if isinstance(host, bytes) else b'\3' + bytes([len(host)]) + host.encode()
    sock.sendall(b'\5\1\0' + where + struct.pack('>H', port))
    return sock, exactly(sock, 10)[1]
