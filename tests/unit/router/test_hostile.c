/* Hostile bytes: random ones, valid frames with bits changed, and valid frames with every field out of bounds. Nothing
 * crashes, no queue passes its bound, and a link that ends does so with a reason that the protocol names. */
#include "router_support.h"
#include "tests/support/random.h"

static const char *const reasons[] = {"bad-frame",  "frame-too-big", "bad-body",       "bad-hello",
				      "bad-credit", "bad-pause",     "queue-overflow", "early-bytes"};

static void check(struct world *w)
{
	if (w->broken) {
		bool named = false;
		for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
			named = named || !strcmp(w->reason, reasons[i]);
		cr_assert(named, "%s", w->reason);
	}
	for (int i = -1; i < KIDS; i++) {
		struct eci_link *l = i < 0 ? w->up : w->kid[i];
		if (!l)
			continue;
		cr_assert_leq(eci_buf_len(&l->control), ECI_CONTROL_MAX);
		cr_assert_leq(eci_buf_len(&l->call) + l->held_calls, l->parent ? ECI_ANSWERS_MAX : ECI_QUEUE_MAX);
		cr_assert_leq(l->inflight, l->window);
		cr_assert_leq(l->unacked, ECI_HOP_WINDOW_MAX + ECI_HOP_WINDOW_MIN);
		cr_assert_leq(l->npauses, ECI_PAUSED_MAX);
		cr_assert_leq(l->niv, ECI_INTERVALS_MAX);
	}
	cr_assert_leq(w->r->collect_bytes, ECI_COLLECT_MAX);
	cr_assert_leq(w->r->ncollect, w->up ? ECI_COLLECT_SOURCES : ECI_COLLECT_SOURCES_MASTER);
}

/* Feeds in pieces of random size, each in an allocation of its own so that a read past the end is seen. */
static void feed_cut(struct world *w, struct eci_random *rnd, struct eci_link *l, const uint8_t *p, size_t n)
{
	while (n) {
		size_t k = 1 + eci_random_below(rnd, (uint32_t)n);
		uint8_t *exact = malloc(k);
		memcpy(exact, p, k);
		eci_link_feed(l, exact, k, w->now);
		free(exact);
		p += k;
		n -= k;
	}
}

Test(hostile, random_bytes_end_the_link)
{
	struct eci_random rnd = eci_random_open("random_bytes", 46);
	for (int i = 0; i < 300; i++) {
		struct world *w = world_relay();
		struct eci_link *l = i % 2 ? w->up : w->kid[0];
		uint8_t bytes[200];
		for (size_t k = 0; k < sizeof bytes; k++)
			bytes[k] = (uint8_t)eci_random_u64(&rnd);
		if (bytes[0] == ECI_FRAME_MAGIC)
			bytes[0] = 0;
		feed_cut(w, &rnd, l, bytes, sizeof bytes);
		cr_assert(w->broken == 1 && w->broken_link == l);
		cr_assert_str_eq(w->reason, "bad-frame");
		eci_link_feed(l, bytes, sizeof bytes, w->now);
		cr_assert_eq(w->broken, 1, "what comes after is not looked at");
		world_free(w);
	}
}

Test(hostile, length_past_the_limit)
{
	struct world *w = world_relay();
	struct eci_frame f = {
		.cls = ECI_CALL, .hops = 1, .src = 72, .auth = 72, .handle = 33, .len = ECI_FRAME_BODY_MAX + 1};
	uint8_t head[ECI_FRAME_HEADER];
	eci_frame_pack(head, &f);
	eci_link_feed(w->kid[0], head, sizeof head, w->now);
	cr_assert_eq(w->broken, 1);
	cr_assert_str_eq(w->reason, "frame-too-big");
	f.cls = ECI_BULK;
	f.len = ECI_BULK_BODY_MAX + 1;
	eci_frame_pack(head, &f);
	eci_link_feed(w->kid[1], head, 10, w->now); /* and when it comes in two parts */
	eci_link_feed(w->kid[1], head + 10, sizeof head - 10, w->now);
	cr_assert_eq(w->broken, 2);
	cr_assert_str_eq(w->reason, "frame-too-big");
	world_free(w);
}

static uint32_t any_id(struct eci_random *rnd)
{
	static const uint32_t ids[] = {0, 7, 64, 72, 73, 79, 80, 96, 100, 112, 127, 128, UINT32_MAX};
	return ids[eci_random_below(rnd, sizeof ids / sizeof *ids)];
}

