#!/usr/bin/env python3
"""sizes.py [TOP]: a file, header or function that has outgrown its reader fails; one that is about to is named.

Functions of C are found by the layout that .clang-format gives: a brace alone in column 0 opens one and ends it.
"""
import ast
import os
import subprocess
import sys

# (what, named from, refused from). A screen is 60 lines; a file of 200 is read in one sitting. A header is mostly its
# contract, which is read from top to bottom.
FILE = ('file', 301, 501)
HEADER = ('header', 161, 251)
FUNCTION = ('function', 61, 101)


def tracked(top):
    """What git tracks; where there is no git, or no repository, all but the builds."""
    try:
        listed = subprocess.run(['git', '-C', top, 'ls-files', '-z'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if listed.returncode == 0:
            return [f for f in listed.stdout.decode().split('\0') if os.path.isfile(os.path.join(top, f))]
    except FileNotFoundError:
        pass
    found = (os.path.relpath(os.path.join(d, f), top) for d, _, files in os.walk(top) for f in files)
    return [f for f in found if not f.startswith('build')]


def is_source(path, first):
    return path.endswith(('.c', '.h', '.py', '.sh')) or first.startswith('#!')


def functions(lines):
    """(line, length) of each function of a C file."""
    start = 0
    for number, line in enumerate(lines, 1):
        if line.rstrip() == '{':
            start = number
        elif line.startswith('}'):
            if start:
                yield start, number - start + 1
            start = 0


def functions_of_python(text):
    """The same of Python's, and of a class's; what it defines inside counts."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    top = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, '..', '..'))
    refused = 0
    for path in sorted(tracked(top)):
        with open(os.path.join(top, path), encoding='utf-8', errors='replace') as f:
            lines = f.read().split('\n')
        if not is_source(path, lines[0]):
            continue
        found = [(HEADER if path.endswith('.h') else FILE, 1, len(lines) - 1)]
        if path.endswith('.c'):
            found += [(FUNCTION, line, length) for line, length in functions(lines)]
        elif path.endswith('.py'):
            found += [(FUNCTION, line, length) for line, length in functions_of_python('\n'.join(lines))]
        for (what, named, limit), line, length in found:
            if length >= limit:
                refused += 1
                print('%s:%d: a %s of %d lines, at most %d' % (path, line, what, length, limit - 1))
            elif length >= named:
                print('%s:%d: note: a %s of %d lines' % (path, line, what, length))
    return 1 if refused else 0


if __name__ == '__main__':
    sys.exit(main())
