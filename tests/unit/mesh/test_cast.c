/* Casting over a router with one child, played here. First where the routers cannot be told who is in: then nobody is,
 * so that each is sent to by itself; all members share a stream. Then who leaves because of the others: the clock is
 * the cast's own, put back as if time had gone by. */
#include "mesh/copy.h"
#include "mesh_support.h"

enum { MIB = 1 << 20 };
enum { MOST = 6553 }; /* 10 bytes each: with a group of 2 bytes a frame is full to the byte */

static const struct eci_router_ops no_ops;

struct side {
	ectx_mesh m;
	struct ectx_stream x;
	struct eci_cast cast;
	struct eci_cast_member v[MOST + 1];
};

static struct side *side_open(void)
{
	struct side *s = calloc(1, sizeof *s);
	cr_assert(s);
	cr_assert(pthread_mutex_init(&s->m.lock, NULL) == 0);
	s->m.router = eci_router_new(0, 0, &no_ops, NULL);
	cr_assert(s->m.router && eci_router_add_child(s->m.router, 65536, 65536, NULL));
	s->x = (struct ectx_stream){.mesh = &s->m};
	s->x.s = eci_stream_new(s->m.router, 65536, 700, &eci_outside_ops, &s->x);
	for (uint32_t i = 0; i <= MOST; i++)
		s->v[i] = (struct eci_cast_member){.x = &s->x, .id = 65536 + 2 * i};
	return s;
}

static void side_close(struct side *s)
{
	eci_cast_deinit(&s->cast);
	eci_stream_free(s->x.s, NULL, NULL, 0);
	eci_router_free(s->m.router);
	(void)pthread_mutex_destroy(&s->m.lock);
	free(s);
}

static size_t in(const struct eci_cast *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->n; i++)
		n += c->v[i].in;
	cr_expect(n == c->ins);
	return n;
}

Test(cast, as_many_as_a_frame_names)
{
	for (size_t past = 0; past <= 1; past++) {
		struct side *s = side_open();
		cr_expect(eci_cast_init(&s->cast, &s->m, 255, s->v, MOST + past) == (past ? -1 : 0));
		cr_expect(in(&s->cast) == (past ? 0 : MOST));
		side_close(s);
	}
}

Test(cast, who_is_left_cannot_be_told)
{
	struct side *s = side_open();
	const struct eci_interval one = {65536, 65536};
	cr_assert(eci_cast_init(&s->cast, &s->m, 1, s->v, 3) == 0);
	eci_cast_leave(&s->cast, 0);
	cr_expect(in(&s->cast) == 2);
	eci_router_ungroup(s->m.router, 1, 0); /* and all places are taken */
	for (uint32_t gid = 100; eci_router_group(s->m.router, gid, &one, 1, 0) == 0; gid++)
		;
	eci_cast_leave(&s->cast, 1);
	cr_expect(in(&s->cast) == 0);
	side_close(s);
}

/* ---- who is behind ---- */

enum { A, B, C, THREE };

struct three {
	ectx_mesh m;
	struct eci_link *link;
	struct ectx_stream x[THREE];
	struct eci_cast cast;
	struct eci_cast_member v[THREE];
};

static uint32_t id_of(int i)
{
	return 65536u + 8u * (uint32_t)i;
}

static void says(struct three *t, uint32_t src, uint32_t handle, const struct eci_buf *body)
{
	struct eci_frame f = {.cls = ECI_CONTROL, .hops = ECI_HOPS, .src = src, .auth = src, .handle = handle};
	uint8_t wire[64];
	f.body = eci_buf_data(body);
	f.len = (uint32_t)eci_buf_len(body);
	eci_frame_pack(wire, &f);
	memcpy(wire + ECI_FRAME_HEADER, f.body, f.len);
	eci_link_feed(t->link, wire, ECI_FRAME_HEADER + f.len, eci_now_ms());
}

static void gives(struct three *t, int i, uint32_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, eci_stream_handle(t->x[i].s));
	eci_cbor_put_uint(&b, n);
	says(t, id_of(i), ECI_H_CREDIT, &b);
	eci_buf_deinit(&b);
}

