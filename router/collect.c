/* Putting large messages together: fragments of class bulk with MORE, ended by one without it (section 1.1).
 *
 * A sender has one large message to a destination under way, so a collection is known by (src, dst): dst is this
 * context or the group the fragments were sent to. A fragment with another handle or reply_to than the collection under
 * way means that its sender gave up on it: it is thrown away and the fragment starts anew.
 *
 * Limits: 64 MiB a message, 128 MiB together, 32 sources (a master asks many at once, and has more). Past one, the
 * collection's bytes are freed, its sender gets one dead notice, the slot that it was an answer for ends, and a mark
 * without bytes stays until the last fragment: without the mark, the rest of the message would look like a new one. The
 * same mark stands for a message whose handle is closed to its sender, which is refused at its first fragment and not
 * after 64 MiB. Marks are bounded too; a subtree that needs more of them than that loses the oldest, and harms its own
 * messages only.
 *
 * What is not asked for is not kept at all: an answer for no slot of its sender's, and from below a request, all of
 * which are small. So a child holds no more of what is shared than the answers it owes.
 *
 * Bytes are collected in one growing buffer, since the reader wants them contiguous in the end. */
#include "router/internal.h"

static struct eci_collect **find(struct eci_router *r, const struct eci_frame *f)
{
	bool multicast = f->flags & ECI_F_MULTICAST;
	struct eci_collect **p = &r->collects;
	while (*p && ((*p)->src != f->src || (*p)->dst != f->dst || (*p)->multicast != multicast))
		p = &(*p)->next;
	return p;
}

static void discard(struct eci_router *r, struct eci_collect **p)
{
	struct eci_collect *c = *p;
	*p = c->next;
	if (c->dropping)
		r->ndropping--;
	else
		r->ncollect--;
	r->collect_bytes -= eci_buf_len(&c->body);
	eci_buf_deinit(&c->body);
	eci_mem_free(c);
}

static uint32_t sources_max(const struct eci_router *r)
{
	return ECI_MASTER_TOO && r->master ? ECI_COLLECT_SOURCES_MASTER : ECI_COLLECT_SOURCES;
}

/* Who asked is told by a notice; who waits here, as it is an answer to him, by the end of his slot. */
static void refuse(struct eci_router *r, const struct eci_frame *f, const char *reason, const char *evidence)
{
	eci_router_dead(r, f, reason, evidence, r->now);
	eci_slot_refuse(r, f, reason);
}

/* Keeps the mark, frees the bytes, tells who is concerned. */
static void give_up(struct eci_router *r, struct eci_collect *c, const struct eci_frame *f, const char *reason)
{
	r->collect_bytes -= eci_buf_len(&c->body);
	eci_buf_deinit(&c->body);
	c->dropping = true;
	r->ncollect--;
	r->ndropping++;
	if (r->ndropping > ECI_DROPPED_SOURCES) {
		struct eci_collect **oldest = NULL; /* new ones are put in front, so the last is the oldest */
		for (struct eci_collect **p = &r->collects; *p; p = &(*p)->next)
			if ((*p)->dropping)
				oldest = p;
		discard(r, oldest);
	}
	refuse(r, f, reason, "");
}

static void add(struct eci_router *r, struct eci_collect *c, const struct eci_frame *f)
{
	size_t have = eci_buf_len(&c->body);
	if (have + f->len > ECI_MESSAGE_MAX || r->collect_bytes + f->len > ECI_COLLECT_MAX ||
	    eci_buf_append(&c->body, f->body, f->len)) {
		give_up(r, c, f, "too-big");
		return;
	}
	r->collect_bytes += f->len;
}

static const char *unasked(struct eci_router *r, enum eci_origin from, const struct eci_frame *f)
{
	if (f->handle < ECI_H_FIRST_SLOT)
		return from == ECI_FROM_CHILD ? "too-big" : NULL;
	struct eci_slot *s = eci_slot_find(r, f->handle);
	return s && s->respondent == f->src ? NULL : "no-handle";
}

static void start(struct eci_router *r, enum eci_origin from, const struct eci_link *l, const struct eci_frame *f)
{
	struct eci_collect *c = eci_mem_alloc(sizeof *c);
	if (!c) {
		refuse(r, f, "busy", "no memory");
		return;
	}
	*c = (struct eci_collect){.next = r->collects, .src = f->src, .dst = f->dst, .handle = f->handle};
	c->reply_to = f->reply_to;
	c->multicast = f->flags & ECI_F_MULTICAST;
	r->collects = c;
	r->ncollect++;
	const char *reason = f->flags & ECI_F_DEAD ? "no-handle" : eci_handle_refuse(r, from, l, f);
	if (!reason && f->handle == ECI_H_CREDIT)
		reason = "bad-body"; /* checked by its body, which is not there yet and never this long */
	if (!reason)
		reason = unasked(r, from, f);
	if (reason)
		give_up(r, c, f, reason);
	else if (r->ncollect > sources_max(r))
		give_up(r, c, f, "too-big");
	else
		add(r, c, f);
}

static void finish(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f,
		   struct eci_collect **p)
{
	if (!(*p)->dropping)
		add(r, *p, f);
	/* add() may have given up, which may have removed marks before this one: look it up again. */
	p = find(r, f);
	if (!*p)
		return;
	struct eci_frame whole = *f;
	struct eci_buf body = (*p)->body;
	bool good = !(*p)->dropping;
	r->collect_bytes -= eci_buf_len(&body);
	(*p)->body = ECI_BUF_NULL;
	discard(r, p);
	if (good) {
		whole.body = eci_buf_data(&body);
		whole.len = (uint32_t)eci_buf_len(&body);
		eci_deliver_whole(r, from, l, &whole);
	}
	eci_buf_deinit(&body);
}

bool eci_collect_take(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f)
{
	struct eci_collect **p = find(r, f);
	bool same = *p && (*p)->handle == f->handle && (*p)->reply_to == f->reply_to;
	if (!(f->flags & ECI_F_MORE)) {
		if (!same)
			return false; /* a message of one frame, or stream data beside a large message */
		finish(r, from, l, f, p);
		return true;
	}
	if (*p && !same)
		discard(r, p);
	if (!same)
		start(r, from, l, f);
	else if (!(*p)->dropping)
		add(r, *p, f);
	return true;
}

void eci_collect_forget(struct eci_router *r, const struct eci_link *l)
{
	struct eci_collect **p = &r->collects;
	while (*p) {
		bool hit = !ECI_HAS(l) || (ECI_MASTER_TOO && l->parent ? !eci_iv_has(r->own, r->nown, (*p)->src)
								       : eci_iv_has(l->iv, l->niv, (*p)->src));
		if (hit)
			discard(r, p);
		else
			p = &(*p)->next;
	}
}
