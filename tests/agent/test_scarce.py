#!/usr/bin/env python3
"""The Python agent where no thread or no process is to be had (the limit of processes, a policy of the host): what was asked for fails
by that and by nothing else, no command has run that is said not to have, and what is asked for later is done."""
import errno
import os
import sys

import driver
import support
from net import Far, Net

NO_THREAD = "can't start new thread"

# Called code by which what is to be refused is.
M = r'''
import os
try:
    import _thread as thread
except ImportError:
    import thread
start, fork, me = thread.start_new_thread, os.fork, os.getpid()
def threads(*nth):
    """Those that are asked for in these turns from now on."""
    count = []
    def begin(*args):
        count.append(1)
        if len(count) in nth:
            raise thread.error("can't start new thread")
        return start(*args)
    thread.start_new_thread = begin
def second():
    """The forks of a fork."""
    def again():
        if os.getpid() != me:
            raise OSError(11, os.strerror(11))
        return fork()
    os.fork = again
def usual():
    thread.start_new_thread, os.fork = start, fork
def no_waitid():
    def waitid(*args):
        raise OSError(1, os.strerror(1))
    if hasattr(os, 'waitid'):
        os.waitid = waitid
def reads(x):
    return x.recv()
'''
# In front of the agent's own line: the first two threads cannot be had.
BEFORE = '''def refuse():
 try: import _thread as thread
 except ImportError: import thread
 start, left = thread.start_new_thread, [1, 1]
 def begin(*args):
  if left: left.pop()
  else: return start(*args)
  raise thread.error("can't start new thread")
 thread.start_new_thread = begin
refuse()'''


class Scarce(support.Case):
    def ready(self, *parts):
        c = self.boot()
        for name in parts:
            c.part(name)
        c.serve('m', M)
        return c

    def refuse(self, c, what, *args):
        self.assertEqual(c.call('m', what, *args), [0, None])

    def test_first_call(self):
        """It takes the agent's second thread. The call fails, not the context; the next one tries again."""
        path = os.path.join(self.folder(), 'before')
        with open(path, 'w') as f:
            f.write('#!/bin/sh\nexec "$1" -c "%s\n$3"\n' % BEFORE.replace('"', '\\"'))
        os.chmod(path, 0o755)
        c = self.boot(before=path)
        for i in range(2):
            answer = c.call('os', 'getpid')
            self.assertEqual((answer[0], answer[2]), (1, NO_THREAD))
        self.assertEqual(c.call('os', 'getpid'), [0, c.hello.value()[4]])

    # ---- commands ----

    def command(self, c, *argv, **more):
        """(its answer, what it said on stdout)"""
        m = {0: list(argv), 3: 5001, 4: 5002}
        if more.get('input'):
            m[6] = True
        slot, said, ends, answer = c.request(27, m), b'', set(), None
        while not answer or not answer[0] and len(ends) < 2:
            f = c.link.frame()
            if f.handle == slot:
                answer = f.value()
                if f.kind & driver.DEAD:
                    return answer, said
            elif f.handle in (5001, 5002):
                said += f.handle == 5001 and f.body or b''
                if f.kind & driver.END:
                    ends.add(f.handle)
            c.handle(f)
        return answer, bytes(said)

    def test_no_thread_for_a_command(self):
        """Its own, that for its stderr, that for its input: it is not begun. (The threads are asked for in this order.)"""
        c = self.ready('exec')
        place = os.path.join(self.folder(), 'it-ran')
        for which in 1, 2, 3:
            self.refuse(c, 'threads', which)
            answer, said = self.command(c, 'mkdir', place, input=True)
            self.assertEqual((answer, os.path.exists(place)), ([1, 'mkdir: ' + NO_THREAD, errno.EAGAIN], False))
        self.refuse(c, 'usual')
        self.assertEqual(self.command(c, 'sh', '-c', 'echo out; echo err >&2; exit 3'), ([0, 3, 0], b'out\n'))

    def test_no_process_for_the_watcher(self):
        """The first command's watcher is forked twice: where the second time fails, the command does, and the next one tries again."""
        c = self.ready('exec')
        self.refuse(c, 'second')
        for i in range(2):
            self.assertEqual(self.command(c, 'echo', 'a')[0], [1, 'echo: ' + os.strerror(errno.EAGAIN), errno.EAGAIN])
        self.refuse(c, 'usual')
        self.assertEqual(self.command(c, 'echo', 'a'), ([0, 0, 0], b'a\n'))

    def test_no_waitid(self):
        """A policy may refuse it and let pass what is older."""
        c = self.ready('exec')
        self.refuse(c, 'no_waitid')
        self.assertEqual(self.command(c, 'sh', '-c', 'exit 3')[0], [0, 3, 0])
        self.assertEqual(self.command(c, 'sh', '-c', 'kill -9 $$')[0], [0, 0, 9])

    # ---- streams ----

    def test_no_thread_for_a_stream(self):
        """The mover, or the one that opens: it is said, nothing waits, and the next one has both."""
        c = self.ready('stream')
        place = os.path.join(self.folder(), 's')
        n = Net(c)
        for which in 1, 2:
            self.refuse(c, 'threads', which)
            f = n.answer(c.request(29, ['listen', [place], 6000]))
            self.assertEqual((f.kind & driver.DEAD, f.value(), os.path.exists(place)), (0, [1, NO_THREAD, errno.EAGAIN], False))
        self.refuse(c, 'usual')
        f = n.answer(c.request(29, ['listen', [place], 6000]))
        self.assertEqual(f.value()[0], 0)

    def test_no_thread_for_a_channel(self):
        """The mover, or the one that tells the asker its handle: the call fails by that, as by an exception, before it has begun."""
        c = self.ready('stream')
        self.refuse(c, 'usual')
        n = Net(c)
        for which in 1, 2:
            self.refuse(c, 'threads', which)
            x = Far(n, n.handle())
            f = n.answer(c.request(25, ['m', 'reads', [None], {}, [[0, x.handle, 0]]]))
            self.assertFalse(f.kind & driver.DEAD, f)
            self.assertEqual((f.value()[0], f.value()[2]), (1, '[Errno %d] %s' % (errno.EAGAIN, NO_THREAD)))
        self.refuse(c, 'usual')
        x = Far(n, n.handle())
        slot = c.request(25, ['m', 'reads', [None], {}, [[0, x.handle, 0]]])
        n.until(lambda: x.near)
        s = driver.enc('a value')
        x.send(len(s).to_bytes(4, 'big') + s)
        self.assertEqual(n.answer(slot).value(), [0, 'a value'])


if __name__ == '__main__':
    sys.exit(support.main(__name__))
