/* Heartbeats and silent links, with a clock that is a number. */
#include "router_support.h"

static uint64_t tick_at(struct world *w, uint64_t now)
{
	w->now = now;
	return eci_router_tick(w->r, now);
}

Test(beat, ping_interval)
{
	static const uint32_t idle[] = {1497, 1500, 1503, 9000, 14997, 15000, 15003, 60000};
	static const uint32_t want[] = {500, 500, 501, 3000, 4999, 5000, 5000, 5000};
	for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
		struct world *w = world_relay();
		struct eci_frame f;
		eci_link_set_idle(w->kid[0], idle[i]);
		cr_assert_eq(tick_at(w, 1000), 1000 + want[i]);
		tick_at(w, 999 + want[i]);
		cr_assert_not(take(w, w->kid[0], &f));
		tick_at(w, 1000 + want[i]);
		cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_PING && f.cls == ECI_CONTROL && f.dst == 72);
		feed_int(w, w->kid[0], 72, ECI_H_PONG, read_uint(&f));
		tick_at(w, 1000 + 2 * want[i]);
		cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_PING);
		world_free(w);
	}
}

Test(beat, pong_tells_the_round_trip)
{
	struct world *w = world_relay();
	struct eci_frame f;
	struct eci_link_stats st;
	eci_link_set_idle(w->kid[0], 15000);
	tick_at(w, 6000);
	cr_assert(take(w, w->kid[0], &f));
	w->now = 6037;
	feed_int(w, w->kid[0], 72, ECI_H_PONG, read_uint(&f) + 1); /* another one's answer */
	eci_link_get_stats(w->kid[0], &st);
	cr_assert_eq(st.rtt_us, 0);
	feed_int(w, w->kid[0], 72, ECI_H_PONG, read_uint(&f));
	eci_link_get_stats(w->kid[0], &st);
	cr_assert_eq(st.rtt_us, 37000);
	world_free(w);
}

/* Where the way is longer than the time between two PINGs, each would else be forgotten before its answer is here. */
Test(beat, a_long_way_has_a_round_trip_too)
{
	struct world *w = world_relay();
	struct eci_frame f, again;
	struct eci_link_stats st;
	eci_link_set_idle(w->kid[0], 1500);
	tick_at(w, 1500);
	cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_PING);
	uint64_t n = read_uint(&f);
	tick_at(w, 2000);
	cr_assert(take(w, w->kid[0], &again) && again.handle == ECI_H_PING, "the child waits for a sign of life");
	cr_assert_eq(read_uint(&again), n);
	w->now = 2200;
	feed_int(w, w->kid[0], 72, ECI_H_PONG, n);
	eci_link_get_stats(w->kid[0], &st);
	cr_assert_eq(st.rtt_us, 700000);
	w->now = 2450;
	feed_int(w, w->kid[0], 72, ECI_H_PONG, n); /* to the second: it says nothing */
	tick_at(w, 2600);
	cr_assert(take(w, w->kid[0], &f) && read_uint(&f) == n + 1);
	eci_link_get_stats(w->kid[0], &st);
	cr_assert_eq(st.rtt_us, 700000);
	world_free(w);
}

/* Acknowledges all that is in flight, 100 ms later. */
static void a_window_later(struct world *w, struct eci_link *l)
{
	struct eci_frame f;
	uint64_t n = 0;
	while (take(w, l, &f))
		n += f.cls == ECI_BULK ? eci_wire(f.len) : 0;
	tick_at(w, w->now + 100);
	feed_int(w, l, eci_link_peer(l), ECI_H_ACK, n);
}

/* Without heartbeats the window of a child's link grows by the ACKs, as a parent's does. */
Test(beat, idle_0_and_the_window)
{
	struct world *w = world_master();
	static uint8_t zeros[ECI_BULK_BODY_MAX];
	eci_link_set_idle(w->kid[0], 0);
	for (int i = 0; i < 2000; i++)
		cr_assert_eq(eci_router_send(w->r, ECI_BULK, 0, 73, 300, 300, zeros, sizeof zeros, w->now), 0);
	for (int i = 0; i < 8; i++)
		a_window_later(w, w->kid[0]);
	cr_assert_geq(w->kid[0]->window, 16 * ECI_HOP_WINDOW_MIN, "%u", (unsigned)w->kid[0]->window);
	world_free(w);
}

/* The largest is measured too: a way that becomes slow under it makes it smaller. */
Test(beat, the_largest_window_shrinks)
{
	struct world *w = world_relay();
	static uint8_t zeros[ECI_BULK_BODY_MAX];
	for (int i = 0; i < 4000; i++)
		cr_assert_eq(eci_router_send(w->r, ECI_BULK, 0, 0, 300, 300, zeros, sizeof zeros, w->now), 0);
	w->up->window = ECI_HOP_WINDOW_MAX;
	w->up->rtt_best = 10;
	a_window_later(w, w->up);
	a_window_later(w, w->up);
	cr_assert_lt(w->up->window, ECI_HOP_WINDOW_MAX);
	world_free(w);
}

