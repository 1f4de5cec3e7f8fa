# Numbers that have a name in the readable source only: build.py writes what stands here where the name stands, so that a name
# costs no byte of what is sent.
HOPS = 64
HEADER = 28                     # of a frame, bytes
FRAME_BODY_MAX = 65536
BULK_BODY_MAX = 16384
HOP_WINDOW_MIN = 65536
LEAF_WINDOW = 65508             # HOP_WINDOW_MIN less the header of the frame that is to go
LEAF_HOP_MAX = 1 << 22          # where a leaf's own window, which part `stream` widens, ends
MESSAGE_MAX = 1 << 26
COLLECT_MAX = 1 << 27           # bytes of all messages that are not whole
COLLECT_SOURCES = 32
CBOR_VALUE_ITEMS_MAX = 1 << 20
CBOR_DEPTH_MAX = 32
CBOR_BIGNUM_MAX = 4096          # bytes

# Of one read or write.
READ_MAX = 65536                # a pipe's worth
PRINTED_READ = 16384            # of what called code prints: becomes a record
WRITE_MAX = 4096                # to a command's stdin: what poll(2) says there is room for
WRITEV_MAX = 500                # pieces; IOV_MAX is 1,024

# Of a text, bytes.
LOGGER_TEXT = 256               # a logger's name, an exception's class
EXCEPTION_TEXT = 16384
TRACE_TEXT = 32768              # a traceback, and a log record
REASON_TEXT = 400               # why something was not opened or started
STDERR_AFTER = 4096
STDERR_TEXT = 2000              # of one read of a child's stderr ...
STDERR_KEPT = 1000              # ... and of all of it, characters
END_EVIDENCE = 500              # of that, in the event of its end
LOST_EVIDENCE = 200             # and in a notice

# How long. LOOK: the longest sleep of who waits for a descriptor, and so what a missed wake-up costs.
WATCH_MS = 256                  # from one look of the watcher at the agent to the next
LOOK_MS = 1000
RELAY_LOOK_MS = 500
REAP_MS = 20                    # while a child is about to end
END_GRACE_S = .25               # for a child that was told to end
CLOSED_S = 2                    # for a process that closed its stdout and is no link
LISTEN_REST_S = 1               # of a listening socket, once there was no descriptor

STREAM_WINDOW_MAX = 16777216
STREAM_WIDENED_MAX = (1 << 26)  # by how much all windows together are widened
RELAY_HELD = 131072             # own bulk that waits for a link, above which nobody here adds to it ...
RELAY_PUMP_AT = 49152           # ... and above which who adds to it writes some
LISTEN_BACKLOG = 128
SUN_PATH = 108                  # sizeof sun_path
F_SETPIPE_SZ = 1031
PIPE_SIZE = 262144              # of a link that bulk has filled
