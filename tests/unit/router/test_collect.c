/* Large messages in both directions: cut, held behind, put together, and every limit. */
#include "router_support.h"
#include "tests/support/random.h"

extern long eci_test_fail_after;
static uint8_t zeros[ECI_BULK_BODY_MAX];

static void more(struct world *w, struct eci_link *l, uint32_t src, uint32_t handle, uint32_t reply_to, size_t n)
{
	feed(w, l, ECI_BULK, ECI_F_MORE, eci_router_id(w->r), src, handle, reply_to, zeros, n);
}

static void last(struct world *w, struct eci_link *l, uint32_t src, uint32_t handle, uint32_t reply_to, size_t n)
{
	feed(w, l, ECI_BULK, 0, eci_router_id(w->r), src, handle, reply_to, zeros, n);
}

/* Takes the next frame that is no ACK and acknowledges bulk. */
static bool next(struct world *w, struct eci_link *l, struct eci_frame *f)
{
	while (take(w, l, f)) {
		if (f->cls == ECI_BULK)
			feed_int(w, l, eci_link_peer(l), ECI_H_ACK, eci_wire(f->len));
		if (f->handle != ECI_H_ACK)
			return true;
	}
	return false;
}

/* ---- sending ---- */
Test(collect, what_is_cut_and_how)
{
	static const size_t sizes[] = {ECI_FRAME_BODY_MAX, ECI_FRAME_BODY_MAX + 1, 5 * ECI_BULK_BODY_MAX,
				       5 * ECI_BULK_BODY_MAX + 1};
	struct eci_random rnd = eci_random_open("cut", 45);
	for (size_t k = 0; k < 4; k++) {
		struct world *w = world_master();
		uint8_t *body = malloc(sizes[k]);
		for (size_t i = 0; i < sizes[k]; i++)
			body[i] = (uint8_t)eci_random_u64(&rnd);
		cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_CALL, 300, body, sizes[k], w->now), 0);
		struct eci_frame f;
		size_t off = 0;
		while (next(w, w->kid[0], &f)) {
			cr_assert(f.dst == 73 && f.src == 0 && f.handle == ECI_H_CALL && f.reply_to == 300);
			cr_assert_eq(f.cls, k ? ECI_BULK : ECI_CALL);
			cr_assert_eq(memcmp(f.body, body + off, f.len), 0);
			off += f.len;
			cr_assert_eq(f.flags, off < sizes[k] ? ECI_F_MORE : 0);
			cr_assert(k == 0 || f.len == ECI_BULK_BODY_MAX || off == sizes[k]);
		}
		cr_assert_eq(off, sizes[k]);
		cr_assert_eq(w->r->blob_bytes, 0);
		free(body);
		world_free(w);
	}
}

Test(collect, later_calls_to_the_same_dst_wait_and_control_does_not)
{
	struct world *w = world_master();
	struct eci_frame f;
	uint8_t *big = calloc(1, 100000);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_PART, 0, big, 100000, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_CALL, 0, "1", 1, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_EXEC, 0, big, 70000, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_CALL, 0, "2", 1, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 72, ECI_H_CALL, 0, "3", 1, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CONTROL, 0, 73, ECI_H_KILL, 0, "4", 1, w->now), 0);
	char order[64] = "";
	while (next(w, w->kid[0], &f)) {
		const char *what = f.handle == ECI_H_PART ? "P" : f.handle == ECI_H_EXEC ? "E" : "";
		if (f.flags & ECI_F_MORE)
			continue;
		if (f.len == 1)
			strncat(order, (const char *)f.body, 1);
		strcat(order, what);
	}
	cr_assert_str_eq(order, "43P1E2");
	cr_assert(w->r->blob_bytes == 0 && w->r->local_bytes == 0 && w->kid[0]->held_calls == 0 &&
		  w->kid[0]->local_bulk == 0);
	free(big);
	world_free(w);
}

Test(collect, held_calls_are_bounded_like_queued_ones)
{
	struct world *w = world_master();
	uint8_t *big = calloc(1, 100000);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_PART, 0, big, 100000, w->now), 0);
	for (int i = 0; i < 16; i++)
		cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_CALL, 0, big,
					     ECI_QUEUE_MAX / 16 - ECI_FRAME_HEADER, w->now),
			     0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_CALL, 0, NULL, 0, w->now), -4);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 72, ECI_H_CALL, 0, NULL, 0, w->now), -4);
	struct eci_frame f;
	int n = 0;
	while (next(w, w->kid[0], &f))
		n += f.cls == ECI_CALL;
	cr_assert_eq(n, 16);
	free(big);
	world_free(w);
}

