"""cp as its users do it: names of every kind, old times, patterns, what is there already, resuming either way, being killed, nodes
that are not there. What does not come is said once, by the name of where it was to be, and leaves nothing."""
import contextlib
import json
import os
import shutil
import signal
import stat
import sys
import time

from files import THREE, listing, read, same, write
from support import DATA, MIB, W, alive, below, expect, old_python, until

HERE = os.path.dirname(os.path.abspath(__file__))


def failures(err):
    return err.count('FAILED') + err.count('UNREACHABLE')


def odd(place, name):
    root = place.path(name)
    for n in b'sp ace', b'new\nline', b'-rf', b'caf\xe9\xff', b'n' * 255, b'"q\'$`;*?[a]', b'\x1b[31m', b'a:b', b'...', b'~', b'.hidden':
        write(os.path.join(root, os.fsdecode(n)), n)
    write(os.path.join(root, 'older'), b'', mtime=-86400.5)
    os.symlink('older', os.path.join(root, 'l' * 255))
    os.makedirs(os.path.join(root, 'closed/in'))
    os.chmod(os.path.join(root, 'closed/in'), 0o500)
    os.chmod(os.path.join(root, 'closed'), 0o500)
    return root


def test_odd_names_and_times(place):
    root = odd(place, 'src')
    # The three are one machine here: without the slash a folder that one of them has just made would have the others' put in it.
    for targets, dest, where in ('leaf1', 'one', 'one'), (THREE, 'three/', 'three/src'):
        status, out, err = place.run('cp', root, targets + ':' + place.path(dest))
        expect((status, err) == (0, ''), status, err)
        same(root, place.path(where), seconds=place.seconds)
    status, out, err = place.run('cp', 'leaf1:' + root, 'back')
    expect((status, err) == (0, ''), status, err)
    same(root, place.path('back'))


def test_a_folder_by_dots(place):
    write(place.path('src/a/f'), b'1')
    for source, dest, where in ('src/a/.', 'new', 'new/f'), ('src/a/..', 'other', 'other/a/f'), ('src/a/', './', 'a/f'):
        status, out, err = place.run('cp', 'leaf1:' + place.path(source), dest)
        expect((status, err) == (0, '') and read(place.path(where)) == b'1', source, status, err)


def test_the_contents_of_a_folder(place):
    """SRC/. is what is in SRC, either way and by each of its names; what it comes into is made, and gets SRC's mode and time."""
    write(place.path('src/sub/f'), DATA[:W])
    write(place.path('src/.hidden'), b'1')
    os.symlink('sub', place.path('src/link'))
    os.symlink('src', place.path('linked'))
    os.chmod(place.path('src/sub'), 0o500)
    os.chmod(place.path('src'), 0o710)
    os.utime(place.path('src'), (1.3e9, 1.3e9))

    def came(where, *saw):
        st = os.stat(place.path(where))
        same(place.path('src'), place.path(where), *saw, seconds=place.seconds)
        expect((stat.S_IMODE(st.st_mode), st.st_mtime) == (0o710, 1.3e9), where, oct(st.st_mode), st.st_mtime, *saw)
    n = 0
    for source in 'src/.', 'src/././/', 'linked/.', 'src/sub/../.':
        for there in True, False:
            for dest, make in (('new%d', False), ('slash%d/', False), ('old%d', True), ('link%d', True))[:4 if source == 'src/.' else 1]:
                n += 1
                name = dest % n
                if make:
                    os.mkdir(place.path('to%d' % n if 'link' in name else name))
                if 'link' in name:
                    os.symlink('to%d' % n, place.path(name))
                args = (source, 'top:' + place.path(name)) if there else ('top:' + place.path(source), name)
                status, out, err = place.run('cp', *args)
                expect((status, out, err) == (0, b'', ''), args, status, out, err)
                came(name.rstrip('/'), args)
    for args, where in ((('src/.', THREE + ':' + place.path('three')), ['three']),
                        ((THREE + ':' + place.path('src/.'), 'each'), ['each/leaf1', 'each/leaf2', 'each/leaf3']),
                        ((THREE + ':' + place.path('sr?/.'), 'each'), ['each/leaf1', 'each/leaf2', 'each/leaf3']),
                        (('leaf1:' + place.path('sr?/.'), 'pattern'), ['pattern']),
                        (('--resume', 'src/.', 'leaf1:' + place.path('again')), ['again']),
                        (('--resume', 'src/.', 'leaf1:' + place.path('again')), ['again']),
                        (('--resume', 'leaf1:' + place.path('src/.'), 'back'), ['back']),
                        (('--resume', 'leaf1:' + place.path('src/.'), 'back'), ['back'])):
        status, out, err = place.run('cp', *args)
        expect((status, err) == (0, ''), args, status, err)
        for x in where:
            came(x, args)


