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

class Channel(list):
    def send(self, answer):
        answers.append(answer and answer[:2])

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

answers = []
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


if __name__ == '__main__':
    sys.exit(support.main(__name__))
