/* A mesh: what it is made of, what its router tells it, and how it ends. What it does meanwhile is in loop.c.
 *
 * Its end has an order. What waits is failed first, so that nobody sleeps on it; then the contexts are told to end, and
 * killed after ECI_CLOSE_GRACE_MS; then the loop's thread ends; and only then what that used is freed. The lock, and
 * the mesh around it, stay for as long as the program holds a future or an event: eci_mesh_unref(). */
#include "mesh/ahead.h"
#include "mesh/asked.h"
#include "mesh/connect.h"
#include "mesh/event.h"
#include "mesh/stream.h"
#include "mesh/tunnel.h"
#include "mesh/secret.h"
#include "preamble/preamble.h"
#include "io/proc.h"
#include "io/random.h"
#include "io/roots.h"
#include "service/hello.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int eci_send(ectx_mesh *m, uint8_t cls, uint32_t dst, uint32_t handle, uint32_t reply_to, const struct eci_buf *body)
{
	if (body->failed)
		return ECI_R_NO_MEMORY;
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
	struct eci_hello h;
	if (!eci_hello_read(&h, f, false))
		return "bad-body";
	if (h.version != ECI_PROTOCOL_VERSION)
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
	const char *const *found = o->default_roots ? o->default_roots : here;
	m->router = eci_router_new(0, 0, &router_ops, m);
	m->spawns = m->router ? eci_spawns_new(m->router, &eci_carrier_host, m) : NULL;
	m->roots = eci_roots_new(o->roots ? o->roots : found);
	if (m->roots && !o->roots) /* nobody has named it, and the caller may not know what lies there */
		eci_roots_guard(m->roots, geteuid(), eci_topology_caller());
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
	if (m->wake_fd >= 0)
		(void)close(m->wake_fd);
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
	bool titled = eci_title_fits(o->title);
	if (!titled || !eci_overrides_fit(o->override)) {
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     titled ? "override: prefixes are UTF-8, and 80 bytes together, with 2 more for each"
				    : "title: it is UTF-8 without control characters");
		eci_error_from(err, &fail, NULL);
		return -1;
	}
	ectx_mesh *m = eci_random_init() < 0 ? NULL : calloc(1, sizeof *m);
	if (o->files)
		eci_proc_limit_files(o->files);
	if (m) {
		make_locks(m);
		eci_user_name(m->user, sizeof m->user);
		atomic_init(&m->refs, 1);
		atomic_init(&m->lock_wanted, 0);
		m->topology = o->topology;
		m->log_level = o->log_level ? o->log_level : 20;
		m->ask = o->ask;
		m->give_up = o->give_up;
		m->ask_arg = o->ask_arg;
		m->event_limit = o->event_limit ? o->event_limit : ECI_EVENT_LIMIT;
		m->next_id = ECI_BLOCK_FACTOR;
		m->event_fd = m->links_fd = m->wake_fd = -1;
		m->image_fd = ECI_IMAGE_UNTRIED;
		if (make_parts(m, o) && eci_loop_start(m) == 0) {
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
	eci_mesh_wake(m);
	eci_unlock(m);
	(void)pthread_join(m->thread, NULL);
	destroy(m);
}

const char *ectx_version(void)
{
	return ECI_VERSION;
}
