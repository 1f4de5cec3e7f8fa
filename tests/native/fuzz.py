"""Bytes that no context would write, from below and from above: corpora of tests/fuzz, as they are and changed, cut at any byte.

What must hold: the agent ends by rule only (status 0, never by a signal) and never because of a child; it starts nothing; its memory stays
small; and whoever else hangs on it is served.
"""
import os
import random
import select
import time

from agent import BULK, CALL, CONTROL, HANDLES, LIMIT, ME, MORE, SIZE, Agent, Child, Failure, Frame, children, decode, encode, status_kib

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'fuzz', 'corpus')
RSS_MAX_KIB = 8192              # of an agent that bad bytes went through
BULK_MAX, COLLECT_MAX = 16384, 128 << 20
CEILING_KIB = 512 * 1024        # mem.c's
REASONS = ('eof', 'bad-frame', 'frame-too-big', 'bad-body', 'bad-hello', 'bad-credit', 'bad-pause', 'queue-overflow', 'version',
           'early-bytes', 'killed')
LEAST = 40                      # inputs, however slow this machine is
TELLING = (0, 1, 0x7f, 0x80, 0xff, 0xec, 0x18, 0x1b, 0x5a, 0x9b, 0xbf)


def corpus(name):
    folder, found = os.path.join(CORPUS, name), []
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), 'rb') as f:
            found.append(f.read())
    return found


class Inputs:
    """An endless row of inputs, the same for the same seed: each corpus item once as it is, then changed ones."""

    def __init__(self, seed, src, dst, lo, hi):
        self.random = random.Random(seed)
        self.src, self.dst, self.lo, self.hi = src, dst, lo, hi
        self.frames, self.bodies = corpus('frame'), corpus('cbor')
        # A frame's first byte in that corpus says how the target cuts it.
        self.first = [(f[1:], 0) for f in self.frames] + [(b, h) for b in self.bodies for h in (1, 4, 5, 10, 16, 27, 32, 34)]

    def framed(self, body, handle):
        return body if not handle else Frame(CONTROL if handle < 16 else CALL, 64, self.dst, self.src, self.src, handle, 0x9000, body).pack()

    def changed(self, data):
        r, data = self.random, bytearray(data)
        for _ in range(r.randint(1, 8)):
            at = r.randrange(len(data)) if data else 0
            what = r.randrange(6)
            if not data or what == 0:
                data[at:at] = bytes([r.choice(TELLING)])
            elif what == 1:
                data[at] ^= 1 << r.randrange(8)
            elif what == 2:
                data[at] = r.choice(TELLING)
            elif what == 3:
                del data[at:at + r.randint(1, 16)]
            elif what == 4:
                data[at:at] = data[at:at + r.randint(1, 64)]
            else:
                other = r.choice(self.bodies)
                data[at:at] = other[r.randrange(len(other) + 1):]
        return bytes(data[:65536])

    def likely(self):
        """A frame that passes for one: good header, some handle, ids inside and outside, a body of the corpus."""
        r = self.random
        ids = [self.src, self.dst, 0, ME, r.randrange(self.lo, self.hi), r.randrange(1 << 32), 0xffffffff]
        if r.random() < .4:     # of the shape that some handle wants
            number = [r.choice(ids + [1, 8, 16384, 1 << 16]) for _ in range(3)]
            body = encode(r.choice((number[0], number[:1], number[:2], [number[0], number[1:]], number, {0: number[0], 1: number[1]})))
        else:
            body = r.choice(self.bodies)
            body = self.changed(body) if r.random() < .7 else body
        handle = r.choice(list(HANDLES.values()) + [0, 30, 255, 256, 0x10000, 0xffffffff])
        kind = r.choice((CONTROL, CALL, CALL, BULK)) | r.choice((0, 0, 0, 4, 8, MORE, 0x20))
        body = body[:16384]
        return Frame(kind, r.choice((64, 64, 1, 0)), r.choice(ids), r.choice(ids[:2] + ids), r.choice(ids), handle,
                     r.choice((0, 1, 0x9000)), body).pack()

    def next(self):
        r = self.random
        if self.first:
            data = self.framed(*self.first.pop(0))
        elif r.random() < .5:
            data = b''.join(self.likely() for _ in range(r.randint(1, 6)))
            data = self.changed(data) if r.random() < .3 else data
        else:
            data = self.changed(r.choice(self.frames)[1:])
        return data, r.choice((0, 0, 1, 7, 29))     # piece: 0, at once


def write_cut(link, data, piece):
    """In pieces, each seen by the reader for itself as far as one can tell. Longer inputs in pieces only at their beginning."""
    cut = min(len(data), 40 * piece)
    for i in range(0, cut, piece or 1):
        link.write(data[i:min(i + piece, cut)], LIMIT)
    link.write(data[cut:], LIMIT)


def drain(link):
    """What is there now, thrown away."""
    while not link.ended and select.select([link.rfd], [], [], 0)[0]:
        link.fill()
    del link.buf[:]


