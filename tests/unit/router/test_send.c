/* Bounds that a frame of this router's own meets on its way into a queue, to the byte, and what it is told there. */
#include "router_support.h"

extern long eci_test_fail_after;
static uint8_t zeros[ECI_FRAME_BODY_MAX + 1];
#define ONE (ECI_QUEUE_MAX / 16) /* sixteen of these fill the queue exactly */

static int call(struct world *w, uint32_t dst, size_t wire)
{
	return eci_router_send(w->r, ECI_CALL, 0, dst, ECI_H_CALL, 0, zeros, wire - ECI_FRAME_HEADER, w->now);
}

/* Behind a large message to the same context calls wait with it; they are calls of the link's all the same. */
Test(send, what_waits_behind_a_large_message_is_bounded)
{
	struct world *w = world_master();
	struct eci_link *l = w->kid[0];
	cr_assert_eq(call(w, 73, ECI_FRAME_HEADER + sizeof zeros), 0);
	for (int i = 0; i < 15; i++)
		cr_assert_eq(call(w, i % 2 ? 73 : 72, ONE), 0);
	cr_assert(l->held_calls == 7 * ONE && eci_buf_len(&l->call) == 8 * ONE);
	cr_expect_eq(call(w, 73, ONE + 1), -4);
	cr_expect_eq(call(w, 72, ONE + 1), -4);
	cr_expect_eq(call(w, 73, ONE), 0);
	cr_expect_eq(call(w, 73, ECI_FRAME_HEADER), -4);
	cr_expect_eq(l->held_calls, 8 * ONE);
	world_free(w);
}

/* What is lost is said with the last answer that fits, and not with one that does not, nor with the notice of that. */
Test(send, what_is_lost_is_said_up_to_the_bound_of_answers)
{
	for (size_t over = 0; over < 2; over++) {
		struct world *w = world_relay();
		(void)drop_output(w, w->up);
		uint64_t out = w->up->stats.frames_out;
		size_t full = ECI_ANSWERS_MAX - ECI_FRAME_HEADER + over; /* one more without a body fills it */
		for (uint32_t n = ONE; n < ECI_ANSWERS_MAX; n += ONE)
			feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5000, 0, zeros, ONE - ECI_FRAME_HEADER);
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5000, 0, zeros, ONE - 2 * ECI_FRAME_HEADER + over);
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, ECI_H_LOG, 0, "\x84\x14\x60\x61x\x00", 6);
		cr_assert(w->up->lost_logs == 1 && eci_buf_len(&w->up->call) == full);
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5000, 0, NULL, 0);
		if (!over)
			full += 2 * ECI_FRAME_HEADER + 6; /* the answer, and [30, "", "", 1] */
		cr_expect_eq(eci_buf_len(&w->up->call), full);
		cr_expect_eq(w->up->lost_logs, over);
		cr_expect_eq(w->up->stats.frames_out - out, ECI_ANSWERS_MAX / ONE + (over ? 1 : 2), "each is counted");
		world_free(w);
	}
}

static void on_loss(void *arg, const struct eci_answer *a)
{
	cr_assert(a->dead && !strcmp(a->reason, "lost"));
	cr_expect_str_eq(a->evidence, "no byte came");
	++*(int *)arg;
}

/* It cannot be said yet why; who waits for the answer is told when it can. Nothing is queued, however much it is. */
Test(send, into_a_link_that_failed_is_lost_with_it)
{
	struct world *w = world_master();
	int told = 0;
	uint32_t slot = eci_slot_open(w->r, 73, ECI_SLOT_ONCE, on_loss, &told);
	eci_link_break(w->kid[0], "silent", "no byte came");
	for (int i = 0; i < 40; i++)
		cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_CALL, slot, zeros, sizeof zeros, w->now), 0);
	struct eci_link_stats s;
	eci_link_get_stats(w->kid[0], &s);
	cr_expect(s.queued_bytes == 0 && w->r->blob_bytes == 0 && told == 0);
	eci_link_lost(w->kid[0], "silent", "no byte came", w->now);
	w->kid[0] = NULL;
	cr_expect_eq(told, 1);
	cr_expect_eq(call(w, 73, ONE), -3);
	world_free(w);
}

