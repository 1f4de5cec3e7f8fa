"""A vector's words about the child links of an implementation, whose far ends the runner plays (part of Player)."""
import os
import select
import socket
import time
from contextlib import suppress

from wire import Failure, Link

SLOT = 0x10000  # of the event slot of child N: SLOT + N


class Child(int):
    """A process that the implementation has started; as a number, the id of the context to be."""
    link = err = tty = control = None
    up = over = False


class Children(object):
    def do_child(self, rest, block):
        """A child link that is up."""
        self.do_spawn(rest, block)
        name = rest.split()[0]
        self.do_promote(name + ' ' + ' '.join(w for w in rest.split() if w.startswith('idle=')), block)
        self.do_greet(name, block)

    def do_spawn(self, rest, block):
        name, ident, size, more = (rest.split(None, 3) + [''])[:4]
        x, _ = self.fields(more)
        c = Child(self.value(ident))
        c.size, c.slot, c.name = self.value(size), x.get('slot', SLOT + c), name
        body = {0: int(c), 1: c.size, 2: [self.tools.child.encode(), self.path().encode(), name.encode()], 4: x.get('mode', 0)}
        if 'env' in x:
            body[3] = x['env']
        self.names['spawn'] = body
        self.send(self.link, 'call SPAWN reply=%d spawn' % c.slot)
        self.expect(self.link, 'call %d [0, _]' % c.slot)
        self.children[name] = self.names[name] = c
        self.meet(c)

    def path(self):
        if not self.listener:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(os.path.join(self.folder, 's'))
            self.listener.listen(8)
            self.listener.settimeout(self.limit)
        return os.path.join(self.folder, 's')

    def meet(self, c):
        """The process has been started: it comes and hands its descriptors over."""
        try:
            c.control, _ = self.listener.accept()
        except socket.timeout:
            raise Failure('the process of child %d was not started' % c)
        c.control.settimeout(self.limit)
        name, fds, _, _ = socket.recv_fds(c.control, 64, 4)
        if name.decode() != c.name:
            raise Failure('the process of another child came')
        c.link = Link('child ' + c.name, fds[0], fds[1])
        c.link.peer = int(c)
        c.err = Link('stderr of ' + c.name, fds[2], fds[2])
        if len(fds) > 3:
            c.tty = Link('terminal of ' + c.name, fds[3], fds[3])
        self.link.others[c.control.fileno()] = lambda: self.let_go(c)

    def let_go(self, c):
        """Its process has ended: what we hold of its output must not keep the implementation waiting."""
        c.err.close()
        if c.tty:
            c.link.close()
            c.tty.close()
        elif c.link.wfd >= 0:
            os.close(c.link.wfd)
            c.link.wfd = os.open('/dev/null', os.O_WRONLY)

    def do_promote(self, rest, block):
        name, more = (rest.split(None, 1) + [''])[:2]
        x, _ = self.fields(more)
        c = self.child(name)
        self.names['hello'] = {0: 1, 1: [int(c), c.size], 2: x.get('idle', 0)}
        self.send(self.link, 'call PROMOTE [%d, cbor(hello)]' % c)
        self.expect(c.link, 'control HELLO hello')

    def do_greet(self, rest, block):
        name, body = (rest.split(None, 1) + [''])[:2]
        c, body = self.child(name), body or '{0: 1, 1: "native", 2: "0", 3: "x86_64", 4: 77, 5: 0, 6: "there"}'
        self.send(c.link, 'control HELLO ' + body)
        self.expect(self.link, 'call %d [6, %s]' % (c.slot, body))
        c.up = True

    def child_deaf(self, c, rest):
        c.link.deaf = True

    def child_quiet(self, c, rest):
        self.quiet(c.link)

    def child_event(self, c, rest):
        """An event of this child; 5 and 8 are the last."""
        self.expect(self.link, 'call %d %s' % (c.slot, rest))
        c.over = c.over or rest[1:2] in '58'

    def child_write(self, c, rest):
        c.link.write(self.value(rest), self.limit)

    def child_err(self, c, rest):
        c.err.write(self.value(rest), self.limit)

    def child_errs(self, c, rest):
        """errs MS EVENT: a byte on its stderr every so often, each of which is told, until this event comes."""
        pause, want = rest.split(None, 1)
        end, told = time.monotonic() + self.limit, 0
        while True:
            c.err.write(b'x', self.limit)
            soon = time.monotonic() + self.value(pause) / 1000.
            while self.link.waits(soon):
                got = self.link.next(self.limit)
                if not self.differs(self.link, 'call %d %s' % (c.slot, want), got):
                    c.over = True
                    return
                wrong = self.differs(self.link, 'call %d [2, _]' % c.slot, got)
                if wrong:
                    raise Failure('%s: wanted [2, _] or `%s`, got %s: %s' % (self.link.name, want, got or 'the end', wrong))
                told += 1
            if time.monotonic() > end:
                raise Failure('stderr of %s: told %d times, and no `%s`' % (c.name, told, want))

    def child_tty(self, c, rest):
        c.tty.write(self.value(rest), self.limit)

    def child_reads(self, c, rest):
        self.reads(c.link, self.value(rest))

    def child_ttyreads(self, c, rest):
        self.reads(c.tty, self.value(rest))

    def reads(self, link, want):
        """These bytes and, as far as can be seen, no more."""
        end = time.monotonic() + self.limit
        while len(link.buf) < len(want) and not link.ended and link.wait(end):
            pass
        got, link.buf = bytes(link.buf[:len(want)]), link.buf[len(want):]
        if got != want:
            raise Failure('%s: read %r, not %r' % (link.name, got[:80], want[:80]))

    def child_eof(self, c, rest):
        f = c.link.next(self.limit)
        if f:
            raise Failure('%s: wanted the end, got %s' % (c.link.name, f))

    def child_acked(self, c, rest):
        self.acked(c.link, rest)

    def child_close(self, c, rest):
        """It closes its output: the carrier has ended."""
        os.close(c.link.wfd)
        c.link.wfd = os.open('/dev/null', os.O_WRONLY)

    def child_exit(self, c, rest):
        with suppress(OSError):     # it may have been ended already
            c.control.send(bytes([self.value(rest or '0')]))
        # Who carries it ends a process whose output has ended, after a while: so it is gone before its output ends.
        select.select([c.control], [], [], self.limit)
        self.let_go(c)

    def child_gone(self, c, rest):
        self.gone(c)
