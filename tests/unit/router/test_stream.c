/* Streams: credit to the last byte and one past, in both directions; half-close; reset; how a window widens. */
#include "router_support.h"
#include "router/stream.h"

#define W ECI_STREAM_WINDOW
#define FAR 700u

static uint8_t zeros[W + 1];

struct end {
	struct eci_stream *s;
	struct world *w;
	size_t got, rooms, ends, deaths;
	char reason[40];
	bool free_on_data;
};

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	struct end *e = arg;
	(void)p;
	e->got += n;
	if (e->free_on_data) {
		eci_stream_free(e->s, "cancelled", "enough", e->w->now);
		e->s = NULL;
	}
}

static void on_end(void *arg)
{
	((struct end *)arg)->ends++;
}

static void on_room(void *arg)
{
	((struct end *)arg)->rooms++;
}

static void on_dead(void *arg, const struct eci_answer *a)
{
	struct end *e = arg;
	e->deaths++;
	snprintf(e->reason, sizeof e->reason, "%s", a->reason);
}

static const struct eci_stream_ops ops = {.data = on_data, .ended = on_end, .room = on_room, .dead = on_dead};

static struct world *begin(struct end *e, uint32_t far)
{
	struct world *w = world_master();
	*e = (struct end){.w = w, .s = eci_stream_new(w->r, 73, far, &ops, e)};
	return w;
}

static void data(struct end *e, size_t n, uint8_t flags)
{
	uint32_t near = eci_stream_handle(e->s);
	do {
		size_t m = n < ECI_BULK_BODY_MAX ? n : ECI_BULK_BODY_MAX;
		n -= m;
		feed(e->w, e->w->kid[0], ECI_BULK, n ? 0 : flags, 0, 73, near, FAR, zeros, m);
	} while (n);
}

static bool next(struct end *e, struct eci_frame *f)
{
	while (take(e->w, e->w->kid[0], f))
		if (f->handle != ECI_H_ACK && f->handle != ECI_H_PING)
			return true;
	return false;
}

static void credit(struct end *e, uint64_t n)
{
	feed_pair(e->w, e->w->kid[0], 0, 73, ECI_H_CREDIT, 0, eci_stream_handle(e->s), n);
}

/* Everything that is queued, as the other end would take it: hop credit comes back. Returns bytes of stream data. */
static size_t flush(struct end *e, size_t *frames, bool *end)
{
	struct eci_frame f;
	size_t n = *frames = 0;
	*end = false;
	while (next(e, &f)) {
		if (f.cls != ECI_BULK)
			continue;
		cr_assert(f.dst == 73 && f.handle == FAR && f.reply_to == eci_stream_handle(e->s));
		cr_assert_leq(f.len, ECI_BULK_BODY_MAX);
		n += f.len;
		*frames += 1;
		*end = *end || (f.flags & ECI_F_END);
		feed_int(e->w, e->w->kid[0], 72, ECI_H_ACK, f.len + ECI_FRAME_HEADER);
	}
	return n;
}

Test(stream, receives_its_window_and_not_a_byte_more)
{
	static const size_t sizes[] = {0, 1, W - 1, W, W + 1};
	for (size_t i = 0; i < 5; i++) {
		struct end e;
		struct eci_frame f;
		struct world *w = begin(&e, FAR);
		uint32_t near = eci_stream_handle(e.s);
		data(&e, sizes[i], 0);
		bool past = sizes[i] > W;
		cr_assert_eq(e.got, past ? W : sizes[i]);
		cr_assert(e.deaths == past && (!past || !strcmp(e.reason, "bad-credit")));
		if (past) {
			cr_assert(next(&e, &f) && is_dead(w, &f, 73, FAR, "bad-credit", 0),
				  "the sender's handle is reset");
			feed(w, w->kid[0], ECI_BULK, 0, 0, 73, near, FAR, zeros, 1);
			cr_assert(next(&e, &f) && is_dead(w, &f, 73, FAR, "no-handle", 0));
			cr_assert_eq(e.got, W);
		}
		cr_assert_eq(w->broken, 0, "the link stays");
		eci_stream_free(e.s, NULL, NULL, w->now);
		world_free(w);
	}
}

