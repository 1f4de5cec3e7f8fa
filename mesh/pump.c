/* Pumps: a stream on one side, one or two descriptors on the other.
 *
 * Invariant: what was read from `in` was sent at once, for it is read only when the stream has room and no more than
 * that; what came for `out` is given back as credit when it was written, so a descriptor that takes nothing holds one
 * window and no more. Thus the pump itself buffers only what the other end was allowed to send.
 *
 * Half-close is carried through both ways: end of file is END, END is shutdown(2), or close(2) for what is no socket.
 * An error of the descriptor is a reset of the stream with its text; a reset of the stream closes a TCP socket so that
 * its peer sees a reset too (SO_LINGER 0), and not an end that looks like one. What had come before the reset is
 * written first: a server that answers and closes, with some of the request unread, has its answer heard (a refusal of
 * what is too large, a full house). Written is not taken: SO_LINGER 0 and close(2) drop what is in the kernel's send
 * buffer too, so it is looked at until that is empty. Whoever takes nothing of it for DEAD_S is waited for no longer.
 * Likewise a socket that takes no more is read to its end before its stream is reset.
 *
 * Nor is the end of this program an end that looks like one: a connection's socket has the option from the start
 * (`cuts`), so that the kernel resets it even where we are killed, and loses it with the far end's END, of which
 * nothing that is still in the send buffer may be dropped.
 *
 * Descriptors that are ours (accepted sockets) do not block. Those we were given (stdin, stdout) may be shared with
 * other programs, so their flags are left alone: reads follow a poll that said readable, and writes are of at most
 * PIPE_BUF bytes after one that said writable (pipe(7): such a write then does not block). Of a terminal that is not
 * true: it waits until it has taken all, which is for ever where its reader has stopped, and the lock with it. splice.c
 * opens a terminal anew, for us alone and non-blocking; where that cannot be, each byte is asked for.
 *
 * The loop has the lock while it reads, and 500 sockets that are ready are 30 MiB: in one turn of it pumps read
 * PUMPS_TURN, those that waited first. A round is over when nobody had to wait; nobody is read twice in one.
 *
 * A stream speaks in whatever thread reads its link. Its pump may start and stop watchers there, since the loop sleeps
 * without the lock and is woken for it; but a pump ends in the loop's thread, off a list. */
#include "mesh/pump.h"

#include "core/cbor.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MAX 65536u
#define DEAD_S 30.
#define LOOK_S .025        /* from one look at what a dead socket's peer has not taken to the next, and */
#define LOOK_MOST_S .4     /* while it takes nothing */
#define PUMPS_TURN 262144u /* bytes */
#define BYTEWISE_TURN 256u /* bytes: two calls each, with the lock */

static void watch(struct eci_pump *p, ev_io *w, bool on)
{
	if (on == (ev_is_active(w) != 0))
		return;
	if (on)
		ev_io_start(p->mesh->loop, w);
	else
		ev_io_stop(p->mesh->loop, w);
	eci_mesh_wake(p->mesh);
}

static void close_fd(struct eci_pump *p, int *fd)
{
	int n = *fd;
	*fd = -1;
	if (n >= 0 && p->owned && n != p->in && n != p->out)
		(void)close(n);
}

static void stop(struct eci_pump *p)
{
	watch(p, &p->rd, false);
	watch(p, &p->wr, false);
	ev_timer_stop(p->mesh->loop, &p->late);
}

/* Nothing moves any more; end() is called by the loop. */
static void over(struct eci_pump *p, const char *why)
{
	if (p->over)
		return;
	p->over = true;
	if (why != p->why)
		(void)strncpy(p->why, why, sizeof p->why - 1);
	stop(p);
	p->next = p->mesh->pumps_over;
	p->mesh->pumps_over = p;
	eci_mesh_wake(p->mesh);
}

static void maybe_over(struct eci_pump *p)
{
	if (p->out_over && (p->far_ends_all || (p->in_over && (p->settled || !p->wants_settled))))
		over(p, "");
}

/* ---- in: descriptor to stream ---- */

