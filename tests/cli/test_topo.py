"""topo: errors with their place, settings and where they came from, the plan with its exact argv; ssh_config without a file."""
import json
import os
import shutil
import signal
import unittest

from support import Case, PROGRAM, gone

CHAIN = """\
econtext: 1
secrets:
  w: {env: W}
  p: {prompt: "the word"}
nodes:
  b: {ssh: {host: b.example.net, port: 2222, user: ops, options: [Compression=yes]}}
  a:
    via: b
    ssh: {password: p}
    become:
      - {as: app, method: sudo, password: w}
      - {as: root, method: su}
"""

CONFIG = """\
Host jump
  HostName jump.example.net
  User jumper
Host inner*
  ProxyJump jump
  User ops
  Port 2200
Host deep
  ProxyJump a@first:22,inner1
Host loop
  ProxyJump loop2
Host loop2
  ProxyJump loop
"""


class Check(Case):
    @unittest.skipUnless(os.geteuid() == 0, 'files of other users are made by root')
    def test_of_somebody_else(self):
        """A file of the working directory says what is run: who found it there obeys himself, root, and who asked sudo."""
        self.env.pop('SUDO_UID', None)
        here = self.write('econtext.yaml', 'econtext: 1\nnodes: {a: {local: {}}}\n')
        self.ends(0, 'topo', 'check')
        os.chown(here, 65534, 65534)
        for args in ('topo', 'check'), ('exec', '-w', 'a', '--', 'true'):
            err = self.ends(2, *args).err
            self.assertIn("./econtext.yaml: not taken from the working directory: it is neither yours nor root's", err)
            self.assertIn('--topology ./econtext.yaml', err)
        self.ends(0, 'topo', 'check', '--topology', './econtext.yaml')
        self.env['SUDO_UID'] = '65534'
        self.ends(0, 'topo', 'check')
        os.chmod(self.place, 0o1777)
        self.assertIn('everybody may write to its folder', self.ends(2, 'topo', 'check').err)
        os.unlink(here)
        os.rename(self.write('mine', 'econtext: 1\nnodes: {a: {local: {}}}\n'), here)
        self.ends(0, 'topo', 'check')

    def test_ok(self):
        path = self.write('t.yaml', CHAIN)
        self.assertEqual(self.ends(0, 'topo', 'check', path).out, path + ': ok\n')
        self.assertEqual(self.ends(0, 'topo', 'check', '--topology', path).out, path + ': ok\n')
        self.topology(CHAIN)
        self.assertEqual(self.ends(0, 'topo', 'check').out, self.path('topology.yaml') + ': ok\n')

    def test_default_files(self):
        os.makedirs(self.path('.config/econtext'))
        self.write('.config/econtext/topology.yaml', CHAIN)
        self.assertEqual(self.ends(0, 'topo', 'check').out, self.path('.config/econtext/topology.yaml') + ': ok\n')
        self.write('econtext.yaml', CHAIN)
        self.assertEqual(self.ends(0, 'topo', 'check').out, './econtext.yaml: ok\n')

    def test_wrong(self):
        """Every command says it in the same way, and the place stands first on the line."""
        path = self.write('t.yaml', CHAIN.replace('method: su}', 'method: sud}'))
        want = '%s:12:28: become.method: "sud" is none of sudo|su|doas\n  hint: did you mean "sudo"?\n' % path
        self.write('x.py', '')
        for args in (['topo', 'check'], ['topo', 'show'], ['topo', 'plan'], ['tree', '-w', 'b'], ['trace', '-w', 'b'],
                     ['exec', '-w', 'b', 'true'], ['call', '-w', 'b', 'os:getpid'], ['run', '-w', 'b', 'x.py']):
            n = 2 if args[0] == 'topo' else 1
            end = self.ends(2, *args[:n], '--topology', path, *args[n:])
            self.assertEqual((end.out, end.err), ('', want))

    def test_text_of_the_file_is_harmless(self):
        path = self.write('t.yaml', 'econtext: 1\nnodes: {"a\\e[31m": {}}\n')
        err = self.ends(2, 'topo', 'check', path).err
        self.assertNotIn('\033', err)
        self.assertIn('t.yaml:2:9: ', err)
        path = self.write('t.yaml', 'econtext: 1\nnodes: {a: {"t\\x9b31m": 1}}\n')
        err = self.ends(2, 'topo', 'check', path).err
        self.assertNotIn('\x9b', err)
        self.assertIn('t\\u009b31m', err)


