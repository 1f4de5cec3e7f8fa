/* One lock, one thread: the private thread's loop, and how others come in beside it.
 *
 * Everything mutable is guarded by mesh->lock. The private thread runs a libev loop and holds the lock except while it
 * sleeps in the kernel (ev_set_loop_release_cb, ev(3)). A caller's thread takes the same lock, changes the state,
 * writes what is ready straight to the link's descriptor, and waits on that link itself, or, when another has it, on a
 * condition variable (wait.c). So a lone call costs no hand-over between threads, and no state is reachable from two
 * threads at once. The obvious alternative, a queue of requests to the loop's thread, costs two hand-overs per call;
 * docs/adr/0001-one-lock.md has the figures.
 *
 * Hops are started by the private thread only: the death signal of ssh (PR_SET_PDEATHSIG) goes off when the thread that
 * forked it ends. Hence connecting is `work` that callers put on a list and the loop does. (A secret's command and `ssh
 * -G` are the caller's: it waits for their end.)
 *
 * SIGPIPE: masked in the private thread; a caller's thread masks it around its writes and swallows one that was raised.
 */
#include "mesh/asked.h"
#include "mesh/pump.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOCK_YIELDS 64
#define HELD_MS 3000u /* no turn of the loop takes so long; and what comes of it is seen within that time */

uint64_t eci_now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* ---- the lock ---- */

void eci_lock(ectx_mesh *m)
{
	if (pthread_mutex_trylock(&m->lock) == 0)
		return;
	(void)atomic_fetch_add(&m->lock_wanted, 1);
	(void)pthread_mutex_lock(&m->lock);
	(void)atomic_fetch_sub(&m->lock_wanted, 1);
}

/* A SIGPIPE of ours must not reach the caller's program, nor be taken from it: one that it has blocked may wait
 * already. (Each of these is a system call beside each call's one write: only what is needed is asked.) */
