# Part `exec`: commands whose output travels as streams, and whole programs (docs/protocol.md sections 4, 8 and 9).
#
# Executed by the I/O thread in the core's namespace, before or after `relay`. The I/O thread only takes requests, credit
# and cancellations. A job has a thread that forks, sends the first output, reaps and answers, and a second one for
# stderr: fork waits for the import lock, output for credit, and both may take long. Invariant: a stream's thread
# reads no more than its credit, so a receiver that stops holds the command at its pipe and not in anybody's memory.
#
# A command leads its own session, so the agent's death does not end it. `die` kills the groups that run; and for kill -9, and
# for what else is in these sessions, there is a second watcher (the core's own ends the agent's group), a fork that learns each
# group from the command itself, before exec.
JOBS_MAX = 128                  # at once; more are answered `busy`
STREAM_WINDOW = 262144
JOBS = {}                       # (who asked, slot) -> Job
EXEC_STREAMS = {}                    # own handle -> Stream
EXEC_WATCH = []                    # the pipe to the watcher, once there is one
GUARD = allocate()
SWEEP_ROUNDS = 8                # through /proc: what was just forked is found by the next one
SWEEPS = {}                     # (leader, signal) -> those of its session that it was sent to; not begun
SWEEPING = allocate()
exec_die = die
exec_cancel = H.get(26, no_cancel)
exec_credit = H.get(34, no_credit)


def end_group(pid, sig):
    # A process that was just forked may not lead its group yet.
    for x in -pid, pid:
        try:
            if pid:
                os.kill(x, sig)
            break
        except OSError:
            pass


def sweep(leaders, sig):
    # Sends it to what else is in the sessions of these (leader -> the list to which those are added), as the jobs of a shell with
    # job control, which lead groups of their own: to each once, until no more are found. /proc says which processes there are,
    # and getsid which session each is in, in the numbers that kill takes, whatever /proc is mounted there. The caller sees to
    # it that these sessions are no others by now.
    seen = {}
    for i in range(SWEEP_ROUNDS):
        n = len(seen)
        try:
            names = os.listdir('/proc')
        except OSError:
            break
        for x in names:
            try:
                x = int(x)
                if x not in seen:
                    leader = os.getsid(x)
                    if leader in leaders and os.getpgid(x) != leader:
                        seen[x] = 1
                        leaders[leader].append(x)
                        os.kill(x, sig)
            except (ValueError, OSError):
                pass            # no number; or it is gone, or not ours
        if n == len(seen):
            break


def end_session(pid, sig):
    # Its group, and then the rest; who that was. Many may come at once: the first that gets to it does it for all that wait.
    found = []
    if pid:
        end_group(pid, sig)
        SWEEPS[pid, sig] = found
        SWEEPING.acquire()
        try:
            v = SWEEPS.copy()
            for x in v:
                del SWEEPS[x]
            for n in 15, 9:
                leaders = dict([(x[0], v[x]) for x in v if x[1] == n])
                leaders and sweep(leaders, n)
        finally:
            SWEEPING.release()
    return found


def rouse_it(lock):
    # Two threads may do so at once, and the second finds it done.
    try:
        if lock.locked():
            lock.release()
    except:
        pass


