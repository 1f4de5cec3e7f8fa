/* Hop credit: in flight never above the window, ACKs in time, and the window that follows the link. */
#include "router_support.h"
#include "tests/support/random.h"

static uint8_t zeros[ECI_BULK_BODY_MAX];
#define FULL eci_wire(ECI_BULK_BODY_MAX)

static void down(struct world *w, size_t n)
{
	feed(w, w->up, ECI_BULK, 0, 72, 0, 300, 9, zeros, n);
}

static void up(struct world *w, size_t n)
{
	feed(w, w->kid[0], ECI_BULK, 0, 0, 72, 300, 9, zeros, n);
}

/* Sum of the ACKs that the router wrote to l; other frames are counted in *others. */
static uint64_t acks(struct world *w, struct eci_link *l, int *others)
{
	struct eci_frame f;
	uint64_t sum = 0;
	while (take(w, l, &f)) {
		if (f.handle == ECI_H_ACK) {
			cr_assert(f.cls == ECI_CONTROL && f.dst == eci_link_peer(l) && f.src == ME);
			sum += read_uint(&f);
		} else if (others) {
			++*others;
		}
	}
	return sum;
}

Test(credit, never_more_than_the_window_in_flight)
{
	struct world *w = world_relay();
	struct eci_random rnd = eci_random_open("credit", 44);
	struct eci_frame f;
	uint32_t flying = 0, top = 0;
	for (int i = 0; i < 3000; i++) {
		if (i % 3 == 0)
			down(w, eci_random_below(&rnd, ECI_BULK_BODY_MAX + 1));
		while (take(w, w->kid[0], &f))
			flying += eci_wire(f.len);
		cr_assert_leq(flying, ECI_HOP_WINDOW_MIN);
		cr_assert_eq(flying, w->kid[0]->inflight);
		top = flying > top ? flying : top;
		if (flying && i % 4 == 0) {
			uint32_t n = 1 + eci_random_below(&rnd, flying);
			feed_int(w, w->kid[0], 72, ECI_H_ACK, n);
			flying -= n;
		}
		if (w->kid[0]->bulk_bytes > 200000) /* let it run empty now and then, PAUSE is not the matter here */
			while (flying) {
				feed_int(w, w->kid[0], 72, ECI_H_ACK, flying);
				for (flying = 0; take(w, w->kid[0], &f);)
					flying += eci_wire(f.len);
			}
	}
	cr_assert_gt(top, ECI_HOP_WINDOW_MIN - FULL);
	world_free(w);
}

Test(credit, a_frame_goes_when_nothing_is_in_flight)
{
	struct world *w = world_relay();
	for (int i = 0; i < 5; i++)
		down(w, ECI_BULK_BODY_MAX);
	int n = drop_output(w, w->kid[0]);
	cr_assert_eq(n, 3, "3 x 16412 <= 65536 < 4 x 16412");
	feed_int(w, w->kid[0], 72, ECI_H_ACK, FULL);
	cr_assert_eq(drop_output(w, w->kid[0]), 1);
	world_free(w);
}

Test(credit, the_window_to_its_last_byte)
{
	struct world *w = world_relay();
	for (int i = 0; i < 3; i++)
		down(w, ECI_HOP_WINDOW_MIN / 4 - ECI_FRAME_HEADER);
	down(w, ECI_HOP_WINDOW_MIN / 4 - ECI_FRAME_HEADER + 1);
	cr_assert_eq(drop_output(w, w->kid[0]), 3, "a byte too many");
	feed_int(w, w->kid[0], 72, ECI_H_ACK, 1);
	cr_assert_eq(drop_output(w, w->kid[0]), 1, "exactly the window");
	cr_assert_eq(w->kid[0]->inflight, ECI_HOP_WINDOW_MIN);
	world_free(w);
}

Test(credit, ack_for_more_than_is_in_flight)
{
	struct world *w = world_relay();
	down(w, 100);
	drop_output(w, w->kid[0]);
	feed_int(w, w->kid[0], 72, ECI_H_ACK, 128);
	cr_assert_eq(w->broken, 0);
	feed_int(w, w->kid[0], 72, ECI_H_ACK, 1);
	cr_assert(w->broken == 1 && w->broken_link == w->kid[0]);
	cr_assert_str_eq(w->reason, "bad-credit");
	world_free(w);
}

