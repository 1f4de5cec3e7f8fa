#!/usr/bin/env python3
"""hop.py FOLDER RATE LATE ARGS...: the interpreter of a context that lies behind a slow way: it works in FOLDER, gets RATE bytes a
second (0: as they come), and is heard LATE seconds later."""
import os
import queue
import subprocess
import sys
import threading
import time

PIECE = 4096
child = subprocess.Popen([sys.executable] + sys.argv[4:], cwd=sys.argv[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
rate, late = [float(x) for x in sys.argv[2:4]]
said = queue.Queue()


def hear():
    s = True
    while s:
        s = os.read(child.stdout.fileno(), 65536)
        said.put((time.monotonic() + late, s))


def write_all(fd, s):
    while s:
        s = s[os.write(fd, s):]


def pass_on():
    while True:
        when, s = said.get()
        time.sleep(max(0, when - time.monotonic()))
        if not s:
            os._exit(0)
        write_all(1, s)


for f in hear, pass_on:
    threading.Thread(target=f).start()
free = time.monotonic()     # when the way is
while True:
    s = os.read(0, PIECE)
    if not s:
        break
    if rate:
        free = max(free, time.monotonic()) + len(s) / rate
        time.sleep(max(0, free - time.monotonic()))
    write_all(child.stdin.fileno(), s)
child.stdin.close()
