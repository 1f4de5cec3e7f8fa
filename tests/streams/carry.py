"""connect, tunnel and socks carry bytes: every size at and beside the window, both directions at once, over each kind of address;
half-close, reset and refusal are seen by the other peer as they are without anything between."""
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time

from support import (ABORT, LIMIT, MIB, W, Server, below, carries, dial, exactly, exchange, exchange_server, expect, head, ours,
                     read_all, socks, theirs, until, without_python)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def connected(place, server, size, *where):
    status, out, err = place.run('connect', *where, data=head(size, 0) + ours(size, 0))
    expect((status, out == theirs(size, 0)) == (0, True), where, status, len(out), err)
    expect(server.result() is True, where, 'the server saw other bytes')


def test_connect(place):
    with Server(exchange_server) as server:
        for size in 0, W + 1, 3 * MIB:
            connected(place, server, size, 'leaf1', '127.0.0.1', str(server.port))
        connected(place, server, 1, 'top', 'localhost', str(server.port))


def test_connect_to_unix_and_ipv6(place):
    with Server(exchange_server, place.path('unix')) as server:
        connected(place, server, W, 'leaf1', place.path('unix'))
    with Server(exchange_server, '\0' + place.path('abstract')) as server:
        connected(place, server, 1, 'leaf1', '@' + place.path('abstract'))
    with Server(exchange_server, ('::1', 0)) as server:
        connected(place, server, 1, 'leaf1', '::1', str(server.port))


def test_connect_is_refused(place):
    port = free_port()
    status, out, err = place.run('connect', 'leaf1', '127.0.0.1', str(port))
    expect((status, out) == (1, b''), status, out, err)
    expect('127.0.0.1 port %d: Connection refused' % port in err and 'leaf1' in err, err)
    status, out, err = place.run('connect', 'leaf1', place.path('nobody'))
    expect(status == 1 and 'No such file or directory' in err, status, err)
    status, out, err = place.run('connect', 'leaf1', 'nobody.invalid', '80')
    expect(status == 1 and 'nobody.invalid' in err, status, err)


def test_no_getent(place):
    """Who resolves names by a program says so where there is none."""
    if place.agent == 'native':
        place.env['PATH'] = without_python(place.path('tools'))
    with Server(exchange_server) as server:
        status, out, err = place.run('connect', 'leaf1', 'nobody.invalid', str(server.port))
    expect(status == 1 and 'nobody.invalid' in err, status, out, err)


def local(place, to, at='127.0.0.1:0'):
    program = place.start('tunnel', '-L', '%s:%s' % (at, to), '--exit', 'leaf1')
    return program, program.at()


def remote(place, to, at='127.0.0.1:0'):
    program = place.start('tunnel', '-R', '%s:%s' % (at, to), '--exit', 'leaf1')
    return program, program.at()


def test_local(place):
    with Server(exchange_server) as server:
        at = local(place, '127.0.0.1:%d' % server.port)[1]
        carries(server, lambda: dial(at))
        at = local(place, 'localhost:%d' % server.port, '[::1]:0')[1]
        carries(server, lambda: dial(at), (1,))


def test_remote(place):
    with Server(exchange_server) as server:
        at = remote(place, '127.0.0.1:%d' % server.port)[1]
        carries(server, lambda: dial(at))
        program, at = remote(place, '127.0.0.1:%d' % server.port, '[::1]:0')
        expect('listening at [::1]:' in program.said(), program.said())
        carries(server, lambda: dial(at), (1,))


def test_unix_sockets_both_sides(place):
    for make in local, remote:
        for name, mark in ('file', ''), ('abstract', '@'):
            path, to = place.path(name), place.path(name + '-to')
            with Server(exchange_server, mark.replace('@', '\0') + to) as server:
                program, at = make(place, mark + to, mark + path)
                expect(at == mark.replace('@', '\0') + path, at)
                expect(mark or os.stat(path).st_mode & 0o777 == 0o600, 'its mode')
                carries(server, lambda: dial(at), (1, W + 1))
                program.ends(2)
                expect(not os.path.exists(path), 'the file is left')
            if not mark:
                os.unlink(to)


