/* PAUSE and RESUME: who says it and when, what it stops, and the bound on what a relay holds. */
#include "router_support.h"

static uint8_t zeros[ECI_BULK_BODY_MAX];
#define FULL eci_wire(ECI_BULK_BODY_MAX)

static void down(struct world *w, uint32_t dst)
{
	feed(w, w->up, ECI_BULK, 0, dst, 0, 300, 9, zeros, sizeof zeros);
}

/* So many bytes, headers included. */
static void down_bytes(struct world *w, uint32_t dst, size_t bytes)
{
	for (size_t n; bytes; bytes -= n) {
		n = bytes >= 2 * FULL ? FULL : bytes > FULL ? bytes / 2 : bytes;
		feed(w, w->up, ECI_BULK, 0, dst, 0, 300, 9, zeros, n - ECI_FRAME_HEADER);
	}
}

static void pause_(struct world *w, uint64_t lo, uint64_t hi)
{
	feed_pair(w, w->kid[2], ME, 96, ECI_H_PAUSE, 0, lo, hi);
}

static void resume(struct world *w, uint64_t lo, uint64_t hi)
{
	feed_pair(w, w->kid[2], ME, 96, ECI_H_RESUME, 0, lo, hi);
}

/* The next PAUSE or RESUME that the router sent up; false: none. */
static bool said(struct world *w, uint32_t handle, uint64_t lo, uint64_t hi)
{
	struct eci_frame f;
	while (take(w, w->up, &f)) {
		if (f.handle == ECI_H_ACK)
			continue;
		uint64_t x, y;
		read_pair(&f, &x, &y);
		cr_assert(f.handle == handle && x == lo && y == hi, "%u [%u, %u)", f.handle, (unsigned)x, (unsigned)y);
		return true;
	}
	return false;
}

static bool silent(struct world *w)
{
	return !said(w, 0, 0, 0);
}

/* The child reads n frames and acknowledges them. */
static int read_frames(struct world *w, struct eci_link *l, int n)
{
	struct eci_frame f;
	int bulks = 0;
	while (bulks < n && take(w, l, &f))
		if (f.cls == ECI_BULK) {
			bulks++;
			feed_int(w, l, eci_link_peer(l), ECI_H_ACK, eci_wire(f.len));
		}
	return bulks;
}

Test(pause, a_slow_child_link_is_paused_and_resumed)
{
	struct world *w = world_relay();
	int n = 0;
	while (w->kid[0]->bulk_bytes + FULL <= ECI_PAUSE_AT) {
		down(w, 72);
		n++;
	}
	cr_assert(silent(w));
	down(w, 72);
	n++;
	cr_assert(said(w, ECI_H_PAUSE, 72, 80));
	down(w, 73);
	n++;
	cr_assert(silent(w), "said once");
	while (w->kid[0]->bulk_bytes > ECI_RESUME_AT) {
		cr_assert(silent(w));
		cr_assert_eq(read_frames(w, w->kid[0], 1), 1);
		n--;
	}
	cr_assert(said(w, ECI_H_RESUME, 72, 80));
	world_free(w);
}

Test(pause, a_paused_interval_is_skipped_and_its_siblings_are_not)
{
	struct world *w = world_relay();
	struct eci_frame f;
	pause_(w, 104, 112);
	down(w, 104);
	down(w, 97);
	cr_assert(take(w, w->kid[2], &f) && f.dst == 97);
	cr_assert_not(take(w, w->kid[2], &f));
	feed(w, w->up, ECI_CALL, 0, 104, 0, ECI_H_CALL, 0, zeros, 5);
	cr_assert(take(w, w->kid[2], &f) && f.dst == 104, "only bulk is paused");
	cr_assert_not(take(w, w->kid[2], &f));
	int before = w->wakes;
	resume(w, 104, 112);
	cr_assert_eq(w->wakes, before + 1, "it may have nothing else to say for a long time");
	cr_assert(take(w, w->kid[2], &f) && f.dst == 104 && f.cls == ECI_BULK);
	cr_assert_eq(w->broken, 0);
	world_free(w);
}

