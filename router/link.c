/* A link: its life, and its input, which turns bytes into frames (output.c is the other way).
 *
 * Input is decoded where it lies: a frame that arrived whole is handled in the caller's buffer. Only the tail of a read
 * that ends within a frame is copied, and then exactly the bytes that this frame lacks, so that the next one starts in
 * the caller's buffer again.
 *
 * States: new (frames wait) -> started (our HELLO is queued; input is frames) -> up (the peer's HELLO came). What goes
 * before HELLO, the preamble, is no business of the link: who carries its bytes has written that already, or writes it
 * first. Any fatal error sets broken: input is ignored, nothing more is queued, what is queued may still be written;
 * the caller ends it with eci_link_lost(). A parent link is born started. */
#include "router/internal.h"

#define IN_KEEP 8192u /* an input buffer up to this size is kept for the next cut frame */

static struct eci_link *link_new(struct eci_router *r, void *user)
{
	struct eci_link *l = eci_mem_alloc(sizeof *l);
	if (!l)
		return NULL;
	*l = (struct eci_link){.router = r, .user = user, .window = ECI_HOP_WINDOW_MIN, .rtt_best = UINT32_MAX};
	l->iv = &l->iv_one;
	l->ack_due = l->ping_next = ECI_NEVER;
	l->heard = r->now;
	return l;
}

void eci_link_free(struct eci_link *l)
{
	eci_bulk_clear(l);
	eci_pause_clear(l, false);
	eci_buf_deinit(&l->in);
	eci_buf_deinit(&l->out);
	eci_buf_deinit(&l->control);
	eci_buf_deinit(&l->call);
	if (l->iv != &l->iv_one)
		eci_mem_free(l->iv);
	eci_mem_free(l);
}

bool eci_router_is_free(const struct eci_router *r, uint32_t lo, uint32_t size)
{
	uint32_t hi = lo + size - 1;
	return size && hi >= lo && eci_iv_inside(r->own, r->nown, lo, hi) && (r->id < lo || r->id > hi) &&
	       !eci_route_meets(r, lo, hi, NULL);
}

struct eci_link *eci_router_add_child(struct eci_router *r, uint32_t lo, uint32_t size, void *user)
{
	uint32_t hi = lo + size - 1;
	if (!eci_router_is_free(r, lo, size))
		return NULL;
	struct eci_link *l = link_new(r, user);
	if (!l)
		return NULL;
	l->peer = lo;
	l->iv[0] = (struct eci_interval){lo, hi};
	l->niv = 1;
	if (eci_route_rebuild(r, l)) {
		eci_link_free(l);
		return NULL;
	}
	return l;
}

struct eci_link *eci_router_add_parent(struct eci_router *r, void *user)
{
	if ((ECI_MASTER_TOO && r->master) || r->parent)
		return NULL;
	struct eci_link *l = link_new(r, user);
	if (!l)
		return NULL;
	l->parent = l->started = true;
	r->parent = l;
	return l;
}

int eci_link_start(struct eci_link *l, const void *hello, size_t n, uint64_t now_ms)
{
	if (l->started || n > ECI_HELLO_MAX)
		return -1;
	l->started = true;
	int rc = eci_router_send(l->router, ECI_CONTROL, 0, l->peer, ECI_H_HELLO, 0, hello, n, now_ms);
	l->hello_end = l->written + eci_buf_len(&l->out) + eci_buf_len(&l->control);
	eci_beat_start(l);
	return rc;
}

/* ---- input ---- */
static void refuse(struct eci_link *l, long error)
{
	if (error == ECI_FRAME_E_BIG)
		eci_link_break(l, "frame-too-big", "the length in a frame's header is above the limit");
	else
		eci_link_break(l, "bad-frame", "bytes that are no frame header");
}

static size_t feed_whole(struct eci_link *l, const uint8_t *p, size_t n)
{
	struct eci_frame f;
	long used = eci_frame_unpack(p, n, &f);
	if (used > 0) {
		eci_receive(l, &f);
		return (size_t)used;
	}
	if (used < 0) {
		refuse(l, used);
	} else {
		if (n >= ECI_FRAME_HEADER) /* all of it at once, so that the rest moves nothing */
			(void)eci_buf_reserve(&l->in, eci_wire(eci_get32(p + 24)));
		if (eci_buf_append(&l->in, p, n))
			eci_link_break(l, "queue-overflow", "no memory");
	}
	return n;
}

