/* The processes under our links and commands: their bytes, and their end.
 *
 * What a process is for is decided in service/spawn.c and jobs.c; this file moves its bytes. Before PROMOTE output goes
 * to the spawn and RAW bytes wait in in_q; afterwards in and out belong to the router's link.
 *
 * The end of a spawn's process is reported when it was waited for and its outputs are at their end, or a quarter of a
 * second later: a grandchild may hold them. One that only closed its output gets a grace and is killed then. A process
 * that we may not kill (it became another user) is told by the end of its input, and reported as gone after LEFT_MS.
 * A command is reported when both outputs are at their end, whoever holds them. One that was cancelled stays until its
 * grace is over, reported or not: what is left of its group then is killed.
 *
 * What is signalled is its group, and in the next turn, for all at once, what else is in its session (watcher.c).
 *
 * Invariant: who has ended is waited for last of all, when nothing of it is killed any more, by us or by the watcher.
 * So long the kernel gives its number, which is its group's and session's, to nobody else, be these empty or not.
 * Nobody waits for who has not ended: one that is freed earlier (left, or never begun) stays in the list, as nobody's,
 * until it has.
 */
#include "preamble/native/proc.h"

#define CLOSED_MS 2000u /* a process without output that is no link: it may be about to end */
#define LEFT_MS 2000u
#define PIPE_SIZE 262144u /* of a link that bulk has filled */
/* In a siginfo_t of ints: signal, errno, code (where a long has 64 bits, nothing), pid, uid, status. */
#define INFO_PID (sizeof(long) == 8 ? 4 : 3)

struct whose {
	struct native_proc *proc;
	int which;
};
static struct whose *whose; /* as long as native.poll */

void native_proc_end_at(struct native_proc *c, uint32_t ms)
{
	if (!c->end_at)
		c->end_at = native.now + ms;
}

/* To its group, whose leader may have ended before the others. */
bool native_proc_signal(struct native_proc *c, int sig)
{
	c->sweep = sig;
	native.dirty = true;
	return SYS2(NR_kill, -c->pid, sig) == 0 || c->exited || SYS2(NR_kill, c->pid, sig) == 0;
}

void native_proc_close_in(struct native_proc *c)
{
	if (c->fd[IN] == c->fd[OUT])
		c->fd[IN] = -1;
	native_close(&c->fd[IN]);
}

void native_proc_shut(struct native_proc *c, int which)
{
	if (which == OUT && (c->link || c->fd[IN] == c->fd[OUT]))
		native_proc_close_in(c);
	native_close(&c->fd[which]);
	if (which == OUT && c->spawn)
		native_proc_end_at(c, c->link ? NATIVE_GRACE_MS : CLOSED_MS);
	if (c->job)
		native_job_ended(c->job, which);
}

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
			native_job_took(c->job, (size_t)n);
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
	while ((n = eci_link_output(link, &p, ECI_PIECE_MAX)) > 0) {
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
	int done = c->link && c->fd[IN] >= 0 ? native_flush(c->link, c->fd[IN]) : 1;
	if (done < 0) {
		native_proc_close_in(c);
		native_proc_end_at(c, NATIVE_GRACE_MS);
	}
	return done;
}

/* These report the end once it is one; c is gone then, a cancelled command when its grace is over. What is nobody's any
 * more is gone when it has ended. */
static void settle_job(struct native_proc *c, bool late)
{
	if (late) {
		c->end_at = 0;
		(void)native_proc_signal(c, SYS_SIGKILL);
		native_proc_cut(c, OUT);
		native_proc_cut(c, ERR);
	}
	if (c->job && c->exited && c->fd[OUT] < 0 && c->fd[ERR] < 0) {
		native_job_exited(c->job, c->status);
		c->job = NULL;
		native_proc_close_in(c);
		eci_buf_deinit(&c->in_q);
	}
	if (!c->job && c->exited && !c->end_at && !c->sweep)
		native_proc_free(NULL, c);
}

static void settle_spawn(struct native_proc *c, bool late)
{
	bool ended = c->fd[OUT] < 0 && c->fd[ERR] < 0 && c->fd[TTY] < 0;
	if (!c->exited && late) {
		c->status = SYS_SIGKILL;
		if (!c->over) {
			c->over = true;
			c->end_at = native.now + (native_proc_signal(c, SYS_SIGKILL) ? 60000 : LEFT_MS);
			return;
		}
	}
	if (late || (c->exited && ended))
		eci_spawn_exited(c->spawn, c->status, native.now);
}

/* False: it never was its program, and c is gone. */
static bool settle_start(struct native_proc *c)
{
	long n = c->fd[SAID] < 0 ? -SYS_EAGAIN : SYS3(NR_read, c->fd[SAID], native.buf, NATIVE_READ_MAX);
	if (n < 0)
		return true;
	native_close(&c->fd[SAID]);
	if (c->spawn)
		return eci_spawn_begun(c->spawn, c->pid, native.buf, (size_t)n, native.now);
	if (n) {
		native_job_failed(c->job, native.buf, (size_t)n);
		native_proc_free(NULL, c);
	} else if (c->fd[ERR] < 0) {
		native_job_ended(c->job, ERR); /* of a terminal there is none */
	}
	return !n;
}

