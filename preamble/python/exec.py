# Part `exec`: commands whose output travels as streams, and whole programs (docs/protocol.md sections 4, 8 and 9).
#
# Executed by the I/O thread in the core's namespace, before or after `relay`. The I/O thread only takes requests, credit
# and cancellations. A job has a thread that forks, sends the first output, reaps and answers, and a second one for
# stderr: fork waits for the import lock, output for credit, and both may take long. Invariant: a stream's thread
# reads no more than its credit, so a receiver that stops holds the command at its pipe and not in anybody's memory.
#
# A command leads its own session, so the agent's death does not end it. `die` kills the groups that run; and for kill -9
# there is a second watcher (the core's own ends the agent's group), a fork that learns each group from the command itself,
# before exec.
JOBS_MAX = 128                  # at once; more are answered `busy`
STREAM_WINDOW = 262144
JOBS = {}                       # (who asked, slot) -> Job
EXEC_STREAMS = {}                    # own handle -> Stream
EXEC_WATCH = []                    # the pipe to the watcher, once there is one
GUARD = allocate()
exec_die = die
exec_cancel = H[26]
exec_credit = H.get(34)
SIGNAL = sys.modules.get('_signal') or sys.modules.get('signal')  # every interpreter has loaded it


def raw_bytes(o):
    # argv, environment and paths: as bytes, so that no locale can refuse them.
    if isinstance(o, TEXT):
        o = o.encode('utf8')
    if not isinstance(o, BYTES) or pack('B', 0) in o:
        raise ValueError
    return o


def end_group(pid, sig):
    # A process that was just forked may not lead its group yet.
    for x in -pid, pid:
        try:
            if pid:
                os.kill(x, sig)
            break
        except OSError:
            pass


def clear(*kept):
    # In a forked process: nothing of the agent's stays open but 0, 1, 2 and these.
    try:
        v = [int(x) for x in os.listdir('/proc/self/fd')]
    except OSError:
        v = range(1024)
    for x in v:
        try:
            if x > 2 and x not in kept:
                os.close(x)
        except OSError:
            pass


def exec_large(kind, dst, handle, reply, body):
    # As the core's, but the last frame keeps END, and nothing is a frame too. Once `relay` is here it has the credit.
    global SENT
    LARGE.acquire()
    for i in range(0, len(body) or 1, 16384):
        s = body[i:i + 16384]
        while SENT > ACKED and SENT - ACKED + len(s) > 262116 and 16 not in H:
            CREDIT.acquire()
        SENT += len(s) + 28
        send(i + 16384 < len(body) and 18 or kind & 32 | 2, dst, handle, reply, s)
    LARGE.release()


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
        self.near = id(self) % (1 << 31) + 256
        self.granted = STREAM_WINDOW
        self.used = self.starved = self.cut = 0
        self.input = None               # of stdin: what came, and None for its end
        self.arrived = self.given = 0
        self.room, self.over = allocate(), allocate()
        self.room.acquire()
        self.over.acquire()
        self.came = allocate()
        self.came.acquire()
        EXEC_STREAMS[self.near] = self
        H[self.near] = self.dead_end

    def dead_end(self, kind, src, reply, body):
        # DEAD, from the receiver or a router on the way: never from below. Or stdin.
        if kind & 4 and not ME <= src < ME + SIZE:
            self.stop()
        elif self.input is None or src != self.dst:
            COUNT[2] += 1
        else:
            self.arrived += len(body)
            if self.arrived - self.given > STREAM_WINDOW:
                notice('bad-credit', src, reply or self.far)
                return self.stop()
            self.input.append(body)
            if kind & 32:
                self.input.append(None)
            rouse_it(self.came)

    def credit(self, n):
        if n < 0:
            raise ValueError
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
        # Until the end of fd (None: at once) or of the stream. The second's timeout is for one that is cut meanwhile.
        poller = select.poll()
        if fd is not None:
            poller.register(fd, 1)
        while fd is not None and not self.cut:
            n = self.granted - self.used
            if n <= 0:
                self.room.acquire()
                continue
            try:
                if not poller.poll(1000):
                    continue
                s = os.read(fd, min(n, 16384))
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
            large(0, self.dst, self.far, self.near, s)
        if fd is not None:
            os.close(fd)
        large(32, self.dst, self.far, self.near, EMPTY)
        self.forget()
        self.over.release()

    def pour(self, fd, tty):
        # Its input, until the end of that, of the stream, or of who reads it; then what still comes is dropped, credit given.
        poller = select.poll()
        poller.register(fd, 4)
        open_still = 1
        while not self.cut and self.near in H:
            while not self.input and not self.cut:
                self.came.acquire()
            s = not self.cut and self.input.pop(0)
            n = len(s or EMPTY)
            if s is None and tty:
                s = pack('B', 4)
            while s and open_still and not self.cut:
                try:
                    if poller.poll(1000):
                        s = s[os.write(fd, s[:4096]):]
                except (OSError, select.error):
                    if sys.exc_info()[1].args[0] not in (4, 11):
                        open_still = 0
            if s is None:
                break
            self.given += n
            send(0, self.dst, 34, 0, pack_value([self.far, n]))
        os.close(fd)

    def forget(self):
        self.cut = 1
        self.rouse()
        del H[self.near], EXEC_STREAMS[self.near]


