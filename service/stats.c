/* STATS: what the router has counted, in one message. Rows are as many as there are children; a message may be large.
 */
#include "service/stats.h"

#include "core/cbor.h"

enum { SUMS = 5, FIGURES = 7, COUNTERS = 5 };

/* Both are read as arrays. */
#define PLACE(member) (offsetof(struct eci_link_stats, member) / sizeof(uint64_t))
_Static_assert(PLACE(peer) == 0 && PLACE(frames_in) == 1 && PLACE(queued_bytes) == SUMS && PLACE(rtt_us) == FIGURES - 1,
	       "the order of a row");
_Static_assert(sizeof(struct eci_router_stats) == COUNTERS * sizeof(uint64_t), "the counters, and nothing else");

static void put_list(struct eci_buf *b, const uint64_t *v, uint32_t n)
{
	eci_cbor_put_array(b, n);
	for (uint32_t i = 0; i < n; i++)
		eci_cbor_put_uint(b, v[i]);
}

static void add(uint64_t keys[SUMS], const struct eci_link *l)
{
	struct eci_link_stats s;
	eci_link_get_stats(l, &s);
	for (int i = 0; i < SUMS; i++)
		keys[i] += (&s.frames_in)[i];
}

void eci_stats_put(struct eci_buf *b, struct eci_router *r, const struct eci_stats_rest *rest)
{
	uint64_t keys[SUMS + 3] = {[SUMS] = rest->modules, rest->requests, rest->dials};
	struct eci_router_stats counters;
	struct eci_link_stats row;
	uint32_t rows = 0;
	struct eci_link *l = eci_router_parent(r);
	if (l) { /* its frames and bytes are counted by the parent, the other way round: in its row of us */
		eci_link_get_stats(l, &row);
		keys[SUMS - 1] = row.queued_bytes;
	}
	for (l = NULL; (l = eci_router_next_link(r, l)) != NULL; rows++)
		add(keys, l);
	eci_cbor_put_map(b, SUMS + 5);
	for (uint32_t i = 0; i < SUMS + 3; i++) {
		eci_cbor_put_uint(b, i);
		eci_cbor_put_uint(b, keys[i]);
	}
	eci_router_get_stats(r, &counters);
	eci_cbor_put_uint(b, 8);
	put_list(b, &counters.bad_src, COUNTERS);
	eci_cbor_put_uint(b, 9);
	eci_cbor_put_array(b, rows);
	for (l = NULL; (l = eci_router_next_link(r, l)) != NULL;) {
		eci_link_get_stats(l, &row);
		put_list(b, &row.peer, FIGURES);
	}
}
