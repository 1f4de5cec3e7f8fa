/* Losses: what a call is told when a process on its way ends, freezes or never answers, and that the next call boots a
 * new one. Processes are ended with signals, as nothing in them would do it. */
#include "mesh/internal.h"
#include "shell_support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

void eci_link_break(struct eci_link *l, const char *reason, const char *detail); /* router/internal.h */

static ectx_future *running(struct world *w, ectx_context *c)
{
	char args[128], mark[96];
	(void)snprintf(mark, sizeof mark, "%s/mark", w->dir);
	(void)snprintf(args, sizeof args, "[\"%s\"]", mark);
	(void)unlink(mark);
	(void)call_int(c, "work:add", "[1]");
	ectx_future *t = start(c, "work:touch", args, WITHIN), *f = start(c, "work:nap", "[1000]", WITHIN);
	cr_assert(error_of(t)->status == ECTX_OK); /* so f is the one that runs now */
	ectx_future_free(t);
	return f;
}

static void expect(ectx_future *f, enum ectx_code code, enum ectx_phase phase, const char *path)
{
	const ectx_error *e = error_of(f);
	cr_expect(e->code == code, "%s, not %s: %s", ectx_code_name(e->code), ectx_code_name(code), e->saw);
	cr_expect(e->phase == phase, "phase %s: %s", ectx_phase_name(e->phase), e->saw);
	cr_expect_str_eq(e->path, path);
	cr_expect(e->saw[0], "no reason is given");
	ectx_future_free(f);
}

Test(loss, a_leaf_killed_during_a_call)
{
	struct world w = world_open();
	ectx_context *c = get(w.mesh, "c");
	pid_t pid = pid_of(c);
	ectx_future *f = running(&w, c);
	cr_assert(kill(pid, SIGKILL) == 0);
	cr_expect(strstr(error_of(f)->saw, "signal 9"), "%s", error_of(f)->saw);
	expect(f, ECTX_E_LOST_RUNNING, ECTX_PHASE_LOST, "a > b > c");
	cr_expect(call_int(get(w.mesh, "b"), "work:add", "[1]") == 1, "b is as it was");
	pid_t again = pid_of(c);
	cr_expect(again != pid, "a new incarnation");
	world_close(&w);
}

Test(loss, a_child_of_the_master_killed_during_a_call)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	pid_t pid = pid_of(d);
	ectx_future *f = running(&w, d);
	cr_assert(kill(pid, SIGKILL) == 0);
	cr_expect(strstr(error_of(f)->saw, "signal 9"), "%s", error_of(f)->saw);
	expect(f, ECTX_E_LOST_RUNNING, ECTX_PHASE_LOST, "d");
	cr_expect(pid_of(d) != pid);
	world_close(&w);
}

/* It has been asked, and has not answered: its row says so, and the others' are there. */
Test(loss, a_leaf_killed_during_a_tree)
{
	struct world w = world_open();
	ectx_context *c = get(w.mesh, "c");
	pid_t pid = pid_of(c);
	cr_assert(kill(pid, SIGSTOP) == 0);
	ectx_future *f = ectx_tree_start(w.mesh, WITHIN);
	cr_expect(!ectx_future_wait(f, 200));
	cr_assert(kill(pid, SIGKILL) == 0);
	struct timespec from = now();
	cr_assert(error_of(f)->status == ECTX_OK, "%s", ectx_code_name(error_of(f)->code));
	cr_expect(ms_since(&from) < 5000, "%ld ms", ms_since(&from));
	const ectx_value *rows = ectx_future_value(f);
	cr_assert(ectx_value_count(rows) == 4);
	for (size_t i = 0; i < 4; i++) {
		const char *state = ectx_value_text(ectx_map_get(ectx_array_at(rows, i), "state"));
		cr_expect_str_eq(state, i < 3 ? "up" : "silent");
	}
	ectx_future_free(f);
	world_close(&w);
}

/* One that hangs does not hide the others, and its time is not made up. */
Test(loss, a_leaf_that_hangs_during_a_tree_or_a_trace)
{
	struct world w = world_open();
	ectx_context *c = get(w.mesh, "c");
	pid_t pid = pid_of(c);
	cr_assert(kill(pid, SIGSTOP) == 0);
	for (int trace = 0; trace <= 1; trace++) {
		ectx_future *f = trace ? ectx_trace_start(c, 1500) : ectx_tree_start(w.mesh, 1500);
		cr_assert(error_of(f)->status == ECTX_OK, "%s", ectx_code_name(error_of(f)->code));
		const ectx_value *rows = ectx_future_value(f);
		size_t n = ectx_value_count(rows);
		cr_assert(n == (trace ? 3 : 4));
		const ectx_value *last = ectx_array_at(rows, n - 1);
		cr_expect(ectx_value_kind(ectx_map_get(last, "rtt_us")) == ECTX_NULL);
		cr_expect(trace || strcmp(ectx_value_text(ectx_map_get(last, "state")), "silent") == 0);
		ectx_future_free(f);
	}
	cr_assert(kill(pid, SIGKILL) == 0);
	world_close(&w);
}

