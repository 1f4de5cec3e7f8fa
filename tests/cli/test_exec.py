"""exec and run: output by line, both streams, statuses, folding, JSON; commands of one word and of several; scripts."""
import os
import resource
import shutil
import sys
import termios

from support import LIMIT, PROGRAM, Case, read_until, signal, subprocess, terminal


class Exec(Case):
    def setUp(self):
        super().setUp()
        self.topology()

    def test_streams(self):
        end = self.ends(0, 'exec', '-w', 'n1', '--', 'sh', '-c', 'echo out; echo err >&2; printf "no newline"')
        self.assertEqual(end.out, 'n1: out\nn1: no newline\n')
        self.assertEqual(end.err, 'n1: err\n')

    def test_an_option_that_came_too_late(self):
        """It is an argument there, which the failure says; so of a line for a shell that has others behind it."""
        self.assertIn("hint     --json was an argument there: econtext's options stand before the command\n",
                      self.ends(1, 'exec', '-w', 'n1', 'id -un', '--json').err)
        self.assertIn("hint     -b was an argument there: econtext's options stand before the function\n",
                      self.ends(1, 'call', '-w', 'n1', 'os:getuid', '-b').err)
        self.assertIn('a line for a shell stands alone\n', self.ends(1, 'exec', '-w', 'n1', 'id -un', 'x').err)
        self.assertNotIn('hint', self.ends(1, 'call', '-w', 'n1', 'os:getuid', '3').err)
        self.assertNotIn('argument there', self.ends(1, 'exec', '-w', 'n1', 'false', '--json').err)

    def test_live(self):
        """A line is printed while the command still runs."""
        go = self.fifo('go')
        child = self.start('exec', '-w', 'n1', '--', 'sh', '-c', 'echo first; cat %s' % go)
        self.assertEqual(read_until(child.stdout.fileno(), b'\n'), b'n1: first\n')
        with open(go, 'w') as f:
            f.write('second\n')
        self.assertEqual(child.communicate(timeout=LIMIT)[0], b'n1: second\n')
        self.assertEqual(child.returncode, 0)

    def test_a_failure_does_not_wait_for_ever(self):
        """What runs on and on, as a follower of logs, does not keep back that another has failed."""
        go, once = self.fifo('go'), self.path('once')
        child = self.start('exec', '-w', 'n[1-2]', 'mkdir %s && exit 3; cat %s' % (once, go))
        self.assertIn(b'FAILED n', read_until(child.stderr.fileno(), b'exit status 3\n'))
        self.assertIsNone(child.poll())
        with open(go, 'w') as f:
            f.write('end\n')
        out, err = child.communicate(timeout=LIMIT)
        self.assertRegex(out, b'^n[12]: end\n$')
        self.assertEqual((child.returncode, err), (1, b''))

    def test_many_arguments(self):
        """A native agent takes as many as are in a message, and of more it is said; a Python takes what the kernel takes."""
        self.topology('econtext: 1\nnodes:\n  small: {local: {}, agent: native}\n  python: {local: {}, native: never}\n')
        most = ['sh', '-c', 'echo $#', 'sh'] + ['x'] * 65521  # with 11 items of the message itself
        self.assertEqual(self.ends(0, 'exec', '-w', 'small,python', '-b', '--', *most).out.splitlines()[-1], '65521')
        end = self.ends(1, 'exec', '-w', 'small,python', '--', *(most + ['x']))
        self.assertEqual(end.out, 'python: 65522\n')
        self.assertEqual(end.err.splitlines(), [
            'FAILED small', '  at hop   small', '  phase    call', '  saw      "more than 65520 arguments and variables"',
            '  hint     a native agent takes no more: agent: python does, or let xargs(1) read them from its input'])

    def test_an_interpreter_far_down(self):
        """200 letters of its path fit in what the other side's shell is given; one past them is refused."""
        for length in 200, 201:
            path = self.path('d')
            while length - len(path) > 60:
                path += '/' + 'd' * 40
            path += '/' + 'p' * (length - len(path) - 1)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(sys.executable, path)
            self.topology('econtext: 1\nnodes: {far: {local: {}, native: never, python: %s}}\n' % path)
            end = self.ends(2 * (length > 200), 'call', '-w', 'far', 'builtins:len', '[]')
            self.assertEqual(end.out, 'far: 0\n' if length == 200 else '', end.err)

    def test_progress_is_one_row(self):
        """What wrapped could not be removed again."""
        import fcntl
        import struct
        import termios
        self.env['TERM'] = 'xterm'
        for columns, row in (20, 19), (42, 41), (43, 42), (44, 43), (200, 43):
            ours, theirs = terminal()
            self.addCleanup(os.close, ours)
            fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack('4H', 24, columns, 0, 0))
            child = self.start('exec', '-w', 'n[1-2]', 'sleep 60', stderr=theirs)
            os.close(theirs)
            want = b'econtext: 0 of 2 done, 2 running, 0 waiting'[:row]
            self.assertEqual(read_until(ours, b'\033[K'), b'\r' + want + b'\033[K')
            child.terminate()
            self.assertEqual(child.wait(LIMIT), -signal.SIGTERM)

    def test_raw(self):
        """Any bytes, on the stream they were written to, and nothing besides; both ways at once."""
        data = bytes(range(256)) * 2000 + b'no newline'
        end = subprocess.run([PROGRAM, 'exec', '--raw', '--stdin', '-w', 'n1', 'cat; printf "a\\0\\nb" >&2'], input=data, env=self.env,
                             cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        self.assertEqual((end.returncode, end.stdout, end.stderr), (0, data, b'a\0\nb'))
        end = self.ends(1, 'exec', '--raw', '-w', 'n1', 'echo out; exit 3')
        self.assertEqual(end.out, 'out\n')
        self.assertIn('FAILED n1\n', end.err)
        script = self.write('raw.sh', '#!/bin/sh\nprintf "%s no newline" "$1"\n')
        self.assertEqual(self.ends(0, 'run', '--raw', '-w', 'n1', script, 'a').out, 'a no newline')
        self.assertIn('there are 2', self.ends(2, 'run', '--raw', '-w', 'n[1-2]', script).err)
        self.assertIn('--raw prints no names: one target, and there are 2', self.ends(2, 'exec', '--raw', '-w', 'n[1-2]', 'id').err)
        for option in '--json', '-b':
            self.assertIn('--raw prints the output as it is: not with ' + option, self.ends(2, 'exec', '--raw', option, '-w', 'n1', 'id').err)

    def test_rsync_and_git(self):
        """They take `exec --raw --stdin -w` for ssh."""
        where = self.path('there')
        os.makedirs(self.path('src/sub'))
        for name, data in ('a', os.urandom(300000)), ('sub/b', b'b\n'):
            with open(self.path('src/' + name), 'wb') as f:
                f.write(data)
        ssh = PROGRAM + ' exec --raw --stdin -w'
        env = dict(self.env, GIT_SSH_COMMAND=ssh, GIT_SSH_VARIANT='simple', GIT_CONFIG_GLOBAL='/dev/null')
        tried = 0

        def run(*argv):
            end = subprocess.run(argv, env=env, cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT)
            self.assertEqual(end.returncode, 0, end.stdout)
        if shutil.which('rsync'):
            run('rsync', '-a', '-e', ssh, 'src/', 'n1:' + where + '/')
            run('rsync', '-a', '-e', ssh, 'n1:' + where + '/', 'back/')
            run('diff', '-r', 'src', 'back')
            tried += 1
        if shutil.which('git'):
            run('git', 'init', '-q', 'src')
            run('git', '-C', 'src', 'add', '.')
            run('git', '-C', 'src', '-c', 'user.name=n', '-c', 'user.email=e', 'commit', '-qm', 'all')
            run('git', 'clone', '-q', 'n1:' + self.path('src'), 'clone')
            run('diff', '-r', '-x', '.git', 'src', 'clone')
            tried += 1
        if not tried:
            self.skipTest('neither rsync nor git is here')

    def test_words_are_not_split_again(self):
        end = self.ends(0, 'exec', '-w', 'n1', 'printf', '[%s]\n', 'a  b', '$HOME', '*', '')
        self.assertEqual(end.out, 'n1: [a  b]\nn1: [$HOME]\nn1: [*]\nn1: []\n')

    def test_one_word_with_syntax_is_of_the_shell(self):
        self.assertEqual(self.ends(0, 'exec', '-w', 'n1', 'echo a b | tr a c').out, 'n1: c b\n')
        self.assertEqual(self.ends(0, 'exec', '-w', 'n1', 'id').out[:8], 'n1: uid=')

    def test_dashes(self):
        self.assertEqual(self.ends(0, 'exec', '-w', 'n1', '--', 'echo', '--', '-w').out, 'n1: -- -w\n')
        self.assertEqual(self.ends(0, 'exec', '-w', 'n1', 'echo', '--json', '-b').out, 'n1: --json -b\n')

    def test_status(self):
        end = self.ends(1, 'exec', '-w', 'n1,n2', '--', 'sh', '-c', 'exit 3')
        self.assertIn('FAILED n[1-2]\n', end.err)
        self.assertIn('saw      exit status 3\n', end.err)
        end = self.ends(1, 'exec', '--json', '-w', 'n1', '--', 'sh', '-c', 'exit 255')
        self.assertEqual(end.result()['rc'], 255)
        self.assertEqual(end.result()['status'], 'failed')

    def test_signal(self):
        self.assertIn('ended by signal 9', self.ends(1, 'exec', '-w', 'n1', 'kill -9 $$').err)
        end = self.ends(1, 'exec', '--json', '-w', 'n1', 'kill -15 $$')
        self.assertEqual(end.result()['rc'], 128 + 15)

    def test_no_such_command(self):
        err = self.ends(1, 'exec', '-w', 'n1', '--', 'no-such-command').err
        self.assertIn('no-such-command: No such file or directory', err)
        self.assertIn('hint     the command could not be started there', err)

    def test_folder_and_environment(self):
        end = self.ends(0, 'exec', '-w', 'n1', '--cwd', self.place, '--env', 'A=b c', '--env', 'HOME', '--env=E=',
                        'pwd; echo "$A"; echo "${HOME-unset}"; echo "${E-unset}"')
        self.assertEqual(end.out, ''.join('n1: %s\n' % s for s in (os.path.realpath(self.place), 'b c', 'unset', '')))
        self.assertIn('No such file', self.ends(1, 'exec', '-w', 'n1', '--cwd', '/no/such', 'pwd').err)

    def test_environment_of_a_script(self):
        """Of a shell's; Python's has none of its own, and is refused before anything is connected."""
        script = self.write('env.sh', '#!/bin/sh\necho "$A|${HOME-unset}|$1"\n')
        end = self.ends(0, 'run', '-w', 'n1', '--env', 'A=b c', '--env', 'HOME', script, 'x')
        self.assertEqual(end.out, 'n1: b c|unset|x\n')
        script = self.write('env.py', 'print(1)\n')
        end = self.ends(2, 'run', '-w', 'n[1-2]', '--env', 'A=1', script)
        self.assertIn('env.py: a Python script runs in the process that serves all calls there', end.err)
        self.assertEqual(end.out, '')

    def test_folded(self):
        end = self.ends(1, 'exec', '-b', '-w', 'n[1-4]', 'echo out; echo err >&2; exit 2')
        self.assertEqual(end.out, '---------------\nn[1-4] (4)\n---------------\nout\n')
        self.assertTrue(end.err.startswith('---------------\nn[1-4] (4)\n---------------\nerr\nFAILED n[1-4]\n'), end.err)

    def test_folded_is_bounded(self):
        """1 MiB of a node is kept, one byte past it is counted and said."""
        for size, over in ((1 << 20, ''), ((1 << 20) + 1, 'econtext: n1: 1 bytes more were not kept: -b keeps 1048576 a node\n')):
            end = self.ends(0, 'exec', '-b', '-w', 'n1', 'head -c %d /dev/zero | tr "\\0" x' % size)
            self.assertEqual(end.out, '---------------\nn1\n---------------\n' + 'x' * (1 << 20) + '\n')
            self.assertEqual(end.err, over)

    def test_long_lines(self):
        """64 KiB of a line are kept together, one byte past makes two."""
        end = self.ends(0, 'exec', '-w', 'n1', 'head -c 65536 /dev/zero | tr "\\0" x; echo; head -c 65537 /dev/zero | tr "\\0" x; echo')
        self.assertEqual([len(line) - 4 for line in end.out.splitlines()], [65536, 65536, 1])
        end = self.ends(0, 'exec', '--json', '-w', 'n1', 'yes \u2603 | head -n 198000 | tr -d "\\n"')
        text = [e['text'] for e in end.events() if e['event'] == 'output']
        self.assertEqual([type(t) for t in text], [str] * 10)       # cut between characters, not within one
        self.assertEqual(''.join(text), '\u2603' * 198000)

    def test_json(self):
        end = self.ends(0, 'exec', '--json', '-w', 'n1', 'echo out; echo err >&2; printf "\\377\\npart"')
        out = [(e['node'], e['stream'], e['text'], e.get('partial')) for e in end.events() if e['event'] == 'output']
        self.assertEqual([o for o in out if o[1] == 'stdout'], [('n1', 'stdout', 'out', None), ('n1', 'stdout', {'$bytes': '/w=='}, None),
                                                               ('n1', 'stdout', 'part', True)])
        self.assertIn(('n1', 'stderr', 'err', None), out)
        self.assertEqual(end.result()['rc'], 0)

    def test_json_progress_ends_with_the_last_result(self):
        end = self.ends(0, 'exec', '--json', '-w', 'n1', 'sleep 0.7; echo out; sleep 0.7')
        self.assertEqual([e['event'] for e in end.events()][-2:], ['result', 'summary'])

    def test_quiet_json(self):
        end = self.ends(0, 'exec', '-q', '--json', '-w', 'n1', 'sleep 2')
        self.assertEqual([e['event'] for e in end.events()], ['result', 'summary'])

    def test_more_targets_than_the_soft_limit_of_descriptors(self):
        """It is raised here; what is started here and there has that which this program was started with."""
        self.topology('econtext: 1\nnodes:\n  n[1-8]: {local: {}}\n  py: {local: {}, native: never}\n  below: {via: n1, local: {}}\n')

        def few(hard):
            return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard))
        end = self.ends(0, 'exec', '-b', '-w', '@*', 'ulimit -Sn; ulimit -Hn', preexec_fn=few(200))
        self.assertEqual(end.out, '---------------\nbelow,n[1-8],py (10)\n---------------\n24\n200\n')
        end = self.ends(3, 'exec', '-w', 'n[1-8]', 'true', preexec_fn=few(24))
        self.assertIn('Too many open files', end.err)
        self.assertIn('  hint     each host takes four descriptors of the hop before it: raise its limit there (ulimit -n)', end.err)

    def test_pty(self):
        end = self.ends(0, 'exec', '--pty', '-w', 'n1', 'test -t 1 && test -t 2 && stty size <&1; cat; echo err >&2')
        self.assertEqual(end.out, 'n1: 24 80\nn1: err\n')
        self.assertEqual(end.err, '')

    def test_escapes_on_a_terminal(self):
        command = "printf 'a\\rn2: \\033[2J\\033]0;t\\007\\302\\233m\\tb\\r\\n'"
        for args, raw in (['-w', 'n1'], False), (['-b', '-w', 'n[1-2]'], False), (['--raw', '-w', 'n1'], True):
            ours, theirs = terminal()
            attributes = termios.tcgetattr(theirs)
            attributes[1] &= ~termios.OPOST
            termios.tcsetattr(theirs, termios.TCSANOW, attributes)
            child = self.start('exec', *(args + [command]), stdout=theirs)
            os.close(theirs)
            out = read_until(ours, b'b\r\n' if raw else b'b\n')
            os.close(ours)
            child.wait()
            self.assertEqual(b'\033' in out, raw, out)
            self.assertIn(b'a\rn2: \033[2J' if raw else b'a\\x0dn2: \\x1b[2J\\x1b]0;t\\x07\\u009bm\tb\n', out)
        end = self.ends(0, 'exec', '-w', 'n1', command)
        self.assertIn('a\rn2: \033[2J', end.out)

    def test_stdin_that_cannot_be_read(self):
        """Is no end that a command acts on."""
        wrong = os.open(self.path('wrong'), os.O_WRONLY | os.O_CREAT)
        end = self.ends(7, 'exec', '-w', 'n[1-2]', '--json', '--stdin', 'cat >/dev/null && echo done', stdin=wrong)
        os.close(wrong)
        told = [(e['status'], e['error']['saw']) for e in end.events() if e['event'] == 'result']
        self.assertEqual(told, [('failed', 'reading standard input: Bad file descriptor')] * 2, end)
        self.assertNotIn('done', end.out)

    def test_a_reader_that_has_enough(self):
        """Is the end of a filter: nothing failed."""
        child = self.start('exec', '-w', 'n[1-2]', 'yes')
        child.stdout.readline()
        child.stdout.close()
        self.assertEqual((child.wait(LIMIT), child.stderr.read()), (-signal.SIGPIPE, b''))

    def test_no_stdin(self):
        self.assertEqual(self.ends(0, 'exec', '-w', 'n1', '--', 'cat', stdin=subprocess.PIPE).out, '')

    def test_deadline(self):
        self.assertIn('DEADLINE n1\n', self.ends(5, 'exec', '-u', '300ms', '-w', 'n1', '--', 'sleep', '60').err)

    def test_broken_pipe(self):
        read, write = os.pipe()
        child = self.start('exec', '-w', 'n[1-2]', '--', 'yes', stdout=write)
        os.close(write)
        self.assertIn(b': y\n', read_until(read, b'y\n'))
        os.close(read)
        child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, -signal.SIGPIPE)

    def test_interrupted_twice_ends_it(self):
        child = self.start('exec', '-w', 'n1', 'echo $$; exec sleep 600')
        pid = int(read_until(child.stdout.fileno(), b'\n').split()[1])
        fd = os.pidfd_open(pid)
        self.addCleanup(os.close, fd)
        child.send_signal(signal.SIGINT)
        read_until(child.stderr.fileno(), b'^C again')
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130)
        import select
        self.assertTrue(select.select([fd], [], [], LIMIT)[0])


