/* Interval routing: which child link an id belongs to, and what belonged to links that are gone.
 *
 * A block is [lo, hi], hi inclusive, so that the whole id space fits into two 32-bit words. Three tables use it: the
 * router's own blocks and a link's intervals (at most ECI_INTERVALS_MAX each, sorted, merged when adjacent, searched
 * from the front because they are nearly always one), and the routes: the intervals of all child links in one array
 * sorted by lo. The invariant that makes the last one enough is that intervals of different links never meet, so a
 * binary search for the last lo that is not above the id finds the only candidate.
 *
 * Why not a table of descendants with announcements: a relay of 1,000 children behind a master of 100,000 contexts
 * would need an entry for each, and messages to keep them. Here a router holds as many entries as it has children.
 *
 * Routes change on SPAWN, GRANT and loss only, so insertion may move the array's tail. */
#include "router/internal.h"

bool eci_iv_has(const struct eci_interval *v, uint32_t n, uint32_t id)
{
	return eci_iv_inside(v, n, id, id);
}

bool eci_iv_inside(const struct eci_interval *v, uint32_t n, uint32_t lo, uint32_t hi)
{
	for (uint32_t i = 0; i < n; i++)
		if (lo >= v[i].lo && hi <= v[i].hi)
			return true;
	return false;
}

bool eci_iv_add(struct eci_interval *v, uint32_t *n, uint32_t lo, uint32_t hi)
{
	/* [first, last) are the entries that meet or touch the new one and are swallowed by it. */
	uint32_t first = 0;
	while (first < *n && v[first].hi < lo && lo - v[first].hi > 1)
		first++;
	uint32_t last = first;
	while (last < *n && (v[last].lo <= hi || v[last].lo - hi == 1)) {
		lo = v[last].lo < lo ? v[last].lo : lo;
		hi = v[last].hi > hi ? v[last].hi : hi;
		last++;
	}
	if (last == first) {
		if (*n == ECI_INTERVALS_MAX)
			return false;
		memmove(v + first + 1, v + first, (*n - first) * sizeof *v);
		++*n;
	} else {
		memmove(v + first + 1, v + last, (*n - last) * sizeof *v);
		*n -= last - first - 1;
	}
	v[first] = (struct eci_interval){lo, hi};
	return true;
}

/* Index of the first route whose lo is above id. */
static uint32_t route_above(const struct eci_router *r, uint32_t id)
{
	uint32_t a = 0, b = r->nroutes;
	while (a < b) {
		uint32_t m = a + (b - a) / 2;
		if (r->routes[m].lo <= id)
			a = m + 1;
		else
			b = m;
	}
	return a;
}

struct eci_link *eci_route_find(const struct eci_router *r, uint32_t id)
{
	uint32_t i = route_above(r, id);
	return i && r->routes[i - 1].hi >= id ? r->routes[i - 1].link : NULL;
}

bool eci_route_meets(const struct eci_router *r, uint32_t lo, uint32_t hi, const struct eci_link *except)
{
	uint32_t i = route_above(r, lo);
	if (i && r->routes[i - 1].hi >= lo)
		i--;
	for (; i < r->nroutes && r->routes[i].lo <= hi; i++)
		if (r->routes[i].link != except)
			return true;
	return false;
}

void eci_route_remove(struct eci_router *r, struct eci_link *l)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < r->nroutes; i++)
		if (r->routes[i].link != l)
			r->routes[kept++] = r->routes[i];
	r->nroutes = kept;
}

/* Room for n more routes. 0, -1. */
static int route_room(struct eci_router *r, uint32_t n)
{
	if (r->nroutes + n <= r->routes_cap)
		return 0;
	uint32_t cap = r->routes_cap * 2 > r->nroutes + n ? r->routes_cap * 2 : r->nroutes + n + 8;
	struct eci_route *grown = eci_mem_grow(r->routes, r->nroutes * sizeof *grown, cap * sizeof *grown);
	if (!grown)
		return ECI_R_NO_MEMORY;
	r->routes = grown;
	r->routes_cap = cap;
	return 0;
}

