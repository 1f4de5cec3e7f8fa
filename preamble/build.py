#!/usr/bin/env python3
"""Makes the Python agent's bytes: preamble/python -> one C file with byte arrays.

    build.py --out FILE.c          what cmake/preamble.cmake runs
    build.py --dir FOLDER          the same as files (core.line, NAME.part, NAME.min.py), for tests and for reading
    build.py --sizes               prints what each piece costs

The source is written to be read; the wire has 3,600 bytes. The pieces are put together here, made small by minify.py, then
compressed and written out. tune.py searches for better names and a better order of functions, once; what it found is kept in
python/names.json. Numbers of python/numbers.py are sent as such and not by their names.
"""
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import zlib

sys.dont_write_bytecode = True  # the source may not be ours to write
import minify  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = os.path.join(HERE, 'python', 'names.json')
NUMBERS = os.path.join(HERE, 'python', 'numbers.py')
SHELL = os.path.join(HERE, 'shell')     # what a host without Python copies with: embedded without its comments
SERVED = os.path.join(HERE, 'served')   # modules that are no part of the agent: embedded as they are
CORE, PARTS = 'core', ('relay', 'exec', 'stats', 'stream', 'cancel', 'program')
# A piece is python/NAME.py, or the chapters of folder python/NAME/ in this order, joined.
CHAPTERS = {
    'core': 'state values frames modules logs main'.split(),
    'relay': '../shared/bulk ../shared/words ../shared/ends state output child routing from_child blocks spawn modules main'.split(),
    'exec': '../shared/bulk ../shared/words ../shared/ends ../shared/handles ../shared/threads streams jobs programs'.split(),
    'stream': '../shared/bulk ../shared/handles ../shared/threads flows sockets opening channels'.split(),
}
PYTHON_MAX = 3600       # LINE, newline and core as sent (docs/boot.md)
# Behind "import sys;", which the first stage puts in front of it (sys is built in). Nothing else may be imported before the working
# directory is out of sys.path: a struct.py there is not ours. (With PYTHONSAFEPATH the first of the path is another.)
# Runs with any of the interpreters; reads exactly N bytes, waits if stdin was left non-blocking. Behind the last it reads none, and
# so it ends, as it does at the end of input, which comes too soon for zlib.
LINE = ('p=sys.path;p[0]or p.pop(0);import os,zlib,fcntl;b=r=os.read(fcntl.fcntl(0,4),1);'
        'exec("while r:r=os.read(0,%(n)d-len(b));b+=r");exec(zlib.decompress(b,-15))')


def compress(data):
    """zopfli when the build machine has it; its zlib stream is what any zlib inflates. What is large gets fewer turns: the last
    940 take five seconds for ten bytes."""
    turns = 1000 if len(data) < 16384 else 60
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'in')       # it asks for the size, so no pipe
            with open(path, 'wb') as f:
                f.write(data)
            p = subprocess.run(['zopfli', '--zlib', '--i%d' % turns, '-c', path], stdout=subprocess.PIPE)
        if p.returncode == 0 and zlib.decompress(p.stdout) == data:
            return p.stdout
    except (OSError, zlib.error):
        pass
    return zlib.compress(data, 9)


def load_names():
    """What tune.py found: ({(unit, name): short}, [functions of the core in the order that compresses best])."""
    if not os.path.exists(NAMES):
        return {}, []
    with open(NAMES) as f:
        found = json.load(f)
    return dict(((u, n), s) for u, n, s in found['names']), found['order']


def reorder(source, order):
    """The same program with its top-level functions, which must stand together, in another order."""
    body = ast.parse(source).body
    lines = source.split('\n')
    defs = [i for i, n in enumerate(body) if isinstance(n, ast.FunctionDef)]
    if defs != list(range(defs[0], defs[-1] + 1)):
        sys.exit('build.py: a statement stands between functions of the core')
    start = dict((body[i].name, body[i].lineno - 1) for i in defs)
    end = dict((body[i].name, body[i].end_lineno) for i in defs)
    names = [n for n in order if n in start]
    names += [body[i].name for i in defs if body[i].name not in names]
    middle = ['\n'.join(lines[start[n]:end[n]]) for n in names]
    first, last = body[defs[0]].lineno - 1, body[defs[-1]].end_lineno
    return '\n'.join(lines[:first] + middle + lines[last:])


class Numbers(ast.NodeTransformer):
    """What python/numbers.py defines, as .text by name."""

    def __init__(self):
        with open(NUMBERS) as f:
            self.text = dict(re.findall(r'^([A-Z][A-Z_]+) = ([^#\n]*[^#\s])', f.read(), re.M))

    def visit_Name(self, node):
        return node.id in self.text and ast.parse(self.text[node.id], mode='eval').body or node


def with_numbers(source):
    """Their values in place of their names, which must mean the same (`1 << 26` behind a `+` would not)."""
    numbers = Numbers()
    out = re.sub(r'\b[A-Z][A-Z_]+\b', lambda m: numbers.text.get(m.group(), m.group()), source)
    if ast.dump(ast.parse(out)) != ast.dump(numbers.visit(ast.parse(source))):
        sys.exit('build.py: one of %s stands in a string, or where it needs parentheses' % ', '.join(sorted(numbers.text)))
    return out


