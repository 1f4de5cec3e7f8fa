/* The Python beside a native context: one, however many ask for it; its host's name outside; made again when it is
 * lost; what needs no Python does without. */
#include "shell_support.h"

/*   master ── n ── l      n: native; p: a Python relay by policy; bare: an sh in Python's place; last: Python, for want
 * of anything else */
static const char natives[] = "econtext: 1\n"
			      "nodes:\n"
			      "  n: {local: {}, agent: native}\n"
			      "  l: {via: n, local: {}}\n"
			      "  p: {local: {}, native: never}\n"
			      "  q: {via: p, local: {}}\n"
			      "  bare: {local: {}, python: sh}\n"
			      "  only: {local: {}, python: sh, agent: python}\n";

static struct world natives_open(void)
{
	struct world w = {0};
	ectx_error err = {0};
	(void)snprintf(w.dir, sizeof w.dir, "/tmp/mesh-test-XXXXXX");
	cr_assert(mkdtemp(w.dir));
	put_file(w.dir, "work.py", work_py, 0644);
	w.topology = ectx_topology_parse(natives, sizeof natives - 1, "test", &err);
	cr_assert(w.topology, "%s", err.saw);
	w.mesh = mesh_over(&w, 0);
	return w;
}

/* Rows of the tree with this name; the last of them. */
static unsigned rows(const struct world *w, const char *name, const char *key, char *out, size_t cap)
{
	ectx_future *f = ectx_tree_start(w->mesh, WITHIN);
	unsigned n = 0;
	cr_assert(f && ectx_future_wait(f, WITHIN) && error_of(f)->status == ECTX_OK);
	const ectx_value *tree = ectx_future_value(f);
	for (size_t i = 0; i < ectx_value_count(tree); i++) {
		const ectx_value *row = ectx_array_at(tree, i);
		if (strcmp(ectx_value_text(ectx_map_get(row, "name")), name) != 0)
			continue;
		char *text = ectx_value_json(ectx_map_get(row, key));
		(void)snprintf(out, cap, "%s", text);
		free(text);
		n++;
	}
	ectx_future_free(f);
	return n;
}

static void is(const struct world *w, const char *name, const char *key, const char *due)
{
	char got[128] = "";
	unsigned n = rows(w, name, key, got, sizeof got);
	cr_expect(n == 1 && !strcmp(got, due), "%s of %s: %s (%u rows), due %s", key, name, got, n, due);
}

static int64_t id_of(const struct world *w, const char *name)
{
	char got[32] = "-1";
	return rows(w, name, "id", got, sizeof got) == 1 ? atoll(got) : -1;
}

struct caller {
	pthread_t thread;
	ectx_context *context;
	int64_t pid;
};

static void *one_caller(void *arg)
{
	struct caller *c = arg;
	ectx_value *v = NULL;
	ectx_error err = {0};
	if (call(c->context, "os:getpid", NULL, &v, &err) == ECTX_OK)
		(void)ectx_value_int(v, &c->pid);
	ectx_value_free(v);
	ectx_error_clear(&err);
	return NULL;
}

