/* Hop credit: how many bytes of bulk may be on a link without an acknowledgement, and when acknowledgements go.
 *
 * The sender's side keeps `inflight` at or below `window`, which is never smaller than a frame: with nothing in flight
 * one may always go. Without it everything would be swallowed by the carrier's own buffers, and a control frame would
 * have to wait behind megabytes that can no longer be reordered.
 *
 * The receiver's side counts what it has taken (`unacked`) and what of it may be acknowledged (`owed`): from the parent
 * at once, since PAUSE is what holds a parent back; from a child when the frame has left, so that a child never fills
 * more than one window of this router. An ACK goes at ECI_ACK_AT owed bytes, one for all that
 * a read or a write has settled, else within ECI_ACK_WITHIN ms (tick).
 *
 * The window follows the link: it doubles when bulk waited for credit while the round trip is near its best, until a
 * round trip says for the first time that bytes pile up on the way; that doubling is taken back, and from then on it
 * goes by quarters, so that it ends near what the link holds and not at twice that: what is beyond it is a queue that
 * every call waits in. That queue is as much of the window as the excess is of the round trip (as TCP Vegas reckons,
 * RFC 6297 section 2.1); two frames of it are no more than a burst, until bytes have piled up: the best round trip of a
 * slow link is a full window's. How much excess is near is also a part of the best, for a long way is an uneven one. A
 * parent measures with its heartbeat, which it sends early when bulk waits. A child has no heartbeat of its own; it
 * takes the time until everything in flight when it ran dry is acknowledged, which includes what the parent's own next
 * link adds: the pressure that should reach it. */
#include "router/internal.h"

_Static_assert(ECI_FRAME_HEADER + ECI_BULK_BODY_MAX <= ECI_HOP_WINDOW_MIN, "or nothing in flight could block a frame");

void eci_credit_sent(struct eci_link *l, uint32_t size)
{
	l->inflight += size;
}

bool eci_credit_got(struct eci_link *l, uint32_t size)
{
	l->unacked += size;
	if (l->unacked > ECI_HOP_WINDOW_MAX + ECI_HOP_WINDOW_MIN) {
		eci_link_break(l, "bad-credit", "more bulk than the largest window");
		return false;
	}
	if (l->parent)
		eci_credit_owe(l, size);
	return true;
}

void eci_credit_owe(struct eci_link *l, uint32_t size)
{
	l->owed += size;
	if (l->ack_due == ECI_NEVER) {
		l->ack_due = l->router->now + ECI_ACK_WITHIN;
		eci_due(l->router, l->ack_due);
	}
}

void eci_credit_settle(struct eci_link *l)
{
	if (l->owed >= ECI_ACK_AT)
		eci_credit_flush(l);
}

void eci_credit_flush(struct eci_link *l)
{
	uint32_t n = l->owed;
	l->ack_due = ECI_NEVER;
	if (!n || l->broken)
		return;
	l->owed = 0;
	l->unacked -= n;
	eci_tell(l, ECI_H_ACK, 0, n, 0);
}

void eci_credit_acked(struct eci_link *l, uint64_t n)
{
	if (n > l->inflight) {
		eci_link_break(l, "bad-credit", "ACK for more than was sent");
		return;
	}
	l->inflight -= (uint32_t)n;
	if (l->probe_left && n >= l->probe_left) {
		l->probe_left = 0;
		eci_credit_sample(l, (uint32_t)(l->router->now - l->probe_at));
	} else if (l->probe_left) {
		l->probe_left -= (uint32_t)n;
	}
	eci_wake(l);
}

void eci_credit_sample(struct eci_link *l, uint32_t rtt_ms)
{
	if (rtt_ms < l->rtt_best)
		l->rtt_best = rtt_ms;
	uint32_t over = rtt_ms - l->rtt_best, w = l->window;
	uint64_t queue = (uint64_t)w * over, frame = (uint64_t)rtt_ms * ECI_QUANTUM; /* both are times rtt_ms */
	if (over > ECI_RTT_SLACK && over > l->rtt_best / 4 && queue > 3 * frame) {
		w -= l->filled ? w / 4 : w / 2;
		l->filled = true;
	} else if (l->starved &&
		   (over <= ECI_RTT_NEAR || over <= l->rtt_best / 16 || (!l->filled && queue <= 2 * frame))) {
		w += l->filled ? w / 4 : w;
	}
	w = w > ECI_HOP_WINDOW_MIN ? w : ECI_HOP_WINDOW_MIN;
	l->window = w < ECI_HOP_WINDOW_MAX ? w : ECI_HOP_WINDOW_MAX;
	l->starved = false;
	eci_wake(l);
}
