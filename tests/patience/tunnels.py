"""How long a tunnel's connections may take to begin, at this end and, in real time, at the far one."""
import contextlib
import os
import socket
import time

from names import reply, request
from places import PATIENT, expect, until
from support import Server, alive, dial, exactly, full

CONNS_MAX = 4096    # ECI_TUNNEL_CONNS_MAX
OPEN_S = 60         # ECI_TUNNEL_OPEN_MS
SOCKS_S = 20        # ECI_TUNNEL_SOCKS_S
PATIENCE_S = 20     # of the agents: NATIVE_PATIENCE, PATIENCE_S of preamble/python/stream


def echo(sock):
    sock.sendall(exactly(sock, 1))


def answers(sock):
    sock.sendall(b'x')
    return exactly(sock, 1) == b'x'


def over(sock, limit=40):
    """It is, by its end or by a reset."""
    sock.settimeout(limit)
    with contextlib.suppress(ConnectionResetError):
        expect(sock.recv(1) == b'', 'something came')


def test_an_exit_that_does_not_answer(place):
    place.hurry(5)
    place.topology('defaults: {native: never, %s}\nnodes:\n  a: {local: {}, python: %s}\n' % (PATIENT, place.python('a')))
    with Server(echo) as server:
        program = place.start('tunnel', '-L', '0:127.0.0.1:%d' % server.port, '--exit', 'a')
        at = program.at()
        expect(answers(dial(at)))
        place.stop_python('a')
        began, sock = time.monotonic(), dial(at)
        over(sock)
        place.in_time(began, OPEN_S, program.said())
        program.says('deadline')
        late = dial(at)
        time.sleep(OPEN_S * 0.55 / place.factor)
        place.go_on()
        expect(answers(late))


def test_names_that_nobody_answers(place):
    """A resolver that hangs is given up there as here, so that it keeps no other name from being asked for; and it is said where to."""
    place.topology('defaults: {agent: native, %s}\nnodes:\n  a: {local: {}}\n' % PATIENT)
    place.write('tools/getent', '#!/bin/sh\n[ "$2" != good.test ] || exec echo 127.0.0.1\necho $$ >>%s\nexec sleep 987\n' % place.path('asked'), 0o755)
    place.env['PATH'] = place.path('tools') + os.pathsep + place.env['PATH']

    def asked():
        with open(place.path('asked'), 'a+') as f:
            f.seek(0)
            return [int(x) for x in f]

    with Server(echo) as server, contextlib.ExitStack() as stack:
        program = place.start('socks', '-D', '0', '--exit', 'a')
        at = program.at()
        clients = [stack.enter_context(request(at, 'n%d.test' % i, 80)) for i in range(40)]
        expect(until(lambda: len(asked()) >= 32), 'none is asked for:', program.said())
        for sock in clients:
            expect(exactly(sock, 10)[1] == 1, 'the reply, of a name of which nothing is known')
        program.says(r'n39\.test port 80: no answer before the deadline')
        expect(until(lambda: not any(map(alive, asked()))), 'still there:', [x for x in asked() if alive(x)])
        expect(reply(request(at, 'good.test', server.port)) == 0, program.said())


def test_as_many_wait_as_may_be_served(place):
    """In the kernel, while the program does not run: of a unix socket the next one would be refused."""
    with open('/proc/sys/net/core/somaxconn') as f:
        most = min(int(f.read()), CONNS_MAX)
    place.topology('defaults: {native: never, %s}\nnodes:\n  a: {local: {}}\n' % PATIENT)
    program = place.start('tunnel', '-L', place.path('sock') + ':127.0.0.1:1', '--exit', 'a')
    program.at()                        # its file is there a moment before it listens
    place.stop(program.process.pid)
    with contextlib.ExitStack() as stack:
        for i in range(most):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.setblocking(False)
            sock.connect(place.path('sock'))
    program.process.kill()


def test_a_client_that_does_not_say_where_to(place):
    place.hurry(4)
    place.topology('defaults: {native: never, %s}\nnodes:\n  a: {local: {}}\n' % PATIENT)
    at = place.start('socks', '-D', '0', '--exit', 'a').at()
    slow, late, began = dial(at), dial(at), time.monotonic()
    time.sleep(SOCKS_S * 0.55 / place.factor)
    slow.sendall(b'\5\1\0')
    expect(exactly(slow, 2) == b'\5\0')
    over(late)
    place.in_time(began, SOCKS_S)


def agents(place):
    place.hurry(1)
    place.topology('defaults: {%s}\nnodes:\n  python: {local: {}, native: never}\n  native: {local: {}, agent: native}\n' % PATIENT)


def nobody_answers(place, agent):
    agents(place)
    with full() as port:
        program = place.start('tunnel', '-L', '0:127.0.0.1:%d' % port, '--exit', agent)
        sock, began = dial(program.at()), time.monotonic()
        over(sock)
        place.in_time(began, PATIENCE_S, program.said())
        program.says('timed out')


def nobody_takes(place, agent):
    """What a listening socket there has accepted waits for this program, which is stopped."""
    agents(place)
    with Server(echo) as server:
        program = place.start('tunnel', '-R', '0:127.0.0.1:%d' % server.port, '--exit', agent)
        at = program.at()
        expect(answers(dial(at)))
        place.stop(program.pid)
        began, sock = time.monotonic(), dial(at)
        time.sleep(PATIENCE_S * 0.3)
        late = dial(at)
        over(sock)
        place.in_time(began, PATIENCE_S, program.said())
        place.go_on()
        expect(answers(late))


def test_python_nobody_answers(place):
    nobody_answers(place, 'python')


def test_native_nobody_answers(place):
    nobody_answers(place, 'native')


def test_python_nobody_takes(place):
    nobody_takes(place, 'python')


def test_native_nobody_takes(place):
    nobody_takes(place, 'native')


def stopped(place, how):
    """This program, for less than timeout.idle: the connection goes on, with what came meanwhile. For longer: it is reset, not ended as if
    all had come; why is said, and the next one is another beginning."""
    place.hurry(1)
    place.topology('defaults: {%s, timeout: {idle: 6s}}\nnodes:\n  r: {local: {}}\n  a: {via: r, local: {}}\n' % how)

    def twice(sock):
        for _ in range(2):
            echo(sock)
        sock.recv(1)    # what has come is not the end of it
    with Server(twice) as server:
        program = place.start('tunnel', '-L', '0:127.0.0.1:%d' % server.port, '--exit', 'a')
        at = program.at()
        sock = dial(at)
        for seconds in 0.5, 15:
            expect(answers(sock))
            place.stop(program.pid)
            late = dial(at)
            sock.sendall(b'y')
            time.sleep(seconds)
            place.go_on()
            if seconds < 6:
                expect(exactly(sock, 1) == b'y' and answers(late))
                sock = dial(at)
        sock.settimeout(60)
        try:
            expect(sock.recv(1) and sock.recv(1), 'it has ended, as if all had come')
        except ConnectionResetError:
            pass
        program.says(r'a connection was lost: this program itself did not run for \d+ s')
        expect(answers(dial(at)), program.said())


def test_python_program_that_is_stopped(place):
    stopped(place, 'native: never')


def test_native_program_that_is_stopped(place):
    stopped(place, 'agent: native')
