/* Ids: which block a context gets.
 *
 * A block is eight times what the topology declares below the context, a power of two, and lies inside its parent's, so
 * that routers need intervals only. Ids that were a link's are never used again: a lost context that is dialled anew
 * takes new ones, and a parent that runs out is granted more, out of what its own parent has, which is granted more
 * itself where that does not do, and so on up to the master.
 *
 * Why not always out of the master's: each link above would get an interval more for each grant below it, and keep it
 * when who got it is lost; a few dozen losses in one branch would have filled the 32 of a link for good. So a link has
 * an interval more for each grant to its own child alone, whatever happens below that. And a grant is as small as can
 * be while those that the link still has room for, each as large as all before it, would bring what ids are left: so a
 * link is full only when they are at an end.
 *
 * What no router can know any more is as good as new. So the block of an attempt that ended without PROMOTE is kept for
 * the next one, else a host that is down, with many declared below it, and dialled again for months would use up all
 * ids. */
#include "mesh/ahead.h"
#include "mesh/connect.h"

#define ECI_KEPT_IDS 2u /* of each block: its owner's, and the next one for its Python worker if it is native */
#define GRANTS_MAX (ECI_INTERVALS_MAX - 1u) /* to one context: its first block takes an interval of its link too */

uint32_t eci_ids_wanted(const ectx_context *c)
{
	uint32_t want =
		c->subtree < UINT32_MAX / (2 * ECI_BLOCK_FACTOR) ? c->subtree * ECI_BLOCK_FACTOR : UINT32_MAX / 2;
	uint32_t size = ECI_BLOCK_FACTOR;
	while (size < want)
		size *= 2;
	return size;
}

/* The largest block that p can get: out of what somebody above it has to give. */
static uint32_t largest(const ectx_context *p)
{
	uint32_t most = UINT32_MAX - p->mesh->next_id;
	for (const ectx_context *q = p->parent; q; q = q->parent)
		most = q->free_hi - q->free_lo > most ? q->free_hi - q->free_lo : most;
	return most;
}

static int carve(ectx_mesh *m, ectx_context *p, uint32_t size, uint32_t *lo);

/* More ids for a parent that ran out. */
static int grow(ectx_context *p, uint32_t need)
{
	uint32_t size = need, most = largest(p), lo = 0;
	if (p->grants == GRANTS_MAX || most < need)
		return -1;
	uint64_t times = (1ull << (GRANTS_MAX - 1 - p->grants)) - 1; /* what it has then, those after this can bring */
	while (size <= most / 2 && ((uint64_t)p->size + size) * times < most - size)
		size *= 2;
	int r = eci_context_part(p, "relay", &p->has_relay);
	if (!r)
		r = carve(p->mesh, p->parent, size, &lo); /* sent or not: the link has it then, and another's may not */
	if (!r)
		r = eci_ahead_grant(p, lo, size);
	if (r)
		return r;
	p->free_lo = lo;
	p->free_hi = lo + size;
	p->size += size;
	p->grants++;
	return 0;
}

/* A block out of p's, or of the master's; its GRANTs go the way of whatever needs it, ahead of that. */
static int carve(ectx_mesh *m, ectx_context *p, uint32_t size, uint32_t *lo)
{
	int r = 0;
	if (p && p->free_hi - p->free_lo < size)
		r = grow(p, size);
	else if (!p && UINT32_MAX - m->next_id < size)
		r = -1;
	if (r)
		return r;
	uint32_t *from = p ? &p->free_lo : &m->next_id;
	*lo = *from;
	*from += size;
	return 0;
}

/* The ids of the attempt before, if they will do: out of what the parent has now, and as many. */
static bool kept(ectx_context *c, uint32_t *lo, uint32_t *size)
{
	uint32_t id = c->kept_id;
	c->kept_id = 0;
	if (!id || c->kept_below != eci_context_id(c->parent) || (!c->host && c->kept_size < *size))
		return false;
	*lo = id;
	*size = c->kept_size;
	return true;
}

void eci_ids_keep(ectx_context *c)
{
	c->kept_id = c->id;
	c->kept_size = c->size;
	c->kept_below = eci_context_id(c->parent); /* which names one incarnation: who has children had a link */
}

int eci_ids_take(ectx_context *c)
{
	ectx_mesh *m = c->mesh;
	ectx_context *p = c->parent;
	uint32_t size = eci_ids_wanted(c), lo = 0;
	if (kept(c, &lo, &size)) {
		/* as good as new */
	} else if (c->host &&
		   !p->worker_id_taken) { /* the id that was kept for it; a second one in p's life gets a block */
		p->worker_id_taken = true;
		lo = p->id + 1;
		size = 1;
	} else {
		int r = carve(m, p, size, &lo);
		if (r)
			return r;
	}
	c->id = lo;
	c->size = size;
	c->free_lo = size < ECI_KEPT_IDS ? lo + size : lo + ECI_KEPT_IDS;
	c->free_hi = lo + size;
	c->grants = 0;
	c->worker_id_taken = false;
	HASH_ADD(by_id, m->by_id, id, sizeof c->id, c);
	if (!c->by_id.tbl)
		c->id = c->size = 0;
	return c->id ? 0 : -1;
}
