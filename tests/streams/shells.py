"""cp to and from hosts without Python whose tools are fewer, or say other things, than one is used to."""
import hashlib
import os
import shutil
import subprocess
import time

from copies import part_of
from files import read, write
from support import DATA, LIMIT, MIB, W, alive, expect, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def fake(place, tool, text):
    """Puts a script in place of a tool; None: nothing."""
    path = os.path.join(place.path('bin'), tool)
    os.unlink(path)
    if text is not None:
        write(path, text.encode(), 0o755)


def there_and_back(place, size=3 * W + 5):
    write(place.path('src'), DATA[:size], 0o640)
    os.makedirs(place.path('d'), exist_ok=True)
    for args in ('src', 'leaf1:' + place.path('d/')), ('leaf1:' + place.path('d/src'), 'back'):
        status, out, err = place.run('cp', *args)
        expect((status, out, err) == (0, b'', ''), args, status, out, err)
    expect(read(place.path('back')) == DATA[:size] and os.stat(place.path('back')).st_mode & 0o777 == 0o640, 'another came back')
    expect(os.listdir(place.path('d')) == ['src'], os.listdir(place.path('d')))


def test_without_digests(place):
    fake(place, 'sha256sum', None)
    there_and_back(place)


def test_a_dd_that_knows_no_fullblock(place):
    fake(place, 'dd', '#!%s\ncase "$*" in *iflag*) exit 1 ;; esac\nexec %s "$@"\n' % (shutil.which('sh'), shutil.which('dd')))
    there_and_back(place, 70000)


def test_zeros_in_a_row(place):
    """They come as many holes; that each took a process made 60 MB of them as slow as a gigabyte of anything else."""
    fake(place, 'dd', '#!%s\necho "$*" >>%s\nexec %s "$@"\n' % (shutil.which('sh'), place.path('dds'), shutil.which('dd')))
    for at_end in b'', DATA[:W]:
        want = bytes(8 * MIB) + DATA[:70000] + bytes(4 * MIB) + at_end
        write(place.path('zeros'), want)
        status, out, err = place.run('cp', 'zeros', 'leaf1:' + place.path('copy'))
        expect((status, err) == (0, '') and read(place.path('copy')) == want, status, err)
    seeks = read(place.path('dds')).count(b'seek=')
    expect(seeks == 4, seeks)


def test_without_setsid_and_stat(place):
    """Modes are then what can be seen of them."""
    fake(place, 'setsid', None)
    fake(place, 'stat', None)
    write(place.path('x'), DATA[:W], 0o755)
    status, out, err = place.run('cp', 'leaf1:' + place.path('x'), 'y')
    expect((status, err) == (0, '') and read(place.path('y')) == DATA[:W] and os.access(place.path('y'), os.X_OK), status, err)


def test_two_to_one_name_without_locks(place):
    """Who is later finds that its part is gone."""
    fake(place, 'flock', None)
    write(place.path('f'), DATA[:3 * MIB])
    os.mkdir(place.path('d'))
    first = place.start('cp', '--resume', '--limit', '1M', 'f', 'leaf1:' + place.path('d/'))
    expect(until(lambda: part_of(place) > W), 'nothing comes', first.said())
    os.rename(place.path('d/.f.econtext-part'), place.path('d/f'))
    expect(first.wait() == 1 and 'd/f: another copy to this name has taken what had come' in first.said(), first.said())
    expect(os.listdir(place.path('d')) == ['f'], os.listdir(place.path('d')))


def test_sizes_that_are_read_another_way(place):
    """A page at most is read at once, and so is what says it has 0 bytes, up to a limit."""
    for size in 4096, 4097:
        there_and_back(place, size)
    fake(place, 'stat', '#!%s\necho "644 5 0 2023-01-01 00:00:00.5 +0000"\n' % shutil.which('sh'))
    for size, good in (MIB, True), (MIB + 1, False):
        write(place.path('x'), DATA[:size])
        status, out, err = place.run('cp', 'leaf1:' + place.path('x'), 'y%d' % size)
        expect((status == 0) == good and ('it says 0 bytes, and has more than 1 MiB' in err) != good, size, status, err)
        expect(os.path.exists(place.path('y%d' % size)) == good, size)


