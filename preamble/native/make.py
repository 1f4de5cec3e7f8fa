#!/usr/bin/env python3
"""Builds the native agent for every processor whose compiler is here, and embeds it.

    make.py [--out FILE.c] [--dir FOLDER] [--arch NAME]... [--sizes] [--werror]

--out writes the C arrays of preamble.h's eci_native; --dir the files agent-NAME (the ELF) and agent-NAME.z (as sent). Two
runs of one compiler over one source give the same bytes: nothing of the time, the folder or the order of a directory goes in.

What is compiled is preamble/native/agent.c, which includes the shell, core/ and router/ and what of service/ it needs, at link
time optimised as one program. Section headers are cut off: a kernel reads program headers only.
"""
import concurrent.futures
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))
from build import c_array, compress  # noqa: E402

# name (see preamble.h), what a cross compiler's name begins with, its flags
ARCHES = (
    ('x86_64', 'x86_64-linux-gnu-', ['-mforce-indirect-call', '-fno-gcse', '-mgeneral-regs-only', '-mpreferred-stack-boundary=3']),
    ('aarch64', 'aarch64-linux-gnu-', ['-mno-outline-atomics']),
    ('armv7l', 'arm-linux-gnueabihf-', ['-mthumb', '-mno-unaligned-access']),
    ('riscv64', 'riscv64-linux-gnu-', ['-march=rv64gc', '-mabi=lp64d', '-msmall-data-limit=0']),
    ('i686', 'i686-linux-gnu-', ['-march=i686', '-mforce-indirect-call']),
)   # -mforce-indirect-call: a function is called by its address, the same bytes wherever; by its distance it never is
# Whose agent the machine's own gcc makes, by what -dumpmachine says: each distribution names a vendor and a C library of its own, of
# which nothing is used. 32-bit ARM is many machines; one with the registers for floating point is an armv7l.
OWN = {
    'x86_64': r'x86_64-.*linux', 'aarch64': r'aarch64-.*linux', 'armv7l': r'armv7[^-]*-.*linux|arm-.*linux-.*eabihf$',
    'riscv64': r'riscv64-.*linux', 'i686': r'i[3-6]86-.*linux',
}
SOURCES = ('core/*.c', 'router/*.c', 'preamble/native/*.c')
SERVICE = ('hello', 'modcache', 'spawn', 'stats', 'words')  # of service/: what needs no libc
FLAGS = ('-std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -flto -flto-partition=one -fno-fat-lto-objects '
         '-ffreestanding -nostdinc -nostdlib -static -fno-pic -no-pie -fno-plt -fno-stack-protector '
         '-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident -fmerge-all-constants -ffunction-sections '
         '-fdata-sections -fomit-frame-pointer -frandom-seed=econtext -DECI_NATIVE').split()
# What makes equal source less equal as code: an instruction that a scheduler moved, a branch made arithmetic, a value kept across
# a call. None of it is much in the ELF, but deflate finds 5 % less to say without it (measured one by one, on all five).
FLAGS += ('-fno-schedule-insns -fno-schedule-insns2 -fno-caller-saves -fno-expensive-optimizations -fno-if-conversion '
          '-fno-ipa-sra -fno-jump-tables -fno-tree-switch-conversion -fno-tree-loop-im -fno-move-loop-invariants '
          '-fno-optimize-sibling-calls -finline-limit=2 -fno-tree-tail-merge -fno-cse-follow-jumps -fno-shrink-wrap '
          '-fno-tree-phiprop -fno-code-hoisting').split()
LINK = ('-Wl,--gc-sections -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,noseparate-code -Wl,--no-dynamic-linker '
        '-Wl,--hash-style=gnu -Wl,-s -Wl,--orphan-handling=error').split()


def is_own(name):
    """Whether the machine's own gcc compiles for this processor."""
    try:
        machine = subprocess.run(['gcc', '-dumpmachine'], stdout=subprocess.PIPE).stdout.decode().strip()
    except OSError:
        return False
    return re.match(OWN[name], machine) is not None


def compiler(name, prefix):
    """The compiler for this processor: a cross compiler, as Debian names them, or gcc where it is the machine's own."""
    if shutil.which(prefix + 'gcc'):
        return prefix + 'gcc'
    return 'gcc' if is_own(name) else None


