/* Streams: a slot, two directions, two counts of credit.
 *
 * Invariant: what the other end has sent and we have not given back is at most the window it was granted, so a reader
 * that stops costs a window and no more; and what is not granted to us is not sent. Data beyond the window resets the
 * stream, on both ends, and never the link.
 *
 * Growth of the window is not estimated from times. What says that a window is too small is a sender that stands still
 * with bytes to send, no credit, and nothing of its own left in its queue: everything that was granted is under way or
 * arrived. It sees so when CREDIT comes, and says it with an empty frame; a receiver that keeps up (it holds less than
 * a quarter of the window) answers by granting as much again; and no second time before all of that was used, because
 * what is said meanwhile was said before it was known. So the window follows rate x round trip without either
 * being measured, ends where the way's own queues begin to hold the bytes (then the sender's queue is not empty), and
 * never grows for a reader that is slow. All windows of a router together are widened by ECI_STREAM_WIDENED_MAX at
 * most.
 *
 * An agent keeps the queue of a parent link short: one stream adds nothing while it has ECI_STREAM_BACKLOG of own bulk
 * there, and waits where it is read (one to a child of its own does not). Of several each is held by what all of them
 * leave free of twice as much: n that stand still have an (n + 1)th of it each, and one more has as much (dynamic
 * thresholds: Choudhury and Hahne, IEEE/ACM Trans. Networking 6(2), 1998). So it does not matter who is asked first,
 * and one that has nothing there may add a frame, whatever the others have: no stream waits for another. The master
 * does not keep it short (a child that is paused would stop its siblings); its streams are held by their credit, and
 * where these are many, in the same way by what is left of ECI_LOCAL_MAX / 2. */
#include "router/stream.h"

#include "router/internal.h"

#define GIVE_AT (ECI_STREAM_WINDOW / 4) /* and an eighth of one that was widened: each CREDIT wakes all on the way */
#define STALL_MS 10u

struct eci_stream {
	struct eci_router *router;
	const struct eci_stream_ops *ops;
	void *arg;
	uint32_t peer, near, far;
	uint32_t credit;     /* we may send this much */
	uint32_t far_window; /* a master's: what the other end has granted in all */
	uint32_t window;     /* the other end's: granted in all, at most ECI_STREAM_WINDOW_MAX */
	uint32_t granted;    /* of it, what the other end may still send */
	uint32_t held;       /* arrived, not consumed */
	uint32_t untried;    /* of what was granted at first and up to the last widening, not arrived */
	bool wants, far_ended, near_ended;
	bool cast;                       /* its bytes go to a group, whose sender asks for more window */
	struct eci_stream *next_stalled; /* of router->stalled */
	bool stalled;
};

static void on_slot(void *arg, const struct eci_answer *a);

/* An agent's owners ask for room in each turn of their loop. */
static bool has_room(const struct eci_stream *s)
{
	return ECI_MASTER_TOO && s->ops->room;
}

struct eci_stream *eci_stream_new(struct eci_router *r, uint32_t peer, uint32_t far, const struct eci_stream_ops *ops,
				  void *arg)
{
	struct eci_stream *s = eci_mem_alloc(sizeof *s);
	if (!s)
		return NULL;
	*s = (struct eci_stream){.router = r, .ops = ops, .arg = arg, .peer = peer, .far = far};
	s->credit = s->far_window = s->window = s->granted = s->untried = ECI_STREAM_WINDOW;
	s->near = eci_slot_open(r, peer, ECI_SLOT_MANY, on_slot, s);
	if (!s->near) {
		eci_mem_free(s);
		return NULL;
	}
	return s;
}

uint32_t eci_stream_handle(const struct eci_stream *s)
{
	return s->near;
}

uint32_t eci_stream_far(const struct eci_stream *s)
{
	return s->far;
}

void eci_stream_set_far(struct eci_stream *s, uint32_t far)
{
	s->far = far;
}

struct eci_stream *eci_stream_find(const struct eci_router *r, uint32_t handle)
{
	const struct eci_slot *slot = eci_slot_find(r, handle);
	return slot && slot->fn == on_slot ? slot->arg : NULL;
}

bool eci_stream_over(const struct eci_stream *s)
{
	return s->near_ended && s->far_ended;
}

/* The reset goes as a dead notice to a frame of the other end's that might have been. */
static void reset(struct eci_stream *s, const char *reason, const char *text, uint64_t now_ms)
{
	struct eci_frame f = {.cls = ECI_BULK, .src = s->peer, .dst = s->router->id, .reply_to = s->far};
	eci_router_dead(s->router, &f, reason, text, now_ms);
}

