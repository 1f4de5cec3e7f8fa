/* OPEN: its requests (docs/protocol.md section 9.1): connect, listen, accept, and who came to a listening socket.
 *
 * Who came is taken from the kernel at once, and waits ARRIVED: so its address can be told before anybody decides.
 * Invariant: at most ARRIVED_MAX wait at a listening socket, none for longer than NATIVE_PATIENCE, and the kernel holds
 * the rest of them. */
#include "preamble/native/sock.h"

#define SOCKS_MAX 4096u /* STREAMS_MAX */
#define REST 1000u      /* ms: of a LISTENING one that found no descriptor, of which poll would say so without end */
#define BACKLOG 128

static uint32_t arrived; /* so far: the next one's number */

/* ---- listening ---- */

static void unheard(void *arg, const struct eci_answer *a)
{
	struct sock *s = arg;
	if (!a->dead)
		return;
	s->near = 0; /* the slot is gone */
	s->gone = true;
}

void native_sock_came(struct sock *l)
{
	struct native_address from;
	memset(&from, 0, sizeof from);
	from.len = sizeof from.bytes;
	long fd = SYS4(NR_accept4, l->fd, &from, &from.len, SYS_NONBLOCK | SYS_CLOEXEC);
	struct sock *s = fd < 0 ? NULL : native_sock_new(ARRIVED, (int)fd, NULL);
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
	s->until = native.now + NATIVE_PATIENCE;
	l->number++;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, s->number);
	native_sock_put_address(&b, &from);
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
	struct sock *x = native_socks;
	while (x && (x->state != ARRIVED || x->gone || x->number != r->number || x->listener->src != f->src))
		x = x->next;
	if (!x) {
		native_sock_bad(s, EINVAL);
		return;
	}
	s->fd = x->fd;
	s->address = x->address;
	x->fd = -1;
	x->gone = true;
	native_sock_joined(s);
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

/* Of a unix socket whose backlog is full it says EAGAIN, and poll(2) nothing of use: it is tried again. */
void native_sock_connect(struct sock *s)
{
	long error = SYS3(NR_connect, s->fd, &s->address, s->address.len);
	bool again = error == -SYS_EAGAIN && --s->number;
	s->until = native.now + (again ? NATIVE_FULL : NATIVE_PATIENCE);
	if (again)
		return;
	s->number = 0;
	if (!error)
		native_sock_joined(s);
	else if (error != -EINPROGRESS)
		native_sock_bad(s, -error);
}

static void open_it(struct sock *s, const struct request *r)
{
	bool known = r->unix_socket ? native_address_unix(&s->address, r->host, r->n)
				    : native_address_tcp(&s->address, r->host, r->n, (unsigned)r->number);
	if (!known) {
		native_sock_bad(s, EINVAL);
		return;
	}
	s->fd = (int)SYS3(NR_socket, s->address.family, 1 | SYS_NONBLOCK | SYS_CLOEXEC, 0);
	if (s->fd < 0) {
		native_sock_bad(s, -s->fd);
		return;
	}
	native_sock_abort(s, 1);
	if (r->kind == 'l') {
		s->state = LISTENING;
		long error = listen_at(s, r->unix_socket && r->host[0] != '@');
		s->near = error ? 0 : eci_slot_open(native.router, s->src, ECI_SLOT_MANY, unheard, s);
		if (!s->near)
			native_sock_bad(s, error ? -error : SYS_ENOMEM);
		else
			native_sock_good(s, s->near);
		return;
	}
	s->number = NATIVE_PATIENCE / NATIVE_FULL;
	native_sock_connect(s);
}

bool native_socks_cancel(uint32_t src, uint64_t handle)
{
	for (struct sock *s = native_socks; s; s = s->next)
		if (s->src == src &&
		    (s->state == CONNECTING ? s->slot == handle : s->state == LISTENING && s->far == handle)) {
			s->gone = true;
			return true;
		}
	return false;
}

bool native_socks_deliver(const struct eci_frame *f)
{
	struct request r;
	if (f->handle != ECI_H_OPEN)
		return false;
	if (!parse(&r, f)) {
		eci_router_dead(native.router, f, "bad-body", "OPEN", native.now);
		return true;
	}
	struct sock *s = native_socks_count < SOCKS_MAX ? native_sock_new(CONNECTING, -1, f) : NULL;
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
