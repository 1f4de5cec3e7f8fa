#!/usr/bin/env python3
"""limits.py [TOP]: the limits that the documentation names have one value, there and wherever the source defines them.

Read are the table of docs/protocol.md ("Limits, by name") and the sentences of LISTED, whose first group is a number. A
name is looked for as `#define ECI_NAME`, `NATIVE_NAME` or NAME in C and as `NAME = ` in Python, each with a value that is
arithmetic on numbers (in seconds where NAME ends in _S); what a limit is called elsewhere is in ALSO. Each must be found, and each found must have the value.

And no ECI_NAME has two values in headers: a file that includes both would not compile, and who reads one thinks of the other.
"""
import os
import re
import sys

FOLDERS = 'core router service mesh transport topology io cli preamble'.split()
ALSO = {'STREAM_WINDOW': ['STREAM_ROOM'], 'STREAM_WINDOW_MAX': ['STREAM_MAX'], 'STREAMS_MAX': ['TUNNEL_CONNS_MAX', 'SOCKS_MAX'],
        'PATIENCE': ['PATIENCE_S'], 'GRACE_MS': ['END_GRACE_S'], 'CLOSED_MS': ['CLOSED_S']}
LISTED = (
    ('docs/man/econtext-topology.5', r'at most (\d+) bytes; they do not begin', 'NAME_MAX'),
    ('docs/man/econtext-topology.5', r'At most (\d+) steps', 'BECOME_MAX'),
    ('docs/man/econtext-topology.5', r'a path has at most (\d+) bytes', 'SUN_PATH_MAX'),
    ('docs/man/econtext-topology.5', r'selected by; at most (\d+)\.', 'LIST_MAX'),
    ('docs/man/econtext-topology.5', r'takes; at most (\d+)\.', 'LIST_MAX'),
    ('docs/man/econtext-topology.5', r'path of at most (\d+) letters', 'INTERPRETER_MAX'),
    ('docs/man/econtext-topology.5', r'dials at once, 1 to \d+; (\d+) by default', 'DIAL_WINDOW'),
    ('docs/man/econtext-topology.5', r'^0 to (\d+); in a C program', 'FD_MAX'),
    ('docs/man/econtext-topology.5', r'^([\d,]+ MiB) a file', 'FILE_MAX'),
    ('docs/man/econtext-topology.5', r' ([\d,]+) levels of nesting', 'YAML_DEPTH_MAX'),
    ('docs/man/econtext-topology.5', r' ([\d,]+) hops from the master', 'DEPTH_MAX topology/base.h'),
    ('docs/man/econtext.1', r'runs it: at most ([\d,]+) bytes', 'SCRIPT_MAX'),
    ('docs/man/econtext.1', r'kept in memory: at most (\d+ MiB)', 'COPY_UNSIZED_MOST'),
    ('docs/man/econtext.1', r'at once, 1 to (\d+); 64', 'FANOUT_MAX'),
    ('docs/man/econtext.1', r'at once, 1 to 16384; (\d+) by', 'FANOUT_DEFAULT'),
    ('docs/man/econtext.1', r'folder with more than ([\d,]+) files', 'FOLDER_ITEMS_MAX'),
    ('docs/man/econtext.1', r'repeated: (\d+) bytes in all', 'OVERRIDES_MAX'),
    ('docs/errors.md', r'at most (\d+ MiB) in one message', 'MESSAGE_MAX'),
    ('docs/boot.md', r'together are at most ([\d,]+) bytes', 'PYTHON_MAX'),
    ('README.md', r'The limits: (\d+) hops', 'DEPTH_MAX topology/base.h'),
    ('README.md', r'declared, (\d+ MiB) in one message', 'MESSAGE_MAX'),
    ('README.md', r'one message, ([\d,]+) targets', 'FANOUT_MAX'),
    ('README.md', r'by default (\d+)\)', 'FANOUT_DEFAULT'),
    ('docs/protocol.md', r'more than ([\d,]+) items\nin one body', 'CBOR_ITEMS_MAX'),
    ('docs/protocol.md', r'more than ([\d,]+) in a value', 'CBOR_VALUE_ITEMS_MAX'),
    ('docs/protocol.md', r'tags 2 and 3, at most ([\d,]+) bytes', 'CBOR_BIGNUM_MAX'),
    ('docs/protocol.md', r'depth above (\d+) \(', 'CBOR_DEPTH_MAX'),
    ('docs/protocol.md', r'listing\); at most (\d+) bytes', 'MODULE_NAME_MAX'),
    ('docs/protocol.md', r'At most (\d+ MiB) inflated an entry', 'MODULE_BYTES_MAX'),
    ('docs/protocol.md', r"router's cache holds (\d+ MiB)", 'MODCACHE_MAX'),
    ('docs/protocol.md', r'^(\d+ MiB) of entries', 'ANSWER_BYTES_MAX'),
    ('docs/protocol.md', r'of entries and ([\d,]+) items', 'ANSWER_ITEMS_MAX'),
    ('docs/protocol.md', r'after ([\d,]+) bytes of call frames in a row', 'CALL_RUN_MAX'),
    ('docs/protocol.md', r'an ACK must go when ([\d,]+) bytes', 'ACK_AT'),
    ('docs/protocol.md', r'are owed, and within (\d+) ms', 'ACK_WITHIN'),
    ('docs/protocol.md', r'idle/3 \(at most (\d+ s)', 'PING_MAX'),
    ('docs/protocol.md', r'([\d.]+ s)\), at once with class control', 'PING_MIN'),
    ('docs/protocol.md', r'at most (\d+) bytes \(Python: characters\)', 'LOST_EVIDENCE_MAX'),
    ('docs/protocol.md', r'at most (\d+) bytes \(Python: characters\)', 'LOST_EVIDENCE'),
    ('docs/protocol.md', r'that C receives, at most ([\d,]+) bytes', 'NOTICE_EVIDENCE_MAX'),
    ('docs/protocol.md', r'\(at most (\d+ KiB) not acknowledged', 'STDERR_AFTER'),
    ('docs/protocol.md', r'given up after (\d+ s) without an answer to connect', 'PATIENCE'),
    ('docs/protocol.md', r'At most (\d+) that were not taken', 'ARRIVED_MAX'),
    ('docs/protocol.md', r'At most (\d+) that were not taken', 'WAITING_MAX'),
    ('docs/protocol.md', r'One that waits for (\d+ s) is closed', 'PATIENCE'),
    ('docs/protocol.md', r'SIGTERM; after (\d+ s) SIGKILL', 'JOB_GRACE_MS'),
    ('preamble/native/proc.h', r'_GRACE_MS (\d+)u', 'GRACE_MS'),      # said nowhere, but the same for all relays
    ('preamble/native/procs.c', r' CLOSED_MS (\d+)u', 'CLOSED_MS'),
    ('docs/man/econtext.1', r'twice as long each time, (a minute) at most', 'TUNNEL_PAUSE_S'),
    ('include/econtext/call.h', r'descriptor that says nothing: (\d+ s)', 'COMMAND_MS'),
    ('include/econtext/topology.h', r'waited for up to (\d+ s)', 'DEADLINE_MS'),
    ('topology/sshconfig.c', r'no answer within (\d+ s)', 'DEADLINE_MS'),
    ('include/econtext/call.h', r'more than (\d+ MiB) in one message', 'MESSAGE_MAX'),
    ('include/econtext/error.h', r'at most (\d+ MiB) in one message', 'MESSAGE_MAX'),
    ('include/econtext/channel.h', r'too-big \((\d+ MiB)\)', 'MESSAGE_MAX'),
    ('include/econtext/mesh.h', r'beyond (\d+ MiB) of their text', 'EVENT_BYTES'),
    ('docs/man/econtext.1', r'At most (\d+ MiB) of a node', 'KEPT_MAX cli/fold.h'),
    ('include/econtext/copy.h', r'for (\d+ s) if that is longer', 'GREET_MS'),
    ('docs/man/econtext.1', r'does not answer at all fails so too, after (\d+ s)', 'GREET_MS'),
    ('CHANGES.md', r'not begun there within (a minute) is left to itself', 'COPY_OPEN_MS'),
    ('include/econtext/copy.h', r'does not answer or begin within (a minute), or then', 'COPY_OPEN_MS'),
)
UNITS = {'': 1, 'KiB': 1 << 10, 'MiB': 1 << 20, 's': 1000}
DEFINE = re.compile(r'^[ \t]*#define[ \t]+(?:ECI_|NATIVE_)?([A-Z][A-Z0-9_]*)[ \t]+(?:\\\n[ \t]*)?([^\n/]+)', re.M)
SHARED = re.compile(r'^[ \t]*#define[ \t]+(ECI_[A-Z0-9_]+)[ \t]+((?:\\\n|[^\n/])+)', re.M)
ASSIGN = re.compile(r'^([A-Z][A-Z0-9_]*) = ([^#\n]+)', re.M)


