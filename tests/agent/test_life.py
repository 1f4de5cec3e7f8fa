#!/usr/bin/env python3
"""Title, watcher, what it keeps, and the end of the Python agent: whatever ends it ends what it started, soon (2 s, and what a busy machine adds)."""
import os
import signal
import sys
import time

import driver
import support

M = '''
import os, sys, time, threading
def spawn():
    os.system('sleep 1000 & echo $!; sh -c "sleep 1001 & echo \\\\$!; wait" & echo $!')
def hang():
    while 1:
        pass
def hold():
    import re
    re.match('(a+)+$', 'a' * 60 + 'b')
def sleep():
    time.sleep(1000)
def leave(status):
    os._exit(status)
def fault(n):
    os.kill(os.getpid(), n)
    time.sleep(10)
def fork():
    pid = os.fork()
    if not pid:
        time.sleep(1000)
    return pid
'''


class Life(support.Case):
    def boot(self, **kw):
        c = support.Case.boot(self, **kw)
        c.serve('m', M)
        self.agent = c.hello.value()[4]
        return c

    def start(self, c):
        """Processes of every kind that a context may leave behind."""
        c.call('m', 'spawn')
        self.until('all say who they are', lambda: c.pump(.1) or c.text('stdout').count('\n') == 3, 30)
        pids = [int(x) for x in c.text('stdout').split()]
        self.assertEqual(len(pids), 3)
        pids += [c.call('m', 'fork')[1], self.agent]
        for pid in pids:
            self.assertTrue(support.alive(pid))
        return pids

    def all_end(self, c, pids):
        self.until('the end of what was started', lambda: not [p for p in pids + [c.proc.pid] if support.alive(p)], 10)

    def test_python_that_warns(self):
        """What Python imports to warn of something is not asked for before HELLO, and not of the parent."""
        for name, value in ('PYTHONDEVMODE', '1'), ('PYTHONWARNINGS', 'default'):
            c = self.boot(env=dict(os.environ, **{name: value}))
            self.assertEqual((c.hello.handle, c.call('m', 'spawn')[0]), (1, 0), name)

    def test_no_stderr_at_login(self):
        c = self.boot(login='exec 2>&-;')
        self.assertEqual(c.call('m', 'spawn')[0], 0)

    def test_title(self):
        c = self.boot(title='econtext:me@here:77')
        for pid in self.agent, c.proc.pid, c.call('m', 'fork')[1]:
            self.assertEqual(support.title(pid), 'econtext:me@here:77')
        self.assertNotEqual(self.agent, c.proc.pid)
        c = self.boot(title='x' * 100)          # as long as any (mesh/hello.c)
        self.assertEqual(support.title(self.agent), 'x' * 100)
        self.assertEqual(support.title(c.proc.pid), 'x' * 100)

    def test_quiet_start(self):
        """No warning on the real stderr, fork and threads notwithstanding, and nothing else but how the agent ended."""
        c = self.boot()
        c.call('os', 'getpid')
        os.kill(self.agent, signal.SIGKILL)
        self.assertEqual(c.proc.stderr.read(), b'status 9\n')
        self.assertEqual(c.logs, [])

    def test_eof(self):
        c = self.boot()
        pids = self.start(c)
        c.proc.stdin.close()
        self.all_end(c, pids)

    def test_eof_while_it_hangs(self):
        for what in 'hang', 'sleep':
            c = self.boot()
            pids = self.start(c)
            c.request(25, ['m', what, [], {}])
            self.assertTrue(c.answer(c.request(7, 'echo')).value() == 'echo')
            c.proc.stdin.close()
            self.all_end(c, pids)

    def test_eof_while_it_holds_the_interpreter(self):
        """Called code that lets no other thread run: the watcher sees the end of the parent."""
        c = self.boot()
        pids = self.start(c)
        c.request(25, ['m', 'hold', [], {}])

        def held():
            try:
                c.answer(c.request(7, 'echo'), 1)
            except TimeoutError:
                return True
        self.until('that nothing is answered', held)
        c.proc.stdin.close()
        self.all_end(c, pids)

    def test_shutdown(self):
        c = self.boot()
        pids = self.start(c)
        c.send(driver.CONTROL, 8, 0, None)
        self.all_end(c, pids)

    def test_kill_agent(self):
        """kill -9: the watcher ends the rest, and the parent sees the end at once."""
        c = self.boot()
        pids = self.start(c)
        os.kill(self.agent, signal.SIGKILL)
        self.assertRaises(EOFError, c.link.frame, 30)
        self.all_end(c, pids)

    def test_how_it_ended(self):
        """Called code that ends its process: the watcher says on the real stderr how, and ends the rest all the same."""
        for what, arg, status in ('leave', 3, 768), ('leave', 0, 0), ('fault', 9, 9), ('fault', 11, 11), ('fault', 15, 15):
            c = self.boot()
            pids = self.start(c)
            c.request(25, ['m', what, [arg], {}])
            self.assertRaises(EOFError, c.link.frame, 30)
            said = c.proc.stderr.read().decode()    # to its end: nobody holds it any more
            self.assertEqual(int(said[len('status '):]) & ~128, status, said)     # 128: there is a core
            self.assertEqual(said[:7], 'status ')
            self.all_end(c, pids)

    def test_nobody_hears_how_it_ended(self):
        """With no one at the other end of stderr, and with no stderr at all."""
        for closed in True, False:
            c = self.boot(login=closed and 'exec 2>&-; ' or '')
            pids = self.start(c)
            c.proc.stderr.close()
            c.request(25, ['m', 'leave', [3], {}])
            self.assertRaises(EOFError, c.link.frame, 30)
            self.all_end(c, pids)

    def test_silence(self):
        c = self.boot(idle=2000)
        pids = self.start(c)
        for i in range(5):                      # any byte is life
            time.sleep(.5)
            c.send(driver.CONTROL, 2, 0, i)
        self.assertTrue(support.alive(self.agent))
        began = time.monotonic()
        self.all_end(c, pids)
        self.assertGreater(time.monotonic() - began, .3)

    def test_parent_that_takes_nothing(self):
        c = self.boot(idle=2000)
        pids = self.start(c)
        for i in range(200):                    # answers that nobody reads fill the pipe
            try:
                c.request(7, b'x' * 60000)
            except BrokenPipeError:             # it has ended, as it should
                break
            time.sleep(.02)
        self.all_end(c, pids)

    def test_bad_frames(self):
        """What breaks the link's rules ends the context (docs/protocol.md section 1)."""
        good = driver.frame(0, 8, 2, 0, driver.enc(1))
        for bad in (b'\xed' + good[1:], good[:1] + b'\2' + good[2:], good[:2] + b'\3' + good[3:], good[:2] + b'\x40' + good[3:],
                    good[:24] + b'\0\1\0\1' + good[28:], driver.frame(0, 8, 2, 0, b'\xff'), driver.frame(0, 8, 4, 0, driver.enc(1))):
            c = self.boot()
            c.link.write(bad)
            self.assertRaises(EOFError, lambda: [c.link.frame() for i in range(9)])

    def test_routes_kept(self):
        """A relay keeps what it found out about 4,096 destinations and its parent; then it begins anew."""
        c = self.boot(size=16384)
        c.part('relay')
        c.serve('m', 'import sys\ndef largest():\n    return max([len(o) for o in vars(sys.modules["econtext"]).values() if isinstance(o, dict)])\n')
        few = c.call('m', 'largest')[1]
        self.assertLess(few, 200)
        c.link.write(b''.join(driver.frame(driver.CALL, c.me + 1 + i, 5000, 0, b'') for i in range(4096)))
        self.assertEqual(c.call('m', 'largest'), [0, 4097])
        c.send(driver.CALL, 5000, 0, b'', dst=c.me + 1 + 4096, raw=True)
        self.assertEqual(c.call('m', 'largest'), [0, few])

    def test_hello_first(self):
        """Another first frame, or the end of input at any place of the boot, ends it with nothing said."""
        for data in driver.frame(0, 8, 2, 0, driver.enc(1)), b'\xed' * 28, b'\xec\1', b'':
            c = driver.Context.__new__(driver.Context)
            self.addCleanup(self.end, c)
            c.start(self.python)
            c.marker()
            c.link.write(driver.made()[0] + data)
            c.proc.stdin.close()
            self.assertEqual(c.proc.stdout.read(), b'')
            self.assertNotEqual(c.proc.wait(10), 0)


if __name__ == '__main__':
    sys.exit(support.main(__name__))
