/* The mesh: one router, one lock, one thread.
 *
 * Everything mutable is guarded by mesh->lock. The private thread runs a libev loop and holds the lock except while it
 * sleeps in the kernel (ev_set_loop_release_cb, ev(3)). A caller's thread takes the same lock, changes the state,
 * writes what is ready straight to the link's descriptor, and waits on that link itself, or, when another has it, on a
 * condition variable (wait.c). So a lone call costs no hand-over between threads, and no state is reachable from two
 * threads at once. The obvious
 * alternative, a queue of requests to the loop's thread, costs two hand-overs per call; docs/adr/0001-one-lock.md has
 * the figures.
 *
 * Processes are started by the private thread only: the death signal of ssh (PR_SET_PDEATHSIG) goes off when the thread
 * that forked them ends. Hence connecting is `work` that callers put on a list and the loop does.
 *
 * SIGPIPE: masked in the private thread; a caller's thread masks it around its writes and swallows one that was raised.
 */
#include "mesh/ahead.h"
#include "mesh/asked.h"
#include "mesh/event.h"
#include "mesh/connect.h"
#include "mesh/pump.h"
#include "mesh/tunnel.h"
#include "mesh/secret.h"
#include "preamble/preamble.h"
#include "io/random.h"
#include "io/roots.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOCK_YIELDS 64

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
	if (m->sleeping)
		ev_async_send(m->loop, &m->wake);
}

void eci_wake_by(ectx_mesh *m, uint64_t when_ms)
{
	if (when_ms < m->ops_next_ms)
		m->ops_next_ms = when_ms;
	if (when_ms < m->wake_at_ms)
		eci_mesh_wake(m);
}

int eci_send(ectx_mesh *m, uint8_t cls, uint32_t dst, uint32_t handle, uint32_t reply_to, const struct eci_buf *body)
{
	return eci_router_send(m->router, cls, 0, dst, handle, reply_to, eci_buf_data(body), eci_buf_len(body),
			       eci_now_ms());
}

/* ---- router callbacks ---- */

static bool on_deliver(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	(void)from;
	ectx_mesh *m = ctx;
	return eci_spawns_deliver(m->spawns, f, eci_now_ms()) || eci_serve(m, link, f);
}

static const char *on_hello(void *ctx, struct eci_link *link, const struct eci_frame *f)
{
	(void)ctx;
	struct eci_cbor c = eci_cbor_open(f->body, f->len);
	size_t pairs = eci_cbor_get_map(&c);
	uint64_t version = 0;
	for (size_t i = 0; i < pairs && !c.bad; i++) {
		if (eci_cbor_get_uint(&c) == 0)
			version = eci_cbor_get_uint(&c);
		else
			(void)eci_cbor_skip(&c);
	}
	if (version != ECI_PROTOCOL_VERSION)
		return "version";
	eci_spawn_up(eci_link_user(link), f->body, f->len, eci_now_ms());
	return NULL;
}

static const struct eci_router_ops router_ops = {
	.deliver = on_deliver,
	.hello = on_hello,
	.wake = eci_carrier_wake,
	.broken = eci_carrier_broken,
};

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

/* Before the loop sleeps: all that is due is done, all that is queued is written, and the timer says when to wake. */
static void on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	(void)w, (void)events;
	ectx_mesh *m = ev_userdata(loop);
	uint64_t now = eci_now_ms(), next;
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

static void on_wake(struct ev_loop *loop, ev_async *w, int events)
{
	(void)loop, (void)w, (void)events;
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

static int start_loop(ectx_mesh *m)
{
	m->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!m->loop)
		return -1;
	ev_set_userdata(m->loop, m);
	ev_set_loop_release_cb(m->loop, release, acquire);
	ev_async_init(&m->wake, on_wake);
	ev_async_start(m->loop, &m->wake);
	ev_prepare_init(&m->prepare, on_prepare);
	ev_prepare_start(m->loop, &m->prepare);
	ev_timer_init(&m->timer, on_timer, 0., 0.);
	m->wake_at_ms = m->ops_next_ms = UINT64_MAX;
	return eci_links_open(m) < 0 ? -1 : start_thread(m);
}

/* ---- new and free ---- */

static char **copy_list(const char *const *v)
{
	size_t n = 0;
	while (v && v[n])
		n++;
	char **out = calloc(n + 1, sizeof *out);
	for (size_t i = 0; out && i < n; i++)
		out[i] = strdup(v[i]);
	return out;
}

static void free_list(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

/* Our own modules, which any context may import. */
static bool serve_ours(ectx_mesh *m)
{
	const struct eci_part *p;
	for (size_t i = 0; (p = eci_preamble_served(i)) != NULL; i++)
		if (eci_responder_add(m->responder, p->name, p->name, p->bytes, p->len) < 0)
			return false;
	return true;
}

static bool make_parts(ectx_mesh *m, const ectx_options *o)
{
	static const char *const here[] = {".", NULL};
	m->router = eci_router_new(0, 0, &router_ops, m);
	m->spawns = m->router ? eci_spawns_new(m->router, &eci_carrier_host, m) : NULL;
	m->roots = eci_roots_new(o->roots ? o->roots : here);
	m->responder = m->roots ? eci_responder_new(&eci_roots_ops, m->roots, o->include, o->exclude) : NULL;
	m->read_buf = malloc(ECI_READ_BUF);
	m->overrides = copy_list(o->override);
	m->title = o->title ? strdup(o->title) : NULL;
	m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!m->topology)
		m->topology = m->own_topology = ectx_topology_none();
	return m->router && m->spawns && m->responder && serve_ours(m) && m->read_buf && m->overrides &&
	       m->event_fd >= 0 && m->topology && (!o->title || m->title);
}

