"""What a program has of its own packages: namespace packages; importlib.resources with each Python from 3.7 that is here, files
and folders."""
import os
import subprocess
import unittest

from support import Case, TOP

PROGRAM = """\
import pk


def fails(f):
    try:
        f()
    except FileNotFoundError:
        return True


def old():
    import importlib.resources as r
    with r.path('pk', 'data.txt') as place:
        text = open(str(place)).read()
    return [r.read_text('pk', 'data.txt'), list(r.open_binary('pk', 'raw').read()), text, sorted(r.contents('pk')),
            [r.is_resource('pk', name) for name in ('data.txt', 'sub', 'none')]]


def beside():
    import importlib.resources as r
    import pk.mod
    return [(r.files(x) / 'data.txt').read_text() for x in ('pk.mod', pk.mod)]


def new():
    import importlib.resources as r
    top = r.files('pk')
    with r.as_file(top / 'data.txt') as place:
        text = open(str(place)).read()
    deep = top.joinpath('sub', 'inner', 'deep.txt')
    return [(top / 'data.txt').read_text(), list(top.joinpath('raw').read_bytes()), text, sorted(x.name for x in top.iterdir()),
            [(top / name).is_file() for name in ('data.txt', 'sub', 'none')], (top / 'sub').is_dir(), deep.read_text(),
            deep.name, fails((top / 'none').read_bytes)]
"""
ALL = ['__init__.py', 'data.txt', 'mod.py', 'raw', 'sub']


class Namespaces(Case):
    """Folders without an __init__.py, one in the other and below a package: for a Python behind each agent."""
    def test_namespaces(self):
        for name in ('ns/inner/mod.py', 'pk/inner/mod.py'):
            os.makedirs(os.path.dirname(self.path(name)))
            self.write(name, 'WHO = __name__')
        self.write('pk/__init__.py', '')
        self.write('prog.py', 'def f():\n    import ns.inner.mod, pk.inner.mod\n    return [ns.inner.mod.WHO, pk.inner.mod.WHO]\n')
        self.topology('econtext: 1\nnodes:\n'
                      '  p: {local: {}, agent: [python]}\n  pp: {via: p, local: {}, agent: [python]}\n'
                      '  n: {local: {}, agent: [native]}\n  np: {via: n, local: {}, agent: [python]}\n')
        end = self.ends(0, 'call', '--json', '-w', 'pp,np', './prog.py:f')
        self.assertEqual([e['value'] for e in end.events() if 'value' in e], [['ns.inner.mod', 'pk.inner.mod']] * 2)

    def test_a_namespace_of_two_machines(self):
        """Some of it lies there and some here: all is found, and what both have is the machine's; a package is not joined so."""
        found = subprocess.run([os.path.join(TOP, 'scripts', 'pythons')], stdout=subprocess.PIPE, check=True).stdout.decode()
        for name in ('there/ns/own', 'there/ns/both', 'there/ns/inner/own', 'there/pk/inner/own',
                     'here/ns/served', 'here/ns/both', 'here/ns/inner/served', 'here/pk/inner/served', 'here/pk/__init__'):
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            self.write(name + '.py', 'WHO = %r\n' % name.split('/')[0])
        self.write('here/prog.py', 'import sys\ndef f(place, *names):\n    sys.path.insert(0, place)\n    return [who(x) for x in names]\n'
                   'def g(place, *names):\n    __import__("os").chdir(place)\n    return f("", *names)\n'
                   'def who(name):\n    try:\n        return __import__(name, {}, {}, ["WHO"]).WHO\n    except ImportError:\n        pass\n')
        self.topology('econtext: 1\nnodes:\n' + ''.join(
            '  n%d: {local: {}, python: %s}\n' % (i, line.split()[1]) for i, line in enumerate(found.splitlines())))
        for function in 'f', 'g':
            end = self.ends(0, 'call', '--json', '-w', 'n[0-%d]' % (len(found.splitlines()) - 1), './here/prog.py:' + function, self.path('there'),
                            'ns.served', 'ns.own', 'ns.both', 'ns.inner.served', 'ns.inner.own', 'pk.inner.served', 'pk.inner.own')
            self.assertEqual([e['value'] for e in end.events() if 'value' in e],
                             [['here', 'there', 'there', 'here', 'there', 'here', None]] * len(found.splitlines()))


class NoNames(Case):
    """What no module can be called is an ImportError as well, below each agent, and no context is lost by it."""
    def test_no_names(self):
        found = subprocess.run([os.path.join(TOP, 'scripts', 'pythons')], stdout=subprocess.PIPE, check=True).stdout.decode()
        ends = [line.split() for line in found.splitlines()]
        ends = [ends[0], ends[-1]]      # Python 2, where there is one, and 3
        self.write('prog.py', 'def f(n):\n    try:\n        __import__(n and "a" * n or "caf\\xe9")\n'
                   '    except ImportError:\n        return "ImportError"\n')
        self.topology('econtext: 1\nnodes:\n  p: {local: {}, agent: [python]}\n  n: {local: {}, agent: [native]}\n' + ''.join(
            '  %s%d: {%slocal: {}, agent: [python], python: %s}\n' % (via or 'm', i, via and 'via: %s, ' % via, path)
            for via in ('', 'p', 'n') for i, (_, path) in enumerate(ends)))
        for n, at, count in ('0', 'm[0-1],p[0-1],n[0-1]', 6), ('256', 'm[0-1],p[0-1],n[0-1]', 6), ('70000', 'm1,p1,n1', 3):
            end = self.ends(0, 'call', '--json', '-w', at, './prog.py:f', n)    # (Python 2 asks for none of 4,096 bytes.)
            self.assertEqual([e['value'] for e in end.events() if 'value' in e], ['ImportError'] * count, n)


