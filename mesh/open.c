/* Connections at a context: OPEN (docs/protocol.md section 9.1), as a future.
 *
 * A Python context resolves names itself. A native one has no resolver and will not get one (a kilobyte of DNS is not
 * what an agent is for): there the name is asked of the host's own, with `getent ahosts`, and the addresses are tried
 * one after the other, which is what a resolver's user does anyway.
 *
 * The stream is made before OPEN is sent, because data may come before the answer; until eci_open_take() it belongs to
 * the future, and one that nobody takes is cut. */
#include "mesh/ahead.h"
#include "mesh/stream.h"

#include "core/cbor.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct eci_opening {
	const struct eci_stream_ops *ops;
	void *arg;
	char what[8];
	char *host;
	int64_t port; /* -1: none; of `accept` the number */
	int err;
	struct eci_lookup *lookup;
	char *addresses, *next; /* of a name, one a line */
	struct eci_stream *taken;
	char text[256];
};

static int unix_parse(struct eci_address *a, const char *path, struct eci_fail *fail)
{
	if (strlen(path) > ECI_SUN_PATH_MAX) {
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     "%s: a unix socket's path has %u bytes at most", path, ECI_SUN_PATH_MAX);
		return -1;
	}
	a->host = strdup(path);
	if (!a->host)
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "%s", path);
	return a->host ? 0 : -1;
}

int eci_address_parse(struct eci_address *a, const char *text, struct eci_fail *fail)
{
	*a = (struct eci_address){.port = -1};
	if (!strncmp(text, "unix:", 5) && text[5])
		return unix_parse(a, text + 5, fail);
	const char *colon = strrchr(text, ':'), *from = text, *to = colon;
	char *end = NULL;
	long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : -1;
	if (colon && colon > text + 1 && text[0] == '[' && colon[-1] == ']') {
		from++;
		to--;
	} else if (colon && memchr(text, ':', (size_t)(colon - text))) {
		port = -1; /* an IPv6 address wants brackets */
	}
	if (port >= 0 && port <= 65535 && end && !*end)
		a->host = strndup(from, (size_t)(to - from));
	a->port = (int)port;
	if (a->host)
		return 0;
	eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT, "%s: not HOST:PORT, [V6]:PORT or unix:PATH", text);
	return -1;
}

int eci_address_parse_to(struct eci_address *a, const char *text, struct eci_fail *fail)
{
	if (eci_address_parse(a, text, fail))
		return -1;
	if (a->port < 0 || (a->port > 0 && *a->host))
		return 0;
	eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
		     "%s: to connect wants a host, and a port from 1 to 65535", text);
	free(a->host);
	a->host = NULL;
	return -1;
}

/* ---- one try ---- */

static void send_open(struct ectx_future *f, const char *host);

static void try_next(struct ectx_future *f)
{
	struct eci_opening *o = f->opening;
	char *line = o->next, *end = line ? strchr(line, '\n') : NULL;
	if (!end)
		return;
	*end = 0;
	o->next = end[1] ? end + 1 : NULL;
	send_open(f, line);
}

static bool is_address(const char *host)
{
	struct in6_addr six;
	struct in_addr four;
	return inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1;
}

static bool is_name(const struct eci_opening *o)
{
	return o->port >= 0 && o->host && *o->host && !is_address(o->host);
}

/* Python resolves a name itself; where that fails there is a text, and no errno. */
static void refused(struct ectx_future *f, struct eci_cbor *c)
{
	struct eci_opening *o = f->opening;
	const char *p = "";
	size_t n = 0;
	char text[256];
	(void)eci_cbor_get_text(c, &p, &n);
	(void)eci_escape_into(text, sizeof text, p ? p : "", n);
	eci_name_errno(text, sizeof text);
	o->err = (int)(eci_cbor_get_uint(c) & 4095);
	if (o->next) {
		eci_stream_free(f->out, NULL, NULL, eci_now_ms());
		f->out = NULL;
		try_next(f);
		return;
	}
	struct eci_fail fail = {0};
	enum ectx_phase phase = !o->err && is_name(o) ? ECTX_PHASE_RESOLVE : ECTX_PHASE_CONNECT;
	if (o->port >= 0 && o->host)
		eci_fail_set(&fail, phase, ECTX_E_OPEN_FAILED, "%s port %d: %s", o->host, (int)o->port, text);
	else
		eci_fail_set(&fail, ECTX_PHASE_CONNECT, ECTX_E_OPEN_FAILED, "%s%s%s", o->host ? o->host : "",
			     o->host ? ": " : "", text);
	if (!strcmp(o->what, "listen"))
		(void)snprintf(
			fail.hint, sizeof fail.hint,
			"the exit cannot listen there: another program does, it is no address of its own, or a port "
			"below 1024 that only root may take");
	eci_future_fail(f, &fail, f->context);
}