/* The buffer holds the beginning of a frame: adds what it lacks (the header first, which says how much that is). */
static size_t feed_rest(struct eci_link *l, const uint8_t *p, size_t n)
{
	size_t have = eci_buf_len(&l->in), want = ECI_FRAME_HEADER;
	if (have >= ECI_FRAME_HEADER)
		want += eci_get32(eci_buf_data(&l->in) + 24);
	size_t take = want - have < n ? want - have : n;
	if (eci_buf_append(&l->in, p, take)) {
		eci_link_break(l, "queue-overflow", "no memory");
		return n;
	}
	struct eci_frame f;
	long used = eci_frame_unpack(eci_buf_data(&l->in), have + take, &f);
	if (used < 0)
		refuse(l, used);
	if (used <= 0)
		return take;
	/* Whoever handles the frame may end the link and its buffer with it: the frame's bytes stay ours meanwhile. */
	struct eci_buf held = l->in;
	l->in = ECI_BUF_NULL;
	eci_receive(l, &f);
	if (!l->broken && held.cap <= IN_KEEP) {
		eci_buf_clear(&held);
		l->in = held;
	} else {
		eci_buf_deinit(&held);
	}
	return take;
}

void eci_link_feed(struct eci_link *l, const uint8_t *p, size_t n, uint64_t now_ms)
{
	if (l->broken || !n)
		return;
	eci_router_enter(l->router, now_ms);
	l->heard = now_ms;
	l->stats.bytes_in += n;
	if (!l->started || l->written < l->hello_end)
		eci_link_break(l, "early-bytes", "bytes from the child before its HELLO was written");
	while (n && !l->broken) {
		size_t used = eci_buf_len(&l->in) ? feed_rest(l, p, n) : feed_whole(l, p, n);
		p += used;
		n -= used;
	}
	eci_credit_settle(l);
	eci_router_leave(l->router);
}

/* ---- end ---- */
void eci_link_lost(struct eci_link *l, const char *reason, const char *evidence, uint64_t now_ms)
{
	struct eci_router *r = l->router;
	struct eci_interval gone[ECI_INTERVALS_MAX];
	uint32_t n = 0;
	if (!evidence || !*evidence)
		evidence = reason ? reason : "";
	eci_router_enter(r, now_ms);
	eci_collect_forget(r, l);
	if (ECI_MASTER_TOO && l->parent) {
		r->parent = NULL;
	} else {
		n = l->niv;
		memcpy(gone, l->iv, n * sizeof *gone);
		eci_pause_clear(l, true);
		eci_route_remove(r, l);
		for (uint32_t i = 0; reason && i < n; i++)
			eci_lost_add(r, gone[i].lo, gone[i].hi, evidence);
	}
	eci_link_free(l);
	/* The tables no longer know the link: callbacks may send and open slots. */
	eci_slot_fail(r, gone, n, r->id, "lost", evidence);
	eci_router_leave(r);
}

/* ---- small questions ---- */
void *eci_link_user(const struct eci_link *l)
{
	return l->user;
}

uint32_t eci_link_peer(const struct eci_link *l)
{
	return l->peer;
}

bool eci_link_is_parent(const struct eci_link *l)
{
	return l->parent;
}

bool eci_link_up(const struct eci_link *l)
{
	return l->up;
}

bool eci_link_crowded(const struct eci_link *l)
{
	return eci_buf_len(&l->control) > ECI_CONTROL_AT;
}

void eci_link_get_stats(const struct eci_link *l, struct eci_link_stats *out)
{
	*out = l->stats;
	out->peer = l->peer;
	out->queued_bytes = l->bulk_bytes + l->local_bulk + eci_buf_len(&l->out) + eci_buf_len(&l->control) +
			    eci_buf_len(&l->call) + l->held_calls;
	out->rtt_us = l->rtt_ms * 1000;
}