def test_the_contents_of_several(place):
    for name in 'ab':
        write(place.path('src/%s/%s' % (name, name)), name.encode())
    write(place.path('src/f'), b'f')
    write(place.path('file'), b'keep')
    for i, sources in enumerate([('src/a/.', 'src/b/.', 'src/f'), ('src/f', 'src/a/.', 'src/b/.')]):
        for args, dest in (sources + ('leaf1:' + place.path('there%d' % i),), 'there%d' % i), (
                tuple('leaf1:' + place.path(x) for x in sources) + ('here%d' % i,), 'here%d' % i):
            status, out, err = place.run('cp', *args)
            expect((status, err) == (0, '') and sorted(os.listdir(place.path(dest))) == ['a', 'b', 'f'], args, status, err)
    status, out, err = place.run('cp', 'leaf1:' + place.path('src/*/.'), 'both')
    expect((status, err) == (0, '') and sorted(os.listdir(place.path('both'))) == ['a', 'b'], status, err)
    write(place.path('dots/.x/y'), b'1')        # a pattern's . and .. are not meant
    status, out, err = place.run('cp', 'leaf1:' + place.path('dots/.*'), 'dotted/')
    expect((status, err) == (0, '') and os.listdir(place.path('dotted')) == ['.x'], status, err, os.listdir(place.path('dotted')))
    for args in ('src/a/.', 'leaf1:' + place.path('file')), ('leaf1:' + place.path('src/a/.'), 'file'):
        status, out, err = place.run('cp', *args)
        expect(status == 1 and failures(err) == 1 and 'file: Not a directory' in err and 'nothing was copied there' in err, args, status, err)
    for source in 'nosuch/.', 'file/.':
        for args in (source, 'leaf1:' + place.path('none')), ('leaf1:' + place.path(source), 'none'):
            status, out, err = place.run('cp', *args)
            expect(status == 1 and failures(err) == 1 and not os.path.exists(place.path('none')), args, status, err)
    expect(read(place.path('file')) == b'keep', 'it was replaced')


def test_a_link_to_a_folder_again(place):
    """It replaces the link that is there; nothing comes into the folder."""
    write(place.path('src/sub/f'), b'1')
    os.symlink('sub', place.path('src/link'))
    for i in range(2):
        for args in ('src', 'top:' + place.path('there/')), ('top:' + place.path('src'), 'here/'):
            status, out, err = place.run('cp', *args)
            expect((status, err) == (0, ''), args, status, err)
            same(place.path('src'), place.path(args[1].split('/')[-2] + '/src'), args, seconds=place.seconds)


def test_a_pattern_for_several(place):
    for i in range(3):
        write(place.path('src/%d.log' % i), b'%d' % i)
    status, out, err = place.run('cp', 'leaf1:' + place.path('src/*.log'), 'new')
    expect((status, err) == (0, '') and sorted(os.listdir(place.path('new'))) == ['0.log', '1.log', '2.log'], status, err)
    write(place.path('file'), b'keep')
    status, out, err = place.run('cp', 'leaf1:' + place.path('src/*.log'), 'file')
    expect(status == 1 and failures(err) == 1 and 'not a folder' in err and read(place.path('file')) == b'keep', status, err)


