/* Sending: from this context to anywhere, dead notices, and the bounds that every frame meets on its way into a queue.
 *
 * A frame is copied exactly once here, into the queue of the link that leads to dst, and the bytes are there for
 * eci_link_output() when the call returns. A frame to oneself is queued too and handed out by the outermost public
 * call just before it returns (eci_router_leave()): a callback that sends to its own context is therefore never
 * re-entered, and a master that addresses SPAWN to itself still sees it done at once.
 *
 * Bounds: control and call share ECI_QUEUE_MAX; past it a LOG is dropped, counted and said (say_lost), and any other
 * call is refused (ECI_R_BUSY: who sent it, or who waits for it as an answer, is told `busy`). Answers on their way up
 * (what is for a slot there) go on to ECI_ANSWERS_MAX: all were asked for from above, and a thousand hosts may answer
 * one question at once. Control goes on to ECI_CONTROL_MAX by itself, because a notice or an ACK that cannot be queued
 * leaves the other side waiting for ever; past that the link itself is the failure.
 *
 * That must be nobody's doing but the neighbour's. What somebody behind a child has answered with notices, each larger
 * than its cause, goes by a link that is others' too: once ECI_NOTICES_AT of control wait there, no more of them are
 * queued than ECI_NOTICES_EACH for each share of the ids, and the rest is dropped. Who waits for such a one has asked
 * upward, which nobody does but for modules, of its neighbour. Up, whence calls came, no notice is lost: instead what
 * children say is not read (eci_link_crowded()).
 *
 * Call frames that wait behind a large message count as queued call frames.
 *
 * What this router sends itself into a link that has failed is lost with it, and not refused: who waits for an answer
 * is told when the link is taken away (eci_link_lost()), and then why; a refusal now could only say that there is no
 * route.
 *
 * Memory: a refused allocation is treated as a full queue for call and bulk; a control frame that cannot be stored ends
 * its link for the reason above. */
#include "router/internal.h"

void eci_link_break(struct eci_link *l, const char *reason, const char *detail)
{
	if (l->broken)
		return;
	l->broken = true;
	eci_buf_deinit(&l->in);
	if (ECI_HAS(l->router->ops->broken))
		l->router->ops->broken(l->router->ctx, l, reason, detail);
}

void eci_wake(struct eci_link *l)
{
	if (l->woken || !l->started)
		return;
	if (!eci_buf_len(&l->out) && !eci_buf_len(&l->control) && !eci_buf_len(&l->call) && !eci_bulk_ready(l))
		return;
	l->woken = true;
	if (ECI_HAS(l->router->ops->wake))
		l->router->ops->wake(l->router->ctx, l);
}

struct eci_frame eci_own_frame(const struct eci_router *r, enum eci_class cls, uint32_t dst, uint32_t handle,
			       const struct eci_buf *body)
{
	struct eci_frame f = {.cls = (uint8_t)cls, .hops = ECI_HOPS, .dst = dst, .src = r->id, .auth = r->id};
	f.handle = handle;
	f.len = (uint32_t)eci_buf_len(body);
	f.body = eci_buf_data(body);
	return f;
}

int eci_tell_scratch(struct eci_link *l, uint32_t handle)
{
	const struct eci_buf *s = &l->router->scratch;
	if (s->failed)
		return ECI_R_NO_MEMORY;
	struct eci_frame f = eci_own_frame(l->router, ECI_CONTROL, l->peer, handle, s);
	return eci_link_put(l, &f, 0, true, NULL);
}

void eci_tell(struct eci_link *l, uint32_t handle, unsigned items, uint64_t a, uint64_t b)
{
	struct eci_buf *s = &l->router->scratch;
	eci_buf_clear(s);
	if (items)
		eci_cbor_put_array(s, items);
	eci_cbor_put_uint(s, a);
	if (items == 2)
		eci_cbor_put_uint(s, b);
	if (eci_tell_scratch(l, handle) == ECI_R_NO_MEMORY)
		eci_link_break(l, "queue-overflow", "no memory");
}

