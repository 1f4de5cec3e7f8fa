"""The man pages say what the program and the headers have: every command, option, function and key, and no other."""
import glob
import json
import os
import re
import shutil
import subprocess

from support import Case, TOP
from test_usage import COMMANDS

MAN = os.path.join(TOP, 'docs', 'man')


def page(name):
    with open(os.path.join(MAN, name), encoding='utf-8') as f:
        return f.read()


class Man(Case):
    def test_options(self):
        """Both ways: what help names for a command is in the page with that command, and nothing else is."""
        helped = {}
        for c in COMMANDS:
            for letter, word, value in re.findall(r'(?m)^  (?:-(\w), |    )--([a-z-]+)((?: \S+)?) ', self.help_of(c)):
                helped.setdefault((letter, word, value.strip()), set()).add(c)
        text = page('econtext.1')
        options = text[text.index('.Sh OPTIONS'):text.index('.Sh OUTPUT')]
        written = {}
        for item in options.split('.It Fl ')[1:]:
            head = re.match(r'(?:(\w) , Fl )?-([a-z-]+)(?: Ar (\S+))?\n', item)
            self.assertTrue(head, item)
            commands = re.search(r'\.Pq ((?:(?:topo )?[a-z]+(?:, )?)+)\n(?:\.El\n)?(?:\Z|\.Sh|$)', item.rstrip() + '\n')
            self.assertTrue(commands, item)
            written[(head.group(1) or '', head.group(2), head.group(3) or '')] = set(commands.group(1).split(', '))
        self.assertEqual(written, helped)

    def test_commands(self):
        text = page('econtext.1')
        part = text[text.index('.Sh COMMANDS'):text.index('.Sh TARGETS')]
        self.assertEqual(set(re.findall(r'(?m)^\.It Cm (.*)$', part)), set(COMMANDS) | {'help'})
        synopsis = text[text.index('.Sh SYNOPSIS'):text.index('.Sh DESCRIPTION')]
        words = set(re.findall(r'\w+', ' '.join(re.findall(r'(?m)^\.Cm (.*)$', synopsis))))
        self.assertEqual(words, set(' '.join(COMMANDS).split()) | {'help'})

    def test_functions(self):
        declared = set()
        for path in glob.glob(os.path.join(TOP, 'include', 'econtext', '*.h')):
            with open(path, encoding='utf-8') as f:
                code = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
            declared |= set(re.findall(r'\b(ectx_\w+)\([^;{]*;', re.sub(r'#define.*', '', code)))
        self.assertGreater(len(declared), 60)
        text = page('libecontext.3')
        part = text[text.index('.Sh FUNCTIONS'):text.index('.Sh DESCRIPTION')]
        self.assertEqual(set(re.findall(r'\.Fn (ectx_\w+)', part)), declared)

    def test_keys(self):
        """The keys that the loader knows, and those that it says are not built yet."""
        text = page('econtext-topology.5')
        known = set(re.findall(r'\w+', ' '.join(re.findall(r'(?m)^\.(?:It )?Ic (.*)$', text))))
        later = set(re.findall(r'\w+', text[text.index('.Ss Not built yet'):text.index('.Sh FILES')]))
        for name in ('schema.c', 'load.c', 'become.c', 'secrets.c'):
            with open(os.path.join(TOP, 'topology', name), encoding='utf-8') as f:
                source = f.read()
            for key in re.findall(r'SET\("(\w+)"', source) + re.findall(r'\{\.name = "(\w+)"(?!, \.type = ECI_TYPE_LATER)', source):
                self.assertIn(key, known, name)
            for key in re.findall(r'LATER\("(\w+)"\)', source) + re.findall(r'\.name = "(\w+)", \.type = ECI_TYPE_LATER', source):
                self.assertIn(key, later, name)

    def test_keys_that_are_not_built_yet(self):
        """Each where the page says that it is reserved; elsewhere it is an unknown one."""
        text = page('econtext-topology.5')
        both, node, top = (set(re.findall(r'\w+', part)) for part in text[text.index('.Ss Not built yet'):].split(';')[:3])
        with open(os.path.join(TOP, 'topology', 'schema.c'), encoding='utf-8') as f:
            keys = set(re.findall(r'LATER\("(\w+)"\)', f.read()))
        self.assertGreater(len(keys), 10)
        for key in keys | {'profiles', 'include', 'nodes_from', 'overrides'}:
            for reserved, line in ((both, 'defaults: {%s: 1}\nnodes: {n: {local: {}}}'), (top, '%s: 1\nnodes: {n: {local: {}}}'),
                                   (both | node, 'nodes: {n: {local: {}, %s: 1}}')):
                says = key + ': not built yet' if key in reserved else 'unknown key "'
                self.refused('topo', 'check', self.write('f.yaml', 'econtext: 1\n' + line % key + '\n'), says=says)

    def test_built_in_timeouts(self):
        self.topology()
        out = self.ends(0, 'topo', 'show', '-w', 'top').out
        text = page('econtext-topology.5')
        for key, value in re.findall(r'timeout\.(\w+) +(\w+) +built in', out):
            self.assertRegex(text, r'\.Ic %s\n\.Pq %s' % (key, value))

    def test_json_of_cp(self):
        """What is printed, and no more: of what arrived, what did not, and a node that is not there. (Who stands still is tests/patience's, what is logged test_cp's.)"""
        self.topology('econtext: 1\nnodes:\n  n: {local: {}}\n  gone: {local: {}, python: /nosuch, native: never}\n')
        self.write('f', 'text')
        printed = {}
        for status, args in (1, ['f', 'nosuch', 'n:' + self.place + '/d/']), (3, ['gone:/etc/passwd', 'x']):
            for line in self.ends(status, 'cp', '--json', *args).out.splitlines():
                one = json.loads(line)
                self.assertIsInstance(one.pop('t'), float)
                printed.setdefault(one.pop('event'), set()).update(one)
        text = page('econtext.1')
        part = text[text.index('.Cm cp\nhas event and t'):]
        written = re.findall(r'(?m)^\.It (\w+)\n(.*)\n\.br$', part[:part.index('.El')])
        printed['stalled'], printed['log'] = {'node', 'seconds', 'why'}, {'node', 'logger', 'level', 'text'}
        self.assertEqual({event: set(fields.split(', ')) for event, fields in written}, printed)

    def test_they_are_formatted_without_complaint(self):
        for path in sorted(glob.glob(os.path.join(MAN, '*.[0-9]'))):
            for tool in (['mandoc', '-Tlint', '-Wwarning'], ['groff', '-mdoc', '-Tutf8', '-ww']):
                if shutil.which(tool[0]):
                    got = subprocess.run(tool + [path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                    said = got.stdout.decode() if tool[0] == 'mandoc' else ''
                    self.assertEqual((got.returncode, said), (0, ''), path)


del Case