def test_a_full_backlog(place):
    """Who connects to a unix socket that takes nobody for a while waits, as without a tunnel, and is not refused."""
    def slow():
        time.sleep(1)   # all have come
        for _ in range(30):
            sock = listener.accept()[0]
            sock.sendall(b'x')
            sock.close()
            time.sleep(0.02)

    for make, name in (local, 'near'), (remote, 'far'):
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(place.path(name))
            listener.listen(5)
            program, at = make(place, place.path(name))
            threading.Thread(target=slow, daemon=True).start()
            for sock in [stack.enter_context(dial(at)) for _ in range(30)]:
                with contextlib.suppress(ConnectionResetError):
                    expect(sock.recv(1) == b'x', name, 'is refused:', program.said())
                    continue
                expect(False, name, 'is refused:', program.said())


def test_unix_paths_of_107_bytes(place):
    to = place.path('to').ljust(107, 'o')
    with Server(exchange_server, to) as server:
        for begin in place.path('at'), '@' + place.path('at'):
            path = begin.ljust(107, 't')
            program, at = local(place, to, path)
            expect(at == path.replace('@', '\0'), at)
            carries(server, lambda: dial(at), (1,))
            status, _, err = place.run('tunnel', '-L', path + 't:' + to, '--exit', 'leaf1')
            expect(status == 2 and "a unix socket's path has 107 bytes at most" in err, status, err)


def test_named(place):
    with Server(exchange_server) as server:
        place.tunnels = {'web': '{listen: "127.0.0.1:0", exit: leaf2, connect: "127.0.0.1:%d"}' % server.port,
                         'proxy': '{listen: "127.0.0.1:0", exit: leaf2}'}
        place.declare()
        at = place.start('tunnel', 'web').at()
        carries(server, lambda: dial(at), (W + 1,))
        at = place.start('tunnel', '--exit', 'leaf3', 'proxy').at()
        carries(server, lambda: socks(at, '127.0.0.1', server.port)[0], (1,))
    status, _, err = place.run('tunnel', 'wbe')
    expect(status == 2 and 'web' in err, status, err)


# ---- SOCKS ----

def proxy(place, *more, **how):
    return place.start('socks', '-D', '0', '--exit', 'leaf1', *more, **how).at()


def open_at(at, host, port, **how):
    sock, reply = socks(at, host, port, **how)
    expect(reply == 0, 'the reply is', reply)
    return sock


def test_socks(place):
    at = proxy(place)
    four, six = socket.inet_aton('127.0.0.1'), socket.inet_pton(socket.AF_INET6, '::1')
    with Server(exchange_server) as server:
        carries(server, lambda: open_at(at, four, server.port))
        carries(server, lambda: open_at(at, 'localhost', server.port), (1,))
    with Server(exchange_server, ('::1', 0)) as server:
        carries(server, lambda: open_at(at, six, server.port), (W + 1,))
        carries(server, lambda: open_at(at, '::1', server.port), (1,))
    port = free_port()
    expect(socks(at, four, port)[1] == 5, 'refused')
    expect(socks(at, 'nobody.invalid', 80)[1] == 4, 'a name that is none')
    sock = dial(at)
    sock.sendall(b'\5\1\0')
    exactly(sock, 2)
    sock.sendall(b'\5\2\0\1' + four + b'\0\1')  # BIND
    expect(exactly(sock, 10)[1] == 7 and read_all(sock) == b'', 'BIND')
    sock = dial(at)
    sock.sendall(b'GET / HTTP/1.0\r\n\r\n')
    expect(read_all(sock) == b'', 'what is not SOCKS gets an answer')


def test_socks_user(place):
    at = proxy(place, '--user', 'ann', env={'ECONTEXT_SOCKS_PASSWORD': 'right'})
    with Server(exchange_server) as server:
        carries(server, lambda: open_at(at, '127.0.0.1', server.port, user='ann', password='right'), (1,))
        for user, password in ('ann', 'wrong'), ('ann', 'righ'), ('ann', 'right '), ('bob', 'right'), ('ann', ''), (None, ''):
            expect(socks(at, '127.0.0.1', server.port, user=user, password=password)[1] is None, user, password, 'is let in')
        expect(server.results.empty(), 'the server was reached')
    status, _, err = place.run('socks', '-D', '0', '--exit', 'leaf1', '--user', 'ann')
    expect(status == 2 and 'ECONTEXT_SOCKS_PASSWORD' in err, status, err)


