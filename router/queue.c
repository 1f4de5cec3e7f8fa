/* Queues of a link: two byte queues of packed frames (control, call) and the bulk flows.
 *
 * Control and call frames are small and go in order, so a byte queue of packed frames is all they need: no allocation a
 * frame, and when it fits the whole queue becomes the output piece by exchanging two pointers (link.c).
 *
 * Bulk is kept a flow at a time, a flow being (src, handle, dst), with one handle for all that is no stream: a paused
 * destination is skipped without stopping the others, and a round robin over flows gives each stream its share whatever
 * it has queued. The round is deficit round robin with a quantum of one largest frame: a flow that comes to its turn
 * may always send at least one frame, and one of small frames catches up in bytes. Invariant: whoever is the turn got a
 * quantum when it became so.
 *
 * An own large message is one item of the flow (me, 0, dst) and is cut into fragments when its turn comes, so that a
 * message of 64 MiB is in memory once (shared by all links of a multicast) and is never 4,096 queued frames. What the
 * flow holds behind it are call frames to the same dst, which must not overtake it; they move to the call queue when
 * the large message is done. */
#include "router/internal.h"

#define QUANTUM eci_wire(ECI_BULK_BODY_MAX)
/* Forwarded bulk a link holds at most: PAUSE keeps an honest parent far below (a window of 16 MiB and 64 pauses of
 * 256 KiB make 32 MiB), so that only a parent that ignores PAUSE loses frames. */
#define BULK_HARD_MAX (64u * 1024u * 1024u)

int eci_fifo_put(struct eci_buf *b, const struct eci_frame *f)
{
	uint8_t *p = eci_buf_reserve(b, eci_wire(f->len));
	if (!p) {
		b->failed = false; /* what is queued is whole frames still */
		return -1;
	}
	eci_frame_pack(p, f);
	if (f->len)
		memcpy(p + ECI_FRAME_HEADER, f->body, f->len);
	eci_buf_commit(b, eci_wire(f->len));
	return 0;
}

struct eci_item *eci_item_new(const struct eci_frame *f, uint32_t owed, bool local)
{
	struct eci_item *it = eci_mem_alloc(sizeof *it + f->len);
	if (!it)
		return NULL;
	*it = (struct eci_item){.f = *f, .owed = owed, .local = local};
	it->f.body = it->mem;
	if (f->len)
		memcpy(it->mem, f->body, f->len);
	return it;
}

void eci_item_free(struct eci_router *r, struct eci_item *it)
{
	if (it->blob)
		eci_blob_drop(r, it->blob);
	eci_mem_free(it);
}

struct eci_blob *eci_blob_new(struct eci_router *r, const void *body, size_t len)
{
	struct eci_blob *b = eci_mem_alloc(sizeof *b + len);
	if (!b)
		return NULL;
	b->refs = 1;
	b->len = len;
	memcpy(b->mem, body, len);
	r->local_bytes += len;
	return b;
}

void eci_blob_drop(struct eci_router *r, struct eci_blob *b)
{
	if (--b->refs)
		return;
	r->local_bytes -= b->len;
	eci_mem_free(b);
}

/* ---- flows ---- */
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
		w->deficit = QUANTUM;
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
		l->turn->deficit += QUANTUM;
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

static struct eci_flow *flow_get(struct eci_link *l, const struct eci_frame *f, bool large)
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

static void flow_free(struct eci_link *l, struct eci_flow *w)
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

static int flow_append(struct eci_link *l, const struct eci_frame *f, bool large, struct eci_item *it)
{
	struct eci_flow *w = it ? flow_get(l, f, large) : NULL;
	if (!w) {
		eci_mem_free(it);
		return -1;
	}
	if (w->tail)
		w->tail->next = it;
	else
		w->head = it;
	w->tail = it;
	uint32_t size = eci_wire(it->f.len);
	if (it->local) {
		l->local_bulk += size;
	} else {
		w->bytes += size;
		l->bulk_bytes += size;
		eci_pause_count(l, w, size, 0);
	}
	return 0;
}

int eci_bulk_put(struct eci_link *l, const struct eci_frame *f, uint32_t owed, bool local)
{
	size_t size = eci_wire(f->len);
	if (local ? l->router->local_bytes + size > ECI_LOCAL_MAX : l->bulk_bytes + size > BULK_HARD_MAX)
		return -4;
	int rc = flow_append(l, f, false, eci_item_new(f, owed, local));
	if (rc == 0 && local)
		l->router->local_bytes += size;
	return rc;
}

