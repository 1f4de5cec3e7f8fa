#!/usr/bin/env python3
"""Part `stream` of the Python agent: listening sockets, their events, and accept (docs/protocol.md section 9.1)."""
import os
import socket
import stat
import sys
import time

import driver
import support
from net import StreamCase

WAITING_MAX = 64
BACKLOG = 128


SLOW = '''
import os, socket, time
def f(begun, go):
    class Slow(socket.socket):
        def listen(self, n):
            open(begun, 'w').close()
            while not os.path.exists(go):
                time.sleep(.02)
            plain.listen(self, n)
    plain, socket.socket = socket.socket, Slow
'''


class Listening(StreamCase):
    def test_listen(self):
        n = self.ready()
        handle, near, text = n.listen('127.0.0.1', 0)
        address = text.split()[0], int(text.split()[1])
        self.assertEqual(address[0], '127.0.0.1')
        y = socket.create_connection(address)
        y.settimeout(60)
        self.addCleanup(y.close)
        n.until(lambda: n.events[handle])
        f = n.events[handle][0]
        number, peer = f.value()
        self.assertEqual((f.kind, f.reply, peer), (driver.CALL, near, '127.0.0.1 %d' % y.getsockname()[1]))
        x = n.open('accept', number)
        self.assertEqual(x.text, peer)
        self.assertEqual(n.refused('accept', number), ['Invalid argument', 22], 'it is taken')
        x.put(b'to you')
        self.assertEqual(y.recv(100), b'to you')
        y.sendall(b'to me')
        n.until(lambda: x.got)
        # The listening socket ends; what was taken goes on, what waits is closed.
        z = socket.create_connection(address)
        z.settimeout(60)
        self.addCleanup(z.close)
        n.until(lambda: len(n.events[handle]) == 2)
        n.cancel(handle)
        try:
            self.assertEqual(z.recv(1), b'')
        except ConnectionResetError:
            pass
        self.assertRaises(ConnectionRefusedError, socket.create_connection, address)
        x.put(b'still')
        self.assertEqual(y.recv(100), b'still')

    def test_waiting(self):
        n = self.ready()
        handle, near, text = n.listen('127.0.0.1', 0)
        address = text.split()[0], int(text.split()[1])
        ys = [socket.create_connection(address) for i in range(WAITING_MAX + 1)]
        self.addCleanup(lambda: [y.close() for y in ys])
        events = n.events[handle]
        n.until(lambda: len(events) >= WAITING_MAX)
        n.idle(.5)
        self.assertEqual(len(events), WAITING_MAX)
        n.open('accept', events[10].value()[0])
        n.until(lambda: len(events) > WAITING_MAX)
        n.idle(.3)
        self.assertEqual(len(events), WAITING_MAX + 1)
        self.assertEqual(sorted(f.value()[1] for f in events), sorted('127.0.0.1 %d' % y.getsockname()[1] for y in ys))

    def test_more_wait_in_the_kernel(self):
        """128, by which the kernel means one more; of a unix socket the next is told at once."""
        n = self.ready()
        name = '@econtext-backlog-%d' % os.getpid()
        handle, near, text = n.listen(name)
        ys = []
        self.addCleanup(lambda: [y.close() for y in ys])

        def connect():
            ys.append(socket.socket(socket.AF_UNIX))
            ys[-1].setblocking(False)
            ys[-1].connect('\0' + name[1:])
        for i in range(WAITING_MAX):
            connect()
        n.until(lambda: len(n.events[handle]) == WAITING_MAX)
        for i in range(BACKLOG + 1):
            connect()
        self.assertRaises(BlockingIOError, connect)

    def test_waited_too_long(self):
        self.newest_only()
        n = self.ready()
        handle, near, text = n.listen('127.0.0.1', 0)
        y = socket.create_connection((text.split()[0], int(text.split()[1])))
        y.settimeout(30)
        self.addCleanup(y.close)
        n.until(lambda: n.events[handle])
        begun = time.monotonic()
        ys = [socket.create_connection(y.getpeername()) for i in range(WAITING_MAX)]
        self.addCleanup(lambda: [x.close() for x in ys])
        n.until(lambda: len(n.events[handle]) >= WAITING_MAX)
        self.assertRaises(ConnectionResetError, y.recv, 1)
        self.assertGreater(time.monotonic() - begun, 18)
        n.until(lambda: len(n.events[handle]) > WAITING_MAX)    # the listening socket was full, and goes on
        self.assertEqual(n.refused('accept', n.events[handle][0].value()[0]), ['Invalid argument', 22])

    def test_socket_files(self):
        n = self.ready()
        folder = self.folder()
        for i, end in enumerate((lambda h, near: n.cancel(h), lambda h, near: n.c.send(driver.DEAD, near, 0, ['lost', 0, 0, '']))):
            path = os.path.join(folder, 's%d' % i)
            handle, near, text = n.listen(path)
            self.assertEqual(text, path)
            if self.version >= (3, 0):
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            y = socket.socket(socket.AF_UNIX)
            y.connect(path)
            n.until(lambda: n.events[handle])
            x = n.open('accept', n.events[handle][0].value()[0])
            y.sendall(b'hello')
            n.until(lambda: x.got)
            end(handle, near)
            self.until('the file is gone', lambda: not os.path.exists(path))
            y.close()
        name = '@econtext-listen-%d' % os.getpid()
        handle, near, text = n.listen(name)
        self.assertEqual(text, name)
        y = socket.socket(socket.AF_UNIX)
        y.connect('\0' + name[1:])
        n.until(lambda: n.events[handle])
        y.close()

    def test_cancelled_under_way(self):
        """What was bound already leaves no file."""
        n = self.ready()
        path, begun, go = [os.path.join(self.folder(), name) for name in ('s', 'begun', 'go')]
        n.c.serve('slow', SLOW)
        n.answer(n.c.request(25, ['slow', 'f', [begun, go], {}]))
        slot, x = n.ask('listen', path)
        self.until('it is bound', lambda: os.path.exists(begun), 30)
        self.assertTrue(os.path.exists(path))
        n.cancel(slot)
        n.answer(n.c.request(7, b'echo', raw=True))
        open(go, 'w').close()
        self.until('the file is gone', lambda: not os.path.exists(path), 30)
        n.idle(.2)
        self.assertNotIn(slot, n.answers)

    def test_no_descriptors(self):
        n = self.ready()
        n.c.serve('few', 'import os, resource\ndef f(more):\n    n = len(os.listdir("/proc/self/fd")) - 1\n'
                  '    resource.setrlimit(resource.RLIMIT_NOFILE, (n + more, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n'
                  '    return n\ndef used():\n    return sum(os.times()[:2])\n')
        call = lambda *a: n.answer(n.c.request(25, ['few', a[0], list(a[1:]), {}])).value()[1]  # noqa: E731
        handle, near, text = n.listen('127.0.0.1', 0)
        call('f', 3)
        ys = [socket.create_connection((text.split()[0], int(text.split()[1]))) for i in range(8)]
        self.addCleanup(lambda: [y.close() for y in ys])
        n.idle(.5)
        self.assertTrue(1 <= len(n.events[handle]) < 8, n.events)
        before = call('used')
        n.idle(2)
        self.assertLess(call('used') - before, .5, 'it waits')
        os.system('prlimit --nofile=100 --pid %d' % n.c.hello.value()[4])
        n.until(lambda: len(n.events[handle]) == 8)

    def test_accept_of_another(self):
        n = self.ready()
        handle, near, text = n.listen('127.0.0.1', 0)
        y = socket.create_connection((text.split()[0], int(text.split()[1])))
        self.addCleanup(y.close)
        n.until(lambda: n.events[handle])
        number = n.events[handle][0].value()[0]
        n.c.slot += 1
        n.c.link.write(driver.frame(driver.CALL, n.c.me, 29, n.c.slot, driver.enc(['accept', [number], 30000]), 5))
        self.assertEqual(n.answer(n.c.slot).value()[1:], ['Invalid argument', 22])
        self.assertTrue(n.open('accept', number).near)


if __name__ == '__main__':
    sys.exit(support.main(__name__))
