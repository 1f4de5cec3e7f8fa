"""cp as one program: a question while bytes come, a rate that all share, and what is logged meanwhile. Files are tests/streams'."""
import json
import os
import select
import shutil
import signal
import subprocess
import termios
import threading
import time

from support import Case, HERE, LIMIT, own_terminal, read_until, terminal

MB = 1000000
BIG = 700000
FILE = """\
econtext: 1
defaults: {ssh: {program: %s}}
secrets: {word: {prompt: "the word"}}
nodes:
  pw-1: {ssh: {password: word}}
  n[1-3]: {local: {}}
"""
GLOB = """\
import logging, sys
logging.getLogger('mine').warning('warned')
logging.getLogger('mine').debug('debugged')
logging.getLogger('mine').error('wrong')
sys.path.remove(%r)
del sys.modules['glob']
from glob import *
"""


class Question(Case):
    """One of several that are fetched at once wants a password."""

    def setUp(self):
        super().setUp()
        self.env.update(FAKE_PW='right word', FAKE_LOG=self.path('answers'), TERM='xterm')
        self.topology(FILE % os.path.join(HERE, 'data', 'fake-ssh'))
        self.write('big', 'x' * BIG)
        self.write('small', 'y')

    def until(self, what):
        end = time.monotonic() + LIMIT
        while not what():
            self.assertLess(time.monotonic(), end, 'it does not come')
            time.sleep(.02)

    def asked(self, *args, **how):
        """The program, once it has asked: (child, our side of its terminal)."""
        ours, theirs = terminal()
        self.addCleanup(os.close, ours)
        child = self.start('cp', *args, preexec_fn=lambda: own_terminal(theirs), **dict({'stderr': theirs}, **how))
        os.close(theirs)
        read_until(ours, b'the word: ')
        return child, ours

    def drained(self, child, ours):
        """All that its terminal shows until it ends; its stdout."""
        shown = []

        def read():
            while True:
                try:
                    more = os.read(ours, 4096)
                except OSError:
                    more = b''
                if not more:
                    return
                shown.append(more)
        reader = threading.Thread(target=read)
        reader.start()
        out = child.communicate(timeout=LIMIT)[0]
        reader.join(LIMIT)
        return b''.join(shown).decode(), out.decode()

    def test_it_is_not_drawn_over(self):
        """The others go on meanwhile."""
        for options in (), ('--json',):
            shutil.rmtree(self.path('to'), True)
            child, ours = self.asked(*options + ('--limit', '400k', 'n1,pw-1:' + self.path('big'), 'to'))
            self.until(lambda: os.path.exists(self.path('to/n1/big')))
            self.assertEqual(select.select([ours], [], [], 0)[0], [], 'something is written over the question')
            os.write(ours, b'right word\n')
            shown, out = self.drained(child, ours)
            self.assertEqual(child.returncode, 0, shown)
            with open(self.path('to/pw-1/big')) as f:
                self.assertEqual(f.read(), 'x' * BIG)
            if options:
                told = [json.loads(line) for line in out.splitlines()]
                self.assertEqual(told[-1]['bytes'], 2 * BIG, out)
            else:
                self.assertIn('MB/s', shown)    # and it is drawn again

    def test_what_must_be_said_stands_above_it(self):
        """A record is no progress: the question is repeated below."""
        os.mkdir(self.path('lib'))
        self.write('lib/glob.py', GLOB % self.path('lib'))
        self.env['PYTHONPATH'] = self.path('lib')
        child, ours = self.asked('-f', '3', 'n1,pw-1:' + self.path('smal*'), 'to')
        shown = read_until(ours, b'wrong\r\nthe word: ')
        self.assertIn(b' W econtext.n1: mine: warned\r\n', shown)
        os.write(ours, b'right word\n')
        shown, _ = self.drained(child, ours)
        self.assertEqual(child.returncode, 0, shown)

    def test_interrupted(self):
        """The terminal is as it was; nobody is asked again, and the others are given up."""
        ours, theirs = terminal()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        was = termios.tcgetattr(theirs)
        for status, what in (130, b'\x03'), (-signal.SIGTERM, None):
            child = self.start('cp', '--limit', '10k', 'n1,pw-1,n2:' + self.path('big'), 'to', stderr=theirs,
                               preexec_fn=lambda: own_terminal(theirs))
            read_until(ours, b'the word: ')
            self.assertFalse(termios.tcgetattr(theirs)[3] & termios.ECHO)
            if what:
                os.write(ours, what)
            else:
                child.send_signal(signal.SIGTERM)
            child.communicate(timeout=LIMIT)
            self.assertEqual(child.returncode, status)
            self.assertEqual(termios.tcgetattr(theirs), was)
            self.assertEqual(os.path.exists(self.path('answers')), False)
            self.assertFalse([x for _, _, v in os.walk(self.path('to')) for x in v])
            while select.select([ours], [], [], 0)[0]:
                self.assertNotIn(b'the word', os.read(ours, 65536))