def test_what_never_ends(place):
    """/proc/kmsg is a file of 0 bytes, too. What looks at the clock meanwhile is gone with the file."""
    for tool in 'head', 'wc':
        fake(place, tool, '#!%s\ncase "$*" in *endless*) printf some; exec %s 600 ;; *) exec %s "$@" ;; esac\n' % (
            os.path.realpath(shutil.which('sh')), shutil.which('sleep'), shutil.which(tool)))
    fake(place, 'sleep', '#!%s\necho $$ >>%s\nexec %s 1\n' % (
        os.path.realpath(shutil.which('sh')), place.path('clocks'), shutil.which('sleep')))
    for name in 'd/endless', 'd/empty', 'd/full':
        os.makedirs(place.path('d'), exist_ok=True)
        write(place.path(name), DATA[:W] * (name == 'd/full'))
    for has_stat in True, False:
        has_stat or fake(place, 'stat', None)
        began = time.monotonic()
        status, out, err = place.run('cp', 'leaf1:' + place.path('d'), 'came%d/' % has_stat)
        expect(status == 1 and 'd/endless: it says 0 bytes, and its end does not come' in err, status, err)
        expect(time.monotonic() - began < 20, time.monotonic() - began)
        came = place.path('came%d/d' % has_stat)
        expect([read(os.path.join(came, x)) for x in sorted(os.listdir(came))] == [b'', DATA[:W]], os.listdir(came))
    clocks = [int(x) for x in read(place.path('clocks')).split()]
    expect(len(clocks) >= 4 and until(lambda: not [x for x in clocks if alive(x)]), clocks, [x for x in clocks if alive(x)])


def test_what_is_shorter_than_it_says(place):
    """With digests and without: what was made up with zeros is not taken for a file."""
    for digests in True, False:
        if not digests:
            fake(place, 'sha256sum', None)
        fake(place, 'stat', '#!%s\necho "644 5 %d 2023-01-01 00:00:00.5 +0000"\n' % (shutil.which('sh'), 2 * W))
        write(place.path('x'), DATA[:W])
        status, out, err = place.run('cp', 'leaf1:' + place.path('x'), 'y')
        expect(status == 1 and 'y: it became shorter while it was read' in err and not os.path.exists(place.path('y')), status, err)
    expect(not [x for x in os.listdir(place.folder) if 'econtext' in x], os.listdir(place.folder))


def test_a_digest_that_is_wrong(place):
    fake(place, 'sha256sum', '#!%s\ncat >/dev/null\necho %s\n' % (shutil.which('sh'), '0' * 64))
    write(place.path('x'), DATA[:W])
    os.makedirs(place.path('d'))
    for args in ('x', 'leaf1:' + place.path('d/')), ('leaf1:' + place.path('x'), 'd/'):
        status, out, err = place.run('cp', *args)
        expect(status == 1 and 'd/x: the digest is wrong' in err and not os.listdir(place.path('d')), status, err, os.listdir(place.path('d')))


def test_an_mv_that_goes_where_a_link_leads(place):
    fake(place, 'mv', '#!%s\ncase $* in *-T* | --help) echo "mv: unknown option" >&2; exit 1 ;; esac\nexec %s "$@"\n' % (shutil.which('sh'), shutil.which('mv')))
    write(place.path('src/sub/f'), b'1')
    os.symlink('sub', place.path('src/link'))
    for i in range(2):
        status, out, err = place.run('cp', 'src', 'leaf1:' + place.path('d/'))
        expect((status, err) == (0, '') and os.listdir(place.path('d/src/sub')) == ['f'], status, err, os.listdir(place.path('d/src/sub')))


