#!/usr/bin/env python3
"""imports_oracle.py PROGRAM [FOLDER...]: compares the import scan with Python's own parser.

PROGRAM (tests/agent/imports_scan.c) reads "SELF PACKAGE PATH" lines and prints for each the names the scan tells, on one
line. FOLDERs default to the standard library of this Python. For every file that parses: each name that the import nodes
of its tree stand for must be told, and nearly nothing else; prints the differences, ends with 1 when a name is missing,
or when more than one name in a thousand is too much.
"""
import ast
import os
import subprocess
import sys
import sysconfig
import warnings

SPURIOUS_MAX = 0.001
NAME_MAX = 255
SKIP = {'site-packages', 'dist-packages'}  # what happens to be installed beside it would make the time a lottery


def prefixes(name):
    parts = name.split('.')
    return {'.'.join(parts[:i + 1]) for i in range(len(parts))}


def base(self, package, level):
    parts = self.split('.')
    if not package:
        parts = parts[:-1]
    if level > 1:
        parts = parts[:1 - level] if len(parts) >= level - 1 else []
    return '.'.join(parts)


def names(tree, self, package):
    """What the import nodes stand for: x and x.y of `from x import y`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found |= prefixes(alias.name)
        elif isinstance(node, ast.ImportFrom):
            full = node.module or ''
            if node.level:
                above = base(self, package, node.level)
                if not above:
                    continue
                full = above + '.' + full if full else above
            found |= prefixes(full)
            for alias in node.names:
                if alias.name != '*':
                    found |= prefixes(full + '.' + alias.name)
    return {name for name in found if len(name.encode('utf-8', 'replace')) <= NAME_MAX}


def sources(tops):
    for top in tops:
        for folder, folders, files in os.walk(top):
            folders[:] = sorted(set(folders) - SKIP)
            for name in sorted(files):
                if not name.endswith('.py') or '\n' in folder + name or ' ' in folder + name:
                    continue
                path = os.path.join(folder, name)
                parts = os.path.relpath(path, top)[:-3].split(os.sep)
                package = parts[-1] == '__init__' and len(parts) > 1
                yield path, '.'.join(parts[:-1] if package else parts), package


def main():
    warnings.simplefilter('ignore')
    folders = sys.argv[2:] or [sysconfig.get_path('stdlib')]
    cases, told = [], 0
    for path, self, package in sources(folders):
        with open(path, 'rb') as f:
            source = f.read()
        try:
            cases.append((path, self, package, names(ast.parse(source), self, package)))
        except (SyntaxError, ValueError, RecursionError):
            continue
    lines = ''.join('%s %d %s\n' % (self, package, path) for path, self, package, _ in cases)
    out = subprocess.run([sys.argv[1]], input=os.fsencode(lines), stdout=subprocess.PIPE, check=True).stdout
    missing = spurious = 0
    for (path, _, _, expected), line in zip(cases, out.decode('utf-8', 'replace').split('\n')):
        scanned = set(line.split())
        told += len(scanned)
        missing += len(expected - scanned)
        spurious += len(scanned - expected)
        for name in sorted(expected - scanned):
            print('%s: missing %s' % (path, name))
        for name in sorted(scanned - expected):
            print('%s: too much: %s' % (path, name))
    print('%d files, %d names, %d missing, %d too much' % (len(cases), told, missing, spurious))
    return 1 if missing or not cases or spurious > SPURIOUS_MAX * told else 0


sys.exit(main())