static void unstall(struct eci_stream *s)
{
	struct eci_stream **at = &s->router->stalled;
	while (ECI_MASTER_TOO && s->stalled && *at != s)
		at = &(*at)->next_stalled;
	if (ECI_MASTER_TOO && s->stalled)
		*at = s->next_stalled;
	s->stalled = false;
}

void eci_stream_free(struct eci_stream *s, const char *reason, const char *text, uint64_t now_ms)
{
	if (!s)
		return;
	if (s->near)
		eci_slot_close(s->router, s->near);
	if (reason && s->near && s->far && !eci_stream_over(s))
		reset(s, reason, text, now_ms);
	unstall(s);
	s->router->widened -= s->window - ECI_STREAM_WINDOW;
	eci_mem_free(s);
}

/* ---- sending ---- */

/* Of its bytes, those that wait here. */
static size_t queued(const struct eci_stream *s)
{
	const struct eci_router *r = s->router;
	struct eci_frame f = {.src = r->id, .dst = s->peer, .handle = s->far, .reply_to = s->near};
	struct eci_link *l = eci_way_to(r, s->peer);
	struct eci_flow *w = l ? eci_flow_find(l, &f, false) : NULL;
	return w ? w->own : 0;
}

/* How many more may. */
static size_t share(const struct eci_stream *s)
{
	const struct eci_router *r = s->router;
	size_t used = r->local_bytes + (ECI_HAS(r->parent) ? 0 : queued(s));
	if (used + ECI_BULK_BODY_MAX > ECI_LOCAL_MAX / 2)
		return 0;
	if (ECI_HAS(r->parent) && r->parent->local_bulk > ECI_STREAM_BACKLOG && !eci_route_find(r, s->peer)) {
		size_t own = queued(s);
		if (own + r->parent->local_bulk > 2 * ECI_STREAM_BACKLOG)
			return own ? 0 : ECI_BULK_BODY_MAX;
	}
	return ECI_LOCAL_MAX / 2 - used;
}

size_t eci_stream_room(struct eci_stream *s)
{
	if (!s->far || !s->near || s->near_ended)
		return 0;
	struct eci_router *r = s->router;
	size_t most = share(s);
	if (s->credit && most)
		return s->credit < most ? s->credit : most;
	s->wants = true;
	if (has_room(s) && s->credit && !s->stalled) { /* no CREDIT will wake it: the clock does */
		s->stalled = true;
		s->next_stalled = r->stalled;
		r->stalled = s;
		eci_due(r, r->now + STALL_MS);
	}
	return 0;
}

void eci_stream_want(struct eci_stream *s)
{
	s->wants = true;
}

void eci_streams_tick(struct eci_router *r)
{
	struct eci_stream **at = &r->stalled;
	while (ECI_MASTER_TOO && *at) {
		struct eci_stream *s = *at;
		if (!share(s)) {
			at = &s->next_stalled;
			continue;
		}
		unstall(s); /* first, and from the beginning then: a callback may free any of them, or stall again */
		s->wants = false;
		s->ops->room(s->arg);
		at = &r->stalled;
	}
	if (ECI_MASTER_TOO && r->stalled)
		eci_due(r, r->now + STALL_MS);
}

static int send_frame(struct eci_stream *s, uint8_t flags, const void *p, size_t n, uint64_t now_ms)
{
	return eci_router_send(s->router, ECI_BULK, flags, s->peer, s->far, s->near, p, n, now_ms);
}

int eci_stream_send(struct eci_stream *s, const void *p, size_t n, uint64_t now_ms)
{
	const uint8_t *at = p;
	int rc = 0;
	s->credit -= (uint32_t)n;
	do {
		size_t m = n < ECI_BULK_BODY_MAX ? n : ECI_BULK_BODY_MAX;
		rc = send_frame(s, 0, at, m, now_ms);
		at += m;
		n -= m;
	} while (n && !rc);
	return rc;
}

int eci_stream_end(struct eci_stream *s, uint64_t now_ms)
{
	if (s->near_ended || !s->near)
		return 0;
	s->near_ended = true;
	return send_frame(s, ECI_F_END, NULL, 0, now_ms);
}

uint32_t eci_stream_far_window(const struct eci_stream *s)
{
	return s->far_window;
}

void eci_stream_spent(struct eci_stream *s, size_t n)
{
	s->credit -= (uint32_t)n;
	s->cast = true;
}

void eci_stream_ended_elsewhere(struct eci_stream *s)
{
	s->near_ended = true;
}

/* Nothing of this stream waits here. Of one to oneself it is not known. */
static bool all_gone(const struct eci_stream *s)
{
	return ECI_HAS(eci_way_to(s->router, s->peer)) && !queued(s);
}

