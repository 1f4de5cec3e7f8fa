/* A thousand routers in one process, as a tree. Bytes move between them in pieces of random size through pipes that
 * hold 64 KiB; the master and relays call ECHO below them, links are cut, nodes stop, children forge.
 *
 * What must hold: every call has exactly one outcome, an answer is the bytes that were sent, nothing forged is
 * delivered, every queue stays within its bound, no link ends but those that were cut or stopped, and (under the
 * address sanitizer) nothing leaks. A relay reports a lost link to the master as event 8 does, by a frame to a slot. */
#include "core/mem.h"
#include "router/internal.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define NODES 1000
#define PIPE 65536u
#define CALLS 12000
#define CALL_ROUNDS 500
#define ROUNDS_MAX 6000
#define IDLE 3000u

struct node {
	struct eci_router *r;
	struct eci_link *up;   /* mine, to my parent */
	struct eci_link *down; /* my parent's, to me */
	struct eci_buf rise, fall;
	int parent;
	uint32_t id, size, given;
	uint32_t event_slot; /* at the master, for what this node reports */
	bool dead, stopped, cut;
};

struct call {
	int from; /* node */
	uint32_t to, slot, len;
	int outcomes, ok, lost, refused;
	bool sent, void_; /* void_: its caller is dead */
};

static struct node nodes[NODES];
static struct call calls[CALLS];
static struct eci_random rnd;
static uint64_t now = 1;
static uint32_t forged;

static uint8_t pattern(const struct call *c, size_t i)
{
	return (uint8_t)((uint32_t)(c - calls) * 31u + (uint32_t)i * 7u);
}

/* ---- callbacks ---- */
static bool deliver(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	(void)ctx, (void)from, (void)link, (void)f;
	cr_assert(false, "only ECHO is sent: handle %u from %u arrived", f->handle, f->src);
	return false;
}

static const char *hello(void *ctx, struct eci_link *link, const struct eci_frame *f)
{
	struct node *n = ctx;
	if (!eci_link_is_parent(link))
		return NULL;
	eci_router_set_block(n->r, eci_get32(f->body), eci_get32(f->body + 4));
	eci_link_set_idle(link, IDLE);
	eci_router_send(n->r, ECI_CONTROL, 0, f->src, ECI_H_HELLO, 0, "\xA0", 1, now);
	return NULL;
}

static void broken(void *ctx, struct eci_link *link, const char *reason, const char *detail)
{
	struct node *n = ctx;
	int child = eci_link_is_parent(link) ? (int)(n - nodes) : -1;
	for (int i = 1; child < 0 && i < NODES; i++)
		if (nodes[i].down == link)
			child = i;
	cr_assert_str_eq(reason, "silent", "%s: %s", reason, detail);
	cr_assert(nodes[child].stopped || nodes[nodes[child].parent].stopped);
	nodes[child].cut = true;
}

static const struct eci_router_ops ops = {deliver, hello, NULL, broken};

static void on_outcome(void *arg, const struct eci_answer *a)
{
	struct call *c = arg;
	c->outcomes++;
	if (a->dead) {
		c->lost += !strcmp(a->reason, "lost");
		c->refused += !strcmp(a->reason, "busy");
		cr_assert(!strcmp(a->reason, "lost") || !strcmp(a->reason, "busy"), "%s", a->reason);
		return;
	}
	c->ok++;
	cr_assert_eq(a->f->src, c->to);
	cr_assert_eq(a->f->len, c->len);
	for (size_t i = 0; i < c->len; i++)
		cr_assert_eq(a->f->body[i], pattern(c, i), "call %d, byte %zu", (int)(c - calls), i);
}

/* A relay says to the master which interval it has lost. */
static void on_event(void *arg, const struct eci_answer *a)
{
	struct node *n = arg;
	if (a->dead)
		n->event_slot = 0;
	else
		eci_router_fail(nodes[0].r, eci_get32(a->f->body), eci_get32(a->f->body + 4), n->id, "event 8", now);
}

/* ---- the tree ---- */
static void grow_tree(void)
{
	for (int i = 1; i < NODES; i++) { /* a few wide relays, some depth: at most ~25 levels */
		int from = eci_random_below(&rnd, 3) ? (int)eci_random_below(&rnd, (uint32_t)i) : i - 1 - (i % 25 == 1);
		nodes[i].parent = from < 0 ? 0 : from;
	}
	for (int i = NODES - 1; i > 0; i--) {
		nodes[i].size += 8;
		nodes[nodes[i].parent].size += nodes[i].size;
	}
	nodes[0].r = eci_router_new(0, 0, &ops, &nodes[0]);
	nodes[0].given = 8;
	for (int i = 1; i < NODES; i++) {
		struct node *n = &nodes[i], *p = &nodes[n->parent];
		n->id = p->id + p->given;
		p->given += n->size;
		n->given = 8;
		n->r = eci_router_new(1, 0, &ops, n);
		n->up = eci_router_add_parent(n->r, NULL);
	}
}

