/* The processes under our links and commands: their bytes, and their end.
 *
 * What a process is for is decided in service/ (spawn.c, exec.c); this file moves its bytes. Before PROMOTE output goes
 * to the spawn and RAW bytes wait in in_q; afterwards in and out belong to the router's link.
 *
 * The end of a spawn's process is reported when it was waited for and its outputs are at their end, or a quarter of a
 * second later: a grandchild may hold them. One that only closed its output gets a grace and is killed then. A process
 * that we may not kill (it became another user) is told by the end of its input, and reported as gone after LEFT_MS; it
 * is waited for by the way. A command is reported when both outputs are at their end, whoever holds them. One that was
 * cancelled stays until its grace is over, reported or not: what is left of its group then is killed. */
#include "preamble/native/native.h"

#define GRACE_MS 250u
#define CLOSED_MS 2000u /* a process without output that is no link: it may be about to end */
#define LEFT_MS 2000u
#define PIPE_SIZE 262144u /* of a link that bulk has filled */

enum { OUT = 1, ERR, TTY, IN };

static struct {
	struct native_proc *proc;
	int which;
} * whose; /* as long as native.poll */

/* ---- hosts of service/ ---- */

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

static void end_at(struct native_proc *c, uint32_t ms)
{
	if (!c->end_at)
		c->end_at = native.now + ms;
}

/* To its group, whose leader may have ended before the others. False: it is not ours to kill. */
static bool send_signal(const struct native_proc *c, int sig)
{
	return SYS2(NR_kill, -c->pid, sig) == 0 || c->exited || SYS2(NR_kill, c->pid, sig) == 0;
}

static void close_in(struct native_proc *c)
{
	if (c->in == c->out)
		c->in = -1;
	native_close(&c->in);
}

