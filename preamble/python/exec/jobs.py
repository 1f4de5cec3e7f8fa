# The watcher of commands, and EXEC (section 9).

# ---- the watcher ----

def guard():
    # Never in the I/O thread: it forks. Twice, so that a wait() in called code finds no child that it did not start.
    GUARD.acquire()
    try:
        if not EXEC_WATCH:
            r, w = os.pipe()
            agent = os.getpid()
            try:
                pid = os.fork()
            except OSError:
                os.close(r)
                os.close(w)
                raise
            if not pid:
                try:
                    os.setsid()
                    for x in 1, 2:
                        os.dup2(0, x)
                    clear(r)
                    if not os.fork():
                        watch_groups(r, agent)
                finally:
                    os._exit(0)
            os.close(r)
            try:
                os.waitpid(pid, 0)
            except OSError:
                pass
            # It may have had no process for the second time, and then nobody reads: the next command tries again.
            poller = select.poll()
            poller.register(keep(w), 0)
            if poller.poll(0):
                os.close(w)
                raise OSError(11, '')
            EXEC_WATCH.append(w)
    finally:
        GUARD.release()


def watch_groups(r, agent):
    # The agent is gone when the pipe ends, or when there is no such process: what it forked without exec holds the pipe too.
    groups = {}
    poller = select.poll()
    poller.register(r, 1)
    while 1:
        if poller.poll(LOOK_MS):
            s = os.read(r, 4)
            if not s:
                break
            n, = unpack('>i', s)
            if n > 0:
                groups[n] = 1
            else:
                groups.pop(-n, 0)
        else:
            try:
                os.kill(agent, 0)
            except OSError:
                break
    for x in groups:
        groups[x] = []
        try:
            os.kill(-x, 9)
        except OSError:
            pass
    groups and sweep(groups, 9)


def die(*rest):
    for x in list(JOBS.values()):
        end_group(x.pid, 9)
    exec_die()


# ---- EXEC (section 9) ----

def left_of(pid, found):
    try:
        os.kill(-pid, 0)
        return 1
    except OSError:
        pass
    for x in found:
        try:
            if os.getsid(x) == pid:
                return 1
        except OSError:
            pass


