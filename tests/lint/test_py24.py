#!/usr/bin/env python3
"""Each line of REFUSED, planted in a program of otherwise good lines, must be found by py24.py at its line; none of GOOD."""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import py24  # noqa: E402

GOOD = '''import os, sys, struct
from logging import Handler as H
EMPTY = struct.pack('')
class A:
    def f(self, a, b=1, *rest, **kw):
        return a and b or rest
@staticmethod
def g(*a):
    for i, x in enumerate(sorted(a, key=len)):
        yield i
    x = [y for y in a if y]
    z = dict([(k, v) for k, v in a])
    m = sum(y for y in a)
    f(1, *a)
    f(k=1, *a) if 0 else None
def h(kind, *rest):
    try:
        try:
            exec(kind, globals())
        except (OSError, ValueError):
            e = sys.exc_info()[1]
        except:
            raise
    finally:
        os.kill(0, 9)
    lambda o, s: '%s' % o
    if 'a' in kind and kind.startswith('./'):
        kind.encode('utf8').decode('utf8', 'replace')
    print(kind)
    raise TypeError(type(kind))
'''.replace('    f(k=1, *a) if 0 else None\n', '')
REFUSED = '''with open('x'): pass
try: pass
except ValueError as e: pass
x = 1 if y else 2
x = b'abc'
x = f'{y}'
x = u'abc'
x = 0o17
x = 0b1
x = 1_000
def f(): nonlocal x
def f(a, *, b): pass
def f(a: int): pass
def f() -> int: pass
def f(a, /): pass
class A(): pass
class A(metaclass=B): pass
print(1, 2)
print(*a)
x = print(1)
print(1, file=sys.stderr)
x = '{}'.format(1)
x = s.format(1)
x = any(y)
x = all(y)
x = bytes(3)
x = bytearray(3)
x = next(y)
x = 'a'.partition('b')
x = {1, 2}
x = {a for a in b}
x = {a: b for a in c}
x = {**a}
x = [*a]
a, *b = c
f(*a, *b)
f(*a, k=1)
f(*a, 1)
x = min(a, key=len)
x = a.encode('utf8', errors='replace')
x = a.startswith(('b', 'c'))
x = (yield)
async def f(): pass
if (x := 1): pass
x = a @ b
x: int = 1
raise A from B
import json
import hashlib
import io
import subprocess
import importlib.util
import functools
from . import a
from os import SEEK_SET
from __future__ import print_function
os.closerange(0, 9)
os.set_blocking(0, 1)
os.path.relpath(x)
struct.Struct('B')
select.epoll()
sys.flags
x = (5).bit_length()
x = ...
except_ = BaseException
e = FileNotFoundError
e = PermissionError
x = memoryview(y)
breakpoint()
def f(): yield from x
x = int.from_bytes(a, 'big')
x = d.iteritems()'''


def main():
    failed = passed = 0
    lines = GOOD.count('\n')

    def expect(what, ok):
        nonlocal failed, passed
        if ok:
            passed += 1
        else:
            failed += 1
            print('FAILED: ' + what)

    found = py24.check(GOOD)
    expect('good lines are refused: %s' % found, not found)
    for line in REFUSED.replace('pass\nexcept', 'pass\0except').split('\n'):
        source = GOOD + line.replace('\0', '\n') + '\n'
        expect('not found: ' + line, [n for n, _ in py24.check(source) if n > lines])
    finally_too = 'try: pass\nexcept: pass\nfinally: pass\n'
    expect('one try with except and finally', py24.check(finally_too))
    expect('a name of Python 2 only', py24.check('print x\n'))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'x.py')
        with open(path, 'w') as f:
            f.write('x = any(y)\n')
        sys.stdout.flush()
        keep = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = py24.main([path])
        sys.stdout.flush()
        os.dup2(keep, 1)
        expect('the status of a file with a violation', status == 1)
    names = [n for n, _ in py24.agent(os.path.dirname(os.path.dirname(HERE)))]
    expect('what is looked at: %s' % names, 'preamble/build.py (LINE)' in names and any('core' in n for n in names))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
