/* Carriers: the processes under the links to the master's own children, and the bytes to and from them.
 *
 * service/spawn.c decides what a process is for; this file moves its bytes. Before PROMOTE its output goes to the spawn
 * and RAW bytes wait in in_q; afterwards stdin and stdout belong to the router's link, and in_q is empty for good.
 *
 * Writing is tried at once by whoever queued something, the thread of a caller included (eci_unlock() flushes): a call
 * then costs one hand-over between threads, not two. Only what the kernel does not take waits for the loop's write
 * watcher.
 *
 * The end is reported once the process is reaped and its output has reached end of file, so that the last words of ssh
 * are never lost; but a grandchild that holds the pipe open delays it by END_GRACE_S at most.
 *
 * Watchers are touched under the mesh lock; from outside the loop's thread a started watcher counts from the next
 * iteration on, hence eci_mesh_wake() (ev(3): ev_io_start only records the change). */
#include "io/proc.h"
#include "mesh/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_MAX 65536u /* a pipe's worth */
#define WRITE_MAX 65536u
#define END_GRACE_S 0.25
#define REAP_POLL_S 0.05 /* where pidfd_open(2) is missing */

struct eci_carrier {
	ectx_mesh *mesh;
	struct eci_spawn *spawn;
	struct eci_proc proc;
	struct eci_link *link;
	struct eci_buf in_q, tty_q;
	ev_io out, err, tty, in_w, tty_w, pid;
	ev_timer poll;
	bool exited, in_dead, is_dirty, stdin_done;
	int wait_status;
	struct eci_carrier *prev, *next, *dirty_next;
};

static void mark_dirty(struct eci_carrier *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->dirty_next = c->mesh->dirty;
	c->mesh->dirty = c;
}

/* A pty is one descriptor for both ways: it is closed with its output. */
static void close_stdin(struct eci_carrier *c)
{
	ev_io_stop(c->mesh->loop, &c->in_w);
	if (c->proc.in >= 0 && c->proc.in != c->proc.out)
		(void)close(c->proc.in);
	c->proc.in = -1;
	c->in_dead = true;
}

/* ---- output: towards the process ---- */

static ssize_t put(int fd, const uint8_t *p, size_t n)
{
	ssize_t w;
	do
		w = write(fd, p, n);
	while (w < 0 && errno == EINTR);
	return w;
}

