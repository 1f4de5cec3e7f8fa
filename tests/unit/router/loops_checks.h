/* What must hold of the queues of a tree of routers after every step (docs/protocol.md section 4), and at the end. */
#ifndef ECI_TESTS_LOOPS_CHECKS_H
#define ECI_TESTS_LOOPS_CHECKS_H

#include "loops_tree.h"

static struct {
	uint32_t paused, passed_on, lingering, grown, widened, reset, echoes, most_held;
} seen;

static void check_side(struct side *s)
{
	s->most = s->from->window > s->most ? s->from->window : s->most;
	CHECK(s->from->inflight <= s->most, "%u in flight", s->from->inflight);
	CHECK(s->to->unacked <= s->from->inflight, "%u not acknowledged of %u", s->to->unacked, s->from->inflight);
	CHECK(s->to->owed <= s->to->unacked && s->to->owed < ECI_ACK_AT);
	CHECK(eci_buf_len(&s->pipe) <= s->cap);
}

/* PAUSE above the one mark, RESUME at the other and no later: below it a child link soon has nothing to send. A pause
 * is for a router's whole block, and what it stops are the flows to that block; a stream has one to itself. */
static bool is_block(const struct eci_pause *p)
{
	for (int i = 1; i < nnodes; i++)
		if (nodes[i].id == p->lo && nodes[i].id + nodes[i].size - 1 == p->hi)
			return true;
	return false;
}

static void check_flow(const struct eci_link *l, const struct eci_flow *w)
{
	bool stopped = false;
	for (struct eci_pause *p = l->pauses; p; p = p->next)
		stopped = stopped || (p->refs && w->dst - p->lo <= p->hi - p->lo);
	CHECK(w->parked == stopped, "to %u", w->dst);
	CHECK(w->head->f.handle == w->tail->f.handle, "streams %u and %u in one", w->head->f.handle, w->tail->f.handle);
}

static void check_pauses(const struct eci_link *l)
{
	struct eci_flow *w = l->turn;
	bool told = l->router->parent && !l->parent;
	for (struct eci_pause *p = l->pauses; p; p = p->next) {
		CHECK(is_block(p), "[%u, %u] is nobody's", p->lo, p->hi);
		if (told)
			CHECK(p->refs ? p->announced || p->held <= ECI_PAUSE_AT
				      : p->announced && p->held > ECI_RESUME_AT,
			      "%zu held", p->held);
	}
	if (told)
		CHECK(l->up_paused ? l->active_bytes > ECI_RESUME_AT : l->active_bytes <= ECI_PAUSE_AT, "%zu wait",
		      l->active_bytes);
	for (bool more = w; more; w = w->next, more = w != l->turn)
		check_flow(l, w);
	for (w = l->parked; w; w = w->next)
		check_flow(l, w);
}

/* What a relay holds for a child: what makes a PAUSE, the frame that did, and what its parent had sent by then, one
 * window. A pause that ends before it was passed on leaves what it held to the link: that once more for each. */
static void check_held(struct node *n)
{
	struct node *relay = &nodes[n->parent];
	struct eci_link *l = n->down.from;
	uint32_t count = 0, late = FRAME + relay->down.most;
	if (!n->parent) {
		CHECK(!l->bulk_bytes && !l->up_paused, "siblings do not talk");
		return;
	}
	for (struct eci_pause *p = l->pauses; p; p = p->next, count++) {
		CHECK(p->held <= ECI_PAUSE_AT + late, "%zu held for a pause", p->held);
		seen.passed_on += p->announced;
		seen.lingering += !p->refs;
	}
	n->peak = count > n->peak ? count : n->peak;
	CHECK(l->active_bytes <= (1 + n->peak) * ECI_PAUSE_AT + late, "%zu held", l->active_bytes);
	CHECK(l->bulk_bytes <= (1 + n->peak) * (ECI_PAUSE_AT + late), "%zu held in all", l->bulk_bytes);
	seen.most_held = l->bulk_bytes > seen.most_held ? (uint32_t)l->bulk_bytes : seen.most_held;
	seen.paused += l->up_paused;
}

static void check(void)
{
	size_t owed[NODES_MAX] = {0};
	for (int i = 1; i < nnodes; i++) {
		struct node *n = &nodes[i];
		check_side(&n->down);
		check_side(&n->up);
		check_held(n);
		check_pauses(n->down.from);
		check_pauses(n->up.from);
		owed[n->parent] += n->up.to->unacked;
		seen.grown += n->down.from->window > ECI_HOP_WINDOW_MIN || n->up.from->window > ECI_HOP_WINDOW_MIN;
	}
	for (int i = 0; i < nnodes; i++) {
		CHECK(nodes[i].r->widened <= ECI_STREAM_WIDENED_MAX);
		seen.widened += nodes[i].r->widened > 0;
		if (i) /* upward: the children's windows, because their ACKs wait for the writing on */
			CHECK(nodes[i].up.from->bulk_bytes <= owed[i]);
	}
}

static bool all_drained(void)
{
	size_t bytes = 0;
	for (int i = 0; i < nnodes; i++)
		bytes += nodes[i].r->local_bytes + nodes[i].r->blob_bytes;
	for (int i = 1; i < nnodes; i++) {
		bytes += nodes[i].down.from->bulk_bytes + nodes[i].up.from->bulk_bytes;
		bytes += nodes[i].down.from->inflight + nodes[i].up.from->inflight;
	}
	return !bytes;
}

static void check_empty(void)
{
	for (int i = 0; i < nnodes; i++) {
		struct node *n = &nodes[i];
		CHECK(!n->r->local_bytes && !n->r->blob_bytes && !n->r->self, "%zu at %d", n->r->local_bytes, i);
		CHECK(!n->r->widened && !n->r->stalled && !n->r->nslots, "%u slots at %d", n->r->nslots, i);
		CHECK(!n->r->stats.bad_src && !n->r->stats.bad_auth && !n->r->stats.bad_reply);
		struct side *both[] = {&n->down, &n->up};
		for (int k = 0; i && k < 2; k++) {
			struct eci_link *l = both[k]->from;
			CHECK(!l->bulk_bytes && !l->active_bytes && !l->local_bulk && !l->held_calls);
			CHECK(!l->turn && !l->parked && !l->sent);
			CHECK(!l->pauses && !l->npauses && !l->up_paused, "%u pauses are left", l->npauses);
			CHECK(!l->inflight && !both[k]->to->unacked && !both[k]->to->owed, "%u", l->inflight);
		}
	}
}

#endif
