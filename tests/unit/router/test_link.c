/* A link: its beginning, what refuses it, and its input however that is cut. */
#include "router_support.h"

extern long eci_test_fail_after;

static size_t pack(uint8_t *to, size_t n, uint8_t fill)
{
	struct eci_frame f = {.cls = ECI_CALL, .hops = ECI_HOPS, .dst = ME, .handle = ECI_H_CALL, .len = (uint32_t)n};
	eci_frame_pack(to, &f);
	memset(to + ECI_FRAME_HEADER, fill, n);
	return eci_wire(f.len);
}

/* Nothing of one is taken for another's, and none is lost. */
Test(link, frames_however_they_are_cut)
{
	static uint8_t bytes[1024];
	size_t all = pack(bytes, 300, 'a');
	all += pack(bytes + all, 0, 'b');
	all += pack(bytes + all, 70, 'c');
	for (size_t piece = 1; piece <= all; piece++) {
		struct world *w = world_relay();
		uint64_t before = w->up->stats.frames_in;
		for (size_t at = 0; at < all; at += piece)
			eci_link_feed(w->up, bytes + at, all - at < piece ? all - at : piece, w->now);
		cr_assert(w->delivered == 3 && !w->broken, "%zu: %d", piece, w->delivered);
		cr_assert(w->last.len == 70 && w->last_body[0] == 'c' && w->last_body[69] == 'c');
		cr_assert_eq(w->up->stats.frames_in, before + 3);
		cr_assert_eq(eci_buf_len(&w->up->in), 0);
		world_free(w);
	}
}

/* Of a large frame that came in parts no memory stays; that of a small one does. */
Test(link, keeps_8_kib_for_a_cut_frame)
{
	static uint8_t bytes[ECI_FRAME_HEADER + 8192];
	static const size_t sizes[] = {8192 - ECI_FRAME_HEADER, 8192};
	for (int i = 0; i < 2; i++) {
		struct world *w = world_relay();
		size_t n = pack(bytes, sizes[i], 'x');
		eci_link_feed(w->up, bytes, n - 1, w->now);
		eci_link_feed(w->up, bytes + n - 1, 1, w->now);
		cr_assert_eq(w->delivered, 1);
		cr_assert_eq(w->up->in.cap, i ? 0 : 8192);
		world_free(w);
	}
}

Test(link, its_hello_is_256_bytes_at_most_and_goes_once)
{
	struct world *w = world_master();
	static const uint8_t hello[ECI_HELLO_MAX + 1];
	struct eci_link *l = eci_router_add_child(w->r, 160, 8, w);
	cr_assert_eq(eci_link_start(l, hello, sizeof hello, w->now), -1);
	cr_assert(!l->started && l->stats.frames_out == 0);
	w->wakes = 0;
	cr_assert_eq(eci_link_start(l, hello, ECI_HELLO_MAX, w->now), 0);
	cr_assert(l->stats.frames_out == 1 && w->wakes == 1);
	cr_assert_eq(eci_link_start(l, hello, 1, w->now), -1);
	world_free(w);
}

Test(link, no_memory_for_its_hello_is_its_end)
{
	struct world *w = world_master();
	static const uint8_t hello[ECI_HELLO_MAX]; /* no second attempt with less */
	const uint8_t *p;
	struct eci_link *l = eci_router_add_child(w->r, 160, 8, w);
	eci_test_fail_after = 0;
	cr_assert_eq(eci_link_start(l, hello, sizeof hello, w->now), -1);
	eci_test_fail_after = -1;
	cr_assert(w->broken == 1 && w->broken_link == l);
	cr_assert_str_eq(w->reason, "queue-overflow");
	cr_assert(eci_link_output(l, &p, 100) == 0 && l->stats.frames_out == 0);
	world_free(w);
}

Test(link, of_a_child_is_all_or_nothing)
{
	struct world *w = world_master();
	struct eci_link *l = NULL;
	for (long fail = 0; fail < 8 && !l; fail++) {
		eci_test_fail_after = fail;
		l = eci_router_add_child(w->r, 160, 8, w);
		cr_assert_eq(eci_router_link_to(w->r, 160), l);
	}
	eci_test_fail_after = -1;
	cr_assert_not_null(l);
	cr_assert_null(eci_router_add_child(w->r, 167, 1, w), "its last id is its own");
	cr_assert_not_null(eci_router_add_child(w->r, 168, 1, w));
	cr_assert_null(eci_router_add_child(w->r, 200, 0, w));
	cr_assert_null(eci_router_add_child(w->r, UINT32_MAX, 2, w), "beyond the last id");
	cr_assert_not_null(eci_router_add_child(w->r, UINT32_MAX, 1, w));
	world_free(w);
}

Test(link, one_parent_and_none_of_a_master)
{
	struct world *w = world_relay();
	cr_assert_null(eci_router_add_parent(w->r, w));
	world_free(w);
	w = world_master();
	cr_assert_null(eci_router_add_parent(w->r, w));
	world_free(w);
	struct eci_router *r = eci_router_new(7, 0, &world_ops, NULL);
	eci_test_fail_after = 0;
	cr_assert_null(eci_router_add_parent(r, NULL));
	cr_assert_not_null(eci_router_add_parent(r, NULL));
	eci_router_free(r);
}

/* In one read with it. */
Test(link, what_follows_its_end_is_not_heard)
{
	struct world *w = world_relay();
	uint8_t bytes[256] = {0};
	struct eci_frame f = {.cls = ECI_CONTROL, .hops = ECI_HOPS, .dst = ME, .handle = ECI_H_ACK, .len = 1};
	eci_frame_pack(bytes, &f);
	bytes[ECI_FRAME_HEADER] = 0x60; /* a text is no number */
	size_t n = eci_wire(1);
	n += pack(bytes + n, 10, 'x');
	eci_link_feed(w->up, bytes, n, w->now);
	cr_assert(w->broken == 1 && w->delivered == 0);
	cr_assert_str_eq(w->reason, "bad-body");
	world_free(w);
}

Test(link, no_memory_for_a_cut_frame_is_its_end)
{
	static uint8_t bytes[ECI_FRAME_HEADER + 2000];
	size_t n = pack(bytes, 2000, 'x');
	for (size_t had = 0; had <= 10; had += 10) {
		struct world *w = world_relay();
		if (had)
			eci_link_feed(w->up, bytes, had, w->now);
		eci_link_feed(w->up, bytes + had, had ? ECI_FRAME_HEADER - had : 0, w->now);
		eci_test_fail_after = 0;
		eci_link_feed(w->up, bytes + (had ? ECI_FRAME_HEADER : 0), 1000, w->now);
		eci_test_fail_after = -1;
		cr_assert_eq(w->broken, 1);
		cr_assert_str_eq(w->reason, "queue-overflow");
		eci_link_feed(w->up, bytes, n, w->now);
		cr_assert_eq(w->delivered, 0);
		world_free(w);
	}
}

Test(link, what_is_queued_is_all_that_waits)
{
	struct world *w = world_relay();
	struct eci_link *l = w->kid[0];
	struct eci_link_stats s;
	struct eci_buf *const bufs[] = {&l->out, &l->control, &l->call};
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(eci_buf_append(bufs[i], "xxxxxxxx", (size_t)1 << i), 0);
	l->held_calls = 8;
	l->bulk_bytes = 16;
	l->local_bulk = 32;
	l->rtt_ms = 7;
	eci_link_get_stats(l, &s);
	cr_expect(s.queued_bytes == 63, "%u", (unsigned)s.queued_bytes);
	cr_expect(s.peer == 72 && s.rtt_us == 7000);
	world_free(w);
}