static void pour(struct eci_link *l, struct eci_buf *pipe)
{
	const uint8_t *p;
	size_t n, room = PIPE - eci_buf_len(pipe);
	if (room && (n = eci_link_output(l, &p, 1 + eci_random_below(&rnd, (uint32_t)room)))) {
		n = 1 + eci_random_below(&rnd, (uint32_t)n);
		eci_buf_append(pipe, p, n);
		eci_link_wrote(l, n, now);
	}
}

static void drink(struct eci_link *l, struct eci_buf *pipe)
{
	size_t n = eci_buf_len(pipe);
	if (!n)
		return;
	n = 1 + eci_random_below(&rnd, (uint32_t)n);
	uint8_t *exact = malloc(n);
	memcpy(exact, eci_buf_data(pipe), n);
	eci_buf_drain(pipe, n);
	eci_link_feed(l, exact, n, now);
	free(exact);
}

static void bounds(struct eci_link *l)
{
	cr_assert_leq(eci_buf_len(&l->control), ECI_CONTROL_MAX);
	cr_assert_leq(eci_buf_len(&l->call) + l->held_calls, l->parent ? ECI_ANSWERS_MAX : ECI_QUEUE_MAX);
	cr_assert_leq(l->inflight, ECI_HOP_WINDOW_MAX); /* a window may have halved meanwhile */
	cr_assert_leq(l->unacked, ECI_HOP_WINDOW_MAX + ECI_HOP_WINDOW_MIN);
	if (!l->parent) /* one window of the parent link on top of what makes a PAUSE */
		cr_assert_leq(l->active_bytes, ECI_PAUSE_AT + ECI_HOP_WINDOW_MAX);
	cr_assert_leq(eci_buf_len(&l->in), eci_wire(ECI_FRAME_BODY_MAX));
}

static void step(int i)
{
	struct node *n = &nodes[i], *p = &nodes[n->parent];
	if (!n->down && eci_router_id(p->r) == p->id && !p->stopped) { /* the parent knows its block: start me */
		uint8_t body[8];
		n->down = eci_router_add_child(p->r, n->id, n->size, NULL);
		cr_assert_not_null(n->down);
		eci_link_set_idle(n->down, IDLE);
		eci_put32(body, n->id);
		eci_put32(body + 4, n->size);
		cr_assert_eq(eci_link_start(n->down, body, 8, now), 0);
	}
	if (!n->down)
		return;
	if (!p->stopped) {
		pour(n->down, &n->fall);
		drink(n->down, &n->rise);
		bounds(n->down);
	}
	if (!n->stopped) {
		drink(n->up, &n->fall);
		pour(n->up, &n->rise);
		bounds(n->up);
	}
}

/* ---- what happens to it ---- */
static void bury(int i)
{
	struct node *n = &nodes[i];
	n->dead = true;
	n->down = n->up = NULL;
	eci_router_free(n->r);
	n->r = NULL;
	eci_buf_deinit(&n->rise);
	eci_buf_deinit(&n->fall);
	for (int k = 0; k < CALLS; k++)
		if (calls[k].from == i)
			calls[k].void_ = true;
}

/* A child that loses its parent ends with everything it started. */
static void cut(int i)
{
	struct node *n = &nodes[i], *p = &nodes[n->parent];
	uint8_t body[8];
	if (n->dead)
		return;
	if (n->down)
		eci_link_lost(n->down, "eof", "cut", now);
	if (n->down && n->parent && p->event_slot) {
		eci_put32(body, n->id);
		eci_put32(body + 4, n->id + n->size - 1);
		(void)eci_router_send(p->r, ECI_CALL, 0, 0, p->event_slot, 0, body, 8, now);
	}
	bury(i);
	for (int k = i + 1; k < NODES; k++)
		if (!nodes[k].dead && nodes[nodes[k].parent].dead)
			bury(k);
}

static void issue(struct call *c)
{
	int to = 1 + (int)eci_random_below(&rnd, NODES - 1);
	c->from = eci_random_below(&rnd, 4) ? 0 : nodes[to].parent;
	struct node *n = &nodes[c->from];
	c->void_ = n->dead || n->stopped || !n->r || eci_router_id(n->r) != n->id;
	if (c->void_)
		return;
	c->to = nodes[to].id;
	c->len = eci_random_below(&rnd, 100) ? eci_random_below(&rnd, 300) : eci_random_below(&rnd, 150000);
	uint8_t *body = malloc(c->len + 1u);
	for (size_t i = 0; i < c->len; i++)
		body[i] = pattern(c, i);
	c->slot = eci_slot_open(n->r, c->to, ECI_SLOT_ONCE, on_outcome, c);
	int rc = eci_router_send(n->r, ECI_CALL, 0, c->to, ECI_H_ECHO, c->slot, body, c->len, now);
	free(body);
	c->sent = rc == 0;
	if (c->sent)
		return;
	cr_assert(rc == -3 || rc == -4);
	if (eci_slot_find(n->r, c->slot))
		eci_slot_close(n->r, c->slot);
	c->void_ = true;
}

