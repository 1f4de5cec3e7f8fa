#!/usr/bin/env python3
"""The far end of `cp` (preamble/served/econtext_files.py) by itself, in each Python: what its system calls say, and what is said of it."""
import os
import subprocess
import sys

import driver
import support

BEGIN = '''
import errno, os, sys
sys.path.insert(0, sys.argv[1])
import econtext_files as files
import econtext_folders as folders

class Channel(list):
    def send(self, answer):
        answers.append(answer and answer[:2])
        places.append(answer and answer[2])

def b(s):
    return s.encode('ascii')

def put(entries, resume=False):
    del answers[:]
    return files.put(Channel(entries), b('.'), 'sha256', False, resume)

def a_file(name, data, offset=0):
    h = files.hasher('sha256')
    h.update(b(data))
    return [['file', b(name), 420, 1.0, len(data), offset], b(data[offset:]), ['done', h.digest()]]

def content(name):
    f = open(name)
    s = f.read()
    f.close()
    return s

def expect(true, *saw):
    if not true:
        raise AssertionError(saw)

answers, places = [], []
'''


class Files(support.Case):
    def there(self, source):
        where = os.path.join(driver.ROOT, 'preamble', 'served')
        env = dict(os.environ, PYTHONDONTWRITEBYTECODE='1')
        p = subprocess.run([self.python, '-c', BEGIN + source, where], cwd=self.folder(), env=env, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual((p.returncode, p.stdout.decode()), (0, ''))

    def test_a_close_that_says_no(self):
        """As on a full server: it is that file's error, and the next one comes, with and without a part that stays."""
        self.there('''
def close(fd):
    name = os.readlink('/proc/self/fd/%d' % fd)
    real(fd)
    if bad and ('.econtext-' in name or '(deleted)' in name):
        bad.pop()
        raise OSError(errno.ENOSPC, '')

bad, real = [], os.close
os.close = close
for resume in False, True:
    for times in 1, 2:
        for data in 'first', '':
            bad[:] = [1] * times
            expect(put(a_file('f', data) + a_file('g', 'second'), resume) == 1, resume, times, answers)
            expect(answers == [[errno.ENOSPC, os.strerror(errno.ENOSPC)], None], resume, times, answers)
            expect(content('g') == 'second' and not os.path.exists('f'), resume, times, os.listdir('.'))
# The same where it is dropped: what is said is why.
bad[:] = [1]
expect(put([['file', b('f'), 420, 1.0, 9, 0], b('short'), ['done', b('')]] + a_file('g', 'third')) == 1, answers)
expect('shorter' in answers[0][1] and answers[1] is None and content('g') == 'third' and not bad, answers)
''')

    def test_a_hole_where_something_was(self):
        """What a part has behind the place where it goes on is not in a hole that comes there."""
        self.there('''
f = open('.f.econtext-part', 'w')
f.write('ab was here')
f.close()
h = files.hasher('sha256')
h.update(b('ab' + chr(0) * 4))
expect(put([['file', b('f'), 420, 1.0, 6, 2], ['hole', 4], ['done', h.digest()]], True) == 0, answers)
expect(content('f') == 'ab' + chr(0) * 4, content('f'))
''')

    def test_a_part_that_becomes_a_link(self):
        """By whoever owns the folder, who would have the mode and the time set of what he cannot reach; with and without /proc."""
        self.there('''
class Swapped(Channel):
    def __iter__(self):
        for x in list.__iter__(self):
            if x[0] == 'done':
                for part in [y for y in os.listdir('d') if '.econtext-' in y]:
                    os.rename('d/' + part, 'd/taken')
                    os.symlink('../secret', 'd/' + part)
            yield x

f = open('secret', 'w')
f.write('mine')
f.close()
os.chmod('secret', 384)
os.utime('secret', (5, 5))
for named in folders.NAMED, False:
    folders.NAMED = named
    for resume in True, False:
        os.mkdir('d')
        if not resume:
            files.Incoming.nameless = lambda self, folder: -1       # as on a file system that has no file without a name
        del answers[:]
        n = files.put(Swapped(a_file('f', 'hello')), b('d'), 'sha256', False, resume)
        expect(n == 1 and 'taken away' in answers[0][1], named, resume, answers)
        st = os.stat('secret')
        expect((st.st_mode & 4095, st.st_mtime) == (384, 5) and content('secret') == 'mine', named, resume, st)
        expect(not os.path.lexists('d/f'), named, resume)
        for x in os.listdir('d'):
            os.unlink('d/' + x)
        os.rmdir('d')
''')

    def test_a_whole_file_that_becomes_a_link(self):
        """What a resume finds to be there already gets its mode and time, whatever has its name by then."""
        self.there('''
class Swapped(Channel):
    def __iter__(self):
        for x in list.__iter__(self):
            if x and x[0] == 'done':
                os.rename('f', 'taken')
                os.symlink('secret', 'f')
            yield x

f = open('secret', 'w')
f.close()
os.chmod('secret', 384)
os.utime('secret', (5, 5))
for named in folders.NAMED, False:
    folders.NAMED = named
    expect(put(a_file('f', 'hello')) == 0, answers)
    os.chmod('f', 384)
    del answers[:]
    files.put(Swapped(a_file('f', 'hello', 5)), b('.'), 'sha256', False, True)
    st = os.stat('secret')
    expect((st.st_mode & 4095, st.st_mtime) == (384, 5), named, answers, st)
    expect(not named and sys.version_info < (3, 3) or os.stat('taken').st_mode & 4095 == 420, named, answers)
    os.unlink('f')
''')

    def test_a_link_where_a_folder_is_wanted(self):
        """It is refused by its name, and nothing of where it leads is touched; only the target itself may be one."""
        self.there('''
for named in folders.NAMED, False:
    folders.NAMED = named
    for x in 'd', 'd/app', 'etc':
        os.mkdir(x)
    os.chmod('etc', 448)
    os.symlink('../../etc', 'd/app/sub')
    os.symlink('etc', 'd/in')
    os.symlink('d', 'to')
    os.symlink('nowhere', 'd/gone')
    for dest in 'd', 'to', 'to/':
        del answers[:]
        entries = [['dir', b('app'), 493, 1.0], ['dir', b('app/sub'), 493, 1.0]] + a_file('app/sub/f', 'x') + a_file('app/g', 'y')
        entries += [['dir', b('in'), 493, 1.0], ['dir', b('gone'), 493, 1.0]] + a_file('in2', 'z') + [['link', b('in/l'), b('x')]]
        expect(files.put(Channel(entries), b(dest), 'sha256', False, False) == 5, dest, answers)
        expect([x and x[1] for x in answers] == [None, folders.IS_LINK, 'its folder is not there', None, folders.IS_LINK, folders.IS_LINK,
                                                 None, folders.IS_LINK], dest, answers)
        expect(os.listdir('etc') == [] and os.stat('etc').st_mode & 4095 == 448, named, dest, os.listdir('etc'))
        expect(content('d/app/g') == 'y' and content('d/in2') == 'z' and not os.path.exists('nowhere'), named, dest)
        expect(os.stat('d/app').st_mtime == 1 and os.stat('d/app').st_mode & 4095 == 493, named, dest)
    # One under its new name, whose folder is said by a link; and no word of a folder before what is in it.
    expect(files.put(Channel(a_file('x', 'x')), b('to/new'), 'sha256', True, False) == 0 and content('d/new') == 'x', named, answers)
    del places[:]
    expect(put([['file', b('to/app/sub/f'), 420, 1.0, 0, 0], ['done', None]]) == 1, named, answers)
    expect(answers[0][1] == folders.IS_LINK and places[0] == b('./to'), named, answers, places)
    expect(files.have(b('.'), False, [[b('to/new'), 1]], 'sha256') == [[0, None]], named)
    os.system('rm -r d etc to')
''')

    def test_a_folder_that_becomes_a_link_later(self):
        """After it was made, while things come into it: they come into what was made, or not at all."""
        self.there('''
class Moved(Channel):
    def __iter__(self):
        for x in list.__iter__(self):
            if x[0] == 'file' and os.path.isdir('d/sub') and not os.path.islink('d/sub'):
                os.rename('d/sub', 'moved')
                os.symlink('../etc', 'd/sub')
            yield x

for named in folders.NAMED, False:
    folders.NAMED = named
    for x in 'd', 'etc':
        os.mkdir(x)
    os.chmod('etc', 448)
    entries = [['dir', b('sub'), 493, 1.0]] + a_file('sub/f', 'x') + a_file('sub/g', 'y')
    n = files.put(Moved(entries), b('d'), 'sha256', False, False)
    expect(os.listdir('etc') == [] and os.stat('etc').st_mode & 4095 == 448, named, n, answers)
    expect(n == 2 and answers[-1][1] == folders.IS_LINK, named, n, answers)
    os.system('rm -r d etc moved')
    del answers[:]
''')

    def test_descriptors(self):
        """None stays open, whatever comes."""
        self.there('''
before = len(os.listdir('/proc/self/fd'))
os.mkdir('d')
os.symlink('.', 'd/l')
deep = [['dir', b('/'.join(['x'] * (i + 1))), 493, 1.0] for i in range(40)]
for resume in False, True:
    put(deep + a_file('x/x/x/f', 'x') + [['dir', b('d/l'), 493, 1.0], ['dir', b('y'), 493, 1.0]] + a_file('y/f', 'y') + a_file('l/f', 'y'), resume)
    files.have(b('.'), False, [[b('x/x/x/f'), 1], [b('y/f'), 1], [b('d/l/x'), 1]], 'sha256')
    files.put(Channel(a_file('f', 'x')), b('none/f'), 'sha256', True, resume)
expect(content('y/f') == 'y' and os.path.isdir('/'.join(['x'] * 40)), answers)
expect(len(os.listdir('/proc/self/fd')) == before, os.listdir('/proc/self/fd'))
''')

    def test_no_descriptor_for_a_moment(self):
        """Another thread has taken the last: the folder that is entered then fails, and no other once there is one again."""
        self.there('''
import resource
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
held = []

def close(fd):
    real(fd)
    held.append(os.open('/', os.O_RDONLY))

os.makedirs('a/b')
os.mkdir('c')
f = folders.Folders(b('.'))
f.enter([b('a'), b('b')])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
try:
    while 1:
        held.append(os.open('/', os.O_RDONLY))
except OSError:
    pass
real, os.close, saw = os.close, close, None
try:
    f.enter([b('c')])
except OSError:
    saw = sys.exc_info()[1].errno
os.close = real
while held:
    os.close(held.pop())
expect(saw == (folders.NAMED and errno.EMFILE or None), saw)
for x in [b('c')], [b('a'), b('b')], []:
    expect(os.path.samestat(os.stat(f.enter(x)), os.stat(os.path.join(b('.'), *x))), x)
if folders.NAMED and hasattr(os, 'get_inheritable'):
    expect(not os.get_inheritable(f.fd))
f.close()
''')



if __name__ == '__main__':
    sys.exit(support.main(__name__))
