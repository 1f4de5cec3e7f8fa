"""What a native agent does when what it is to say finds no room: nobody is left waiting, and nothing is left behind."""
import fcntl
import os
import resource
import signal
import socket
import struct
import termios
import time

from agent import BULK, DEAD, END, LIMIT, ME, Agent, decode, text_of, through
from limits import made

WINDOW = 262144     # of a stream, and more than a unix socket takes unread
QUEUED = (340, 60000), (70, 1000), (70, 100), (9, 1)    # ECHOs whose answers are the 16 MiB that wait for a parent, to the last bytes


def joined(agent, path):
    """(what OPEN answers, the slot of the stream, its handle there, the socket at its end)"""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        slot = agent.new_slot()
        agent.send(29, ['unix', [path], slot + 1], reply=slot)
        good, near = agent.value(slot)[:2]
        return good, slot, near, listener.accept()[0]


def connection(s, command, work):
    """A connection that fails when both of its ends were said, but not all is written: its other end learns that it was not."""
    agent = Agent(command)
    good, slot, near, far = joined(agent, os.path.join(work, 'socket'))
    for _ in range(WINDOW // 16384):
        agent.send(near, reply=slot + 1, kind=BULK, body=bytes(16384))
    agent.send(near, reply=slot + 1, kind=BULK | END, body=b'')
    far.shutdown(socket.SHUT_WR)
    while not agent.answer(slot + 1).kind & END:
        pass
    agent.echo()
    far.close()
    told = agent.answer(slot + 1)
    s.equal('a connection that fails behind both ends is reset', [good, told.kind & DEAD, decode(told.body)[0]], [0, DEAD, 'reset'])
    s.equal('its end', agent.close(), 0)


def unread(fd, what=termios.FIONREAD):
    return struct.unpack('i', fcntl.ioctl(fd, what, bytes(4)))[0]


def late(s, command, work):
    """What is sent to a connection that has failed meanwhile is not answered before all that had come from it."""
    agent, size, end = Agent(command), 150000, time.monotonic() + LIMIT
    good, slot, near, far = joined(agent, os.path.join(work, 'late'))
    far.settimeout(LIMIT)
    far.sendall(bytes(size))
    agent.send(near, reply=slot + 1, kind=BULK, body=b'not read')
    while (unread(far.fileno(), termios.TIOCOUTQ) or not unread(far.fileno())) and time.monotonic() < end:
        time.sleep(.01)
    far.close()
    for _ in range(3):
        agent.send(near, reply=slot + 1, kind=BULK, body=b'late')
    came, told = 0, agent.answer(slot + 1)
    while not told.kind & DEAD:
        came, told = came + len(told.body), agent.answer(slot + 1)
    s.equal('a connection that fails while it is sent to', [good, came, decode(told.body)[0]], [0, size, 'reset'])
    s.equal('its end', agent.close(), 0)


def opening(s, command, work):
    """OPEN whose answer finds no room: nobody knows of that socket, and it is closed."""
    agent, path = Agent(command), os.path.join(work, 'listens')
    slot, agent.link.deaf = agent.new_slot(), True
    for count, size in QUEUED:
        for _ in range(count):
            agent.send('ECHO', reply=900, body=b'\x5a' + (size - 5).to_bytes(4, 'big') + bytes(size - 5) if size > 5 else b'\0')
    agent.send(29, ['listen', [path], slot + 1], reply=slot)
    end = time.monotonic() + LIMIT
    while unread(agent.link.wfd) and time.monotonic() < end:    # nothing of ours is read before, or there would be room again
        time.sleep(.01)
    s.equal('OPEN whose answer finds no room', agent.value(slot)[:2], ['dead', 'busy'])
    agent.echo()
    s.check('and its socket is gone', not os.path.exists(path), path)
    s.equal('its end', agent.close(), 0)


def without_stdin(s, work):
    """EXEC with stdin that cannot say where to: who is to write it would wait for ever, and so would the command."""
    path = made(work, [('router/stream.c', 'return eci_router_send(s->router, ECI_BULK,', 'return !n && !flags ? -1 : eci_router_send(s->router, ECI_BULK,')])
    os.chmod(path, 0o700)
    agent = Agent([path])
    slot = agent.new_slot()
    agent.send('EXEC', {0: ['cat'], 3: slot + 1, 4: slot + 2, 6: True}, reply=slot)
    s.equal('a command that cannot be given its stdin', agent.value(slot), [1, 'cat: Error 12', 12])
    s.equal('one without', agent.run(['echo', 'x']), ([0, 0, 0], b'x\n'))
    s.equal('its end', agent.close(), 0)


def terminals(s, command):
    """Terminals that nobody reads: each is one descriptor, and there may be as many of them as of those."""
    agent = Agent(command, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    slots = []
    for _ in range(40):
        slot = agent.new_slot()
        agent.send('EXEC', {0: ['sleep', '300'], 3: slot + 1, 4: slot + 2, 5: [24, 80], 6: True}, reply=slot)
        agent.send(agent.answer(slot + 1).reply, reply=slot + 1, kind=BULK, body=b'\n' * 16384)
        slots.append(slot)
    agent.echo()
    agent.echo()
    s.equal('40 terminals whose input nobody reads, of 64 descriptors', [f.handle for f in agent.kept if f.handle in slots], [])
    agent.cancel(slots[0])
    s.equal('one of them ends', agent.value(slots[0]), [0, 0, 15])
    s.equal('its end', agent.close(), 0)


def last_words(s, command, work):
    """A process that has ended is heard out, though the window for what it printed is used up."""
    agent, fifo = Agent(command), os.path.join(work, 'go')
    os.mkfifo(fifo)
    slot = agent.new_slot()
    agent.send('SPAWN', {0: ME + 8, 1: 8, 2: ['sh', '-c', 'read x <$0; head -c 65536 /dev/zero; echo why >&2', fifo], 3: {}, 4: 0}, reply=slot)
    pid = agent.value(slot)[1]
    os.kill(agent.pid, signal.SIGSTOP)  # so that it finds the end and the output at once
    try:
        through(fifo, 'w')
        end = time.monotonic() + LIMIT
        while text_of('/proc/%d/stat' % pid).rpartition(b')')[2].split()[0] != b'Z' and time.monotonic() < end:
            time.sleep(.01)
    finally:
        os.kill(agent.pid, signal.SIGCONT)
    said = [agent.value(slot)]
    while said[-1][0] != 5:
        said.append(agent.value(slot))
    s.check('what stands behind a used window is heard', any(b'why\n' in x for x in said), [x[:1] + [len(y) for y in x[1:] if isinstance(y, bytes)] for x in said])
    s.equal('its end', agent.close(), 0)