static struct three *three_open(void)
{
	struct three *t = calloc(1, sizeof *t);
	struct eci_buf hello = ECI_BUF_NULL;
	cr_assert(t && pthread_mutex_init(&t->m.lock, NULL) == 0);
	t->m.router = eci_router_new(0, 0, &no_ops, NULL);
	t->link = eci_router_add_child(t->m.router, 65536, 65536, NULL);
	cr_assert(t->link && eci_link_start(t->link, "\xA0", 1, eci_now_ms()) == 0);
	const uint8_t *p;
	for (size_t n; (n = eci_link_output(t->link, &p, 4096)) != 0;)
		eci_link_wrote(t->link, n, eci_now_ms());
	(void)eci_buf_append(&hello, "\xA0", 1);
	says(t, 65536, ECI_H_HELLO, &hello);
	eci_buf_deinit(&hello);
	cr_assert(eci_link_up(t->link));
	for (int i = 0; i < THREE; i++) {
		t->x[i] = (struct ectx_stream){.mesh = &t->m};
		eci_cond_init(&t->x[i].writable);
		t->x[i].s = eci_stream_new(t->m.router, id_of(i), 700, &eci_outside_ops, &t->x[i]);
		t->v[i] = (struct eci_cast_member){.x = &t->x[i], .id = id_of(i)};
	}
	cr_assert(eci_cast_init(&t->cast, &t->m, 1, t->v, THREE) == 0);
	return t;
}

static void three_close(struct three *t)
{
	eci_cast_deinit(&t->cast);
	for (int i = 0; i < THREE; i++) {
		eci_stream_free(t->x[i].s, NULL, NULL, 0);
		(void)pthread_cond_destroy(&t->x[i].writable);
	}
	eci_router_free(t->m.router);
	(void)pthread_mutex_destroy(&t->m.lock);
	free(t);
}

static int writes(struct three *t)
{
	static const uint8_t chunk[ECI_CAST_CHUNK];
	return eci_cast_write(&t->cast, chunk, sizeof chunk, 1);
}

/* As many as there is room for; then ms go by in which nothing comes. */
static void dry_for(struct three *t, uint64_t ms)
{
	int r;
	while ((r = writes(t)) > 0)
		;
	cr_assert(r == 0 && t->cast.dry_since && !t->cast.behind_since);
	t->cast.dry_since -= ms;
}

/* At this moment, however long the test has taken: some have had no room for ms, while others had. */
static void behind_for(struct three *t, uint64_t ms)
{
	uint64_t by = t->cast.behind_since + ms - eci_now_ms();
	t->cast.dry_since -= by;
	t->cast.behind_since -= by;
}

Test(cast, a_slow_way_that_all_share)
{
	struct three *t = three_open();
	for (int round = 0; round < 3; round++) {
		dry_for(t, 3000);
		gives(t, A, 65536);
		cr_expect(writes(t) == 0 && in(&t->cast) == 3, "the others have had no time, round %d", round);
		behind_for(t, 2000); /* less than all have waited together */
		gives(t, B, 65536);
		cr_expect(writes(t) == 0 && in(&t->cast) == 3, "round %d", round);
		gives(t, C, 65536);
		cr_expect(writes(t) == 1 && in(&t->cast) == 3, "round %d", round);
	}
	three_close(t);
}

Test(cast, one_that_takes_nothing_while_others_do)
{
	struct three *t = three_open();
	dry_for(t, 0);
	gives(t, A, 65536);
	gives(t, B, 65536);
	cr_expect(writes(t) == 0);
	behind_for(t, ECI_CAST_PATIENCE_MS - 100);
	cr_expect(writes(t) == 0 && in(&t->cast) == 3, "not yet");
	behind_for(t, ECI_CAST_PATIENCE_MS);
	cr_expect(writes(t) == 1 && in(&t->cast) == 2 && !t->v[C].in);
	dry_for(t, 0); /* what C made them wait does not count for the next */
	gives(t, A, 65536);
	cr_expect(writes(t) == 0);
	behind_for(t, ECI_CAST_PATIENCE_MS);
	cr_expect(writes(t) == 1 && in(&t->cast) == 1 && t->v[A].in);
	three_close(t);
}

/* Bytes that no router took, or the end: nobody can go on with the group, nor waits for an answer to what was not sent.
 */