/* Writes a queue out. True: it is empty. */
static bool flush_queue(struct eci_carrier *c, struct eci_buf *q, int fd, uint64_t now)
{
	while (eci_buf_len(q)) {
		ssize_t n = fd < 0 ? -1 : put(fd, eci_buf_data(q), eci_buf_len(q));
		if (n < 0 && fd >= 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (n < 0) /* nobody reads any more: its end is on its way, and says more than EPIPE does */
			n = (ssize_t)eci_buf_len(q);
		eci_buf_drain(q, (size_t)n);
		eci_spawn_written(c->spawn, (size_t)n, now);
	}
	return true;
}

static bool flush_link(struct eci_carrier *c, uint64_t now)
{
	const uint8_t *p;
	size_t n;
	while (c->link && !c->in_dead && (n = eci_link_output(c->link, &p, WRITE_MAX)) > 0) {
		ssize_t w = put(c->proc.in, p, n);
		if (w < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (w < 0) {
			c->in_dead = true;
			break;
		}
		eci_link_wrote(c->link, (size_t)w, now);
	}
	return true;
}

static void flush(struct eci_carrier *c, bool in_loop)
{
	uint64_t now = eci_now_ms();
	struct ev_loop *loop = c->mesh->loop;
	bool tty_empty = flush_queue(c, &c->tty_q, c->proc.tty, now);
	bool in_empty = flush_queue(c, &c->in_q, c->proc.in, now) && flush_link(c, now);
	if (in_empty && c->stdin_done && c->proc.in >= 0)
		close_stdin(c);
	if (!in_empty && !ev_is_active(&c->in_w)) {
		ev_io_start(loop, &c->in_w);
		if (!in_loop)
			eci_mesh_wake(c->mesh);
	} else if (in_empty && ev_is_active(&c->in_w)) {
		ev_io_stop(loop, &c->in_w);
	}
	if (!tty_empty)
		ev_io_start(loop, &c->tty_w);
	else if (ev_is_active(&c->tty_w))
		ev_io_stop(loop, &c->tty_w);
}

void eci_carriers_flush(ectx_mesh *m, bool in_loop)
{
	while (m->dirty) {
		struct eci_carrier *c = m->dirty;
		m->dirty = c->dirty_next;
		c->is_dirty = false;
		flush(c, in_loop);
	}
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	mark_dirty(w->data); /* the loop flushes before it sleeps */
}

/* ---- input: from the process ---- */

static void check_end(struct eci_carrier *c)
{
	if (!c->exited || c->proc.out >= 0 || c->proc.err >= 0 || c->proc.tty >= 0)
		return;
	eci_spawn_exited(c->spawn, c->wait_status, eci_now_ms()); /* frees c */
}

static void end_of_file(struct eci_carrier *c, ev_io *w, int *fd)
{
	ev_io_stop(c->mesh->loop, w);
	if (w == &c->out && c->proc.in == c->proc.out)
		close_stdin(c);
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	if (w == &c->out && c->link) /* a link ends with its carrier's output: do not wait for a process that lingers */
		close_stdin(c);
	if (w == &c->out && !c->exited &&
	    !ev_is_active(&c->poll)) { /* it gets the grace to exit by itself, then it is ended */
		ev_timer_set(&c->poll, c->link ? END_GRACE_S : END_GRACE_S * 8, REAP_POLL_S);
		ev_timer_start(c->mesh->loop, &c->poll);
	}
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	struct eci_carrier *c = w->data;
	int which = w == &c->out ? 1 : w == &c->err ? 2 : 3;
	int *fd = which == 1 ? &c->proc.out : which == 2 ? &c->proc.err : &c->proc.tty;
	ssize_t n = read(*fd, c->mesh->read_buf, READ_MAX);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* a pty says EIO when its last user is gone */
		end_of_file(c, w, fd);
		check_end(c);
		return;
	}
	uint64_t now = eci_now_ms();
	if (which == 1 && c->link)
		eci_link_feed(c->link, c->mesh->read_buf, (size_t)n, now);
	else
		eci_spawn_output(c->spawn, which, c->mesh->read_buf, (size_t)n, now);
}

static void close_outputs(struct eci_carrier *c)
{
	end_of_file(c, &c->out, &c->proc.out);
	end_of_file(c, &c->err, &c->proc.err);
	end_of_file(c, &c->tty, &c->proc.tty);
}

static void reap(struct eci_carrier *c)
{
	if (c->exited || !eci_proc_reap(&c->proc, &c->wait_status))
		return;
	c->exited = true;
	struct ev_loop *loop = c->mesh->loop;
	ev_io_stop(loop, &c->pid);
	ev_timer_stop(loop, &c->poll);
	ev_timer_set(&c->poll, END_GRACE_S, 0.); /* for output that is still in the pipes */
	ev_timer_start(loop, &c->poll);
	check_end(c);
}

static void on_pid(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	reap(w->data);
}

static void on_poll(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)events;
	struct eci_carrier *c = w->data;
	if (c->exited) {
		ev_timer_stop(loop, w);
		close_outputs(c);
		check_end(c);
	} else if (c->proc.out < 0) {
		eci_proc_kill(&c->proc);
		reap(c);
	} else {
		reap(c);
	}
}

/* ---- the host of service/spawn.c ---- */

static void watch(struct eci_carrier *c, ev_io *w, void (*fn)(struct ev_loop *, ev_io *, int), int fd, int events,
		  bool start)
{
	ev_io_init(w, fn, fd, events);
	w->data = c;
	if (start && fd >= 0)
		ev_io_start(c->mesh->loop, w);
}

static void *host_start(void *ctx, struct eci_spawn *s, const char *const *argv, const char *const *env, int mode,
			int *err, int *pid)
{
	ectx_mesh *m = ctx;
	struct eci_carrier *c = calloc(1, sizeof *c);
	if (!c) {
		*err = ENOMEM;
		return NULL;
	}
	c->mesh = m;
	c->spawn = s;
	*err = eci_proc_start(&c->proc, argv, env, (enum eci_proc_mode)mode);
	if (*err) {
		free(c);
		return NULL;
	}
	*pid = c->proc.pid;
	watch(c, &c->out, on_readable, c->proc.out, EV_READ, true);
	watch(c, &c->err, on_readable, c->proc.err, EV_READ, true);
	watch(c, &c->tty, on_readable, c->proc.tty, EV_READ, true);
	watch(c, &c->in_w, on_writable, c->proc.in, EV_WRITE, false);
	watch(c, &c->tty_w, on_writable, c->proc.tty, EV_WRITE, false);
	watch(c, &c->pid, on_pid, c->proc.pidfd, EV_READ, true);
	ev_timer_init(&c->poll, on_poll, REAP_POLL_S, REAP_POLL_S);
	c->poll.data = c;
	if (c->proc.pidfd < 0)
		ev_timer_start(m->loop, &c->poll);
	DL_APPEND(m->carriers, c);
	return c;
}