Test(credit, ack_that_does_not_decode)
{
	static const char *const bad[] = {"", "\x18", "\x20", "\x01\x01", "\xF6"};
	for (size_t i = 0; i < 5; i++) {
		struct world *w = world_relay();
		feed(w, w->kid[0], ECI_CONTROL, 0, ME, 72, ECI_H_ACK, 0, bad[i], strlen(bad[i]));
		cr_assert_eq(w->broken, 1);
		cr_assert_str_eq(w->reason, "bad-body");
		world_free(w);
	}
}

Test(credit, from_the_parent_on_receipt)
{
	struct world *w = world_relay();
	down(w, ECI_ACK_AT - ECI_FRAME_HEADER - 1);
	cr_assert_eq(acks(w, w->up, NULL), 0, "below the threshold it may wait");
	down(w, 0);
	cr_assert_eq(acks(w, w->up, NULL), ECI_ACK_AT - 1 + ECI_FRAME_HEADER);
	cr_assert_eq(w->kid[0]->inflight, 0, "the child has read nothing yet");
	down(w, ECI_ACK_AT - ECI_FRAME_HEADER);
	cr_assert_eq(acks(w, w->up, NULL), ECI_ACK_AT, "exactly the threshold");
	world_free(w);
}

Test(credit, within_20_ms)
{
	struct world *w = world_relay();
	down(w, 100);
	uint64_t due = eci_router_tick(w->r, w->now);
	cr_assert_leq(due, w->now + ECI_ACK_WITHIN);
	eci_router_tick(w->r, due - 1);
	cr_assert_eq(acks(w, w->up, NULL), 0);
	w->now = due;
	eci_router_tick(w->r, w->now);
	cr_assert_eq(acks(w, w->up, NULL), 128);
	cr_assert_eq(eci_router_tick(w->r, w->now), UINT64_MAX);
	world_free(w);
}

Test(credit, the_20_ms_count_from_the_first_byte)
{
	struct world *w = world_relay();
	down(w, 100);
	uint64_t due = w->now + ECI_ACK_WITHIN;
	w->now = due - 1;
	down(w, 100);
	cr_assert_eq(eci_router_tick(w->r, w->now), due);
	w->now = due;
	eci_router_tick(w->r, w->now);
	cr_assert_eq(acks(w, w->up, NULL), 256);
	world_free(w);
}

Test(credit, from_a_child_when_written_on)
{
	struct world *w = world_relay();
	const uint8_t *p;
	up(w, ECI_BULK_BODY_MAX);
	cr_assert_eq(acks(w, w->kid[0], NULL), 0);
	cr_assert_eq(eci_link_output(w->up, &p, 65536), FULL);
	eci_link_wrote(w->up, FULL - 1, w->now);
	cr_assert_eq(acks(w, w->kid[0], NULL), 0, "one byte is missing");
	cr_assert_eq(eci_link_output(w->up, &p, 65536), 1);
	eci_link_wrote(w->up, 1, w->now);
	cr_assert_eq(acks(w, w->kid[0], NULL), FULL);
	cr_assert_eq(w->kid[0]->unacked, 0);
	world_free(w);
}

/* The next frame to l is an ACK of so many bytes, and the only one. */
static bool one_ack(struct world *w, struct eci_link *l, uint64_t bytes)
{
	struct eci_frame f;
	return take(w, l, &f) && f.handle == ECI_H_ACK && read_uint(&f) == bytes && !take(w, l, &f);
}

