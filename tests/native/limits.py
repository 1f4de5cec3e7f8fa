"""What a native agent does at its limits, and what is left of it and of what it started, whoever is killed."""
import fcntl
import hashlib
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from agent import (BULK, CONTROL, DEAD, END, HANDLES, LIMIT, ME, MORE, Agent, Child, Failure, Frame, children, decode, encode, gather, marked,
                   private_kib, remain, status_kib, text_of, through, vanish)

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
JOBS_MAX = 128
STREAMS_MAX = 4096
KNOWN_MAX = 65536       # watcher.c's
ARRIVED_MAX = 64        # sockets.c's
BACKLOG = 128           # opening.c's, as is the next
PIDS_END = 1 << 22      # Linux gives no process such a number
IDLE_KIB = 256
CEILING = 8 << 20       # in place of mem.c's
LATE = 15               # of what takes 2 s, on whatever machine
STARVED = 256 << 10     # and as little as there may be: a stream's window
SLEEP = ['sleep', '300']
F_GETPIPE_SZ = 1032     # fcntl has its name from Python 3.10 on


def commands(s, name, command):
    agent = Agent(command)
    s.equal('%s: a command in a folder' % name, agent.run(['pwd'], cwd='/'), ([0, 0, 0], b'/\n'))
    s.equal('%s: a folder that is not there' % name, agent.run(['pwd'], cwd='/nowhere/at/all')[0],
            [1, '/nowhere/at/all: Error 2', 2])
    s.equal('%s: a program that is not there' % name, agent.run(['no-such-program'])[0], [1, 'no-such-program: Error 2', 2])
    s.equal('%s: a terminal and its size' % name, agent.run(['stty', '-F', '/dev/tty', 'size'], pty=[43, 101]), ([0, 0, 0], b'43 101\r\n'))
    s.equal('%s: a status' % name, agent.run(['sh', '-c', 'exit 7'])[0], [0, 7, 0])
    s.equal('%s: a signal' % name, agent.run(['sh', '-c', 'kill -9 $$'])[0], [0, 0, 9])
    s.equal('%s: its end' % name, agent.close(), 0)


def no_null(s, command):
    """Where /dev/null cannot be opened (none is there, or, as here, no descriptor is left) it begins all the same."""
    agent = Agent(['sh', '-c', 'ulimit -Sn 4; exec "$@" 3<&0', 'sh'] + command)
    s.equal('begun with no descriptor left: a command', agent.run(['echo', 'up']), ([0, 0, 0], b'up\n'))
    s.equal('its end', agent.close(), 0)


def stuck(s, command, work):
    """A program that takes long to be opened, as on a server that is gone, holds up nobody else, and holds nothing of theirs.

    Here a lease does it (fcntl(2)): whoever opens the file waits until that is given back.
    """
    names = [os.path.join(work, name) for name in ('good', 'bad', 'spawned', 'killed')]
    before, agent, slots, held = signal.signal(signal.SIGIO, signal.SIG_IGN), Agent(command), [], []
    reader = agent.new_slot()
    agent.send('EXEC', {0: ['cat'], 3: reader + 1, 4: reader + 2, 6: True}, reply=reader)
    near = agent.answer(reader + 1).reply
    try:
        for i, name in enumerate(names):
            shutil.copy('/bin/true', name)
            if name.endswith('bad'):
                with open(name, 'wb') as f:
                    f.write(b'#!/no/such/interpreter\n')
            held.append(os.open(name, os.O_RDWR))
            fcntl.fcntl(held[-1], fcntl.F_SETLEASE, fcntl.F_WRLCK)
            slots.append(agent.start([name]) if i < 2 else agent.new_slot())
            if i >= 2:
                agent.send('SPAWN', {0: ME + 8 * i, 1: 8, 2: [name], 3: {}, 4: 0}, reply=slots[-1])
        s.equal('beside programs that stand still: a command', agent.run(['echo', 'up']), ([0, 0, 0], b'up\n'))
        agent.send(near, reply=reader + 1, kind=BULK | END, body=b'')
        s.equal('the end of another one\'s stdin', agent.value(reader), [0, 0, 0])
        agent.send('KILL', [ME + 24])
        s.equal('one is ended before it began', [agent.value(slots[3])[0] for i in range(2)], [0, 5])
        s.equal('none of the others has begun', [f for f in agent.kept if f.handle in slots], [])
    finally:
        for fd in held:
            os.close(fd)
        signal.signal(signal.SIGIO, before)
    s.equal('then they do: a command', agent.value(slots[0]), [0, 0, 0])
    s.equal('one that is no program', agent.value(slots[1]), [1, names[1] + ': Error 2', 2])
    s.equal('a process', [agent.value(slots[2])[0], agent.value(slots[2])], [0, [5, 0]])
    s.equal('its end', agent.close(), 0)


