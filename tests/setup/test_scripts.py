#!/usr/bin/env python3
"""scripts/tally counts what ran and forgets nothing; .ci/run sums, and takes its lab down on every way out; scripts/need goes
without what is only useful; scripts/build hands each word on as it is; the native agent's compiler is found on each distribution."""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')


def write(path, text, mode=0o755):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)


class Tally(unittest.TestCase):
    """Run here, as an interpreter for each would take longer than all of it; and once as the program that it is."""

    @classmethod
    def setUpClass(cls):
        loader = importlib.machinery.SourceFileLoader('tally', TOP + '/scripts/tally')
        cls.module = importlib.util.module_from_spec(importlib.util.spec_from_loader('tally', loader))
        with mock.patch.object(sys, 'dont_write_bytecode', True):
            loader.exec_module(cls.module)

    def here(self, path):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.object(sys, 'argv', ['tally', path]):
            self.module.main()
        return out.getvalue(), err.getvalue()

    def program(self, path):
        done = subprocess.run([TOP + '/scripts/tally', path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0)
        return done.stdout.decode(), done.stderr.decode()

    def tally(self, text, how=None):
        with tempfile.TemporaryDirectory() as top:
            write(top + '/t.xml', text)
            out, self.said = (how or self.here)(top + '/t.xml')
            return out.strip()

    def test_suites(self):
        self.assertEqual(self.tally('x\n3 passed, 1 failed\n'), '3 1 0')
        self.assertEqual(self.tally('3 passed, 0 failed, 2 skipped\n'), '3 0 2')
        self.assertEqual(self.tally('all is well\n'), '0 1 0')
        self.assertEqual(self.tally(''), '0 1 0')

    def test_reasons(self):
        self.tally('ok\nskipped: ssh: no sshd\nSKIP sudo: none\n3 passed, 0 failed, 2 skipped\n')
        self.assertEqual(self.said, 'skipped: t (2): ssh: no sshd; none\n')
        self.tally('3 passed, 0 failed, 2 skipped\n')
        self.assertEqual(self.said, 'skipped: t (2): it does not say why\n')
        self.case('notrun', '<skipped/><system-out>no clang-format here\n</system-out>')
        self.assertEqual(self.said, 'skipped: a (1): no clang-format here\n')
        self.tally('3 passed, 1 failed\n')
        self.assertEqual(self.said, 'failed: t (1)\n')
        self.assertEqual(self.tally('3 passed, 1 failed\n', self.program), '3 1 0')
        self.assertEqual(self.said, 'failed: t (1)\n')

    def case(self, status, inner=''):
        return self.tally('<?xml version="1.0"?><testsuite><testcase name="a" status="%s">%s</testcase></testsuite>'
                          % (status, inner))

    def test_ctest(self):
        synthesis = '<system-out>[====] Synthesis: Tested: 5 | Passing: %d | Failing: %d | Crashing: %d </system-out>'
        self.assertEqual(self.case('run'), '1 0 0')
        self.assertEqual(self.case('fail', '<failure/>'), '0 1 0')
        self.assertEqual(self.case('run', synthesis % (5, 0, 0)), '5 0 0')
        self.assertEqual(self.case('fail', synthesis % (3, 1, 1)), '3 2 0')
        self.assertEqual(self.case('fail', synthesis % (5, 0, 0)), '5 1 0')
        self.assertEqual(self.case('notrun', '<skipped/><system-out>no clang-format</system-out>'), '0 0 1')
        self.assertEqual(self.case('notrun', '<skipped/><system-out>Unable to find executable: x</system-out>'), '0 1 0')


class Ci(unittest.TestCase):
    lab = '#!/bin/sh\necho "$1 $ECONTEXT_LAB_STATE" >>%s/calls\n[ "$1" != "%s" ]\n'

    def setUp(self):
        self.top = tempfile.mkdtemp()
        self.main = self.top + '/main'
        os.makedirs(self.main + '/.ci')
        shutil.copy(TOP + '/.ci/run', self.main + '/.ci/run')
        self.script('scripts/test', 'echo 3 passed, 0 failed')

    def tearDown(self):
        shutil.rmtree(self.top)

    def script(self, name, text):
        write(self.main + '/' + name, '#!/bin/sh\n' + text + '\n')

    def run_ci(self):
        done = subprocess.run([self.main + '/.ci/run'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.returncode, done.stdout.decode().splitlines()[-1]

    def with_lab(self, fails=''):
        if os.geteuid():
            self.skipTest('not root')
        write(self.top + '/shared/lab/lab', self.lab % (self.top, fails))

    def calls(self):
        with open(self.top + '/calls') as f:
            return [line.split() for line in f]

    def test_without_lab(self):
        self.assertEqual(self.run_ci(), (0, '3 passed, 0 failed'))
        self.script('scripts/test', 'echo 3 passed, 0 failed; exit 1')
        self.assertEqual(self.run_ci(), (1, '3 passed, 1 failed'))
        self.script('scripts/test', 'echo 3 passed, 2 failed, 1 skipped; exit 1')
        self.assertEqual(self.run_ci(), (1, '3 passed, 2 failed'))
        self.script('scripts/test', 'exit 0')
        self.assertEqual(self.run_ci(), (1, '0 passed, 1 failed'))

    def test_lab(self):
        self.with_lab()
        self.script('tests/lab/run', 'echo 4 passed, 1 failed; exit 1')
        self.assertEqual(self.run_ci(), (1, '7 passed, 1 failed'))
        calls = self.calls()
        self.assertEqual([c[0] for c in calls], ['deps', 'up', 'down'])
        self.assertEqual(len({c[1] for c in calls}), 1)

    def test_lab_not_up(self):
        self.with_lab(fails='up')
        self.script('tests/lab/run', 'echo 4 passed, 0 failed')
        self.assertEqual(self.run_ci(), (1, '3 passed, 1 failed'))
        self.assertEqual(self.calls()[-1][0], 'down')

    def test_interrupt_is_heard(self):
        # A shell's background jobs ignore SIGINT; the tests must not.
        self.script('scripts/test', 'trap "echo 1 passed, 0 failed; exit 0" INT; kill -INT $$; echo 0 passed, 1 failed')
        self.assertEqual(self.run_ci(), (0, '1 passed, 0 failed'))

    def test_what_outlives_its_part(self):
        # It has left the session and holds what it was given as stdout: nobody waits for it.
        self.script('scripts/test', 'setsid sleep 300 &\necho $! >%s/pid; echo 3 passed, 0 failed' % self.top)
        try:
            self.assertEqual(self.run_ci(), (0, '3 passed, 0 failed'))
        finally:
            with open(self.top + '/pid') as f:
                os.kill(int(f.read()), signal.SIGKILL)

    def test_all_of_it_is_shown(self):
        self.script('scripts/test', 'seq 100000; echo 3 passed, 0 failed')
        done = subprocess.run([self.main + '/.ci/run'], stdout=subprocess.PIPE, timeout=60)
        self.assertEqual(done.stdout.split()[:100000], [b'%d' % i for i in range(1, 100001)])

    def test_interrupted(self):
        self.with_lab()
        self.script('tests/lab/run', 'echo $$ >%s/pid; exec sleep 50' % self.top)
        ci = subprocess.Popen([self.main + '/.ci/run'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        end = time.time() + 20
        while not os.path.exists(self.top + '/pid') and time.time() < end:
            time.sleep(0.05)
        ci.send_signal(signal.SIGTERM)
        ci.communicate(timeout=20)
        self.assertNotEqual(ci.returncode, 0)
        self.assertEqual(self.calls()[-1][0], 'down')


class Build(unittest.TestCase):
    """scripts/build with a cmake that says what it was given."""

    def setUp(self):
        self.top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.top)
        os.mkdir(self.top + '/scripts')
        shutil.copy(TOP + '/scripts/build', self.top + '/scripts/build')
        write(self.top + '/scripts/need', '#!/bin/sh\necho "$@" >%s/need\n' % self.top)
        write(self.top + '/bin/cmake', '#!/bin/sh\nprintf "%%s\\n" "$@" call >>%s/given\n' % self.top)

    def build(self, *words):
        done = subprocess.run([self.top + '/scripts/build'] + list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, PATH=self.top + '/bin:' + os.environ['PATH'], ECONTEXT_JOBS='3'))
        if done.returncode:
            return done.returncode, done.stderr.decode()
        with open(self.top + '/given') as f:
            calls = [c.splitlines() for c in f.read().split('call\n')[:-1]]
        os.unlink(self.top + '/given')
        return calls

    def needed(self):
        with open(self.top + '/need') as f:
            return f.read().strip()

    def test_words(self):
        configured, built = self.build('-DCMAKE_C_FLAGS=-O2 -g', '-D', 'X=a "b" $c', 'there', '-DY=')
        self.assertEqual(configured[-3:], ['-DCMAKE_C_FLAGS=-O2 -g', '-DX=a "b" $c', '-DY='])
        self.assertEqual(configured[:4], ['-S', os.path.realpath(self.top), '-B', os.path.realpath(self.top) + '/there'])
        self.assertEqual(built[-2:], ['--target', 'all'])
        self.assertEqual(self.build('--target', 'one', 'there')[1][-2:], ['--target', 'one'])

    def test_usage(self):
        for words in ('--target',), ('-D',), ('--tests', '--nonesuch'):
            status, said = self.build(*words)
            self.assertEqual((status, said[:7]), (2, 'build ['), words)

    def test_strict(self):
        """The tests want all there is, and no warning; who only builds is not stopped by a newer compiler, or by fewer."""
        self.assertIn('-DECONTEXT_WERROR=OFF', self.build()[0])
        self.assertEqual(self.needed(), 'build +useful')
        self.assertIn('-DECONTEXT_WERROR=ON', self.build('--tests')[0])
        self.assertEqual(self.needed(), 'build useful test')


class Need(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.top)
        os.mkdir(self.top + '/scripts')
        shutil.copy(TOP + '/scripts/need', self.top + '/scripts/need')
        for name in 'sh dirname id mktemp rm tail env'.split():
            os.makedirs(self.top + '/bin', exist_ok=True)
            os.symlink(shutil.which(name), self.top + '/bin/' + name)
        self.list('here build cmd:sh', 'nonesuch useful cmd:nonesuch', 'other test cmd:other')

    def list(self, *lines):
        with open(self.top + '/scripts/packages', 'w') as f:
            f.write('# a comment\n\n%s\n' % '\n'.join(line + ' why' for line in lines))

    def need(self, *marks):
        done = subprocess.run([self.top + '/scripts/need'] + list(marks), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={'PATH': self.top + '/bin'})
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_without_apt(self):
        self.assertEqual(self.need('build'), (0, '', ''))
        self.assertEqual(self.need('build', '+useful'), (0, 'need: goes without: nonesuch\n', ''))
        status, out, err = self.need('build', 'useful', 'test')
        self.assertEqual((status, out, err.splitlines()[0]), (2, '', "need: missing: nonesuch other"))

    def test_apt(self):
        write(self.top + '/bin/sudo', '#!/bin/sh\nexec "$@"\n')
        write(self.top + '/bin/apt-get', '#!/bin/sh\necho no such package\nexit 1\n')
        status, out, err = self.need('build', '+useful')
        self.assertEqual((status, out.splitlines()[-1]), (0, 'need: goes without: nonesuch'))
        self.assertIn('no such package', err)
        self.assertEqual(self.need('useful')[0], 2)
        # One that puts the program there.
        write(self.top + '/bin/apt-get', '#!/bin/sh\nfor i; do :; done; echo "#!/bin/sh" >%s/bin/$i; %s 755 %s/bin/$i\n'
              % (self.top, shutil.which('chmod'), self.top))
        self.assertEqual(self.need('build', '+useful'), (0, 'need: installing nonesuch\n', ''))
        self.assertEqual(self.need('test'), (0, 'need: installing other\n', ''))


class Compilers(unittest.TestCase):
    """preamble/native/make.py finds the machine's own gcc under whatever name its distribution gives the machine."""

    @classmethod
    def setUpClass(cls):
        loader = importlib.machinery.SourceFileLoader('make', TOP + '/preamble/native/make.py')
        cls.make = importlib.util.module_from_spec(importlib.util.spec_from_loader('make', loader))
        with mock.patch.object(sys, 'path', list(sys.path)):
            loader.exec_module(cls.make)

    @contextlib.contextmanager
    def gcc_of(self, machine, name='gcc'):
        with tempfile.TemporaryDirectory() as folder:
            for x in {'gcc', name}:
                write(folder + '/' + x, '#!/bin/sh\n[ "$1" = -dumpmachine ] && echo %s\n' % machine)
            with mock.patch.dict(os.environ, PATH=folder):
                yield {n: c for n, c in ((n, self.make.compiler(n, prefix)) for n, prefix, _ in self.make.ARCHES) if c}

    def found(self, machine):
        with self.gcc_of(machine) as found:
            return list(found)

    def test_names(self):
        for want, machines in (
                ('x86_64', 'x86_64-linux-gnu x86_64-pc-linux-gnu x86_64-redhat-linux x86_64-suse-linux x86_64-alpine-linux-musl'),
                ('aarch64', 'aarch64-linux-gnu aarch64-unknown-linux-gnu aarch64-redhat-linux aarch64-alpine-linux-musl'),
                ('armv7l', 'arm-linux-gnueabihf armv7l-unknown-linux-gnueabihf armv7hl-redhat-linux-gnueabi armv7-alpine-linux-musleabihf'),
                ('riscv64', 'riscv64-linux-gnu riscv64-redhat-linux riscv64-alpine-linux-musl'),
                ('i686', 'i686-linux-gnu i686-pc-linux-gnu i586-alpine-linux-musl')):
            for machine in machines.split():
                self.assertEqual(self.found(machine), [want], machine)
        for machine in 'x86_64-apple-darwin22 x86_64-w64-mingw32 arm-linux-gnueabi s390x-linux-gnu'.split():
            self.assertEqual(self.found(machine), [], machine)

    def test_left_out(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), mock.patch.object(os, 'uname', lambda: ('Linux', '', '', '', 'x86_64')):
            self.make.look_for({'x86_64': 'gcc'})
            self.assertIn('x86_64; without aarch64-linux-gnu-gcc, ', out.getvalue())
            for name in 'gcc', 'i686-linux-gnu-gcc':    # a userland of 32 bits; Debian has that name there too
                with self.gcc_of('i686-linux-gnu', name) as found:
                    self.assertEqual(found, {'i686': name})
                    self.make.look_for(found)
            with self.assertRaises(SystemExit) as e:
                self.make.look_for({'aarch64': 'aarch64-linux-gnu-gcc'})
        self.assertIn('no native agent for this machine, x86_64', str(e.exception))

    def test_small(self):
        with tempfile.TemporaryDirectory() as folder:
            write(folder + '/old', '#!/bin/sh\nfor i; do [ "$i" != -Oz ] || exit 1; done\n')
            write(folder + '/new', '#!/bin/sh\n')
            self.assertEqual([self.make.smallest(folder + x) for x in ('/old', '/new')], ['-Os', '-Oz'])


if __name__ == '__main__':
    unittest.main()