static void set_abort(struct eci_pump *p, bool on)
{
	const struct linger now = {.l_onoff = on};
	(void)setsockopt(p->out, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* When it is closed its peer sees a reset, and not an end that looks like one. */
static void to_reset(struct eci_pump *p)
{
	if (p->socket && !p->over)
		set_abort(p, true);
}

/* All that a dead stream has brought is taken, or nobody takes it. */
static void buried(struct eci_pump *p)
{
	to_reset(p);
	over(p, p->why);
}

/* Bytes that the kernel still has for its peer. A unix socket's peer has them at once, and nothing of TCP's is to be
 * asked there; of a connection that was reset none will go. */
static int untaken(const struct eci_pump *p)
{
	uint8_t state = TCP_CLOSE; /* the first of struct tcp_info */
	socklen_t len = sizeof state;
	int n = 0;
	if (!p->socket || getsockopt(p->out, IPPROTO_TCP, TCP_INFO, &state, &len) || state == TCP_CLOSE ||
	    ioctl(p->out, SIOCOUTQ, &n))
		return 0;
	return n;
}

/* All that it has brought is written. No event tells that it was taken. */
static void look(struct eci_pump *p)
{
	int n = untaken(p);
	ev_tstamp now = ev_now(p->mesh->loop);
	if (n != p->left) {
		p->left = n;
		p->moved = now;
		p->late.repeat = LOOK_S;
	} else if (p->late.repeat < LOOK_MOST_S) {
		p->late.repeat *= 2;
	}
	if (!n || now - p->moved >= DEAD_S)
		buried(p);
	else
		ev_timer_again(p->mesh->loop, &p->late);
}

static void written(struct eci_pump *p)
{
	watch(p, &p->wr, false);
	p->left = -1;
	look(p);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)events;
	struct eci_pump *p = w->data;
	if (eci_buf_len(&p->q))
		buried(p);
	else
		look(p);
}

/* The reset, behind all that was sent: in class bulk. False: there is no way for it. */
static bool reset_behind(struct eci_pump *p, const char *text)
{
	struct eci_router *r = p->mesh->router;
	struct eci_buf b = ECI_BUF_NULL;
	uint32_t far = p->stream ? eci_stream_far(p->stream) : 0;
	eci_cbor_put_array(&b, 4);
	eci_cbor_put_str(&b, "reset");
	eci_cbor_put_uint(&b, eci_router_id(r));
	eci_cbor_put_uint(&b, eci_router_id(r));
	eci_cbor_put_str(&b, text);
	bool sent = far && !b.failed &&
		    eci_router_send(r, ECI_BULK, ECI_F_DEAD, p->peer, far, eci_stream_handle(p->stream),
				    eci_buf_data(&b), eci_buf_len(&b), eci_now_ms()) == 0;
	eci_buf_deinit(&b);
	return sent;
}

static void failed(struct eci_pump *p, const char *text)
{
	to_reset(p);
	eci_stream_free(p->stream, reset_behind(p, text) ? NULL : "reset", text, eci_now_ms());
	p->stream = NULL;
	over(p, text);
}

static void in_ended(struct eci_pump *p)
{
	p->in_over = true;
	watch(p, &p->rd, false);
	if (eci_stream_end(p->stream, eci_now_ms())) {
		failed(p, "no memory");
		return;
	}
	if (!p->socket)
		close_fd(p, &p->in);
	maybe_over(p);
}

/* A descriptor of ours: doing says what was done with it. */
static void failed_here(struct eci_pump *p, const char *doing)
{
	if (!p->deaf)
		(void)snprintf(p->why, sizeof p->why, "%s: %s", doing, strerror(errno));
	p->here = true;
	failed(p, p->why);
}

/* Also a socket that nobody reads, but whose other way is open, is writable: so either watcher tells of it. */
static void write_failed(struct eci_pump *p)
{
	if (!p->socket || p->in_over || p->deaf) {
		failed_here(p, "writing");
		return;
	}
	(void)snprintf(p->why, sizeof p->why, "writing: %s", strerror(errno));
	p->deaf = true;
	eci_buf_deinit(&p->q);
	watch(p, &p->rd, true);
	watch(p, &p->wr, true);
}

void eci_pumps_turn(ectx_mesh *m)
{
	m->pumps_round += !m->pumps_wait;
	m->pumps_wait = false;
	m->pumps_left = PUMPS_TURN;
}

/* If not, poll says so again. */
static bool may_read(struct eci_pump *p)
{
	ectx_mesh *m = p->mesh;
	if (p->round == m->pumps_round)
		return false;
	if (!m->pumps_left) {
		m->pumps_wait = true;
		return false;
	}
	p->round = m->pumps_round;
	return true;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	struct eci_pump *p = w->data;
	size_t room = eci_stream_room(p->stream);
	if (!room) { /* on_room() comes */
		watch(p, &p->rd, false);
		if (p->deaf)
			watch(p, &p->wr, false);
		return;
	}
	if (!may_read(p))
		return;
	size_t most = room < READ_MAX ? room : READ_MAX;
	ssize_t n = p->deaf ? recv(p->in, p->mesh->read_buf, most, MSG_DONTWAIT) : read(p->in, p->mesh->read_buf, most);
	if (n > 0)
		p->mesh->pumps_left -= (size_t)n < p->mesh->pumps_left ? (size_t)n : p->mesh->pumps_left;
	if (n < 0 && !p->deaf && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && p->deaf))
		failed_here(p, "reading");
	else if (n == 0)
		in_ended(p);
	else if (eci_stream_send(p->stream, p->mesh->read_buf, (size_t)n, eci_now_ms())) {
		p->lost = true; /* its link is, and its end will not be heard any more */
		failed(p, "no memory, or no way there any more");
	}
}

