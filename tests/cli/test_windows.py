"""How many children are dialed at once, by a relay and by the master: a played ssh says when it begins, and ends when it is told.

As many begin as there is room for, and each that ends makes room for one. That no other begins is known once several that the
test itself begins then, one after the other, were heard before it.
"""
import os

from support import Case, LIMIT, read_until, subprocess

MASTER_DIALS = 64
MORE = 2
OTHERS = ['other%d' % i for i in range(8)]
SSH = """\
#!/bin/sh
cd "${0%/*}" || exit
while [ "$1" != -- ]; do shift; done
echo begin "$2" >said
read -r go <"$2"
echo end "$2" >said
exit 255
"""
FILE = """\
econtext: 1
defaults: {ssh: {program: %s}}
nodes:
  top: {local: {}, dial_window: %d}
  n[1-%d]: {%s}
"""


class Windows(Case):
    def at_once(self, window, where):
        nodes = ['n%d' % i for i in range(1, window + MORE + 1)]
        self.topology(FILE % (self.write('ssh', SSH, 0o755), window, len(nodes), where))
        self.said, self.heard, begun = os.open(self.fifo('said'), os.O_RDWR), b'', []
        self.addCleanup(os.close, self.said)
        for name in nodes + OTHERS:
            self.fifo(name)
        child = self.start('exec', '-f', '256', '-w', 'n[1-%d]' % len(nodes), 'true')
        for i in range(window):
            begun.append(self.next('begin'))
        for name in OTHERS:
            other = subprocess.Popen([self.path('ssh'), '--', name])
            self.addCleanup(other.wait)
            self.addCleanup(other.kill)
            self.assertEqual(self.next('begin'), name)
            self.ends_now(name)
        for i in range(len(nodes)):
            self.ends_now(begun[i])
            if len(begun) < len(nodes):
                begun.append(self.next('begin'))
        self.assertEqual(sorted(begun), sorted(nodes))
        self.assertEqual(child.wait(LIMIT), 3)

    def ends_now(self, name):
        with open(self.path(name), 'w') as f:
            f.write('go\n')
        self.assertEqual(self.next('end'), name)

    def next(self, what):
        while b'\n' not in self.heard:
            self.heard += read_until(self.said, b'\n')
        line, self.heard = self.heard.split(b'\n', 1)
        word, name = line.decode().split()
        self.assertEqual(word, what, name)
        return name

    def test_dial_window(self):
        self.at_once(2, 'via: top')

    def test_master_dials(self):
        self.at_once(MASTER_DIALS, '')
