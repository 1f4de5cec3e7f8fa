/* A router under test whose neighbours are played by the test: frames are fed by field, output is read frame by frame.
 * The usual world is a relay, id 64 with [64, 128), below parent 0, with children 72 (8 ids), 80 (8) and 96 (16). */
#ifndef ECI_TESTS_ROUTER_SUPPORT_H
#define ECI_TESTS_ROUTER_SUPPORT_H

#include "router_frames.h"

static inline bool world_deliver(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	struct world *w = ctx;
	(void)link;
	w->delivered++;
	w->from = from;
	w->last = *f;
	free(w->last_body);
	w->last_body = malloc(f->len + 1u);
	memcpy(w->last_body, f->body ? f->body : (const uint8_t *)"", f->len);
	w->last.body = w->last_body;
	return w->served;
}

static inline const char *world_hello(void *ctx, struct eci_link *link, const struct eci_frame *f)
{
	struct world *w = ctx;
	w->hellos++;
	if (eci_link_is_parent(link)) {
		eci_router_set_block(w->r, f->dst, 64);
		eci_router_send(w->r, ECI_CONTROL, 0, f->src, ECI_H_HELLO, 0, "\xA0", 1, w->now);
	}
	return w->hello_refusal;
}

static inline void world_wake(void *ctx, struct eci_link *link)
{
	(void)link;
	((struct world *)ctx)->wakes++;
}

static inline void world_broken(void *ctx, struct eci_link *link, const char *reason, const char *detail)
{
	struct world *w = ctx;
	(void)detail;
	w->broken++;
	w->broken_link = link;
	snprintf(w->reason, sizeof w->reason, "%s", reason);
}

static const struct eci_router_ops world_ops = {world_deliver, world_hello, world_wake, world_broken};

static inline void child_up(struct world *w, struct eci_link *l)
{
	struct eci_frame f;
	cr_assert_eq(eci_link_start(l, "\xA0", 1, w->now), 0);
	cr_assert(take(w, l, &f) && f.handle == ECI_H_HELLO);
	feed(w, l, ECI_CONTROL, 0, eci_router_id(w->r), eci_link_peer(l), ECI_H_HELLO, 0, "\xA0", 1);
	cr_assert(eci_link_up(l));
}

static inline void world_kids(struct world *w)
{
	uint32_t base = w->r->master ? 64 : ME;
	w->kid[0] = eci_router_add_child(w->r, base + 8, 8, w);
	w->kid[1] = eci_router_add_child(w->r, base + 16, 8, w);
	w->kid[2] = eci_router_add_child(w->r, base + 32, 16, w);
	for (int i = 0; i < KIDS; i++) {
		cr_assert_not_null(w->kid[i]);
		child_up(w, w->kid[i]);
	}
	w->hellos = 0;
}

static inline struct world *world_relay(void)
{
	struct world *w = calloc(1, sizeof *w);
	struct eci_frame f;
	w->now = 1000;
	w->served = true;
	w->r = eci_router_new(7, 0, &world_ops, w);
	w->up = eci_router_add_parent(w->r, w);
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_HELLO, 0, "\xA0", 1);
	cr_assert(take(w, w->up, &f) && f.handle == ECI_H_HELLO && f.src == ME);
	world_kids(w);
	return w;
}

static inline struct world *world_master(void)
{
	struct world *w = calloc(1, sizeof *w);
	w->now = 1000;
	w->served = true;
	w->r = eci_router_new(0, 0, &world_ops, w);
	world_kids(w);
	return w;
}

static inline void world_free(struct world *w)
{
	cr_assert_eq(w->r->depth, 0, "who entered the router has left it");
	eci_router_free(w->r);
	for (int i = 0; i <= KIDS; i++)
		eci_buf_deinit(&w->wires[i].bytes);
	free(w->last_body);
	free(w);
}

/* What a slot was told. */
struct answer {
	int times;
	bool dead;
	char reason[64], evidence[1100];
	uint32_t at;
	size_t len;
};

static inline void on_answer(void *arg, const struct eci_answer *a)
{
	struct answer *out = arg;
	out->times++;
	out->dead = a->dead;
	out->len = a->f ? a->f->len : 0;
	if (a->dead) {
		out->at = a->at;
		snprintf(out->reason, sizeof out->reason, "%s", a->reason);
		snprintf(out->evidence, sizeof out->evidence, "%s", a->evidence);
	}
}

#endif
