"""Exit statuses: one test for each class of failure, and the order when several came."""
import os
import re
import shutil

from support import Case, HERE

PLAYED = """\
econtext: 1
defaults: {timeout: {connect: 5s, auth: 5s, boot: 20s, shell: 2s}, ssh: {program: %s}}
nodes:
  good: {}
  "[unknown,closed,far,denied,changed,dropped,silent,exits,nopy]": {}
  here: {local: {}}
  deep: {via: here}
  deep-denied: {via: here, ssh: {host: denied}}
  relay: {local: {}, agent: python}
  behind: {via: relay, local: {}, agent: python}
"""


class Statuses(Case):
    def setUp(self):
        super().setUp()
        fake = os.path.join(HERE, 'data', 'fake-ssh')
        self.topology(PLAYED % fake)
        shutil.copy(os.path.join(HERE, 'data', 'prog.py'), self.place)
        os.mkdir(self.path('bin'))
        os.symlink(shutil.which('sh'), self.path('bin/sh'))
        for tool in ('uname', 'stty'):
            os.symlink(shutil.which(tool), self.path('bin/' + tool))
        self.env['FAKE_PATH'] = self.path('bin')

    def fails(self, status, targets, word, phase, code, *more):
        """As text, which is self.told, and as JSON."""
        end = self.ends(status, 'call', '-w', targets, *(more or ('os:getpid',)))
        self.assertTrue(end.err.startswith('%s %s\n' % (word, targets)), end)
        self.assertIn('\n  phase    %s' % phase, end.err)
        self.told = end.err
        end = self.ends(status, 'call', '--json', '-w', targets, *(more or ('os:getpid',)))
        self.assertEqual([x for x in end.events() if x['event'] == 'result'][-1]['error']['code'], code)
        return end

    def test_6_how_it_ended(self):
        """Called code that ends its process: below the master, a native relay, a Python one, and behind (a stand-in for) ssh."""
        for node in 'here', 'deep', 'relay', 'behind', 'good':
            for saw, *call in ('exit status 3', 'os:_exit', '3'), ('ended by signal 6', 'os:abort'):
                end = self.fails(6, node, 'UNKNOWN', 'lost', 'lost-running', *call)
                self.assertEqual([x for x in end.events() if x['event'] == 'result'][-1]['error']['saw'], 'eof: ' + saw, node)

    def test_0(self):
        self.ends(0, 'call', '-w', 'good,here,deep', 'os:getpid')

    def test_1(self):
        self.fails(1, 'good', 'FAILED', 'call', 'exception', './prog.py:boom')

    def test_2(self):
        self.refused('call', '-w', 'nobody', 'os:getpid', says='no node named "nobody"')

    def test_3(self):
        for name, phase, code in (('unknown', 'resolve', 'unknown-host'), ('closed', 'connect', 'connection-refused'),
                                  ('far', 'connect', 'host-unreachable'), ('changed', 'hostkey', 'hostkey-changed'),
                                  ('exits', 'shell', 'shell-exited'), ('nopy', 'boot', 'no-python')):
            self.fails(3, name, 'UNREACHABLE', phase, code)

    def test_3_dropped(self):
        """What its hint tells to lower is a key, and a number."""
        self.fails(3, 'dropped', 'UNREACHABLE', 'connect', 'connection-dropped')
        key = re.search(r'lower (\w+)', self.told).group(1)
        self.ends(0, 'topo', 'check', self.write('lower.yaml', 'econtext: 1\nnodes: {n: {local: {}, %s: 2}}\n' % key))

    def test_3_early_bytes(self):
        """A Python that prints behind the marker, when the agent imports: what it prints is shown, whoever started it."""
        self.topology('econtext: 1\nnodes:\n  leaf: {local: {}, python: %s/noisy}\n  native: {local: {}, native: always}\n'
                      '  python: {local: {}, native: never}\n  of-native: {via: native, local: {}, python: %s/noisy}\n'
                      '  of-python: {via: python, local: {}, python: %s/noisy}\n' % ((self.place,) * 3))
        self.write('noisy', '#!/bin/sh\nPYTHONPATH=%s/noise exec python3 "$@"\n' % self.place, 0o755)
        os.mkdir(os.path.join(self.place, 'noise'))
        for text, seen in (r'Hello \x1b[1m\n', r'Hello \x1b[1m\x0a'), ('x' * 200, 'x' * 200), ('sudo: no', 'sudo: no'):
            self.write('noise/struct.py', 'import os, time\nos.write(1, b"%s")\ntime.sleep(1)\nfrom _struct import *\n' % text)
            for node in 'leaf', 'of-native', 'of-python':
                self.fails(3, node, 'UNREACHABLE', 'boot', 'early-bytes')
                self.assertIn('  saw      "%s"\n' % seen, self.told)

    def test_3_no_answer(self):
        """The limit that ended it is the one that is said, whoever is the parent."""
        self.topology('econtext: 1\ndefaults: {python: %s/mute, timeout: {idle: 1s, boot: 20s}}\nnodes:\n  leaf: {local: {}, agent: python}\n'
                      '  native: {local: {}, native: always}\n  python: {local: {}, native: never, python: python3, timeout: {idle: 15s}}\n'
                      '  of-native: {via: native, local: {}, agent: python}\n  of-python: {via: python, local: {}, agent: python}\n'
                      '  soon: {local: {}, agent: python, timeout: {idle: 20s, boot: 1s}}\n' % self.place)
        self.write('mute', '#!/bin/sh\nexec sleep 60\n', 0o755)
        for node, limit in ('leaf', 'idle'), ('of-native', 'idle'), ('of-python', 'idle'), ('soon', 'boot'):
            self.fails(3, node, 'UNREACHABLE', 'boot', 'boot-timeout')
            self.assertRegex(self.told, r'  phase    boot, after \d+\.\d s of 1 s\n  saw      "no [^()]*"\n  hint     .*timeout\.' + limit)

    def test_3_no_python(self):
        """What is recommended can be done: not what the topology forbids."""
        fake = os.path.join(HERE, 'data', 'fake-ssh')
        for agent in 'native: never', 'agent: python':
            self.topology('econtext: 1\ndefaults: {ssh: {program: %s}}\nnodes:\n  nopy: {%s}\n' % (fake, agent))
            end = self.ends(3, 'call', '-w', 'nopy', 'os:getpid')
            self.assertIn('but native: never, or agent: python, forbids it', end.err)
            self.assertNotIn('agent: native', end.err)

    def test_3_silent(self):
        end = self.ends(3, 'call', '-t', '500ms', '-w', 'silent', 'os:getpid')
        self.assertIn('UNREACHABLE silent\n', end.err)
        self.assertIn('  phase    connect, after 0.5 s of 0.5 s\n', end.err)
        self.assertIn('not connected within -t', end.err)

    def test_4(self):
        self.fails(4, 'denied', 'REFUSED', 'auth', 'auth-refused')
        end = self.fails(4, 'deep-denied', 'REFUSED', 'auth', 'auth-refused')
        self.assertEqual(end.result()['error']['path'], 'here > deep-denied')

    def test_5(self):
        self.fails(5, 'here', 'DEADLINE', 'call', 'deadline', '-u', '300ms', 'time:sleep', '60')

    def test_6(self):
        end = self.ends(6, 'call', '-w', 'here', './prog.py:die')
        self.assertIn('UNKNOWN here\n', end.err)
        self.assertIn('hint     the link ended while it ran: whether it finished is not known', end.err)

    def test_of_several(self):
        self.ends(4, 'call', '-w', 'denied,unknown,good', 'os:getpid')
        self.ends(3, 'call', '-w', 'good,unknown', 'os:getpid')
        self.ends(6, 'call', '-w', 'denied,here,good', './prog.py:die')
        end = self.ends(4, 'call', '--json', '-w', 'denied,unknown,good', 'os:getpid')
        total = end.events()[-1]
        self.assertEqual([total[k] for k in ('event', 'ok', 'unreachable', 'refused')], ['summary', 1, 1, 1])

    def test_blocks_stand_in_the_order_of_targets(self):
        err = self.ends(4, 'call', '-w', 'far,good,denied,unknown', 'os:getpid').err
        self.assertEqual([line.split()[1] for line in err.splitlines() if line[0] != ' '], ['far', 'denied', 'unknown'])

    def test_a_relay_and_those_behind_it_are_one_block(self):
        """Not where there are two such relays, as each block tells the name of one."""
        self.topology('econtext: 1\ndefaults: {agent: python}\nnodes:\n  p[1-2]: {local: {}, python: /nosuch}\n'
                      '  d[1-2]: {via: p1, local: {}}\n  e: {via: p2, local: {}}\n')

        def heads(targets):
            end = self.ends(3, 'exec', '-w', targets, 'true')
            return [line for line in end.err.splitlines() if line[0] != ' ' or line.startswith('  at hop')]
        self.assertEqual(heads('p1,d1,d2'), ['UNREACHABLE d[1-2],p1', '  at hop   p1'])
        self.assertEqual(heads('d2,p1,e'), ['UNREACHABLE d2,p1', '  at hop   p1', 'UNREACHABLE e', '  at hop   p2'])
        self.assertEqual(heads('p1,p2,d1,e'), ['UNREACHABLE p[1-2]', '  at hop   p1', 'UNREACHABLE d1', '  at hop   p1',
                                               'UNREACHABLE e', '  at hop   p2'])

    def test_what_failed_at_targets_is_one_block_whatever_the_way(self):
        """The way stands there if they share it, and one that cannot be reached is told with its way."""
        self.topology('econtext: 1\ndefaults: {agent: python}\nnodes:\n  p[1-2]: {local: {}}\n  d[1-4]: {via: "p[1-2]", local: {}}\n'
                      '  e[1-2]: {via: "p[1-2]", local: {}, python: /nosuch}\n')

        def heads(status, *args):
            end = self.ends(status, *args)
            return [line for line in end.err.splitlines() if line[0] != ' ' or line.startswith('  at hop')]
        self.assertEqual(heads(1, 'exec', '-w', 'd[1-4]', 'exit 3'), ['FAILED d[1-4]'])
        self.assertEqual(heads(1, 'exec', '-w', 'd1,d3', 'kill -9 $$'), ['FAILED d[1,3]', '  at hop   p1 > d1'])
        self.assertEqual(heads(1, 'exec', '-w', 'd[1-3],p2', '--', '/nosuch', '1'), ['FAILED d[1-3],p2'])
        self.assertEqual(heads(1, 'call', '-w', 'd[1-4]', 'os:stat', '/nosuch'), ['FAILED d[1-4]'])
        self.assertEqual(heads(3, 'exec', '-w', 'e[1-2]', 'true'),
                         ['UNREACHABLE e1', '  at hop   p1 > e1', 'UNREACHABLE e2', '  at hop   p2 > e2'])

    def test_never_here_instead(self):
        """A target that cannot be reached runs nothing, anywhere."""
        mark = self.path('mark')
        self.ends(3, 'call', '-w', 'unknown', 'os:mkdir', mark)
        self.ends(2, 'call', '-w', 'undeclared', 'os:mkdir', mark)
        self.assertFalse(os.path.exists(mark))


del Case