/* A notice that cannot be queued would leave the other side waiting for ever. */
Test(send, no_memory_for_control_is_the_links_end)
{
	struct world *w = world_master();
	eci_test_fail_after = 0;
	cr_expect_eq(eci_router_send(w->r, ECI_CONTROL, 0, 72, ECI_H_KILL, 0, zeros, 60000, w->now), -1);
	eci_test_fail_after = -1;
	cr_assert(w->broken == 1 && w->broken_link == w->kid[0]);
	cr_expect_str_eq(w->reason, "queue-overflow");
	world_free(w);
}

/* A LOG is lost that finds none, and counted; a call is refused, and its sender knows. */
Test(send, no_memory_for_a_log_is_a_line_that_is_lost)
{
	for (uint64_t lost = 0; lost <= 1; lost++) {
		struct world *w = world_relay();
		(void)drop_output(w, w->up);
		eci_test_fail_after = 0;
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, lost ? ECI_H_LOG : 5000, 0, zeros, 60000);
		cr_assert_eq(eci_test_fail_after, -1, "an allocation failed");
		cr_expect(w->up->lost_logs == lost && w->r->stats.dropped_logs == lost && !w->broken);
		world_free(w);
	}
}

/* A stream's data that finds none on its way up ends the stream, at both ends: its reader waits for an END else. */
Test(send, no_memory_for_a_streams_data_is_told_to_both)
{
	struct world *w = world_relay();
	struct eci_frame f;
	(void)drop_output(w, w->up);
	eci_test_fail_after = 0;
	feed(w, w->kid[0], ECI_BULK, 0, 0, 72, 5000, 701, zeros, 1000);
	cr_assert_eq(eci_test_fail_after, -1, "an allocation failed");
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 5000, "busy", 72));
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 72, 701, "busy", 0));
	cr_assert(!take(w, w->up, &f) && !w->broken);
	world_free(w);
}

/* Nor does a reset go without a word that finds none, in either direction: the stream's other end goes on else. */
Test(send, no_memory_for_a_reset_is_told_to_its_receiver)
{
	struct world *w = world_relay();
	struct eci_frame f;
	for (int down = 0; down < 2; down++) {
		struct eci_link *from = down ? w->up : w->kid[0], *to = down ? w->kid[0] : w->up;
		uint32_t src = down ? 0 : 72, dst = down ? 72 : 0;
		(void)drop_output(w, to);
		eci_test_fail_after = 0;
		feed(w, from, ECI_BULK, ECI_F_DEAD, dst, src, 5000, 701, "\x84", 1);
		cr_assert_eq(eci_test_fail_after, -1, "an allocation failed");
		cr_assert(take(w, to, &f) && is_dead(w, &f, dst, 5000, "busy", src), "%d", down);
		cr_assert(!take(w, to, &f) && !w->broken);
		while (take(w, from, &f))
			cr_expect_eq(f.handle, ECI_H_ACK, "who sent it has none any more");
	}
	world_free(w);
}

/* An answer goes as far as any other when it waits behind a large one. */
Test(send, answers_behind_a_large_one_wait_up_to_16_mib)
{
	struct world *w = world_relay();
	struct eci_frame f;
	(void)drop_output(w, w->up);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 0, 5000, 0, zeros, sizeof zeros, w->now), 0);
	for (uint32_t n = 0; n < ECI_ANSWERS_MAX; n += ONE)
		cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 0, 5001, 0, zeros, ONE - ECI_FRAME_HEADER, w->now), 0,
			     "%u", n);
	cr_assert_eq(w->up->held_calls, ECI_ANSWERS_MAX);
	cr_expect_eq(eci_router_send(w->r, ECI_CALL, 0, 0, 5001, 0, NULL, 0, w->now), -4);
	cr_expect_eq(eci_router_send(w->r, ECI_CALL, 0, 0, ECI_H_STATS, 0, NULL, 0, w->now), -4);
	uint32_t n = 0;
	while (take(w, w->up, &f)) {
		if (f.cls == ECI_BULK)
			feed_int(w, w->up, 0, ECI_H_ACK, eci_wire(f.len));
		n += f.handle == 5001;
	}
	cr_expect_eq(n, ECI_ANSWERS_MAX / ONE);
	world_free(w);
}

