"""A native agent where the kernel, or a container that forbids what it does not know, lacks a system call."""
import os
import sys

import limits
from agent import CONTROL, LIMIT, ME, SIZE, Agent, marked, vanish

CLOSE_RANGE = 436       # on every processor
SIGNALFD4 = {'x86_64': 289, 'aarch64': 74, 'riscv64': 74, 'i686': 327, 'armv7l': 355}
WAITID = {'x86_64': 247, 'aarch64': 95, 'riscv64': 95, 'i686': 284, 'armv7l': 280}
IOCTL = {'x86_64': 16, 'aarch64': 29, 'riscv64': 29, 'i686': 54, 'armv7l': 54}
TIOCGPTN = 0x80045430
ENOSYS, ENFILE, EIO, ELOOP = 38, 23, 5, 40
# Executes its arguments under a filter, behind the triples of numbers before "--": a call that fails, with which errno, and, unless
# it is 0, of which second argument only. (struct sock_filter, of linux/filter.h; seccomp(2).)
FILTER = r'''
import ctypes, os, struct, sys
end = sys.argv.index('--')
numbers, code = [int(x) for x in sys.argv[1:end]], b''
op = lambda code, yes, no, k: struct.pack('HBBI', code, yes, no, k)
low = 24 if sys.byteorder == 'little' else 28
for i in range(0, len(numbers), 3):
    nr, errno, second = numbers[i:i + 3]
    code += op(0x20, 0, 0, 0) + op(0x15, 0, 3 if second else 1, nr)
    code += op(0x20, 0, 0, low) + op(0x15, 0, 1, second) if second else b''
    code += op(6, 0, 0, 0x50000 | errno)
code += op(6, 0, 0, 0x7fff0000)
program = ctypes.create_string_buffer(code)
prctl = ctypes.CDLL(None, use_errno=True).prctl
fprog = ctypes.create_string_buffer(struct.pack('HP', len(code) // 8, ctypes.addressof(program)))
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(fprog), 0, 0):
    sys.exit('seccomp: %s' % os.strerror(ctypes.get_errno()))
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
'''


def lacking(command, *numbers):
    return [sys.executable, '-c', FILTER] + [str(n) for n in numbers] + ['--'] + command


def close_range(s, command, work):
    """Before Linux 5.9: what an agent was begun with reaches no command, and one that stands still holds nothing of others'."""
    command = lacking(['/bin/sh', '-c', 'exec "$@" 9</dev/null', 'sh'] + command, CLOSE_RANGE, ENOSYS, 0)
    agent = Agent(command)
    s.equal('without close_range(2): a command\'s descriptors', agent.run(['sh', '-c', 'for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do '
            'if [ -e /proc/$$/fd/$i ]; then echo $i; fi; done']), ([0, 0, 0], b'0\n1\n2\n'))
    s.equal('its end', agent.close(), 0)
    limits.stuck(s, command, work)


def terminal_number(s, command):
    """A terminal whose number is not to be had is none: any other number is somebody else's terminal."""
    agent = Agent(lacking(command, IOCTL[os.uname().machine], EIO, TIOCGPTN))
    s.equal('without a terminal\'s number: a terminal', agent.run(['true'], pty=[43, 101])[0], [1, 'no terminal: Error 5', EIO])
    s.equal('pipes', agent.run(['echo', 'up']), ([0, 0, 0], b'up\n'))
    s.equal('its end', agent.close(), 0)


def signals(s, command):
    """One that cannot hear of its children's ends would answer no EXEC ever: it ends, and says nothing before, as the master takes
    who has answered for an agent."""
    for name, numbers in ('signalfd4', SIGNALFD4), ('waitid', WAITID):
        agent = Agent(lacking(command, numbers[os.uname().machine], ENFILE, 0), hello=False)
        agent.send('HELLO', {0: 1, 1: [ME, SIZE], 2: 0}, kind=CONTROL)
        s.equal('without %s(2): what it says' % name, agent.link.next(LIMIT), None)
        s.equal('its end', agent.ended(), 0)
        s.check('and nothing is left', vanish(agent.mark), marked(agent.mark))
        agent.close()


def other_errors(s, command, work):
    """One that the agent has no words for is its number, in the text that a user reads."""
    loop = os.path.join(work, 'loop')
    os.symlink(loop, loop)
    agent = Agent(command)
    s.equal('a program that is a loop of links', agent.run([loop])[0], [1, '%s: Error 40' % loop, ELOOP])
    s.equal('a folder that is one', agent.run(['pwd'], cwd=loop)[0], [1, '%s: Error 40' % loop, ELOOP])
    slot = agent.new_slot()
    agent.send(29, ['unix', [loop], 3000], reply=slot)
    s.equal('a socket that is one', agent.value(slot), [1, 'Error 40', ELOOP])
    s.equal('its end', agent.close(), 0)
