#!/usr/bin/env python3
"""Part `exec` of the Python agent (docs/protocol.md section 8): a program of `run` ends as in a process of its own, the second in a
context as the first, and what is none of its goes on."""
import os
import sys

import support
import test_run

COPIES = {
    'dup': '''
import os
saved = os.dup(1)
os.dup2(2, 1)
os.dup2(saved, 1)
os.write(saved, 'out\\n'.encode())
os.write(os.dup(2), 'err\\n'.encode())
''',
    'stdout': '''
import sys
kept = open('/dev/stdout', 'w')
kept.write('out\\n')
kept.flush()
sys.stderr.write('err\\n')
''',
    'log': '''
import logging, sys
kept = logging.FileHandler('/dev/stdout', 'w')
kept.emit(logging.LogRecord('x', 30, '', 1, 'out', (), None))
sys.stderr.write('err\\n')
''',
    'outputs': '''
import os
os.write(1, 'out\\n'.encode())
os.write(2, 'err\\n'.encode())
os.dup2(os.dup(2), 1)
os.close(2)
''',
}


class RunEnds(support.Case):
    ready = test_run.Run.ready
    run_program = test_run.Run.run_program

    def read(self, *path):
        with open(os.path.join(*path), 'rb') as f:
            return f.read()

    def test_copies_of_its_outputs(self):
        """Whatever descriptors it leaves that lead there: its streams end. Those of calls stay."""
        c = self.ready()
        c.serve('other', 'import os\nr, w = os.pipe()\ndef f():\n    os.write(w, "still".encode())\n    return os.read(r, 9).decode()\n')
        self.assertEqual(c.call('other', 'f'), [0, 'still'])
        for how in sorted(COPIES) * 2:
            j = self.run_program(c, COPIES[how])
            self.assertEqual((j.out, j.err, j.answer), (b'out\n', b'err\n', [0, 0]), how)
        self.assertEqual(c.call('other', 'f'), [0, 'still'])

    def test_a_copy_that_a_thread_uses(self):
        """It writes to nothing then, and not to what has that number next."""
        c = self.ready()
        j = self.run_program(c, '''
import os, sys, threading
copy = os.dup(1)
go = threading.Event()
def late():
    go.wait(60)
    os.write(copy, 'nobody\\n'.encode())
    done.set()
done = threading.Event()
x = threading.Thread(target=late)
setattr(x, 'daemon', True)
x.start()
sys.late = go, done
''')
        self.assertEqual((j.out, j.err, j.answer), (b'', b'', [0, 0]))
        j = self.run_program(c, 'import sys\nsys.late[0].set()\nsys.late[1].wait(60)\nsys.stdout.write("%s" % sys.late[1].is_set())\n')
        self.assertEqual((j.out, j.err, j.answer), (b'True', b'', [0, 0]))


if __name__ == '__main__':
    sys.exit(support.main(__name__))
