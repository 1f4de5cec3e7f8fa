/* Pumps, a step at a time: a stream whose far end the test plays, descriptors of which the test has the other side, and
 * a loop that the test turns. What waits and in which order it is written; that nothing blocks, and nothing spins; how
 * a reset ends, and a socket that takes no more. */
#include "link_support.h"
#include "mesh/pump.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

enum { W = ECI_STREAM_WINDOW };

struct side {
	struct eci_pump p; /* first: on_end() */
	struct near *n;
	struct eci_stream *stream;
	int ends, far[2]; /* the other side of what it reads, and of what it writes */
};

static uint8_t sent[8 * W], got[8 * W + 1];

static void on_end(struct eci_pump *p)
{
	((struct side *)(void *)p)->ends++;
}

/* far_in, far_out: the test's side of in and out; peer: whose the stream is; 0: the child's, and it is not begun. */
static struct side *side_of(int in, int out, int far_in, int far_out, uint32_t peer)
{
	struct side *s = calloc(1, sizeof *s);
	cr_assert(s);
	s->n = near_open();
	s->far[0] = far_in;
	s->far[1] = far_out;
	cr_assert(fcntl(far_in, F_SETFL, O_NONBLOCK) == 0 && fcntl(far_out, F_SETFL, O_NONBLOCK) == 0);
	eci_pump_init(&s->p, &s->n->m, in, out, true, on_end);
	s->stream = eci_stream_new(s->n->m.router, peer ? peer : CHILD, FAR, &eci_pump_ops, &s->p);
	cr_assert(s->stream);
	if (peer)
		eci_pump_start(&s->p, s->stream, peer);
	for (uint32_t i = 0; i < sizeof sent / sizeof i; i++)
		memcpy(sent + i * sizeof i, &i, sizeof i);
	return s;
}

/* A send buffer that is full at a few thousand bytes. */
static struct side *over_a_socket(uint32_t peer)
{
	int fd[2];
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	cr_assert(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)) == 0);
	return side_of(fd[0], fd[0], fd[1], fd[1], peer);
}

/* A connection whose peer has little room, and send_buffer bytes of it here. */
static struct side *over_tcp(int send_buffer, uint32_t peer)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof a;
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)) == 0);
	cr_assert(bind(server, (struct sockaddr *)&a, len) == 0 && listen(server, 1) == 0);
	cr_assert(getsockname(server, (struct sockaddr *)&a, &len) == 0);
	cr_assert(connect(client, (struct sockaddr *)&a, len) == 0);
	int fd = accepted(server);
	cr_assert(fd >= 0 && close(server) == 0);
	cr_assert(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer) == 0);
	return side_of(fd, fd, client, client, peer);
}

static void far_close(struct side *s)
{
	if (s->far[1] != s->far[0])
		(void)close(s->far[1]);
	if (s->far[0] >= 0)
		(void)close(s->far[0]);
	s->far[0] = s->far[1] = -1;
}

static void side_close(struct side *s)
{
	eci_pump_close(&s->p, NULL);
	far_close(s);
	near_close(s->n);
	free(s);
}

static void turn(struct side *s)
{
	eci_pumps_turn(&s->n->m);
	(void)ev_run(s->n->m.loop, EVRUN_NOWAIT);
}

/* Takes what is there. Returns how it ended: 0, or an errno. */
static int take(const struct side *s, size_t *n)
{
	ssize_t r;
	while ((r = read(s->far[1], got + *n, sizeof got - *n)) > 0)
		*n += (size_t)r;
	return r < 0 ? errno : 0;
}

/* Likewise, and the loop turns, until it has ended, or n bytes are there. */
static int take_until(struct side *s, size_t *n, size_t most)
{
	struct timespec from = now();
	int r = EAGAIN;
	while (r == EAGAIN && *n < most && ms_since(&from) < WITHIN) {
		turn(s);
		r = take(s, n);
	}
	return r;
}

/* Each piece is more than the socket takes at once. Then its peer takes all that is there: what comes now may not be
 * written at once, though there is room. All together is more than a window, so what was written was given back. */
