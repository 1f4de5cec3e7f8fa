#!/usr/bin/env python3
"""Channels of the Python agent (docs/protocol.md section 9.2): what called code reads of one, whole or interrupted."""
import fcntl
import os
import signal
import struct
import sys

import driver
import support
from net import Far, StreamCase

F_SETPIPE_SZ = 1031

M = r'''
import logging, random, select, signal, sys, threading
from econtext import ChannelClosed as Closed
class Late(Exception):
    pass
def late(*rest):
    raise Late
def twice(channel, how, *args):
    """What is read, at the second try if a signal ends the first, and what comes next."""
    signal.signal(signal.SIGALRM, late)
    got = []
    for i in range(3):
        try:
            got.append(getattr(channel, how)(*args))
        except Late:
            got.append('late')
            sys.stdout.write('late\n')
    return [len(x) > 8 and [len(x), x.count(x[-1:])] or x for x in got]
def interrupted(how, channel):
    """What a signal handler would do, or a __del__, in the middle of what is written: where this thread writes next."""
    real = select.select
    ident = getattr(threading, 'get_ident', None) or threading._get_ident
    main = ident()
    def once(*v):
        if v[1] and ident() == main:
            select.select = real
            if how == 'raises':
                raise Late
            logging.warning('within')
        return real(*v)
    channel.write(b'first')
    select.select = once
    try:
        channel.send('x' * 50000)
        return 'sent'
    except Late:
        return 'late'
def in_c(channel):
    """A time limit whose handler is in C, and so no frame of called code's is on the stack."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        while 1:
            channel.write(b'x' * 60000)
    except KeyboardInterrupt:
        return 'late'
def struck(*channels):
    """Once for each channel, a timer whose handler raises at any place of what sends values and records; every third logs before."""
    def strike(*rest):
        seen.append(1)
        if len(seen) % 3 == 0:
            logging.warning('within')
        raise Late
    seen = []
    channels[0].recv()                  # all have begun
    logging.raiseExceptions = 0         # what is raised in a handler of records stays there
    signal.signal(signal.SIGALRM, strike)
    for x in channels:
        try:
            send_until(seen, len(seen) + 1, x)
        except Late:
            pass
    return len(seen)
def send_until(seen, n, x):
    """Of its own, as 3.12 and later jump back in a loop outside of the `try` around it."""
    signal.setitimer(signal.ITIMER_REAL, random.random() * .008 + .0002)
    while len(seen) < n:
        x.send('s' * 60000)
        if sys.version_info > (3,):     # Python 2's own lock of a handler of records is lost to who raises in it (threading._RLock)
            logging.info('r' * 3000)
def limited(channel, how, end, most, size):
    """The numbers of what recv() gives, or send() is given; each try has a limit of `most` us, and the channel is used until it ends."""
    def strike(*rest):
        if armed:
            del armed[:]
            raise Late
    def once(n):
        armed.append(1)
        try:
            signal.setitimer(signal.ITIMER_REAL, random.random() * most * 1e-6 + 1e-6)
            if how == 'recv':
                return channel.recv()
            channel.send([n, 'v' * (n % 7 * size)])
            return n, 'v' * (n % 7 * size)
        finally:
            del armed[:]
    armed, done, late, n = [], [], 0, 0
    signal.signal(signal.SIGALRM, strike)   # at once, perhaps: by the last call's timer
    if how == 'send':
        channel.recv()                  # it has begun
    while n < end:
        n += how == 'send'
        try:
            n, s = once(n)
            if s != 'v' * (n % 7 * size):
                return ['it is not what was sent', n]
            done.append(n)
        except Late:
            late += 1
        except (Closed, EOFError):
            break
    return [late, done]
def much(channel):
    channel.write(b'm' * 2000000)
def read(channel, *sizes):
    return [channel.read(*n) for n in sizes]
'''


