"""How it ends: with a signal, with an exit that is killed, with the program killed; then nothing is left, or it goes on."""
import contextlib
import fcntl
import glob
import os
import signal
import socket
import struct
import subprocess
import termios
import time

from support import DATA, LIMIT, Server, W, alive, below, carries, dial, exactly, exchange_server, expect, full, narrow, socks, until


def owners(pids, port):
    """Which of the processes have a TCP socket with this port, at either end."""
    inodes = set()
    for name in '/proc/net/tcp', '/proc/net/tcp6':
        with open(name) as f:
            for line in f.readlines()[1:]:
                fields = line.split()
                if port in (int(fields[1].split(':')[1], 16), int(fields[2].split(':')[1], 16)):
                    inodes.add('socket:[%s]' % fields[9])
    found = []
    for pid in pids:
        for fd in glob.glob('/proc/%d/fd/*' % pid):
            try:
                if os.readlink(fd) in inodes:
                    found.append(pid)
            except OSError:
                pass
    return sorted(set(found))


def kill(program, port):
    """SIGKILL to the agent that holds this port."""
    victims = owners(below(program.pid), port)
    expect(len(victims) == 1, 'agents with port', port, victims)
    os.kill(victims[0], signal.SIGKILL)


def says_hello(sock):
    sock.sendall(b'x')
    return sock.recv(1)


def reset(sock):
    """True: it ends with a reset."""
    try:
        return sock.recv(1) == b'' and 'an end'
    except ConnectionResetError:
        return True


def every_way(place, port, node='leaf1'):
    """Programs that listen, with a connection each that is used: (program, connection, files)."""
    here, there, to = place.path('here'), place.path('there'), '127.0.0.1:%d' % port
    programs = [(place.start('tunnel', '-L', here + ':' + to, '--exit', node), here),
                (place.start('tunnel', '-R', there + ':' + to, '--exit', node), there),
                (place.start('socks', '-D', '0', '--exit', node), None)]
    found = []
    for program, path in programs:
        sock = dial(program.at()) if path else socks(program.at(), '127.0.0.1', port)[0]
        exactly(sock, 1)
        found.append((program, sock, path))
    return found


def test_signals(place):
    with Server(says_hello) as server:
        for number, status in (signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP):
            for program, sock, path in every_way(place, server.port):
                got = program.ends(number)
                expect(got == status, program.process.args[1], number, got, program.said())
                expect(not path or not os.path.exists(path), path, 'is left')
                sock.close()
                expect(server.result() != b'x', 'the server hears nothing')


def test_killed_program(place):
    """What it started ends, and takes its socket's file along; its own is taken over by the next."""
    with Server(says_hello) as server:
        for program, sock, path in every_way(place, server.port, 'top'):
            program.ends(signal.SIGKILL)
            expect(path != place.path('there') or until(lambda: not os.path.exists(path)), 'the exit left', path)
        expect(os.path.exists(place.path('here')), 'a killed program can remove nothing')
        every_way(place, server.port)
    with Server(exchange_server) as server:
        program = place.start('tunnel', '-L', place.path('here') + ':127.0.0.1:%d' % server.port, '--exit', 'leaf1')
        expect(program.wait() == 7, 'a socket that is in use is taken over', program.said())


def test_a_socket_that_is_in_use_and_takes_nobody(place):
    """Its backlog is full: whether it is left over is found out without waiting for it."""
    path = place.path('here')
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(8)]
        held[0].bind(path)
        held[0].listen(0)
        with contextlib.suppress(BlockingIOError):
            for sock in held[1:]:
                sock.setblocking(False)
                sock.connect(path)
            expect(False, 'the backlog is not full')
        program = place.start('tunnel', '-L', path + ':127.0.0.1:1', '--exit', 'top')
        expect(program.wait() == 7 and 'another program listens there' in program.said(), program.said())
        expect(os.path.exists(path), 'it was taken away')


def test_a_file_where_a_socket_is_to_be(place):
    """Left alone by both ends, and not taken for another program."""
    path = place.path('file')
    with open(path, 'w') as f:
        f.write('mine')
    for way, status, why in ('-L', 7, 'or it is a file of another kind'), ('-R', 1, 'the exit cannot listen there'):
        program = place.start('tunnel', way, path + ':127.0.0.1:1', '--exit', 'top')
        expect(program.wait() == status and why in program.said(), way, program.said())
        with open(path) as f:
            expect(f.read() == 'mine', way)


