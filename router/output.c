/* Output of a link: queued frames become one contiguous piece of bytes.
 *
 * The piece (`out`) is either somebody's whole queue taken over by exchanging buffers (the common case: a few small
 * frames) or is gathered frame by frame in the order of the classes: control, call, bulk, and one bulk frame after
 * ECI_CALL_RUN_MAX bytes of calls. Once a frame is in the piece it is committed: nothing is ever put in front of it,
 * which is what "a frame once begun is finished" needs. The caller's max bounds how much is committed and so what an
 * urgent frame waits for.
 *
 * A bulk frame that came from a child is acknowledged when its last byte was written: emitted items that carry such a
 * debt wait in `sent` with the position in the stream at which they end. */
#include "router/internal.h"

/* An empty queue of more than this gives its memory back: a burst must not last for ever. A piece with bulk in it has
 * less: 64 KiB and a frame, doubled on the way there. */
#define OUT_KEEP 163840u

static void exchange(struct eci_buf *a, struct eci_buf *b)
{
	struct eci_buf t = *a;
	*a = *b;
	*b = t;
}

static void trim(struct eci_buf *b)
{
	if (!eci_buf_len(b) && b->cap > OUT_KEEP)
		eci_buf_deinit(b);
}

/* Moves whole frames from the head of a queue until at least `limit` bytes went or it is empty. Returns bytes. */
static size_t move_frames(struct eci_buf *to, struct eci_buf *from, size_t limit)
{
	const uint8_t *p = eci_buf_data(from);
	size_t n = 0, len = eci_buf_len(from);
	while (n < len && n < limit)
		n += eci_wire(eci_get32(p + n + 24));
	if (eci_buf_append(to, p, n)) {
		to->failed = false;
		return 0;
	}
	eci_buf_drain(from, n);
	trim(from);
	return n;
}

static void call_ran(struct eci_link *l, size_t n)
{
	l->call_run = n < ECI_CALL_RUN_MAX - l->call_run ? l->call_run + (uint32_t)n : ECI_CALL_RUN_MAX;
}

/* Takes a whole queue over instead of copying it, when that is what the order of the classes would give anyway. */
static void gather_fast(struct eci_link *l, size_t max)
{
	size_t control = eci_buf_len(&l->control), call = eci_buf_len(&l->call);
	if (control) {
		if (control <= max)
			exchange(&l->out, &l->control);
	} else if (call && call <= max && (!l->turn || call <= ECI_CALL_RUN_MAX - l->call_run)) {
		exchange(&l->out, &l->call);
		call_ran(l, call);
	}
}

static void gather(struct eci_link *l, size_t max)
{
	if (!l->started)
		return;
	gather_fast(l, max);
	while (eci_buf_len(&l->out) < max) {
		size_t room = max - eci_buf_len(&l->out);
		if (eci_buf_len(&l->control)) {
			if (!move_frames(&l->out, &l->control, room))
				return;
		} else if (eci_buf_len(&l->call) && (l->call_run < ECI_CALL_RUN_MAX || !eci_bulk_ready(l))) {
			size_t left = ECI_CALL_RUN_MAX - l->call_run;
			size_t n = move_frames(&l->out, &l->call, left && left < room ? left : room);
			if (!n)
				return;
			call_ran(l, n);
		} else if (eci_bulk_ready(l)) {
			if (eci_bulk_emit(l))
				return;
			l->call_run = 0;
		} else {
			return;
		}
	}
}

size_t eci_link_output(struct eci_link *l, const uint8_t **p, size_t max)
{
	if (!eci_buf_len(&l->out))
		gather(l, max);
	size_t n = eci_buf_len(&l->out);
	if (!n) {
		l->woken = false;
		return 0;
	}
	*p = eci_buf_data(&l->out);
	return n < max ? n : max;
}

void eci_link_wrote(struct eci_link *l, size_t n, uint64_t now_ms)
{
	struct eci_router *r = l->router;
	eci_router_enter(r, now_ms);
	eci_buf_drain(&l->out, n);
	trim(&l->out);
	l->written += n;
	l->stats.bytes_out += n;
	while (l->sent && l->sent->end <= l->written) {
		struct eci_item *it = l->sent;
		l->sent = it->next;
		if (!l->sent)
			l->sent_tail = NULL;
		struct eci_link *child = eci_kid_find(r, it->owed);
		if (child)
			eci_credit_owe(child, eci_wire(it->f.len));
		if (child && !(l->sent && l->sent->owed == it->owed && l->sent->end <= l->written))
			eci_credit_settle(child);
		eci_item_free(r, it);
	}
	if (!eci_buf_len(&l->out) && !eci_buf_len(&l->control) && !eci_buf_len(&l->call) && !eci_bulk_ready(l))
		l->woken = false;
	eci_router_leave(r);
}
