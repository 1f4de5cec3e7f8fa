# Part `relay`: what a context needs to have children (docs/protocol.md sections 3, 4, 7 and 11).
#
# Executed by the I/O thread in the core's namespace; it replaces the core's `ack`, `ping`, `route`, `turn` and `die` and,
# last of all (other threads call them meanwhile), `up` and `large`. Everything here runs in the I/O thread but these two;
# what they share (the outputs) is guarded by LOCK.
CHILDREN = {}                   # first id of a block -> Child
ROUTES = {}                     # dst -> Child or None: memory of `child_of`; see `frames` too. Emptied when an interval changes
BLOCKS = [(ME, ME + SIZE)]
LOST = []                       # the last LOST_KEPT intervals whose link ended: lo, hi, evidence
GROUPS = {}                     # gid -> members among the children, and ME if I am one
CACHE = {}                      # module name -> entry
CACHED = [0, []]                # bytes, names from oldest to newest
WAITING = {}                    # module name asked upward -> who waits for it
STATS = {4: 0, 5: 0, 6: 0, 7: 0}    # lines lost here (dropped_logs without COUNT[4]), modules cached, requests up, dials
POLLER = select.poll()
MASKS = {}
READERS = {}                    # descriptor -> function to call when it can be read
UNREAD = {}                     # Child -> descriptor of its link, which is read again when the parent has taken more control
NONE = [0, 0, 0]
SOON = [0]                      # a child is to end: `reap` looks soon
relay_die = die
relay_in = IN


def major(kind, n):
    i = 0
    if n < 24:
        return pack('B', kind | n)
    while n >> (8 << i):
        i += 1
    return pack('>B' + 'BHIQ'[i], kind | 24 + i, n)


def byte_string(s):
    # pack_value() sends Python 2's str as text when it can.
    return major(64, len(s)) + s


def widen(fd):
    # A pipe that bulk has filled: F_SETPIPE_SZ, of Linux 2.6.35 and later.
    if fd not in WIDE:
        WIDE[fd] = 1
        try:
            fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE)
        except (IOError, OSError):
            pass


WIDE = {}


def watch(fd, mask):
    if MASKS.get(fd, 0) != mask:
        MASKS[fd] = mask
        if mask:
            POLLER.register(fd, mask)
        else:
            POLLER.unregister(fd)
            del MASKS[fd]


def nonblock(fd):
    fcntl.fcntl(keep(fd), 4, os.O_NONBLOCK)
    return fd
