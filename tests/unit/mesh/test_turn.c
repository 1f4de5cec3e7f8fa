/* What the loop does in one turn: what it reads of pumps, by a loop that the test turns itself, over pipes and streams
 * to a child that takes nothing; and of links; and which questions for modules it answers. */
#include "io/roots.h"
#include "mesh/asked.h"
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
		eci_pump_start(p, eci_stream_new(s->m.router, 8, 700, &eci_pump_ops, p), 8);
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

/* ---- questions ---- */

enum { CHILD = 8, ANSWERED_MS = 20, LARGEST = 16 << 20 };

struct asks {
	ectx_mesh m;
	ectx_context c;
	struct eci_link *link;
};

static struct asks *asks_open(void)
{
	static const char *const none[] = {NULL};
	struct asks *a = calloc(1, sizeof *a);
	cr_assert(a);
	a->m.router = eci_router_new(0, 0, &no_ops, NULL);
	a->m.roots = eci_roots_new(none);
	cr_assert(a->m.router && a->m.roots);
	a->m.responder = eci_responder_new(&eci_roots_ops, a->m.roots, NULL, NULL);
	a->link = eci_router_add_child(a->m.router, CHILD, 8, NULL);
	cr_assert(a->m.responder && a->link && eci_link_start(a->link, "\xA0", 1, 1) == 0);
	const uint8_t *hello;
	eci_link_wrote(a->link, eci_link_output(a->link, &hello, 65536), 1);
	a->c = (ectx_context){.mesh = &a->m, .id = CHILD};
	a->m.roots_of_tree = &a->c;
	HASH_ADD(by_id, a->m.by_id, id, sizeof a->c.id, &a->c);
	return a;
}

static void asks_close(struct asks *a)
{
	eci_asked_forget(&a->c);
	HASH_CLEAR(by_id, a->m.by_id);
	eci_responder_free(a->m.responder);
	eci_roots_free(a->m.roots);
	eci_router_free(a->m.router);
	free(a);
}

/* It asks for a module that is not there. Does the question wait? */
static bool waits(struct asks *a)
{
	static const uint8_t body[] = {0x81, 0x61, 'm'};
	struct eci_frame f = {.cls = ECI_CALL, .src = CHILD, .handle = ECI_H_GET_MODULE, .reply_to = 300};
	f.body = body;
	f.len = sizeof body;
	uint32_t before = a->c.nasked;
	eci_asked_take(&a->m, a->link, &f);
	return a->c.nasked != before;
}

static size_t queued(const struct asks *a)
{
	struct eci_link_stats s;
	eci_link_get_stats(a->link, &s);
	return s.queued_bytes;
}

Test(turn, questions_are_answered_for_20_ms)
{
	struct asks *a = asks_open();
	a->m.asked_ms = ANSWERED_MS - 1;
	cr_expect(!waits(a) && queued(a));
	a->m.asked_ms = ANSWERED_MS;
	cr_expect(waits(a));
	size_t before = queued(a);
	cr_expect(eci_asked_turn(&a->m, 0) == UINT64_MAX);
	cr_expect(queued(a) > before && !a->c.nasked, "in the next turn it is its turn");
	asks_close(a);
}

/* Of which nothing has left: a small answer is in front of it. */
Test(turn, answers_of_16_mebibytes_are_written_first)
{
	struct asks *a = asks_open();
	a->c.asked_bytes = LARGEST - 1;
	cr_expect(!waits(a));
	a->m.asked_ms = 0; /* what a busy machine took for it */
	a->c.asked_bytes = LARGEST;
	cr_expect(waits(a));
	cr_expect(eci_asked_turn(&a->m, 5) == 5 + ANSWERED_MS && a->c.nasked == 1);
	a->c.asked_bytes--;
	cr_expect(eci_asked_turn(&a->m, 5) == UINT64_MAX && !a->c.nasked);
	asks_close(a);
}

/* The n-th frame that was queued for the child, behind HELLO. */
static struct eci_frame told(struct asks *a, int n)
{
	const uint8_t *p;
	struct eci_frame f = {0};
	size_t all = eci_link_output(a->link, &p, 65536);
	for (int i = 0; i < n; i++) {
		long used = eci_frame_unpack(p, all, &f);
		cr_assert(used > 0, "%d frames", i);
		p += used;
		all -= (size_t)used;
	}
	return f;
}

Test(turn, a_question_that_waited_is_answered_by_its_name)
{
	struct asks *a = asks_open();
	a->m.asked_ms = ANSWERED_MS;
	cr_assert(waits(a) && eci_asked_turn(&a->m, 0) == UINT64_MAX);
	struct eci_frame f = told(a, 1);
	cr_expect(f.handle == 300 && f.len == 5 && !memcmp(f.body, "\x81\x82\x61m\x00", 5), "%u bytes", f.len);
	asks_close(a);
}

Test(turn, what_is_no_question_is_refused)
{
	static const char *const bodies[] = {"\x80", "\x61m", "\x81\x01", "\x82\x61m", "\x81\x61.", "\x81\x63../"};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct asks *a = asks_open();
		struct eci_frame q = {.cls = ECI_CALL, .src = CHILD, .handle = ECI_H_GET_MODULE, .reply_to = 300};
		q.body = (const uint8_t *)bodies[i];
		q.len = (uint32_t)strlen(bodies[i]);
		eci_asked_take(&a->m, a->link, &q);
		struct eci_frame f = told(a, 1);
		cr_expect(f.flags == ECI_F_DEAD && f.len > 10 &&
				  !memcmp(f.body + 1,
					  "\x68"
					  "bad-body",
					  9),
			  "%zu", i);
		cr_expect(!a->c.nasked);
		asks_close(a);
	}
}

/* 4,096 of one link wait; who asks once more is told so, and nothing is kept of it. */
Test(turn, questions_that_wait_have_a_limit)
{
	struct asks *a = asks_open();
	a->m.asked_ms = ANSWERED_MS;
	a->c.nasked = 4095; /* stands for others */
	cr_expect(waits(a) && !queued(a));
	cr_assert(a->c.nasked == 4096 && a->c.asked);
	cr_expect(!waits(a) && queued(a));
	struct eci_frame f = told(a, 1);
	cr_expect(f.handle == 300 && f.flags == ECI_F_DEAD && f.len > 6 &&
		  !memcmp(f.body,
			  "\x84\x64"
			  "busy",
			  6));
	eci_asked_forget(&a->c);
	cr_expect(!a->c.nasked && !a->c.asked && waits(a), "room again");
	asks_close(a);
}