def parent(s, name, command, seed, seconds):
    """A parent that writes nonsense, before HELLO and after it."""
    inputs, runs, ends, end = Inputs(seed, 0, ME, ME, ME + SIZE), 0, 0, time.monotonic() + seconds
    while runs < LEAST or time.monotonic() < end:
        data, piece = inputs.next()
        agent = Agent(command, hello=False)
        try:
            if runs % 8:
                agent.send('HELLO', {0: 1, 1: [ME, SIZE], 2: 0}, kind=CONTROL)
                agent.pid = decode(agent.next().body)[4]
            write_cut(agent.link, data, piece)
            agent.send('ECHO', 'over', reply=0x7777)    # behind a frame that was begun it is that frame's, and no answer comes
            # An answer would only come at once; the end as well.
            select.select([agent.link.rfd], [], [], .02)
            drain(agent.link)
            started = children(agent.pid) if agent.pid and os.path.exists('/proc/%d' % agent.pid) else []
            peak = status_kib(agent.pid, 'VmHWM') if agent.pid else 0
            ends += agent.link.ended
        finally:
            status = agent.close()
        if status != 0 or started or peak > RSS_MAX_KIB:
            return s.check('%s: a lying parent' % name, False, 'seed %d, input %d (%s, piece %d): status %s, started %s, %d KiB' % (
                seed, runs, data.hex()[:2000], piece, status, started, peak))
        runs += 1
    s.check('%s: a lying parent: %d inputs, %d ended it' % (name, runs, ends), ends, 'none ended it')


def child(s, name, command, house, seed, seconds):
    """A child that writes nonsense, beside one that is served meanwhile."""
    agent, lo, runs, broken, saw = Agent(command), ME + 16, 0, 0, None
    inputs, end = Inputs(seed, lo, ME, lo, lo + 8), time.monotonic() + seconds
    # A user mode emulator is a child's program too, and counts what is its own.
    native = command[0].endswith(os.uname().machine)
    try:
        good = Child(agent, house, ME + 8)
        good.hello()
        while (runs < LEAST or time.monotonic() < end) and not saw:
            inputs.src = inputs.lo = lo
            inputs.hi = lo + 8
            data, piece = inputs.next()
            liar = Child(agent, house, lo)
            if runs % 8:
                liar.hello()
            write_cut(liar.link, data, piece)
            saw = served(agent, good) or agent.link.ended and 'the agent has ended'
            if not saw and native and len(children(agent.pid)) != 2:
                live = len(children(agent.pid))
                saw = live > 2 and '%d processes' % live
            event = liar.hang_up()
            if event[0] == 8 and event[1] not in REASONS:
                saw = 'reason %r' % (event,)
            broken += event[0] == 8 and event[1] != 'eof'
            agent.kept[:] = []
            runs, lo = runs + 1, lo + 8
        peak = status_kib(agent.pid, 'VmHWM') if native else 0
        if peak > RSS_MAX_KIB:
            saw = '%d KiB' % peak
        where = 'seed %d, input %d (%s, piece %d): ' % (seed, runs - 1, data.hex()[:2000], piece)
        good.hang_up()
    except Failure as e:
        saw, where = str(e), 'seed %d, input %d (%s, piece %d): ' % (seed, runs, data.hex()[:2000], piece)
    status = agent.close()
    s.check('%s: a lying child: %d inputs, %d broke its link' % (name, runs, broken),
            not saw and status == 0 and broken, saw and where + saw or status)


def served(agent, good):
    """None, or what is wrong: the sibling gets what the parent sends it, and nothing that the liar made."""
    slot = agent.new_slot()
    agent.send('ECHO', slot, reply=slot, dst=good.lo)
    f = good.link.next(LIMIT)
    if f is None or (f.handle, f.reply, f.src) != (HANDLES['ECHO'], slot, 0):
        return 'the sibling got %r' % (f,)
    good.send(slot, slot, dst=0)
    while True:
        f = agent.link.next(LIMIT)
        if f is None:
            return 'the agent has ended'
        if f.handle == slot and f.src == good.lo:
            return None
        if f.src == good.lo and f.auth != good.lo:
            return 'in the name of the sibling: %r' % (f,)
        agent.kept.append(f)


def greedy(s, command, house):
    """Messages that have no end: a child's are not kept at all, as it is asked for none; of whoever may ask, up to the limit."""
    agent = Agent(command)
    one = Child(agent, house, ME + 8)
    one.hello()
    piece = Frame(BULK | MORE, 64, ME, ME + 8, ME + 8, HANDLES['LOG'], 0x9000, bytes(BULK_MAX))
    for _ in range(COLLECT_MAX // 4 // BULK_MAX):
        one.link.write(piece.pack(), LIMIT)
    agent.echo()
    told, kib = one.link.next(LIMIT), status_kib(agent.pid, 'VmHWM')
    s.check('a greedy child: its first frame is too-big', told.kind & 4 and decode(told.body)[0] == 'too-big', told)
    s.check('a greedy child: nothing is kept', kib < RSS_MAX_KIB, kib)
    one.hang_up()
    for i in range(3):
        for _ in range(COLLECT_MAX // 2 // BULK_MAX if i < 2 else 1):   # as much as may be of one, twice, and one frame more
            agent.send('ECHO', reply=0x9000, kind=BULK | MORE, src=1 + i, body=bytes(BULK_MAX))
    told, peak = agent.answer(0x9000), status_kib(agent.pid, 'VmHWM')
    s.check('a greedy parent: 128 MiB are collected, and the agent is below its ceiling', 131072 < peak < CEILING_KIB, peak)
    s.check('a greedy parent: one frame more is too-big', told.kind & 4 and decode(told.body)[0] == 'too-big', told)
    s.check('a greedy child: status', agent.close() == 0, 'not 0')
