/* PAUSE and RESUME: a reader that stops costs a bounded number of bytes in every router above it, and its siblings
 * nothing.
 *
 * Three things make a router say PAUSE to its parent. The bulk that waits for a child link as such (active_bytes)
 * passes ECI_PAUSE_AT: the link is slow, all its intervals are paused. Or the child itself said PAUSE for a part of its
 * interval, and what this router holds for that part passes ECI_PAUSE_AT in turn: only that part is paused upward.
 * What belongs to a paused part does not count for the link as such, else one stopped grandchild would pause them all.
 * Or all that waits for the link, paused or not, passes ECI_HELD_AT: each part brings along a window of the parent's,
 * what was on its way when it was paused, and many parts would pass any bound. All intervals of the link are paused.
 *
 * A flow belongs to at most one pause. It is parked (out of the round robin) while the child holds the pause; after
 * RESUME it sends again, but still belongs to the pause until that has drained to ECI_RESUME_AT and the parent was told
 * so. Then the pause is dissolved and what little is left counts for the link again. What goes to a group belongs to no
 * pause, is never parked and does not count for the link: its copy cannot be told apart by member, so one of them that
 * stops would stop them all, and none could be told from the others by its credit. It is bounded by that credit
 * (ECI_GROUPS_BYTES, mesh/cast.c).
 *
 * Pauses are matched by their exact interval, and counted, because nested ones are legal. A link keeps
 * ECI_PAUSED_MAX of them; what comes after is counted on one more that stands for the whole link, and the link is
 * paused as a whole until as many RESUMEs have come.
 *
 * What this router sends itself is not counted: its own program holds it and is bounded by ECI_LOCAL_MAX. */
#include "router/internal.h"

_Static_assert(ECI_HELD_AT + ECI_GROUPS_BYTES + ECI_HOP_WINDOW_MAX + ECI_FRAME_HEADER + ECI_BULK_BODY_MAX <=
		       ECI_HELD_MAX,
	       "or an honest parent could pass ECI_HELD_MAX");

static bool covers(const struct eci_pause *p, const struct eci_flow *w)
{
	return !w->multicast && (p->whole || (w->dst >= p->lo && w->dst <= p->hi));
}

static void say(struct eci_link *l, uint32_t handle, uint32_t lo, uint32_t hi)
{
	struct eci_link *up = l->router->parent;
	if (ECI_HAS(up) && up->up && !up->broken)
		eci_tell(up, handle, 2, lo, (uint64_t)hi + 1);
}

static void say_all(struct eci_link *l, uint32_t handle, const struct eci_interval *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		say(l, handle, v[i].lo, v[i].hi);
}

static void say_link(struct eci_link *l, uint32_t handle)
{
	say_all(l, handle, l->iv, l->niv);
}

static void pause_up(struct eci_link *l, bool on)
{
	l->up_paused = on;
	say_link(l, on ? ECI_H_PAUSE : ECI_H_RESUME);
}

static void announce(struct eci_link *l, struct eci_pause *p, bool on)
{
	p->announced = on;
	if (p->whole)
		say_link(l, on ? ECI_H_PAUSE : ECI_H_RESUME);
	else
		say(l, on ? ECI_H_PAUSE : ECI_H_RESUME, p->lo, p->hi);
}

static void weigh(struct eci_link *l)
{
	if (l->parent || !ECI_HAS(l->router->parent))
		return;
	bool full = l->bulk_bytes > ECI_HELD_AT;
	if (l->up_paused ? !full && l->active_bytes <= ECI_RESUME_AT : full || l->active_bytes > ECI_PAUSE_AT)
		pause_up(l, !l->up_paused);
}

/* Gives a flow to a pause, or to none. */
static void assign(struct eci_link *l, struct eci_flow *w, struct eci_pause *p)
{
	if (w->pause)
		w->pause->held -= w->bytes;
	else
		l->active_bytes -= w->bytes;
	w->pause = p;
	if (p)
		p->held += w->bytes;
	else
		l->active_bytes += w->bytes;
	eci_flow_park(l, w, p && p->refs);
}

static struct eci_pause *holder(const struct eci_link *l, const struct eci_flow *w)
{
	struct eci_pause *lingering = NULL;
	for (struct eci_pause *p = l->pauses; p; p = p->next) {
		if (!covers(p, w))
			continue;
		if (p->refs)
			return p;
		if (!lingering)
			lingering = p;
	}
	return lingering;
}