class Tell(Case):
    def setUp(self):
        super().setUp()
        self.topology(CHAIN)

    def test_plan(self):
        one = json.loads(self.ends(0, 'topo', 'plan', '--json', '-w', 'a:root').out)
        self.assertEqual((one['name'], one['path']), ('a:root', ['b', 'a', 'a:app', 'a:root']))
        self.assertEqual([(h['on'], h['method']) for h in one['hops']],
                         [('master', 'ssh'), ('b', 'ssh'), ('a', 'sudo'), ('a:app', 'su')])
        first = one['hops'][0]['argv']
        self.assertEqual(first[0], 'ssh')
        for words in (['-p', '2222'], ['-l', 'ops'], ['-o', 'Compression=yes'], ['-o', 'BatchMode=yes'], ['--', 'b.example.net']):
            self.assertTrue(any(first[i:i + 2] == words for i in range(len(first))), (words, first))
        self.assertNotIn('BatchMode=yes', one['hops'][1]['argv'])  # it asks for a password
        self.assertTrue(one['hops'][0]['argv'][-1].startswith("exec sh -c '"))
        self.assertEqual(one['hops'][2]['argv'][0], 'sudo')
        self.assertEqual(one['secrets'], [{'name': 'p', 'for': 'a', 'prompt': 'the word'}, {'name': 'w', 'for': 'a:app', 'env': 'W'}])
        self.assertEqual(one['round_trips'], sum(h['round_trips'] for h in one['hops']))
        self.assertGreater(one['round_trips'], 0)

    def test_whose_files(self):
        """A path is the dialling machine's: made whole where that is the master's, left as it is where it is a relay's."""
        self.topology('econtext: 1\ndefaults: {ssh: {identity: k/id, config: c, program: ./ssh}}\n'
                      'nodes:\n  b:\n  w: {via: b}\n  h: {local: {}}\n  l: {via: h}\n')
        for name, folder in ('b', self.place + '/'), ('l', self.place + '/'), ('w', ''):
            argv = json.loads(self.ends(0, 'topo', 'plan', '--json', '-w', name).out)['hops'][-1]['argv']
            self.assertEqual(argv[0], folder + './ssh')
            self.assertEqual(argv[argv.index('-i') + 1], folder + 'k/id')
            self.assertEqual(argv[argv.index('-F') + 1], folder + 'c')

    def test_plan_text(self):
        out = self.ends(0, 'topo', 'plan', '-w', 'a:root').out
        self.assertIn('  path         master > b > a > a:app > a:root\n', out)
        self.assertIn('  secrets      p for a: asked on the terminal: "the word"\n', out)
        self.assertIn('w for a:app: environment variable W\n', out)

    def test_plan_connects_nowhere(self):
        """Nothing at all is started: there is nothing on PATH to start."""
        self.env['PATH'] = self.place
        self.ends(0, 'topo', 'plan', '-w', 'a:root')
        self.ends(0, 'topo', 'show', '-w', 'a:root')

    def test_show(self):
        out = self.ends(0, 'topo', 'show', '-w', 'b').out
        self.assertRegex(out, r'(?m)^  ssh\.port +2222 +\S+topology\.yaml:6:\d+$')
        self.assertRegex(out, r'(?m)^  hostkey +strict +built in$')
        one = json.loads(self.ends(0, 'topo', 'show', '--json', '-w', 'b').out)
        self.assertEqual(one['settings']['ssh.port']['value'], '2222')

    def test_ad_hoc(self):
        one = json.loads(self.ends(0, 'topo', 'plan', '--json', '-w', 'b/web001:root').out)
        self.assertEqual(one['path'], ['b', 'b/web001', 'b/web001:root'])
        self.refused('topo', 'plan', '-w', 'nowhere/web001', says='no node named')


