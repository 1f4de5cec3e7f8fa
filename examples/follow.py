"""What `follow.c` and `econtext call ... ./examples/follow.py:follow PATH @channel` run on each host: tail -f, as values."""
import io
import os
import time


def changed(path, f):
    """Whether it was rotated, or cut to begin anew. Between two files there may be none for a moment."""
    try:
        st = os.stat(path)
    except OSError:
        return False
    return st.st_ino != os.fstat(f.fileno()).st_ino or st.st_size < f.tell()


def follow(path, channel, seconds=None):
    f = io.open(path, 'rb')
    f.seek(0, 2)
    end = seconds and time.time() + seconds
    begun = b''                         # a line that is written in pieces
    while not end or time.time() < end:
        begun += f.readline()
        whole = begun.endswith(b'\n')
        new = not whole and changed(path, f)
        if whole or new and begun:
            channel.send(begun.rstrip(b'\n').decode('utf-8', 'replace'))
            begun = b''
        if new:
            f.close()
            f = io.open(path, 'rb')
        elif not whole:
            time.sleep(0.2)
