"""Places whose program is hurried, and far ends that do not answer, for as long as a test likes."""
import contextlib
import os
import shutil
import signal
import time

import support
from support import expect, until

SLACK = 5.5     # seconds that a busy machine may take for all but the waiting; or as long as the waiting but for a tenth, so that twice is noticed
# Only what is tried is given up.
PATIENT = 'timeout: {connect: 10m, auth: 10m, become: 10m, shell: 10m, boot: 10m, idle: 10m}'
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
# One that has this does not even come to know econtext_files, which needs it, until then.
STUCK = '''\
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
open(os.path.join(HERE, 'waits-%d' % os.getpid()), 'w').close()
while not os.path.exists(os.path.join(HERE, 'go')):
    time.sleep(0.02)
sys.path.remove(HERE)
del sys.modules['hashlib']
import hashlib
'''


def threads(pid):
    """The states of a process's threads, as ps(1) has them."""
    for task in os.listdir('/proc/%d/task' % pid):
        with contextlib.suppress(OSError), open('/proc/%d/task/%s/stat' % (pid, task)) as f:
            yield f.read().rpartition(')')[2].split()[0]


class Place(support.Place):
    def __init__(self, build, agent='python'):
        support.Place.__init__(self, build, agent)
        self.build = build
        self.hurry(10)
        self.stopped = []
        self.more = []

    def hurry(self, factor):
        """How fast the program's clock is; 1: it is the program that everybody has."""
        self.factor = factor
        self.program = os.path.join(self.build, 'econtext_hurried' if factor > 1 else 'econtext')
        self.env['HURRY'] = str(factor)

    def of_kind(self, agent):
        """Another, which ends with this one."""
        self.more.append(Place(self.build, agent))
        return self.more[-1]

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

    def stuck(self):
        """The same, where they would import econtext_files."""
        self.write('busy/hashlib.py', STUCK)
        self.env['PYTHONPATH'] = self.path('busy')

    def gate(self):
        """What a shell waits with for open_gate(), without a process each time it would look."""
        os.mkfifo(self.path('gate'))
        return 'read -r _ <%s' % self.path('gate')

    def open_gate(self):
        expect(until(self.opened), 'nobody waits at the gate')
        os.unlink(self.path('gate'))

    def opened(self):
        with contextlib.suppress(OSError):      # nobody reads it yet
            fd = os.open(self.path('gate'), os.O_WRONLY | os.O_NONBLOCK)
            os.write(fd, b'\n')
            os.close(fd)
            return True

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
        return self.python('unspoiled', 'unset PYTHONPATH')

    def python(self, name, *lines):
        """A Python that does this first; its number is in NAME.pid, and what it starts has NAME as WHO."""
        return self.write('bin/' + name, '#!/bin/sh\nexport WHO=%s\necho $$ >%s.pid\n%s\nexec %s "$@"\n' % (
            name, self.path(name), '\n'.join(lines), shutil.which('python3')), 0o755)

    def pid(self, name):
        """Of the Python that began last, once it is written."""
        def number():
            with open(self.path(name + '.pid')) as f:
                return int(f.read() or 0)
        found = until(number)
        expect(found, 'there is no number of', name)
        return found

    def await_file(self, name):
        expect(until(lambda: os.path.exists(self.path(name))), 'there is no', name)

    def stop(self, pid):
        """All of its threads: the first that runs tells the others. (Who was ending is nobody's to wait for, if its parent is stopped.)"""
        os.kill(pid, signal.SIGSTOP)
        self.stopped.append(pid)
        expect(until(lambda: not set(threads(pid)) - {'T', 'Z', 'X'}), pid, *threads(pid))

    def stop_python(self, name):
        number = self.pid(name)
        for pid in [number] + support.below(number):
            try:
                self.stop(pid)
            except (ProcessLookupError, FileNotFoundError):
                pass    # it had ended

    def go_on(self):
        for pid in self.stopped:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.stopped = []

    def gives_up(self, program, limit):
        """Its status, once it has ended by a limit that began since the program did, and no later than now."""
        seen = time.monotonic()
        status = program.wait()
        self.in_time(program.began, limit, status, program.said(), seen=seen)
        return status

    def in_time(self, began, limit, *saw, seen=None, least=0.8):
        now = time.monotonic()
        took, after = ((now - x) * self.factor for x in (began, seen or began))
        expect(limit * least <= took and after <= max(limit * 1.9, limit + SLACK * self.factor),
               'took %.1f s, %.1f of them since it was seen to wait, and the limit is %d s:' % (took, after, limit), *saw)

    def remove(self):
        for place in self.more:
            place.remove()
        self.go_on()
        support.Place.remove(self)


__all__ = ['PATIENT', 'Place', 'expect', 'until']
