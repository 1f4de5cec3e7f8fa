/* crowd N [VIA]: the measured side of bench/native-crowd.py.
 *
 * N native contexts of this machine, all under the master, or with VIA under one native relay. Prints the nanoseconds
 * until all are up, those until all have answered an echo, and waits for the end of stdin, so that the driver can look
 * at them. */
#include "econtext/econtext.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	CROWD_MAX = 2000,
	LIMIT_MS = 120000 /* of all together: a hang becomes an error */
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds until all futures have ended well; 0: one has not. */
static uint64_t all(ectx_context **c, int n, ectx_future *(*start)(ectx_context *, long))
{
	static ectx_future *f[CROWD_MAX];
	uint64_t begun = now_ns();
	bool good = true;
	for (int i = 0; i < n; i++)
		f[i] = start(c[i], LIMIT_MS);
	for (int i = 0; i < n; i++) {
		good &= f[i] && ectx_future_wait(f[i], LIMIT_MS) && ectx_future_error(f[i])->status == ECTX_OK;
		if (f[i] && !good)
			fprintf(stderr, "crowd: %s: %s\n", ectx_future_error(f[i])->path, ectx_future_error(f[i])->saw);
		ectx_future_free(f[i]);
	}
	return good ? now_ns() - begun : 0;
}

static int measure(ectx_mesh *mesh, int n)
{
	static ectx_context *c[CROWD_MAX];
	char name[16];
	ectx_error err = {0};
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "n%04d", i + 1);
		if (!(c[i] = ectx_context_get(mesh, name, &err)))
			return 1;
	}
	uint64_t up = all(c, n, ectx_connect_start), ping = up ? all(c, n, ectx_trace_start) : 0;
	if (!ping)
		return 1;
	printf("%" PRIu64 " %" PRIu64 "\n", up, ping);
	fflush(stdout);
	return getchar() == EOF ? 0 : 1;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	if (n < 1 || n > CROWD_MAX) {
		fprintf(stderr, "usage: crowd N [VIA]\n");
		return 2;
	}
	char text[512];
	snprintf(text, sizeof text,
		 "econtext: 1\ndefaults: {agent: [native], dial_window: 16}\nnodes:\n  top: {local: {}}\n"
		 "  \"n[0001-%04d]\": {%s local: {}}\n",
		 n, argc > 2 ? "via: top," : "");
	ectx_error err = {0};
	ectx_topology *topology = ectx_topology_parse(text, strlen(text), "crowd", &err);
	ectx_options options = {.topology = topology};
	ectx_mesh *mesh = NULL;
	int status = 1;
	if (topology && ectx_mesh_new(&mesh, &options, &err) == 0)
		status = measure(mesh, n);
	else
		fprintf(stderr, "crowd: %s\n", err.saw);
	ectx_mesh_free(mesh);
	ectx_topology_free(topology);
	ectx_error_clear(&err);
	return status;
}
