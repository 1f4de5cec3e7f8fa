/* Tunnels: sockets that listen, here or at the exit, and what becomes of those who come (conn.c).
 *
 * A tunnel here lives as long as the program wants, whatever happens to its exit: the next connection makes the exit
 * anew, as every call does. One there goes with its context; it is asked for again a second after it was lost, and
 * again, for as long as the tunnel is wanted. While that fails each pause is twice the one before, a minute at most: a
 * host that is down for a night is neither dialled every second nor said to be down as often.
 *
 * Its watchers belong to the loop's thread, but are made in the caller's with the lock held and the loop woken (see
 * pump.c). At ECI_TUNNEL_CONNS_MAX connections, or without a descriptor, it stops to accept until one ends (without a
 * descriptor for a second at most): then it is the kernel's backlog that says no. */
#include "mesh/event.h"
#include "mesh/tunnel.h"
#include "mesh/secret.h"

#include "core/cbor.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void eci_tunnel_say(struct ectx_tunnel *t, int level, const char *fmt, ...)
{
	static const char logger[] = "econtext.tunnel";
	char text[700];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
	eci_event_log(t->mesh, t->exit, level, logger, sizeof logger - 1, text, len);
}

void eci_tunnel_listen(struct ectx_tunnel *t, bool on)
{
	if (t->fd < 0)
		return;
	t->full = !on;
	if (on)
		ev_io_start(t->mesh->loop, &t->listen);
	else
		ev_io_stop(t->mesh->loop, &t->listen);
	eci_mesh_wake(t->mesh);
}

/* Who has the descriptors is not known: it may be others than these connections, so it is tried again. */
static void no_more(struct ectx_tunnel *t, const char *why)
{
	bool full = t->nconns == ECI_TUNNEL_CONNS_MAX;
	eci_tunnel_say(t, 30, "%u connections: no more until one ends (%s)", t->nconns,
		       full ? "the tunnel's limit" : why);
	eci_tunnel_listen(t, false);
	if (full)
		return;
	ev_timer_set(&t->again, ECI_TUNNEL_AGAIN_S, 0.);
	ev_timer_start(t->mesh->loop, &t->again);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	struct ectx_tunnel *t = w->data;
	for (int i = 0; i < 64; i++) {
		int fd = t->nconns < ECI_TUNNEL_CONNS_MAX ? accept4(t->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)
							  : (errno = EMFILE, -1);
		if (fd >= 0) {
			eci_conn_accepted(t, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			no_more(t, strerror(errno));
			return;
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* ---- addresses of this machine ---- */

static void set_fail(struct eci_fail *fail, enum ectx_code code, const char *what, const char *why)
{
	eci_fail_set(fail, ECTX_PHASE_NONE, code, "%s: %s", what, why);
}

static int unix_address(struct eci_sock_address *a, const char *path, struct eci_fail *fail)
{
	struct sockaddr_un *u = (struct sockaddr_un *)&a->sa;
	size_t n = strlen(path);
	if (n >= sizeof u->sun_path) {
		set_fail(fail, ECTX_E_BAD_ARGUMENT, path, "a unix socket's path has 107 bytes at most");
		return -1;
	}
	u->sun_family = AF_UNIX;
	memcpy(u->sun_path, path, n);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'));
	if (path[0] == '@')
		u->sun_path[0] = 0;
	return 0;
}

static int tcp_address(struct eci_sock_address *a, const char *host, int port, bool listen, struct eci_fail *fail)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (listen ? AI_PASSIVE : 0)};
	struct addrinfo *list = NULL;
	char text[8];
	(void)snprintf(text, sizeof text, "%d", port);
	int r = getaddrinfo(*host ? host : "127.0.0.1", text, &hints, &list);
	if (r) {
		set_fail(fail, ECTX_E_BAD_ARGUMENT, host, gai_strerror(r));
		return -1;
	}
	memcpy(&a->sa, list->ai_addr, list->ai_addrlen);
	a->len = list->ai_addrlen;
	freeaddrinfo(list);
	return 0;
}

static int sock_address(struct eci_sock_address *out, const struct eci_address *a, bool listen, struct eci_fail *fail)
{
	return a->port < 0 ? unix_address(out, a->host, fail) : tcp_address(out, a->host, a->port, listen, fail);
}

/* "[HOST:]PORT" too. */
static int parse_listen(struct eci_address *a, const char *text, struct eci_fail *fail)
{
	char with[16];
	if (*text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 6) {
		(void)snprintf(with, sizeof with, ":%s", text);
		text = with;
	}
	return eci_address_parse(a, text, fail);
}

/* ---- listening here ---- */

static void name_it(struct ectx_tunnel *t)
{
	struct eci_sock_address a = {.len = sizeof a.sa};
	char host[INET6_ADDRSTRLEN] = "?", text[INET6_ADDRSTRLEN + 16];
	if (t->path || getsockname(t->fd, (struct sockaddr *)&a.sa, &a.len)) {
		size_t n = strlen(t->path ? t->path : "") + 6;
		t->address = malloc(n);
		if (t->address)
			(void)snprintf(t->address, n, "unix:%s", t->path ? t->path : "");
		return;
	}
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&a.sa;
	const struct sockaddr_in *four = (const struct sockaddr_in *)&a.sa;
	bool is_six = a.sa.ss_family == AF_INET6;
	(void)inet_ntop(a.sa.ss_family, is_six ? (const void *)&six->sin6_addr : (const void *)&four->sin_addr, host,
			sizeof host);
	(void)snprintf(text, sizeof text, is_six ? "[%s]:%d" : "%s:%d", host,
		       ntohs(is_six ? six->sin6_port : four->sin_port));
	t->address = strdup(text);
}

/* A socket's file that nobody listens at is what a killed program left. */
static void clear_stale(const struct eci_sock_address *a, const char *path)
{
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)&a->sa, a->len) < 0 && errno == ECONNREFUSED)
		(void)unlink(path);
	if (fd >= 0)
		(void)close(fd);
}