/* What is lost with a LOG: the lines of its text, one at least, and what it says is lost already. */
static void count_lost(struct eci_link *l, const struct eci_frame *f)
{
	struct eci_cbor c = eci_cbor_of(f);
	const char *text;
	size_t n, lines = 0;
	(void)eci_cbor_get_array(&c);
	(void)eci_cbor_skip(&c);
	(void)eci_cbor_skip(&c);
	(void)eci_cbor_get_text(&c, &text, &n);
	l->lost_logs += eci_cbor_get_uint(&c);
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	if (!lines)
		lines = n || c.bad;
	l->router->stats.dropped_logs += lines;
	l->lost_logs += lines;
}

/* A LOG of this router's own, in front of what comes next: so it stands where the lines are missing, and nobody has the
 * answer of a call before. It may go beyond ECI_QUEUE_MAX, as there is one at most for each frame that does. */
static void say_lost(struct eci_link *l)
{
	struct eci_buf b = ECI_BUF_NULL;
	(void)eci_buf_append(&b, "\x84\x18\x1e\x60\x60", 5); /* [30, "", "", ... */
	eci_cbor_put_uint(&b, l->lost_logs);
	struct eci_frame f = eci_own_frame(l->router, ECI_CALL, 0, ECI_H_LOG, &b);
	if (!b.failed && !eci_fifo_put(&l->call, &f)) {
		l->lost_logs = 0;
		l->stats.frames_out++;
	}
	eci_buf_deinit(&b);
}

/* Up to how many bytes of control and call a call frame may make it. */
static size_t calls_max(const struct eci_link *l, const struct eci_frame *f)
{
	return l->parent && f->handle >= ECI_H_FIRST_SLOT ? ECI_ANSWERS_MAX : ECI_QUEUE_MAX;
}

/* A notice to somebody behind a child, of which too many wait there. Counted since the queue was empty: it is when it
 * becomes the piece that is written, as it does soon where nobody floods it. */
static bool too_many(struct eci_link *l, const struct eci_frame *f)
{
	if (l->parent || !(f->flags & ECI_F_DEAD) || f->dst == l->peer)
		return false;
	if (!eci_buf_len(&l->control))
		memset(l->notices, 0, sizeof l->notices);
	uint32_t *n = &l->notices[f->dst / 8 % ECI_NOTICE_SHARES];
	*n += eci_wire(f->len);
	if (*n <= ECI_NOTICES_EACH || eci_buf_len(&l->control) <= ECI_NOTICES_AT)
		return false;
	l->router->stats.bad_reply++;
	return true;
}

int eci_link_put(struct eci_link *l, const struct eci_frame *f, uint32_t owed, bool local, struct eci_blob *blob)
{
	if (l->broken)
		return ECI_R_NO_ROUTE;
	size_t queued = eci_buf_len(&l->control) + eci_buf_len(&l->call) + l->held_calls + eci_wire(f->len);
	if (f->cls == ECI_CALL && f->handle == ECI_H_LOG && queued > ECI_QUEUE_MAX) {
		count_lost(l, f);
		return ECI_R_BUSY;
	}
	if (l->lost_logs && l->parent && queued <= ECI_ANSWERS_MAX)
		say_lost(l);
	if (f->cls == ECI_BULK || blob) {
		int rc = eci_bulk_put(l, f, owed, local, blob);
		if (rc == 0)
			eci_wake(l);
		return rc;
	}
	if (f->cls == ECI_CALL && queued > calls_max(l, f))
		return ECI_R_BUSY;
	if (f->cls == ECI_CONTROL && too_many(l, f))
		return 0;
	if (f->cls == ECI_CONTROL && eci_buf_len(&l->control) + eci_wire(f->len) > ECI_CONTROL_MAX) {
		eci_link_break(l, "queue-overflow", "the other side does not read");
		return ECI_R_NO_ROUTE;
	}
	if (eci_fifo_put(f->cls == ECI_CONTROL ? &l->control : &l->call, f)) {
		if (f->cls == ECI_CONTROL)
			eci_link_break(l, "queue-overflow", "no memory");
		else if (f->handle == ECI_H_LOG)
			count_lost(l, f);
		return ECI_R_NO_MEMORY;
	}
	l->stats.frames_out++;
	eci_wake(l);
	return 0;
}

