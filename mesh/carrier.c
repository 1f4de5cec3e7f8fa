/* Carriers: the processes under the links to the master's own children.
 *
 * service/spawn.c decides what a process is for; here it is started, watched and ended. Its bytes are moved by flush.c
 * and hear.c. Before PROMOTE its output goes to the spawn and RAW bytes wait in in_q; afterwards stdin and stdout
 * belong to the router's link, and in_q is empty for good.
 *
 * The end is reported once the process is reaped and its output has reached end of file, so that the last words of ssh
 * are never lost; but a grandchild that holds the pipe open delays it by ECI_END_GRACE_S at most.
 *
 * Watchers are touched under the mesh lock; from outside the loop's thread a started watcher counts from the next
 * iteration on, hence eci_mesh_wake() (ev(3): ev_io_start only records the change). */
#include "mesh/carrier.h"

#include "mesh/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void eci_carrier_close_stdin(struct eci_carrier *c)
{
	ev_io_stop(c->mesh->loop, &c->in_w);
	if (c->proc.in >= 0)
		(void)close(c->proc.in);
	c->proc.in = -1;
	c->in_dead = true;
}

/* ---- its end ---- */

static void close_outputs(struct eci_carrier *c)
{
	eci_carrier_eof(c, &c->out, &c->proc.out);
	eci_carrier_eof(c, &c->err, &c->proc.err);
	eci_carrier_eof(c, &c->tty, &c->proc.tty);
}

static void reap(struct eci_carrier *c)
{
	if (c->exited || !eci_proc_reap(&c->proc, &c->wait_status))
		return;
	c->exited = true;
	struct ev_loop *loop = c->mesh->loop;
	ev_io_stop(loop, &c->pid);
	ev_timer_stop(loop, &c->poll);
	ev_timer_set(&c->poll, ECI_END_GRACE_S, 0.); /* for output that is still in the pipes */
	ev_timer_start(loop, &c->poll);
	eci_carrier_check_end(c);
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
		eci_carrier_check_end(c);
	} else {
		if (c->grace_ms && eci_now_ms() >= c->grace_ms)
			eci_proc_kill(&c->proc);
		reap(c);
	}
}

void eci_carrier_grace(struct eci_carrier *c, double seconds)
{
	struct ev_loop *loop = c->mesh->loop;
	if (c->exited || c->grace_ms)
		return;
	c->grace_ms = eci_now_ms() + (uint64_t)(seconds * 1000);
	if (ev_is_active(&c->poll)) /* no pidfd: it looks all the time */
		return;
	ev_now_update(loop); /* which may have slept */
	ev_timer_set(&c->poll, seconds, ECI_REAP_POLL_S);
	ev_timer_start(loop, &c->poll);
	eci_mesh_wake(c->mesh);
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

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	eci_carrier_dirty(w->data); /* the loop flushes before it sleeps */
}

static void *host_start(void *ctx, struct eci_spawn *s, const char *const *argv, const char *const *env, int mode,
			int *err, int *pid)
{
	ectx_mesh *m = ctx;
	struct eci_carrier *c = calloc(1, sizeof *c);
	const char **changes = c ? eci_secret_environ(m, env) : NULL; /* su(1) hands all of it on */
	if (!changes) {
		free(c);
		*err = ENOMEM;
		return NULL;
	}
	c->mesh = m;
	c->spawn = s;
	/* ssh waits for the network and not for us. What runs here ends with its stdin, and its watcher must see that.
	 */
	const ectx_context *of = eci_context_of_id(m, eci_spawn_child(s));
	unsigned survives = of && of->target.method == ECI_LOCAL ? ECI_PROC_SURVIVES : 0;
	unsigned image = strcmp(argv[0], m->image) ? 0 : ECI_PROC_IMAGE;
	*err = eci_proc_start(&c->proc, argv, changes, (unsigned)mode | survives | image);
	free(changes);
	if (*err) {
		free(c);
		return NULL;
	}
	*pid = c->proc.pid;
	watch(c, &c->out, eci_carrier_readable, c->proc.out, EV_READ, false);
	eci_carrier_hear(c, true);
	watch(c, &c->err, eci_carrier_readable, c->proc.err, EV_READ, true);
	watch(c, &c->tty, eci_carrier_readable, c->proc.tty, EV_READ, true);
	watch(c, &c->in_w, on_writable, c->proc.in, EV_WRITE, false);
	watch(c, &c->tty_w, on_writable, c->proc.tty, EV_WRITE, false);
	watch(c, &c->pid, on_pid, c->proc.pidfd, EV_READ, true);
	ev_timer_init(&c->poll, on_poll, ECI_REAP_POLL_S, ECI_REAP_POLL_S);
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
	eci_carrier_dirty(c);
}

static void host_close_stdin(void *ctx, void *proc)
{
	(void)ctx;
	struct eci_carrier *c = proc;
	c->stdin_done = true;
	eci_carrier_dirty(c);
}

static void host_pause(void *ctx, void *proc, bool on)
{
	(void)ctx;
	struct eci_carrier *c = proc;
	ev_io *w[] = {&c->err, &c->tty};
	int fd[] = {c->proc.err, c->proc.tty};
	eci_carrier_hear(c, !on);
	for (int i = 0; i < 2; i++) {
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
	eci_carrier_close_stdin(c); /* what became another user cannot be killed from here: it ends by this */
}

static void host_attach(void *ctx, void *proc, struct eci_link *link)
{
	(void)ctx;
	struct eci_carrier *c = proc;
	c->link = link;
	eci_carrier_hear(c, c->out_is != DEAF);
	if (link)
		eci_carrier_dirty(c);
}

static void host_free(void *ctx, void *proc)
{
	ectx_mesh *m = ctx;
	struct eci_carrier *c = proc;
	ev_io *w[] = {&c->err, &c->tty, &c->in_w, &c->tty_w, &c->pid};
	eci_carrier_hear(c, false);
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
		eci_carrier_dirty(c);
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
		if (kill || !c->link) /* a login under way has nothing to end in order */
			eci_proc_kill(&c->proc);
		if (!kill) {
			c->stdin_done = true;
			eci_carrier_dirty(c);
		}
	}
	return m->carriers == NULL;
}
