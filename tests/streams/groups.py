"""cp to several whose ways differ: how often the bytes go over the link that all share, who sets the pace, and who does not."""
import json
import os
import signal
import subprocess
import sys
import time

from files import THREE, read, write
from support import DATA, below, expect, until

HOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'hop.py')
KB = 1000
PATIENCE = .5   # ECI_CAST_PATIENCE_MS; 1 where windows are wide
WINDOW = 262144 # that a member has at first


def declare(place, **ways):
    """NODE=(bytes a second, seconds later); each leaf in a folder of its own."""
    nodes = ''
    for node, parent in ('top', ''), ('leaf1', 'via: top, '), ('leaf2', 'via: top, '), ('leaf3', 'via: top, '):
        os.makedirs(place.path(node), exist_ok=True)
        with open(place.path(node + '.py'), 'w') as f:
            f.write('#!/bin/sh\nexec %s %s %s %g %g "$@"\n' % ((sys.executable, HOP, place.path(node)) + ways.get(node, (0, 0))))
        os.chmod(place.path(node + '.py'), 0o755)
        nodes += '  %s: {%slocal: {}, python: %s}\n' % (node, parent, place.path(node + '.py'))
    with open(place.path('topology.yaml'), 'w') as f:
        f.write('econtext: 1\ndefaults: {native: never}\nnodes:\n' + nodes)


def once(place, size):
    """Copies so many bytes to the three: how long it took, and how many went over the first link."""
    write(place.path('f'), DATA[:size])
    began = time.monotonic()
    status, out, err = place.run('cp', '--stats', place.path('stats'), 'f', THREE + ':out')
    took = time.monotonic() - began
    expect(status == 0, status, err)
    for i in '123':
        expect(read(place.path('leaf%s/out' % i)) == DATA[:size], 'leaf' + i)
    with open(place.path('stats')) as f:
        return took, [x for x in map(json.loads, f) if x['name'] == 'master'][0]['bytes_out']


def test_a_slow_way_that_all_share(place):
    """So slow that between two credits there is more than the patience, and one is heard later than the others."""
    declare(place, top=(100 * KB, 0), leaf3=(0, .1))
    took, sent = once(place, 420 * KB)
    expect(sent < 600 * KB, sent, 'bytes over the link that they share')


def test_the_slower_one_sets_the_pace(place):
    declare(place, leaf1=(800 * KB, 0), leaf2=(400 * KB, 0), leaf3=(800 * KB, 0))
    took, sent = once(place, 1200 * KB)
    expect(sent < 1400 * KB, sent, 'bytes over the link that they share')
    expect(took > 2.2, took, 'seconds: not at its pace')


def whole(place, names, size):
    return all(os.path.exists(place.path(x + '/out')) and os.path.getsize(place.path(x + '/out')) == size for x in names)


def of_leaf(place, program, leaf):
    """Its processes: those that work in its folder, and the hop before."""
    found = []
    for pid in below(program.process.pid):
        try:
            with open('/proc/%d/cmdline' % pid) as f:
                line = f.read()
            if os.readlink('/proc/%d/cwd' % pid) == place.path(leaf) or place.path(leaf) + '\0' in line:
                found.append(pid)
        except OSError:
            pass
    return found


def sent(program, size):
    """Waits until so many bytes were sent to each of the three."""
    expect(any(json.loads(x).get('bytes', 0) >= 3 * size for x in program.process.stdout), 'it does not get to', size, program.said())


def test_far_away(place):
    """All are heard late, so their windows are widened: more is on its way than those they had at first let be. Then one is frozen with
    all of a wide window on its way, and the others have theirs all the same."""
    late, data = 1, DATA * 3     # seconds: what a busy machine sends in these is more than a window
    size = len(data)
    declare(place, leaf1=(0, late), leaf2=(0, late), leaf3=(0, late))
    write(place.path('f'), data)
    program = place.start('cp', '--json', 'f', THREE + ':out', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sent(program, size // 2)
    ways = [int(read(place.path('leaf%s/on-its-way' % i))) for i in '123']
    expect(min(ways) > WINDOW * 3 // 2, ways, 'bytes on their way')
    frozen = of_leaf(place, program, 'leaf2')
    expect(len(frozen) >= 2, frozen)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    good = until(lambda: whole(place, ('leaf1', 'leaf3'), size))
    there = whole(place, ['leaf2'], size)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    expect(good and not there, 'of the others')
    status, out, err = program.finish()
    expect(status == 0 and read(place.path('leaf2/out')) == data, status, err)


def test_one_that_is_frozen(place):
    """It is sent away when the patience is over, costs the others that and no more, and has its own once it goes on."""
    rate, size = 800 * KB, 3200 * KB
    declare(place, leaf1=(rate, 0), leaf2=(rate, 0), leaf3=(rate, 0))
    write(place.path('f'), DATA[:size])
    program = place.start('cp', '--json', 'f', THREE + ':out', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    expect(any(json.loads(x).get('bytes') for x in program.process.stdout), 'nothing goes', program.said())
    began = time.monotonic()
    frozen = of_leaf(place, program, 'leaf2')
    expect(len(frozen) >= 2, frozen)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    good = until(lambda: whole(place, ('leaf1', 'leaf3'), size))
    took = time.monotonic() - began
    there = whole(place, ['leaf2'], size)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    expect(good and not there, 'of the others')
    expect(took < 2.5 * size / rate + PATIENCE, took, "seconds")  # a busy machine; else it is 15 more, until it is lost
    status, out, err = program.finish()
    expect(status == 0 and read(place.path('leaf2/out')) == DATA[:size], status, err)
