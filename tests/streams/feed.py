"""exec --stdin: a command gets what comes on stdin, to the last byte and its end, at one node and at three; one that does not want it
holds up nobody."""
import hashlib
import os
import pty
import signal
import subprocess
import time

from support import DATA, LIMIT, MIB, SIZES, W, expect, until

THREE = 'leaf[1-3]'


def hashed(size):
    return hashlib.sha256(DATA[:size]).hexdigest() + '  -'


def lines(out):
    """NODE -> text."""
    return dict(line.split(': ', 1) for line in out.decode('utf8', 'replace').splitlines())


def test_sizes(place):
    for targets, n in ('leaf1', 1), (THREE, 3):
        for size in SIZES:
            status, out, err = place.run('exec', '-w', targets, '--stdin', '--', 'sha256sum', data=DATA[:size])
            want = {'leaf%d' % (i + 1): hashed(size) for i in range(n)}
            expect((status, lines(out)) == (0, want), targets, size, status, out, err)


def test_it_comes_back(place):
    status, out, err = place.run('exec', '-w', 'leaf1', '--stdin', '--', 'base64', data=DATA[:W + 1])
    done = subprocess.run(['base64'], input=DATA[:W + 1], stdout=subprocess.PIPE)
    expect(status == 0 and out.replace(b'leaf1: ', b'') == done.stdout, status, len(out), err)


def test_without_it_there_is_none(place):
    status, out, err = place.run('exec', '-w', 'leaf1', '--', 'wc', '-c', data=b'x' * 10)
    expect((status, lines(out)) == (0, {'leaf1': '0'}), status, out, err)


def test_nobody_reads(place):
    for targets in 'leaf1', THREE:
        began = time.monotonic()
        place.run('exec', '-w', targets, '--', 'true')
        alone = time.monotonic() - began
        began = time.monotonic()
        status, out, err = place.run('exec', '-w', targets, '--stdin', '--', 'true', data=DATA[:3 * MIB])
        expect((status, out) == (0, b''), targets, status, out, err)
        expect(time.monotonic() - began < alone + 10, 'it took', time.monotonic() - began, 'and without input', alone)


def test_one_reads_no_more(place):
    status, out, err = place.run('exec', '-w', 'leaf1', '--stdin', '--', 'sh', '-c', 'head -c 10 | wc -c', data=DATA[:3 * MIB])
    expect((status, lines(out)) == (0, {'leaf1': '10'}), status, out, err)
    one = 'if mkdir %s 2>&-; then head -c 1 | wc -c; else sha256sum; fi' % place.path('first')
    status, out, err = place.run('exec', '-w', THREE, '--stdin', one, data=DATA[:3 * MIB])
    expect(status == 0 and sorted(lines(out).values()) == sorted(['1', hashed(3 * MIB), hashed(3 * MIB)]), status, out, err)
    status, out, err = place.run('exec', '-w', 'leaf1', '--stdin', '--', 'sh', '-c', 'exec <&-; sleep 0.3; exit 3', data=DATA[:3 * MIB])
    expect(status == 1 and 'exit status 3' in err, status, out, err)


def test_output_survives_input(place):
    """What is still sent to a command that has ended costs none of its output."""
    for i in range(10):
        status, out, err = place.run('exec', '-w', 'leaf1', '--stdin', '--', 'sh', '-c', 'head -c 10 | wc -c', data=DATA[:3 * MIB])
        expect((status, lines(out)) == (0, {'leaf1': '10'}), i, status, out, err)


def test_input_survives_output(place):
    """A command that closes its stdout goes on reading."""
    got = place.path('got')
    status, out, err = place.run('exec', '-w', 'leaf1', '--stdin', '--', 'sh', '-c', 'exec >&-; sleep 0.2; cat > %s' % got,
                                 data=DATA[:3 * MIB])
    expect((status, out) == (0, b''), status, out, err)
    with open(got, 'rb') as f:
        expect(f.read() == DATA[:3 * MIB], 'other bytes')


def test_as_it_comes(place):
    """A line is there before the next is written."""
    program = place.start('exec', '-w', 'leaf1', '--stdin', '--', 'cat', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for i in range(5):
        program.process.stdin.write(b'line %d\n' % i)
        program.process.stdin.flush()
        got = program.process.stdout.readline()
        expect(got == b'leaf1: line %d\n' % i, got)
    status, out, err = program.finish()
    expect((status, out) == (0, b''), status, out, err)


def test_pty(place):
    status, out, err = place.run('exec', '-w', 'leaf1', '--pty', '--stdin', '--', 'sh', '-c', 'read x; echo "got $x"; tty >&2', data=b'hello\n')
    expect(status == 0 and b'got hello' in out and b'/dev/pts/' in out, status, out, err)
    status, out, err = place.run('exec', '-w', THREE, '--pty', '--stdin', '--', 'sh', '-c', 'stty -echo; echo ready; wc -c', data=b'x' * 99 + b'\n')
    counts = [text for text in out.decode().replace('\r', '').splitlines() if text.endswith(': 100')]
    expect(status == 0 and len(counts) == 3, status, out, err)


def test_from_a_terminal(place):
    ours, theirs = pty.openpty()
    program = place.start('exec', '-w', 'leaf1', '--stdin', '--', 'wc', '-c', stdin=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    os.write(ours, b'12345\n\4')
    expect(program.process.stdout.read() == b'leaf1: 6\n' and program.wait() == 0, program.said())
    os.close(ours)


def test_signals(place):
    for number in signal.SIGINT, signal.SIGTERM:
        program = place.start('exec', '-w', THREE, '--stdin', '--', 'sh', '-c', 'echo begun; cat', stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
        expect(all(program.process.stdout.readline().endswith(b'begun\n') for i in range(3)), program.said())
        if number == signal.SIGINT:
            program.process.send_signal(number)  # once: those that run are waited for
            until(lambda: program.said())
        status = program.ends(number)
        expect(status in (130, -number), number, status, program.said())


def test_pty_in_the_middle_of_a_line(place):
    """A terminal's end-of-file character is an end at the start of a line only."""
    for targets, n in ('leaf1', 1), (THREE, 3):
        for data in b'x', b'one\ntwo', b'9' * 70 + (b'\n' + b'9' * 70) * 300:
            status, out, err = place.run('exec', '-w', targets, '--pty', '--stdin', '--', 'sh', '-c', 'stty -echo; echo ready; wc -c',
                                         data=data)
            counts = [text for text in out.decode().replace('\r', '').splitlines() if text.endswith(': %d' % len(data))]
            expect(status == 0 and len(counts) == n, targets, len(data), status, out[-300:], err)


def test_stdin_that_is_none(place):
    """Closed, it is empty; a folder is no input."""
    closed = ['sh', '-c', 'exec "$0" "$@" <&-', place.program, 'exec', '-w', 'leaf1', '--stdin', '--', 'wc', '-c']
    done = subprocess.run(closed, env=place.env, cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    expect((done.returncode, done.stdout) == (0, b'leaf1: 0\n'), done)
    fd = os.open(place.folder, os.O_RDONLY)
    done = subprocess.run(closed[3:], env=place.env, stdin=fd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    os.close(fd)
    expect(done.returncode == 2 and b'is a folder' in done.stderr, done)
    done = subprocess.run(['sh', '-c', 'exec "$0" "$@" >&-'] + closed[3:5] + ['-w', 'leaf1', 'echo', 'x'], env=place.env, stderr=subprocess.PIPE, timeout=LIMIT)
    expect(done.returncode == 7 and b'writing' in done.stderr, done)
