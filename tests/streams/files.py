"""cp: files there and here, to one and to three, by their contents, modes, times, holes; and what is left when it fails."""
import json
import math
import os
import shutil
import signal
import socket
import stat
import time

from support import DATA, LIMIT, MIB, SIZES, W, alive, below, expect, old_python, until

THREE = 'leaf[1-3]'


def write(path, data, mode=0o644, mtime=1.5e9 + 0.25):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data)
    os.chmod(path, mode)
    os.utime(path, (mtime, mtime))


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def tree(place, name):
    """A folder with every kind of thing."""
    root = place.path(name)
    for i, size in enumerate(SIZES):
        write(os.path.join(root, 'size', '%d' % size), DATA[i:i + size])
    write(os.path.join(root, 'modes', 'x'), b'#!/bin/sh\n', 0o750)
    write(os.path.join(root, 'odd', b'caf\xe9 \n'.decode('utf8', 'surrogateescape')), b'odd')
    with open(os.path.join(root, 'holes'), 'wb') as f:
        f.write(b'begin')
        f.seek(8 * MIB)
        f.write(b'end')
    os.makedirs(os.path.join(root, 'empty'))
    os.symlink('size/1', os.path.join(root, 'link'))
    os.symlink('nowhere', os.path.join(root, 'dangling'))
    os.chmod(os.path.join(root, 'modes'), 0o710)
    os.utime(os.path.join(root, 'modes'), (1.4e9, 1.4e9))
    return root