/* A body that may fit a handle: a few heads of CBOR, or noise. */
static size_t any_body(struct eci_random *rnd, uint8_t *b)
{
	struct eci_buf c = ECI_BUF_NULL;
	uint32_t what = eci_random_below(rnd, 6);
	if (what == 0)
		eci_cbor_put_uint(&c, eci_random_magnitude(rnd));
	if (what == 1 || what == 2) {
		eci_cbor_put_array(&c, 2);
		eci_cbor_put_uint(&c, what == 1 ? any_id(rnd) : eci_random_magnitude(rnd));
		eci_cbor_put_uint(&c, eci_random_below(rnd, 256));
	}
	if (what == 3) {
		eci_cbor_put_array(&c, 2);
		eci_cbor_put_uint(&c, eci_random_below(rnd, 100));
		eci_cbor_put_array(&c, 2);
		eci_cbor_put_uint(&c, any_id(rnd));
		eci_cbor_put_uint(&c, any_id(rnd));
	}
	if (what == 4)
		for (uint32_t n = eci_random_below(rnd, 400); n; n--)
			eci_buf_append(&c, &(uint8_t){(uint8_t)eci_random_u64(rnd)}, 1);
	size_t n = eci_buf_len(&c);
	if (n)
		memcpy(b, eci_buf_data(&c), n);
	eci_buf_deinit(&c);
	return n;
}

/* src: who the sender may be, or 1 for anybody; taken three times in four, and rarely for a link-local handle, whose
 * body would end the link at once. */
static size_t any_frame(struct eci_random *rnd, uint8_t *out, uint32_t src)
{
	static const uint8_t flags[] = {0, 0, 0, 0, ECI_F_DEAD, ECI_F_MULTICAST, ECI_F_MORE, ECI_F_MORE, ECI_F_END};
	uint8_t body[1024];
	struct eci_frame f = {.cls = (uint8_t)eci_random_below(rnd, 3), .hops = (uint8_t)eci_random_u64(rnd)};
	f.flags = flags[eci_random_below(rnd, sizeof flags)];
	f.dst = eci_random_below(rnd, 2) ? ME : any_id(rnd);
	f.src = src == 1 || eci_random_below(rnd, 4) == 0 ? any_id(rnd) : src;
	f.auth = any_id(rnd);
	f.handle = eci_random_below(rnd, 3) ? eci_random_below(rnd, 40) : 256 + eci_random_below(rnd, 20);
	if (eci_handle_local(f.handle) && eci_random_below(rnd, 10))
		f.handle = ECI_H_CALL;
	f.reply_to = eci_random_below(rnd, 300);
	f.len = (uint32_t)any_body(rnd, body);
	f.body = body;
	eci_frame_pack(out, &f);
	memcpy(out + ECI_FRAME_HEADER, body, f.len);
	return eci_wire(f.len);
}

/* Frames that are valid, with every field from a small set of interesting values; a few have a bit changed. Slots are
 * open; links are read now and then; ended links are taken away. */
Test(hostile, mutated_frames)
{
	struct eci_random rnd = eci_random_open("mutated_frames", 47);
	uint64_t ended = 0, delivered = 0;
	for (int round = 0; round < 1000; round++) {
		struct world *w = world_relay();
		static struct answer a[20];
		w->served = eci_random_below(&rnd, 2);
		for (int i = 0; i < 12; i++)
			eci_slot_open(w->r, any_id(&rnd), (enum eci_slot_mode)(i % 3), on_answer, &a[i]);
		for (int i = 0; i < 150; i++) {
			uint8_t bytes[2048];
			int which = (int)eci_random_below(&rnd, KIDS + 1) - 1;
			struct eci_link **l = which < 0 ? &w->up : &w->kid[which];
			size_t n = any_frame(&rnd, bytes, *l ? eci_link_peer(*l) : 1);
			if (eci_random_below(&rnd, 30) == 0)
				bytes[eci_random_below(&rnd, (uint32_t)n)] ^=
					(uint8_t)(1u << eci_random_below(&rnd, 8));
			w->now += eci_random_below(&rnd, 10);
			if (*l)
				feed_cut(w, &rnd, *l, bytes, n);
			check(w);
			if (i % 5 == 0 && *l)
				pump(w, *l);
			eci_router_tick(w->r, w->now);
			if (w->broken && eci_random_below(&rnd, 2)) {
				for (int k = -1; k < KIDS; k++) {
					struct eci_link **x = k < 0 ? &w->up : &w->kid[k];
					if (*x && (*x)->broken) {
						eci_link_lost(*x, w->reason, "hostile", w->now);
						*x = NULL;
						ended++;
					}
				}
				w->broken = 0;
			}
		}
		delivered += (uint64_t)w->delivered;
		world_free(w);
	}
	printf("ended %u, delivered %u\n", (unsigned)ended, (unsigned)delivered);
	cr_assert_gt(ended, 100); /* the test reaches both ends */
	cr_assert_gt(delivered, 1000);
}

