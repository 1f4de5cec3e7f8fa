/* Blocking calls from eight threads.
 *
 *     cc eight_threads.c -o eight_threads -pthread $(pkg-config --cflags --libs econtext)
 *     ./eight_threads                             three contexts on this machine, one behind the other
 *     ./eight_threads hosts.yaml web01 web02      contexts of your own topology
 *
 * Every function of the library may be called from any thread. A blocking call holds up its own thread only, so
 * to do eight things at once it is enough to have eight threads: they share one mesh, its connections included. Calls
 * to one context are run there one after another, in the order in which they were made. */
#include <econtext/econtext.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, CALLS = 25, LIMIT_MS = 30000 };

static const char local[] = "econtext: 1\n"
			    "nodes:\n"
			    "  front: {local: {}}\n"
			    "  middle: {via: front, local: {}}\n"
			    "  leaf: {via: middle, local: {}}\n";
static const char *const local_names[] = {"front", "middle", "leaf"};

struct job {
	ectx_context *context;
	int number;
	int64_t sum; /* what the calls returned, added up */
	int failed;
};

/* operator:add(number, i) over there, for i = 0 ... CALLS - 1 */
static void *work(void *arg)
{
	struct job *job = arg;
	for (int i = 0; i < CALLS; i++) {
		ectx_value *args = ectx_array(), *result = NULL;
		ectx_error err = {0};
		int64_t n = 0;
		if (!ectx_array_push(args, ectx_int(job->number)) || !ectx_array_push(args, ectx_int(i))) {
			(void)fprintf(stderr, "out of memory\n"); /* without it the call would be another */
			job->failed++;
		} else if (ectx_call(job->context, "operator:add", args, NULL, LIMIT_MS, &result, &err) == ECTX_OK &&
			   ectx_value_int(result, &n)) {
			job->sum += n;
		} else {
			(void)fprintf(stderr, "%s: %s, phase %s: %s\n", err.path, ectx_code_name(err.code),
				      ectx_phase_name(err.phase), err.saw);
			job->failed++;
		}
		ectx_value_free(args); /* the caller's again as soon as the call returns */
		ectx_value_free(result);
		ectx_error_clear(&err);
	}
	return NULL;
}

static int run(ectx_mesh *mesh, const char *const *names, int count)
{
	struct job jobs[THREADS];
	pthread_t threads[THREADS];
	ectx_error err = {0};
	int failed = 0, started = 0;
	for (int i = 0; i < THREADS; i++) {
		jobs[i] = (struct job){.context = ectx_context_get(mesh, names[i % count], &err), .number = i};
		if (!jobs[i].context) {
			(void)fprintf(stderr, "%s: %s\n", names[i % count], err.saw);
			failed++;
			break;
		}
		if (pthread_create(&threads[i], NULL, work, &jobs[i]) != 0)
			break;
		started++;
	}
	for (int i = 0; i < started; i++) {
		(void)pthread_join(threads[i], NULL);
		printf("thread %d on %s: %d calls, sum %lld\n", i, ectx_context_name(jobs[i].context), CALLS,
		       (long long)jobs[i].sum);
		failed += jobs[i].failed;
	}
	return failed || started < THREADS;
}

int main(int argc, char **argv)
{
	ectx_error err = {0};
	ectx_topology *topology = argc > 2 ? ectx_topology_load(argv[1], &err)
					   : ectx_topology_parse(local, strlen(local), "built in", &err);
	ectx_options options = {.topology = topology};
	ectx_mesh *mesh = NULL;
	if (!topology || ectx_mesh_new(&mesh, &options, &err) < 0) {
		(void)fprintf(stderr, "%s\n%s\n", err.saw, err.hint);
		ectx_topology_free(topology);
		return 1;
	}
	int status = argc > 2 ? run(mesh, (const char *const *)argv + 2, argc - 2) : run(mesh, local_names, 3);
	ectx_mesh_free(mesh); /* ends every context that it made */
	ectx_topology_free(topology);
	return status;
}