Test(pause, both_ends_of_an_interval_and_nothing_beside_them)
{
	struct world *w = world_relay();
	struct eci_frame f;
	pause_(w, 100, 104);
	for (uint32_t dst = 99; dst <= 104; dst++)
		down(w, dst);
	cr_assert(take(w, w->kid[2], &f) && f.dst == 99);
	cr_assert(take(w, w->kid[2], &f) && f.dst == 104);
	cr_assert_not(take(w, w->kid[2], &f));
	resume(w, 100, 104);
	int n = 0;
	while (take(w, w->kid[2], &f)) {
		cr_assert(f.dst >= 100 && f.dst <= 103);
		feed_int(w, w->kid[2], 96, ECI_H_ACK, eci_wire(f.len));
		n++;
	}
	cr_assert_eq(n, 4);
	world_free(w);
}

Test(pause, what_waits_already_stops_too)
{
	struct world *w = world_relay();
	for (int i = 0; i < 3; i++) {
		down(w, 104);
		down(w, 97);
	}
	pause_(w, 104, 112);
	struct eci_frame f;
	int n = 0;
	while (take(w, w->kid[2], &f)) {
		cr_assert_eq(f.dst, 97);
		n++;
	}
	cr_assert_eq(n, 3);
	cr_assert_eq(w->kid[2]->active_bytes, 0);
	world_free(w);
}

Test(pause, a_paused_interval_is_passed_on_upward)
{
	struct world *w = world_relay();
	pause_(w, 104, 112);
	while (w->kid[2]->bulk_bytes + FULL <= ECI_PAUSE_AT)
		down(w, 105);
	cr_assert(silent(w));
	down(w, 105);
	cr_assert(said(w, ECI_H_PAUSE, 104, 112), "that interval, not the link's");
	/* RESUME from below sends again; upward it is said when the rest has drained. */
	resume(w, 104, 112);
	while (w->kid[2]->bulk_bytes > ECI_RESUME_AT) {
		cr_assert(silent(w));
		cr_assert_eq(read_frames(w, w->kid[2], 1), 1);
	}
	cr_assert(said(w, ECI_H_RESUME, 104, 112));
	cr_assert_null(w->kid[2]->pauses);
	cr_assert_eq(w->kid[2]->active_bytes, w->kid[2]->bulk_bytes);
	world_free(w);
}

/* Of a link as such, and of a part that the child paused. */
Test(pause, more_than_256_kib_to_the_byte)
{
	for (int part = 0; part <= 1; part++)
		for (size_t past = 0; past <= 1; past++) {
			struct world *w = world_relay();
			if (part)
				pause_(w, 104, 112);
			down_bytes(w, 104, ECI_PAUSE_AT + past);
			cr_assert_eq(w->kid[2]->bulk_bytes, ECI_PAUSE_AT + past);
			cr_assert(past ? said(w, ECI_H_PAUSE, part ? 104 : 96, 112) : silent(w));
			down_bytes(w, 104, ECI_FRAME_HEADER);
			cr_assert(past ? silent(w) : said(w, ECI_H_PAUSE, part ? 104 : 96, 112));
			world_free(w);
		}
}

Test(pause, no_more_than_64_kib_to_the_byte)
{
	for (int part = 0; part <= 1; part++)
		for (size_t past = 0; past <= 1; past++) {
			struct world *w = world_relay();
			if (part)
				pause_(w, 104, 112);
			down_bytes(w, 104, 12 * FULL);
			down_bytes(w, 104, ECI_RESUME_AT + past);
			cr_assert(said(w, ECI_H_PAUSE, part ? 104 : 96, 112));
			if (part)
				resume(w, 104, 112);
			while (w->kid[2]->bulk_bytes > ECI_RESUME_AT + past)
				cr_assert(silent(w) && read_frames(w, w->kid[2], 1) == 1);
			cr_assert_eq(w->kid[2]->bulk_bytes, ECI_RESUME_AT + past);
			if (past)
				cr_assert(silent(w) && read_frames(w, w->kid[2], 1) == 1);
			cr_assert(said(w, ECI_H_RESUME, part ? 104 : 96, 112));
			world_free(w);
		}
}

