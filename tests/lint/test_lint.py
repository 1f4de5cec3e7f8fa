#!/usr/bin/env python3
"""The lints can fail: each rule is broken once in a small tree of its own, and must be named with file and line.

They are run here, as an interpreter for each would take longer than they do; and once each as the program that it is."""
import contextlib
import io
import os
import random
import shutil
import string
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, '..', '..', 'preamble'))
import includes  # noqa: E402
import limits  # noqa: E402
import minify  # noqa: E402
import sizes  # noqa: E402

BUILD = [os.path.join(HERE, '..', '..', 'preamble', name) for name in ('build.py', 'minify.py')]
PYTHON_MAX = 3600


def said(lint, top):
    """(status, what it prints) for this tree."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), mock.patch.object(sys, 'argv', [lint.__file__, top]):
        return lint.main(), out.getvalue()


def said_as_program(lint, top):
    done = subprocess.run([sys.executable, lint.__file__, top], stdout=subprocess.PIPE)
    return done.returncode, done.stdout.decode()


def run(lint, files, how=said):
    with tempfile.TemporaryDirectory() as top:
        for path, text in files.items():
            os.makedirs(os.path.join(top, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(top, path), 'w') as f:
                f.write(text)
        return how(lint, top)


class Includes(unittest.TestCase):
    base = {'core/a.h': '', 'router/r.h': '', 'service/service.h': '', 'include/econtext/error.h': '',
            'include/econtext/value.h': ''}

    def status(self, path, text, how=said):
        return run(includes, dict(self.base, **{path: text}), how)

    def test_allowed(self):
        for path, text in (('core/b.c', '#include "core/a.h"\n#include "econtext/error.h"\n#include <stdint.h>\n'),
                           ('router/b.c', '#include "core/a.h"\n'),
                           ('io/roots.c', '#include "service/service.h"\n'),
                           ('io/loop.c', '#include <ev.h>\n#include <stdio.h>\n'),
                           ('tests/unit/core/test_a.c', '#include "core/a.h"\n#include <cbor.h>\n'),
                           ('cli/main.c', '#include "econtext/value.h"\n')):
            self.assertEqual(self.status(path, text)[0], 0, path)

    def test_refused(self):
        for path, text, where in (('core/b.c', '\n#include "router/r.h"\n', 'core/b.c:2:'),
                                  ('core/b.c', '#include "econtext/value.h"\n', 'core/b.c:1:'),
                                  ('core/b.c', '#include <stdio.h>\n', 'core/b.c:1:'),
                                  ('cli/main.c', '/* */\n\n # include "core/a.h"\n', 'cli/main.c:3:'),
                                  ('io/loop.c', '#include "service/service.h"\n', 'io/loop.c:1:'),
                                  ('router/b.c', '#include "service/service.h"\n', 'router/b.c:1:'),
                                  ('mesh/m.c', '#include <sodium.h>\n', 'mesh/m.c:1:'),
                                  ('transport/t.c', '#include <yaml.h>\n', 'transport/t.c:1:'),
                                  ('tests/unit/core/test_a.c', '#include "router/r.h"\n', 'tests/unit/core/test_a.c:1:'),
                                  ('core/b.c', '#include "core/gone.h"\n', 'core/b.c:1:'),
                                  ('elsewhere/e.c', '#include "core/a.h"\n', 'elsewhere/e.c:1:')):
            status, out = self.status(path, text)
            self.assertEqual(status, 1, (path, text))
            self.assertIn(where, out)
        self.assertEqual(self.status(path, text, said_as_program), (status, out))


class Sizes(unittest.TestCase):
    def function(self, lines):
        return 'static int f(void)\n{\n' + 'x;\n' * (lines - 2) + '}\n'

    def test_limits(self):
        for path, text, status, note in (('core/a.c', 'x;\n' * 300, 0, False), ('core/a.c', 'x;\n' * 301, 0, True),
                                         ('core/a.c', 'x;\n' * 500, 0, True), ('core/a.c', 'x;\n' * 501, 1, False),
                                         ('core/a.h', 'x;\n' * 160, 0, False), ('core/a.h', 'x;\n' * 161, 0, True),
                                         ('core/a.h', 'x;\n' * 251, 1, False),
                                         ('core/a.c', self.function(60), 0, False), ('core/a.c', self.function(61), 0, True),
                                         ('core/a.c', self.function(100), 0, True), ('core/a.c', self.function(101), 1, False)):
            got, out = run(sizes, {path: text})
            self.assertEqual((got, 'note' in out), (status, note), out)
        self.assertEqual(run(sizes, {path: text}, said_as_program), (got, out))


class Limits(unittest.TestCase):
    """This tree with one thing changed."""

    def copy(self, top):
        here = os.path.join(HERE, '..', '..')
        for folder in ['docs', 'include'] + limits.FOLDERS:
            shutil.copytree(os.path.join(here, folder), os.path.join(top, folder), ignore=shutil.ignore_patterns('__pycache__'))
        for name in 'README.md', 'CHANGES.md':
            shutil.copy(os.path.join(here, name), top)

    def test_one_changed(self):
        top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, top)
        self.copy(top)
        self.assertEqual(said(limits, top), (0, ''))
        for path, old, new, named in (
                ('docs/protocol.md', '| BULK_BODY_MAX | 16,384 |', '| BULK_BODY_MAX | 16,385 |', 'BULK_BODY_MAX is 16385 here, in core/frame.h 16384'),
                ('docs/protocol.md', '| 1 MiB / 2 MiB |', '| 1 MiB / 3 MiB |', 'CONTROL_MAX is 3145728 here, in preamble/python/relay/routing.py 2097152'),
                ('docs/protocol.md', '| LOST_KEPT |', '| LOST_HELD |', 'no LOST_HELD is defined'),
                ('docs/protocol.md', 'idle/3 (at most 5 s', 'idle/3 (at most 6 s', 'PING_MAX is 6000 here, in router/state.h 5000'),
                ('preamble/python/stream/flows.py', 'PATIENCE_S = 20', 'PATIENCE_S = 21', 'PATIENCE is 20000 here, in preamble/python/stream/flows.py 21000'),
                ('io/secret.c', 'COMMAND_MS 30000', 'COMMAND_MS 30001', 'include/econtext/call.h: COMMAND_MS is 30000 here, in io/secret.c 30001'),
                ('README.md', 'The limits: 63 hops', 'Limits: 63 hops', 'README.md: nothing says'),
                ('preamble/native/jobs.c', '#define JOBS_MAX 128u', '#define JOBS_MAX 127u', 'JOBS_MAX is 128 here, in preamble/native/jobs.c 127'),
                ('preamble/python/relay/modules.py', 'ANSWER_ITEMS_MAX = 65536', 'ANSWER_ITEMS_MAX = 65537', 'ANSWER_ITEMS_MAX is 65536 here'),
                ('cli/opts.h', '#define ECI_LIMIT_MAX_MS', '#define ECI_DURATION_MAX_MS',
                 'ECI_DURATION_MAX_MS has not one value: 2147483000L in cli/opts.h, 86400000u in topology/base.h'),
                ('cli/opts.c', '#define FANOUT_MAX 16384', '#define FANOUT_MAX 16383', 'docs/man/econtext.1: FANOUT_MAX is 16384 here')):
            with open(os.path.join(top, path), 'r+') as f:
                text = f.read()
                self.assertEqual(text.count(old), 1, (path, old))
                f.seek(0)
                f.truncate()
                f.write(text.replace(old, new))
            status, out = said(limits, top)
            self.assertEqual(status, 1, new)
            self.assertIn(named, out)
            if path == 'README.md':
                self.assertEqual(said_as_program(limits, top), (status, out))
            with open(os.path.join(top, path), 'w') as f:
                f.write(text)


class Preamble(unittest.TestCase):
    """preamble/build.py, of an agent of little code: too long to be sent, as much does not compress, it is refused."""

    def build(self, top, padding, value='x', numbers=''):
        chapters = dict.fromkeys('state values frames modules logs'.split(), 'x = 1\n')
        chapters.update(values='def f():\n    return %s\n' % value, main='y = "%s"\n' % padding)
        chapters['../numbers'] = numbers
        for name, text in chapters.items():
            with open(os.path.join(top, 'python', 'core', name + '.py'), 'w') as f:
                f.write(text)
        # No PATH: without zopfli, which takes its time.
        return subprocess.run([sys.executable, '-B', os.path.join(top, 'build.py'), '--dir', top, '--strict'], stderr=subprocess.PIPE,
                              env={'PATH': ''})

    def test_python_max(self):
        chance, seen, length = random.Random(1), {}, 4000
        noise = ''.join(chance.choice(string.ascii_letters + string.digits) for _ in range(8000))
        with tempfile.TemporaryDirectory() as top:
            os.makedirs(os.path.join(top, 'python', 'core'))
            for path in BUILD:
                shutil.copy(path, top)
            while not {PYTHON_MAX, PYTHON_MAX + 1} <= set(seen) and len(seen) < 40:
                done = self.build(top, noise[:length])
                size = os.path.getsize(os.path.join(top, 'core.sent'))
                seen[size] = done
                length += (PYTHON_MAX + (PYTHON_MAX in seen) - size) * 5 // 4 or 1
        self.assertEqual((seen[PYTHON_MAX].returncode, seen[PYTHON_MAX].stderr), (0, b''))
        self.assertEqual(seen[PYTHON_MAX + 1].returncode, 1)
        self.assertIn(b'is 3601 bytes, at most 3600 may be sent', seen[PYTHON_MAX + 1].stderr)

    def test_numbers(self):
        """They are sent as what they are, and refused where that would be something else."""
        with tempfile.TemporaryDirectory() as top:
            os.makedirs(os.path.join(top, 'python', 'core'))
            for path in BUILD:
                shutil.copy(path, top)
            numbers = '# A_NUMBER = 1\nA_NUMBER = 1 << 26  # of bytes\n'
            for value, sent in ('x > A_NUMBER', '>1<<26'), ('x + A_NUMBER', None), ('x + (A_NUMBER)', '+(1<<26)'), ('"A_NUMBER"', None):
                done = self.build(top, '', value, numbers)
                self.assertEqual((done.returncode, b'A_NUMBER' in done.stderr), (sent is None, sent is None), (value, done.stderr))
                with open(os.path.join(top, 'core.min.py')) as f:
                    self.assertTrue(sent is None or sent in f.read(), value)

    def test_keep_apart(self):
        """Two parts do not define one name, which is no local one; what is the core's they may."""
        with tempfile.TemporaryDirectory() as top:
            os.makedirs(os.path.join(top, 'python', 'core'))
            for path in BUILD:
                shutil.copy(path, top)
            for second, good in (('def f():\n    g = x\n', 1), ('x = 3\n', 1), ('def g():\n    pass\n', 0), ('y, g = 1, 2\n', 0)):
                for name, text in ('stats', 'def g():\n    pass\nx = 2\n'), ('cancel', second):
                    with open(os.path.join(top, 'python', name + '.py'), 'w') as f:
                        f.write(text)
                done = self.build(top, '')
                said = b'' if good else b'build.py: g is in part stats and in part cancel\n'
                self.assertEqual((done.returncode, done.stderr), (1 - good, said), second)


class Minified(unittest.TestCase):
    """What the renaming of names cannot do is refused: else the agent would be another program."""
    def small(self, *sources):
        renamer = minify.Renamer()
        return [minify.render(renamer.rename(x)) for x in sources][-1]

    def test_attribute_and_inner_function(self):
        has, inner = 'class A:\n    def f(self):\n        self.bar = 1\n', 'def g():\n    def bar():\n        pass\n    bar()\n'
        self.assertEqual(self.small(inner), 'def a():\n def a():0\n a()')
        for sources in ((has, inner), (has + inner,)):
            with self.assertRaisesRegex(SystemExit, 'functions within functions that have the name of an attribute.*bar'):
                self.small(*sources)

    def test_attribute_of_the_library(self):
        with self.assertRaisesRegex(SystemExit, 'attribute names that the library has too.*append'):
            self.small('class A:\n    def append(self):\n        pass\n')


if __name__ == '__main__':
    unittest.main()
