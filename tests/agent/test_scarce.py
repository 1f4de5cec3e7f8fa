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
try:
    import _thread as thread
except ImportError:
    import thread
start = thread.start_new_thread
def threads(*nth):
    """Those that are asked for in these turns from now on."""
    count = []
    def begin(*args):
        count.append(1)
        if len(count) in nth:
            raise thread.error("can't start new thread")
        return start(*args)
    thread.start_new_thread = begin
def usual():
    thread.start_new_thread = start
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
