#!/usr/bin/env python3
"""The importer of the Python agent (docs/protocol.md section 11): whose module wins, what is asked for, data, errors."""
import os
import shutil
import sys
import tempfile
import time

import driver
import support

# Its import of warnings is at work as long as there is nobody who opens the fifo for writing.
HELD = '''
import sys
from importlib.machinery import ModuleSpec
class Held(object):
    def find_spec(self, name, path=None, target=None):
        if name == 'warnings':
            sys.meta_path.remove(self)
            return ModuleSpec(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        open(GO + '.begun', 'w').close()
        open(GO).close()
        module.__dict__.update(vars(there))
GO = %r
there = sys.modules.pop('warnings')
sys.meta_path.insert(0, Held())
import warnings
def get():
    return 1
'''


class Imports(support.Case):
    def package(self, c):
        """pkg with sub, data and a child that is asked for once; ns is a namespace package."""
        c.serve('pkg', 'from pkg import sub\nimport pkg.sub as again\nname = __name__\n', kind=2, children=['sub', 'rel', 'data.txt'])
        c.serve('pkg.sub', 'value = 7\nimport os\ndef where():\n    return [__name__, __file__, __package__]\n')
        c.serve('pkg.rel', 'from . import sub\nfrom .sub import value\ndef get():\n    return value\n')
        c.serve('ns', b'', kind=3, path='ns', children=['mod'])
        c.serve('ns.mod', 'def get():\n    return "in a namespace"\n')
        c.modules['pkg/data.txt'] = [c.serve('pkg/data.txt', b'\xffdata', kind=4, path='pkg/data.txt')]
        c.modules['pkg/none.txt'] = [['pkg/none.txt', 0]]

    def test_packages(self):
        c = self.boot()
        self.package(c)
        self.assertEqual(c.call('pkg', 'name.upper'), [0, 'PKG'])
        self.assertEqual(c.call('pkg.sub', 'where')[1][:2], ['pkg.sub', '/econtext:/pkg/sub.py'])
        self.assertEqual(c.call('pkg.rel', 'get'), [0, 7])
        self.assertEqual(c.call('ns.mod', 'get'), [0, 'in a namespace'])
        self.assertEqual(c.asked, ['pkg', 'pkg.sub', 'pkg.rel', 'ns', 'ns.mod'])

    def test_other_name(self):
        """A traceback through code that calls itself what nobody serves."""
        c = self.boot()
        c.serve('m', '__name__ = "there"\ndef get():\n    return 1 / 0\n')
        e = c.call('m', 'get')
        self.assertEqual(e[1], 'ZeroDivisionError')
        self.assertIn('File "/econtext:/m.py", line 3, in get', e[3])

    def test_along(self):
        """What came along in an answer is not asked for; of a package, only the children that exist are."""
        c = self.boot()
        self.package(c)
        c.modules['pkg'] += c.modules['pkg.sub'] + c.modules['pkg.rel']
        self.assertEqual(c.call('pkg.rel', 'get'), [0, 7])
        self.assertEqual(c.call('pkg.nope', 'get')[0], 1)
        self.assertEqual(c.asked, ['pkg'])

    def test_missing(self):
        c = self.boot()
        c.serve('m', 'def get():\n    try:\n        import not_there\n    except ImportError:\n        return "missing"\n')
        for i in range(3):
            self.assertEqual(c.call('m', 'get'), [0, 'missing'])
        self.assertEqual(c.asked, ['m', 'not_there'])
        e = c.call('not_there.sub', 'f')
        self.assertIn(e[1], ('ImportError', 'ModuleNotFoundError'))

    def test_full(self):
        """A relay's question finds its queue to the parent full of answers: who imports is told, and does not wait for ever."""
        c = self.boot()
        place = tempfile.mkdtemp()
        go, done = os.path.join(place, 'go'), os.path.join(place, 'done')
        c.serve('w', 'import os, time\ndef f(go, done):\n    while not os.path.exists(go):\n        time.sleep(.02)\n'
                '    try:\n        import not_there\n    except ImportError:\n        open(done, "w").close()\n'
                '    while os.path.exists(go):\n        time.sleep(.02)\n    return "missing"\n')
        c.part('relay')
        slot = c.request(25, ['w', 'f', [go, done], {}])
        self.until('it is asked for', lambda: c.pump(.1) or c.asked)
        self.assertEqual(c.asked, ['w'])
        for n, size in (290, 60000), (70, 1000), (70, 100), (9, 1):
            for i in range(n):
                c.send(driver.CALL, 7, 1000, b'x' * size, raw=True)         # ECHO
            time.sleep(.5)
        open(go, 'w').close()
        end = time.time() + 10
        while not os.path.exists(done) and time.time() < end:
            time.sleep(.02)
        self.assertTrue(os.path.exists(done))
        c.pump(2)
        os.unlink(go)
        self.assertEqual(c.answer(slot).value(), [0, 'missing'])
        self.assertEqual(c.asked, ['w'])
        os.unlink(done)
        os.rmdir(place)

    def test_dead(self):
        """A dead notice is no entry, and not kept."""
        c = self.boot()
        slot = c.request(25, ['later', 'get', [], {}])
        f = c.link.frame()
        self.assertEqual((f.handle, f.value()), (32, ['later']))
        c.send(driver.CONTROL | driver.DEAD, f.reply, 0, ['lost', 0, 0, ''])
        self.assertEqual(c.answer(slot).value()[0], 1)
        c.serve('later', 'def get():\n    return 1\n')
        self.assertEqual(c.call('later', 'get'), [0, 1])

    def test_theirs_wins(self):
        """The standard library of the machine wins always, its other modules unless told to override."""
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'installed.py'), 'w') as f:
                f.write('def get():\n    return "installed"\n')
            os.makedirs(os.path.join(folder, 'tool'))
            for name in '__init__', 'part':
                with open(os.path.join(folder, 'tool', name + '.py'), 'w') as f:
                    f.write('def get():\n    return "installed"\n')
            env = dict(os.environ, PYTHONHOME_='')
            add = 'import sys\ndef add(path):\n    sys.path.insert(0, path)\n'
            for prefixes, expected in (None, 'installed'), (['tool', 'other'], 'ours'):
                c = self.boot(prefixes=prefixes, env=env)
                c.serve('add', add)
                c.serve('installed', 'def get():\n    return "ours"\n')
                c.serve('tool', 'def get():\n    return "ours"\n', kind=2, children=['part'])
                c.serve('tool.part', 'def get():\n    return "ours"\n')
                c.serve('toolbox', 'def get():\n    return "ours"\n')
                c.serve('colorsys', 'def get():\n    return "ours"\n')
                c.call('add', 'add', folder)
                self.assertEqual(c.call('installed', 'get'), [0, 'installed'])
                self.assertEqual(c.call('tool', 'get'), [0, expected])
                self.assertEqual(c.call('tool.part', 'get'), [0, expected])
                self.assertEqual(c.call('toolbox', 'get'), [0, 'ours'])
                self.assertEqual(c.call('colorsys', 'get')[4], 2)
                self.assertNotIn('colorsys', c.asked)

    def test_data(self):
        c = self.boot()
        self.package(c)
        with open(os.path.join(driver.ROOT, 'preamble', 'served', 'econtext_resource.py')) as f:
            c.serve('econtext_resource', f.read())
        c.serve('d', '''
import pkgutil, sys
def get(package, name):
    return bytearray(pkgutil.get_data(package, name)) == bytearray([255]) + bytearray(b'data')
def none():
    try:
        pkgutil.get_data('pkg', 'none.txt')
    except (IOError, OSError):
        return 'none'
def resources():
    import importlib.resources as r
    out = []
    if hasattr(r, 'open_binary'):
        out.append(r.open_binary('pkg', 'data.txt').read() == b'\\xffdata')
    if sys.version_info < (3, 10):      # files() of 3.9 is for what lies in a folder only
        return out
    f = r.files('pkg').joinpath('data.txt')
    out.append(f.read_bytes() == b'\\xffdata')
    out.append(f.open('rb').read() == b'\\xffdata')
    try:
        r.files('pkg').joinpath('none.txt').read_bytes()
    except FileNotFoundError:
        out.append(True)
    return out
''')
        self.assertEqual(c.call('d', 'get', 'pkg', 'data.txt'), [0, True])
        self.assertEqual(c.call('d', 'none'), [0, 'none'])
        if self.version >= (3, 7):
            got = c.call('d', 'resources')
            self.assertEqual(got[0], 0, got)
            self.assertEqual(set(got[1]), {True}, got)

    def test_errors(self):
        """A module that fails is not kept half done, shows its source, and may be tried again."""
        c = self.boot()
        c.serve('bad', 'import sys\nsys.tries = getattr(sys, "tries", 0) + 1\nif sys.tries < 2:\n    raise ValueError("not yet")\n'
                'def get():\n    return sys.tries\n')
        e = c.call('bad', 'get')
        self.assertEqual((e[0], e[1], e[2], e[4]), (1, 'ValueError', 'not yet', 0))
        self.assertIn('raise ValueError("not yet")', e[3])
        self.assertEqual(c.call('bad', 'get'), [0, 2])
        c.serve('worse', 'def (:\n')
        self.assertEqual(c.call('worse', 'get')[1], 'SyntaxError')
        c.serve('latin', b'# -*- coding: latin-1 -*-\nx = u"\xe9"\ndef get():\n    return x\ndef fail():\n    raise ValueError(1) # \xe9\n')
        self.assertEqual(c.call('latin', 'get'), [0, '\u00e9'])
        self.assertEqual(c.call('latin', 'fail')[:2], [1, 'ValueError'])

    def test_a_fork_beside_an_import(self):
        """A relay forks for a child while called code imports what os.execvpe does: nothing may wait for the other for good."""
        if self.version[0] < 3:     # its imports have one lock, for which a fork waits
            return
        c = self.boot(size=64)
        go = os.path.join(tempfile.mkdtemp(), 'go')
        self.addCleanup(shutil.rmtree, os.path.dirname(go))
        os.mkfifo(go)
        c.part('relay')
        c.serve('held', HELD % go)
        slot = c.request(25, ['held', 'get', [], {}])
        self.until('an import', lambda: c.pump(.02) or os.path.exists(go + '.begun'))
        child = c.request(16, {0: 16, 1: 8, 2: [b'sh', b'-c', (': >%s.child; echo out' % go).encode()], 3: {}, 4: 0})
        self.until('the child', lambda: os.path.exists(go + '.child'))
        open(go, 'w').close()       # (from 3.12 on os.fork itself waits for that, when it has forked)
        self.assertEqual([c.answer(child).value() for i in range(3)][1:], [[1, b'out\n'], [5, 0]])
        self.assertEqual(c.answer(slot).value(), [0, 1])

    def test_safe_path(self):
        """The folders of PYTHONPATH are all there, where the working directory is none of them (3.11) and where it is."""
        for safe in '', '1':
            place = self.folder()
            with open(os.path.join(place, 'only_there.py'), 'w') as f:
                f.write('def f():\n    return 7\n')
            c = self.boot(env=dict(os.environ, PYTHONSAFEPATH=safe), login='export PYTHONPATH=%s;' % place)
            self.assertEqual(c.call('only_there', 'f'), [0, 7], safe)
            self.assertEqual(c.call('sys', 'path.count', ''), [0, 0])

    def test_working_directory(self):
        """What lies in the working directory of the login is not imported: not by the boot line, nor by the core, nor later."""
        place = self.folder()
        ran = os.path.join(place, 'ran')
        for name in 'os zlib fcntl codecs select struct time posix traceback logging encodings thread _thread'.split():
            with open(os.path.join(place, name + '.py'), 'w') as f:
                f.write('open(%r, "a").write(__name__)\nraise SystemExit(9)\n' % ran)
        c = self.boot(login='cd %s;' % place)
        self.assertEqual(c.call('os', 'getcwd'), [0, os.path.realpath(place)])
        self.assertEqual(c.call('math', 'nothing')[:2], [1, 'AttributeError'])
        c.part('relay')
        c.part('exec')
        self.assertFalse(os.path.exists(ran))

    def test_gone_at_import(self):
        """A module that took itself out of sys.modules, and then fails, fails as it says."""
        c = self.boot()
        c.part('program')
        c.serve('gone', 'import sys\ndel sys.modules[__name__]\nraise ValueError("mine")\n')
        self.assertEqual(c.call('gone', 'f')[:3], [1, 'ValueError', 'mine'])
        self.assertEqual(c.call('./gone', 'f')[:3], [1, 'ValueError', 'mine'])

    def test_form_feed(self):
        """A form feed begins a page, and no line: a traceback shows the line that failed."""
        c = self.boot()
        c.serve('page', 'x = 1\n\f\ny = 2\n\f\ndef f():\n    return 1 / 0       # here\n')
        self.assertIn('return 1 / 0       # here', c.call('page', 'f')[3])

    def test_caches(self):
        c = self.boot()
        c.serve('inv', 'import sys\ndef f():\n    import importlib\n    if hasattr(importlib, "invalidate_caches"):\n'
                '        importlib.invalidate_caches()\n    import after\n    return after.x\n')
        c.serve('after', 'x = 1\n')
        self.assertEqual(c.call('inv', 'f'), [0, 1])

    def test_not_here(self):
        """The working directory is no place to import from."""
        c = self.boot()
        self.assertEqual(c.call('driver', 'made')[0], 1)
        self.assertIn('driver', c.asked)

    def test_slave(self):
        c = self.boot()
        c.serve('m', 'import econtext\ndef get():\n    return econtext.slave\n')
        self.assertEqual(c.call('m', 'get'), [0, True])

    def test_large_module(self):
        c = self.boot()
        c.serve('large', b'x = """' + os.urandom(150000).hex().encode() + b'"""\ndef get():\n    return len(x)\n')
        self.assertEqual(c.call('large', 'get'), [0, 300000])


if __name__ == '__main__':
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    sys.exit(support.main(__name__))
