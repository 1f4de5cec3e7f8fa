"""Usage: what is refused, with what words, before anything is started; help of every command."""
import re

from support import Case, PROGRAM, subprocess

COMMANDS = ['topo check', 'topo show', 'topo plan', 'exec', 'call', 'run', 'tree', 'trace', 'cp', 'tunnel', 'socks', 'connect', 'preamble']
MESHED = ['exec', 'call', 'run', 'tree', 'trace']
LAST = {'exec': ['true'], 'call': ['os:getpid'], 'run': ['x.py'], 'tree': [], 'trace': []}


class Usage(Case):
    def setUp(self):
        super().setUp()
        self.topology()
        self.write('x.py', '')

    def test_commands(self):
        self.refused(says='no command; see econtext help')
        self.refused('cal', says='no command cal; did you mean call?')
        self.refused('zzzzzzz', says='no command zzzzzzz; see econtext help')
        self.refused('-w', 'top', says='the command stands first; -w follows it')
        self.refused('topo', says='topo takes check, show or plan')
        self.refused('topo', 'chek', says='topo takes check, show or plan, not chek')
        for word in ('sh', 'doctor', 'up', 'down', 'status'):
            self.refused(word, says=word + ' is not built yet')

    def test_options(self):
        for c in MESHED:
            self.refused(c, '--jsom', says='%s has no option --jsom; did you mean --json?' % c)
            self.refused(c, '-Z', says='%s has no option -Z; see econtext help %s' % (c, c))
            self.refused(c, '-w', says='-w needs a value: TARGETS')
            self.refused(c, '--targets', says='--targets needs a value: TARGETS')
            self.refused(c, '--targets=', says='--targets needs a value that is not empty')
            self.refused(c, '--json=yes', says='--json takes no value')
        self.refused('tree', '-b', '-w', 'top', says='tree has no option -b')
        self.refused('connect', '--json', 'top', 'host', '1', says='connect has no option --json')    # stdout is the connection's
        self.refused('call', '-b', '--json', '-w', 'top', 'os:getpid', says='-b and --json do not go together')

    def test_streams(self):
        self.refused('tunnel', says='tunnel takes a name')
        self.refused('tunnel', '-L', '1:h:2', says='with --exit')
        self.refused('tunnel', '-L', '1:h:2', '-R', '1:h:2', '--exit', 'top', says='one of -L and -R')
        for bad in ('1', 'h:2', ':', '1:2:3:4:5', '[::1:1:h:2', '65536:h:2', '1:h:65536', '1:h:ssh'):
            self.refused('tunnel', '-L', bad, '--exit', 'top', says='-L %s: write [ADDR:]PORT:HOST:PORT' % bad)
        self.refused('socks', '-D', '0', says='socks takes -D [ADDR:]PORT and --exit NODE')
        for bad in ('x', ':', '65536', '80x', '::1:80', 'localhost:', '1:2:3', '/a/path'):
            self.refused('socks', '-D', bad, '--exit', 'top', says='-D %s: write [ADDR:]PORT, a port up to 65535' % bad)
        self.refused('socks', '--user', 'ann', '--exit', 'top', says='$ECONTEXT_SOCKS_PASSWORD')
        self.refused('connect', 'top', says='connect takes NODE HOST PORT')
        self.refused('connect', 'top', 'host', says='connect takes NODE HOST PORT')
        for bad in ('http', '65536', '-1', '', '22x'):
            self.refused('connect', 'top', 'host', bad, says='connect: %s: not a port, a number up to 65535' % bad)
        self.refused('connect', 'tpo', 'host', '1', says='no node named "tpo"')

    def test_overrides(self):
        """As many as a HELLO has room for, beside the longest title and name."""
        name = 'n' * 40
        self.topology('econtext: 1\nnodes: {%s: {local: {}}}\n' % name)
        top = ('call', '-w', name, '--title', 't' * 99)
        for good in ('p' * 78,), ('p' * 38, 'q' * 38):
            self.ends(0, *top, *['--override=' + x for x in good], 'os:getpid')
        for bad in ('p' * 79,), ('p' * 38, 'q' * 39):
            self.refused(*top, *['--override=' + x for x in bad], 'os:getpid', says='override: prefixes are UTF-8, and 80 bytes')

    def test_values(self):
        top = ('call', '-w', 'top')
        for bad in ('0', '16385', '-1', '1x', '', ' 1'):
            self.refused(*top, '-f', bad, 'os:getpid', says='-f')
        self.ends(0, *top, '-f', '16384', 'os:getpid')
        for bad in ('5x', '-1', 'inf', '0x10', '2147483.1', '1 s'):
            self.refused(*top, '-u', bad, 'os:getpid', says='-u %s: not a time' % bad)
        for good in ('2147483', '60', '59.5', '59500ms', '1m', '0', '60s'):
            self.ends(0, *top, '-u', good, 'os:getpid')
        self.refused('exec', '--env', '=x', '-w', 'top', 'true', says='--env =x: write K=V, or K to remove it')
        self.refused('exec', '--env', '', '-w', 'top', 'true', says='write K=V')

        self.ends(0, 'trace', '-w', 'top', '-u', '0')
        for a, b in ('-L', '--local'), ('-R', '-R'), ('--exit', '--exit'):
            self.refused('tunnel', a, '1:a:1', b, '2:b:2', says='%s stands twice: one tunnel at a time' % b)

    def test_everything_but(self):
        self.assertEqual(self.ends(0, 'topo', 'show', '-x', 'n[1-4]').out, self.ends(0, 'topo', 'show', '-w', '@*,!n[1-4]').out)
        self.assertNotIn('> n2', self.ends(0, 'topo', 'plan', '-x', 'n[1-4]').out)

    def test_title(self):
        for bad in 'a\nb', '\t', 'x\x7f', '\udcff':
            self.refused('call', '-w', 'top', '--title', bad, 'os:getpid', says='title: it is UTF-8 without control characters')
        self.ends(0, 'call', '-w', 'top', '--title', 'caf\u00e9 ~', 'os:getpid')

    def test_targets(self):
        for c in MESHED:
            self.refused(c, *LAST[c], says='%s needs targets: -w TARGETS, or -g GROUPS' % c)
            self.refused(c, '-w', 'tpo', *LAST[c], says='no node named "tpo"\n  hint: did you mean "top"?')
            self.refused(c, '-w', 'n[1-5]', *LAST[c], says='no node named "n5"')
            self.refused(c, '-g', 'leavs', *LAST[c], says='did you mean "@leaves"?')
            self.refused(c, '-w', 'n1', '-x', 'n1', *LAST[c], says='everything that is selected is excluded')
            self.refused(c, '-w', 'n[1-', *LAST[c], says='n[1-')

    def test_arguments(self):
        for behind in ('-w', 'top'), ('-wtop',), ('-g', 'leaves'):
            self.refused('exec', 'true', *behind, says='exec needs targets: -w TARGETS, or -g GROUPS, before the first argument')
        self.refused('exec', '-w', 'top', says='exec needs a command')
        self.refused('call', '-w', 'top', says='call needs a function')
        self.refused('run', '-w', 'top', says='run needs a script')
        self.refused('run', '-w', 'top', '/', says='run: / is a folder')
        self.refused('run', '-w', 'top', 'no.py', says='no.py cannot be read: No such file or directory')
        self.refused('call', '-w', 'top', './no.py:f', says='./no.py cannot be read: No such file or directory')
        for bad in ('os', ':f', 'os:'):
            self.refused('call', '-w', 'top', bad, says='%s is not module:function' % bad)
        for late in ('cp', 'a', 'top:b', '-q'), ('cp', 'top:/etc/hostname', '-q'), ('tunnel', 'db', '--topology', 'x.yaml'), \
                ('connect', 'top', 'host', '1', '-v'), ('topo', 'check', 'x.yaml', '-h'), ('tree', 'top', '--topology=x'):
            self.refused(*late, says='%s stands too late: options stand before the first argument' % [x for x in late if x[0] == '-'][0])
        self.assertIn('/etc/nosuch: No such file', self.ends(1, 'cp', '--', 'top:/etc/nosuch', '-q').err)  # a name
        self.refused('call', '-w', 'top', 'os:getpid', '--', 'x', says='after -- come keywords, K=V; x is none')
        self.refused('call', '-w', 'top', 'os:getpid', '--', '=x', says='=x is none')
        for c in ('tree', 'trace'):
            self.refused(c, '-w', 'top', 'n1', says='%s takes no argument n1; targets follow -w' % c)
        for c in ('show', 'plan'):
            self.refused('topo', c, 'top', says='topo %s takes no argument top' % c)
        self.refused('topo', 'check', 'a', 'b', says='topo check takes one file')
        self.refused('preamble', says='preamble takes --size')

    def test_no_topology_file(self):
        del self.env['ECONTEXT_TOPOLOGY']
        self.refused('topo', 'check', says='no topology file: neither $ECONTEXT_TOPOLOGY')
        self.env['ECONTEXT_TOPOLOGY'] = self.path('none.yaml')
        self.refused('tree', '-w', 'top', says='none.yaml: No such file or directory\n  hint: name a topology file')

    def test_help(self):
        everything = self.ends(0, 'help').out
        self.assertEqual(everything, self.ends(0, '--help').out)
        self.assertEqual(everything, self.ends(0, '-h').out)
        self.assertEqual(everything, self.ends(0, 'help', '--help').out)
        self.assertEqual(everything, self.ends(0, 'help', 'help').out)
        topo = self.ends(0, 'help', 'topo').out
        self.assertEqual(topo, self.ends(0, 'topo', '--help').out)
        self.assertEqual(topo, self.ends(0, 'topo', '-h').out)
        for c in COMMANDS:
            self.assertIn('\n  %s ' % c, everything)
            text = self.help_of(c)
            self.assertEqual(text, self.ends(0, 'help', *c.split()).out)
            self.assertEqual(text, self.ends(0, *c.split(), '-h').out)
            self.assertTrue(text.startswith('usage: econtext %s ' % c), text)
            self.assertIn('Exit status: 0 all well', text)
        self.assertRegex(self.ends(0, '--version').out, r'^econtext \d+\.\d+\.\d+\n$')
        self.refused('help', 'cal', says='did you mean call?')

    def test_help_of_a_full_disk(self):
        if not self.full():
            self.skipTest('no /dev/full')
        with open('/dev/full', 'w') as full:
            for args in ('topo', 'check'), ('topo', 'show'), ('topo', 'plan'), ('preamble', '--size'):
                self.assertEqual(self.ends(7, *args, stdout=full).err, 'econtext: writing: No space left on device\n', args)
            end = self.ends(7, 'help', stdout=full)
        self.assertIn('No space left', end.err)

    @staticmethod
    def full():
        try:
            return open('/dev/full', 'w').close() is None
        except OSError:
            return False

    def test_options_are_of_help(self):
        """Each option that help names is taken, bare or with a value: all of them in one line.

        One that takes no value would leave its 1 to end the options. Behind a bare one stands another with its value, which is
        left alone just so if the bare one takes a value.
        """
        for c in MESHED:
            named = [x for x in re.findall(r'--([a-z-]+)( [A-Z=]+)?  ', self.help_of(c)) if x[0] != 'help']
            bare = ['--' + word for word, value in named if not value]
            valued = ['--' + word for word, value in named if value]
            self.assertGreaterEqual(len(valued), len(bare))
            words = []
            for i in range(len(valued)):
                words += bare[i:i + 1] + [valued[i], '1']
            end = self.run_it(c, *words, '--no-such-option')
            self.assertIn('has no option --no-such-option', end.err, (c, words))


