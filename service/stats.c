/* STATS: what the router has counted, in one message. Rows are as many as there are children; a message may be large.
 */
#include "service/stats.h"

#include "core/cbor.h"

enum { FIGURES = 7 };

/* A link's figures in the order of a row, after its id. */
static void figures(const struct eci_link *l, uint64_t v[FIGURES])
{
	struct eci_link_stats s;
	eci_link_get_stats(l, &s);
	v[0] = s.peer;
	v[1] = s.frames_in;
	v[2] = s.frames_out;
	v[3] = s.bytes_in;
	v[4] = s.bytes_out;
	v[5] = s.queued_bytes;
	v[6] = s.rtt_us;
}

static void put_list(struct eci_buf *b, const uint64_t *v, uint32_t n)
{
	eci_cbor_put_array(b, n);
	for (uint32_t i = 0; i < n; i++)
		eci_cbor_put_uint(b, v[i]);
}

void eci_stats_put(struct eci_buf *b, struct eci_router *r, const struct eci_stats_rest *rest)
{
	uint64_t keys[8] = {0}, v[FIGURES];
	struct eci_router_stats s;
	uint32_t rows = 0;
	struct eci_link *l = eci_router_parent(r);
	if (l) {
		figures(l, v);
		for (int i = 0; i < 5; i++)
			keys[i] = v[i + 1];
	}
	for (l = NULL; (l = eci_router_next_link(r, l)) != NULL; rows++) {
		figures(l, v);
		for (int i = 0; i < 5; i++)
			keys[i] += v[i + 1];
	}
	keys[5] = rest->modules;
	keys[6] = rest->requests;
	keys[7] = rest->dials;
	eci_cbor_put_map(b, 10);
	for (uint32_t i = 0; i < 8; i++) {
		eci_cbor_put_uint(b, i);
		eci_cbor_put_uint(b, keys[i]);
	}
	eci_router_get_stats(r, &s);
	const uint64_t counters[] = {s.bad_src, s.bad_auth, s.bad_reply, s.no_group, s.dropped_logs};
	eci_cbor_put_uint(b, 8);
	put_list(b, counters, 5);
	eci_cbor_put_uint(b, 9);
	eci_cbor_put_array(b, rows);
	for (l = NULL; (l = eci_router_next_link(r, l)) != NULL;) {
		figures(l, v);
		put_list(b, v, FIGURES);
	}
}