def source_of(name):
    """The readable source of a piece, or None."""
    paths = [os.path.join(name, chapter + '.py') for chapter in CHAPTERS.get(name, ())] or [name + '.py']
    text = []
    for path in paths:
        path = os.path.join(HERE, 'python', path)
        if not os.path.exists(path):
            return None
        with open(path) as f:
            text.append(f.read())
    return with_numbers('\n\n'.join(text))


def defined(source):
    """What it names at top level."""
    for n in ast.parse(source).body:
        if isinstance(n, (ast.FunctionDef, ast.ClassDef)):
            yield n.name
        elif isinstance(n, ast.Assign):
            for target in n.targets:
                for x in ast.walk(target):
                    if isinstance(x, ast.Name):
                        yield x.id


def keep_apart():
    """Core and parts have one namespace, and come in any order: of a name that two parts define, each would have what came last. What
    is the core's they replace on purpose, and pieces that several have are the same in each."""
    ours, by = set(defined(source_of(CORE))), {}
    for part in PARTS:
        for chapter in CHAPTERS.get(part, [part]):
            if not chapter.startswith('..'):
                path = part if chapter == part else os.path.join(part, chapter)
                for name in set(defined(source_of(path) or '')) - ours:
                    if by.setdefault(name, part) != part:
                        sys.exit('build.py: %s is in part %s and in part %s' % (name, by[name], part))


def make():
    keep_apart()
    names, order = load_names()
    renamer, out = minify.Renamer(names), {}
    for name in (CORE,) + PARTS:
        source = source_of(name)
        if source is None:
            continue
        if name == CORE:
            source = reorder(source, order)
        small = minify.render(renamer.rename(source))
        if name == CORE:
            renamer.foresee(filter(None, map(source_of, PARTS)))
        ast.parse(small)
        packed = compress(small.encode('ascii'))
        out[name] = (small, packed[2:-4] if name == CORE else packed)     # its LINE needs no header, no checksum
    line = LINE % {'n': len(out[CORE][1])}
    return line, out


def c_array(name, data):
    rows = [', '.join('0x%02x' % b for b in data[i:i + 16]) for i in range(0, len(data), 16)]
    return 'static const uint8_t %s[] = {\n\t%s};\n' % (name, ',\n\t'.join(rows))


def without_comments(script):
    """A shell script as it is sent: no lines that are comments, no indentation. (None of ours has a here-document.)"""
    lines = [x.lstrip() for x in script.split(b'\n')]
    return b'\n'.join(x for x in lines if x and not x.startswith(b'#')) + b'\n'


def c_file(line, out):
    s = '/* Made by preamble/build.py from preamble/python. */\n#include "preamble/preamble.h"\n\n'
    s += c_array('python_bytes', line.encode() + b'\n' + out[CORE][1])
    parts = [n for n in PARTS if n in out]
    for n in parts:
        s += c_array('part_' + n, out[n][1])
    files = sorted(n for n in os.listdir(SERVED) if n.endswith('.py'))
    for i, n in enumerate(files):
        with open(os.path.join(SERVED, n), 'rb') as f:
            s += c_array('served_%d' % i, f.read())
    scripts = sorted(n for n in os.listdir(SHELL) if n.endswith('.sh'))
    for i, n in enumerate(scripts):
        with open(os.path.join(SHELL, n), 'rb') as f:
            s += c_array('shell_%d' % i, without_comments(f.read()) + b'\0')
    s += 'const struct eci_part eci_generated_shell[] = {\n'
    for i, n in enumerate(scripts):
        s += '\t{"%s", shell_%d, sizeof(shell_%d) - 1},\n' % (n[:-3], i, i)
    s += '\t{0, 0, 0},\n};\n'
    s += 'const struct eci_part eci_generated_served[] = {\n'
    for i, n in enumerate(files):
        s += '\t{"%s", served_%d, sizeof(served_%d)},\n' % (n[:-3], i, i)
    s += '\t{0, 0, 0},\n};\n'
    s += 'const struct eci_part eci_generated_python = {"python", python_bytes, sizeof(python_bytes)};\n'
    s += 'const struct eci_part eci_generated_parts[] = {\n'
    for n in parts:
        s += '\t{"%s", part_%s, sizeof(part_%s)},\n' % (n, n, n)
    return s + '\t{0, 0, 0},\n};\n'


def main(argv):
    line, out = make()
    total = len(line) + 1 + len(out[CORE][1])
    if '--sizes' in argv:
        print('line %d, core %d (minified %d), as sent %d' % (len(line), len(out[CORE][1]), len(out[CORE][0]), total))
        for n in PARTS:
            if n in out:
                print('%s %d (minified %d)' % (n, len(out[n][1]), len(out[n][0])))
    if '--out' in argv:
        with open(argv[argv.index('--out') + 1], 'w') as f:
            f.write(c_file(line, out))
    if '--dir' in argv:
        folder = argv[argv.index('--dir') + 1]
        os.makedirs(folder, exist_ok=True)
        files = {'core.sent': line.encode() + b'\n' + out[CORE][1]}
        for n in out:
            files[n + '.min.py'] = out[n][0].encode()
            if n != CORE:
                files[n + '.part'] = out[n][1]
        for n in files:
            with open(os.path.join(folder, n), 'wb') as f:
                f.write(files[n])
    if total > PYTHON_MAX and '--strict' in argv:
        sys.exit('build.py: the Python preamble is %d bytes, at most %d may be sent' % (total, PYTHON_MAX))


if __name__ == '__main__':
    main(sys.argv[1:])
