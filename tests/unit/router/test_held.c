/* What a relay holds for honest neighbours at the worst, and that none of their frames is dropped for it.
 *
 * Downward the worst is readers that stop one after the other, each when the whole window of the parent's link is on
 * its way to it; upward it is many children that have all used their window when nothing is written on. */
#include "router_support.h"

static uint8_t zeros[ECI_BULK_BODY_MAX];
#define FULL eci_wire(ECI_BULK_BODY_MAX)

static void say(struct world *w, uint32_t handle, uint32_t lo, uint32_t hi)
{
	feed_pair(w, w->kid[2], ME, 96, handle, 0, lo, hi);
}

/* The parent, which does as it is told. */
struct parent {
	struct world *w;
	uint64_t lo[64], hi[64];
	int paused, sent, read;
};

static void hear(struct parent *p)
{
	struct eci_frame f;
	while (take(p->w, p->w->up, &f)) {
		cr_assert(!(f.flags & ECI_F_DEAD), "a frame was dropped after %d", p->sent);
		if (f.handle == ECI_H_PAUSE) {
			read_pair(&f, &p->lo[p->paused], &p->hi[p->paused]);
			p->paused++;
		} else if (f.handle == ECI_H_RESUME) {
			uint64_t lo, hi;
			int i = p->paused - 1;
			read_pair(&f, &lo, &hi);
			while (i >= 0 && (p->lo[i] != lo || p->hi[i] != hi))
				i--;
			cr_assert_geq(i, 0, "RESUME [%u, %u) of nothing", (unsigned)lo, (unsigned)hi);
			p->paused--;
			p->lo[i] = p->lo[p->paused];
			p->hi[i] = p->hi[p->paused];
		}
	}
}

static bool may_send(struct parent *p, uint32_t dst)
{
	hear(p);
	for (int i = 0; i < p->paused; i++)
		if (dst >= p->lo[i] && dst < p->hi[i])
			return false;
	return true;
}

static void down(struct parent *p, uint32_t dst)
{
	feed(p->w, p->w->up, ECI_BULK, 0, dst, 0, 300, 9, zeros, sizeof zeros);
	p->sent++;
}

/* Sends to dst until PAUSE arrives; by then the largest window is on its way. */
static void until_paused(struct parent *p, uint32_t dst)
{
	while (may_send(p, dst))
		down(p, dst);
	for (uint32_t n = FULL; n <= ECI_HOP_WINDOW_MAX; n += FULL)
		down(p, dst);
}

static void read_one(struct parent *p)
{
	struct eci_frame f;
	if (!take(p->w, p->w->kid[2], &f))
		return;
	p->read++;
	feed_int(p->w, p->w->kid[2], 96, ECI_H_ACK, eci_wire(f.len));
}

Test(held, readers_that_stop_one_after_the_other)
{
	struct parent p = {.w = world_relay()};
	struct eci_link *l = p.w->kid[2];
	uint32_t stopped = 97;
	for (; stopped < 112 && may_send(&p, stopped); stopped++) {
		say(p.w, ECI_H_PAUSE, stopped, stopped + 1);
		until_paused(&p, stopped);
		hear(&p);
		cr_assert_leq(l->bulk_bytes, ECI_HELD_MAX);
		cr_assert_eq(may_send(&p, 96), l->bulk_bytes <= ECI_HELD_AT, "and then nobody, with %zu",
			     l->bulk_bytes);
	}
	cr_assert_eq(stopped, 97 + 2, "of two that had windows like these");
	while (stopped-- > 97)
		say(p.w, ECI_H_RESUME, stopped, stopped + 1);
	for (int i = 0; i < p.sent; i++) {
		read_one(&p);
		cr_assert(may_send(&p, 96) || l->bulk_bytes > ECI_HELD_AT || l->active_bytes > ECI_RESUME_AT);
	}
	hear(&p);
	cr_assert(p.read == p.sent && !p.paused && !l->pauses && !l->up_paused && !p.w->broken);
	world_free(p.w);
}