class Channels(StreamCase):
    def started(self, f, *args, **kw):
        n = self.ready()
        n.c.serve('m', M)
        x = Far(n, n.handle())
        args, at = list(args), kw.get('at', 0)
        slot = n.c.request(25, ['m', f, args[:at] + [None] + args[at:], {}, [[at, x.handle, 0]]])
        n.until(lambda: x.near)
        return n, x, slot

    def test_interrupted(self):
        """What ends a wait in the middle of a value, as a time limit of called code's own, takes nothing of it; nor is there credit for
        anything twice."""
        for how, args in ('recv', []), ('read', [-1]):
            n, x, slot = self.started('twice', how, *args)
            value = driver.enc('a' * 300000)
            s = value if how == 'read' else struct.pack('>I', len(value)) + value
            more = b'' if how == 'read' else struct.pack('>I', 4) + driver.enc('two')
            before = x.room
            x.send(s[:100000])
            n.until(lambda: x.room > before - 100000)           # it has taken them: there is credit
            pid = n.c.hello.value()[4]
            self.until('it waits for more', lambda: self.waits(pid), 60)
            os.kill(pid, signal.SIGALRM)
            if self.version >= (3, 2):                          # before, no signal ends a wait for a lock
                n.until(lambda: 'late' in n.c.text('stdout'))
            x.send(s[100000:] + more)
            x.end()
            got = n.answer(slot).value()
            self.assertEqual(got[0], 0, got)
            want = [300000, 300000], 'two'
            if how == 'read':
                want = [300005, 300000], self.own('')
            self.assertEqual(got[1], ['late'] + list(want))
            self.assertLessEqual(x.room, before)

    def test_interrupted_writer(self):
        """What is under way stays whole; a record goes behind it, and what is raised is raised then, and ends the channel only."""
        n, x, slot = self.started('interrupted', 'logs', at=1)
        self.assertEqual(n.answer(slot).value(), [0, 'sent'])
        value = driver.enc('x' * 50000)
        n.until(lambda: len(x.got) == 9 + len(value))
        self.assertEqual(bytes(x.got), b'first' + struct.pack('>I', len(value)) + value)
        n.until(lambda: [r[2] for r in n.c.logs if r[1] == 'root'] == ['within'])
        n, x, slot = self.started('interrupted', 'raises', at=1)
        self.assertEqual(n.answer(slot).value(), [0, 'late'])
        n.until(lambda: x.dead)
        self.assertEqual(n.c.call('os', 'getpid'), [0, n.c.hello.value()[4]])

    def test_handler_in_c(self):
        """What a handler without a frame of its own raises while the link takes nothing is no error of the link's."""
        n = self.ready()
        n.c.serve('m', M)
        fcntl.fcntl(n.c.link.rfd, F_SETPIPE_SZ, 4096)
        x = Far(n, n.handle())
        slot = n.c.request(25, ['m', 'in_c', [None], {}, [[0, x.handle, 0]]])
        n.until(lambda: x.got)
        pid = n.c.hello.value()[4]
        self.until('it waits for us to read', lambda: self.waits(pid), 60)
        os.kill(pid, signal.SIGALRM)
        self.assertEqual(n.answer(slot).value(), [0, 'late'])
        n.until(lambda: x.dead)
        self.assertEqual(n.c.call('os', 'getpid'), [0, pid])

    def test_struck_writer(self):
        """Signals that arrive anywhere: all frames are whole, nobody's lock is kept, and the bytes are counted right."""
        n = self.ready()
        n.c.serve('m', M)
        value = struct.pack('>I', 60003) + driver.enc('s' * 60000)
        for i in range(4):
            fars = [Far(n, n.handle()) for j in range(50)]
            slot = n.c.request(25, ['m', 'struck', [None] * 50, {}, [[j, x.handle, 0] for j, x in enumerate(fars)]])
            n.until(lambda: all(x.near for x in fars))
            fars[0].send(struct.pack('>I', 1) + driver.enc(1))
            self.assertEqual(n.answer(slot).value(), [0, 50])
            for x in fars:
                self.assertTrue(value.startswith(bytes(x.got[len(x.got) // len(value) * len(value):])))
        self.assertEqual(set(r[2] for r in n.c.logs), set(['within', 'r' * 3000][:self.version[0] - 1]))
        x = Far(n, n.handle())
        slot = n.c.request(25, ['m', 'much', [None], {}, [[0, x.handle, 0]]])
        self.assertEqual(n.answer(slot).value(), [0, None])
        n.until(lambda: len(x.got) == 2000000)

    def test_struck_reader(self):
        """Signals that arrive anywhere in recv(): the next one goes on, and nothing is read as what it is not."""
        def text(i):
            value = driver.enc([i, 'v' * (i % 7 * 3000)])
            return struct.pack('>I', len(value)) + value

        for j in range(3):
            n, x, slot = self.started('limited', 'recv', 2000, 300, 3000)
            x.send(b''.join(text(i) for i in range(1, 1501)))
            x.end()
            done = n.answer(slot).value()
            self.assertEqual(done[0], 0, done)
            late, got = done[1]
            self.assertEqual(got, sorted(set(got)))
            self.assertLessEqual(1500 - len(got), late)         # one that a limit has ended may be gone, no other is
            self.assertGreater(late, 0)

    def test_struck_channel(self):
        """Nor in send(): what comes behind a value of which a part has gone out. The channel is reset then, and else goes on."""
        n = self.ready()
        n.c.serve('m', M)
        torn = whole = 0
        for j in range(60):
            end, most, size = [(40, 3000, 20000), (300, 100, 100)][j % 2]
            x = Far(n, n.handle())
            slot = n.c.request(25, ['m', 'limited', [None, 'send', end, most, size], {}, [[0, x.handle, 0]]])
            n.until(lambda: x.near)
            x.put(struct.pack('>I', 1) + driver.enc(1))
            done = n.answer(slot).value()
            self.assertEqual(done[0], 0, done)
            late, sent = done[1]
            n.until(lambda: x.over() or self.whole(x)[1] == len(x.got))
            got = self.whole(x)[0]
            for i, s in got:
                self.assertEqual(len(s), i % 7 * size)
            got = [i for i, s in got]
            self.assertEqual(got, sorted(set(got)))
            self.assertLessEqual(set(sent), set(got))
            torn += bool(x.dead)
            whole += late > 1 and len(sent) > 1
        self.assertTrue(torn and whole, (torn, whole))

    def whole(self, x):
        """The values that have come, and their bytes."""
        at, got = 0, []
        while len(x.got) - at > 3:
            n, = struct.unpack('>I', x.got[at:at + 4])
            if len(x.got) - at < 4 + n:
                break
            got.append(driver.dec(bytes(x.got[at + 4:at + 4 + n])))
            at += 4 + n
        return got, at

    def own(self, s):
        """Bytes of called code, as they travel."""
        return s.encode() if self.version >= (3,) else s

    def test_read(self):
        n, x, slot = self.started('read', [0], [2], [None], [1], [-1], [])
        x.put(b'abcdef')
        x.end()
        self.assertEqual(n.answer(slot).value(), [0, [self.own(s) for s in ('', 'ab', 'cdef', '', '', '')]])
        n, x, slot = self.started('read', [-1], [1])
        x.put(b'hello')
        x.end()
        self.assertEqual(n.answer(slot).value(), [0, [self.own('hello'), self.own('')]])


if __name__ == '__main__':
    sys.exit(support.main(__name__))