class Rate(Case):
    def test_it_is_that_of_all_together(self):
        """However many there are: so many bytes take so long at least, but for one piece of them."""
        self.topology()
        self.write('big', 'x' * (2 * MB))
        for fanout in '1', '3':
            began = time.monotonic()
            self.ends(0, 'cp', '-f', fanout, '--limit', '1M', 'n[1-3]:' + self.path('big'), 'to' + fanout)
            self.assertGreater(time.monotonic() - began, 5.8, fanout)


class Ended(Case):
    def test_nobody_is_asked_any_more(self):
        """From several: by what ends all, as by ^C."""
        self.topology('econtext: 1\nnodes:\n  n[1-20]: {local: {}}\n')
        self.write('big', 'x' * (2 * MB))
        for sign in signal.SIGTERM, signal.SIGINT:
            child = self.start('cp', '--json', '-f', '2', '--limit', '20k', 'n[1-20]:' + self.path('big'), 'to-%d' % sign)
            while b'"progress"' not in child.stdout.readline():
                self.assertIsNone(child.poll())
            child.send_signal(sign)
            out, err = child.communicate(timeout=LIMIT)
            self.assertEqual(child.returncode, 130 if sign == signal.SIGINT else -sign, err)
            names = {json.loads(line)['node'] for line in out.splitlines() if b'"event": "result"' in line}
            self.assertLessEqual(len(names), 2, out)
            self.assertLessEqual(len(os.listdir(self.path('to-%d' % sign))), 2)


class Stays(Case):
    """What comes to a folder that allows to create and to write, but not to rename or to delete (chattr(1), +a)."""

    def setUp(self):
        super().setUp()
        self.topology('econtext: 1\nnodes:\n  py: {local: {}, native: never}\n  sh: {local: {}, agent: native, native: always}\n')
        os.mkdir(self.path('d'))
        self.write('d/file', 'x')
        os.symlink('file', self.path('d/link'))
        os.makedirs(self.path('to/d'))
        if subprocess.run(['chattr', '+a', self.path('to/d')], stderr=subprocess.DEVNULL).returncode:
            self.skipTest('this user, or this file system, has no folder that nothing can be deleted in')
        self.addCleanup(subprocess.run, ['chattr', '-a', self.path('to/d')], check=True)

    def test_what_stays_is_named(self):
        """By each of those who write, of a file as of a link; that nothing was left there would be a lie."""
        d, to = self.path('d'), self.path('to')
        for args in ['py:' + d, to], [d, 'py:' + to], [d, 'sh:' + to]:
            before = os.listdir(self.path('to/d'))
            end = self.ends(1, 'cp', '--json', *args)
            left = sorted(self.path('to/d/' + x) for x in os.listdir(self.path('to/d')) if x not in before)
            self.assertEqual(len(left), 2, end)
            errors = [e['error'] for e in end.events() if e.get('error')]
            for x in left:
                of_it = [e for e in errors if x in e.get('saw', '')]
                self.assertTrue(of_it, end)
            self.assertNotIn('nothing of it was left there', end.out + end.err)


class Records(Case):
    """What the far end logs, as with the other commands."""

    def setUp(self):
        super().setUp()
        self.topology('econtext: 1\nnodes:\n  n[1-2]: {local: {}}\n')
        os.mkdir(self.path('lib'))
        self.write('lib/glob.py', GLOB % self.path('lib'))
        self.write('small', 'y')
        self.env['PYTHONPATH'] = self.path('lib')

    def test_they_are_printed(self):
        for option, letters in (None, 'WE'), ('-q', 'E'), ('-v', 'WDE'):
            for node in 'n1', 'n[1-2]':
                end = self.ends(0, 'cp', *[option] * bool(option) + [node + ':' + self.path('smal*'), 'to-' + node])
                for n in ['n1', 'n2'][:1 if node == 'n1' else 2]:
                    mine = [line.split()[1] for line in end.err.splitlines() if ' econtext.%s: mine: ' % n in line]
                    self.assertEqual(''.join(mine), letters, end)

    def test_json(self):
        end = self.ends(0, 'cp', '--json', 'n1:' + self.path('smal*'), 'to')
        told = [e for e in end.events() if e['event'] == 'log']
        self.assertEqual([(e['node'], e['logger'], e['level'], e['text']) for e in told],
                         [('n1', 'mine', 30, 'warned'), ('n1', 'mine', 40, 'wrong')])
        self.assertEqual(end.events()[-1]['event'], 'summary')


del Case
