"""The far end of `econtext cp`: files to and from a context (any Python), over a channel of values.

To here, per entry: ['dir', path, mode, mtime], ['link', path, target], or ['file', path, mode, mtime, size, offset], pieces of
bytes or ['hole', n], ['done', digest]. Back, for each in its order: None, or [errno, text, place, how]: how is 1 when the same
goes for all the rest, 2 when it is below a folder that was said to be missing.

From here (econtext_sources.py) it is the same, the other way, with ['error', path, errno, text] in between, ['several'] first
when a pattern stands for more than one, and with resume, for what is worth it, a seventh item of 'file': then [bytes, digest]
of what is there already is waited for, and answered with ['from', offset]. Paths are bytes, relative, and never lead out of
their root.

A file is written beside its place, checked, and then renamed; what fails leaves nothing (with resume: what has come, under
a name of its own, for the next try). A channel that ends early is a failure like any other.

A folder whose path is '.' is the target itself: its contents were asked for, and they come into the target by their own names.
"""
import errno
import fcntl
import os
import stat
import sys

from econtext_folders import NO_LINK, Folders, Refused, dress, same

PIECE = 65536
BUSY = 'another copy to this name is under way'
BYTES = type(os.sep.encode('ascii'))
DOT, SLASH, PART, EMPTY = [x.encode('ascii') for x in ('.', '/', '.econtext-part', '')]
ZEROS = (chr(0) * PIECE).encode('ascii')
AGAIN = os.O_RDWR | os.O_NONBLOCK | NO_LINK


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


def zeros(n):
    while n:
        yield ZEROS[:min(n, PIECE)]
        n -= min(n, PIECE)


def complaint():
    e = sys.exc_info()[1]
    if isinstance(e, EnvironmentError) and e.errno:
        return [e.errno, os.strerror(e.errno)]
    return [0, str(e) or type(e).__name__]


def inside(root, path):
    """Where a relative path is: no part of it may be '..', and none may be empty."""
    for x in path.split(SLASH):
        if x in (DOT + DOT, DOT, BYTES()):
            raise Refused('a path that leads out of the target')
    return os.path.join(root, path)


def folder_error(path):
    """Why there can be nothing in this folder; None: there can."""
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            raise OSError(errno.ENOTDIR, '')
    except OSError:
        return complaint() + [path]


class Target:
    """Where a first part of a path comes to lie: in dest if that is a folder, else it is dest. broken: why nothing can."""

    def __init__(self, dest, single):
        dest = raw(dest)
        self.dest = os.path.expanduser(dest)
        self.into = dest.endswith(SLASH) or os.path.isdir(self.dest) or not single
        self.made = False
        if self.into:
            try:
                if not os.path.isdir(self.dest):
                    os.mkdir(self.dest)
                    self.made = True
                self.broken = None
            except OSError:             # perhaps another was quicker
                self.broken = complaint() + [self.dest]
            if not self.broken or self.broken[0] == errno.EEXIST:
                self.broken = folder_error(self.dest)
            root = self.dest
        else:
            if os.path.islink(self.dest) and os.path.exists(self.dest):
                self.dest = os.path.realpath(self.dest)     # who names a link means what it leads to
            root = os.path.dirname(self.dest) or DOT
            self.broken = folder_error(root)
        self.folders = None
        if not self.broken:
            try:
                self.folders = Folders(root)
            except EnvironmentError:
                self.broken = complaint() + [root]

    def place(self, path):
        if self.into and path == DOT:
            return self.dest
        if self.into:
            return inside(self.dest, path)
        rest = path.split(SLASH)[1:]
        return rest and inside(self.dest, SLASH.join(rest)) or self.dest

    def parts(self, path):
        """The same, below the root of .folders; of a path that has a place."""
        if self.into and path == DOT:
            return []
        parts = path.split(SLASH)
        return self.into and parts or [os.path.basename(self.dest)] + parts[1:]

    def close(self):
        if self.folders:
            self.folders.close()


def part_name(place, extra):
    """Beside a place, and of a length that is allowed."""
    folder, name = os.path.split(place)
    return os.path.join(folder, DOT + name[:200] + extra)


def linker():
    """What gives a name to a file without one: f(fd, path). None: nothing does here."""
    if hasattr(os, 'O_TMPFILE'):
        return lambda fd, path: os.link('/proc/self/fd/%d' % fd, path, src_dir_fd=fd, follow_symlinks=True)
    try:
        linkat = __import__('ctypes').CDLL(None).linkat
    except Exception:
        return None

    def link(fd, path):
        if linkat(-100, ('/proc/self/fd/%d' % fd).encode('ascii'), -100, path, 0x400):      # AT_FDCWD, AT_SYMLINK_FOLLOW
            raise OSError(errno.EIO, 'linkat')
    return link