/* The same with every allocation in turn refused. */
extern long eci_test_fail_after;
Test(hostile, no_memory)
{
	struct eci_random rnd = eci_random_open("no_memory", 48);
	for (int round = 0; round < 400; round++) {
		struct world *w = world_relay();
		struct answer a = {0};
		uint32_t s = eci_slot_open(w->r, 72, ECI_SLOT_ONCE, on_answer, &a);
		for (int i = 0; i < 20; i++) {
			uint8_t bytes[2048];
			size_t n = any_frame(&rnd, bytes, 1);
			struct eci_link *l = i % 3 ? w->up : w->kid[i % KIDS];
			eci_test_fail_after = (long)eci_random_below(&rnd, 4);
			feed_cut(w, &rnd, l, bytes, n);
			eci_router_send(w->r, (uint8_t)(i % 3), 0, any_id(&rnd), ECI_H_CALL, s, bytes, n, w->now);
			eci_router_tick(w->r, w->now += 7);
			eci_test_fail_after = -1;
			check(w);
		}
		eci_test_fail_after = (long)eci_random_below(&rnd, 3);
		eci_link_lost(w->kid[0], "eof", "gone", w->now);
		eci_test_fail_after = -1;
		w->kid[0] = NULL;
		cr_assert_leq(a.times, 1);
		world_free(w);
	}
}

/* Somebody behind a child asks for what is nowhere, and nobody reads the child's link: he gets no more notices than
 * have room, and that costs nobody else theirs. From the child itself it is the link's end (queue.c's tests). */
static size_t flood(struct world *w, uint32_t src, int n)
{
	uint64_t before = w->kid[2]->stats.frames_out;
	for (int i = 0; i < n; i++)
		feed(w, w->kid[2], ECI_CALL, 0, 900, src, ECI_H_CALL, 777, "", 0);
	return w->kid[2]->stats.frames_out - before;
}

Test(hostile, notices_to_a_stranger)
{
	const int all = 3 * ECI_CONTROL_MAX / ECI_FRAME_HEADER;
	struct world *w = world_master();
	uint32_t liar = 104, honest = 97; /* behind 96 */
	size_t got = flood(w, liar, all);
	cr_assert_eq(w->broken, 0, "%s", w->reason);
	cr_expect_gt(eci_buf_len(&w->kid[2]->control), ECI_NOTICES_AT);
	cr_expect_lt(eci_buf_len(&w->kid[2]->control), ECI_NOTICES_AT + 100);
	cr_expect_eq(w->r->stats.bad_reply, (uint64_t)all - got, "the others are counted");
	cr_expect_eq(flood(w, liar + 7, 10), 0, "whoever of his block asks");
	cr_expect_eq(flood(w, honest, 10), 10);
	size_t few = flood(w, honest, all);
	cr_expect(few > 10 && few < ECI_NOTICES_EACH / ECI_FRAME_HEADER, "%zu", few);
	cr_assert_eq(w->broken, 0, "%s", w->reason);
	(void)drop_output(w, w->kid[2]);
	cr_expect_eq(flood(w, liar, 10), 10, "it is forgotten once they are written");
	cr_expect_eq(drop_output(w, w->kid[2]), 10);
	world_free(w);
}

/* They are as bounded where they pass by, and whosever they are; what is no notice has the rest of the queue. */
Test(hostile, notices_that_pass)
{
	struct world *w = world_relay();
	for (int i = 0; i < (int)(ECI_CONTROL_MAX / ECI_FRAME_HEADER); i++)
		feed(w, w->up, ECI_CONTROL, ECI_F_DEAD, 97 + (uint32_t)i % 15, 0, 777, 0, "", 0);
	cr_assert_eq(w->broken, 0, "%s", w->reason);
	size_t held = eci_buf_len(&w->kid[2]->control);
	cr_expect(held > ECI_NOTICES_AT && held < ECI_NOTICES_AT + 2 * ECI_NOTICES_EACH, "%zu", held);
	feed_pair(w, w->up, 104, 0, ECI_H_CREDIT, 0, 300, 5);
	cr_expect_gt(eci_buf_len(&w->kid[2]->control), held);
	world_free(w);
}

/* So much that waits for the parent tells who reads the children to wait. */
Test(hostile, control_for_the_parent)
{
	struct world *w = world_relay();
	cr_expect_not(eci_link_crowded(w->up));
	for (size_t n = 0; n <= ECI_CONTROL_AT; n += ECI_FRAME_HEADER) {
		cr_expect_not(eci_link_crowded(w->up));
		feed(w, w->kid[2], ECI_CONTROL, ECI_F_DEAD, 0, 104, 777, 0, "", 0);
	}
	cr_expect(eci_link_crowded(w->up));
	(void)drop_output(w, w->up);
	cr_expect_not(eci_link_crowded(w->up));
	world_free(w);
}
