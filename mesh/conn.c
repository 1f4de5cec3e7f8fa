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

/* Where to, if what is said does not begin with it. */
static void say_failed(struct eci_conn *c, const struct ectx_future *f)
{
	char where[ECI_OPEN_NAME_MAX];
	const char *saw = f->error.saw[0] ? f->error.saw : ectx_code_name(f->error.code);
	bool said = f->error.code == ECTX_E_OPEN_FAILED || f->error.code == ECTX_E_DEADLINE;
	eci_open_name(f, where, sizeof where);
	eci_tunnel_say(c->tunnel, 30, "%s%s%s", said ? "" : where, said || !*where ? "" : ": ", saw);
}

static void open_done(struct ectx_future *f)
{
	struct eci_pump *p = f->user;
	struct eci_conn *c = (struct eci_conn *)(void *)((char *)p - offsetof(struct eci_conn, pump));
	struct eci_stream *s = f->error.status == ECTX_OK ? eci_open_take(f) : NULL;
	bool no_name = f->error.phase == ECTX_PHASE_RESOLVE && f->error.code == ECTX_E_OPEN_FAILED;
	int error = no_name ? EHOSTUNREACH : eci_open_errno(f);
	if (!s && c->tunnel->kind != ECTX_TUNNEL_REMOTE)
		say_failed(c, f);
	uint32_t peer = s ? f->at->id : 0;
	eci_future_drop(f);
	c->opening = NULL;
	if (c->socks)
		say_socks(c, s ? 0 : error ? error : -1);
	if (!s) {
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
	eci_pump_cuts(p);
	eci_pump_start(p, s, peer);
}

static void open_to(struct eci_conn *c, const char *what, const char *host, int64_t port)
{
	c->opening = eci_open_start(c->tunnel->exit, what, host, port, &eci_pump_ops, &c->pump, open_done,
				    c->tunnel->open_ms);
	if (c->opening)
		c->opening->user = &c->pump;
	else
		eci_conn_free(c, NULL);
}

static void local_failed(struct eci_conn *c, int error)
{
	eci_tunnel_say(c->tunnel, 30, "%s: %s", c->tunnel->to.host, strerror(error));
	c->refused = true;
	open_to(c, "accept", NULL, c->number); /* to reset it */
}

/* A client that does not say where to, or what a remote tunnel leads to does not answer. */
static void on_limit(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)events;
	struct eci_conn *c = w->data;
	stop(c);
	if (c->tunnel->kind == ECTX_TUNNEL_REMOTE)
		local_failed(c, ETIMEDOUT);
	else
		eci_conn_free(c, NULL);
}

/* ---- SOCKS ---- */

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

static void hold(struct eci_conn *c, int fd)
{
	int on = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* EOPNOTSUPP for a unix socket */
	eci_pump_init(&c->pump, c->tunnel->mesh, fd, fd, true, pump_ended);
	if (c->tunnel->kind == ECTX_TUNNEL_LOCAL) /* an empty answer is none; a client of SOCKS has its reply first */
		eci_pump_cuts(&c->pump);
}

