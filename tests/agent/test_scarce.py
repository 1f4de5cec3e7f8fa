#!/usr/bin/env python3
"""The Python agent where no thread or no process is to be had (the limit of processes, a policy of the host): what was asked for fails
by that and by nothing else, no command has run that is said not to have, and what is asked for later is done."""
import os
import sys

import support

NO_THREAD = "can't start new thread"

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


if __name__ == '__main__':
    sys.exit(support.main(__name__))
