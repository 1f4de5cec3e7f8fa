/* Ids: what the master gives is what every router on the way takes, however often contexts are lost and dialled again.
 *
 * No processes: each context here is a router of its own, and its links are moved by hand. eci_router_is_free() is what
 * SPAWN asks, and the routers' own answers to GRANT reach the master. */
#include "mesh/ahead.h"
#include "mesh/connect.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 64
#define GIVEN_MAX 100000

struct node {
	ectx_context c;
	struct node *parent;
	struct eci_router *r;
	struct eci_link *down, *up; /* the parent's end and its own */
};

struct tree {
	ectx_mesh m;
	struct node nodes[NODES_MAX];
	size_t n;
	struct eci_interval *given; /* all blocks that ever were */
	size_t ngiven;
};

static bool deliver(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	(void)ctx, (void)from, (void)link, (void)f;
	return false;
}

static const char *hello(void *ctx, struct eci_link *link, const struct eci_frame *f)
{
	struct node *n = ctx;
	if (eci_link_is_parent(link)) {
		eci_router_set_block(n->r, n->c.id, n->c.size);
		cr_assert(eci_router_send(n->r, ECI_CONTROL, 0, f->src, ECI_H_HELLO, 0, "\xA0", 1, 0) == 0);
	}
	return NULL;
}

static void wake(void *ctx, struct eci_link *link)
{
	(void)ctx, (void)link;
}

static void broken(void *ctx, struct eci_link *link, const char *reason, const char *detail)
{
	(void)ctx, (void)link;
	cr_assert(false, "%s: %s", reason, detail);
}

static const struct eci_router_ops ops = {deliver, hello, wake, broken};

static struct tree *tree_open(void)
{
	struct tree *t = calloc(1, sizeof *t);
	cr_assert(t);
	t->given = calloc(GIVEN_MAX, sizeof *t->given);
	t->m.router = eci_router_new(0, 0, &ops, NULL);
	t->m.next_id = ECI_BLOCK_FACTOR;
	cr_assert(t->given && t->m.router);
	return t;
}

static struct node *node_add(struct tree *t, struct node *parent)
{
	cr_assert(t->n < NODES_MAX);
	struct node *n = &t->nodes[t->n++];
	n->parent = parent;
	n->c = (ectx_context){.mesh = &t->m, .parent = parent ? &parent->c : NULL, .native = true, .subtree = 1};
	for (ectx_context *c = n->c.parent; c; c = c->parent)
		c->subtree++;
	return n;
}

static void move(struct eci_link *from, struct eci_link *to)
{
	const uint8_t *p;
	for (size_t n; (n = eci_link_output(from, &p, 65536));) {
		eci_link_feed(to, p, n, 0);
		eci_link_wrote(from, n, 0);
	}
}

static void move_down(struct node *n)
{
	if (!n)
		return;
	move_down(n->parent);
	move(n->down, n->up);
}

static void move_up(struct node *n)
{
	for (; n; n = n->parent)
		move(n->up, n->down);
}

static void lose(struct tree *t, struct node *n)
{
	if (!n->c.id)
		return;
	for (size_t i = 0; i < t->n; i++)
		if (t->nodes[i].parent == n)
			lose(t, &t->nodes[i]);
	eci_link_lost(n->down, "eof", "", 0);
	eci_router_free(n->r);
	n->r = NULL;
	n->down = n->up = NULL;
	eci_ahead_forget(&n->c);
	HASH_DELETE(by_id, t->m.by_id, &n->c);
	n->c.id = n->c.size = 0;
}

/* No id twice, but that a block lies in those of its parents. */
static void note(struct tree *t, const ectx_context *c)
{
	uint64_t end = (uint64_t)c->id + c->size;
	cr_assert(c->size >= ECI_BLOCK_FACTOR && (c->size & (c->size - 1)) == 0, "%u", c->size);
	for (size_t i = 0; i < t->ngiven; i++) {
		const struct eci_interval *v = &t->given[i];
		const ectx_context *p = c->parent;
		while (p && p->id != v->lo)
			p = p->parent;
		cr_assert(c->id > v->hi || end <= v->lo || (p && c->id > v->lo && end - 1 <= v->hi),
			  "%u was given before, in [%u, %u]", c->id, v->lo, v->hi);
	}
	cr_assert(t->ngiven < GIVEN_MAX);
	t->given[t->ngiven++] = (struct eci_interval){c->id, (uint32_t)(end - 1)};
}

/* What mesh/ does of a dial for ids, and what comes of it. False: there are none. */
static bool dial(struct tree *t, struct node *n)
{
	if (n->parent && !n->parent->c.id && !dial(t, n->parent))
		return false;
	lose(t, n);
	int r = eci_ids_take(&n->c);
	if (r) {
		cr_assert_eq(r, -1, "%d", r); /* no link on the way is full */
		return false;
	}
	move_down(n->parent);
	move_up(n->parent);
	note(t, &n->c);
	struct eci_router *at = n->parent ? n->parent->r : t->m.router;
	cr_assert(eci_router_is_free(at, n->c.id, n->c.size), "not the parent's to give, or another child's");
	n->down = eci_router_add_child(at, n->c.id, n->c.size, NULL);
	n->r = eci_router_new(1, 0, &ops, n);
	cr_assert(n->down && n->r);
	n->up = eci_router_add_parent(n->r, NULL);
	cr_assert(n->up && eci_link_start(n->down, "\xA0", 1, 0) == 0);
	move_down(n);
	move_up(n);
	cr_assert(eci_link_up(n->down));
	return true;
}