static void on_answer(void *arg, const struct eci_answer *a)
{
	struct ectx_future *f = arg;
	struct eci_cbor c;
	if (!eci_future_heard(f, a, ECTX_PHASE_CONNECT, &c))
		return;
	if (eci_cbor_get_uint(&c) != 0) {
		refused(f, &c);
		return;
	}
	uint64_t far = eci_cbor_get_uint(&c);
	const char *p = "";
	size_t n = 0;
	if (c.bad || far < ECI_H_FIRST_SLOT || far > UINT32_MAX || !eci_cbor_get_text(&c, &p, &n)) {
		eci_future_fail_code(f, ECTX_PHASE_CONNECT, ECTX_E_PROTOCOL, "the answer is malformed", f->context);
		return;
	}
	(void)eci_escape_into(f->opening->text, sizeof f->opening->text, p, n);
	eci_stream_set_far(f->out, (uint32_t)far);
	f->opening->taken = f->out;
	f->out = NULL;
	eci_future_done(f);
}

static void put_args(struct eci_buf *b, const struct eci_opening *o, const char *host)
{
	eci_cbor_put_array(b, (host ? 1u : 0u) + (o->port >= 0 ? 1u : 0u));
	if (host && eci_utf8_valid((const uint8_t *)host, strlen(host)))
		eci_cbor_put_str(b, host);
	else if (host)
		eci_cbor_put_bytes(b, host, strlen(host));
	if (o->port >= 0)
		eci_cbor_put_uint(b, (uint64_t)o->port);
}

static void send_open(struct ectx_future *f, const char *host)
{
	ectx_mesh *m = f->mesh;
	struct eci_opening *o = f->opening;
	struct eci_buf b = ECI_BUF_NULL;
	int r = eci_context_part(f->at, "stream", &f->at->has_stream);
	f->at->has_stream = !r; /* of a native one too: eci_context_down() asks */
	f->out = eci_stream_new(m->router, f->at->id, 0, o->ops, o->arg);
	f->out_open = true;
	f->slot = f->out ? eci_slot_open(m->router, f->at->id, ECI_SLOT_ONCE, on_answer, f) : 0;
	if (!f->slot) {
		eci_future_fail_code(f, ECTX_PHASE_CONNECT, ECTX_E_NO_MEMORY, "", f->context);
		return;
	}
	eci_cbor_put_array(&b, 3);
	eci_cbor_put_str(&b, o->what);
	put_args(&b, o, host);
	eci_cbor_put_uint(&b, eci_stream_handle(f->out));
	if (!r)
		r = eci_send(m, ECI_CALL, f->at->id, ECI_H_OPEN, f->slot, &b);
	eci_buf_deinit(&b);
	if (r < 0)
		eci_future_unsent(f, ECTX_PHASE_CONNECT, r);
}

/* ---- names ---- */

void eci_open_name(const struct ectx_future *f, char *out, size_t cap)
{
	const struct eci_opening *o = f->opening;
	*out = 0;
	if (o && o->host && o->port >= 0)
		(void)snprintf(out, cap, "%.300s port %d", o->host, (int)o->port);
	else if (o && o->host)
		(void)snprintf(out, cap, "%s", o->host);
}