int eci_route_rebuild(struct eci_router *r, struct eci_link *l)
{
	if (route_room(r, l->niv))
		return ECI_R_NO_MEMORY;
	eci_route_remove(r, l);
	for (uint32_t k = 0; k < l->niv; k++) {
		uint32_t i = route_above(r, l->iv[k].lo);
		memmove(r->routes + i + 1, r->routes + i, (r->nroutes - i) * sizeof *r->routes);
		r->routes[i] = (struct eci_route){l->iv[k].lo, l->iv[k].hi, l};
		r->nroutes++;
	}
	return 0;
}

int eci_link_grant(struct eci_link *l, uint32_t lo, uint32_t hi)
{
	struct eci_router *r = l->router;
	if (eci_route_meets(r, lo, hi, l) || (r->id >= lo && r->id <= hi))
		return ECI_R_NO_ROUTE;
	if (l->iv == &l->iv_one) {
		struct eci_interval *v = eci_mem_alloc(ECI_INTERVALS_MAX * sizeof *v);
		if (!v)
			return ECI_R_NO_MEMORY;
		v[0] = l->iv_one;
		l->iv = v;
	}
	if (route_room(r, l->niv + 1)) /* nothing fails any more once something was changed */
		return ECI_R_NO_MEMORY;
	struct eci_interval v[ECI_INTERVALS_MAX];
	uint32_t n = l->niv;
	memcpy(v, l->iv, sizeof v[0] * n);
	/* A block that a descendant owns is ours as well, else its frames would go back up once it is lost. */
	if (!eci_iv_add(v, &n, lo, hi) || !eci_iv_add(r->own, &r->nown, lo, hi))
		return ECI_R_BLOCK_EXHAUSTED;
	eci_pause_move(l, v, n); /* the parent knows a paused link by its intervals */
	memcpy(l->iv, v, sizeof v[0] * n);
	l->niv = n;
	(void)eci_route_rebuild(r, l);
	return 0;
}

void eci_lost_add(struct eci_router *r, uint32_t lo, uint32_t hi, const char *evidence)
{
	if (!r->lost)
		r->lost = eci_mem_alloc(ECI_LOST_KEPT * sizeof *r->lost);
	if (!r->lost)
		return; /* the ids are answered with no-route instead of lost */
	struct eci_lost *e = &r->lost[r->lost_at];
	r->lost_at = (r->lost_at + 1) % ECI_LOST_KEPT;
	if (r->nlost < ECI_LOST_KEPT)
		r->nlost++;
	e->lo = lo;
	e->hi = hi;
	size_t n = eci_text_cut(evidence, ECI_LOST_EVIDENCE_MAX); /* it travels as CBOR text */
	if (n)
		memcpy(e->evidence, evidence, n);
	e->evidence[n] = 0;
}

const char *eci_lost_find(const struct eci_router *r, uint32_t id)
{
	for (uint32_t i = 1; i <= r->nlost; i++) { /* the latest first */
		const struct eci_lost *e = &r->lost[(r->lost_at + ECI_LOST_KEPT - i) % ECI_LOST_KEPT];
		if (id >= e->lo && id <= e->hi)
			return e->evidence;
	}
	return NULL;
}

struct eci_link *eci_kid_find(const struct eci_router *r, uint32_t peer)
{
	struct eci_link *l = eci_route_find(r, peer); /* a child owns its id */
	return l && l->peer == peer ? l : NULL;
}

/* Each child is met once, where its own id is: there the routes are in the order of the children. */
struct eci_link *eci_kid_above(const struct eci_router *r, uint32_t id)
{
	for (uint32_t i = route_above(r, id); i < r->nroutes; i++)
		if (r->routes[i].lo <= r->routes[i].link->peer && r->routes[i].hi >= r->routes[i].link->peer)
			return r->routes[i].link;
	return NULL;
}

struct eci_link *eci_router_next_link(struct eci_router *r, struct eci_link *prev)
{
	return eci_kid_above(r, prev ? prev->peer : 0); /* no child is 0: that is the master */
}

struct eci_link *eci_router_link_to(struct eci_router *r, uint32_t dst)
{
	return eci_route_find(r, dst);
}
