# What a child may say to its parent (docs/protocol.md section 5), and the end of a link, or of all, when it says something else.


def hello(c, kind, dst, src, handle, body):
    if kind or dst != ME or src != c.ident or handle != 1:
        return broken(c, 'bad-hello')
    try:
        if dict(decode(body))[0] != 1:
            return broken(c, 'version')
    except:
        return broken(c, 'bad-body')
    c.heard = 1
    c.event(6, body)


def from_child(c, kind, src, handle, reply, body):
    # What a child may say to me; everything else is refused.
    near = src == c.ident
    try:
        if kind & 4 or handle > 255 and handle in H:
            # An answer, or data: whatever I have opened, I have for somebody above, or asked there.
            COUNT[2] += handle < 256 or handle in H
        elif kind & 2 and c.refused(kind, src, (handle, reply)):
            pass
        elif kind & 16 and kind & 2 and (near and handle in (3, 4, 5, 6, 32)):
            dead('too-big', src, reply, ME, '')     # nothing that it may say is
        elif handle == 3 and near:
            if number(decode(body)) == int(c.ping * 1000):
                c.rtt = int((clock() - c.ping) * 1e6)
        elif handle == 4 and near:
            c.out.acked += number(decode(body))
            if c.out.acked > c.out.sent:
                return broken(c, 'bad-credit')
            sample(c.out.hop, c.out.acked)
            if c.out.held[2]:
                flush(c.out)
            crowded(c)
        elif handle in (5, 6) and near:
            lo, hi = map(number, decode(body)[:2])
            if not [x for x in c.intervals if x[0] <= lo < hi <= x[1]]:
                return broken(c, 'bad-pause')
            x = c.out.paused
            if handle == 5 and ((lo, hi) in x or len(dict.fromkeys(x)) < PAUSED_MAX):
                x.append((lo, hi))
            elif handle == 5:
                c.out.whole += 1
            elif (lo, hi) in x:
                x.remove((lo, hi))
            elif c.out.whole:
                c.out.whole -= 1
            LOCK.acquire()
            c.out.pump()
            LOCK.release()
            crowded(c)
        elif handle == 32 and near:
            name = typed(decode(body), list)[0]
            if not isinstance(name, TEXT) or len(name.encode('utf8')) > 255:
                return dead('bad-body', src, reply, ME, '')     # Python 2 asks for a name that is no UTF-8 as bytes
            get_module(c, src, reply, name)
        elif handle == 34 and handle in H:
            H[handle](kind, src, reply, body)
        elif handle in NEAR or handle in (7, 8, 16, 17, 18, 19, 24, 25, 26, 27, 28, 29):
            dead('no-authority', src, reply, ME, '')
        else:
            dead('no-handle', src, reply, ME, '')
    except:
        if handle in NEAR:
            return broken(c, 'bad-body')
        dead('bad-body', src, reply, ME, '')


def broken(link, reason):
    if link is None:
        die()
    link.gone = 1
    link.slay(reason)


def die(*rest):
    for c in list(CHILDREN.values()):
        try:
            if c.pid and c.status is None:
                os.kill(-c.pid, 9)
        except OSError:
            pass
    relay_die()


H[8] = die
