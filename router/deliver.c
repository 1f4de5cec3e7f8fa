/* Delivery: one table says who may use which handle (docs/protocol.md section 5); what the router itself serves is
 * served here, the rest goes to the program's deliver hook.
 *
 * The default is deny: a handle that the table does not have is `no-handle`, a sender that the table does not allow is
 * `no-authority`. Origin is the arrival link, so a bit in the table is all there is to check; only "the neighbour
 * itself" also looks at src, and CREDIT at the slot it is for. Authority is checked when the first fragment of a large
 * message comes, so that nobody fills a collection for a handle that is closed to him.
 *
 * A DEAD frame is an answer and never a request: to a fixed handle it is dropped, whatever the handle. */
#include "router/internal.h"

enum { P = 1, C = 2, A = 4, S = 8, R = 16, LOCAL = 32 };

static const uint8_t may[] = {
	[ECI_H_HELLO] = P | LOCAL,
	[ECI_H_PING] = P | LOCAL,
	[ECI_H_PONG] = C | LOCAL,
	[ECI_H_ACK] = P | C | LOCAL,
	[ECI_H_PAUSE] = C | LOCAL,
	[ECI_H_RESUME] = C | LOCAL,
	[ECI_H_ECHO] = A,
	[ECI_H_SHUTDOWN] = A,
	[ECI_H_GRANT] = A,
	[ECI_H_GROUP] = P | LOCAL,
	[ECI_H_UNGROUP] = P | LOCAL,
	[ECI_H_SPAWN] = A,
	[ECI_H_RAW] = A,
	[ECI_H_PROMOTE] = A,
	[ECI_H_KILL] = A,
	[ECI_H_PART] = A,
	[ECI_H_CALL] = A,
	[ECI_H_CANCEL] = A,
	[ECI_H_EXEC] = A,
	[ECI_H_STATS] = A,
	[ECI_H_OPEN] = A,
	[ECI_H_GET_MODULE] = C | LOCAL,
	[ECI_H_LOG] = S,
	[ECI_H_CREDIT] = R,
};
#define KNOWN (sizeof may / sizeof may[0])

bool eci_handle_local(uint32_t handle)
{
	return handle < KNOWN && (may[handle] & LOCAL);
}

bool eci_read_pair(const struct eci_frame *f, uint64_t *a, uint64_t *b)
{
	struct eci_cbor c = eci_cbor_of(f);
	if (eci_cbor_get_array(&c) < 2)
		return false;
	*a = eci_cbor_get_uint(&c);
	*b = eci_cbor_get_uint(&c);
	return !c.bad;
}

bool eci_read_block(const struct eci_frame *f, struct eci_interval *v)
{
	uint64_t lo, size;
	if (!eci_read_pair(f, &lo, &size) || lo > UINT32_MAX || !size || size > UINT32_MAX ||
	    lo + size - 1 > UINT32_MAX)
		return false;
	v->lo = (uint32_t)lo;
	v->hi = (uint32_t)(lo + size - 1);
	return true;
}

static bool read_int(const struct eci_frame *f, uint64_t *n)
{
	struct eci_cbor c = eci_cbor_of(f);
	*n = eci_cbor_get_uint(&c);
	return !c.bad;
}

static const char *credit_refuse(struct eci_router *r, const struct eci_frame *f)
{
	uint64_t handle, n;
	if (!eci_read_pair(f, &handle, &n) || handle > UINT32_MAX)
		return "bad-body";
	struct eci_slot *s = eci_slot_find(r, (uint32_t)handle);
	if (!s)
		return "no-handle";
	return s->respondent == f->src ? NULL : "no-authority";
}

const char *eci_handle_refuse(struct eci_router *r, enum eci_origin from, const struct eci_link *l,
			      const struct eci_frame *f)
{
	if (f->handle >= ECI_H_FIRST_SLOT)
		return NULL; /* slots check their respondent */
	uint8_t who = f->handle < KNOWN ? may[f->handle] : 0;
	if (!who)
		return "no-handle";
	bool neighbour = l && f->src == l->peer;
	bool ok = (who & A && from != ECI_FROM_CHILD) || (who & S && from == ECI_FROM_CHILD) ||
		  (who & P && from == ECI_FROM_PARENT && neighbour) || (who & C && from == ECI_FROM_CHILD && neighbour);
	if (f->flags & ECI_F_MULTICAST && (who & LOCAL || f->handle == ECI_H_GRANT))
		ok = false; /* a group has no neighbour, and a block only one owner */
	if (who & R)
		return credit_refuse(r, f);
	return ok ? NULL : "no-authority";
}