Test(send, no_memory_for_a_groups_body)
{
	struct world *w = world_master();
	struct eci_interval v = {72, 87};
	cr_assert_eq(eci_router_group(w->r, 9, &v, 1, w->now), 0);
	(void)drop_output(w, w->kid[0]);
	(void)drop_output(w, w->kid[1]);
	eci_test_fail_after = 0;
	cr_expect_eq(eci_router_send(w->r, ECI_BULK, ECI_F_MULTICAST, 9, 300, 9, zeros, 100, w->now), -1);
	eci_test_fail_after = -1;
	cr_expect(!drop_output(w, w->kid[0]) && !drop_output(w, w->kid[1]) && !w->r->blob_bytes);
	cr_expect_eq(eci_router_send(w->r, ECI_BULK, ECI_F_MULTICAST, 9, 300, 9, zeros, 100, w->now), 0);
	cr_expect(drop_output(w, w->kid[0]) == 1 && drop_output(w, w->kid[1]) == 1);
	cr_expect_eq(w->delivered, 0, "who sends is no member");
	world_free(w);
}

/* A group may have the number of a context: what is for it waits for itself, under no PAUSE of the context's. */
Test(send, a_group_is_no_context_of_its_number)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GROUP, 0, "\x82\x18\x49\x82\x18\x49\x18\x4a", 8); /* 73: 73 */
	(void)drop_output(w, w->kid[0]);
	feed_pair(w, w->kid[0], ME, 72, ECI_H_PAUSE, 0, 73, 74);
	feed(w, w->up, ECI_BULK, 0, 73, 0, 300, 9, zeros, 10);
	feed(w, w->up, ECI_BULK, ECI_F_MULTICAST, 73, 0, 300, 9, zeros, 11);
	feed(w, w->up, ECI_BULK, 0, 73, 0, 300, 9, zeros, 12);
	cr_assert(take(w, w->kid[0], &f) && f.flags == ECI_F_MULTICAST && f.len == 11, "%u", f.len);
	cr_assert_not(take(w, w->kid[0], &f));
	feed_pair(w, w->kid[0], ME, 72, ECI_H_RESUME, 0, 73, 74);
	cr_assert(take(w, w->kid[0], &f) && f.len == 10 && take(w, w->kid[0], &f) && f.len == 12);
	world_free(w);
}

/* Who sends to a group is refused when nobody has a copy, as the first was: here one link each, and the router itself.
 */
Test(send, to_a_group_is_refused_when_nobody_has_room)
{
	static const int due[] = {0, -4, -3};
	for (int n = 0; n < 3; n++) {
		struct world *w = world_relay();
		feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GROUP, 0, "\x82\x07\x84\x18\x40\x18\x41\x18\x48\x18\x58",
		     11);
		(void)drop_output(w, w->kid[0]);
		(void)drop_output(w, w->kid[1]);
		for (int k = 0; k < 2; k++) {
			if (n == 2 && k == 0)
				eci_link_break(w->kid[k], "eof", "");
			else
				for (uint32_t i = 0; i < 16; i++)
					cr_assert_eq(call(w, eci_link_peer(w->kid[k]), ONE), 0);
		}
		w->r->self_bytes += n ? ECI_SELF_MAX : 0; /* stands for frames */
		cr_expect_eq(eci_router_send(w->r, ECI_CALL, ECI_F_MULTICAST, 7, ECI_H_CALL, 0, NULL, 0, w->now),
			     due[n]);
		w->r->self_bytes -= n ? ECI_SELF_MAX : 0;
		cr_expect_eq(w->delivered, n == 0);
		world_free(w);
	}
}

/* Bulk that only passes is held for a child to the byte; a parent takes all, for it is the children's windows. */
Test(send, what_is_held_for_a_child_is_bounded)
{
	struct world *w = world_relay();
	struct eci_link *l = w->kid[0];
	struct eci_frame f;
	const size_t most = ECI_HELD_MAX - eci_wire(10); /* stands for frames */
	l->bulk_bytes += most;
	feed(w, w->up, ECI_BULK, 0, 72, 0, 300, 9, zeros, 11);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 9, "busy", 72));
	feed(w, w->up, ECI_BULK, 0, 72, 0, 300, 9, zeros, 10);
	cr_expect_eq(l->bulk_bytes, ECI_HELD_MAX);
	l->bulk_bytes -= most;
	w->up->bulk_bytes += ECI_HELD_MAX;
	feed(w, w->kid[1], ECI_BULK, 0, 0, 80, 300, 9, zeros, 10);
	cr_expect_eq(w->up->bulk_bytes, ECI_HELD_MAX + eci_wire(10));
	w->up->bulk_bytes -= ECI_HELD_MAX;
	world_free(w);
}