def test_what_is_there_already(place):
    """Neither a pipe is replaced nor a folder, either way; a link that is named is what it leads to."""
    write(place.path('f'), DATA[:W])
    os.mkfifo(place.path('pipe'))
    os.makedirs(place.path('d/f'))
    for args in ('f', 'leaf1:' + place.path('pipe')), ('leaf1:' + place.path('f'), 'pipe'):
        status, out, err = place.run('cp', *args)
        expect(status == 1 and 'pipe: what is there is neither a file nor a link' in err, args, status, err)
        expect(stat.S_ISFIFO(os.lstat(place.path('pipe')).st_mode), 'it was replaced')
    for args in ('f', 'leaf1:' + place.path('d')), ('leaf1:' + place.path('f'), 'd'):
        status, out, err = place.run('cp', *args)
        expect(status == 1 and 'd/f: Is a directory' in err, args, status, err)
    write(place.path('real'), b'old')
    os.symlink('real', place.path('link'))
    for args in ('f', 'leaf1:' + place.path('link')), ('leaf1:' + place.path('f'), 'link'):
        write(place.path('real'), b'old')
        status, out, err = place.run('cp', *args)
        expect((status, err) == (0, '') and os.path.islink(place.path('link')), args, status, err)
        expect(read(place.path('real')) == DATA[:W], args, 'other bytes')
    status, out, err = place.run('cp', 'pipe', 'f', 'leaf1:' + place.path('to/'))
    expect(status == 1 and 'pipe: neither a file nor a folder' in err and read(place.path('to/f')) == DATA[:W], status, err)


def test_what_cannot_be_is_said_once(place):
    for i in range(20):
        write(place.path('src/sub/%d' % i), DATA[:W])
    write(place.path('file'), b'')
    write(place.path('half/src/sub'), b'a file, where a folder must be')
    for name in 'file', 'half/src/sub':
        os.chmod(place.path(name), 0o640)
        os.utime(place.path(name), (1000000000, 1000000000))
    for targets, dest, says in (('leaf1', '/nosuch/x/', '/nosuch/x/: No such file'), ('leaf1', '/nosuch/x', '/nosuch: No such file'),
                                ('leaf1', place.path('file') + '/', 'file/: Not a directory'),
                                ('leaf1', place.path('file'), 'file: Not a directory'),
                                ('leaf1', place.path('half'), 'half/src/sub: Not a directory'),
                                ('leaf1', '/proc/new', '/proc/new: No such file'),
                                (THREE, '/nosuch/x/', '/nosuch/x/: No such file')):
        status, out, err = place.run('cp', 'src', targets + ':' + dest)
        expect(status == 1 and failures(err) == 1 and says in err, targets, dest, status, err)  # the three read the same
        expect('nothing was copied there' in err or 'nothing below it was copied' in err, dest, err)
    for dest, says in ('/nosuch/x/', '/nosuch/x: No such file'), ('file/', 'file: Not a directory'), ('file', 'file: Not a directory'), (
            'half', 'half/src/sub: Not a directory'), ('/proc/new', '/proc/new: No such file'):
        status, out, err = place.run('cp', 'leaf1:' + place.path('src'), dest)
        expect(status == 1 and failures(err) == 1 and says in err, dest, status, err)
        expect('nothing was copied there' in err or 'nothing below it was copied' in err, dest, err)
    for name in 'file', 'half/src/sub':  # not the folder's mode and time
        s = os.stat(place.path(name))
        expect((s.st_mode & 0o777, s.st_mtime) == (0o640, 1000000000), name, oct(s.st_mode), s.st_mtime)
    for args in ('', 'leaf1:/tmp'), ('leaf1:/etc/passwd', ''):
        status, out, err = place.run('cp', *args)
        expect(status == 2 and 'a path is empty' in err, args, status, err)