/* A parent that honours PAUSE after one more window; the stopped child never reads, its sibling reads everything. */
Test(pause, a_stopped_child_costs_its_sibling_nothing)
{
	struct world *w = world_relay();
	bool paused = false;
	size_t most = 0;
	int sent = 0, got = 0, late = 0;
	for (int i = 0; i < 2000; i++) {
		struct eci_frame f;
		if (!paused || late > 0) {
			down(w, 72); /* never read */
			late -= paused;
		}
		down(w, 80);
		sent++;
		while (take(w, w->up, &f)) {
			if (f.handle == ECI_H_PAUSE) {
				uint64_t lo, hi;
				read_pair(&f, &lo, &hi);
				cr_assert(lo == 72 && hi == 80);
				paused = true;
				late = (int)(ECI_HOP_WINDOW_MIN / FULL);
			}
		}
		got += read_frames(w, w->kid[1], 100);
		size_t held = w->kid[0]->bulk_bytes + w->kid[1]->bulk_bytes;
		most = held > most ? held : most;
	}
	cr_assert(paused);
	cr_assert_eq(got, sent);
	cr_assert_leq(most, ECI_PAUSE_AT + FULL + ECI_HOP_WINDOW_MIN);
	world_free(w);
}

/* A grandchild stops: the child link itself is not paused, however much its interval holds. */
Test(pause, a_stopped_grandchild_does_not_pause_its_cousins)
{
	struct world *w = world_relay();
	pause_(w, 104, 112);
	for (int i = 0; i < 30; i++)
		down(w, 104);
	cr_assert(said(w, ECI_H_PAUSE, 104, 112));
	for (int i = 0; i < 40; i++) {
		down(w, 97);
		cr_assert_eq(read_frames(w, w->kid[2], 10), 1);
	}
	cr_assert(silent(w));
	world_free(w);
}