static void answer(struct eci_router *r, const struct eci_frame *f, const void *body, size_t len)
{
	if (!f->reply_to)
		return;
	int rc = eci_router_send(r, ECI_CALL, 0, f->src, f->reply_to, 0, body, len, r->now);
	if (rc == ECI_R_NO_MEMORY || rc == ECI_R_BUSY)
		eci_router_dead(r, f, "busy", "no room for the answer", r->now);
}

static void grant_mine(struct eci_router *r, const struct eci_frame *f)
{
	struct eci_interval v;
	if (!eci_read_block(f, &v)) {
		eci_router_dead(r, f, "bad-body", "", r->now);
		return;
	}
	if (!eci_iv_add(r->own, &r->nown, v.lo, v.hi)) {
		eci_router_dead(r, f, "block-exhausted", "", r->now);
		return;
	}
	static const uint8_t null[] = {0xF6};
	answer(r, f, null, sizeof null);
}

/* The handles that keep a link going. A body that is not what it must be ends the link: its state is lost. */
static void serve_link(struct eci_router *r, struct eci_link *l, const struct eci_frame *f)
{
	uint64_t a = 0, b = 0;
	bool good = true;
	switch (f->handle) {
	case ECI_H_PING:
		good = read_int(f, &a);
		if (good)
			eci_tell(l, ECI_H_PONG, 0, a, 0);
		break;
	case ECI_H_PONG:
		good = read_int(f, &a);
		if (good)
			eci_beat_pong(l, a);
		break;
	case ECI_H_ACK:
		good = read_int(f, &a);
		if (good)
			eci_credit_acked(l, a);
		break;
	case ECI_H_PAUSE:
	case ECI_H_RESUME:
		good = eci_read_pair(f, &a, &b);
		if (!good)
			break;
		/* half-open on the wire, inclusive in here */
		if (b > (uint64_t)UINT32_MAX + 1 || a >= b ||
		    !eci_iv_inside(l->iv, l->niv, (uint32_t)a, (uint32_t)(b - 1)))
			eci_link_break(l, "bad-pause", "an interval that is not the child's");
		else if (f->handle == ECI_H_PAUSE)
			eci_pause_got(l, (uint32_t)a, (uint32_t)(b - 1));
		else
			eci_resume_got(l, (uint32_t)a, (uint32_t)(b - 1));
		break;
	default:
		good = eci_group_got(r, f);
		break;
	}
	if (!good)
		eci_link_break(l, "bad-body", "a link-local message that does not decode");
}

static void serve(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f)
{
	switch (f->handle) {
	case ECI_H_HELLO: /* the first frame is not delivered (router.c); a later one would give us another block */
		eci_router_dead(r, f, "no-authority", "a link has one HELLO", r->now);
		break;
	case ECI_H_PING:
	case ECI_H_PONG:
	case ECI_H_ACK:
	case ECI_H_PAUSE:
	case ECI_H_RESUME:
	case ECI_H_GROUP:
	case ECI_H_UNGROUP:
		serve_link(r, l, f);
		break;
	case ECI_H_ECHO:
		answer(r, f, f->body, f->len);
		break;
	case ECI_H_GRANT:
		grant_mine(r, f);
		break;
	case ECI_H_CREDIT:
		if (!eci_stream_credit(r, f)) /* the slot is its sender's, but no stream */
			eci_router_dead(r, f, "no-handle", "", r->now);
		break;
	default:
		if (!ECI_HAS(r->ops->deliver) || !r->ops->deliver(r->ctx, from, l, f))
			eci_router_dead(r, f, "no-handle", "", r->now);
		break;
	}
}

void eci_deliver_whole(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f)
{
	if (f->handle >= ECI_H_FIRST_SLOT) {
		eci_slot_take(r, from, l, f);
		return;
	}
	if (f->flags & ECI_F_DEAD) {
		r->stats.bad_reply++;
		return;
	}
	const char *reason = eci_handle_refuse(r, from, l, f);
	if (reason)
		eci_router_dead(r, f, reason, "", r->now);
	else
		serve(r, from, l, f);
}

void eci_deliver(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f)
{
	if (f->cls == ECI_BULK && eci_collect_take(r, from, l, f))
		return;
	eci_deliver_whole(r, from, l, f);
}
