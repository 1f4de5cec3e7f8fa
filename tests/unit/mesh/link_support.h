/* A mesh of which there is no more than a router with one child, and a loop that the test turns itself. The child is
 * played by the test: what it says is fed frame by frame, and what is queued for it is read back so. */
#ifndef ECI_TESTS_LINK_SUPPORT_H
#define ECI_TESTS_LINK_SUPPORT_H

#include "core/cbor.h"
#include "mesh/internal.h"
#include "mesh_support.h"

enum { CHILD = 8, FAR = 700, READ = 131072 };

struct near {
	ectx_mesh m;
	struct eci_link *link;
	struct eci_buf wire; /* queued for the child, and not read back yet */
};

static const char *near_hello(void *ctx, struct eci_link *link, const struct eci_frame *f)
{
	(void)ctx, (void)link, (void)f;
	return NULL;
}

static const struct eci_router_ops near_ops = {.hello = near_hello};

static inline void say(struct near *n, uint8_t cls, uint8_t flags, uint32_t handle, const void *body, size_t len)
{
	uint8_t *p = malloc(ECI_FRAME_HEADER + len);
	struct eci_frame f = {.cls = cls, .flags = flags, .hops = ECI_HOPS, .src = CHILD, .auth = CHILD};
	cr_assert(p && len <= ECI_FRAME_BODY_MAX);
	f.handle = handle;
	f.reply_to = cls == ECI_BULK ? FAR : 0;
	f.len = (uint32_t)len;
	eci_frame_pack(p, &f);
	memcpy(p + ECI_FRAME_HEADER, body, len);
	eci_link_feed(n->link, p, ECI_FRAME_HEADER + len, eci_now_ms());
	free(p);
}

static inline void near_close(struct near *n)
{
	eci_router_free(n->m.router);
	ev_loop_destroy(n->m.loop);
	eci_buf_deinit(&n->wire);
	free(n->m.read_buf);
	free(n);
}

/* The next frame for the child that is no ACK, PING or HELLO, which it takes at once; its body is valid until the next
 * call. */
static inline bool heard(struct near *n, struct eci_frame *f)
{
	static uint8_t body[ECI_FRAME_BODY_MAX];
	const uint8_t *p;
	size_t len;
	for (;;) {
		while ((len = eci_link_output(n->link, &p, READ))) {
			cr_assert(eci_buf_append(&n->wire, p, len) == 0);
			eci_link_wrote(n->link, len, eci_now_ms());
		}
		long used = eci_frame_unpack(eci_buf_data(&n->wire), eci_buf_len(&n->wire), f);
		cr_assert(used >= 0);
		if (!used)
			return false;
		memcpy(body, f->body, f->len);
		f->body = body;
		eci_buf_drain(&n->wire, (size_t)used);
		if (f->cls == ECI_BULK) {
			struct eci_buf b = ECI_BUF_NULL;
			eci_cbor_put_uint(&b, (size_t)used);
			say(n, ECI_CONTROL, 0, ECI_H_ACK, eci_buf_data(&b), eci_buf_len(&b));
			eci_buf_deinit(&b);
		}
		if (f->handle != ECI_H_ACK && f->handle != ECI_H_PING && f->handle != ECI_H_HELLO)
			return true;
	}
}

static inline struct near *near_open(void)
{
	struct near *n = calloc(1, sizeof *n);
	cr_assert(n);
	n->m.loop = ev_loop_new(EVFLAG_AUTO);
	n->m.router = eci_router_new(0, 0, &near_ops, NULL);
	n->m.read_buf = malloc(READ);
	cr_assert(n->m.loop && n->m.router && n->m.read_buf);
	n->link = eci_router_add_child(n->m.router, CHILD, 8, NULL);
	cr_assert(n->link && eci_link_start(n->link, "\xA0", 1, eci_now_ms()) == 0);
	struct eci_frame f;
	cr_assert(!heard(n, &f)); /* our HELLO was written */
	say(n, ECI_CONTROL, 0, ECI_H_HELLO, "\xA0", 1);
	cr_assert(eci_link_up(n->link));
	return n;
}

/* n bytes of the stream; n may be more than a frame. */
static inline void say_data(struct near *n, const struct eci_stream *s, const uint8_t *p, size_t len)
{
	while (len) {
		size_t m = len < ECI_BULK_BODY_MAX ? len : ECI_BULK_BODY_MAX;
		say(n, ECI_BULK, 0, eci_stream_handle(s), p, m);
		p += m;
		len -= m;
	}
}

static inline void say_credit(struct near *n, const struct eci_stream *s, size_t more)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, eci_stream_handle(s));
	eci_cbor_put_uint(&b, more);
	say(n, ECI_CONTROL, 0, ECI_H_CREDIT, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
}

static inline void say_reset(struct near *n, const struct eci_stream *s)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 4);
	eci_cbor_put_str(&b, "reset");
	eci_cbor_put_uint(&b, CHILD);
	eci_cbor_put_uint(&b, CHILD);
	eci_cbor_put_str(&b, "broken off");
	say(n, ECI_BULK, ECI_F_DEAD, eci_stream_handle(s), eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
}

#endif
