"""What is waited for before and after the work: a secret's program, ssh's configuration, what contexts say of themselves."""
import os
import subprocess
import time

from places import PATIENT, expect, until

COMMAND_S = 30      # COMMAND_MS of io/secret.c
CONFIG_S = 10       # DEADLINE_MS of topology/sshconfig.c
TREE_S = 30         # TREE_LIMIT_MS of cli/cmd_tree.c
STATS_S = 10        # STATS_LIMIT_MS of cli/session.c
OVERDUE_S = 15      # OVERDUE_MS of cli/report.c
STALL_S = 15        # of cli/feed.c
FAKE_SSH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'cli', 'data', 'fake-ssh')


def test_a_program_that_says_no_secret(place):
    place.hurry(5)
    place.env.update(FAKE_PW='right word', FAKE_LOG=place.path('answers'))
    for seconds, status in (COMMAND_S * 0.55 / place.factor, 0), (100, 4):
        command = '[sh, -c, "echo >asked; sleep %s && echo right word"]' % seconds
        place.topology('defaults: {native: never, %s, ssh: {program: %s}}\nsecrets: {word: {command: %s}}\n'
                       'nodes: {pw-1: {ssh: {password: word}}}\n' % (PATIENT, FAKE_SSH, command))
        program = place.start('exec', '-w', 'pw-1', 'true')
        place.await_file('asked')
        os.unlink(place.path('asked'))
        if status:
            expect(place.gives_up(program, COMMAND_S) == 4 and 'the command failed' in program.said(), program.said())
        else:
            expect((program.wait(), program.said()) == (0, ''), program.said())


def test_a_program_that_is_stopped_during_a_boot(place):
    """Its time is nobody else's: the boot goes on, or, where what was started has ended by that, the program is to blame."""
    for limit, idle in ('shell', '10m'), ('boot', '10m'), ('boot', '20s'):
        stands = 'case "$*" in *%s*) echo >%s; %s ;; esac' % ('' if limit == 'shell' else 'zlib', place.path('asked'), place.gate())
        place.topology('defaults: {native: never, %s}\nnodes:\n  a: {local: {}, python: %s}\n' % (
            PATIENT.replace(limit + ': 10m', limit + ': 20s').replace('idle: 10m', 'idle: ' + idle), place.python('gated', stands)))
        program = place.start('exec', '-w', 'a', 'true')
        place.await_file('asked')
        os.unlink(place.path('asked'))
        place.stop(program.pid)
        time.sleep(4)
        place.go_on()
        if idle == '10m':
            time.sleep(0.2)     # it does not give up at once, either
            place.open_gate()
            expect((program.wait(), program.said()) == (0, ''), limit, program.said())
        else:
            status = program.wait()
            expect(status == 3 and 'this program itself did not run for' in program.said(), status, program.said())


def test_an_ssh_that_does_not_say_its_configuration(place):
    """`ssh -G`, as it runs what `Match exec` has; nor one that says it, and lives on."""
    place.hurry(2)
    del place.env['ECONTEXT_TOPOLOGY']
    place.env['PATH'] = place.path('bin') + ':' + os.environ['PATH']
    for lives_on in '', ' >&- 2>&-':
        place.write('bin/ssh', '#!/bin/sh\necho "hostname h\nport 22"\necho >asked\nexec sleep 100%s\n' % lives_on, 0o755)
        program = place.start('exec', '-w', 'host', 'true')
        place.await_file('asked')
        expect(place.gives_up(program, CONFIG_S) == 2 and 'no answer within %d s' % CONFIG_S in program.said(), program.said())
        os.unlink(place.path('asked'))