Test(cast, what_cannot_be_sent)
{
	for (int end = 0; end < 2; end++) {
		struct three *t = three_open();
		cr_expect(writes(t) == 1 && in(&t->cast) == 3);
		eci_router_ungroup(t->m.router, 1, 0);
		if (end)
			eci_cast_end(&t->cast);
		else
			cr_expect(writes(t) == -1);
		cr_expect(in(&t->cast) == 0, "%zu", in(&t->cast));
		three_close(t);
	}
}

/* ---- windows ---- */

/* What the link has to say, all of it; whom it asks, a bit each. */
static unsigned asked(struct three *t)
{
	const uint8_t *p;
	unsigned whom = 0;
	for (size_t len; (len = eci_link_output(t->link, &p, 1u << 20)) != 0;) {
		uint32_t bulk = 0;
		struct eci_frame f;
		for (long used; len && (used = eci_frame_unpack(p, len, &f)) > 0; p += used, len -= (size_t)used) {
			bulk += f.cls == ECI_BULK ? (uint32_t)used : 0;
			for (int i = 0; i < THREE; i++)
				if (f.cls == ECI_BULK && !f.flags && !f.len && f.dst == id_of(i) && f.handle == 700)
					whom |= 1u << i;
			eci_link_wrote(t->link, (size_t)used, eci_now_ms());
		}
		struct eci_buf b = ECI_BUF_NULL;
		eci_cbor_put_uint(&b, bulk);
		if (bulk)
			says(t, 65536, ECI_H_ACK, &b);
		eci_buf_deinit(&b);
	}
	return whom;
}

static unsigned asked_after(struct three *t, uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t n[THREE] = {a, b, c};
	while (writes(t) > 0)
		;
	cr_assert_eq(asked(t), 0);
	for (int i = 0; i < THREE; i++)
		if (n[i])
			gives(t, i, n[i]);
	(void)writes(t);
	return asked(t);
}

Test(cast, windows_that_are_used_up_are_widened)
{
	struct three *t = three_open();
	const uint32_t w = ECI_STREAM_WINDOW;
	dry_for(t, 0);
	for (int i = 0; i < THREE; i++)
		gives(t, i, 65536);
	cr_expect(writes(t) == 1 && t->cast.window == w, "all of it waits here");
	(void)asked(t);
	cr_expect_eq(asked_after(t, 65536, 65536, 65536), 7);
	cr_expect_eq(t->cast.window, 2 * w);
	cr_expect_eq(asked_after(t, w, w, 65536), 7, "C has not heard it, or said no: it is asked again");
	cr_expect_eq(asked_after(t, 2 * w, 2 * w, w), 4, "A and B are as wide as they may be");
	cr_expect_eq(asked_after(t, 131072, 131072, 2 * w), 0, "and C");
	cr_expect(t->cast.window == MIB && t->m.cast_widened == MIB - w);
	cr_expect_eq(asked_after(t, 131072, 131072, 0), 0);
	behind_for(t, 2 * ECI_CAST_PATIENCE_MS - 100);
	cr_expect(writes(t) == 0 && in(&t->cast) == 3, "credit comes in greater pieces");
	behind_for(t, 2 * ECI_CAST_PATIENCE_MS);
	cr_expect(writes(t) == 1 && in(&t->cast) == 2 && !t->v[C].in);
	eci_cast_deinit(&t->cast);
	cr_expect_eq(t->m.cast_widened, 0);
	cr_assert(eci_cast_init(&t->cast, &t->m, 1, t->v, THREE) == 0);
	three_close(t);
}

Test(cast, all_windows_together_are_bounded)
{
	for (uint32_t past = 0; past <= 1; past++) {
		struct three *t = three_open();
		t->m.cast_widened = 6 * MIB - ECI_STREAM_WINDOW + past; /* stands for other groups */
		cr_expect_eq(asked_after(t, 65536, 65536, 65536), past ? 0 : 7);
		three_close(t);
	}
}

Test(cast, one_that_takes_nothing_on_a_slow_way)
{
	struct three *t = three_open();
	dry_for(t, 3000);
	gives(t, A, 65536);
	gives(t, B, 65536);
	cr_expect(writes(t) == 0);
	behind_for(t, 2900);
	cr_expect(writes(t) == 0 && in(&t->cast) == 3, "not yet");
	behind_for(t, 4000);
	cr_expect(writes(t) == 1 && in(&t->cast) == 2 && !t->v[C].in);
	three_close(t);
}
