/* The processes under our links and commands, as service/spawn.c and jobs.c ask for them: what they start, feed, hold
 * and end.
 *
 * Nothing is written here: what is for a process waits in its queues, and procs.c moves it, in the loop. So no request
 * finds its process gone in the middle of it. */
#include "preamble/native/proc.h"

#define JOB_GRACE_MS 2000u /* from SIGTERM to SIGKILL */

struct native_proc *native_proc_new(struct eci_spawn *s, struct native_job *j, struct native_plan *plan, int *err)
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
	struct native_plan plan = {(char **)argv, (char **)env, .mode = (uint32_t)mode, .input = true};
	(void)ctx;
	*pid = 0; /* eci_spawn_begun() follows */
	return native_proc_new(s, NULL, &plan, err);
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

static void put(void *ctx, void *proc, bool tty, const uint8_t *p, size_t n)
{
	struct native_proc *c = proc;
	/* No memory: an end must not follow what is missing, or half of a script would be the whole of it. */
	if (eci_buf_append(tty ? &c->tty_q : &c->in_q, p, n))
		kill_proc(ctx, c);
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
	struct native_proc *c = proc;
	(void)ctx;
	c->paused = on && !c->exited; /* what it left is read while there is time (procs.c) */
}

void native_proc_input(struct native_proc *c, const uint8_t *p, size_t n)
{
	if (n)
		put(NULL, c, false, p, n);
	else if (c->fd[IN] == c->fd[OUT]) /* a terminal: its end-of-file character */
		put(NULL, c, false, (const uint8_t *)"\4", 1);
	else
		close_stdin(NULL, c);
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
	native_proc_close_in(c);
	for (int i = 0; i < NATIVE_FDS; i++)
		native_close(&c->fd[i]);
	native_watcher_tell(-c->pid);
	eci_buf_deinit(&c->in_q);
	eci_buf_deinit(&c->tty_q);
	c->spawn = NULL;
	c->job = NULL;
	c->end_at = 0;
	/* Who has said why it cannot be started is about to end, and another may run on: nobody waits for either, and
	 * this comes again when it has ended (procs.c). */
	if (!SYS4(NR_wait4, c->pid, 0, SYS_WNOHANG, 0))
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	eci_mem_free(c);
}

void native_proc_cancel(struct native_proc *c)
{
	if (c->end_at)
		return;
	c->end_at = native.now + JOB_GRACE_MS;
	(void)native_proc_signal(c, SYS_SIGTERM);
}

void native_proc_cut(struct native_proc *c, int which)
{
	if (c->fd[which] >= 0)
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