Test(stream, sends_its_credit_and_not_a_byte_more)
{
	struct end e;
	struct world *w = begin(&e, FAR);
	size_t frames;
	bool end;
	cr_assert_eq(eci_stream_room(e.s), W);
	cr_assert_eq(eci_stream_send(e.s, zeros, W, w->now), 0);
	cr_assert_eq(eci_stream_room(e.s), 0);
	cr_assert_eq(flush(&e, &frames, &end), W);
	cr_assert(frames == 16 && !end);
	credit(&e, 1);
	cr_assert_eq(e.rooms, 1);
	cr_assert_eq(eci_stream_room(e.s), 1);
	credit(&e, UINT32_MAX); /* cut, and no harm */
	cr_assert_eq(eci_stream_room(e.s), ECI_STREAM_WINDOW_MAX);
	cr_assert_eq(e.rooms, 1, "it had room");
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

/* One CREDIT of all that was granted before says that the other end's window was widened; less is what was consumed. */
Test(stream, knows_how_wide_the_other_end_is)
{
	struct end e;
	struct world *w = begin(&e, FAR);
	static const struct {
		uint32_t given, wide;
	} v[] = {{W - 1, W}, {W, 2 * W}, {2 * W - 1, 2 * W}, {2 * W, 4 * W}, {UINT32_MAX, ECI_STREAM_WINDOW_MAX}};
	cr_assert_eq(eci_stream_far_window(e.s), W);
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		credit(&e, v[i].given);
		cr_assert_eq(eci_stream_far_window(e.s), v[i].wide, "%zu", i);
	}
	credit(&e, UINT32_MAX);
	cr_assert_eq(eci_stream_far_window(e.s), ECI_STREAM_WINDOW_MAX);
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

Test(stream, knows_not_where_to_until_the_other_end_says)
{
	struct end e;
	struct world *w = begin(&e, 0);
	cr_assert_eq(eci_stream_room(e.s), 0);
	data(&e, 0, 0);
	cr_assert(e.rooms == 1 && eci_stream_far(e.s) == FAR && eci_stream_room(e.s) == W);
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

Test(stream, half_close_either_way)
{
	struct end e;
	struct eci_frame f;
	struct world *w = begin(&e, FAR);
	data(&e, 10, ECI_F_END);
	cr_assert(e.got == 10 && e.ends == 1 && !eci_stream_over(e.s));
	cr_assert_eq(eci_stream_send(e.s, zeros, 5, w->now), 0); /* our direction goes on */
	cr_assert_eq(eci_stream_end(e.s, w->now), 0);
	cr_assert_eq(eci_stream_end(e.s, w->now), 0);
	cr_assert(next(&e, &f) && f.len == 5 && !(f.flags & ECI_F_END));
	cr_assert(next(&e, &f) && f.len == 0 && f.flags & ECI_F_END);
	cr_assert_not(next(&e, &f), "one END");
	cr_assert(eci_stream_over(e.s) && eci_stream_room(e.s) == 0);
	eci_stream_free(e.s, "cancelled", "", w->now);
	cr_assert_not(next(&e, &f), "nothing is left to reset");
	world_free(w);
}

Test(stream, data_after_the_end_is_an_overrun)
{
	struct end e;
	struct eci_frame f;
	struct world *w = begin(&e, FAR);
	data(&e, 0, ECI_F_END);
	data(&e, 1, 0);
	cr_assert(e.got == 0 && e.deaths == 1);
	cr_assert(next(&e, &f) && is_dead(w, &f, 73, FAR, "bad-credit", 0));
	eci_stream_free(e.s, "cancelled", NULL, w->now);
	cr_assert_not(next(&e, &f), "it was reset before");
	world_free(w);
}

Test(stream, reset_by_either)
{
	struct end e;
	struct eci_frame f;
	struct world *w = begin(&e, FAR);
	eci_stream_free(e.s, "reset", "Connection reset by peer", w->now);
	cr_assert(next(&e, &f) && is_dead(w, &f, 73, FAR, "reset", 0));
	e.s = eci_stream_new(w->r, 73, FAR, &ops, &e);
	uint32_t near = eci_stream_handle(e.s);
	feed(w, w->kid[0], ECI_CONTROL, ECI_F_DEAD, 0, 73, near, 0, "\x84\x65reset\x00\x00\x60", 10);
	cr_assert(e.deaths == 1 && !strcmp(e.reason, "reset"));
	cr_assert_eq(eci_stream_room(e.s), 0);
	eci_stream_free(e.s, "cancelled", NULL, w->now);
	cr_assert_not(next(&e, &f), "the other end knows");
	e.s = eci_stream_new(w->r, 73, FAR, &ops, &e);
	eci_link_lost(w->kid[0], "eof", "", w->now);
	cr_assert(e.deaths == 2 && !strcmp(e.reason, "lost"));
	eci_stream_free(e.s, "cancelled", NULL, w->now);
	w->kid[0] = NULL;
	world_free(w);
}

Test(stream, freed_in_its_own_callback)
{
	struct end e;
	struct eci_frame f;
	struct world *w = begin(&e, FAR);
	e.free_on_data = true;
	uint32_t near = eci_stream_handle(e.s);
	feed(w, w->kid[0], ECI_BULK, ECI_F_END, 0, 73, near, FAR, zeros, 3);
	cr_assert(e.got == 3 && e.ends == 0 && !eci_stream_find(w->r, near));
	cr_assert(next(&e, &f) && is_dead(w, &f, 73, FAR, "cancelled", 0));
	world_free(w);
}

static uint64_t credits(struct end *e)
{
	struct eci_frame f;
	uint64_t sum = 0, handle, n;
	while (next(e, &f))
		if (f.handle == ECI_H_CREDIT) {
			cr_assert(f.dst == 73 && f.cls == ECI_CONTROL);
			read_pair(&f, &handle, &n);
			sum += handle == FAR ? n : UINT32_MAX;
		}
	return sum;
}

Test(stream, credit_goes_back_on_consumption_only)
{
	struct end e;
	struct world *w = begin(&e, FAR);
	data(&e, W, 0);
	cr_assert_eq(credits(&e), 0);
	eci_stream_took(e.s, W / 4 - 1, w->now);
	cr_assert_eq(credits(&e), 0);
	eci_stream_took(e.s, 1, w->now);
	cr_assert_eq(credits(&e), W / 4);
	eci_stream_took(e.s, SIZE_MAX, w->now); /* no more than what arrived */
	cr_assert_eq(credits(&e), W - W / 4);
	data(&e, W, 0);
	cr_assert_eq(e.deaths, 0);
	data(&e, 1, 0);
	cr_assert_eq(e.deaths, 1);
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

#define PIECE (W / 4)

/* n bytes come, and are read at once. */
static void spend(struct end *e, uint64_t n)
{
	for (; n; n -= PIECE) {
		data(e, PIECE, 0);
		eci_stream_took(e->s, PIECE, e->w->now);
	}
}

Test(stream, widens_for_a_sender_that_waits_and_a_reader_that_keeps_up)
{
	struct end e;
	struct world *w = begin(&e, FAR);
	data(&e, W, 0);
	data(&e, 0, 0); /* "no credit, and nothing of mine waits" */
	cr_assert_eq(credits(&e), 0, "the reader is behind");
	eci_stream_took(e.s, W, w->now);
	cr_assert_eq(credits(&e), W);
	uint64_t window = W;
	for (int i = 0; i < 10; i++) {
		data(&e, 0, 0);
		uint64_t more = credits(&e);
		cr_assert_eq(more, window < ECI_STREAM_WINDOW_MAX ? window : 0);
		window += more;
		uint64_t due = window / 8 > W / 4 ? window / 8 : W / 4; /* what goes back at once */
		spend(&e, window - PIECE);
		data(&e, 0, 0);
		cr_assert_eq(credits(&e), window - due, "what was said before the new window was used");
		spend(&e, PIECE);
		cr_assert_eq(credits(&e), due);
	}
	cr_assert_eq(window, ECI_STREAM_WINDOW_MAX);
	eci_stream_free(e.s, NULL, NULL, w->now);
	cr_assert_eq(w->r->widened, 0);
	world_free(w);
}

Test(stream, all_windows_together_have_a_limit)
{
	struct end e[8];
	struct world *w = begin(&e[0], FAR);
	for (size_t i = 1; i < 8; i++)
		e[i] = (struct end){.w = w, .s = eci_stream_new(w->r, 73, FAR, &ops, &e[i])};
	for (size_t i = 0; i < 8; i++)
		for (uint64_t window = W; window <= ECI_STREAM_WINDOW_MAX; window *= 2) {
			data(&e[i], 0, 0);
			spend(&e[i], window * 2);
		}
	cr_assert_eq(w->r->widened, 64u << 20); /* which is a sum of doubled windows */
	for (size_t i = 0; i < 8; i++)
		eci_stream_free(e[i].s, NULL, NULL, w->now);
	world_free(w);
}

Test(stream, says_so_when_it_stands_still)
{
	struct end e;
	struct world *w = begin(&e, FAR);
	size_t frames;
	bool end;
	cr_assert_eq(eci_stream_send(e.s, zeros, W, w->now), 0);
	cr_assert_eq(eci_stream_room(e.s), 0);
	credit(&e, W / 4); /* bytes of it wait here still: the way is what is slow */
	cr_assert_eq(eci_stream_room(e.s), W / 4);
	cr_assert_eq(eci_stream_send(e.s, zeros, W / 4, w->now), 0);
	cr_assert_eq(eci_stream_room(e.s), 0);
	cr_assert_eq(flush(&e, &frames, &end), W + W / 4);
	cr_assert_eq(frames, 20);
	credit(&e, W / 4); /* all was sent */
	cr_assert_eq(flush(&e, &frames, &end), 0);
	cr_assert_eq(frames, 1, "an empty frame");
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

/* Above half of what may wait here of all streams one has no room; one that does not ask is refused past all of it. */
Test(stream, waits_for_what_waits_here)
{
	struct end e;
	struct world *w = begin(&e, FAR);
	w->r->blob_bytes = ECI_LOCAL_MAX;           /* stands for large messages that somebody does not read */
	w->r->local_bytes += ECI_LOCAL_MAX / 2 - W; /* for other streams */
	cr_assert_eq(eci_stream_room(e.s), W);
	w->r->local_bytes = ECI_LOCAL_MAX / 2 - ECI_BULK_BODY_MAX;
	cr_assert_eq(eci_stream_room(e.s), ECI_BULK_BODY_MAX);
	w->r->local_bytes++;
	cr_assert_eq(eci_stream_room(e.s), 0);
	w->r->local_bytes = ECI_LOCAL_MAX - eci_wire(10);
	cr_assert_eq(eci_stream_send(e.s, zeros, 11, w->now), -4);
	cr_assert_eq(eci_stream_send(e.s, zeros, 10, w->now), 0);
	cr_assert_eq(w->r->local_bytes, ECI_LOCAL_MAX);
	cr_assert_eq(eci_stream_end(e.s, w->now), 0, "END always fits");
	for (size_t more = 0; more <= 1; more++) {
		w->r->local_bytes = ECI_LOCAL_MAX / 2 - W - eci_wire(10) - eci_wire(0) + (more ? 0 : W);
		w->now += 10;
		(void)eci_router_tick(w->r, w->now);
		cr_assert_eq(e.rooms, more);
	}
	w->r->blob_bytes = 0;
	w->r->local_bytes = eci_wire(10) + eci_wire(0);
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

/* One that stands still has no more than what all leave free; one that does not has as much. */
Test(stream, leaves_room_to_others)
{
	struct end e, other = {0};
	struct world *w = begin(&e, FAR);
	other.s = eci_stream_new(w->r, 74, FAR, &ops, &other);
	credit(&e, 8 * W);
	w->r->local_bytes = ECI_LOCAL_MAX / 2 - 2 * W;
	cr_assert_eq(eci_stream_send(e.s, zeros, W, w->now), 0);
	cr_assert_eq(eci_stream_room(e.s), 0);
	cr_assert_eq(eci_stream_room(other.s), W - W / ECI_BULK_BODY_MAX * ECI_FRAME_HEADER);
	size_t frames;
	bool end;
	cr_assert_eq(flush(&e, &frames, &end), W);
	cr_assert_eq(eci_stream_room(e.s), 2 * W);
	w->r->local_bytes = 0;
	eci_stream_free(other.s, NULL, NULL, w->now);
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

Test(stream, what_is_cut_into_frames_is_sent_in_order)
{
	struct end e;
	struct world *w = begin(&e, FAR);
	static uint8_t given[3 * ECI_BULK_BODY_MAX], came[sizeof given];
	struct eci_frame f;
	size_t n = 0;
	for (size_t i = 0; i < sizeof given; i++)
		given[i] = (uint8_t)(i / 255);
	cr_assert_eq(eci_stream_send(e.s, given, sizeof given, w->now), 0);
	for (; next(&e, &f); n += f.len)
		memcpy(came + n, f.body, f.len);
	cr_assert(n == sizeof given && memcmp(given, came, n) == 0);
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

Test(stream, a_call_is_no_data)
{
	struct end e;
	struct world *w = begin(&e, FAR);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 73, eci_stream_handle(e.s), FAR, zeros, 10);
	cr_assert(e.got == 0 && w->r->stats.bad_reply == 1);
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}

/* Who has ended, or is gone, needs none. */
Test(stream, no_credit_goes_back_after_the_end)
{
	for (int dead = 0; dead < 2; dead++) {
		struct end e;
		struct eci_frame f;
		struct world *w = begin(&e, FAR);
		data(&e, W, dead ? 0 : ECI_F_END);
		if (dead)
			eci_router_fail(w->r, 73, 73, 72, "gone", w->now);
		cr_assert(e.deaths == (size_t)dead && e.ends == (size_t)!dead);
		eci_stream_took(e.s, W, w->now);
		cr_assert_not(next(&e, &f));
		eci_stream_free(e.s, NULL, NULL, w->now);
		world_free(w);
	}
}

/* ---- queues that are full ---- */

/* The clock wakes who waits for them, once, and nobody who is gone or waits for credit. */
Test(stream, waits_for_the_queues)
{
	struct end e, gone = {0};
	struct world *w = begin(&e, FAR);
	gone.s = eci_stream_new(w->r, 74, FAR, &ops, &gone);
	w->r->local_bytes = ECI_LOCAL_MAX / 2 - W;
	cr_assert_eq(eci_stream_room(e.s), W, "half of it is room");
	w->r->local_bytes = ECI_LOCAL_MAX / 2;
	cr_assert_eq(eci_stream_room(e.s), 0);
	cr_assert_eq(eci_stream_room(gone.s), 0);
	cr_assert_eq(eci_stream_room(e.s), 0, "and asks again");
	eci_stream_free(gone.s, NULL, NULL, w->now);
	w->now += 10;
	cr_assert_leq(eci_router_tick(w->r, w->now), w->now + 10);
	cr_assert_eq(e.rooms, 0, "they are full still");
	w->r->local_bytes = 0;
	w->now += 10;
	(void)eci_router_tick(w->r, w->now);
	cr_assert(e.rooms == 1 && gone.rooms == 0 && !w->r->stalled);
	eci_stream_spent(e.s, W);
	w->r->local_bytes = ECI_LOCAL_MAX;
	cr_assert_eq(eci_stream_room(e.s), 0);
	cr_assert_null(w->r->stalled, "without credit CREDIT wakes it");
	w->r->local_bytes = 0;
	eci_stream_free(e.s, NULL, NULL, w->now);
	world_free(w);
}