def opens(s, command):
    """OPEN takes its own words, and nothing that begins like them."""
    agent = Agent(command)
    for m in (7, [], ['tcp'], ['tcp', ['::1', 1]], ['tcp', ['::1'], 3000], ['tcpx', ['::1', 1], 3000], ['t', ['::1', 1], 3000], ['', ['::1', 1], 3000],
              ['udp', ['::1', 1], 3000], ['unix', [], 3000], ['unix', ['a', 1], 3000], ['accept', ['1'], 3000], ['listen', [], 3000],
              ['tcp', ['::1', 65536], 3000], ['tcp', ['::1', 1], 255], ['tcp', ['::1', 1], 1 << 32]):
        slot = agent.new_slot()
        agent.send(29, m, reply=slot)
        s.equal('OPEN %r' % (m,), agent.value(slot)[:2], ['dead', 'bad-body'])
    for m, want in ((['unix', ['/no/such'], 3000], [1, 'Error 2', 2]), (['accept', [1], 3000], [1, 'Error 22', 22])):
        slot = agent.new_slot()
        agent.send(29, m, reply=slot)
        s.equal('OPEN %r' % (m,), agent.value(slot), want)
    agent.close()


def cancel(s, command):
    agent = Agent(command)
    one = agent.start(SLEEP)
    agent.cancel(one)
    s.equal('CANCEL is SIGTERM', agent.value(one), [0, 0, 15])
    deaf = agent.start(['sh', '-c', 'trap "" TERM; echo ready; sleep 300; sleep 300'])
    agent.answer(deaf + 1)
    began = time.monotonic()
    agent.cancel(deaf)
    agent.cancel(deaf)
    s.equal('CANCEL of a deaf one is SIGKILL', agent.value(deaf), [0, 0, 9])
    took = time.monotonic() - began
    s.check('after 2 s', 1.9 < took < LATE, took)
    agent.cancel(one)
    agent.cancel(0x7fffffff)
    s.check('CANCEL of nothing changes nothing', agent.run(['echo', 'x'])[1] == b'x\n', '')
    s.check('and nothing is left', has_children(agent, 0), children(agent.pid))
    agent.close()


def leaderless(s, command):
    """A group whose leader has ended: CANCEL has its grace and its end all the same; what was not cancelled stays."""
    deaf = '(trap "" TERM; echo ready; %sfor i in $(seq 60); do sleep 1; done) & wait'
    agent = Agent(command)
    alone = sorted([agent.pid, agent.watcher()])
    for what, gone, first in ('that holds the output', '', 1.9), ('that has let go of it', 'exec >/dev/null 2>&1; ', 0):
        slot = agent.start(['sh', '-c', deaf % gone])
        agent.answer(slot + 1)
        began = time.monotonic()
        agent.cancel(slot)
        s.equal('CANCEL with a deaf one %s' % what, agent.value(slot), [0, 0, 15])
        took = time.monotonic() - began
        s.check('is answered not before its end', first <= took < LATE, took)
        s.check('it has the grace', not gone or gather(agent.mark, 3) >= 3, marked(agent.mark))
        s.equal('and is gone after that', remain(agent.mark, alone, LATE), alone)
    slot = agent.start(['sh', '-c', deaf % 'exec >/dev/null 2>&1; '])
    agent.answer(slot + 1)
    agent.cancel(slot)
    agent.value(slot)
    s.equal('an end within the grace', agent.close(), 0)
    s.check('leaves nothing', vanish(agent.mark), marked(agent.mark))
    agent = Agent(command)
    slot = agent.start(['sh', '-c', 'sleep 300 >/dev/null 2>&1 & echo $!'])
    free = int(agent.answer(slot + 1).body)
    s.equal('a command that ends by itself', agent.value(slot), [0, 0, 0])
    agent.cancel(slot)
    agent.echo()
    agent.close()
    s.equal('leaves what it has left', remain(agent.mark, [free]), [free])
    os.kill(free, signal.SIGKILL)


def has_children(agent, number):
    """So many, or it will: one begins when it is its program."""
    end = time.monotonic() + LIMIT
    while len(children(agent.pid)) != number and time.monotonic() < end:
        time.sleep(.01)
    return len(children(agent.pid)) == number


