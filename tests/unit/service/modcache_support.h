/* The module cache of a relay between a parent and one child that the test plays. */
#ifndef ECI_TESTS_MODCACHE_SUPPORT_H
#define ECI_TESTS_MODCACHE_SUPPORT_H

#include "core/cbor.h"
#include "service/modcache.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ME 64u
#define KID 72u
#define NOW 1000u
#define WHOLE (32u << 20) /* of output: more than a link has at once, so that no frame is cut */

static struct eci_router *router;
static struct eci_link *up, *kid;
static struct eci_modcache *cache; /* lives as long as its process: there is no end of it to test */

static inline bool deliver(void *ctx, enum eci_origin from, struct eci_link *l, const struct eci_frame *f)
{
	(void)ctx, (void)from, (void)l;
	return f->handle == ECI_H_GET_MODULE && eci_modcache_deliver(cache, f, NOW);
}

static inline const char *hello(void *ctx, struct eci_link *l, const struct eci_frame *f)
{
	(void)ctx;
	if (eci_link_is_parent(l)) {
		eci_router_set_block(router, f->dst, 64);
		eci_router_send(router, ECI_CONTROL, 0, f->src, ECI_H_HELLO, 0, "\xA0", 1, NOW);
	}
	return NULL;
}

static const struct eci_router_ops ops = {deliver, hello, NULL, NULL};

static inline void feed(struct eci_link *l, struct eci_frame f, const void *body, size_t n)
{
	static uint8_t out[ECI_FRAME_HEADER + ECI_FRAME_BODY_MAX];
	f.hops = ECI_HOPS;
	f.auth = f.src;
	f.len = (uint32_t)n;
	eci_frame_pack(out, &f);
	memcpy(out + ECI_FRAME_HEADER, body, n);
	eci_link_feed(l, out, ECI_FRAME_HEADER + n, NOW);
}

/* The last frame with this handle that the router wrote to l, with no more of its body than fits; what was before it is
 * read too. */
static inline bool last(struct eci_link *l, uint32_t handle, struct eci_frame *out, uint8_t body[1024])
{
	struct eci_buf all = ECI_BUF_NULL;
	struct eci_frame f;
	const uint8_t *p;
	size_t n;
	bool found = false;
	while ((n = eci_link_output(l, &p, WHOLE))) {
		eci_buf_append(&all, p, n);
		eci_link_wrote(l, n, NOW);
	}
	for (long used; (used = eci_frame_unpack(eci_buf_data(&all), eci_buf_len(&all), &f)) > 0;) {
		if (f.handle == handle) {
			found = true;
			*out = f;
			out->body = memcpy(body, f.body, f.len < 1024 ? f.len : 1024);
		}
		eci_buf_drain(&all, (size_t)used);
	}
	eci_buf_deinit(&all);
	return found;
}

static inline void setup(void)
{
	struct eci_frame f;
	uint8_t body[1024];
	router = eci_router_new(7, 0, &ops, NULL);
	cache = eci_modcache_new(router);
	up = eci_router_add_parent(router, NULL);
	feed(up, (struct eci_frame){.cls = ECI_CONTROL, .dst = ME, .handle = ECI_H_HELLO}, "\xA0", 1);
	kid = eci_router_add_child(router, KID, 8, NULL);
	cr_assert(eci_link_start(kid, "\xA0", 1, NOW) == 0 && last(kid, ECI_H_HELLO, &f, body));
	feed(kid, (struct eci_frame){.cls = ECI_CONTROL, .dst = ME, .src = KID, .handle = ECI_H_HELLO}, "\xA0", 1);
	cr_assert(eci_link_up(kid) && last(up, ECI_H_HELLO, &f, body));
}

static inline void teardown(void)
{
	eci_router_free(router);
}

/* The child asks. What the parent is to answer to, or 0: it was not asked. */
static inline uint32_t ask(const char *name, size_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_frame f = {.cls = ECI_CALL, .dst = ME, .src = KID, .handle = ECI_H_GET_MODULE, .reply_to = 300};
	uint8_t body[1024];
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_text(&b, name, n);
	feed(kid, f, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
	return last(up, ECI_H_GET_MODULE, &f, body) ? f.reply_to : 0;
}

/* Begins a byte string that takes n bytes with its head; how many are to follow. */
static inline size_t put_head(struct eci_buf *b, size_t n)
{
	size_t size = n > 24 ? 5 : 1, left = n - size;
	uint8_t head[5] = {0x5A, (uint8_t)(left >> 24), (uint8_t)(left >> 16), (uint8_t)(left >> 8), (uint8_t)left};
	if (size == 1)
		head[0] = (uint8_t)(0x40 + left);
	eci_buf_append(b, head, size);
	return left;
}

/* What b has, which is freed, and behind it a byte string of zeros that takes n bytes with its head, in fragments. */
static inline void feed_padded(struct eci_link *from, struct eci_frame f, struct eci_buf *b, size_t n)
{
	static const uint8_t zeros[ECI_BULK_BODY_MAX];
	size_t left = put_head(b, n);
	f.flags = ECI_F_MORE;
	feed(from, f, eci_buf_data(b), eci_buf_len(b));
	eci_buf_deinit(b);
	for (; f.flags; left -= n) {
		n = left < sizeof zeros ? left : sizeof zeros;
		f.flags = left > n ? ECI_F_MORE : 0;
		feed(from, f, zeros, n);
	}
}

/* The parent sends an entry of so many bytes for a name that the child asked for; the child is gone before, so that
 * nobody takes a copy of it. */
static inline void fetch(const char *name, size_t bytes)
{
	uint32_t slot = ask(name, strlen(name));
	struct eci_frame f = {.cls = ECI_BULK, .flags = ECI_F_MORE, .dst = ME, .handle = slot};
	struct eci_buf b = ECI_BUF_NULL;
	cr_assert_neq(slot, 0);
	eci_modcache_forget(cache, KID);
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, name);
	feed_padded(up, f, &b, bytes - (eci_buf_len(&b) - 1));
}

static inline void answered(uint32_t slot, uint8_t flags, const char *body, size_t n)
{
	cr_assert_neq(slot, 0);
	feed(up, (struct eci_frame){.cls = flags ? ECI_CONTROL : ECI_CALL, .flags = flags, .dst = ME, .handle = slot},
	     body, n);
}

/* The child has taken n bytes of output, and acknowledges what of it was bulk. */
static inline void kid_took(size_t n, size_t bulk)
{
	uint8_t ack[5] = {0x1A, (uint8_t)(bulk >> 24), (uint8_t)(bulk >> 16), (uint8_t)(bulk >> 8), (uint8_t)bulk};
	struct eci_frame a = {.cls = ECI_CONTROL, .dst = ME, .src = KID, .handle = ECI_H_ACK};
	eci_link_wrote(kid, n, NOW);
	if (bulk)
		feed(kid, a, ack, sizeof ack);
}

#endif
