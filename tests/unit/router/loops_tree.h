/* Two to four routers as a tree, with pipes of every width between them, and what must hold of their queues after every
 * step (docs/protocol.md section 4). A router writes when it said that it has something to write, and not else: so a
 * wake-up that is missing is bytes that stand still. */
#ifndef ECI_TESTS_LOOPS_TREE_H
#define ECI_TESTS_LOOPS_TREE_H

#include "core/mem.h"
#include "router/internal.h"
#include "router/stream.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 4
#define W ECI_STREAM_WINDOW
#define FRAME eci_wire(ECI_BULK_BODY_MAX)
#define IDLE 3600000u /* ms: heartbeats, but nobody is lost */

struct side { /* one direction of a link: who writes, the pipe, who reads */
	struct eci_link *from, *to;
	struct eci_buf pipe;
	size_t cap, piece; /* what the pipe holds, and what goes in or out of it at once */
	bool wants;        /* `from` has said that it has bytes */
	uint32_t most;     /* the largest window it had */
};

struct node {
	struct eci_router *r;
	int parent;
	uint32_t id, size, given;
	struct side down, up; /* to and from the parent; none at node 0 */
	uint32_t peak;        /* pauses of its link at once */
	bool stopped;         /* neither reads nor writes */
};

static struct node nodes[NODES_MAX];
static int nnodes;
static struct eci_random rnd;
static uint32_t seed;
static uint64_t now;
static struct {
	uint32_t paused, passed_on, lingering, grown, widened, reset, echoes, most_held;
} seen;

#define CHECK(cond, ...)                                                    \
	do {                                                                \
		if (!(cond)) {                                              \
			fprintf(stderr, "seed %u: %s: ", seed, #cond);      \
			fprintf(stderr, " " __VA_ARGS__);                   \
			cr_assert_fail("seed %u: not so: %s", seed, #cond); \
		}                                                           \
	} while (0)

static inline uint32_t below(uint32_t n)
{
	return eci_random_below(&rnd, n);
}

/* ---- what routers ask ---- */
static bool tree_deliver(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	(void)ctx, (void)from, (void)link, (void)f;
	CHECK(false, "nobody sends to a fixed handle but ECHO");
	return false;
}

static const char *tree_hello(void *ctx, struct eci_link *link, const struct eci_frame *f)
{
	struct node *n = ctx;
	if (!eci_link_is_parent(link))
		return NULL;
	eci_router_set_block(n->r, n->id, n->size);
	eci_router_send(n->r, ECI_CONTROL, 0, f->src, ECI_H_HELLO, 0, "\xA0", 1, now);
	return NULL;
}

static void tree_wake(void *ctx, struct eci_link *link)
{
	(void)ctx;
	((struct side *)eci_link_user(link))->wants = true;
}

static void tree_broken(void *ctx, struct eci_link *link, const char *reason, const char *detail)
{
	(void)ctx, (void)link;
	CHECK(false, "a link ended: %s, %s", reason, detail);
}

static const struct eci_router_ops tree_ops = {tree_deliver, tree_hello, tree_wake, tree_broken};

/* ---- bytes ---- */
static void pour(struct side *s)
{
	const uint8_t *p;
	size_t room = s->cap - eci_buf_len(&s->pipe), most = 1 + below((uint32_t)s->piece), n;
	if (!room || !s->wants)
		return;
	n = eci_link_output(s->from, &p, most);
	if (!n) {
		s->wants = false;
		return;
	}
	n = n < room ? n : room;
	eci_buf_append(&s->pipe, p, n);
	eci_link_wrote(s->from, n, now);
}

static void drink(struct side *s)
{
	static uint8_t held[1 << 18];
	size_t n = eci_buf_len(&s->pipe), most = 1 + below((uint32_t)s->piece);
	n = n < most ? n : most;
	if (!n)
		return;
	memcpy(held, eci_buf_data(&s->pipe), n);
	eci_buf_drain(&s->pipe, n);
	eci_link_feed(s->to, held, n, now);
}

/* ---- what must hold ---- */
static void check_side(struct side *s)
{
	s->most = s->from->window > s->most ? s->from->window : s->most;
	CHECK(s->from->inflight <= (s->most > FRAME ? s->most : FRAME), "%u in flight", s->from->inflight);
	CHECK(s->to->unacked <= s->from->inflight, "%u not acknowledged of %u", s->to->unacked, s->from->inflight);
	CHECK(s->to->owed <= s->to->unacked && s->to->owed < ECI_ACK_AT);
	CHECK(eci_buf_len(&s->pipe) <= s->cap);
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
		bytes += nodes[i].r->local_bytes;
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
		CHECK(!n->r->local_bytes && !n->r->self, "%zu at %d", n->r->local_bytes, i);
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

/* ---- the tree ---- */
static void side_init(struct side *s)
{
	static const size_t caps[] = {3000, 16384, 65536, 65536, 262144};
	s->cap = caps[below(5)];
	s->piece = below(4) ? 65536 : 500 + below(8000);
	s->most = ECI_HOP_WINDOW_MIN;
}

static void tree_links(void)
{
	for (int i = 1; i < nnodes; i++) {
		struct node *n = &nodes[i], *p = &nodes[n->parent];
		n->id = p->id + p->given;
		p->given += n->size;
		n->given = 8;
		side_init(&n->down);
		side_init(&n->up);
		n->r = eci_router_new(1, 0, &tree_ops, n);
		n->up.from = n->down.to = eci_router_add_parent(n->r, &n->up);
		n->down.from = n->up.to = eci_router_add_child(p->r, n->id, n->size, &n->down);
		eci_link_set_idle(n->up.from, IDLE);
		eci_link_set_idle(n->down.from, IDLE);
		CHECK(!eci_link_start(n->down.from, "\xA0", 1, now));
		for (int k = 0; k < 500 && !eci_link_up(n->down.from); k++) {
			pour(&n->down), drink(&n->down);
			pour(&n->up), drink(&n->up);
		}
		CHECK(eci_link_up(n->down.from) && eci_router_id(n->r) == n->id);
	}
}

static void tree_new(void)
{
	static const struct {
		int n, parent[NODES_MAX];
	} shapes[] = {{2, {0, 0}},       {3, {0, 0, 1}},    {4, {0, 0, 1, 2}}, {4, {0, 0, 1, 1}},
		      {4, {0, 0, 1, 2}}, {4, {0, 0, 1, 1}}, {4, {0, 0, 0, 2}}, {4, {0, 0, 0, 0}}};
	uint32_t shape = below(8);
	memset(nodes, 0, sizeof nodes);
	nnodes = shapes[shape].n;
	for (int i = nnodes - 1; i >= 0; i--) {
		nodes[i].parent = shapes[shape].parent[i];
		nodes[i].size += 8;
		if (i)
			nodes[nodes[i].parent].size += nodes[i].size;
	}
	nodes[0].r = eci_router_new(0, 0, &tree_ops, &nodes[0]);
	nodes[0].given = 8;
	tree_links();
}

static void tree_free(void)
{
	for (int i = 0; i < nnodes; i++) {
		eci_router_free(nodes[i].r);
		eci_buf_deinit(&nodes[i].down.pipe);
		eci_buf_deinit(&nodes[i].up.pipe);
	}
}

#endif
