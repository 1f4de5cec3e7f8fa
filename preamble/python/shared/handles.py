# What `exec` and `stream` bring, whichever comes first: handles of streams, which count up. One that came again soon would take what
# is still under way to the stream that had it before, a reset or credit. So they are 0x90000000 to 0xBFFFFFFF, above all slots of ours
# and below all group handles, and come again behind the last of these but for those that are in use.
HANDLES = H.setdefault('handles', [0x90000000, allocate()])    # the last one; the lock, for many threads take one


def new_handle():
    HANDLES[1].acquire()
    n = 0
    while not n or n in H:
        n = HANDLES[0] = (HANDLES[0] + 1) % 0x30000000 + 0x90000000
    HANDLES[1].release()
    return n