/* As before Linux 5.3: pidfd_open(2) is not there. For this process, and what it starts; false: it cannot be done. */
static bool without_pidfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* What ends by itself has a quarter of a second to say how, whether its end is heard or looked for. */
Test(loss, a_carrier_has_time_to_end)
{
	for (int pidfd = 1; pidfd >= 0; pidfd--) {
		if (!pidfd && !without_pidfd())
			return;
		struct world w = world_open();
		put_file(w.dir, "deaf", "#!/bin/sh\npython3 \"$@\"\nexec sleep 1000 >&-\n", 0755);
		ectx_context *c = get(w.mesh, "deaf");
		(void)call_int(c, "work:add", "[1]");
		struct timespec from = now();
		expect(start(c, "work:leave", NULL, WITHIN), ECTX_E_LOST_RUNNING, ECTX_PHASE_LOST, "deaf");
		cr_expect(ms_since(&from) >= 250, "%ld ms", ms_since(&from));
		world_close(&w);
	}
}

/* Calls that are written to a pipe which nobody reads any more. */
static void call_the_deaf(const struct world *w, bool it_ends)
{
	static const char *const files[] = {"be-deaf", "deaf-now", "end"};
	char path[3][128];
	for (int i = 0; i < 3; i++)
		(void)snprintf(path[i], sizeof path[i], "%s/%s", w->dir, files[i]);
	ectx_context *c = get(w->mesh, "deaf");
	cr_assert(call_int(c, "work:add", "[1]") == 1);
	put_file(w->dir, "be-deaf", "", 0644);
	cr_assert(appears(path[1], 8000));
	ectx_future *f = start(c, "work:add", "[1]", WITHIN), *behind = start(c, "work:add", "[1]", WITHIN);
	if (it_ends)
		put_file(w->dir, "end", "", 0644);
	expect(f, ECTX_E_LOST_RUNNING, ECTX_PHASE_LOST, "deaf");
	expect(behind, ECTX_E_LOST_RUNNING, ECTX_PHASE_LOST, "deaf");
	for (int i = 0; i < 3; i++)
		(void)unlink(path[i]);
}

static bool sigpipe_waits(void)
{
	sigset_t set;
	cr_assert(sigpending(&set) == 0);
	return sigismember(&set, SIGPIPE) == 1;
}

Test(loss, no_sigpipe_reaches_the_caller_and_none_is_taken_from_it)
{
	struct world w = world_open();
	sigset_t pipe;
	(void)sigemptyset(&pipe);
	(void)sigaddset(&pipe, SIGPIPE);
	(void)signal(SIGPIPE, SIG_DFL);
	call_the_deaf(&w, true); /* this process lives */
	cr_assert(pthread_sigmask(SIG_BLOCK, &pipe, NULL) == 0);
	call_the_deaf(&w, true);
	cr_expect(!sigpipe_waits(), "one of ours is left for the caller");
	cr_assert(raise(SIGPIPE) == 0);
	call_the_deaf(&w, true);
	cr_expect(sigpipe_waits(), "the caller's own is gone");
	world_close(&w);
}

Test(loss, a_carrier_that_takes_no_more_is_ended)
{
	struct world w = world_open();
	call_the_deaf(&w, false);
	world_close(&w);
}

/* Between the failure of a link and the end of what carried it a call is told why too. */
Test(loss, a_call_into_a_link_that_has_just_failed)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	struct eci_fail fail = {0};
	(void)call_int(d, "work:add", "[1]");
	ectx_future *f = eci_future_new(w.mesh, d, ECI_OP_CALL, WITHIN);
	cr_assert(f && eci_call_prepare(f, "work:leave", NULL, NULL, &fail) == 0);
	eci_lock(w.mesh);
	eci_link_break(eci_router_link_to(w.mesh->router, d->id), "silent", "as if no byte had come");
	eci_future_begin(f);
	eci_unlock(w.mesh);
	expect(f, ECTX_E_SILENT, ECTX_PHASE_LOST, "d");
	world_close(&w);
}

Test(loss, a_call_that_ends_its_own_process)
{
	struct world w = world_open();
	expect(start(get(w.mesh, "b"), "work:leave", NULL, WITHIN), ECTX_E_LOST_RUNNING, ECTX_PHASE_LOST, "a > b");
	cr_expect(call_int(get(w.mesh, "b"), "work:add", "[1]") == 1);
	world_close(&w);
}

