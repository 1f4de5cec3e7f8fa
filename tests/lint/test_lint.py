#!/usr/bin/env python3
"""The lints can fail: each rule is broken once in a small tree of its own, and must be named with file and line."""
import os
import random
import shutil
import string
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD_PY = os.path.join(HERE, '..', '..', 'preamble', 'build.py')
PYTHON_MAX = 3600


def run(lint, files):
    with tempfile.TemporaryDirectory() as top:
        for path, text in files.items():
            os.makedirs(os.path.join(top, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(top, path), 'w') as f:
                f.write(text)
        done = subprocess.run([sys.executable, os.path.join(HERE, lint), top], stdout=subprocess.PIPE)
        return done.returncode, done.stdout.decode()


class Includes(unittest.TestCase):
    base = {'core/a.h': '', 'router/r.h': '', 'service/service.h': '', 'include/econtext/error.h': '',
            'include/econtext/value.h': ''}

    def status(self, path, text):
        files = dict(self.base)
        files[path] = text
        return run('includes.py', files)

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
            got, out = run('sizes.py', {path: text})
            self.assertEqual((got, 'note' in out), (status, note), out)


class Preamble(unittest.TestCase):
    """preamble/build.py refuses an agent that is too long to be sent: here one of little code and much that does not compress."""

    def build(self, top, padding):
        chapters = dict.fromkeys('state values frames modules logs'.split(), 'x = 1\n')
        chapters.update(values='def f():\n    return x\n', main='y = "%s"\n' % padding)
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
            shutil.copy(BUILD_PY, top)
            while not {PYTHON_MAX, PYTHON_MAX + 1} <= set(seen) and len(seen) < 40:
                done = self.build(top, noise[:length])
                size = os.path.getsize(os.path.join(top, 'core.sent'))
                seen[size] = done
                length += (PYTHON_MAX + (PYTHON_MAX in seen) - size) * 5 // 4 or 1
        self.assertEqual((seen[PYTHON_MAX].returncode, seen[PYTHON_MAX].stderr), (0, b''))
        self.assertEqual(seen[PYTHON_MAX + 1].returncode, 1)
        self.assertIn(b'is 3601 bytes, at most 3600 may be sent', seen[PYTHON_MAX + 1].stderr)


if __name__ == '__main__':
    unittest.main()
