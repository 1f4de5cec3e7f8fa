"""tree and trace: all contexts with their counters, the hops of a way; JSON is one object a line and nothing else."""
import json
import os
import time

from support import Case

KEYS = {'name', 'id', 'parent', 'transport', 'agent', 'arch', 'python', 'state', 'rtt_us', 'frames_in', 'frames_out', 'bytes_in',
        'bytes_out', 'queued_bytes', 'modules_cached', 'requests_up', 'dials'}


class Tree(Case):
    def setUp(self):
        super().setUp()
        self.topology('econtext: 1\nnodes:\n  top: {local: {}}\n  mid: {via: top, local: {}}\n  n[1-2]: {via: mid, local: {}}\n'
                      '  gone: {via: top, ssh: {program: /bin/false}}\n')

    def test_json(self):
        out = self.ends(0, 'tree', '--json', '-w', 'n[1-2]').out
        tree = {one['name']: one for one in map(json.loads, out.splitlines())}
        self.assertEqual(list(tree)[:3], ['master', 'top', 'mid'])
        self.assertEqual({n: one['parent'] for n, one in tree.items()},
                         {'master': None, 'top': 'master', 'mid': 'top', 'n1': 'mid', 'n2': 'mid'})
        for one in tree.values():
            self.assertLessEqual(KEYS, set(one), one)
            self.assertEqual(one['state'], 'up', one)
        self.assertEqual({n: one['dials'] for n, one in tree.items()}, {'master': 1, 'top': 1, 'mid': 2, 'n1': 0, 'n2': 0})

    def test_table(self):
        lines = self.ends(0, 'tree', '-w', 'n1').out.splitlines()
        self.assertEqual(lines[0].split(), 'CONTEXT AGENT PYTHON STATE RTT IN OUT'.split())
        self.assertEqual([line[:9].rstrip() for line in lines[1:]], ['master', '  top', '    mid', '      n1'])

    def test_a_deep_table(self):
        """Of those at 20 hops and further all stand at the same place."""
        self.topology('econtext: 1\ndefaults: {agent: native}\nnodes:\n  n1: {local: {}}\n' +
                      ''.join('  n%d: {via: n%d, local: {}}\n' % (i, i - 1) for i in range(2, 23)))
        lines = self.ends(0, 'tree', '-w', 'n22').out.splitlines()[1:]
        self.assertEqual([line.index(line.split()[0]) for line in lines], [2 * min(i, 20) for i in range(23)])

    def test_what_cannot_be_reached(self):
        """The rest of the tree is shown all the same."""
        end = self.ends(3, 'tree', '--json', '-w', 'n1,gone')
        self.assertIn('UNREACHABLE gone\n', end.err)
        self.assertIn('n1', [json.loads(line)['name'] for line in end.out.splitlines()])

    def test_the_limit(self):
        """-u is that of the answers. The connecting takes longer here: first of b, whose ssh stops a, then begins late."""
        self.write('ssh', '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\ncase $2 in\na) echo $$ >pid ;;\n'
                   'b) kill -STOP -$(cat pid); sleep 2; : >begins ;;\nesac\necho Authenticated to $2 >&2\nexec sh -c "$3"\n', 0o755)
        self.topology('econtext: 1\ndefaults: {native: never, timeout: {idle: 120s, shell: 120s}, ssh: {program: %s}}\n'
                      'nodes: {a: {}, b: {}}\n' % self.path('ssh'))
        end = self.ends(0, 'tree', '--json', '-f', '1', '-u', '1500ms', '-w', 'a,b')
        took = time.time() - os.stat(self.path('begins')).st_mtime
        states = {one['name']: one['state'] for one in map(json.loads, end.out.splitlines())}
        self.assertEqual((states['a'], set(states)), ('silent', {'master', 'a', 'b'}), end)
        self.assertLess(took, 30)  # the limit where none is given

    def test_trace(self):
        out = self.ends(0, 'trace', '-w', 'n2').out
        self.assertRegex(out, r'^n2:  1  top +\d+(\.\d+)? ms\nn2:  2  mid +\d+(\.\d+)? ms\nn2:  3  n2 +\d+(\.\d+)? ms\n$')
        hops = [json.loads(line) for line in self.ends(0, 'trace', '--json', '-w', 'n2').out.splitlines()]
        self.assertEqual([(h['target'], h['hop'], h['name']) for h in hops], [('n2', 1, 'top'), ('n2', 2, 'mid'), ('n2', 3, 'n2')])
        self.assertTrue(all(h['rtt_us'] > 0 for h in hops))


class NoShell(Case):
    """A native agent below the master, or below a native one, on the same machine is executed and needs no shell to start it."""

    def test_native_below_native(self):
        self.topology('econtext: 1\ndefaults: {agent: native}\nnodes:\n  top: {local: {}}\n  mid: {via: top, local: {}}\n  n: {via: mid, local: {}}\n'
                      '  asks: {via: mid, local: {}, python: /usr/bin/python3}\n')
        self.env['PATH'] = self.path('nothing')
        self.assertEqual(self.ends(0, 'exec', '-w', 'top,mid,n', '--', '/bin/echo', 'here').out.count('here'), 3)
        tree = [json.loads(line) for line in self.ends(0, 'tree', '--json', '-w', 'n').out.splitlines()]
        self.assertEqual([(one['agent'], one['arch']) for one in tree[1:]], [('native', os.uname().machine)] * 3)
        self.assertIn('sh: No such file', self.ends(3, 'exec', '-w', 'asks', '--', '/bin/true').err)


class Preamble(Case):
    def test_sizes(self):
        """The budget of the first issue: what sshd is given to execute, and the agent as it is sent."""
        lines = self.ends(0, 'preamble', '--size').out.splitlines()
        sizes = {name: int(n) for name, n in (line.rsplit(None, 1) for line in lines)}
        self.assertEqual(list(sizes)[:2], ['command', 'python'])
        self.assertLessEqual(sizes['command'], 240)
        self.assertLessEqual(sizes['python'], 3600)


del Case
