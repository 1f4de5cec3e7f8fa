#!/usr/bin/env python3
"""Part `exec` of the Python agent (docs/protocol.md sections 4, 8, 9): commands and their streams. (Programs: test_run.py.)"""
import errno
import fcntl
import hashlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time

import driver
import support

WINDOW, MOST, JOBS_MAX, SLOW = 262144, 16 << 20, 128, 120   # SLOW, s: for 128 forks beside 256 threads, on a busy machine
OUT, ERR = 5001, 5002

# Called code in which what is to fail does: the next read of a command's output, or all threads.
FAULTS = '''
import os
try:
    import _thread as thread
except ImportError:
    import thread
main, read, start, left = thread.get_ident(), os.read, thread.start_new_thread, []
def failing(fd, n):
    if left and n == 65536 and thread.get_ident() != main:
        left.pop()
        raise MemoryError
    return read(fd, n)
def no_memory():
    os.read = failing
    left.append(1)
def no_thread():
    def begin(*rest):
        raise RuntimeError("can't start new thread")
    thread.start_new_thread = begin
'''


class Job(object):
    """A request with two streams, and what came of it."""

    def __init__(self, c, slot, out=OUT, err=ERR, give=True):
        self.c, self.slot, self.give = c, slot, give
        self.data = {out: bytearray(), err: bytearray()}
        self.streams = [out, err]
        self.handles, self.ended, self.answer, self.dead, self.reset = {}, set(), None, None, {}

    def take(self, f):
        if f.handle == self.slot:
            if f.kind & driver.DEAD:
                self.dead = f.value()
            else:
                self.answer = f.value()
        elif f.handle in self.data and f.kind & driver.DEAD:
            self.reset[f.handle] = f.value()[0]
        elif f.handle in self.data:
            assert f.kind & 3 == driver.BULK and not f.kind & driver.MORE and len(f.body) <= 16384, f
            assert f.handle not in self.ended, 'data behind the end'
            self.handles[f.handle] = f.reply
            self.data[f.handle] += f.body
            if f.kind & driver.END:
                self.ended.add(f.handle)
            elif self.give:
                self.credit(f.handle, len(f.body))
        else:
            return False
        return True

    def credit(self, handle, n, src=0):
        self.c.send(driver.CONTROL, 34, 0, [self.handles[handle], n], src=src)

    def done(self):
        return self.dead or self.answer and (self.answer[0] or len(self.ended) == 2)

    def cancel(self):
        self.c.send(driver.CONTROL, 26, 0, [self.slot])

    out = property(lambda self: self.data[self.streams[0]])
    err = property(lambda self: self.data[self.streams[1]])


