"""Become steps on this machine: sudo and su, which root may do without a password; each step is a context of its own."""
import os
import shutil
import subprocess

from support import Case

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


del Case
