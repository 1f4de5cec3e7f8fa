# Routing (docs/protocol.md section 3). Invariant: a bulk frame taken from the parent is acknowledged at once, one from a child
# by `owe` when it goes no further, else by the Output that wrote it on.

NEAR = 1, 2, 3, 4, 5, 6, 9, 10, 11, 32  # link-local handles, and GRANT, which every router on the way reads
# Those of docs/protocol.md have its names; how many bytes unless it is said.
QUEUE_MAX = 1 << 20             # of control and calls on one link
CONTROL_MAX = 1 << 21           # of control alone
CONTROL_AT = 65536              # of control for the parent: above, no child is read
NOTICES_AT = 1 << 19            # of control for a child: above, notices to who is behind it have
NOTICES_EACH = 4096             # for eight ids, and who shares with them
NOTICE_SHARES = 64              # of them, not bytes
CALL_RUN_MAX = 65536            # of calls in a row while bulk waits
PAUSE_AT = 262144
RESUME_AT = 65536
PAUSED_MAX = 64                 # intervals that a child holds back; more stand for all of it
INTERVALS_MAX = 32              # of a link
GROUPS_MAX = 64
LOST_KEPT = 64                  # intervals
HELLO_MAX = 256
RAW_WINDOW = 65536
TAKEN_MAX = 0x1010000           # HOP_WINDOW_MAX + HOP_WINDOW_MIN: of bulk that was not acknowledged
ROUTES_MAX = 4096               # of them kept
ANSWERS_MAX = 1 << 24           # bytes of answers on their way up
HELD_AT = 25 << 20              # bytes of bulk for a child: above, all of it is paused
HELD_MAX = 1 << 26              # only passed by a parent that heeds no PAUSE


def child_of(dst):
    # Any thread: ROUTES may be emptied meanwhile.
    found = ROUTES.get(dst, 0)
    if found == 0:
        found = None
        for c in list(CHILDREN.values()):
            if c.linked and c.holds(dst):
                found = c
        if len(ROUTES) > ROUTES_MAX:
            ROUTES.clear()
        ROUTES[dst] = found
    return found


def mine(i):
    for lo, hi in BLOCKS:
        if lo <= i < hi:
            return True


def dead(reason, src, reply, asked, evidence):
    if reply:
        send(4, src, reply, 0, pack_value([reason, asked, ME, evidence]))


def forward(link, out, kind, hops, dst, src, auth, handle, reply, body, many=None):
    n = out.held[0] + out.held[1] + len(body) + 28
    if kind & 3 == 1 and n > QUEUE_MAX and (out.child or handle < 256 or n > ANSWERS_MAX):
        return refused(out, kind, dst, src, handle, reply, body)
    if kind & 2 and not link and out.held[2] + len(body) + 28 > HELD_MAX:
        return dead('busy', src, not kind & 4 and reply, dst, '')
    s = pack('>4B6I', 236, 1, kind, hops - 1, dst, src, auth, handle, reply, len(body))
    LOCK.acquire()
    if many and kind & 2:
        many.owed -= len(body) + 28
        out.put(kind, s, many, body)
    else:
        out.put(kind, s + body, link)
    LOCK.release()
    flush(out)


def flush(out):
    LOCK.acquire()
    if not out.want:
        out.pump()
    LOCK.release()


def tell(handle, v):
    for x in v:
        send(0, PARENT, handle, 0, pack_value(x))