def test_a_context_that_says_nothing_of_itself(place):
    """tree: below has failed, by which a is up; b is not, until a has stopped."""
    place.hurry(5)
    a, below, b = place.python('a'), place.python('below', 'exit 1'), place.python('b', place.gate())
    place.topology('defaults: {native: never, %s}\nnodes:\n  a: {local: {}, python: %s}\n  below: {via: a, local: {}, python: %s}\n'
                   '  b: {local: {}, python: %s}\n' % (PATIENT, a, below, b))
    program = place.start('tree', '-w', 'a,below,b', stdout=subprocess.PIPE)
    place.await_file('below.pid')
    place.await_file('b.pid')
    time.sleep(0.5)     # until it has been told of below's end
    place.stop_python('a')
    place.open_gate()
    expect(place.gives_up(program, TREE_S) == 3, program.said())
    rows = {x.split()[0]: x for x in program.process.stdout.read().decode().splitlines()}
    expect(' silent ' in rows['a'] and ' up ' in rows['b'], rows)


def test_statistics_that_do_not_come(place):
    place.hurry(2)
    place.topology('defaults: {native: never, %s}\nnodes:\n  a: {local: {}, python: %s}\n  b: {local: {}}\n' % (PATIENT, place.python('a')))
    command = '[ "$WHO" ] && echo done || ' + place.gate()
    with open(place.path('out'), 'wb') as out:
        program = place.start('exec', '--json', '--stats', 'stats', '-w', 'a,b', command, stdout=out)

    def ended():
        with open(place.path('out')) as f:
            return '"result"' in f.read()
    expect(until(ended), program.said())
    place.stop_python('a')
    place.open_gate()
    expect(place.gives_up(program, STATS_S) == 7 and '1 of the contexts did not answer' in program.said(), program.said())


def test_a_failure_beside_what_runs_on(place):
    """It is told when no target has ended for so long: each that ends is a new beginning."""
    place.hurry(2)
    place.topology('defaults: {native: never, %s}\nnodes:\n  a: {local: {}, python: %s}\n  b: {local: {}, python: %s}\n  c: {local: {}}\n' % (
        PATIENT, place.python('a'), place.python('b')))
    command = 'case "$WHO" in a) exit 3 ;; b) : >begun; %s ;; *) exec sleep 100 ;; esac' % place.gate()
    program = place.start('exec', '--cwd', place.folder, '-w', 'a,b,c', command)
    place.await_file('begun')
    time.sleep(OVERDUE_S / 2 / place.factor)
    expect(program.said() == '', program.said())
    place.open_gate()
    began = time.monotonic()
    program.says('exit status 3')
    place.in_time(began, OVERDUE_S, program.said())


def test_a_command_that_takes_no_input(place):
    """The others wait for it: it is named, and again after as long again."""
    place.topology('defaults: {native: never, %s}\nnodes:\n  a: {local: {}, python: %s}\n  b[1-2]: {local: {}}\n' % (PATIENT, place.python('a')))
    place.write('input', 'x' * 1000000)
    for how in ['-q'], []:
        command = 'if [ "$WHO" ]; then : >begun; %s; fi; exec wc -c' % place.gate()
        began = time.monotonic()
        with open(place.path('input')) as f, open(place.path('out'), 'w') as out:
            program = place.start('exec', *how, '--cwd', place.folder, '--stdin', '-w', 'a,b[1-2]', command, stdin=f, stdout=out)
        place.await_file('begun')
        os.unlink(place.path('begun'))
        if how:
            time.sleep((STALL_S + 5) / place.factor)
            expect(program.said() == '', program.said())
        else:
            seen = time.monotonic()
            program.says(r'econtext: a: nothing has moved for 1\d s: it takes no input')
            place.in_time(began, STALL_S, program.said(), seen=seen)
            program.says(r'econtext: a: nothing has moved for 3\d s: it takes no input')
            place.in_time(began, 2 * STALL_S, program.said(), seen=seen)
        place.open_gate()
        expect(program.wait() == 0, program.said())
        with open(place.path('out')) as f:
            expect(sorted(f.read().split('\n')) == ['', 'a: 1000000', 'b1: 1000000', 'b2: 1000000'], program.said())
