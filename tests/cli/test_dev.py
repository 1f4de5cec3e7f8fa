"""A host whose /dev is empty, as a chroot's may be: what boots there makes nothing in it, and what misses something of it names that."""
from support import Case, End, LIMIT, PROGRAM, subprocess, sys

BARE = 'mount -t tmpfs none /dev && "$@"; status=$?; ls -A /dev; exit $status'
NO_PTMX = 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && "$@"'


class EmptyDev(Case):
    def setUp(self):
        super().setUp()
        if subprocess.call(['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev'], stderr=subprocess.DEVNULL):
            self.skipTest('no mount namespace to be had: not root')

    def bare(self, *args, script=BARE):
        """How it ends there; what is in /dev afterwards stands behind its stdout."""
        p = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', PROGRAM] + list(args), cwd=self.place, env=self.env, timeout=LIMIT,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return End(p.returncode, p.stdout.decode('utf-8', 'replace'), p.stderr.decode('utf-8', 'replace'))

    def test_first_stage(self):
        """It finds the interpreter: the agent that needs /dev/null says so, the other one is up. (The path is looked for, as a name is.)"""
        self.topology('econtext: 1\ndefaults: {python: %s}\nnodes:\n  native: {local: {}, agent: native}\n'
                      '  python: {local: {}, agent: python}\n' % sys.executable)
        end = self.bare('tree', '-w', 'native')
        self.assertEqual((end.status, 'null' in end.out), (0, False), end)
        end = self.bare('call', '-w', 'python', 'os:getpid')
        self.assertIn("No such file or directory: '/dev/null'", end.err)
        self.assertEqual(end.out, '', 'nothing in /dev')

    def test_no_terminals(self):
        """ssh is there, the terminal for its password is not: said so by the master and by both relays."""
        self.topology('econtext: 1\nsecrets: {pw: {env: PW}}\nnodes:\n  native: {local: {}, agent: native}\n  python: {local: {}, agent: python}\n'
                      '  a: {ssh: {password: pw}}\n  b: {via: native, ssh: {password: pw}}\n  c: {via: python, ssh: {password: pw}}\n')
        self.env['PW'] = 'secret'
        for node in 'abc':
            end = self.bare('tree', '-w', node, script=NO_PTMX)
            self.assertIn('  phase    connect', end.err)
            self.assertIn('  saw      "ssh: no terminal: No such file or directory"\n  hint     a password is given on a terminal', end.err, node)
            self.assertEqual(end.status, 4)


del Case