def crowded(c):
    # What the parent is to hold back: all that is for c, when too much waits for c as such, or 25 MiB altogether; and each part that
    # c holds back itself, once too much waits for that. What belongs to a part does not count for c as such, else one reader behind
    # c that stops would stop them all.
    out = c and c.out
    if not c or out.held[2] <= RESUME_AT and not c.paused and not c.parts:
        return
    LOCK.acquire()
    v = out.paused + c.parts
    full = out.held[2] > HELD_AT
    n = out.held[2] + out.many.owed
    held = dict.fromkeys(v, 0)
    for x in v and out.queues[2]:
        for y in v:
            if x[2] is not out.many and belongs(x, y):
                held[y] += x[3]
                n -= x[3]
                break
    LOCK.release()
    for y in held:
        if y not in out.paused:
            if held[y] <= RESUME_AT:
                c.parts.remove(y)
                tell(6, [y])
        elif held[y] > PAUSE_AT and y not in c.parts:
            c.parts.append(y)
            tell(5, [y])
    full = full or n > (c.paused and RESUME_AT or PAUSE_AT)
    if full != c.paused:
        c.paused = full
        tell(full and 5 or 6, c.intervals)


def route(*rest):
    route_from(None, *rest)


def heard(link, s, x):
    # s, what was left over, and x, what came, from a child or (None) the parent: all whole frames; what is left over comes back.
    # Of the two only the frame that lies in both is put together. Bulk is only queued, and written when all of x is: several
    # frames at once.
    at = 0
    outs = {}
    while s and at < len(x):
        n = 28
        if len(s) > 27:
            n += unpack('>I', s[24:28])[0]
        y = x[at:at + max(n - len(s), 0)]
        at += len(y)
        s = frames(link, s + y, 0, outs)
    if not s and not (link and link.gone):
        s = frames(link, x, at, outs)
    for out in outs:
        flush(out)
        crowded(out.child)
        LOCK.acquire()
        v = out.queues[2]
        for i in range(len(v) - 1, max(len(v) - outs[out], 0) - 1, -1):
            # What has to wait does not keep all of x.
            y = v[i]
            v[i] = y[0], EMPTY + y[1], y[2], y[3], y[4]
        LOCK.release()
    write_fresh()
    return s


def frames(link, s, at, outs):
    # All whole frames of s from `at` on. After a bad one, nothing is read any more. What `route_from` has let pass once, it lets
    # pass again as long as no interval changes: a frame with the same dst, src and auth over the same link, if it is no grant,
    # nor anything special, goes the short way, with one hop less and otherwise as it is.
    share = view(s)
    while len(s) - at > 27:
        h = s[at:at + 28]
        magic, version, kind, hops, dst, src, auth, handle, reply, n = unpack('>4B6I', h)
        if magic != 236 or version != 1 or kind & 195 > 2:
            broken(link, 'bad-frame')
            return EMPTY
        if n > FRAME_BODY_MAX >> (kind & 2):
            broken(link, 'frame-too-big')
            return EMPTY
        n += 28
        if at + n > len(s):
            break
        out = ROUTES.get((link, s[at + 4:at + 16]))
        if not out or kind & 8 or hops < 2 or handle in NEAR or not kind & 2 and (kind > 1 or out.held != NONE) \
                or not link and out.held[2] > HELD_MAX - 16412:
            route_from(link, kind, hops, dst, src, auth, handle, reply, s[at + 28:at + n])
            if link and link.gone:
                return EMPTY
        else:
            k = 1
            head = pack('4B', 236, 1, kind, hops - 1)
            if kind & 2:
                # With the frames behind it whose headers are the same: a run, as a stream makes them.
                while at + k * n + n <= len(s) and s[at + k * n:at + k * n + 28] == h and (link or out.held[2] < HELD_MAX - (k + 1) * n):
                    k += 1
                if received(link, k * n):
                    return EMPTY
                LOCK.acquire()
                m = k > 3 and out.write_run(head, link, share, at, n, k)
                if m < k:
                    out.put_run(kind, head, link, share, at + m * n, n, k - m)
                    outs[out] = outs.get(out, 0) + k - m
                LOCK.release()
            else:
                out.straight(kind, head + s[at + 4:at + n])
            if link:
                link.frames_in += k
            at += k * n - n
        at += n
    return s[at:]


def received(link, n):
    # Bulk that goes on: when it is acknowledged. True: it was too much.
    global OWED
    BUSY[0] = 1
    if link:
        link.taken += n
        if link.taken > TAKEN_MAX:
            broken(link, 'bad-credit')
            return 1
    else:
        OWED += n


