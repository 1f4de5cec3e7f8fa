/* hop AGENT ROUNDS: the measured side of bench/native-hop.py: what a native relay costs beside the least that a relay
 * can do.
 *
 * Two ends, this process and another one, with a relay between them on four pipes: once AGENT, the native agent, which
 * was told to start the far end and make it its child; once a process that copies what it reads (poll, read, write).
 * The ends are the same code and speak the same frames, in the agent's case with hop credit, in the other's without:
 * nothing holds it back.
 *
 * A round is a line of six figures: nanoseconds of an echo (median) by the plain relay and by the agent; then MB/s of
 * bulk frames of 16 KiB, down plain and native, up plain and native. The two alternate, so that what else the machine
 * does hits both.
 *
 * The frames are written out by hand, so that nothing of ours but the agent is measured. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 28, BULK = 16384, PIPE = 65536 };
enum { CONTROL, CALL, BULK_CLASS, END = 0x20 };
enum { HELLO = 1, PING, PONG, ACK, PAUSE, RESUME, ECHO, SPAWN = 16, PROMOTE = 18 };
enum { SLOT = 0x10000, EVENTS, DATA, ASK }; /* handles of this program's own */
enum { MASTER = 0, AGENT = 8, AGENT_SIZE = 64, LEAF = 16, LEAF_SIZE = 8 };
enum {
	WINDOW = 1 << 20, /* what a window has grown to in a second */
	ECHOES = 2000,    /* a round; in blocks that alternate */
	BLOCK = 200,
	FRAMES = 4096,      /* a round, each way: 64 MiB */
	WARM_FRAMES = 65536 /* once, for the agent's own windows to grow */
};

struct end {
	int in, out;
	uint32_t self, hop, far; /* hop: who is at the link's other side */
	bool credit, paused;
	uint32_t inflight, owed;
	size_t head, tail;
	uint8_t buf[2 * PIPE];
};

struct frame {
	uint8_t kind;
	uint32_t src, handle, reply_to, len;
	const uint8_t *body;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "hop: %s\n", what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);
		if (w <= 0)
			exit(0); /* the other side is gone: said there */
		p += w;
		n -= (size_t)w;
	}
}

/* ---- frames ---- */

static uint32_t get32(const uint8_t *p)
{
	uint32_t n;
	memcpy(&n, p, 4);
	return ntohl(n);
}

static void send_frame(struct end *e, uint8_t kind, uint32_t dst, uint32_t handle, uint32_t reply_to, const void *body,
		       uint32_t len)
{
	static uint8_t out[HEADER + BULK] = {0xEC, 1, 0, 64};
	const uint32_t fields[6] = {htonl(dst),    htonl(e->self),  htonl(e->self),
				    htonl(handle), htonl(reply_to), htonl(len)};
	out[2] = kind;
	memcpy(out + 4, fields, sizeof fields);
	if (len)
		memcpy(out + HEADER, body, len);
	write_all(e->out, out, HEADER + len);
}

static size_t put_head(uint8_t *p, uint8_t major, uint32_t n)
{
	p[0] = (uint8_t)(major << 5 | 26);
	const uint32_t be = htonl(n);
	memcpy(p + 1, &be, 4);
	return 5;
}

static void send_int(struct end *e, uint32_t handle, uint32_t n)
{
	uint8_t body[5];
	send_frame(e, CONTROL, e->hop, handle, 0, body, (uint32_t)put_head(body, 0, n));
}

static uint32_t read_int(const uint8_t *p)
{
	switch (p[0]) {
	case 24:
		return p[1];
	case 25:
		return (uint32_t)p[1] << 8 | p[2];
	case 26:
		return get32(p + 1);
	default:
		return p[0];
	}
}

/* What has come is acknowledged before more is waited for. */
static bool more(struct end *e, bool wait)
{
	struct pollfd p = {e->in, POLLIN, 0};
	if (!wait && poll(&p, 1, 0) == 0)
		return false;
	if (e->owed)
		send_int(e, ACK, e->owed);
	e->owed = 0;
	memmove(e->buf, e->buf + e->head, e->tail - e->head);
	e->tail -= e->head;
	e->head = 0;
	ssize_t n = read(e->in, e->buf + e->tail, PIPE);
	if (n <= 0) {
		if (e->self == MASTER)
			die("the relay is gone");
		exit(0);
	}
	e->tail += (size_t)n;
	return true;
}

