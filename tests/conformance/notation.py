"""The bodies of vectors: CBOR diagnostic notation as Python reads it, an encoder, a strict decoder, and a matcher.

A third writing of docs/protocol.md section 2, on purpose: neither the C codec nor the agent's judges itself here. The
decoder takes nothing that a sender must not send (section 2, deterministic encoding), so every body that an
implementation writes is checked for that too.

An expression is Python's, with h'00ff' for bytes, true, false and null; in what is expected, `_` stands for anything,
`...` at the end of an array for further items, `**rest` in a map for further keys, `$name` for anything, which has that name
from then on.
"""
import hashlib
import math
import re
import struct
import zlib


class Any(object):
    def __repr__(self):
        return '_'


ANY = Any()
REST = {Ellipsis: ANY}  # [1, *rest] and {0: 1, **rest} both read well


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for i, size in enumerate((1, 2, 4, 8)):
        if n < 1 << 8 * size:
            return bytes([major << 5 | 24 + i]) + n.to_bytes(size, 'big')
    raise ValueError(n)


def encode(o):
    if o is None or o is True or o is False:
        return bytes([{None: 246, True: 245, False: 244}[o]])
    if isinstance(o, int):
        o = int(o)
        major, n = (1, -1 - o) if o < 0 else (0, o)
        if n >> 64:
            b = n.to_bytes((n.bit_length() + 7) // 8, 'big')
            return bytes([0xc2 + major]) + head(2, len(b)) + b
        return head(major, n)
    if isinstance(o, float):
        return b'\xfb' + struct.pack('>d', o)
    if isinstance(o, bytes):
        return head(2, len(o)) + o
    if isinstance(o, str):
        b = o.encode()
        return head(3, len(b)) + b
    if isinstance(o, (list, tuple)):
        return head(4, len(o)) + b''.join(encode(x) for x in o)
    if isinstance(o, dict):
        return head(5, len(o)) + b''.join(k + v for k, v in sorted((encode(k), encode(o[k])) for k in o))
    raise TypeError(o)


class Bad(ValueError):
    pass


def decode(s):
    try:
        v, p = item(s, 0)
    except (IndexError, struct.error, UnicodeDecodeError) as e:
        raise Bad('not CBOR: %s' % e)
    if p != len(s):
        raise Bad('bytes after the item')
    return v


def item(s, p):
    b = s[p]
    major, n = b >> 5, b & 31
    p += 1
    if b == 0xfb:
        return struct.unpack('>d', s[p:p + 8])[0], p + 8
    if major == 7:
        if b not in (244, 245, 246):
            raise Bad('simple value %#x' % b)
        return {244: False, 245: True, 246: None}[b], p
    if n > 23:
        if n > 27:
            raise Bad('additional information %d' % n)
        k = 1 << n - 24
        at, n, p = p, int.from_bytes(s[p:p + k], 'big'), p + k
        if head(major, n) != s[at - 1:p]:
            raise Bad('an integer head that is not the shortest')
    if major < 2:
        return (n, -1 - n)[major], p
    if major < 4:
        v = s[p:p + n]
        if len(v) != n:
            raise Bad('a length past the end')
        return (v.decode() if major == 3 else v), p + n
    if major == 4:
        out = []
        for _ in range(n):
            v, p = item(s, p)
            out.append(v)
        return out, p
    if major == 5:
        return pairs(s, p, n)
    v, p = item(s, p)
    if n not in (2, 3) or not isinstance(v, bytes) or len(v) < 9 or not v[0]:
        raise Bad('a tag, or a bignum that is not one')
    v = int.from_bytes(v, 'big')
    return (v if n == 2 else -1 - v), p


def pairs(s, p, n):
    out, last = {}, b''
    for _ in range(n):
        q = p
        k, p = item(s, p)
        if s[q:p] <= last:
            raise Bad('map keys are not sorted')
        last = s[q:p]
        out[k], p = item(s, p)
    return out, p


def same(want, got):
    """True where got is what want says; types count (1 is not true, bytes are not text)."""
    if want is ANY:
        return True
    if isinstance(want, (list, tuple)):
        if not isinstance(got, list):
            return False
        want = list(want)
        if want and want[-1] is Ellipsis:
            want.pop()
            got = got[:len(want)]
        return len(want) == len(got) and all(same(a, b) for a, b in zip(want, got))
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return False
        fixed = [k for k in want if k is not Ellipsis]
        if Ellipsis not in want and len(got) != len(fixed):
            return False
        return all(k in got and same(want[k], got[k]) for k in fixed)
    if isinstance(want, Kept):
        want.names[want.name] = got
        return True
    if isinstance(want, Choice):
        return any(same(x, got) for x in want.of)
    if isinstance(want, bool) or isinstance(got, bool):
        return want is got
    if isinstance(want, float) and isinstance(got, float):
        return want == got or (math.isnan(want) and math.isnan(got))
    kind = int if isinstance(want, int) else type(want)
    return isinstance(got, kind) and want == got


class Choice(object):
    """either(a, b): one of these."""

    def __init__(self, *of):
        self.of = of

    def __repr__(self):
        return 'either%r' % (self.of,)


class Kept(object):
    """$name: anything, kept under this name."""

    def __init__(self, names, name):
        self.names, self.name = names, name


def in_words(text, number):
    """why(TEXT, N): a text that ends in the words for errno N."""
    return text


def in_number(text, number):
    """The same of a native agent, which says the number in their place."""
    at = text.rfind(': ')
    return text[:at + 2 if at >= 0 else 0] + 'Error %d' % number


def nest(n):
    """n arrays within each other: depth n."""
    v = []
    for _ in range(n - 1):
        v = [v]
    return v


FIXED = {'true': True, 'false': False, 'null': None, '_': ANY, 'rest': REST, 'nest': nest, 'cbor': encode, 'either': Choice, 'why': in_words,
         'zlib': lambda text: zlib.compress(text.encode()), 'digest': lambda b: hashlib.sha256(b).digest()[:16],
         'range': range, 'len': len, 'list': list, 'sum': sum, 'inf': math.inf, 'nan': math.nan, 'bytes': bytes, 'str': str,
         '__builtins__': {}}


def evaluate(text, names):
    text = re.sub(r"\bh'([0-9a-fA-F ]*)'", lambda m: repr(bytes.fromhex(m.group(1))), text.strip())
    text = re.sub(r'(?<=[\[ ])\$([a-z]+)', r'kept("\1")', text)
    return eval(text, dict(FIXED, kept=lambda name: Kept(names, name), **names))  # vectors are part of the tests: as trusted as this file
