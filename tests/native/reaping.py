"""Whom a native agent waits for: nobody who has not ended, and in the end everybody, where it is process 1 too."""
import ctypes
import os
import signal
import subprocess
import time

from agent import LIMIT, ME, Agent, children

# Of <linux/ptrace.h> and wait(2).
CONT, DETACH, SETOPTIONS, GETEVENTMSG, SEIZE = 7, 17, 0x4200, 0x4201, 0x4206
AT_FORK, AT_EXIT = 1 << 1 | 1 << 3, 1 << 6
WALL = 0x40000000
MISSING = 'no-such-program'
NAMESPACE = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']


class Tracer:
    """ptrace(2), as far as it is needed: a child of an agent that stands still when it has said all and is about to end."""

    def __init__(self):
        self.call = ctypes.CDLL(None, use_errno=True).ptrace
        self.call.argtypes, self.call.restype = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p], ctypes.c_long

    def __getitem__(self, request):
        def ask(pid, data=0):
            if self.call(request, pid, None, data) < 0:
                raise OSError(ctypes.get_errno(), 'ptrace')
        return ask

    def next_child(self, pid, begin):
        """The one that is started by begin(), once it stands still. The agent itself goes on."""
        number = ctypes.c_ulong()
        self[SEIZE](pid, AT_FORK)
        begin()
        os.waitpid(pid, WALL)
        self[GETEVENTMSG](pid, ctypes.addressof(number))
        child = number.value
        os.waitpid(child, WALL)
        self[SETOPTIONS](child, AT_EXIT)
        self[CONT](child)
        self[DETACH](pid)
        os.waitpid(child, WALL)
        return child


def wanted(ask, value):
    """What ask() says, once it is that, or in the end."""
    end = time.monotonic() + LIMIT
    while True:
        found = ask()
        if found == value or time.monotonic() > end:
            return found
        time.sleep(.01)


def slow_ends(s, command):
    """What could not be started is nobody's to wait for, however long its process takes to end."""
    agent, tracer = Agent(command), Tracer()

    def spawn(slot):
        agent.send('SPAWN', {0: ME + 8, 1: 8, 2: [MISSING], 3: {}, 4: 2}, reply=slot)

    def execute(slot):
        agent.send('EXEC', {0: [MISSING], 3: slot + 1, 4: slot + 2, 5: [24, 80]}, reply=slot)
    why = MISSING + ': Error 2'
    for what, begin, said in ('a process', spawn, [7, why, 2]), ('a command', execute, [1, why, 2]):
        slot = agent.new_slot()
        try:
            child = tracer.next_child(agent.pid, lambda: begin(slot))
        except PermissionError as e:
            s.skip('what ends slowly', str(e))
            break
        s.equal('%s that cannot be started and does not end' % what, agent.value(slot), said)
        agent.cancel(slot)
        s.equal('holds up nobody', agent.run(['echo', 'x']), ([0, 0, 0], b'x\n'))
        tracer[DETACH](child)
        s.equal('and is waited for when it ends', wanted(lambda: os.path.exists('/proc/%d' % child), False), False)
    s.equal('its end', agent.close(), 0)


def ignored(s, command):
    """Who starts it may ignore SIGCHLD, and exec(2) hands that on: then the kernel would wait for all that ends, and tell nobody."""
    agent = Agent(command, before=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    s.equal('SIGCHLD came ignored: a command', agent.run(['sh', '-c', 'echo hi; exit 3']), ([0, 3, 0], b'hi\n'))
    said = agent.run(['grep', '^SigIgn', '/proc/self/status'])[1].split()
    s.equal('which ignores nothing', int(said[1], 16), 0)
    slot = agent.new_slot()
    agent.send('SPAWN', {0: ME + 8, 1: 8, 2: ['sh', '-c', 'exit 7'], 3: {}, 4: 0}, reply=slot)
    s.equal('a process', [agent.value(slot)[0], agent.value(slot)], [0, [5, 7 << 8]])
    s.equal('its end', agent.close(), 0)


def process_one(s, command):
    """Orphans come to process 1: they are waited for, also while the agent keeps a command whose output is still held."""
    if subprocess.run(NAMESPACE + ['true'], stderr=subprocess.DEVNULL).returncode:
        s.skip('process 1', 'no namespace of processes is to be had')
        return
    agent = Agent(NAMESPACE + command)

    def dead():
        return len(agent.run(['sh', '-c', 'grep -l "^State:.Z" /proc/[0-9]*/status; :'])[1].split())
    kept = agent.start(['sh', '-c', 'setsid sleep 300 & echo ready'])
    agent.answer(kept + 1)
    s.equal('a command whose output is held', wanted(dead, 1), 1)
    for _ in range(8):
        agent.run(['sh', '-c', '(exec >/dev/null 2>&1; sleep .01; exec true) &'])
    alive = ['sh', '-c', 'for f in /proc/[0-9]*/status; do grep -q "^PPid:.1$" $f && grep "^State:" $f; done; :']
    # The agent, the sleeper, and nobody who has ended.
    s.equal('orphans beside it', wanted(lambda: sorted(w.split()[1] for w in agent.run(alive)[1].splitlines()), [b'S', b'S']), [b'S', b'S'])
    s.equal('nor any other', dead(), 1)
    s.equal('its end', agent.close(), 0)