void eci_pause_join(struct eci_link *l, struct eci_flow *w)
{
	if (l->pauses && !w->multicast)
		assign(l, w, holder(l, w));
}

/* Its flows belong to another one that covers them, or to none. */
static void hand_over(struct eci_link *l, const struct eci_pause *p)
{
	for (uint32_t i = 0; l->flows && i < ECI_FLOW_BUCKETS; i++)
		for (struct eci_flow *w = l->flows[i]; w; w = w->chain)
			if (w->pause == p)
				assign(l, w, holder(l, w));
}

static void dissolve(struct eci_link *l, struct eci_pause *p)
{
	struct eci_pause **at = &l->pauses;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (!p->whole)
		l->npauses--;
	if (p->announced)
		announce(l, p, false);
	hand_over(l, p);
	eci_mem_free(p);
}

static void settle(struct eci_link *l, struct eci_pause *p)
{
	if (!p->announced && p->held > ECI_PAUSE_AT && p->refs && ECI_HAS(l->router->parent))
		announce(l, p, true);
	if (!p->refs && (!p->announced || p->held <= ECI_RESUME_AT))
		dissolve(l, p);
}

void eci_pause_count(struct eci_link *l, struct eci_flow *w, uint32_t added, uint32_t taken)
{
	if (w->pause) {
		w->pause->held += added;
		w->pause->held -= taken;
		settle(l, w->pause);
	} else if (!w->multicast) {
		l->active_bytes += added;
		l->active_bytes -= taken;
	}
	weigh(l);
}

static struct eci_pause *pause_find(const struct eci_link *l, uint32_t lo, uint32_t hi, bool whole)
{
	struct eci_pause *p = l->pauses;
	while (p && (p->whole != whole || (!whole && (p->lo != lo || p->hi != hi))))
		p = p->next;
	return p;
}

void eci_pause_got(struct eci_link *l, uint32_t lo, uint32_t hi)
{
	struct eci_pause *p = pause_find(l, lo, hi, false);
	bool whole = !p && l->npauses >= ECI_PAUSED_MAX;
	if (whole)
		p = pause_find(l, 0, 0, true);
	if (!p) {
		p = eci_mem_alloc(sizeof *p);
		if (!p) {
			eci_link_break(l, "queue-overflow", "no memory");
			return;
		}
		*p = (struct eci_pause){.next = l->pauses, .lo = lo, .hi = hi, .whole = whole};
		l->pauses = p;
		if (!whole)
			l->npauses++;
	}
	p->refs++;
	for (uint32_t i = 0; l->flows && i < ECI_FLOW_BUCKETS; i++)
		for (struct eci_flow *w = l->flows[i]; w; w = w->chain)
			if (covers(p, w) && (!w->pause || !w->pause->refs || w->pause == p))
				assign(l, w, p);
	/* A lingering pause whose flows were taken over has nothing left to wait for. */
	for (struct eci_pause *q = l->pauses, *next; q; q = next) {
		next = q->next;
		settle(l, q);
	}
	weigh(l);
}

void eci_resume_got(struct eci_link *l, uint32_t lo, uint32_t hi)
{
	struct eci_pause *p = pause_find(l, lo, hi, false);
	if (!p || !p->refs)
		p = pause_find(l, 0, 0, true);
	if (!p || !p->refs)
		return;
	p->refs--;
	if (!p->refs)
		hand_over(l, p);
	settle(l, p);
	weigh(l);
	eci_wake(l);
}

void eci_pause_clear(struct eci_link *l, bool tell)
{
	while (l->pauses) {
		struct eci_pause *p = l->pauses;
		l->pauses = p->next;
		if (tell && p->announced)
			announce(l, p, false);
		eci_mem_free(p);
	}
	l->npauses = 0;
	if (tell && l->up_paused)
		pause_up(l, false);
}

void eci_pause_move(struct eci_link *l, const struct eci_interval *v, uint32_t n)
{
	const struct eci_pause *whole = pause_find(l, 0, 0, true);
	for (int times = l->up_paused + (whole && whole->announced); times; times--) {
		say_all(l, ECI_H_PAUSE, v, n);
		say_link(l, ECI_H_RESUME);
	}
}
