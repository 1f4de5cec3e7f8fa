"""A relay that carries its children's frames as it likes: the real agent is behind it. $HOSTILE says what it does to some of
what its children say (`up`) or are told (`down`): swap two neighbours, dup, drop, flip a bit.

The relay's own frames are left alone: so what is seen is what the ends make of it.
"""
import os
import random
import re
import struct
import subprocess
import sys
import threading
import time

WHAT, SIDE = os.environ['HOSTILE'].split('-')
HEAD = struct.Struct('>4B6I')
child = subprocess.Popen(['/bin/sh', '-c', sys.argv[-1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
booted = threading.Event()


class Pipe:
    def __init__(self, fd, to):
        self.file, self.to = os.fdopen(fd, 'rb', 65536), to
        self.chance = random.Random(int(os.environ['SEED']))

    def read(self, n):
        b = self.file.read(n)
        if len(b) < n:
            os._exit(0)
        return b

    def write(self, b):
        while b:
            b = b[os.write(self.to, b):]

    def frames(self, side):
        me, held = None, b''
        while True:
            head = self.read(28)
            _, _, kind, _, dst, src, _, _, _, n = HEAD.unpack(head)
            body = self.read(n)
            me = me or (dst if side == 'down' else src)
            hit = side == SIDE and n and (dst if side == 'down' else src) != me and self.chance.random() < 0.25
            if hit and WHAT == 'swap' and not held:
                held = head + body
                continue
            if hit and WHAT == 'flip' and kind & 2: # bulk: else it is another message, and as good as any
                body = body[:n // 2] + bytes([body[n // 2] ^ 1]) + body[n // 2 + 1:]
            if not hit or WHAT != 'drop':
                self.write((head + body) * (2 if hit and WHAT == 'dup' else 1) + held)
            held = b''


def down():
    pipe = Pipe(0, child.stdin.fileno())
    line = pipe.file.readline()
    pipe.write(line + pipe.read(int(re.search(br',(\d+)-len', line).group(1))))
    booted.set()
    pipe.frames('down')


def up():
    pipe = Pipe(os.dup(child.stdout.fileno()), 1)
    pipe.write(pipe.file.readline())
    booted.wait()
    pipe.frames('up')


threading.Thread(target=down, daemon=True).start()
threading.Thread(target=up, daemon=True).start()
child.wait()
time.sleep(0.2)
