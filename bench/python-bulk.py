"""One bulk stream by Python agents, ours beside mitogen's messages of 128 KiB, in alternating rounds of one run.

Ours is a stream (OPEN tcp) to a C program that compares what comes and sends what is compared here: through one Python agent as relay, to
a leaf below it with the native agent, and with the Python one; and without a relay, where the Python agent is the stream's end. mitogen's
is as many bytes in raw messages (nothing is pickled), counted where they arrive, between as many contexts. Both with the Python that runs this.

The last line is "python-bulk RELAY_DOWN RELAY_UP LEAF_DOWN LEAF_UP DIRECT_DOWN DIRECT_UP", ratios of the medians, ours over mitogen's;
1 if one through a relay is below 3. "leaf" is the relay with a Python leaf.
"""
import hashlib
import os
import sys
import time

import mitogen.core
import mitogen.master

import mitogen_peer
import side

ROUNDS = int(os.environ.get('ECONTEXT_ROUNDS') or 7)
MIB = 256                       # a round and direction
MESSAGE = 131072
COUNT = MIB * (1 << 20) // MESSAGE
LIMIT = 3.0
DATA = os.urandom(MESSAGE)
SIDES = ('relay', 2, 'native'), ('leaf', 2, 'python'), ('direct', 1, 'python')


def mitogen_down(router, context, look=False):
    """Seconds, from the first message until the far end has said that it has all."""
    receiver = mitogen.core.Receiver(router)
    answer = context.call_async(mitogen_peer.sink, receiver.to_sender(), COUNT, look)
    to = receiver.get().unpickle()
    begun = time.perf_counter()
    for _ in range(COUNT):
        to.context.send(mitogen.core.Message(data=DATA, handle=to.dst_handle))
    size, digest = answer.get().unpickle()
    took = time.perf_counter() - begun
    receiver.close()
    if size != COUNT * MESSAGE or look and digest != hashlib.sha256(DATA * COUNT).hexdigest():
        raise SystemExit('mitogen: not all bytes came, or others')
    return took


def mitogen_up(router, context, look=False):
    receiver = mitogen.core.Receiver(router)
    begun = time.perf_counter()
    answer = context.call_async(mitogen_peer.source, receiver.to_sender(), mitogen.core.Blob(DATA), COUNT)
    size, same = 0, True
    for _ in range(COUNT):
        data = receiver.get(throw_dead=False).data
        size += len(data)
        same = same and (not look or data == DATA)
    took = time.perf_counter() - begun
    answer.get()
    receiver.close()
    if size != COUNT * MESSAGE or not same:
        raise SystemExit('mitogen: not all bytes came, or others')
    return took


def measure(router, contexts, depth, agent):
    """Rates in MiB/s: ours down and up, theirs down and up."""
    context = contexts[depth - 1]
    ours = side.Ours('bulk', depth, agent, sys.executable)
    rates = [[], [], [], []]
    mitogen_down(router, context, True)
    mitogen_up(router, context, True)
    ours.ask(MIB)
    ours.ask(-MIB)
    for _ in range(ROUNDS):
        times = [ours.ask(MIB)[0] / 1e6, ours.ask(-MIB)[0] / 1e6, mitogen_down(router, context), mitogen_up(router, context)]
        for i in range(4):
            rates[i].append(MIB / times[i])
    ours.end()
    return rates


def main():
    broker = mitogen.master.Broker()
    router = mitogen.master.Router(broker)
    ratios = []
    print('python %s, mitogen %s' % (sys.version.split()[0], '.'.join(map(str, mitogen.__version__))))
    try:
        contexts = [router.local(python_path=sys.executable)]
        contexts.append(router.local(python_path=sys.executable, via=contexts[0]))
        for name, depth, agent in SIDES:
            rates = measure(router, contexts, depth, agent)
            for i in range(2):
                ours, theirs = side.at(rates[i], .5), side.at(rates[i + 2], .5)
                ratios.append(ours / theirs)
                print('%-6s %-4s econtext %5.0f (%.0f-%.0f)  mitogen %5.0f (%.0f-%.0f) MiB/s  ratio %.2f'
                      % (name, ('down', 'up')[i], ours, min(rates[i]), max(rates[i]), theirs, min(rates[i + 2]), max(rates[i + 2]), ratios[-1]),
                      flush=True)
    finally:
        broker.shutdown()
        broker.join()
    print('python-bulk %s (limit %.1f)' % (' '.join('%.2f' % x for x in ratios), LIMIT))
    return 1 if min(ratios[:4]) < LIMIT else 0


if __name__ == '__main__':
    sys.exit(main())