Test(beat, a_child_answers)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed_int(w, w->up, 0, ECI_H_PING, UINT64_C(1) << 40);
	cr_assert(take(w, w->up, &f) && f.handle == ECI_H_PONG && f.dst == 0 && f.cls == ECI_CONTROL);
	cr_assert_eq(read_uint(&f), UINT64_C(1) << 40);
	world_free(w);
}

Test(beat, silent_at_exactly_idle)
{
	struct world *w = world_relay();
	eci_link_set_idle(w->kid[0], 3000);
	eci_link_set_idle(w->up, 3000);
	tick_at(w, 3999);
	cr_assert_eq(w->broken, 0);
	eci_link_feed(w->up, (const uint8_t *)"\xEC", 1, 3999); /* any byte is life */
	tick_at(w, 4000);
	cr_assert(w->broken == 1 && w->broken_link == w->kid[0]);
	cr_assert_str_eq(w->reason, "silent");
	tick_at(w, 6998);
	cr_assert_eq(w->broken, 1);
	tick_at(w, 6999);
	cr_assert(w->broken == 2 && w->broken_link == w->up);
	tick_at(w, 20000);
	cr_assert_eq(w->broken, 2, "told once");
	world_free(w);
}

Test(beat, idle_0_switches_it_off)
{
	struct world *w = world_relay();
	eci_link_set_idle(w->kid[0], 3000);
	eci_link_set_idle(w->kid[0], 0);
	tick_at(w, 1000000);
	cr_assert_eq(tick_at(w, 1000001), UINT64_MAX);
	cr_assert_eq(w->broken + drop_output(w, w->kid[0]), 0);
	world_free(w);
}

Test(beat, a_child_that_never_says_hello_is_silent_too)
{
	struct world *w = world_master();
	struct eci_link *l = eci_router_add_child(w->r, 256, 8, w);
	eci_link_set_idle(l, 2000);
	tick_at(w, 50000);
	cr_assert_eq(w->broken, 0, "its dialogue has not ended");
	eci_link_start(l, "\xA0", 1, w->now);
	drop_output(w, l);
	tick_at(w, 51999);
	cr_assert_eq(w->broken, 0);
	cr_assert_eq(drop_output(w, l), 0, "no PING before HELLO");
	tick_at(w, 52000);
	cr_assert(w->broken == 1 && w->broken_link == l);
	world_free(w);
}

Test(beat, tick_returns_the_next_instant)
{
	struct world *w = world_relay();
	cr_assert_eq(tick_at(w, 1000), UINT64_MAX);
	eci_link_set_idle(w->kid[0], 15000);
	eci_link_set_idle(w->kid[1], 6000);
	cr_assert_eq(tick_at(w, 1000), 3000);
	cr_assert_eq(tick_at(w, 3000), 4992, "6000 / 3 again, with others'");
	cr_assert_eq(tick_at(w, 4992), 6000, "the other's first");
	world_free(w);
}

static int drain(struct eci_link *l, uint64_t now)
{
	const uint8_t *p;
	size_t n = eci_link_output(l, &p, 65536);
	if (n)
		eci_link_wrote(l, n, now);
	return n > 0;
}

/* Each instant looks at every link: as many instants as links would be a square. */
Test(beat, many_links_ping_together)
{
	enum { MANY = 500 };
	struct world *w = world_master();
	static struct eci_link *l[MANY];
	int instants = 0, pings = 0;
	for (uint32_t i = 0; i < MANY; i++) {
		tick_at(w, 1000 + 9 * i);
		cr_assert_not_null(l[i] = eci_router_add_child(w->r, 1024 + 8 * i, 8, w));
		cr_assert_eq(eci_link_start(l[i], "\xA0", 1, w->now), 0);
		drain(l[i], w->now);
		feed(w, l[i], ECI_CONTROL, 0, eci_router_id(w->r), 1024 + 8 * i, ECI_H_HELLO, 0, "\xA0", 1);
		cr_assert(eci_link_up(l[i]));
		eci_link_set_idle(l[i], 15000);
		drain(l[i], w->now);
	}
	for (uint64_t t = tick_at(w, w->now); t < 21000; t = tick_at(w, t)) {
		int sent = 0;
		w->now = t;
		for (uint32_t i = 0; i < MANY; i++)
			if (drain(l[i], t)) {
				sent++;
				feed_int(w, l[i], 1024 + 8 * i, ECI_H_PONG, 0); /* a sign of life */
			}
		if (t > 11000) { /* each had its first, at an instant of its own */
			instants += sent > 0;
			pings += sent;
		}
	}
	cr_assert_eq(w->broken, 0);
	cr_assert_geq(pings, 2 * MANY - 50, "%d", pings);
	cr_assert_leq(instants, 10000 / 128 + 1, "%d instants", instants);
	world_free(w);
}