static int listen_here(struct ectx_tunnel *t, const char *text, struct eci_fail *fail)
{
	struct eci_sock_address a = {0};
	int on = 1;
	if (parse_listen(&t->at, text, fail) || sock_address(&a, &t->at, true, fail))
		return -1;
	bool file = t->at.port < 0 && t->at.host[0] != '@';
	if (file)
		clear_stale(&a, t->at.host);
	t->fd = socket(a.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd >= 0 && t->at.port >= 0)
		(void)setsockopt(t->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (t->fd >= 0 && file) /* before bind(2): its file is made with this mode; umask(2) is the whole program's */
		(void)fchmod(t->fd, 0600);
	int r = t->fd < 0 ? -1 : bind(t->fd, (struct sockaddr *)&a.sa, a.len);
	int error = errno;
	if (r == 0 && file)
		t->path = strdup(t->at.host);
	if (r == 0 && listen(t->fd, 1024) == 0) {
		if (!file && t->at.port < 0)
			t->path = strdup(t->at.host);
		name_it(t);
		return 0;
	}
	error = r ? error : errno;
	if (t->at.port >= 0)
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_SYSTEM, "%s port %d: %s",
			     *t->at.host ? t->at.host : "127.0.0.1", t->at.port, strerror(error));
	else
		set_fail(fail, ECTX_E_SYSTEM, t->at.host, strerror(error));
	if (error == EADDRINUSE)
		(void)snprintf(fail->hint, sizeof fail->hint, "another program listens there: choose another%s",
			       t->at.port >= 0 ? " port, or 0 for any" : " path");
	return -1;
}

/* ---- listening there ---- */

static void ask_again(struct ectx_tunnel *t, const char *why)
{
	eci_tunnel_say(t, 30, "%s does not listen any more (%s): asking again in %.0f s", ectx_context_name(t->exit),
		       why, t->pause);
	ev_timer_set(&t->again, t->pause, 0.);
	t->pause = t->pause * 2 < ECI_TUNNEL_PAUSE_S ? t->pause * 2 : ECI_TUNNEL_PAUSE_S;
	ev_timer_start(t->mesh->loop, &t->again);
	eci_mesh_wake(t->mesh);
}