class Run(Case):
    def setUp(self):
        super().setUp()
        self.topology()
        os.mkdir(self.path('s'))
        self.write('s/helper.py', 'def shout(words): return " ".join(words).upper()\n')
        self.write('s/script.py', 'import sys, helper\nprint(helper.shout(sys.argv[1:]))\nprint(__name__)\n'
                                  'sys.stderr.write("err\\n")\nsys.exit(int(sys.argv[-1]))\n')

    def test_script(self):
        end = self.ends(0, 'run', '-w', 'n1', 's/script.py', '-b', '--json', 'a b', '0')
        self.assertEqual(end.out, 'n1: -B --JSON A B 0\nn1: __main__\n')
        self.assertEqual(end.err, 'n1: err\n')

    def test_a_link(self):
        """Imports come from where it leads to, as with Python; then from beside it, and nowhere else for what no file is."""
        for name in 'bin', 't', 't/pk':
            os.mkdir(self.path(name))
        self.write('t/prog.py', 'import both, far, near, pk.data\ndef f():\n    return [both.WHO, far.WHO, near.WHO, pk.data.WHO, __name__]\n'
                   'if __name__ == "__main__":\n    print(f())\n')
        for name in 't/both', 'bin/both', 't/far', 'bin/near', 't/pk/__init__', 't/pk/data':
            self.write(name + '.py', 'WHO = %r\n' % name.split('/')[0])
        os.symlink('../t/prog.py', self.path('bin/middle.py'))
        os.symlink(self.path('bin/middle.py'), self.path('bin/prog2.py'))
        self.assertEqual(self.ends(0, 'run', '-w', 'n1', 'bin/prog2.py').out, "n1: ['t', 't', 'bin', 't', '__main__']\n")
        self.assertEqual(self.ends(0, 'call', '-w', 'n1', './bin/prog2.py:f').out, 'n1: ["t", "t", "bin", "t", "prog2"]\n')
        for root in 't', 'bin':     # a root that is named is all there is
            self.assertIn('No module named', self.ends(1, 'run', '-w', 'n1', '--root', root, 'bin/prog2.py').err)
        os.symlink('prog.py', self.path('t/same.py'))
        self.assertIn("No module named 'near'", self.ends(1, 'run', '-w', 'n1', 't/same.py').err)
        with open(self.path('bin/prog2.py'), 'rb') as script:   # /dev/stdin leads to it, and is no link to a file
            self.assertIn('No module named', self.ends(1, 'run', '-w', 'n1', '/dev/stdin', stdin=script).err)
        os.symlink('none.py', self.path('bin/dangling.py'))
        for words in ('run', 'bin/dangling.py'), ('call', './bin/dangling.py:f'):
            self.assertIn('bin/dangling.py cannot be read: No such file', self.ends(2, words[0], '-w', 'n1', words[1]).err)

    def test_a_byte_order_mark(self):
        """A shell that starts such a file runs it as a script of its own."""
        for text in '#!/bin/sh\necho $1\n', '#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1])\n':
            self.write('marked', '\ufeff' + text)
            end = self.ends(0, 'run', '-w', 'n1', 'marked', 'a')
            self.assertEqual((end.out, end.err), ('n1: a\n', ''))

    def test_from_a_pipe(self):
        """Which is read once, for all."""
        for text, out in ('#!/bin/sh\necho $1; exit 3\n', 'a'), ('import sys\nprint(sys.argv[1])\nsys.exit(3)\n', 'a'):
            child = self.start('run', '-b', '-w', 'n[1-2]', '/dev/stdin', 'a', stdin=subprocess.PIPE)
            said, err = child.communicate(text.encode(), timeout=LIMIT)
            self.assertEqual((child.returncode, said), (1, b'---------------\nn[1-2] (2)\n---------------\na\n'), err)

    def test_a_script_of_another_language(self):
        """Told before anything is started: Python would say that its syntax is wrong."""
        self.topology('econtext: 1\nnodes: {n1: {local: {}}, gone: {ssh: {program: /no/such/program}}}\n')
        for name in 'x', 'x.pl':
            self.write(name, '#!/usr/bin/perl -w\nprint "x\\n";\n')
            for node in 'n1', 'gone':
                end = self.ends(2, 'run', '-w', node, name)
                self.assertIn(name + ': its first line names perl, which is neither a shell nor a Python', end.err)
                self.assertEqual(end.out, '')
        self.write('x.py', '#!/usr/bin/perl\nprint(1)\n')
        self.assertEqual(self.ends(0, 'run', '-w', 'n1', 'x.py').out, 'n1: 1\n')

    def test_the_size_of_a_script(self):
        for more, status in (0, 0), (1, 2):
            self.write('big.py', '#' * ((16 << 20) - 1 + more) + '\n')
            end = self.ends(status, 'run', '-w', 'n1', 'big.py')
            self.assertEqual('big.py: larger than 16 MiB' in end.err, more == 1, end)

    def test_status(self):
        end = self.ends(1, 'run', '--json', '-w', 'n1', 's/script.py', '3')
        self.assertEqual((end.result()['status'], end.result()['rc']), ('failed', 3))

    def test_a_python_that_is_not_there(self):
        """A mixed fleet: what needs none goes on without, what needs one says which."""
        self.write('s/plain.sh', '#!/bin/sh\necho plain\n')
        for name in '/no/such/python', 'no-such-python':
            self.topology('econtext: 1\ndefaults: {python: %s}\nnodes: {n1: {local: {}}, n2: {local: {}, native: never}}\n' % name)
            self.assertEqual(self.ends(0, 'run', '-w', 'n1', 's/plain.sh').out, 'n1: plain\n')
            self.ends(0, 'cp', 's/plain.sh', 'n1:' + self.path('copy'))
            for node in 'n1', 'n2':
                end = self.ends(3, 'run', '-w', node, 's/script.py', '0')
                self.assertIn('"found no %s, only ' % name, end.err)
                self.assertIn('set python: ', end.err)

    def test_exception(self):
        self.write('bad.py', 'def f():\n    raise ValueError("no good")\nf()\n')
        end = self.ends(1, 'run', '-w', 'n1', 'bad.py')
        self.assertIn('ValueError: no good', end.out + end.err)
        self.assertIn('line 2, in f', end.out + end.err)

    def test_folded(self):
        end = self.ends(0, 'run', '-b', '-w', 'n[1-4]', 's/script.py', 'x', '0')
        self.assertEqual(end.out, '---------------\nn[1-4] (4)\n---------------\nX 0\n__main__\n')


del Case