def listing(root, seconds=False):
    """path -> what it is, its mode and time (seconds: whole ones), its contents."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            if stat.S_ISLNK(st.st_mode):
                found[os.path.relpath(path, root)] = os.readlink(path)
            else:
                is_file = stat.S_ISREG(st.st_mode)
                found[os.path.relpath(path, root)] = (stat.S_IMODE(st.st_mode), is_file and (math.floor(st.st_mtime) if seconds else round(st.st_mtime, 3)), is_file and read(path))
    return found


def same(a, b, *saw, seconds=False):
    x, y = listing(a, seconds), listing(b, seconds)
    expect(sorted(x) == sorted(y), *saw, sorted(x), sorted(y))
    for path in x:
        expect(x[path] == y[path], path, str(x[path])[:80], str(y[path])[:80])


def test_a_tree_there_and_back(place):
    root = tree(place, 'src')
    os.mkdir(place.path('there'))
    status, out, err = place.run('cp', root, 'leaf1:' + place.path('there/'))
    expect((status, out) == (0, b''), status, out, err)
    same(root, place.path('there/src'), err, seconds=place.seconds)
    expect(os.stat(place.path('there/src/holes')).st_blocks < 2048, 'the hole was filled')
    status, out, err = place.run('cp', 'leaf1:' + place.path('there/src'), 'back')
    expect(status == 0, status, err)
    same(root, place.path('back'), err, seconds=place.seconds)
    expect(os.stat(place.path('back/holes')).st_blocks < 2048, 'the hole was filled')
    expect(sorted(os.listdir(place.path('there'))) == ['src'], os.listdir(place.path('there')))


def test_to_three_at_once(place):
    # All are on this machine, and so write the same files, each under a name of its own before it is renamed.
    root = tree(place, 'src')
    write(place.path('one'), DATA[:3 * MIB])
    status, out, err = place.run('cp', '--json', '--stats', place.path('stats'), root, place.path('one'), THREE + ':' + place.path('all'))
    expect(status == 0, status, out, err)
    same(root, place.path('all/src'), seconds=place.seconds)
    expect(read(place.path('all/one')) == DATA[:3 * MIB], 'one')
    expect(not [x for x in os.listdir(place.path('all')) if x.startswith('.')], os.listdir(place.path('all')))
    total = sum(os.path.getsize(os.path.join(f, x)) for f, _, v in os.walk(root) for x in v if not os.path.islink(os.path.join(f, x)))
    if place.shell:     # who has no Python is served alone
        return
    with open(place.path('stats')) as f:
        rows = {x['name']: x for x in map(json.loads, f)}
    first = rows['master']['bytes_out']
    expect(first < (total + 3 * MIB) * 1.02 + 400000, 'over the first link', first, 'of', total)
    for name, way, links in ('top', 'bytes_in', 1), ('top', 'bytes_out', 3), ('leaf1', 'bytes_in', 1), ('leaf3', 'bytes_in', 1):
        expect(.85 < rows[name][way] / links / first < 1.15, name, way, rows[name][way], 'over each link', first)


def test_names(place):
    write(place.path('f'), b'1')
    os.mkdir(place.path('d'))
    for dest, where in ('d', 'd/f'), ('d/', 'd/f'), ('d/g', 'd/g'), ('n/', 'n/f'):
        status, out, err = place.run('cp', 'f', 'leaf1:' + place.path('') + dest)
        expect(status == 0 and read(place.path(where)) == b'1', dest, status, err)
        os.unlink(place.path(where))
    status, out, err = place.run('cp', 'leaf[1-2]:' + place.path('f'), 'here')
    expect(status == 0 and sorted(listing(place.path('here'))) == ['leaf1', 'leaf1/f', 'leaf2', 'leaf2/f'], status, err)
    status, out, err = place.run('cp', 'leaf1:' + place.path('[f]*'), 'pattern')
    expect(status == 0 and read(place.path('pattern')) == b'1', status, err)


def test_what_fails_is_named_and_leaves_nothing(place):
    write(place.path('f'), DATA[:W])
    os.mkdir(place.path('d'))
    for dest in '/nosuch/f', '/proc/f', place.path('f/under'):
        status, out, err = place.run('cp', 'f', 'leaf1:' + dest)
        expect(status == 1 and 'leaf1' in err and 'copy-failed' not in err and os.path.dirname(dest) in err, dest, status, err)
    os.mkdir(place.path('d/f'))
    write(place.path('d/f/keep'), b'')
    status, out, err = place.run('cp', 'f', 'leaf1:' + place.path('d/f/../f'))
    expect(status == 0, status, err)  # into the folder
    status, out, err = place.run('cp', 'nosuch', 'f', 'leaf1:' + place.path('e/'))
    expect(status == 1 and 'nosuch: No such file' in err and read(place.path('e/f')) == DATA[:W], status, err)
    status, out, err = place.run('cp', 'leaf1:/nosuch', 'leaf1:' + place.path('f'), 'x/')
    expect(status == 1 and 'No such file' in err and read(place.path('x/f')) == DATA[:W], status, err)
    for args in ('nosuch', 'leaf1:' + place.path('e/')), ('leaf1:/nosuch', 'x/'):
        for options in (), ('--resume',):
            status, out, err = place.run('cp', *options + args)
            expect(status == 1 and 'nosuch: No such file' in err and 'nothing was sent of it' in err and 'left there' not in err, args, status, err)
    expect(not [x for x in os.listdir(place.path('e')) if x != 'f'], os.listdir(place.path('e')))
    os.symlink('loop', place.path('loop'))  # what cannot be looked at is not said to be missing; this, root cannot either
    for pattern in 'loop/f', 'loop/*':
        status, out, err = place.run('cp', 'leaf1:' + place.path(pattern), 'x/')
        expect(status == 1 and pattern + ': Too many levels of symbolic links' in err, pattern, status, err)
    status, out, err = place.run('cp', 'f', 'leaf1:' + place.path('loop/d/f'))
    expect(status == 1 and 'loop/d: Too many levels of symbolic links' in err, status, err)


def test_pipes_and_sockets_stay(place):
    """Neither a file nor a link comes in their place."""
    write(place.path('file/f'), b'1')
    os.mkdir(place.path('link'))
    os.symlink('file', place.path('link/f'))
    for source in 'file/.', 'link/.':
        for i, args in enumerate([(source, 'leaf1:' + place.path('d/')), ('leaf1:' + place.path(source), 'd/')] * 2):
            os.mkdir(place.path('d'))
            if i < 2:
                os.mkfifo(place.path('d/f'))
            else:
                with socket.socket(socket.AF_UNIX) as s:
                    s.bind(place.path('d/f'))
            kind = os.lstat(place.path('d/f')).st_mode
            status, out, err = place.run('cp', *args)
            expect(status == 1 and 'd/f: what is there is neither a file nor a link' in err, args, i, status, err)
            expect(os.lstat(place.path('d/f')).st_mode == kind and os.listdir(place.path('d')) == ['f'], args, i)
            shutil.rmtree(place.path('d'))


def test_a_limit_from_there(place):
    """What it counts is bytes: not 64 KiB for each small file, and Python 2 has text for what reads as such."""
    for i in range(30):
        write(place.path('src/%d' % i), b'12345678')
    status, out, err = place.run('cp', '--limit', '10k', 'leaf1:' + place.path('src'), 'd')
    expect((status, err) == (0, '') and len(os.listdir(place.path('d'))) == 30, status, err)
    write(place.path('text'), b'x' * MIB)
    for node in ['leaf1'] + old_python(place):
        began = time.monotonic()
        status, out, err = place.run('cp', '--limit', '512k', node + ':' + place.path('text'), node)
        expect((status, err) == (0, '') and time.monotonic() - began > 1.5, node, status, err, time.monotonic() - began)


def test_resume(place):
    write(place.path('f'), DATA[:3 * MIB])
    os.mkdir(place.path('d'))
    write(place.path('d/.f.econtext-part'), DATA[:MIB])  # what has come before
    status, out, err = place.run('cp', '--resume', '--json', '--stats', place.path('stats'), 'f', 'leaf1:' + place.path('d/'))
    expect(status == 0 and read(place.path('d/f')) == DATA[:3 * MIB], status, out, err)
    write(place.path('d/.f.econtext-part'), b'x' + DATA[1:MIB])  # of another file
    os.unlink(place.path('d/f'))
    status, out, err = place.run('cp', '--resume', 'f', 'leaf1:' + place.path('d/'))
    expect(status == 0 and read(place.path('d/f')) == DATA[:3 * MIB], status, out, err)
    expect(os.listdir(place.path('d')) == ['f'], os.listdir(place.path('d')))


def test_resume_over_what_is_no_file(place):
    """A pipe and a link to one: nobody may wait there for what comes out of it."""
    os.mkdir(place.path('d'))
    write(place.path('f'), DATA[:W])
    write(place.path('g'), DATA[:W])
    os.mkfifo(place.path('d/f'))
    os.mkfifo(place.path('pipe'))
    os.symlink(place.path('pipe'), place.path('d/g'))
    status, out, err = place.run('cp', '--resume', 'f', 'g', 'leaf1:' + place.path('d/'))
    expect(status == 1 and 'd/f' in err and ': what is there is neither a file nor a link' in err, status, err)
    expect(stat.S_ISFIFO(os.stat(place.path('d/f')).st_mode) and stat.S_ISFIFO(os.stat(place.path('pipe')).st_mode), 'a pipe is gone')


def test_a_link_to_what_has_no_name_stays(place):
    """As /dev/stdout is one to a pipe: what it leads to is there, and is neither a file nor can it be replaced."""
    write(place.path('f'), b'new')
    ends = list(os.pipe()) + list(socket.socketpair())
    with open(place.path('gone'), 'wb', buffering=0) as gone:
        gone.write(b'old')
        os.unlink(place.path('gone'))
        for name, end, says in (('pipe', ends[1], ': what is there is neither a file nor a link'), ('gone', gone, ': what it leads to has no name'),
                                ('socket', ends[2], ': what is there is neither a file nor a link')):
            where = '/proc/%d/fd/%d' % (os.getpid(), end if name == 'pipe' else end.fileno())
            os.symlink(where, place.path(name))
            for options in (), ('--resume',):
                status, out, err = place.run('cp', *options + ('leaf1:' + place.path('f'), name))
                expect(status == 1 and name + says in err and 'nothing was copied there' in err, name, options, status, err)
                expect(os.path.islink(place.path(name)) and os.readlink(place.path(name)) == where, name, 'was replaced')
        expect(os.fstat(gone.fileno()).st_size == 3, 'it was written to')
    for end in ends[:2]:
        os.close(end)
    for end in ends[2:]:
        end.close()


def test_resume_of_what_is_there(place):
    """Whole files are not sent again, in a folder and under another name; mode and time are set."""
    os.mkdir(place.path('src'))
    for name in 'fgh':
        write(place.path('src/' + name), DATA[:3 * MIB])
    write(place.path('src/empty'), b'')
    status, out, err = place.run('cp', 'src', 'leaf1:' + place.path('d'))
    expect(status == 0, status, err)
    was = os.stat(place.path('d/f')).st_ino
    os.chmod(place.path('src/f'), 0o640)
    os.utime(place.path('src/f'), (1e9, 1e9))
    write(place.path('d/g'), b'x' + DATA[1:3 * MIB])  # as long, and another
    os.unlink(place.path('d/h'))
    os.symlink(place.path('src/h'), place.path('d/h'))  # a link is replaced
    status, out, err = place.run('cp', '--resume', '--stats', place.path('stats'), 'src/f', 'src/g', 'src/h', 'src/empty',
                                 'leaf1:' + place.path('d'))
    expect(status == 0, status, err)
    st = os.stat(place.path('d/f'))
    expect((st.st_ino, st.st_mode & 0o777, st.st_mtime) == (was, 0o640, 1e9), st)
    expect(all(read(place.path('d/' + x)) == DATA[:3 * MIB] for x in 'gh') and not os.path.islink(place.path('d/h')), 'not g or h')
    expect(sorted(os.listdir(place.path('d'))) == ['empty', 'f', 'g', 'h'], os.listdir(place.path('d')))
    sent = json.loads(read(place.path('stats')).split(b'\n')[0])['bytes_out']
    expect(6 * MIB < sent < 7 * MIB, sent)
    status, out, err = place.run('cp', '--resume', 'src/g', 'leaf1:' + place.path('d/f'))
    expect(status == 0 and read(place.path('d/f')) == DATA[:3 * MIB], status, err)


def test_resume_over_what_is_as_long(place):
    """What has come of the new one is gone on from, though the old one has its size; all of it but the last byte at most."""
    write(place.path('f'), DATA[:3 * MIB])
    for args in ('f', 'leaf1:' + place.path('d/')), ('leaf1:' + place.path('f'), 'd/'):
        for part, most in (DATA[:2 * MIB], 1.2 * MIB), (DATA[:3 * MIB], MIB / 4), (b'x' + DATA[1:2 * MIB], 4 * MIB):
            write(place.path('d/f'), DATA[1:3 * MIB + 1])
            old = os.stat(place.path('d/f')).st_ctime
            while not os.path.exists(place.path('d/.f.econtext-part')) or os.stat(place.path('d/.f.econtext-part')).st_ctime < old + (1 if place.shell else .05):
                write(place.path('d/.f.econtext-part'), part)   # stat(1) says whole seconds
                time.sleep(.05)
            status, out, err = place.run('cp', '--resume', '--stats', place.path('stats'), *args)
            expect((status, err) == (0, '') and read(place.path('d/f')) == DATA[:3 * MIB], args, len(part), status, err)
            stats = json.loads(read(place.path('stats')).split(b'\n')[0])
            expect(max(stats['bytes_in'], stats['bytes_out']) < most, args, len(part), stats)
            expect(os.listdir(place.path('d')) == ['f'], os.listdir(place.path('d')))


def test_limit_and_interrupt(place):
    write(place.path('f'), DATA[:3 * MIB])
    os.mkdir(place.path('d'))
    program = place.start('cp', '--limit', '500k', 'f', 'leaf1:' + place.path('d/'))
    expect(until(lambda: len(below(program.pid)) >= 2), 'it did not start')
    time.sleep(1)
    expect(not os.listdir(place.path('d')) or 'f' not in os.listdir(place.path('d')), 'it was not slowed down')
    mine = below(program.pid)
    program.process.send_signal(signal.SIGINT)
    program.process.wait(LIMIT)
    expect(until(lambda: not any(map(alive, mine))), 'something is left')
    expect(os.listdir(place.path('d')) == [], os.listdir(place.path('d')))


def test_usage(place):
    for args, says in ((('a', 'b'), 'no side is there'), (('a:b', 'leaf1:b'), 'one must be here: ./a:b, if it is a path'), (('a', 'a:b', 'leaf1:b'), 'cp: a:b: both sides are there; one must be here: ./a:b, if it is a path'), (('a',), 'cp takes'),
                       (('--limit', 'x', 'a', 'leaf1:b'), 'not a rate'), (('leaf1:a', 'leaf2:b', 'c'), 'every source')):
        status, out, err = place.run('cp', *args)
        expect(status == 2 and says in err, args, status, err)


def test_a_path_that_is_too_long(place):
    """The reason is said all the same, and all of the path with --json."""
    top = os.open(place.path('.'), os.O_RDONLY)
    at = top
    for i in range(30):
        os.mkdir('d' * 200, dir_fd=at)
        below = os.open('d' * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    status, out, err = place.run('cp', 'd' * 200, 'leaf1:' + place.path('to'))
    expect(status == 1 and 'saw      "...d' in err and 'd: File name too long"' in err, status, err)
    status, out, err = place.run('cp', '--json', 'd' * 200, 'leaf1:' + place.path('to'))
    paths = [e['path'] for e in map(json.loads, out.splitlines()) if e['event'] == 'result']
    expect(status == 1 and len(paths) == 1 and len(paths[0]) > 4000, status, out)


def test_a_link_where_a_folder_is_wanted(place):
    """Below the target none is followed, either way, as cp(1) does not; the target itself may be one."""
    write(place.path('app/sub/f'), b'1')
    write(place.path('app/g'), b'2')
    os.mkdir(place.path('etc'), 0o700)
    os.makedirs(place.path('joe/app'))
    os.symlink('../../etc', place.path('joe/app/sub'))
    os.symlink('joe', place.path('to'))
    for args in ('app', 'leaf1:' + place.path('joe/')), ('app', 'leaf1:' + place.path('to')), ('app/.', 'leaf1:' + place.path('to/app')), \
            ('leaf1:' + place.path('app'), 'joe/'), ('leaf1:' + place.path('app/.'), 'to/app'):
        status, out, err = place.run('cp', *args)
        said = 'joe/app/sub: ' in err or 'to/app/sub: ' in err or 'to/sub: ' in err
        expect(status == 1 and err.count('FAILED') == 1 and said and ('is a link' in err or 'Not a directory' in err), args, status, err)
        expect(os.listdir(place.path('etc')) == [] and os.stat(place.path('etc')).st_mode & 0o777 == 0o700, args, 'it was followed')
        expect(read(place.path('joe/app/g')) == b'2', args)
        os.unlink(place.path('joe/app/g'))


def test_what_cannot_be_written_here(place):
    """Is no fault of the node that it comes from; what cannot be read there is."""
    for name in 'from/file', 'to/dir':
        os.makedirs(os.path.dirname(place.path(name)), exist_ok=True)
        with open(place.path(name), 'w') as f:
            f.write('y')
    for name in 'from/dir', 'to/file':
        os.mkdir(place.path(name))
    for name, whose, why in ('file', 'here', 'Is a directory'), ('dir', 'here', 'Not a directory'), ('none', 'top', 'No such file'):
        status, _, err = place.run('cp', 'top:' + place.path('from/' + name), place.path('to/'))
        expect(status == 1 and 'FAILED %s\n' % whose in err and why in err and ('at hop' in err) == (whose == 'top'), name, status, err)
