"""The far end of `econtext cp`: files to and from a context (any Python), over a channel of values.

To here, per entry: ['dir', path, mode, mtime], ['link', path, target], or ['file', path, mode, mtime, size, offset], pieces of
bytes or ['hole', n], ['done', digest]. Back, for each in its order: None, or [errno, text]. From here it is the same, the
other way, with ['error', path, errno, text] in between. Paths are bytes, relative, and never lead out of their root.

A file is written beside its place, checked, and then renamed; what fails leaves nothing (with resume: what has come, under
a name of its own, for the next try). A channel that ends early is a failure like any other.
"""
import errno
import os
import stat
import sys

PIECE = 65536
BYTES = type(os.sep.encode('ascii'))
DOT, SLASH, PART = [x.encode('ascii') for x in ('.', '/', '.econtext-part')]
ZEROS = (chr(0) * PIECE).encode('ascii')


def raw(path):
    if isinstance(path, BYTES):
        return path
    return BYTES is not str and os.fsencode(path) or path.encode('utf8')


def algorithms():
    """What both ends may use, best first."""
    try:
        import hashlib
    except ImportError:
        return []
    return [x for x in ('blake2b', 'sha256') if hasattr(hashlib, x)]


def hasher(name):
    if name == 'blake2b':
        import hashlib
        return hashlib.blake2b(digest_size=32)
    if name:
        import hashlib
        return getattr(hashlib, name)()


def complaint():
    e = sys.exc_info()[1]
    if isinstance(e, EnvironmentError) and e.errno:
        return [e.errno, os.strerror(e.errno)]
    return [0, str(e) or type(e).__name__]


class Refused(Exception):
    pass


def inside(root, path):
    """Where a relative path is: no part of it may be '..', and none may be empty."""
    for x in path.split(SLASH):
        if x in (DOT + DOT, DOT, BYTES()):
            raise Refused('a path that leads out of the target')
    return os.path.join(root, path)


class Target:
    """Where a first part of a path comes to lie: in dest if that is a folder, else it is dest."""

    def __init__(self, dest, single):
        dest = raw(dest)
        self.dest = os.path.expanduser(dest)
        self.into = dest.endswith(SLASH) or os.path.isdir(self.dest) or not single
        if self.into and not os.path.isdir(self.dest):
            try:
                os.mkdir(self.dest)
            except OSError:
                if not os.path.isdir(self.dest):        # another was quicker
                    raise

    def place(self, path):
        if self.into:
            return inside(self.dest, path)
        rest = path.split(SLASH)[1:]
        return rest and inside(self.dest, SLASH.join(rest)) or self.dest


def write_all(fd, s):
    while s:
        s = s[os.write(fd, s):]


