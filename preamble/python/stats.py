# Part `stats`: the STATS answer (docs/protocol.md section 10), for `tree`.
#
# A leaf has counted nothing but what it refused: the other figures of its one link are its parent's, the other way round
# (key 9), and mesh/tree.c takes them from there. So keys 0 to 3 speak of the links to children only.


def stats(kind, src, reply, body):
    rows = []
    modules = len(ENTRIES)
    asked = dials = queued = 0
    logs = COUNT[4]
    if 16 in H:
        # `relay` is here.
        modules, asked, dials = [STATS[x] for x in (5, 6, 7)]
        queued = sum(UP.held)
        logs += STATS[4]
        for c in list(CHILDREN.values()):
            if c.linked:
                rows.append([c.ident, c.frames_in, c.frames_out, c.bytes_in, c.bytes_out, sum(c.out.held), c.rtt])
    sums = [sum([x[i] for x in rows]) for i in range(1, 6)]
    sums[4] += queued
    if reply:
        body = dict(enumerate(sums + [modules, asked, dials, COUNT[:4] + [logs], rows]))
        thread.start_new_thread(send, (1, src, reply, 0, pack_value(body)))


H[28] = stats
