# Channels (section 9.2): what called code holds. A Channel that nobody holds any more ends its stream.

class ChannelClosed(Exception):
    pass


class ChannelFlow(Flow):
    # What a Channel is made of: the table H holds this, so that a Channel which nobody holds any more can end.
    def __init__(self, dst, far):
        self.pieces = []
        self.gone = self.half = 0   # half: a value has begun to go out and is not whole
        self.told = 0, [1]          # `given` before the last CREDIT, and whether that has gone out
        self.can_read, self.can_write, self.reading, self.writing = [allocate() for x in range(4)]
        self.can_read.acquire()
        self.can_write.acquire()
        Flow.__init__(self, dst, far)
        self.fd = -self.near        # it is told of to the mover, and has none

    def take(self, s):
        self.pieces.append(s)
        rouse(self.can_read)

    def finish(self):
        rouse(self.can_read)

    def ready(self, n):
        rouse(self.can_write)

    def fail(self):
        rouse(self.can_read)
        rouse(self.can_write)

    def consumed(self, n):
        # So many bytes in all, says who reads. What a handler of called code raises before the CREDIT is written leaves it to be
        # said, and what it raises behind that does not have it said twice.
        if not self.told[1]:
            self.given = self.told[0]
        self.owed = n - self.given
        if self.owed >= 65536 and self.owed * 8 >= self.window and not self.far_over and not self.why:
            said = []
            self.told = self.given, said
            self.given = n
            self.owed = 0
            s = pack_value([self.far, self.given - self.told[0]])
            up(0, pack('>4B6I', 236, 1, 0, HOPS, self.dst, ME, ME, 34, 0, len(s)) + s, said)

    def check(self):
        if self.why:
            raise ChannelClosed(self.why)

    def ours(self):
        # A fork of called code has none: its parent's threads write the link, and hold the locks that they held then.
        if PID - os.getpid():
            raise ChannelClosed('a fork has no channels')

    def tidy(self):
        # In the mover: the Channel is gone.
        self.leave('nobody reads it')
        return 1

    def leave(self, why):
        # Ends what we send; who sends to us still is told behind it, so that this overtakes nothing (class bulk).
        if self.near in H:
            self.end_sending()
            if not self.far_over:
                large(4, self.dst, self.far, self.near, pack_value(['reset', ME, ME, why]))
                self.lost(why)


