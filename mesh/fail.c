/* How work fails: by an answer that says so or is none, by its deadline, taken back by the program, or with the mesh.
 *
 * Who gives up on what was sent says so to the far end (CANCEL), which may have begun; nothing is heard of it any more
 * here, as the slots are closed with the future. */
#include "mesh/ahead.h"
#include "mesh/channel.h"
#include "mesh/connect.h"
#include "mesh/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void eci_future_fail(struct ectx_future *f, const struct eci_fail *fail, const ectx_context *at)
{
	if (f->state == ECI_OP_DONE)
		return;
	char *detail = f->error.detail;
	eci_error_from(&f->error, fail, at);
	f->error.detail = detail;
	eci_future_done(f);
}

void eci_future_fail_code(struct ectx_future *f, enum ectx_phase phase, enum ectx_code code, const char *saw,
			  const ectx_context *at)
{
	struct eci_fail fail = {0};
	eci_fail_set(&fail, phase, code, "%s", saw);
	eci_future_fail(f, &fail, at);
}

void eci_future_unsent(struct ectx_future *f, enum ectx_phase phase, int r)
{
	eci_future_fail_code(f, phase,
			     r == ECI_R_NO_MEMORY  ? ECTX_E_NO_MEMORY
			     : r == ECI_R_TOO_BIG  ? ECTX_E_TOO_BIG
			     : r == ECI_R_NO_ROUTE ? ECTX_E_NO_ROUTE
						   : ECTX_E_BUSY,
			     "", f->context);
}

void eci_future_dead(struct ectx_future *f, const struct eci_answer *a)
{
	static const struct {
		const char *reason;
		enum ectx_code code;
	} codes[] = {
		{"lost", ECTX_E_LOST_RUNNING},
		{"no-route", ECTX_E_NO_ROUTE},
		{"no-authority", ECTX_E_REFUSED_BY_AUTHORITY},
		{"too-big", ECTX_E_TOO_BIG},
		{"busy", ECTX_E_BUSY},
		{"cancelled", ECTX_E_CANCELLED},
		{ECI_REASON_NO_MEMORY, ECTX_E_NO_MEMORY},
	};
	enum ectx_code code = ECTX_E_PROTOCOL;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (!strcmp(codes[i].reason, a->reason))
			code = codes[i].code;
	struct eci_fail fail = {0};
	eci_fail_set(&fail, code == ECTX_E_LOST_RUNNING ? ECTX_PHASE_LOST : ECTX_PHASE_ROUTE, code, "%s%s%s", a->reason,
		     a->evidence[0] ? ": " : "", a->evidence);
	eci_future_fail(f, &fail, eci_context_below(f->at, a->at));
}

void eci_name_errno(char *text, size_t cap)
{
	static const char mark[] = "Error ";
	char *at = NULL, *end;
	for (char *next = text; (next = strstr(next, mark)) != NULL; next++)
		at = next;
	if (!at || (at > text && (at < text + 2 || strncmp(at - 2, ": ", 2))))
		return;
	long n = strtol(at + sizeof mark - 1, &end, 10);
	if (!*end && n > 0 && n < 4096)
		(void)snprintf(at, cap - (size_t)(at - text), "%s", strerror((int)n));
}

bool eci_future_heard(struct ectx_future *f, const struct eci_answer *a, enum ectx_phase phase, struct eci_cbor *c)
{
	f->slot = 0; /* a one-shot slot is gone when it is answered */
	if (a->dead) {
		eci_future_dead(f, a);
		return false;
	}
	if (eci_cbor_check(a->f->body, a->f->len, ECI_CBOR_ITEMS_MAX) != 0) {
		eci_future_fail_code(f, phase, ECTX_E_PROTOCOL, "the answer is malformed", f->context);
		return false;
	}
	*c = eci_cbor_open(a->f->body, a->f->len);
	(void)eci_cbor_get_array(c);
	return true;
}