/* A child writes, between two frames of its own, one that claims to be from elsewhere, or answers for another. */
static void forge(int i)
{
	struct node *n = &nodes[i];
	if (n->dead || n->stopped || !n->down || !n->up->up || eci_buf_len(&n->up->out) ||
	    eci_buf_len(&n->rise) > PIPE / 2)
		return;
	const struct call *c = &calls[eci_random_below(&rnd, CALLS)];
	if (!c->sent || c->outcomes || c->to == n->id)
		return;
	struct eci_frame f = {.cls = ECI_CALL, .hops = 64, .dst = nodes[c->from].id, .handle = c->slot, .len = c->len};
	uint8_t *lie = calloc(1, ECI_FRAME_HEADER + c->len + 1u);
	f.src = f.auth = c->to;
	if (c->to >= n->id && c->to < n->id + n->size) /* it may speak for those: then only as itself */
		f.src = f.auth = n->id;
	if (eci_random_below(&rnd, 3) == 0 && f.src != n->id)
		f.flags = ECI_F_DEAD, f.cls = ECI_CONTROL;
	f.len = f.len > 1000 ? 1000 : f.len;
	f.body = lie;
	eci_frame_pack(lie, &f);
	eci_buf_append(&n->rise, lie, eci_wire(f.len));
	free(lie);
	forged++;
}

static bool settled(void)
{
	for (int i = 0; i < CALLS; i++)
		if (calls[i].sent && !calls[i].void_ && !calls[i].outcomes)
			return false;
	return true;
}

static void round_(void)
{
	now += 1 + eci_random_below(&rnd, 5);
	for (int i = 0; i < NODES; i++)
		if (!nodes[i].dead && !nodes[i].stopped)
			eci_router_tick(nodes[i].r, now);
	for (int i = 1; i < NODES; i++)
		if (nodes[i].cut)
			cut(i);
	for (int i = 1; i < NODES; i++)
		if (!nodes[i].dead)
			step(i);
}

Test(sim, a_thousand_routers)
{
	rnd = eci_random_open("sim", 49);
	grow_tree();
	int rounds = 0, next = 0;
	while (rounds < 200) /* everybody learns its block */
		round_(), rounds++;
	for (int i = 1; i < NODES; i++) {
		cr_assert_eq(eci_router_id(nodes[i].r), nodes[i].id);
		nodes[i].event_slot = eci_slot_open(nodes[0].r, nodes[i].id, ECI_SLOT_MANY, on_event, &nodes[i]);
	}
	for (rounds = 0; rounds < ROUNDS_MAX && (next < CALLS || !settled()); rounds++) {
		for (int k = 0; next < CALLS && k < CALLS / CALL_ROUNDS; k++)
			issue(&calls[next++]);
		if (rounds % 10 == 5 && next < CALLS) {
			int i = 1 + (int)eci_random_below(&rnd, NODES - 1);
			if (nodes[i].size < 400) /* not half the tree at once */
				nodes[i].cut = true;
		}
		if (rounds % 100 == 50 && next < CALLS) {
			int i = 1 + (int)eci_random_below(&rnd, NODES - 1);
			nodes[i].stopped = !nodes[i].dead && nodes[i].size < 100;
		}
		for (int k = 0; k < 5; k++)
			forge(1 + (int)eci_random_below(&rnd, NODES - 1));
		round_();
	}
	cr_assert(settled(), "calls without an outcome after %d rounds", rounds);
	uint32_t ok = 0, lost = 0, busy = 0, dead = 0;
	for (int i = 0; i < CALLS; i++) {
		cr_assert_leq(calls[i].outcomes, 1);
		cr_assert(calls[i].void_ || calls[i].outcomes == 1);
		ok += (uint32_t)calls[i].ok, lost += (uint32_t)calls[i].lost, busy += (uint32_t)calls[i].refused;
	}
	uint64_t refused = 0;
	for (int i = 0; i < NODES; i++) {
		dead += nodes[i].dead;
		if (!nodes[i].dead)
			refused += nodes[i].r->stats.bad_src + nodes[i].r->stats.bad_reply;
	}
	cr_assert_gt(refused, forged / 2, "routers that died took some of the count along");
	printf("%d rounds: %u answered, %u lost, %u busy, %u nodes dead, %u forged\n", rounds, ok, lost, busy, dead,
	       forged);
	cr_assert(ok > CALLS / 3 && lost > 50 && dead > 50 && forged > 100);
	for (int i = 0; i < NODES; i++)
		if (!nodes[i].dead)
			bury(i);
}
