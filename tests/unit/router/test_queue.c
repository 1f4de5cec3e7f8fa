/* Output: order of the classes, no starvation, round robin, frames never cut into each other, and the queue bounds. */
#include "router_support.h"
#include "tests/support/random.h"

static uint8_t zeros[ECI_FRAME_BODY_MAX];

static void call(struct world *w, uint32_t dst, size_t n)
{
	feed(w, w->up, ECI_CALL, 0, dst, 0, ECI_H_CALL, 0, zeros, n);
}

static void bulk(struct world *w, uint32_t dst, uint32_t handle, size_t n)
{
	feed(w, w->up, ECI_BULK, 0, dst, 0, handle, 9, zeros, n);
}

Test(queue, control_before_call_before_bulk)
{
	struct world *w = world_relay();
	struct eci_frame f;
	bulk(w, 72, 300, 100);
	call(w, 72, 100);
	feed(w, w->up, ECI_CONTROL, 0, 72, 0, ECI_H_KILL, 0, zeros, 1);
	for (uint8_t cls = 0; cls <= ECI_BULK; cls++) {
		cr_assert(take(w, w->kid[0], &f));
		cr_assert_eq(f.cls, cls);
	}
	world_free(w);
}

Test(queue, after_65536_bytes_of_calls_one_bulk_frame)
{
	struct world *w = world_relay();
	struct eci_frame f;
	size_t run = 0;
	int bulks = 0;
	for (int i = 0; i < 3; i++)
		bulk(w, 72, 300, 10000);
	for (int i = 0; i < 300; i++)
		call(w, 72, 1000);
	while (take(w, w->kid[0], &f)) {
		if (f.cls == ECI_CALL) {
			run += eci_wire(f.len);
			continue;
		}
		cr_assert(run >= ECI_CALL_RUN_MAX && run < ECI_CALL_RUN_MAX + 1028, "bulk after %zu bytes", run);
		run = 0;
		bulks++;
	}
	cr_assert_eq(bulks, 3);
	world_free(w);
}

/* Reads with small and changing sizes; a control frame put in the middle of a bulk frame must come after its end. */
Test(queue, a_begun_frame_is_finished)
{
	struct world *w = world_relay();
	struct eci_random rnd = eci_random_open("a_begun_frame", 43);
	struct eci_buf got = ECI_BUF_NULL;
	uint32_t sent = 0, seen = 0;
	for (int i = 0; i < 4000; i++) {
		const uint8_t *p;
		if (i % 7 == 0 && i < 3000) {
			sent++;
			if (i % 2)
				feed(w, w->up, ECI_CONTROL, 0, 72, 0, ECI_H_KILL, 0, zeros, eci_random_below(&rnd, 50));
			else
				bulk(w, 72, 300 + eci_random_below(&rnd, 3), eci_random_below(&rnd, 500));
		}
		size_t n = eci_link_output(w->kid[0], &p, 1 + eci_random_below(&rnd, 300));
		if (!n)
			continue;
		const uint8_t *again; /* the same piece until something was written */
		cr_assert(eci_link_output(w->kid[0], &again, n) == n && again == p);
		n = 1 + eci_random_below(&rnd, (uint32_t)n);
		eci_buf_append(&got, p, n);
		eci_link_wrote(w->kid[0], n, w->now);
		struct eci_frame f;
		long used;
		while ((used = eci_frame_unpack(eci_buf_data(&got), eci_buf_len(&got), &f)) > 0) {
			eci_buf_drain(&got, (size_t)used);
			seen++;
			if (f.cls == ECI_BULK)
				feed_int(w, w->kid[0], 72, ECI_H_ACK, (uint64_t)used);
		}
		cr_assert_eq(used, 0);
	}
	cr_assert_eq(eci_buf_len(&got), 0);
	cr_assert_eq(seen, sent);
	cr_assert_eq(w->broken, 0);
	eci_buf_deinit(&got);
	world_free(w);
}

Test(queue, bulk_is_shared_by_flows)
{
	struct world *w = world_relay();
	struct eci_frame f;
	uint32_t bytes[2] = {0, 0};
	for (int i = 0; i < 100; i++)
		bulk(w, 72, 300, 1000);
	for (int i = 0; i < 10; i++)
		bulk(w, 73, 301, 15000);
	for (uint32_t all = 0; all < 100000;) {
		cr_assert(take(w, w->kid[0], &f));
		all += eci_wire(f.len);
		bytes[f.handle - 300] += eci_wire(f.len);
		feed_int(w, w->kid[0], 72, ECI_H_ACK, eci_wire(f.len));
		uint32_t gap = bytes[0] > bytes[1] ? bytes[0] - bytes[1] : bytes[1] - bytes[0];
		cr_assert_leq(gap, 3 * eci_wire(ECI_BULK_BODY_MAX), "%u against %u", bytes[0], bytes[1]);
	}
	world_free(w);
}