Test(credit, one_for_all_of_a_read_or_a_write)
{
	struct world *w = world_relay();
	struct eci_frame f = {.cls = ECI_BULK, .hops = ECI_HOPS, .dst = 72, .handle = 300, .reply_to = 9};
	uint8_t *read = malloc(3 * FULL);
	const uint8_t *p;
	f.len = ECI_BULK_BODY_MAX;
	f.body = zeros;
	for (uint8_t *at = read; at < read + 3 * FULL; at += FULL) {
		eci_frame_pack(at, &f);
		memcpy(at + ECI_FRAME_HEADER, zeros, f.len);
	}
	eci_link_feed(w->up, read, 3 * FULL, w->now);
	cr_expect(one_ack(w, w->up, 3 * FULL), "to the parent");
	for (int i = 0; i < 3; i++)
		up(w, ECI_BULK_BODY_MAX);
	cr_assert_eq(eci_link_output(w->up, &p, 65536), 3 * FULL);
	eci_link_wrote(w->up, 3 * FULL, w->now);
	cr_expect_eq(drop_output(w, w->kid[0]), 4, "what came down, and one ACK");
	cr_expect_eq(w->kid[0]->unacked, 0);
	free(read);
	world_free(w);
}

Test(credit, from_a_child_when_taken_or_dropped)
{
	struct world *w = world_relay();
	feed(w, w->kid[0], ECI_BULK, 0, ME, 72, ECI_H_LOG, 0, zeros, ECI_BULK_BODY_MAX); /* delivered */
	cr_assert_eq(acks(w, w->kid[0], NULL), FULL);
	feed(w, w->kid[0], ECI_BULK, 0, 80, 72, 300, 0, zeros, ECI_BULK_BODY_MAX); /* refused */
	cr_assert_eq(acks(w, w->kid[0], NULL), FULL);
	feed(w, w->kid[0], ECI_BULK, 0, 0, 99, 300, 0, zeros, ECI_BULK_BODY_MAX); /* forged */
	cr_assert_eq(acks(w, w->kid[0], NULL), FULL);
	feed(w, w->kid[0], ECI_BULK, ECI_F_MULTICAST, 5, 72, 300, 0, zeros, ECI_BULK_BODY_MAX);
	cr_assert_eq(acks(w, w->kid[0], NULL), FULL);
	world_free(w);
}

/* The child is gone when its frame has been written: its ACK has nowhere to go, and must not go anywhere else. */
Test(credit, owed_to_a_lost_child)
{
	struct world *w = world_relay();
	up(w, 1000);
	up(w, 2000);
	eci_link_lost(w->kid[0], "eof", "", w->now);
	struct eci_link *again = eci_router_add_child(w->r, 112, 8, w);
	cr_assert_eq(drop_output(w, w->up), 2);
	cr_assert_eq(again->owed, 0);
	world_free(w);
}

/* A child that ignores its window; nothing is written on. */
Test(credit, receiver_ends_a_link_beyond_16_mib_and_64_kib)
{
	struct world *w = world_relay();
	uint32_t all = 0;
	while (all + FULL <= ECI_HOP_WINDOW_MAX + ECI_HOP_WINDOW_MIN) {
		up(w, ECI_BULK_BODY_MAX);
		all += FULL;
	}
	up(w, ECI_HOP_WINDOW_MAX + ECI_HOP_WINDOW_MIN - all - ECI_FRAME_HEADER);
	cr_assert_eq(w->broken, 0);
	cr_assert_eq(w->kid[0]->unacked, ECI_HOP_WINDOW_MAX + ECI_HOP_WINDOW_MIN);
	size_t waiting = w->up->bulk_bytes;
	up(w, 0);
	cr_assert(w->broken == 1 && w->broken_link == w->kid[0]);
	cr_assert_str_eq(w->reason, "bad-credit");
	cr_assert_eq(w->up->bulk_bytes, waiting, "what was too much is not passed on");
	world_free(w);
}

/* ---- the window ---- */
static void starve(struct world *w)
{
	while (w->kid[0]->bulk_bytes < 200000)
		down(w, ECI_BULK_BODY_MAX);
	drop_output(w, w->kid[0]);
	cr_assert(w->kid[0]->starved);
}

/* Answers the PING that is due, after rtt ms. */
static void heartbeat(struct world *w, uint32_t rtt)
{
	struct eci_frame f = {0};
	while (!w->kid[0]->ping_sent) {
		if (w->now < w->kid[0]->ping_next) /* its clock never goes back */
			w->now = w->kid[0]->ping_next;
		eci_router_tick(w->r, w->now);
	}
	drop_output(w, w->kid[0]);
	(void)f;
	w->now += rtt;
	feed_int(w, w->kid[0], 72, ECI_H_PONG, w->kid[0]->ping_n);
}

