# The relay's cache of modules (docs/protocol.md section 11): asked upward once, however many children ask.
#
# Many who wait for one large module would have a copy each, more than there is memory for. So an answer is made when there is room for
# it; until then who asked waits in its child's `roomless`. (One child that reads nothing holds little of what all may, and so does not
# stop the rest. Each turn of the loop looks at the children that wait, and not at what each waits for.)

MODCACHE_MAX = 1 << 26          # bytes of zlib; past it the oldest go
MODCACHE_ENTRIES = 65536        # and so many
ANSWER_BYTES_MAX = 8 << 20      # of entries beside the one asked for
ANSWER_ITEMS_MAX = 65536        # CBOR items of them
MODULES_WAITED_MAX = 4096       # questions of a child that wait
ENTRY_ITEMS = 8                 # of an entry, beside its imports and children
OWN_HELD_MAX = 1 << 20          # bytes of answers that wait for one child, above which it gets no more ...
ALL_HELD_MAX = 1 << 26          # ... and that wait for all, above which none does
ROOMLESS = []                   # children that wait, the oldest first

def entry_bytes(e):
    if len(e) < 7:
        return pack_value(e[:2])
    return major(128, 7) + EMPTY.join([pack_value(x) for x in e[:3]]) + byte_string(e[3]) + pack_value(e[4]) + pack_value(e[5]) + byte_string(e[6])


def get_module(c, src, reply, name):
    if not reply:
        return
    if name in CACHE and not full() and c.out.own <= OWN_HELD_MAX:
        return serve(c, src, reply, name)
    if c.waits >= MODULES_WAITED_MAX:
        return dead('busy', src, reply, ME, '')
    c.waits += 1
    if name in CACHE:
        c.roomless or ROOMLESS.append(c)
        return c.roomless.append((src, reply, name))
    if name in WAITING:
        return WAITING[name].append((c, src, reply))
    WAITING[name] = [(c, src, reply)]
    STATS[6] += 1

    def answer(kind, src, reply, body):
        if src != PARENT:
            COUNT[2] += 1
            return
        del H[slot]
        try:
            v = not kind & 4 and typed(decode(body), list) or ()
        except:
            v = ()              # who waits is told below
        for e in v:
            if is_entry(e) and e[0] not in CACHE:
                remember(e)
        for c, src, reply in WAITING.pop(name):
            c.waits -= 1
            if CHILDREN.get(c.ident) is not c:
                pass
            elif kind & 4:
                send(4, src, reply, 0, body)
            elif name in CACHE:
                get_module(c, src, reply, name)
            else:
                dead('bad-body', src, reply, ME, '')

    slot = id(answer) % (1 << 31) + 256
    H[slot] = answer
    send(1, PARENT, 32, slot, pack_value([name]))


def full():
    return sum([c.out.own for c in list(CHILDREN.values())]) > ALL_HELD_MAX


def serve_roomless():
    # What went from the cache meanwhile is asked for again.
    for c in ROOMLESS[:]:
        here = CHILDREN.get(c.ident) is c
        while here and c.roomless and c.out.own <= OWN_HELD_MAX and not full():
            c.waits -= 1
            get_module(c, *c.roomless.pop(0))
        if not here or not c.roomless:
            ROOMLESS.remove(c)


def is_entry(e):
    # As far as it is looked at here.
    if not isinstance(e, list) or not e or not isinstance(e[0], TEXT):
        return
    return len(e) < 7 or isinstance(e[3], BYTES) and isinstance(e[6], BYTES) and isinstance(e[4], list) and \
        not [x for x in e[4] if not isinstance(x, TEXT)]


def remember(e):
    # One that is not known.
    CACHE[e[0]] = e
    CACHED[1].append(e[0])
    CACHED[0] += len(e) > 6 and len(e[6])
    while CACHED[0] > MODCACHE_MAX or len(CACHE) > MODCACHE_ENTRIES:
        x = CACHE.pop(CACHED[1].pop(0))
        CACHED[0] -= len(x) > 6 and len(x[6])
        for c in CHILDREN.values():
            c.served.pop(x[0], 0)
    STATS[5] = len(CACHE)


def serve(c, src, reply, name):
    # The entry and what it imports, as far as it is here, was not sent over this link, and there is room.
    todo = [name]
    out = []
    n = items = 0
    while todo:
        x = todo.pop(0)
        e = CACHE.get(x)
        if not e or out and x in c.served:
            continue
        s = entry_bytes(e)
        if out:
            n += len(s)
            items += ENTRY_ITEMS + (len(e) > 6 and len(e[4]) + (isinstance(e[5], list) and len(e[5])))
        if n > ANSWER_BYTES_MAX or items > ANSWER_ITEMS_MAX:
            break
        c.served[x] = 1
        out.append(s)
        if len(e) > 6:
            todo += [y for y in e[4] if y not in c.served]
    body = major(128, len(out)) + EMPTY.join(out)
    if len(body) <= FRAME_BODY_MAX:
        return send(1, src, reply, 0, body)
    LOCK.acquire()
    # By offset: to cut off each time what is left copies all of it, seconds of a large module.
    for i in range(0, len(body), BULK_BODY_MAX):
        s = body[i:i + BULK_BODY_MAX]
        c.out.put(2, pack('>4B6I', 236, 1, i + len(s) < len(body) and 18 or 2, HOPS, src, ME, ME, reply, 0, len(s)) + s, None)
    c.out.pump()
    LOCK.release()