/* An own call frame behind a large message to the same dst. */
static int put_held(struct eci_link *l, struct eci_flow *w, const struct eci_frame *f)
{
	size_t size = eci_wire(f->len);
	if (eci_buf_len(&l->control) + eci_buf_len(&l->call) + l->held_calls + size > calls_max(l, f))
		return ECI_R_BUSY;
	struct eci_item *it = eci_item_new(f, 0, true, NULL);
	if (!it)
		return ECI_R_NO_MEMORY;
	w->tail->next = it;
	w->tail = it;
	l->held_calls += size;
	return 0;
}

/* An own frame of any size to one link. blob is the shared copy of its body: of a large one always. */
static int put_own(struct eci_link *l, const struct eci_frame *f, struct eci_blob *blob)
{
	if (f->cls == ECI_CALL && l->local_bulk && !blob && !l->broken) {
		struct eci_flow *w = eci_flow_find(l, f, true);
		if (w)
			return put_held(l, w, f);
	}
	return eci_link_put(l, f, 0, true, blob);
}

bool eci_is_large(const struct eci_frame *f)
{
	return f->len > (f->cls == ECI_BULK ? ECI_BULK_BODY_MAX : ECI_FRAME_BODY_MAX);
}

static int put_self(struct eci_router *r, const struct eci_frame *f)
{
	if (r->self_bytes + eci_wire(f->len) > ECI_SELF_MAX)
		return ECI_R_BUSY;
	struct eci_item *it = eci_item_new(f, 0, true, NULL);
	if (!it)
		return ECI_R_NO_MEMORY;
	if (eci_is_large(f))
		it->f.cls = ECI_BULK;
	if (r->self_tail)
		r->self_tail->next = it;
	else
		r->self = it;
	r->self_tail = it;
	r->self_bytes += eci_wire(f->len);
	return 0;
}

struct eci_link *eci_way_to(const struct eci_router *r, uint32_t dst)
{
	struct eci_link *l = eci_route_find(r, dst);
	if (!l && !eci_iv_has(r->own, r->nown, dst))
		l = r->parent;
	return l;
}

static int send_group(struct eci_router *r, const struct eci_frame *f)
{
	const struct eci_group *g = eci_group_find(r, f->dst);
	if (!g)
		return ECI_R_NO_ROUTE;
	struct eci_blob *blob = NULL;
	if (f->cls == ECI_BULK || eci_is_large(f)) {
		if (r->blob_bytes + f->len > ECI_LOCAL_MAX)
			return ECI_R_BUSY;
		blob = eci_blob_new(r, f->body, f->len);
		if (!blob)
			return ECI_R_NO_MEMORY;
	}
	/* One link that is full must not keep the others from their copy: the first failure is reported, if nobody at
	 * all could be served. */
	int first = 0;
	uint32_t done = 0;
	for (struct eci_link *l = NULL; (l = eci_router_next_link(r, l)) != NULL;) {
		if (!l->in_group[g - r->groups])
			continue;
		int rc = put_own(l, f, blob);
		if (rc == 0)
			done++;
		else if (!first)
			first = rc;
	}
	if (g->self) {
		int rc = put_self(r, f);
		if (rc == 0)
			done++;
		else if (!first)
			first = rc;
	}
	if (blob)
		eci_blob_drop(r, blob);
	return done ? 0 : first;
}

int eci_route_put(struct eci_router *r, const struct eci_frame *f)
{
	if (ECI_MASTER_TOO && f->flags & ECI_F_MULTICAST)
		return send_group(r, f);
	if (ECI_MASTER_TOO && f->dst == r->id)
		return put_self(r, f);
	struct eci_link *l = eci_way_to(r, f->dst);
	if (!l || (eci_handle_local(f->handle) && f->dst != l->peer))
		return ECI_R_NO_ROUTE;
	if (l->broken)
		return 0;
	if (!eci_is_large(f))
		return put_own(l, f, NULL);
	if (r->blob_bytes + f->len > ECI_LOCAL_MAX)
		return ECI_R_BUSY;
	struct eci_blob *blob = eci_blob_new(r, f->body, f->len);
	if (!blob)
		return ECI_R_NO_MEMORY;
	int rc = put_own(l, f, blob);
	eci_blob_drop(r, blob);
	return rc;
}