/* A short stream beside a long one between the same two contexts. */
Test(queue, streams_of_a_pair_take_turns)
{
	struct world *w = world_relay();
	struct eci_frame f;
	for (int i = 0; i < 3; i++)
		bulk(w, 72, 300, ECI_BULK_BODY_MAX);
	bulk(w, 72, 301, 1);
	cr_assert(take(w, w->kid[0], &f) && f.handle == 300);
	cr_assert(take(w, w->kid[0], &f) && f.handle == 301);
	cr_assert(take(w, w->kid[0], &f) && f.handle == 300);
	world_free(w);
}

Test(queue, order_within_a_flow)
{
	struct world *w = world_relay();
	struct eci_frame f;
	for (uint32_t i = 0; i < 60; i++) {
		uint8_t b[4];
		eci_put32(b, i);
		feed(w, w->up, ECI_BULK, 0, 72, 0, 300 + i % 3, 9, b, 4);
	}
	uint32_t next[3] = {0, 1, 2};
	while (take(w, w->kid[0], &f)) {
		cr_assert_eq(eci_get32(f.body), next[f.handle - 300]);
		next[f.handle - 300] += 3;
	}
	cr_assert(next[0] == 60 && next[1] == 61 && next[2] == 62);
	world_free(w);
}

/* Two large answers of one context to one other: different handles, but one order, else their receiver could not tell
 * the fragments apart. */
Test(queue, large_messages_of_a_pair_stay_in_order)
{
	struct world *w = world_relay();
	struct eci_frame f;
	for (uint32_t i = 0; i < 12; i++)
		feed(w, w->kid[0], ECI_BULK, i % 3 < 2 ? ECI_F_MORE : 0, 0, 73, 300 + i / 3, 0, zeros, 10000 + i);
	for (uint32_t i = 0; i < 12; i++) {
		cr_assert(take(w, w->up, &f));
		cr_assert_eq(f.len, 10000 + i);
		feed_int(w, w->up, 0, ECI_H_ACK, eci_wire(f.len));
	}
	world_free(w);
}

Test(queue, flows_take_turns_as_they_came)
{
	struct world *w = world_relay();
	struct eci_frame f;
	for (uint32_t i = 0; i < 9; i++)
		bulk(w, 72, 300 + i, 10);
	for (uint32_t i = 0; i < 9; i++)
		cr_assert(take(w, w->kid[0], &f) && f.handle == 300 + i);
	world_free(w);
}

/* ---- bounds ---- */
#define ONE (ECI_QUEUE_MAX / 16) /* sixteen of these fill the queue exactly */

static void fill(struct world *w)
{
	for (int i = 0; i < 16; i++)
		call(w, 72, ONE - ECI_FRAME_HEADER);
}

Test(queue, calls_past_1_mib_are_busy_and_logs_are_dropped)
{
	struct world *w = world_relay();
	struct eci_frame f;
	fill(w);
	cr_assert_eq(eci_buf_len(&w->kid[0]->call), ECI_QUEUE_MAX);
	feed(w, w->up, ECI_CALL, 0, 72, 0, ECI_H_CALL, 300, NULL, 0);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "busy", 72));
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 72, ECI_H_CALL, 0, NULL, 0, w->now), -4);
	feed(w, w->up, ECI_CALL, 0, 73, 0, ECI_H_LOG, 300, NULL, 0);
	cr_assert_not(take(w, w->up, &f));
	cr_assert_eq(w->r->stats.dropped_logs, 1);
	cr_assert_eq(drop_output(w, w->kid[0]), 16);
	feed(w, w->up, ECI_CALL, 0, 72, 0, ECI_H_CALL, 300, NULL, 0);
	cr_assert(take(w, w->kid[0], &f));
	world_free(w);
}

static void fill_with_answers(struct world *w, uint32_t reply_to)
{
	struct eci_frame f;
	while (take(w, w->up, &f))
		;
	for (uint32_t n = 0; n < ECI_ANSWERS_MAX; n += ONE)
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5000, reply_to, zeros, ONE - ECI_FRAME_HEADER);
	cr_assert_eq(eci_buf_len(&w->up->call), ECI_ANSWERS_MAX);
}

