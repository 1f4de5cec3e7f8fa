"""What the tests call: Python 2.4 to 3.13."""
import logging
import os
import sys
import threading
import time


class Odd(Exception):
    pass


class Kind(object):
    @classmethod
    def name(cls):
        return cls.__name__


def echo(*args, **kwargs):
    return [list(args), kwargs]


def same():
    return 'same'


def boom():
    raise Odd('bad \033[31m thing')


def odd():
    return object()


def big():
    return 2 ** 100


def raw():
    return b'\xff\x00'.decode('latin-1').encode('latin-1')


def say():
    print('out \033[2J\nline 2')
    sys.stderr.write('err\n')
    logging.warning('warned %s\n18:00:00 I econtext.top: forged', 3)
    logging.debug('debugged')
    os.system('echo child')
    return None


def chatter(path):
    """A thread that prints for ever; the file's length says how much it has printed: a MiB when we come back."""
    def run():
        n = 0
        f = open(path, 'w')
        while 1:
            print('x' * 4000)
            n += 4001
            f.truncate(n)
    t = threading.Thread(target=run)
    t.daemon = True
    t.start()
    while os.stat(path).st_size < 1 << 20:
        time.sleep(.001)


def flood(n):
    """n lines of 64 bytes, while the relay next to the master stands still: as many processes as the one between has."""
    pids = [os.getpid()]
    while 1:
        f = open('/proc/%d/stat' % pids[-1])
        above = int(f.read().split()[3])
        f.close()
        if os.path.basename(os.readlink('/proc/%d/exe' % above)) == 'econtext':
            break
        pids.append(above)
    near = pids[2 + (len(pids) - 2) // 2:]      # this agent has two
    for pid in near:
        os.kill(pid, 19)
    try:
        for i in range(n):
            print('x' * 63)
        sys.stdout.flush()
    finally:
        for pid in near:
            os.kill(pid, 18)


def die():
    os._exit(3)


def hold(up, go):
    """Says who it is into the fifo up, and waits until somebody writes to the fifo go."""
    f = open(up, 'w')
    f.write('%d\n' % os.getpid())
    f.close()
    f = open(go)
    text = f.read()
    f.close()
    return text.strip()


def nul():
    try:
        raise ValueError('a\0b')
    except ValueError:
        raise KeyError('second')
