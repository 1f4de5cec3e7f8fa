# The Python agent's core: what every Python context runs, as sent by the first stage (docs/boot.md, docs/protocol.md).
#
# Two threads. Who holds TURN reads the parent link and answers what needs no application code; it is called the I/O thread
# here and in the parts. It never executes an import statement (on 2.x a thread that waits in one for a module holds the
# import lock, and the module comes through the I/O thread). The main thread is it while it has no call, so that a call costs
# no hand-over from one thread to another (docs/adr/0006-who-reads.md). It runs calls in their order, and writes its answers
# itself. The second thread, made for the first call, is the I/O thread from 1 ms after a call began until it has ended.
# Invariant: the I/O thread never waits for called code, so a context whose code hangs still ends when its parent does.
#
# Every byte counts here (preamble/build.py minifies and compresses), so comments are free and code is not:
# - one table H maps a handle to what takes it, f(kind, src, reply, body); slots and streams are in it too.
# - names in capitals are state that the parts (relay, exec, ...) share; they run in this same namespace and replace
#   route, up, large, parse, deliver, turn, load and die, which are looked up at each use for that reason.
# - the module is its own importer: its functions find_module ... get_data are what a finder and loader must have.
# - decode() is the only judge of what may travel; run_call asks it about its own answer.
# The source must stay in the common subset of Python 2.4 and 3.13 (tests/lint/py24.py).
import os
import zlib
import fcntl
import codecs
import select
import struct
import sys
import time

# The namespace of `python -c` becomes module econtext, so that it needs no name of its own on the command line.
slave = True
__name__ = 'econtext'
SELF = sys.modules[__name__] = sys.modules['__main__']

unpack = struct.unpack
pack = struct.pack
EMPTY = REST = pack('')
BYTES = type(EMPTY)
TEXT = type(EMPTY.decode('utf8'))  # and Python 2 has loaded this codec, which the I/O thread must not do
thread = __import__('_thread'[BYTES is str:])
allocate = thread.allocate_lock

OWED = SENT = ACKED = 0         # bulk bytes to acknowledge; bulk bytes sent, and those acknowledged
COUNT = [0] * 7                 # bad_src, bad_auth, bad_reply, no_group, dropped_logs; see emit; dropped_logs as reported
ROOT = '/econtext:/'            # what stands for the served modules in sys.path: absolute, or invalidate_caches() forgets it
ENTRIES = {}                    # module name -> entry of GET_MODULE
COLLECT = {}                    # src -> [bytes, (handle, reply_to), pieces...]; bytes -1: thrown away, a mark until its last fragment
PIPES = {}                      # captured descriptor -> logger, bytes of a cut character
CALLS = []
# WORK: the second thread waits there for a call. TURN: see above. LOCK: one writer at a time. LARGE: one large message at a
# time; it waits at CREDIT for an ACK. DRAIN: what was read from a pipe is sent before anything else is read there.
WORK, TURN, LOCK, LARGE, CREDIT, DRAIN = [allocate() for x in range(6)]


def die(*rest):
    # The agent leads its process group (see the end): this ends it and what it started.
    os.kill(0, 9)


def again():
    # The exception at hand: interrupted or not ready is for another try, anything else is the end.
    x = sys.exc_info()[1].args
    4 in x or 11 in x or die()
