/* beside TOPOLOGY NODE OTHER: runs `yes` on NODE and takes no event of it, and calls OTHER the while, in the same mesh.
 * Prints the median time of a call in microseconds: first alone, then beside it; and how much of `yes` the mesh holds.
 */
#include <econtext/econtext.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS = 41, LIMIT_MS = 30000 };

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;
	return (x > y) - (x < y);
}

static long median_us(ectx_context *c)
{
	long took[CALLS];
	for (int i = 0; i < CALLS; i++) {
		struct timespec from, to;
		ectx_error e = {0};
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (ectx_call(c, "os:getpid", NULL, NULL, LIMIT_MS, NULL, &e) != ECTX_OK) {
			fprintf(stderr, "%s: %s: %s\n", e.path, ectx_code_name(e.code), e.saw);
			exit(1);
		}
		clock_gettime(CLOCK_MONOTONIC, &to);
		took[i] = (to.tv_sec - from.tv_sec) * 1000000L + (to.tv_nsec - from.tv_nsec) / 1000L;
	}
	qsort(took, CALLS, sizeof *took, by_size);
	return took[CALLS / 2];
}

int main(int argc, char **argv)
{
	static const char *const yes[] = {"yes", NULL};
	ectx_error e = {0};
	ectx_mesh *m;
	ectx_topology *t = argc == 4 ? ectx_topology_load(argv[1], &e) : NULL;
	if (!t || ectx_mesh_new(&m, &(ectx_options){.topology = t}, &e))
		return 2;
	ectx_context *node = ectx_context_get(m, argv[2], &e), *other = ectx_context_get(m, argv[3], &e);
	if (!node || !other)
		return 2;
	(void)median_us(node); /* and the way there is up */
	long alone = median_us(other);
	ectx_future *f = ectx_exec_start(node, &(ectx_exec){.argv = yes}, -1);
	(void)ectx_future_wait(f, 3000); /* long enough for every window on the way to fill */
	long beside = median_us(other);
	size_t held = 0;
	for (ectx_event *v; (v = ectx_event_next(m, 0)) != NULL; ectx_event_free(v)) {
		if (held > 1u << 24)
			break;
		held += v->kind == ECTX_EVENT_OUTPUT ? v->len : 0;
	}
	printf("%ld %ld %zu\n", alone, beside, held);
	ectx_future_free(f);
	ectx_mesh_free(m);
	ectx_topology_free(t);
	return 0;
}
