/* Casting where the routers cannot be told who is in: then nobody is, so that each is sent to by itself. Over a router
 * with one child that takes nothing; all members share a stream. */
#include "mesh/copy.h"
#include "mesh_support.h"

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