static void tree_close(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		lose(t, &t->nodes[i]);
	eci_router_free(t->m.router);
	free(t->given);
	free(t);
}

/*   master ─┬─ r1 ── a1 ── x1      a1 and b1 are lost again and again, and in each life have to be granted more: by
 *           └─ r2 ── b1 ── y1      turns, so that what r1's link gets is never beside what it got before. */
Test(ids, grants_to_those_who_are_lost)
{
	struct tree *t = tree_open();
	struct node *r[2], *a[2], *x[2];
	for (int s = 0; s < 2; s++) {
		r[s] = node_add(t, NULL);
		a[s] = node_add(t, r[s]);
		x[s] = node_add(t, a[s]);
	}
	for (int round = 1; round <= 300; round++)
		for (int s = 0; s < 2; s++) {
			lose(t, a[s]);
			for (int again = 0; again < 3; again++)
				cr_assert(dial(t, x[s]), "round %d", round);
		}
	tree_close(t);
}

/* Nobody is lost, but the children of many. */
Test(ids, grants_to_many_below_one)
{
	struct tree *t = tree_open();
	struct node *r[2], *x[2][20];
	for (int s = 0; s < 2; s++) {
		r[s] = node_add(t, NULL);
		for (int i = 0; i < 14; i++)
			x[s][i] = node_add(t, node_add(t, r[s]));
	}
	for (int round = 0; round < 30; round++)
		for (int i = 0; i < 14; i++)
			for (int s = 0; s < 2; s++)
				cr_assert(dial(t, x[s][i]), "round %d, %d", round, i);
	tree_close(t);
}

/* Any of them, in any order, far down. */
Test(ids, any_losses)
{
	struct eci_random rnd = eci_random_open("any_losses", 7);
	struct tree *t = tree_open();
	for (int i = 0; i < 40; i++)
		(void)node_add(t, i < 3 ? NULL : &t->nodes[i - 1 - (int)eci_random_below(&rnd, 3)]);
	for (int i = 0; i < 3000; i++)
		cr_assert(dial(t, &t->nodes[eci_random_below(&rnd, 40)]), "dial %d", i);
	tree_close(t);
}

/* Up to the last ids: most of them have been of use when there are none for a large block, and then there are none, or
 * some for a smaller one, but nothing that a router refuses. */
Test(ids, to_the_end)
{
	struct tree *t = tree_open();
	struct node *x[2], *few[2];
	uint64_t used = 0, all = 1ull << 32;
	for (int s = 0; s < 2; s++) {
		struct node *r = node_add(t, NULL), *a = node_add(t, r);
		x[s] = node_add(t, a);
		few[s] = node_add(t, a);
		r->c.subtree = a->c.subtree = x[s]->c.subtree = 1u << 17;
	}
	for (int s = 0; dial(t, x[s]); s = 1 - s)
		used += x[s]->c.size;
	cr_expect(used > all / 2, "%llu", (unsigned long long)used);
	unsigned more = 0;
	for (int i = 0; i < 400; i++)
		more += dial(t, i % 4 < 2 ? few[i % 2] : x[i % 2]);
	cr_expect(more >= 100, "%u", more);
	tree_close(t);
}

static int fill(struct tree *t, struct node *n, size_t body)
{
	static const uint8_t nothing[60000];
	int r = 0, sent = 0;
	for (; (r = eci_router_send(t->m.router, ECI_CALL, 0, n->c.id, ECI_H_PART, 0, nothing, body, 0)) == 0; sent++)
		;
	cr_assert_eq(r, -4);
	return sent;
}

/* The queue to the first hop takes the grant to r, and not that to a behind it: what r was granted is there for the
 * next dial, and only a's is not used again. */
Test(ids, a_grant_that_finds_no_room)
{
	struct tree *t = tree_open();
	struct node *r = node_add(t, NULL), *a = node_add(t, r), *x = node_add(t, a);
	const uint8_t *p;
	cr_assert(dial(t, x));
	while (a->c.free_hi - a->c.free_lo >= a->c.size / 2)
		cr_assert(dial(t, x));
	r->c.free_lo = r->c.free_hi; /* as if it had given all it had, after many grants: the next one is large */
	r->c.grants = 24;
	lose(t, x);
	cr_assert(eci_router_send(t->m.router, ECI_CALL, 0, r->c.id, ECI_H_PART, 0, "12345678", 8, 0) == 0);
	cr_assert(fill(t, r, 60000) && fill(t, r, 1000) >= 0 && fill(t, r, 0));
	cr_assert(eci_link_output(r->down, &p, 36) == 36);
	eci_link_wrote(r->down, 36, 0); /* room for one GRANT, and not for two */
	cr_assert_eq(eci_ids_take(&x->c), -4);
	cr_assert(r->c.grants == 25 && a->c.grants == 0 && !x->c.id, "%u, %u", r->c.grants, a->c.grants);
	move_down(a);
	move_up(a);
	cr_assert(dial(t, x));
	cr_expect(r->c.grants == 25 && a->c.grants == 1, "%u, %u", r->c.grants, a->c.grants);
	tree_close(t);
}