Test(collect, what_may_wait_here_is_bounded)
{
	struct world *w = world_master();
	uint8_t *big = calloc(1, ECI_MESSAGE_MAX + 1);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_PART, 0, big, ECI_MESSAGE_MAX + 1, w->now), -2);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_PART, 0, big, ECI_MESSAGE_MAX, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 80, ECI_H_PART, 0, big, ECI_MESSAGE_MAX, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 96, ECI_H_PART, 0, big, ECI_FRAME_BODY_MAX + 1, w->now), -4);
	eci_link_lost(w->kid[0], "eof", "", w->now);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 96, ECI_H_PART, 0, big, ECI_FRAME_BODY_MAX + 1, w->now), 0);
	free(big);
	world_free(w);
}

/* ---- receiving ---- */
Test(collect, put_together)
{
	struct world *w = world_relay();
	uint8_t part[3][5] = {"abcd", "efgh", "ij"};
	feed(w, w->up, ECI_BULK, ECI_F_MORE, ME, 0, ECI_H_CALL, 300, part[0], 4);
	feed(w, w->up, ECI_BULK, ECI_F_MORE, ME, 9, ECI_H_CALL, 300, "other", 5);
	feed(w, w->up, ECI_CALL, 0, ME, 0, ECI_H_EXEC, 301, "x", 1); /* a call in between is its own */
	cr_assert_eq(w->delivered, 1);
	feed(w, w->up, ECI_BULK, ECI_F_MORE, ME, 0, ECI_H_CALL, 300, part[1], 4);
	feed(w, w->up, ECI_BULK, 0, ME, 0, ECI_H_EXEC, 300, "y", 1); /* bulk for another handle as well */
	feed(w, w->up, ECI_BULK, 0, ME, 0, ECI_H_CALL, 302, "z", 1); /* or another reply_to */
	cr_assert(w->delivered == 3 && w->last.len == 1);
	feed(w, w->up, ECI_BULK, 0, ME, 0, ECI_H_CALL, 300, part[2], 2);
	cr_assert(w->delivered == 4 && w->last.len == 10 && w->last.cls == ECI_BULK && !w->last.flags);
	cr_assert_eq(memcmp(w->last_body, "abcdefghij", 10), 0);
	feed(w, w->up, ECI_BULK, 0, ME, 9, ECI_H_CALL, 300, NULL, 0);
	cr_assert(w->delivered == 5 && w->last.len == 5);
	cr_assert(w->r->collect_bytes == 0 && w->r->ncollect == 0);
	world_free(w);
}

Test(collect, a_sender_that_starts_anew)
{
	struct world *w = world_relay();
	more(w, w->up, 0, ECI_H_CALL, 300, 1000);
	more(w, w->up, 0, ECI_H_CALL, 301, 10);
	last(w, w->up, 0, ECI_H_CALL, 301, 1);
	cr_assert(w->delivered == 1 && w->last.len == 11);
	cr_assert(w->r->collect_bytes == 0 && w->r->ncollect == 0);
	world_free(w);
}

static bool noticed(struct world *w, struct eci_link *l, uint32_t src, uint32_t slot, const char *reason)
{
	struct eci_frame f;
	while (take(w, l, &f))
		if (f.handle != ECI_H_ACK)
			return is_dead(w, &f, src, slot, reason, eci_router_id(w->r));
	return false;
}

Test(collect, a_message_of_64_mib_and_one_byte_more)
{
	for (size_t past = 0; past < 2; past++) {
		struct world *w = world_relay();
		for (uint32_t i = 1; i < ECI_MESSAGE_MAX / ECI_BULK_BODY_MAX; i++)
			more(w, w->up, 0, ECI_H_CALL, 300, ECI_BULK_BODY_MAX);
		if (past) {
			more(w, w->up, 0, ECI_H_CALL, 300, ECI_BULK_BODY_MAX);
			cr_assert_eq(w->r->ncollect, 1, "exactly 64 MiB so far");
			more(w, w->up, 0, ECI_H_CALL, 300, 1);
			cr_assert(noticed(w, w->up, 0, 300, "too-big"));
			cr_assert(w->r->collect_bytes == 0 && w->r->ncollect == 0 && w->r->ndropping == 1);
			more(w, w->up, 0, ECI_H_CALL, 300, 1);
			last(w, w->up, 0, ECI_H_CALL, 300, 1);
			cr_assert_not(noticed(w, w->up, 0, 300, "too-big"), "told once");
			cr_assert(w->delivered == 0 && w->r->ndropping == 0);
			last(w, w->up, 0, ECI_H_CALL, 300, 1);
			cr_assert_eq(w->delivered, 1, "a new message");
		} else {
			last(w, w->up, 0, ECI_H_CALL, 300, ECI_BULK_BODY_MAX);
			cr_assert(w->delivered == 1 && w->last.len == ECI_MESSAGE_MAX);
		}
		world_free(w);
	}
}

