#!/usr/bin/env python3
"""hop.py FOLDER RATE LATE ARGS...: the interpreter of a context that lies behind a slow way: it works in FOLDER, gets RATE bytes a
second (0: as they come), and is heard LATE seconds later. FOLDER/on-its-way: the most bytes, so far, that were passed on before what the
context said next was heard."""
import os
import queue
import subprocess
import sys
import threading
import time

PIECE = 4096
child = subprocess.Popen([sys.executable] + sys.argv[4:], cwd=sys.argv[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
report = os.open(os.path.join(sys.argv[1], 'on-its-way'), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
rate, late = [float(x) for x in sys.argv[2:4]]
said = queue.Queue()
passed = heard = most = 0   # bytes: passed on, of these before the last thing heard was said; see above


def hear():
    s = True
    while s:
        s = os.read(child.stdout.fileno(), 65536)
        said.put((time.monotonic() + late, s, passed))


def write_all(fd, s):
    while s:
        s = s[os.write(fd, s):]


def pass_on():
    global heard
    while True:
        when, s, before = said.get()
        time.sleep(max(0, when - time.monotonic()))
        if not s:
            os._exit(0)
        heard = before
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
    passed += len(s)
    if passed - heard > most:
        most = passed - heard
        os.pwrite(report, b'%20d' % most, 0)
child.stdin.close()