Test(pump, what_waits_goes_before_what_comes)
{
	struct side *s = over_a_socket(CHILD);
	size_t n = 0, half = W / 8;
	for (size_t at = 0; at < sizeof sent; at += 2 * half) {
		say_data(s->n, s->stream, sent + at, half);
		cr_assert(eci_buf_len(&s->p.q) && take(s, &n) == EAGAIN);
		say_data(s->n, s->stream, sent + at + half, half);
		if (at + 2 * half == sizeof sent)
			say(s->n, ECI_BULK, ECI_F_END, eci_stream_handle(s->stream), "", 0);
		(void)take_until(s, &n, at + 2 * half);
		cr_assert(n == at + 2 * half && !memcmp(sent, got, n), "%zu: %s", n, s->p.why);
	}
	cr_expect(take_until(s, &n, n + 1) == 0, "the end is passed on");
	cr_expect(s->p.out_over && !s->p.over);
	cr_assert(shutdown(s->far[0], SHUT_WR) == 0);
	turn(s);
	eci_pumps_run(&s->n->m);
	cr_expect(s->ends == 1 && !*s->p.why);
	side_close(s);
}

/* pipe(7): one that said it is writable takes so many bytes without waiting. More, of a pipe that blocks, would wait
 * for its reader, with the mesh's lock. */
Test(pump, a_pipe_is_given_what_it_takes_without_waiting)
{
	int in[2], out[2], there = 0;
	cr_assert(pipe(in) == 0 && pipe(out) == 0);
	struct side *s = side_of(in[0], out[1], in[1], out[0], CHILD);
	size_t n = 0, first = 3 * PIPE_BUF;
	say_data(s->n, s->stream, sent, first);
	for (int i = 1; i <= 2; i++) {
		turn(s);
		cr_assert(ioctl(out[0], FIONREAD, &there) == 0 && there == i * PIPE_BUF, "%d", there);
	}
	int all = fcntl(out[1], F_GETPIPE_SZ);
	cr_assert(all < W);
	say_data(s->n, s->stream, sent + first, W - first);
	for (int i = 0; i < W / PIPE_BUF; i++) /* nobody reads: it comes back all the same */
		turn(s);
	cr_expect(ioctl(out[0], FIONREAD, &there) == 0 && there <= all && there > all - PIPE_BUF, "%d", there);
	(void)take_until(s, &n, W);
	cr_expect(n == W && !memcmp(sent, got, n), "%zu", n);
	cr_expect(!ev_is_active(&s->p.wr), "nothing waits");
	side_close(s);
}

/* Where it wants to know, it is over when the far end has done with what was sent; an end is passed on at once. */
Test(pump, two_pipes_end_one_by_one)
{
	int in[2], out[2];
	size_t n = 0;
	cr_assert(pipe(in) == 0 && pipe(out) == 0);
	struct side *s = side_of(in[0], out[1], in[1], out[0], CHILD);
	s->p.wants_settled = true;
	say(s->n, ECI_BULK, ECI_F_END, eci_stream_handle(s->stream), "", 0);
	cr_expect(take_until(s, &n, 1) == 0 && !n && !s->p.over);
	cr_assert(close(in[1]) == 0);
	s->far[0] = -1;
	turn(s);
	cr_expect(s->p.in_over && !s->p.over);
	say_credit(s->n, s->stream, 0);
	eci_pumps_run(&s->n->m);
	cr_expect(s->p.over && s->ends == 1);
	side_close(s);
}

/* The far end may say something, all, or that it has broken off, before it is known here that it is there. */
Test(pump, what_comes_before_it_begins)
{
	enum { END, DATA_END, DATA_RESET, WAYS };
	for (int way = 0; way < WAYS; way++) {
		struct side *s = over_a_socket(0);
		size_t n = 0, len = way == END ? 0 : 1000;
		say_data(s->n, s->stream, sent, len);
		if (way == DATA_RESET)
			say_reset(s->n, s->stream);
		else
			say(s->n, ECI_BULK, ECI_F_END, eci_stream_handle(s->stream), "", 0);
		turn(s);
		cr_expect(take(s, &n) == EAGAIN && !n && !s->p.over, "%d", way);
		eci_pump_start(&s->p, s->stream, CHILD);
		cr_expect(!ev_is_active(&s->p.rd) == (way == DATA_RESET), "%d", way);
		int r = take_until(s, &n, len + (way != DATA_RESET));
		cr_expect(n == len && !memcmp(sent, got, n) && r == (way == DATA_RESET ? EAGAIN : 0), "%d", way);
		turn(s);
		cr_expect(s->p.over == (way == DATA_RESET));
		side_close(s);
	}
}