def jobs(s, command):
    agent = Agent(command)
    slots = [agent.start(SLEEP) for _ in range(JOBS_MAX)]
    agent.echo()
    s.check('%d commands at once' % JOBS_MAX, has_children(agent, JOBS_MAX) and not agent.kept, agent.kept)
    s.equal('one past them', agent.run(SLEEP)[0][:2], ['dead', 'busy'])
    agent.cancel(slots[5])
    s.equal('one of them ends', agent.value(slots[5]), [0, 0, 15])
    s.equal('one more then', agent.run(['true'])[0], [0, 0, 0])
    s.equal('all end with the link', agent.close(), 0)
    s.check('and nothing is left', vanish(agent.mark), marked(agent.mark))


def orphans(s, command):
    # The group is what an agent above it kills, and the watcher must not be in it.
    for what, kill in ('agent', os.kill), ('watcher', lambda pid, n: os.kill(agent.watcher(), n)), ('group', os.killpg):
        agent = Agent(command)
        slot = agent.start(['sh', '-c', 'sleep 300 & sleep 300 & echo ready; wait'])
        agent.answer(slot + 1)
        agent.send('SPAWN', {0: ME + 8, 1: 8, 2: SLEEP, 3: {}, 4: 1}, reply=agent.new_slot())
        # What leaves its session on purpose stays (docs/boot.md).
        slot = agent.start(['setsid', 'sh', '-c', 'echo $$; exec sleep 300'])
        free = int(agent.answer(slot + 1).body)
        agent.echo()
        before = gather(agent.mark, 7)
        kill(agent.pid, signal.SIGKILL)
        left = remain(agent.mark, [free])
        s.check('kill -9 of the %s ends what it started' % what, before >= 7 and left == [free], (before, left))
        os.kill(free, signal.SIGKILL)
        agent.close()


def groups(s, command):
    """The watcher's list, written to as the agent does it: numbers that no process can have, then groups of ours."""
    agent = Agent(command)
    agent.echo()

    def pipes(pid):
        return dict((os.readlink('/proc/%d/fd/%s' % (pid, fd)), fd) for fd in os.listdir('/proc/%d/fd' % pid))
    ours = pipes(agent.pid)
    where, = [ours[x] for x in pipes(agent.watcher()) if x in ours and int(ours[x]) > 2]
    last, past, after = [subprocess.Popen(SLEEP, start_new_session=True) for _ in range(3)]
    with open('/proc/%d/fd/%s' % (agent.pid, where), 'wb', 0) as tell:
        tell.write(struct.pack('%di' % KNOWN_MAX, *(list(range(PIDS_END, PIDS_END + KNOWN_MAX - 1)) + [last.pid])))
        tell.write(struct.pack('3i', past.pid, -PIDS_END, after.pid))
    s.equal('its end', agent.close(), 0)
    s.equal('the last of %d groups is ended' % KNOWN_MAX, last.wait(LIMIT), -signal.SIGKILL)
    s.check('one past them is not known', past.poll() is None, past.poll())
    s.equal('one more is when another is done with', after.wait(LIMIT), -signal.SIGKILL)
    past.kill()
    past.wait()


def descriptors(s, command):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 40))
    agent = Agent(command, before=few)
    slots, refused = [], None
    s.equal('a command has the limit that the agent came with', agent.run(['sh', '-c', 'ulimit -Sn; ulimit -Hn'])[1], b'24\n40\n')
    while len(slots) < 40 and not refused:
        slot = agent.start(SLEEP)
        agent.echo()
        if any(f.handle == slot for f in agent.kept):
            refused = agent.value(slot)
        else:
            slots.append(slot)
    s.equal('without descriptors', refused, [1, 'sleep: Too many open files: the limit is 40', 24])
    s.check('after as many as there are', len(slots) >= 8, len(slots))
    for slot in slots[:2]:      # a start wants more for a moment, and the one before may have had some of that still
        agent.cancel(slot)
    s.equal('two end', [agent.value(x) for x in slots[:2]], [[0, 0, 15]] * 2)
    s.equal('and one more has room', agent.run(['true'])[0], [0, 0, 0])
    agent.close()
    s.check('nothing is left', vanish(agent.mark), marked(agent.mark))


def connected(name):
    """To an abstract socket at which there is room in the kernel, or None."""
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    try:
        client.connect('\0' + name)
    except BlockingIOError:
        client.close()
        return None
    return client


