/* Sockets that listen here, for a tunnel, and what becomes of those who come (conn.c).
 *
 * At ECI_TUNNEL_CONNS_MAX connections, or without a descriptor, a tunnel stops to accept until one ends (without a
 * descriptor for a second at most): then it is the kernel's backlog that says no.
 *
 * A unix socket's file is made by bind(2) and stays behind a killed program: one that nobody listens at is taken away
 * first, and ours with the tunnel. */
#include "mesh/tunnel.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- addresses of this machine ---- */

static void set_fail(struct eci_fail *fail, enum ectx_code code, const char *what, const char *why)
{
	eci_fail_set(fail, ECTX_PHASE_NONE, code, "%s: %s", what, why);
}

static_assert(ECI_SUN_PATH_MAX < sizeof((struct sockaddr_un *)0)->sun_path, "eci_address_parse() takes no longer one");

static void unix_address(struct eci_sock_address *a, const char *path)
{
	struct sockaddr_un *u = (struct sockaddr_un *)&a->sa;
	size_t n = strlen(path);
	u->sun_family = AF_UNIX;
	memcpy(u->sun_path, path, n);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'));
	if (path[0] == '@')
		u->sun_path[0] = 0;
}

/* Who listens at a name does so at one of its addresses, and most clients mean version 4. */
static unsigned tcp_addresses(struct eci_sock_address *out, unsigned most, const struct eci_address *a, bool listen,
			      struct eci_fail *fail)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (listen ? AI_PASSIVE : 0)};
	struct addrinfo *list = NULL;
	char text[12];
	unsigned n = 0;
	(void)snprintf(text, sizeof text, "%d", a->port);
	int r = getaddrinfo(*a->host ? a->host : "127.0.0.1", text, &hints, &list);
	if (r) {
		set_fail(fail, ECTX_E_BAD_ARGUMENT, a->host, gai_strerror(r));
		return 0;
	}
	for (int four = listen; four >= 0 && !(listen && n); four--)
		for (struct addrinfo *x = list; x && n < most; x = x->ai_next)
			if (!four || x->ai_family == AF_INET) {
				memcpy(&out[n].sa, x->ai_addr, x->ai_addrlen);
				out[n++].len = x->ai_addrlen;
			}
	freeaddrinfo(list);
	return n;
}

unsigned eci_sock_addresses(struct eci_sock_address *out, unsigned most, const struct eci_address *a, bool listen,
			    struct eci_fail *fail)
{
	if (a->port >= 0)
		return tcp_addresses(out, most, a, listen, fail);
	unix_address(out, a->host);
	return 1;
}

int eci_listen_parse(struct eci_address *a, const char *text, struct eci_fail *fail)
{
	char with[16];
	if (*text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 6) {
		(void)snprintf(with, sizeof with, ":%s", text);
		text = with;
	}
	return eci_address_parse(a, text, fail);
}

/* ---- to listen ---- */

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
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* a full backlog would wait */
	if (fd >= 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)&a->sa, a->len) < 0 && errno == ECONNREFUSED)
		(void)unlink(path);
	if (fd >= 0)
		(void)close(fd);
}

int eci_listen_here(struct ectx_tunnel *t, const char *text, struct eci_fail *fail)
{
	struct eci_sock_address a = {0};
	int on = 1;
	if (eci_listen_parse(&t->at, text, fail) || !eci_sock_addresses(&a, 1, &t->at, true, fail))
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
	if (r == 0 && listen(t->fd, ECI_TUNNEL_CONNS_MAX) == 0) {
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
		(void)snprintf(fail->hint, sizeof fail->hint, "another program listens there%s",
			       t->at.port >= 0 ? ": choose another port, or 0 for any"
					       : ", or it is a file of another kind: choose another path");
	return -1;
}

/* ---- who comes ---- */

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

bool eci_tunnel_short(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
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
	ev_timer_stop(t->mesh->loop, &t->again);
	ev_timer_set(&t->again, ECI_TUNNEL_AGAIN_S, 0.);
	ev_timer_start(t->mesh->loop, &t->again);
}

void eci_listen_here_again(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)events;
	eci_tunnel_listen(w->data, true);
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
		if (eci_tunnel_short(errno)) {
			no_more(t, strerror(errno));
			return;
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

void eci_listen_here_begin(struct ectx_tunnel *t)
{
	ev_io_init(&t->listen, on_accept, t->fd, EV_READ);
	t->listen.data = t;
	eci_tunnel_listen(t, true);
}
