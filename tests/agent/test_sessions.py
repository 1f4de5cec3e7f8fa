#!/usr/bin/env python3
"""What ends with a command of the Python agent: its group, and what else is in its session, as the jobs of a shell with job control."""
import os
import signal
import sys

import driver
import support

JOBS = os.path.join(driver.ROOT, 'tests', 'support', 'jobs.py')
LONG = 60           # s: more than a machine with too much to do needs


class Sessions(support.Case):
    def ready(self):
        c = self.boot()
        c.part('exec')
        self.said = {}
        return c

    def start(self, c, *argv):
        """The slot of tests/support/jobs.py as a command; its streams are slot + 1000 and slot + 2000."""
        out = c.slot + 1001
        return c.request(27, {0: [sys.executable, JOBS] + list(argv), 1: {}, 3: out, 4: out + 1000})

    def hear(self, c, *slots):
        """{name: pid} of each, once all are there; what it says later is added to self.said."""
        while 1:
            found = [dict(x.split() for x in self.said.get(slot, '').split('\n')[:-1] if ' ' in x) for slot in slots]
            if not [x for x in found if 'leader' not in x]:
                for pids in found:
                    for name in pids:
                        pids[name] = int(pids[name])
                        self.addCleanup(self.kill, pids[name])
                return found
            self.take(c, c.link.frame(LONG))

    def take(self, c, f):
        taken = c.handle(f)
        if f.kind & 3 == driver.BULK and not f.kind & driver.DEAD and not taken:
            self.said[f.handle - 1000] = self.said.get(f.handle - 1000, '') + f.body.decode()
        elif not taken:
            c.later.append(f)

    def kill(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

    def all_end(self, c, *found):
        pids = [x[name] for x in found for name in x if name != 'away']
        self.assertEqual([len(x) for x in found], [5] * len(found))
        self.until('the end of all in the sessions', lambda: not [x for x in pids if support.alive(x)], LONG)
        self.assertEqual([support.alive(x['away']) for x in found], [True] * len(found))

    def test_cancel(self):
        """Several at once: each is told once, what does not go by that is killed, and another session stays."""
        c = self.ready()
        slots = [self.start(c) for i in range(3)]
        found = self.hear(c, *slots)
        for slot in slots:
            c.send(driver.CONTROL, 26, 0, [slot])
        while not all(self.said[slot].count('term') for slot in slots):
            self.take(c, c.link.frame(LONG))
        for x in found:
            self.until('the end by SIGTERM', lambda: not support.alive(x['job']), LONG)
        for slot in slots:
            self.assertEqual(c.answer(slot).value(), [0, 0, 15])
        self.all_end(c, *found)
        self.assertEqual([self.said[slot].count('term') for slot in slots], [1] * 3)

    def test_cancel_behind_its_end(self):
        """The command has ended, and who holds its output is of another group: cancelled, it ends all the same."""
        c = self.ready()
        slot = self.start(c)
        found, = self.hear(c, slot)
        os.kill(found['leader'], signal.SIGKILL)
        self.until('the end of the command', lambda: not support.alive(found['leader']), LONG)
        c.send(driver.CONTROL, 26, 0, [slot])
        self.assertEqual(c.answer(slot).value(), [0, 0, 9])
        self.all_end(c, found)

    def test_kill_agent(self):
        c = self.ready()
        found = self.hear(c, self.start(c), self.start(c))
        os.kill(c.hello.value()[4], signal.SIGKILL)
        self.all_end(c, *found)

    def test_end_of_the_link(self):
        c = self.ready()
        found = self.hear(c, self.start(c), self.start(c))
        c.proc.stdin.close()
        self.all_end(c, *found)

    def test_left(self):
        """What a command that ended by itself has left is nobody's any more, whatever comes."""
        c = self.ready()
        slot = self.start(c, 'leave')
        found, = self.hear(c, slot)
        self.assertEqual(c.answer(slot).value(), [0, 0, 0])
        other = self.start(c)
        others, = self.hear(c, other)
        c.send(driver.CONTROL, 26, 0, [other])
        c.answer(other)
        c.proc.stdin.close()
        self.all_end(c, others)
        self.assertEqual([support.alive(found[x]) for x in ('job', 'lasting', 'told', 'away')], [True] * 4)


if __name__ == '__main__':
    sys.exit(support.main(__name__))
