/* What an agent's streams may add to its parent link while much of its own waits there. */
#include "router_support.h"
#include "router/stream.h"

#define W ECI_STREAM_WINDOW
#define FAR 700u
#define STREAMS 4

static uint8_t zeros[W];

struct end {
	struct eci_stream *s;
	size_t rooms;
};

static void on_room(void *arg)
{
	((struct end *)arg)->rooms++;
}

static const struct eci_stream_ops ops = {.room = on_room};

static void begin(struct world *w, struct end *e, uint32_t far)
{
	*e = (struct end){.s = eci_stream_new(w->r, 0, far, &ops, e)};
	feed_pair(w, w->up, eci_router_id(w->r), 0, ECI_H_CREDIT, 0, eci_stream_handle(e->s), W);
}

static void tick(struct world *w)
{
	w->now += 10;
	(void)eci_router_tick(w->r, w->now);
}

/* One adds nothing any more, and goes on by itself; others do not wait for it, nor one that comes for all of them. */
Test(backlog, nobody_waits_for_another)
{
	struct world *w = world_relay();
	struct end e[STREAMS];
	for (uint32_t i = 0; i < STREAMS; i++)
		begin(w, e + i, FAR + i);
	cr_assert_eq(eci_stream_room(e[0].s), 2 * W);
	cr_assert_eq(eci_stream_send(e[0].s, zeros, W, w->now), 0);
	cr_assert_eq(eci_stream_room(e[0].s), 0, "it has its part");
	cr_assert_eq(eci_stream_room(e[1].s), 2 * W, "another has none yet");
	cr_assert_eq(eci_stream_send(e[1].s, zeros, W, w->now), 0);
	cr_assert_eq(eci_stream_room(e[1].s), 0);
	for (int i = 2; i < STREAMS; i++) {
		cr_assert_eq(eci_stream_room(e[i].s), ECI_BULK_BODY_MAX, "who has nothing there may add a frame");
		cr_assert_eq(eci_stream_send(e[i].s, zeros, 1, w->now), 0);
		cr_assert_eq(eci_stream_room(e[i].s), 0, "and no second one");
	}
	struct eci_stream *down = eci_stream_new(w->r, eci_link_peer(w->kid[0]), FAR, &ops, NULL);
	cr_assert_eq(eci_stream_room(down), W, "another link has no backlog");
	eci_stream_free(down, NULL, NULL, w->now);

	cr_assert_eq(eci_router_tick(w->r, w->now), w->now + 10);
	tick(w);
	for (int i = 0; i < STREAMS; i++)
		cr_assert_eq(e[i].rooms, 0);
	(void)drop_output(w, w->up); /* a window: a frame of each, as it is their turn */
	tick(w);
	for (int i = 0; i < STREAMS; i++)
		cr_assert_eq(e[i].rooms, i > 1, "of %d", i);
	feed_int(w, w->up, 0, ECI_H_ACK, 2 * (ECI_BULK_BODY_MAX + ECI_FRAME_HEADER));
	while (drop_output(w, w->up)) {
		tick(w);
		feed_int(w, w->up, 0, ECI_H_ACK, ECI_BULK_BODY_MAX + ECI_FRAME_HEADER);
	}
	for (int i = 0; i < STREAMS; i++)
		cr_assert_eq(e[i].rooms, 1);
	cr_assert_eq(eci_stream_room(e[0].s), W);
	for (int i = 0; i < STREAMS; i++)
		eci_stream_free(e[i].s, NULL, NULL, w->now);
	world_free(w);
}