static void on_came(void *arg, const uint8_t *p, size_t n)
{
	struct ectx_tunnel *t = arg;
	struct eci_cbor c = eci_cbor_open(p, n);
	if (t->events)
		eci_stream_took(t->events, n, eci_now_ms());
	if (eci_cbor_check(p, n, ECI_CBOR_ITEMS_MAX) != 0)
		return;
	(void)eci_cbor_get_array(&c);
	uint64_t number = eci_cbor_get_uint(&c);
	if (!c.bad && number <= INT32_MAX)
		eci_conn_remote(t, number);
}

static void on_unheard(void *arg, const struct eci_answer *a)
{
	struct ectx_tunnel *t = arg;
	if (!t->events)
		return; /* it is the future's still */
	eci_stream_free(t->events, NULL, NULL, eci_now_ms());
	t->events = NULL;
	ask_again(t, *a->evidence ? a->evidence : a->reason);
}

static const struct eci_stream_ops remote_ops = {.data = on_came, .dead = on_unheard, .calls = true};

static void listen_done(struct ectx_future *f)
{
	struct ectx_tunnel *t = f->user;
	if (!t->first_known)
		return; /* ectx_tunnel_open() waits for it */
	t->opening = NULL;
	if (f->error.status == ECTX_OK) {
		t->events = eci_open_take(f);
		t->pause = ECI_TUNNEL_AGAIN_S;
		eci_tunnel_say(t, 20, "%s listens again", ectx_context_name(t->exit));
	} else {
		ask_again(t, f->error.saw[0] ? f->error.saw : ectx_code_name(f->error.code));
	}
	eci_future_drop(f);
}

static void on_again(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)events;
	struct ectx_tunnel *t = w->data;
	if (t->kind != ECTX_TUNNEL_REMOTE) {
		eci_tunnel_listen(t, true);
		return;
	}
	t->opening = eci_open_start(t->exit, "listen", t->at.host, t->at.port, &remote_ops, t, listen_done,
				    ECI_TUNNEL_OPEN_MS);
	if (t->opening)
		t->opening->user = t;
	else
		ask_again(t, "no memory");
}

/* "HOST PORT" as we write it; of one IPv6 address agents have several spellings. */
static char *address_there(const struct ectx_tunnel *t, const char *text)
{
	char where[300], host[INET6_ADDRSTRLEN];
	struct in6_addr six;
	const char *space = t->at.port < 0 ? NULL : strrchr(text, ' ');
	if (!space) {
		(void)snprintf(where, sizeof where, t->at.port < 0 ? "unix:%s" : "%s", text);
		return strdup(where);
	}
	(void)snprintf(where, sizeof where, "%.*s:%s", (int)(space - text), text, space + 1);
	(void)snprintf(host, sizeof host, "%.*s", (int)(space - text), text);
	if (inet_pton(AF_INET6, host, &six) == 1 && inet_ntop(AF_INET6, &six, host, sizeof host))
		(void)snprintf(where, sizeof where, "[%s]:%s", host, space + 1);
	return strdup(where);
}

/* Blocks. The lock is not held. */
static int listen_there(struct ectx_tunnel *t, const char *text, long timeout_ms, ectx_error *err,
			struct eci_fail *fail)
{
	if (parse_listen(&t->at, text, fail))
		return -1;
	if (t->at.port >= 0 && !*t->at.host) {
		free(t->at.host);
		t->at.host = strdup("127.0.0.1");
	}
	if (!t->at.host || sock_address(&t->target, &t->to, false, fail))
		return -1;
	eci_lock(t->mesh);
	struct ectx_future *f =
		eci_open_start(t->exit, "listen", t->at.host, t->at.port, &remote_ops, t, NULL, timeout_ms);
	eci_unlock(t->mesh);
	if (!f)
		return -1;
	(void)ectx_future_wait(f, -1);
	eci_lock(t->mesh);
	bool good = f->error.status == ECTX_OK;
	if (good) {
		t->events = eci_open_take(f);
		t->address = address_there(t, eci_open_text(f));
		t->first_known = true;
	} else {
		*err = f->error;
		f->error.detail = NULL;
	}
	eci_future_drop(f);
	eci_unlock(t->mesh);
	return good ? 0 : -1;
}

