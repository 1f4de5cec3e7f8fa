/* Threads: blocking calls of eight threads on several contexts, two meshes at once, meshes made at once, forks beside.
 */
#include "mesh_support.h"
#include <sys/wait.h>

enum { THREADS = 8, CALLS = 50 };

struct worker {
	ectx_context *context;
	int number, wrong;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	for (int i = 0; i < CALLS; i++) {
		ectx_value *v = NULL, *args = ectx_array();
		ectx_error err = {0};
		int64_t n = -1;
		(void)ectx_array_push(args, ectx_int(w->number));
		(void)ectx_array_push(args, ectx_int(1000 * i));
		if (ectx_call(w->context, "work:add", args, NULL, WITHIN, &v, &err) != ECTX_OK ||
		    !ectx_value_int(v, &n) || n != 1000 * i + w->number)
			w->wrong++;
		ectx_value_free(args);
		ectx_value_free(v);
		ectx_error_clear(&err);
	}
	return NULL;
}

static void run(struct worker *t, size_t n)
{
	pthread_t id[2 * THREADS];
	for (size_t i = 0; i < n; i++)
		cr_assert(pthread_create(&id[i], NULL, work, &t[i]) == 0);
	for (size_t i = 0; i < n; i++) {
		cr_assert(pthread_join(id[i], NULL) == 0);
		cr_expect(t[i].wrong == 0, "thread %zu: %d wrong", i, t[i].wrong);
	}
}

Test(thread, eight_threads_with_blocking_calls)
{
	struct world w = world_open();
	static const char *const names[THREADS] = {"a", "b", "c", "d", "k1", "k2", "c", "c"};
	struct worker t[THREADS];
	for (int i = 0; i < THREADS; i++)
		t[i] = (struct worker){get(w.mesh, names[i]), i, 0};
	run(t, THREADS);
	world_close(&w);
}

Test(thread, two_meshes_at_the_same_time)
{
	struct world w = world_open();
	ectx_mesh *other = mesh_over(&w, 0);
	struct worker t[2 * THREADS];
	for (int i = 0; i < 2 * THREADS; i++)
		t[i] = (struct worker){get(i % 2 ? w.mesh : other, i % 4 < 2 ? "b" : "d"), i, 0};
	run(t, 2 * THREADS);
	cr_expect(pid_of(t[0].context) != pid_of(t[1].context), "two meshes share nothing");
	ectx_mesh_free(other);
	cr_expect(call_int(t[1].context, "work:add", "[1]") == 1, "the other one goes on");
	world_close(&w);
}

static void *make_and_free(void *arg)
{
	ectx_mesh *m = mesh_over(arg, 0);
	(void)call_int(get(m, "d"), "work:add", "[1]");
	ectx_mesh_free(m);
	return NULL;
}

Test(thread, meshes_made_and_freed_by_many_threads)
{
	struct world w = world_open();
	pthread_t id[4];
	for (int i = 0; i < 4; i++)
		cr_assert(pthread_create(&id[i], NULL, make_and_free, &w) == 0);
	for (int i = 0; i < 4; i++)
		cr_assert(pthread_join(id[i], NULL) == 0);
	world_close(&w);
}

static void *start_and_cancel(void *arg)
{
	struct worker *w = arg;
	for (int i = 0; i < CALLS; i++) {
		ectx_future *f = start(w->context, "work:add", "[1]", i % 3 ? WITHIN : 1);
		if (i % 2)
			(void)ectx_future_wait(f, i % 5);
		ectx_future_free(f);
	}
	return NULL;
}

Test(thread, futures_freed_while_their_answers_come)
{
	struct world w = world_open();
	struct worker t[THREADS];
	pthread_t id[THREADS];
	for (int i = 0; i < THREADS; i++) {
		t[i] = (struct worker){get(w.mesh, i % 2 ? "b" : "d"), i, 0};
		cr_assert(pthread_create(&id[i], NULL, start_and_cancel, &t[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		cr_assert(pthread_join(id[i], NULL) == 0);
	cr_expect(call_int(t[0].context, "work:add", "[2]") == 2);
	cr_expect(call_int(t[1].context, "work:add", "[2]") == 2);
	world_close(&w);
}

static void *fork_often(void *arg)
{
	int *status = arg;
	for (int i = 0; i < 30; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			(void)execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		int s = -1;
		if (pid < 0 || waitpid(pid, &s, 0) != pid || s != 0)
			++*status;
	}
	return NULL;
}

/* The program's own children are its own: the library waits for none of them, and they hold none of its pipes. */
Test(thread, forks_of_the_program_beside)
{
	struct world w = world_open();
	int failed = 0;
	pthread_t id;
	cr_assert(pthread_create(&id, NULL, fork_often, &failed) == 0);
	for (int i = 0; i < 3; i++) {
		ectx_mesh *m = mesh_over(&w, 0);
		(void)call_int(get(m, "b"), "work:add", "[1]");
		(void)call_int(get(w.mesh, "d"), "work:add", "[1]");
		ectx_mesh_free(m);
	}
	cr_assert(pthread_join(id, NULL) == 0);
	cr_expect(failed == 0);
	world_close(&w);
}
