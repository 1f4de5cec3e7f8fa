"""The program ends, or what it leads to is not to be had: what the ends of its connections see of that."""
import os
import resource
import signal
import socket
import subprocess

from ends import ANSWER, connecting, reset
from support import DATA, LIMIT, Server, below, dial, exactly, expect, full, narrow, read_all, socks, until


def two_ways(place, to, node='leaf1'):
    """Programs that lead to this port: (program, how a connection is made through it)."""
    programs = [place.start('tunnel', way, '127.0.0.1:0:127.0.0.1:%d' % to, '--exit', node) for way in ('-L', '-R')]
    return [(x, lambda x=x: dial(x.at())) for x in programs]


ENDINGS = signal.SIGINT, signal.SIGTERM, signal.SIGKILL


def test_an_end_that_cuts(place):
    """Whose connections are under way when the program ends, at both ends of them: they see a reset, and no end that looks like a good one."""
    def answers_and_waits(sock):
        exactly(sock, 1000)
        sock.sendall(DATA[:1000])
        return reset(sock)
    for number in ENDINGS:
        with Server(answers_and_waits) as server:
            proxy = place.start('socks', '-D', '0', '--exit', 'leaf1')
            ways = two_ways(place, server.port) + [(proxy, lambda: socks(proxy.at(), '127.0.0.1', server.port)[0])]
            for program, connect in ways:
                sock = connect()
                sock.sendall(bytes(1000))
                expect(exactly(sock, 1000) == DATA[:1000], program.process.args)
                program.ends(number)
                saw = reset(sock), server.result()
                expect(saw == (True, True), number, program.process.args, 'its client and its server see', saw)
            program = place.start('connect', 'leaf1', '127.0.0.1', str(server.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            program.process.stdin.write(bytes(1000))
            program.process.stdin.flush()
            expect(program.process.stdout.read(1000) == DATA[:1000], program.said())
            program.ends(number)
            saw = server.result()
            expect(saw is True, number, 'of `connect` its server sees', saw)


def ending(port):
    """Whether a connection with this port at its other end has had its end said, and not all is taken (FIN_WAIT1)."""
    with open('/proc/net/tcp') as f:
        return [x for x in map(str.split, f) if x[3] == '04' and x[2].endswith(':%04X' % port)]


def test_an_end_behind_all_that_was_said(place):
    """A way that has ended was carried: what of it is still in the kernel is not dropped when the program ends, whatever the other way does."""
    n = 2 * ANSWER

    def half(sock):
        sock.sendall(DATA[:n])
        sock.shutdown(socket.SHUT_WR)
        return reset(sock)

    def slow(sock):
        expect(until(lambda: server.came == len(ended)), 'the program does not end')
        return read_all(sock)
    for number in ENDINGS:
        with Server(half) as server:
            for program, _ in two_ways(place, server.port):
                sock = narrow()
                sock.connect(program.at())
                expect(until(lambda: ending(sock.getsockname()[1])), program.process.args, 'the end does not come')
                program.ends(number)
                got = read_all(sock)
                expect(got == DATA[:n], number, program.process.args, 'of its answer came', len(got))
                saw = server.result()
                expect(saw is True, number, program.process.args, 'its server, to which nobody said an end, sees', saw)
        with Server(slow) as server:
            server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            ended = []
            for program, connect in two_ways(place, server.port):
                sock = connect()
                sock.sendall(DATA[:n])
                sock.shutdown(socket.SHUT_WR)
                expect(until(lambda: ending(server.port)), program.process.args, 'the end does not come')
                program.ends(number)
                ended.append(program)
                got = server.result()
                expect(got == DATA[:n], number, program.process.args, 'of what was sent came', len(got))
                saw = reset(sock)
                expect(saw is True, number, program.process.args, 'its client, to which nobody said an end, sees', saw)


def test_an_end_while_its_exit_is_connected(place):
    """No empty answer either."""
    with full() as port:
        for number in ENDINGS:
            program = place.start('tunnel', '-L', '0:127.0.0.1:%d' % port, '--exit', 'leaf1')
            sock = dial(program.at())
            expect(until(lambda: connecting(below(program.pid))), 'nobody connects:', program.said())
            program.ends(number)
            saw = reset(sock)
            expect(saw is True, number, 'the client sees', saw)


def test_an_exit_that_takes_longer_than_is_given_it(place):
    """-t is also for who connects to the exit when somebody comes."""
    with open(place.path('topology.yaml'), 'a') as f:
        f.write('  slow: {ssh: {host: 127.0.0.1, port: 1, program: %s}, timeout: {connect: 10m, shell: 10m}}\n' % place.path('ssh'))
    with open(place.path('ssh'), 'w') as f:
        f.write('#!/bin/sh\nexec sleep 600\n')
    os.chmod(place.path('ssh'), 0o755)
    for args in ('tunnel', '-t', '500ms', '-L', '0:127.0.0.1:1'), ('socks', '-t', '500ms', '-D', '0'):
        program = place.start(*args, '--exit', 'slow')
        sock = dial(program.at())
        sock.settimeout(45)     # without -t it is a minute
        if args[0] == 'tunnel':
            expect(reset(sock) is True, program.said())
        else:
            sock.sendall(b'\5\1\0\5\1\0\1\x7f\0\0\1\0\1')
            expect(exactly(sock, 12)[3] != 0, 'it is connected')
        program.says('deadline')


def test_no_descriptor_for_who_comes(place):
    """At either end of a tunnel: he waits, until there is one."""
    def answers(sock):
        sock.sendall(b'x')
        return reset(sock)
    with Server(answers) as server:
        for program, connect in two_ways(place, server.port):
            first = connect()
            exactly(first, 1)
            now = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
            held = {int(x) for x in os.listdir('/proc/%d/fd' % program.pid)}
            resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (min(set(range(len(held) + 1)) - held), now[1]))
            late = [connect() for _ in range(3)]
            program.says('Too many open files')
            resource.prlimit(program.pid, resource.RLIMIT_NOFILE, now)
            for sock in late:
                expect(exactly(sock, 1) == b'x', program.process.args, program.said())
            for sock in [first] + late:
                sock.close()
                server.result()