static void on_room(void *arg)
{
	struct eci_pump *p = arg;
	if (p->stream && !p->in_over && !p->over)
		watch(p, &p->rd, true);
	if (p->deaf && !p->over)
		watch(p, &p->wr, true);
}

/* ---- out: stream to descriptor ---- */

static void out_ended(struct eci_pump *p)
{
	p->out_over = true;
	if (!p->socket)
		close_fd(p, &p->out);
	else if (p->cuts)
		set_abort(p, false);
	maybe_over(p);
	if (p->socket && !p->over) /* else it is closed, and may still be somebody else's stdout */
		(void)shutdown(p->out, SHUT_WR);
}

/* If it need not wait. A pty that is full and has nobody at its other side is POLLHUP without POLLOUT, and a write
 * waits for ever. */
static ssize_t put_byte(int fd, const uint8_t *byte)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	bool tells = poll(&ready, 1, 0) == 1;
	if (tells && ready.revents & POLLOUT)
		return write(fd, byte, 1);
	errno = tells ? EIO : EAGAIN;
	return -1;
}

static ssize_t put(struct eci_pump *p, const uint8_t *bytes, size_t n)
{
	if (p->socket)
		return send(p->out, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	n = n < PIPE_BUF ? n : PIPE_BUF;
	if (!p->bytewise)
		return write(p->out, bytes, n);
	ssize_t w = 1;
	size_t done = 0;
	n = n < BYTEWISE_TURN ? n : BYTEWISE_TURN;
	for (; done < n && w > 0; done += w > 0)
		w = put_byte(p->out, bytes + done);
	return done ? (ssize_t)done : w;
}

/* What waits, as far as it goes. */
static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	struct eci_pump *p = w->data;
	if (p->deaf) {
		on_readable(loop, &p->rd, events);
		return;
	}
	ssize_t n = put(p, eci_buf_data(&p->q), eci_buf_len(&p->q));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 && p->dead) {
		buried(p);
		return;
	}
	if (n < 0) {
		write_failed(p);
		return;
	}
	eci_buf_drain(&p->q, (size_t)n);
	if (p->dead) {
		if (eci_buf_len(&p->q))
			ev_timer_again(p->mesh->loop, &p->late);
		else
			written(p);
		return;
	}
	eci_stream_took(p->stream, (size_t)n, eci_now_ms());
	if (eci_buf_len(&p->q))
		return;
	watch(p, &p->wr, false);
	if (p->q.cap > READ_MAX)
		eci_buf_deinit(&p->q);
	if (p->far_over)
		out_ended(p);
}

