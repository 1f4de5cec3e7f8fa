/* The connections of a tunnel, each from the moment somebody came to its end:
 *
 *     accepted here:  (SOCKS handshake ->) OPEN at the exit -> pump
 *     there:          connect(2) here -> OPEN `accept` at the exit -> pump
 *
 * Nothing is read from a socket here before the stream is open, but a SOCKS handshake, byte by byte as it is
 * understood; so a client that sends early is held by TCP. What the far end says early waits in the pump, within its
 * window.
 *
 * A connection owns its socket through its pump, whatever state it is in, and ends in one way: eci_conn_free(). */
#include "mesh/tunnel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop(struct eci_conn *c)
{
	ev_io_stop(c->tunnel->mesh->loop, &c->hand);
	ev_timer_stop(c->tunnel->mesh->loop, &c->limit);
}

void eci_conn_free(struct eci_conn *c, const char *why)
{
	struct ectx_tunnel *t = c->tunnel;
	stop(c);
	if (c->opening)
		eci_future_drop(c->opening);
	eci_pump_close(&c->pump, why);
	DL_DELETE(t->conns, c);
	t->nconns--;
	free(c->socks);
	free(c);
	if (t->full)
		eci_tunnel_listen(t, true);
}

static void pump_ended(struct eci_pump *p)
{
	struct eci_conn *c = (struct eci_conn *)(void *)((char *)p - offsetof(struct eci_conn, pump));
	if (p->lost)
		eci_tunnel_say(c->tunnel, 30, "a connection was lost: %s", p->why);
	eci_conn_free(c, NULL);
}

/* ---- opening ---- */

