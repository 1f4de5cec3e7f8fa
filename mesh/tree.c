/* tree and trace: questions to many contexts, gathered into one value.
 *
 * A question is a slot of its own; the future is done when none is outstanding, or when its time is over: one context
 * that hangs must not hide the others. A context that does not answer leaves what is known here. */
#include "mesh/ahead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct eci_pending {
	struct ectx_future *future;
	ectx_context *context; /* NULL: the master */
	uint32_t slot;
	uint64_t sent_us, rtt_us;
	uint64_t figure[8]; /* STATS keys 0 to 7 */
	bool answered;
	struct eci_pending *prev, *next;
};

static uint64_t now_us(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

void eci_pending_free(struct ectx_future *f)
{
	struct eci_pending *q, *next;
	DL_FOREACH_SAFE(f->pending, q, next)
	{
		DL_DELETE(f->pending, q);
		if (q->slot)
			eci_slot_close(f->mesh->router, q->slot);
		free(q);
	}
}

static void finish_tree(struct ectx_future *f);
static void finish_trace(struct ectx_future *f);

static void no_memory(struct ectx_future *f)
{
	eci_future_fail_code(f, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "", NULL);
}

static void one_less(struct ectx_future *f)
{
	if (--f->outstanding)
		return;
	if (f->kind == ECI_OP_TREE)
		finish_tree(f);
	else
		finish_trace(f);
	if (f->value)
		eci_future_done(f);
	else
		no_memory(f);
}

void eci_tree_expire(struct ectx_future *f)
{
	struct eci_pending *q;
	DL_FOREACH(f->pending, q)
	{
		if (q->slot)
			eci_slot_close(f->mesh->router, q->slot);
		q->slot = 0;
	}
	f->outstanding = 1;
	one_less(f);
}

/* What the parent counted on its link to context `id`: frames in and out, bytes in and out as the parent sees them. Of
 * another's child it has nothing to say. */
static void seen_by_parent(struct ectx_future *f, const ectx_context *parent, uint64_t id, const uint64_t seen[4])
{
	struct eci_pending *q;
	DL_FOREACH(f->pending, q)
	{
		if (!q->context || q->context->id != id || q->context->parent != parent)
			continue;
		for (size_t i = 0; i < 4; i++)
			q->figure[i] += seen[i ^ 1];
	}
}

static void take_links(const struct eci_pending *q, struct eci_cbor *c)
{
	for (size_t n = eci_cbor_get_array(c); n && !c->bad; n--) {
		size_t items = eci_cbor_get_array(c);
		uint64_t v[5] = {0};
		for (size_t i = 0; i < items && !c->bad; i++)
			if (i < 5)
				v[i] = eci_cbor_get_uint(c);
			else
				(void)eci_cbor_skip(c);
		if (!c->bad)
			seen_by_parent(q->future, q->context, v[0], v + 1);
	}
}

static void on_reply(void *arg, const struct eci_answer *a)
{
	struct eci_pending *q = arg;
	q->slot = 0;
	q->answered = !a->dead;
	if (q->answered)
		q->rtt_us = now_us() - q->sent_us;
	if (q->answered && q->future->kind == ECI_OP_TREE &&
	    eci_cbor_check(a->f->body, a->f->len, ECI_CBOR_ITEMS_MAX) == 0) {
		struct eci_cbor c = eci_cbor_open(a->f->body, a->f->len);
		size_t pairs = eci_cbor_get_map(&c);
		for (size_t i = 0; i < pairs && !c.bad; i++) {
			uint64_t key = eci_cbor_get_uint(&c);
			if (key < 8) /* key 0 to 3 may have its parent's part already */
				q->figure[key] += eci_cbor_get_uint(&c);
			else if (key == 9)
				take_links(q, &c);
			else
				(void)eci_cbor_skip(&c);
		}
	}
	one_less(q->future);
}

/* Without a handle, or room here, there is only the context's row; false: not even that, for want of memory. */
static bool ask(struct ectx_future *f, ectx_context *c, uint32_t handle)
{
	struct eci_pending *q = calloc(1, sizeof *q);
	if (!q)
		return false;
	q->future = f;
	q->context = c;
	DL_APPEND(f->pending, q);
	if (handle)
		q->slot = eci_slot_open(f->mesh->router, c->id, ECI_SLOT_ONCE, on_reply, q);
	if (!q->slot)
		return true;
	q->sent_us = now_us();
	struct eci_buf null = ECI_BUF_NULL;
	eci_cbor_put_null(&null);
	if (eci_send(f->mesh, ECI_CALL, c->id, handle, q->slot, &null) == 0) {
		c->in_tree = true;
		f->outstanding++;
	} else {
		eci_slot_close(f->mesh->router, q->slot);
		q->slot = 0;
	}
	eci_buf_deinit(&null);
	return true;
}

static bool ask_below(struct ectx_future *f, ectx_context *first)
{
	for (ectx_context *c = first; c; c = c->next_sibling) {
		int r = c->state == ECI_UP ? eci_context_part(c, "stats", &c->has_stats) : 0;
		if (c->state == ECI_UP && !ask(f, c, r ? 0 : ECI_H_STATS))
			return false;
		if (!ask_below(f, c->children))
			return false;
	}
	return true;
}

void eci_tree_run(struct ectx_future *f)
{
	f->outstanding = 1; /* this function's own */
	if (!ask(f, NULL, 0) || !ask_below(f, f->mesh->roots_of_tree)) {
		no_memory(f);
		return;
	}
	struct eci_router *r = f->mesh->router;
	for (struct eci_link *l = eci_router_next_link(r, NULL); l; l = eci_router_next_link(r, l)) {
		struct eci_link_stats s;
		eci_link_get_stats(l, &s);
		seen_by_parent(f, NULL, eci_link_peer(l),
			       (uint64_t[]){s.frames_in, s.frames_out, s.bytes_in, s.bytes_out});
	}
	one_less(f);
}

static bool ask_path(struct ectx_future *f, ectx_context *c)
{
	return (!c->parent || ask_path(f, c->parent)) && ask(f, c, ECI_H_ECHO);
}

void eci_trace_run(struct ectx_future *f)
{
	f->outstanding = 1;
	if (ask_path(f, f->context))
		one_less(f);
	else
		no_memory(f);
}

/* ---- values ---- */

/* Without memory for all of it a value is none: NULL, and stays so. */
static void put(ectx_value **v, const char *key, ectx_value *item)
{
	if (ectx_map_put(*v, key, item))
		return;
	ectx_value_free(*v);
	*v = NULL;
}

static void push(ectx_value **rows, ectx_value *v)
{
	if (ectx_array_push(*rows, v))
		return;
	ectx_value_free(*rows);
	*rows = NULL;
}

static void put_uint(ectx_value **v, const char *key, uint64_t n)
{
	put(v, key, ectx_uint(n));
}

static void put_text(ectx_value **v, const char *key, const char *s)
{
	put(v, key, s ? ectx_text(s) : ectx_null());
}

static void master_figures(ectx_mesh *m, uint64_t figure[8])
{
	for (struct eci_link *l = eci_router_next_link(m->router, NULL); l; l = eci_router_next_link(m->router, l)) {
		struct eci_link_stats s;
		eci_link_get_stats(l, &s);
		figure[0] += s.frames_in;
		figure[1] += s.frames_out;
		figure[2] += s.bytes_in;
		figure[3] += s.bytes_out;
		figure[4] += s.queued_bytes;
	}
	figure[7] = eci_spawns_dials(m->spawns);
}

/* A worker has its host's name everywhere but here, where both stand. */
static void put_name(ectx_value **v, const ectx_context *c)
{
	char *worker = NULL;
	if (!c || !c->host) {
		put_text(v, "name", c ? c->name : "master");
	} else if (asprintf(&worker, "%s (python)", c->name) < 0) {
		put(v, "name", NULL);
	} else {
		put_text(v, "name", worker);
		free(worker);
	}
}

static ectx_value *row(ectx_mesh *m, struct eci_pending *q)
{
	static const char *const keys[] = {"frames_in",    "frames_out",     "bytes_in",    "bytes_out",
					   "queued_bytes", "modules_cached", "requests_up", "dials"};
	static const char *const methods[] = {"local", "ssh", "sudo", "su", "doas"};
	const ectx_context *c = q->context;
	ectx_value *v = ectx_map();
	if (!c)
		master_figures(m, q->figure);
	put_name(&v, c);
	put_uint(&v, "id", c ? c->id : 0);
	put_text(&v, "parent", !c ? NULL : c->parent ? c->parent->name : "master");
	put_text(&v, "transport", c ? methods[c->target.method] : NULL);
	put_text(&v, "agent", c ? c->agent : "master");
	put_text(&v, "arch", c ? c->arch : NULL);
	put_text(&v, "python", c && !c->native && c->python[0] ? c->python : NULL);
	put_text(&v, "state", !c || q->answered ? "up" : "silent");
	if (!c || q->answered)
		put_uint(&v, "rtt_us", q->rtt_us);
	else
		put_text(&v, "rtt_us", NULL);
	for (size_t i = 0; i < 8; i++)
		put_uint(&v, keys[i], q->figure[i]);
	return v;
}

static void finish_tree(struct ectx_future *f)
{
	ectx_value *rows = ectx_array();
	struct eci_pending *q;
	DL_FOREACH(f->pending, q)
	{
		push(&rows, row(f->mesh, q));
	}
	f->value = rows;
}

static void finish_trace(struct ectx_future *f)
{
	ectx_value *hops = ectx_array();
	struct eci_pending *q;
	DL_FOREACH(f->pending, q)
	{
		ectx_value *v = ectx_map();
		put_text(&v, "name", q->context->name);
		put_uint(&v, "id", q->context->id);
		if (q->answered)
			put_uint(&v, "rtt_us", q->rtt_us);
		else
			put_text(&v, "rtt_us", NULL);
		push(&hops, v);
	}
	f->value = hops;
}

ectx_future *ectx_tree_start(ectx_mesh *m, long timeout_ms)
{
	return eci_future_start(eci_future_new(m, NULL, ECI_OP_TREE, timeout_ms), NULL);
}

ectx_future *ectx_trace_start(ectx_context *c, long timeout_ms)
{
	return eci_future_start(eci_future_new(c->mesh, c, ECI_OP_TRACE, timeout_ms), NULL);
}