class Job:
    def __init__(self, src, slot, m):
        self.words = words(m[0])
        self.env = changes(m.get(1))
        self.cwd = m.get(2)
        if self.cwd is not None:
            self.cwd = raw_bytes(self.cwd)
        self.tty = m.get(5)
        if self.tty is not None:
            x, n = typed(self.tty, list)
            self.tty = pack('4H', number(x) & 65535, number(n) & 65535, 0, 0)
        out, err = [number(m[x], 1, 1 << 32) for x in (3, 4)]
        typed(m.get(6), (bool, type(None)))
        self.src = src
        self.slot = slot
        self.pid = self.cancelled = 0
        self.about = self.words[0]      # what it is that fails
        self.ending = allocate()        # held from a CANCEL to its last kill: until then the process is not waited for
        self.outs = [Stream(src, out), Stream(src, err)]
        if m.get(6):
            self.outs[0].input = []
        JOBS[src, slot] = self

    def begin(self):
        # The descriptors to read. The environment is looked at here and not in the fork.
        guard()
        env = dict(getattr(os, 'environb', os.environ))
        for k in self.env:
            if self.env[k] is None:
                env.pop(k, None)
            else:
                env[k] = self.env[k]
        name = self.words[0]
        if not name:
            raise OSError(2, '')
        slash = pack('B', 47)
        paths = [name]
        if slash not in name:
            x = env.get(pack('4B', 80, 65, 84, 72)) or raw_bytes(TEXT('/usr/bin:/bin'))
            paths = [os.path.join(x, name) for x in x.split(pack('B', 58))]
        made = []               # all of them closed, should one not be had, or the fork
        terminal = None
        stdin = ours = -1
        try:
            if self.tty:
                termios = __import__('termios')
                made += os.openpty()
                fcntl.ioctl(made[0], termios.TIOCSWINSZ, self.tty)
                terminal = os.ttyname(made[1])
            else:
                made += os.pipe()
                made += os.pipe()
            fds = made[:]
            if self.outs[0].input is not None:
                if terminal:
                    ours = os.dup(fds[0])
                    made.append(ours)
                else:
                    stdin, ours = os.pipe()
                    made += [stdin, ours]
            said = os.pipe()
            made += said
            for x in made:
                keep(x)
            if self.cancelled:
                raise OSError(125, '')
            self.launch()
        except:
            for x in made:
                os.close(x)
            raise
        if not self.pid:
            try:
                self.become(fds, terminal, said[1], paths, env, stdin, ours)
            finally:
                os._exit(127)
        for x in [said[1], stdin] + fds[1::2]:
            if x >= 0 and (not self.tty or x == said[1]):
                os.close(x)
        s = os.read(said[0], 5)
        os.close(said[0])
        if self.tty:
            os.close(fds[1])            # the command holds it now
            fds[1:] = [None, None]
        if s:
            self.bury(0)
            for x in fds[::2] + [ours]:
                if x is not None and x >= 0:
                    os.close(x)
            step, n = unpack('>BI', s)
            self.about = step and self.cwd or name
            raise OSError(n, '')
        return fds[::2] + [ours]

    def launch(self):
        # One at a time, and a moment for the others: a fork holds the interpreter, for long where there are many threads, and of many
        # that wait for it the I/O thread would be only one. The command has no use for its parent meanwhile.
        GUARD.acquire()
        try:
            self.pid = os.fork()
            self.pid and time.sleep(2e-3)
        finally:
            GUARD.release()
        self.cancelled and end_group(self.pid, 15)      # it may have found no process yet

    def become(self, fds, terminal, said, paths, env, stdin, ours):
        # In the fork.
        step = n = 0
        try:
            os.setsid()
            os.write(EXEC_WATCH[0], pack('>i', os.getpid()))
            for i in range(1, 65):
                try:
                    SIGNAL.signal(i, SIGNAL.SIG_DFL)
                except:
                    pass
            v = [stdin] + fds[1::2]
            if ours < 0:
                v[0] = os.open('/dev/null', 2)
            if terminal:
                # The first terminal that a session's leader opens is its own.
                v[1:] = [os.open(terminal, 2)] * 2
                if ours >= 0:
                    v[0] = v[1]
            for i in 0, 1, 2:
                os.dup2(v[i], i)
            clear(said)
            if self.cwd is not None:
                step = 1
                os.chdir(self.cwd)
                step = 0
            for x in paths:
                try:
                    execute(x, self.words, env)
                except OSError:
                    # The most telling one: not allowed, before not there.
                    x = sys.exc_info()[1].args[0]
                    if x not in (2, 20) or not n:
                        n = x
        except:
            x = sys.exc_info()[1]
            n = isinstance(x, OSError) and x.args[0] or 22
        os.write(said, pack('>BI', step, n or 2))

    def not_begun(self):
        # What is answered, of the exception at hand.
        v = sys.exc_info()[1]
        for x in self.outs:
            x.forget()
        if isinstance(v, EnvironmentError):
            s = text(self.about.decode('utf8', 'replace'), REASON_TEXT)
            return [1, '%s: %s' % (s, v.args[1] or os.strerror(v.args[0])), v.args[0]]
        return [1, text(v, REASON_TEXT), 0]

    def second(self, gate, fds, f, i, *rest):
        # A thread for one of its descriptors, which is there before the command is, and does nothing if that never begins.
        gate.acquire()
        gate.release()
        fds and f(fds[i], *rest)

    def live(self):
        # The job's own thread. The command is no relay: it is scheduled as others are (relay/main.py). The threads that it needs are
        # had first: one that ran and cannot be served would have to be killed, whatever it has done by then.
        fds = []
        gate = allocate()
        gate.acquire()
        try:
            os.sched_setscheduler(0, 0, os.sched_param(0))
        except:
            pass                # older than 3.3, or not allowed: it stays as it is
        out, err = self.outs
        try:
            try:
                begin_thread(self.second, gate, fds, err.feed, 1)
                if out.input is not None:
                    large(0, self.src, out.far, out.near, EMPTY)    # so that its sender knows where to
                    begin_thread(self.second, gate, fds, out.pour, 2, self.tty)
                fds += self.begin()
            finally:
                gate.release()
            out.feed(fds[0])
            err.over.acquire()
            body = self.ended()
        except:
            if fds:
                # It ran: who asked must not hear that it did not. (Called code may ignore SIGCHLD, or have waited for it.)
                body = ['lost', ME, ME, 'how it ended is not known: ' + text(sys.exc_info()[1], REASON_TEXT)]
            else:
                body = self.not_begun()
        late = not self.ending.acquire(0)
        late or self.bury(1)
        del JOBS[self.src, self.slot]
        if len(body) > 3:
            large(4, self.src, self.slot, 0, pack_value(body))      # behind its output
        else:
            send(1, self.src, self.slot, 0, pack_value(body))
        if late:
            self.ending.acquire()
            self.bury(1)

    def ended(self):
        # Waits for the end. Where Python can (3.3), the process then still is to be waited for: as long as something may kill
        # its group and session, their number is nobody else's.
        try:
            x = os.waitid(1, self.pid, 4 | 1 << 24)     # P_PID; WEXITED, WNOWAIT
        except (AttributeError, OSError):   # not there, or not allowed
            s = os.waitpid(self.pid, 0)[1]
            self.unwatch()
            return [0, not s & 127 and s >> 8 or 0, s & 127]
        if x.si_code > 1:
            return [0, 0, x.si_status]
        return [0, x.si_status, 0]

    def unwatch(self):
        pid = self.pid
        self.pid = 0
        if pid:
            os.write(EXEC_WATCH[0], pack('>i', -pid))
        return pid

    def bury(self, how):
        pid = self.unwatch()
        try:
            pid and os.waitpid(pid, how)
        except OSError:
            pass                # called code has waited for it

    def put_down(self):
        # A thread of its own, for a moment. What was waited for already is killed only while it is seen that some of its group,
        # or of those that were found in its session, are left, for these keep the number.
        pid = self.pid
        found = end_session(pid, 15)
        for x in range(40):
            select.select([], [], [], .05)
            if pid and not self.pid and not left_of(pid, found):
                pid = 0
        end_session(pid or self.pid, 9)
        for x in self.outs:
            x.stop()
        self.ending.release()


def exec_job(kind, src, reply, body):
    m = decode(body)
    if not reply:
        return
    if len(JOBS) >= JOBS_MAX or (src, reply) in JOBS:
        return notice('busy', src, reply)
    x = Job(src, reply, m)
    try:
        begin_thread(x.live)
    except:
        del JOBS[src, reply]
        send(1, src, reply, 0, pack_value(x.not_begun()))


def cancel_job(kind, src, reply, body):
    x = JOBS.get((src, decode(body)[0]))
    if not x:
        exec_cancel(kind, src, reply, body)
    elif x.ending.acquire(0):
        x.cancelled = 1
        try:
            thread.start_new_thread(x.put_down, ())
        except:
            # No thread to be had: without its grace, and not a command that goes on.
            end_session(x.pid, 9)
            for s in x.outs:
                s.stop()
            x.ending.release()
