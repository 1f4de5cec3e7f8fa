/* boots [PYTHON]: the measured side of bench/boot-local.py.
 *
 * Every line of stdin boots one more local context, answered by a line with the nanoseconds from the start of the
 * connect to the context being up. All are contexts of one mesh: what is measured is a boot, not the start of a
 * program. */
#include "econtext/econtext.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	BOOTS_MAX = 999,  /* of one run: the node set below */
	LIMIT_MS = 30000, /* of one boot: a hang becomes an error */
	PYTHON_MAX = 4096
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail(const char *what, const ectx_error *err)
{
	fprintf(stderr, "boots: %s: %s %s: %s (%s)\n", what, ectx_phase_name(err->phase), ectx_code_name(err->code),
		err->saw, err->hint);
	return 1;
}

static int serve(ectx_mesh *mesh)
{
	ectx_error err = {0};
	char name[16], line[32];
	for (int i = 1; i <= BOOTS_MAX && fgets(line, sizeof line, stdin); i++) {
		snprintf(name, sizeof name, "n%03d", i);
		ectx_context *context = ectx_context_get(mesh, name, &err);
		uint64_t begun = now_ns();
		if (!context || ectx_connect(context, LIMIT_MS, &err))
			return fail(name, &err);
		printf("%" PRIu64 "\n", now_ns() - begun);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char text[PYTHON_MAX];
	int n = snprintf(text, sizeof text,
			 "econtext: 1\ndefaults: {python: \"%s\"}\nnodes:\n  \"n[001-%d]\": {local: {}}\n",
			 argc > 1 ? argv[1] : "python3", BOOTS_MAX);
	if (n < 0 || (size_t)n >= sizeof text) {
		fprintf(stderr, "boots: the path of the python is too long\n");
		return 2;
	}
	ectx_error err = {0};
	ectx_topology *topology = ectx_topology_parse(text, strlen(text), "boots", &err);
	if (!topology)
		return fail("topology", &err);
	ectx_mesh *mesh = NULL;
	ectx_options options = {.topology = topology};
	int status = ectx_mesh_new(&mesh, &options, &err) ? fail("mesh", &err) : serve(mesh);
	ectx_mesh_free(mesh);
	ectx_topology_free(topology);
	ectx_error_clear(&err);
	return status;
}