def test_one_cause_of_many_files_is_one_block(place):
    """With how many and the first names; each is in --json. Another cause is another block."""
    for i in range(20):
        write(place.path('src/%02d' % i), b'1')
        write(place.path('d/src/%02d/keep' % i), b'')
    write(place.path('src/odd\n'), b'1')
    write(place.path('d/src/odd\n/keep'), b'')
    write(place.path('src/pipe'), b'1')
    os.mkfifo(place.path('d/src/pipe'))
    write(place.path('src/good'), b'1')
    three = 'd/src/00, {0}d/src/01, {0}d/src/02 and 18 more: Is a directory'
    for args, says in ((('src', 'leaf1:' + place.path('d')), three.format(place.path(''))), (('leaf1:' + place.path('src'), 'd'), three.format('')),
                       (('src', THREE + ':' + place.path('d')), three.format(place.path('')))):
        status, out, err = place.run('cp', *args)
        expect(status == 1 and failures(err) == 2 and says in err and '--json names each' in err, args, status, err)
        expect('other files' not in err and 'pipe: what is there is neither' in err and read(place.path('d/src/good')) == b'1', err)
        status, out, err = place.run('cp', '--json', *args)
        rows = [json.loads(x) for x in out.splitlines()]
        paths = [x['path'] for x in rows if x['event'] == 'result']
        expect(status == 1 and len(paths) == 22 * (3 if THREE in args[1] else 1) and any(x.endswith('/odd\n') for x in paths), err, paths)


def test_resume_from_there(place):
    write(place.path('src/f'), DATA[:3 * MIB])
    write(place.path('src/small'), b'1')
    for part, comes in ((DATA[:MIB], 2 * MIB), (b'x' + DATA[1:MIB], 3 * MIB), (DATA[:3 * MIB] + b'more', 0), (b'', 3 * MIB)):
        write(place.path('d/src/.f.econtext-part'), part)
        status, out, err = place.run('cp', '--resume', '--stats', place.path('stats'), 'leaf1:' + place.path('src'), 'd')
        expect((status, err) == (0, ''), status, out, err)
        same(place.path('src'), place.path('d/src'))
        came = carried(place)
        expect(comes <= came < comes + 300000, 'of', comes, 'bytes came', came)
        os.unlink(place.path('d/src/f'))
    write(place.path('d/src/f'), DATA[:3 * MIB], mode=0o600, mtime=1e9)  # it is there, whole
    status, out, err = place.run('cp', '--resume', '--stats', place.path('stats'), 'leaf1:' + place.path('src'), 'd')
    expect((status, err) == (0, '') and carried(place) < 300000, status, err, carried(place))
    same(place.path('src'), place.path('d/src'))
    write(place.path('d/src/f'), DATA[1:3 * MIB + 1])  # as long, and another
    status, out, err = place.run('cp', '--resume', 'leaf1:' + place.path('src'), 'd')
    expect((status, err) == (0, ''), status, err)
    same(place.path('src'), place.path('d/src'))


def carried(place):
    """Bytes that came to this end."""
    with open(place.path('stats')) as f:
        return [x for x in map(json.loads, f) if x['name'] == 'master'][0]['bytes_in']


def sent(place, *args):
    """Bytes that went from this end."""
    status, out, err = place.run('cp', '--stats', place.path('stats'), *args)
    expect((status, err) == (0, ''), args, status, err)
    with open(place.path('stats')) as f:
        return [x for x in map(json.loads, f) if x['name'] == 'master'][0]['bytes_out']


