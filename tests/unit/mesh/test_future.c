/* Futures: wait, wait-any, cancel and free in every state; what stays after the mesh is gone; the end of a mesh. */
#include "mesh_support.h"

static void hold(struct world *w, ectx_context *c, ectx_future **f)
{
	char args[128];
	(void)snprintf(args, sizeof args, "[\"%s/go\"]", w->dir);
	*f = start(c, "work:wait_for", args, WITHIN);
}

static void release(struct world *w)
{
	put_file(w->dir, "go", "", 0644);
}

Test(future, wait_says_whether_it_is_done)
{
	struct world w = world_open();
	ectx_future *f;
	hold(&w, get(w.mesh, "a"), &f);
	cr_expect(!ectx_future_wait(f, 0));
	cr_expect(!ectx_future_wait(f, 50));
	cr_expect(!ectx_future_done(f));
	release(&w);
	cr_expect(ectx_future_wait(f, WITHIN));
	cr_expect(ectx_future_wait(f, 0) && ectx_future_wait(f, -1) && ectx_future_done(f), "done stays done");
	cr_expect(ectx_future_error(f)->status == ECTX_OK && ectx_value_bool(ectx_future_value(f)));
	cr_expect(ectx_future_exit_status(f) == -1);
	ectx_future_free(f);
	ectx_future_free(NULL);
	world_close(&w);
}

Test(future, wait_any_takes_whichever_is_done)
{
	struct world w = world_open();
	ectx_future *v[4] = {0};
	hold(&w, get(w.mesh, "a"), &v[1]);
	v[3] = start(get(w.mesh, "d"), "work:add", "[1]", WITHIN);
	cr_expect(ectx_future_wait_any(v, 4, WITHIN) == 3);
	ectx_future_free(v[3]);
	v[3] = NULL;
	cr_expect(ectx_future_wait_any(v, 4, 50) == -1);
	release(&w);
	cr_expect(ectx_future_wait_any(v, 4, -1) == 1);
	ectx_future_free(v[1]);
	v[1] = NULL;
	cr_expect(ectx_future_wait_any(v, 4, -1) == -1, "nothing to wait for");
	cr_expect(ectx_future_wait_any(v, 0, -1) == -1);
	world_close(&w);
}

struct waiter {
	ectx_future *f[2];
	long got;
};

static void *wait_both(void *arg)
{
	struct waiter *w = arg;
	w->got = ectx_future_wait_any(w->f, 2, WITHIN);
	return NULL;
}

Test(future, many_threads_may_wait_for_one)
{
	struct world w = world_open();
	struct waiter t[8];
	pthread_t id[8];
	ectx_future *f, *never;
	cr_expect(call_int(get(w.mesh, "a"), "work:add", "[1]") == 1);
	hold(&w, get(w.mesh, "a"), &f);
	never = start(get(w.mesh, "a"), "work:add", "[1]", WITHIN); /* waits behind f */
	for (int i = 0; i < 8; i++) {
		t[i] = (struct waiter){{never, f}, -2};
		cr_assert(pthread_create(&id[i], NULL, wait_both, &t[i]) == 0);
	}
	cr_expect(!ectx_future_wait(f, 100));
	ectx_future_cancel(f);
	for (int i = 0; i < 8; i++) {
		cr_assert(pthread_join(id[i], NULL) == 0);
		/* Or what was cancelled had not begun there, and the one behind it is done as well. */
		cr_expect(t[i].got == 1 || (t[i].got == 0 && ectx_future_done(never)), "%ld", t[i].got);
	}
	release(&w);
	cr_expect(error_of(never)->status == ECTX_OK);
	ectx_future_free(f);
	ectx_future_free(never);
	world_close(&w);
}

/* (That one which waits is taken back, tests/cli/test_signals.py shows.) */
Test(future, what_was_sent_is_not_withdrawn)
{
	struct world w = world_open();
	ectx_context *a = get(w.mesh, "a");
	ectx_future *f;
	cr_expect(call_int(a, "work:add", "[1]") == 1);
	hold(&w, a, &f);
	cr_expect(!ectx_future_withdraw(f) && !ectx_future_done(f));
	release(&w);
	cr_expect(error_of(f)->status == ECTX_OK);
	cr_expect(!ectx_future_withdraw(f) && ectx_future_error(f)->status == ECTX_OK);
	ectx_future_free(f);
	world_close(&w);
}

