#!/usr/bin/env python3
"""hosts.py release|32bit BUILD-DIR [FILE...]: the master compiles, without a warning, where nobody builds every day.

release: with -O3, as -DCMAKE_BUILD_TYPE=Release has it. 32bit: for i386, and there off_t and time_t have 64 bits; no code is made,
so this wants no library of that machine, and takes the headers of x86_64, which are the same but for one that lists what the C library lacks.

Each file is compiled with the flags that BUILD-DIR has for it, from compile_commands.json; without FILEs all of the layers and the
program. 77 where the compiler cannot do it.
"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYERS = 'core router service transport topology preamble io mesh cli'.split()
PROBE = '''#include <sys/types.h>
#include <time.h>
_Static_assert(sizeof(off_t) == 8, "off_t");
_Static_assert(sizeof(time_t) == 8, "time_t");
'''


def commands(build):
    """The command of each file, once: without its file, what it makes, and how much it is optimised."""
    with open(os.path.join(build, 'compile_commands.json')) as f:
        entries = json.load(f)
    out = {}
    for entry in entries:
        name = os.path.relpath(entry['file'], TOP)
        if name.split('/')[0] in LAYERS and name.count('/') == 1 and name not in out:
            words = shlex.split(entry['command'])
            words = words[1:] if os.path.basename(words[0]) == 'ccache' else words
            at = words.index('-o')
            del words[at:at + 2]
            out[name] = [w for w in words if w not in ('-c', entry['file']) and not w.startswith(('-O', '-g', '-fsanitize'))]
    return out


def said(command, folder):
    done = subprocess.run(command + ['-Werror'], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode('utf8', 'replace') if done.returncode else ''


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ('release', '32bit'):
        sys.exit('usage: hosts.py release|32bit BUILD-DIR [FILE...]')
    every = commands(sys.argv[2])
    names = sys.argv[3:] or sorted(every)
    with tempfile.TemporaryDirectory() as work:
        more = ['-O3', '-DNDEBUG', '-c', '-o', '/dev/null']
        if sys.argv[1] == '32bit':
            os.mkdir(work + '/gnu')
            open(work + '/gnu/stubs-32.h', 'w').close()
            own = subprocess.run([every[names[0]][0], '-print-multiarch'], stdout=subprocess.PIPE).stdout.decode().strip()
            more = ['-m32', '-O2', '-fsyntax-only', '-idirafter', '/usr/include/' + own, '-idirafter', work]
            with open(work + '/probe.c', 'w') as f:
                f.write(PROBE)
            compiler = every[names[0]][0]
            wrong = said([compiler, '-m32', '-D_FILE_OFFSET_BITS=64', '-D_TIME_BITS=64'] + more + [work + '/probe.c'], work)
            if wrong:
                print('skipped: %s compiles nothing for 32 bits here: %s' % (compiler, wrong.splitlines()[0]))
                return 77
            names.append(work + '/probe.c')
            every[names[-1]] = every[names[0]]
        with concurrent.futures.ThreadPoolExecutor(int(os.environ.get('ECONTEXT_JOBS', 2))) as pool:
            found = list(pool.map(lambda n: said(every[n] + more + [os.path.join(TOP, n)], sys.argv[2]), names))
    print(''.join(found), end='')
    print('%s: %d of %d files with something to say' % (sys.argv[1], sum(map(bool, found)), len(names)))
    return 1 if any(found) else 0


if __name__ == '__main__':
    sys.exit(main())
