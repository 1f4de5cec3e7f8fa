"""Calls to a sibling, three hops down, while 1 and then 500 connections of a tunnel are filled whose far ends never read.

For native and for Python relays: the calls alone, while the connections are being filled (by a process beside them, on the same
processors), and once all are stuck. The last line is "stuck-calls ...": for each agent the slowest call, in ms, idle, then filling and
stuck with 1 and with 500; 1 if one of the stuck ones is over 10 ms and over 3 x the idle p99.
"""
import os
import signal
import socket
import sys
import time

import side

CALLS, BLOCK = 4000, 100
COUNTS = 1, 500
SECONDS = 1     # of nothing taken any more: they are stuck


class Stuck(side.Ours):
    def __init__(self, port, agent):
        super().__init__('stuck', port, agent)
        host, self.port = self.process.stdout.readline().decode().split()[-1].rsplit(':', 1)
        self.host = host

    def calls(self, going_on):
        """ms of calls, at least CALLS and as long as that says so."""
        times = []
        while len(times) < CALLS or going_on():
            times += [us / 1e3 for us in self.ask(BLOCK)]
        return times


def listener():
    """A process that accepts and never reads: (its port, its pid)."""
    sock = socket.socket()
    sock.bind(('127.0.0.1', 0))
    sock.listen(1024)
    pid = os.fork()
    if not pid:
        kept = []
        while True:
            kept.append(sock.accept())
    port = sock.getsockname()[1]
    sock.close()
    return port, pid


def fill(address, count, tell):
    socks = [socket.create_connection(address) for _ in range(count)]
    piece, last = bytes(65536), time.monotonic()
    for s in socks:
        s.setblocking(False)
    while time.monotonic() - last < SECONDS:
        for s in socks:
            try:
                s.send(piece)
                last = time.monotonic()
            except BlockingIOError:
                pass
        time.sleep(.001)
    os.write(tell, b'.')
    signal.pause()


def measure(agent):
    """[(name, times)]"""
    port, reader = listener()
    ours = Stuck(port, agent)
    ours.calls(lambda: False)
    out, pids = [('idle', ours.calls(lambda: False))], [reader]
    for count in COUNTS:
        told, tell = os.pipe()
        os.set_blocking(told, False)
        pids.append(os.fork())
        if not pids[-1]:
            fill((ours.host, int(ours.port)), count, tell)

        def filling():
            try:
                return not os.read(told, 1)
            except BlockingIOError:
                return True

        out.append(('filling %d' % count, ours.calls(filling)))
        out.append(('stuck %d' % count, ours.calls(lambda: False)))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    ours.end()
    return out


def main():
    slowest, status = [], 0
    for agent in 'native', 'python':
        figures = measure(agent)
        limit = max(10, 3 * side.at(figures[0][1], .99))
        for name, times in figures:
            print('%-6s %-12s median %.2f  p99 %.2f  slowest %.2f ms, %d times'
                  % (agent, name, side.at(times, .5), side.at(times, .99), max(times), len(times)), flush=True)
            slowest.append('%.1f' % max(times))
            status |= name.startswith('stuck') and max(times) > limit
    print('stuck-calls ' + ' '.join(slowest))
    return int(status)


if __name__ == '__main__':
    sys.exit(main())