def take_credit(kind, src, reply, body):
    handle, n = decode(body)[:2]
    x = EXEC_STREAMS.get(handle)
    if x and x.dst == src:
        x.credit(n)
    elif x:
        notice('no-authority', src, reply)
    elif exec_credit:
        exec_credit(kind, src, reply, body)


# ---- the watcher ----

def guard():
    # Never in the I/O thread: it forks. Twice, so that a wait() in called code finds no child that it did not start.
    GUARD.acquire()
    try:
        if not EXEC_WATCH:
            r, w = os.pipe()
            agent = os.getpid()
            pid = os.fork()
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
            EXEC_WATCH.append(keep(w))
            os.close(r)
            try:
                os.waitpid(pid, 0)
            except OSError:
                pass
    finally:
        GUARD.release()


def watch_groups(r, agent):
    # The agent is gone when the pipe ends, or when there is no such process: what it forked without exec holds the pipe too.
    groups = {}
    poller = select.poll()
    poller.register(r, 1)
    while 1:
        if poller.poll(1000):
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
        try:
            os.kill(-x, 9)
        except OSError:
            pass


def die(*rest):
    for x in list(JOBS.values()):
        end_group(x.pid, 9)
    exec_die()


# ---- EXEC (section 9) ----

class Job:
    def __init__(self, src, slot, m):
        self.words = [raw_bytes(x) for x in m[0]]
        x = m.get(1) or {}
        self.env = dict([(raw_bytes(k), x[k] is not None and raw_bytes(x[k]) or x[k]) for k in x])
        self.cwd = m.get(2)
        if self.cwd is not None:
            self.cwd = raw_bytes(self.cwd)
        self.tty = m.get(5)
        if self.tty:
            self.tty = pack('4H', self.tty[0], self.tty[1], 0, 0)
        if not self.words:
            raise ValueError
        self.src = src
        self.slot = slot
        self.pid = self.cancelled = 0
        self.outs = [Stream(src, m[3]), Stream(src, m[4])]
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
        fds = []
        terminal = None
        stdin = ours = -1
        if self.tty:
            termios = __import__('termios')
            fds += os.openpty()
            fcntl.ioctl(fds[0], termios.TIOCSWINSZ, self.tty)
            terminal = os.ttyname(fds[1])
        else:
            fds += os.pipe() + os.pipe()
        if self.outs[0].input is not None:
            if terminal:
                ours = os.dup(fds[0])
            else:
                stdin, ours = os.pipe()
        said = os.pipe()
        for x in fds + list(said) + [stdin, ours]:
            if x >= 0:
                keep(x)
        if self.cancelled:
            raise OSError(125, '')
        self.pid = os.fork()
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
            os.waitpid(self.pid, 0)
            for x in fds[::2] + [ours]:
                if x is not None and x >= 0:
                    os.close(x)
            step, n = unpack('>BI', s)
            raise OSError(n, text((step and self.cwd or name).decode('utf8', 'replace'), 400))
        if ours >= 0:
            large(0, self.src, self.outs[0].far, self.outs[0].near, EMPTY)  # so that its sender knows where to
            thread.start_new_thread(self.outs[0].pour, (ours, self.tty))
        return fds[::2]

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
                    try:
                        os.execve(x, self.words, env)
                    except OSError:
                        if sys.exc_info()[1].args[0] != 8:
                            raise
                        # A script without its first line: as a shell does it.
                        os.execve('/bin/sh', ['/bin/sh', x] + self.words[1:], env)
                except OSError:
                    # The most telling one: not allowed, before not there.
                    x = sys.exc_info()[1].args[0]
                    if x not in (2, 20) or not n:
                        n = x
        except:
            x = sys.exc_info()[1]
            n = isinstance(x, OSError) and x.args[0] or 22
        os.write(said, pack('>BI', step, n or 2))

    def live(self):
        # The job's own thread. The command is no relay: it is scheduled as others are (relay/main.py).
        begun = 0
        try:
            os.sched_setscheduler(0, 0, os.sched_param(0))
        except:
            pass                # older than 3.3, or not allowed: it stays as it is
        try:
            fds = self.begin()
            begun = 1
            try:
                thread.start_new_thread(self.outs[1].feed, (fds[1],))
            except:
                # No thread to be had: the one stream after the other, and not a command that hangs unseen.
                end_group(self.pid, 9)
                self.outs[1].feed(fds[1])
            self.outs[0].feed(fds[0])
            self.outs[1].over.acquire()
            status = os.waitpid(self.pid, 0)[1]
            body = [0, status >> 8, status & 127]
            if status & 127:
                body[1] = 0
        except:
            v = sys.exc_info()[1]
            n = 0
            if isinstance(v, EnvironmentError):
                n = v.args[0]
            body = [1, text(v, 400), n]
            if n:
                body[1] = '%s: %s' % (v.args[1], os.strerror(n))
            if not begun:
                for x in self.outs:
                    x.forget()
        pid = self.pid
        self.pid = 0
        if pid:
            os.write(EXEC_WATCH[0], pack('>i', -pid))
        del JOBS[self.src, self.slot]
        send(1, self.src, self.slot, 0, pack_value(body))

    def put_down(self):
        # A thread of its own, for a moment.
        pid = self.pid
        end_group(pid, 15)
        select.select([], [], [], 2)
        end_group(pid or self.pid, 9)
        for x in self.outs:
            x.stop()


