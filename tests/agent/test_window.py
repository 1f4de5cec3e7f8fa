#!/usr/bin/env python3
"""The window of a hop in the Python agent, by itself: it follows its link as router/credit.c's does (tests/unit/router/test_credit.c)."""
import os
import re
import sys
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def functions():
    """new_hop, ran_dry and sample as they are written, with a clock that stands still: seconds are in `clock`."""
    names = {}
    with open(os.path.join(TOP, 'preamble/python/numbers.py')) as f:
        exec(f.read(), names)
    with open(os.path.join(TOP, 'preamble/python/shared/bulk.py')) as f:
        source = f.read()
    names['clock'] = [0.0]
    names['stamp'] = lambda: names['clock'][0]
    for name in 'new_hop', 'ran_dry', 'sample':
        exec(re.search(r'^def %s\(.*?(?=^\S)' % name, source, re.M | re.S).group(), names)
    return names


class Window(unittest.TestCase):
    def setUp(self):
        self.names = functions()
        self.least = self.names['HOP_WINDOW_MIN']
        self.hop = self.names['new_hop'](1 << 22)
        self.sent = 0

    def after(self, ms):
        """The window, once all of it was in flight and took so long."""
        self.sent += self.hop[0]
        self.names['ran_dry'](self.hop, self.sent)
        self.names['clock'][0] += ms / 1e3
        self.names['sample'](self.hop, self.sent - 1)   # not all
        self.names['sample'](self.hop, self.sent)
        return self.hop[0]

    def test_it_doubles_until_bytes_pile_up(self):
        self.assertEqual(self.after(30), 2 * self.least)
        self.assertEqual(self.after(38), 4 * self.least, 'less than two frames of it wait')
        self.assertEqual(self.after(36.5), 4 * self.least, 'less than three, and more than two')
        self.assertEqual(self.after(39.9), 4 * self.least, '10 ms are not too long')
        self.assertEqual(self.after(41), 2 * self.least, 'the doubling is taken back')
        self.assertEqual(self.after(38), 2 * self.least, 'two frames wait, and are a burst no more')
        self.assertEqual(self.after(33), 2 * self.least * 5 // 4)
        for _ in range(30):
            self.after(30)
        self.assertEqual(self.hop[0], 1 << 22)
        self.assertEqual(self.after(60), (1 << 22) * 3 // 4)
        for _ in range(30):
            self.after(5000)
        self.assertEqual(self.hop[0], self.least)

    def test_a_slow_link(self):
        """Of 2 MB/s and no length: what is in flight is the time that a call waits."""
        for _ in range(20):
            n = self.hop[0]
            self.after(n / 2e3)
            if n > self.least * 5 // 4:
                self.assertLess(self.hop[0], n)
        self.assertLessEqual(self.hop[0], self.least * 5 // 4)

    def test_a_long_way(self):
        for _ in range(10):
            self.after(160 + 10)
        self.assertEqual(self.hop[0], 1 << 22)


if __name__ == '__main__':
    result = unittest.main(exit=False, verbosity=0).result
    failed = len({t.id() for t, _ in result.failures + result.errors})
    print('%d passed, %d failed' % (result.testsRun - failed, failed))
    sys.exit(1 if failed else 0)