Test(collect, one_byte_too_many_in_the_last_fragment)
{
	struct world *w = world_relay();
	for (uint32_t i = 0; i < ECI_MESSAGE_MAX / ECI_BULK_BODY_MAX; i++)
		more(w, w->up, 0, ECI_H_CALL, 300, ECI_BULK_BODY_MAX);
	last(w, w->up, 0, ECI_H_CALL, 300, 1);
	cr_assert(noticed(w, w->up, 0, 300, "too-big"));
	cr_assert(w->delivered == 0 && w->r->ndropping == 0 && w->r->ncollect == 0 && w->r->collect_bytes == 0);
	world_free(w);
}

Test(collect, thirty_two_sources)
{
	struct world *w = world_relay();
	for (uint32_t i = 0; i < ECI_COLLECT_SOURCES; i++)
		more(w, w->up, 1000 + i, ECI_H_CALL, 300, 10);
	cr_assert_eq(w->r->ncollect, ECI_COLLECT_SOURCES);
	more(w, w->up, 2000, ECI_H_CALL, 301, 10);
	cr_assert(noticed(w, w->up, 2000, 301, "too-big"));
	last(w, w->up, 1000, ECI_H_CALL, 300, 10);
	cr_assert_eq(w->delivered, 1);
	more(w, w->up, 2000, ECI_H_CALL, 301, 10); /* there is room now, but this message lacks its head */
	last(w, w->up, 2000, ECI_H_CALL, 301, 10);
	cr_assert_eq(w->delivered, 1);
	more(w, w->up, 2000, ECI_H_CALL, 301, 10);
	last(w, w->up, 2000, ECI_H_CALL, 301, 10);
	cr_assert(w->delivered == 2 && w->last.len == 20);
	world_free(w);
}

/* An answer asks nobody to answer, but who waits for it is here: its slot ends, if it was its respondent's. */
Test(collect, an_answer_that_is_given_up_ends_its_slot)
{
	struct world *w = world_relay();
	struct answer a = {0}, other = {0};
	uint32_t s = eci_slot_open(w->r, 2000, ECI_SLOT_ONCE, on_answer, &a);
	uint32_t t = eci_slot_open(w->r, 2001, ECI_SLOT_MANY, on_answer, &other);
	for (uint32_t i = 0; i < ECI_COLLECT_SOURCES; i++)
		more(w, w->up, 1000 + i, ECI_H_CALL, 300, 10);
	more(w, w->up, 2002, t, 0, 10);
	more(w, w->up, 2000, s, 0, 10);
	cr_assert(a.times == 1 && a.dead && a.at == ME && !other.times);
	cr_expect_str_eq(a.reason, "too-big");
	last(w, w->up, 2000, s, 0, 10);
	cr_expect(a.times == 1 && w->r->ndropping == 1);
	more(w, w->up, 2001, t, 0, 10);
	cr_expect(other.times == 1 && other.dead && !eci_slot_find(w->r, t));
	s = eci_slot_open(w->r, 2003, ECI_SLOT_ONCE, on_answer, &a);
	eci_test_fail_after = 0;
	more(w, w->up, 2003, s, 0, 10);
	cr_assert_eq(eci_test_fail_after, -1, "an allocation failed");
	cr_expect_eq(a.times, 2);
	cr_expect_str_eq(a.reason, "busy");
	world_free(w);
}