/* They were asked for from above. Past the bound who waits for one is told in its place. */
Test(queue, answers_on_their_way_up_past_16_mib_are_busy)
{
	struct world *w = world_relay();
	struct eci_frame f;
	fill_with_answers(w, 0);
	cr_assert_eq(eci_buf_len(&w->up->control), 0);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, ECI_H_LOG, 0, NULL, 0);
	cr_assert_eq(w->r->stats.dropped_logs, 1);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5001, 0, NULL, 0);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 5001, "busy", 72));
	cr_assert_eq(drop_output(w, w->up), ECI_ANSWERS_MAX / ONE);
	world_free(w);
}

/* The answer to OPEN names a stream: it waits as others do, and past the bound both are told, who waits and the stream.
 */
Test(queue, an_answer_that_names_a_stream_is_one)
{
	struct world *w = world_relay();
	struct eci_frame f;
	fill_with_answers(w, 700);
	cr_assert_not(take(w, w->kid[0], &f), "none was refused");
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5001, 701, NULL, 0);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 5001, "busy", 72));
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 72, 701, "busy", 0));
	cr_assert_eq(drop_output(w, w->up), ECI_ANSWERS_MAX / ONE);
	world_free(w);
}

/* ---- LOGs that found no room ---- */

static void log_up(struct world *w, const char *text, size_t n, uint64_t dropped)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 4);
	eci_cbor_put_uint(&b, 20);
	eci_cbor_put_str(&b, "stdout");
	eci_cbor_put_text(&b, text, n);
	eci_cbor_put_uint(&b, dropped);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, ECI_H_LOG, 0, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
}

/* The next frame to the parent says that so many are lost here, as its body is written elsewhere too. */
static void says_lost(struct world *w, const char *number, size_t n)
{
	struct eci_frame f;
	cr_assert(take(w, w->up, &f) && f.cls == ECI_CALL && f.handle == ECI_H_LOG, "handle %u", f.handle);
	cr_expect(!f.flags && !f.dst && f.src == ME && f.auth == ME && f.hops == ECI_HOPS && !f.reply_to);
	cr_expect(f.len == 5 + n && !memcmp(f.body, "\x84\x18\x1e\x60\x60", 5) && !memcmp(f.body + 5, number, n));
}

/* A relay that has said its HELLO, and whose queue to the parent is full. */
static struct world *relay_full(void)
{
	struct world *w = world_relay();
	(void)drop_output(w, w->up);
	for (int i = 0; i < 16; i++)
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5000, 0, zeros, ONE - ECI_FRAME_HEADER);
	cr_assert_eq(eci_buf_len(&w->up->call), ECI_QUEUE_MAX);
	return w;
}

Test(queue, what_is_lost_is_said_in_front_of_what_comes_next)
{
	struct world *w = relay_full();
	struct eci_frame f;
	log_up(w, "a\nb\nc", 5, 0);      /* two lines */
	log_up(w, "half", 4, 5);         /* one, and five before */
	log_up(w, "", 0, 7);             /* what another router says */
	log_up(w, "\n\n\n", 3, 1 << 16); /* more than fits two bytes */
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, ECI_H_LOG, 0, "\x41", 1);
	cr_expect_eq(w->r->stats.dropped_logs, 2 + 1 + 0 + 3 + 1);
	cr_assert_eq(eci_buf_len(&w->up->call), ECI_QUEUE_MAX, "nothing is said before there is room, or more");
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5001, 0, NULL, 0); /* an answer goes beyond */
	cr_assert_eq(eci_buf_len(&w->up->call), ECI_QUEUE_MAX + 2 * ECI_FRAME_HEADER + 10);
	for (int i = 0; i < 16; i++)
		cr_assert(take(w, w->up, &f) && f.handle == 5000);
	says_lost(w, "\x1a\0\1\0\x13", 5); /* 65,536 + 19 */
	cr_assert(take(w, w->up, &f) && f.handle == 5001);
	log_up(w, "more", 4, 0);
	cr_assert(take(w, w->up, &f) && f.src == 72, "it is said once");
	cr_assert_not(take(w, w->up, &f));
	world_free(w);
}

