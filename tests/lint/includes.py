#!/usr/bin/env python3
"""includes.py [TOP]: checks every #include of the tree against layers.txt beside it, and prints the order of the layers.

Names a file and line for each include that the table does not allow, and ends with 1 if there is one, or if the layers of
the table form a ring. Tests are free to see third-party headers; the layers are not.
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)
SKIP = ('build', '.git')
# Made by the build, so not in the tree: (name as included, the folder it counts as).
GENERATED = {'preamble_bytes.h': 'preamble'}


class Rules:
    def __init__(self, path):
        self.quoted, self.third, self.system = {}, {}, {}
        with open(path) as f:
            for number, line in enumerate(f, 1):
                line = line.split('#')[0].strip()
                if not line:
                    continue
                name, colon, allowed = line.rpartition(':')
                if not colon:
                    sys.exit('%s:%d: no colon' % (path, number))
                if name.startswith('<'):
                    self.third[name.strip('<>')] = allowed.split()
                elif name.endswith('<>'):
                    self.system[name[:-2].strip()] = allowed.split()
                else:
                    self.quoted[name.strip()] = allowed.split()

    def allowed(self, path):
        """What a file's quoted includes may lie in: its nearest folder's list, and its own line's."""
        folder = os.path.dirname(path)
        while folder and folder not in self.quoted:
            folder = os.path.dirname(folder)
        if not folder:
            return None
        return [folder] + self.quoted[folder] + self.quoted.get(path, [])


def within(path, places):
    return any(path == place or path.startswith(place + '/') for place in places)


def sources(top):
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(f for f in folders if not f.startswith(SKIP))
        for name in sorted(files):
            if name.endswith(('.c', '.h')):
                yield os.path.relpath(os.path.join(folder, name), top)


def resolve(top, path, name):
    """The file that a quoted include means, from the top of the tree; None if there is none."""
    for base in (os.path.dirname(path), '', 'include'):
        found = os.path.normpath(os.path.join(base, name))
        if os.path.isfile(os.path.join(top, found)):
            return found
    return GENERATED[name] + '/' + name if name in GENERATED else None


def check(top, rules):
    """Yields 'FILE:LINE: what' for each include that is not allowed."""
    for path in sources(top):
        with open(os.path.join(top, path), encoding='utf-8', errors='replace') as f:
            text = f.read()
        allowed = rules.allowed(path)
        layer = path.split('/')[0]
        for match in INCLUDE.finditer(text):
            where = '%s:%d' % (path, text.count('\n', 0, match.start()) + 1)
            quoted, angled = match.groups()
            if angled:
                if layer != 'tests' and not within(path, rules.third.get(angled, [layer])):
                    yield '%s: <%s> is for %s only' % (where, angled, ', '.join(rules.third[angled]))
                elif angled not in rules.system.get(layer, [angled]):
                    yield '%s: <%s> is not freestanding' % (where, angled)
            elif allowed is None:
                yield '%s: its folder has no line in layers.txt' % where
            else:
                target = resolve(top, path, quoted)
                if target is None:
                    yield '%s: "%s" is no file of the tree' % (where, quoted)
                elif not within(target, allowed):
                    yield '%s: "%s": it may include %s only' % (where, quoted, ', '.join(allowed))


def order(rules):
    """The layers, lowest first; the table's files and tests are no layers."""
    layers = {n: set() for n in rules.quoted if '/' not in n and n != 'tests'}
    for name, allowed in rules.quoted.items():
        layer = name.split('/')[0]
        for place in allowed if layer in layers else []:
            # include/econtext/error.h is a leaf of its own: core may see it, and it sees nobody.
            below = place.split('/')[0]
            if below in layers and below != layer and place != 'include/econtext/error.h':
                layers[layer].add(below)
    done = []
    while layers:
        free = [n for n in layers if not layers[n] - set(done)]
        if not free:
            sys.exit('layers.txt: a ring: ' + ' '.join(sorted(layers)))
        done.append(free[0])
        del layers[free[0]]
    return done


def main():
    top = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', '..'))
    rules = Rules(os.path.join(HERE, 'layers.txt'))
    print('layers, lowest first: ' + ' '.join(order(rules)))
    wrong = list(check(top, rules))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
