#!/usr/bin/env python3
"""What the Python agent counts comes to its end and begins again: the system's time, which has 32 bits of ticks on a 32-bit system and may
be negative from the start; handles of streams; numbers of connections that came."""
import socket
import sys

import driver
import support
from net import StreamCase
from test_relay import CHILD

OLD = '''
import econtext, logging, os
times, tick = os.times, 1. / os.sysconf('SC_CLK_TCK')
def at(last, seconds):
    """os.times() says from now on that it is so many seconds behind the last tick, or behind the first one."""
    now = times()[4] - seconds - (last and (1 << 31) - 1 or -1 << 31) * tick
    os.times = lambda: times()[:4] + (times()[4] - now,)
def before_zero(seconds):
    now = times()[4] + seconds
    os.times = lambda: times()[:4] + (times()[4] - now,)
def log(n):
    for i in range(n):
        logging.warning('m')
def handle(n):
    """The last one that was given."""
    v = [x for x in vars(econtext).values() if isinstance(x, dict) and 'handles' in x]
    v[0]['handles'][0] = n
def number(was, n):
    v = [x for x in vars(econtext).values() if isinstance(x, list) and x == [was]]
    v[0][0] = n
    return len(v)
'''
# It answers two PINGs and says what was in them, and nothing from then on.
ANSWERS_TWO = CHILD % 0 + '''
n = 0
while n < 2:
    h, s = frame()
    if h[7] == 2:
        n += 1
        os.write(2, b'%d ' % (s[0] >> 5))
        write(struct.pack('>4B6I', 236, 1, 0, 64, hello[0][5], ME, ME, 3, 0, len(s)) + s)
while 1:
    read(1)
'''
IDLE_MS = 9000


class Age(StreamCase):
    def ready(self, *parts):
        n = StreamCase.ready(self, *parts)
        n.c.serve('old', OLD)
        return n

    def do(self, n, *call):
        """A call's result, which is awaited as all else is."""
        kind, value = n.answer(n.c.request(25, ['old', call[0], list(call[1:]), {}]), driver.PATIENCE).value()[:2]
        self.assertEqual(kind, 0, value)
        return value

    def test_logs(self):
        """Whatever time it is, no record is lost to the limit of their rate but what is beyond it."""
        c = self.boot()
        c.serve('old', OLD)
        for n, call in enumerate((('before_zero', 1000), ('at', 1, -1), ('at', 0, 1))):
            self.assertEqual(c.call('old', *call)[0], 0)
            self.assertEqual(c.call('old', 'log', 10)[0], 0)
            self.assertEqual(([x[2:] for x in c.logs], n), ([['m', 0]] * 10, n))
            del c.logs[:]

    def test_heartbeats(self):
        """A relay sends PINGs with numbers from 0 on, takes their answers, and knows a child that is silent."""
        links = []
        for call in ('before_zero', 1000), ('at', 1, -1):
            c = self.boot()
            c.serve('old', OLD)
            self.assertEqual(c.call('old', *call)[0], 0)
            c.part('relay')
            slot = c.request(16, {0: c.me + 1, 1: 1, 2: [sys.executable.encode(), b'-c', ANSWERS_TWO.encode()]})
            self.assertEqual(c.answer(slot).value()[0], 0)
            c.send(driver.CALL, 18, 0, [c.me + 1, driver.enc({0: 1, 1: [c.me + 1, 1], 2: IDLE_MS})])
            self.assertEqual(c.answer(slot).value()[0], 6)
            links.append((c, slot))
        self.assertEqual(c.call('old', 'at', 0, 0)[0], 0)
        for c, slot in links:
            said = []
            while not said or said[-1][0] != 8:
                said.append(c.answer(slot).value())
            self.assertEqual(b''.join(x[1] for x in said[:-1]), b'0 0 ', said)      # (CBOR's kind: an integer from 0 on)
            self.assertEqual(said[-1][1], 'silent')

    def test_waited_too_long(self):
        """Who waits to be accepted does so for 20 s, though the time begins anew meanwhile."""
        n = self.ready()
        self.do(n, 'at', 1, -1)
        handle, near, text = n.listen('127.0.0.1', 0)
        y = socket.create_connection((text.split()[0], int(text.split()[1])))
        y.settimeout(driver.PATIENCE)
        self.addCleanup(y.close)
        n.until(lambda: n.events[handle])
        self.do(n, 'at', 0, 30)
        self.assertRaises(ConnectionResetError, y.recv, 1)

    def test_handles(self):
        """They come again behind the last one, but for those that are in use, and are never a group's."""
        n = self.ready('stream', 'exec')
        first = n.listen('127.0.0.1', 0)[1]
        self.do(n, 'handle', 0xbffffffd)
        self.assertEqual([n.listen('127.0.0.1', 0)[1] for i in range(4)], [0xbffffffe, 0xbfffffff, first - 1, first + 1])
        self.do(n, 'handle', 0xbffffffe)
        slot = n.c.request(27, {0: [b'true'], 3: n.handle(), 4: n.handle()})
        self.assertEqual(n.answer(slot, driver.PATIENCE).value()[:2], [0, 0])

    def test_numbers_of_connections(self):
        """They have 32 bits."""
        n = self.ready()
        handle, near, text = n.listen('127.0.0.1', 0)
        address, events = (text.split()[0], int(text.split()[1])), n.events[handle]

        def come():
            y = socket.create_connection(address)
            y.settimeout(driver.PATIENCE)
            self.addCleanup(y.close)
            before = len(events)
            n.until(lambda: len(events) > before)
            return y, events[-1].value()[0]

        for i in range(1, 31):
            self.assertEqual(come()[1], i)
        self.assertEqual(self.do(n, 'number', 30, 0xfffffffe), 1)
        for number in 0xffffffff, 0, 1:     # (1 waits still, and the first is forgotten: none does for so many others)
            y, came = come()
            self.assertEqual(came, number)
            x = n.open('accept', number)
            x.put(b'to you')
            self.assertEqual(y.recv(100), b'to you')


if __name__ == '__main__':
    sys.exit(support.main(__name__))