/* It is readable and writable for ever, and nothing of it may be read. */
Test(pump, a_socket_that_takes_no_more_waits_for_room)
{
	struct side *s = over_a_socket(CHILD);
	struct eci_frame f;
	cr_assert(shutdown(s->far[0], SHUT_RD) == 0);
	say_data(s->n, s->stream, sent, 1);
	cr_assert(s->p.deaf && !s->p.over && ev_is_active(&s->p.rd) && ev_is_active(&s->p.wr));
	size_t wrote = 0, n = 0;
	struct timespec from = now();
	for (; wrote < W + 1 && ms_since(&from) < WITHIN; turn(s)) {
		ssize_t w = write(s->far[0], sent + wrote, W + 1 - wrote);
		wrote += w > 0 ? (size_t)w : 0;
	}
	turn(s);
	cr_assert(wrote == W + 1 && eci_stream_room(s->p.stream) == 0);
	cr_expect(!ev_is_active(&s->p.rd) && !ev_is_active(&s->p.wr), "it spins");
	while (heard(s->n, &f) && f.cls == ECI_BULK && f.len) { /* an empty one says that it stands still */
		memcpy(got + n, f.body, f.len);
		n += f.len;
	}
	cr_assert(n == W && !s->p.over);
	say_credit(s->n, s->stream, 2);
	cr_expect(ev_is_active(&s->p.rd) && ev_is_active(&s->p.wr));
	turn(s);
	far_close(s);
	turn(s);
	cr_expect(s->p.over && s->p.here && !strncmp(s->p.why, "writing: ", 9), "%s", s->p.why);
	while (heard(s->n, &f) && !(f.flags & ECI_F_DEAD))
		if (f.cls == ECI_BULK) {
			memcpy(got + n, f.body, f.len);
			n += f.len;
		}
	cr_expect(f.flags & ECI_F_DEAD && n == W + 1 && !memcmp(sent, got, n), "%zu", n);
	side_close(s);
}

Test(pump, what_cannot_be_sent_as_there_is_no_way_is_lost)
{
	struct side *s = over_tcp(4096, CHILD + 8);
	size_t n = 0;
	cr_assert(write(s->far[0], "x", 1) == 1);
	for (struct timespec from = now(); !s->p.over && ms_since(&from) < WITHIN;)
		turn(s);
	cr_expect(s->p.over && s->p.lost && !s->p.here, "%s", s->p.why);
	eci_pump_close(&s->p, NULL);
	cr_expect(take_until(s, &n, 1) == ECONNRESET);
	side_close(s);
}

/* ---- a reset: what came before it is written, and to be taken ---- */

static bool ends_within(struct side *s, double older)
{
	struct timespec from = now();
	while (!s->p.over && ms_since(&from) < WITHIN / 2) {
		s->p.moved -= older;
		turn(s);
		nap_ms(1);
	}
	eci_pumps_run(&s->n->m);
	return s->ends == 1;
}

/* All of it is in the send buffer, when the reset comes. */
static struct side *written_and_reset(void)
{
	struct side *s = over_tcp(4 * W, CHILD);
	say_data(s->n, s->stream, sent, W);
	cr_assert(!eci_buf_len(&s->p.q) && !s->p.over);
	say_reset(s->n, s->stream);
	cr_assert(!s->p.over && ev_is_active(&s->p.late) && !ev_is_active(&s->p.rd) && !ev_is_active(&s->p.wr));
	return s;
}

Test(pump, what_was_written_before_a_reset_is_taken_first)
{
	struct side *s = written_and_reset();
	size_t n = 0;
	(void)take_until(s, &n, W);
	cr_expect(n == W && !memcmp(sent, got, n), "%zu", n);
	cr_expect(ends_within(s, 0) && !strcmp(s->p.why, "broken off"), "%s", s->p.why);
	eci_pump_close(&s->p, NULL);
	cr_expect(take_until(s, &n, n + 1) == ECONNRESET, "no end, but a reset");
	side_close(s);
}

/* Of the half minute it has for that, the test makes a moment. */
Test(pump, a_peer_that_takes_nothing_before_a_reset_is_given_up)
{
	struct side *s = written_and_reset();
	cr_expect(ends_within(s, 30), "it is waited for");
	size_t n = 0;
	eci_pump_close(&s->p, NULL);
	cr_expect(take_until(s, &n, W) == ECONNRESET && n < W);
	side_close(s);
}

/* Nor was all of it written. */
static struct side *waits_and_reset(void)
{
	struct side *s = over_tcp(4096, CHILD);
	say_data(s->n, s->stream, sent, W);
	cr_assert(eci_buf_len(&s->p.q));
	say_reset(s->n, s->stream);
	cr_assert(!s->p.over && ev_is_active(&s->p.wr) && ev_is_active(&s->p.late));
	cr_expect(s->p.late.repeat > 29 && s->p.late.repeat < 31, "%f", s->p.late.repeat);
	return s;
}

