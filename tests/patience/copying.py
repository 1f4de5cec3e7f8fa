"""What `cp` waits for: a far end's beginning, of how many at once, and what a shell has begun to say."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

from places import PATIENT, expect, until
from shells import fake
from support import below

OPEN_S = 60         # ECI_COPY_OPEN_MS
FIELD_S = 30        # FIELD_MS of mesh/copy_heads.c
END_S = 5           # ECI_SHELL_END_MS
SAY_S = 30          # SAY_MS of mesh/copy_run.c
FROZEN_S = 90       # a busy machine's Python has begun by then
STALL_S = 15        # STALL_MS of mesh/copy_watch.c
GREET_S = 15        # GREET_MS of mesh/copy_greet.c
OPENING_MAX = 32    # ECI_COPY_OPENING_MAX
DEFAULTS = 'defaults: {native: never, %s}\n' % PATIENT


def leaves(place, n):
    place.topology(DEFAULTS + 'nodes:\n  top: {local: {}}\n  leaf[1-%d]: {local: {}, via: top}\n' % n)
    place.write('src', 'x')


def but_who_waits(program):
    """What it said, but of who stands still, which a machine that is busy lets it say at any time."""
    return [x for x in program.said().splitlines() if ': nothing has moved for ' not in x and not x.endswith(': goes on')]


def standing(program):
    """Who of those whose names are written out was said to stand still, and not to go on since."""
    still = set()
    for names, goes_on in re.findall(r'^econtext: (\S+): (?:nothing has moved for .*|(goes on))$', program.said(), re.M):
        still = still - set(names.split(',')) if goes_on else still | set(names.split(','))
    return still


def asks(place, n, *args):
    """A copy of which n far ends do not begin."""
    program = place.start(*args)
    expect(until(lambda: len(place.waiting()) == n), place.waiting())
    program.asked = time.monotonic()    # what was before that may take as long as the machine lets it
    return program


def test_far_ends_that_do_not_begin(place):
    """They are said, and waited for: one alone as several, who cost the time of one, with nobody who begins."""
    leaves(place, 3)
    for targets in 'leaf1', 'leaf[1-3]':
        place.busy('put')
        program = asks(place, 1 + 2 * ('-' in targets), 'cp', 'src', targets + ':' + place.path('dst'))
        program.says(r'econtext: leaf\S+: nothing has moved for (1[2-9]|2)\d+ s: it does not begin')  # twice OPEN_S
        place.go()
        expect((program.wait(), but_who_waits(program)) == (0, []), program.said())
        expect(os.path.exists(place.path('dst')), targets)
        place.again('dst')


def slow_and_good(place, timeout=PATIENT):
    place.write('src', 'x')
    place.topology('defaults: {native: never, %s}\nnodes:\n' % timeout + ''.join('  %s: {local: {}, python: %s}\n' % x for x in (
        ('first', place.unspoiled()), ('slow', place.python('slow')), ('good', place.unspoiled()))))
    os.mkdir(place.path('dst'))


def test_one_far_end_that_does_not_answer(place):
    """It is connected; the others wait as long for its first answer, and it has all of it once that comes."""
    place.hurry(5)
    slow_and_good(place)
    place.stuck()
    program = asks(place, 1, 'cp', 'src', 'first,slow,good:' + place.path('dst/'))
    expect(until(lambda: os.path.exists(place.path('dst/src'))), program.said())
    place.in_time(program.began, OPEN_S, program.said(), seen=program.asked)
    os.unlink(place.path('dst/src'))
    program.says(r'econtext: slow: nothing has moved for (1[2-9]|2)\d+ s: it has not answered yet')   # twice OPEN_S
    place.go()
    expect((program.wait(), but_who_waits(program)) == (0, []), program.said())
    expect(os.path.exists(place.path('dst/src')), program.said())


def test_a_far_end_that_does_not_answer_and_a_limit(place):
    """Which is for the copying, of which connecting takes GREET_S at least; the others have what is left."""
    place.hurry(2)
    slow_and_good(place)
    to, back = 'src', ':' + place.path('dst/')
    for limit, *args in (2, to, 'slow' + back), (2, 'slow:' + place.path('src'), 'dst/'), (30, to, 'first,slow,good' + back):
        place.stuck()
        program = asks(place, 1, 'cp', '-u', str(limit), *args)
        expect(place.gives_up(program, max(limit, GREET_S)) == 5, program.said())
        expect('DEADLINE slow\n' in program.said() and '"it has not answered yet"' in program.said() and 'first' not in program.said() and
               'good' not in program.said(), program.said())
        expect(os.path.exists(place.path('dst/src')) == (limit == 30), program.said())
        place.go()
        place.again()


def test_a_far_end_that_does_not_answer_for_longer_than_others_wait(place):
    """Then the limit counts from when the others began."""
    slow_and_good(place)
    place.stuck()
    program = asks(place, 1, 'cp', '-u', '90', 'src', 'first,slow,good:' + place.path('dst/'))
    expect(place.gives_up(program, OPEN_S + 90) == 5 and 'DEADLINE slow\n' in program.said() and
           '"it has not answered yet"' in program.said() and 'DEADLINE first' not in program.said(), program.said())
    expect(os.path.exists(place.path('dst/src')), program.said())


def test_one_far_end_that_does_not_begin(place):
    """The others wait for it for so long; it has all of it once it begins."""
    place.hurry(5)
    slow_and_good(place)
    place.busy('put')
    program = asks(place, 1, 'cp', 'src', 'first,slow,good:' + place.path('dst/'))
    expect(until(lambda: os.path.exists(place.path('dst/src'))), program.said())
    place.in_time(program.began, OPEN_S, program.said(), seen=program.asked)
    place.go()
    expect(program.wait() == 0, program.said())


def test_a_far_end_that_does_not_begin_and_a_limit(place):
    slow_and_good(place)
    for targets in 'slow', 'first,slow,good':
        place.busy('put')
        program = asks(place, 1, 'cp', '-u', '90', 'src', targets + ':' + place.path('dst/'))
        expect(place.gives_up(program, 90) == 5 and 'DEADLINE slow\n' in program.said() and '"it does not begin"' in program.said() and
               standing(program) == {'slow'}, program.said())
        place.go()
        place.again()


def test_a_far_end_that_is_frozen_before_it_begins(place):
    """It is found as any that is: by its link."""
    slow_and_good(place, PATIENT.replace('idle: 10m', 'idle: %ds' % FROZEN_S))
    for targets in 'slow', 'first,slow,good':
        place.busy('put')
        program = asks(place, 1, 'cp', 'src', targets + ':' + place.path('dst/'))
        place.stop_python('slow')
        began = time.monotonic()
        expect(program.wait() == 6 and 'UNKNOWN slow\n' in program.said() and 'silent' in program.said(), program.said())
        place.in_time(began, FROZEN_S, program.said(), least=0)   # it had been silent for a while
        place.go_on()
        place.go()
        place.again()


def test_a_far_end_that_begins_in_time(place):
    place.hurry(5)      # what is left of the limit has to do for a busy machine
    leaves(place, 3)
    place.busy('put')
    for targets in 'leaf1', 'leaf[1-3]':
        program = place.start('cp', 'src', targets + ':' + place.path('dst'))
        expect(until(lambda: len(place.waiting()) == 1 + 2 * ('-' in targets)), place.waiting())
        time.sleep(OPEN_S * 0.55 / place.factor)
        place.go()
        expect((program.wait(), but_who_waits(program)) == (0, []), program.said())
        expect(os.path.exists(place.path('dst')), targets)
        place.again('dst')


def test_so_many_begin_at_once(place):
    """Of a group, and one by one, as with --resume."""
    place.hurry(5)
    leaves(place, OPENING_MAX + 4)
    for how in ['--resume'], []:
        place.busy('put')
        program = place.start('cp', *how, 'src', 'leaf[1-%d]:' % (OPENING_MAX + 4) + place.path('dst/'))
        expect(until(lambda: len(place.waiting()) == OPENING_MAX), place.waiting())
        time.sleep(0.3)
        expect(len(place.waiting()) == OPENING_MAX, len(place.waiting()))
        place.go()
        status = program.wait()
        expect(len(place.waiting()) == OPENING_MAX + 4, len(place.waiting()))
        expect(how or (status, but_who_waits(program)) == (0, []), program.said())  # here it is one file that all go on with
        place.again()


def shell_that(place, *lines, then='exec sleep 100'):
    """A place whose shells do this for a copy, and then sleep."""
    other = place.of_kind('shell')
    other.topology('defaults: {agent: native, %s}\nnodes:\n  a: {local: {}}\n' % PATIENT)
    sh, sleep = os.path.realpath(shutil.which('sh')), os.path.realpath(shutil.which('sleep'))
    fake(other, 'sh', '#!%s\ncase "$*" in *econtext-put*|*econtext-get*) %s\necho >%s; %s ;; esac\nexec %s "$@"\n' % (
        sh, '\n'.join(lines), other.path('asked'), then.replace('sleep', sleep), sh))
    return other


def test_a_shell_that_does_not_begin(place):
    """It is waited for, and said, as one with a Python."""
    other = shell_that(place, then=place.gate())
    other.write('src', 'x')
    for args in ('src', 'a:' + other.path('dst')), ('a:' + other.path('src'), 'dst'):
        program = other.start('cp', *args)
        other.await_file('asked')
        program.says(r'econtext: a: nothing has moved for (1[2-9]|2)\d+ s: it does not begin')   # twice OPEN_S
        place.open_gate()
        place.gate()
        expect((program.wait(), but_who_waits(program)) == (0, []), program.said())
        os.unlink(other.path('dst'))
        os.unlink(other.path('asked'))


def test_a_shell_that_does_not_begin_and_a_limit(place):
    other = shell_that(place)
    other.write('src', 'x')
    for args in ('src', 'a:' + other.path('dst')), ('a:' + other.path('src'), 'dst'):
        program = other.start('cp', '-u', '20', *args)
        other.await_file('asked')
        expect(other.gives_up(program, 20) == 5 and 'DEADLINE a\n' in program.said() and '"it does not begin"' in program.said(), program.said())
        expect(not os.path.exists(other.path('dst')), args)
        os.unlink(other.path('asked'))


def test_a_shell_that_does_not_say_what_is_there(place):
    other = shell_that(place, "echo 'econtext-put sha256'")
    other.write('src', 'x')
    program = other.start('cp', '--resume', '-u', '30', 'src', 'a:' + other.path('dst'))
    other.await_file('asked')
    program.says(r'econtext: a: nothing has moved for \d+ s: it does not say what has arrived')
    expect(other.gives_up(program, 30) == 5 and 'DEADLINE a\n' in program.said(), program.said())


def test_a_shell_that_stops_within_a_word(place):
    other = shell_that(place, "printf 'econtext-get -\\nf 644'")
    other.hurry(2)
    program = other.start('cp', 'a:' + other.path('src'), 'dst')
    other.await_file('asked')
    expect(other.gives_up(program, FIELD_S + END_S) == 1 and 'said what it must not' in program.said(), program.said())
    os.unlink(other.path('asked'))
    program = other.start('cp', '-u', '1', 'a:' + other.path('src'), 'dst')
    other.await_file('asked')
    expect(other.gives_up(program, 1) == 5 and 'DEADLINE a\n' in program.said(), program.said())


def test_no_thread_for_who_does_not_begin(place):
    """Nor for another: the rest of the group does not wait for it longer than as ever, and it is served when it begins."""
    place.hurry(5)
    slow_and_good(place)
    place.busy('put')
    place.env['THREADS'] = '2'      # the mesh's, and the group's
    program = asks(place, 1, 'cp', 'src', 'first,slow,good:' + place.path('dst/'))
    expect(until(lambda: os.path.exists(place.path('dst/src'))), program.said())
    place.in_time(program.began, OPEN_S, program.said(), seen=program.asked)
    program.says(r'econtext: slow: nothing has moved for (1[2-9]|2)\d+ s: it does not begin')
    place.go()
    expect((program.wait(), but_who_waits(program)) == (0, []), program.said())


def test_no_threads(place):
    """One after the other, and a limit is one."""
    leaves(place, 3)
    for threads in '1', '2':
        place.env['THREADS'] = threads
        for args in ['src', 'leaf[1-3]:' + place.path('dst')], ['--resume', 'src', 'leaf[1-3]:' + place.path('dst')], ['leaf1:' + place.path('dst'), 'src']:
            program = place.start('cp', *args)
            expect((program.wait(), but_who_waits(program)) == (0, []), args, program.said())
    place.busy('put')
    for threads, why in ('1', 'it does not begin'), ('2', 'no thread can be had for it here'):
        place.env['THREADS'] = threads
        program = asks(place, 1, 'cp', '--resume', '-u', '30', 'src', 'leaf[1-3]:' + place.path('dst'))
        expect(place.gives_up(program, 30) == 5 and why in program.said(), threads, program.said())
        place.go()
        place.again()


def test_what_is_read_here_is_not_waited_for_there(place):
    """It has said what is there, and that is compared: here a pipe is in the place of what is read."""
    leaves(place, 1)
    os.mkdir(place.path('d'))
    place.write('d/.src.econtext-part', 'x')
    place.write('src', 'xyz')
    place.write('kept', 'xyz')
    place.busy('have')
    program = asks(place, 1, 'cp', '--resume', 'src', 'leaf1:' + place.path('d/'))
    program.says(r'econtext: leaf1: nothing has moved for \d+ s: it does not say what has arrived')
    os.unlink(place.path('src'))
    os.mkfifo(place.path('src'))
    place.go()
    program.says('econtext: leaf1: goes on')
    opened = []

    def read_there():
        with contextlib.suppress(OSError):
            opened.append(os.open(place.path('src'), os.O_WRONLY | os.O_NONBLOCK))
        return opened
    expect(until(read_there), 'nobody reads', program.said())
    fd = opened[0]
    os.rename(place.path('kept'), place.path('src'))
    os.close(fd)
    expect(program.wait() == 0 and os.path.getsize(place.path('d/src')) == 3, program.said())


def one(place):
    """a, which can be stopped; a file that does not fit into what is on its way."""
    place.hurry(5)
    place.topology(DEFAULTS + 'nodes:\n  a: {local: {}, python: %s}\n' % place.python('a'))
    with open(place.path('src'), 'wb') as f:
        f.write(os.urandom(1 << 20) * 24)


def under_way(place, program, name):
    """A copy of which some has come, and whose far end `a` was stopped then."""
    def begun():
        return [x for x in os.listdir(place.folder) if x.startswith('.%s.' % name)]
    expect(until(begun), program.said())
    place.stop_python('a')
    return time.monotonic()


def test_what_stands_still(place):
    """Either way: its node is named, with what is waited for, again after as long again; and when it goes on."""
    one(place)
    place.hurry(3)      # it does not stand still before it is stopped
    for args, name, why in ((['src', 'a:' + place.path('dst')], 'a', 'it takes no more'), (['a:' + place.path('src'), 'dst'], 'a', 'nothing more comes')):
        program = place.start('cp', '--resume', '--limit', '1M', *args)
        began = under_way(place, program, 'dst')
        program.says(r'econtext: %s: nothing has moved for 1\d s: %s' % (name, why))
        place.in_time(began, STALL_S, program.said())
        program.says('econtext: %s: nothing has moved for 3\d s: %s' % (name, why))
        place.go_on()
        program.says('econtext: %s: goes on' % name)
        expect(program.wait() == 0, program.said())
        os.unlink(place.path('dst'))
    program = place.start('cp', '--json', '--resume', '--limit', '1M', 'src', 'a:' + place.path('dst'), stdout=subprocess.PIPE)
    under_way(place, program, 'dst')
    line = next(x for x in iter(program.process.stdout.readline, b'') if b'"stalled"' in x and b'not answered yet' not in x)
    said = json.loads(line)
    expect((said['event'], said['node'], said['why']) == ('stalled', 'a', 'it takes no more') and 15 <= said['seconds'] < 20, line)


def test_a_copy_with_a_limit(place):
    """What is not done by then fails, and what has come of it stays for --resume; connecting does not count."""
    one(place)
    for args in ['src', 'a:' + place.path('dst')], ['a:' + place.path('src'), 'dst']:
        began = time.monotonic()
        program = place.start('cp', '-u', '8', '--resume', '--limit', '2M', *args)
        seen = under_way(place, program, 'dst')
        expect(program.wait() == 5, program.said())
        place.in_time(began, 8, program.said(), seen=seen)
        expect('DEADLINE a' in program.said() and 'phase    call, after 8 s of 8 s' in program.said(), program.said())
        place.go_on()
        program = place.start('cp', '-u', '60', '--resume', *args)
        expect((program.wait(), but_who_waits(program)) == (0, []), program.said())
        os.unlink(place.path('dst'))


def test_a_copy_with_a_limit_while_bytes_come(place):
    """It is late, whatever comes just then."""
    one(place)
    for args in ['src', 'a:' + place.path('dst')], ['a:' + place.path('src'), 'dst']:
        program = place.start('cp', '-u', '8', '--limit', '1M', *args)
        expect(program.wait() == 5 and 'DEADLINE a' in program.said(), program.said())
        expect(not os.path.exists(place.path('dst')), args)


# For a Python's hashlib: its files are one that is here already, asked about without end, and it reads no answer.
ASKS_ON = '''\
import os
import sys
import types

sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
del sys.modules['hashlib']
import hashlib


def get(channel, paths, algorithm, resume):
    h = algorithm == 'blake2b' and hashlib.blake2b(b'x', digest_size=32) or hashlib.sha256(b'x')
    while True:
        channel.send(['file', b'src', 420, 1e9, 1, 0, True])
        channel.send(['from', 1])
        channel.send(['done', h.digest()])


sources = sys.modules['econtext_sources'] = types.ModuleType('econtext_sources')
sources.get = get
'''


def test_a_far_end_that_asks_what_is_here_and_does_not_listen(place):
    """It is given up; who gives it up, or has set a limit, waits no longer for it."""
    place.hurry(3)
    place.topology(DEFAULTS + 'nodes: {a: {local: {}}}\n')
    place.write('busy/hashlib.py', ASKS_ON)
    place.env['PYTHONPATH'] = place.path('busy')
    for how in 'limit', '^C':
        place.write('dst', 'x')
        program = place.start('cp', '--resume', 'a:src', 'dst')
        program.says(r'econtext: a: nothing has moved for 1\d s: it takes no more', 240)     # after some 20,000 answers
        seen = time.monotonic()
        if how == '^C':
            program.process.send_signal(signal.SIGINT)
        status = program.wait()
        refused = 'what is here already could not be said' in program.said()
        expect((status, refused) == ((1, True) if how == 'limit' else (130, False)), how, status, program.said())
        place.in_time(seen, SAY_S - STALL_S if how == 'limit' else 0, program.said())


def holds(place, name, path):
    """Whether that Python, or what it has started, has a file open that begins with path."""
    number = place.pid(name)
    for pid in [number] + below(number):
        with contextlib.suppress(OSError):
            if any(os.readlink('/proc/%d/fd/%s' % (pid, x)).startswith(path) for x in os.listdir('/proc/%d/fd' % pid)):
                return True
    return False


def named(program, what):
    """Waits until g1, g2 and g3 were said to do so; in how many lines."""
    lines = lambda: re.findall(r'^econtext: (\S+): %s$' % what, program.said(), re.M)
    expect(until(lambda: all(str(i) in re.sub('1-3', '123', ''.join(lines())) for i in (1, 2, 3))), what, program.said())
    return len(lines())


def test_a_group_of_which_some_stand_still(place):
    """One line for them, either way, folded, and one when they go on (more, where a busy machine stops them at times that differ: then
    not each time as many as they are). Who does not stand still is not named for long. Those that a group waited for too long are to
    begin again alone."""
    place.hurry(3)
    names = ['g1', 'g2', 'g3', 'well']
    place.topology(DEFAULTS + 'nodes:\n' + ''.join('  %s: {local: {}, python: %s}\n' % (x, place.python(x)) for x in names))
    with open(place.path('src'), 'wb') as f:
        f.write(os.urandom(1 << 20) * 24)
    os.mkdir(place.path('to'))
    for args, held, why in ((['src', 'g[1-3],well:' + place.path('to')], 'to', '(?:it does not begin|it takes no more)'),
                            (['g[1-3],well:' + place.path('src'), 'from'], 'src', '(?:it does not begin|nothing more comes)')):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place.path(name + '.pid'))
        program = place.start('cp', '--limit', '1M', *args)
        for name in names:
            place.await_file(name + '.pid')
            expect(until(lambda: holds(place, name, place.path(held))), program.said())
        for name in names[:3]:
            place.stop_python(name)
        began = time.monotonic()
        said = [named(program, r'nothing has moved for 1\d s: ' + why)]
        place.in_time(began, STALL_S, program.said())
        said.append(named(program, r'nothing has moved for 3\d s: ' + why))
        place.go_on()
        said.append(named(program, 'goes on'))
        expect(program.wait() == 0, program.said())
        expect(min(said) < 3, program.said())
        expect(not re.search(r'well: nothing has moved for 3\d s: ' + why, program.said()), program.said())
