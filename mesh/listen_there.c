/* What listens at the exit, for a remote tunnel: a stream of the numbers of those who come (docs/protocol.md section
 * 9.1), each of which is then accepted by an OPEN of its own (conn.c).
 *
 * It goes with its context; it is asked for again a second after it was lost, and again, for as long as the tunnel is
 * wanted. While that fails each pause is twice the one before, a minute at most: a host that is down for a night is
 * neither dialled every second nor said to be down as often.
 *
 * Of port 0 it is the port that came of it that is asked for again, for somebody knows it by now; only where that is
 * taken it is any again, and the new one is said. Any other trouble (an address that is not up yet, no descriptor) says
 * nothing of the port, and may be over the next time. */
#include "mesh/tunnel.h"

#include "core/cbor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_MS 100 /* whether it was given up: a signal has no way to wake who waits for a future */

/* It is what came of port 0 that is asked for. */
static void note_port(struct ectx_tunnel *t)
{
	const char *port = t->any_port && t->address ? strrchr(t->address, ':') : NULL;
	if (port)
		t->at.port = (int)strtol(port + 1, NULL, 10);
}

static void ask_again(struct ectx_tunnel *t, const char *why)
{
	note_port(t); /* any was asked for, perhaps, and did not come */
	eci_tunnel_say(t, 30, "%s does not listen any more (%s): asking again in %.0f s", ectx_context_name(t->exit),
		       why, t->pause);
	ev_now_update(t->mesh->loop); /* it may have slept */
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
	bool good = eci_cbor_check(p, n, ECI_CBOR_ITEMS_MAX) == 0;
	(void)eci_cbor_get_array(&c);
	uint64_t number = eci_cbor_get_uint(&c);
	if (good && !c.bad && number <= UINT32_MAX)
		eci_conn_remote(t, (uint32_t)number);
	else
		eci_tunnel_say(t, 30, "a connection was not taken: the exit does not say its number");
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

/* The stream of an answer. It may have been lost since, and nobody told. */
static bool take(struct ectx_tunnel *t, struct ectx_future *f)
{
	t->events = eci_open_take(f);
	if (eci_stream_handle(t->events))
		return true;
	eci_stream_free(t->events, NULL, NULL, eci_now_ms());
	t->events = NULL;
	return false;
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

/* It listens there. True: that is another address than the one before. */
static bool note_address(struct ectx_tunnel *t, const char *text)
{
	char *address = address_there(t, text);
	bool moved = address && t->address && strcmp(address, t->address) != 0;
	struct eci_old_address *old = moved ? malloc(sizeof *old) : NULL;
	if (old) {
		*old = (struct eci_old_address){t->old, t->address};
		t->old = old;
	}
	if (old || !t->address)
		t->address = address;
	else
		free(address);
	note_port(t);
	return moved;
}

static void listen_done(struct ectx_future *f)
{
	struct ectx_tunnel *t = f->user;
	if (!t->first_known)
		return; /* ectx_tunnel_open() waits for it */
	t->opening = NULL;
	if (f->error.status == ECTX_OK && take(t, f)) {
		t->pause = ECI_TUNNEL_AGAIN_S;
		bool moved = note_address(t, eci_open_text(f));
		eci_tunnel_say(t, moved ? 30 : 20, "%s listens again%s%s", ectx_context_name(t->exit),
			       moved ? ", now at " : "", moved ? t->address : "");
	} else if (t->any_port && t->at.port && eci_open_errno(f) == EADDRINUSE) {
		t->at.port = 0;
		eci_listen_there_again(t->mesh->loop, &t->again, 0);
	} else if (f->error.status == ECTX_OK) {
		ask_again(t, "lost");
	} else {
		ask_again(t, f->error.saw[0] ? f->error.saw : ectx_code_name(f->error.code));
	}
	eci_future_drop(f);
}

void eci_listen_there_again(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)events;
	struct ectx_tunnel *t = w->data;
	t->opening = eci_open_start(t->exit, "listen", t->at.host, t->at.port, &remote_ops, t, listen_done,
				    ECI_TUNNEL_OPEN_MS);
	if (t->opening)
		t->opening->user = t;
	else
		ask_again(t, "no memory");
}

/* Blocks. The lock is not held. */
int eci_listen_there(struct ectx_tunnel *t, const char *text, long timeout_ms, ectx_error *err, struct eci_fail *fail)
{
	if (eci_listen_parse(&t->at, text, fail))
		return -1;
	if (t->at.port >= 0 && !*t->at.host) {
		free(t->at.host);
		t->at.host = strdup("127.0.0.1");
	} else if (t->at.port >= 0 && !strcmp(t->at.host, "*")) { /* as getaddrinfo(3) here; agents have it otherwise */
		free(t->at.host);
		t->at.host = strdup("0.0.0.0");
	}
	t->any_port = t->at.port == 0;
	t->ntargets = t->at.host ? eci_sock_addresses(t->targets, ECI_TUNNEL_TARGETS_MAX, &t->to, false, fail) : 0;
	if (!t->ntargets)
		return -1;
	eci_lock(t->mesh);
	struct ectx_future *f =
		eci_open_start(t->exit, "listen", t->at.host, t->at.port, &remote_ops, t, NULL, timeout_ms);
	eci_unlock(t->mesh);
	if (!f)
		return -1;
	while (!ectx_future_wait(f, LOOK_EVERY_MS))
		if (t->mesh->give_up && t->mesh->give_up(t->mesh->ask_arg))
			ectx_future_cancel(f);
	eci_lock(t->mesh);
	bool good = f->error.status == ECTX_OK;
	if (good) {
		bool lives = take(t, f);
		(void)note_address(t, eci_open_text(f));
		t->first_known = true;
		if (!lives)
			ask_again(t, "lost");
	} else {
		*err = f->error;
		f->error.detail = NULL;
	}
	eci_future_drop(f);
	eci_unlock(t->mesh);
	return good ? 0 : -1;
}

void eci_listen_there_end(struct ectx_tunnel *t)
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