static struct eci_conn *conn_new(struct ectx_tunnel *t, int fd)
{
	struct eci_conn *c = calloc(1, sizeof *c);
	if (!c) {
		if (fd >= 0)
			(void)close(fd);
		return NULL;
	}
	c->tunnel = t;
	hold(c, fd);
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

/* A socket for the next of our end's addresses of whose family there are any here; -1: none is left. */
static int next_socket(const struct ectx_tunnel *t, unsigned *next)
{
	int fd = -1;
	for (bool none = false; *next < t->ntargets && fd < 0 && !none; *next += fd < 0 && !none) {
		fd = socket(t->targets[*next].sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		none = fd < 0 && eci_tunnel_short(errno);
	}
	return fd;
}

/* The next one's in the place of what did not lead there. */
static bool go_on(struct eci_conn *c)
{
	int fd = next_socket(c->tunnel, &c->target);
	if (fd < 0)
		return false;
	(void)close(c->pump.in);
	hold(c, fd);
	return true;
}

static void on_connected(struct ev_loop *loop, ev_io *w, int events);
static void on_short(struct ev_loop *loop, ev_timer *w, int events);
static void connect_here(struct eci_conn *c);

static void on_full(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)events;
	connect_here(w->data);
}

/* A unix socket's full backlog: connect(2) says EAGAIN, and poll(2) nothing of use. False: often enough. */
static bool try_again(struct eci_conn *c)
{
	if (c->tunnel->to.port >= 0 || ++c->tries > (unsigned)(ECI_TUNNEL_SOCKS_S / ECI_TUNNEL_FULL_S))
		return false;
	c->target--;
	ev_now_update(c->tunnel->mesh->loop); /* it may have slept */
	ev_set_cb(&c->limit, on_full);
	ev_timer_set(&c->limit, ECI_TUNNEL_FULL_S, 0.);
	ev_timer_start(c->tunnel->mesh->loop, &c->limit);
	eci_mesh_wake(c->tunnel->mesh);
	return true;
}

/* To our end, at each of its addresses in turn, all within the limit. The socket of the next one is there. */
static void connect_here(struct eci_conn *c)
{
	struct ectx_tunnel *t = c->tunnel;
	int error;
	do {
		const struct eci_sock_address *a = &t->targets[c->target++];
		error = connect(c->pump.in, (const struct sockaddr *)&a->sa, a->len) ? errno : 0;
	} while (error && error != EINPROGRESS && go_on(c));
	if (!error) {
		open_to(c, "accept", NULL, c->number);
	} else if (error == EINPROGRESS) {
		ev_now_update(t->mesh->loop); /* it may have slept */
		ev_io_set(&c->hand, c->pump.in, EV_WRITE);
		ev_set_cb(&c->hand, on_connected);
		ev_io_start(t->mesh->loop, &c->hand);
		ev_timer_start(t->mesh->loop, &c->limit);
		eci_mesh_wake(t->mesh);
	} else if (error != EAGAIN || !try_again(c)) {
		local_failed(c, error);
	}
}

static void on_connected(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	struct eci_conn *c = w->data;
	int error = 0;
	socklen_t n = sizeof error;
	stop(c);
	if (getsockopt(c->pump.in, SOL_SOCKET, SO_ERROR, &error, &n))
		error = errno;
	if (!error)
		open_to(c, "accept", NULL, c->number);
	else if (go_on(c))
		connect_here(c);
	else
		local_failed(c, error);
}

/* Of the first target. Without a descriptor he who came waits at the exit, as one does before a socket of ours. */
static void begin_here(struct eci_conn *c)
{
	struct ectx_tunnel *t = c->tunnel;
	ev_tstamp waited = c->tries * ECI_TUNNEL_AGAIN_S;
	c->target = 0;
	int fd = next_socket(t, &c->target), error = errno;
	if (fd < 0 && eci_tunnel_short(error) && c->tries < ECI_TUNNEL_SHORT_MAX) {
		if (!c->tries++)
			eci_tunnel_say(t, 30, "a connection waits: %s", strerror(error));
		ev_now_update(t->mesh->loop); /* it may have slept */
		ev_timer_init(&c->limit, on_short, ECI_TUNNEL_AGAIN_S, 0.);
		ev_timer_start(t->mesh->loop, &c->limit);
		eci_mesh_wake(t->mesh);
	} else if (fd < 0) {
		local_failed(c, error);
	} else {
		ev_timer_init(&c->limit, on_limit, ECI_TUNNEL_SOCKS_S - waited, 0.);
		c->tries = 0;
		hold(c, fd);
		connect_here(c);
	}
}

static void on_short(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)events;
	begin_here(w->data);
}

void eci_conn_remote(struct ectx_tunnel *t, uint32_t number)
{
	bool full = t->nconns == ECI_TUNNEL_CONNS_MAX;
	struct eci_conn *c = full ? NULL : conn_new(t, -1);
	if (!c) { /* the exit closes it after a while */
		eci_tunnel_say(t, 30, "a connection was not taken: %s",
			       full ? "there are as many as a tunnel has" : "no memory");
		return;
	}
	c->number = number;
	begin_here(c);
}