Test(held, the_mark_to_its_last_byte)
{
	struct parent p = {.w = world_relay()};
	struct eci_link *l = p.w->kid[2];
	say(p.w, ECI_H_PAUSE, 100, 104);
	while (l->bulk_bytes + FULL <= ECI_HELD_AT)
		down(&p, 100);
	feed(p.w, p.w->up, ECI_BULK, 0, 101, 0, 300, 9, zeros, ECI_HELD_AT - l->bulk_bytes - ECI_FRAME_HEADER);
	cr_assert_eq(l->bulk_bytes, ECI_HELD_AT);
	cr_assert(may_send(&p, 96) && !may_send(&p, 100));
	feed(p.w, p.w->up, ECI_BULK, 0, 96, 0, 300, 9, zeros, 0);
	cr_assert_not(may_send(&p, 96), "one past it");
	read_one(&p);
	cr_assert(may_send(&p, 96) && !may_send(&p, 100), "and it again");
	world_free(p.w);
}

#define MANY (64u * 16u + 64u) /* with the smallest window each, they are above 64 MiB */

static struct eci_link *add(struct world *w, uint32_t id)
{
	const uint8_t *p;
	struct eci_link *l = eci_router_add_child(w->r, id, 1, w);
	cr_assert(l && !eci_link_start(l, "\xA0", 1, w->now));
	for (size_t n; (n = eci_link_output(l, &p, 65536));)
		eci_link_wrote(l, n, w->now);
	feed(w, l, ECI_CONTROL, 0, ME, id, ECI_H_HELLO, 0, "\xA0", 1);
	cr_assert(eci_link_up(l));
	return l;
}

Test(held, many_children_that_fill_their_windows)
{
	struct world *w = world_relay();
	const uint8_t *p;
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 0, 4096, MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		struct eci_link *l = add(w, 4096 + i);
		for (uint32_t n = 0; n < ECI_HOP_WINDOW_MIN; n += ECI_HOP_WINDOW_MIN / 4)
			feed(w, l, ECI_BULK, 0, 0, 4096 + i, 300, 9, zeros, ECI_HOP_WINDOW_MIN / 4 - ECI_FRAME_HEADER);
		cr_assert_eq(eci_link_output(l, &p, 65536), 0, "%u has an answer: a frame was dropped", i);
		cr_assert_eq(l->unacked, ECI_HOP_WINDOW_MIN);
	}
	cr_assert_eq(w->up->bulk_bytes, (size_t)MANY * ECI_HOP_WINDOW_MIN);
	cr_assert_eq(w->broken, 0);
	world_free(w);
}

/* ---- what is one's own ---- */

/* Frames and shared bodies, each until it has gone or its link has. */
Test(held, own_bytes_are_counted_while_they_wait)
{
	struct world *w = world_master();
	static const uint8_t large[ECI_FRAME_BODY_MAX + 1];
	cr_assert_eq(eci_router_send(w->r, ECI_BULK, 0, 73, 300, 0, zeros, 1000, w->now), 0);
	cr_assert_eq(w->r->local_bytes, eci_wire(1000));
	cr_assert_eq(drop_output(w, w->kid[0]), 1);
	cr_assert_eq(w->r->local_bytes, 0);
	for (int i = 0; i < 20; i++)
		cr_assert_eq(eci_router_send(w->r, ECI_BULK, 0, 73, 300, 0, zeros, sizeof zeros, w->now), 0);
	cr_assert_eq(drop_output(w, w->kid[0]), 3);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 74, 300, 0, large, sizeof large, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 74, 301, 0, "x", 1, w->now), 0);
	cr_assert(w->r->local_bytes == 17 * FULL && w->r->blob_bytes == sizeof large);
	cr_assert_eq(w->kid[0]->held_calls, eci_wire(1));
	eci_link_lost(w->kid[0], "eof", "", w->now);
	cr_assert(w->r->local_bytes == 0 && w->r->blob_bytes == 0);
	world_free(w);
}