Test(queue, what_is_lost_is_said_before_any_frame)
{
	for (int i = 0; i < 3; i++) {
		struct world *w = relay_full();
		struct eci_frame f;
		log_up(w, "a\n", 2, 0);
		(void)drop_output(w, w->up);
		for (int k = 0; i == 0 && k < 2; k++)
			feed(w, w->kid[0], ECI_BULK, 0, 0, 72, 5000, 0, zeros, 100);
		if (i == 1)
			feed_int(w, w->up, 0, ECI_H_PING, 7);
		else if (i == 2)
			log_up(w, "b\n", 2, 0);
		if (i < 2) /* control overtakes it, and one bulk frame after so many calls */
			cr_assert(take(w, w->up, &f) && f.handle == (i ? ECI_H_PONG : 5000));
		says_lost(w, "\1", 1);
		cr_assert(i == 1 || (take(w, w->up, &f) && f.src == 72));
		world_free(w);
	}
}

/* Bodies such that a LOG fills the queue to its last byte, and one byte more; so does what was to be said. */
Test(queue, a_log_that_fits_exactly_is_not_lost)
{
	for (size_t over = 0; over < 2; over++) {
		struct world *w = world_relay();
		struct eci_frame f;
		(void)drop_output(w, w->up);
		for (int i = 0; i < 15; i++)
			feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5000, 0, zeros, ONE - ECI_FRAME_HEADER);
		size_t n = ONE - ECI_FRAME_HEADER - 13; /* an array, 20, "stdout", a head of three bytes, 0 */
		char *text = malloc(n + 1);
		memset(text, '\n', n + 1);
		log_up(w, text, n + over, 0);
		free(text);
		cr_expect_eq(w->r->stats.dropped_logs, over ? n + 1 : 0);
		cr_expect_eq(eci_buf_len(&w->up->call), over ? 15 * ONE : ECI_QUEUE_MAX);
		cr_expect_eq(drop_output(w, w->up), over ? 15 : 16);
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5001, 0, NULL, 0);
		if (over)
			says_lost(w, "\x19\xff\xd8", 3);
		cr_assert(take(w, w->up, &f) && f.handle == 5001);
		world_free(w);
	}
}

/* Whoever has LOGs dropped and sends what is refused in turns does not fill the queue with what is said of it. */
Test(queue, what_is_lost_is_not_said_beyond_the_bound_of_answers)
{
	struct world *w = relay_full();
	for (uint32_t n = ECI_QUEUE_MAX; n < ECI_ANSWERS_MAX; n += ONE)
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5000, 0, zeros, ONE - ECI_FRAME_HEADER);
	for (int i = 0; i < 100; i++) {
		log_up(w, "a", 1, 0);
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, 5000, 0, NULL, 0);
		cr_assert_eq(eci_buf_len(&w->up->call), ECI_ANSWERS_MAX);
	}
	world_free(w);
}

/* Own ones as those that only pass, and those that could not even be written. */
Test(queue, an_own_answer_without_room_is_busy)
{
	struct world *w = world_relay();
	struct eci_frame f;
	struct eci_buf b = ECI_BUF_NULL;
	while (take(w, w->up, &f))
		;
	for (uint32_t n = 0; n < ECI_ANSWERS_MAX; n += ONE) {
		cr_assert_eq(eci_buf_append(&b, zeros, ONE - ECI_FRAME_HEADER), 0);
		cr_assert_eq(eci_router_send_buf(w->r, 0, 5000, 0, &b, w->now), 0);
	}
	cr_assert_eq(eci_buf_len(&w->up->control), 0);
	cr_assert_eq(eci_router_send_buf(w->r, 0, 5001, 0, &b, w->now), -4);
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 5003, 4096, 64);
	feed(w, w->up, ECI_CALL, 0, ME, 0, ECI_H_ECHO, 5004, NULL, 0);
	static const uint32_t told[] = {5001, 5003, 5004};
	for (int i = 0; i < 3; i++)
		cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, told[i], "busy", ME));
	cr_assert_eq(drop_output(w, w->up), ECI_ANSWERS_MAX / ONE);
	b.failed = true;
	cr_assert_eq(eci_router_send_buf(w->r, 0, 5002, 7, &b, w->now), -1);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 5002, "busy", w->r->id));
	world_free(w);
}