def passed(link, out, *rest):
    if len(ROUTES) > ROUTES_MAX:
        ROUTES.clear()
    ROUTES[link, pack('>3I', *rest)] = out


def route_from(link, kind, hops, dst, src, auth, handle, reply, body):
    asker = not kind & 4 and reply
    if link is None:
        owe(None, kind, body)
        if mine(src):
            COUNT[0] += 1
            return
        if kind & 8:
            return multicast(kind, hops, dst, src, auth, handle, reply, body)
        if dst == ME and src != PARENT and handle in (10, 11):
            return dead('no-authority', src, asker, dst, '')
        if dst == ME:
            return deliver(kind, src, handle, reply, body)
    else:
        link.frames_in += 1
        if not link.heard:
            return hello(link, kind, dst, src, handle, body)
        if kind & 2:
            link.taken += len(body) + 28
            if link.taken > TAKEN_MAX:
                return broken(link, 'bad-credit')
        if not link.holds(src):
            COUNT[0] += 1
            return owe(link, kind, body)
        if src == link.ident:
            auth = src
        elif not link.holds(auth):
            COUNT[1] += 1
            return owe(link, kind, body)
        if kind & 8:
            COUNT[1] += 1
            return owe(link, kind, body)
        if dst == ME:
            owe(link, kind, body)
            return from_child(link, kind, src, handle, reply, body)
    c = child_of(dst)
    reason = ''
    if handle in NEAR and handle != 9:
        reason = 'no-authority'
    elif hops < 2:
        reason = 'hop-limit'
    elif c and link is None and handle == 9 and not kind & 4:
        reason = grant_below(c, body)
    if reason:
        pass
    elif c and link is None:
        forward(None, c.out, kind, hops, dst, src, auth, handle, reply, body)
        passed(None, c.out, dst, src, auth)
        return crowded(c)
    elif c:
        reason = 'no-authority'
    elif mine(dst) or link is None:
        reason = 'no-route'
    else:
        passed(link, UP, dst, src, auth)
        return forward(link, UP, kind, hops, dst, src, auth, handle, reply, body)
    if link:
        owe(link, kind, body)
    evidence = ''
    for lo, hi, x in LOST[::-1]:
        if reason == 'no-route' and lo <= dst < hi:
            reason = 'lost'
            evidence = x
    dead(reason, src, asker, dst, evidence)


def owe(link, kind, body):
    global OWED
    if kind & 2:
        if link:
            link.owed += len(body) + 28
        else:
            OWED += len(body) + 28
        BUSY[0] = 1


CAST = [0]                      # the group, while something that came for one is delivered


def notice(reason, src, reply, asked=0):
    dead(reason, src, reply, asked or CAST[0] or ME, '')


def exchange(x, y):
    # Two keys of COLLECT: what comes for a group is collected apart, and counts with the rest.
    v = COLLECT.pop(x, 0), COLLECT.pop(y, 0)
    if v[0]:
        COLLECT[y] = v[0]
    if v[1]:
        COLLECT[x] = v[1]


def multicast(kind, hops, dst, src, auth, handle, reply, body):
    if dst not in GROUPS:
        COUNT[3] += 1
        return
    me = late = 0
    asker = not kind & 4 and reply
    for x in GROUPS[dst]:
        if x == ME:
            me = 1
        elif x in CHILDREN and hops > 1:
            forward(None, CHILDREN[x].out, kind, hops, dst, src, auth, handle, reply, body, CHILDREN[x].out.many)
            crowded(CHILDREN[x])
        elif x in CHILDREN:
            late = asker
    if me and handle not in NEAR:
        CAST[0] = dst
        exchange(src, (src, dst))
        deliver(kind & 247, src, handle, reply, body)
        exchange(src, (src, dst))
        CAST[0] = 0
    elif me:
        dead('no-authority', src, asker, dst, '')
    dead('hop-limit', src, late, dst, '')
