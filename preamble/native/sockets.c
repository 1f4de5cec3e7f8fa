/* OPEN: connections and listening sockets (docs/protocol.md section 9.1).
 *
 * A socket is CONNECTING (then the answer goes), OPEN (joined to its stream), LISTENING (its events go to a slot), or
 * ARRIVED (taken from the kernel, wanted by nobody yet). Invariant: of an OPEN one no more is read than its stream has
 * room for, and what came for it and the kernel does not take waits in `q`, which the window bounds; so whoever stops
 * reading, at either end, holds one window and disturbs nobody.
 *
 * What ends a connection only marks it (`gone`): it is closed in native_socks_watch(), so that nothing vanishes under a
 * loop or a callback. A reset closes with SO_LINGER 0, so that the peer sees one too. */
#include "preamble/native/sockets.h"

#include "core/cbor.h"
#include "preamble/native/arch_sockets.h"
#include "router/stream.h"

#define SOCKS_MAX 4096u /* STREAMS_MAX */
#define ARRIVED_MAX 64u /* a listening socket */
#define PATIENCE 20000u /* ms: for connect(2), and of an ARRIVED one */
#define REST 1000u      /* ms: of a LISTENING one that found no descriptor, of which poll would say so without end */
#define BACKLOG 128

enum { SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_ERROR = 4, SO_LINGER = 13, IPPROTO_TCP = 6, TCP_NODELAY = 1 };
enum { ENXIO = 6, EINVAL = 22, ETIMEDOUT = 110, ECONNREFUSED = 111, EINPROGRESS = 115 };

enum state { CONNECTING, OPEN, LISTENING, ARRIVED };

struct sock {
	struct sock *next;
	enum state state;
	int fd, at; /* at: in native.poll; -1 not */
	uint32_t src, slot;
	uint32_t far, near; /* LISTENING: the event slot; ours, which learns that it is gone */
	struct eci_stream *stream;
	struct sock *listener;
	uint32_t number; /* ARRIVED: which; LISTENING: how many wait */
	uint64_t until;  /* ms, 0 none: CONNECTING, ARRIVED: given up then; LISTENING: rests until then */
	struct eci_buf q;
	bool in_over, far_over, out_over, gone, reset;
	bool file; /* LISTENING: there is one, which is ours to remove */
	struct native_address address;
};

static struct sock *socks;
static uint32_t count, arrived; /* all but ARRIVED ones, which ARRIVED_MAX bounds; ARRIVED ones so far */

static struct sock *sock_new(enum state state, int fd, const struct eci_frame *f)
{
	struct sock *s = eci_mem_alloc(sizeof *s);
	if (!s)
		return NULL;
	*s = (struct sock){.next = socks, .state = state, .fd = fd, .at = -1};
	if (f) {
		s->src = f->src;
		s->slot = f->reply_to;
	}
	socks = s;
	count += state != ARRIVED;
	return s;
}

/* ---- what is said ---- */

static void answer(const struct sock *s, struct eci_buf *b, uint32_t near)
{
	(void)eci_router_send_buf(native.router, s->src, s->slot, near, b, native.now);
}

static void put_address(struct eci_buf *b, const struct native_address *a)
{
	char text[NATIVE_ADDRESS_TEXT];
	size_t n = native_address_text(a, text);
	if (eci_utf8_valid((const uint8_t *)text, n))
		eci_cbor_put_text(b, text, n);
	else
		eci_cbor_put_str(b, "");
}

static void good(struct sock *s, uint32_t near)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_uint(&b, near);
	put_address(&b, &s->address);
	answer(s, &b, near);
}

static void bad(struct sock *s, long error)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_uint(&b, 1);
	eci_cbor_put_str(&b, native_explain(NULL, (int)error));
	eci_cbor_put_uint(&b, (uint64_t)error);
	answer(s, &b, 0);
	s->gone = true;
}

/* ---- a connection's stream ---- */

static void fail(struct sock *s, long error)
{
	eci_stream_free(s->stream, "reset", native_explain(NULL, (int)error), native.now);
	s->stream = NULL;
	s->gone = true;
}

