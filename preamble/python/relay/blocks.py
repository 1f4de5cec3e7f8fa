# Blocks and groups (docs/protocol.md section 3): which intervals are mine, and which links hold a group's members.

def join_interval(v, lo, hi):
    for x in v[:]:
        if x[1] == lo or x[0] == hi:
            v.remove(x)
            lo, hi = min(lo, x[0]), max(hi, x[1])
    v.append((lo, hi))
    ROUTES.clear()


def grant_below(c, body):
    lo, n = decode(body)[:2]
    join_interval(c.intervals, lo, lo + n)


def grant(kind, src, reply, body):
    lo, n = decode(body)[:2]
    join_interval(BLOCKS, lo, lo + n)
    if reply:
        send(1, src, reply, 0, pack_value(None))


def group(kind, src, reply, body):
    gid, v = decode(body)[:2]
    if gid not in GROUPS and len(GROUPS) > 63:
        return dead('group-limit', src, reply, ME, '')
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
    for i in range(0, len(v), 2):
        if v[i] <= ME < v[i + 1]:
            members.append(ME)


def ungroup(kind, src, reply, body):
    gid = decode(body)[0]
    for x in GROUPS.pop(gid, []):
        if x in CHILDREN:
            send(0, x, 11, 0, body)