class Ends(Case):
    """Where options end."""

    def setUp(self):
        super().setUp()
        self.topology()

    def test_first_positional_ends_options(self):
        end = self.ends(0, 'call', '-w', 'top', 'builtins:max', '3', '-4', '5')
        self.assertEqual(end.out, 'top: 5\n')

    def test_dashes_end_options(self):
        self.ends(0, 'call', '-w', 'top', '--', 'os:getpid')
        end = self.ends(0, 'call', '-w', 'top', '--', 'builtins:sorted', '[1, 3, 2]', '--', 'reverse=true')
        self.assertEqual(end.out, 'top: [3, 2, 1]\n')

    def test_letters_bundle(self):
        end = self.ends(0, 'call', '-qbf1', '-wn[1-2]', 'builtins:len', '[]')
        self.assertIn('n[1-2] (2)', end.out)

    def test_closed_outputs(self):
        """Without stdin, stdout or stderr nothing else takes their place."""
        for closed in ('<&-', '2>&-'):
            got = subprocess.run(['sh', '-c', '"$0" call -w top builtins:len "[]" ' + closed, PROGRAM], env=self.env,
                                 cwd=self.place, stdout=subprocess.PIPE, timeout=60)
            self.assertEqual((got.returncode, got.stdout), (0, b'top: 0\n'), closed)


del Case