def test_killed_exit_local(place):
    with Server(says_hello) as server:
        for program, sock, path in every_way(place, server.port):
            if path == place.path('there'):
                continue
            kill(program, server.port)
            saw = reset(sock)
            expect(saw is True or path and saw, program.process.args[1], 'its connection sees', saw)  # a unix socket has no reset
            sock = dial(program.at()) if path else socks(program.at(), '127.0.0.1', server.port)[0]
            expect(exactly(sock, 1) == b'x', 'the next connection')


def connecting(pids):
    """Who has a socket open."""
    for pid in pids:
        for fd in glob.glob('/proc/%d/fd/*' % pid):
            with contextlib.suppress(OSError):
                if os.readlink(fd).startswith('socket:'):
                    return pid


def test_killed_exit_that_connects(place):
    """The failure is that of the exit, whether `connect` is told of it first or the opening of its stream."""
    with full() as port:
        for node, way in ('top', 'top'), ('leaf1', 'top > leaf1'):
            program = place.start('connect', node, '127.0.0.1', str(port))
            pid = until(lambda: connecting(below(program.pid)))
            expect(pid, 'nobody connects:', program.said())
            os.kill(pid, signal.SIGKILL)
            status = program.wait()
            expect(status == 6 and 'at hop   %s\n' % way in program.said(), node, status, program.said())


def test_killed_exit_remote(place):
    with Server(exchange_server) as server:
        program = place.start('tunnel', '-R', '127.0.0.1:0:127.0.0.1:%d' % server.port, '--exit', 'leaf1')
        at = program.at()
        with socket.socket() as taken:  # port 0 is any: the same again is for one that is named
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(('127.0.0.1', 0))
            at = taken.getsockname()
        program.close()
        program = place.start('tunnel', '-R', '127.0.0.1:%d:127.0.0.1:%d' % (at[1], server.port), '--exit', 'leaf1')
        program.at()
        carries(server, lambda: dial(at), (W + 1,))
        kill(program, at[1])
        program.says('does not listen any more')
        program.says('leaf1 listens again')
        carries(server, lambda: dial(at), (W + 1,))


def test_killed_exit_remote_any_port(place):
    """The port that came of 0 is had again; or another, which is said, if somebody has taken it."""
    with Server(exchange_server) as server:
        program = place.start('tunnel', '-R', '0:127.0.0.1:%d' % server.port, '--exit', 'leaf1')
        at = program.at()
        kill(program, at[1])
        program.says('leaf1 listens again\n')
        carries(server, lambda: dial(at), (1,))
        program.process.send_signal(signal.SIGSTOP)
        kill(program, at[1])
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            expect(until(lambda: taken.connect_ex(at)), 'somebody still listens')
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(at)
            taken.listen()
            program.process.send_signal(signal.SIGCONT)
            port = int(program.says(r'leaf1 listens again, now at 127\.0\.0\.1:(\d+)\n').group(1))
            expect(port != at[1], 'of', at)
            carries(server, lambda: dial((at[0], port)), (1,))


def test_killed_exit_remote_unix(place):
    """The file that the killed agent left is no obstacle."""
    path = place.path('there')
    with Server(exchange_server) as server:
        program = place.start('tunnel', '-R', '%s:127.0.0.1:%d' % (path, server.port), '--exit', 'leaf1')
        program.at()
        held = dial(path)
        expect(until(lambda: server.came), 'it did not come through')
        os.kill(listener(below(program.pid), path), signal.SIGKILL)
        saw = reset(held)
        expect(saw, 'its connection sees', saw)
        server.result()
        program.says('leaf1 listens again')
        carries(server, lambda: dial(path), (W + 1,))
        program.ends(signal.SIGINT)
        expect(not os.path.exists(path), path, 'is left')


def listener(pids, path):
    """Who listens at a unix socket."""
    with open('/proc/net/unix') as f:
        inodes = {'socket:[%s]' % x[6] for x in map(str.split, f) if len(x) > 7 and x[7] == path and int(x[3], 16) & 0x10000}
    found = []
    for pid in pids:
        for fd in glob.glob('/proc/%d/fd/*' % pid):
            try:
                if os.readlink(fd) in inodes:
                    found.append(pid)
            except OSError:
                pass
    expect(len(found) == 1, 'who listens:', found)
    return found[0]


REQUEST, ANSWER = 300, 100000
F_SETPIPE_SZ = 1031  # linux/fcntl.h; in fcntl since Python 3.10
REFUSED = 'it was connected; what it led to, or the exit, broke it off'