int eci_router_send(struct eci_router *r, uint8_t cls, uint8_t flags, uint32_t dst, uint32_t handle, uint32_t reply_to,
		    const void *body, size_t len, uint64_t now_ms)
{
	/* MORE is the router's to set: a caller's own would put its message into a collection that never ends. */
	if (len > ECI_MESSAGE_MAX || (cls == ECI_CONTROL && len > ECI_FRAME_BODY_MAX) || cls > ECI_BULK)
		return ECI_R_TOO_BIG;
	struct eci_frame f = {.cls = cls, .hops = ECI_HOPS, .dst = dst, .src = r->id, .auth = r->id};
	f.flags = flags & (ECI_F_DEAD | ECI_F_MULTICAST | ECI_F_END);
	f.handle = handle;
	f.reply_to = reply_to;
	f.len = (uint32_t)len;
	f.body = body;
	eci_router_enter(r, now_ms);
	int rc = eci_route_put(r, &f);
	eci_router_leave(r);
	return rc;
}

int eci_router_send_buf(struct eci_router *r, uint32_t dst, uint32_t slot, uint32_t reply_to, struct eci_buf *body,
			uint64_t now_ms)
{
	int rc = ECI_R_NO_MEMORY;
	if (slot && !body->failed)
		rc = eci_router_send(r, ECI_CALL, 0, dst, slot, reply_to, eci_buf_data(body), eci_buf_len(body),
				     now_ms);
	eci_buf_deinit(body);
	if (rc && slot) {
		struct eci_frame asked = {.src = dst, .dst = r->id, .reply_to = slot};
		eci_router_dead(r, &asked, "busy", "no room for the answer", now_ms);
	}
	return rc;
}

size_t eci_text_cut(const char *text, size_t max)
{
	size_t n = 0;
	while (text && text[n] && n < max)
		n++;
	if (n == max)
		while (n && ((uint8_t)text[n] & 0xC0) == 0x80)
			n--;
	return n;
}

void eci_text_put(struct eci_buf *s, const char *text)
{
	size_t n = eci_text_cut(text, ECI_NOTICE_EVIDENCE_MAX);
	eci_cbor_put_text(s, text, n);
	if (!s->failed && !eci_utf8_valid(s->mem + s->tail - n, n)) /* keep what is ASCII */
		for (uint8_t *p = s->mem + s->tail - n; n; n--, p++)
			if (*p >= 0x80)
				*p = '?';
}

void eci_router_dead(struct eci_router *r, const struct eci_frame *f, const char *reason, const char *evidence,
		     uint64_t now_ms)
{
	if (!f->reply_to || (f->flags & ECI_F_DEAD))
		return;
	eci_router_enter(r, now_ms);
	struct eci_buf *s = &r->scratch;
	eci_buf_clear(s);
	eci_cbor_put_array(s, 4);
	eci_cbor_put_str(s, reason);
	eci_cbor_put_uint(s, f->dst);
	eci_cbor_put_uint(s, r->id);
	eci_text_put(s, evidence);
	if (!s->failed) {
		struct eci_frame d = eci_own_frame(r, ECI_CONTROL, f->src, f->reply_to, s);
		d.flags = ECI_F_DEAD;
		/* Data for who has ended its stream: what that had sent is under way still, a reset behind it
		 * perhaps, and a notice that overtook them would end the stream there before they have come. */
		if (f->cls == ECI_BULK && f->handle >= ECI_H_FIRST_SLOT && f->dst == r->id) {
			d.cls = ECI_BULK;
			d.reply_to = f->handle;
		}
		(void)eci_route_put(r, &d);
	}
	eci_router_leave(r);
}