def exec_job(kind, src, reply, body):
    m = decode(body)
    if len(JOBS) >= JOBS_MAX or (src, reply) in JOBS:
        return notice('busy', src, reply)
    x = Job(src, reply, m)
    try:
        thread.start_new_thread(x.live, ())
    except:
        for s in x.outs:
            s.forget()
        del JOBS[src, reply]
        notice('busy', src, reply)


def cancel_job(kind, src, reply, body):
    x = JOBS.get((src, decode(body)[0]))
    if not x:
        exec_cancel(kind, src, reply, body)
    elif not x.cancelled:
        x.cancelled = 1
        thread.start_new_thread(x.put_down, ())


# ---- run (section 8) ----

def complain():
    # Of the exception at hand in a program: its exit status, once said.
    x, v, tb = sys.exc_info()
    if x is SystemExit:
        if v.code is None or isinstance(v.code, int):
            return (v.code or 0) & 255
        sys.stderr.write(str(v.code) + '\n')
    else:
        sys.stderr.write(''.join(__import__('traceback').format_exception(x, v, tb.tb_next)))
    return 1


def run(name, argv, out, err):
    # A program as __main__, in the main thread; what it and its children write goes to the streams. It ends as it would in
    # a process of its own: threads are waited for, exit functions run. The streams end when the last child closes them, so
    # the answer does not wait for that.
    atexit = __import__('atexit')
    before = sys.stdout, sys.stderr, sys.argv, atexit.register
    saved = []
    exits = []
    status = 0

    def register(f, *args, **kw):
        exits.append((f, args, kw))
        return f

    for x in 1, 2:
        before[x - 1].flush()
        r, w = os.pipe()
        saved.append(keep(os.dup(x)))
        os.dup2(w, x)
        os.close(w)
        thread.start_new_thread(Stream(0, (out, err)[x - 1]).feed, (keep(r),))
    try:
        try:
            if not find_module(name):
                raise ImportError(name)
            setattr(atexit, 'register', register)
            argv = [isinstance(x, str) and x or BYTES is str and x.encode('utf8') or os.fsdecode(x) for x in argv]
            setattr(sys, 'argv', argv)
            m = sys.modules['__main__'] = sys.modules[name] = type(sys)('__main__')
            m.__file__ = 'econtext:/' + os.path.basename(argv[0])
            s = get_source(name)
            # What a traceback shows of it; never a file of that name here.
            __import__('linecache').cache[m.__file__] = len(s), None, s.splitlines(True), m.__file__
            exec(compile(s, m.__file__, 'exec', 0, 1), m.__dict__)
        except:
            status = complain()
        x = sys.modules.get('threading')
        for x in x and x.enumerate() or ():
            if not getattr(x, 'daemon', 1) and getattr(x, 'ident', 0) != thread.get_ident():
                x.join()
        while exits:
            f, args, kw = exits.pop()
            try:
                f(*args, **kw)
            except:
                complain()
    finally:
        for f in (sys.stdout, sys.stderr) + before[:2]:
            try:
                f.flush()
            except:
                pass
        for i in range(4):
            setattr((sys, sys, sys, atexit)[i], ('stdout', 'stderr', 'argv', 'register')[i], before[i])
        for x in 1, 2:
            os.dup2(saved[x - 1], x)
            os.close(saved[x - 1])
    return status


if 16 not in H:
    large = exec_large
H.update({8: die, 26: cancel_job, 27: exec_job, 34: take_credit})
