/* Flows: what bulk is kept in, and the round in which they send.
 *
 * A flow is (src, handle, dst), so that each stream gets its share whatever it has queued, and a paused destination is
 * skipped without stopping the others. All that is no stream has one handle: the fragments of two large messages of a
 * pair must not be mixed, and two answers have different handles.
 *
 * Flows that may send form a ring; `turn` is the one whose turn it is. The round is deficit round robin with a quantum
 * of one largest frame: a flow that comes to its turn may always send at least one frame, and one of small frames
 * catches up in bytes. Invariant: whoever is the turn got a quantum when it became so; a new flow or one that was
 * parked comes in at the end of the round. Parked flows (pause.c) wait in a list of their own, so that a round costs
 * nothing for them.
 *
 * A flow exists only while it has items: there is no state to time out, and memory follows the load. */
#include "router/internal.h"

/* Only stream data has its handle for a key: the large messages of a pair must not be mixed, and two answers have
 * different handles. Stream data is what goes to a slot and names one to go back to. */
static uint32_t key_of(const struct eci_frame *f)
{
	return f->handle >= ECI_H_FIRST_SLOT && f->reply_to ? f->handle : 0;
}

static struct eci_flow **bucket(const struct eci_link *l, uint32_t src, uint32_t dst, uint32_t key)
{
	uint32_t h = src * 0x9E3779B1u ^ key * 0x85EBCA77u ^ dst * 0xC2B2AE3Du;
	h ^= h >> 15;
	return &l->flows[(h ^ h >> 7) % ECI_FLOW_BUCKETS];
}

struct eci_flow *eci_flow_find(const struct eci_link *l, const struct eci_frame *f, bool large)
{
	if (!l->flows)
		return NULL;
	uint32_t key = large ? 0 : key_of(f);
	bool multicast = f->flags & ECI_F_MULTICAST;
	for (struct eci_flow *w = *bucket(l, f->src, f->dst, key); w; w = w->chain)
		if (w->src == f->src && w->dst == f->dst && w->key == key && w->large == large &&
		    w->multicast == multicast)
			return w;
	return NULL;
}

static void ring_add(struct eci_link *l, struct eci_flow *w)
{
	w->deficit = 0;
	if (!l->turn) {
		w->prev = w->next = l->turn = w;
		w->deficit = ECI_QUANTUM;
		return;
	}
	w->next = l->turn;
	w->prev = l->turn->prev;
	w->prev->next = w->next->prev = w;
}

static void ring_del(struct eci_link *l, struct eci_flow *w)
{
	if (w->next == w) {
		l->turn = NULL;
		return;
	}
	w->prev->next = w->next;
	w->next->prev = w->prev;
	if (l->turn == w) {
		l->turn = w->next;
		l->turn->deficit += ECI_QUANTUM;
	}
}

static void parked_del(struct eci_link *l, struct eci_flow *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		l->parked = w->next;
	if (w->next)
		w->next->prev = w->prev;
}

void eci_flow_park(struct eci_link *l, struct eci_flow *w, bool park)
{
	if (park == w->parked)
		return;
	if (park) {
		ring_del(l, w);
		w->prev = NULL;
		w->next = l->parked;
		if (l->parked)
			l->parked->prev = w;
		l->parked = w;
	} else {
		parked_del(l, w);
		ring_add(l, w);
	}
	w->parked = park;
}

struct eci_flow *eci_flow_get(struct eci_link *l, const struct eci_frame *f, bool large)
{
	if (!l->flows) {
		l->flows = eci_mem_alloc(ECI_FLOW_BUCKETS * sizeof *l->flows);
		if (!l->flows)
			return NULL;
		memset(l->flows, 0, ECI_FLOW_BUCKETS * sizeof *l->flows);
	}
	struct eci_flow *w = eci_flow_find(l, f, large);
	if (w)
		return w;
	w = eci_mem_alloc(sizeof *w);
	if (!w)
		return NULL;
	*w = (struct eci_flow){.src = f->src, .dst = f->dst, .large = large};
	w->key = large ? 0 : key_of(f);
	w->multicast = f->flags & ECI_F_MULTICAST;
	struct eci_flow **b = bucket(l, w->src, w->dst, w->key);
	w->chain = *b;
	*b = w;
	ring_add(l, w);
	eci_pause_join(l, w);
	return w;
}

void eci_flow_free(struct eci_link *l, struct eci_flow *w)
{
	struct eci_flow **p = bucket(l, w->src, w->dst, w->key);
	while (*p != w)
		p = &(*p)->chain;
	*p = w->chain;
	if (w->parked)
		parked_del(l, w);
	else
		ring_del(l, w);
	eci_mem_free(w);
}