Test(credit, window_follows_the_round_trip)
{
	struct world *w = world_relay();
	eci_link_set_idle(w->kid[0], 15000);
	heartbeat(w, 30); /* the best round trip: 30 ms */
	cr_assert_eq(w->kid[0]->window, ECI_HOP_WINDOW_MIN, "not starved: stays");
	starve(w);
	heartbeat(w, 33);
	cr_assert_eq(w->kid[0]->window, 2 * ECI_HOP_WINDOW_MIN, "3 ms over the best is near");
	starve(w);
	heartbeat(w, 41);
	cr_assert_eq(w->kid[0]->window, 2 * ECI_HOP_WINDOW_MIN, "11 ms are more than two frames here");
	heartbeat(w, 48);
	cr_assert_eq(w->kid[0]->window, 2 * ECI_HOP_WINDOW_MIN, "18 ms are three");
	heartbeat(w, 49);
	cr_assert_eq(w->kid[0]->window, ECI_HOP_WINDOW_MIN, "19 ms are more: the doubling is taken back");
	for (int i = 0; i < 3; i++)
		heartbeat(w, 5000);
	cr_assert_eq(w->kid[0]->window, ECI_HOP_WINDOW_MIN);
	feed_int(w, w->kid[0], 72, ECI_H_ACK, w->kid[0]->inflight);
	starve(w);
	heartbeat(w, 30);
	cr_assert_eq(w->kid[0]->window, ECI_HOP_WINDOW_MIN * 5 / 4, "and by quarters from then on");
	for (int i = 0; i < 40; i++) {
		feed_int(w, w->kid[0], 72, ECI_H_ACK, w->kid[0]->inflight);
		while (w->kid[0]->bulk_bytes <= 2 * w->kid[0]->window && w->kid[0]->bulk_bytes < 40000000)
			down(w, ECI_BULK_BODY_MAX);
		drop_output(w, w->kid[0]);
		heartbeat(w, 30);
	}
	cr_assert_eq(w->kid[0]->window, ECI_HOP_WINDOW_MAX);
	heartbeat(w, 61);
	cr_assert_eq(w->kid[0]->window, ECI_HOP_WINDOW_MAX / 4 * 3, "and back by one");
	world_free(w);
}

/* What two frames on the way are in time is a burst, until bytes have piled up; and a window grows once for each time
 * that bulk waited. */
Test(credit, a_burst_is_no_queue)
{
	struct world *w = world_relay();
	eci_link_set_idle(w->kid[0], 15000);
	heartbeat(w, 30);
	starve(w);
	eci_credit_sample(w->kid[0], 30);
	cr_assert_eq(w->kid[0]->window, 2 * ECI_HOP_WINDOW_MIN);
	eci_credit_sample(w->kid[0], 30);
	cr_assert_eq(w->kid[0]->window, 2 * ECI_HOP_WINDOW_MIN, "nothing has waited since");
	starve(w);
	heartbeat(w, 38);
	cr_assert_eq(w->kid[0]->window, 4 * ECI_HOP_WINDOW_MIN, "8 ms are less than two frames");
	heartbeat(w, 5000);
	heartbeat(w, 5000);
	heartbeat(w, 5000);
	feed_int(w, w->kid[0], 72, ECI_H_ACK, w->kid[0]->inflight);
	starve(w);
	heartbeat(w, 38);
	cr_assert_eq(w->kid[0]->window, 4 * ECI_HOP_WINDOW_MIN / 2 * 9 / 16, "8 ms are too much now");
	heartbeat(w, 33);
	cr_assert_eq(w->kid[0]->window, 4 * ECI_HOP_WINDOW_MIN / 2 * 9 / 16 * 5 / 4, "and 3 still near");
	world_free(w);
}

/* A long way: its best round trip decides what is near and what is too long. */
static void acknowledge(struct world *w)
{
	feed_int(w, w->kid[0], 72, ECI_H_ACK, w->kid[0]->inflight);
	while (w->kid[0]->bulk_bytes <= 2 * w->kid[0]->window)
		down(w, ECI_BULK_BODY_MAX);
	drop_output(w, w->kid[0]);
}