Test(queue, control_past_2_mib_ends_the_link)
{
	struct world *w = world_relay();
	struct eci_frame f;
	fill(w);
	for (int i = 0; i < 32; i++)
		feed(w, w->up, ECI_CONTROL, 0, 72, 0, ECI_H_KILL, 0, zeros, ONE - ECI_FRAME_HEADER);
	cr_assert_eq(w->broken, 0);
	cr_assert_eq(eci_buf_len(&w->kid[0]->control), ECI_CONTROL_MAX);
	feed(w, w->up, ECI_CONTROL, 0, 72, 0, ECI_H_KILL, 300, NULL, 0);
	cr_assert(w->broken == 1 && w->broken_link == w->kid[0]);
	cr_assert_str_eq(w->reason, "queue-overflow");
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "lost", 72));
	cr_assert_eq(eci_router_send(w->r, ECI_CONTROL, 0, 72, ECI_H_KILL, 0, NULL, 0, w->now), 0);
	cr_assert_eq(w->broken, 1, "told once");
	world_free(w);
}

Test(queue, wake_once_until_drained)
{
	struct world *w = world_relay();
	const uint8_t *p;
	drop_output(w, w->kid[0]);
	w->wakes = 0;
	call(w, 72, 10);
	call(w, 72, 10);
	cr_assert_eq(w->wakes, 1);
	size_t n = eci_link_output(w->kid[0], &p, 65536);
	call(w, 72, 10);
	cr_assert_eq(w->wakes, 1, "not drained yet");
	eci_link_wrote(w->kid[0], n, w->now);
	cr_assert_eq(pump(w, w->kid[0]), 38);
	call(w, 72, 10);
	cr_assert_eq(w->wakes, 2);
	world_free(w);
}

Test(queue, send_leaves_the_bytes_at_once)
{
	struct world *w = world_master();
	struct eci_frame f;
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 73, ECI_H_CALL, 300, "abc", 3, w->now), 0);
	cr_assert(take(w, w->kid[0], &f));
	cr_assert(f.src == 0 && f.auth == 0 && f.dst == 73 && f.hops == ECI_HOPS && f.reply_to == 300 && f.len == 3);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 5000, ECI_H_CALL, 300, "abc", 3, w->now), -3);
	cr_assert_eq(eci_router_send(w->r, ECI_CONTROL, 0, 73, ECI_H_KILL, 0, zeros, ECI_FRAME_BODY_MAX, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CONTROL, 0, 73, ECI_H_KILL, 0, zeros, ECI_FRAME_BODY_MAX + 1, w->now),
		     -2);
	world_free(w);
}

/* What was sent to the child before it waits, and is in one piece with it then. */
Test(queue, hello_goes_first)
{
	struct world *w = world_master();
	struct eci_frame f;
	struct eci_link *l = eci_router_add_child(w->r, 256, 8, w);
	const uint8_t *p;
	w->wakes = 0;
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 256, ECI_H_CALL, 0, "a", 1, w->now), 0);
	cr_assert(w->wakes == 0 && eci_link_output(l, &p, 65536) == 0);
	char long_hello[ECI_HELLO_MAX + 1] = {0};
	cr_assert_eq(eci_link_start(l, long_hello, sizeof long_hello, w->now), -1);
	cr_assert_eq(eci_link_start(l, long_hello, ECI_HELLO_MAX, w->now), 0);
	cr_assert_eq(w->wakes, 1);
	cr_assert_eq(eci_router_send(w->r, ECI_CONTROL, 0, 256, ECI_H_KILL, 0, "b", 1, w->now), 0);
	cr_assert_eq(eci_link_output(l, &p, 65536), eci_wire(ECI_HELLO_MAX) + 2 * eci_wire(1));
	static const uint32_t order[] = {ECI_H_HELLO, ECI_H_KILL, ECI_H_CALL};
	for (int i = 0; i < 3; i++)
		cr_assert(take(w, l, &f) && f.handle == order[i]);
	cr_assert_not(eci_link_up(l));
	world_free(w);
}

Test(queue, bytes_before_hello_was_written_end_the_link)
{
	struct world *w = world_master();
	struct eci_link *l = eci_router_add_child(w->r, 256, 8, w);
	eci_link_feed(l, zeros, 1, w->now);
	cr_assert(w->broken == 1);
	cr_assert_str_eq(w->reason, "early-bytes");
	world_free(w);
}

/* Stored frames that find no memory: a call is refused, the link stays. */
extern long eci_test_fail_after;
Test(queue, no_memory_for_a_call)
{
	struct world *w = world_master();
	eci_test_fail_after = 0;
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 72, ECI_H_CALL, 0, zeros, 60000, w->now), -1);
	eci_test_fail_after = -1;
	cr_assert_eq(w->broken, 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 72, ECI_H_CALL, 0, zeros, 60000, w->now), 0);
	cr_assert_eq(drop_output(w, w->kid[0]), 1);
	world_free(w);
}
