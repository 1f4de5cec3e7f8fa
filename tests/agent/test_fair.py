#!/usr/bin/env python3
"""Part `stream` of the Python agent, where the way up is slower than those who send: no connection waits for another."""
import os
import socket
import sys
import time

import support
from net import StreamCase

QUEUED = 640 << 10      # more than a frame of each, and what is on the way already: in the pipe, and in a relay's queue
WARM = 1 << 19
LONGEST = 2 << 20       # who has not come behind so much is waited for no more
BYTES, PAUSE = 6, 50 << 10  # each comes at another moment of the mover's round
RATE = 2e6              # bytes a second: on a quicker way the agent's window would widen, and more would be on the way
DOWNLOADS = 3


class Fair(StreamCase):
    def connection(self):
        """(the stream here, the socket at its far end)"""
        with socket.socket(socket.AF_UNIX) as listening:
            path = os.path.join(self.folder(), 's')
            listening.bind(path)
            listening.listen()
            x = self.n.open('unix', path, give=False)
            far = listening.accept()[0]
        self.addCleanup(far.close)
        far.setblocking(False)
        x.credit(15 << 20)
        return x, far

    def came(self):
        return sum([len(x.got) for x in self.n.streams.values()])

    def step(self, floods):
        """Takes a frame and acknowledges it when the way would have carried it: at least so long, and those who send have sent what they can."""
        for x in floods:
            try:
                while True:
                    x.send(bytes(65536))
            except BlockingIOError:
                pass
        try:
            f = self.n.c.link.frame(.02)
        except TimeoutError:
            return
        time.sleep(len(f.body) / RATE)
        self.n.c.handle(f)
        if f.handle in self.n.streams:
            self.n.streams[f.handle].take(f)

    def fair(self, *parts):
        self.n = self.ready(*parts)
        old, sock = self.connection()
        floods = [self.connection()[1] for _ in range(DOWNLOADS)]
        while self.came() < WARM:
            self.step(floods)
        longest = 0
        for i in range(1, BYTES + 1):
            first = self.came()
            sock.send(b'x')
            while len(old.got) < i and self.came() - first < LONGEST:
                self.step(floods)
            longest = max(longest, self.came() - first)
            while self.came() - first < PAUSE * i:
                self.step(floods)
        self.assertLess(longest, QUEUED, 'so much of others comes before a byte')

    def test_a_leaf(self):
        self.fair('stream')

    def test_a_relay(self):
        self.fair('relay', 'stream')


if __name__ == '__main__':
    sys.exit(support.main(__name__))
