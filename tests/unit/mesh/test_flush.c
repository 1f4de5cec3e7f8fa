/* What is left to others when the mesh's lock is given back: a pipe that is full, to the loop, which sleeps; and the
 * streams of a command that has ended, to the far end. Nothing here is a process. */
#include "link_support.h"
#include "mesh/carrier.h"
#include "mesh/stream.h"

#include <fcntl.h>
#include <sys/eventfd.h>

static bool woken(const struct near *n)
{
	uint64_t count;
	return read(n->m.wake_fd, &count, sizeof count) == sizeof count;
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	eci_carrier_dirty(w->data);
}

/* A link's carrier, to a pipe whose other side the test has, and that has room for some of what is queued. */
Test(flush, what_a_full_pipe_does_not_take_is_left_to_the_loop_which_is_woken)
{
	for (int in_loop = 0; in_loop <= 1; in_loop++) {
		enum { SOME = 8192 };
		static uint8_t bytes[ECI_STREAM_WINDOW];
		static const struct eci_stream_ops none;
		struct near *n = near_open();
		struct eci_carrier c = {.mesh = &n->m, .link = n->link, .proc = {.tty = -1}};
		int fd[2];
		cr_assert(pipe2(fd, O_NONBLOCK) == 0);
		c.proc.in = fd[1];
		n->m.wake_fd = eventfd(0, EFD_NONBLOCK);
		ev_io_init(&c.in_w, on_writable, fd[1], EV_WRITE);
		c.in_w.data = &c;
		struct eci_stream *s = eci_stream_new(n->m.router, CHILD, FAR, &none, NULL);
		struct eci_link_stats before, after;
		eci_link_get_stats(n->link, &before);
		cr_assert(s && eci_stream_send(s, bytes, sizeof bytes, eci_now_ms()) == 0);
		ssize_t full = write(fd[1], bytes, sizeof bytes);
		cr_assert(full > 0 && read(fd[0], bytes, SOME) == SOME);
		n->m.sleeping = true;
		eci_carrier_dirty(&c);
		eci_carrier_dirty(&c);
		eci_carriers_flush(&n->m, in_loop);
		cr_expect(!n->m.dirty && ev_is_active(&c.in_w));
		cr_expect(woken(n) == !in_loop, "%d", in_loop);
		size_t got = SOME;
		struct timespec from = now();
		for (bool more = true; more && ms_since(&from) < WITHIN;) {
			more = ev_is_active(&c.in_w);
			for (ssize_t r; (r = read(fd[0], bytes, sizeof bytes)) > 0;)
				got += (size_t)r;
			(void)ev_run(n->m.loop, EVRUN_NOWAIT);
			eci_carriers_flush(&n->m, true);
		}
		cr_expect(!ev_is_active(&c.in_w) && !n->m.dirty, "it is empty, and nobody asks any more");
		eci_link_get_stats(n->link, &after);
		cr_expect(got - (size_t)full == after.bytes_out - before.bytes_out, "%zu", got);
		eci_stream_free(s, NULL, NULL, eci_now_ms());
		near_close(n);
		(void)close(fd[0]);
		(void)close(fd[1]);
	}
}

/* The command is over. Its input is there still, where nobody said that it is. */
Test(flush, the_far_end_of_an_input_is_told_that_the_command_is_over)
{
	enum { NO_INPUT, OPEN, ENDED, RUNS, WAYS };
	static const struct eci_stream_ops none;
	for (int way = 0; way < WAYS; way++) {
		struct near *n = near_open();
		struct ectx_future f = {.mesh = &n->m, .input = way == OPEN || way == RUNS, .out_open = way == RUNS};
		struct eci_frame said;
		int ends = 0, resets = 0;
		f.input_ended = way == ENDED;
		f.out = eci_stream_new(n->m.router, CHILD, FAR, &none, &f);
		cr_assert(f.out);
		if (way == ENDED)
			eci_outputs_end_input(&f);
		eci_outputs_close(&f);
		while (heard(n, &said)) {
			ends += said.handle == FAR && said.flags == ECI_F_END;
			resets += said.flags & ECI_F_DEAD && said.handle == FAR;
		}
		cr_expect(ends == (way == OPEN || way == ENDED) && resets == (way == RUNS), "%d: %d, %d", way, ends,
			  resets);
		cr_expect(!f.out);
		near_close(n);
	}
}
