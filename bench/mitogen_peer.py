"""What bench/python-bulk.py has mitogen do at the far end: raw messages, so that neither side pickles them."""
import hashlib

import mitogen.core


@mitogen.core.takes_router
def sink(tell, count, look, router):
    """Takes that many messages: bytes, and their digest if it is to look."""
    receiver = mitogen.core.Receiver(router)
    tell.send(receiver.to_sender())
    size, digest = 0, hashlib.sha256()
    for _ in range(count):
        data = receiver.get(throw_dead=False).data
        size += len(data)
        if look:
            digest.update(data)
    receiver.close()
    return size, digest.hexdigest()


def source(to, data, count):
    for _ in range(count):
        to.context.send(mitogen.core.Message(data=data, handle=to.dst_handle))
