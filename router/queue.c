/* Queues of a link: two byte queues of packed frames (control, call), and the items of the bulk flows.
 *
 * Control and call frames are small and go in order, so a byte queue of packed frames is all they need: no allocation a
 * frame, and when it fits the whole queue becomes the output piece by exchanging two pointers (output.c). A bulk frame
 * is an allocation of its own, because flows take turns and because it may carry a debt to the child it came from.
 *
 * An own large message is one item of a flow that is kept for such, and is cut into fragments when its turn comes: a
 * message of 64 MiB is in memory once and is never 4,096 queued frames. What the flow holds behind it are call frames
 * to the same dst, which must not overtake it; they move to the call queue when the large message is done.
 *
 * What goes to a group is in memory once too (struct eci_blob), large or not, own or passed on: a thousand children
 * that do not read cost a thousand small items, and not a thousand bodies.
 *
 * Bytes are counted where they lie: forwarded ones in the flow and the link (PAUSE looks at these, and past
 * ECI_HELD_MAX they are refused), held calls in the link (ECI_QUEUE_MAX), own ones in the router, frames and shared
 * bodies apart (ECI_LOCAL_MAX each: large messages for one who does not read must not stop the streams of all others).
 * What children sent upward has no limit of its own: it is not acknowledged yet, and each child is held to its window
 * (credit.c). */
#include "router/internal.h"

int eci_fifo_put(struct eci_buf *b, const struct eci_frame *f)
{
	uint8_t *p = eci_buf_reserve(b, eci_wire(f->len));
	if (!p) {
		b->failed = false; /* what is queued is whole frames still */
		return ECI_R_NO_MEMORY;
	}
	eci_frame_pack(p, f);
	if (f->len)
		memcpy(p + ECI_FRAME_HEADER, f->body, f->len);
	eci_buf_commit(b, eci_wire(f->len));
	return 0;
}

struct eci_item *eci_item_new(const struct eci_frame *f, uint32_t owed, bool local, struct eci_blob *blob)
{
	uint32_t copied = blob ? 0 : f->len;
	struct eci_item *it = eci_mem_alloc(sizeof *it + copied);
	if (!it)
		return NULL;
	*it = (struct eci_item){.f = *f, .owed = owed, .local = local, .blob = blob};
	it->f.body = blob ? blob->mem : it->mem;
	if (blob)
		blob->refs++;
	if (copied)
		memcpy(it->mem, f->body, copied);
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
	if (len)
		memcpy(b->mem, body, len);
	r->blob_bytes += len;
	return b;
}

void eci_blob_drop(struct eci_router *r, struct eci_blob *b)
{
	if (--b->refs)
		return;
	r->blob_bytes -= b->len;
	eci_mem_free(b);
}

bool eci_router_full(const struct eci_router *r, uint32_t dst)
{
	const struct eci_link *l = eci_route_find(r, dst);
	return r->blob_bytes + (l ? l->local_bulk : 0) > ECI_LOCAL_MAX - ECI_MESSAGE_MAX;
}

int eci_bulk_put(struct eci_link *l, const struct eci_frame *f, uint32_t owed, bool local, struct eci_blob *blob)
{
	struct eci_router *r = l->router;
	uint32_t size = eci_wire(f->len);
	size_t own = local && !blob ? size : 0;
	bool full = local ? own && f->len && r->local_bytes + own > ECI_LOCAL_MAX /* an END always fits */
			  : !l->parent && l->bulk_bytes + size > ECI_HELD_MAX;
	if (full)
		return ECI_R_BUSY;
	struct eci_item *it = eci_item_new(f, owed, local, blob);
	struct eci_flow *w = it ? eci_flow_get(l, f, eci_is_large(f)) : NULL;
	if (!w) {
		if (it)
			eci_item_free(r, it);
		return ECI_R_NO_MEMORY;
	}
	it->f.cls = ECI_BULK;
	r->local_bytes += own;
	if (w->tail)
		w->tail->next = it;
	else
		w->head = it;
	w->tail = it;
	if (local) {
		l->local_bulk += size;
		w->own += size;
	} else {
		w->bytes += size;
		l->bulk_bytes += size;
		eci_pause_count(l, w, size, 0);
	}
	return 0;
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
		l->turn->deficit += ECI_QUANTUM;
	}
	uint32_t size = eci_wire(piece(l->turn->head));
	if (l->inflight + size <= l->window)
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
			eci_link_break(l, "queue-overflow", "no memory");
		else
			l->stats.frames_out++;
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
		w->own -= size;
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
		eci_flow_free(l, w);
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
		return ECI_R_NO_MEMORY;
	w->deficit -= eci_wire(n);
	it->off += n;
	l->stats.frames_out++;
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
