/* What the loop reads in one turn: of pumps, by a loop that the test turns itself, over pipes and streams to a child
 * that takes nothing; and of links. */
#include "mesh/pump.h"
#include "mesh_support.h"

enum { PUMPS = 5, PIPE = 65536 };

struct side {
	ectx_mesh m;
	struct eci_pump pumps[PUMPS];
	int write_fd[PUMPS];
};

static const struct eci_router_ops no_ops;

static struct side *side_open(void)
{
	struct side *s = calloc(1, sizeof *s);
	cr_assert(s);
	s->m.loop = ev_loop_new(EVFLAG_AUTO);
	s->m.router = eci_router_new(0, 0, &no_ops, NULL);
	s->m.read_buf = malloc(PIPE);
	cr_assert(s->m.loop && s->m.read_buf && eci_router_add_child(s->m.router, 8, 8, NULL));
	for (int i = 0; i < PUMPS; i++) {
		struct eci_pump *p = &s->pumps[i];
		int fd[2];
		cr_assert(pipe(fd) == 0);
		s->write_fd[i] = fd[1];
		eci_pump_init(p, &s->m, fd[0], -1, true, NULL);
		eci_pump_start(p, eci_stream_new(s->m.router, 8, 700, &eci_pump_ops, p));
	}
	return s;
}

static void side_close(struct side *s)
{
	for (int i = 0; i < PUMPS; i++) {
		eci_pump_close(&s->pumps[i], NULL);
		(void)close(s->write_fd[i]);
	}
	eci_router_free(s->m.router);
	ev_loop_destroy(s->m.loop);
	free(s->m.read_buf);
	free(s);
}

/* There is something to read, and the loop looks. */
static void put(struct side *s, int pump, size_t n)
{
	static const uint8_t zeros[PIPE];
	cr_assert(write(s->write_fd[pump], zeros, n) == (ssize_t)n);
}

static void look(struct side *s)
{
	(void)ev_run(s->m.loop, EVRUN_NOWAIT);
}

static size_t moved(const struct side *s, int pump)
{
	return ECI_STREAM_WINDOW - eci_stream_room(s->pumps[pump].stream);
}

/* With a byte less in the first four the fifth may still be read; else it waits, and is the first in the next turn. */
Test(turn, pumps_read_256_kib)
{
	for (size_t less = 0; less <= 1; less++) {
		struct side *s = side_open();
		eci_pumps_turn(&s->m);
		for (int i = 0; i < 4; i++)
			put(s, i, i ? PIPE : PIPE - less);
		look(s);
		for (int i = 0; i < 4; i++)
			cr_expect(moved(s, i) == (i ? PIPE : PIPE - less));
		put(s, 4, PIPE);
		look(s);
		cr_expect(moved(s, 4) == (less ? PIPE : 0), "%zu", moved(s, 4));
		put(s, 0, 1);
		eci_pumps_turn(&s->m);
		look(s);
		cr_expect(moved(s, 4) == PIPE);
		cr_expect(moved(s, 0) == PIPE, "a byte came in its round again, or not in the next: %zu", moved(s, 0));
		eci_pumps_turn(&s->m);
		look(s);
		cr_expect(moved(s, 0) == PIPE + 1 - less);
		side_close(s);
	}
}

Test(turn, links_are_read_a_thousand_times_or_a_mebibyte)
{
	cr_expect(!eci_links_turn_over(1023, (1u << 20) - 1));
	cr_expect(eci_links_turn_over(1024, 0));
	cr_expect(eci_links_turn_over(0, 1u << 20));
}
