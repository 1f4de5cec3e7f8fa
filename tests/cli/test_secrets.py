"""Secrets: asked once from the terminal, taken from the environment, a descriptor, a file or a command; and refused.

The other side is a played ssh (data/fake-ssh) that asks for a password on its terminal and notes every answer it gets.
"""
import json
import os
import signal
import stat
import threading
import time

from support import Case, HERE, own_terminal, read_until, subprocess, terminal

FILE = """\
econtext: 1
defaults: {ssh: {program: %s}}
secrets: {word: %s}
nodes:
  pw-[1-3]: {ssh: {password: word}}
  open: {}
"""


class Secrets(Case):
    def setUp(self):
        super().setUp()
        self.log = self.write('answers', '')
        self.env.update(FAKE_PW='right word', FAKE_LOG=self.log)

    def declare(self, source):
        self.topology(FILE % (os.path.join(HERE, 'data', 'fake-ssh'), source))

    def answers(self):
        with open(self.log) as f:
            return f.read().splitlines()

    def call(self, status, targets='pw-[1-3]', **how):
        return self.ends(status, 'call', '-b', '-w', targets, 'builtins:len', '[]', **how)

    def test_env(self):
        self.declare('{env: WORD}')
        self.env['WORD'] = 'right word'
        self.assertIn('pw-[1-3] (3)', self.call(0).out)
        self.assertEqual(self.answers(), ['right word'] * 3)

    def test_env_is_not_passed_on(self):
        """A command that gives a secret has none of the variables that hold others."""
        self.declare('{command: [sh, -c, "env >seen; cat pw.txt"]}, other: {env: WORD}')
        self.write('pw.txt', 'right word\n', 0o600)
        self.env['WORD'] = 'a canary'
        self.call(0, 'pw-1')
        with open(self.path('seen')) as f:
            seen = f.read()
        self.assertIn('FAKE_LOG=', seen)
        self.assertNotIn('WORD', seen)

    def test_echo(self):
        """A terminal whose echo was left on says the answer: no error repeats it."""
        program = self.write('asks', '#!/bin/sh\nexec 3<>/dev/tty\nprintf "bob@h password: " >&3\nread x <&3\n'
                             'echo behind it >&3\nexit 255\n', 0o700)
        self.topology(FILE % (program, '{env: WORD}'))
        self.env['WORD'] = 'a canary'
        for how in [], ['--json']:
            end = self.ends(3, 'call', *how, '-w', 'pw-1', 'builtins:len', '[]')
            self.assertIn('behind it', end.out + end.err)
            self.assertNotIn('canary', end.out + end.err)

    def test_wrong(self):
        """Given once; when it is asked for again that is the failure."""
        self.declare('{env: WORD}')
        self.env['WORD'] = 'wrong word'
        end = self.call(4, 'pw-1')
        self.assertIn('REFUSED pw-1\n', end.err)
        self.assertIn('phase    auth', end.err)
        self.assertIn('the password was given once and refused', end.err)
        self.assertNotIn('wrong word', end.err + end.out)
        self.assertEqual([a for a in self.answers() if a.strip() not in ('', 'again')], ['wrong word'])

    def test_env_unset(self):
        self.declare('{env: WORD}')
        end = self.call(4, 'pw-1')
        self.assertIn('WORD', end.err)
        self.assertEqual([a for a in self.answers() if a], [])

    def test_unneeded_is_no_failure(self):
        self.declare('{env: WORD}')
        self.call(0, 'open')

    def test_fd(self):
        self.declare('{fd: 7}')
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        os.write(write, b'right word\nnot this\n')
        os.close(write)

        def at_seven():
            os.dup2(read, 7)
        self.assertIn('pw-[1-3] (3)', self.call(0, preexec_fn=at_seven, close_fds=False).out)
        self.assertEqual(self.answers(), ['right word'] * 3)

    def test_fd_closed(self):
        """The low ones are the program's own by then, some of them pipes that never say anything."""
        for fd in list(range(3, 16)) + [900]:
            self.declare('{fd: %d}' % fd)
            began = time.monotonic()
            self.assertIn('secret word: descriptor %d was not opened for it (%d<FILE)' % (fd, fd), self.call(4, 'pw-1').err)
            self.assertLess(time.monotonic() - began, 20)

    def test_file(self):
        self.declare('{file: pw.txt}')
        self.write('pw.txt', 'right word\n', 0o600)
        self.assertIn('pw-[1-3] (3)', self.call(0).out)

    def test_file_of_all(self):
        self.declare('{file: pw.txt}')
        for mode in (0o640, 0o604, 0o601, 0o620):
            self.write('pw.txt', 'right word\n', mode)
            end = self.call(4, 'pw-1')
            self.assertIn('secret word: %s: it must be yours and mode 0600' % self.path('pw.txt'), end.err, stat.filemode(mode))
        self.assertEqual([a for a in self.answers() if a], [])

    def test_file_missing(self):
        self.declare('{file: none.txt}')
        self.assertIn('secret word: %s: No such file' % self.path('none.txt'), self.call(4, 'pw-1').err)

    def test_command(self):
        self.declare('{command: [sh, -c, "echo right word"]}')
        self.assertIn('pw-[1-3] (3)', self.call(0).out)
        self.declare('{command: [sh, -c, "exit 3"]}')
        self.assertIn('secret word: sh: the command failed, exit status 3"', self.call(4, 'pw-1').err)
        self.declare('{command: [sh, -c, "echo first >&2; echo it is locked >&2; kill -9 $$"]}')
        self.assertIn('secret word: sh: the command failed, ended by signal 9: it is locked"', self.call(4, 'pw-1').err)
        self.declare('{command: [no-such-program]}')
        self.assertIn('secret word: no-such-program: No such file', self.call(4, 'pw-1').err)

    def test_command_with_sigchld_ignored(self):
        """As exec(2) hands it on: how the command ends is seen all the same."""
        how = {'preexec_fn': lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)}
        self.declare('{command: [sh, -c, "echo wrong word; exit 3"]}')
        self.assertIn('secret word: sh: the command failed, exit status 3"', self.call(4, 'pw-1', **how).err)
        self.declare('{command: [sh, -c, "echo right word"]}')
        self.assertIn('pw-[1-3] (3)', self.call(0, **how).out)

    def test_empty(self):
        """None that is given: an account may be locked after a few wrong ones, on every host that asks."""
        self.write('pw.txt', '\nsecond\n', 0o600)
        self.env['WORD'] = '\nsecond'
        for source in '{env: WORD}', '{file: pw.txt}', '{command: [true]}':
            self.declare(source)
            self.assertIn('"secret word: it is empty"', self.call(4, 'pw-1').err)
        self.assertEqual(self.answers(), [])

    def test_first_line(self):
        """The rest of it would be typed to whatever runs behind the prompt."""
        self.write('pw.txt', 'right word\nsecond\n', 0o600)
        self.env['WORD'] = 'right word\nsecond'
        for source in '{env: WORD}', '{file: pw.txt}', '{command: [cat, pw.txt]}':
            self.declare(source)
            end = self.call(0, 'pw-1')
            self.assertNotIn('second', end.out + end.err)
        self.assertEqual(self.answers(), ['right word'] * 3)

    def test_longest(self):
        """1,023 bytes, wherever they come from; one more is refused before anything is answered."""
        word = 'w' * 1023
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)

        def at_seven():
            os.dup2(read, 7)
        for more in '', 'w':
            for source, how in ('{env: WORD}', {}), ('{file: pw.txt}', {}), ('{command: [cat, pw.txt]}', {}), \
                    ('{fd: 7}', dict(preexec_fn=at_seven, close_fds=False)):
                self.declare(source)
                self.env['WORD'] = self.env['FAKE_PW'] = word + more
                self.write('pw.txt', word + more + '\n', 0o600)
                if how:
                    os.write(write, (word + more + '\n').encode())
                end = self.call(4 if more else 0, 'pw-1', **how)
                if more:
                    self.assertIn('secret word: ', end.err, source)
        self.assertEqual([a for a in self.answers() if a], [word] * 4)

    def test_no_terminal(self):
        self.declare('{prompt: "the word"}')
        end = self.call(4, 'pw-1', start_new_session=True)
        self.assertIn('econtext: no terminal to ask for "the word" on', end.err)