int eci_bulk_put_large(struct eci_link *l, const struct eci_frame *f, struct eci_blob *blob)
{
	struct eci_frame head = *f;
	head.len = 0;
	struct eci_item *it = eci_item_new(&head, 0, true);
	if (!it)
		return -1;
	it->f.cls = ECI_BULK;
	it->f.len = f->len;
	it->f.body = blob->mem;
	int rc = flow_append(l, f, true, it);
	if (rc == 0) {
		it->blob = blob;
		blob->refs++;
	}
	return rc;
}

/* ---- the next frame ---- */
static uint32_t piece(const struct eci_item *it)
{
	uint32_t left = it->f.len - it->off;
	return left < ECI_BULK_BODY_MAX ? left : ECI_BULK_BODY_MAX;
}

bool eci_bulk_ready(struct eci_link *l)
{
	if (!l->turn)
		return false;
	if (l->turn->deficit < eci_wire(piece(l->turn->head))) {
		l->turn = l->turn->next;
		l->turn->deficit += QUANTUM;
	}
	uint32_t size = eci_wire(piece(l->turn->head));
	if (l->inflight == 0 || l->inflight + size <= l->window)
		return true;
	l->starved = true;
	eci_beat_want(l);
	return false;
}

/* The large message at the head is done: what waited behind it is ordinary call traffic, up to the next large one. */
static void release_held(struct eci_link *l, struct eci_flow *w)
{
	while (w->head && !w->head->blob) {
		struct eci_item *it = w->head;
		if (eci_fifo_put(&l->call, &it->f))
			eci_link_break(l, "queue-overflow", "no memory for a call frame");
		else
			l->frames_out++;
		l->held_calls -= eci_wire(it->f.len);
		w->head = it->next;
		eci_mem_free(it);
	}
	if (!w->head)
		w->tail = NULL;
}

static void emitted(struct eci_link *l, struct eci_flow *w, struct eci_item *it)
{
	uint32_t size = eci_wire(it->f.len);
	w->head = it->next;
	if (!w->head)
		w->tail = NULL;
	it->next = NULL;
	if (it->local) {
		l->local_bulk -= size;
		if (!it->blob)
			l->router->local_bytes -= size;
	} else {
		w->bytes -= size;
		l->bulk_bytes -= size;
		eci_pause_count(l, w, 0, size);
	}
	if (it->owed) {
		it->end = l->written + eci_buf_len(&l->out);
		if (l->sent_tail)
			l->sent_tail->next = it;
		else
			l->sent = it;
		l->sent_tail = it;
	} else {
		eci_item_free(l->router, it);
	}
	if (w->large)
		release_held(l, w);
	if (!w->head)
		flow_free(l, w);
}

int eci_bulk_emit(struct eci_link *l)
{
	struct eci_flow *w = l->turn;
	struct eci_item *it = w->head;
	struct eci_frame f = it->f;
	uint32_t n = piece(it);
	f.body += it->off;
	f.len = n;
	if (it->off + n < it->f.len)
		f.flags |= ECI_F_MORE;
	if (eci_fifo_put(&l->out, &f))
		return -1;
	w->deficit -= eci_wire(n);
	it->off += n;
	l->frames_out++;
	eci_credit_sent(l, eci_wire(n));
	if (it->off == it->f.len)
		emitted(l, w, it);
	return 0;
}

void eci_bulk_clear(struct eci_link *l)
{
	while (l->sent) {
		struct eci_item *it = l->sent;
		l->sent = it->next;
		eci_item_free(l->router, it);
	}
	l->sent_tail = NULL;
	for (uint32_t i = 0; l->flows && i < ECI_FLOW_BUCKETS; i++)
		while (l->flows[i]) {
			struct eci_flow *w = l->flows[i];
			l->flows[i] = w->chain;
			while (w->head) {
				struct eci_item *it = w->head;
				w->head = it->next;
				if (it->local && !it->blob && it->f.cls == ECI_BULK)
					l->router->local_bytes -= eci_wire(it->f.len);
				eci_item_free(l->router, it);
			}
			eci_mem_free(w);
		}
	eci_mem_free(l->flows);
	l->flows = NULL;
	l->turn = l->parked = NULL;
	l->bulk_bytes = l->active_bytes = l->local_bulk = l->held_calls = 0;
}
