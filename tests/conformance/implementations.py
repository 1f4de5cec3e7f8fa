"""What is tested: a name, the features that vectors may need, a command that speaks the protocol on stdin and stdout."""
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
WANTED = ('2.7', '3.6', '3.13')
PARTS = ('relay', 'exec', 'stats', 'stream', 'cancel', 'program')


class Implementation(object):
    def __init__(self, name, features, command, preamble=b'', parts=None):
        self.name, self.features, self.command = name, set(features), command
        self.preamble, self.parts = preamble, parts or {}
        self.env = dict((k, v) for k, v in os.environ.items() if not k.startswith('PYTHON'))

    def part(self, name):
        return self.parts[name]


class Tools(object):
    def __init__(self, build):
        self.build = build
        self.child = os.path.join(build, 'conformance_child')


def sanitized(build):
    try:
        with open(os.path.join(build, 'CMakeCache.txt')) as f:
            return re.search(r'^ECONTEXT_SANITIZE:\w+=(\S+)', f.read(), re.M) is not None
    except OSError:
        return False


def agent_bytes(program):
    """(preamble, {part: bytes}) as the program sends them."""
    def get(*args):
        p = subprocess.run((program,) + args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return p.stdout if p.returncode == 0 else None
    parts = dict((n, get(n)) for n in PARTS)
    return get(), dict((n, parts[n]) for n in parts if parts[n])


def agent_files(folder):
    """The same from the files of preamble/build.py --dir."""
    def get(name):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, 'rb') as f:
                return f.read()
    parts = dict((n, get(n + '.part')) for n in PARTS)
    return get('core.sent'), dict((n, parts[n]) for n in parts if parts[n])


def c_host(program):
    return Implementation('c', ['spawn', 'items'], [program])


QEMU = {'x86_64': [], 'i686': ['qemu-i386-static'], 'aarch64': ['qemu-aarch64-static'], 'armv7l': ['qemu-arm-static'], 'riscv64': ['qemu-riscv64-static']}


def natives(folder):
    """The native agents that were built and can run here, the others' under qemu where it is there."""
    out = []
    for arch in sorted(QEMU):
        agent = [os.path.join(folder, 'agent-' + arch)]
        commands = [agent] if arch in (os.uname().machine, 'i686') else []
        commands += [QEMU[arch] + agent] if QEMU[arch] else []
        for command in commands:
            try:
                p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=10)
            except (OSError, subprocess.TimeoutExpired):
                continue
            if p.returncode == 0:       # its parent was gone at once
                out.append(Implementation('native-' + arch, ['spawn', 'items', 'open', 'sockets', 'exec', 'stats'], command))
                break
    return out


def python(version, path, agent):
    features = ['spawn', 'parts', 'calls', 'modules', 'logs', 'names'] + ['part-' + n for n in agent[1]]
    features += [f for f, part in (('open', 'stream'), ('exec', 'exec'), ('stats', 'stats')) if part in agent[1]]
    # What the first stage (docs/boot.md) does after its marker; the stage itself is transport's.
    line, rest = agent[0].split(b'\n', 1)
    return Implementation('python' + version, features, [path, '-c', 'import sys;' + line.decode()], rest, agent[1])


def pythons():
    """{version: path} as scripts/pythons finds them."""
    script = os.path.join(HERE, '..', '..', 'scripts', 'pythons')
    out = subprocess.run([script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    return dict(line.split(None, 1) for line in out.splitlines())


def find(build, every, host=None, folder=None):
    """(tools, implementations, names of those that are not here)"""
    tools, skipped = Tools(build), []
    found = [c_host(os.path.abspath(host or os.path.join(build, 'conformance_host')))]
    if sanitized(build) and not folder:
        # The agent's bytes are the same as in the build without sanitizers, which plays the vectors against them.
        return tools, found, skipped
    agent = agent_files(folder) if folder else agent_bytes(os.path.join(build, 'conformance_agent'))
    found += natives(os.path.join(build, 'native'))
    here = pythons()
    for v in here if every else WANTED:
        if v in here:
            found.append(python(v, here[v], agent))
        else:
            skipped.append('python%s: not here' % v)
    return tools, found, skipped


def given(text):
    name, features, command = text.split(':', 2)
    return Implementation(name, features.split(','), ['sh', '-c', command])