class Exec(support.Case):
    def ready(self, *parts):
        c = self.boot()
        for name in parts or ('exec',):
            c.part(name)
        return c

    def start(self, c, argv, out=OUT, err=ERR, give=True, **more):
        m = {0: argv, 1: more.pop('env', {}), 2: more.pop('cwd', None), 3: out, 4: err}
        m.update((int(k[1:]), more[k]) for k in more)
        return Job(c, c.request(27, m), out, err, give)

    def wait(self, *jobs, **kw):
        """Takes frames until all jobs are done, or what `until` says."""
        until = kw.get('until', lambda: all(j.done() for j in jobs))
        while not until():
            f = jobs[0].c.link.frame(SLOW)
            if not any(j.take(f) for j in jobs):
                self.assertTrue(jobs[0].c.handle(f), f)
            else:
                jobs[0].c.handle(f)

    def do(self, c, *argv, **kw):
        j = self.start(c, list(argv), **kw)
        self.wait(j)
        return j

    def sh(self, c, script, **kw):
        return self.do(c, 'sh', '-c', script, **kw)

    def quiet(self, *jobs):
        """Nothing comes for a while: half a second is what shows an error on a busy machine, not what a right one needs."""
        with self.assertRaises(TimeoutError):
            while 1:
                f = jobs[0].c.link.frame(.5)
                if f.kind & 63 != driver.BULK or f.body:    # an empty frame of a stream says nothing
                    self.fail(f)
                jobs[0].c.handle(f)

    # ---- how it ends ----

    def test_statuses(self):
        c = self.ready()
        for n in (0, 1, 7, 126, 127, 128, 254, 255):
            self.assertEqual(self.sh(c, 'exit %d' % n).answer, [0, n, 0])
        for n in (1, 9, 13, 15):
            self.assertEqual(self.sh(c, 'kill -%d $$' % n).answer, [0, 0, n])

    def test_status_where_sigchld_came_ignored(self):
        c = self.boot(before='env --ignore-signal=CHLD')
        c.part('exec')
        self.assertEqual(self.sh(c, 'exit 3').answer, [0, 3, 0])

    def test_not_started(self):
        c = self.ready()
        for argv, cwd, n, text in ((['no-such-command'], None, 2, 'no-such-command'), (['/etc/passwd'], None, 13, '/etc/passwd'),
                                   (['/no/such'], None, 2, '/no/such'), (['/etc'], None, 13, '/etc'),
                                   (['id'], '/no/folder', 2, '/no/folder'), ([''], None, 2, '')):
            j = self.do(c, *argv, cwd=cwd)
            self.assertEqual((j.answer[0], j.answer[2]), (1, n), j.answer)
            self.assertEqual(j.answer[1], '%s: %s' % (text, os.strerror(n)))
            self.assertEqual(j.out + j.err, b'')
        self.assertEqual(self.sh(c, 'echo still').out, b'still\n')

    def test_bad_requests(self):
        c = self.ready()
        for m in ({0: [], 3: 1, 4: 2}, {0: ['a\0b'], 3: 1, 4: 2}, {0: ['id']}, {0: [1], 3: 1, 4: 2},
                  {0: ['id'], 1: {'A': 'x\0'}, 3: 1, 4: 2}, {0: ['id'], 1: {'A': 7}, 3: 1, 4: 2}, [], 7):
            f = c.answer(c.request(27, m))
            self.assertTrue(f.kind & driver.DEAD, (m, f))
            self.assertEqual(f.value()[0], 'bad-body', m)
        self.assertEqual(self.sh(c, 'echo still').out, b'still\n')

    def test_no_handle_comes_again(self):
        c, taken = self.ready('exec', 'stream'), []
        for n in range(8):
            taken += self.do(c, 'true').handles.values()
            taken.append(c.answer(c.request(29, ['listen', ['127.0.0.1', 0], 7000 + n])).value()[1])
        self.assertEqual(len(set(taken)), 24, taken)

    def test_at_the_limit_of_descriptors(self):
        # Each number of free ones, up to enough: an errno or a command; and none is lost, or a shortage would never end.
        c = self.ready()
        self.do(c, 'true', k5=[24, 80])     # with what a terminal takes to be imported
        pid, seen = c.hello.value()[4], set()

        def held():
            return sorted(map(int, os.listdir('/proc/%d/fd' % pid)))

        before, old = held(), resource.prlimit(pid, resource.RLIMIT_NOFILE)
        for more in ({'k6': True}, {'k5': [24, 80], 'k6': True}):
            for n in range(9):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (before[-1] + 1 + n, old[1]))
                j = self.do(c, 'true', **more)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
                self.assertTrue(j.answer == [0, 0, 0] or j.answer[0] == 1 and j.answer[2] == errno.EMFILE, j.answer)
                seen.add(j.answer[0])
                if not j.answer[0] and 'k6' in more:
                    c.send(driver.BULK | driver.END, j.handles[OUT], OUT, b'', raw=True)
                self.until('it has what it had: %s %s %s' % (more, n, j.answer), lambda: held() == before)
        self.assertEqual(seen, set([0, 1]))

    # ---- what it gets ----

    def test_surroundings(self):
        c = self.ready()
        j = self.sh(c, 'echo "$A|$HOME|$PATH"; pwd', env={'A': '\u00fc', 'HOME': None}, cwd='/')
        self.assertEqual(j.out.decode(), '\u00fc||%s\n/\n' % os.environ['PATH'])
        j = self.do(c, 'printf', '%s.', '', '\u20ac', b'\xff', 'a b', '$x*')
        self.assertEqual(j.out, b'.\xe2\x82\xac.\xff.a b.$x*.')
        # (By the shell itself: one that has just started a command may still block signals.)
        masks = 'while read a b; do case $a in Sig[IB]*) echo $a $b;; esac; done </proc/$$/status'
        j = self.sh(c, 'cat; readlink /proc/self/fd/0; ls /proc/$$/fd; %s; echo $$; ps -o pgid=,sid= -p $$' % masks)
        lines = j.out.decode().split('\n')
        self.assertEqual(lines[:4], ['/dev/null', '0', '1', '2'])
        self.assertEqual([int(x.split()[1], 16) for x in lines[4:6]], [0, 0], 'blocked and ignored signals')
        self.assertEqual(set(lines[7].split()), set([lines[6]]), 'its own group and session')
        self.assertEqual(j.err, b'')

    def test_script_without_first_line(self):
        c = self.ready()
        path = os.path.join(self.folder(), 'script')
        with open(path, 'w') as f:
            f.write('echo "$1"\n')
        os.chmod(path, 0o755)
        self.assertEqual(self.do(c, path, 'x y').out, b'x y\n')

    def folder(self):
        import shutil
        import tempfile
        path = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, path)
        return path

    def test_terminal(self):
        c = self.ready()
        j = self.sh(c, 'test -t 1 && test -t 2 && stty size </dev/tty; echo err >&2; readlink /proc/self/fd/0; exit 4', k5=[33, 121])
        self.assertEqual((j.out, j.err, j.answer), (b'33 121\r\nerr\r\n/dev/null\r\n', b'', [0, 4, 0]))

    # ---- streams ----

    def test_bytes(self):
        c = self.ready()
        path, data = os.path.join(self.folder(), 'data'), os.urandom(2 << 20) + bytes(range(256))
        with open(path, 'wb') as f:
            f.write(data)
        j = self.sh(c, 'cat %s & cat %s >&2; wait' % (path, path))
        self.assertEqual(hashlib.md5(j.out).digest(), hashlib.md5(data).digest())
        self.assertEqual(hashlib.md5(j.err).digest(), hashlib.md5(data).digest())
        self.assertEqual(j.answer, [0, 0, 0])

    def test_credit(self):
        c = self.ready()
        j = self.start(c, ['yes'], give=False)
        self.wait(j, until=lambda: len(j.out) >= WINDOW)
        self.quiet(j)
        self.assertEqual(len(j.out), WINDOW)
        j.credit(OUT, 5)
        self.wait(j, until=lambda: len(j.out) >= WINDOW + 5)
        j.credit(OUT, 40000)
        self.wait(j, until=lambda: len(j.out) >= WINDOW + 40005)
        j.credit(OUT, -1)               # it never takes anything back
        j.credit(OUT, 1, src=3)         # and is not from somebody else
        self.quiet(j)
        self.assertEqual(len(j.out), WINDOW + 40005)
        for n in (MOST, 1 << 60):    # more than was used widens the window, up to MOST
            before = len(j.out)
            j.credit(OUT, n)
            self.wait(j, until=lambda: len(j.out) >= before + MOST)
            self.quiet(j)
            self.assertEqual(len(j.out), before + MOST)
        self.assertEqual(self.do(c, 'echo', 'beside', out=1001, err=1002).out, b'beside\n')
        j.cancel()
        self.wait(j)
        self.assertIn(j.answer, ([0, 0, 15], [0, 0, 9]))

    def test_stream_cut(self):
        c = self.ready()
        for src in (c.me + 1, 0):       # the first has no business with it
            j = self.start(c, ['yes'], out=6001, err=6002, give=False)
            self.wait_loose(j, lambda: len(j.out) >= WINDOW)
            c.send(driver.DEAD, j.handles[6001], 0, ['no-handle', 0, 0, ''], src=src)
            if src:
                self.quiet(j)
                j.credit(6001, 1)
                self.wait(j, until=lambda: len(j.out) > WINDOW)
                j.cancel()
            self.wait_loose(j, lambda: j.answer is not None)
            self.assertEqual(j.answer, [0, 0, src and signal.SIGTERM or signal.SIGPIPE])

    def wait_loose(self, j, until):
        """Frames of others do not matter."""
        while not until():
            f = j.c.link.frame(SLOW)
            j.c.handle(f)
            j.take(f)

    def test_input_beyond_credit(self):
        """More than the window and what a pipe holds, or anything behind its end."""
        c = self.ready()
        for frames in [(b'x' * 16384, 0)] * 32, [(b'', driver.END), (b'x', 0)]:
            j = self.start(c, ['sleep', '1000'], k6=True)
            self.wait(j, until=lambda: j.handles)
            for body, end in frames:
                c.send(driver.BULK | end, j.handles[OUT], OUT, body, raw=True)
            f = c.link.frame(30)
            while not f.kind & driver.DEAD:
                c.handle(f)
                f = c.link.frame(30)
            self.assertEqual((f.handle, f.value()[0]), (OUT, 'bad-credit'))
            j.cancel()
            self.assertIn(c.answer(j.slot, 30).value()[2], (15, errno.ECANCELED))       # it may not have been started yet

    def test_cancel(self):
        c = self.ready()
        j = self.start(c, ['sh', '-c', 'sleep 1000 & echo $! $$; wait'])
        self.wait(j, until=lambda: j.out.endswith(b'\n'))
        j.cancel()
        self.wait(j)
        self.assertEqual(j.answer, [0, 0, 15])
        self.until('the group ended', lambda: not any(support.alive(int(x)) for x in j.out.split()))
        j = self.start(c, ['sh', '-c', 'trap "" TERM; echo $$; while :; do sleep 1; done'])
        self.wait(j, until=lambda: j.out.endswith(b'\n'))
        j.cancel()
        j.cancel()
        self.wait(j)
        self.assertEqual(j.answer, [0, 0, 9])
        # Who left the group holds the pipe open; the answer comes all the same.
        j = self.start(c, ['sh', '-c', 'setsid sh -c "echo \\$\\$; exec sleep 60" & wait'])
        self.wait(j, until=lambda: j.out.endswith(b'\n'))
        j.cancel()
        self.wait(j)
        self.assertEqual(j.answer, [0, 0, 15])
        os.kill(int(j.out), 9)

    def test_cancel_keeps_the_number(self):
        """Until the last kill the leader is not waited for, so that its group's number is nobody else's (Python 3.3 and later)."""
        c, there, late, keeps = self.ready(), False, 9, self.version >= (3, 3)
        while not there and late:   # an answer that comes late says nothing of the 2 s before
            j = self.start(c, ['sh', '-c', 'echo $$; exec sleep 1000'])
            self.wait(j, until=lambda: j.out.endswith(b'\n'))
            pid, began = int(j.out), time.monotonic()
            j.cancel()
            self.wait(j)
            self.assertEqual(j.answer, [0, 0, 15])
            there = os.path.exists('/proc/%d' % pid)
            late = keeps and time.monotonic() - began > 1.9 and late - 1
        self.assertEqual(there, keeps)
        self.until('it is waited for', lambda: not os.path.exists('/proc/%d' % pid))
        # What is left of it is killed all the same, its outputs closed or not.
        j = self.start(c, ['sh', '-c', 'trap "" TERM; sleep 1000 >&- 2>&- & echo $!; trap - TERM; exec sleep 1000'])
        self.wait(j, until=lambda: j.out.endswith(b'\n'))
        j.cancel()
        self.wait(j)
        self.until('the rest is killed', lambda: not support.alive(int(j.out)))

    def test_many(self):
        c = self.ready()
        jobs = [self.start(c, ['sh', '-c', 'echo %d; echo %d >&2; exit %d' % (i, i, i)], 7000 + 2 * i, 7001 + 2 * i) for i in range(50)]
        self.wait(*jobs)
        for i, j in enumerate(jobs):
            self.assertEqual((j.out, j.err, j.answer), (b'%d\n' % i, b'%d\n' % i, [0, i, 0]))

    def test_too_many(self):
        if self.version != support.newest():
            self.skipTest('many processes: with the newest only')
        c = self.ready()
        jobs = [self.start(c, i and ['sleep', '1000'] or ['sh', '-c', 'echo; exec sleep 1000'], 7000 + 2 * i, 7001 + 2 * i)
                for i in range(JOBS_MAX)]
        self.wait(*jobs, until=lambda: jobs[0].out)     # it has started: cancelled before, it would answer otherwise
        more = self.start(c, ['id'], out=6001, err=6002)
        self.wait(more, *jobs, until=more.done)
        self.assertEqual(more.dead[0], 'busy')
        jobs[0].cancel()
        self.wait(*jobs, until=jobs[0].done)
        self.assertEqual(jobs[0].answer, [0, 0, 15])
        j = self.start(c, ['echo', 'x'], out=6001, err=6002)
        self.wait(j, *jobs, until=j.done)
        self.assertEqual(j.out, b'x\n')

    # ---- what fails in the middle ----

    def test_no_memory_for_output(self):
        """What cannot be read is no end of a stream, and nobody waits for one: it is reset, and the command told by SIGPIPE."""
        for stream, to in ((OUT, ''), (ERR, ' >&2')):
            c = self.ready()
            c.serve('faults', FAULTS)
            c.call('faults', 'no_memory')
            j = self.start(c, ['sh', '-c', 'echo a%s; while echo b%s; do sleep .1; done' % (to, to)])
            self.wait(j, until=lambda: j.answer and len(j.ended) + len(j.reset) == 2)
            self.assertEqual((j.reset, j.ended, j.answer[0]), ({stream: 'reset'}, set([OUT + ERR - stream]), 0))
            self.assertNotEqual(j.answer[1:], [0, 0])

    def test_no_thread(self):
        """For a cancellation: the command is killed. (For the command itself: test_scarce.py.)"""
        c = self.ready()
        c.serve('faults', FAULTS)
        j = self.start(c, ['sh', '-c', 'trap "" TERM; echo $$; exec sleep 1000'])
        self.wait(j, until=lambda: j.out.endswith(b'\n'))
        c.call('faults', 'no_thread')
        j.cancel()
        self.wait(j)
        self.assertEqual((j.answer, support.alive(int(j.out))), ([0, 0, 9], False))

    # ---- nothing stays ----

    def test_nothing_stays(self):
        def shutdown(c):
            c.send(driver.CONTROL, 8, 0, None)

        def eof(c):
            c.proc.stdin.close()

        def slain(c):
            os.kill(c.hello.value()[4], signal.SIGKILL)

        for parts, end in ((('exec',), slain), (('exec',), eof), (('relay', 'exec'), shutdown), (('exec', 'relay'), shutdown),
                           (('exec', 'relay'), slain)):
            c = self.ready(*parts)
            j = self.start(c, ['sh', '-c', 'sleep 1000 & echo $! $$; wait'])
            self.wait(j, until=lambda: j.out.endswith(b'\n'))
            end(c)
            self.until('%s with %s' % (end.__name__, parts), lambda: not any(support.alive(int(x)) for x in j.out.split()))

    def test_terminals_with_input_leave_nothing(self):
        c = self.ready()

        def held(what):
            return len(os.listdir('/proc/%d/%s' % (c.hello.value()[4], what)))

        threads = held('task')
        for i in range(6):
            j = self.start(c, ['true'], k5=[24, 80], k6=True)
            self.wait(j)
            c.send(driver.BULK | driver.END, j.handles[OUT], OUT, b'', raw=True)
            self.until('its threads have ended', lambda: held('task') == threads)
            descriptors = i and descriptors or held('fd')   # the first brings the pipe to the watcher
            self.assertEqual(held('fd'), descriptors)

    def test_wait_in_called_code(self):
        c = self.ready()
        c.serve('kids', 'import os\ndef none():\n try:\n  os.wait()\n except OSError:\n  return 1\n')
        self.assertEqual(self.sh(c, 'exit 0').answer, [0, 0, 0])
        self.assertEqual(c.call('kids', 'none'), [0, 1])

    def test_end_that_called_code_has_taken(self):
        """It ran, and is not said to have not begun."""
        c = self.ready()
        c.serve('kids', 'import signal\ndef ignore(how):\n signal.signal(signal.SIGCHLD, how and signal.SIG_IGN or signal.SIG_DFL)\n')
        self.assertEqual(c.call('kids', 'ignore', 1), [0, None])
        j = self.start(c, ['sh', '-c', 'echo ran; echo too >&2; exit 3'])
        self.wait(j, until=lambda: j.answer or j.dead)
        self.assertEqual((j.answer, j.dead and j.dead[0], j.out, j.err, len(j.ended)), (None, 'lost', b'ran\n', b'too\n', 2))
        self.assertIn('how it ended is not known', j.dead[3])
        self.assertEqual(c.call('kids', 'ignore', 0), [0, None])
        self.assertEqual(self.sh(c, 'exit 3').answer, [0, 3, 0])

    # ---- with the other parts, and large values ----

    def test_with_relay(self):
        for parts in (('relay', 'exec'), ('exec', 'relay')):
            c = self.ready(*parts)
            j = self.sh(c, 'head -c 1000000 /dev/zero; echo e >&2; exit 3')
            self.assertEqual((len(j.out), j.err, j.answer), (1000000, b'e\n', [0, 3, 0]))
            j = self.start(c, ['yes'], give=False)
            self.wait(j, until=lambda: len(j.out) >= WINDOW)
            self.quiet(j)
            self.assertEqual(len(j.out), WINDOW)

    def test_a_program_that_stands_still(self):
        """As on a server that is gone: it holds nothing of its siblings' open. A lease does it here: who opens the file waits."""
        c = self.boot(size=64)
        c.part('relay')
        place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, place)
        program = shutil.copy('/bin/true', place)
        self.addCleanup(signal.signal, signal.SIGIO, signal.signal(signal.SIGIO, signal.SIG_IGN))
        with open(program, 'rb+') as f:
            fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            cat = c.request(16, {0: 16, 1: 8, 2: [b'cat'], 3: {}, 4: 0})
            self.assertEqual(c.answer(cat).value()[0], 0)
            still = c.request(16, {0: 24, 1: 8, 2: [program.encode()], 3: {}, 4: 0})
            self.until('a fork', lambda: len(support.children(c.hello.value()[4])) == 2)
            c.send(driver.CALL, 17, 0, [16, 3])
            self.assertEqual(c.answer(cat).value(), [5, 0])
        self.assertEqual([c.answer(still).value() for i in range(2)][1], [5, 0])

    def test_large_values(self):
        for parts in (('exec',), ('relay',), ('exec', 'relay')):
            c = self.ready(*parts)
            c.serve('big', 'def twice(s):\n    return s + s\n')
            self.assertEqual(c.call('big', 'twice', 'ab' * 400000, timeout_=60), [0, 'ab' * 800000])

    # ---- stats ----

    def test_stats(self):
        for parts in (('stats',), ('relay', 'stats'), ('stats', 'relay'), ('exec', 'stats')):
            c = self.ready(*parts)
            m = c.answer(c.request(28, None)).value()
            self.assertEqual(sorted(m), list(range(10)))
            self.assertEqual((m[7], m[8], m[9]), (0, [0] * 5, []))


if __name__ == '__main__':
    sys.exit(support.main(__name__))
