/* Time: heartbeats, silent links, late ACKs.
 *
 * The router has no clock and no timer; its caller tells the time with every call and comes back at the instant tick()
 * returned. Any byte counts as life, so a busy link is never lost to a late PONG; a link is silent when nothing came
 * for `idle` ms. Only the parent end sends PING; the child's answer keeps both ends alive.
 *
 * `due` is a lower bound of the next thing to do: whatever makes something due earlier lowers it, a byte that moves a
 * deadline further away does not raise it (that would cost every frame something). Tick then finds nothing to do, and
 * computes it anew.
 *
 * That looks at every link, so instants must not be as many as links: after its first PING a link's are due at
 * multiples of ECI_PING_GRAIN, where those of all links meet. */
#include "router/internal.h"

static uint32_t interval(const struct eci_link *l)
{
	uint32_t third = l->idle / 3;
	if (third < ECI_PING_MIN)
		return ECI_PING_MIN;
	return third > ECI_PING_MAX ? ECI_PING_MAX : third;
}

void eci_beat_start(struct eci_link *l)
{
	struct eci_router *r = l->router;
	l->ping_next = ECI_NEVER;
	l->heard = r->now;
	if (!l->idle || !l->started)
		return;
	eci_due(r, l->heard + l->idle);
	if (!l->parent && l->up) {
		l->ping_next = r->now + interval(l);
		eci_due(r, l->ping_next);
	}
}

void eci_link_set_idle(struct eci_link *l, uint32_t idle_ms)
{
	l->idle = idle_ms;
	eci_beat_start(l);
}

static void ping(struct eci_link *l)
{
	struct eci_router *r = l->router;
	l->ping_last = r->now;
	l->ping_next = (r->now + interval(l)) & ~(uint64_t)(ECI_PING_GRAIN - 1);
	if (!l->ping_sent) {
		l->ping_sent = r->now;
		l->ping_n++;
	} /* else the same again: where the way is longer than the interval a new number would have no answer in time */
	eci_tell(l, ECI_H_PING, 0, l->ping_n, 0);
}

void eci_beat_pong(struct eci_link *l, uint64_t n)
{
	if (!l->ping_sent || n != l->ping_n)
		return; /* the second answer to one that was said again */
	l->rtt_ms = (uint32_t)(l->router->now - l->ping_sent);
	l->ping_sent = 0;
	eci_credit_sample(l, l->rtt_ms);
}

void eci_beat_want(struct eci_link *l)
{
	struct eci_router *r = l->router;
	if (!l->up)
		return;
	if (l->parent || !l->idle) { /* of the largest window too: a way that has become slow must make it smaller */
		if (!l->probe_left) {
			l->probe_left = l->inflight;
			l->probe_at = r->now;
		}
		return;
	}
	if (l->ping_sent || l->window >= ECI_HOP_WINDOW_MAX)
		return; /* of the largest the PINGs that go anyway are enough */
	uint64_t at = l->ping_last + ECI_PROBE_EVERY;
	if (at < r->now)
		at = r->now;
	if (at < l->ping_next) {
		l->ping_next = at;
		eci_due(r, at);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Does what is due on one link and returns when to come again. */
static uint64_t tick_link(struct eci_link *l)
{
	uint64_t now = l->router->now, next = ECI_NEVER;
	if (!l->started || l->broken)
		return ECI_NEVER;
	if (l->idle) {
		if (now - l->heard >= l->idle) {
			eci_link_break(l, "silent", "no byte came for the idle time");
			return ECI_NEVER;
		}
		next = l->heard + l->idle;
		if (now >= l->ping_next)
			ping(l);
		next = earlier(next, l->ping_next);
	}
	if (now >= l->ack_due)
		eci_credit_flush(l);
	return earlier(next, l->ack_due);
}

uint64_t eci_router_tick(struct eci_router *r, uint64_t now_ms)
{
	eci_router_enter(r, now_ms);
	if (r->now >= r->due) {
		/* Raised first: what happens meanwhile may lower it again. */
		uint64_t next = ECI_NEVER;
		r->due = ECI_NEVER;
		uint32_t id = 0; /* a child may go while it is looked at */
		for (struct eci_link *l; (l = eci_kid_above(r, id)) != NULL;) {
			id = l->peer;
			next = earlier(next, tick_link(l));
		}
		if (ECI_HAS(r->parent))
			next = earlier(next, tick_link(r->parent));
		eci_due(r, next);
		eci_streams_tick(r);
	}
	eci_router_leave(r);
	return r->due;
}