static void kill_proc(void *ctx, void *proc)
{
	struct native_proc *c = proc;
	(void)ctx;
	if (send_signal(c, SYS_SIGKILL))
		return;
	close_in(c);
	end_at(c, GRACE_MS);
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

static void release(void *ctx, void *proc)
{
	struct native_proc *c = proc, **at = &native.procs;
	(void)ctx;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	close_in(c);
	native_close(&c->out);
	native_close(&c->err);
	native_close(&c->tty);
	native_close(&c->slave);
	native_watcher_tell(-c->pid);
	eci_buf_deinit(&c->in_q);
	eci_buf_deinit(&c->tty_q);
	eci_mem_free(c);
}

static int *output_of(struct native_proc *c, int which)
{
	return which == OUT ? &c->out : which == ERR ? &c->err : &c->tty;
}

static void shut(struct native_proc *c, int which)
{
	int *fd = output_of(c, which);
	if (which == OUT && (c->link || c->in == *fd))
		close_in(c);
	native_close(fd);
	if (which == OUT && c->spawn)
		end_at(c, c->link ? GRACE_MS : CLOSED_MS);
	if (c->job)
		eci_job_ended(c->job, which, native.now);
}

static void job_cancel(void *ctx, void *proc)
{
	struct native_proc *c = proc;
	(void)ctx;
	if (c->end_at)
		return;
	c->end_at = native.now + ECI_JOB_GRACE_MS;
	(void)send_signal(c, SYS_SIGTERM);
}

static void job_cut(void *ctx, void *proc, int which)
{
	struct native_proc *c = proc;
	(void)ctx;
	if (*output_of(c, which) >= 0)
		shut(c, which);
	native.dirty = true; /* it may be over with that */
}

const struct eci_spawn_host native_spawn_host = {.start = spawn_start,
						 .write = put,
						 .close_stdin = close_stdin,
						 .pause = pause_output,
						 .kill = kill_proc,
						 .attach = attach,
						 .free = release,
						 .explain = native_explain};
const struct eci_job_host native_job_host = {job_start, job_cancel, job_cut, job_input, native_explain};

/* ---- output: towards the process ---- */

/* True: there is no more to write. What nobody reads any more counts as written. */
static bool flush_queue(struct native_proc *c, struct eci_buf *q, int fd)
{
	while (eci_buf_len(q)) {
		long n = fd < 0 ? -1 : SYS3(NR_write, fd, eci_buf_data(q), eci_buf_len(q));
		if (n == -SYS_EAGAIN)
			return false;
		if (n < 0)
			n = (long)eci_buf_len(q);
		eci_buf_drain(q, (size_t)n);
		if (c->spawn)
			eci_spawn_written(c->spawn, (size_t)n, native.now);
		else
			eci_job_took(c->job, (size_t)n, native.now);
	}
	return true;
}

/* A pipe of a link that bulk has filled, or half of it in one read, holds more from now on: its two ends wake each
 * other a fourth as often. Not before, since a user's pipes may hold 64 MiB in all (pipe(7)); no pipe, or no more to be
 * had: it stays as it is. */
static void widen(int fd)
{
	(void)SYS3(NR_fcntl, fd, SYS_F_SETPIPE_SZ, PIPE_SIZE);
}

int native_flush(struct eci_link *link, int fd)
{
	const uint8_t *p;
	size_t n;
	while ((n = eci_link_output(link, &p, NATIVE_READ_MAX)) > 0) {
		long w = SYS3(NR_write, fd, p, n);
		if (w == -SYS_EAGAIN)
			widen(fd);
		if (w < 0)
			return w == -SYS_EAGAIN ? 0 : -1;
		eci_link_wrote(link, (size_t)w, native.now);
	}
	return 1;
}

void native_feed(struct eci_link *link, int fd, size_t n, bool *wide)
{
	if (n > NATIVE_READ_MAX / 2 && !*wide) {
		*wide = true;
		widen(fd);
	}
	eci_link_feed(link, native.buf, n, native.now);
}

static bool flush_link(struct native_proc *c)
{
	int done = c->link && c->in >= 0 ? native_flush(c->link, c->in) : 1;
	if (done < 0) {
		close_in(c);
		end_at(c, GRACE_MS);
	}
	return done;
}

/* These report the end once it is one; c is gone then, a cancelled command when its grace is over. */
static void settle_job(struct native_proc *c, bool late)
{
	if (late) {
		c->end_at = 0;
		(void)send_signal(c, SYS_SIGKILL);
		job_cut(NULL, c, OUT);
		job_cut(NULL, c, ERR);
	}
	if (c->job && c->exited && c->out < 0 && c->err < 0) {
		eci_job_exited(c->job, c->status, native.now);
		c->job = NULL;
		close_in(c);
		eci_buf_deinit(&c->in_q);
	}
	if (!c->job && !c->end_at)
		release(NULL, c);
}

static void settle_spawn(struct native_proc *c, bool late)
{
	bool ended = c->out < 0 && c->err < 0 && c->tty < 0;
	if (!c->exited && late && !c->over) {
		c->over = true;
		c->end_at = native.now + (send_signal(c, SYS_SIGKILL) ? 60000 : LEFT_MS);
	} else if (!c->exited && late) {
		c->status = SYS_SIGKILL;
		c->exited = true;
	}
	if (c->exited && (ended || late))
		eci_spawn_exited(c->spawn, c->status, native.now);
}

void native_procs_flush(void)
{
	for (struct native_proc *c = native.procs, *next; c; c = next) {
		next = c->next;
		(c->spawn ? settle_spawn : settle_job)(c, c->end_at && native.now >= c->end_at);
	}
	for (struct native_proc *c = native.procs; c; c = c->next) {
		c->blocked = !(flush_queue(c, &c->in_q, c->in) && flush_link(c));
		if (!eci_buf_len(&c->in_q) && !c->in_q.failed)
			eci_buf_deinit(&c->in_q); /* an agent has gone through it: not to be kept for each child */
		(void)flush_queue(c, &c->tty_q, c->tty);
		if (!c->blocked && c->stdin_done && c->in != c->out)
			close_in(c);
	}
}

/* ---- the loop's part ---- */

static void watch(struct native_proc *c, int which, int fd, short events)
{
	if (fd < 0)
		return;
	native_watch(fd, events);
	whose[native.npoll - 1].proc = c;
	whose[native.npoll - 1].which = which;
}

/* How much may be read. */
static size_t room(struct native_proc *c, int which)
{
	if (*output_of(c, which) < 0 || c->paused)
		return 0;
	return c->job ? eci_job_room(c->job, which) : NATIVE_READ_MAX;
}

void native_procs_watch(uint64_t *until)
{
	for (struct native_proc *c = native.procs; c; c = c->next) {
		for (int which = OUT; which <= (c->job ? ERR : TTY); which++)
			if (room(c, which))
				watch(c, which, *output_of(c, which), SYS_POLLIN);
		if (c->blocked)
			watch(c, IN, c->in, SYS_POLLOUT);
		if (eci_buf_len(&c->tty_q))
			watch(c, IN, c->tty, SYS_POLLOUT);
		if (c->end_at && c->end_at < *until)
			*until = c->end_at;
	}
}

static void take(struct native_proc *c, int which)
{
	size_t max = room(c, which);
	if (!max)
		return;
	long n = SYS3(NR_read, *output_of(c, which), native.buf, max);
	if (n == -SYS_EAGAIN || n == -SYS_EINTR)
		return;
	if (n <= 0)
		shut(c, which);
	else if (c->job)
		eci_job_output(c->job, which, native.buf, (size_t)n, native.now);
	else if (which == OUT && c->link)
		native_feed(c->link, c->out, (size_t)n, &c->wide);
	else
		eci_spawn_output(c->spawn, which, native.buf, (size_t)n, native.now);
}

void native_procs_serve(int first, int last)
{
	for (int i = first; i < last; i++)
		if (native.poll[i].revents && whose[i].which < IN)
			take(whose[i].proc, whose[i].which);
}

void native_procs_reap(void)
{
	int status;
	long pid;
	while ((pid = SYS4(NR_wait4, -1, &status, 1, 0)) > 0) /* WNOHANG */
		for (struct native_proc *c = native.procs; c; c = c->next)
			if (c->pid == pid && !c->exited) {
				c->status = status;
				c->exited = true;
				c->paused = false;
				if (c->spawn)
					c->end_at = native.now + GRACE_MS;
				native_close(&c->slave);
			}
}

void native_procs_kill(void)
{
	for (struct native_proc *c = native.procs; c; c = c->next)
		(void)send_signal(c, SYS_SIGKILL);
}

/* ---- the poll set ---- */

void native_watch(int fd, short events)
{
	if (native.npoll == native.poll_cap) {
		int cap = native.poll_cap ? native.poll_cap * 2 : 32;
		size_t n = (size_t)native.npoll, more = (size_t)cap;
		native.poll = eci_mem_grow(native.poll, n * sizeof *native.poll, more * sizeof *native.poll);
		whose = eci_mem_grow(whose, n * sizeof *whose, more * sizeof *whose);
		if (!native.poll || !whose)
			native_exit(1); /* a descriptor that is not watched would hang somebody for ever */
		native.poll_cap = cap;
	}
	native.poll[native.npoll++] = (struct native_poll){fd, events, 0};
}
