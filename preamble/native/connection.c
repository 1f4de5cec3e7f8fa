/* OPEN: a connection and its stream, and what is answered about it.
 *
 * What came for the connection is written at once; what the kernel does not take waits in `q`, and is said to have been
 * taken (which gives its sender room again) only when the kernel has it. So a window bounds `q`, and no sender is told
 * of room that is not there. What came from the connection is read only as far as its stream has room.
 *
 * One that breaks is heard out: its peer may have answered and closed before it had read all. So where it takes no more
 * (`failed`) what it still has is read first, and the reset goes behind all of that, in class bulk; what comes for it
 * meanwhile counts as taken, for its sender may read nothing before he has sent all. Likewise what had come before a
 * reset (`reset`, but not `gone`) is written first, while somebody takes it; and as SO_LINGER 0 drops what TCP has not
 * had acknowledged, that is waited for as well. No event tells of it: it is looked at every NATIVE_FULL. */
#include "preamble/native/sock.h"

/* ---- what is said ---- */

/* One whose answer finds no room is known to nobody. */
static void answer(struct sock *s, struct eci_buf *b, uint32_t near)
{
	if (eci_router_send_buf(native.router, s->src, s->slot, near, b, native.now))
		s->gone = s->reset = true;
}

void native_sock_put_address(struct eci_buf *b, const struct native_address *a)
{
	char text[NATIVE_ADDRESS_TEXT];
	size_t n = native_address_text(a, text);
	if (eci_utf8_valid((const uint8_t *)text, n))
		eci_cbor_put_text(b, text, n);
	else
		eci_cbor_put_str(b, "");
}

void native_sock_good(struct sock *s, uint32_t near)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_uint(&b, 0);
	eci_cbor_put_uint(&b, near);
	native_sock_put_address(&b, &s->address);
	answer(s, &b, near);
}

void native_sock_bad(struct sock *s, long error)
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

/* Whatever was said of its ends already, as not all of it has arrived. */
static void fail(struct sock *s, long error)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 4);
	eci_cbor_put_str(&b, "reset");
	eci_cbor_put_uint(&b, eci_router_id(native.router));
	eci_cbor_put_uint(&b, eci_router_id(native.router));
	eci_cbor_put_str(&b, native_explain(NULL, (int)error));
	int rc = eci_router_send(native.router, ECI_BULK, ECI_F_DEAD, s->src, s->far, eci_stream_handle(s->stream),
				 eci_buf_data(&b), eci_buf_len(&b), native.now);
	eci_buf_deinit(&b);
	eci_stream_free(s->stream, rc ? "reset" : NULL, NULL, native.now);
	s->stream = NULL;
	s->gone = s->reset = true;
}

/* Whether there is nothing more to wait for. */
static bool taken(struct sock *s)
{
	unsigned left = 0;
	uint8_t tcp = 0; /* tcp_info's first: the state; a unix socket has none, and its peer has all at once */
	int n = sizeof tcp;
	if (SYS5(NR_getsockopt, s->fd, IPPROTO_TCP, TCP_INFO, &tcp, &n) || tcp == TCP_CLOSE)
		return true;
	(void)SYS3(NR_ioctl, s->fd, SIOCOUTQ, &left);
	if (left != s->number)
		s->until = native.now + NATIVE_PATIENCE;
	s->number = left;
	return !left;
}

void native_sock_flush(struct sock *s)
{
	while (eci_buf_len(&s->q)) {
		long n = SYS3(NR_write, s->fd, eci_buf_data(&s->q), eci_buf_len(&s->q));
		if (n == -SYS_EAGAIN)
			return;
		if (n < 0) {
			s->failed = -n;
			n = (long)eci_buf_len(&s->q);
		}
		eci_buf_drain(&s->q, (size_t)n);
		eci_stream_took(s->stream, (size_t)n, native.now);
		s->until = native.now + NATIVE_PATIENCE;
	}
	eci_buf_deinit(&s->q); /* not to be kept for each of thousands */
	if (s->reset)
		s->gone = taken(s);
	else if (s->failed && s->in_over)
		fail(s, s->failed);
	else if (!s->failed && s->far_over && !s->out_over) {
		s->out_over = true;
		native_sock_abort(s, 0);
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
		native_sock_flush(s);
}

static void on_end(void *arg)
{
	struct sock *s = arg;
	s->far_over = true;
	if (s->state == OPEN)
		native_sock_flush(s);
}

static void on_dead(void *arg, const struct eci_answer *a)
{
	struct sock *s = arg;
	(void)a;
	s->reset = s->in_over = true;
	s->until = native.now + NATIVE_PATIENCE;
	native_sock_flush(s);
}

static const struct eci_stream_ops ops = {.data = on_data, .ended = on_end, .dead = on_dead};

void native_sock_take(struct sock *s)
{
	size_t room = eci_stream_room(s->stream);
	if (!room)
		return;
	if (room > NATIVE_READ_MAX)
		room = NATIVE_READ_MAX;
	long n = SYS3(NR_read, s->fd, native.buf, room);
	if (n <= 0 && s->failed)
		n = -s->failed;
	if (n == -SYS_EAGAIN || n == -SYS_EINTR)
		return;
	if (n < 0) {
		fail(s, -n);
	} else if (n) {
		if (eci_stream_send(s->stream, native.buf, (size_t)n, native.now))
			fail(s, SYS_ENOMEM);
	} else {
		s->in_over = true;
		if (eci_stream_end(s->stream, native.now))
			fail(s, SYS_ENOMEM);
	}
}

/* It is connected: its stream may flow. */
void native_sock_joined(struct sock *s)
{
	int on = 1;
	(void)SYS5(NR_setsockopt, s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)SYS5(NR_setsockopt, s->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on); /* else an urgent byte is lost */
	s->state = OPEN;
	s->stream = eci_stream_new(native.router, s->src, s->far, &ops, s);
	if (s->stream)
		native_sock_good(s, eci_stream_handle(s->stream));
	else
		native_sock_bad(s, SYS_ENOMEM);
}

void native_sock_connected(struct sock *s)
{
	int error = 0, n = sizeof error;
	(void)SYS5(NR_getsockopt, s->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error)
		native_sock_bad(s, error);
	else
		native_sock_joined(s);
}
