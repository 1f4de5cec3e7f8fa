"""Completion for bash and zsh: what it answers at a cursor, and that it knows what the program's help says. Two tests have a terminal,
where it is the shell that cuts the words and joins the answer."""
import os
import re
import shutil
import subprocess
import unittest

from support import BUILD, Case, PROGRAM, TOP, own_terminal, read_until, terminal
from test_usage import COMMANDS

SCRIPT = os.path.join(TOP, 'contrib', 'completion', 'econtext.bash')
TREE = """\
econtext: 1
nodes:
  bastion: {local: {}}
  web[1-2]: {via: bastion, local: {}, groups: [web, all-of-them]}
  db1: {via: bastion, local: {}, groups: [db], become: [{as: root}]}
"""
ASK = r"""
source "$1"
COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=("${@:3}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_econtext econtext && printf '%s\n' "${COMPREPLY[@]}"
"""


def cut(line):
    """The words as bash has them: cut at blanks and at what is in COMP_WORDBREAKS."""
    words = re.findall(r'[:=@]+|[^\s:=@]+', line)
    return words + [''] if line[-1] in ' :=@' else words


class Completion(Case):
    def setUp(self):
        super().setUp()
        self.topology(TREE)
        self.env['PATH'] = BUILD + ':' + self.env['PATH']

    def complete(self, line):
        done = subprocess.run(['bash', '--norc', '-c', ASK, 'bash', SCRIPT, line] + cut(line), cwd=self.place, env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.stderr, b'', line)
        return set(done.stdout.decode().split())

    def answers(self, line, *words):
        self.assertEqual(self.complete(line), set(words), line)

    def test_commands(self):
        everything = {c.split()[0] for c in COMMANDS} | {'help', '--version'}
        self.assertEqual(self.complete('econtext '), everything)
        self.answers('econtext t', 'tree', 'trace', 'tunnel', 'topo')
        self.answers('econtext topo ', 'check', 'show', 'plan')
        self.answers('econtext help co', 'connect')
        self.answers('econtext --v', '--version')
        self.answers('econtext nosuch ')

    def test_every_option_of_the_help_is_offered(self):
        for command in COMMANDS:
            helped = self.help_of(command)
            options = set(re.findall(r'(?m)^  (?:-\w, |    )(--[a-z-]+)', helped)) | set(re.findall(r'(?m)^  (-\w), ', helped))
            self.assertIn('--help', options)
            self.assertEqual(self.complete('econtext %s -' % command), options, command)

    def test_targets(self):
        self.answers('econtext exec -w ', 'bastion', 'web1', 'web2', 'db1', 'db1:root')
        self.answers('econtext exec -bw web', 'web1', 'web2')
        self.answers('econtext exec --targets web1,d', 'web1,db1', 'web1,db1:root')
        self.answers('econtext exec --targets=web1,!w', 'web1,!web1', 'web1,!web2')
        self.answers('econtext tree -w @', '@web', '@db', '@all-of-them')
        self.answers('econtext tree -w web1,@d', '@db')  # bash has cut it there
        self.answers('econtext call -w db1:r', 'root')
        self.answers('econtext run -g db,w', 'db,web')
        self.answers('econtext socks --exit=d', 'db1', 'db1:root')
        self.answers('econtext connect b', 'bastion')
        self.answers('econtext connect bastion ')

    def test_another_topology(self):
        self.write('other.yaml', 'econtext: 1\nnodes: {elsewhere: {local: {}}}\n')
        self.answers('econtext exec --topology other.yaml -w ', 'elsewhere')
        self.answers('econtext exec --topology=other.yaml -w ', 'elsewhere')
        self.env['HOME'] = self.place
        self.answers('econtext exec --topology ~/other.yaml -w ', 'elsewhere')  # typed; expanded when it is run
        self.answers('econtext exec --topology=~/other.yaml -w ')               # which this is not
        self.write('wrong.yaml', 'nodes: [')
        self.answers('econtext exec --topology wrong.yaml -w ')
        self.answers('econtext exec --topology ', 'other.yaml', 'wrong.yaml', 'topology.yaml')

    def test_files(self):
        self.write('tool.py', '')
        self.write('b.txt', '')
        self.answers('econtext run -w web1 to', 'tool.py', 'topology.yaml')
        self.answers('econtext run -w web1 -- b', 'b.txt')
        self.answers('econtext exec -w web1 --cwd=b')  # no folder
        self.answers('econtext exec -w web1 cat -- -')  # not ours any more
        self.answers('econtext cp -q b', 'bastion:', 'b.txt')
        self.answers('econtext cp ./b', './b.txt')
        self.answers('econtext cp b.txt @we', '@web:')
        self.answers('econtext cp b.txt db1:r', 'root:')
        self.answers('econtext cp b.txt db1:/t')
        self.assertIn('env', self.complete('econtext exec -w web1 env'))

    def test_without_the_program(self):
        self.env['PATH'] = os.path.dirname(shutil.which('sed'))
        if not shutil.which('econtext', path=self.env['PATH']):
            self.answers('econtext exec -w ')

    @unittest.skipUnless(shutil.which('shellcheck'), 'no shellcheck here')
    def test_lint(self):
        done = subprocess.run(['shellcheck', SCRIPT], stdout=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, ''))

    def prompt(self, *argv):
        """A shell at a terminal, with a function that stands for the program in what is run, and calls it for what is asked."""
        ours, theirs = terminal()
        self.addCleanup(os.close, ours)
        self.env.update(PS1='> ', TERM='dumb', INPUTRC='/dev/null', HISTFILE='/dev/null')
        child = subprocess.Popen(argv, cwd=self.place, env=self.env, stdin=theirs, stdout=theirs, stderr=theirs,
                                 preexec_fn=lambda: own_terminal(theirs))
        os.close(theirs)
        self.addCleanup(lambda: (child.kill(), child.wait()))
        return ours

    def source(self, ours, before=''):
        text = ['econtext() { case $1 in help | topo) "%s" "$@" ;; *) echo "<$*>" ;; esac; }' % PROGRAM, before + 'source ' + SCRIPT]
        self.write('rc', '\n'.join(text) + '\n')
        os.write(ours, b'. ./rc; echo rea""dy\n')
        read_until(ours, b'ready\r\n')

    LINES = ((b'exe\t-w @we\tx', b'exec -w @web x'), (b'exec -w web1,@we\tx', b'exec -w web1,@web x'),
             (b'exec -w db1:r\tx', b'exec -w db1:root x'), (b'exec --targets=bas\t-b', b'exec --targets=bastion -b'),
             (b'cp topo\tdb1:r\t/x', b'cp topology.yaml db1:root:/x'), (b'exec --con\t2s', b'exec --connect-timeout 2s'),
             (b'run -w bas\ta\\ fi\tx', b'run -w bastion a file x'), (b'exec --cwd=tm\tx', b'exec --cwd=tmp/x'))

    def typed(self, ours):
        self.write('a file', '')
        os.mkdir(self.path('tmp'))
        for typed, line in self.LINES:
            os.write(ours, b'econtext ' + typed + b'\n')
            read_until(ours, b'<' + line + b'>')

    def test_at_a_prompt(self):
        """Without the bash-completion package."""
        ours = self.prompt('bash', '--norc', '--noprofile', '-i')
        self.source(ours)
        self.typed(ours)

    @unittest.skipUnless(shutil.which('zsh'), 'no zsh here')
    def test_at_a_prompt_of_zsh(self):
        ours = self.prompt('zsh', '-f', '-i')
        self.source(ours, 'unset zle_bracketed_paste; autoload -U compinit bashcompinit; compinit -u -D; bashcompinit; ')
        self.typed(ours)


del Case