/* WAITING: its context is being made. RUNNING: the call was sent. DONE. */
Test(future, cancel_and_free_in_every_state)
{
	struct world w = world_open();
	ectx_context *a = get(w.mesh, "a");
	ectx_future *f = start(a, "work:add", "[1]", WITHIN);
	ectx_future_cancel(f);
	cr_expect(ectx_future_done(f) && ectx_future_error(f)->code == ECTX_E_CANCELLED);
	cr_expect(ectx_future_error(f)->status == ECTX_INTERRUPTED);
	ectx_future_cancel(f);
	ectx_future_free(f);
	ectx_future_free(start(a, "work:add", "[1]", WITHIN));
	ectx_future_free(ectx_connect_start(a, WITHIN));
	ectx_future_free(ectx_trace_start(a, WITHIN));
	cr_expect(call_int(a, "work:add", "[7]") == 7, "a cancelled connect harms nobody else");

	ectx_future *held;
	char args[128], mark[96];
	(void)snprintf(mark, sizeof mark, "%s/mark", w.dir);
	(void)snprintf(args, sizeof args, "[\"%s\"]", mark);
	hold(&w, a, &held);
	ectx_future_free(start(a, "work:touch", args, WITHIN));
	f = start(a, "work:touch", args, WITHIN);
	ectx_future_cancel(f);
	ectx_future_free(f);
	ectx_future_free(ectx_tree_start(w.mesh, WITHIN));
	ectx_future_free(ectx_trace_start(a, WITHIN));
	/* Once it is answered, what was cancelled before it is: of a native context its worker answers too, which a
	 * trace does not ask. */
	f = ectx_tree_start(w.mesh, WITHIN);
	cr_expect(error_of(f)->status == ECTX_OK);
	ectx_future_free(f);
	release(&w);
	cr_expect(error_of(held)->status == ECTX_OK);
	ectx_future_cancel(held);
	cr_expect(ectx_future_error(held)->status == ECTX_OK, "too late");
	ectx_future_free(held);
	cr_expect(call_int(a, "work:add", "[7]") == 7);
	cr_expect(access(mark, F_OK) != 0, "a cancelled call ran");
	world_close(&w);
}

Test(future, a_user_pointer_comes_back_with_the_end)
{
	struct world w = world_open();
	int mark;
	ectx_future *f = start(get(w.mesh, "a"), "work:add", "[1]", WITHIN);
	cr_expect(ectx_future_user(f) == NULL);
	ectx_future_set_user(f, &mark);
	ectx_event *e = ectx_event_next(w.mesh, WITHIN);
	cr_assert(e && e->kind == ECTX_EVENT_DONE && e->future == f && ectx_future_user(e->future) == &mark);
	ectx_event_free(e);
	ectx_future_set_user(f, &w); /* done already: at once, again */
	e = ectx_event_next(w.mesh, 0);
	cr_assert(e && e->kind == ECTX_EVENT_DONE && e->future == f);
	ectx_event_free(e);
	ectx_future_set_user(f, &w);
	ectx_future_free(f);
	cr_expect(ectx_event_next(w.mesh, 0) == NULL, "events of a freed future go with it");
	world_close(&w);
}

Test(future, tree_and_trace)
{
	struct world w = world_open();
	ectx_context *c = get(w.mesh, "c");
	ectx_future *f = ectx_trace_start(c, WITHIN);
	cr_assert(f && error_of(f)->status == ECTX_OK, "%s", ectx_future_error(f)->saw);
	cr_assert(ectx_value_count(ectx_future_value(f)) == 3);
	for (size_t i = 0; i < 3; i++) {
		const ectx_value *hop = ectx_array_at(ectx_future_value(f), i);
		const char name[2] = {(char)('a' + (int)i), 0};
		cr_expect_str_eq(ectx_value_text(ectx_map_get(hop, "name")), name);
	}
	ectx_future_free(f);
	f = ectx_tree_start(w.mesh, WITHIN);
	cr_assert(f && error_of(f)->status == ECTX_OK);
	cr_expect(ectx_value_count(ectx_future_value(f)) == 4, "%s", ectx_value_json(ectx_future_value(f)));
	ectx_future_free(f);
	world_close(&w);
}

