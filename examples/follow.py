"""What `follow.c` and `econtext call ... ./examples/follow.py:follow PATH @channel` run on each host: tail -f, as values."""
import os
import time


def follow(path, channel, seconds=None):
    f = open(path)
    f.seek(0, 2)
    end = seconds and time.time() + seconds
    while not end or time.time() < end:
        line = f.readline()
        if line:
            channel.send(line.rstrip('\n'))
        elif os.stat(path).st_ino != os.fstat(f.fileno()).st_ino:
            f = open(path)              # it was rotated
        else:
            time.sleep(0.2)
