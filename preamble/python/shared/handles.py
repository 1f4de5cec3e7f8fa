# What `exec` and `stream` bring, whichever comes first: handles of streams, which count up. One that came again would take what is
# still under way to the stream that had it before, a reset or credit.
HANDLES = H.setdefault('handles', [0x90000000, allocate()])    # above all slots of ours; the lock, for many threads take one


def new_handle():
    HANDLES[1].acquire()
    n = HANDLES[0] = HANDLES[0] + 1
    HANDLES[1].release()
    return n
