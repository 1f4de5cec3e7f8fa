"""Node sets on the command line: what -w, -x and -g mean, in which order, and how names are folded again."""
import json

from support import Case

SETS = """\
econtext: 1
nodes:
  web[001-012]: {local: {}, groups: [web, prod]}
  "web[020,030]": {local: {}, groups: [web]}
  "r[1-2]n[1-3]": {local: {}, groups: [racks]}
  "relay-[a,b]": {local: {}}
  db1: {local: {}, groups: [prod], become: [{as: app, method: sudo}, {as: root, method: su}]}
"""


class Sets(Case):
    def setUp(self):
        super().setUp()
        self.topology(SETS)

    def names(self, *args):
        out = self.ends(0, 'topo', 'plan', '--json', *args).out
        return [json.loads(line)['name'] for line in out.splitlines()]

    def are(self, args, want):
        self.assertEqual(self.names(*args), want.split(), args)

    def test_selected(self):
        self.are(['-w', 'web[009-011]'], 'web009 web010 web011')
        self.are(['-w', 'web[001-009/4]'], 'web001 web005 web009')
        self.are(['-w', 'web[003,001,020]'], 'web003 web001 web020')
        self.are(['-w', 'r[1-2]n[2-3]'], 'r1n2 r1n3 r2n2 r2n3')
        self.are(['-w', 'relay-[b,a]'], 'relay-b relay-a')
        self.are(['-w', 'db1,web001,db1'], 'db1 web001')
        self.are(['-w', 'web001', '-w', 'db1'], 'web001 db1')
        self.are(['-w', ' web001 , db1 '], 'web001 db1')

    def test_groups(self):
        self.are(['-w', '@racks'], 'r1n1 r1n2 r1n3 r2n1 r2n2 r2n3')
        self.are(['-g', 'racks'], 'r1n1 r1n2 r1n3 r2n1 r2n2 r2n3')
        self.are(['-w', 'db1', '-g', 'racks,prod', '-x', 'web[001-012]'], 'db1 r1n1 r1n2 r1n3 r2n1 r2n2 r2n3')
        self.are(['-w', '@prod:app'], 'db1:app')

    def test_excluded(self):
        self.are(['-w', '@racks,!r1n[1-3]'], 'r2n1 r2n2 r2n3')
        self.are(['-w', '!r1n[1-3],@racks'], 'r2n1 r2n2 r2n3')
        self.are(['-w', '@racks', '-x', 'r[1-2]n1,r2n[1-3]'], 'r1n2 r1n3')
        self.are(['-w', '@web,!@prod'], 'web020 web030')

    def test_excluded_ad_hoc(self):
        """A host without who one becomes there, with a file and without; a host behind it is another."""
        way = 'r1n1/h1:root,r1n1/h2:root,r1n1/h1:a:b'
        self.are(['-w', way, '-x', 'r1n1/h1'], 'r1n1/h2:root')
        self.are(['-w', way, '-x', 'r1n1/h1:a'], 'r1n1/h1:root r1n1/h2:root')
        self.are(['-w', '!r1n1/h1,' + way], 'r1n1/h2:root')
        self.are(['-w', 'r1n1/h1:root/h3,r1n1/h1', '-x', 'r1n1/h1'], 'r1n1/h1:root/h3')
        self.refused('topo', 'plan', '-w', 'r1n1/h1:root', '-x', 'r1n1/h1', says='everything that is selected is excluded')

    def test_steps(self):
        self.are(['-w', 'db1:app'], 'db1:app')
        self.are(['-w', 'db1:root,db1'], 'db1:root db1')
        self.refused('topo', 'plan', '-w', 'db1:ap', says='did you mean "db1:app"?')

    def test_malformed(self):
        for bad in ('web[001', 'web]001[', 'web[2-1]', 'web[1-2/0]', 'web[]', 'web[1,,2]', 'web[a-c]', '@', '!', 'web[[1]]', ','):
            self.refused('topo', 'plan', '-w', bad, says='econtext: ')

    def test_without_targets_all(self):
        self.assertEqual(len(self.names()), 12 + 2 + 6 + 2 + 3)

    def test_folded(self):
        end = self.ends(0, 'call', '-b', '-w', 'web[001-003,020],r[1-2]n1,relay-a', 'builtins:len', '[]')
        self.assertEqual(end.out, '---------------\nr[1-2]n1,relay-a,web[001-003,020] (7)\n---------------\n0\n')


del Case