Test(credit, a_long_way_is_uneven)
{
	struct world *w = world_relay();
	uint32_t window = ECI_HOP_WINDOW_MIN;
	eci_link_set_idle(w->kid[0], 15000);
	for (; window < 1u << 20; window *= 2) {
		acknowledge(w);
		heartbeat(w, 160);
	}
	cr_assert_eq(w->kid[0]->window, window);
	acknowledge(w);
	heartbeat(w, 170);
	cr_assert_eq(w->kid[0]->window, 2 * window, "1/16 over the best is near");
	acknowledge(w);
	heartbeat(w, 171);
	heartbeat(w, 200);
	cr_assert_eq(w->kid[0]->window, 2 * window, "1/4 over is not too long");
	heartbeat(w, 201);
	cr_assert_eq(w->kid[0]->window, window);
	world_free(w);
}

/* Of a short one it is a few ms, once the window is more than they fill. */
Test(credit, a_short_way_is_uneven)
{
	struct world *w = world_relay();
	uint32_t window = ECI_HOP_WINDOW_MIN;
	eci_link_set_idle(w->kid[0], 15000);
	for (; window < 1u << 20; window *= 2) {
		acknowledge(w);
		heartbeat(w, 30);
	}
	acknowledge(w);
	heartbeat(w, 30 + 3 + 1);
	cr_assert_eq(w->kid[0]->window, window, "4 ms over the best are not near");
	acknowledge(w);
	heartbeat(w, 30 + 3);
	cr_assert_eq(w->kid[0]->window, 2 * window, "3 ms are");
	heartbeat(w, 30 + 10);
	cr_assert_eq(w->kid[0]->window, 2 * window, "10 ms are not too long");
	heartbeat(w, 30 + 10 + 1);
	cr_assert_eq(w->kid[0]->window, window, "11 ms are");
	world_free(w);
}

Test(credit, a_link_that_wants_credit_measures_soon)
{
	struct world *w = world_relay();
	eci_link_set_idle(w->kid[0], 15000);
	heartbeat(w, 1);
	starve(w);
	cr_assert_eq(w->kid[0]->ping_next, w->kid[0]->ping_last + 100);
	cr_assert_leq(eci_router_tick(w->r, w->now), w->now + 100);
	world_free(w);
}

/* The child's side has no heartbeat: the time until all that was in flight is acknowledged. */
Test(credit, window_of_a_child_grows_by_its_acks)
{
	struct world *w = world_relay();
	for (int i = 0; i < 10; i++)
		feed(w, w->kid[0], ECI_BULK, 0, 0, 72, 300, 9, zeros, ECI_BULK_BODY_MAX);
	cr_assert_eq(drop_output(w, w->up), 3);
	w->now += 40;
	feed_int(w, w->up, 0, ECI_H_ACK, FULL);
	cr_assert_eq(w->up->window, ECI_HOP_WINDOW_MIN);
	feed_int(w, w->up, 0, ECI_H_ACK, 2 * FULL);
	cr_assert_eq(w->up->window, 2 * ECI_HOP_WINDOW_MIN);
	world_free(w);
}

/* Once: what is acknowledged later was not measured. */
Test(credit, a_childs_measure_is_taken_once)
{
	struct world *w = world_relay();
	for (int i = 0; i < 10; i++)
		feed(w, w->kid[0], ECI_BULK, 0, 0, 72, 300, 9, zeros, ECI_BULK_BODY_MAX);
	cr_assert_eq(drop_output(w, w->up), 3);
	w->now += 40;
	feed_int(w, w->up, 0, ECI_H_ACK, 3 * FULL);
	cr_assert_eq(w->up->window, 2 * ECI_HOP_WINDOW_MIN);
	cr_assert_eq(drop_output(w, w->up), 7);
	cr_assert(!w->up->starved && !w->up->probe_left);
	w->now += 1000;
	feed_int(w, w->up, 0, ECI_H_ACK, FULL);
	cr_assert_eq(w->up->probe_left, 0);
	feed_int(w, w->up, 0, ECI_H_ACK, 6 * FULL);
	cr_assert_eq(w->up->window, 2 * ECI_HOP_WINDOW_MIN, "a second is no round trip of it");
	cr_assert_eq(w->up->probe_left, 0);
	world_free(w);
}
