"""Places whose program is hurried, and far ends that do not answer, for as long as a test likes."""
import os
import shutil
import signal
import time

import support
from support import expect, until

HURRY = 10
SLACK = 4     # seconds that a busy machine may take for all but the waiting
# A Python that has this for its hashlib reads no further once it is told to call WORD of econtext_files, until there is a file `go`.
CALL = 25
BUSY = '''\
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Table(dict):
    """The agent's, of what it does with frames, by handle."""
    def __getitem__(self, handle):
        act = dict.__getitem__(self, handle)
        return handle == %(call)d and (lambda *frame: wait(frame) or act(*frame)) or act


def wait(frame):
    if any(isinstance(x, bytes) and b'econtext_files' in x and b'%(word)s' in x for x in frame):
        open(os.path.join(HERE, 'waits-%%d' %% os.getpid()), 'w').close()
        while not os.path.exists(os.path.join(HERE, 'go')):
            time.sleep(0.02)


frame = sys._getframe()
while frame:
    for name, x in list(frame.f_globals.items()):
        if type(x) is dict and callable(x.get(%(call)d)):
            frame.f_globals[name] = Table(x)
    frame = frame.f_back
sys.path.remove(HERE)
del sys.modules['hashlib']
import hashlib
'''


class Place(support.Place):
    def __init__(self, build):
        support.Place.__init__(self, build, 'python')
        self.program = os.path.join(build, 'econtext_hurried')
        self.env['HURRY'] = str(HURRY)
        self.stopped = []

    def topology(self, text):
        with open(self.path('topology.yaml'), 'w') as f:
            f.write('econtext: 1\n' + text)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def busy(self, word):
        """Contexts' Pythons will wait for go() where they would do this word of econtext_files."""
        self.write('busy/hashlib.py', BUSY % {'word': word, 'call': CALL})
        self.env['PYTHONPATH'] = self.path('busy')

    def waiting(self):
        return [x for x in os.listdir(self.path('busy')) if x.startswith('waits-')]

    def go(self):
        self.write('busy/go', '')

    def again(self, *names):
        for name in self.waiting() + ['go']:
            os.unlink(self.path('busy/' + name))
        for name in names:
            os.unlink(self.path(name))

    def unspoiled(self):
        """A Python for those that are not to be busy."""
        return self.write('bin/python', '#!/bin/sh\nunset PYTHONPATH\nexec %s "$@"\n' % shutil.which('python3'), 0o755)

    def stop(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.stopped.append(pid)

    def remove(self):
        for pid in self.stopped:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        support.Place.remove(self)


class Clock:
    """How long a thing took, in the program's seconds."""

    def __init__(self):
        self.began = time.monotonic()

    def passed(self):
        return (time.monotonic() - self.began) * HURRY

    def expect(self, limit, *saw):
        """It ended by its limit; where it began is not known better than that."""
        took = self.passed()
        expect(limit * 0.8 <= took <= limit + SLACK * HURRY, 'took %.1f s, and the limit is %d s:' % (took, limit), *saw)


__all__ = ['Place', 'Clock', 'HURRY', 'expect', 'shutil', 'until']