Test(worker, one_for_all_threads)
{
	enum { THREADS = 12 };
	struct world w = natives_open();
	struct caller callers[THREADS];
	ectx_context *n = get(w.mesh, "n");
	for (int i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){.context = n, .pid = -1};
		cr_assert_eq(pthread_create(&callers[i].thread, NULL, one_caller, &callers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(callers[i].thread, NULL);
	for (int i = 0; i < THREADS; i++)
		cr_expect(callers[i].pid > 0 && callers[i].pid == callers[0].pid, "%d: %ld", i, (long)callers[i].pid);
	is(&w, "n", "agent", "\"native\"");
	is(&w, "n", "python", "null");
	is(&w, "n (python)", "agent", "\"python\"");
	is(&w, "n (python)", "parent", "\"n\"");
	cr_expect_eq(id_of(&w, "n (python)"), id_of(&w, "n") + 1);
	world_close(&w);
	cr_expect(gone((pid_t)callers[0].pid, 3000));
}

Test(worker, children_come_after_its_id)
{
	struct world w = natives_open();
	cr_expect(pid_of(get(w.mesh, "l")) > 0);
	int64_t n = id_of(&w, "n"), l = id_of(&w, "l");
	cr_expect(n > 0 && l == n + 2, "%ld %ld", (long)n, (long)l);
	cr_expect_eq(id_of(&w, "n (python)"), -1, "nobody called there");
	cr_expect(pid_of(get(w.mesh, "n")) > 0);
	cr_expect_eq(id_of(&w, "n (python)"), n + 1);
	is(&w, "l", "parent", "\"n\"");
	world_close(&w);
}

Test(worker, commands_and_shell_scripts_need_none)
{
	struct world w = natives_open();
	ectx_context *n = get(w.mesh, "n");
	char out[256];
	cr_expect_eq(shell(w.mesh, n, "echo a; exit 3", out, sizeof out), 3);
	cr_expect_str_eq(out, "a");
	put_file(w.dir, "s.sh", "#!/bin/sh\nexit $#\n", 0644);
	char path[100];
	(void)snprintf(path, sizeof path, "%s/s.sh", w.dir);
	ectx_future *f = ectx_run_start(n, (const char *const[]){path, "1", "2", NULL}, WITHIN);
	cr_expect_eq(error_of(f)->code, ECTX_E_EXIT_STATUS);
	cr_expect_eq(ectx_future_exit_status(f), 2);
	ectx_future_free(f);
	cr_expect_eq(id_of(&w, "n (python)"), -1);
	world_close(&w);
}

Test(worker, failures_and_records_name_its_host)
{
	struct world w = natives_open();
	ectx_context *n = get(w.mesh, "n");
	ectx_error err = {0};
	cr_expect_eq(call(n, "work:fail", "[\"x\"]", NULL, &err), ECTX_FAILED);
	cr_expect_eq(err.code, ECTX_E_EXCEPTION);
	cr_expect_str_eq(err.path, "n");
	ectx_error_clear(&err);
	cr_expect_eq(call(n, "work:shout", "[1]", NULL, &err), ECTX_OK);
	cr_expect_eq(call(n, "work:say", "[1]", NULL, &err), ECTX_OK);
	unsigned records = 0;
	for (ectx_event *e; (e = ectx_event_next(w.mesh, 0)); ectx_event_free(e)) {
		records += e->kind == ECTX_EVENT_LOG;
		cr_expect(e->context == n, "%s", e->text);
	}
	cr_expect_eq(records, 2);
	world_close(&w);
}

Test(worker, lost_and_made_again)
{
	struct world w = natives_open();
	ectx_context *n = get(w.mesh, "n");
	ectx_error err = {0};
	char before[32], after[32];
	pid_t first = pid_of(n);
	int64_t id = id_of(&w, "n (python)");
	cr_expect_eq(shell(w.mesh, n, "echo $PPID", before, sizeof before), 0);
	cr_expect_eq(call(n, "work:leave", NULL, NULL, &err), ECTX_UNKNOWN);
	cr_expect_eq(err.code, ECTX_E_LOST_RUNNING);
	cr_expect_str_eq(err.path, "n");
	ectx_error_clear(&err);
	cr_expect(pid_of(n) != first);
	cr_expect(id_of(&w, "n (python)") > id, "ids are used once");
	cr_expect_eq(shell(w.mesh, n, "echo $PPID", after, sizeof after), 0);
	cr_expect_str_eq(before, after, "its host stays");
	world_close(&w);
}

Test(worker, none_where_the_policy_has_no_native)
{
	struct world w = natives_open();
	cr_expect(pid_of(get(w.mesh, "q")) > 0);
	cr_expect(pid_of(get(w.mesh, "p")) > 0);
	is(&w, "p", "agent", "\"python\"");
	cr_expect_eq(id_of(&w, "p (python)"), -1);
	world_close(&w);
}

Test(worker, a_host_without_python)
{
	struct world w = natives_open();
	ectx_context *bare = get(w.mesh, "bare");
	ectx_error err = {0};
	char out[64];
	cr_expect_eq(shell(w.mesh, bare, "echo here", out, sizeof out), 0);
	cr_expect_str_eq(out, "here");
	for (int i = 0; i < 2; i++) { /* the second time too */
		cr_expect_eq(call(bare, "os:getpid", NULL, NULL, &err), ECTX_UNREACHABLE);
		cr_expect(err.phase == ECTX_PHASE_BOOT && err.code == ECTX_E_NO_PYTHON, "%s", ectx_code_name(err.code));
		cr_expect(strstr(err.hint, "agent: native"), "%s", err.hint);
		cr_expect_str_eq(err.path, "bare");
		ectx_error_clear(&err);
	}
	cr_expect_eq(shell(w.mesh, bare, "echo still", out, sizeof out), 0);
	cr_expect_eq(call(get(w.mesh, "only"), "os:getpid", NULL, NULL, &err), ECTX_UNREACHABLE);
	cr_expect_eq(err.code, ECTX_E_NO_PYTHON);
	ectx_error_clear(&err);
	world_close(&w);
}
