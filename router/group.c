/* Groups: a named set of contexts that one frame reaches, one copy a link however many members lie behind it.
 *
 * The master knows the members; a router only keeps which child links lead to some and whether it is one itself. GROUP
 * runs down once: each router cuts the ranges with its links' intervals and passes each link its own part on. A group
 * that comes again is replaced: links that lost all members are told UNGROUP. Ranges are half-open on the wire
 * and inclusive in here.
 *
 * A frame for a group ignores PAUSE (pause.c), so one that does not read never stands in the way of the others; what
 * waits for it is at most what it gave credit for, and bodies are shared by the links.
 *
 * A group has a place in the router's table, and each link a flag for that place: so a link that goes takes its
 * membership along by itself, and nothing is allocated. The group itself stays until UNGROUP, even when empty, so that
 * a frame for it is not counted as an error. Multicast frames are taken from the parent only (or sent by the master),
 * so that a child cannot make a router copy for it. */
#include "router/internal.h"

/* A place that is not used has gid 0. */
static struct eci_group *place(struct eci_router *r, bool used, uint32_t gid)
{
	for (struct eci_group *g = r->groups; g < r->groups + ECI_GROUPS_MAX; g++)
		if (g->used == used && g->gid == gid)
			return g;
	return NULL;
}

struct eci_group *eci_group_find(struct eci_router *r, uint32_t gid)
{
	return place(r, true, gid);
}

/* Appends the part of v that lies in l's intervals as wire ranges; how many. */
static uint32_t cut(const struct eci_link *l, const struct eci_interval *v, size_t n, struct eci_buf *out)
{
	uint32_t count = 0;
	for (uint32_t k = 0; k < l->niv; k++)
		for (size_t i = 0; i < n; i++) {
			uint32_t lo = v[i].lo > l->iv[k].lo ? v[i].lo : l->iv[k].lo;
			uint32_t hi = v[i].hi < l->iv[k].hi ? v[i].hi : l->iv[k].hi;
			if (lo > hi)
				continue;
			count++;
			if (!out)
				continue;
			eci_cbor_put_uint(out, lo);
			eci_cbor_put_uint(out, (uint64_t)hi + 1);
		}
	return count;
}

/* ECI_R_NO_ROUTE: there is no member behind that link. */
static int tell_group(struct eci_link *l, uint32_t gid, const struct eci_interval *v, size_t n)
{
	struct eci_buf *b = &l->router->scratch;
	uint32_t count = cut(l, v, n, NULL);
	if (!count)
		return ECI_R_NO_ROUTE;
	eci_buf_clear(b);
	eci_cbor_put_array(b, 2);
	eci_cbor_put_uint(b, gid);
	eci_cbor_put_array(b, (uint64_t)count * 2);
	(void)cut(l, v, n, b);
	return eci_buf_len(b) > ECI_FRAME_BODY_MAX ? ECI_R_TOO_BIG : eci_tell_scratch(l, ECI_H_GROUP);
}

/* What each link is to be told of the group in this place; no ranges: that it is no member any more. */
static int tell_all(struct eci_router *r, const struct eci_group *g, const struct eci_interval *v, size_t n)
{
	size_t at = (size_t)(g - r->groups);
	int rc = 0;
	for (struct eci_link *l = NULL; (l = eci_router_next_link(r, l)) != NULL;) {
		int told = tell_group(l, g->gid, v, n);
		if (told && l->in_group[at])
			eci_tell(l, ECI_H_UNGROUP, 1, g->gid, 0);
		l->in_group[at] = !told;
		if (told && told != ECI_R_NO_ROUTE) /* a link that has just failed is no member either */
			rc = told;
	}
	return rc;
}

int eci_router_group(struct eci_router *r, uint32_t gid, const struct eci_interval *v, size_t n, uint64_t now_ms)
{
	struct eci_group *g = eci_group_find(r, gid);
	if (!g)
		g = place(r, false, 0);
	if (!g)
		return ECI_R_GROUP_LIMIT;
	*g = (struct eci_group){.gid = gid, .used = true, .self = eci_iv_has(v, (uint32_t)n, r->id)};
	eci_router_enter(r, now_ms);
	int rc = tell_all(r, g, v, n);
	eci_router_leave(r);
	return rc;
}

