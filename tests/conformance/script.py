"""Reads vector files: a vector is its directives and a tree of steps (indentation makes blocks)."""
import os


class Step(object):
    def __init__(self, place, words, block):
        self.place, self.text, self.block = place, words, block


class Vector(object):
    def __init__(self, theme, place, name, steps):
        self.theme, self.place, self.name, self.steps = theme, place, name, steps
        self.needs, self.lacks, self.parts = set(), set(), []
        self.boot, self.slow, self.once = '', False, False
        while steps:
            word, _, rest = steps[0].text.partition(' ')
            if word == 'needs':
                self.needs.update(rest.split())
            elif word == 'lacks':
                self.lacks.update(rest.split())
            elif word == 'boot':
                self.boot = rest
            elif word in ('relay', 'exec', 'stream', 'cancel', 'stats', 'program'):
                self.parts.append(word)
            elif word == 'slow':
                self.slow = True
            elif word == 'once':
                self.once = True
            else:
                break
            del steps[0]

    def is_for(self, features):
        return self.needs <= features and not self.lacks & features


def uncomment(line):
    """Without a comment: a `#` at the start or after a blank, outside of quotes."""
    quote = None
    for i, c in enumerate(line):
        if quote:
            quote = None if c == quote and line[i - 1] != '\\' else quote
        elif c in '"\'':
            quote = c
        elif c == '#' and (not i or line[i - 1] in ' \t'):
            return line[:i]
    return line


def lines_of(path):
    with open(path, encoding='utf-8') as f:
        held = ''
        for number, line in enumerate(f, 1):
            line = held + uncomment(line.rstrip('\n')).rstrip()
            if line.endswith('\\'):
                held = line[:-1]
                continue
            held = ''
            if line.strip():
                yield '%s:%d' % (os.path.basename(path), number), len(line) - len(line.lstrip()), line.strip()


def block(lines, depth):
    """The steps that are deeper than depth; lines is a list that is eaten from its head."""
    out, mine = [], None
    while lines and lines[0][1] > depth:
        place, indent, text = lines.pop(0)
        mine = indent if mine is None else mine
        if indent != mine:
            raise SyntaxError('%s: indentation' % place)
        out.append(Step(place, text, block(lines, indent)))
    return out


def read(path):
    theme = os.path.splitext(os.path.basename(path))[0]
    lines, out = list(lines_of(path)), []
    while lines:
        place, indent, text = lines.pop(0)
        if indent or not text.startswith('vector '):
            raise SyntaxError('%s: a vector begins at the left with `vector NAME`' % place)
        out.append(Vector(theme, place, text[7:].strip(), block(lines, 0)))
    names = [v.name for v in out]
    if len(set(names)) != len(names):
        raise SyntaxError('%s: two vectors of one name' % path)
    return out


def read_all(folder):
    out = []
    for name in sorted(os.listdir(folder)):
        if name.endswith('.txt'):
            out += read(os.path.join(folder, name))
    return out