static void flush(struct sock *s)
{
	while (eci_buf_len(&s->q)) {
		long n = SYS3(NR_write, s->fd, eci_buf_data(&s->q), eci_buf_len(&s->q));
		if (n == -SYS_EAGAIN)
			return;
		if (n < 0) {
			fail(s, -n);
			return;
		}
		eci_buf_drain(&s->q, (size_t)n);
		eci_stream_took(s->stream, (size_t)n, native.now);
	}
	eci_buf_deinit(&s->q); /* not to be kept for each of thousands */
	if (s->far_over && !s->out_over) {
		s->out_over = true;
		(void)SYS2(NR_shutdown, s->fd, 1);
		eci_stream_settled(s->stream, native.now);
	}
}

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	struct sock *s = arg;
	if (eci_buf_append(&s->q, p, n))
		fail(s, SYS_ENOMEM);
	else if (eci_buf_len(&s->q) == n && s->state == OPEN)
		flush(s);
}

static void on_end(void *arg)
{
	struct sock *s = arg;
	s->far_over = true;
	if (s->state == OPEN)
		flush(s);
}

static void on_dead(void *arg, const struct eci_answer *a)
{
	struct sock *s = arg;
	(void)a;
	s->gone = s->reset = true;
}

static const struct eci_stream_ops ops = {.data = on_data, .ended = on_end, .dead = on_dead};

static void take(struct sock *s)
{
	size_t room = eci_stream_room(s->stream);
	if (!room)
		return;
	if (room > NATIVE_READ_MAX)
		room = NATIVE_READ_MAX;
	long n = SYS3(NR_read, s->fd, native.buf, room);
	if (n == -SYS_EAGAIN || n == -SYS_EINTR)
		return;
	if (n < 0) {
		fail(s, -n);
	} else if (n) {
		if (eci_stream_send(s->stream, native.buf, (size_t)n, native.now))
			fail(s, SYS_ENOMEM);
	} else {
		s->in_over = true;
		(void)eci_stream_end(s->stream, native.now);
	}
}

/* It is connected: its stream may flow. */
static void joined(struct sock *s)
{
	int on = 1;
	(void)SYS5(NR_setsockopt, s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	s->state = OPEN;
	s->stream = eci_stream_new(native.router, s->src, s->far, &ops, s);
	if (s->stream)
		good(s, eci_stream_handle(s->stream));
	else
		bad(s, SYS_ENOMEM);
}

static void connected(struct sock *s)
{
	int error = 0, n = sizeof error;
	(void)SYS5(NR_getsockopt, s->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error)
		bad(s, error);
	else
		joined(s);
}

/* ---- listening ---- */

static void unheard(void *arg, const struct eci_answer *a)
{
	struct sock *s = arg;
	if (!a->dead)
		return;
	s->near = 0; /* the slot is gone */
	s->gone = true;
}

static void came(struct sock *l)
{
	struct native_address from;
	memset(&from, 0, sizeof from);
	from.len = sizeof from.bytes;
	long fd = SYS4(NR_accept4, l->fd, &from, &from.len, SYS_NONBLOCK | SYS_CLOEXEC);
	struct sock *s = fd < 0 ? NULL : sock_new(ARRIVED, (int)fd, NULL);
	struct eci_buf b = ECI_BUF_NULL;
	if (fd < 0 && fd != -SYS_EAGAIN && fd != -SYS_ECONNABORTED)
		l->until = native.now + REST;
	if (!s) {
		if (fd >= 0)
			(void)SYS1(NR_close, fd);
		return;
	}
	s->listener = l;
	s->number = ++arrived;
	s->address = from;
	s->until = native.now + PATIENCE;
	l->number++;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, s->number);
	put_address(&b, &from);
	(void)eci_router_send_buf(native.router, l->src, l->far, l->near, &b, native.now);
}

/* ---- requests ---- */

struct request {
	char kind; /* first letter of what */
	const char *host;
	size_t n;
	uint64_t number; /* port, or which one is accepted */
	bool unix_socket;
	uint64_t far;
};

/* The first letter of what; 0 if it is none of them. */
static char kind_of(const char *what, size_t n)
{
	static const char names[] = "\3tcp\4unix\6listen\6accept";
	for (const char *s = names; *s; s += 1 + *s)
		if (n == (size_t)*s && memcmp(s + 1, what, n) == 0)
			return s[1];
	return 0;
}

