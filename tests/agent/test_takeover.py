#!/usr/bin/env python3
"""Parts of the Python agent that come while its threads write: each brings anew what several share, and `relay` takes over what is counted."""
import os
import struct
import sys
import time

import driver
import support
from net import Far, StreamCase

WRITER = '''
import os, struct, sys, threading, time
names = sys.modules['econtext'].__dict__

def bytes_for_ever(ch):
    while 1:
        ch.write(b'x')

def gated(ch, size):
    # The third frame of bulk that is made waits until part `relay` is here.
    table = [v for v in names.values() if isinstance(v, dict) and 'stdout' in v][0]
    name = [k for k in names if names[k] is struct.pack][0]
    made = []
    def pack(what, *v):
        if what == '>4B6I' and v[2] & 3 == 2:
            made.append(1)
            while len(made) == 3 and 16 not in table:
                time.sleep(.01)
        return struct.pack(what, *v)
    names[name] = pack
    ch.write(b'x' * size)

def gated_answer(size):
    # The second frame of the core's own `large` waits once it is counted, before it is seen who is to write it. (It is measured twice.)
    [up] = [k for k in names if waits(names[k])]
    core, made = names[up], []
    def measure(o):
        code = sys._getframe(1).f_code
        if code.co_argcount == 5 and up in code.co_names and len(o) == 16384:
            made.append(1)
            while len(made) == 3 and names[up] is core:
                time.sleep(.01)
        return len(o)
    names['len'] = measure
    return 'x' * size

def waits(v):
    code = getattr(v, '__code__', None)
    return code and code.co_argcount == 2 and set(['write', 'select']) <= set(code.co_names)

def came_before(head, alone, begun):
    # As a thread that came to the core's `up` before part `relay`, and has LOCK when a frame is half written.
    [name] = [k for k in names if waits(names[k])]
    up = names[name]
    print('ready')
    while names[name] is up:
        time.sleep(.01)
    for i in range(20):
        names[name](1, head + b'x' * 6000)
    thread = threading.Thread(target=lambda: up(0, alone))
    thread.start()
    thread.join(.5)
    open(begun, 'w').close()
    thread.join()

def late(echoes):
    # As the core's second thread does that came after the first and waited there: it reads as the core did. How many echoes it answers.
    turn = [v for v in names.values() if getattr(v, '__defaults__', 0) == (65536,)][0]
    table = [v for v in names.values() if isinstance(v, dict) and 'stdout' in v][0]
    def echo(*v):
        who.append(ident())
        plain(*v)
    who, plain, ident = [], table[7], getattr(threading, 'get_ident', None) or threading._get_ident
    table[7] = echo
    print('ready')
    while 16 not in table:
        time.sleep(.01)
    while len(who) < echoes:
        turn()
    return who.count(ident())

def early():
    # As the main thread does whose call ends while what came behind the part is under way: it comes to wait for the next.
    name = [k for k, v in names.items() if getattr(v, '__defaults__', 0) == (65536,)][0]
    table = [v for v in names.values() if isinstance(v, dict) and 'stdout' in v][0]
    plain = table[7]
    def echo(*v):
        threading.Thread(target=lambda: names[name]()).start()
        time.sleep(.5)
        plain(*v)
    table[7] = echo

def forks(ch):
    thread = threading.Thread(target=lambda: [ch.write(b'p' * 40000) for x in range(10)])
    thread.start()
    pid = os.fork()
    closed = 0
    for f in pid == 0 and [lambda: ch.write(b'f' * 40000), lambda: ch.send('f'), lambda: ch.read(1), ch.recv, ch.end] or []:
        try:
            f()
        except names['ChannelClosed']:
            closed += 1
    pid or ch.close() or os._exit(closed)
    status = os.waitpid(pid, 0)[1]
    thread.join()
    ch.end()
    return [status >> 8, status & 255]

def empties(ch):
    # What is kept of routes is emptied while a sender looks.
    class Slow(dict):
        def __contains__(self, x):
            found = dict.__contains__(self, x)
            self.clear()
            return found
    name = [k for k, v in names.items() if isinstance(v, dict) and v.get(0, 1) is None][0]
    names[name] = Slow(names[name])
    for i in range(20):
        ch.write(b'x')
'''