class NotSource(Case):
    """What lies here and is no source: the failure says that it does, and where."""
    def test_not_source(self):
        os.makedirs(self.path('pk'))
        for name in ('pk/__init__.py', 'ext.so', 'pk/ext.abi3.so', 'bytecode.pyc', 'pk/text.txt', 'other.py'):
            self.write(name, '')
        self.write('prog.py', 'def f(name):\n    __import__(name)\n')
        self.topology('econtext: 1\nnodes:\n  n: {local: {}}\n')
        for name, file in (('ext', 'ext.so'), ('pk.ext', 'pk/ext.abi3.so'), ('bytecode', 'bytecode.pyc')):
            end = self.ends(1, 'call', '-w', 'n', './prog.py:f', name)
            self.assertIn('only Python source is served, and this is none: %s;' % os.path.realpath(self.path(file)), end.err)
        for name in ('pk.text', 'other.ext', 'ex', 'ext.sub', 'pk.no.ext', 'no'):
            end = self.ends(1, 'call', '-w', 'n', './prog.py:f', name)
            self.assertEqual('only Python source' in end.err, name == 'ext.sub', name)


class Strangers(Case):
    """In a folder that all may write to, what nobody named and somebody else has put there is not there."""
    @unittest.skipUnless(os.geteuid() == 0, 'files of other users are made by root')
    def test_strangers(self):
        self.env.pop('SUDO_UID', None)
        for name in ('pk', 'theirs'):
            os.mkdir(self.path(name))
        for name in ('mine.py', 'pk/__init__.py', 'pk/other.py', 'theirs/__init__.py', 'their.py'):
            self.write(name, 'def f():\n    return __name__\n')
        self.write('prog.py', 'def f(name):\n    __import__(name)\n')
        for name in ('theirs', 'their.py', 'pk/other.py', 'prog.py'):
            os.chown(self.path(name), 65534, 65534)
        self.topology('econtext: 1\nnodes:\n  n: {local: {}, agent: [python]}\n')
        call = ('call', '-w', 'n')
        for name in 'mine', 'pk', 'pk.other', 'their', 'theirs':    # a folder that only others cannot write to is not looked at
            self.assertEqual(self.ends(0, *call, name + ':f').out, 'n: "%s"\n' % name)
        os.chmod(self.place, 0o1777)
        here = os.path.realpath(self.place)
        says = "%s is not served: it is neither yours nor root's, in a folder that everybody may write to; if it is meant, name that: --root %s"
        for name in 'mine', 'pk':
            end = self.ends(0, *call, name + ':f')
            self.assertEqual((end.out, end.err), ('n: "%s"\n' % name, ''))
        # The hint, and a record where a context has asked: a package says what lies in it, so that nobody asks for more.
        for name, file, times in ('theirs', 'theirs', 2), ('their', 'their.py', 2), ('pk.other', 'pk/other.py', 1):
            for how in ([*call, name + ':f'], [*call, './prog.py:f', name]):
                end = self.ends(1, *how)
                self.assertEqual(end.err.count(says % (os.path.join(here, file), here)), times, end)
            self.assertEqual(self.ends(0, 'call', '--root', '.', '-w', 'n', name + ':f').out, 'n: "%s"\n' % name)
        end = self.ends(1, *call, 'nowhere:f')
        self.assertNotIn('neither', end.err)
        self.env['SUDO_UID'] = '65534'
        self.assertEqual(self.ends(0, *call, 'theirs:f').out, 'n: "theirs"\n')


class Resources(Case):
    def setUp(self):
        Case.setUp(self)
        os.makedirs(self.path('pk/sub/inner'))
        for name, text in (('prog.py', PROGRAM), ('pk/__init__.py', ''), ('pk/data.txt', 'text\n'), ('pk/sub/inner/deep.txt', 'deep'),
                           ('pk/raw', ''), ('pk/mod.py', '')):
            self.write(name, text)
        with open(self.path('pk/raw'), 'wb') as f:
            f.write(b'\0\1\xff')

    def test_resources(self):
        found = subprocess.run([os.path.join(TOP, 'scripts', 'pythons')], stdout=subprocess.PIPE, check=True).stdout.decode()
        pythons = [(tuple(map(int, version.split('.'))), path) for version, path in map(str.split, found.splitlines())]
        chosen = [(version, path) for version, path in pythons if version >= (3, 7)]
        self.assertTrue(chosen)
        for version, path in chosen:
            with self.subTest(version):
                self.topology('econtext: 1\nnodes:\n  n: {local: {}, python: %s}\n' % path)
                if version < (3, 13):
                    self.assertEqual(self.value('prog.py', 'old'), ['text\n', [0, 1, 255], 'text\n', ALL, [True, False, False]])
                if version >= (3, 10):
                    self.assertEqual(self.value('prog.py', 'new'), ['text\n', [0, 1, 255], 'text\n', ALL, [True, False, False],
                                                                    True, 'deep', 'deep.txt', True])
                if version >= (3, 12):      # of a module: what lies in its package
                    self.assertEqual(self.value('prog.py', 'beside'), ['text\n'] * 2)

    def value(self, file, function):
        end = self.ends(0, 'call', '--json', '-w', 'n', './%s:%s' % (file, function))
        return [e['value'] for e in end.events() if 'value' in e][0]