static bool parse(struct request *r, const struct eci_frame *f)
{
	struct eci_cbor c = eci_cbor_of(f);
	const char *what = "";
	const uint8_t *raw;
	size_t n = 0;
	if (eci_cbor_get_array(&c) < 3 || !eci_cbor_get_text(&c, &what, &n))
		return false;
	*r = (struct request){.kind = kind_of(what, n)};
	size_t args = eci_cbor_get_array(&c);
	if (r->kind != 'a' && args && eci_cbor_get_either(&c, &raw, &r->n))
		r->host = (const char *)raw;
	r->unix_socket = r->kind == 'u' || (r->kind == 'l' && args == 1);
	if (!r->unix_socket)
		r->number = eci_cbor_get_uint(&c);
	r->far = eci_cbor_get_uint(&c);
	return !c.bad && f->reply_to && args == (r->unix_socket || r->kind == 'a' ? 1u : 2u) &&
	       r->far >= ECI_H_FIRST_SLOT && r->far <= UINT32_MAX && (r->kind == 'a' || r->number < 65536) && r->kind;
}

static void accept_it(struct sock *s, const struct request *r, const struct eci_frame *f)
{
	struct sock *x = socks;
	while (x && (x->state != ARRIVED || x->gone || x->number != r->number || x->listener->src != f->src))
		x = x->next;
	if (!x) {
		bad(s, EINVAL);
		return;
	}
	s->fd = x->fd;
	s->address = x->address;
	x->fd = -1;
	x->gone = true;
	joined(s);
}

/* A socket's file that nobody listens at is what a killed agent left. open(2) says ENXIO of a socket; connect(2)
 * refuses any other file as well. */
static void clear_stale(const struct native_address *a)
{
	long file = SYS3(NR_openat, -100, a->bytes + 2, SYS_NONBLOCK);
	long fd = SYS3(NR_socket, 1, 1 | SYS_NONBLOCK | SYS_CLOEXEC, 0);
	if (file == -ENXIO && fd >= 0 && SYS3(NR_connect, fd, a, a->len) == -ECONNREFUSED)
		(void)SYS3(NR_unlinkat, -100, a->bytes + 2, 0);
	if (file >= 0)
		(void)SYS1(NR_close, file);
	if (fd >= 0)
		(void)SYS1(NR_close, fd);
}

