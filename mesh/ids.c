/* Ids: which block a context gets.
 *
 * A block is eight times what the topology declares below the context, a power of two, and lies inside its parent's, so
 * that routers need intervals only. Ids are never used again in a master's life: a lost context that is dialled anew
 * takes new ones, and a parent that runs out is granted more, at least as many as it has. */
#include "mesh/ahead.h"
#include "mesh/connect.h"

#define ECI_KEPT_IDS 2u /* of each block: its owner's, and the next one for its Python worker if it is native */

uint32_t eci_ids_wanted(const ectx_context *c)
{
	uint32_t want =
		c->subtree < UINT32_MAX / (2 * ECI_BLOCK_FACTOR) ? c->subtree * ECI_BLOCK_FACTOR : UINT32_MAX / 2;
	uint32_t size = ECI_BLOCK_FACTOR;
	while (size < want)
		size *= 2;
	return size;
}

/* More ids for a parent that ran out: at least as many as it has, out of the master's. */
static int grow(ectx_context *p, uint32_t need)
{
	ectx_mesh *m = p->mesh;
	uint32_t size = p->size > need ? p->size : need * 2;
	if (m->next_id > UINT32_MAX - size)
		return -1;
	int r = eci_context_part(p, "relay", &p->has_relay);
	if (r)
		return r;
	uint32_t lo = m->next_id;
	m->next_id += size; /* sent or not: the link has it then, and another parent's may not */
	r = eci_ahead_grant(p, lo, size);
	if (r)
		return r;
	p->free_lo = lo;
	p->free_hi = lo + size;
	p->size += size;
	return 0;
}

int eci_ids_take(ectx_context *c)
{
	ectx_mesh *m = c->mesh;
	ectx_context *p = c->parent;
	uint32_t size = eci_ids_wanted(c), lo;
	if (c->host && !p->worker_id_taken) { /* the id that was kept for it; a second one in p's life gets a block */
		p->worker_id_taken = true;
		lo = p->id + 1;
		size = 1;
	} else if (!p) {
		if (m->next_id > UINT32_MAX - size)
			return -1;
		lo = m->next_id;
		m->next_id += size;
	} else {
		int r = p->free_hi - p->free_lo < size ? grow(p, size) : 0;
		if (r)
			return r;
		lo = p->free_lo;
		p->free_lo += size;
	}
	c->id = lo;
	c->size = size;
	c->free_lo = size < ECI_KEPT_IDS ? lo + size : lo + ECI_KEPT_IDS;
	c->free_hi = lo + size;
	c->worker_id_taken = false;
	HASH_ADD(by_id, m->by_id, id, sizeof c->id, c);
	if (!c->by_id.tbl)
		c->id = c->size = 0;
	return c->id ? 0 : -1;
}
