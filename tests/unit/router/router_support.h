/* A router under test whose neighbours are played by the test: frames are fed by field, output is read frame by frame.
 * The usual world is a relay, id 64 with [64, 128), below parent 0, with children 72 (8 ids), 80 (8) and 96 (16). */
#ifndef ECI_TESTS_ROUTER_SUPPORT_H
#define ECI_TESTS_ROUTER_SUPPORT_H

#include "core/cbor.h"
#include "core/mem.h"
#include "router/internal.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ME 64u
#define KIDS 3

struct wire { /* what the router wrote to one link */
	struct eci_link *link;
	struct eci_buf bytes;
	uint8_t body[ECI_FRAME_BODY_MAX];
};

struct world {
	struct eci_router *r;
	struct eci_link *up, *kid[KIDS];
	struct wire wires[KIDS + 1];
	uint64_t now;
	/* deliver hook */
	int delivered;
	enum eci_origin from;
	struct eci_frame last;
	uint8_t *last_body;
	bool served;
	int hellos;
	const char *hello_refusal;
	/* broken hook */
	int broken;
	struct eci_link *broken_link;
	char reason[64];
	int wakes;
};

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

static inline struct wire *wire_of(struct world *w, struct eci_link *l)
{
	for (int i = 0; i <= KIDS; i++) {
		if (!w->wires[i].link)
			w->wires[i].link = l;
		if (w->wires[i].link == l)
			return &w->wires[i];
	}
	cr_assert(false, "more links than the world has");
	return NULL;
}

/* Reads all that the link would write now. */
static inline size_t pump(struct world *w, struct eci_link *l)
{
	const uint8_t *p;
	size_t n, all = 0;
	while ((n = eci_link_output(l, &p, 65536))) {
		eci_buf_append(&wire_of(w, l)->bytes, p, n);
		eci_link_wrote(l, n, w->now);
		all += n;
	}
	return all;
}

/* The next frame that the router wrote to l, in order; false: none. */
static inline bool take(struct world *w, struct eci_link *l, struct eci_frame *f)
{
	struct wire *wire = wire_of(w, l);
	pump(w, l);
	long used = eci_frame_unpack(eci_buf_data(&wire->bytes), eci_buf_len(&wire->bytes), f);
	cr_assert(used >= 0, "the router wrote what is no frame");
	if (!used)
		return false;
	memcpy(wire->body, f->body, f->len);
	f->body = wire->body;
	eci_buf_drain(&wire->bytes, (size_t)used);
	return true;
}

static inline int drop_output(struct world *w, struct eci_link *l)
{
	struct eci_frame f;
	int n = 0;
	while (take(w, l, &f))
		n++;
	return n;
}

static inline void feed_frame(struct world *w, struct eci_link *l, const struct eci_frame *f)
{
	size_t n = ECI_FRAME_HEADER + f->len;
	uint8_t *p = malloc(n + 1);
	eci_frame_pack(p, f);
	if (f->len)
		memcpy(p + ECI_FRAME_HEADER, f->body, f->len);
	eci_link_feed(l, p, n, w->now);
	free(p);
}

/* src speaks for itself; hops 64. */
static inline void feed(struct world *w, struct eci_link *l, uint8_t cls, uint8_t flags, uint32_t dst, uint32_t src,
			uint32_t handle, uint32_t reply_to, const void *body, size_t n)
{
	struct eci_frame f = {.cls = cls, .flags = flags, .hops = ECI_HOPS, .dst = dst, .src = src, .auth = src};
	f.handle = handle;
	f.reply_to = reply_to;
	f.len = (uint32_t)n;
	f.body = body;
	feed_frame(w, l, &f);
}

static inline void feed_int(struct world *w, struct eci_link *l, uint32_t src, uint32_t handle, uint64_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_uint(&b, n);
	feed(w, l, ECI_CONTROL, 0, eci_router_id(w->r), src, handle, 0, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
}

static inline void feed_pair(struct world *w, struct eci_link *l, uint32_t dst, uint32_t src, uint32_t handle,
			     uint32_t reply_to, uint64_t x, uint64_t y)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, x);
	eci_cbor_put_uint(&b, y);
	feed(w, l, ECI_CONTROL, 0, dst, src, handle, reply_to, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
}

static inline uint64_t read_uint(const struct eci_frame *f)
{
	struct eci_cbor c = eci_cbor_open(f->body, f->len);
	return eci_cbor_get_uint(&c);
}

static inline void read_pair(const struct eci_frame *f, uint64_t *x, uint64_t *y)
{
	cr_assert(eci_read_pair(f, x, y));
}

/* Is f a dead notice for dst's slot with this reason, about id, by this router? */
static inline bool is_dead(struct world *w, const struct eci_frame *f, uint32_t dst, uint32_t slot, const char *reason,
			   uint32_t id)
{
	struct eci_cbor c = eci_cbor_open(f->body, f->len);
	const char *p = "";
	size_t n = 0;
	if (eci_cbor_get_array(&c) != 4 || !eci_cbor_get_text(&c, &p, &n))
		return false;
	if (n != strlen(reason) || memcmp(p, reason, n) != 0) {
		printf("reason is %.*s, not %s\n", (int)n, p, reason);
		return false;
	}
	uint32_t me = eci_router_id(w->r);
	return f->flags == ECI_F_DEAD && f->cls == ECI_CONTROL && f->dst == dst && f->handle == slot && !f->reply_to &&
	       f->src == me && f->auth == me && eci_cbor_get_uint(&c) == id && eci_cbor_get_uint(&c) == me;
}

static inline const char *dead_evidence(const struct eci_frame *f)
{
	static char text[2048];
	struct eci_cbor c = eci_cbor_open(f->body, f->len);
	const char *p = "";
	size_t n = 0;
	eci_cbor_get_array(&c);
	for (int i = 0; i < 3; i++)
		eci_cbor_skip(&c);
	eci_cbor_get_text(&c, &p, &n);
	snprintf(text, sizeof text, "%.*s", (int)n, p);
	return text;
}

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
