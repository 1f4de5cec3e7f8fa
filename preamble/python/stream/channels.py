# Channels (section 9.2): what called code holds. A Channel that nobody holds any more ends its stream.

class ChannelClosed(Exception):
    pass


class ChannelFlow(Flow):
    # What a Channel is made of: the table H holds this, so that a Channel which nobody holds any more can end.
    def __init__(self, dst, far):
        self.pieces = []
        self.gone = 0
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
        self.kept = 0               # bytes of the first pieces that were taken and put back
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
        # What f takes, one thread at a time. What raises in it, as a time limit of called code's own, leaves what was taken where
        # it was.
        x = self.flow
        x.ours()
        x.reading.acquire()
        parts = []
        try:
            s = f(parts, *args)
            parts = []
            return s
        finally:
            if parts:
                self.kept += sum([len(s) for s in parts])
                x.pieces[:0] = parts
            x.reading.release()

    def value(self, parts):
        self.exactly(parts, 4)
        if not parts:
            return EMPTY
        n, = unpack('>I', EMPTY.join(parts))
        if n > MESSAGE_MAX:
            self.flow.reset('a value of more than 64 MiB')
        i = len(parts)
        self.exactly(parts, n)
        return EMPTY.join(parts[i:])

    def exactly(self, parts, n):
        while n:
            s = self.some(parts, n)
            if not s and parts:
                raise ChannelClosed('it ended in the middle of a value')
            if not s:
                break
            n -= len(s)

    def some(self, parts, n):
        # 1 to n bytes, which are the last of parts; nothing at the end. Waits.
        x = self.flow
        while not x.pieces:
            x.check()
            if x.far_over:
                return EMPTY
            x.can_read.acquire()
        s = x.pieces[0]
        if len(s) > n:
            x.pieces[0] = s[n:]
            s = s[:n]
        else:
            del x.pieces[0]
        parts.append(s)
        # What was here before has had its credit.
        n = min(len(s), self.kept)
        self.kept -= n
        if len(s) > n:
            x.consumed(len(s) - n)
        if x.pieces or x.far_over:
            rouse(x.can_read)
        return s

    def raw(self, parts, n):
        # As of a file: fewer than n where there are no more at the moment; all to the end with no n, or one below 0.
        if n is None or n < 0:
            while self.some(parts, STREAM_ROOM):
                pass
            return EMPTY.join(parts)
        return n and self.some(parts, n) or EMPTY

    def raw_bytes_of(self, n=None):
        return self.taking(self.raw, n)

    def put_value(self, value):
        s = pack_value(value)
        if len(s) > MESSAGE_MAX:
            raise ValueError('more than 64 MiB')
        decode(s)
        self.put_bytes(pack('>I', len(s)) + s)

    def put_bytes(self, s):
        x = self.flow
        at = 0
        x.ours()
        x.writing.acquire()
        try:
            while at < len(s):
                x.check()
                if x.over:
                    raise ChannelClosed('it was ended here')
                n = min(x.free_room(), len(s) - at, FRAME_BODY_MAX)
                if n:
                    at += n
                    x.emit_bytes(s[at - n:at])
                else:
                    x.can_write.acquire()
            at = 0
        finally:
            x.writing.release()
            if at:
                # By a handler of called code that raises: what is sent next would not be read as what it is.
                x.reset('interrupted in the middle of a value')

    def finish_sending(self):
        x = self.flow
        x.ours()
        x.writing.acquire()
        try:
            x.why or x.end_sending()
        finally:
            x.writing.release()

    def abandon(self, *rest):
        # Who waits to send, in another thread, is ended by it.
        x = self.flow
        if PID - os.getpid():
            return              # nothing is left to close
        if not x.writing.acquire(0):
            return x.reset('closed')
        try:
            x.leave('closed')
        finally:
            x.writing.release()

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
    if len(m) > 4 and m[4]:
        thread.start_new_thread(start_mover, ())
    for place, far, shared in len(m) > 4 and m[4] or ():
        x = Channel(src, far, shared)
        m[2 + (not isinstance(place, int))][place] = x
        thread.start_new_thread(large, (0, src, far, x.flow.near, EMPTY))
    module, name, args, kw = m[:4]
    CALLS.append([src, reply, module, name.split('.'), args, kw])


H.update({8: die, 25: stream_call, 26: cancel_stream, 29: open_stream, 34: stream_credit})
if 16 not in H:
    up = bulk_up
