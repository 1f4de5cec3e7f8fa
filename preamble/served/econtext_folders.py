"""Where a copy to a context puts things (econtext_files.py): below a folder that may be another user's, who may change it meanwhile.

No link is followed there: each folder on the way is opened from the one before it, and what is done in it is done by that
descriptor, so that a folder which becomes a link between two calls is none. Any Python can say that by a path below
/proc/self/fd; where there is none (no Linux), each part is looked at before it is used. Modes and times are set by
descriptor too, for the same reason.
"""
import errno
import os
import stat

JOIN = os.sep.encode('ascii')
IS_LINK = 'it is a link, where a folder is wanted'
FOLDER = getattr(os, 'O_DIRECTORY', 0) | getattr(os, 'O_PATH', 2097152)     # which asks for no right to read; Python 2 has no name for it
NO_LINK = getattr(os, 'O_NOFOLLOW', 0)


class Refused(Exception):
    """place: what it is about, if that is not what was to come."""

    def __init__(self, text, place=None):
        Exception.__init__(self, text)
        self.place = place


def name_of(fd):
    return ('/proc/self/fd/%d' % fd).encode('ascii')


def has_names():
    """Whether descriptors have names that lead to what they are of."""
    try:
        fd = os.open('/', FOLDER)
        try:
            return os.path.samestat(os.stat(name_of(fd)), os.fstat(fd))
        finally:
            os.close(fd)
    except EnvironmentError:            # or a kernel that does not say fstat(2) of O_PATH (before 3.6)
        return False


NAMED = has_names()
NOT_INHERITED = hasattr(os, 'set_inheritable') and (False,) or ()


def same(fd, path):
    """Whether it still has this name."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except OSError:
        return False


def dress(fd, path, mode, mtime):
    """What this descriptor is of gets them, and not what lies at its path by now; where neither can be said, as Python 2 elsewhere, that."""
    at = NAMED and name_of(fd) or path
    if not NAMED and os.utime in getattr(os, 'supports_fd', ()):
        at = fd
    if at is path and not same(fd, path):
        return
    if NAMED or not hasattr(os, 'fchmod'):
        os.chmod(at, mode)
    else:
        os.fchmod(fd, mode)
    os.utime(at, (mtime, mtime))


class Folders:
    """What lies below root, which itself may be reached by links."""

    def __init__(self, root):
        self.root = root
        self.parts = []                 # of the folder that is held
        self.top = self.fd = -1
        if NAMED:
            self.top = os.open(root, FOLDER)
            self.fd = os.dup(self.top)

    def close(self):
        for fd in self.top, self.fd:
            if fd >= 0:
                os.close(fd)
        self.top = self.fd = -1

    def shown(self, parts):
        return JOIN.join([self.root.rstrip(JOIN) or self.root[:0]] + parts)

    def look(self, at, parts):
        """What is no folder, or none but by a link."""
        mode = os.lstat(at).st_mode
        if stat.S_ISLNK(mode):
            raise Refused(IS_LINK, self.shown(parts))
        if not stat.S_ISDIR(mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def enter(self, parts):
        """What this folder is called, in front of a name, in a system call. It is good until the next one is entered."""
        if self.top < 0:
            at = self.root
            for i in range(len(parts)):
                at = os.path.join(at, parts[i])
                self.look(at, parts[:i + 1])
            return at
        if parts[:len(self.parts)] != self.parts:
            os.dup2(self.top, self.fd, *NOT_INHERITED)      # in its place: once closed, its number may be another thread's, and the last
            self.parts = []
        for x in parts[len(self.parts):]:
            at = os.path.join(name_of(self.fd), x)
            try:
                fd = os.open(at, FOLDER | NO_LINK)
            except OSError:
                self.look(at, self.parts + [x])
                raise
            os.close(self.fd)
            self.fd, self.parts = fd, self.parts + [x]
        return name_of(self.fd)

    def at(self, parts):
        """The same of what is in a folder."""
        return parts and os.path.join(self.enter(parts[:-1]), parts[-1]) or self.enter(parts)

    def make(self, parts):
        """A folder, which may be there."""
        at = self.at(parts)
        try:
            os.mkdir(at, 448)
        except OSError:
            if not os.path.lexists(at):
                raise               # (kept under a name, it would keep the channel, which ends when nothing does)
            self.look(at, parts)

    def dress(self, parts, mode, mtime):
        """A folder's own, of which it keeps what cannot be said."""
        at = self.enter(parts)
        if self.top >= 0:
            dress(self.fd, at, mode, mtime)
            return
        try:
            fd = os.open(at, os.O_RDONLY | NO_LINK)
        except OSError:                 # it may not be read
            os.chmod(at, mode)
            os.utime(at, (mtime, mtime))
            return
        try:
            dress(fd, at, mode, mtime)
        finally:
            os.close(fd)
