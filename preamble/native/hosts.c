/* The processes under our links and commands, as service/ asks for them (spawn.c, exec.c): what it starts, feeds, holds
 * and ends.
 *
 * Nothing is written here: what is for a process waits in its queues, and procs.c moves it, in the loop. So no request
 * of service/ finds its process gone in the middle of it. */
#include "preamble/native/proc.h"

static void *add(struct eci_spawn *s, struct eci_job *j, struct native_plan *plan, int *err)
{
	struct native_proc *p = eci_mem_alloc(sizeof *p);
	*err = SYS_ENOMEM;
	if (!p)
		return NULL;
	*p = (struct native_proc){.spawn = s, .job = j};
	*err = native_start(p, plan);
	if (*err) {
		eci_mem_free(p);
		return NULL;
	}
	p->next = native.procs;
	native.procs = p;
	return p;
}

static void *spawn_start(void *ctx, struct eci_spawn *s, const char *const *argv, const char *const *env, int mode,
			 int *err, int *pid)
{
	struct native_plan plan = {.argv = argv, .env = env, .mode = mode};
	struct native_proc *p = add(s, NULL, &plan, err);
	(void)ctx;
	if (p)
		*pid = p->pid;
	return p;
}

static void *job_start(void *ctx, struct eci_job *j, const struct eci_job_request *q, int *err, bool *at_cwd)
{
	struct native_plan plan = {.argv = (const char *const *)q->argv, .env = (const char *const *)q->env};
	plan.cwd = q->cwd;
	plan.mode = q->pty;
	plan.no_stdin = !q->input;
	plan.size[0] = (uint16_t)q->rows;
	plan.size[1] = (uint16_t)q->cols;
	void *p = add(NULL, j, &plan, err);
	(void)ctx;
	*at_cwd = plan.at_cwd;
	return p;
}

static void put(void *ctx, void *proc, bool tty, const uint8_t *p, size_t n)
{
	struct native_proc *c = proc;
	(void)ctx;
	(void)eci_buf_append(tty ? &c->tty_q : &c->in_q, p, n);
	native.dirty = true;
}

static void close_stdin(void *ctx, void *proc)
{
	(void)ctx;
	((struct native_proc *)proc)->stdin_done = true;
	native.dirty = true;
}

static void pause_output(void *ctx, void *proc, bool on)
{
	(void)ctx;
	((struct native_proc *)proc)->paused = on;
}

static void job_input(void *ctx, void *proc, const uint8_t *p, size_t n)
{
	struct native_proc *c = proc;
	if (n)
		put(ctx, proc, false, p, n);
	else if (c->in == c->out) /* a terminal: its end-of-file character */
		put(ctx, proc, false, (const uint8_t *)"\4", 1);
	else
		close_stdin(ctx, proc);
}

static void kill_proc(void *ctx, void *proc)
{
	struct native_proc *c = proc;
	(void)ctx;
	if (native_proc_signal(c, SYS_SIGKILL))
		return;
	native_proc_close_in(c);
	native_proc_end_at(c, NATIVE_GRACE_MS);
}

static void attach(void *ctx, void *proc, struct eci_link *link)
{
	struct native_proc *c = proc;
	(void)ctx;
	if (c->link && !link)
		eci_modcache_forget(native.modules, eci_link_peer(c->link));
	c->link = link;
	c->paused = false;
	native.dirty = true;
}

void native_proc_free(void *ctx, void *proc)
{
	struct native_proc *c = proc, **at = &native.procs;
	(void)ctx;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	native_proc_close_in(c);
	native_close(&c->out);
	native_close(&c->err);
	native_close(&c->tty);
	native_close(&c->slave);
	native_watcher_tell(-c->pid);
	eci_buf_deinit(&c->in_q);
	eci_buf_deinit(&c->tty_q);
	eci_mem_free(c);
}

static void job_cancel(void *ctx, void *proc)
{
	struct native_proc *c = proc;
	(void)ctx;
	if (c->end_at)
		return;
	c->end_at = native.now + ECI_JOB_GRACE_MS;
	(void)native_proc_signal(c, SYS_SIGTERM);
}

void native_proc_cut(void *ctx, void *proc, int which)
{
	struct native_proc *c = proc;
	(void)ctx;
	if (*native_proc_output(c, which) >= 0)
		native_proc_shut(c, which);
	native.dirty = true; /* it may be over with that */
}

const struct eci_spawn_host native_spawn_host = {.start = spawn_start,
						 .write = put,
						 .close_stdin = close_stdin,
						 .pause = pause_output,
						 .kill = kill_proc,
						 .attach = attach,
						 .free = native_proc_free,
						 .explain = native_explain};
const struct eci_job_host native_job_host = {job_start, job_cancel, native_proc_cut, job_input, native_explain};