static void say_socks(struct eci_conn *c, int error)
{
	uint8_t out[ECI_SOCKS_REPLY_SIZE];
	eci_socks_reply(out, error);
	/* A fresh socket's buffer takes ten bytes, or nobody is there to take them. */
	(void)!send(c->pump.out, out, sizeof out, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(c->socks);
	c->socks = NULL;
}

static void open_done(struct ectx_future *f)
{
	struct eci_pump *p = f->user;
	struct eci_conn *c = (struct eci_conn *)(void *)((char *)p - offsetof(struct eci_conn, pump));
	struct eci_stream *s = f->error.status == ECTX_OK ? eci_open_take(f) : NULL;
	int error = f->error.phase == ECTX_PHASE_RESOLVE ? EHOSTUNREACH : eci_open_errno(f);
	if (!s && c->tunnel->kind != ECTX_TUNNEL_REMOTE)
		eci_tunnel_say(c->tunnel, 30, "%s", f->error.saw[0] ? f->error.saw : ectx_code_name(f->error.code));
	eci_future_drop(f);
	c->opening = NULL;
	if (c->socks)
		say_socks(c, s ? 0 : error ? error : -1);
	if (!s) {
		if (c->tunnel->kind == ECTX_TUNNEL_LOCAL) { /* its client sees a reset, and no empty answer */
			const struct linger now = {.l_onoff = 1};
			(void)setsockopt(c->pump.out, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		}
		eci_conn_free(c, NULL);
		return;
	}
	if (p->over) { /* reset before it was told */
		eci_stream_free(s, "cancelled", NULL, eci_now_ms());
		return;
	}
	p->stream = s;
	if (c->refused) {
		eci_conn_free(c, "Connection refused");
		return;
	}
	eci_pump_start(p, s);
}

static void open_to(struct eci_conn *c, const char *what, const char *host, int port)
{
	c->opening = eci_open_start(c->tunnel->exit, what, host, port, &eci_pump_ops, &c->pump, open_done,
				    ECI_TUNNEL_OPEN_MS);
	if (c->opening)
		c->opening->user = &c->pump;
	else
		eci_conn_free(c, NULL);
}

/* ---- SOCKS ---- */

static void on_limit(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)events;
	struct eci_conn *c = w->data;
	eci_conn_free(c, NULL);
}

/* One byte at a time is read (peeked at first), because what comes behind the handshake belongs to the pump. */
static void on_handshake(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	struct eci_conn *c = w->data;
	struct eci_socks *s = c->socks;
	uint8_t some[ECI_SOCKS_MESSAGE_MAX];
	ssize_t n = recv(c->pump.in, some, sizeof some, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	size_t used = 0;
	enum eci_socks_step step = n > 0 ? eci_socks_feed(s, some, (size_t)n, &used) : ECI_SOCKS_REFUSED;
	if (n <= 0) {
		eci_conn_free(c, NULL);
		return;
	}
	(void)!recv(c->pump.in, some, used, MSG_DONTWAIT);
	if (s->out_len)
		(void)!send(c->pump.out, s->out, s->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	s->out_len = 0;
	if (step == ECI_SOCKS_MORE)
		return;
	stop(c);
	if (step == ECI_SOCKS_CONNECT) {
		open_to(c, "tcp", s->host, s->port);
		return;
	}
	eci_tunnel_say(c->tunnel, 30, "a client was refused: %s", s->why);
	(void)shutdown(c->pump.out, SHUT_WR);
	eci_conn_free(c, NULL);
}

/* ---- beginnings ---- */

static struct eci_conn *conn_new(struct ectx_tunnel *t, int fd)
{
	struct eci_conn *c = calloc(1, sizeof *c);
	int on = 1;
	if (!c) {
		(void)close(fd);
		return NULL;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* EOPNOTSUPP for a unix socket */
	c->tunnel = t;
	eci_pump_init(&c->pump, t->mesh, fd, fd, true, pump_ended);
	ev_io_init(&c->hand, on_handshake, fd, EV_READ);
	ev_timer_init(&c->limit, on_limit, ECI_TUNNEL_SOCKS_S, 0.);
	c->hand.data = c->limit.data = c;
	DL_APPEND(t->conns, c);
	t->nconns++;
	return c;
}

void eci_conn_accepted(struct ectx_tunnel *t, int fd)
{
	struct eci_conn *c = conn_new(t, fd);
	if (!c)
		return;
	if (t->kind == ECTX_TUNNEL_LOCAL) {
		open_to(c, t->to.port < 0 ? "unix" : "tcp", t->to.host, t->to.port);
		return;
	}
	c->socks = calloc(1, sizeof *c->socks);
	if (!c->socks) {
		eci_conn_free(c, NULL);
		return;
	}
	c->socks->user = t->user;
	c->socks->password = t->password;
	ev_io_start(t->mesh->loop, &c->hand);
	ev_timer_start(t->mesh->loop, &c->limit);
}

static void local_failed(struct eci_conn *c, int error)
{
	eci_tunnel_say(c->tunnel, 30, "%s: %s", c->tunnel->to.host, strerror(error));
	c->refused = true;
	open_to(c, "accept", NULL, (int)c->number); /* to reset it */
}

static void on_connected(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	struct eci_conn *c = w->data;
	int error = 0;
	socklen_t n = sizeof error;
	stop(c);
	if (getsockopt(c->pump.in, SOL_SOCKET, SO_ERROR, &error, &n) || error)
		local_failed(c, error ? error : errno);
	else
		open_to(c, "accept", NULL, (int)c->number);
}

void eci_conn_remote(struct ectx_tunnel *t, uint64_t number)
{
	const struct eci_sock_address *a = &t->target;
	int fd = t->nconns < ECI_TUNNEL_CONNS_MAX
			 ? socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
			 : -1;
	struct eci_conn *c = fd < 0 ? NULL : conn_new(t, fd);
	if (!c)
		return; /* the exit closes it after a while */
	c->number = number;
	if (connect(fd, (const struct sockaddr *)&a->sa, a->len) == 0) {
		open_to(c, "accept", NULL, (int)number);
	} else if (errno == EINPROGRESS) {
		ev_io_set(&c->hand, fd, EV_WRITE);
		ev_set_cb(&c->hand, on_connected);
		ev_io_start(t->mesh->loop, &c->hand);
		ev_timer_start(t->mesh->loop, &c->limit);
	} else {
		local_failed(c, errno);
	}
}