static void sweep(int sig)
{
	unsigned n = 0;
	for (struct native_proc *c = native.procs; c; c = c->next)
		if (c->sweep == sig && n < NATIVE_KNOWN_MAX) {
			c->sweep = 0;
			native_leaders[n++] = c->pid;
		}
	if (n)
		native_sweep(n, sig);
}

void native_procs_flush(void)
{
	struct native_proc *c, *next;
	sweep(SYS_SIGTERM);
	sweep(SYS_SIGKILL);
	for (c = native.procs; c; c = next) {
		next = c->next;
		if (settle_start(c))
			(c->spawn ? settle_spawn : settle_job)(c, c->end_at && native.now >= c->end_at);
	}
	for (c = native.procs; c; c = c->next) {
		c->blocked = !(flush_queue(c, &c->in_q, c->fd[IN]) && flush_link(c));
		if (!eci_buf_len(&c->in_q) && !c->in_q.failed)
			eci_buf_deinit(&c->in_q); /* an agent has gone through it: not to be kept for each child */
		(void)flush_queue(c, &c->tty_q, c->fd[TTY]);
		if (!c->blocked && c->stdin_done && c->fd[IN] != c->fd[OUT])
			native_proc_close_in(c);
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

/* How much may be read. Nothing before it is said to have begun, and of a link nothing while the parent does not take
 * what comes from there. */
static size_t room(struct native_proc *c, int which)
{
	if (c->fd[which] < 0 || c->fd[SAID] >= 0 || c->paused || (c->job && which == TTY) ||
	    (which == OUT && c->link && eci_link_crowded(native.up)))
		return 0;
	return c->job ? native_job_room(c->job, which) : NATIVE_READ_MAX;
}

void native_procs_watch(uint64_t *until)
{
	for (struct native_proc *c = native.procs; c; c = c->next) {
		/* A terminal is one entry for both ways: ppoll(2) takes no more than there may be descriptors. */
		bool one = c->fd[IN] == c->fd[OUT];
		for (int which = OUT; which <= TTY; which++) {
			bool out = which == TTY ? eci_buf_len(&c->tty_q) : which == OUT && one && c->blocked;
			short events = (short)((room(c, which) ? SYS_POLLIN : 0) | (out ? SYS_POLLOUT : 0));
			if (events)
				watch(c, which, c->fd[which], events);
		}
		watch(c, SAID, c->fd[SAID], SYS_POLLIN);
		if (c->blocked && !one)
			watch(c, IN, c->fd[IN], SYS_POLLOUT);
		if (c->end_at && c->end_at < *until)
			*until = c->end_at;
	}
}

static void take(struct native_proc *c, int which)
{
	size_t max = room(c, which);
	if (!max)
		return;
	long n = SYS3(NR_read, c->fd[which], native.buf, max);
	if (n == -SYS_EAGAIN || n == -SYS_EINTR)
		return;
	if (n <= 0) {
		native_proc_shut(c, which);
	} else if (c->job) {
		native_job_output(c->job, which, (size_t)n);
	} else if (which == OUT && c->link) {
		eci_spawn_hears(c->spawn, native.buf, (size_t)n, native.now);
		native_feed(c->link, c->fd[OUT], (size_t)n, &c->wide);
	} else {
		eci_spawn_output(c->spawn, which, native.buf, (size_t)n, native.now);
	}
}

void native_procs_serve(int first, int last)
{
	for (int i = first; i < last; i++)
		if (native.poll[i].revents && whose[i].which < IN)
			take(whose[i].proc, whose[i].which);
}

/* Who of these has ended and was not waited for, which it stays; 0: nobody. An agent to which a policy refuses the
 * question would hear of no end: it is none. */
static int ended(int type, int pid)
{
	native.info[0] = 0;
	long n = SYS5(NR_waitid, type, pid, native.info, SYS_WNOHANG | SYS_WEXITED | SYS_WNOWAIT, 0);
	if (n < 0 && n != -SYS_ECHILD)
		native.end = "poll";
	return native.info[0] ? native.info[INFO_PID] : 0;
}

void native_procs_reap(void)
{
	struct native_proc *c;
	int pid;
	for (c = native.procs; c; c = c->next)
		if (!c->exited && ended(SYS_P_PID, c->pid)) {
			c->status = native.info[INFO_PID + 2];
			if (native.info[2] == SYS_CLD_EXITED)
				c->status <<= 8;
			c->exited = true;
			c->paused = false;
			if (c->spawn)
				c->end_at = native.now + NATIVE_GRACE_MS;
			native_close(&c->fd[SLAVE]);
		}
	/* What is not in the list: the loader's (the watcher has the orphans where it is process 1). They wait while
	 * one that is in it comes first: the kernel names but one. */
	while ((pid = ended(SYS_P_ALL, 0))) {
		for (c = native.procs; c; c = c->next)
			if (c->pid == pid)
				return;
		(void)SYS4(NR_wait4, pid, 0, 0, 0);
	}
}

void native_procs_kill(void)
{
	for (struct native_proc *c = native.procs; c; c = c->next)
		(void)native_proc_signal(c, SYS_SIGKILL);
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
	native.poll[native.npoll++] = (struct native_poll){native_seen(fd), events, 0};
}
