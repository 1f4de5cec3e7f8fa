# Values (docs/protocol.md section 2). pack_value() writes the deterministic form; decode() is the only judge of what may
# travel, in both directions: run_call asks it about its own answer. It is strict, and costs no more than a few hundred
# bytes, because one closure keeps the place and the items left.

def strict(s):
    # The text in these bytes. Python 2 lets surrogates pass as UTF-8.
    if BYTES is str:
        for x in s.split('\xed')[1:]:
            if x[:1] > '\x9f':
                raise ValueError
    return s.decode('utf8')


def pack_value(o, major=0, s=EMPTY):
    # With major: the head of something of size o, and the thing behind it.
    if o is None:
        return pack('B', 246)
    if isinstance(o, bool):
        return pack('B', 244 + o)
    if isinstance(o, float):
        return pack('>Bd', 251, o)
    if isinstance(o, (type(1 << 64), int)):
        n = 0
        if o < 0:
            major = 32
            o = ~o
        if o >> 64:
            while o:
                s = pack('B', o & 255) + s
                o >>= 8
            return pack('B', 194 + major // 32) + pack_value(len(s), 64, s)
        if o < 24:
            return pack('B', major + o) + s
        while o >> (8 << n):
            n += 1
        return pack('>B' + 'BHIQ'[n], major + 24 + n, o) + s
    if isinstance(o, TEXT):
        major = 96
        s = o.encode('utf8')
    elif isinstance(o, BYTES):
        s = o
        try:
            strict(BYTES is str and o)      # Python 3: of False, which fails as it should
            major = 96
        except:
            major = 64
    elif isinstance(o, dict):
        return pack_value(len(o), 160, EMPTY.join(sorted(pack_value(x) + pack_value(o[x]) for x in o)))
    elif isinstance(o, (list, tuple)):
        return pack_value(len(o), 128, EMPTY.join(pack_value(x) for x in o))
    else:
        raise ValueError(type(o))
    return pack_value(len(s), major, s)


def decode(s):
    at = [0, CBOR_VALUE_ITEMS_MAX]

    def take(n):
        # Past the end the place goes on: the last line finds out.
        at[0] += n
        return s[at[0] - n:at[0]]

    def item(depth, key=0):
        at[1] -= 1
        major = ord(take(1))
        n = major & 31
        if n > 23:
            # (28 finds no double in its 16 bytes.)
            n, = unpack('>' + 'BHIQd'[n - 24 + (major == 251)], take(1 << n - 24))
        if at[1] < 0 or depth > CBOR_DEPTH_MAX or key and 127 < major < 224 or 127 < major < 192 and n > at[1]:
            raise ValueError
        if major == 251:
            return n
        if major >= 224:
            return (False, True, None)[major - 244 & 31]
        depth += 1
        major >>= 5
        if major < 2:
            return (n, ~n)[major]
        if major < 4:
            return (BYTES, strict)[major - 2](take(n))
        if major < 5:
            return [item(depth) for x in range(n)]
        if major < 6:
            v = dict((item(depth, 1), item(depth)) for x in range(n))
            return {n: v}[len(v)]       # fewer: a key came twice
        at[1] += 1
        v = item(depth - 1)
        if len(v) > CBOR_BIGNUM_MAX or not isinstance(v, BYTES):
            raise ValueError
        major = 0
        for x in unpack('%dB' % len(v), v):
            major = major * 256 + x
        return {2: major, 3: ~major}[n]

    v = item(1)
    if at[0] - len(s) or at[0] > MESSAGE_MAX:
        raise ValueError
    return v


def text(o, room):
    # Any object as text that can travel, at most room bytes of UTF-8: a longer one keeps head and tail.
    for f in str, TEXT, repr:
        try:
            s = f(o)
            if not isinstance(s, TEXT):
                s = s.decode('utf8', 'replace')
            s = s.encode('utf8')
            strict(s)
            break
        except:
            s = EMPTY
    if len(s) > room:
        s = s[:room // 2] + s[-room // 2:]
    return s.decode('utf8', 'ignore')