def waiting(s, command):
    """So many that came to one listening socket wait to be accepted; one past them is taken when one of them has been."""
    agent = Agent(command)
    slot, events = agent.new_slot(), agent.new_slot()
    agent.send(29, ['listen', ['127.0.0.1', 0], events], reply=slot)
    port = int(agent.value(slot)[2].split()[1])
    clients = [socket.create_connection(('127.0.0.1', port), LIMIT) for _ in range(ARRIVED_MAX + 1)]
    came = [decode(agent.answer(events).body)[0] for _ in range(ARRIVED_MAX)]
    for _ in range(3):
        agent.echo()
    s.check('%d wait, and no more' % ARRIVED_MAX, not any(f.handle == events for f in agent.kept), agent.kept)
    slot = agent.new_slot()
    agent.send(29, ['accept', [came[0]], 4000], reply=slot)
    s.equal('one is accepted', agent.value(slot)[0], 0)
    s.check('and one more comes', decode(agent.answer(events).body)[0] not in came, came)
    slot, events, name = agent.new_slot(), agent.new_slot(), 'econtext-backlog-%d' % os.getpid()
    agent.send(29, ['listen', ['@' + name], events], reply=slot)
    s.equal('another listens', agent.value(slot)[0], 0)
    clients += [connected(name) for _ in range(ARRIVED_MAX)]
    for _ in range(ARRIVED_MAX):
        agent.answer(events)
    clients += [connected(name) for _ in range(BACKLOG + 1)]    # as the kernel counts
    s.check('%d more wait in the kernel' % BACKLOG, all(clients), clients)
    clients.append(connected(name))
    s.check('and no more', not clients.pop(), name)
    for client in clients:
        client.close()
    s.equal('its end', agent.close(), 0)


def processor_seconds(pid):
    return sum(int(n) for n in text_of('/proc/%d/stat' % pid).rsplit(b') ', 1)[1].split()[11:13]) / os.sysconf('SC_CLK_TCK')


def listening(s, command):
    """One that has no descriptor for a client leaves it in the kernel, is not busy with that, and takes it once it has."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
    agent = Agent(command, before=few)
    slot, events = agent.new_slot(), agent.new_slot()
    agent.send(29, ['listen', ['127.0.0.1', 0], events], reply=slot)
    port = int(agent.value(slot)[2].split()[1])
    clients = [socket.create_connection(('127.0.0.1', port), LIMIT) for _ in range(24)]
    agent.echo()
    time.sleep(.3)
    agent.echo()
    came = [decode(f.body)[0] for f in agent.kept if f.handle == events]
    s.check('those that there are descriptors for', 4 < len(came) < 24, came)
    before = processor_seconds(agent.pid)
    time.sleep(1)
    took = processor_seconds(agent.pid) - before
    s.check('it is not busy', took < .2, took)
    del agent.kept[:]
    for n in came:      # accepted and reset: descriptors are free again
        slot = agent.new_slot()
        agent.send(29, ['accept', [n], 4000 + n], reply=slot)
        far = agent.value(slot)[1]
        agent.send(far, reply=4000 + n, kind=BULK | DEAD, body=encode(['reset', 0, 0, '']))
    s.check('and takes the next', decode(agent.answer(events).body)[0] not in came, came)
    for c in clients:
        c.close()
    agent.close()
    s.check('nothing is left', vanish(agent.mark), marked(agent.mark))


def streams(s, command):
    """As many as there may be, and a connection that waits to be taken, which is none of them yet."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < STREAMS_MAX + 64:
        s.skip('%d streams' % STREAMS_MAX, 'descriptors')
        return
    agent = Agent(command, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)))
    name = '@econtext-max-%d-' % os.getpid()

    def listen(number):
        slot = agent.new_slot()
        agent.send(29, ['listen', [name + str(number)], 1000000 + number], reply=slot)
        return slot

    slots = [listen(i) for i in range(STREAMS_MAX - 1)]
    s.check('all but one listen', all(agent.value(slot)[0] == 0 for slot in slots), '')
    client = socket.socket(socket.AF_UNIX)
    client.connect('\0' + name[1:] + '0')
    s.equal('a connection waits', decode(agent.answer(1000000).body), [1, ''])
    s.equal('the last of %d' % STREAMS_MAX, agent.value(listen(STREAMS_MAX))[0], 0)
    s.equal('one past them', agent.value(listen(STREAMS_MAX + 1))[:2], ['dead', 'busy'])
    agent.cancel(1000001)
    agent.echo()    # by then it is closed
    s.equal('one more when one has ended', agent.value(listen(STREAMS_MAX + 2))[0], 0)
    s.equal('and not two', agent.value(listen(STREAMS_MAX + 3))[:2], ['dead', 'busy'])
    client.close()
    agent.close()
    s.check('nothing is left', vanish(agent.mark), marked(agent.mark))


