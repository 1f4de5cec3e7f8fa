/* chain DEPTH [PYTHON]: the measured side of bench/call-depth4.py.
 *
 * DEPTH local contexts, each started through the one before. Then every line of stdin is a number of calls to make of a
 * function that does nothing worth measuring (os.getpid), one after the other, at the last context; answered by one
 * line with the nanoseconds of each. So the driver can alternate blocks of ours with blocks of another tool's, and what
 * else the machine does hits both alike. */
#include "econtext/econtext.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	DEPTH_MAX = 32,     /* more than any figure that is asked for */
	LIMIT_MS = 30000,   /* of one call or connect: a hang becomes an error */
	TOPOLOGY_MAX = 8192 /* DEPTH_MAX nodes of about 60 bytes and a long path of a python each */
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail(const char *what, const ectx_error *err)
{
	fprintf(stderr, "chain: %s: %s %s: %s (%s)\n", what, ectx_phase_name(err->phase), ectx_code_name(err->code),
		err->saw, err->hint);
	return 1;
}

/* The topology's text: n1 from here, each further one through the one before. 0, or -1: it does not fit. */
static int declare(char *text, size_t cap, unsigned depth, const char *python)
{
	int n = snprintf(text, cap, "econtext: 1\ndefaults: {python: \"%s\"}\nnodes:\n  n1: {local: {}}\n", python);
	for (unsigned i = 2; i <= depth && n > 0 && (size_t)n < cap; i++) {
		int more = snprintf(text + n, cap - (size_t)n, "  n%u: {via: n%u, local: {}}\n", i, i - 1);
		n = more < 0 ? more : n + more;
	}
	return n > 0 && (size_t)n < cap ? 0 : -1;
}

/* Makes calls, printing how long each took. */
static int block(ectx_context *context, unsigned long calls, ectx_error *err)
{
	for (unsigned long i = 0; i < calls; i++) {
		uint64_t begun = now_ns();
		if (ectx_call(context, "os:getpid", NULL, NULL, LIMIT_MS, NULL, err))
			return -1;
		printf("%s%" PRIu64, i ? " " : "", now_ns() - begun);
	}
	puts("");
	return fflush(stdout) ? -1 : 0;
}

static int serve(ectx_mesh *mesh, unsigned depth)
{
	ectx_error err = {0};
	char name[16], line[32];
	snprintf(name, sizeof name, "n%u", depth);
	ectx_context *context = ectx_context_get(mesh, name, &err);
	if (!context || ectx_connect(context, LIMIT_MS, &err))
		return fail("connect", &err);
	while (fgets(line, sizeof line, stdin))
		if (block(context, strtoul(line, NULL, 10), &err))
			return fail("call", &err);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long depth = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	if (depth < 1 || depth > DEPTH_MAX) {
		fprintf(stderr, "usage: chain DEPTH [PYTHON]\n");
		return 2;
	}
	char text[TOPOLOGY_MAX];
	if (declare(text, sizeof text, (unsigned)depth, argc > 2 ? argv[2] : "python3")) {
		fprintf(stderr, "chain: the path of the python is too long\n");
		return 2;
	}
	ectx_error err = {0};
	ectx_topology *topology = ectx_topology_parse(text, strlen(text), "chain", &err);
	if (!topology)
		return fail("topology", &err);
	ectx_mesh *mesh = NULL;
	ectx_options options = {.topology = topology};
	int status = ectx_mesh_new(&mesh, &options, &err) ? fail("mesh", &err) : serve(mesh, (unsigned)depth);
	ectx_mesh_free(mesh);
	ectx_topology_free(topology);
	ectx_error_clear(&err);
	return status;
}