/* True: f is to be looked at; what is the link's own has been dealt with. */
static bool take(struct end *e, struct frame *f)
{
	const uint8_t *p = e->buf + e->head;
	size_t have = e->tail - e->head;
	if (have < HEADER || have < HEADER + get32(p + 24))
		return false;
	*f = (struct frame){p[2], get32(p + 8), get32(p + 16), get32(p + 20), get32(p + 24), p + HEADER};
	e->head += HEADER + f->len;
	if (e->credit && (f->kind & 3) == BULK_CLASS)
		e->owed += HEADER + f->len;
	return true;
}

static bool is_link(struct end *e, const struct frame *f)
{
	if (f->handle == ACK)
		e->inflight -= read_int(f->body);
	else if (f->handle == PAUSE || f->handle == RESUME)
		e->paused = f->handle == PAUSE;
	else if (f->handle == PING)
		send_frame(e, CONTROL, e->hop, PONG, 0, f->body, f->len);
	else
		return false;
	return true;
}

static void next(struct end *e, struct frame *f)
{
	do
		while (!take(e, f))
			(void)more(e, true);
	while (is_link(e, f));
}

static void send_bulk(struct end *e, uint32_t frames)
{
	static const uint8_t body[BULK];
	const uint32_t size = HEADER + BULK;
	struct frame f;
	while (frames--) {
		while (e->credit) {
			while (take(e, &f))
				if (!is_link(e, &f))
					die("a frame amid bulk");
			if (!more(e, e->paused || e->inflight + size > WINDOW) && !e->paused &&
			    e->inflight + size <= WINDOW)
				break;
		}
		if (e->credit)
			e->inflight += size;
		send_frame(e, frames ? BULK_CLASS : BULK_CLASS | END, e->far, DATA, SLOT, body, BULK);
	}
}

/* ---- the far end, and the plain relay ---- */

static _Noreturn void leaf(int in, int out, bool credit)
{
	static struct end e;
	static const uint8_t hello[] = {0xA1, 0, 1};
	struct frame f;
	e = (struct end){.in = in, .out = out, .self = LEAF, .hop = AGENT, .far = MASTER, .credit = credit};
	if (credit) {
		next(&e, &f);
		send_frame(&e, CONTROL, AGENT, HELLO, 0, hello, sizeof hello);
	}
	for (;;) {
		next(&e, &f);
		if (f.handle == ECHO)
			send_frame(&e, CALL, f.src, f.reply_to, 0, f.body, f.len);
		else if (f.handle == ASK)
			send_bulk(&e, get32(f.body));
		else if (f.handle == DATA && f.kind & END)
			send_frame(&e, CALL, MASTER, SLOT, 0, NULL, 0);
	}
}

static _Noreturn void plain(const int from[2], const int to[2])
{
	static uint8_t buf[PIPE];
	struct pollfd p[2] = {{from[0], POLLIN, 0}, {from[1], POLLIN, 0}};
	for (;;) {
		if (poll(p, 2, -1) < 0)
			exit(1);
		for (int i = 0; i < 2; i++) {
			if (!p[i].revents)
				continue;
			ssize_t n = read(from[i], buf, PIPE);
			if (n <= 0)
				exit(0);
			write_all(to[i], buf, (size_t)n);
		}
	}
}

/* ---- starting them ---- */

static void pipes(int v[2])
{
	if (pipe2(v, O_CLOEXEC))
		die("no pipe");
}

static void start_plain(struct end *e)
{
	int down[2], up[2], far_down[2], far_up[2];
	pipes(down), pipes(up), pipes(far_down), pipes(far_up);
	pid_t pid = fork();
	if (pid <= 0) {
		bool is_leaf = pid < 0 || fork() == 0;
		if (pid < 0)
			die("no process");
		close(down[1]), close(up[0]);
		close(is_leaf ? down[0] : far_down[0]);
		close(is_leaf ? up[1] : far_up[1]);
		if (is_leaf) {
			close(far_down[1]), close(far_up[0]);
			leaf(far_down[0], far_up[1], false);
		}
		plain((int[]){down[0], far_up[0]}, (int[]){far_down[1], up[1]});
	}
	close(down[0]), close(up[1]);
	close(far_down[0]), close(far_down[1]), close(far_up[0]), close(far_up[1]);
	*e = (struct end){.in = up[0], .out = down[1], .self = MASTER, .hop = AGENT, .far = LEAF};
}