static void make_locks(ectx_mesh *m)
{
	eci_cond_init(&m->event_cond);
	(void)pthread_mutex_init(&m->lock, NULL);
	(void)pthread_mutex_init(&m->ask_lock, NULL);
}

static void destroy(ectx_mesh *m)
{
	eci_events_free_all(m);
	eci_spawns_free(m->spawns); /* frees carriers, which need the loop */
	if (m->links_fd >= 0)
		(void)close(m->links_fd);
	eci_image_close(m);
	if (m->loop)
		ev_loop_destroy(m->loop);
	while (m->contexts) {
		ectx_context *c = m->contexts;
		m->contexts = c->next;
		if (c->by_name.tbl)
			HASH_DELETE(by_name, m->by_name, c);
		if (c->id)
			HASH_DELETE(by_id, m->by_id, c);
		eci_dialogue_free(c->dialogue);
		eci_ahead_forget(c);
		eci_asked_forget(c);
		eci_lines_deinit(&c->lines[0]);
		eci_lines_deinit(&c->lines[1]);
		free(c->name);
		free(c);
	}
	while (m->plans) {
		struct eci_plan_node *p = m->plans;
		m->plans = p->next;
		eci_plan_deinit(&p->plan);
		free(p);
	}
	eci_responder_free(m->responder);
	eci_roots_free(m->roots);
	eci_router_free(m->router);
	eci_secrets_free(m);
	ectx_topology_free(m->own_topology);
	free_list(m->overrides);
	free(m->title);
	free(m->read_buf);
	if (m->event_fd >= 0)
		(void)close(m->event_fd);
	(void)pthread_mutex_destroy(&m->ask_lock);
	m->router = NULL;
	m->event_fd = -1;
	eci_mesh_unref(m);
}

void eci_mesh_ref(ectx_mesh *m)
{
	atomic_fetch_add(&m->refs, 1);
}

void eci_mesh_unref(ectx_mesh *m)
{
	if (atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	eci_nudges_free(m);
	(void)pthread_cond_destroy(&m->event_cond);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

/* A plan is asked for without a mesh, and must show what a mesh would execute. */
__attribute__((constructor)) static void lend_argv_to_plans(void)
{
	eci_topology_set_argv(eci_connect_argv);
}

int ectx_mesh_new(ectx_mesh **out, const ectx_options *options, ectx_error *err)
{
	static const ectx_options none;
	const ectx_options *o = options ? options : &none;
	struct eci_fail fail = {0};
	*out = NULL;
	if (!eci_overrides_fit(o->override)) {
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     "override: prefixes are UTF-8, and 80 bytes together, with 2 more for each");
		eci_error_from(err, &fail, NULL);
		return -1;
	}
	ectx_mesh *m = eci_random_init() < 0 ? NULL : calloc(1, sizeof *m);
	if (m) {
		make_locks(m);
		atomic_init(&m->refs, 1);
		atomic_init(&m->lock_wanted, 0);
		m->topology = o->topology;
		m->log_level = o->log_level ? o->log_level : 20;
		m->ask = o->ask;
		m->ask_arg = o->ask_arg;
		m->event_limit = o->event_limit ? o->event_limit : ECI_EVENT_LIMIT;
		m->next_id = ECI_BLOCK_FACTOR;
		m->event_fd = m->links_fd = -1;
		m->image_fd = ECI_IMAGE_UNTRIED;
		if (make_parts(m, o) && start_loop(m) == 0) {
			*out = m;
			return 0;
		}
		destroy(m);
	}
	eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "no memory, descriptor or thread for a mesh");
	eci_error_from(err, &fail, NULL);
	return -1;
}

static void shut_down_contexts(ectx_mesh *m)
{
	struct eci_buf null = ECI_BUF_NULL;
	eci_cbor_put_null(&null);
	for (ectx_context *c = m->contexts; c; c = c->next)
		if (!c->parent && (c->state == ECI_UP || c->state == ECI_BOOTING))
			eci_send(m, ECI_CONTROL, c->id, ECI_H_SHUTDOWN, 0, &null);
	eci_buf_deinit(&null);
	(void)eci_carriers_end(m, false);
	eci_mesh_wake(m);
}

void ectx_mesh_free(ectx_mesh *m)
{
	if (!m)
		return;
	eci_lock(m);
	m->closing = true;
	while (m->tunnels)
		eci_tunnel_free(m->tunnels);
	while (m->streams)
		eci_stream_forget(m->streams, "closed");
	eci_futures_fail_all(m, ECTX_E_CLOSED);
	shut_down_contexts(m);
	uint64_t until = eci_now_ms() + ECI_CLOSE_GRACE_MS;
	bool killed = false;
	while (m->carriers && (!killed || eci_now_ms() < until)) {
		eci_unlock(m);
		(void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
		eci_lock(m);
		if (!killed && eci_now_ms() >= until) {
			killed = true;
			until += ECI_CLOSE_GRACE_MS;
			(void)eci_carriers_end(m, true);
		}
	}
	m->stop = true;
	ev_async_send(m->loop, &m->wake);
	eci_unlock(m);
	(void)pthread_join(m->thread, NULL);
	destroy(m);
}

const char *ectx_version(void)
{
	return "0.1.0";
}