static void host_write(void *ctx, void *proc, bool tty, const uint8_t *p, size_t n)
{
	(void)ctx;
	struct eci_carrier *c = proc;
	(void)eci_buf_append(tty ? &c->tty_q : &c->in_q, p, n);
	mark_dirty(c);
}

static void host_close_stdin(void *ctx, void *proc)
{
	(void)ctx;
	struct eci_carrier *c = proc;
	c->stdin_done = true;
	mark_dirty(c);
}

static void host_pause(void *ctx, void *proc, bool on)
{
	(void)ctx;
	struct eci_carrier *c = proc;
	ev_io *w[] = {&c->out, &c->err, &c->tty};
	int fd[] = {c->proc.out, c->proc.err, c->proc.tty};
	for (int i = 0; i < 3; i++) {
		if (on)
			ev_io_stop(c->mesh->loop, w[i]);
		else if (fd[i] >= 0)
			ev_io_start(c->mesh->loop, w[i]);
	}
}

static void host_kill(void *ctx, void *proc)
{
	(void)ctx;
	struct eci_carrier *c = proc;
	if (c->exited)
		return;
	eci_proc_kill(&c->proc);
	close_stdin(c); /* what became another user cannot be killed from here: it ends by this */
}

static void host_attach(void *ctx, void *proc, struct eci_link *link)
{
	(void)ctx;
	struct eci_carrier *c = proc;
	c->link = link;
	if (link)
		mark_dirty(c);
}

static void host_free(void *ctx, void *proc)
{
	ectx_mesh *m = ctx;
	struct eci_carrier *c = proc;
	ev_io *w[] = {&c->out, &c->err, &c->tty, &c->in_w, &c->tty_w, &c->pid};
	for (size_t i = 0; i < sizeof w / sizeof *w; i++)
		ev_io_stop(m->loop, w[i]);
	ev_timer_stop(m->loop, &c->poll);
	if (c->is_dirty) {
		struct eci_carrier **at = &m->dirty;
		while (*at != c)
			at = &(*at)->dirty_next;
		*at = c->dirty_next;
	}
	DL_DELETE(m->carriers, c);
	if (!c->exited) {
		eci_proc_kill(&c->proc);
		for (int i = 0; i < 200 && !eci_proc_reap(&c->proc, &c->wait_status); i++)
			(void)nanosleep(&(struct timespec){.tv_nsec = 5000000},
					NULL); /* at shutdown only, of one that was just killed */
	}
	eci_proc_close(&c->proc);
	eci_buf_deinit(&c->in_q);
	eci_buf_deinit(&c->tty_q);
	free(c);
}

static const char *host_explain(void *ctx, int err)
{
	(void)ctx;
	return strerror(err);
}

const struct eci_spawn_host eci_carrier_host = {
	.start = host_start,
	.write = host_write,
	.close_stdin = host_close_stdin,
	.pause = host_pause,
	.kill = host_kill,
	.attach = host_attach,
	.free = host_free,
	.explain = host_explain,
};

void eci_carrier_wake(void *mesh, struct eci_link *link)
{
	(void)mesh;
	struct eci_carrier *c = eci_spawn_proc(eci_link_user(link));
	if (c)
		mark_dirty(c);
}

void eci_carrier_broken(void *mesh, struct eci_link *link, const char *reason, const char *detail)
{
	(void)mesh;
	eci_spawn_broken(eci_link_user(link), reason, detail);
}

bool eci_carriers_end(ectx_mesh *m, bool kill)
{
	struct eci_carrier *c;
	DL_FOREACH(m->carriers, c)
	{
		if (kill) {
			eci_proc_kill(&c->proc);
		} else {
			c->stdin_done = true;
			mark_dirty(c);
		}
	}
	return m->carriers == NULL;
}
