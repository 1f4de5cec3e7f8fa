/* Tunnels: what the program opens and closes, and in between has listening sockets, here (listen_here.c) or at the exit
 * (listen_there.c), and the connections of those who come (conn.c).
 *
 * A tunnel here lives as long as the program wants, whatever happens to its exit: the next connection makes the exit
 * anew, as every call does. One there goes with its context, and is asked for again.
 *
 * Its watchers belong to the loop's thread, but are made in the caller's with the lock held and the loop woken (see
 * pump.c). */
#include "mesh/event.h"
#include "mesh/tunnel.h"
#include "mesh/secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
		eci_listen_there_end(t);
	if (t->prev)
		DL_DELETE(m->tunnels, t);
	free(t->at.host);
	free(t->to.host);
	free(t->user);
	if (t->password)
		explicit_bzero(t->password, strlen(t->password));
	free(t->password);
	free(t->address);
	for (struct eci_old_address *old; (old = t->old) != NULL; free(old)) {
		t->old = old->before;
		free(old->text);
	}
	free(t->path);
	free(t);
	eci_mesh_wake(m);
}

/* Why they cannot be meant, NULL: they can. What would do nothing is refused, as who sets it believes that it does. */
static const char *unmeant(const ectx_tunnel_options *o)
{
	bool socks = o->kind == ECTX_TUNNEL_SOCKS;
	if (o->kind > ECTX_TUNNEL_SOCKS)
		return "there is no such kind of tunnel";
	if (!o->listen || (!socks && !o->connect))
		return "a tunnel needs where to listen, and where to";
	if (socks && o->connect)
		return "a SOCKS tunnel has no address to connect to: each client says one";
	if (!socks && (o->user || o->password))
		return "only a SOCKS tunnel demands a user or a password";
	if (o->password && !o->user)
		return "a password without a user: anybody could connect";
	return NULL;
}

static int fill(struct ectx_tunnel *t, const ectx_tunnel_options *o, struct eci_fail *fail)
{
	const char *why = unmeant(o);
	if (why) {
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT, "%s", why);
		return -1;
	}
	t->user = o->user ? strdup(o->user) : NULL;
	t->password = o->user ? strdup(o->password ? o->password : "") : NULL;
	if (o->user && (!t->user || !t->password))
		return -1; /* no-memory, as fail says */
	if (o->user && (strlen(o->user) > ECI_TUNNEL_SOCKS_TEXT || strlen(t->password) > ECI_TUNNEL_SOCKS_TEXT)) {
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     "SOCKS has no user or password of more than %u bytes", ECI_TUNNEL_SOCKS_TEXT);
		return -1;
	}
	return o->connect ? eci_address_parse_to(&t->to, o->connect, fail) : 0;
}

ectx_tunnel *ectx_tunnel_open(ectx_context *exit, const ectx_tunnel_options *o, long timeout_ms, ectx_error *err)
{
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	ectx_tunnel *t = calloc(1, sizeof *t);
	bool remote = o->kind == ECTX_TUNNEL_REMOTE;
	int r = -1;
	if (t) {
		*t = (struct ectx_tunnel){
			.mesh = exit->mesh, .exit = exit, .kind = o->kind, .fd = -1, .pause = ECI_TUNNEL_AGAIN_S};
		t->open_ms = !remote && timeout_ms > 0 ? timeout_ms : ECI_TUNNEL_OPEN_MS;
		ev_timer_init(&t->again, remote ? eci_listen_there_again : eci_listen_here_again, 0., 0.);
		t->again.data = t;
		r = fill(t, o, &fail);
	}
	if (r == 0 && !eci_secrets_resolve(exit, &fail))
		r = -1;
	else if (r == 0)
		r = remote ? eci_listen_there(t, o->listen, timeout_ms, err, &fail)
			   : eci_listen_here(t, o->listen, &fail);
	eci_lock(exit->mesh);
	if (r == 0) {
		DL_APPEND(exit->mesh->tunnels, t);
		if (!remote)
			eci_listen_here_begin(t);
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
	eci_lock(t->mesh);
	const char *address = t->address ? t->address : "";
	eci_unlock(t->mesh);
	return address;
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
