"""Names at the exit: where a native one listens and connects they are asked of the host's getent, of which there are only so many at once."""
import contextlib
import os
import resource
import signal
import socket
import struct

from ends import kill
from support import Server, carries, dial, exactly, exchange_server, expect, socks, until

NAMES_MAX = 32          # ECI_NAMES_MAX
NAMES_WAIT_MAX = 1024   # ECI_NAMES_WAIT_MAX

# Counts itself among those that run, says of which name it was asked, and answers when there is a file `go`.
GETENT = '''#!/bin/sh
cd %s || exit
mkdir "running/$$"
set -- "$2" running/*
echo "$1 $(($# - 1))" >>asked
while [ ! -e go ]; do sleep 0.1; done
rmdir "running/$$"
%s
'''


def fake_getent(place, answer='echo "127.0.0.1 STREAM $1"'):
    for name in 'bin', 'running':
        os.makedirs(place.path(name), exist_ok=True)
    with open(place.path('bin/getent'), 'w') as f:
        f.write(GETENT % (place.folder, answer))
    os.chmod(place.path('bin/getent'), 0o755)
    place.env['PATH'] = place.path('bin') + os.pathsep + place.env['PATH']


def asked(place):
    """(name, how many ran then) of each getent that was started."""
    with open(place.path('asked'), 'a+') as f:
        f.seek(0)
        return [(x.split()[0], int(x.split()[1])) for x in f]


def go(place):
    with open(place.path('go'), 'w'):
        pass


def let_in(proxy):
    """A SOCKS client that has not said yet where to."""
    sock = dial(proxy)
    sock.sendall(b'\5\1\0')
    exactly(sock, 2)
    return sock


def ask(sock, name, port):
    sock.sendall(b'\5\1\0\3' + bytes([len(name)]) + name.encode() + struct.pack('>H', port))


def request(proxy, name, port):
    """A SOCKS client that has said where to, and waits."""
    sock = let_in(proxy)
    ask(sock, name, port)
    return sock


def reply(sock):
    got = exactly(sock, 10)[1]
    sock.close()
    return got


def taken(proxy, server):
    """A whole connection more, so that those before it were seen."""
    sock, got = socks(proxy, '127.0.0.1', server.port)
    expect(got == 0, 'to a number:', got)
    sock.close()


def test_many_names_at_once(place):
    """Not more than so many are asked for, and who comes then waits; the same name is asked for once."""
    if place.agent == 'python':
        return
    fake_getent(place)
    with Server(lambda sock: sock.recv(1)) as server:
        program = place.start('socks', '-D', '0', '--exit', 'leaf1')
        at = program.at()
        taken(at, server)
        clients = [request(at, 'same.test', server.port) for _ in range(150)]
        clients += [request(at, 'n%d.test' % i, server.port) for i in range(NAMES_MAX + 40)]
        expect(until(lambda: len(asked(place)) >= NAMES_MAX), 'were asked:', len(asked(place)))
        taken(at, server)
        expect(len(asked(place)) == NAMES_MAX, 'at once:', len(asked(place)))
        go(place)
        replies = [reply(x) for x in clients]
    expect(set(replies) == {0}, 'the replies', replies, program.said())
    names = [name for name, _ in asked(place)]
    expect(len(names) == len(set(names)) == NAMES_MAX + 41, 'asked:', len(names), len(set(names)))
    expect(max(n for _, n in asked(place)) <= NAMES_MAX, 'at once:', max(n for _, n in asked(place)))


def test_too_many_names_wait(place):
    """As many as may are neither refused nor forgotten; the next is told that it is too much, and not that there is no such name."""
    if place.agent == 'python':
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    fake_getent(place)
    with contextlib.ExitStack() as stack, Server(lambda sock: sock.recv(1)) as server:
        program = place.start('socks', '-D', '0', '--exit', 'leaf1')
        at = program.at()
        taken(at, server)
        clients = [stack.enter_context(let_in(at)) for i in range(NAMES_MAX + NAMES_WAIT_MAX)]
        for i, sock in enumerate(clients):  # all at once, as the exit gives up after a while
            ask(sock, 'n%d.test' % i, server.port)
        taken(at, server)
        expect('W econtext' not in program.said(), program.said())
        same = stack.enter_context(request(at, 'n%d.test' % (len(clients) - 1), server.port))
        expect(reply(request(at, 'more.test', server.port)) == 1, 'one more')
        program.says('more.test port %d: too many names' % server.port)
        expect(until(lambda: len(asked(place)) == NAMES_MAX), 'were asked:', len(asked(place)))
        for sock in clients + [same]:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                expect(False, 'it is answered:', sock.recv(10), program.said())
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


RESOLVER = '''\
import socket
real = socket.getaddrinfo
def getaddrinfo(host, port, *how):
    if host != 'both.test':
        return real(host, port, *how)
    return real('::1', port, *how) + real('127.0.0.1', port, *how)
socket.getaddrinfo = getaddrinfo
'''


def test_listens_at_version_4(place):
    """Of a name that has both, and of all that there is."""
    with open(place.path('sitecustomize.py'), 'w') as f:
        f.write(RESOLVER)
    place.env['PYTHONPATH'] = place.folder
    fake_getent(place, 'echo "::1 STREAM $1"; echo "::1 DGRAM"; echo "127.0.0.1 STREAM"')
    go(place)
    for at, host in ('both.test', '127.0.0.1'), ('*', '0.0.0.0'):
        program = place.start('tunnel', '-R', at + ':0:127.0.0.1:1', '--exit', 'leaf1')
        expect(program.at()[0] == host, at, program.said())


def test_interrupted_while_the_exit_resolves(place):
    """The exit is asked to listen at a name, and its resolver hangs: one signal is enough, and nothing stays there."""
    if place.agent == 'python':
        return
    fake_getent(place)
    for number, want in (signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM):
        before = len(asked(place))
        program = place.start('tunnel', '-R', 'foo.invalid:0:127.0.0.1:80', '--exit', 'leaf1')
        expect(until(lambda: len(asked(place)) > before), 'nothing is asked for')
        status = program.ends(number)
        expect(status == want, number, status, program.said())


NOT_HERE = '192.0.2.7'  # RFC 5737


def test_a_port_is_given_up_only_where_it_is_taken(place):
    """What came of port 0 is asked for again after any other trouble, one with the other that was asked for meanwhile included."""
    if place.agent == 'python':
        return
    fake_getent(place, 'echo "$(head -n1 next) STREAM $1"; [ $(wc -l <next) = 1 ] || sed -i 1d next')
    go(place)

    def answers(*addresses):
        with open(place.path('new'), 'w') as f:
            f.write(''.join(x + '\n' for x in addresses))
        os.rename(place.path('new'), place.path('next'))
    answers('127.0.0.1')
    with Server(exchange_server) as server:
        program = place.start('tunnel', '-R', 'here.test:0:127.0.0.1:%d' % server.port, '--exit', 'leaf1')
        at = program.at()
        answers(NOT_HERE, '127.0.0.1')
        kill(program, at[1])
        program.says('Cannot assign requested address.*: asking again')
        program.says(r'leaf1 listens again\n')
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
            answers('127.0.0.1', NOT_HERE, '127.0.0.1')
            program.process.send_signal(signal.SIGCONT)
            program.says('(?s)(Cannot assign.*){2}')
        program.says(r'(?s)(leaf1 listens again\n.*){2}')
        carries(server, lambda: dial(at), (1,))