/* What is there already is had with no time at all. */
Test(future, no_time_is_enough_for_what_is_up)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	ectx_error err = {0};
	cr_expect(ectx_connect(d, 0, &err) == ECTX_DEADLINE && !strcmp(err.saw, "still connecting"), "%s", err.saw);
	ectx_error_clear(&err);
	cr_assert(ectx_connect(d, WITHIN, &err) == ECTX_OK, "%s", err.saw);
	cr_expect(ectx_connect(d, 0, &err) == ECTX_OK, "%s", err.saw);
	char args[128], mark[96];
	(void)snprintf(mark, sizeof mark, "%s/mark", w.dir);
	(void)snprintf(args, sizeof args, "[\"%s\"]", mark);
	ectx_future *f = start(d, "work:touch", args, 0);
	cr_expect(error_of(f)->code == ECTX_E_DEADLINE && !*error_of(f)->saw, "it is up: %s", error_of(f)->saw);
	ectx_future_free(f);
	for (int trace = 0; trace <= 1; trace++) { /* nobody is asked that could not answer */
		f = trace ? ectx_trace_start(d, 0) : ectx_tree_start(w.mesh, 0);
		cr_expect(error_of(f)->code == ECTX_E_DEADLINE && !*error_of(f)->saw, "%s", error_of(f)->saw);
		cr_expect(!ectx_future_value(f));
		ectx_future_free(f);
	}
	cr_assert(call_int(d, "work:add", "[1]") == 1);
	cr_expect(access(mark, F_OK) != 0, "nothing is begun that has no time");
	world_close(&w);
}

static void hint_is(ectx_future *f, const char *part)
{
	cr_expect(error_of(f)->code == ECTX_E_DEADLINE && strstr(error_of(f)->hint, part), "%s", error_of(f)->hint);
	ectx_future_free(f);
}

/* What was certainly not begun cannot have run. */
Test(future, what_was_not_begun_has_not_run)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	hint_is(ectx_connect_start(d, 0), "not connected within");
	hint_is(start(get(w.mesh, "silent"), "work:add", "[1]", 1), "not connected within");
	cr_assert(call_int(d, "work:add", "[1]") == 1);
	hint_is(start(d, "work:add", "[1]", 0), "it was not begun");
	hint_is(ectx_tree_start(w.mesh, 0), "it was not begun");
	hint_is(start(d, "work:nap", "[1000]", 1), "it may still have run");
	world_close(&w);
}

/* What is pending ends with `closed`, within 3 s, and every future stays usable after the mesh. */
Test(future, the_end_of_a_mesh_ends_what_is_pending)
{
	struct world w = world_open();
	ectx_context *a = get(w.mesh, "a");
	pid_t pid = pid_of(a), below = pid_of(get(w.mesh, "k1"));
	ectx_future *v[6];
	v[0] = start(a, "work:add", "[5]", WITHIN);
	cr_assert(error_of(v[0])->status == ECTX_OK);
	v[1] = start(a, "work:nap", "[1000]", -1);
	v[2] = start(a, "work:add", "[1]", WITHIN);
	v[3] = start(get(w.mesh, "c"), "work:add", "[1]", WITHIN);
	v[4] = ectx_connect_start(get(w.mesh, "silent"), -1);
	v[5] = start(get(w.mesh, "k2"), "work:shout", "[10]", WITHIN);
	ectx_future_set_user(v[1], &w);
	struct timespec from = now();
	ectx_mesh_free(w.mesh);
	cr_expect(ms_since(&from) < 3000, "%ld ms", ms_since(&from));
	int64_t n;
	cr_expect(ectx_value_int(ectx_future_value(v[0]), &n) && n == 5, "a value outlives the mesh");
	for (int i = 1; i < 6; i++) {
		cr_expect(ectx_future_done(v[i]) && ectx_future_wait(v[i], 0) &&
			  ectx_future_wait_any(&v[i], 1, -1) == 0);
		cr_expect(ectx_future_error(v[i])->code == ECTX_E_CLOSED, "%d: %s", i,
			  ectx_code_name(ectx_future_error(v[i])->code));
		ectx_future_cancel(v[i]);
		ectx_future_set_user(v[i], &w);
	}
	for (int i = 0; i < 6; i++)
		ectx_future_free(v[i]);
	cr_expect(gone(pid, 3000) && gone(below, 3000), "a context outlived its mesh");
	w.mesh = NULL;
	world_close(&w); /* ectx_mesh_free(NULL) too */
}

Test(future, an_event_outlives_the_mesh)
{
	struct world w = world_open();
	cr_expect(call_int(get(w.mesh, "a"), "work:echo", "[3]") == 3);
	ectx_future *f = start(get(w.mesh, "a"), "work:shout", "[1]", WITHIN);
	ectx_event *e = ectx_event_next(w.mesh, WITHIN);
	cr_assert(e && e->kind == ECTX_EVENT_LOG);
	cr_expect(error_of(f)->status == ECTX_OK);
	ectx_mesh_free(w.mesh);
	w.mesh = NULL;
	cr_expect_str_eq(e->text, "00000 y");
	ectx_event_free(e);
	ectx_future_free(f);
	world_close(&w);
}
