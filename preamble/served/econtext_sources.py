"""The far end of `econtext cp` where files come from there: what econtext_files.py says of the channel, the other way.

Holes are asked for and not read (Python 3.3 on), and sent as such, as blocks of zeros are; the digest is of all bytes. What
/proc and /sys say of a file's size is not true (0, or a page): so what is small is read before its size is said, and what
says 0 is read to its end.
"""
import errno
import fcntl
import os
import stat
import sys

from econtext_files import BYTES, DOT, EMPTY, PIECE, Refused, SLASH, ZEROS, complaint, hasher, raw, zeros

HOLE = 16 << 20     # the most of one word: both ends hash it
UNSIZED = 16 << 20  # of a file that says it has 0 bytes, as it is kept in memory
SEEK_DATA, SEEK_HOLE = [getattr(os, x, None) for x in ('SEEK_DATA', 'SEEK_HOLE')]


def whole(fd, size):
    """The pieces of a small file, or of one that says 0: only then is known how long what is in /proc or /sys is."""
    out, n = [], 0
    if not size:
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)       # /proc/kmsg would wait for more
    while not size or n < size:
        s = os.read(fd, size and size - n or PIECE)
        if not s:
            break
        out.append(s)
        n += len(s)
        if n > UNSIZED:
            raise Refused('it says 0 bytes, and has more than 16 MiB')
    return out, n


def hole_at(fd, at, size):
    """How long the hole is, 0 where none is worth a word; and where to look for the next."""
    data, st = size, os.fstat(fd)
    if SEEK_DATA is None or st.st_blocks * 512 >= size:
        return 0, size
    try:
        data = os.lseek(fd, at, SEEK_DATA)
    except OSError:             # no data from here on; or a file system that does not say, or it is shorter now
        if sys.exc_info()[1].errno != errno.ENXIO or st.st_size < size:
            return 0, size
    n, look = min(data - at, size - at, HOLE), at
    if n < PIECE:               # many small holes cost no more than none
        look = at + PIECE
        if data == at:
            look = max(look, os.lseek(fd, at, SEEK_HOLE))
        n = 0
    os.lseek(fd, at + n, 0)
    return n, look


def pieces(fd, at, size):
    """What is there: bytes, or the length of a hole."""
    look = at
    while at < size:
        n = 0
        if at >= look:
            n, look = hole_at(fd, at, size)
        s = n or os.read(fd, min(PIECE, size - at))
        if not s:
            break
        yield s
        at += n or len(s)


class Sender:
    def __init__(self, channel, algorithm, resume):
        self.channel, self.algorithm, self.resume = channel, algorithm, resume
        self.sent = {}  # what was sent under each last name

    def is_twice(self, path, st):
        """Whether the same was sent under this path. Another may not be, but that folders of one path become one."""
        top = path.split(SLASH)[0]
        for name in (top, DOT)[:1 + (top != DOT)]:
            for first in self.sent.get(name, ()):
                if path != name:
                    first = name == DOT and os.path.join(first, path) or first + path[len(name):]
                try:
                    other = os.lstat(first)
                except OSError:
                    continue
                if (other.st_dev, other.st_ino) == (st.st_dev, st.st_ino):
                    return True
                kind = stat.S_IFMT(other.st_mode)
                if kind == stat.S_IFDIR == stat.S_IFMT(st.st_mode) or kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                    continue
                shown = first.decode('utf8', 'replace')
                if BYTES is str:
                    shown = shown.encode('utf8')
                raise Refused('it would replace %s, which comes to the same name' % shown)
        return False

    def skip(self, fd, size):
        """The far end may have the beginning: a hasher that has seen so much of it, and how much."""
        n, digest = self.channel.recv()
        h = hasher(self.algorithm)
        got = 0
        while h and digest and got < n <= size:
            s = os.read(fd, min(PIECE, n - got))
            if not s:
                break
            h.update(s)
            got += len(s)
        if not got or got != n or h.digest() != digest:
            os.lseek(fd, 0, 0)
            got, h = 0, hasher(self.algorithm)
        self.channel.send(['from', got])
        return h, got

    def send_file(self, fd, path, st):
        channel = self.channel
        size, ahead, at = os.fstat(fd).st_size, None, 0
        if size <= PIECE:
            ahead, size = whole(fd, size)
        ask = self.resume and ahead is None
        channel.send(['file', path, stat.S_IMODE(st.st_mode), st.st_mtime, size, 0] + [True] * ask)
        h = hasher(self.algorithm)
        if ask:
            h, at = self.skip(fd, size)
        for s in ahead or pieces(fd, at, size):
            is_hole = not isinstance(s, BYTES)
            for x in is_hole and zeros(s) or [s]:
                at += len(x)
                if h:
                    h.update(x)
            if is_hole or s == ZEROS:
                s = ['hole', is_hole and s or PIECE]
            channel.send(s)
        # The far end counts too: what became shorter, it says so.
        channel.send(['done', at == size and h and h.digest() or None])

    def send_tree(self, full, path):
        channel = self.channel
        try:
            st = os.lstat(full)
            if self.is_twice(path, st):
                return
            if stat.S_ISLNK(st.st_mode):
                channel.send(['link', path, raw(os.readlink(full))])
            elif stat.S_ISDIR(st.st_mode):
                names = os.listdir(full)
                channel.send(['dir', path, stat.S_IMODE(st.st_mode), st.st_mtime])
                for x in sorted(names):
                    self.send_tree(os.path.join(full, x), path == DOT and x or os.path.join(path, x))
            elif stat.S_ISREG(st.st_mode):
                fd = os.open(full, os.O_RDONLY)
                try:
                    self.send_file(fd, path, st)
                finally:
                    os.close(fd)
            else:
                raise Refused('neither a file nor a folder')
        except (EnvironmentError, Refused):
            channel.send(['error', full] + complaint())


def last_name(path):
    """'a/b/' and 'a/b' are b; 'a/.' is '.', the contents; '..' and '/' are what they lead to."""
    name = os.path.basename(path.rstrip(SLASH))
    if name in (EMPTY, DOT + DOT):
        name = os.path.basename(os.path.realpath(path))
    return name or 'root'.encode('ascii')


def why_not(path):
    """Why there is nothing of that name: it may be that one cannot look."""
    try:
        os.lstat(path)
    except OSError:
        return sys.exc_info()[1].errno
    return errno.ENOENT                 # it has come since


def get(channel, paths, algorithm, resume):
    """Sends these, each under its last name; patterns are expanded, and what two of them stand for comes once."""
    import glob
    found = []
    for x in paths:
        x = os.path.expanduser(raw(x))
        found.append((x, os.path.lexists(x) and [x] or sorted(glob.glob(x))))
    if len(found) == 1 and len(found[0][1]) > 1:
        channel.send(['several'])
    sender = Sender(channel, algorithm, resume)
    for x, fulls in found:
        if not fulls:
            number = why_not(x)
            channel.send(['error', x, number, os.strerror(number)])
        for full in fulls:
            name = last_name(full)
            if os.path.islink(full) and os.path.exists(full):
                full = os.path.realpath(full)
            sender.send_tree(full, name)
            sender.sent.setdefault(name, []).append(full)
    channel.end()
