"""Each error that topology/ can say has a case that shows it: a line of errors.golden, or a text in a unit test.

The sources are searched for the texts of errors and of hints. A text that no case has is a kind of error that nobody has
seen, so neither its place nor its suggestion is known to be right.
"""
import glob
import os
import re
import unittest

from support import TOP

# Who says something: the texts among their arguments are what a user reads.
CALLS = r'\b(?:eci_fail_at|eci_fail_arg|eci_fail_hint|wrong|refuse|bad|later|fault|complain)\('
STRING = r'"(?:[^"\\]|\\.)*"'
# No file and no selection can bring these about (memory and pipes that are out), or only in ten seconds.
NOT_BY_INPUT = ['out of memory', 'not taken from the working directory: %s', 'if it is meant, name it: --topology %s', 'ssh -G: no pipe: errno %d', 'ssh -G %s: ended by signal %d', 'ssh -G %s: no answer within 10 s', 'ssh -G %s: it was given up', 'look for Match exec in ssh_config']


def unquoted(literals):
    text = ''.join(s[1:-1] for s in re.findall(STRING, literals))
    return re.sub(r'\\(.)', lambda m: {'n': '\n', 't': '\t'}.get(m.group(1), m.group(1)), text)


def call_at(source, start):
    """The text of a call from its name to its closing bracket, strings and all."""
    depth, i = 0, start
    while i < len(source):
        if source[i] == '"':
            i = re.compile(STRING).match(source, i).end()
            continue
        depth += {'(': 1, ')': -1}.get(source[i], 0)
        i += 1
        if depth == 0 and source[i - 1] == ')':
            return source[start:i]
    return source[start:]


def without_comments(source):
    return re.sub(r'(%s)|/\*.*?\*/' % STRING, lambda m: m.group(1) or ' ', source, flags=re.S)


def texts():
    """(file, text) of all that is said."""
    for path in sorted(glob.glob(os.path.join(TOP, 'topology', '*.c'))):
        with open(path, encoding='utf-8') as f:
            source = without_comments(f.read())
        places = [call_at(source, m.start()) for m in re.finditer(CALLS, source)]
        hints = re.search(r'hint_for\(.*?\n}\n', source, re.S)
        places += re.findall(r'return [^;]*;', hints.group(0)) if hints else []
        for place in places:
            for literals in re.findall(r'%s(?:\s*%s)*' % (STRING, STRING), place):
                text = unquoted(literals)
                # words of a sentence, not a bare key, a separator or a "%s"
                if len(re.findall(r'[a-z]{2,}', re.sub(r'%[.*0-9]*[a-z]+', ' ', text))) > 1:
                    yield os.path.basename(path), text


def pattern(text):
    parts = re.split(r'(%%|%[-.*0-9]*(?:zu|u|s|d|c))', text)
    return re.compile(''.join('%' if p == '%%' else '.*' if p.startswith('%') and len(p) > 1 else re.escape(p) for p in parts))


def shown():
    """All that cases have: the golden file's lines, the strings of the unit tests."""
    folder = os.path.join(TOP, 'tests', 'unit', 'topology')
    with open(os.path.join(folder, 'errors.golden'), encoding='utf-8') as f:
        lines = [line[2:].rstrip('\n') for line in f if line.startswith('> ')]
    for path in glob.glob(os.path.join(folder, '*.c')):
        with open(path, encoding='utf-8') as f:
            lines += [unquoted(s) for s in re.findall(r'%s(?:\s*%s)*' % (STRING, STRING), without_comments(f.read()))]
    return lines


class Catalogue(unittest.TestCase):
    maxDiff = None

    def test_each_text_has_a_case(self):
        lines = shown()
        said = [(f, t) for f, t in texts() if t not in NOT_BY_INPUT]
        self.assertGreater(len(said), 120)  # the search itself still finds them
        missing = ['%s: %s' % (f, t) for f, t in said if not any(pattern(t).search(line) for line in lines)]
        self.assertEqual(missing, [])

    def test_each_golden_case_has_place_and_suggestion(self):
        with open(os.path.join(TOP, 'tests', 'unit', 'topology', 'errors.golden'), encoding='utf-8') as f:
            quoted = [line[2:].rstrip('\n') for line in f if line.startswith('> ')]
        self.assertEqual(len(quoted) % 2, 0)
        for saw, hint in zip(quoted[::2], quoted[1::2]):
            self.assertRegex(saw, r'^f\.yaml:[1-9][0-9]*:[1-9][0-9]*: .')
            self.assertGreater(len(hint), 5, saw)