def test_holes(place):
    """Wherever they are; a long one is a few words."""
    small = [(at, 4096) for at in range(0, MIB, 16384)]
    for i, (size, data) in enumerate([(W, []), (W, [(0, 1)]), (3 * MIB, [(MIB + 5, 70000)]), (3 * MIB, [(0, 4096), (3 * MIB - 1, 1)]), (MIB, small),
                                      (18 * MIB + 7, [(18 * MIB + 1, 1)])]):
        write(place.path('src/%d' % i), b'')
        with open(place.path('src/%d' % i), 'r+b') as f:
            f.truncate(size)
            for at, n in data:
                f.seek(at)
                f.write(DATA[:n])
    for node in ['top'] + old_python(place):
        for args in ('src', node + ':' + place.path(node)), (node + ':' + place.path('src'), node + '-back'), (
                '--resume', node + ':' + place.path('src'), node + '-resumed'):
            status, out, err = place.run('cp', *args)
            expect((status, err) == (0, ''), args, status, err)
            there = args[-1].split('/')[-1]
            for x in os.listdir(place.path('src')):
                expect(read(place.path('src/' + x)) == read(place.path(there + '/' + x)), args, x, 'is another')
            expect(os.stat(place.path(there + '/5')).st_blocks < 2048, there, 'the hole was filled')
    write(place.path('none'), b'')
    write(place.path('all'), b'')
    os.truncate(place.path('all'), 18 * MIB)
    more = sent(place, 'all', 'top:' + place.path('x')) - sent(place, 'none', 'top:' + place.path('x'))
    expect(more < 2000, 'a hole of 18 MiB took', more, 'bytes')


def test_what_does_not_say_its_size(place):
    """Files of /proc and /sys, which say 0 or a page; old Pythons too, one to three and back."""
    found = ['/proc/version', '/proc/filesystems', '/proc/kallsyms', '/sys/kernel/mm/transparent_hugepage/enabled', '/sys/kernel/notes']
    most = MIB if place.shell else 16 * MIB
    found = [x for x in found if os.access(x, os.R_OK) and len(read(x)) < most]
    expect(found, 'there is neither /proc nor /sys')
    for node in ['leaf1', THREE] + old_python(place):
        status, out, err = place.run('cp', *found, node + ':' + place.path('there/'))
        expect((status, err) == (0, ''), node, status, err)
        for x in found:
            expect(read(place.path('there/' + os.path.basename(x))) == read(x), node, x, 'is another there')
        if node != THREE:
            for options in (), ('--resume',):
                status, out, err = place.run('cp', *options, *[node + ':' + x for x in found], 'here-' + node + '/')
                expect((status, err) == (0, ''), node, status, err)
                for x in found:
                    expect(read(place.path('here-%s/%s' % (node, os.path.basename(x)))) == read(x), node, x, 'is another here')


def test_the_limit_of_what_does_not_say_its_size(place):
    sys.path.insert(0, os.path.join(HERE, '../../preamble/served'))
    import econtext_sources
    write(place.path('f'), b'x' * 23)
    with open(place.path('f'), 'r+b') as f:
        expect(econtext_sources.whole(f.fileno(), 4096) == ([b'x' * 23], 23), 'shorter than said')
        for size, good in (econtext_sources.UNSIZED, True), (econtext_sources.UNSIZED + 1, False):
            f.truncate(size)
            f.seek(0)
            try:
                expect(econtext_sources.whole(f.fileno(), 0)[1] == size and good, size)
            except econtext_sources.Refused as e:
                expect(not good and 'more than 16 MiB' in str(e), e)


def part_of(place):
    try:
        return os.path.getsize(place.path('d/.f.econtext-part'))
    except OSError:
        return 0


@contextlib.contextmanager
def in_its_midst(program):
    """It stands still: however long something beside it takes, it is not over."""
    program.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        program.process.send_signal(signal.SIGCONT)


def test_two_to_one_name(place):
    """With --resume they would write one part: the second is told so, and the first is not disturbed."""
    write(place.path('f'), DATA[:3 * MIB])
    os.mkdir(place.path('d'))
    for args in [('f', x + ':' + place.path('d/')) for x in ['leaf1'] + old_python(place)] + [('leaf1:' + place.path('f'), 'd/')]:
        first = place.start('cp', '--resume', '--limit', '1M', *args)
        expect(until(lambda: part_of(place) > W), 'nothing comes', first.said())
        with in_its_midst(first):
            status, out, err = place.run('cp', '--resume', *args)
        expect(status == 1 and 'd/f: another copy to this name is under way' in err, args, status, err)
        expect(first.wait() == 0 and read(place.path('d/f')) == DATA[:3 * MIB], args, first.said())
        expect(os.listdir(place.path('d')) == ['f'], args, os.listdir(place.path('d')))
        os.unlink(place.path('d/f'))