def waits(sock, request):
    """Bytes that nobody has taken yet: of what came, or of what was sent (tcp(7), unix(7))."""
    return struct.unpack('i', fcntl.ioctl(sock, request, bytes(4)))[0]


def answers(n):
    """A server that answers and closes with the request unread, as one does that refuses it: its peer sees a reset behind the answer."""
    def answer(sock):
        expect(until(lambda: waits(sock, termios.FIONREAD) >= REQUEST), 'the request did not come')
        sock.sendall(DATA[:n])
        expect(until(lambda: not waits(sock, termios.TIOCOUTQ)), 'the answer is not taken')
        sock.close()
    return answer


def answer_of(sock, request=bytes(REQUEST), n=ANSWER):
    got = b''
    sock.sendall(request)
    with contextlib.suppress(ConnectionResetError):
        while len(got) < n:
            got += sock.recv(65536) or exactly(sock, 1)
    return got


def test_a_reset_behind_an_answer(place):
    """What came before a reset is not dropped."""
    path, there = place.path('served'), place.path('there')
    with Server(answers(ANSWER)) as server, Server(answers(ANSWER), path) as of_file:
        to = '127.0.0.1:%d' % server.port
        for where in ('127.0.0.1', str(server.port)), (path,):
            status, out, err = place.run('connect', 'leaf1', *where, data=bytes(REQUEST))
            expect(out == DATA[:ANSWER], where, len(out), err)
            expect(status == 1 and REFUSED in err, where, status, err)
        for way in ('-L', '0:' + to), ('-L', '0:' + path), ('-R', there + ':' + to):
            program = place.start('tunnel', *way, '--exit', 'leaf1')
            got = answer_of(dial(program.at()))
            expect(got == DATA[:ANSWER], way, len(got))
        program = place.start('socks', '-D', '0', '--exit', 'leaf1')
        got = answer_of(socks(program.at(), '127.0.0.1', server.port)[0])
        expect(got == DATA[:ANSWER], 'socks', len(got))
        expect([x.result() for x in [server] * 4 + [of_file] * 2] == [None] * 6, 'the servers')


def test_a_reset_behind_an_answer_that_is_not_read_yet(place):
    """What its client has no room for is written, but not taken, when the reset comes; and that is still to be seen behind it."""
    n = 2 * ANSWER  # less than a window: all of it leaves the server
    with Server(answers(n)) as server:
        for way in '-L', '-R':
            program = place.start('tunnel', way, '127.0.0.1:0:127.0.0.1:%d' % server.port, '--exit', 'leaf1')
            sock = narrow()
            sock.connect(program.at())
            sock.sendall(bytes(REQUEST))
            expect(server.result() is None, 'the server')
            expect(until(lambda: not owners([program.pid] + below(program.pid), server.port)), way, 'its end is not heard')
            other = len(answer_of(dial(program.at()), n=n))  # behind the reset
            got = answer_of(sock, b'', n)
            expect(other == n and got == DATA[:n], way, other, len(got))
            saw = reset(sock)
            expect(saw is True and server.result() is None, way, saw)
            expect(until(lambda: not owners([program.pid] + below(program.pid), sock.getsockname()[1])), way, 'it is left open')
            sock.close()


