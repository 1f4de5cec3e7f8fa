"""^C: once stops the launching and prints what is there, twice ends what runs. And a reader that goes away."""
import fcntl
import json
import os
import shutil
import struct
import termios
import time

from support import Case, HERE, LIMIT, gone, read_until, signal


class Signals(Case):
    def setUp(self):
        super().setUp()
        self.topology()
        shutil.copy(os.path.join(HERE, 'data', 'prog.py'), self.place)
        self.up, self.go = self.fifo('up'), self.fifo('go')

    def held(self, *options):
        """The program, once the first of its targets runs: (child, pid of the context that holds it)."""
        child = self.start('call', *options, '-w', 'n[1-3]', '-f', '1', './prog.py:hold', self.up, self.go)
        with open(self.up) as f:  # opens when the remote function does
            pid = int(f.read())
        return child, pid

    def let_go(self, text):
        with open(self.go, 'w') as f:
            f.write(text)

    def test_once(self):
        child, _ = self.held('-b')
        child.send_signal(signal.SIGINT)
        said = read_until(child.stderr.fileno(), b'not started; ^C again ends those that run\n').decode()
        self.assertEqual(said, 'econtext: interrupted: 0 done, 1 running, 2 not started; ^C again ends those that run\n')
        self.let_go('free')
        out, err = child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130, err)
        self.assertEqual(out.decode(), '---------------\nn1\n---------------\n"free"\n')

    def test_once_with_output_that_nobody_reads(self):
        """What runs is ended, and that is said where somebody reads."""
        read, write = os.pipe()
        child = self.start('exec', '-w', 'n[1-2]', '-f', '1', 'echo >%s; exec yes' % self.up, stdout=write)
        os.close(write)
        with open(self.up) as f:
            f.read()  # who writes to a fifo that was left ends by it
        half, saw, stands = fcntl.fcntl(read, fcntl.F_GETPIPE_SZ) // 2, 0, 0
        while saw < half or stands < 20:  # a second: pages of it that are not full cannot be told from ones that will be
            time.sleep(0.05)
            self.assertIsNone(child.poll())
            before, saw = saw, struct.unpack('i', fcntl.ioctl(read, termios.FIONREAD, b'    '))[0]
            stands = stands + 1 if saw == before else 0
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=LIMIT)
        os.close(read)
        self.assertEqual(child.returncode, 130, err)
        self.assertIn(b'econtext: interrupted: 0 done, 1 running, 1 not started; nobody reads the output: those that run are ended\n', err)
        self.assertIn(b'INTERRUPTED n1\n', err)

    def test_once_json(self):
        child, _ = self.held('--json')
        child.send_signal(signal.SIGINT)
        read_until(child.stderr.fileno(), b'not started')
        self.let_go('free')
        out, err = child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130, err)
        events = [json.loads(line) for line in out.decode().splitlines()]
        self.assertEqual((events[-1]['event'], events[-1]['ok'], events[-1]['not_started']), ('summary', 1, 2))

    def test_once_while_one_is_being_connected(self):
        """Nothing is done there, whether it was to be connected by itself first (-t) or not, and it is waited for no more."""
        dialled, answer = self.fifo('dialled'), self.fifo('answer')
        slow = self.write('slow', '#!/bin/sh\necho >%s\nread x <%s\nexec python3 "$@"\n' % (dialled, answer), 0o755)
        self.topology('econtext: 1\nnodes:\n  n: {local: {}}\n  s: {local: {}, python: %s, agent: [native, python]}\n' % slow)
        for options in [], ['-t', '5m']:
            child = self.start('call', *options, '-w', 'n,s', './prog.py:hold', self.up, self.go)
            for path in self.up, dialled:
                with open(path) as f:
                    f.read()
            child.send_signal(signal.SIGINT)
            said = read_until(child.stderr.fileno(), b'\n').decode()
            self.assertEqual(said, 'econtext: interrupted: 0 done, 1 running, 1 not started; ^C again ends those that run\n')
            self.let_go('free')
            out, err = child.communicate(timeout=LIMIT)
            self.assertEqual((child.returncode, out), (130, b'n: "free"\n'), err)
            child = self.start('exec', *options, '-w', 's', 'touch ' + self.path('ran'))
            with open(dialled) as f:
                f.read()
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=LIMIT)
            self.assertEqual((child.returncode, err), (130, b'econtext: interrupted: 0 done, 0 running, 1 not started\n'), out)
        self.assertFalse(os.path.exists(self.path('ran')))

    def test_once_with_input(self):
        """The end of standard input is not kept from those that run because of one that will not be started."""
        self.topology('econtext: 1\nsecrets: {pw: {command: [sh, -c, "echo >%s; exec sleep 600"]}}\nnodes:\n  a: {local: {}}\n'
                      '  s: {local: {}, become: [{as: root, password: pw}]}\n  b: {local: {}}\n' % self.up)
        begun = self.fifo('begun')
        child = self.start('exec', '-w', 'a,s:root,b', '--stdin', 'echo >%s; cat; echo end' % begun)
        for path in self.up, begun:
            with open(path) as f:
                f.read()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=LIMIT)
        self.assertEqual((child.returncode, out), (130, b'a: end\n'), err)

    def test_once_with_stats(self):
        """Of a context that needs a moment to answer."""
        self.write('late.py', 'import re, threading, time, prog\ndef busy():\n    time.sleep(.003)\n    re.match("(a+)+$", "a" * 23 + "b")\n'
                              'def hold(up, go):\n    prog.hold(up, go)\n    threading.Thread(target=busy).start()\n')
        child = self.start('call', '--stats', 'stats.json', '-w', 'n1', './late.py:hold', self.up, self.go)
        with open(self.up) as f:
            f.read()
        child.send_signal(signal.SIGINT)
        read_until(child.stderr.fileno(), b'not started')
        self.let_go('free')
        out, err = child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130, err)
        with open(self.path('stats.json')) as f:
            told = [json.loads(line) for line in f if '"name"' in line[:9]]
        self.assertEqual([x['name'] for x in told], ['master', 'top', 'n1'])
        self.assertTrue(told[2]['modules_cached'], told)  # a silent one has a row of nothing

    def test_twice(self):
        self.write('stats', 'of an older run\n')
        child, pid = self.held('--stats', 'stats')
        child.send_signal(signal.SIGINT)
        read_until(child.stderr.fileno(), b'^C again')
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130, err)
        self.assertEqual(out, b'')
        self.assertIn(b'INTERRUPTED n1\n', err)
        self.assertTrue(gone(pid))
        self.assertEqual(os.path.getsize(self.path('stats')), 0)

    def test_terminated(self):
        child, pid = self.held()
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, -signal.SIGTERM)
        self.assertTrue(gone(pid))

    def test_killed(self):
        child, pid = self.held()
        child.kill()
        child.communicate(timeout=LIMIT)
        self.assertTrue(gone(pid))

    def test_stopped(self):
        """Longer than timeout.idle: no hop is to be blamed, and nothing is left there."""
        with open(os.path.join(self.place, 'idle.yaml'), 'w') as f:
            f.write('econtext: 1\ndefaults: {native: never, timeout: {idle: 2s}}\nnodes:\n  a: {local: {}}\n  b: {via: a, local: {}}\n')
        child = self.start('exec', '--topology', 'idle.yaml', '-w', 'b', 'echo $$ >%s; exec sleep 100' % self.up)
        with open(self.up) as f:
            pid = int(f.read())
        child.send_signal(signal.SIGSTOP)
        time.sleep(6)
        child.send_signal(signal.SIGCONT)
        out, err = child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 6, err)
        self.assertRegex(err.decode(), r'saw      "this program itself did not run for [3-9] s')
        self.assertIn(b'  hint     it was stopped here', err)
        self.assertTrue(gone(pid))

    def test_broken_pipe(self):
        read, write = os.pipe()
        self.write('stats', 'of an older run\n')
        child = self.start('call', '--stats', 'stats', '-w', 'n1', './prog.py:hold', self.up, self.go, stdout=write)
        os.close(write)
        with open(self.up) as f:
            pid = int(f.read())
        os.close(read)
        self.let_go('into nothing')
        child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, -signal.SIGPIPE)
        self.assertTrue(gone(pid))
        self.assertEqual(os.path.getsize(self.path('stats')), 0)


del Case
