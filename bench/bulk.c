/* bulk DEPTH LEAF [PYTHON]: the measured side of bench/python-bulk.py: a stream through Python agents.
 *
 * DEPTH local contexts, each started through the one before, all with the Python agent but the last, which has LEAF
 * ("python" or "native"). At the last a stream is opened (OPEN tcp) to a process of ours on the loopback interface. A
 * line of stdin, N or -N, is that many MiB to send there or to have sent from there, over a stream of its own; answered
 * by one line with the nanoseconds from the first byte until the receiver has the last (down: until it has said so).
 *
 * Both ends compare what comes, byte for byte, with what must: a block of noise over and over. Its length is a prime,
 * so that no piece that is lost, doubled or out of its order can look right. */
#include "econtext/econtext.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	DEPTH_MAX = 8,
	LIMIT_MS = 60000, /* of one connect, or of a stream that stands still: a hang becomes an error */
	MIB = 1 << 20,
	NOISE = 1048573, /* the largest prime below */
	PIECE = 1 << 17, /* of one read or write; no more than NOISE */
	TOPOLOGY_MAX = 4096
};

static uint8_t noise[NOISE + PIECE]; /* its beginning again behind it: a piece from anywhere is in one place */

struct order {
	uint64_t bytes;
	uint64_t up;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void make_noise(void)
{
	uint64_t x = 88172645463325252u;
	for (size_t i = 0; i < sizeof noise; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		noise[i] = i < NOISE ? (uint8_t)(x >> 24) : noise[i - NOISE];
	}
}

static const uint8_t *at(uint64_t place)
{
	return noise + place % NOISE;
}

static size_t piece(uint64_t left)
{
	return left < PIECE ? (size_t)left : PIECE;
}

/* ---- the other end ---- */

static void take(int fd, uint64_t bytes)
{
	static uint8_t buf[PIECE];
	uint64_t got = 0;
	while (got < bytes) {
		ssize_t n = read(fd, buf, piece(bytes - got));
		if (n <= 0 || memcmp(buf, at(got), (size_t)n) != 0)
			return; /* and so no word of it, which is an error there */
		got += (uint64_t)n;
	}
	if (write(fd, &got, sizeof got) != sizeof got)
		return;
}

static void give(int fd, uint64_t bytes)
{
	uint64_t done = 0;
	while (done < bytes) {
		ssize_t n = write(fd, at(done), piece(bytes - done));
		if (n <= 0)
			return;
		done += (uint64_t)n;
	}
}

static _Noreturn void other_end(int listening)
{
	struct order o;
	for (;;) {
		int fd = accept(listening, NULL, NULL);
		if (fd < 0)
			exit(0);
		if (read(fd, &o, sizeof o) == sizeof o) {
			if (o.up)
				give(fd, o.bytes);
			else
				take(fd, o.bytes);
		}
		close(fd);
	}
}

/* Its port; 0: none. */
static unsigned start_other_end(pid_t *pid)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 8) ||
	    getsockname(fd, (struct sockaddr *)&a, &n) || (*pid = fork()) < 0)
		return 0;
	if (*pid == 0)
		other_end(fd);
	close(fd);
	return ntohs(a.sin_port);
}

/* ---- this end ---- */

static bool send_all(ectx_stream *s, const void *p, size_t n)
{
	while (n) {
		long w = ectx_stream_write(s, p, n, LIMIT_MS);
		if (w <= 0)
			return false;
		p = (const uint8_t *)p + w;
		n -= (size_t)w;
	}
	return true;
}

static bool down(ectx_stream *s, uint64_t bytes)
{
	uint64_t got = 0;
	uint8_t said[sizeof got];
	for (uint64_t done = 0; done < bytes; done += piece(bytes - done))
		if (!send_all(s, at(done), piece(bytes - done)))
			return false;
	for (long n = 0, r; n < (long)sizeof said; n += r)
		if ((r = ectx_stream_read(s, said + n, sizeof said - (size_t)n, LIMIT_MS)) <= 0)
			return false;
	memcpy(&got, said, sizeof got);
	return got == bytes;
}