def smallest(cc):
    """What asks this compiler for small code: -Oz is new in gcc 12."""
    p = subprocess.run([cc, '-Oz', '-E', '-x', 'c', os.devnull], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return '-Oz' if p.returncode == 0 else '-Os'


def look_for(found):
    """Says which agents are left out. None for this very machine is no build: nobody would notice before a host without Python. (A
    kernel of 64 bits may have programs of 32 only, and their compiler: then it is what that one compiles for.)"""
    out = [prefix + 'gcc' for name, prefix, _ in ARCHES if name not in found]
    if out:
        print('native agents: %s; without %s there are no others' % (', '.join(found) or 'none', ', '.join(out)))
    machine = os.uname()[4]
    if machine in OWN and machine not in found and not any(map(is_own, found)):
        sys.exit('make.py: no native agent for this machine, %s: it takes gcc' % machine)


def sources():
    out = []
    for pattern in SOURCES:
        folder = os.path.dirname(pattern)
        out += [folder + '/' + n for n in sorted(os.listdir(os.path.join(TOP, folder))) if n.endswith('.c')]
    return out + ['service/%s.c' % n for n in SERVICE]


def cut(elf):
    """Without section headers, which come last in the file."""
    wide = elf[4] == 2
    if wide:
        phoff, shoff, phsize, phnum = struct.unpack_from('<QQ6xHH', elf, 32)
    else:
        phoff, shoff, phsize, phnum = struct.unpack_from('<II6xHH', elf, 28)
    end = 0
    for i in range(phnum):
        at = phoff + i * phsize
        if struct.unpack_from('<I', elf, at)[0] != 1:
            continue
        offset, size = struct.unpack_from('<Q16xQ', elf, at + 8) if wide else struct.unpack_from('<I8xI', elf, at + 4)
        end = max(end, offset + size if size else 0)
    out = bytearray(elf[:end])
    struct.pack_into('<Q' if wide else '<I', out, 40 if wide else 32, 0)
    struct.pack_into('<HHH', out, 58 if wide else 46, 0, 0, 0)
    return bytes(out)


def build(cc, name, flags, folder):
    """The ELF of this processor."""
    out = os.path.join(folder, 'agent-' + name)
    include = subprocess.run([cc, '-print-file-name=include'], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    command = [cc, smallest(cc)] + FLAGS + flags + ['-isystem', include, '-I.', '-Iinclude'] + LINK
    command += ['-Wl,-T,preamble/native/agent.ld', '-o', out] + sources() + ['-lgcc']
    env = dict(os.environ, LC_ALL='C', SOURCE_DATE_EPOCH='0')
    subprocess.run(command, cwd=TOP, env=env, check=True)
    with open(out, 'rb') as f:
        return cut(f.read())


def c_file(made):
    s = '/* Made by preamble/native/make.py. */\n#include "preamble/preamble.h"\n\n'
    for name, elf, packed in made:
        s += c_array('elf_' + name, elf) + c_array('packed_' + name, packed)
    s += 'const struct eci_native eci_generated_native[] = {\n'
    for name, _, _ in made:
        s += '\t{"%s", elf_%s, sizeof(elf_%s), packed_%s, sizeof(packed_%s)},\n' % ((name,) * 5)
    return s + '\t{0, 0, 0, 0, 0},\n};\n'


def option(argv, name):
    return argv[argv.index(name) + 1] if name in argv else None


def main(argv):
    wanted = [argv[i + 1] for i, a in enumerate(argv) if a == '--arch']
    strict = ['-Werror'] if '--werror' in argv else []
    arches = [a for a in ARCHES if not wanted or a[0] in wanted]
    found = {name: cc for name, cc in ((name, compiler(name, prefix)) for name, prefix, _ in arches) if cc}
    if not wanted:
        look_for(found)
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        def one(arch):
            name, _, flags = arch
            elf = build(found[name], name, flags + strict, folder)
            return name, elf, compress(elf)
        made = list(pool.map(one, [a for a in arches if a[0] in found]))
    if '--sizes' in argv:
        for name, elf, packed in made:
            print('native %s %d (ELF %d)' % (name, len(packed), len(elf)))
    if option(argv, '--dir'):
        os.makedirs(option(argv, '--dir'), exist_ok=True)
        for name, elf, packed in made:
            path = os.path.join(option(argv, '--dir'), 'agent-' + name)
            for suffix, data in ('', elf), ('.z', packed):
                with open(path + '.new', 'wb') as f:    # one may be running
                    f.write(data)
                os.chmod(path + '.new', 0o755)
                os.rename(path + '.new', path + suffix)
    if option(argv, '--out'):
        with open(option(argv, '--out'), 'w') as f:
            f.write(c_file(made))


if __name__ == '__main__':
    main(sys.argv[1:])