class Incoming:
    """One file on its way to its place."""

    def __init__(self, place, mode, mtime, size, offset, algorithm, keep):
        self.place, self.mode, self.mtime, self.size, self.keep = place, mode, mtime, size, keep
        folder, name = os.path.split(place)
        if os.path.isdir(place):
            raise OSError(errno.EISDIR, 'is a folder')
        extra = keep and PART or ('.econtext-%d-%d' % (os.getpid(), id(self))).encode('ascii')
        self.part = os.path.join(folder, DOT + name[:200] + extra)
        self.sum = hasher(algorithm)
        self.at = 0
        self.named = True               # the part has a name already
        self.fd = -1
        if not keep:
            self.fd = self.nameless(folder)
        if self.fd < 0:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0) | (not offset and os.O_TRUNC)
            if not keep:
                flags |= os.O_EXCL
            self.fd = os.open(self.part, flags, 384)
        try:
            while self.at < offset:
                s = os.read(self.fd, min(PIECE, offset - self.at))
                if not s:
                    raise Refused('the part that was there is shorter now')
                self.count(s)
        except:
            self.drop()
            raise

    def nameless(self, folder):
        """A file without a name (open(2), O_TMPFILE): one that is cut off by force leaves nothing. -1: not here."""
        try:
            os.stat('/proc/self/fd')
            fd = os.open(folder or DOT, os.O_TMPFILE | os.O_RDWR, 384)
            self.named = False
            return fd
        except (AttributeError, EnvironmentError):
            return -1

    def count(self, s):
        self.at += len(s)
        if self.sum:
            self.sum.update(s)

    def write(self, s):
        write_all(self.fd, s)
        self.count(s)

    def hole(self, n):
        os.lseek(self.fd, n, 1)
        while n:
            self.count(ZEROS[:min(n, PIECE)])
            n -= min(n, PIECE)

    def finish(self, digest):
        if self.at != self.size:
            raise Refused('%d bytes came, of %d' % (self.at, self.size))
        if self.sum and self.sum.digest() != digest:
            self.keep = False           # nothing to go on from
            raise Refused('the digest is wrong: it was changed meanwhile, or on the way')
        os.ftruncate(self.fd, self.size)
        if not self.named:
            os.link('/proc/self/fd/%d' % self.fd, self.part, src_dir_fd=self.fd, follow_symlinks=True)
            self.named = True
        os.close(self.fd)
        self.fd = -1
        os.chmod(self.part, self.mode & 4095)
        os.utime(self.part, (self.mtime, self.mtime))
        os.rename(self.part, self.place)

    def drop(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self.named and (not self.keep or not self.at):
            try:
                os.unlink(self.part)
            except OSError:
                pass


class Receiver:
    """Takes entries; answers each."""

    def __init__(self, channel, dest, algorithm, single, resume):
        self.channel, self.algorithm, self.resume = channel, algorithm, resume
        self.failed = 0
        self.now = None                 # the file that is coming, or why it does not
        self.times = []                 # of folders: set last, as what is put into them changes them
        self.target = self.broken = None
        try:
            self.target = Target(dest, single)
        except Exception:
            self.broken = complaint()

    def take(self, x):
        """True: its answer is due."""
        now = self.now
        if isinstance(x, BYTES):
            if isinstance(now, Incoming):
                now.write(x)
            return False
        what = x[0]
        if what == 'hole':
            if isinstance(now, Incoming):
                now.hole(x[1])
            return False
        if what == 'done':
            if isinstance(now, Incoming):
                now.finish(x[1])
                self.now = None
            return True
        if self.broken:
            self.now = self.broken
        elif what == 'file':
            self.now = Incoming(self.target.place(x[1]), x[2], x[3], x[4], x[5], self.algorithm, self.resume)
        elif what == 'dir':
            place = self.target.place(x[1])
            try:
                os.mkdir(place, 448)
            except OSError:
                if not os.path.isdir(place):
                    raise
            self.times.append((place, x[2], x[3]))
        elif what == 'link':
            place = self.target.place(x[1])
            part = place + ('.econtext-%d-%d' % (os.getpid(), id(self))).encode('ascii')
            os.symlink(x[2], part)
            try:
                os.rename(part, place)
            except OSError:
                os.unlink(part)
                raise
        return what != 'file'

    def run(self):
        for x in self.channel:
            try:
                due = self.take(x)
            except Exception:
                self.drop()
                self.now = complaint()
                due = not isinstance(x, BYTES) and x[0] not in ('hole', 'file')
            if due:
                self.failed += self.now and 1 or 0
                self.channel.send(self.now)
                self.now = None
        if isinstance(self.now, Incoming):
            self.failed += 1

    def drop(self):
        if isinstance(self.now, Incoming):
            self.now.drop()

    def settle(self):
        self.drop()
        self.times.reverse()
        for place, mode, mtime in self.times:
            try:
                os.chmod(place, mode & 4095)
                os.utime(place, (mtime, mtime))
            except OSError:
                pass


def put(channel, dest, algorithm, single, resume):
    """Takes entries until the channel ends; returns how many did not arrive."""
    x = Receiver(channel, dest, algorithm, single, resume)
    try:
        x.run()
    finally:
        x.settle()
    return x.failed


def digest_of(fd, size, algorithm):
    h = hasher(algorithm)
    while h and size:
        s = os.read(fd, min(PIECE, size))
        if not s:
            break
        h.update(s)
        size -= len(s)
    return h and h.digest()


def have(dest, single, entries, algorithm):
    """For each [path, size]: [bytes of a part that are here, their digest], or [-1, digest] of a whole file of that size."""
    out = []
    try:
        target = Target(dest, single)
    except Exception:
        return [[0, None]] * len(entries)
    for path, size in entries:
        got = [0, None]
        try:
            place = target.place(path)
            folder, name = os.path.split(place)
            for f, whole in ((place, 1), (os.path.join(folder, DOT + name[:200] + PART), 0)):
                if os.path.isfile(f) and (os.path.getsize(f) == size or not whole):
                    n = min(os.path.getsize(f), size)
                    fd = os.open(f, os.O_RDONLY)
                    try:
                        got = [whole and -1 or n, digest_of(fd, n, algorithm)]
                    finally:
                        os.close(fd)
                    break
        except Exception:
            pass
        out.append(got)
    return out


# ---- from here ----

def send_file(channel, full, path, st, algorithm):
    fd = os.open(full, os.O_RDONLY)
    try:
        send_open_file(channel, fd, path, st, algorithm)
    finally:
        os.close(fd)


def send_open_file(channel, fd, path, st, algorithm):
    try:
        size = os.fstat(fd).st_size
        channel.send(['file', path, stat.S_IMODE(st.st_mode), st.st_mtime, size, 0])
        h = hasher(algorithm)
        while size:
            s = os.read(fd, min(PIECE, size))
            if not s:
                raise Refused('it became shorter while it was read')
            size -= len(s)
            if h:
                h.update(s)
            if len(s) == PIECE and s == ZEROS:
                channel.send(['hole', PIECE])
            else:
                channel.send(s)
        channel.send(['done', h and h.digest()])
    except Refused:
        channel.send(['done', None])
        raise


def send_tree(channel, full, path, algorithm):
    try:
        st = os.lstat(full)
        if stat.S_ISLNK(st.st_mode):
            channel.send(['link', path, raw(os.readlink(full))])
        elif stat.S_ISDIR(st.st_mode):
            names = os.listdir(full)
            channel.send(['dir', path, stat.S_IMODE(st.st_mode), st.st_mtime])
            for x in sorted(names):
                send_tree(channel, os.path.join(full, x), os.path.join(path, x), algorithm)
        elif stat.S_ISREG(st.st_mode):
            send_file(channel, full, path, st, algorithm)
        else:
            raise Refused('neither a file nor a folder')
    except (EnvironmentError, Refused):
        channel.send(['error', full] + complaint())


def get(channel, paths, algorithm):
    """Sends these, each under its last name; patterns are expanded."""
    import glob
    for x in paths:
        x = os.path.expanduser(raw(x))
        found = os.path.lexists(x) and [x] or sorted(glob.glob(x))
        if not found:
            channel.send(['error', x, errno.ENOENT, os.strerror(errno.ENOENT)])
        for full in found:
            name = os.path.basename(full.rstrip(SLASH)) or DOT
            if os.path.islink(full) and os.path.exists(full):
                full = os.path.realpath(full)
            send_tree(channel, full, name, algorithm)
    channel.end()
