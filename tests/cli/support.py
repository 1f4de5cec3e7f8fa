"""What the tests of the program share: running it, a terminal for it, places of its own, fifos as events.

Nothing waits by sleeping: a test waits for a line, for the end of a process, or for a fifo that remote code opens. LIMIT is
how long any of them may take before the test has failed, not how long it takes.
"""
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get('ECONTEXT_BUILD', os.path.join(TOP, 'build'))
PROGRAM = os.path.join(BUILD, 'econtext')
LIMIT = 60
HELP = {}  # command -> what Case.help_of has asked

TREE = """\
econtext: 1
nodes:
  top: {local: {}}
  n[1-4]: {via: top, local: {}, groups: [leaves]}
"""


class End:
    """How a run of the program ended."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __str__(self):
        return 'status %d\n--- stdout\n%s--- stderr\n%s' % (self.status, self.out, self.err)

    def events(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def result(self):
        """The one result of --json: progress and log records may stand anywhere beside it."""
        results = [e for e in self.events() if e['event'] == 'result']
        assert len(results) == 1, self.out
        return results[0]


class Case(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.mkdtemp(prefix='econtext-cli-')
        self.addCleanup(shutil.rmtree, self.place, True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('ECONTEXT_')}
        self.env.update(HOME=self.place, TERM='dumb', LC_ALL='C.UTF-8')

    def path(self, name):
        return os.path.join(self.place, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), 'w', encoding='utf-8') as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def fifo(self, name):
        os.mkfifo(self.path(name))
        return self.path(name)

    def topology(self, text=TREE):
        self.env['ECONTEXT_TOPOLOGY'] = self.write('topology.yaml', text)

    def start(self, *args, **how):
        how.setdefault('stdin', subprocess.DEVNULL)
        how.setdefault('stdout', subprocess.PIPE)
        how.setdefault('stderr', subprocess.PIPE)
        child = subprocess.Popen([PROGRAM] + list(args), cwd=self.place, env=self.env, **how)
        self.addCleanup(finish, child)
        return child

    def run_it(self, *args, **how):
        child = self.start(*args, **how)
        out, err = child.communicate(timeout=LIMIT)
        return End(child.returncode, (out or b'').decode('utf-8', 'replace'), (err or b'').decode('utf-8', 'replace'))

    def ends(self, status, *args, **how):
        end = self.run_it(*args, **how)
        self.assertEqual(end.status, status, 'econtext %s\n%s' % (' '.join(args), end))
        return end

    def refused(self, *args, says):
        """A usage error: status 2, nothing on stdout, `says` on stderr."""
        end = self.ends(2, *args)
        self.assertEqual(end.out, '', end)
        self.assertIn(says, end.err)
        return end

    def help_of(self, command):
        """What its --help says; asked once by all of the tests."""
        if command not in HELP:
            HELP[command] = self.ends(0, *command.split(), '--help').out
        return HELP[command]


def finish(child):
    if child.poll() is None:
        child.kill()
        child.wait()
    for f in (child.stdin, child.stdout, child.stderr):
        if f:
            f.close()


def read_until(fd, text, limit=LIMIT):
    """Bytes from fd up to and with `text`; fails when they do not come."""
    got, until = b'', time.monotonic() + limit
    while text not in got:
        left = until - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise AssertionError('no %r within %d s in %r' % (text, limit, got))
        try:
            more = os.read(fd, 4096)
        except OSError:  # the other side of a terminal is gone
            more = b''
        if not more:
            raise AssertionError('ended before %r: %r' % (text, got))
        got += more
    return got


def gone(pid, limit=LIMIT):
    """True once there is no process pid (a zombie is none), waited for with a pidfd where there are any."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], limit)[0])
    finally:
        os.close(fd)


def terminal():
    """A pty: (our side, its side)."""
    ours, theirs = os.openpty()
    return ours, theirs


def own_terminal(fd):
    """For preexec_fn: a session of its own with fd as controlling terminal."""
    import fcntl
    import termios
    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


__all__ = ['BUILD', 'Case', 'End', 'HERE', 'LIMIT', 'PROGRAM', 'TOP', 'TREE', 'gone', 'own_terminal', 'read_until', 'signal',
           'subprocess', 'sys', 'terminal']
