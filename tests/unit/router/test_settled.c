/* The last word of a stream: CREDIT of 0, which says that all was consumed, the END too. */
#include "router/stream.h"
#include "router_support.h"

static int settled;

static void on_end(void *arg)
{
	(void)arg;
}

static void on_settled(void *arg)
{
	cr_expect_eq(*(int *)arg, 1);
	settled++;
}

static const struct eci_stream_ops ops = {.ended = on_end, .settled = on_settled}, silent = {.ended = on_end};

Test(settled, is_heard_behind_our_end)
{
	int arg = 1;
	for (int hears = 0; hears <= 1; hears++) {
		struct world *w = world_master();
		struct eci_stream *s = eci_stream_new(w->r, 73, 700, hears ? &ops : &silent, &arg);
		feed_pair(w, w->kid[0], 0, 73, ECI_H_CREDIT, 300, eci_stream_handle(s), 0);
		cr_expect_eq(settled, 0, "no END is under way");
		eci_stream_end(s, w->now);
		feed_pair(w, w->kid[0], 0, 73, ECI_H_CREDIT, 300, eci_stream_handle(s), 0);
		cr_expect_eq(settled, hears);
		struct eci_frame f;
		while (take(w, w->kid[0], &f))
			cr_expect_not(f.flags & ECI_F_DEAD, "that was a stream's");
		eci_stream_free(s, NULL, NULL, w->now);
		world_free(w);
	}
}

Test(settled, is_said)
{
	struct world *w = world_master();
	struct eci_frame f;
	uint64_t far = 0, n = 1;
	int arg = 1;
	struct eci_stream *s = eci_stream_new(w->r, 73, 700, &ops, &arg);
	(void)drop_output(w, w->kid[0]);
	eci_stream_settled(s, w->now);
	cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_CREDIT && f.dst == 73);
	read_pair(&f, &far, &n);
	cr_expect(far == 700 && n == 0);
	eci_stream_free(s, NULL, NULL, w->now);
	world_free(w);
}