def write_all(fd, s):
    while s:
        s = s[os.write(fd, s):]


def size_of(path):
    """Of a file under its own name; -1: it is none."""
    return os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) or -1


def replaceable(place):
    """A pipe, a socket and a device stay."""
    if os.path.lexists(place) and not os.path.isfile(place) and not os.path.islink(place):
        raise Refused('what is there is neither a file nor a link')


def alone(fd, part):
    """A part is one copy's, or what another writes into it would be in the file: it is locked, and still has its name then."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except IOError:
        if sys.exc_info()[1].errno == errno.EWOULDBLOCK:
            return False                # else: a file system without locks
    return same(fd, part)


def goes_on(part, place):
    """Whether a part that nobody writes is newer than what has its place: that is what it was to replace, then."""
    try:
        if os.lstat(part).st_ctime <= os.lstat(place).st_ctime:
            return False
        fd = os.open(part, AGAIN)
        try:
            return alone(fd, part)
        finally:
            os.close(fd)
    except EnvironmentError:
        return False


def forget(part):
    """What is left of an earlier time, if nobody goes on with it."""
    try:
        fd = os.open(part, AGAIN)
        try:
            alone(fd, part) and os.unlink(part)
        finally:
            os.close(fd)
    except EnvironmentError:
        pass


def stays(part):
    """Takes it away; its name, where that cannot be, as in a folder that allows to create and not to delete."""
    try:
        os.unlink(part)
    except OSError:
        return os.path.lexists(part) and os.path.basename(part)


def own_extra(x):
    return ('.econtext-%d-%d' % (os.getpid(), id(x))).encode('ascii')


class Incoming:
    """One file on its way to its place."""

    def __init__(self, place, mode, mtime, size, offset, algorithm, keep):
        self.place, self.mode, self.mtime, self.size, self.keep = place, mode, mtime, size, keep
        folder = os.path.dirname(place)
        if os.path.isdir(place):
            raise OSError(errno.EISDIR, 'is a folder')
        replaceable(place)
        self.part = part_name(place, keep and PART or own_extra(self))
        self.sum = hasher(algorithm)
        self.at = 0
        self.named = True               # the part has a name already
        self.whole = keep and offset == size and size_of(place) == size     # what have() has found: it stays, but for mode and time
        self.fd = -1
        if self.whole:
            self.fd = os.open(place, os.O_RDONLY | os.O_NONBLOCK | NO_LINK)
        elif not keep:
            self.fd = self.nameless(folder)
        if self.fd < 0:
            self.fd = os.open(self.part, AGAIN | os.O_CREAT | (not keep and os.O_EXCL), 384)
            if keep:
                self.lock(offset)
        try:
            while self.at < offset:
                s = os.read(self.fd, min(PIECE, offset - self.at))
                if not s:
                    raise Refused('the part that was there is shorter now')
                self.count(s)
            if keep and not self.whole:
                os.ftruncate(self.fd, offset)       # or a hole would have in it what was there
        except:
            self.drop()
            raise

    def lock(self, offset):
        try:
            st = os.fstat(self.fd)
            if not stat.S_ISREG(st.st_mode) or st.st_uid != os.geteuid() or st.st_nlink > 1:
                raise Refused('what is there of an earlier time is not a file of your own')
            if not alone(self.fd, self.part):
                raise Refused(BUSY)
            if not offset:
                os.ftruncate(self.fd, 0)
        except:
            self.close()
            raise

    def close(self):
        """(A close that says an error, as of a full server, has closed it: a second one would be of another's, or of nothing.)"""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def nameless(self, folder):
        """A file without a name (open(2), O_TMPFILE): one that is cut off by force leaves nothing. -1: not here."""
        try:
            os.stat('/proc/self/fd')
            self.link = linker()
            if not self.link:
                return -1
            # (Python 2 does not know its number. A kernel that does not, either, finds a folder and says so.)
            fd = os.open(folder or DOT, getattr(os, 'O_TMPFILE', os.O_DIRECTORY | 4194304) | os.O_RDWR, 384)
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
        for s in zeros(n):
            self.count(s)

    def finish(self, digest):
        if self.at != self.size:
            raise Refused('it became shorter while it was read, or could not be read to its end')
        if self.sum and self.sum.digest() != digest:
            self.keep = False           # nothing to go on from
            raise Refused('the digest is wrong: it was changed meanwhile, or on the way')
        if self.whole:
            try:
                dress(self.fd, self.place, self.mode & 4095, self.mtime)
            except OSError:             # another's, with the same in it
                pass
            self.drop()
            return
        os.ftruncate(self.fd, self.size)
        if not self.named:
            self.link(self.fd, self.part)
            self.named = True
        lock = os.dup(self.fd)          # it is held until the part has its place: who has it then may empty what it is of
        try:
            self.close()
            dress(lock, self.part, self.mode & 4095, self.mtime)
            if not same(lock, self.part):
                raise Refused('what had come of it was taken away meanwhile')
            os.rename(self.part, self.place)
        finally:
            os.close(lock)

    def drop(self):
        """The name of what stays all the same."""
        left = None
        if self.whole:
            forget(self.part)
        elif self.named and (not self.keep or not self.at):
            left = stays(self.part)
        try:
            self.close()
        except OSError:             # it is dropped, and why was said
            pass
        return left


class Receiver:
    """Takes entries; answers each."""

    def __init__(self, channel, dest, algorithm, single, resume):
        self.channel, self.algorithm, self.resume = channel, algorithm, resume
        self.failed = 0
        self.now = None                 # the file that is coming, or why it does not
        self.times = []                 # of folders, as parts: set last, as what is put into them changes them
        self.missing = None             # a folder that is not there, with a slash
        self.place = EMPTY              # of what is coming
        self.target = Target(dest, single)

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
        self.place = x[1]
        if self.target.broken:
            self.now = self.target.broken + [1]
            return what != 'file'
        if self.missing and x[1].startswith(self.missing):
            self.now = [0, 'its folder is not there', x[1], 2]
            return what != 'file'
        self.place = self.target.place(x[1])
        parts = self.target.parts(x[1])
        if what == 'file':
            self.now = Incoming(self.target.folders.at(parts), x[2], x[3], x[4], x[5], self.algorithm, self.resume)
        elif what == 'dir':
            try:
                parts and self.target.folders.make(parts)
                if not parts and self.target.made:
                    os.chmod(self.target.folders.enter(parts), 448)     # until its own mode is set, as of any other
            except (EnvironmentError, Refused):
                self.missing = x[1] + SLASH
                raise
            self.times.append((parts, x[2], x[3]))
        elif what == 'link':
            place = self.target.folders.at(parts)
            os.path.isdir(place) or replaceable(place)
            part = part_name(place, own_extra(self))
            os.symlink(x[2], part)
            try:
                os.rename(part, place)
            except OSError:
                sys.exc_info()[1].left = stays(part)
                raise
        return what != 'file'

    def run(self):
        for x in self.channel:
            try:
                due = self.take(x)
            except Exception:
                why, e = complaint(), sys.exc_info()[1]
                left = self.drop() or getattr(e, 'left', None)
                if left:
                    self.now = why + [os.path.join(os.path.dirname(self.place), left), 3]
                else:
                    self.now = why + [getattr(e, 'place', None) or self.place, 0]
                e = None
                due = not isinstance(x, BYTES) and x[0] not in ('hole', 'file')
            if due:
                self.failed += self.now and 1 or 0
                self.channel.send(self.now)
                self.now = None
        if isinstance(self.now, Incoming):
            self.failed += 1

    def drop(self):
        if isinstance(self.now, Incoming):
            return self.now.drop()

    def settle(self):
        self.drop()
        self.times.reverse()
        for parts, mode, mtime in self.times:
            try:
                self.target.folders.dress(parts, mode & 4095, mtime)
            except (EnvironmentError, Refused):
                pass
        self.target.close()


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
    target = Target(dest, single)
    for path, size in entries:
        got = [0, None]
        try:
            target.place(path)
            place = target.folders.at(target.parts(path))
            part = part_name(place, PART)
            both = [(place, 1, size), (part, 0, size - (size_of(place) == size))]     # all of it would be what has its place
            if goes_on(part, place):
                both.reverse()
            for f, whole, most in both:
                n = min(size_of(f), most)
                if n > 0 and (not whole or size_of(f) == size):
                    fd = os.open(f, os.O_RDONLY | os.O_NONBLOCK | NO_LINK)
                    try:
                        got = [whole and -1 or n, digest_of(fd, n, algorithm)]
                    finally:
                        os.close(fd)
                    break
        except Exception:
            pass
        out.append(got)
    target.close()
    return out