class Prompts(Secrets):
    """The same place, with a terminal. The tests of Secrets are not run again."""

    for name in [n for n in dir(Secrets) if n.startswith('test_')]:
        locals()[name] = None

    def ask(self, typed, *args, command='call'):
        """Runs with a terminal, types `typed` when asked; (End's status, stdout, all the terminal showed)."""
        ours, theirs = terminal()
        self.addCleanup(os.close, ours)
        child = self.start(command, *args, stderr=theirs, preexec_fn=lambda: own_terminal(theirs))
        os.close(theirs)
        shown = read_until(ours, b'the word: ')
        if typed:
            os.write(ours, typed)
        rest = []

        def drain():
            try:
                while True:
                    more = os.read(ours, 4096)
                    if not more:
                        return
                    rest.append(more)
            except OSError:
                return
        reader = threading.Thread(target=drain)
        reader.start()
        out = child.communicate(timeout=60)[0].decode()
        reader.join(60)
        return child.returncode, out, (shown + b''.join(rest)).decode()

    def test_asked_once_for_all(self):
        self.declare('{prompt: "the word"}')
        status, out, shown = self.ask(b'right word\n', '-b', '-w', 'pw-[1-3]', 'builtins:len', '[]')
        self.assertEqual(status, 0, shown)
        self.assertIn('pw-[1-3] (3)', out)
        self.assertEqual(shown.count('the word: '), 1, shown)
        self.assertNotIn('right', shown)  # no echo
        self.assertEqual(self.answers(), ['right word'] * 3)

    def test_longest(self):
        self.declare('{prompt: "the word"}')
        self.env['FAKE_PW'] = 'w' * 1023
        self.assertEqual(self.ask(b'w' * 1023 + b'\n', '-w', 'pw-1', 'builtins:len', '[]')[0], 0)
        self.assertEqual(self.ask(b'w' * 1024 + b'\n', '-w', 'pw-1', 'builtins:len', '[]')[0], 4)
        self.assertEqual([a for a in self.answers() if a], ['w' * 1023])

    def test_empty(self):
        self.declare('{prompt: "the word"}')
        status, out, shown = self.ask(b'\n', '-w', 'pw-1', 'builtins:len', '[]')
        self.assertEqual(status, 4, shown)
        self.assertIn('"secret word: it is empty"', shown)
        self.assertEqual(self.answers(), [])

    def test_interrupted(self):
        self.declare('{prompt: "the word"}')
        status, out, shown = self.ask(b'\x03', '-b', '-w', 'pw-[1-3]', 'builtins:len', '[]')
        self.assertEqual(status, 130, shown)
        self.assertEqual(self.answers(), [])    # nothing was dialled that would have asked
        self.assertIn('econtext: interrupted: 0 done, 0 running, 3 not started\r\n', shown)
        self.assertNotIn('INTERRUPTED', shown)

    def test_interrupted_json(self):
        """Nothing is unknown of those for which nothing was dialled: they were not started."""
        self.declare('{prompt: "the word"}')
        self.write('file', 'its text')
        for command, args in ('call', ['-w', 'pw-[1-3]', 'builtins:len', '[]']), \
                ('call', ['-t', '60', '-f', '1', '-w', 'pw-[1-3]', 'builtins:len', '[]']), \
                ('cp', ['file', 'pw-[1-3]:/nowhere/']), ('cp', ['-f', '2', 'pw-[1-3]:/nowhere', 'here']):
            status, out, shown = self.ask(b'\x03', '--json', *args, command=command)
            events = [json.loads(line) for line in out.splitlines()]
            self.assertEqual((status, [e['event'] for e in events]), (130, ['summary']), out)
            self.assertEqual((events[0]['not_started'], events[0]['failed'], events[0].get('unknown', 0)), (3, 0, 0), out)
        self.assertEqual(self.answers(), [])

    def test_interrupted_while_a_command_runs(self):
        self.declare('{command: [sh, -c, "echo >asked; exec sleep 100"]}')
        for number in signal.SIGINT, signal.SIGTERM:
            child = self.start('call', '-w', 'pw-[1-3]', 'builtins:len', '[]')
            while not os.path.exists(self.path('asked')):
                self.assertIsNone(child.poll())
                time.sleep(.02)
            os.unlink(self.path('asked'))
            child.send_signal(number)
            self.assertIn(child.wait(25), (130, -number))
        self.assertEqual(self.answers(), [])

    def test_wrong_is_not_asked_again(self):
        self.declare('{prompt: "the word"}')
        status, out, shown = self.ask(b'wrong\n', '-w', 'pw-1', 'builtins:len', '[]')
        self.assertEqual(status, 4, shown)
        self.assertEqual(shown.count('the word: '), 1, shown)


del Case  # else unittest would run it
