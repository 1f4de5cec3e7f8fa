#!/usr/bin/env python3
"""tune.py SECONDS [SEED]: searches names and an order of functions with which the core compresses better.

Simulated annealing by the size that deflate makes of it; writes python/names.json, which build.py follows as far as the
names still exist. To be run after the core has changed; a build does not search. libdeflate's best level, where it is here,
comes within a few bytes of what zopfli makes, in 1.5 ms; else zlib.
"""
import ctypes
import ctypes.util
import json
import math
import random
import string
import sys
import time
import zlib

import build
import minify


def measure():
    """The function bytes -> size of their raw deflate."""
    path = ctypes.util.find_library('deflate')
    if not path:
        def size(data):
            c = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
            return len(c.compress(data) + c.flush())
        return size
    lib = ctypes.CDLL(path)
    lib.libdeflate_alloc_compressor.restype = ctypes.c_void_p
    lib.libdeflate_deflate_compress.restype = ctypes.c_size_t
    lib.libdeflate_deflate_compress.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
                                                ctypes.c_size_t]
    c, out = lib.libdeflate_alloc_compressor(12), ctypes.create_string_buffer(1 << 17)
    return lambda data: lib.libdeflate_deflate_compress(c, data, len(data), out, 1 << 17)


class Search:
    """.given {key: short name} and .middle [functions, as text with one mark for each name] is the state."""

    def __init__(self, dice):
        self.dice, self.measure = dice, measure()
        names, order = build.load_names()
        source = build.reorder(build.source_of(build.CORE), order)
        r = self.r = minify.Renamer(names)
        r.plan(source)
        self.keys = sorted(r.new)
        self.mark = dict((k, 0x4e00 + i) for i, k in enumerate(self.keys))
        r.globals.clear()
        text = minify.render(r.rename(source, lambda k: chr(self.mark[k])))
        at = [i for i in range(len(text)) if text.startswith('\ndef ', i)] + [text.index('\n%s={' % chr(self.mark[('', 'H')]))]
        self.head, self.tail = text[:at[0]], text[at[-1]:]
        self.middle = [text[a:b] for a, b in zip(at, at[1:])]
        self.given = dict((k, r.given[k]) for k in self.keys)
        self.letters = list(string.ascii_letters + '_') + sorted(set(s for s in self.given.values() if len(s) > 1))
        self.alike = {}
        for k in self.keys:
            self.alike.setdefault(k[1], []).append(k)

    def text(self):
        text = self.head + ''.join(self.middle) + self.tail
        return text.translate(dict((self.mark[k], self.given[k]) for k in self.keys)).encode()

    def give(self, k, new):
        """Gives k the name new; what stood in its way within the same function gets the old one."""
        old, self.given[k] = self.given[k], new
        for c in self.r.conflict[k]:
            if self.given.get(c) == new and (c[0] == k[0] or not c[0]):
                self.given[c] = old

    def move(self):
        """A random change; false if it gives two names that meet in one function the same letter."""
        dice, before, x = self.dice, dict(self.given), self.dice.random()
        if x < .2:
            a, b = dice.sample(range(len(self.middle)), 2)
            self.middle.insert(b, self.middle.pop(a))
            return True
        if x < .3:
            a, b = dice.sample(self.letters, 2)
            for k in self.keys:
                self.given[k] = {a: b, b: a}.get(self.given[k], self.given[k])
        elif x < .4:
            new = dice.choice(self.letters)
            for k in self.alike[dice.choice(self.keys)[1]]:
                self.give(k, new)
        else:
            self.give(dice.choice(self.keys), dice.choice(self.letters))
        for k in self.keys:
            if self.given[k] != before[k] and (self.given[k] in self.r.fixed or any(
                    self.given.get(c) == self.given[k] for c in self.r.conflict[k])):
                return False
        return True

    def run(self, seconds):
        start, best = time.time(), self.measure(self.text())
        now, found = best, (dict(self.given), list(self.middle))
        tried = 0
        print('at first: %d' % best)
        while 1:
            spent = (time.time() - start) / seconds
            tried += 1
            if spent > 1:
                print('tried: %d' % tried)
                return best, found
            state = dict(self.given), list(self.middle)
            new = self.measure(self.text()) if self.move() else now + 999
            heat = .4 * (1 - spent) ** 2 + .05
            if new > now and self.dice.random() >= math.exp((now - new) / heat):
                self.given, self.middle = state
                continue
            now = new
            if now < best:
                best, found = now, (dict(self.given), list(self.middle))

    def save(self, found):
        given, middle = found
        names = dict((self.mark[k], k[1]) for k in self.keys)
        order = [names.get(ord(f[5]), f[5:f.index('(')]) for f in middle]
        with open(build.NAMES, 'w') as f:
            rows = ',\n'.join(json.dumps([k[0], k[1], given[k]]) for k in self.keys)
            f.write('{"order": %s,\n"names": [\n%s]}\n' % (json.dumps(order), rows))


def main(argv):
    search = Search(random.Random(int(argv[1]) if len(argv) > 1 else 1))
    best, found = search.run(float(argv[0]))
    search.save(found)
    print('raw deflate: %d' % best)


if __name__ == '__main__':
    main(sys.argv[1:])