def number(text):
    text = text.replace('a minute', '60 s')
    digits, unit = re.match(r'\s*([\d,.]+)\s*([A-Za-z]*)', text).groups()
    return int(float(digits.strip('.,').replace(',', '')) * UNITS.get(unit, 1))


def value(text, names):
    """Arithmetic on numbers and on what was defined before in the same file, or None."""
    text = re.sub(r'\b(0x[0-9a-fA-F]+|\d+)[uUlL]+\b', r'\1', text)
    text = re.sub(r'\b(?:ECI_|NATIVE_)?([A-Z][A-Z0-9_]*)\b', lambda m: str(names.get(m.group(1), 'x')), text)
    if not re.match(r'^[0-9a-fA-Fx .+*<()/-]+$', text):
        return None
    try:
        return eval(text, {'__builtins__': {}})
    except Exception:
        return None


def defined(top):
    """NAME -> [(value, file)]."""
    found = {}
    for folder in FOLDERS:
        for where, _, files in os.walk(os.path.join(top, folder)):
            for name in sorted(files):
                if not name.endswith(('.c', '.h', '.py')):
                    continue
                path = os.path.join(where, name)
                with open(path, encoding='utf-8') as f:
                    text = f.read()
                names = {}
                for key, what in (ASSIGN if name.endswith('.py') else DEFINE).findall(text):
                    names[key] = value(what.strip(), names)
                    if names[key] is not None and key.endswith('_S'):
                        names[key] *= 1000
                    if names[key] is not None:
                        found.setdefault(key, []).append((names[key], os.path.relpath(path, top)))
    return found