def test_socks_long(place):
    """As long as the protocol can say; a byte more, and no client could ever log in."""
    most = 'u' * 255
    at = proxy(place, '--user', most, env={'ECONTEXT_SOCKS_PASSWORD': most})
    with Server(exchange_server) as server:
        carries(server, lambda: open_at(at, '127.0.0.1', server.port, user=most, password=most), (1,))
        expect(socks(at, '127.0.0.1', server.port, user=most, password=most[1:])[1] is None, 'is let in')
    for user, password in (most + 'u', 'right'), ('ann', most + 'u'):
        status, _, err = place.run('socks', '-D', '0', '--exit', 'leaf1', '--user', user, env={'ECONTEXT_SOCKS_PASSWORD': password})
        expect(status == 2 and '255 bytes' in err, status, err)


def test_socks_with_curl(place):
    def page(sock):
        while b'\r\n\r\n' not in sock.recv(65536, socket.MSG_PEEK):
            pass
        sock.recv(65536)
        sock.sendall(b'HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n' % MIB + ours(MIB, 7))
        return True

    at = '127.0.0.1:%d' % proxy(place, '--user', 'ann', env={'ECONTEXT_SOCKS_PASSWORD': 'right'})[1]
    with Server(page) as server:
        # By a name only where it is the exit that resolves it: a newer curl takes ::1 for localhost, where nobody listens, and no other.
        for option, host in ('--socks5', '127.0.0.1'), ('--socks5-hostname', 'localhost'):
            done = subprocess.run(['curl', '-sS', '-m', '10', option, at, '--proxy-user', 'ann:right',
                                   'http://%s:%d/' % (host, server.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            expect(done.returncode == 0 and done.stdout == ours(MIB, 7), option, done.returncode, done.stderr, len(done.stdout))


# ---- ends ----

def client_ends_first(sock):
    got = read_all(sock)
    sock.sendall(theirs(len(got), 0))
    return got == ours(len(got), 0)


def server_ends_first(sock):
    sock.sendall(theirs(W, 0))
    sock.shutdown(socket.SHUT_WR)
    return read_all(sock) == ours(W + 1, 0)


def client_resets(sock):
    sock.sendall(b'x')
    try:
        return read_all(sock)
    except ConnectionResetError:
        return True


def server_resets(sock):
    exactly(sock, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    return True


def ways(place, port):
    """Each way to a server: its name, and what makes a connection."""
    to = '127.0.0.1:%d' % port
    here, there, at = local(place, to)[1], remote(place, to)[1], proxy(place)
    return (('-L', lambda: dial(here)), ('-R', lambda: dial(there)), ('socks', lambda: open_at(at, '127.0.0.1', port)))


def test_half_close(place):
    with Server(client_ends_first) as server:
        for name, connect in ways(place, server.port):
            sock = connect()
            sock.sendall(ours(W + 1, 0))
            sock.shutdown(socket.SHUT_WR)
            expect(read_all(sock) == theirs(W + 1, 0) and server.result() is True, name, 'the client ends first')
        status, out, err = place.run('connect', 'leaf1', '127.0.0.1', str(server.port), data=ours(1, 0))
        expect((status, out) == (0, theirs(1, 0)), 'connect', status, out, err)
    place.close()
    with Server(server_ends_first) as server:
        for name, connect in ways(place, server.port):
            sock = connect()
            expect(read_all(sock) == theirs(W, 0), name, 'the server ends first')
            sock.sendall(ours(W + 1, 0))
            sock.close()
            expect(server.result() is True, name, 'what comes after the end')


def test_reset(place):
    with Server(client_resets) as server:
        for name, connect in ways(place, server.port):
            sock = connect()
            exactly(sock, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            sock.close()
            saw = server.result()
            expect(saw is True, name, "the client's reset:", repr(saw))
    place.close()
    with Server(server_resets) as server:
        for name, connect in ways(place, server.port):
            sock = connect()
            sock.sendall(b'x')
            try:
                expect(False, name, "the server's reset is", read_all(sock))
            except ConnectionResetError:
                pass
        status, out, err = place.run('connect', 'leaf1', '127.0.0.1', str(server.port), data=b'x')
        expect(status and out == b'' and 'reset' in err, 'connect', status, out, err)


def test_own_output_fails(place):
    """A reader that goes ends it as any filter; a disk that is full is said as that, and of no hop."""
    with Server(client_resets) as server:
        args = 'connect', 'leaf1', '127.0.0.1', str(server.port)
        near, far = os.pipe()
        os.close(near)
        for out, want in (far, (-signal.SIGPIPE, '')), (os.open('/dev/full', os.O_WRONLY), (7, 'econtext: writing: No space left on device\n')):
            program = place.start(*args, stdin=subprocess.DEVNULL, stdout=out)
            os.close(out)
            got = program.wait(), program.said()
            expect(got == want, got)


def test_urgent(place):
    """What TCP calls urgent is a byte like any other, in its place: telnet's DATA MARK is half of a command."""
    def both(sock):
        sock.sendall(b'a')
        sock.send(b'!', socket.MSG_OOB)
        sock.sendall(b'b')
        sock.shutdown(socket.SHUT_WR)
        return read_all(sock)
    with Server(both) as server:
        for name, connect in ways(place, server.port):
            sock = connect()
            sock.sendall(b'1')
            sock.send(b'?', socket.MSG_OOB)
            sock.sendall(b'2')
            sock.shutdown(socket.SHUT_WR)
            saw = server.result(), read_all(sock)
            expect(saw == (b'1?2', b'a!b'), name, saw)


def connections(pids):
    """Copies of the TCP connections that these processes hold; none where that is not allowed."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    for pid in pids:
        of = os.pidfd_open(pid)
        for fd in os.listdir('/proc/%d/fd' % pid):
            copy = syscall(438, of, int(fd), 0)  # pidfd_getfd(2)
            with contextlib.suppress(OSError, ValueError), socket.socket(fileno=copy) as sock:
                if sock.family != socket.AF_UNIX and sock.getpeername():
                    yield sock
        os.close(of)


def test_no_delay(place):
    """Small pieces go at once, at both ends of all that is connected or accepted."""
    with Server(exchange_server) as server:
        for name, connect in ways(place, server.port):
            sock = connect()
            expect(until(lambda: server.came), name)
            pid = place.running[('-L', '-R', 'socks').index(name)].pid

            def at_once():
                saw[:] = [x.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for x in connections([pid] + below(pid))]
                return len(saw) in (0, 2) and all(saw)
            saw = []
            expect(until(at_once, 30), name, saw)
            sock.close()
            server.result()
            server.came = 0


def test_refused(place):
    port = free_port()
    for make in local, remote:
        program, at = make(place, '127.0.0.1:%d' % port)
        try:            # the reset may be there before this end knows that it is connected
            expect(False, make.__name__, 'a refused connection is an end:', read_all(dial(at)))
        except ConnectionResetError:
            pass
        program.says('Connection refused')
        with Server(exchange_server, ('127.0.0.1', port)) as server:
            carries(server, lambda: dial(at), (1,))


def test_quiet(place):
    """A connection that is refused is a warning: -q says nothing of it, as the man page has it."""
    port = free_port()
    for options, says in ((), True), (('-q',), False):
        program = place.start('tunnel', *options, '-L', '0:127.0.0.1:%d' % port, '--exit', 'leaf1')
        try:
            expect(False, 'a refused connection is an end:', read_all(dial(program.at())))
        except ConnectionResetError:
            pass
        program.process.send_signal(signal.SIGINT)  # what it has to say is printed before it ends
        expect(program.wait() == 130 and ('Connection refused' in program.said()) == says, options, program.said())


def server_says_and_ends(sock):
    sock.sendall(theirs(W + 1, 0))
    sock.shutdown(socket.SHUT_WR)
    return read_all(sock)


def test_connect_on_one_socket(place):
    """stdin and stdout are one socket, as sshd, inetd and socat give it: each END is one there too, and what is run behind it on the
    same socket is heard."""
    with Server(server_says_and_ends) as server:
        sock, its = socket.socketpair()
        sock.settimeout(LIMIT)
        program = place.start('connect', 'leaf1', '127.0.0.1', str(server.port), stdin=its, stdout=its)
        its.close()
        expect(read_all(sock) == theirs(W + 1, 0), 'the server ends first')
        sock.sendall(ours(W + 1, 0))
        sock.shutdown(socket.SHUT_WR)
        expect(server.result() == ours(W + 1, 0), 'what comes after the end')
        expect(program.wait() == 0, program.said())
    with Server(client_ends_first) as server:
        sock, its = socket.socketpair()
        sock.settimeout(LIMIT)
        with subprocess.Popen(['sh', '-c', '"$@"; echo $?', 'sh', place.program, 'connect', 'leaf1', '127.0.0.1', str(server.port)],
                              stdin=its, stdout=its, env=place.env) as shell:
            its.close()
            sock.sendall(ours(W + 1, 0))
            sock.shutdown(socket.SHUT_WR)
            expect(read_all(sock) == theirs(W + 1, 0) + b'0\n', 'the client ends first')
        expect(server.result() is True)