class SshConfig(Case):
    """No topology file: a name is a host of ssh_config. ssh finds its files by the user, not by $HOME: a wrapper names one."""

    def setUp(self):
        super().setUp()
        if not shutil.which('ssh'):
            self.skipTest('no ssh here')
        self.write('config', CONFIG)
        os.mkdir(self.path('bin'))
        self.write('bin/ssh', '#!/bin/sh\nexec %s -F %s "$@"\n' % (shutil.which('ssh'), self.path('config')), 0o755)
        self.env['PATH'] = self.path('bin') + ':' + os.environ['PATH']

    def plan(self, name):
        return json.loads(self.ends(0, 'topo', 'plan', '--json', '-w', name).out)

    def test_plain(self):
        one = self.plan('jump')
        self.assertEqual(one['path'], ['jump'])
        self.assertEqual(one['hops'][0]['argv'][-2], 'jump')  # the name as it is: ssh reads its configuration itself

    def test_proxy_jump(self):
        one = self.plan('inner1')
        self.assertEqual(one['path'], ['jump', 'inner1'])
        argv = one['hops'][1]['argv']  # the jump host has another configuration: what the name stands for goes along
        for words in (['-p', '2200'], ['-l', 'ops'], ['--', 'inner1']):
            self.assertTrue(any(argv[i:i + 2] == words for i in range(len(argv))), (words, argv))

    def test_several_jumps(self):
        self.assertEqual(self.plan('deep')['path'], ['a@first:22', 'a@first:22/inner1', 'deep'])

    def test_loop(self):
        end = self.refused('topo', 'plan', '-w', 'loop', says='ProxyJump of more than')
        self.assertIn('hint: two hosts of ssh_config that jump through each other?', end.err)

    def test_user(self):
        self.assertEqual(self.plan('jump:root')['path'], ['jump', 'jump:root'])

    def test_option_is_no_host(self):
        for bad in ('-oProxyCommand=x', 'a b', '$(id)', 'a;b'):
            self.refused('topo', 'plan', '-w', bad, says='econtext: ')

    def test_ssh_that_is_killed(self):
        """That is no fault of its configuration."""
        self.write('bin/ssh', '#!/bin/sh\nkill -TERM $$\n', 0o755)
        end = self.ends(7, 'topo', 'plan', '-w', 'h1')
        self.assertEqual(end.err, 'econtext: ssh -G h1: ended by signal 15\n')
        self.write('bin/ssh', '#!/bin/sh\nkill -INT $$\n', 0o755)  # but nobody's failure either
        end = self.ends(130, 'topo', 'plan', '-w', 'h1')
        self.assertEqual(end.err, 'econtext: ssh -G h1: ended by signal 2\n')

    def test_interrupted(self):
        """^C goes to all programs of the terminal: nor is it a fault of its configuration that it ends by that."""
        there = self.fifo('there')
        self.write('bin/ssh', '#!/bin/sh\necho >%s\nexec sleep 100\n' % there, 0o755)
        child = self.start('exec', '-w', 'h1', '--', 'true', start_new_session=True)
        with open(there) as f:
            f.read()
        os.killpg(child.pid, signal.SIGINT)
        err = child.communicate(timeout=60)[1].decode()
        self.assertEqual(child.returncode, 130, err)
        self.assertRegex(err, r'INTERRUPTED h1\n  saw      "ssh -G h1: (ended by signal 2|it was given up)"\n')

    def test_given_up(self):
        """^C sent to econtext alone: it waits for ssh no longer, whether that says nothing or does not end."""
        there = self.fifo('there')
        for ends in '', ' >&- 2>&-':
            self.write('bin/ssh', '#!/bin/sh\necho $$ >%s\nexec sleep 1000%s\n' % (there, ends), 0o755)
            child = self.start('exec', '-w', 'h1', '--', 'true')
            with open(there) as f:
                pid = int(f.read())
            child.send_signal(signal.SIGINT)
            err = child.communicate(timeout=60)[1].decode()
            self.assertEqual(child.returncode, 130, err)
            self.assertIn('INTERRUPTED h1\n  saw      "ssh -G h1: it was given up"\n', err)
            self.assertFalse(os.path.exists('/proc/%d' % pid))

    def test_not_left_behind(self):
        """A signal sent to econtext alone, which a command that connects nowhere does not catch, or nobody can: ssh ends with it."""
        there = self.fifo('there')
        self.write('bin/ssh', '#!/bin/sh\necho $$ >%s\nexec sleep 1000\n' % there, 0o755)
        for number, args in ((signal.SIGINT, ['topo', 'plan', '-w', 'h1']), (signal.SIGTERM, ['topo', 'show', '-w', 'h1']),
                             (signal.SIGKILL, ['exec', '-w', 'h1', '--', 'true'])):
            child = self.start(*args)
            with open(there) as f:
                pid = int(f.read())
            child.send_signal(number)
            err = child.communicate(timeout=60)[1].decode()
            self.assertEqual(child.returncode, -number, err)
            self.assertTrue(gone(pid), args)

    def test_excluded(self):
        """A host, and who one becomes there."""
        for args in (['-w', 'jump:root,inner1:root', '-x', 'jump'], ['-w', 'jump:root,inner1:root,!jump']):
            self.assertEqual(json.loads(self.ends(0, 'topo', 'plan', '--json', *args).out)['name'], 'inner1:root')

    def test_a_file_hides_ssh_config(self):
        self.topology(CHAIN)
        self.refused('topo', 'plan', '-w', 'jump', says='no node named "jump"')


class Symbols(Case):
    def test_static_link(self):
        """No name of the program is the library's too."""
        import glob
        import subprocess
        build = os.path.dirname(PROGRAM)
        library = os.path.join(build, 'libecontext_testing.a')
        objects = glob.glob(os.path.join(build, 'CMakeFiles/econtext_program.dir/cli/*.o'))
        if not shutil.which('nm') or not os.path.exists(library) or not objects:
            self.skipTest('no nm, or no static library here')

        def defined(files):
            out = subprocess.run(['nm', '-g', '--defined-only'] + files, stdout=subprocess.PIPE, check=True).stdout.decode()
            return {w[2] for w in map(str.split, out.splitlines()) if len(w) == 3 and w[2].startswith(('eci_', 'ectx_'))}
        self.assertTrue(defined(objects))
        self.assertEqual(defined(objects) & defined([library]), set())


del Case
