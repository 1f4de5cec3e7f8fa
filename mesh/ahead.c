/* What is sent ahead of what needs it: parts of the agent, and blocks of ids (GRANT).
 *
 * Nobody waits for their answers: the CALL, EXEC, OPEN or SPAWN behind them leaves in the same breath, and comes later,
 * as all of them are of one class. But a full queue on the way can refuse one of them and let pass what is behind it,
 * which is smaller. So each has a slot, kept until it is answered. A notice is control and made before what was behind
 * is passed on: it is here before any answer to that. Then what was sent ahead counts as never sent, and whatever runs
 * and needs it ends with what the notice says, which is what it would have been told itself. None of it can have begun
 * before: what is sent ahead is sent once, and what needs it only behind it. */
#include "mesh/ahead.h"
#include "mesh/connect.h"
#include "mesh/stream.h"
#include "preamble/preamble.h"

#include <stdlib.h>

struct eci_ahead {
	ectx_context *c;
	struct eci_ahead *next;
	bool *sent;      /* a part: where that is noted; NULL: a block */
	uint32_t lo, hi; /* the block: [lo, hi) */
	uint32_t slot;
};

static void drop(struct eci_ahead *x)
{
	struct eci_ahead **at = &x->c->ahead;
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	free(x);
}

static bool needs(const struct ectx_future *f, const bool *part)
{
	const ectx_context *c = f->at;
	if (part == &c->has_exec)
		return f->kind == ECI_OP_EXEC || f->kind == ECI_OP_RUN;
	if (part == &c->has_stream)
		return f->kind == ECI_OP_OPEN || f->nchannels;
	if (part == &c->has_program)
		return f->in_program;
	return part == &c->has_relay && eci_channels_in_group(f);
}

static void refused(ectx_context *c, const struct eci_ahead *x, const struct eci_answer *a)
{
	struct ectx_future *f, *next;
	if (x->sent)
		*x->sent = false;
	else if (c->free_lo >= x->lo && c->free_hi <= x->hi)
		c->free_lo = c->free_hi = 0;
	DL_FOREACH_SAFE(c->ops, f, next)
	{
		if (x->sent && f->state == ECI_OP_RUNNING && needs(f, x->sent))
			eci_future_dead(f, a);
	}
	for (ectx_context *s = c->children; s; s = s->next_sibling) { /* their SPAWN is behind it */
		if (s->state == ECI_DIALING && (x->sent ? x->sent == &c->has_relay : s->id >= x->lo && s->id < x->hi))
			eci_context_refused(s, a);
		if (!x->sent && s->kept_id >= x->lo && s->kept_id < x->hi)
			s->kept_id = 0;
	}
}

static void on_answer(void *arg, const struct eci_answer *a)
{
	struct eci_ahead *x = arg, copy = *x;
	drop(x);
	if (a->dead)
		refused(copy.c, &copy, a);
}

/* NULL: no memory. */
static struct eci_ahead *keep(ectx_context *c)
{
	struct eci_ahead *x = calloc(1, sizeof *x);
	if (!x)
		return NULL;
	*x = (struct eci_ahead){.c = c, .next = c->ahead};
	c->ahead = x;
	x->slot = eci_slot_open(c->mesh->router, c->id, ECI_SLOT_ONCE, on_answer, x);
	if (x->slot)
		return x;
	drop(x);
	return NULL;
}

static int sent(struct eci_ahead *x, int r)
{
	if (r < 0) {
		eci_slot_close(x->c->mesh->router, x->slot);
		drop(x);
	}
	return r;
}

int eci_context_part(ectx_context *c, const char *part, bool *has)
{
	size_t n;
	const uint8_t *bytes = c->native ? NULL : eci_preamble_part(part, &n); /* a native agent is whole */
	if (*has || !bytes)
		return 0;
	struct eci_ahead *x = keep(c);
	if (!x)
		return -1;
	x->sent = has;
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, part);
	eci_cbor_put_bytes(&b, bytes, n);
	int r = sent(x, b.failed ? -1 : eci_send(c->mesh, ECI_CALL, c->id, ECI_H_PART, x->slot, &b));
	*has = r == 0;
	eci_buf_deinit(&b);
	return r;
}

int eci_ahead_grant(ectx_context *c, uint32_t lo, uint32_t size)
{
	struct eci_ahead *x = keep(c);
	if (!x)
		return -1;
	x->lo = lo;
	x->hi = lo + size;
	return sent(x, eci_router_grant(c->mesh->router, c->id, lo, size, x->slot, eci_now_ms()));
}

void eci_ahead_forget(ectx_context *c)
{
	while (c->ahead) {
		eci_slot_close(c->mesh->router, c->ahead->slot);
		drop(c->ahead);
	}
}