Test(loss, a_relay_killed_takes_its_three_children_along)
{
	struct world w = world_open();
	static const char *const names[] = {"k1", "k2", "k3"};
	ectx_context *a = get(w.mesh, "a");
	ectx_future *f[3];
	for (int i = 0; i < 3; i++)
		f[i] = running(&w, get(w.mesh, names[i]));
	cr_assert(kill(agent_pid(w.mesh, a), SIGKILL) == 0);
	for (int i = 0; i < 3; i++)
		expect(f[i], ECTX_E_LOST_RUNNING, ECTX_PHASE_LOST, "a");
	cr_expect(call_int(get(w.mesh, "k2"), "work:add", "[1]") == 1,
		  "the relay is made again, and the child behind it");
	world_close(&w);
}

/* A stopped process answers nothing: the link is silent after idle (5 s; less and a slow machine does not boot in it).
 */
Test(loss, a_frozen_child)
{
	struct world w = world_open();
	ectx_context *e = get(w.mesh, "e");
	pid_t pid = agent_pid(w.mesh, e);
	(void)call_int(e, "work:add", "[1]"); /* the Python beside it is up: what is sent then is running */
	cr_assert(kill(pid, SIGSTOP) == 0);
	struct timespec from = now();
	expect(start(e, "work:add", "[1]", WITHIN), ECTX_E_SILENT, ECTX_PHASE_LOST, "e");
	cr_expect(ms_since(&from) < 8000, "%ld ms", ms_since(&from));
	cr_expect(gone(pid, 3000), "the frozen process is ended");
	cr_expect(call_int(e, "work:add", "[1]") == 1);
	world_close(&w);
}

Test(loss, a_frozen_grandchild)
{
	struct world w = world_open();
	ectx_context *f = get(w.mesh, "f");
	pid_t pid = pid_of(f);
	cr_assert(kill(pid, SIGSTOP) == 0);
	struct timespec from = now();
	expect(start(f, "work:add", "[1]", WITHIN), ECTX_E_SILENT, ECTX_PHASE_LOST, "e > f");
	cr_expect(ms_since(&from) < 8000, "%ld ms", ms_since(&from));
	cr_expect(gone(pid, 3000), "the frozen process is ended");
	cr_expect(call_int(f, "work:add", "[1]") == 1);
	world_close(&w);
}

Test(loss, an_agent_that_never_answers)
{
	struct world w = world_open();
	struct timespec from = now();
	ectx_context *s = get(w.mesh, "silent");
	ectx_future *v[2] = {ectx_connect_start(s, WITHIN), start(s, "work:add", "[1]", WITHIN)};
	cr_assert(error_of(v[0])->limit_ms == 1000, "%u", ectx_future_error(v[0])->limit_ms);
	expect(v[0], ECTX_E_BOOT_TIMEOUT, ECTX_PHASE_BOOT, "silent");
	expect(v[1], ECTX_E_BOOT_TIMEOUT, ECTX_PHASE_BOOT, "silent");
	cr_expect(ms_since(&from) < WITHIN / 2, "%ld ms", ms_since(&from)); /* the boot's limit, and not theirs */
	world_close(&w);
}

Test(loss, an_interpreter_that_ends_at_once)
{
	struct world w = world_open();
	ectx_future *f = ectx_connect_start(get(w.mesh, "dumb"), WITHIN);
	cr_expect(strstr(error_of(f)->saw, "never again"), "its last words: %s", ectx_future_error(f)->saw);
	expect(f, ECTX_E_BOOT_EXITED, ECTX_PHASE_BOOT, "a > dumb");
	cr_expect(call_int(get(w.mesh, "a"), "work:add", "[1]") == 1);
	world_close(&w);
}

/* What was never sent has a known outcome: none. */
Test(loss, a_call_that_was_not_sent)
{
	struct world w = world_open();
	ectx_context *a = get(w.mesh, "a");
	pid_t pid = agent_pid(w.mesh, a);
	cr_assert(kill(pid, SIGSTOP) == 0);
	ectx_future *waits = start(get(w.mesh, "k1"), "work:add", "[1]", WITHIN); /* k1 is not up yet */
	cr_expect(!ectx_future_wait(waits, 100));
	cr_assert(kill(pid, SIGKILL) == 0);
	const ectx_error *e = error_of(waits);
	cr_expect(e->status == ECTX_UNREACHABLE && e->code == ECTX_E_LOST, "%s: %s", ectx_code_name(e->code), e->saw);
	ectx_future_free(waits);
	cr_expect(call_int(get(w.mesh, "k1"), "work:add", "[1]") == 1);
	world_close(&w);
}