/* Who listens at a name does so at one of its addresses, and most clients mean version 4: those go first. */
static char *version_4_first(const char *addresses)
{
	char *sorted = malloc(strlen(addresses) + 1), *to = sorted;
	for (int six = 0; six < 2 && to; six++)
		for (const char *line = addresses, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			size_t n = (size_t)(end + 1 - line);
			if ((memchr(line, ':', n) != NULL) == six) {
				memcpy(to, line, n);
				to += n;
			}
		}
	if (to)
		*to = 0;
	return sorted;
}

static void on_addresses(void *arg, const char *addresses, int error, const struct eci_answer *dead)
{
	struct ectx_future *f = arg;
	struct eci_opening *o = f->opening;
	struct eci_fail fail = {0};
	if (dead) { /* of its own command, as busy: nothing is known of the name */
		eci_future_dead(f, dead);
		return;
	}
	o->addresses = strcmp(o->what, "listen") ? strdup(addresses) : version_4_first(addresses);
	o->next = o->addresses && *o->addresses ? o->addresses : NULL;
	if (o->next) {
		try_next(f);
		return;
	}
	if (error)
		eci_fail_set(&fail, ECTX_PHASE_RESOLVE, ECTX_E_OPEN_FAILED,
			     "%s: the exit could not start getent, which resolves names there%s%s", o->host,
			     error > 0 ? ": " : "", error > 0 ? strerror(error) : "");
	else
		eci_fail_set(&fail, ECTX_PHASE_RESOLVE, ECTX_E_OPEN_FAILED,
			     "%s: the exit knows no address of that name", o->host);
	eci_future_fail(f, &fail, f->context);
}

void eci_open_run(struct ectx_future *f)
{
	struct eci_opening *o = f->opening;
	if (!is_name(o) || !f->at->native) {
		send_open(f, o->host);
		return;
	}
	if (o->host[0] == '-') { /* getent's option, and no name */
		on_addresses(f, "", 0, NULL);
		return;
	}
	int r = eci_lookup_start(&o->lookup, f->at, o->host, on_addresses, f);
	if (r == ECI_R_BUSY)
		eci_future_fail_code(f, ECTX_PHASE_RESOLVE, ECTX_E_BUSY, "too many names are asked for at once",
				     f->context);
	else if (r)
		eci_future_fail_code(f, ECTX_PHASE_RESOLVE, ECTX_E_NO_MEMORY, "", f->context);
}

/* ---- life ---- */

struct ectx_future *eci_open_start(ectx_context *c, const char *what, const char *host, int64_t port,
				   const struct eci_stream_ops *ops, void *arg, void (*hook)(struct ectx_future *),
				   long timeout_ms)
{
	struct ectx_future *f = eci_future_new(c->mesh, c, ECI_OP_OPEN, timeout_ms);
	struct eci_opening *o = f ? calloc(1, sizeof *o) : NULL;
	if (o) {
		*o = (struct eci_opening){.ops = ops, .arg = arg, .port = port, .host = host ? strdup(host) : NULL};
		(void)snprintf(o->what, sizeof o->what, "%s", what);
		f->opening = o;
		f->hook = hook;
		if (!host || o->host) {
			eci_future_begin(f);
			return f;
		}
	}
	if (f) {
		f->hook = NULL;
		f->state = ECI_OP_DONE;
		eci_future_drop(f);
	}
	return NULL;
}

struct eci_stream *eci_open_take(struct ectx_future *f)
{
	struct eci_stream *s = f->opening->taken;
	f->opening->taken = NULL;
	return s;
}

const char *eci_open_text(const struct ectx_future *f)
{
	return f->opening->text;
}

int eci_open_errno(const struct ectx_future *f)
{
	return f->opening->err;
}

void eci_open_close(struct ectx_future *f)
{
	if (!f->opening)
		return;
	eci_lookup_free(f->opening->lookup);
	f->opening->lookup = NULL;
}

void eci_open_free(struct ectx_future *f)
{
	struct eci_opening *o = f->opening;
	if (!o)
		return;
	eci_stream_free(o->taken, "cancelled", NULL, eci_now_ms());
	free(o->addresses);
	free(o->host);
	free(o);
	f->opening = NULL;
}
