#!/usr/bin/env python3
"""Makes the Python agent's bytes: preamble/python -> one C file with byte arrays.

    build.py --out FILE.c          what cmake/preamble.cmake runs
    build.py --dir FOLDER          the same as files (core.line, NAME.part, NAME.min.py), for tests and for reading
    build.py --sizes               prints what each piece costs

The source is written to be read; the wire has 3,600 bytes. Minified by tokens, not by unparsing a tree, so that literals
and syntax stay exactly what the author wrote (the text must still be Python 2.4). Names are given out by graph colouring:
a name that is local in several functions has the same letter in all of them (the compressor likes that), and two names
share a letter when no function uses both. All parts share one namespace, so globals keep the name that the first file
gave them. Deterministic: no set is iterated unsorted. tune.py searches for better names and a better order of functions,
once; what it found is kept in python/names.json. Numbers of python/numbers.py are sent as such and not by their names.
"""
import ast
import builtins
import collections
import io
import json
import keyword
import os
import re
import string
import subprocess
import sys
import tempfile
import tokenize
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = os.path.join(HERE, 'python', 'names.json')
NUMBERS = os.path.join(HERE, 'python', 'numbers.py')
SHELL = os.path.join(HERE, 'shell')     # what a host without Python copies with: embedded without its comments
SERVED = os.path.join(HERE, 'served')   # modules that are no part of the agent: embedded as they are
CORE, PARTS = 'core', ('relay', 'exec', 'stats', 'stream', 'cancel')
# A piece is python/NAME.py, or the chapters of folder python/NAME/ in this order, joined.
CHAPTERS = {
    'core': 'state values frames modules logs main'.split(),
    'relay': '../shared/bulk ../shared/words output child routing blocks spawn modules main'.split(),
    'exec': '../shared/bulk ../shared/words streams jobs programs'.split(),
    'stream': '../shared/bulk flows sockets opening channels'.split(),
}
PYTHON_MAX = 3600       # LINE, newline and core as sent (docs/boot.md)
# Names that others see: the importer's protocol, what user code may use.
KEEP = set('''slave run find_module find_spec load_module create_module exec_module get_data get_source get_resource_reader
    ask Reader emit write flush encode Channel ChannelClosed'''.split())
# Runs with any of the interpreters; reads exactly N bytes, ends at the end of input, waits if stdin was left non-blocking.
# (At the end of input it adds a number to bytes: a TypeError.)
LINE = ('import os,zlib,fcntl;fcntl.fcntl(0,4);b="".encode();n=9;'
        'exec("while n:b+=os.read(0,n)or 0;n=%(n)d-len(b)");exec(zlib.decompress(b,-15))')