static long listen_at(struct sock *s, bool file)
{
	int on = 1;
	(void)SYS5(NR_setsockopt, s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (file)
		(void)SYS2(NR_fchmod, s->fd, 0600); /* before bind(2): its file is made with this mode */
	if (file)
		clear_stale(&s->address);
	long error = SYS3(NR_bind, s->fd, &s->address, s->address.len);
	s->file = file && !error;
	if (!error)
		error = SYS2(NR_listen, s->fd, BACKLOG);
	if (!error && !file)
		error = SYS3(NR_getsockname, s->fd, &s->address, &s->address.len);
	return error;
}

static void open_it(struct sock *s, const struct request *r)
{
	bool known = r->unix_socket ? native_address_unix(&s->address, r->host, r->n)
				    : native_address_tcp(&s->address, r->host, r->n, (unsigned)r->number);
	if (!known) {
		bad(s, EINVAL);
		return;
	}
	s->fd = (int)SYS3(NR_socket, s->address.family, 1 | SYS_NONBLOCK | SYS_CLOEXEC, 0);
	if (s->fd < 0) {
		bad(s, -s->fd);
		return;
	}
	if (r->kind == 'l') {
		s->state = LISTENING;
		long error = listen_at(s, r->unix_socket && r->host[0] != '@');
		s->near = error ? 0 : eci_slot_open(native.router, s->src, ECI_SLOT_MANY, unheard, s);
		if (!s->near)
			bad(s, error ? -error : SYS_ENOMEM);
		else
			good(s, s->near);
		return;
	}
	long error = SYS3(NR_connect, s->fd, &s->address, s->address.len);
	s->until = native.now + PATIENCE;
	if (!error)
		joined(s);
	else if (error != -EINPROGRESS)
		bad(s, -error);
}

static bool cancel(const struct eci_frame *f)
{
	struct eci_cbor c = eci_cbor_of(f);
	(void)eci_cbor_get_array(&c);
	uint64_t handle = eci_cbor_get_uint(&c);
	for (struct sock *s = socks; s && !c.bad; s = s->next)
		if (s->src == f->src &&
		    (s->state == CONNECTING ? s->slot == handle : s->state == LISTENING && s->far == handle)) {
			s->gone = true;
			return true;
		}
	return false;
}

bool native_socks_deliver(const struct eci_frame *f)
{
	struct request r;
	if (f->handle == ECI_H_CANCEL)
		return cancel(f);
	if (f->handle != ECI_H_OPEN)
		return false;
	if (!parse(&r, f)) {
		eci_router_dead(native.router, f, "bad-body", "OPEN", native.now);
		return true;
	}
	struct sock *s = count < SOCKS_MAX ? sock_new(CONNECTING, -1, f) : NULL;
	if (!s) {
		eci_router_dead(native.router, f, "busy", "too many streams", native.now);
		return true;
	}
	s->far = (uint32_t)r.far;
	if (r.kind == 'a')
		accept_it(s, &r, f);
	else
		open_it(s, &r);
	return true;
}

/* ---- the loop's part ---- */

static void remove_file(struct sock *s)
{
	if (s->file)
		(void)SYS3(NR_unlinkat, -100, s->address.bytes + 2, 0);
	s->file = false;
}

void native_socks_end(void)
{
	for (struct sock *s = socks; s; s = s->next)
		remove_file(s);
}

static void close_it(struct sock *s)
{
	if (s->reset && s->fd >= 0) {
		int now[2] = {1, 0};
		(void)SYS5(NR_setsockopt, s->fd, SOL_SOCKET, SO_LINGER, now, sizeof now);
	}
	native_close(&s->fd);
	eci_stream_free(s->stream, "cancelled", NULL, native.now);
	if (s->near)
		eci_slot_close(native.router, s->near);
	if (s->state == ARRIVED)
		s->listener->number--;
	if (s->state == LISTENING) {
		for (struct sock *x = socks; x; x = x->next)
			if (x->listener == s)
				x->gone = true;
	}
	remove_file(s);
	eci_buf_deinit(&s->q);
	count -= s->state != ARRIVED;
	eci_mem_free(s);
}

/* What is over goes; ARRIVED ones before their listener. */
static void sweep(void)
{
	for (int listeners = 0; listeners < 2; listeners++)
		for (struct sock **at = &socks, *s; (s = *at) != NULL;) {
			bool done = s->state == OPEN && s->in_over && s->out_over;
			if (s->state == ARRIVED && s->listener->gone)
				s->gone = true;
			if ((s->gone || done) && (s->state == LISTENING) == (listeners == 1)) {
				*at = s->next;
				close_it(s);
			} else {
				at = &s->next;
			}
		}
}

static short events_of(struct sock *s)
{
	if (s->state == CONNECTING)
		return SYS_POLLOUT;
	if (s->state == LISTENING)
		return s->number < ARRIVED_MAX && !s->until ? SYS_POLLIN : 0;
	if (s->state == ARRIVED)
		return 0;
	return (short)((!s->in_over && eci_stream_room(s->stream) ? SYS_POLLIN : 0) |
		       (eci_buf_len(&s->q) ? SYS_POLLOUT : 0));
}

void native_socks_watch(uint64_t *until)
{
	sweep();
	for (struct sock *s = socks; s; s = s->next) {
		short events = events_of(s);
		s->at = events ? native.npoll : -1;
		if (events)
			native_watch(s->fd, events);
		if (s->until && s->state != OPEN && s->until < *until)
			*until = s->until;
	}
}

static void serve(struct sock *s, bool ready)
{
	bool late = s->until && native.now >= s->until;
	if (s->state == CONNECTING && ready)
		connected(s);
	else if (s->state == CONNECTING && late)
		bad(s, ETIMEDOUT);
	else if (s->state == LISTENING && ready)
		came(s);
	else if (s->state == LISTENING && late)
		s->until = 0;
	else if (s->state == ARRIVED && late)
		s->gone = true;
	if (s->state != OPEN || !ready || s->gone || !s->stream)
		return;
	flush(s);
	if (!s->gone && !s->in_over)
		take(s);
}

void native_socks_serve(void)
{
	for (struct sock *s = socks; s; s = s->next) /* what is new stands before the first */
		if (!s->gone)
			serve(s, s->at >= 0 && native.poll[s->at].revents);
}
