/* Two to four routers as a tree, with pipes of every width between them. Half of them own one id only, which is both
 * ends of an interval at once. A router writes when it said that it has
 * something to write, and not else: so a wake-up that is missing is bytes that stand still. Every other seed is without
 * heartbeats, which would wake it all the same (and without which no window of a link downward grows). */
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
	uint32_t id, size, own, given; /* own: ids that are no child's */
	struct side down, up;          /* to and from the parent; none at node 0 */
	uint32_t peak;                 /* pauses of its link at once */
	bool stopped;                  /* neither reads nor writes */
};

static struct node nodes[NODES_MAX];
static int nnodes;
static struct eci_random rnd;
static uint32_t seed;
static uint64_t now;

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
		n->given = n->own;
		side_init(&n->down);
		side_init(&n->up);
		n->r = eci_router_new(1, 0, &tree_ops, n);
		n->up.from = n->down.to = eci_router_add_parent(n->r, &n->up);
		n->down.from = n->up.to = eci_router_add_child(p->r, n->id, n->size, &n->down);
		eci_link_set_idle(n->up.from, seed % 2 ? IDLE : 0);
		eci_link_set_idle(n->down.from, seed % 2 ? IDLE : 0);
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
		nodes[i].own = below(2) ? 8 : 1;
		nodes[i].size += nodes[i].own;
		if (i)
			nodes[nodes[i].parent].size += nodes[i].size;
	}
	nodes[0].r = eci_router_new(0, 0, &tree_ops, &nodes[0]);
	nodes[0].given = nodes[0].own;
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