static void on_data(void *arg, const uint8_t *bytes, size_t n)
{
	struct eci_pump *p = arg;
	size_t done = 0;
	if (p->over || p->deaf)
		return;
	if (p->socket && p->stream && !eci_buf_len(&p->q)) { /* a socket never blocks: at once */
		ssize_t w = put(p, bytes, n);
		if (w < 0 && errno != EAGAIN && errno != EINTR) {
			write_failed(p);
			return;
		}
		done = w > 0 ? (size_t)w : 0;
		eci_stream_took(p->stream, done, eci_now_ms());
	}
	if (done == n)
		return;
	if (eci_buf_append(&p->q, bytes + done, n - done))
		failed(p, "no memory");
	else if (p->stream)
		watch(p, &p->wr, true);
}

static void on_end(void *arg)
{
	struct eci_pump *p = arg;
	p->far_over = true;
	if (p->stream && !p->over && !p->deaf && !eci_buf_len(&p->q))
		out_ended(p);
}

static void on_dead(void *arg, const struct eci_answer *a)
{
	struct eci_pump *p = arg;
	if (p->over)
		return;
	p->lost = !strcmp(a->reason, "lost") || !strcmp(a->reason, "no-route");
	p->dead = true;
	(void)strncpy(p->why, *a->evidence ? a->evidence : a->reason, sizeof p->why - 1);
	eci_name_errno(p->why, sizeof p->why);
	watch(p, &p->rd, false);
	ev_now_update(p->mesh->loop); /* it may have slept */
	if (eci_buf_len(&p->q))
		ev_timer_again(p->mesh->loop, &p->late);
	else
		written(p);
	eci_mesh_wake(p->mesh);
}

static void on_settled(void *arg)
{
	struct eci_pump *p = arg;
	p->settled = true;
	maybe_over(p);
}

const struct eci_stream_ops eci_pump_ops = {
	.data = on_data, .ended = on_end, .room = on_room, .settled = on_settled, .dead = on_dead};

/* ---- life ---- */

void eci_pump_init(struct eci_pump *p, ectx_mesh *m, int in, int out, bool owned, void (*end)(struct eci_pump *))
{
	int type;
	socklen_t n = sizeof type;
	bool is_socket = in == out && getsockopt(in, SOL_SOCKET, SO_TYPE, &type, &n) == 0; /* else a terminal, a file */
	*p = (struct eci_pump){.mesh = m, .in = in, .out = out, .owned = owned, .socket = is_socket, .end = end};
	if (is_socket) /* an urgent byte has its place in the stream, and would not be read */
		(void)setsockopt(in, SOL_SOCKET, SO_OOBINLINE, &(int){1}, sizeof(int));
	ev_io_init(&p->rd, on_readable, in, EV_READ);
	ev_io_init(&p->wr, on_writable, out, EV_WRITE);
	ev_init(&p->late, on_late);
	p->late.repeat = DEAD_S;
	p->rd.data = p->wr.data = p->late.data = p;
}

void eci_pump_cuts(struct eci_pump *p)
{
	p->cuts = p->socket;
	to_reset(p);
}

void eci_pump_start(struct eci_pump *p, struct eci_stream *s, uint32_t peer)
{
	p->peer = peer;
	p->stream = s;
	watch(p, &p->rd, !p->dead);
	if (eci_buf_len(&p->q))
		watch(p, &p->wr, true);
	else if (p->far_over && !p->dead)
		out_ended(p);
}

void eci_pump_close(struct eci_pump *p, const char *why)
{
	struct eci_pump **at = &p->mesh->pumps_over;
	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
	/* What its peer still sends will not be heard. Our own END counts as a byte until it is acknowledged. */
	if (p->cuts && p->out_over && !p->in_over && untaken(p) <= 1)
		to_reset(p);
	p->over = true;
	stop(p);
	eci_stream_free(p->stream, why ? "reset" : "cancelled", why, eci_now_ms());
	p->stream = NULL;
	if (p->owned && p->in >= 0)
		(void)close(p->in);
	if (p->owned && p->out >= 0 && p->out != p->in)
		(void)close(p->out);
	p->in = p->out = -1;
	eci_buf_deinit(&p->q);
}

void eci_pumps_run(ectx_mesh *m)
{
	while (m->pumps_over) {
		struct eci_pump *p = m->pumps_over;
		m->pumps_over = p->next;
		p->end(p);
	}
}
