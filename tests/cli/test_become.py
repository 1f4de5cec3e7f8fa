"""Become steps on this machine: sudo and su, which root may do without a password; each step is a context of its own."""
import contextlib
import os
import re
import shutil
import socket
import subprocess

from support import Case, HERE, read_until

CHAIN = """\
econtext: 1
nodes:
  here: {local: {}, become: [{as: %(user)s, method: %(method)s}]}
  below: {via: 'here:%(user)s', local: {}}
"""


class Become(Case):
    def setUp(self):
        super().setUp()
        if os.getuid() != 0:
            self.skipTest('not root')

    def chain(self, method, user):
        """The step itself, a context started by it, and the host it stands on."""
        self.topology(CHAIN % {'method': method, 'user': user})
        end = self.ends(0, 'exec', '-b', '-w', 'here:%s,below,here' % user, '--', 'id', '-un')
        self.assertEqual(end.out, '---------------\nbelow,here:%s (2)\n---------------\n%s\n---------------\nhere\n---------------\nroot\n'
                         % (user, user))

    def test_sudo(self):
        if not shutil.which('sudo') or subprocess.call(['sudo', '-n', '-u', 'nobody', 'true'], stderr=subprocess.DEVNULL):
            self.skipTest('no sudo here that root may use')
        self.chain('sudo', 'nobody')

    def test_su(self):
        with open('/etc/passwd') as f:
            shells = {row.split(':')[0]: row.strip().split(':')[6] for row in f if row.count(':') == 6}
        users = [u for u in sorted(shells) if u != 'root' and os.path.basename(shells[u]) in ('sh', 'bash', 'dash')]
        if not shutil.which('su') or not users:
            self.skipTest('no su, or no other user with a shell')
        self.chain('su', users[0])

    def test_no_such_user(self):
        if not shutil.which('sudo'):
            self.skipTest('no sudo here')
        self.topology(CHAIN % {'method': 'sudo', 'user': 'no-such-user'})
        end = self.ends(4, 'exec', '-w', 'here:no-such-user,here', '--', 'true')
        self.assertIn('REFUSED here:no-such-user\n  at hop   here > here:no-such-user\n  phase    become', end.err)


class Played(Case):
    """A sudo that wants a password (data/fake-sudo), found on PATH, and a su (data/fake-su)."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path('bin'))
        for name in 'sudo', 'su':
            shutil.copy(os.path.join(HERE, 'data', 'fake-' + name), self.path('bin/' + name))
        self.log = self.write('answers', '')
        self.env.update(PATH=self.path('bin') + ':' + os.environ['PATH'], FAKE_PW='right', FAKE_LOG=self.log)
        self.topology('econtext: 1\nsecrets: {w: {env: WORD}}\n'
                      'nodes: {a: {local: {}, become: [{as: root, method: sudo, password: w}]}}\n')

    def answers(self):
        with open(self.log) as f:
            return f.read().splitlines()

    def test_first_line(self):
        """The rest would be what the user whom one becomes is told to run."""
        self.env['WORD'] = 'right\nhunter2'
        end = self.ends(0, 'call', '-b', '-w', 'a:root', 'builtins:len', '[]')
        self.assertNotIn('hunter2', end.out + end.err)
        self.assertEqual(self.answers(), ['right'])

    def su(self, word):
        """The su of busybox has no other place to ask than its stdout."""
        self.topology('econtext: 1\nsecrets: {w: {env: WORD}}\n'
                      'nodes: {a: {local: {}, become: [{as: root, method: su, password: w}]}}\n')
        self.env['WORD'] = word

    def test_asked_on_stdout(self):
        self.su('right')
        end = self.ends(0, 'call', '-b', '-w', 'a:root', 'builtins:len', '[]')
        self.assertEqual((end.out.splitlines()[-1], self.answers()), ('0', ['right']))

    def test_asked_on_stdout_wrong(self):
        self.su('wrong')
        end = self.ends(4, 'call', '-w', 'a:root', 'builtins:len', '[]')
        self.assertIn('su: incorrect password', end.err)
        self.assertEqual(self.answers(), ['wrong'])

    def test_said_back(self):
        """On a terminal the echo is kept nowhere (test_secrets.py); on pipes a tool may say it in any of its words."""
        for word, shown in ('a canary', '***'), ('w' * 900 + 'canary', '***'), ('sud', 'sud'):
            self.env['WORD'] = word
            for tool in 'sudo', 'su':
                self.topology('econtext: 1\nsecrets: {w: {env: WORD}}\nnodes: {a: {local: {}, become: [{as: root, method: %s, password: w}]}}\n' % tool)
                for words in '%s: no %%s here' % tool, '%s: Authentication failed, %%s' % tool:
                    self.write('bin/' + tool, '#!/bin/sh\nfor p; do [ "$last" = -p ] && break; last=$p; done\n'
                               '[ ${0##*/} = su ] && p=Password:\nprintf %%s "$p" >&2; read -r x\necho "%s" >&2; exit 1\n' % (words % '$x'), 0o700)
                    for how in ([], ['--json'])[:2 if word == 'a canary' else 1]:
                        end = self.run_it('call', *how, '-w', 'a:root', 'builtins:len', '[]')
                        self.assertNotIn('canary', end.out + end.err)
                        self.assertIn(words % shown, end.out + end.err)
                        self.assertNotIn(end.status, (0, 7), end)

    def test_wrong_is_given_once(self):
        """However often a tunnel dials: an account may be locked after a few."""
        self.env['WORD'] = 'wrong'
        child = self.start('tunnel', '-L', '127.0.0.1:0:127.0.0.1:1', '--exit', 'a:root')
        said = read_until(child.stderr.fileno(), b'\n')
        port = int(re.search(rb'listening at 127.0.0.1:(\d+)', said).group(1))
        for _ in range(3):
            with socket.create_connection(('127.0.0.1', port), 60) as s, contextlib.suppress(ConnectionResetError):
                self.assertEqual(s.recv(1), b'')    # it is ended when the way to its other side has failed
        self.assertEqual(self.answers(), ['wrong'])


del Case