static void promote(struct end *e)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self);
	uint8_t body[sizeof self + 64], *p = body;
	if (n <= 0)
		die("no /proc/self/exe");
	const uint8_t head[] = {0xA5, 0, LEAF, 1, LEAF_SIZE, 2, 0x82},
		      tail[] = {0x44, 'l', 'e', 'a', 'f', 3, 0xA0, 4, 0};
	const uint8_t hello[] = {0x82, LEAF, 0x4B, 0xA3, 0, 1, 1, 0x82, LEAF, LEAF_SIZE, 2, 0x19, 0x3A, 0x98};
	memcpy(p, head, sizeof head), p += sizeof head;
	p += put_head(p, 2, (uint32_t)n);
	memcpy(p, self, (size_t)n), p += n;
	memcpy(p, tail, sizeof tail), p += sizeof tail;
	send_frame(e, CALL, AGENT, SPAWN, EVENTS, body, (uint32_t)(p - body));
	send_frame(e, CALL, AGENT, PROMOTE, EVENTS, hello, sizeof hello);
}

static void start_agent(struct end *e, const char *agent)
{
	static const uint8_t hello[] = {0xA3, 0, 1, 1, 0x82, AGENT, 0x18, AGENT_SIZE, 2, 0};
	struct frame f;
	int down[2], up[2];
	pipes(down), pipes(up);
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(down[0], 0) == 0 && dup2(up[1], 1) == 1)
			execl(agent, agent, (char *)NULL);
		die("the agent cannot be executed");
	}
	close(down[0]), close(up[1]);
	*e = (struct end){.in = up[0], .out = down[1], .self = MASTER, .hop = AGENT, .far = LEAF, .credit = true};
	send_frame(e, CONTROL, AGENT, HELLO, 0, hello, sizeof hello);
	next(e, &f);
	promote(e);
	do {
		next(e, &f);
		if (f.handle != EVENTS || f.len < 2 || (f.body[1] != 0 && f.body[1] != 6))
			die("the far end was not started");
	} while (f.body[1] != 6);
}

/* ---- what is measured ---- */

static int order(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void echo(struct end *e, uint64_t *times, unsigned n)
{
	struct frame f;
	for (unsigned i = 0; i < n; i++) {
		uint64_t begun = now_ns();
		send_frame(e, CALL, LEAF, ECHO, SLOT, "0123456789abcdef", 16);
		next(e, &f);
		if (f.handle != SLOT || f.len != 16)
			die("no echo");
		times[i] = now_ns() - begun;
	}
}

static double down(struct end *e, uint32_t frames)
{
	struct frame f;
	uint64_t begun = now_ns();
	send_bulk(e, frames);
	next(e, &f);
	if (f.handle != SLOT)
		die("no word of the far end");
	return (double)frames * (double)BULK * 1e3 / (double)(now_ns() - begun);
}

static double up(struct end *e, uint32_t frames)
{
	struct frame f;
	uint32_t got = 0, be = htonl(frames);
	uint64_t begun = now_ns();
	send_frame(e, CALL, LEAF, ASK, 0, &be, 4);
	do {
		next(e, &f);
		got++;
	} while (!(f.kind & END));
	if (got != frames)
		die("frames are missing");
	return (double)frames * (double)BULK * 1e3 / (double)(now_ns() - begun);
}

static void a_round(struct end *one, struct end *other)
{
	static uint64_t t[2][ECHOES];
	double rate[4];
	for (unsigned i = 0; i < ECHOES; i += BLOCK) {
		echo(one, t[0] + i, BLOCK);
		echo(other, t[1] + i, BLOCK);
	}
	qsort(t[0], ECHOES, sizeof **t, order);
	qsort(t[1], ECHOES, sizeof **t, order);
	rate[0] = down(one, FRAMES);
	rate[1] = down(other, FRAMES);
	rate[2] = up(one, FRAMES);
	rate[3] = up(other, FRAMES);
	printf("%llu %llu %.0f %.0f %.0f %.0f\n", (unsigned long long)t[0][ECHOES / 2],
	       (unsigned long long)t[1][ECHOES / 2], rate[0], rate[1], rate[2], rate[3]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct end one, other;
	if (argc == 2 && strcmp(argv[1], "leaf") == 0)
		leaf(0, 1, true);
	long rounds = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	if (rounds < 1) {
		fprintf(stderr, "usage: hop AGENT ROUNDS\n");
		return 2;
	}
	start_plain(&one);
	start_agent(&other, argv[1]);
	(void)down(&other, WARM_FRAMES);
	(void)up(&other, WARM_FRAMES);
	while (rounds--)
		a_round(&one, &other);
	close(one.out), close(other.out);
	while (wait(NULL) > 0)
		;
	return 0;
}