def test_a_reset_that_is_found_in_writing(place):
    """More came than there is room for, so nobody reads when the reset comes: it is found by who writes, and the rest heard all the same.

    Of the window so little is consumed that no credit comes for it, and behind it is so little that the exit's socket has room for all."""
    size = W + 4000
    with Server(answers(size)) as server:
        program = place.start('connect', 'leaf1', '127.0.0.1', str(server.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        fcntl.fcntl(program.process.stdout, F_SETPIPE_SZ, 4096)
        program.process.stdin.write(bytes(REQUEST))
        program.process.stdin.flush()
        expect(server.result() is None, 'the server')
        program.process.stdin.write(bytes(1))
        program.process.stdin.flush()
        got = program.process.stdout.read()
        expect(got == DATA[:size], len(got), 'of', size)
        status = program.wait()
        expect(status == 1 and REFUSED in program.said(), status, program.said())


def test_address_in_use(place):
    with Server(exchange_server) as server:
        to = '127.0.0.1:%d' % server.port
        for way in '-L', '-R':
            program = place.start('tunnel', way, '%s:%s' % (to, to), '--exit', 'leaf1')
            status = program.wait()
            expect(status in (1, 7) and '127.0.0.1 port %d: Address already in use' % server.port in program.said(), way, status, program.said())
            expect('another program' in program.said(), way, program.said())


def test_what_is_not_there(place):
    """Why a command, or what leads to a node, cannot be started is said in words, whoever tried it."""
    with open(place.path('topology.yaml'), 'a') as f:
        f.write('  nowhere: {via: leaf1, ssh: {host: 127.0.0.1, program: /nowhere/ssh}}\n')
    for target, program, missing in ('leaf1', 'no-such-program', 'no-such-program'), ('nowhere', 'true', '/nowhere/ssh'):
        status, out, err = place.run('exec', '-w', target, '--', program)
        expect(status and missing + ': No such file or directory' in err, target, status, out, err)


def test_interrupted_while_it_connects(place):
    """What needs its exit at once, and waits for it, does not wait with a signal, nor dials once more when its way there is killed;
    and -t says that it was not reached."""
    with open(place.path('topology.yaml'), 'a') as f:
        f.write('  slow: {ssh: {host: 127.0.0.1, port: 1, program: %s}}\n' % place.path('ssh'))
    with open(place.path('ssh'), 'w') as f:
        f.write('#!/bin/sh\necho dialled >>%s\nexec sleep 60\n' % place.path('dials'))
    os.chmod(place.path('ssh'), 0o755)

    def dials():
        with open(place.path('dials'), 'a+') as f:
            f.seek(0)
            return len(f.readlines())
    for args in ('tunnel', '-R', '0:127.0.0.1:1', '--exit', 'slow'), ('connect', 'slow', '127.0.0.1', '1'):
        for number in signal.SIGINT, signal.SIGTERM:
            before = dials()
            program = place.start(*args)
            expect(until(lambda: dials() > before), 'it does not dial')
            began = time.monotonic()
            status = program.ends(number)
            expect(status in (130, -number) and time.monotonic() - began < 4, args, status, time.monotonic() - began)
            expect(dials() == before + 1, args, 'dialled', dials() - before, 'times')
        before = dials()
        program = place.start(args[0], '-t', '500ms', *args[1:])
        expect(program.wait() == 3 and 'UNREACHABLE slow' in program.said(), args, program.said())
        expect(dials() <= before + 1, args, 'dialled', dials() - before, 'times')


def test_a_tunnel_through_nobody(place):
    """An exit that cannot be connected is said for each who comes; the program goes on."""
    with open(place.path('topology.yaml'), 'a') as f:
        f.write('  broken: {local: {}, via: top, python: /nobody, agent: python}\n')
    program = place.start('tunnel', '-L', '0:127.0.0.1:1', '--exit', 'broken')
    for i in range(2):
        saw = reset(dial(program.at()))
        expect(saw is True, 'the client sees', saw)
        time.sleep(0.1)
    expect(alive(program.pid), 'it has ended:', program.said())
    program.says('(?s)W econtext.*\n.*W econtext')


SUDO = '''#!/bin/sh
prompt=$4
shift 7
while printf %%s "$prompt" >&2 && read -r given && echo "$given" >>%(given)s; do
	read -r good <%(good)s
	[ "$given" != "$good" ] || exec "$@"
	echo 'Sorry, try again.' >&2
done
exit 1
'''


def test_a_password_that_is_refused(place):
    """One that was right and is no more is given once to the exit's new start, however often the tunnel asks; and it asks less and less."""
    good, given, sudo, there = map(place.path, ('good', 'given', 'sudo', 'there'))
    with open(sudo, 'w') as f:
        f.write(SUDO % {'given': given, 'good': good})
    os.chmod(sudo, 0o755)
    with open(good, 'w') as f:
        f.write('old\n')
    with open(place.path('become.yaml'), 'w') as f:
        f.write('econtext: 1\nsecrets: {pw: {env: PW}}\ndefaults: {%s}\nnodes:\n  top: {local: {}, become: [{as: app, program: %s, password: pw}]}\n'
                % ('native: never' if place.agent == 'python' else 'agent: native', sudo))
    program = place.start('tunnel', '-R', there + ':127.0.0.1:1', '--exit', 'top:app',
                          env={'PW': 'old', 'ECONTEXT_TOPOLOGY': place.path('become.yaml')})
    program.at()
    with open(good, 'w') as f:
        f.write('new\n')
    os.kill(listener(below(program.pid), there), signal.SIGKILL)
    program.says('asking again in 1 s')
    program.says(r'Sorry, try again\.\): asking again in 2 s')
    program.says(r'not given again\): asking again in 4 s')
    with open(given) as f:
        saw = f.read().split()
    expect(saw == ['old', 'old'], 'it was given', saw)
