#!/usr/bin/env python3
"""Part `stream` of the Python agent: connections and listening sockets (docs/protocol.md sections 4 and 9.1)."""
import errno
import os
import random
import resource
import socket
import struct
import sys
import threading
import time

import driver
import support
from net import Far, Server, StreamCase, WINDOW, MOST, drains, echoes, read_all, sends_back

SIZES = (0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 << 20)
LINGER = struct.pack('2i', 1, 0)
STREAMS_MAX = 4096
OFTEN = '''
import sys
def f():
    if hasattr(sys, 'setswitchinterval'):
        sys.setswitchinterval(1e-6)
    else:
        sys.setcheckinterval(1)
'''


class Streams(StreamCase):
    def same(self, got, sent):
        self.assertEqual(len(got), len(sent))
        self.assertTrue(got == sent, 'other bytes')

    # ---- bytes ----

    def test_sizes(self):
        n = self.ready()
        s = self.serve(sends_back)
        for size in SIZES:
            data = os.urandom(size)
            x = n.open('tcp', *s.address)
            self.assertEqual(x.text, '127.0.0.1 %d' % s.address[1])
            self.assertEqual(x.send(data), size)
            x.end()
            n.until(x.over)
            self.same(x.got, data)
            # It is over: its handle is unknown, a late CREDIT is dropped without a word.
            n.idle(.1)
            x.credit(1)
            x.put(b'late')
            n.until(lambda: x.dead)
            self.assertEqual(x.dead[0], 'no-handle')

    def test_both_ways(self):
        n = self.ready()
        theirs, ours, got = os.urandom(3 << 20), os.urandom(3 << 20), []

        def both(x):
            t = threading.Thread(target=lambda: x.sendall(theirs))
            t.start()
            got.append(read_all(x))
            t.join()
            x.close()

        x = n.open('tcp', *self.serve(both).address)
        x.send(ours)
        x.end()
        n.until(x.over)
        self.same(x.got, theirs)
        self.same(got[0], ours)

    def test_order_of_parts(self):
        for parts in (('relay', 'stream'), ('stream', 'relay'), ('exec', 'stream'), ('stream', 'exec'), ('relay', 'exec', 'stream'),
                      ('stream', 'relay', 'exec'), ('exec', 'stream', 'relay')):
            n = self.ready(*parts)
            data = os.urandom(1000000)
            x = n.open('tcp', *self.serve(sends_back).address)
            x.send(data)
            x.end()
            n.until(x.over)
            self.same(x.got, data)
            if 'exec' in parts:
                out, err = Far(n, n.handle()), Far(n, n.handle())
                slot = n.c.request(27, {0: ['sh', '-c', 'cat; echo e >&2'], 1: {}, 2: None, 3: out.handle, 4: err.handle, 6: True})
                n.until(lambda: out.near)
                out.send(data)
                out.end()
                self.assertEqual(n.answer(slot).value(), [0, 0, 0])
                n.until(lambda: out.over() and err.over())
                self.same(out.got, data)
                self.assertEqual(err.got, b'e\n')

    # ---- half-close, reset ----

    def test_half_close(self):
        n = self.ready()
        got = []

        def ends_first(x):
            x.sendall(b'first')
            x.shutdown(socket.SHUT_WR)
            got.append(read_all(x))

        x = n.open('tcp', *self.serve(ends_first).address)
        n.until(x.over)
        self.assertEqual((x.got, x.dead), (b'first', None))
        data = os.urandom(WINDOW * 3)
        x.send(data)
        self.assertEqual(got, [])
        x.end()
        self.until('the server read all', lambda: got)
        self.same(got[0], data)

    def test_reset_by_peer(self):
        n = self.ready()

        def breaks(x):
            x.recv(1)
            x.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            x.close()

        x = n.open('tcp', *self.serve(breaks).address)
        x.put(b'.')
        n.until(x.over)
        self.assertEqual(x.dead, ['reset', n.c.me, n.c.me, 'Connection reset by peer'])

    def test_reset_behind_both_ends(self):
        """What came is not with the peer then: that is said, behind what the peer had sent, and that all is with the socket is not."""
        n = self.ready()
        go, gone = threading.Event(), threading.Semaphore(0)

        def resets(x):
            x.sendall(b'bye')
            x.shutdown(socket.SHUT_WR)
            go.wait(60)
            x.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            x.close()
            gone.release()
        path = os.path.join(self.folder(), 's')
        for x in n.open('tcp', *self.serve(resets).address), n.open('unix', self.serve(resets, path, socket.AF_UNIX).address):
            if not go.is_set():
                x.fill()        # some of it waits for the socket
                x.end()
            n.until(lambda: x.ended)
            if go.is_set():     # it is written at once
                self.assertTrue(gone.acquire(timeout=60) and gone.acquire(timeout=60))
                x.put(b'lost', driver.END)
            go.set()
            n.until(lambda: x.dead or x.settled)
            self.assertEqual((x.dead, x.settled, x.got), (['reset', n.c.me, n.c.me, 'Broken pipe'], False, b'bye'))

    def test_reset_by_us(self):
        n = self.ready()
        seen = []

        def sees(x):
            try:
                seen.append(read_all(x))
            except OSError as e:
                seen.append(e.errno)

        address = self.serve(sees).address
        for i, src in enumerate((0, n.c.me)):
            x = n.open('tcp', *address)
            x.put(b'a')
            n.idle(.2)
            x.reset(src=src)
            if src:             # it cannot come from there: nothing happens
                time.sleep(.3)
                self.assertEqual(len(seen), i)
                x.reset('lost')
            self.until('the server saw it', lambda: len(seen) > i)
            self.assertEqual(seen[i], errno.ECONNRESET)
            x.put(b'late')
            n.until(lambda: x.dead)
            self.assertEqual(x.dead[0], 'no-handle')

    def test_frames_of_others(self):
        n = self.ready()
        x = n.open('tcp', *self.serve(echoes).address)
        x.put(b'stolen', src=99)
        x.put(b'', driver.END, src=99)
        x.put(b'mine')
        n.until(lambda: x.got)
        n.idle(.3)
        self.assertEqual((x.got, x.ended), (b'mine', False))

    # ---- credit ----

    def test_credit(self):
        n = self.ready()
        s = self.serve(lambda x: x.sendall(bytes(3 * MOST)))
        x = n.open('tcp', *s.address, give=False)
        n.until(lambda: len(x.got) >= WINDOW)
        for grant, more in ((0, 0), (1, 1), (16385, 16385), (WINDOW, WINDOW), (MOST + 1, MOST)):
            before = len(x.got)
            if grant:
                x.credit(grant)
            n.until(lambda: len(x.got) >= before + more)
            n.idle(.4)
            self.assertEqual(len(x.got), before + more)
        before = len(x.got)
        x.credit(7, src=99)
        slot = n.c.slot = n.c.slot + 1
        n.c.send(driver.CONTROL, 34, slot, [x.near, -1])
        self.assertEqual(n.answer(slot).value()[0], 'bad-body')
        n.idle(.4)
        self.assertEqual(len(x.got), before)

    def test_widening(self):
        """An empty frame says that we stand still: as much again, if all was used and what came is consumed, and once."""
        for parts in ('stream',), ('stream', 'relay'), ('relay', 'stream'), ('stream', 'exec', 'relay'):
            n = self.ready(*parts)
            x = n.open('tcp', *self.serve(read_all).address)
            x.put(b'')
            n.echo()
            self.assertEqual(x.room, WINDOW, 'nothing was used')
            for window in WINDOW, 2 * WINDOW:
                self.assertEqual(x.send(bytes(window)), window)
                n.until(lambda: x.room > window - 65536)    # what is not said yet stays unsaid
                before = x.room
                x.put(b'')
                n.until(lambda: x.room > before)
                self.assertEqual(x.room, before + window)
                x.put(b'')
                n.echo()
                self.assertEqual(x.room, before + window, 'said before it was known')
            y = n.open('tcp', *self.serve(lambda x: time.sleep(60)).address)
            y.fill()
            y.put(b'')
            n.echo()
            self.assertEqual(y.room, 0, 'who does not read gets no larger window')

    def spend(self, n, x):
        """All credit that x has, several frames at once."""
        frame = driver.frame(driver.BULK, n.c.me, x.near, x.handle, bytes(16384))
        while x.room > 16383:
            several = min(x.room // 16384, 16)
            x.room -= several * 16384
            n.c.link.write(frame * several)
        if x.room:
            x.put(bytes(x.room))

    def widened(self, n, x, window):
        """Its window, once all of it was used, which the sender says."""
        self.spend(n, x)
        n.until(lambda: x.room > window - max(65536, window // 8))   # all of it is consumed, and what is not said of it yet stays unsaid
        before = x.room
        x.put(b'')
        n.echo()
        return window + x.room - before

    def test_widening_max(self):
        """A window doubles up to 16 MiB; all together have no more than 64 MiB beyond what each has anyway."""
        self.newest_only()
        n, more = self.ready(), 0
        for most in MOST, MOST, MOST, MOST, 1 << 20, 1 << 19:
            x, window = n.open('tcp', *self.serve(drains).address), WINDOW
            while window < most:
                window *= 2
                self.assertEqual(self.widened(n, x, window // 2), window)
            more += window - WINDOW
            if more == MOST - WINDOW:
                self.assertEqual(self.widened(n, x, MOST), MOST)
        self.assertEqual(more, 1 << 26)
        self.assertEqual(self.widened(n, n.open('tcp', *self.serve(drains).address), WINDOW), WINDOW)

    def test_overflow(self):
        n = self.ready()
        stop, beside = self.serve(lambda x: time.sleep(60)), self.serve(echoes)
        y = n.open('tcp', *beside.address)
        x = n.open('tcp', *stop.address)
        total = x.fill()
        self.assertEqual(x.room, 0)
        self.assertGreaterEqual(total, WINDOW)
        n.idle(.5)
        self.assertIsNone(x.dead, 'to the last byte is allowed')
        # What was taken but not said yet is credit too: at most 64 KiB.
        over = 0
        while not x.dead and over < 65537:
            x.put(b'!' * 4096)
            over += 4096
            n.idle(.05)
        n.until(lambda: x.dead)
        self.assertEqual(x.dead[0], 'bad-credit')
        y.put(b'beside')
        n.until(lambda: y.got)
        self.assertEqual(y.got, b'beside')

    def test_unknown_stream(self):
        n = self.ready()
        x = n.open('tcp', *self.serve(echoes).address)
        real, x.near = x.near, x.near + 1
        x.put(b'?')
        n.until(lambda: x.dead)
        self.assertEqual(x.dead[0], 'no-handle')
        x.credit(5)
        self.assertEqual(n.c.answer(n.c.request(7, 1)).value(), 1)
        self.assertNotEqual(real, x.near)

    def test_stopped_reader(self):
        n = self.ready()
        pid = n.c.hello.value()[4]

        def rss():
            with open('/proc/%d/status' % pid) as f:
                return next(int(line.split()[1]) for line in f if line.startswith('VmRSS')) << 10

        stop, beside = self.serve(lambda x: time.sleep(60)), self.serve(sends_back)
        data = os.urandom(1 << 20)

        def talk():
            y = n.open('tcp', *beside.address)
            y.send(data)
            y.end()
            n.until(y.over)
            self.same(y.got, data)

        talk()
        before = rss()
        x = n.open('tcp', *stop.address)
        x.fill()
        self.assertEqual(x.room, 0)
        talk()
        self.assertLess(rss() - before, WINDOW + (1 << 20))

    # ---- many ----

    def test_many(self):
        n = self.ready()
        s = self.serve(sends_back)
        r = random.Random(5)
        # Its threads change places as often as they can: each connection is opened by one.
        n.c.serve('often', OFTEN)
        n.answer(n.c.request(25, ['often', 'f', [], {}]))
        pending = [n.ask('tcp', *s.address) for i in range(200)]
        xs = [n.taken(*p) for p in pending]
        self.assertEqual(len(set(x.near for x in xs)), len(xs), 'two streams with one handle')
        data = [r.getrandbits(8 * 30000).to_bytes(30000, 'big') + b'%d' % i for i in range(len(xs))]
        at = [0] * len(xs)
        while any(at[i] < len(data[i]) for i in range(len(xs))):
            i = r.randrange(len(xs))
            part = data[i][at[i]:at[i] + r.randrange(1, 9000)]
            if part:
                xs[i].put(part)
                at[i] += len(part)
                n.step(0)
        for x in xs:
            x.end()
        n.until(lambda: all(x.over() for x in xs))
        for i, x in enumerate(xs):
            self.same(x.got, data[i])

    def test_2000(self):
        self.newest_only()
        n = self.ready('relay', 'stream')
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit[1] < 5000:
            self.skipTest('descriptors')
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
        s = Server(None, '\0econtext-test-%d' % os.getpid(), socket.AF_UNIX, 4096)
        self.addCleanup(s.close)
        pid, xs, theirs = n.c.hello.value()[4], [], []
        fds = len(os.listdir('/proc/%d/fd' % pid))
        for i in range(40):
            pending = [n.ask('unix', '@' + s.address[1:].decode()) for j in range(50)]
            theirs += [s.sock.accept()[0] for j in range(50)]
            xs += [n.taken(*p) for p in pending]
        self.addCleanup(lambda: [x.close() for x in theirs])
        for i, x in enumerate(xs):
            x.put(b'%d' % i)
        for x in theirs:
            x.sendall(x.recv(100))
        n.until(lambda: all(x.got for x in xs))
        self.assertEqual([int(x.got) for x in xs], list(range(2000)))
        with open('/proc/%d/status' % pid) as f:
            self.assertLess(next(int(line.split()[1]) for line in f if line.startswith('Threads')), 12)
        for x in xs[::2]:
            x.reset()
        for x in xs[1::2]:
            x.end()
        for x in theirs:
            x.close()
        n.until(lambda: all(x.ended for x in xs[1::2]))
        self.until('descriptors closed', lambda: len(os.listdir('/proc/%d/fd' % pid)) <= fds + 2)

    def test_streams_max(self):
        self.newest_only()
        n = self.ready('relay', 'stream')
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < STREAMS_MAX + 100:
            self.skipTest('descriptors')
        name, handles = '@econtext-max-%d-' % os.getpid(), []
        while len(handles) < STREAMS_MAX:
            some = [n.handle() for i in range(64)]
            slots = [n.c.request(29, ['listen', [name + '%d' % h], h]) for h in some]
            for slot in slots:
                v = n.answer(slot).value()
                self.assertEqual(v[0], 0, (v, len(handles)))
            handles += some
        self.assertEqual(n.refused('unix', '/none'), 'busy')
        n.cancel(handles[0])
        self.assertEqual(n.refused('unix', '/none'), ['No such file or directory', 2])

    # ---- what is refused ----

    def test_refused(self):
        n = self.ready()
        s = Server(None)
        s.close()
        full = os.path.join(self.folder(), 'file')
        open(full, 'w').close()
        for args, want in ((('tcp',) + s.address, ['Connection refused', 111]), (('tcp', '::1', s.address[1]), ['Connection refused', 111]),
                           (('unix', '/no/such'), ['No such file or directory', 2]), (('unix', full), ['Connection refused', 111]),
                           (('unix', '@no-such'), ['Connection refused', 111]), (('listen', full), ['Address already in use', 98]),
                           (('listen', '/no/such'), ['No such file or directory', 2]),
                           (('listen', '203.0.113.7', 0), ['Cannot assign requested address', 99])):
            self.assertEqual(n.refused(*args), want, args)
        text, code = n.refused('tcp', 'no-such-host.invalid', 80, seconds=120)   # of some resolver
        self.assertEqual(code, 0)
        self.assertNotIn('invalid', text)
        self.assertTrue(text)
        self.assertEqual(n.refused('accept', 1), ['Invalid argument', 22])
        self.assertEqual(n.refused('unix', '/' + 'x' * 200)[1] >= 0, True)
        self.assertEqual(n.refused('unix', '/a\0b')[1] >= 0, True)

    def test_bad_requests(self):
        n = self.ready()
        for m in (7, [], ['tcp'], ['tcp', ['::1', 1]], ['tcp', ['::1'], 3000], ['tcp', ['::1', 65536], 3000], ['tcp', ['::1', -1], 3000],
                  ['tcp', [1, 2], 3000], ['tcp', ['::1', '2'], 3000], ['unix', [], 3000], ['unix', [7], 3000], ['unix', ['a', 1], 3000],
                  ['accept', ['1'], 3000], ['accept', [-1], 3000], ['accept', [], 3000], ['udp', ['::1', 1], 3000], ['listen', [], 3000],
                  ['tcp', ['::1', 1], 255], ['tcp', ['::1', 1], 1 << 32], ['tcp', ['::1', 1], 'x']):
            f = n.answer(n.c.request(29, m))
            self.assertTrue(f.kind & driver.DEAD, (m, f))
            self.assertEqual(f.value()[0], 'bad-body', m)
        x = n.open('tcp', *self.serve(echoes).address)
        x.put(b'still')
        n.until(lambda: x.got)

    def test_cancelled_connect(self):
        n = self.ready()
        s = Server(None, backlog=0)
        self.addCleanup(s.close)
        held = []
        for i in range(4):      # until the kernel answers no more
            y = socket.socket()
            y.setblocking(False)
            y.connect_ex(s.address)
            held.append(y)
        self.addCleanup(lambda: [y.close() for y in held])
        slot, x = n.ask('tcp', *s.address)
        n.idle(.3)
        self.assertEqual(n.answers, {})
        n.cancel(slot)
        n.idle(.3)
        self.assertEqual(n.answers, {}, 'nobody waits for it any more')
        x = n.open('tcp', *self.serve(echoes).address)
        x.put(b'still')
        n.until(lambda: x.got)

    # ---- where to ----

    def test_addresses(self):
        n = self.ready()
        four, six = self.serve(echoes), self.serve(echoes, ('::1', 0), socket.AF_INET6)
        path = os.path.join(self.folder(), '\u00fc')
        abstract = '@econtext-test-\u00fc%d' % os.getpid()
        self.serve(echoes, path, socket.AF_UNIX)
        self.serve(echoes, '\0' + abstract[1:], socket.AF_UNIX)
        for args, text in ((('tcp',) + four.address, '127.0.0.1 %d' % four.address[1]), (('tcp', 'localhost', four.address[1]), None),
                           (('tcp', '::1', six.address[1]), '::1 %d' % six.address[1]), (('unix', path), path),
                           (('unix', path.encode()), path), (('unix', abstract), abstract)):
            x = n.open(*args)
            self.assertEqual(x.text, text or '127.0.0.1 %d' % four.address[1])
            x.put(b'hello')
            n.until(lambda: x.got)
            self.assertEqual(x.got, b'hello')
            x.end()
            n.until(x.over)

    def test_close_on_exec(self):
        n = self.ready()
        n.c.serve('fds', 'import os\ndef f():\n    return os.popen("ls -l /proc/self/fd").read()\n')
        s = Server(None)
        self.addCleanup(s.close)
        x = n.open('tcp', *s.address)
        handle, near, text = n.listen('127.0.0.1', 0)
        y = socket.create_connection(('127.0.0.1', int(text.split()[1])))
        n.until(lambda: n.events[handle])
        v = n.answer(n.c.request(25, ['fds', 'f', [], {}])).value()
        self.assertEqual(v[0], 0)
        self.assertNotIn('socket:', v[1])
        y.close()
        self.assertTrue(x.near)


if __name__ == '__main__':
    sys.exit(support.main(__name__))