/* ---- life ---- */

static void unlisten(struct ectx_tunnel *t)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_uint(&b, eci_stream_handle(t->events));
	if (eci_context_reachable(t->exit))
		eci_send(t->mesh, ECI_CONTROL, t->exit->id, ECI_H_CANCEL, 0, &b); /* a full queue refuses none of it */
	eci_buf_deinit(&b);
	eci_stream_free(t->events, NULL, NULL, eci_now_ms());
	t->events = NULL;
}

void eci_tunnel_free(struct ectx_tunnel *t)
{
	ectx_mesh *m = t->mesh;
	while (t->conns)
		eci_conn_free(t->conns, NULL);
	ev_timer_stop(m->loop, &t->again);
	if (t->fd >= 0) {
		ev_io_stop(m->loop, &t->listen);
		(void)close(t->fd);
	}
	if (t->path && t->path[0] != '@')
		(void)unlink(t->path);
	if (t->opening)
		eci_future_drop(t->opening);
	if (t->events)
		unlisten(t);
	if (t->prev)
		DL_DELETE(m->tunnels, t);
	free(t->at.host);
	free(t->to.host);
	free(t->user);
	if (t->password)
		explicit_bzero(t->password, strlen(t->password));
	free(t->password);
	free(t->address);
	free(t->path);
	free(t);
	eci_mesh_wake(m);
}

static int fill(struct ectx_tunnel *t, const ectx_tunnel_options *o, struct eci_fail *fail)
{
	bool socks = o->kind == ECTX_TUNNEL_SOCKS;
	t->user = o->user ? strdup(o->user) : NULL;
	t->password = o->user ? strdup(o->password ? o->password : "") : NULL;
	if (o->kind > ECTX_TUNNEL_SOCKS || !o->listen || (!socks && !o->connect) ||
	    (o->user && (!t->user || !t->password))) {
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     "a tunnel needs where to listen, and where to");
		return -1;
	}
	return socks ? 0 : eci_address_parse(&t->to, o->connect, fail);
}

ectx_tunnel *ectx_tunnel_open(ectx_context *exit, const ectx_tunnel_options *o, long timeout_ms, ectx_error *err)
{
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	ectx_tunnel *t = calloc(1, sizeof *t);
	int r = -1;
	if (t) {
		*t = (struct ectx_tunnel){
			.mesh = exit->mesh, .exit = exit, .kind = o->kind, .fd = -1, .pause = ECI_TUNNEL_AGAIN_S};
		ev_timer_init(&t->again, on_again, 0., 0.);
		t->again.data = t;
		r = fill(t, o, &fail);
	}
	if (r == 0) {
		(void)eci_secrets_resolve(exit, err);
		r = o->kind == ECTX_TUNNEL_REMOTE ? listen_there(t, o->listen, timeout_ms, err, &fail)
						  : listen_here(t, o->listen, &fail);
	}
	eci_lock(exit->mesh);
	if (r == 0) {
		DL_APPEND(exit->mesh->tunnels, t);
		if (t->fd >= 0) {
			ev_io_init(&t->listen, on_accept, t->fd, EV_READ);
			t->listen.data = t;
			eci_tunnel_listen(t, true);
		}
	} else if (t) {
		eci_tunnel_free(t);
		t = NULL;
	}
	eci_unlock(exit->mesh);
	if (r && !err->status)
		eci_error_from(err, &fail, NULL);
	return t;
}

const char *ectx_tunnel_address(const ectx_tunnel *t)
{
	return t->address ? t->address : "";
}

void ectx_tunnel_close(ectx_tunnel *t)
{
	if (!t)
		return;
	ectx_mesh *m = t->mesh;
	ectx_context *exit = t->exit;
	eci_lock(m);
	bool asked = t->events && exit->state == ECI_UP;
	eci_tunnel_free(t);
	eci_unlock(m);
	/* What follows may be the end of the mesh, which a CANCEL that is under way would not outrun. */
	struct ectx_future *f = asked ? ectx_trace_start(exit, ECI_TUNNEL_CLOSE_MS) : NULL;
	if (f)
		(void)ectx_future_wait(f, -1);
	ectx_future_free(f);
}