def say(place, words, script=None, resume=0, dest='d/', then=None):
    """What put.sh answers to these words; then: (a step, the words behind it)."""
    script = script or read(os.path.join(ROOT, 'preamble/shell/put.sh')).decode()
    p = subprocess.Popen(['sh', '-c', script, 'put', dest, '1', str(resume)], cwd=place.folder, env=place.env, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdin.write(words)
    p.stdin.flush()
    if then:
        then[0]()
        p.stdin.write(then[1])
    out = p.communicate(timeout=LIMIT)[0]
    return out.splitlines()[1:]


def sum_of(s):
    return hashlib.sha256(s).hexdigest()


def scripts():
    """As it is, and as where there is no /proc."""
    script = read(os.path.join(ROOT, 'preamble/shell/put.sh')).decode()
    without = script.replace('proc=/proc/self/fd/0\n', 'proc=/nowhere\n')
    expect(without != script, 'what is to be replaced?')
    return script, without


def test_a_part_that_becomes_a_link(place):
    """By whoever owns the folder: nothing is written to what it leads to, nor has that another mode, nor does it come instead."""
    def swap():
        expect(until(lambda: [x for x in os.listdir(place.path('d')) if 'econtext' in x and read(place.path('d/' + x)) == b'one-']), 'nothing comes')
        part, = [x for x in os.listdir(place.path('d')) if 'econtext' in x]
        os.rename(place.path('d/' + part), place.path('d/taken'))
        os.symlink('../secret', place.path('d/' + part))

    write(place.path('secret'), b'mine', 0o600)
    for has_stat in True, False:
        has_stat or fake(place, 'stat', None)
        for resume in 0, 1:
            os.mkdir(place.path('d'))
            got = say(place, 'f 0644 1 197001010000.01 8 0 x\np 4\none-', None, resume, then=(swap, 'p 4\ntwo-. %s\n' % sum_of(b'one-two-')))
            expect(len(got) == 1 and 'has taken what had come of it' in got[0], got)
            expect(read(place.path('secret')) == b'mine' and os.stat(place.path('secret')).st_mode & 0o777 == 0o600, 'it was followed')
            shutil.rmtree(place.path('d'))


def test_a_part_that_is_another(place):
    """A link, a link of the other kind, a pipe: of an earlier time, it seems."""
    write(place.path('secret'), b'mine', 0o600)
    os.mkdir(place.path('d'))
    for make in (lambda x: os.symlink('../secret', x), lambda x: os.symlink('../none', x), lambda x: os.link(place.path('secret'), x), os.mkfifo):
        make(place.path('d/.x.econtext-part'))
        got = say(place, 'f 0644 1 197001010000.01 4 0 x\np 4\none-. %s\n' % sum_of(b'one-'), None, 1)
        expect(len(got) == 1 and got[0].startswith('- 0 ') and not os.path.lexists(place.path('d/x')), got)
        expect(read(place.path('secret')) == b'mine' and os.stat(place.path('secret')).st_mode & 0o777 == 0o600, 'it was followed')
        expect(not os.path.exists(place.path('none')), 'it was made')
        os.unlink(place.path('d/.x.econtext-part'))


def test_a_part_that_is_a_pipe(place):
    """Whoever may write there knew its name before: it is not waited for, whoever would open its other end."""
    os.mkdir(place.path('d'))
    got = say(place, 'f 0644 1 197001010000.01 4 0 x\np 4\none-. %s\n' % sum_of(b'one-'), '%s "d/.x.econtext-$$"\n%s' % (shutil.which('mkfifo'), scripts()[0]))
    expect(len(got) == 1 and 'neither a file nor a link' in got[0] and not os.path.lexists(place.path('d/x')), got)


def test_a_file_in_pieces_without_proc(place):
    """And with it: pieces, holes, what goes on, and what is there already."""
    want = b'one-' + bytes(6) + b'two-'
    for script in scripts():
        os.mkdir(place.path('d'))
        for resume in 0, 1:
            got = say(place, 'f 0640 1 197001010000.01 14 0 x\np 4\none-h 6\np 4\ntwo-. %s\n' % sum_of(want), script, resume)
            st = os.stat(place.path('d/x'))
            expect(got == ['+'] and read(place.path('d/x')) == want and (st.st_mode & 0o777, st.st_mtime) == (0o640, 1), got, st)
            os.unlink(place.path('d/x'))
        write(place.path('d/.x.econtext-part'), b'one-behind', 0o600)
        got = say(place, 'f 0600 1 197001010000.01 14 4 x\nh 6\np 4\ntwo-. %s\n' % sum_of(want), script, 1)
        expect(got == ['+'] and read(place.path('d/x')) == want, got)
        got = say(place, 'f 0444 2 197001010000.02 14 14 x\n. %s\n' % sum_of(want), script, 1)
        st = os.stat(place.path('d/x'))
        expect(got == ['+'] and (st.st_mode & 0o777, st.st_mtime) == (0o444, 2) and os.listdir(place.path('d')) == ['x'], got, st)
        got = say(place, 'f 0444 2 197001010000.02 0 0 no/x\n. %s\nf 0444 2 197001010000.02 0 0 y\n. %s\n' % (sum_of(b''), sum_of(b'')), script)
        expect(len(got) == 2 and got[1] == '+' and got[0].startswith('- 0 '), got)      # one that cannot be made is one failure
        shutil.rmtree(place.path('d'))


def test_a_tool_that_is_not_there(place):
    fake(place, 'mv', None)
    write(place.path('x'), DATA[:W])
    os.makedirs(place.path('d'))
    status, out, err = place.run('cp', 'x', 'leaf1:' + place.path('d/'))
    expect(status == 1 and 'd/x: not found' in err and not os.listdir(place.path('d')), status, err, os.listdir(place.path('d')))


def test_a_shell_that_says_something_else(place):
    """It may even go on for ever."""
    write(place.path('x'), DATA[:W])
    for text in 'echo hello', 'exit 3', 'echo "econtext-$4 -"; echo "z"; while :; do echo +; sleep 1; done':
        fake(place, 'sh', '#!%s\ncase "$*" in *econtext-put*|*econtext-get*) %s ;; *) exec %s "$@" ;; esac\n' % (
            os.path.realpath(shutil.which('sh')), text, os.path.realpath(shutil.which('sh'))))
        for args in ('x', 'leaf1:' + place.path('y')), ('leaf1:' + place.path('x'), 'y'):
            if 'while' in text and args[0] == 'x':
                continue        # it says that all is well
            status, out, err = place.run('cp', *args)
            expect(status == 1 and 'at hop   top > leaf1' in err and 'the shell that copies there' in err and not os.path.exists(place.path('y')), text, args, status, err)
