/* Frames in and out of the router under test: fed by field, read back one by one. */
#ifndef ECI_TESTS_ROUTER_FRAMES_H
#define ECI_TESTS_ROUTER_FRAMES_H

#include "router_world.h"

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

/* Is f a dead notice for dst's slot with this reason, about id, by this router? (no-handle of data: in class bulk.) */
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
	bool late = f->cls == ECI_BULK && f->reply_to >= ECI_H_FIRST_SLOT && !strcmp(reason, "no-handle");
	return f->flags == ECI_F_DEAD && (late || (f->cls == ECI_CONTROL && !f->reply_to)) && f->dst == dst &&
	       f->handle == slot && f->src == me && f->auth == me && eci_cbor_get_uint(&c) == id &&
	       eci_cbor_get_uint(&c) == me;
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

#endif