/* Its answers are those to its own questions, of which it may ask many hosts one. */
Test(collect, a_masters_four_thousand_and_ninety_six_sources)
{
	struct world *w = world_master();
	struct answer a = {0};
	cr_assert_eq(eci_router_grant(w->r, 72, 100000, 2 * ECI_COLLECT_SOURCES_MASTER, 0, w->now), 0);
	for (uint32_t i = 0; i < ECI_COLLECT_SOURCES_MASTER; i++)
		more(w, w->kid[0], 100000 + i, eci_slot_open(w->r, 100000 + i, ECI_SLOT_ONCE, on_answer, &a), 0, 1);
	cr_assert(w->r->ncollect == ECI_COLLECT_SOURCES_MASTER && !a.times);
	uint32_t past = 100000 + ECI_COLLECT_SOURCES_MASTER,
		 s = eci_slot_open(w->r, past, ECI_SLOT_ONCE, on_answer, &a);
	more(w, w->kid[0], past, s, 0, 1);
	cr_assert(a.times == 1 && a.dead && w->r->ncollect == ECI_COLLECT_SOURCES_MASTER);
	cr_expect_str_eq(a.reason, "too-big");
	world_free(w);
}

Test(collect, a_hundred_and_twenty_eight_mib_together)
{
	struct world *w = world_relay();
	uint32_t frames = ECI_COLLECT_MAX / 3 / ECI_BULK_BODY_MAX;
	for (uint32_t src = 1; src <= 3; src++)
		for (uint32_t i = 0; i < frames; i++)
			more(w, w->up, src, ECI_H_CALL, 300, ECI_BULK_BODY_MAX);
	size_t left = ECI_COLLECT_MAX - w->r->collect_bytes;
	for (; left > ECI_BULK_BODY_MAX; left -= ECI_BULK_BODY_MAX)
		more(w, w->up, 4, ECI_H_CALL, 300, ECI_BULK_BODY_MAX);
	more(w, w->up, 4, ECI_H_CALL, 300, left);
	cr_assert_eq(w->r->collect_bytes, ECI_COLLECT_MAX);
	cr_assert_not(noticed(w, w->up, 4, 300, "too-big"));
	more(w, w->up, 4, ECI_H_CALL, 300, 1);
	cr_assert(noticed(w, w->up, 4, 300, "too-big"));
	last(w, w->up, 1, ECI_H_CALL, 300, 1);
	cr_assert_eq(w->delivered, 1);
	world_free(w);
}

Test(collect, refused_at_its_first_fragment)
{
	struct world *w = world_relay();
	more(w, w->kid[0], 72, ECI_H_CALL, 300, 1000);
	cr_assert(noticed(w, w->kid[0], 72, 300, "no-authority"));
	cr_assert(w->r->ncollect == 0 && w->r->collect_bytes == 0);
	more(w, w->kid[0], 72, ECI_H_CALL, 300, 1000);
	last(w, w->kid[0], 72, ECI_H_CALL, 300, 1000);
	cr_assert_not(noticed(w, w->kid[0], 72, 300, "no-authority"));
	cr_assert(w->delivered == 0 && w->r->ndropping == 0);
	world_free(w);
}

/* What a child says that nobody has asked it takes no place of what others are asked. */
Test(collect, nothing_that_is_not_asked_for)
{
	struct world *w = world_master();
	struct answer a = {0}, other = {0};
	uint32_t s = eci_slot_open(w->r, 73, ECI_SLOT_ONCE, on_answer, &a),
		 others = eci_slot_open(w->r, 74, ECI_SLOT_ONCE, on_answer, &other);
	const uint32_t handles[] = {others, others + 1, 777777, UINT32_MAX, ECI_H_LOG};
	for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
		more(w, w->kid[0], 73, handles[i], 300, 10);
		cr_assert(noticed(w, w->kid[0], 73, 300, handles[i] == ECI_H_LOG ? "too-big" : "no-handle"));
		cr_expect(!w->r->ncollect && !w->r->collect_bytes);
		last(w, w->kid[0], 73, handles[i], 300, 10);
	}
	cr_expect(w->delivered == 0 && !a.times && !other.times && !w->r->ndropping);
	more(w, w->kid[0], 73, s, 0, 10);
	cr_expect_eq(w->r->collect_bytes, 10);
	last(w, w->kid[0], 73, s, 0, 10);
	cr_expect(a.times == 1 && !a.dead && !other.times);
	world_free(w);
}