Test(pump, what_waits_before_a_reset_is_written_and_taken_first)
{
	struct side *s = waits_and_reset();
	size_t n = 0;
	ev_timer_stop(s->n->m.loop, &s->p.late);
	(void)take_until(s, &n, W / 2);
	cr_expect(ev_is_active(&s->p.late), "while it goes on, its time begins anew");
	while (eci_buf_len(&s->p.q) && take_until(s, &n, n + 1) == EAGAIN)
		;
	cr_expect(!eci_buf_len(&s->p.q) && !ev_is_active(&s->p.wr), "it spins");
	(void)take_until(s, &n, W);
	cr_expect(n == W && !memcmp(sent, got, n), "%zu", n);
	cr_expect(ends_within(s, 0) && !strcmp(s->p.why, "broken off"), "%s", s->p.why);
	side_close(s);
}

Test(pump, a_peer_that_leaves_no_room_before_a_reset_is_given_up)
{
	struct side *s = waits_and_reset();
	size_t n = 0;
	ev_feed_event(s->n->m.loop, &s->p.late, EV_TIMER);
	turn(s);
	eci_pumps_run(&s->n->m);
	cr_expect(s->ends == 1 && !strcmp(s->p.why, "broken off"), "%s", s->p.why);
	eci_pump_close(&s->p, NULL);
	cr_expect(take_until(s, &n, W) == ECONNRESET && n < W && !memcmp(sent, got, n));
	side_close(s);
}

Test(pump, a_peer_that_is_gone_before_a_reset)
{
	struct side *s = waits_and_reset();
	far_close(s);
	cr_expect(ends_within(s, 0) && !strcmp(s->p.why, "broken off"), "%s", s->p.why);
	side_close(s);
}

/* ---- the end of the pump itself ---- */

/* Of a connection that cuts. What its peer has not taken yet of what came before the end is not dropped. */
Test(pump, only_an_end_looks_like_one)
{
	for (int ended = 0; ended <= 1; ended++) {
		struct side *s = over_tcp(4 * W, CHILD);
		struct eci_frame f;
		size_t n = 0, len = ended ? W : 1000;
		eci_pump_cuts(&s->p);
		say_data(s->n, s->stream, sent, len);
		if (ended)
			say(s->n, ECI_BULK, ECI_F_END, eci_stream_handle(s->stream), "", 0);
		else
			(void)take_until(s, &n, len);
		cr_assert(!eci_buf_len(&s->p.q));
		eci_pump_close(&s->p, NULL);
		cr_expect(take_until(s, &n, len + 1) == (ended ? 0 : ECONNRESET), "%d", ended);
		cr_expect(n == len && !memcmp(sent, got, n), "%zu", n);
		while (heard(s->n, &f) && f.handle != FAR)
			;
		cr_expect(f.handle == FAR && f.flags & ECI_F_DEAD, "the far end is told");
		side_close(s);
	}
}

static int not_acknowledged(const struct side *s)
{
	int left = -1;
	cr_assert_eq(ioctl(s->p.out, TIOCOUTQ, &left), 0);
	return left;
}

/* The far end has said all, and its peer has it all, but may say more: that will not be heard. What tells it is what
 * waits at its socket, or what its next send returns: a read is an end for good (CLOSE_WAIT: a reset is EPIPE there).
 * That it has the end need not have been acknowledged. */
Test(pump, what_is_cut_behind_an_end_is_told)
{
	for (int taken = 0; taken <= 1; taken++) {
		struct side *s = over_tcp(4 * W, CHILD);
		struct timespec from = now();
		size_t n = 0, len = taken ? 1000 : W / 4;
		int error = 0;
		socklen_t size = sizeof error;
		eci_pump_cuts(&s->p);
		say_data(s->n, s->stream, sent, len);
		if (taken)
			cr_assert(take_until(s, &n, len) == EAGAIN && n == len);
		while (taken && not_acknowledged(s) && ms_since(&from) < WITHIN)
			turn(s);
		cr_assert(setsockopt(s->far[0], IPPROTO_TCP, TCP_QUICKACK, &(int){0}, sizeof(int)) == 0);
		say(s->n, ECI_BULK, ECI_F_END, eci_stream_handle(s->stream), "", 0);
		if (taken)
			cr_assert_eq(take_until(s, &n, len + 1), 0);
		cr_assert(s->p.out_over && !s->p.in_over && !s->p.over);
		eci_pump_close(&s->p, NULL);
		if (!taken)
			cr_expect(take_until(s, &n, len + 1) == 0 && n == len, "%zu", n);
		cr_assert_eq(getsockopt(s->far[0], SOL_SOCKET, SO_ERROR, &error, &size), 0);
		cr_expect(error == (taken ? EPIPE : 0), "%d: %d", taken, error);
		side_close(s);
	}
}
