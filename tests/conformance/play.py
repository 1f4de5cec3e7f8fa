"""Plays one vector against one implementation: boots it as a child, sends, expects, and looks that it ends as it must."""
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress

from children import Children
from notation import ANY, decode, encode, evaluate, in_number, same
from sockets import Sockets, place_of, text
from wire import ACK, BULK, CONTROL, DEAD, HANDLES, Failure, Frame, Link, kind_of

FIELD = re.compile(r'([a-z]+)=(\S+)\s*')


class Capture(str):
    """`reply=$name` in what is expected: anything but 0, kept under this name."""


class Player(Children, Sockets):
    def __init__(self, implementation, tools, limit=8.0):
        self.imp, self.tools, self.limit = implementation, tools, limit
        self.names, self.children, self.connections, self.over, self.probe = {}, {}, {}, False, 1 << 30
        self.folder = tempfile.mkdtemp(prefix='ec')
        self.proc = self.link = self.listener = None
        self.held = []

    # ---- life ----

    def play(self, vector):
        place = vector.place
        try:
            self.boot(vector.boot)
            for name in vector.parts:
                self.part(name)
            for step in vector.steps:
                place = step.place
                self.step(step)
            place = vector.place + ' (the end)'
            self.finish()
            return None
        except Failure as e:
            return '%s: %s%s' % (getattr(e, 'place', place), e, self.said())
        except Exception as e:
            return '%s: %s: %s%s' % (getattr(e, 'place', place), type(e).__name__, e, self.said())
        finally:
            self.clean()

    def boot(self, options):
        words = [w for w in options.split() if '=' not in w]
        self.names = {'me': 8, 'size': 64, 'parent': 0, 'idle': 0, 'level': 10, 'extra': {}, 'part': self.imp.part,
                      'text': text, 'place_of': place_of, 'here': self.folder}
        if self.imp.name.startswith('native'):
            self.names['why'] = in_number
        for k, v in re.findall(r'([a-z]+)=(\S+)', options):
            self.names[k] = evaluate(v, self.names)
        n = self.names
        self.stderr = open(os.path.join(self.folder, 'stderr'), 'w+b')
        self.proc = subprocess.Popen(self.imp.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr,
                                     bufsize=0, start_new_session=True, cwd=self.folder, env=self.imp.env)
        self.link = Link('parent link', self.proc.stdout.fileno(), self.proc.stdin.fileno())
        try:
            fcntl.fcntl(self.link.wfd, 1031, 1 << 20)  # F_SETPIPE_SZ: fewer turns for large messages
        except OSError:
            pass
        hello = {0: 1, 1: [n['me'], n['size']], 2: n['idle'], 3: n['level'], 4: 'econtext:conformance'}
        hello.update(n['extra'])
        first = self.imp.preamble
        if 'none' not in words:
            first += Frame(CONTROL, 64, n['me'], n['parent'], n['parent'], 1, 0, encode(hello)).pack()
        self.link.write(first, self.limit)
        if 'none' not in words:
            self.hello_answer()

    def hello_answer(self):
        self.expect(self.link, 'control HELLO {0: 1, 1: either("python", "native"), 2: _, 3: _, 4: _, 5: _, 6: _}')

    def part(self, name):
        if 'parts' in self.imp.features:
            self.send(self.link, 'call PART reply=%d ["%s", part("%s")]' % (self.probe, name, name))
            self.expect(self.link, 'call %d null' % self.probe)

    def finish(self):
        if self.over:
            return
        self.quiet(self.link)
        for c in self.children.values():
            if c.up and not c.over and not select.select([c.control], [], [], 0)[0]:
                self.quiet(c.link)
        self.hang_up()

    def hang_up(self):
        """Without its parent a context ends, and with it everything it started."""
        for f in (self.proc.stdin, self.proc.stdout):
            f.close()
        self.dead()

    def dead(self):
        self.over = True
        try:
            self.proc.wait(self.limit)
        except subprocess.TimeoutExpired:
            raise Failure('its parent has gone and it goes on')
        for c in self.children.values():
            if c.control:
                self.gone(c)

    def gone(self, c):
        self.link.others.pop(c.control.fileno(), None)
        if not select.select([c.control], [], [], self.limit)[0] or c.control.recv(1):
            raise Failure('the process of child %d goes on' % c)

    def said(self):
        if not self.proc:
            return ''
        self.stderr.seek(0)
        s = self.stderr.read()[-2000:].decode('utf-8', 'replace').strip()
        return s and '\n    stderr: ' + s.replace('\n', '\n    ')

    def clean(self):
        for c in self.children.values():
            for x in (c.link, c.err, c.tty, c.control):
                if x:
                    x.close()
        self.shut()
        if self.listener:
            self.listener.close()
        if self.proc:
            if self.proc.poll() is None:
                os.killpg(self.proc.pid, signal.SIGKILL)
                self.proc.wait()
            for f in (self.proc.stdin, self.proc.stdout, self.stderr):
                f.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- steps ----

    def step(self, step):
        try:
            word, _, rest = step.text.partition(' ')
            rest = rest.strip()
            if word[-1] in '<>':
                link = self.child(word[:-1]).link if word[:-1] else self.link
                (self.send if word[-1] == '>' else self.expect)(link, rest)
            elif word in self.children:
                verb, _, rest = rest.partition(' ')
                if verb == 'among':
                    self.among(self.children[word].link, rest.strip(), step.block)
                else:
                    getattr(self, 'child_' + verb)(self.children[word], rest.strip())
            elif word in self.connections:
                verb, _, rest = rest.partition(' ')
                getattr(self, 'socket_' + verb)(self.connections[word], rest.strip())
            elif word == 'flow+end':
                self.flow(rest, True)
            else:
                getattr(self, 'do_' + word)(rest, step.block)
        except Exception as e:
            if not hasattr(e, 'place'):
                e.place = step.place
            raise

    def steps(self, block):
        for s in block:
            self.step(s)

    def value(self, text):
        return evaluate(text, self.names)

    def child(self, name):
        if name not in self.children:
            raise Failure('there is no child %s' % name)
        return self.children[name]

    def fields(self, text):
        out = {}
        while True:
            m = FIELD.match(text)
            if not m:
                return out, text.strip()
            v = m.group(2)
            out[m.group(1)] = Capture(v[1:]) if v[0] == '$' else self.value(v)
            text = text[m.end():]

    def ends_of(self, link, sending):
        """(dst, src) of a frame between neighbours."""
        me, peer = self.names['me'], self.names['parent'] if link is self.link else link.peer
        return (me, peer) if sending else (peer, me)

    def frame(self, link, text, sending):
        """A frame as written, its body as text, and what of the header is not as it should be."""
        kind, handle, rest = (text.split(None, 2) + ['', ''])[:3]
        x, body = self.fields(rest)
        dst, src = self.ends_of(link, sending)
        handle = HANDLES[handle] if handle in HANDLES else self.value(handle)
        src = x.pop('src', src)
        f = Frame(kind_of(kind), x.pop('hops', 64), x.pop('dst', dst), src, x.pop('auth', src), handle, x.pop('reply', 0), b'')
        return f, body, x

    def bytes_of(self, text):
        if text.startswith('raw '):
            v = self.value(text[4:])
            return v.encode() if isinstance(v, str) else v
        return encode(self.value(text)) if text else b''

    def send(self, link, text):
        if text.startswith(('large ', 'large+')):
            return self.send_large(link, 'bulk' + text[5:])
        f, body, wrong = self.frame(link, text, True)
        f.body = self.bytes_of(body)
        link.write(f.pack(**wrong), self.limit)

    def send_large(self, link, text):
        """A message as fragments, as a sender cuts it (section 1.1)."""
        f, body, _ = self.frame(link, text, True)
        whole, kind = self.bytes_of(body), f.kind
        for at in range(0, len(whole), 1 << 20):
            out = []
            for i in range(at, min(at + (1 << 20), len(whole)), 16384):
                f.body = whole[i:i + 16384]
                f.kind = kind | (0x10 if i + 16384 < len(whole) else 0)
                out.append(f.pack())
            link.write(b''.join(out), self.limit)

    def expect(self, link, text):
        got = link.next(self.limit)
        wrong = self.differs(link, text, got)
        if wrong:
            raise Failure('%s: wanted `%s`, got %s: %s' % (link.name, text, got or 'the end', wrong))

    def differs(self, link, text, got):
        """None, or the field in which got is not what was wanted."""
        if got is None:
            return 'the link has ended'
        if text.startswith('dead '):
            text = self.notice(link, text[5:])
        elif text.startswith('late '):
            text = self.notice(link, text[5:] + ' no-handle')
            if got.kind & 3 == BULK:
                text = text.replace('control+dead', 'bulk+dead', 1).replace(' src=', ' reply=_ src=', 1)
        want, body, _ = self.frame(link, text, False)
        for k in ('kind', 'handle', 'dst', 'src', 'auth', 'hops', 'reply'):
            w, g = getattr(want, k), getattr(got, k)
            if isinstance(w, Capture) and g:
                self.names[str(w)] = g
            elif w is not ANY and w != g:
                return k
        if body == 'any':
            return None
        if body[:1] == '$':
            self.names[body[1:]] = decode(got.body)
            return None
        if not body or body.startswith('raw '):
            return None if self.bytes_of(body) == got.body else 'body'
        if same(self.value(body), decode(got.body)):
            return None
        return 'body'

    def notice(self, link, text):
        slot, reason, rest = (text.split(None, 2) + [''])[:3]
        x, _ = self.fields(rest)
        asked, at = x.get('asked', self.names['me']), x.get('at', self.names['me'])
        self.names['evidence'] = x.get('evidence', ANY)
        more = ''.join(' %s=%d' % (k, x[k]) for k in ('dst', 'hops') if k in x)
        return 'control+dead %s src=%d%s ["%s", %d, %d, evidence]' % (slot, at, more, reason, asked, at)

    def quiet(self, link):
        """Nothing else has been sent: the answer to a question is the very next frame."""
        self.probe += 1
        if link is self.link:
            self.send(link, 'call ECHO reply=%d [%d]' % (self.probe, self.probe))
            self.expect(link, 'call %d [%d]' % (self.probe, self.probe))
        else:
            self.send(link, 'call 200 reply=%d [1]' % self.probe)
            self.expect(link, 'dead %d no-handle' % self.probe)

    # ---- words ----

    def do_quiet(self, rest, block):
        self.quiet(self.link)

    def do_for(self, rest, block):
        name, values = rest.split(' in ', 1)
        for v in self.value(values):
            self.names[name.strip()] = v
            self.steps(block)

    def do_let(self, rest, block):
        name, v = rest.split('=', 1)
        self.names[name.strip()] = self.value(v)

    def do_any(self, rest, block):
        """`any order`: the frames of the block, in whatever order."""
        left = [(self.child(s.text.split('<')[0]).link if s.text[0] != '<' else self.link, s.text.split('<', 1)[1].strip())
                for s in block]
        while left:
            link = left[0][0]
            got = link.next(self.limit)
            hit = [x for x in left if x[0] is link and not self.differs(link, x[1], got)]
            if not hit:
                raise Failure('%s: wanted one of %s, got %s' % (link.name, ['`%s`' % x[1] for x in left if x[0] is link], got))
            left.remove(hit[0])

    def do_count(self, rest, block):
        self.count(self.link, rest)

    def child_count(self, c, rest):
        self.count(c.link, rest)

    def count(self, link, rest):
        """`count LOW HIGH FRAME`: so many such frames, and nothing else, are here by now; `counted` is how many.

        A question's answer overtakes bulk, so it is asked until three answers in a row had nothing between them.
        """
        low, high, text = rest.split(None, 2)
        ask = 'call ECHO reply=%d 1' if link is self.link else 'call 200 reply=%d 1'
        n = calm = 0
        while calm < 3:
            self.probe += 1
            calm += 1
            self.send(link, ask % self.probe)
            while True:
                got = link.next(self.limit)
                if got is not None and got.handle == self.probe:
                    break
                wrong = self.differs(link, text, got)
                if wrong:
                    raise Failure('%s: wanted `%s`, got %s: %s' % (link.name, text, got or 'the end', wrong))
                n += 1
                calm = 0
        self.names['counted'] = n
        if not self.value(low) <= n <= self.value(high):
            raise Failure('%s: %d times `%s`' % (link.name, n, text))

    def do_among(self, rest, block):
        self.among(self.link, rest, block)

    def among(self, link, rest, block):
        """`among N` (or FRAME): N frames (or those before FRAME) of which each is one of the block's `LOW HIGH FRAME`, so many of each."""
        kinds = [s.text.split(None, 2) + [0] for s in block]
        end = None if rest[0].isalpha() else self.value(rest)
        n = 0
        while n != end:
            got = link.next(self.limit)
            if end is None and not self.differs(link, rest, got):
                break
            hit = [k for k in kinds if not self.differs(link, k[2], got)]
            if not hit:
                raise Failure('%s: wanted one of %s, got %s' % (link.name, ['`%s`' % k[2] for k in kinds], got))
            hit[0][3] += 1
            n += 1
        for low, high, text, n in kinds:
            if not self.value(low) <= n <= self.value(high):
                raise Failure('%s: %d times `%s`' % (link.name, n, text))

    def do_deaf(self, rest, block):
        """From here on, what is sent is written without reading what comes meanwhile."""
        self.link.deaf = True

    def do_written(self, rest, block):
        """`written SLOT N`: events [4, n] that come to N; `written SLOT BODY`: any number of them, and then the event BODY."""
        slot, want = rest.split(None, 1)
        left = None if want[0] == '[' else self.value(want)
        while left is None or left > 0:
            got = self.link.next(self.limit)
            wrong = self.differs(self.link, 'call %s [4, $n]' % slot, got)
            if wrong and left is None and not self.differs(self.link, 'call %s %s' % (slot, want), got):
                return
            if wrong or left is not None and self.names['n'] > left:
                raise Failure('%s: wanted `written %s`, got %s: %s' % (self.link.name, rest, got or 'the end', wrong))
            if left is not None:
                left -= self.names['n']

    def do_write(self, rest, block):
        self.link.write(self.value(rest), self.limit)

    def do_hello(self, rest, block):
        self.hello_answer()

    def do_part(self, rest, block):
        self.part(rest)

    def do_acked(self, rest, block):
        self.acked(self.link, rest)

    def acked(self, link, rest):
        want, held = self.value(rest), []
        while link.acks < want:
            f = link.frame(self.limit)
            if f is None:
                raise Failure('%s: ended at %d bytes acknowledged' % (link.name, link.acks))
            if f.handle == ACK and f.kind == CONTROL:
                link.acks += decode(f.body)
            else:
                held.append(f)
        if link.acks != want:
            raise Failure('%s: %d bytes acknowledged, %d were sent' % (link.name, link.acks, want))
        link.acks = 0
        link.buf[:0] = b''.join(f.pack() for f in held)

    def do_ends(self, rest, block):
        """The parent link ends without another frame; `ends REASON`: and where it says why, this is why."""
        f = self.link.next(self.limit)
        if f:
            raise Failure('wanted the end of the link, got %s' % f)
        self.dead()
        self.stderr.seek(0)
        m = re.search(r'^ended: (\S+)', self.stderr.read().decode('utf-8', 'replace'), re.M)
        if m and rest and m.group(1) != rest:
            raise Failure('it ended for `%s`, not `%s`' % (m.group(1), rest))

    def do_close(self, rest, block):
        """The parent's carrier ends."""
        self.proc.stdin.close()
        f = self.link.next(self.limit)
        if f:
            raise Failure('wanted the end of the link, got %s' % f)
        self.dead()

    def do_file(self, rest, block):
        """Waits until there is such a file, which says how far called code is while the link is not read."""
        end = time.monotonic() + self.limit
        while not os.path.exists(self.value(rest)):
            if time.monotonic() > end:
                raise Failure('there is no %s' % self.value(rest))
            time.sleep(.01)

    def do_wait(self, rest, block):
        time.sleep(self.value(rest) / 1000.)