static bool up(ectx_stream *s, uint64_t bytes)
{
	static uint8_t buf[PIECE];
	uint64_t got = 0;
	while (got < bytes) {
		long n = ectx_stream_read(s, buf, piece(bytes - got), LIMIT_MS);
		if (n <= 0 || memcmp(buf, at(got), (size_t)n) != 0)
			return false;
		got += (uint64_t)n;
	}
	return true;
}

static int fail(const char *what, const ectx_error *err)
{
	fprintf(stderr, "bulk: %s: %s %s: %s (%s)\n", what, ectx_phase_name(err->phase), ectx_code_name(err->code),
		err->saw, err->hint);
	return 1;
}

static int once(ectx_context *leaf, const char *address, long mib, ectx_error *err)
{
	ectx_stream *s = NULL;
	const struct order o = {(uint64_t)labs(mib) * MIB, mib < 0};
	if (ectx_stream_open(leaf, address, LIMIT_MS, &s, err))
		return fail("open", err);
	uint64_t begun = now_ns();
	bool good = send_all(s, &o, sizeof o) && (o.up ? up(s, o.bytes) : down(s, o.bytes));
	uint64_t took = now_ns() - begun;
	if (good)
		printf("%" PRIu64 "\n", took);
	else
		fprintf(stderr, "bulk: not all bytes came, or others (%s)\n", ectx_stream_why(s));
	ectx_stream_free(s);
	return fflush(stdout) || !good;
}

static int serve(ectx_mesh *mesh, unsigned depth, unsigned port)
{
	ectx_error err = {0};
	char name[16], address[32], line[32];
	snprintf(name, sizeof name, "n%u", depth);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	ectx_context *leaf = ectx_context_get(mesh, name, &err);
	if (!leaf || ectx_connect(leaf, LIMIT_MS, &err))
		return fail("connect", &err);
	int status = 0;
	while (!status && fgets(line, sizeof line, stdin))
		status = once(leaf, address, strtol(line, NULL, 10), &err);
	ectx_error_clear(&err);
	return status;
}

/* The topology's text. 0, or -1: it does not fit. */
static int declare(char *text, size_t cap, unsigned depth, const char *agent, const char *python)
{
	int n = snprintf(text, cap, "econtext: 1\ndefaults: {python: \"%s\"}\nnodes:\n", python);
	for (unsigned i = 1; i <= depth && n > 0 && (size_t)n < cap; i++) {
		char via[24] = "";
		if (i > 1)
			snprintf(via, sizeof via, "via: n%u, ", i - 1);
		int more = snprintf(text + n, cap - (size_t)n, "  n%u: {%slocal: {}, agent: [%s]}\n", i, via,
				    i < depth ? "python" : agent);
		n = more < 0 ? more : n + more;
	}
	return n > 0 && (size_t)n < cap ? 0 : -1;
}

static int with_mesh(unsigned depth, const char *text, unsigned port)
{
	ectx_error err = {0};
	ectx_mesh *mesh = NULL;
	ectx_topology *topology = ectx_topology_parse(text, strlen(text), "bulk", &err);
	ectx_options options = {.topology = topology};
	int status;
	if (!topology)
		status = fail("topology", &err);
	else if (ectx_mesh_new(&mesh, &options, &err))
		status = fail("mesh", &err);
	else
		status = serve(mesh, depth, port);
	ectx_mesh_free(mesh);
	ectx_topology_free(topology);
	ectx_error_clear(&err);
	return status;
}

int main(int argc, char **argv)
{
	unsigned long depth = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	if (depth < 1 || depth > DEPTH_MAX) {
		fprintf(stderr, "usage: bulk DEPTH LEAF [PYTHON]\n");
		return 2;
	}
	char text[TOPOLOGY_MAX];
	if (declare(text, sizeof text, (unsigned)depth, argv[2], argc > 3 ? argv[3] : "python3")) {
		fprintf(stderr, "bulk: the path of the python is too long\n");
		return 2;
	}
	make_noise();
	signal(SIGPIPE, SIG_IGN);
	pid_t pid = 0;
	unsigned port = start_other_end(&pid);
	if (!port) {
		perror("bulk: no socket to listen at");
		return 1;
	}
	int status = with_mesh((unsigned)depth, text, port);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return status;
}