def test_a_whole_one_to_one_name(place):
    """With --resume what is there whole needs no part: one that another copy is writing stays."""
    for sub in 'one', 'other':
        write(place.path(sub + '/f'), (sub == 'one' and DATA or DATA[::-1])[:3 * MIB])
    os.mkdir(place.path('d'))
    for x in ['leaf1'] + old_python(place):
        first = place.start('cp', '--resume', '--limit', '1M', 'one/f', x + ':' + place.path('d/'))
        expect(until(lambda: part_of(place) > W), 'nothing comes', first.said())
        with in_its_midst(first):
            write(place.path('d/f'), read(place.path('other/f')))
            status, out, err = place.run('cp', '--resume', 'other/f', x + ':' + place.path('d/'))
        expect((status, err) == (0, ''), x, status, err)
        expect(first.wait() == 0 and read(place.path('d/f')) == DATA[:3 * MIB], x, first.said())
        expect(os.listdir(place.path('d')) == ['f'], x, os.listdir(place.path('d')))
        write(place.path('d/.f.econtext-part'), b'old')
        expect(place.run('cp', '--resume', 'one/f', x + ':' + place.path('d/'))[0] == 0, x)
        expect(place.shell or os.listdir(place.path('d')) == ['f'], x, os.listdir(place.path('d')))
        shutil.rmtree(place.path('d'))
        os.mkdir(place.path('d'))


def test_a_part_until_it_has_its_place(place):
    """Whoever comes between is told that it is another's; so is who finds one that is no file of his own."""
    if place.shell:
        return
    sys.path.insert(0, os.path.join(HERE, '..', '..', 'preamble', 'served'))
    import econtext_files
    sys.path.pop(0)

    def begin():
        return econtext_files.Incoming(os.fsencode(place.path('f')), 0o644, 1.0, 4, 0, None, True)

    def refused():
        try:
            begin().drop()
        except econtext_files.Refused as e:
            return str(e)

    def chmod(path, mode):
        between.append(refused())

    between, real = [], os.chmod
    first = begin()
    first.write(b'1234')
    os.chmod = chmod
    try:
        first.finish(None)
    finally:
        os.chmod = real
    expect(between == ['another copy to this name is under way'] and read(place.path('f')) == b'1234', between, read(place.path('f')))
    os.mkfifo(place.path('.f.econtext-part'))
    expect('not a file of your own' in str(refused()), refused())
    os.unlink(place.path('.f.econtext-part'))
    os.link(place.path('f'), place.path('.f.econtext-part'))
    expect('not a file of your own' in str(refused()) and read(place.path('f')) == b'1234', refused())


def test_killed(place):
    """By force in the middle: nothing is left either way, or with --resume what the next one goes on from."""
    write(place.path('f'), DATA[:3 * MIB])
    os.mkdir(place.path('d'))
    for args in ('f', 'leaf1:' + place.path('d/')), ('leaf1:' + place.path('f'), 'd/'):
        for options in (), ('--resume',):
            program = place.start('cp', '--limit', '1M', *options + args)
            expect(until(lambda: any(size(place, pid) > W for pid in [program.pid] + below(program.pid))), 'nothing comes', program.said())
            mine = below(program.pid)
            program.process.kill()
            program.process.wait()
            expect(until(lambda: not any(map(alive, mine))), 'something goes on')
            left = os.listdir(place.path('d'))
            expect(left == (['.f.econtext-part'] if options else []), args, options, left)
        status, out, err = place.run('cp', '--resume', *args)
        expect(status == 0 and os.listdir(place.path('d')) == ['f'] and read(place.path('d/f')) == DATA[:3 * MIB], status, err)
        os.unlink(place.path('d/f'))