/* A subtree that begins more refused messages than are remembered. */
Test(collect, marks_are_bounded)
{
	struct world *w = world_master();
	cr_assert_eq(eci_router_grant(w->r, 72, 100000, 4096, 0, w->now), 0);
	enum { MARKS = 1024 };
	for (uint32_t i = 0; i < 2 * MARKS; i++) {
		more(w, w->kid[0], 100000 + i, ECI_H_CALL, 0, 0);
		cr_assert_eq(w->r->ndropping, i < MARKS ? i + 1 : MARKS);
	}
	eci_link_lost(w->kid[0], "eof", "", w->now);
	cr_assert(w->r->ndropping == 0 && !w->r->collects);
	world_free(w);
}

Test(collect, a_lost_source_ends_silently)
{
	struct world *w = world_master();
	struct answer a = {0};
	uint32_t s = eci_slot_open(w->r, 80, ECI_SLOT_ONCE, on_answer, &a);
	more(w, w->kid[0], 72, ECI_H_LOG, 0, 1000);
	more(w, w->kid[1], 80, s, 0, 500);
	eci_link_lost(w->kid[0], "eof", "", w->now);
	cr_assert(w->r->ncollect == 1 && w->r->collect_bytes == 500);
	last(w, w->kid[1], 80, s, 0, 5);
	cr_assert(a.times == 1 && a.len == 505);
	world_free(w);
}

/* Through a relay the fragments pass as they are. */
Test(collect, a_relay_does_not_collect_for_others)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->up, ECI_BULK, ECI_F_MORE, 73, 0, ECI_H_CALL, 300, zeros, 100);
	cr_assert(next(w, w->kid[0], &f) && f.flags == ECI_F_MORE && f.len == 100);
	cr_assert_eq(w->r->ncollect, 0);
	world_free(w);
}

/* One who sends to two groups, and to this context, whose number is a group's too, has four messages under way. */
Test(collect, what_goes_to_others_is_another_message)
{
	struct world *w = world_relay();
	static const uint32_t to[] = {7, 8, ME, ME};
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GROUP, 0, "\x82\x07\x82\x18\x40\x18\x41",
	     7); /* [7, [ME, ME + 1]] */
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GROUP, 0, "\x82\x08\x82\x18\x40\x18\x41", 7);
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GROUP, 0, "\x82\x18\x40\x82\x18\x40\x18\x41", 8);
	for (int i = 0; i < 8; i++) {
		int flags = (i % 4 < 3 ? ECI_F_MULTICAST : 0) | (i < 4 ? ECI_F_MORE : 0);
		feed(w, w->up, ECI_BULK, (uint8_t)flags, to[i % 4], 0, ECI_H_CALL, 9, "abc", 3);
		cr_expect(i < 4 || w->last.len == 6, "%d: %u", i, w->last.len);
	}
	cr_expect_eq(w->delivered, 4);
	cr_expect_eq(w->r->ncollect, 0);
	world_free(w);
}

/* Nothing is collected of what would be refused when it is whole. */
Test(collect, neither_a_dead_request_nor_credit)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->up, ECI_BULK, ECI_F_MORE | ECI_F_DEAD, ME, 0, ECI_H_CALL, 0, "abc", 3);
	cr_expect(w->r->ndropping == 1 && !w->r->collect_bytes);
	uint32_t slot = eci_slot_open(w->r, 0, ECI_SLOT_MANY, NULL, NULL);
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, slot);
	eci_cbor_put_uint(&b, 1);
	(void)drop_output(w, w->up);
	feed(w, w->up, ECI_BULK, ECI_F_MORE, ME, 0, ECI_H_CREDIT, 9, eci_buf_data(&b), eci_buf_len(&b));
	cr_expect(take(w, w->up, &f) && is_dead(w, &f, 0, 9, "bad-body", ME));
	cr_expect(!w->r->ncollect && !w->r->collect_bytes);
	eci_buf_deinit(&b);
	world_free(w);
}

/* What came from above goes with the parent, and what a child has begun stays. */
Test(collect, a_lost_parent_takes_what_came_from_it)
{
	struct world *w = world_relay();
	feed(w, w->up, ECI_BULK, ECI_F_MORE, ME, 0, ECI_H_CALL, 9, "abc", 3);
	struct answer a = {0};
	feed(w, w->kid[0], ECI_BULK, ECI_F_MORE, ME, 72, eci_slot_open(w->r, 72, ECI_SLOT_ONCE, on_answer, &a), 0, "ab",
	     2);
	cr_assert(w->r->ncollect == 2 && w->r->collect_bytes == 5);
	eci_link_lost(w->up, "eof", "", w->now);
	cr_expect(w->r->ncollect == 1 && w->r->collect_bytes == 2);
	world_free(w);
}
