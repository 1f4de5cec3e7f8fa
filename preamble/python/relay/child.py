# A child of a relay: a process whose bytes are RAW events at first, and after PROMOTE a link. A child is done when its
# process was waited for and its output was read, or a quarter of a second after that (a grandchild may hold it open).
REFUSING_MAX = 1024             # messages in fragments that were refused and have not ended


class Child:
    def __init__(self, ident, size, owner, slot):
        self.pid = self.ping = self.last = self.owed = self.unacked = self.ended = self.rtt = self.written = self.taken = 0
        self.frames_in = self.frames_out = self.bytes_in = self.bytes_out = 0
        self.linked = self.heard = self.gone = self.promoted = self.paused = self.deaf = 0
        self.status = self.idle = self.out = self.failed = self.carrier = None
        self.later = []         # until the process is there: requests that wait for it
        self.reason = self.evidence = self.lacks = ''
        self.rest = EMPTY
        self.ident = ident
        self.intervals = [(ident, ident + size)]
        self.owner = owner
        self.slot = slot
        self.served = {}
        self.refusing = {}      # src -> (handle, reply_to) of a message in fragments that was refused, until its last one
        self.waits = 0
        self.roomless = []      # its questions for modules that are here (modules.py): src, reply, name
        self.typed = []         # what the terminal of mode 2 has not taken yet
        self.parts = []         # intervals of its PAUSEs that were told to the parent
        self.fds = {}           # descriptor -> which: 1 stdout, 2 stderr, 3 terminal
        self.tty = self.slave = -1

    def event(self, code, s):
        send(1, self.owner, self.slot, 0, major(128, s and 2 or 1) + pack_value(code) + s)

    def shut(self, fd):
        watch(fd, 0)
        READERS.pop(fd, None)
        WIDE.pop(fd, None)
        which = self.fds.pop(fd, 0)
        os.close(fd)
        if fd == self.out.fd:
            self.out.fd = -1    # a terminal's
        if which == 1:
            SOON[0] = 1
            if self.linked:
                self.end('eof')
            self.ended = self.ended or clock() + (self.linked and END_GRACE_S or CLOSED_S)

    def end(self, reason):
        SOON[0] = 1
        self.reason = self.reason or reason
        if self.out.fd >= 0:
            watch(self.out.fd, 0)
            WIDE.pop(self.out.fd, None)
            if self.out.fd not in self.fds:
                os.close(self.out.fd)
            self.out.fd = -1
        self.ended = self.ended or clock() + END_GRACE_S

    def slay(self, reason):
        SOON[0] = 1
        self.reason = self.reason or reason
        if self.status is not None:
            return self.end(reason)     # waited for: the number may be another's
        try:
            os.kill(-self.pid, 9)
        except OSError:
            # Another user's (sudo, su, doas): what it reads ends, which is all that we can do to it.
            self.end(reason)

    def take(self, fd):
        which = self.fds[fd]
        if self.linked and which == 1 and UP.held[0] > CONTROL_AT:
            UNREAD[self] = fd   # the parent does not take what comes from there
            return watch(fd, 0)
        try:
            s = os.read(fd, which > 1 and STDERR_AFTER or fd in WIDE and PIECE - len(self.rest) or READ_MAX)
        except OSError:
            if sys.exc_info()[1].args[0] in (4, 11):
                return
            s = EMPTY
        if not s:
            return self.shut(fd)
        if which == 1:
            self.last = NOW[0]
            self.bytes_in += self.linked and len(s)
        if self.linked and which == 1:
            if self.bytes_in == len(s) and s[:1] != pack('B', 236):
                self.event(1, byte_string(s[:STDERR_AFTER]))    # not the agent's words
            if self.out.first:
                broken(self, 'early-bytes')
            if len(s) > 65535:
                widen(fd)
            if not self.gone:
                self.rest = heard(self, self.rest, s)
            return
        if self.linked:
            self.evidence = (self.evidence + text(s.decode('utf8', 'replace'), STDERR_TEXT))[-STDERR_KEPT:]
            s = s[:max(0, STDERR_AFTER - self.unacked)]
        while s:
            self.event(which, byte_string(s[:BULK_BODY_MAX]))
            self.unacked += len(s[:BULK_BODY_MAX])
            s = s[BULK_BODY_MAX:]
        if not self.linked and self.status is None and self.unacked >= RAW_WINDOW:
            for fd in self.fds:
                watch(fd, 0)

    def refused(self, kind, src, x):
        # Whether the bulk frame is the rest of a message that was refused; of one that begins, it will be: no child says here what
        # goes in fragments.
        same = self.refusing.get(src) == x
        if not kind & 16:
            same and self.refusing.pop(src)
        elif not same:
            if len(self.refusing) >= REFUSING_MAX:
                self.refusing.clear()
            self.refusing[src] = x
        return same

    def holds(self, i):
        for lo, hi in self.intervals:
            if lo <= i < hi:
                return True
