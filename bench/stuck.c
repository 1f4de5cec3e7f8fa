/* stuck PORT AGENT: the measured side of bench/stuck-calls.py.
 *
 * Four local contexts: top, leaf1 behind it, deep and its sibling behind that, relays with AGENT (native or python). A
 * tunnel from here, whose address is the first line of stdout, leaves at deep to PORT of this machine. Then every line
 * of stdin is a number of calls of os.getpid at the sibling, answered by one line with the nanoseconds of each. */
#include "econtext/econtext.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIMIT_MS = 60000 }; /* of one call or connect: a hang becomes an error */

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail(const char *what, const ectx_error *err)
{
	fprintf(stderr, "stuck: %s: %s: %s\n", what, err->path, err->saw);
	return 1;
}

static int block(ectx_context *sibling, unsigned long calls, ectx_error *err)
{
	for (unsigned long i = 0; i < calls; i++) {
		uint64_t begun = now_ns();
		if (ectx_call(sibling, "os:getpid", NULL, NULL, LIMIT_MS, NULL, err))
			return -1;
		printf("%s%" PRIu64, i ? " " : "", now_ns() - begun);
	}
	puts("");
	return fflush(stdout) ? -1 : 0;
}

static int serve(ectx_mesh *mesh, const char *port)
{
	ectx_error err = {0};
	char to[32], line[32];
	snprintf(to, sizeof to, "127.0.0.1:%.8s", port);
	ectx_context *deep = ectx_context_get(mesh, "deep", &err), *sibling = ectx_context_get(mesh, "sibling", &err);
	if (!deep || !sibling || ectx_connect(deep, LIMIT_MS, &err) || ectx_connect(sibling, LIMIT_MS, &err))
		return fail("connect", &err);
	ectx_tunnel *tunnel =
		ectx_tunnel_open(deep, &(ectx_tunnel_options){.listen = "127.0.0.1:0", .connect = to}, LIMIT_MS, &err);
	if (!tunnel)
		return fail("tunnel", &err);
	printf("%s\n", ectx_tunnel_address(tunnel));
	fflush(stdout);
	int status = 0;
	while (!status && fgets(line, sizeof line, stdin))
		if (block(sibling, strtoul(line, NULL, 10), &err))
			status = fail("call", &err);
	ectx_tunnel_close(tunnel);
	return status;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: stuck PORT AGENT\n");
		return 2;
	}
	char text[512];
	snprintf(text, sizeof text,
		 "econtext: 1\ndefaults: {agent: %s}\nnodes:\n  top: {local: {}}\n  leaf1: {local: {}, via: top}\n"
		 "  deep: {local: {}, via: leaf1}\n  sibling: {local: {}, via: leaf1, agent: python}\n",
		 strcmp(argv[2], "python") ? "native" : "python");
	ectx_error err = {0};
	ectx_topology *topology = ectx_topology_parse(text, strlen(text), "stuck", &err);
	ectx_options options = {.topology = topology};
	ectx_mesh *mesh = NULL;
	int status = topology && ectx_mesh_new(&mesh, &options, &err) == 0 ? serve(mesh, argv[1]) : fail("mesh", &err);
	ectx_mesh_free(mesh);
	ectx_topology_free(topology);
	ectx_error_clear(&err);
	return status;
}
