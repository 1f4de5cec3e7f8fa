"""call: arguments and values, the three forms of output, log records, exceptions."""
import json
import os
import re
import shutil

from support import Case, HERE, LIMIT, subprocess, time

CLOCK = r'\d\d:\d\d:\d\d '


class Calls(Case):
    def setUp(self):
        super().setUp()
        self.topology()
        shutil.copy(os.path.join(HERE, 'data', 'prog.py'), self.place)

    def value(self, *args):
        end = self.ends(0, 'call', '-w', 'top', *args)
        self.assertEqual(end.out[:5], 'top: ')
        return end.out[5:-1]

    def test_arguments(self):
        got = self.value('./prog.py:echo', '1', '"3"', 'x', '[1,2.5,null]', '', '{', '-1e3', '--', 'k=v', 'n=true', 'e=', 'u=a=b')
        self.assertEqual(json.loads(got), [[1, '3', 'x', [1, 2.5, None], '', '{', -1000.0], {'k': 'v', 'n': True, 'e': '', 'u': 'a=b'}])

    def test_values(self):
        self.assertEqual(self.value('./prog.py:big'), str(2 ** 100))
        self.assertEqual(self.value('./prog.py:raw'), '{"$bytes": "/wA="}')
        self.assertEqual(self.value('./prog.py:Kind.name'), '"Kind"')
        self.assertEqual(self.value('os:getpid').isdigit(), True)
        self.assertEqual(self.value('./prog.py:echo', 'a\nb'), '[["a\\nb"], {}]')

    def test_lines(self):
        end = self.ends(0, 'call', '-w', 'n[1-4]', './prog.py:same')
        self.assertEqual(sorted(end.out.splitlines()), ['n%d: "same"' % i for i in (1, 2, 3, 4)])
        self.assertEqual(end.err, '')

    def test_folded(self):
        end = self.ends(0, 'call', '-b', '-w', 'n[1-4],top', './prog.py:same')
        self.assertEqual(end.out, '---------------\nn[1-4],top (5)\n---------------\n"same"\n')

    def test_json(self):
        end = self.ends(1, 'call', '--json', '-w', 'n[1-2]', './prog.py:boom')
        events = [e for e in end.events() if e['event'] != 'progress']
        self.assertEqual([e['event'] for e in events], ['result', 'result', 'summary'])
        self.assertTrue(all(isinstance(e['t'], float) for e in events))
        self.assertEqual({e['node'] for e in events[:2]}, {'n1', 'n2'})
        one = events[0]
        self.assertEqual((one['status'], one['error']['code'], one['error']['phase']), ('failed', 'exception', 'call'))
        self.assertEqual(one['error']['path'], 'top > ' + one['node'])
        self.assertIn('Odd: bad \033[31m thing', one['error']['detail'])
        total = events[2]
        self.assertEqual([total[k] for k in ('ok', 'failed', 'unreachable', 'refused', 'deadline', 'unknown')], [0, 2, 0, 0, 0, 0])
        self.assertEqual(end.err, '')

    def test_json_values(self):
        end = self.ends(0, 'call', '--json', '-w', 'top', './prog.py:say')
        logs = [(e['node'], e['logger'], e['level'], e['text']) for e in end.events() if e['event'] == 'log']
        self.assertIn(('top', 'stdout', 20, 'out \033[2J'), logs)
        self.assertIn(('top', 'stderr', 20, 'err'), logs)
        self.assertIn(('top', 'root', 30, 'warned 3\n18:00:00 I econtext.top: forged'), logs)
        self.assertEqual(end.result()['value'], None)
        self.assertEqual(end.result()['status'], 'ok')

    def test_logs(self):
        end = self.ends(0, 'call', '-w', 'n1', './prog.py:say')
        self.assertEqual(end.out, 'n1: null\n')
        lines = end.err.splitlines()
        for want in (r'I econtext\.n1: stdout: out \\x1b\[2J', r'I econtext\.n1: stdout: line 2', r'I econtext\.n1: stderr: err',
                     r'W econtext\.n1: root: warned 3\\n18:00:00 I econtext\.top: forged|'
                     r'W econtext\.n1: root: warned 3\\x0a18:00:00 I econtext\.top: forged', r'I econtext\.n1: stdout: child'):
            self.assertTrue(any(re.match('%s(?:%s)$' % (CLOCK, want), line) for line in lines), (want, lines))
        self.assertEqual(len(lines), 5, lines)
        self.assertNotIn('\033', end.err)

    def test_nul_in_traceback(self):
        end = self.ends(1, 'call', '--json', '-w', 'top', './prog.py:nul')
        detail = [e for e in end.events() if e['event'] == 'result'][0]['error']['detail']
        self.assertIn('ValueError: a\\x00b\n', detail)
        self.assertIn('second', detail.splitlines()[-1])

    def flooded(self, agent, n):
        """n lines printed behind two relays, of which the first stands still meanwhile: how many came, and how many each node says it lost."""
        self.topology('econtext: 1\nnodes:\n  near: {local: {}%s}\n  mid: {via: near, local: {}%s}\n  far: {via: mid, local: {}}\n' % (agent, agent))
        end = self.ends(0, 'call', '--json', '-w', 'far', './prog.py:flood', str(n))
        lost, came = {}, 0
        for e in end.events():
            if e['event'] == 'log' and e['logger'] == 'stdout':
                came += 1
                self.assertEqual(e['text'], 'x' * 63)
            elif e['event'] == 'log':
                number, text = e['text'].split(' ', 1)
                self.assertEqual((e['logger'], e['level'], text), ('econtext', 30, 'log records or printed lines dropped'))
                lost[e['node']] = lost.get(e['node'], 0) + int(number)
        return came, lost

    def test_lines_lost_at_a_relay_are_said(self):
        for agent in ', native: never', ', agent: native':
            with self.subTest(agent):
                came, lost = self.flooded(agent, 60000)
                self.assertEqual(came + sum(lost.values()), 60000, lost)
                # (near loses some as well, where the master is slower than it.)
                self.assertTrue('mid' in lost and set(lost) <= {'mid', 'near'}, lost)
                self.assertGreater(came, 1000)

    def test_lines_that_find_room_are_not_lost(self):
        self.assertEqual(self.flooded('', 10000), (10000, {}))

    def test_lines_without_end(self):
        """The result is there, and whose stderr is read at a quarter of the pace ends all the same, and says what it has not shown."""
        counter = self.write('counter', '')
        child = self.start('call', '-w', 'n1', './prog.py:chatter', counter, stderr=subprocess.PIPE)
        lines = bytearray()
        while child.poll() is None:
            self.assertLess(len(lines), 48 << 20, 'more than all that may wait, and a second')
            if os.stat(counter).st_size >= 4 * len(lines):
                lines += os.read(child.stderr.fileno(), 65536)
            else:
                time.sleep(.001)
        lines += child.stderr.read()
        self.assertEqual((child.returncode, child.stdout.read()), (0, b'n1: null\n'), lines[-500:])
        self.assertRegex(lines.splitlines()[-1].decode(), r'econtext\.master: econtext: \d+ log records or printed lines dropped$')

    def test_log_level(self):
        self.assertRegex(self.ends(0, 'call', '-v', '-w', 'n1', './prog.py:say').err, CLOCK + r'D econtext\.n1: root: debugged\n')
        self.assertEqual(self.ends(0, 'call', '-q', '-w', 'n1', './prog.py:say').err, '')

    def test_exception(self):
        end = self.ends(1, 'call', '-w', 'n1', './prog.py:boom')
        self.assertEqual(end.out, '')
        self.assertRegex(end.err, r'''^FAILED n1
  at hop   top > n1
  phase    call
  saw      "(prog\.)?Odd: bad \\x1b\[31m thing"
  remote   Traceback \(most recent call last\):
(             .*
)*           (prog\.)?Odd: bad \\x1b\[31m thing
$''')

    def test_equal_failures_are_one_block(self):
        end = self.ends(1, 'call', '-w', 'n[1-4]', './prog.py:boom')
        self.assertEqual(end.err.count('FAILED'), 1, end.err)
        self.assertIn('FAILED n[1-4]\n', end.err)

    def test_what_cannot_travel(self):
        end = self.ends(1, 'call', '-w', 'top', './prog.py:odd')
        self.assertIn('object', end.err)
        self.assertIn('hint     return numbers, text, bytes', end.err)
        self.assertNotIn('remote', end.err)     # all frames are the agent's
        self.write('nan.py', 'def f():\n    return {float("nan"): 1, float("nan"): 2}\n')
        end = self.ends(1, 'call', '-w', 'top', './nan.py:f')
        self.assertIn('"a map key occurs twice, as NaN may in a dict"', end.err)

    def test_text_that_is_not_utf8(self):
        self.write('names.py', 'import os\ndef f(place, how):\n    names = os.listdir(place)\n'
                   '    return names if how == "returned" else [os.fsencode(x) for x in names] if how == "encoded" else names[0].encode()\n')
        os.mkdir(self.path('names'))
        open(os.path.join(self.path('names').encode(), b'\xff\xfe'), 'w').close()
        for how in 'returned', 'raised':
            err = self.ends(1, 'call', '-w', 'top', './names.py:f', self.path('names'), how).err
            self.assertIn('surrogates not allowed"\n', err)
            self.assertIn('  hint     text that is not UTF-8, as a file\'s name may be: os.fsencode() makes it bytes, which travel\n', err)
        self.assertEqual(self.value('./names.py:f', self.path('names'), 'encoded'), '[{"$bytes": "//4="}]')

    def test_keys_that_are_no_text(self):
        """Become it, and may read as another: as the manual says."""
        self.write('keys.py', 'def f():\n    return {1: "a", "1": "b"}\n')
        self.assertEqual(self.value('./keys.py:f'), '{"1": "a", "1": "b"}')

    def test_not_found(self):
        self.assertIn("no attribute 'nothing'", self.ends(1, 'call', '-w', 'top', './prog.py:nothing').err)
        self.assertIn("No module named 'no_such_module'", self.ends(1, 'call', '-w', 'top', 'no_such_module:f').err)

    def test_imports_from_roots(self):
        os.mkdir(self.path('lib'))
        self.write('lib/mine.py', 'def f(): return "from lib"\n')
        self.assertEqual(self.value('--root', 'lib', 'mine:f'), '"from lib"')
        self.ends(1, 'call', '-w', 'top', 'mine:f')
        self.ends(1, 'call', '-w', 'top', '--root', 'lib', '--exclude', 'mine', 'mine:f')
        self.ends(1, 'call', '-w', 'top', '--root', 'lib', '--include', 'other', 'mine:f')
        self.assertIn('--root lob: No such file', self.ends(2, 'call', '-w', 'top', '--root', 'lib', '--root', 'lob', 'mine:f').err)
        self.assertIn('--root lib/mine.py: Not a directory', self.ends(2, 'call', '-w', 'top', '--root', 'lib/mine.py', 'mine:f').err)

    def test_relays_that_import_while_their_children_boot(self):
        """Called itself, a relay forks for its children while its main thread imports: nothing may wait for the other for good."""
        # (That it surely imports then is tests/agent/test_imports.py's.)
        self.topology('econtext: 1\ndefaults: {native: never}\nnodes:\n  a: {local: {}}\n  k[1-6]: {via: a, local: {}}\n  c: {via: k1, local: {}}\n')
        self.write('work.py', 'import logging, threading, warnings\ndef one():\n    return 1\n')
        runs = [self.start('call', '-w', 'a,k[1-6],c', 'work:one') for i in range(2)]
        for run in runs:
            out, err = run.communicate(timeout=60)
            self.assertEqual((run.returncode, out.count(b': 1\n')), (0, 8), err)

    def test_many_large_answers_at_once(self):
        """More than the 32 sources that an agent collects from: each has its answer."""
        folder = self.path('begun')
        os.mkdir(folder)
        self.topology('econtext: 1\ndefaults: {timeout: {idle: 5m, boot: 5m}}\nnodes:\n  m[1-40]: {local: {}}\n')
        self.write('large.py', """
import os, time
def text(folder, count, size):
    open(os.path.join(folder, str(os.getpid())), 'w').close()
    end = time.time() + 100
    while len(os.listdir(folder)) < count and time.time() < end:
        time.sleep(0.01)
    return 'x' * size
""")
        run = self.start('call', '-w', 'm[1-40]', '-f', '64', '-u', '200', './large.py:text', folder, '40', '1000000')
        out, err = run.communicate(timeout=5 * LIMIT)
        self.assertEqual((run.returncode, sorted(map(len, out.split()))), (0, sorted(40 * [1000002] + 9 * [3] + 31 * [4])), err)

    def test_stats(self):
        self.ends(0, 'call', '-w', 'n1', '--stats', 'stats.json', './prog.py:same')
        with open(self.path('stats.json')) as f:
            names = [json.loads(line)['name'] for line in f]
        self.assertEqual(names, ['master', 'top', 'n1'])

    def test_stats_that_cannot_be_written(self):
        """Is said before anything is started."""
        os.mkdir(self.path('folder'))
        for path, why in ('no/such', 'No such file or directory'), ('folder', 'Is a directory'):
            end = self.ends(7, 'exec', '-w', 'n1', '--stats', path, 'touch', self.path('ran'))
            self.assertEqual(end.err, 'econtext: --stats %s: %s\n' % (path, why))
            self.assertFalse(os.path.exists(self.path('ran')))

    def test_folded_channel(self):
        self.write('ch.py', 'def say(ch):\n    for x in 0, "a", None: ch.send(x)\n    return 7\n')
        end = self.ends(0, 'call', '-b', '-w', 'n[1-2]', './ch.py:say', '@channel')
        self.assertEqual(end.out, '---------------\nn[1-2] (2)\n---------------\n0\n"a"\nnull\n7\n')

    def test_a_channel_beyond_the_call(self):
        """What the function has begun sends on: the limit is its, too."""
        self.write('ch.py', 'import threading, time\ndef begin(pause, ch):\n    def go():\n        while 1:\n            ch.send(1)\n'
                            '            if pause: time.sleep(pause)\n'
                            '    t = threading.Thread(target=go)\n    t.daemon = True\n    t.start()\n')
        for pause in '0.05', '0':
            end = self.ends(5, 'call', '-u', '2s', '-w', 'n1', './ch.py:begin', pause, '@channel')
            self.assertIn('DEADLINE n1\n', end.err)
            self.assertIn('after 2 s of 2 s', end.err)
            self.assertNotIn('still connecting', end.err)

    def test_a_call_that_stops_the_interpreter(self):
        """Longer than timeout.idle: of its node, and of what is reached through it, that is said to be looked at."""
        self.topology('econtext: 1\ndefaults: {native: never, timeout: {idle: 2s}}\nnodes:\n  r: {local: {}}\n  leaf: {via: r, local: {}}\n')
        self.write('hold.py', "import re\ndef hold():\n    return bool(re.match('(a+)+$', 'a' * 60 + 'b'))\n")
        for targets, ways in ('r,leaf', ['r', 'r']), ('leaf', ['r > leaf']):
            err = self.ends(6, 'call', '-w', targets, './hold.py:hold').err
            self.assertEqual([x[11:] for x in err.splitlines() if x.startswith('  at hop')], ways, err)
            self.assertEqual(err.count('\n  hint     no byte for timeout.idle: host frozen, network cut, or a call that stops the interpreter\n'), len(ways), err)


del Case
