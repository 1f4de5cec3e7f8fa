"""Python source made small: short names, no comments, no more white space than there must be. For build.py and tune.py.

Minified by tokens, not by unparsing a tree, so that literals and syntax stay exactly what the author wrote (the text must
still be Python 2.4). Names are given out by graph colouring: a name that is local in several functions has the same letter
in all of them (the compressor likes that), and two names share a letter when no function uses both. All parts share one
namespace, so globals keep the name that the first file gave them. Deterministic: no set is iterated unsorted.
"""
import ast
import builtins
import collections
import io
import keyword
import os
import string
import sys
import tokenize
import zlib

# Names that others see: the importer's protocol, what user code may use.
KEEP = set('''slave run find_module find_spec load_module create_module exec_module get_data get_source get_resource_reader
    ask Reader emit write flush encode fileno Channel ChannelClosed'''.split())


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

    def functions_in(self, f):
        """Those that are local names of f: none of a class in it."""
        todo = list(f.body)
        while todo:
            n = todo.pop()
            if isinstance(n, ast.FunctionDef):
                yield n
            elif not isinstance(n, (ast.ClassDef, ast.Lambda)):
                todo.extend(ast.iter_child_nodes(n))

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
            sys.exit('minify.py: attribute names that the library has too, choose others: %s' % clash)
        inner = set(n.name for f in ast.walk(module) if isinstance(f, ast.FunctionDef) for n in names.functions_in(f))
        clash = sorted(inner & (names.attrs | set(self.attrs)) - KEEP)
        if clash:
            sys.exit('minify.py: functions within functions that have the name of an attribute, choose others: %s' % clash)
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
                elif s == 'pass':
                    s = '0'     # a statement that does nothing either, and shorter
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
            if s[7:] in ('os', 'zlib', 'fcntl', 'sys') and depth == 0:
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