def silence(s, command):
    agent = Agent(command, idle=2000)
    agent.start(SLEEP)
    row = iter(b'\xec\x01\x01\x40' + bytes(20) + b'\0\0\x10\0' + bytes(4096))
    end = time.monotonic() + 3
    while time.monotonic() < end:       # one byte of a frame that is never whole is life too
        agent.link.write(bytes([next(row)]), 1)
        time.sleep(.2)
    s.check('bytes are life', agent.proc.poll() is None, agent.proc.poll())
    began = time.monotonic()
    status = agent.ended()
    took = time.monotonic() - began
    s.check('a silent parent is a lost one', status == 0 and .5 < took < LATE, (status, took))
    s.check('and all that was started is gone', vanish(agent.mark), marked(agent.mark))
    agent.close()


def memory(s, command):
    agent = Agent(command)
    agent.echo()
    sizes = private_kib(agent.watcher()), private_kib(agent.pid)
    s.check('idle: %d and %d KiB private' % sizes, 0 < max(sizes) <= IDLE_KIB, sizes)
    slots = [agent.start(['head', '-c', '250000', '/dev/zero']) for _ in range(8)]
    agent.link.deaf = True      # nothing is read until it holds that much, which output alone need not come to
    for _ in range(40):
        agent.send('ECHO', reply=900, body=b'\x59\xea\x60' + bytes(60000))
    agent.link.deaf, busy, end = False, 0, time.monotonic() + LIMIT
    while busy <= 2 * IDLE_KIB and time.monotonic() < end:
        time.sleep(.01)
        busy = private_kib(agent.pid)
    for _ in range(40):
        agent.answer(900)
    s.equal('much output', [agent.value(slot) for slot in slots], [[0, 0, 0]] * 8)
    for slot in slots:                  # the status overtakes it, and what is not read is kept
        while not agent.answer(slot + 1).kind & END:
            pass
    s.equal('a pipe that was full is wide', fcntl.fcntl(agent.proc.stdout, F_GETPIPE_SZ), 262144)
    now, end = private_kib(agent.pid), time.monotonic() + LIMIT
    while now > 2 * IDLE_KIB and time.monotonic() < end:     # a link keeps its buffers
        time.sleep(.1)
        now = private_kib(agent.pid)
    s.check('idle again after %d KiB: %d' % (busy, now), 2 * IDLE_KIB < busy and now <= 2 * IDLE_KIB, (busy, now))
    agent.close()


def made(work, changes=()):
    """The agent of this machine, from a copy of its sources under another name: in FILE, what stands there once is another thing."""
    copy, out, machine = os.path.join(work, 'a copy'), os.path.join(work, 'made'), os.uname().machine
    for name in 'service', 'router', 'core', 'include', 'preamble':
        shutil.copytree(os.path.join(TOP, name), os.path.join(copy, name), copy_function=shutil.copyfile)
    for path, old, new in changes:
        with open(os.path.join(copy, path), 'r+') as f:
            text = f.read()
            if text.count(old) != 1:
                raise Failure('%s has %r %d times' % (path, old, text.count(old)))
            f.seek(0)
            f.truncate()
            f.write(text.replace(old, new))
    subprocess.run([sys.executable, '-B', os.path.join(copy, 'preamble', 'native', 'make.py'), '--arch', machine, '--dir', out], check=True,
                   env=dict(os.environ, TZ='Asia/Tokyo', LC_ALL='C.UTF-8'), umask=0o77, cwd='/')
    return os.path.join(out, 'agent-' + machine)


def reproducible(s, build, work):
    """Once more, with files made in another order: the same bytes as the build's."""
    sums = []
    for path in made(work), os.path.join(build, 'native', 'agent-' + os.uname().machine):
        with open(path, 'rb') as f:
            sums.append(hashlib.sha256(f.read()).hexdigest())
    s.equal('two builds, one sha256', sums[0], sums[1])


