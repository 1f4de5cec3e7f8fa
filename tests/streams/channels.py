"""Channels: values from called code, while it runs, from any thread, of any size; and how they end."""
import json
import os
import queue
import shutil
import subprocess
import threading
import time

from support import LIMIT, MIB, below, expect, until

HERE = os.path.dirname(os.path.abspath(__file__))
CHANNELS_MAX = 16

MODULE = '''
import os
import threading
def count(n, channel, base=0):
    for i in range(n):
        channel.send({'i': i + base})
def threads(n, channel):
    v = [threading.Thread(target=count, args=(n, channel, k * n)) for k in range(4)]
    [x.start() for x in v]
    [x.join() for x in v]
    return 'done'
def late(channel):
    threading.Timer(.3, lambda: channel.send('late')).start()
def boom(channel):
    channel.send(1)
    raise ValueError('boom')
def big(n, channel):
    channel.send('x' * n)
    channel.send(n)
def two(a, b):
    with b.open() as c:
        c.send('b')
    a.send('a')
    a.end()
    try:
        a.send(1)
    except Exception as e:
        return type(e).__name__
def nothing(channel):
    pass
def no_values(n, channel):
    channel.send(1)
    channel.write(b'not a value' * n)
    channel.end()
def dies(channel):
    threading.Timer(.3, lambda: os._exit(3) or channel).start()
def many(*channels):
    for i, c in enumerate(channels):
        c.send(i)
'''


def call(place, *args, targets='leaf1', options=()):
    with open(place.path('m.py'), 'w') as f:
        f.write(MODULE)
    status, out, err = place.run('call', '-w', targets, *options, *args)
    return status, out.decode('utf8').splitlines(), err


def values(lines, node='leaf1'):
    return [json.loads(x.split(': ', 1)[1]) for x in lines if x.startswith(node + ': ')]


def test_values(place):
    status, out, err = call(place, './m.py:count', '1000', '@channel', targets='leaf[1-3]')
    expect(status == 0, status, err)
    for i in 1, 2, 3:
        expect(values(out, 'leaf%d' % i) == [{'i': k} for k in range(1000)], i, out[:5])


def test_threads(place):
    status, out, err = call(place, './m.py:threads', '500', '@channel')
    got = values(out)
    expect(status == 0 and got.count('done') == 1, status, err)
    expect(sorted(x['i'] for x in got if x != 'done') == list(range(2000)), len(got))


def test_longer_than_the_call(place):
    status, out, err = call(place, './m.py:late', '@channel')
    expect(status == 0 and values(out) == ['late'], status, out, err)


def test_exception(place):
    status, out, err = call(place, './m.py:boom', '@channel')
    expect(status == 1 and values(out) == [1] and 'ValueError: boom' in err, status, out, err)


def test_large(place):
    status, out, err = call(place, './m.py:big', str(3 * MIB), '@channel')
    expect(status == 0 and [len(str(x)) for x in values(out)] == [3 * MIB, 7], status, err)


def test_two(place):
    status, out, err = call(place, './m.py:two', '@channel', '@channel')
    expect(status == 0 and sorted(map(str, values(out))) == ['ChannelClosed', 'a', 'b'], status, out, err)


def test_channels_max(place):
    status, out, err = call(place, './m.py:many', *['@channel'] * CHANNELS_MAX)
    expect(status == 0 and sorted(values(out)) == list(range(CHANNELS_MAX)), status, out, err)
    status, out, err = call(place, './m.py:many', *['@channel'] * (CHANNELS_MAX + 1))
    expect((status, out) == (2, []) and 'at most %d channels' % CHANNELS_MAX in err, status, out, err)


def test_empty(place):
    status, out, err = call(place, './m.py:nothing', '@channel')
    expect((status, out) == (0, []), status, out, err)
    status, out, err = call(place, './m.py:count', '1', '@channel', options=['--json'])
    events = [x for x in (json.loads(line)['event'] for line in out) if x != 'progress']    # which comes where a second is not enough
    expect(status == 0 and events[:2] in (['item', 'result'], ['result', 'item']), status, out, err)


def test_never_begun(place):
    status, out, err = call(place, './m.py:nosuch', '@channel')
    expect(status == 1 and 'nosuch' in err and not out, status, out, err)


def test_what_is_no_value(place):
    """What did not come is not known, however well the call has ended; and who sends is not held up by nobody who listens."""
    for n in 1, 300000:
        status, out, err = call(place, './m.py:no_values', str(n), '@channel')
        expect(status == 1 and values(out)[:1] == [1] and 'leaf1' in err, n, status, out, err)
        expect(('is no value' if n == 1 else 'ChannelClosed') in err, n, err)


def test_lost_behind_the_answer(place):
    status, out, err = call(place, './m.py:dies', '@channel')
    expect(status not in (0, 2) and 'leaf1' in err, status, out, err)


def test_the_example_follows(place):
    """A line in pieces, bytes that are no text, a file that is rotated (gone for a moment) and one that is cut."""
    shutil.copy(os.path.join(HERE, '../../examples/follow.py'), place.path('follow.py'))
    log = place.path('log')

    def add(data):
        with open(log, 'ab') as f:
            f.write(data)

    add(b'old\n')
    program = place.start('call', '-w', 'leaf1', './follow.py:follow', log, '@channel', stdout=subprocess.PIPE)
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(x) for x in program.process.stdout], daemon=True).start()
    expect(until(lambda: any(os.path.exists(log) and holds(pid, log) for pid in below(program.pid))), 'it does not begin', program.said())

    def next_is(text):
        got = lines.get(timeout=LIMIT)
        expect(got == b'leaf1: "%s"\n' % text, 'not', text, 'but', got, program.said())

    time.sleep(0.3)
    add(b'par')
    time.sleep(0.5)
    add(b't\nca\xe9\n')
    next_is(b'part')
    next_is('ca\N{REPLACEMENT CHARACTER}'.encode())
    os.rename(log, log + '.1')
    time.sleep(0.5)
    add(b'n' * 100 + b'\n')
    next_is(b'n' * 100)
    os.truncate(log, 0)  # whenever it looks, there is less than it has read
    add(b'cut\n')
    next_is(b'cut')


def holds(pid, path):
    try:
        return any(os.readlink('/proc/%d/fd/%s' % (pid, x)) == path for x in os.listdir('/proc/%d/fd' % pid))
    except OSError:
        return False
