/* The router: its life, and the decision that is taken for every frame that arrives (docs/protocol.md section 3).
 *
 * receive() is that decision in the order of the specification: source, authority, multicast, mine, hop limit, child,
 * lost or nothing, parent. Every branch ends in exactly one of: delivered, queued on one link, dropped and counted, or
 * answered with a dead notice. What is trusted is the link a frame came over, never what it says: a child's src must
 * lie in its link's intervals, and its auth is the child itself or somebody behind it.
 *
 * Entry and exit: every public call that may lead to a callback is bracketed by enter/leave. The outermost leave hands
 * out the frames a context sent to itself, so that they are delivered soon and never inside the callback that sent
 * them.
 *
 * Bulk from a child is acknowledged when it has left this router. pass() says whether the frame waits in a queue (its
 * item then carries the debt) or is done with, in which case the debt is booked at once. */
#include "router/internal.h"

struct eci_router *eci_router_new(uint32_t id, uint32_t size, const struct eci_router_ops *ops, void *ctx)
{
	struct eci_router *r = eci_mem_alloc(sizeof *r);
	if (!r)
		return NULL;
	*r = (struct eci_router){.id = id, .ops = ops, .ctx = ctx, .due = ECI_NEVER, .next_slot = ECI_H_FIRST_SLOT};
	(void)eci_buf_reserve(&r->scratch, ECI_SCRATCH);
	if (ECI_MASTER_TOO && !id && !size) {
		r->master = true;
		r->own[0] = (struct eci_interval){0, UINT32_MAX};
		r->nown = 1;
	} else if (size) {
		eci_router_set_block(r, id, size);
	}
	return r;
}

void eci_router_set_block(struct eci_router *r, uint32_t lo, uint32_t size)
{
	if ((ECI_MASTER_TOO && r->master) || !size || lo + size - 1 < lo)
		return;
	r->id = lo;
	r->own[0] = (struct eci_interval){lo, lo + size - 1};
	r->nown = 1;
}

void eci_router_free(struct eci_router *r)
{
	if (!r)
		return;
	for (struct eci_link *l; (l = eci_kid_above(r, 0)) != NULL; eci_link_free(l))
		eci_route_remove(r, l);
	if (r->parent)
		eci_link_free(r->parent);
	while (r->self) {
		struct eci_item *it = r->self;
		r->self = it->next;
		eci_item_free(r, it);
	}
	eci_slot_free_all(r);
	eci_collect_forget(r, NULL);
	eci_buf_deinit(&r->scratch);
	eci_mem_free(r->routes);
	eci_mem_free(r->lost);
	eci_mem_free(r);
}

uint32_t eci_router_id(const struct eci_router *r)
{
	return r->id;
}

struct eci_link *eci_router_parent(struct eci_router *r)
{
	return r->parent;
}

void eci_router_get_stats(const struct eci_router *r, struct eci_router_stats *out)
{
	*out = r->stats;
}

void eci_due(struct eci_router *r, uint64_t at)
{
	if (at < r->due)
		r->due = at;
}

void eci_router_enter(struct eci_router *r, uint64_t now_ms)
{
	if (now_ms > r->now)
		r->now = now_ms;
	r->depth += ECI_MASTER_TOO;
}

void eci_router_leave(struct eci_router *r)
{
	while (ECI_MASTER_TOO && r->depth == 1 && r->self) {
		struct eci_item *it = r->self;
		r->self = it->next;
		if (!r->self)
			r->self_tail = NULL;
		r->self_bytes -= eci_wire(it->f.len);
		eci_deliver_whole(r, ECI_FROM_SELF, NULL, &it->f);
		eci_item_free(r, it);
	}
	r->depth -= ECI_MASTER_TOO;
}

/* ---- the decision ---- */

/* A full queue, or no memory: who sent it is told, and, as it is an answer or a stream's data on its way up, who waits
 * for it: neither would tell the other. (What a stream's frame on its way down finds no room for is its sender's, but
 * of a reset, whose sender is done with it.) */
static void refuse(struct eci_link *to, const struct eci_frame *f)
{
	static const char full[] = "a queue on the way is full";
	struct eci_frame x = *f;
	if (f->handle == ECI_H_LOG)
		return;
	eci_router_dead(to->router, f, "busy", full, to->router->now);
	if (f->handle < ECI_H_FIRST_SLOT || (f->reply_to && !to->parent && !(f->flags & ECI_F_DEAD)))
		return;
	x.flags = 0;
	x.src = f->dst;
	x.reply_to = f->handle;
	x.dst = f->src;
	eci_router_dead(to->router, &x, "busy", full, to->router->now);
}

static bool forward(struct eci_link *from, struct eci_link *to, const struct eci_frame *f)
{
	struct eci_router *r = from->router;
	bool owed = f->cls == ECI_BULK && !from->parent;
	int rc = eci_link_put(to, f, owed ? from->peer : 0, false, NULL);
	if (rc == 0)
		return owed;
	if (rc == ECI_R_NO_ROUTE) /* the link has failed and waits for its end */
		eci_router_dead(r, f, "lost", "the link to the next hop has just failed", r->now);
	else
		refuse(to, f);
	return false;
}