bool eci_stream_credit(struct eci_router *r, const struct eci_frame *f)
{
	uint64_t handle = 0, n = 0;
	struct eci_stream *s = eci_read_pair(f, &handle, &n) ? eci_stream_find(r, (uint32_t)handle) : NULL;
	if (!s)
		return false;
	if (!n) {
		if (ECI_MASTER_TOO && s->near_ended && s->ops->settled)
			s->ops->settled(s->arg);
		return true;
	}
	bool starved = !s->credit && !s->cast && s->wants && s->far && !s->near_ended && all_gone(s);
	uint32_t most = ECI_STREAM_WINDOW_MAX - s->credit;
	s->credit += n < most ? (uint32_t)n : most;
	if (ECI_MASTER_TOO && n >= s->far_window) {
		most = ECI_STREAM_WINDOW_MAX - s->far_window;
		s->far_window += n < most ? (uint32_t)n : most;
	}
	if (starved)
		(void)send_frame(s, 0, NULL, 0, r->now);
	if (s->wants && s->credit && has_room(s)) {
		s->wants = false;
		s->ops->room(s->arg);
	}
	return true;
}

/* ---- receiving ---- */

static void give(struct eci_stream *s, uint32_t n, uint64_t now_ms)
{
	struct eci_router *r = s->router;
	struct eci_buf *b = &r->scratch;
	eci_router_enter(r, now_ms);
	eci_buf_clear(b);
	eci_cbor_put_array(b, 2);
	eci_cbor_put_uint(b, s->far);
	eci_cbor_put_uint(b, n);
	struct eci_frame f = eci_own_frame(r, ECI_CONTROL, s->peer, ECI_H_CREDIT, b);
	if (!b->failed && eci_route_put(r, &f) == 0)
		s->granted += n;
	eci_router_leave(r);
}

void eci_stream_took(struct eci_stream *s, size_t n, uint64_t now_ms)
{
	s->held -= n < s->held ? (uint32_t)n : s->held;
	uint32_t owed = s->window - s->granted - s->held;
	if (owed >= GIVE_AT && owed >= s->window / 8 && s->near && s->far && !s->far_ended)
		give(s, owed, now_ms);
}

void eci_stream_settled(struct eci_stream *s, uint64_t now_ms)
{
	if (s->near && s->far)
		give(s, 0, now_ms);
}

/* The sender stands still for want of credit. */
static void widen(struct eci_stream *s)
{
	uint32_t more = s->window;
	if (s->untried || s->held > s->window / 4 || s->window >= ECI_STREAM_WINDOW_MAX ||
	    s->router->widened + more > ECI_STREAM_WIDENED_MAX)
		return;
	s->router->widened += more;
	s->window += more;
	give(s, more, s->router->now);
	s->untried = s->granted;
}

void eci_stream_fail(struct eci_stream *s, const char *reason, const char *text)
{
	struct eci_answer a = {.dead = true, .reason = reason, .at = s->router->id, .evidence = text};
	reset(s, reason, text, s->router->now);
	eci_slot_close(s->router, s->near);
	s->near = 0;
	unstall(s);
	if (ECI_HAS(s->ops->dead))
		s->ops->dead(s->arg, &a);
}

static void on_slot(void *arg, const struct eci_answer *a)
{
	struct eci_stream *s = arg;
	if (a->dead) {
		s->near = 0; /* the slot is gone */
		unstall(s);
		if (ECI_HAS(s->ops->dead))
			s->ops->dead(s->arg, a);
		return;
	}
	const struct eci_frame *f = a->f;
	struct eci_router *r = s->router;
	uint32_t near = s->near;
	bool first = !s->far;
	if (f->cls != ECI_BULK && !(ECI_MASTER_TOO && s->ops->calls)) {
		r->stats.bad_reply++;
		return;
	}
	if (first)
		s->far = f->reply_to;
	if (f->len > s->granted || (f->len && s->far_ended)) {
		eci_stream_fail(s, "bad-credit", "more than the stream's window");
		return;
	}
	s->granted -= f->len;
	s->held += f->len;
	s->untried -= f->len < s->untried ? f->len : s->untried;
	if (!f->len && !(f->flags & ECI_F_END) && !first)
		widen(s);
	if (f->len && ECI_HAS(s->ops->data))
		s->ops->data(s->arg, f->body, f->len);
	if (f->flags & ECI_F_END && eci_stream_find(r, near) == s && !s->far_ended) {
		s->far_ended = true;
		if (ECI_HAS(s->ops->ended))
			s->ops->ended(s->arg);
	}
	if (first && eci_stream_find(r, near) == s && has_room(s) && !s->near_ended) /* it may be freed by now */
		s->ops->room(s->arg);
}
