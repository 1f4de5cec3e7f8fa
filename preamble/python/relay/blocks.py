# Blocks and groups (docs/protocol.md section 3): which intervals are mine, and which links hold a group's members.

def joined(v, lo, hi):
    # The intervals v with [lo, hi), merged with what it meets or touches.
    out = []
    for x in v:
        if x[0] <= hi and lo <= x[1]:
            lo, hi = min(lo, x[0]), max(hi, x[1])
        else:
            out.append(x)
    return out + [(lo, hi)]


def block(body):
    lo, n = decode(body)[:2]
    return number(lo), number(lo + number(n, 1, 1 << 32), 0, (1 << 32) + 1)


def meets(lo, hi, but=None, promised=1):
    # Whether [lo, hi) holds my own id or something of a child other than `but`; or only of one that is a link.
    for c in CHILDREN.values():
        if c is not but and (promised or c.linked) and [x for x in c.intervals if x[0] < hi and lo < x[1]]:
            return True
    return lo <= ME < hi


def grant_below(c, body):
    # A GRANT on its way to c or behind it: the reason why it goes no further.
    try:
        lo, hi = block(body)
    except:
        return 'bad-body'
    if meets(lo, hi, c, 0):
        return 'no-authority'
    below, own = joined(c.intervals, lo, hi), joined(BLOCKS, lo, hi)
    if len(below) > INTERVALS_MAX or len(own) > INTERVALS_MAX:
        return 'block-exhausted'
    # The parent knows a paused link by its intervals.
    for handle, v in (5, below), (6, c.intervals):
        tell(handle, c.paused and v or [])
    c.intervals, BLOCKS[:] = below, own
    ROUTES.clear()


def grant(kind, src, reply, body):
    own = joined(BLOCKS, *block(body))
    if len(own) > INTERVALS_MAX:
        return dead('block-exhausted', src, reply, ME, '')
    BLOCKS[:] = own
    ROUTES.clear()
    if reply:
        send(1, src, reply, 0, pack_value(None))


def group(kind, src, reply, body):
    try:
        gid, v = decode(body)[:2]
        number(gid, 0, 1 << 32)
        for i in range(0, len(typed(v, list)), 2):
            number(v[i + 1], number(v[i]) + 1, (1 << 32) + 1)
    except:
        die()
    if gid not in GROUPS and len(GROUPS) >= GROUPS_MAX:
        return dead('group-limit', src, reply, ME, '')
    before = GROUPS.get(gid, ())
    members = GROUPS[gid] = []
    for c in list(CHILDREN.values()):
        part = []
        for i in range(0, len(v), 2):
            for lo, hi in c.intervals:
                lo, hi = max(lo, v[i]), min(hi, v[i + 1])
                if lo < hi:
                    part += [lo, hi]
        if part and c.linked:
            members.append(c.ident)
            send(0, c.ident, 10, 0, pack_value([gid, part]))
        elif c.ident in before:
            send(0, c.ident, 11, 0, pack_value([gid]))
    for i in range(0, len(v), 2):
        if v[i] <= ME < v[i + 1] and ME not in members:
            members.append(ME)


def ungroup(kind, src, reply, body):
    try:
        gid = number(decode(body)[0])
    except:
        die()
    for x in GROUPS.pop(gid, []):
        if x in CHILDREN:
            send(0, x, 11, 0, body)