/* A GRANT on its way down gives its block to the link it leaves by. */
static const char *grant_passes(struct eci_link *to, const struct eci_frame *f)
{
	struct eci_interval v;
	if (!eci_read_block(f, &v))
		return "bad-body";
	switch (eci_link_grant(to, v.lo, v.hi)) {
	case 0:
		return NULL;
	case ECI_R_NO_ROUTE:
		return "no-authority";
	case ECI_R_BLOCK_EXHAUSTED:
		return "block-exhausted";
	default:
		return "busy";
	}
}

static bool to_child(struct eci_link *from, struct eci_link *to, const struct eci_frame *f)
{
	struct eci_router *r = from->router;
	const char *reason = NULL;
	if (!from->parent)
		reason = "no-authority";
	else if (f->handle == ECI_H_GRANT && !(f->flags & ECI_F_DEAD))
		reason = grant_passes(to, f);
	if (!reason)
		return forward(from, to, f);
	eci_router_dead(r, f, reason, from->parent ? "" : "siblings do not talk", r->now);
	return false;
}

/* True: the frame waits in a queue, and its child link gets its ACK later. */
static bool pass(struct eci_link *l, struct eci_frame *f)
{
	struct eci_router *r = l->router;
	if (l->parent ? eci_iv_has(r->own, r->nown, f->src) : !eci_iv_has(l->iv, l->niv, f->src)) {
		r->stats.bad_src++;
		return false;
	}
	if (!l->parent && f->src == l->peer) {
		f->auth = f->src;
	} else if (!l->parent && !eci_iv_has(l->iv, l->niv, f->auth)) {
		r->stats.bad_auth++;
		return false;
	}
	if (f->flags & ECI_F_MULTICAST) {
		if (l->parent)
			eci_group_multicast(r, l, f);
		else
			r->stats.bad_auth++;
		return false;
	}
	if (f->dst == r->id) {
		eci_deliver(r, l->parent ? ECI_FROM_PARENT : ECI_FROM_CHILD, l, f);
		return false;
	}
	if (eci_handle_local(f->handle)) {
		eci_router_dead(r, f, "no-authority", "this handle is never forwarded", r->now);
		return false;
	}
	if (f->hops <= 1) {
		eci_router_dead(r, f, "hop-limit", "", r->now);
		return false;
	}
	f->hops--;
	struct eci_link *to = eci_route_find(r, f->dst);
	if (to)
		return to_child(l, to, f);
	/* What the parent sent down is not sent up again: it would take its src for a forgery, and nobody would answer.
	 */
	if (!eci_iv_has(r->own, r->nown, f->dst) && ECI_HAS(r->parent) && !l->parent)
		return forward(l, r->parent, f);
	const char *evidence = eci_lost_find(r, f->dst);
	eci_router_dead(r, f, evidence ? "lost" : "no-route", evidence, r->now);
	return false;
}

/* The first frame on a link is HELLO from the neighbour. */
static void first(struct eci_link *l, const struct eci_frame *f)
{
	struct eci_router *r = l->router;
	bool good = f->handle == ECI_H_HELLO && f->cls == ECI_CONTROL && !f->flags;
	if (!l->parent)
		good = good && f->src == l->peer && f->dst == r->id;
	if (!good) {
		eci_link_break(l, "bad-hello", "the first frame is not the neighbour's HELLO");
		return;
	}
	l->up = true;
	if (l->parent)
		l->peer = f->src;
	eci_beat_start(l);
	const char *reason = ECI_HAS(r->ops->hello) ? r->ops->hello(r->ctx, l, f) : NULL;
	if (reason)
		eci_link_break(l, reason, "HELLO was refused");
	else if (f->dst != r->id || f->src == r->id)
		eci_link_break(l, "bad-hello", "HELLO is for somebody else");
}

void eci_receive(struct eci_link *l, struct eci_frame *f)
{
	l->stats.frames_in++;
	if (!l->up) {
		first(l, f);
		return;
	}
	if (f->cls != ECI_BULK) {
		(void)pass(l, f);
		return;
	}
	if (!eci_credit_got(l, eci_wire(f->len)))
		return;
	if (!pass(l, f) && !l->parent)
		eci_credit_owe(l, eci_wire(f->len));
}

int eci_router_grant(struct eci_router *r, uint32_t dst, uint32_t lo, uint32_t size, uint32_t reply_to, uint64_t now_ms)
{
	struct eci_link *l = eci_route_find(r, dst);
	if (!l || l->broken || !size || lo + size - 1 < lo)
		return ECI_R_NO_ROUTE;
	int rc = eci_link_grant(l, lo, lo + size - 1);
	if (rc)
		return rc;
	eci_router_enter(r, now_ms);
	eci_buf_clear(&r->scratch);
	eci_cbor_put_array(&r->scratch, 2);
	eci_cbor_put_uint(&r->scratch, lo);
	eci_cbor_put_uint(&r->scratch, size);
	struct eci_frame f = eci_own_frame(r, ECI_CALL, dst, ECI_H_GRANT, &r->scratch);
	f.reply_to = reply_to;
	rc = r->scratch.failed ? ECI_R_NO_MEMORY : eci_route_put(r, &f);
	eci_router_leave(r);
	return rc;
}