Test(pause, only_its_own_interval)
{
	static const uint64_t bad[][2] = {{95, 97},   {96, 113},  {112, 120},      {0, 4294967296},
					  {104, 104}, {105, 104}, {0, 4294967297}, {UINT64_MAX, 0}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		for (uint32_t h = ECI_H_PAUSE; h <= ECI_H_RESUME; h++) {
			struct world *w = world_relay();
			feed_pair(w, w->kid[2], ME, 96, h, 0, bad[i][0], bad[i][1]);
			cr_assert(w->broken == 1 && w->broken_link == w->kid[2]);
			cr_assert_str_eq(w->reason, "bad-pause");
			world_free(w);
		}
	struct world *w = world_relay();
	pause_(w, 96, 112);
	pause_(w, 111, 112);
	cr_assert_eq(w->broken, 0);
	feed(w, w->kid[2], ECI_CONTROL, 0, ME, 96, ECI_H_PAUSE, 0, "\x81\x18\x60", 3);
	cr_assert_eq(w->broken, 1);
	cr_assert_str_eq(w->reason, "bad-body");
	world_free(w);
}

Test(pause, nested_pauses_each_need_their_resume)
{
	struct world *w = world_relay();
	struct eci_frame f;
	pause_(w, 96, 112);
	pause_(w, 104, 112);
	down(w, 104);
	down(w, 97);
	resume(w, 96, 112);
	cr_assert(take(w, w->kid[2], &f) && f.dst == 97);
	cr_assert_not(take(w, w->kid[2], &f));
	resume(w, 104, 112);
	cr_assert(take(w, w->kid[2], &f) && f.dst == 104);
	resume(w, 104, 112); /* of nothing */
	cr_assert_eq(w->broken, 0);
	world_free(w);
}

/* What a smaller part held is the larger one's, and does not drain. */
Test(pause, a_smaller_part_is_resumed_and_the_larger_is_not)
{
	struct world *w = world_relay();
	struct eci_frame f;
	pause_(w, 96, 112);
	pause_(w, 104, 112);
	for (int i = 0; i < 17; i++)
		down(w, 104);
	cr_assert(said(w, ECI_H_PAUSE, 104, 112));
	resume(w, 104, 112);
	cr_assert_not(take(w, w->kid[2], &f));
	resume(w, 96, 112);
	cr_assert_eq(read_frames(w, w->kid[2], 17), 17);
	world_free(w);
}

Test(pause, the_65th_pauses_the_whole_link)
{
	struct world *w = world_master();
	struct eci_frame f;
	struct eci_link *l = eci_router_add_child(w->r, 1024, 1024, w);
	child_up(w, l);
	for (uint32_t i = 0; i < ECI_PAUSED_MAX; i++)
		feed_pair(w, l, 0, 1024, ECI_H_PAUSE, 0, 1032 + 8 * i, 1040 + 8 * i);
	cr_assert_eq(l->npauses, ECI_PAUSED_MAX);
	cr_assert_eq(eci_router_send(w->r, ECI_BULK, 0, 2000, 300, 9, zeros, 10, w->now), 0);
	cr_assert(take(w, l, &f) && f.dst == 2000, "64: everybody else goes on");
	feed_pair(w, l, 0, 1024, ECI_H_PAUSE, 0, 1600, 1608);
	cr_assert_eq(eci_router_send(w->r, ECI_BULK, 0, 2000, 300, 9, zeros, 10, w->now), 0);
	cr_assert_not(take(w, l, &f), "65: nobody");
	feed_pair(w, l, 0, 1024, ECI_H_PAUSE, 0, 1608, 1616);
	feed_pair(w, l, 0, 1024, ECI_H_RESUME, 0, 1600, 1608);
	cr_assert_not(take(w, l, &f));
	feed_pair(w, l, 0, 1024, ECI_H_RESUME, 0, 1608, 1616);
	cr_assert(take(w, l, &f) && f.dst == 2000);
	for (uint32_t i = 0; i < ECI_PAUSED_MAX; i++)
		feed_pair(w, l, 0, 1024, ECI_H_RESUME, 0, 1032 + 8 * i, 1040 + 8 * i);
	cr_assert(l->npauses == 0 && !l->pauses && w->broken == 0);
	world_free(w);
}

Test(pause, a_lost_child_is_resumed_upward)
{
	struct world *w = world_relay();
	for (int i = 0; i < 17; i++)
		down(w, 72);
	cr_assert(said(w, ECI_H_PAUSE, 72, 80));
	eci_link_lost(w->kid[0], "eof", "", w->now);
	cr_assert(said(w, ECI_H_RESUME, 72, 80));
	pause_(w, 104, 112);
	for (int i = 0; i < 17; i++)
		down(w, 104);
	cr_assert(said(w, ECI_H_PAUSE, 104, 112));
	eci_link_lost(w->kid[2], "eof", "", w->now);
	cr_assert(said(w, ECI_H_RESUME, 104, 112));
	world_free(w);
}

/* The parent matches exact intervals: one that grows while paused is paused as it is and then resumed as it was, never
 * neither. */
Test(pause, a_grant_while_paused)
{
	struct world *w = world_relay();
	struct eci_frame f;
	for (int i = 0; i < 17; i++)
		down(w, 72);
	cr_assert(said(w, ECI_H_PAUSE, 72, 80));
	feed_pair(w, w->up, 72, 0, ECI_H_GRANT, 0, 4096, 8);
	static const uint64_t want[][3] = {{ECI_H_PAUSE, 72, 80}, {ECI_H_PAUSE, 4096, 4104}, {ECI_H_RESUME, 72, 80}};
	for (int i = 0; i < 3; i++)
		cr_assert(said(w, (uint32_t)want[i][0], want[i][1], want[i][2]));
	cr_assert_not(take(w, w->up, &f));
	world_free(w);
}

/* The same of a link that is paused as a whole because it has too many pauses. */
Test(pause, a_grant_while_the_65th_is_passed_on)
{
	struct world *w = world_relay();
	uint32_t n = 0;
	for (uint32_t lo = 97; n <= ECI_PAUSED_MAX; lo++)
		for (uint32_t hi = lo + 1; hi < 110 && n <= ECI_PAUSED_MAX; hi++, n++)
			pause_(w, lo, hi);
	while (w->kid[2]->bulk_bytes <= ECI_PAUSE_AT)
		down(w, 96);
	cr_assert(said(w, ECI_H_PAUSE, 96, 112));
	feed_pair(w, w->up, 96, 0, ECI_H_GRANT, 0, 112, 8);
	cr_assert(said(w, ECI_H_PAUSE, 96, 120));
	cr_assert(said(w, ECI_H_RESUME, 96, 112) && silent(w));
	resume(w, 112, 113); /* no such one: it is the 65th's */
	while (w->kid[2]->bulk_bytes > ECI_RESUME_AT)
		cr_assert(silent(w) && read_frames(w, w->kid[2], 1) == 1);
	cr_assert(said(w, ECI_H_RESUME, 96, 120) && silent(w));
	world_free(w);
}

/* A parent that ignores PAUSE loses frames, with an answer, and not the router its memory. */
Test(pause, a_parent_that_ignores_it)
{
	struct world *w = world_relay();
	struct eci_frame f;
	bool busy = false;
	for (int i = 0; i < 5000 && !busy; i++) {
		down(w, 72);
		while (take(w, w->up, &f))
			busy = busy || (f.flags == ECI_F_DEAD && is_dead(w, &f, 0, 9, "busy", 72));
	}
	cr_assert(busy);
	cr_assert_leq(w->kid[0]->bulk_bytes, ECI_HELD_MAX);
	cr_assert_gt(w->kid[0]->bulk_bytes, ECI_HELD_MAX - FULL);
	cr_assert_eq(w->broken, 0);
	world_free(w);
}

/* While the rest of a part that was resumed drains, a part of that is paused: what is for it stops, what waits already
 * and what comes, and the rest goes on. */
Test(pause, a_smaller_part_while_the_rest_drains)
{
	struct world *w = world_relay();
	struct eci_frame f;
	int n = 0;
	pause_(w, 104, 112);
	down(w, 105);
	for (int i = 0; i < 17; i++)
		down(w, 110);
	cr_assert(said(w, ECI_H_PAUSE, 104, 112));
	resume(w, 104, 112);
	pause_(w, 104, 108);
	down(w, 106);
	for (; take(w, w->kid[2], &f); n++) {
		cr_assert_eq(f.dst, 110);
		feed_int(w, w->kid[2], 96, ECI_H_ACK, eci_wire(f.len));
	}
	cr_assert_eq(n, 17);
	cr_assert(said(w, ECI_H_RESUME, 104, 112) && silent(w));
	world_free(w);
}

/* The same part; and a RESUME more than there were PAUSEs. */
Test(pause, the_same_part_while_the_rest_drains)
{
	struct world *w = world_relay();
	struct eci_frame f;
	pause_(w, 104, 112);
	for (int i = 0; i < 17; i++)
		down(w, 105);
	cr_assert(said(w, ECI_H_PAUSE, 104, 112));
	resume(w, 104, 112);
	pause_(w, 104, 112);
	cr_assert_not(take(w, w->kid[2], &f));
	resume(w, 104, 112);
	resume(w, 104, 112);
	while (w->kid[2]->bulk_bytes > ECI_RESUME_AT)
		cr_assert(silent(w) && read_frames(w, w->kid[2], 1) == 1);
	cr_assert(said(w, ECI_H_RESUME, 104, 112) && silent(w));
	world_free(w);
}

/* What was held for it counts for the link again, at once. */
Test(pause, a_resumed_part_may_be_too_much_for_the_link)
{
	struct world *w = world_relay();
	pause_(w, 104, 112);
	for (int i = 0; i < 10; i++) {
		down(w, 104);
		down(w, 97);
	}
	cr_assert(silent(w));
	resume(w, 104, 112);
	cr_assert(said(w, ECI_H_PAUSE, 96, 112));
	world_free(w);
}

Test(pause, what_was_not_said_is_not_taken_back)
{
	struct world *w = world_relay();
	pause_(w, 104, 112);
	down(w, 104);
	eci_link_lost(w->kid[2], "eof", "", w->now);
	cr_assert(silent(w));
	world_free(w);
}

extern long eci_test_fail_after;
Test(pause, without_memory_for_it_the_link_ends)
{
	struct world *w = world_relay();
	eci_test_fail_after = 0;
	eci_pause_got(w->kid[2], 104, 111);
	eci_test_fail_after = -1;
	cr_assert(w->broken == 1 && w->broken_link == w->kid[2] && !w->kid[2]->pauses);
	cr_assert_str_eq(w->reason, "queue-overflow");
	world_free(w);
}
