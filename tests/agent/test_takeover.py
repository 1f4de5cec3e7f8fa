#!/usr/bin/env python3
"""Parts of the Python agent that come while its threads write: each brings anew what several share, and `relay` takes over what is counted."""
import sys

import driver
import support
from net import Far, StreamCase

WRITER = '''
def bytes_for_ever(ch):
    while 1:
        ch.write(b'x')
'''


class Takeover(StreamCase):
    def writer(self, f, *args):
        n = self.ready()
        n.c.serve('writer', WRITER)
        x = Far(n, n.handle())
        n.c.request(25, ['writer', f, [None] + list(args), {}, [[0, x.handle, 0]]])
        return n, x

    def part(self, n, name):
        return n.c.request(24, [name, driver.made()[1][name]])

    def test_another_part(self):
        """Many times, as the writer must have its turn in the middle of it. (In Python below 3.4 it ended by that once in six.)"""
        n, x = self.writer('bytes_for_ever')
        n.until(lambda: len(x.got) > 100)
        x.give = False
        for i in range(15):
            for slot in [self.part(n, 'exec') for j in range(4)]:
                self.assertIsNone(n.answer(slot).value())
            at = len(x.got)
            n.until(lambda: len(x.got) > at + 20)
        n.c.proc.kill()         # it has no end of its own: what `exec` does at the end is done by what it brought before


if __name__ == '__main__':
    sys.exit(support.main(__name__))