void eci_cancel(ectx_context *at, uint32_t slot)
{
	if (!eci_context_reachable(at))
		return;
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_uint(&b, slot);
	/* A call, as what it takes back: a control frame would overtake it in our own queue. Only a full one is
	 * skipped. */
	if (eci_send(at->mesh, ECI_CALL, at->id, ECI_H_CANCEL, 0, &b) == ECI_R_BUSY)
		eci_send(at->mesh, ECI_CONTROL, at->id, ECI_H_CANCEL, 0, &b);
	eci_buf_deinit(&b);
}

static void send_cancel(struct ectx_future *f)
{
	if (f->state != ECI_OP_RUNNING || !f->slot || !eci_context_reachable(f->at) ||
	    (f->kind != ECI_OP_CALL && f->kind != ECI_OP_EXEC && f->kind != ECI_OP_RUN && f->kind != ECI_OP_OPEN))
		return;
	if (f->kind == ECI_OP_CALL || f->kind == ECI_OP_RUN)
		eci_context_part(f->at, "cancel", &f->at->has_cancel);
	eci_cancel(f->at, f->slot);
}

static const ectx_context *whom(const struct ectx_future *f)
{
	return f->channel ? eci_channel_at(f->channel) : f->context;
}

/* "": what the code says, that it may still have run; not of what was never sent. */
static const char *hint_late(const struct ectx_future *f, bool connecting)
{
	if (f->kind == ECI_OP_RECEIVE)
		return ECI_HINT_NO_VALUE;
	if (connecting)
		return "not connected within the limit that was given: a slow way, a firewall, or a host that is down";
	return f->state == ECI_OP_WAITING ? "it was not begun within the limit that was given" : "";
}

void eci_future_expire(struct ectx_future *f)
{
	struct eci_fail fail = {0};
	if (f->state == ECI_OP_RUNNING && (f->kind == ECI_OP_TREE || f->kind == ECI_OP_TRACE)) {
		eci_tree_expire(f);
		return;
	}
	char what[ECI_OPEN_NAME_MAX];
	eci_open_name(f, what, sizeof what);
	bool connecting = f->state == ECI_OP_WAITING && f->at && f->at->state != ECI_UP;
	const char *late = connecting ? "still connecting" : "";
	if (*what)
		late = *late ? "still connecting at the deadline" : "no answer before the deadline";
	eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_DEADLINE, "%s%s%s", what, *what ? ": " : "", late);
	(void)snprintf(fail.hint, sizeof fail.hint, "%s", hint_late(f, connecting));
	fail.after_ms = fail.limit_ms = (uint32_t)f->timeout_ms;
	send_cancel(f);
	eci_future_fail(f, &fail, whom(f));
}

uint64_t eci_futures_expire(ectx_mesh *m, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	struct ectx_future *f, *tmp;
	DL_FOREACH_SAFE2(m->ops, f, tmp, all_next)
	{
		if (f->deadline_ms <= now)
			eci_future_expire(f);
		else if (f->deadline_ms < next)
			next = f->deadline_ms;
	}
	m->ops_next_ms = next;
	return next;
}

void eci_futures_fail_all(ectx_mesh *m, enum ectx_code code)
{
	while (m->ops) {
		struct ectx_future *f = m->ops;
		send_cancel(f);
		eci_future_fail_code(f, ECTX_PHASE_NONE, code, "", f->context);
	}
}

void eci_future_cancel(struct ectx_future *f)
{
	if (f->state == ECI_OP_DONE)
		return;
	send_cancel(f);
	eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_CANCELLED, "", whom(f));
}

void ectx_future_cancel(ectx_future *f)
{
	eci_lock(f->mesh);
	eci_future_cancel(f);
	eci_unlock(f->mesh);
}

bool ectx_future_withdraw(ectx_future *f)
{
	eci_lock(f->mesh);
	bool waits = f->state == ECI_OP_WAITING;
	if (waits)
		eci_future_cancel(f);
	eci_unlock(f->mesh);
	return waits;
}
