/* Two meshes in one program, one of them with pipelined calls, the other with logs.
 *
 *     cc two_meshes.c -o two_meshes $(pkg-config --cflags --libs econtext)
 *
 * Meshes share nothing: each has its own thread, connections, contexts and events. The same node in two meshes is two
 * processes. A topology is read-only once loaded, and may serve both. */
#include <econtext/econtext.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 100, LIMIT_MS = 30000 };

static const char local[] = "econtext: 1\n"
			    "nodes:\n"
			    "  relay: {local: {}}\n"
			    "  leaf: {via: relay, local: {}}\n";

static int fail(const char *what, const ectx_error *err)
{
	(void)fprintf(stderr, "%s: %s: %s: %s\n", what, err->path, ectx_code_name(err->code), err->saw);
	return 1;
}

/* Takes v. NULL: it is none (out of memory, or no UTF-8); to call without arguments is something else. */
static ectx_value *one_argument(ectx_value *v)
{
	ectx_value *args = ectx_array();
	if (ectx_array_push(args, v))
		return args;
	ectx_value_free(args);
	return NULL;
}

/* All calls are under way before the first answer is waited for. */
static int pipelined(ectx_context *leaf)
{
	ectx_future *futures[CALLS];
	int64_t n, sum = 0;
	int failed = 0;
	for (int i = 0; i < CALLS; i++) {
		ectx_value *args = one_argument(ectx_int(-i));
		futures[i] = args ? ectx_call_start(leaf, "builtins:abs", args, NULL, LIMIT_MS) : NULL;
		ectx_value_free(args);
	}
	for (int i = 0; i < CALLS; i++) {
		if (!futures[i])
			return 1; /* out of memory; the mesh ends what is under way */
		(void)ectx_future_wait(futures[i], -1);
		if (ectx_value_int(ectx_future_value(futures[i]), &n))
			sum += n;
		else
			failed += fail("abs", ectx_future_error(futures[i]));
		ectx_future_free(futures[i]);
	}
	printf("first mesh: %d calls, sum %lld\n", CALLS, (long long)sum);
	return failed;
}

/* What code over there logs and prints comes back as events, before the call's own answer. */
static int with_logs(ectx_mesh *mesh, ectx_context *leaf)
{
	ectx_error err = {0};
	ectx_value *args = one_argument(ectx_text("disk nearly full"));
	if (!args)
		return 1;
	enum ectx_status status = ectx_call(leaf, "logging:warning", args, NULL, LIMIT_MS, NULL, &err);
	ectx_value_free(args);
	if (status != ECTX_OK)
		return fail("warning", &err);
	for (ectx_event *e; (e = ectx_event_next(mesh, 0)); ectx_event_free(e)) {
		if (e->kind != ECTX_EVENT_LOG)
			continue;
		char *shown = ectx_escape(e->text, e->len); /* remote text is data: never to a terminal as it is */
		printf("second mesh: %s, level %d: %s\n", ectx_context_name(e->context), e->level, shown ? shown : "?");
		free(shown);
	}
	return 0;
}

int main(void)
{
	ectx_error err = {0};
	ectx_topology *topology = ectx_topology_parse(local, strlen(local), "built in", &err);
	ectx_options options = {.topology = topology};
	ectx_mesh *first = NULL, *second = NULL;
	ectx_context *one = NULL, *two = NULL;
	int status = 1;
	if (topology && ectx_mesh_new(&first, &options, &err) == 0 && ectx_mesh_new(&second, &options, &err) == 0 &&
	    (one = ectx_context_get(first, "leaf", &err)) && (two = ectx_context_get(second, "leaf", &err)))
		status = pipelined(one) || with_logs(second, two);
	else
		(void)fail("start", &err);
	ectx_mesh_free(first);
	ectx_mesh_free(second);
	ectx_topology_free(topology);
	return status;
}