class Channel(object):
    def __init__(self, dst, far, shared):
        self.flow = ChannelFlow(dst, far)
        self.shared = shared
        self.had = [], 0            # pieces that were taken and not returned yet; how many bytes were
        if shared:
            H[shared] = self.flow.frame

    def __iter__(self):
        return self

    def __next__(self):
        # The next value. Pieces are taken whole; a value's length says how much of them is its.
        try:
            return self.receive()
        except EOFError:
            raise StopIteration

    def receive(self):
        s = self.taking(self.value)
        if not s:
            raise EOFError
        return decode(s)

    def taking(self, f, *args):
        # What f takes, one thread at a time. What is raised in it, as a time limit of called code's own, leaves what was taken in
        # `had`: pieces and their credit go there in one step each, or are counted anew, and so is what f returns taken from there.
        self.flow.ours()
        return holding(self.flow.reading, f, *args)

    def value(self):
        if not self.fill(4):
            return EMPTY
        n, = unpack('>I', EMPTY.join(self.had[0])[:4])
        if n > MESSAGE_MAX:
            self.flow.reset('a value of more than 64 MiB')
        self.fill(4 + n)
        s = EMPTY.join(behind(self.had[0], 4))[:n]
        self.drop(4 + n)
        return s

    def drop(self, n):
        v, out = self.had
        self.had = behind(v, n), out + n

    def fill(self, n):
        # Whether there are n bytes; false at the end.
        have = self.held()
        while have < n:
            more = self.piece(have)
            if have and not more:
                raise ChannelClosed('it ended in the middle of a value')
            if not more:
                return
            have += more
        return 1

    def held(self):
        return sum([len(s) for s in self.had[0]])

    def piece(self, have):
        # One more behind those that we have, and how long it is; nothing at the end. Waits.
        x = self.flow
        v, out = self.had
        over = 0
        while not x.pieces:
            x.check()
            if over:
                return 0
            over = x.far_over       # looked at before the pieces, which come before it
            x.consumed(out + have)
            over or x.can_read.acquire()
        v.extend(lazy('imap', map)(x.pieces.pop, [0]))
        n = len(v[-1])
        x.consumed(out + have + n)
        return n

    def raw(self, n):
        # As of a file: fewer than n where there are no more at the moment; all to the end with no n, or one below 0.
        s = EMPTY
        if n is None or n < 0:
            n = self.held()
            more = 1
            while more:
                more = self.piece(n)
                n += more
            s = EMPTY.join(self.had[0])
        elif n and (self.had[0] or self.piece(0)):
            s = self.had[0][0][:n]
        self.drop(len(s))
        return s

    def raw_bytes_of(self, n=None):
        return self.taking(self.raw, n)

    def put_value(self, value):
        s = pack_value(value)
        if len(s) > MESSAGE_MAX:
            raise ValueError('more than 64 MiB')
        decode(s)
        self.put_bytes(pack('>I', len(s)) + s)

    def put_bytes(self, s):
        self.flow.ours()
        holding(self.flow.writing, self.put_whole, s)

    def put_whole(self, s):
        x = self.flow
        at = 0
        self.untorn()
        try:
            while at < len(s):
                x.check()
                if x.over:
                    raise ChannelClosed('it was ended here')
                n = min(x.free_room(), len(s) - at, FRAME_BODY_MAX)
                if n:
                    x.half = 1
                    at += n
                    x.emit_bytes(s[at - n:at])
                else:
                    x.can_write.acquire()
            x.half = 0
        finally:
            self.untorn()

    def untorn(self):
        # With the lock. A handler of called code has raised in the middle: what is sent next would not be read as what it is.
        x = self.flow
        if x.half:
            x.why = x.why or 'interrupted in the middle of a value'
            x.reset(x.why)

    def finish_sending(self):
        self.flow.ours()
        holding(self.flow.writing, self.ending)

    def ending(self):
        self.untorn()
        self.flow.why or self.flow.end_sending()

    def abandon(self, *rest):
        # Who waits to send, in another thread, is ended by it.
        x = self.flow
        if PID - os.getpid():
            return              # nothing is left to close
        attempt(x.writing, 0, x.leave, 'closed') or x.reset('closed')

    def itself(self):
        return self

    def __del__(self):
        H.pop(self.shared, 0)
        changed(self.flow)


for f, name in ((Channel.put_value, 'send'), (Channel.put_bytes, 'write'), (Channel.raw_bytes_of, 'read'), (Channel.receive, 'recv'),
                (Channel.finish_sending, 'end'), (Channel.abandon, 'close'), (Channel.itself, 'open'), (Channel.__next__, 'next'),
                (Channel.itself, '__enter__'), (Channel.abandon, '__exit__')):
    setattr(Channel, name, getattr(f, 'im_func', f))
setattr(SELF, 'ChannelClosed', ChannelClosed)


def stream_call(kind, src, reply, body):
    # CALL, whose fifth item says which arguments are channels.
    m = decode(body)
    for place, far, shared in len(m) > 4 and m[4] or ():
        x = Channel(src, far, shared)
        m[2 + (not isinstance(place, int))][place] = x
        try:
            start_mover()
            begin_thread(large, 0, src, far, x.flow.near, EMPTY)
        except:
            # The call fails as if it had raised that. Of this channel nothing stays; others end as nobody holds them any more.
            x.flow.forget()
            x = sys.exc_info()[1]
            if reply:
                send(1, src, reply, 0, pack_value([1, text(x.__class__.__name__, LOGGER_TEXT), text(x, EXCEPTION_TEXT), '', 0]))
            return
    module, name, args, kw = m[:4]
    CALLS.append([src, reply, module, name.split('.'), args, kw])


H.update({8: die, 25: stream_call, 26: cancel_stream, 29: open_stream, 34: stream_credit})
if 16 not in H:
    up = bulk_up