class Takeover(StreamCase):
    def writer(self, f, *args):
        n = self.ready()
        n.c.serve('writer', WRITER)
        x = Far(n, n.handle())
        n.c.request(25, ['writer', f, [None] + list(args), {}, [[0, x.handle, 0]]])
        return n, x

    def part(self, n, name):
        return n.c.request(24, [name, driver.made()[1][name]])

    def test_another_part(self):
        """Many times, as the writer must have its turn in the middle of it. (In Python below 3.4 it ended by that once in six.)"""
        n, x = self.writer('bytes_for_ever')
        n.until(lambda: len(x.got) > 100)
        x.give = False
        for i in range(15):
            for slot in [self.part(n, 'exec') for j in range(4)]:
                self.assertIsNone(n.answer(slot).value())
            at = len(x.got)
            n.until(lambda: len(x.got) > at + 20)
        n.c.proc.kill()         # it has no end of its own: what `exec` does at the end is done by what it brought before

    def test_relay_in_the_middle(self):
        """What was counted as sent and not written yet is counted once: else it is under way for ever, and bulk is held for it."""
        size = 300000
        n, x = self.writer('gated', size)
        n.until(lambda: x.near)
        n.idle(.5)
        n.answer(self.part(n, 'relay'))
        n.until(lambda: len(x.got) == size)
        self.assertEqual(x.got, b'x' * size)

    def test_in_the_core(self):
        """The same of a message that the core itself sends: a byte of credit more than was sent is still one too many."""
        c = self.boot()
        c.serve('writer', WRITER)
        slot = c.request(25, ['writer', 'gated_answer', [70000], {}])
        self.until('a frame', lambda: c.pump(.05) or c.bulk_in)
        c.part('relay')
        frames = []
        while not frames or frames[-1].kind & driver.MORE:
            frames.append(c.answer(slot))
        self.assertEqual(driver.dec(b''.join([x.body for x in frames])), [0, 'x' * 70000])
        self.assertEqual(c.answer(c.request(7, b'echo', raw=True)).body, b'echo')
        c.send(driver.CONTROL, 4, 0, 1)
        self.until('the end', lambda: c.link.more(.05) == b'')

    def test_half_a_frame(self):
        """What a thread writes that came before part `relay` and waited does not come into a frame that is half written."""
        c = self.boot()
        c.serve('writer', WRITER)
        begun = os.path.join(self.folder(), 'begun')
        head = struct.pack('>4B6I', 236, 1, 1, 64, 0, c.me, c.me, 500, 0, 6000)
        slot = c.request(25, ['writer', 'came_before', [head, driver.frame(driver.CONTROL, 0, 501, 0, b'', src=c.me), begun], {}])
        self.until('ready', lambda: c.pump(.05) or 'ready' in c.text('stdout'))
        c.link.write(driver.frame(driver.CALL, c.me, 24, 0, driver.enc(['relay', driver.made()[1]['relay']])))
        self.until('begun', lambda: os.path.exists(begun))
        for i in range(20):
            self.assertEqual(c.answer(500).body, b'x' * 6000)
        self.assertEqual(c.answer(501).body, b'')
        self.assertEqual(c.answer(slot).value(), [0, None])

    def test_one_reads(self):
        """Who still waits to read the link as the core does, when relay's loop begins, does not read beside it."""
        c = self.boot()
        c.serve('writer', WRITER)
        slot = c.request(25, ['writer', 'late', [100], {}])
        self.until('ready', lambda: c.pump(.05) or 'ready' in c.text('stdout'))
        c.part('relay')
        for i in range(100):
            c.answer(c.request(7, b'echo', raw=True))
        self.assertEqual(c.answer(slot).value(), [0, 0])

    def test_the_rest_first(self):
        """What was read behind the part is done, and kept what is no whole frame, before relay's loop reads on."""
        c = self.boot()
        c.serve('writer', WRITER)
        self.assertEqual(c.call('writer', 'early'), [0, None])
        echo = [driver.frame(driver.CALL, c.me, 7, 500 + i, b'echo') for i in range(2)]
        part = driver.frame(driver.CALL, c.me, 24, 502, driver.enc(['relay', driver.made()[1]['relay']]))
        c.link.write(part + echo[0] + echo[1][:20])
        time.sleep(.2)
        c.link.write(echo[1][20:])
        self.assertEqual([c.answer(500 + i).body for i in range(3)], [b'echo', b'echo', driver.enc(None)])

    def test_a_fork(self):
        """A channel is closed there, also while another thread sends; its parent's goes on."""
        n = self.ready()
        n.c.serve('writer', WRITER)
        x = Far(n, n.handle())
        self.assertEqual(n.answer(n.c.request(25, ['writer', 'forks', [None], {}, [[0, x.handle, 0]]])).value(), [0, [5, 0]])
        n.until(lambda: x.ended)
        self.assertEqual(bytes(x.got), b'p' * 400000)

    def test_routes_emptied(self):
        """A sender that looks for the way while it is forgotten, as when a child ends, looks for it again."""
        n = self.ready('stream', 'relay')
        n.c.serve('writer', WRITER)
        x = Far(n, n.handle())
        self.assertEqual(n.answer(n.c.request(25, ['writer', 'empties', [None], {}, [[0, x.handle, 0]]])).value(), [0, None])
        n.until(lambda: len(x.got) == 20)


if __name__ == '__main__':
    sys.exit(support.main(__name__))