static void flush_from_caller(ectx_mesh *m)
{
	sigset_t pipe, old, pending;
	(void)sigemptyset(&pipe);
	(void)sigemptyset(&pending);
	(void)sigaddset(&pipe, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe, &old);
	if (sigismember(&old, SIGPIPE))
		(void)sigpending(&pending);
	m->sigpipe = false;
	eci_carriers_flush(m, false);
	if (m->sigpipe && !sigismember(&pending, SIGPIPE)) {
		const struct timespec none = {0};
		while (sigtimedwait(&pipe, NULL, &none) < 0 && errno == EINTR)
			;
	}
	if (!sigismember(&old, SIGPIPE))
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void eci_unlock(ectx_mesh *m)
{
	if (m->dirty)
		flush_from_caller(m);
	(void)pthread_mutex_unlock(&m->lock);
}

static void release(struct ev_loop *loop)
{
	ectx_mesh *m = ev_userdata(loop);
	m->sleeping = true;
	(void)pthread_mutex_unlock(&m->lock);
}

/* A mutex is not fair: a loop that has more to do at once would take it again before those that it has just woken run.
 */
static void acquire(struct ev_loop *loop)
{
	ectx_mesh *m = ev_userdata(loop);
	for (int i = 0; i < LOCK_YIELDS && atomic_load(&m->lock_wanted); i++)
		(void)sched_yield();
	(void)pthread_mutex_lock(&m->lock);
	m->sleeping = false;
}

void eci_mesh_wake(ectx_mesh *m)
{
	const uint64_t one = 1;
	if (m->sleeping && !m->woken)
		m->woken = write(m->wake_fd, &one, sizeof one) > 0;
}

void eci_wake_by(ectx_mesh *m, uint64_t when_ms)
{
	if (when_ms < m->ops_next_ms)
		m->ops_next_ms = when_ms;
	if (when_ms < m->wake_at_ms)
		eci_mesh_wake(m);
}

/* ---- the loop ---- */

/* All there is, up to the first that starts a process: that takes milliseconds (until its exec), in
 * which no link is read, and a hundred of them in a row are links that fall silent. */
static void do_work(ectx_mesh *m)
{
	while (m->work && !m->started) {
		ectx_context *c = m->work;
		m->work = c->work_next;
		c->in_work = false;
		eci_context_advance(c);
	}
}

/* Whoever is stopped, or has no processor, does not wake when it should. */
static bool look_if_held(ectx_mesh *m, uint64_t now)
{
	if (now < m->wake_at_ms || now - m->wake_at_ms < HELD_MS)
		return false;
	m->held_ms = now - m->wake_at_ms;
	m->held_at = now;
	return true;
}

uint64_t eci_mesh_held(ectx_mesh *m)
{
	uint64_t now = eci_now_ms();
	(void)look_if_held(m, now);
	return m->held_ms && now - m->held_at < HELD_MS ? m->held_ms : 0;
}

/* Before the loop sleeps: all that is due is done, all that is queued is written, and the timer says when to wake. */
static void on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	(void)w, (void)events;
	ectx_mesh *m = ev_userdata(loop);
	uint64_t now = eci_now_ms(), next;
	bool held = look_if_held(m, now);
	for (ectx_context *c = held && m->booting ? m->contexts : NULL; c; c = c->next)
		if (c->dialogue)
			eci_dialogue_stood(c->dialogue, now);
	m->started = false;
	eci_pumps_turn(m);
	uint64_t asked = eci_asked_turn(m, now);
	do {
		do_work(m);
		eci_futures_hooks(m);
		eci_pumps_run(m);
		next = eci_router_tick(m->router, now);
		for (ectx_context *c = m->booting ? m->contexts : NULL; c; c = c->next)
			if (c->dialogue && c->state != ECI_UP)
				eci_context_tick(c, now, &next);
		uint64_t ops = now >= m->ops_next_ms ? eci_futures_expire(m, now) : m->ops_next_ms;
		next = ops < next ? ops : next;
		eci_carriers_flush(m, true);
	} while ((m->work && !m->started) || m->dirty || m->hooked || m->pumps_over);
	if (m->work)
		next = now;
	next = asked < next ? asked : next;
	if (m->stop)
		ev_break(loop, EVBREAK_ALL);
	if (next == m->wake_at_ms && ev_is_active(&m->timer))
		return;
	m->wake_at_ms = next;
	ev_timer_stop(loop, &m->timer);
	if (next != UINT64_MAX) {
		ev_now_update(loop);
		ev_timer_set(&m->timer, next > now ? (double)(next - now) / 1000. : 0., 0.);
		ev_timer_start(loop, &m->timer);
	}
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)w, (void)events; /* it woke the loop: on_prepare does the rest */
}

static void on_wake(struct ev_loop *loop, ev_io *w, int events)
{
	(void)events;
	uint64_t count;
	(void)!read(w->fd, &count, sizeof count);
	((ectx_mesh *)ev_userdata(loop))->woken = false;
}

static void *run(void *arg)
{
	ectx_mesh *m = arg;
	eci_lock(m);
	ev_run(m->loop, 0);
	(void)pthread_mutex_unlock(&m->lock);
	return NULL;
}

static int start_thread(ectx_mesh *m)
{
	sigset_t all, old; /* signals are for the program's threads */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&m->thread, NULL, run, m);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

int eci_loop_start(ectx_mesh *m)
{
	m->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!m->loop)
		return -1;
	ev_set_userdata(m->loop, m);
	ev_set_loop_release_cb(m->loop, release, acquire);
	/* No ev_async: without a descriptor for that, libev ends the program. */
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->wake_fd < 0)
		return -1;
	ev_io_init(&m->wake, on_wake, m->wake_fd, EV_READ);
	ev_io_start(m->loop, &m->wake);
	ev_prepare_init(&m->prepare, on_prepare);
	ev_prepare_start(m->loop, &m->prepare);
	ev_timer_init(&m->timer, on_timer, 0., 0.);
	m->wake_at_ms = m->ops_next_ms = UINT64_MAX;
	return eci_links_open(m) < 0 ? -1 : start_thread(m);
}