def headers(top):
    """ECI_NAME -> {value, as it is written: header}."""
    found = {}
    for folder in FOLDERS + ['include']:
        for where, _, files in os.walk(os.path.join(top, folder)):
            for path in [os.path.join(where, name) for name in sorted(files) if name.endswith('.h')]:
                with open(path, encoding='utf-8') as f:
                    for name, what in SHARED.findall(f.read()):
                        found.setdefault(name, {})[' '.join(what.split())] = os.path.relpath(path, top)
    return found


def table(text):
    """(NAME, number) of the rows; `A / B | 1 / 2` are two, and what B leaves out is A's."""
    rows = text.split('## 12. Limits, by name')[1].strip().split('\n')[2:]
    for row in rows:
        cells = [c.strip() for c in row.strip('| ').split('|')]
        cells = [c for c in cells if c]
        for names, values in zip(cells[::2], cells[1::2]):
            first = ''
            values = values.split(' / ')
            for name, amount in zip(names.split(' / '), values):
                if first and not re.match(r'[A-Z]+_[A-Z]', name):
                    name = first.rsplit('_', 1)[0] + '_' + name.lstrip('_')
                first = first or name
                yield name, number(amount)


def main():
    top = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
    found, wrong = defined(top), 0

    def read(path):
        with open(os.path.join(top, path), encoding='utf-8') as f:
            return f.read()

    def check(where, name, want):
        name, _, only = name.partition(' ')
        have = [x for key in [name] + ALSO.get(name, []) for x in found.get(key, []) if not only or x[1] == only]
        if not have:
            print('%s: no %s is defined' % (where, name))
        bad = [x for x in have if x[0] != want]
        for got, path in bad:
            print('%s: %s is %d here, in %s %d' % (where, name, want, path, got))
        return not have or bool(bad)

    for name, want in table(read('docs/protocol.md')):
        wrong += check('docs/protocol.md', name, want)
    for where, pattern, name in LISTED:
        m = re.search(pattern, read(where), re.M)
        if not m:
            print('%s: nothing says %r' % (where, pattern))
        wrong += not m or check(where, name, number(m.group(1)))
    for name, values in sorted(headers(top).items()):
        if len(values) > 1:
            wrong += 1
            print('%s has not one value: %s' % (name, ', '.join('%s in %s' % x for x in sorted(values.items()))))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