def ceiling(s, work):
    """One whose memory ends at 8 MiB: a message that passes it is refused, and nothing else suffers."""
    path = made(work, [('preamble/native/mem.c', 'CEILING (512u * 1024u * 1024u)', 'CEILING (%uu)' % CEILING)])
    os.chmod(path, 0o700)
    agent = Agent([path])
    for _ in range(CEILING // 16384 + 1):
        agent.send('ECHO', reply=0x9000, kind=BULK | MORE, body=bytes(16384))
    told = agent.answer(0x9000)
    s.check('past the ceiling: too-big', told.kind & DEAD and decode(told.body)[0] == 'too-big', told)
    peak = status_kib(agent.pid, 'VmHWM')
    s.check('which is not passed: %d KiB' % peak, CEILING // 4096 < peak < CEILING // 1024 + IDLE_KIB, peak)
    s.equal('and a command is run', agent.run(['echo', 'x']), ([0, 0, 0], b'x\n'))
    s.equal('its end', agent.close(), 0)


def starved(s, work):
    """One whose memory ends at 256 KiB: what is missing of an output or of a stdin is never made whole by an end."""
    path = made(work, [('preamble/native/mem.c', 'CEILING (512u * 1024u * 1024u)', 'CEILING (%uu)' % STARVED)])
    os.chmod(path, 0o700)
    agent = Agent([path])
    much = agent.start(['head', '-c', str(STARVED - 16384), '/dev/zero'])
    told = agent.unread(much + 1)
    s.equal('output past it is reset', [told.handle, told.kind & DEAD] + decode(told.body), [much + 1, DEAD, 'reset', ME, ME, 'no memory'])
    agent.acknowledge()
    agent.value(much)
    s.equal('and has no end', [f for f in agent.kept if f.handle == much + 1 and f.kind & END], [])
    agent.close()
    agent = Agent([path])
    fifos = [os.path.join(work, name) for name in ('ends', 'ended', 'exits', 'fills')]
    for name in fifos:
        os.mkfifo(name)
    quiet = agent.start(['sh', '-c', 'echo; read x <$0; exec >&- 2>&-; echo >$1; read x <$2'] + fifos)
    agent.answer(quiet + 1)
    crumbs = agent.start(['sh', '-c', 'echo; read x <$0; while printf x; do sleep .01; done', fifos[3]])
    agent.answer(crumbs + 1)
    slot, listener = agent.new_slot(), socket.create_server(('127.0.0.1', 0))
    agent.send(29, ['tcp', list(listener.getsockname()), slot + 1], reply=slot)
    s.equal('a connection', agent.value(slot)[0], 0)
    with listener, listener.accept()[0] as far:
        far.send(b'x')
        agent.answer(slot + 1)
        agent.unread(agent.start(['head', '-c', str(STARVED - 16384), '/dev/zero']) + 1)
        through(fifos[3], 'w')
        agent.unread(crumbs + 1)
        through(fifos[0], 'w')
        through(fifos[1], 'r')
        far.shutdown(socket.SHUT_WR)
        agent.send('ECHO', 0, reply=agent.new_slot())   # by its answer, whatever that is, the agent has seen all ends
        while not agent.kept or agent.kept[-1].handle != agent.slot:
            agent.kept.append(agent.link.next(LIMIT))
        agent.acknowledge()
        agent.echo()
    through(fifos[2], 'w')
    s.equal('a command whose outputs end when there is none', agent.value(quiet), [0, 0, 0])
    agent.echo()
    over = [f.handle for f in agent.kept if f.handle in (quiet + 1, quiet + 2, slot + 1) and f.kind & (END | DEAD)]
    s.equal('they do, or are reset, as does the connection', sorted(over), [quiet + 1, quiet + 2, slot + 1])
    agent.close()
    agent = Agent([path])
    slot = agent.new_slot()
    agent.send('EXEC', {0: ['sh', '-c', 'trap "" TERM; read x; cat >/dev/null'], 3: slot + 1, 4: slot + 2, 6: True}, reply=slot)
    near = agent.answer(slot + 1).reply
    for body in [bytes(16384)] * 15 + [b'\n']:
        agent.send(near, reply=slot + 1, kind=BULK | (body == b'\n' and END), body=body)
    s.equal('a command whose stdin is past it is killed', agent.value(slot), [0, 0, 9])
    s.equal('another one is run', agent.run(['echo', 'x']), ([0, 0, 0], b'x\n'))
    s.equal('its end', agent.close(), 0)


def in_work(function, *args):
    work = tempfile.mkdtemp(prefix='econtext-native-')
    try:
        function(*args + (work,))
    finally:
        shutil.rmtree(work, ignore_errors=True)