def test_killed_in_an_old_python(place):
    """Python 2 knows no file without a name; it makes one all the same."""
    if place.agent != 'python' or not old_python(place):
        return
    write(place.path('f'), DATA[:3 * MIB])
    os.mkdir(place.path('d'))
    program = place.start('cp', '--limit', '1M', 'f', 'old:' + place.path('d/'))
    expect(until(lambda: any(size(place, pid) > W for pid in below(program.pid))), 'nothing comes', program.said())
    mine = below(program.pid)
    program.process.kill()
    program.process.wait()
    expect(until(lambda: not any(map(alive, mine))), 'something goes on')
    expect(os.listdir(place.path('d')) == [], os.listdir(place.path('d')))
    status, out, err = place.run('cp', 'f', 'old:' + place.path('d/'))
    expect((status, err) == (0, '') and read(place.path('d/f')) == DATA[:3 * MIB], status, err)
    expect(os.listdir(place.path('d')) == ['f'], os.listdir(place.path('d')))


def size(place, pid):
    """Of the file in d that this process writes, with a name or without."""
    most = 0
    try:
        for fd in os.listdir('/proc/%d/fd' % pid):
            link = '/proc/%d/fd/%s' % (pid, fd)
            if os.readlink(link).startswith(place.path('d/')):
                most = max(most, os.stat(link).st_size)
    except OSError:
        pass
    return most


def test_a_node_that_is_not_there(place):
    with open(place.path('topology.yaml'), 'a') as f:
        f.write('  gone: {ssh: {host: 127.0.0.1, port: 1, program: %s}}\n' % place.path('ssh'))
    write(place.path('ssh'), b'#!/bin/sh\necho "ssh: connect to host 127.0.0.1 port 1: Connection refused" >&2\nexit 255\n', 0o755)
    write(place.path('f'), b'1')
    status, out, err = place.run('cp', 'leaf1,gone,leaf2:' + place.path('f'), 'all')
    expect(status == 3 and failures(err) == 1 and sorted(listing(place.path('all'))) == ['leaf1', 'leaf1/f', 'leaf2', 'leaf2/f'], status, err)
    status, out, err = place.run('cp', 'gone:' + place.path('f'), 'none/')
    expect(status == 3 and not os.path.exists(place.path('none')), status, err)
    status, out, err = place.run('cp', 'f', 'leaf1,gone,leaf2:' + place.path('d/'))
    expect(status == 3 and failures(err) == 1 and os.listdir(place.path('d')) == ['f'], status, err)


def test_progress_of_several(place):
    """What is told is the sum of all that are fetched at once: it never falls, and goes beyond any one of them."""
    write(place.path('f'), b'x' * (3 * MIB))
    status, out, err = place.run('cp', '--json', '--limit', '2M', '%s:%s' % (THREE, place.path('f')), 'all')
    told = [e['bytes'] for e in map(json.loads, out.splitlines()) if e['event'] == 'progress']
    expect(status == 0 and told == sorted(told) and 4 * MIB < told[-1] <= 9 * MIB, status, told, err)


def test_a_node_that_is_slow(place):
    """-t is of connecting; ^C does not wait for it."""
    with open(place.path('topology.yaml'), 'a') as f:
        f.write('  slow: {ssh: {host: 127.0.0.1, port: 1, program: %s}}\n' % place.path('ssh'))
    write(place.path('ssh'), b'#!/bin/sh\nexec sleep 60\n', 0o755)
    write(place.path('f'), b'1')
    for args in ('f', 'slow:/tmp/'), ('slow:/etc/passwd', 'x'):
        status, out, err = place.run('cp', '-t', '500ms', *args)
        expect(status == 3 and 'UNREACHABLE slow' in err and 'may still have run' not in err, args, status, err)
        program = place.start('cp', *args)
        expect(until(lambda: below(program.pid)), 'it does not start')
        began = time.monotonic()
        program.process.send_signal(signal.SIGINT)
        expect(program.wait() == 130 and time.monotonic() - began < 4, args, program.said(), time.monotonic() - began)