void eci_router_ungroup(struct eci_router *r, uint32_t gid, uint64_t now_ms)
{
	struct eci_group *g = eci_group_find(r, gid);
	if (!g)
		return;
	eci_router_enter(r, now_ms);
	(void)tell_all(r, g, NULL, 0);
	*g = (struct eci_group){0};
	eci_router_leave(r);
}

bool eci_router_group_gone(struct eci_router *r, uint32_t gid, uint32_t handle)
{
	const struct eci_group *g = eci_group_find(r, gid);
	struct eci_frame f = {.flags = ECI_F_MULTICAST, .dst = gid, .src = r->id, .handle = handle, .reply_to = handle};
	for (struct eci_link *l = NULL; g && (l = eci_router_next_link(r, l)) != NULL;)
		if (l->in_group[g - r->groups] && eci_flow_find(l, &f, false))
			return false;
	return true;
}

/* Reads [gid, [lo, hi, ...]] into an array of its own; NULL with *n 0 if it does not decode, or *n 1 without memory. */
static struct eci_interval *read_group(const struct eci_frame *f, uint32_t *gid, size_t *n)
{
	struct eci_cbor c = eci_cbor_of(f);
	*n = 0;
	if (eci_cbor_get_array(&c) < 2)
		return NULL;
	*gid = eci_cbor_get_u32(&c);
	size_t items = eci_cbor_get_array(&c);
	if (c.bad || items % 2)
		return NULL;
	struct eci_interval *v = eci_mem_alloc((items / 2 + 1) * sizeof *v);
	if (!v) {
		*n = 1;
		return NULL;
	}
	for (size_t i = 0; i < items / 2; i++) {
		uint64_t lo = eci_cbor_get_uint(&c), hi = eci_cbor_get_uint(&c);
		if (c.bad || lo >= hi || hi > (uint64_t)UINT32_MAX + 1) {
			eci_mem_free(v);
			return NULL;
		}
		v[i] = (struct eci_interval){(uint32_t)lo, (uint32_t)(hi - 1)};
	}
	*n = items / 2;
	return v;
}

bool eci_group_got(struct eci_router *r, const struct eci_frame *f)
{
	uint32_t gid;
	size_t n;
	if (f->handle == ECI_H_UNGROUP) {
		struct eci_cbor c = eci_cbor_of(f);
		c.bad = !eci_cbor_get_array(&c);
		gid = eci_cbor_get_u32(&c);
		if (!c.bad)
			eci_router_ungroup(r, gid, r->now);
		return !c.bad;
	}
	struct eci_interval *v = read_group(f, &gid, &n);
	if (!v && !n)
		return false;
	int rc = v ? eci_router_group(r, gid, v, n, r->now) : ECI_R_NO_MEMORY;
	eci_mem_free(v);
	if (rc == ECI_R_GROUP_LIMIT)
		eci_router_dead(r, f, "group-limit", "", r->now);
	else if (rc == ECI_R_NO_MEMORY)
		eci_router_dead(r, f, "busy", "no memory", r->now);
	return true;
}

void eci_group_multicast(struct eci_router *r, struct eci_link *from, struct eci_frame *f)
{
	const struct eci_group *g = eci_group_find(r, f->dst);
	if (!g) {
		r->stats.no_group++;
		return;
	}
	if (g->self)
		eci_deliver(r, ECI_FROM_PARENT, from, f);
	/* The delivery may have changed the groups. */
	g = eci_group_find(r, f->dst);
	bool last = f->hops <= 1;
	f->hops -= !last;
	struct eci_blob *blob = NULL;
	for (struct eci_link *l = NULL; g && (l = eci_router_next_link(r, l)) != NULL;) {
		if (!l->in_group[g - r->groups])
			continue;
		if (last) {
			eci_router_dead(r, f, "hop-limit", "", r->now);
			return;
		}
		if (!blob && f->cls == ECI_BULK)
			blob = eci_blob_new(r, f->body, f->len); /* where there is no memory each link copies */
		int rc = eci_link_put(l, f, 0, false, blob);
		if (rc && rc != ECI_R_NO_ROUTE && f->handle != ECI_H_LOG)
			eci_router_dead(r, f, "busy", "a queue on the way is full", r->now);
	}
	if (blob)
		eci_blob_drop(r, blob);
}
