"""Many connections at once, and one that nobody reads: nothing is mixed up, nothing is left over, and nobody else notices.

More of them, and for longer: ECONTEXT_CROWD=2000 ECONTEXT_CROWD_SECONDS=60 run BUILD load.many
"""
import asyncio
import os
import random
import resource
import select
import socket
import struct
import threading
import time

from support import (ABORT, DATA, LIMIT, MIB, W, Server, below, descriptors, dial, exactly, exchange, exchange_server, expect, head,
                     memory, ours, socks, theirs, until)

MANY = int(os.environ.get('ECONTEXT_CROWD', 300))
CHURN = float(os.environ.get('ECONTEXT_CROWD_SECONDS', 2.5))
CONNS_MAX = 4096
ROUNDS = 20
A_ROUND = MIB // 4  # that a round may add to a process at most: 50 to 200 bytes for each of its connections, here


class Crowd:
    """A server, and clients that come through a SOCKS proxy, in one loop; what was wrong is in `wrong`."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.wrong = []
        self.count = 0
        self.chance = random.Random(7)

    async def serve(self, reader, writer):
        got = b''
        size = at = None
        try:
            size, at = struct.unpack('>II', await reader.readexactly(8))
            writer.write(theirs(size, at))
            while True:
                s = await reader.read(65536)
                if not s:
                    break
                got += s
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        if size is not None and got != ours(len(got), at):
            self.wrong.append('the server got what is not of connection %d' % at)
        writer.transport.abort()

    async def dial(self):
        reader, writer = await asyncio.open_connection(*self.proxy)
        writer.write(b'\5\1\0')
        await reader.readexactly(2)
        writer.write(b'\5\1\0\1\x7f\0\0\1' + struct.pack('>H', self.port))
        reply = await reader.readexactly(10)
        if reply[1]:
            self.wrong.append('SOCKS reply %d' % reply[1])
        return reader, writer

    async def whole(self, ready, at):
        """Opened, and used when all are."""
        reader, writer = await self.dial()
        await ready()
        await self.use(reader, writer, self.chance.randrange(65536), at)

    async def use(self, reader, writer, size, at):
        writer.write(head(size, at) + ours(size, at))
        writer.write_eof()
        got = await reader.read(-1)
        if got != theirs(size, at):
            self.wrong.append('of connection %d, %d bytes of %d came, or others' % (at, len(got), size))
        writer.close()
        self.count += 1

    async def visitor(self, until_when):
        """Comes and goes, sometimes in the middle."""
        while time.monotonic() < until_when and len(self.wrong) < 5:
            size, at = self.chance.randrange(20000), self.chance.randrange(MIB)
            reader, writer = await self.dial()
            if self.chance.random() < 0.7:
                await self.use(reader, writer, size, at)
                continue
            writer.write(head(size + 50000, at) + ours(size, at))
            if self.chance.random() < 0.5:
                await reader.read(self.chance.randrange(1, 5000))
            if self.chance.random() < 0.5:
                writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            writer.transport.abort()
            self.count += 1

    async def round(self, seconds):
        # All of the crowd comes at once: what the backlog does not hold the kernel may reset.
        server = await asyncio.start_server(self.serve, '127.0.0.1', 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        here = [0]
        everybody = asyncio.Event()

        async def ready():
            here[0] += 1
            if here[0] == MANY:
                everybody.set()
            await everybody.wait()

        await asyncio.wait_for(asyncio.gather(*[self.whole(ready, i * 1000) for i in range(MANY)]), LIMIT + MANY / 50)
        end = time.monotonic() + seconds
        await asyncio.wait_for(asyncio.gather(*[self.visitor(end) for i in range(MANY)]), seconds + LIMIT + MANY / 50)
        server.close()


def test_many(place):
    program = place.start('socks', '-D', '0', '--exit', 'deep')
    proxy = program.at()
    with Server(exchange_server) as server:
        exchange(socks(proxy, '127.0.0.1', server.port)[0], 1)
    pids = [program.pid] + below(program.pid)
    first = quiet(descriptors, pids)
    crowd = Crowd(proxy)
    asyncio.run(crowd.round(CHURN))
    expect(not crowd.wrong, crowd.wrong[:5])
    expect(until(lambda: descriptors(pids) == first), 'descriptors:', first, 'then', descriptors(pids))
    grown = [quiet(memory, pids)]  # after each round: an allocator keeps what the busiest moment so far took, a leak grows by every one
    grows = set() if place.sanitized else set(grown[0])
    while len(grown) < 2 or grows:
        expect(len(grown) < ROUNDS, crowd.count, 'connections, memory after each round:', [[g.get(pid) for g in grown] for pid in grows])
        asyncio.run(crowd.round(CHURN))
        expect(not crowd.wrong, crowd.wrong[:5])
        expect(until(lambda: descriptors(pids) == first), 'descriptors:', first, 'then', descriptors(pids))
        grown.append(quiet(memory, pids))
        grows = {pid for pid in grows if grown[-1][pid] - grown[-2][pid] > A_ROUND}


def test_conns_max(place):
    """As many as a tunnel serves at once, here of clients that have not said yet where to; the next one waits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    expect(hard >= CONNS_MAX + 100, 'so many descriptors are not to be had:', hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    program = place.start('socks', '-D', '0', '--exit', 'leaf1')
    proxy = program.at()
    clients = [dial(proxy)]

    def greet(sock, answered=True):
        sock.sendall(b'\5\1\0')
        expect(not answered or exactly(sock, 2) == b'\5\0', 'no answer')

    try:
        for i in range(CONNS_MAX):
            clients.append(dial(proxy))
            greet(clients[-1], i % 256 == 254)      # then all before it are accepted too
        program.says(r'%d connections: no more until one ends \(the tunnel.s limit\)' % CONNS_MAX)
        greet(clients[0])
        poll = select.poll()
        poll.register(clients[-1], select.POLLIN)
        expect(not poll.poll(0), 'one too many is served')
        clients.pop(0).close()
        expect(exactly(clients[-1], 2) == b'\5\0', 'it is not served when another has ended')
    finally:
        for sock in clients:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def quiet(measure, pids):
    """What they have, once that has stopped to change."""
    seen = [None, measure(pids)]

    def same():
        time.sleep(0.2)
        seen[:] = seen[1], measure(pids)
        return seen[0] == seen[1]

    until(same)
    return seen[1]


PIECES = 6  # of DATA: more than all buffers on the way hold


def same(sock):
    """PIECES times DATA come."""
    for i in range(PIECES):
        at = 0
        while at < len(DATA):
            s = sock.recv(min(65536, len(DATA) - at))
            if not s or s != DATA[at:at + len(s)]:
                return False
            at += len(s)
    return True


def flood(sock):
    for i in range(PIECES):
        sock.sendall(DATA)
    return True


def echo(sock):
    for s in iter(lambda: sock.recv(4096), b''):
        sock.sendall(s)
    return True


def pings(connect):
    """The longest of 20 answers to one byte, through a connection of their own."""
    sock = connect()
    sock.sendall(b'e')
    longest = 0
    for i in range(20):
        began = time.monotonic()
        sock.sendall(b'x')
        exactly(sock, 1)
        longest = max(longest, time.monotonic() - began)
    sock.close()
    return longest


def test_a_reader_that_stops(place):
    """Through unix sockets, whose buffers do not grow: what the kernel takes counts as read, and would widen the window."""
    go_on = threading.Event()

    def serve(sock):
        what = exactly(sock, 1)
        return echo(sock) if what == b'e' else flood(sock) if what == b'f' else go_on.wait(LIMIT) and same(sock)

    with Server(serve, place.path('server')) as server:
        program = place.start('tunnel', '-L', place.path('here') + ':' + place.path('server'), '--exit', 'leaf1')
        at = program.at()
        pings(lambda: dial(at))
        server.result()
        pids = [program.pid] + below(program.pid)

        def stands(begin):
            """begin() lets bytes flow to somebody who does not read: what that costs, and how another fares."""
            before = quiet(memory, pids)
            begin()
            after = quiet(memory, pids)
            growth = {pid: n - before.get(pid, 0) for pid, n in after.items()}
            expect(place.sanitized or max(growth.values()) <= W + MIB, 'a stopped reader costs', growth)
            longest = pings(lambda: dial(at))
            expect(longest < 0.5, 'beside it an answer takes', longest)
            server.result()
            expect(server.results.empty(), 'nothing stood')

        sock = dial(at)
        stands(lambda: sock.sendall(b'f'))
        expect(same(sock) and server.result() is True, 'what came then were other bytes')
        sock = dial(at)
        sock.sendall(b's')
        sending = threading.Thread(target=flood, args=(sock,), daemon=True)
        stands(sending.start)
        go_on.set()
        expect(server.result() is True, 'what came then were other bytes')