class Stream:
    # One way, from a descriptor here to a handle there.
    def __init__(self, dst, handle):
        self.dst = dst
        self.far = handle
        self.near = new_handle()
        self.granted = STREAM_WINDOW
        self.used = self.starved = self.cut = self.sent_end = self.far_over = self.lost = 0
        self.input = None               # of stdin: what came, and None for its end
        self.arrived = self.given = self.owed = 0
        self.window = self.tried = STREAM_WINDOW
        self.room, self.over = allocate(), allocate()
        self.room.acquire()
        self.over.acquire()
        self.came = allocate()
        self.came.acquire()
        EXEC_STREAMS[self.near] = self
        H[self.near] = self.dead_end

    def dead_end(self, kind, src, reply, body):
        # DEAD, from the receiver or a router on the way: never from below. Or stdin.
        if kind & 4:
            self.lost = 1
            self.forget()
        elif src != self.dst or kind & 3 != 2:
            COUNT[2] += 1
        else:
            self.arrived += len(body)
            if self.arrived - self.given > self.window or body and self.far_over:
                notice('bad-credit', src, self.far)
                self.lost = 1
                self.forget()
            elif body or kind & 32:
                if self.input is None:
                    body and self.took(len(body))
                elif body:
                    self.input.append(body)
                if kind & 32 and not self.far_over:
                    self.far_over = 1
                    self.input is None or self.input.append(None)
                rouse_it(self.came)
            else:
                widen_stream(self, EXEC_STREAMS)

    def took(self, n):
        self.given += n
        send(0, self.dst, 34, 0, pack_value([self.far, n]))

    def credit(self, n):
        if self.granted == self.used:
            self.starved = 1            # all that was granted is under way: the window may be too small
        self.granted = min(self.granted + n, self.used + 64 * STREAM_WINDOW)
        self.rouse()

    def stop(self):
        self.cut = 1
        self.rouse()

    def rouse(self):
        rouse_it(self.room)
        if self.input is not None:
            rouse_it(self.came)

    def feed(self, fd):
        # Until the end of fd (None: at once) or of the stream. What fails in the middle, as for want of memory, resets it: who
        # reads it must neither wait on nor take it for whole. The command learns it by SIGPIPE.
        try:
            try:
                fd is None or self.carry(fd)
            finally:
                fd is None or os.close(fd)
            self.lost or large(32, self.dst, self.far, self.near, EMPTY)
        except:
            self.cut = 1
            try:
                notice('reset', self.dst, self.far)
            except:
                pass
        # With an input: that may go on. Were the handle gone, the dead notice to what still comes would overtake our output.
        self.sent_end = 1
        if self.input is None or self.cut or fd is None:
            self.forget()
        self.over.release()

    def carry(self, fd):
        # poll's timeout is for a stream that is cut meanwhile.
        poller = select.poll()
        poller.register(fd, 1)
        while not self.cut:
            n = self.granted - self.used
            if n <= 0:
                self.room.acquire()
                continue
            try:
                if not poller.poll(LOOK_MS):
                    continue
                s = os.read(fd, min(n, READ_MAX))
            except (OSError, select.error):
                if sys.exc_info()[1].args[0] == 4:
                    continue
                s = EMPTY               # a terminal that nobody holds open any more: EIO
            if not s:
                break
            self.used += len(s)
            if self.starved:
                self.starved = 0
                large(0, self.dst, self.far, self.near, EMPTY)
            large(128, self.dst, self.far, self.near, s)

    def pour(self, fd, tty):
        # Its input, until the end of that, of the stream, or of who reads it; then what still comes is dropped, credit given.
        poller = select.poll()
        poller.register(fd, 4)
        open_still = 1
        while not self.cut and self.near in H:
            while not self.input and not self.cut:
                self.came.acquire()
            if self.cut:
                break
            x = s = self.input.pop(0)
            if x is None and tty:
                s = pack('B', 4)
            while s and open_still and not self.cut:
                try:
                    if poller.poll(LOOK_MS):
                        s = s[os.write(fd, s[:WRITE_MAX]):]
                except (OSError, select.error):
                    if sys.exc_info()[1].args[0] not in (4, 11):
                        open_still = 0
            if x is None or self.cut:
                break
            self.took(len(x))
        os.close(fd)
        self.input = None
        if self.sent_end:
            self.forget()

    def forget(self):
        self.cut = 1
        self.rouse()
        H.pop(self.near, 0)
        EXEC_STREAMS.pop(self.near, 0)


def take_credit(kind, src, reply, body):
    handle, n = decode(body)[:2]
    x = EXEC_STREAMS.get(number(handle, 0, 1 << 32))
    number(n)
    if not x:
        exec_credit(kind, src, reply, body)
    elif x.dst != src:
        notice('no-authority', src, reply)
    else:
        x.credit(n)
