"""What ends with a command of a native agent: its group, and what else is in its session, as the jobs of a shell with job control."""
import os
import signal
import sys
import time

from agent import LIMIT, ME, Agent, text_of

JOBS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support', 'jobs.py')


def alive(pid):
    return text_of('/proc/%d/stat' % pid).rpartition(b')')[2].split()[:1] not in ([], [b'Z'], [b'X'])


def until(true):
    end = time.monotonic() + LIMIT
    while not true() and time.monotonic() < end:
        time.sleep(.01)
    return true()


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


class Command:
    """tests/support/jobs.py as a command, and what it says."""

    def __init__(self, agent, *argv):
        self.agent, self.said = agent, ''
        self.slot = agent.start([sys.executable, JOBS] + list(argv))

    def pids(self):
        while 'leader' not in self.said or self.said[-1] != '\n':
            self.hear()
        self.found = {name: int(pid) for name, pid in (line.split() for line in self.said.splitlines() if ' ' in line)}
        return self.found

    def hear(self):
        self.said += self.agent.answer(self.slot + 1).body.decode()

    def inside(self):
        return [pid for name, pid in self.found.items() if name != 'away']

    def ended(self):
        return until(lambda: not [pid for pid in self.inside() if alive(pid)]) and len(self.found) == 5 and alive(self.found['away'])

    def close(self):
        for pid in self.found.values():
            kill(pid)


def sessions(s, command):
    for how in ('cancel', 'kill -9', 'end of the link'):
        agent = Agent(command)
        commands = [Command(agent) for _ in range(3)]
        for c in commands:
            c.pids()
        if how == 'cancel':
            for c in commands:
                agent.cancel(c.slot)
            for c in commands:
                while 'term' not in c.said:
                    c.hear()
                s.equal('what took SIGTERM', [until(lambda: not alive(c.found['job'])), c.said.count('term')], [True, 1])
                s.equal('its answer', agent.value(c.slot), [0, 0, 15])
        elif how == 'kill -9':
            kill(agent.pid)
        else:
            agent.proc.stdin.close()
        s.equal('%s: all of their sessions, and no other' % how, [c.ended() for c in commands], [True] * 3)
        for c in commands:
            c.close()
        agent.close()


def behind_its_end(s, command):
    """The command has ended, and who holds its output is of another group."""
    agent = Agent(command)
    c = Command(agent)
    c.pids()
    kill(c.found['leader'])
    until(lambda: not alive(c.found['leader']))
    agent.cancel(c.slot)
    s.equal('cancelled behind its end: the answer', agent.value(c.slot), [0, 0, 9])
    s.equal('and all of its session', c.ended(), True)
    c.close()
    agent.close()


def spawned(s, command):
    """A process by which a context was to be reached, as well."""
    agent = Agent(command)
    slot = agent.new_slot()
    agent.send('SPAWN', {0: ME + 8, 1: 8, 2: [sys.executable, JOBS], 3: {}, 4: 0}, reply=slot)
    c = Command.__new__(Command)
    c.agent, c.said, c.slot = agent, '', slot
    while 'leader' not in c.said or c.said[-1] != '\n':
        event = agent.value(slot)
        if event[0] == 1:
            c.said += event[1].decode()
    c.pids()
    agent.send('KILL', [ME + 8])
    s.equal('KILL of a process: all of its session, and no other', c.ended(), True)
    c.close()
    agent.close()


def left(s, command):
    """What a command that ended by itself has left is nobody's any more, whatever comes."""
    agent = Agent(command)
    c = Command(agent, 'leave')
    c.pids()
    s.equal('a command that leaves something', agent.value(c.slot), [0, 0, 0])
    other = Command(agent)
    other.pids()
    agent.cancel(other.slot)
    agent.value(other.slot)
    agent.close()
    s.equal('the end of another', other.ended(), True)
    s.equal('what it left', [alive(c.found[name]) for name in ('job', 'lasting', 'told', 'away')], [True] * 4)
    c.close()
    other.close()