class Names(ast.NodeVisitor):
    """Where each name belongs: .tree[i] = (locals, globals) of top-level statement i; .attrs = attributes we define."""

    def __init__(self, module):
        self.globals, self.attrs, self.units, self.fixed = set(), set(), [], set()
        self.stack, self.at = [], {}
        for node in ast.walk(module):
            if isinstance(node, ast.Global):
                self.globals.update(node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                self.attrs.add(node.attr)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for a in node.names:
                    (self.globals if a.asname else self.fixed).add((a.asname or a.name).split('.')[0])
            elif isinstance(node, ast.ClassDef):
                for n in node.body:
                    if isinstance(n, ast.FunctionDef):
                        self.attrs.add(n.name)
            elif isinstance(node, ast.keyword) and node.arg:
                self.fixed.add(node.arg)
        self.collect_stores(module.body, self.globals)
        self.globals -= self.fixed
        self.module = module

    def collect_stores(self, body, into):
        """Names bound in this scope (not in nested functions); methods are attributes, not names."""
        todo = list(body)
        while todo:
            n = todo.pop()
            if isinstance(n, (ast.FunctionDef, ast.ClassDef)):
                into.add(n.name)
                continue
            if isinstance(n, ast.Lambda):
                continue
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
                into.add(n.id)
            todo.extend(ast.iter_child_nodes(n))

    def function_locals(self, f):
        out = set(a.arg for a in f.args.args)
        for extra in (f.args.vararg, f.args.kwarg):
            if extra:
                out.add(extra.arg)
        if isinstance(f, ast.FunctionDef):
            self.collect_stores(f.body, out)
            for n in ast.walk(f):
                if isinstance(n, ast.Global):
                    out -= set(n.names)
        return out

    def units_of(self):
        """Yields (first line, last line, locals, names used) for each top-level statement."""
        for node in self.module.body:
            local = set()
            for n in ast.walk(node):
                if isinstance(n, (ast.FunctionDef, ast.Lambda)):
                    local |= self.function_locals(n)
                if isinstance(n, ast.ClassDef) and n is not node:
                    local.add(n.name)
            local -= set(getattr(node, 'name', '').split()) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else set()
            used = set(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
            yield node.lineno, node.end_lineno, node, local, used


def pool():
    for a in string.ascii_letters + '_':
        yield a
    for a in string.ascii_letters:
        for b in string.ascii_letters + string.digits:
            yield a + b


class Renamer:
    """Gives out names. A key is ('', name) for a global or (unit, name) for a local; units are top-level statements."""

    def __init__(self, tuned=None):
        self.globals, self.attrs, self.tuned = {}, {}, tuned or {}
        self.outside = set(dir(builtins)) | set(keyword.kwlist) | {'unicode', 'print', 'exec', 'os', 'sys'}

    def plan(self, source):
        """Sets .units [(first line, last line, name, locals)], .given {key: short}, .conflict {key: keys}."""
        module = ast.parse(source)
        names = Names(module)
        external = set()
        for t in (str, bytes, list, dict, int, set, io.FileIO, io.BytesIO, os, sys, zlib, BaseException, OSError):
            external.update(dir(t))
        clash = sorted(n for n in names.attrs & external if n not in KEEP and not n.startswith('__'))
        if clash:
            sys.exit('build.py: attribute names that the library has too, choose others: %s' % clash)
        self.fixed = names.fixed | KEEP | set(keyword.kwlist) | self.outside
        untouchable = self.outside | names.fixed | KEEP
        count = collections.Counter(t.string for t in tokens(source) if t.type == tokenize.NAME)
        glob = set(n for n in names.globals if n not in untouchable and not n.startswith('__'))
        known = set(self.globals)
        self.units, self.conflict = [], collections.defaultdict(set)
        weight = {}
        for number, (first, last, node, local, used) in enumerate(names.units_of()):
            unit = getattr(node, 'name', '#%d' % number)
            local -= untouchable
            self.units.append((first, last, unit, local))
            keys = [(unit, n) for n in local]
            used = [('', n) for n in (used & (glob | known)) - local]
            for k in keys:
                weight[k] = count[k[1]]
                self.conflict[k].update(x for x in keys if x != k)
                self.conflict[k].update(used)
                for x in used:
                    self.conflict[x].add(k)
        new = [('', n) for n in glob - known]
        everyone = new + [('', n) for n in known]
        for k in new:
            weight[k] = count[k[1]]
            self.conflict[k].update(x for x in everyone if x != k)
        given = dict((('', n), s) for n, s in self.globals.items())
        # The same local name gets the same letter everywhere, if it can.
        alike = {}
        for k in sorted(weight, key=lambda k: (-weight[k], k[1], k[0])):
            taken = set(given[c] for c in self.conflict[k] if c in given) | self.fixed
            wish = [self.tuned.get(k), k[0] and alike.get(k[1])]
            given[k] = next(s for s in wish + list(pool()) if s and s not in taken)
            if k[0]:
                alike.setdefault(k[1], given[k])
        self.new, self.given = weight, given
        self.name_attrs(names.attrs, count)
        for k in new:
            self.globals[k[1]] = given[k]

    def name_attrs(self, attrs, count):
        used = set(self.attrs.values())
        for n in sorted(attrs, key=lambda k: (-count[k], k)):
            if n not in KEEP and not n.startswith('__') and n not in self.attrs:
                self.attrs[n] = next(s for s in pool() if s not in used and not keyword.iskeyword(s))
                used.add(self.attrs[n])

    def foresee(self, sources):
        """Names the attributes of all these at once: what they share speaks of objects that only a later one defines."""
        attrs, count = set(), collections.Counter()
        for source in sources:
            attrs |= Names(ast.parse(source)).attrs
            count.update(t.string for t in tokens(source) if t.type == tokenize.NAME)
        self.name_attrs(attrs, count)

    def rename(self, source, name_of=None):
        self.plan(source)
        name_of = name_of or (lambda key: self.given[key])
        out, before = [], ''
        for t in tokens(source):
            s = t.string
            if t.type == tokenize.NAME:
                unit, local = next(((u, l) for a, b, u, l in self.units if a <= t.start[0] <= b), ('', ()))
                is_method = before == 'def' and t.start[1] > 4 and s in self.attrs
                if before == '.' or is_method:
                    s = self.attrs.get(s, s)
                elif s in local:
                    s = name_of((unit, s))
                elif s in self.globals:
                    s = name_of(('', s))
            out.append((t.type, s))
            before = t.string
        return out


def tokens(source):
    for t in tokenize.generate_tokens(io.StringIO(source).readline):
        if t.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING):
            yield t


def wordy(c):
    return c.isalnum() or c == '_'


def render(toks):
    """Logical lines as (depth, text); then simple ones are put together."""
    lines, depth, cur, last = [], 0, '', None
    for kind, s in toks:
        if kind == tokenize.INDENT:
            depth += 1
        elif kind == tokenize.DEDENT:
            depth -= 1
        elif kind in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if cur:
                lines.append((depth, cur))
            cur, last = '', None
        else:
            if cur and wordy(cur[-1]) and wordy(s[0]):
                cur += ' '
            elif last == tokenize.NUMBER and wordy(s[0]):
                cur += ' '
            elif s[0] in '\'"' and last == tokenize.NAME and cur[-1:] in 'bBrRuUfF' and not keyword.iskeyword(
                    cur.split()[-1]) and not wordy(cur[-2:-1] or ' '):
                cur += ' '
            cur += s
            last = kind
    return join(merge_imports(lines))


def merge_imports(lines):
    """One import statement for neighbours; what LINE has imported is there already."""
    out = []
    for depth, s in lines:
        if s.startswith('import ') and ' as ' not in s:
            if s[7:] in ('os', 'zlib', 'fcntl') and depth == 0:
                continue
            if out and out[-1][0] == depth and out[-1][1].startswith('import ') and ' as ' not in out[-1][1]:
                out[-1] = (depth, out[-1][1] + ',' + s[7:])
                continue
        out.append((depth, s))
    return out


COMPOUND = ('if', 'elif', 'else', 'for', 'while', 'try', 'except', 'finally', 'def', 'class', 'with')


def is_compound(line):
    word = ''
    for c in line:
        if not wordy(c):
            break
        word += c
    return word in COMPOUND and (line.endswith(':') or word in COMPOUND)


def join(lines):
    out, i = [], 0

    def block(i, depth):
        """Lines of one block: list of strings, index after it."""
        result, run = [], []
        while i < len(lines) and lines[i][0] >= depth:
            d, s = lines[i]
            if not is_compound(s):
                run.append(s)
                i += 1
                continue
            if run:
                result.append(';'.join(run))
                run = []
            i += 1
            if s.endswith(':') and i < len(lines) and lines[i][0] > depth:
                body, i = block(i, depth + 1)
                if len(body) == 1 and not is_compound(body[0]):
                    result.append(s + body[0])
                else:
                    result.append(s)
                    result.extend(' ' + x for x in body)
            else:
                result.append(s)
        if run:
            result.append(';'.join(run))
        return result, i

    out, _ = block(0, 0)
    return '\n'.join(out)


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


def make():
    names, order = load_names()
    renamer, out = Renamer(names), {}
    for name in (CORE,) + PARTS:
        source = source_of(name)
        if source is None:
            continue
        if name == CORE:
            source = reorder(source, order)
        small = render(renamer.rename(source))
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
