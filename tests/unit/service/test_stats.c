/* STATS: each figure at its place, sums over the children, and of the parent's link only what waits there. */
#include "router/internal.h"
#include "service/stats.h"
#include <criterion/criterion.h>
#include <string.h>

static const struct eci_router_ops no_ops;

/* Figures of a link that are all different, from n on. */
static void figures(struct eci_link *l, uint64_t n)
{
	l->stats.frames_in = n + 1;
	l->stats.frames_out = n + 2;
	l->stats.bytes_in = n + 3;
	l->stats.bytes_out = n + 4;
	l->rtt_ms = (uint32_t)n + 6;
	cr_assert_eq(eci_buf_append(&l->call, "xxxxxxxxx", n / 100 + 1), 0);
}

static void is_list(struct eci_cbor *c, const uint64_t *due, size_t n)
{
	cr_assert_eq(eci_cbor_get_array(c), n);
	for (size_t i = 0; i < n; i++) {
		uint64_t got = eci_cbor_get_uint(c);
		cr_expect_eq(got, due[i], "%zu: %llu", i, (unsigned long long)got);
	}
}

Test(stats, sums_counters_and_rows)
{
	struct eci_router *r = eci_router_new(7, 0, &no_ops, NULL);
	const struct eci_stats_rest rest = {.modules = 1001, .requests = 1002, .dials = 1003};
	struct eci_buf b = ECI_BUF_NULL;
	eci_router_set_block(r, 64, 64);
	figures(eci_router_add_parent(r, NULL), 400); /* five bytes wait there */
	figures(eci_router_add_child(r, 72, 8, NULL), 100);
	figures(eci_router_add_child(r, 80, 8, NULL), 200);
	r->stats = (struct eci_router_stats){11, 12, 13, 14, 15};
	eci_stats_put(&b, r, &rest);
	struct eci_cbor c = eci_cbor_open(eci_buf_data(&b), eci_buf_len(&b));
	static const uint64_t sums[] = {302, 304, 306, 308, 2 + 3 + 5, 1001, 1002, 1003},
			      counters[] = {11, 12, 13, 14, 15};
	static const uint64_t rows[][7] = {{72, 101, 102, 103, 104, 2, 106000}, {80, 201, 202, 203, 204, 3, 206000}};
	cr_assert_eq(eci_cbor_get_map(&c), 10);
	for (uint64_t i = 0; i < 8; i++) {
		cr_expect_eq(eci_cbor_get_uint(&c), i);
		cr_expect_eq(eci_cbor_get_uint(&c), sums[i], "%u", (unsigned)i);
	}
	cr_expect_eq(eci_cbor_get_uint(&c), 8);
	is_list(&c, counters, 5);
	cr_expect_eq(eci_cbor_get_uint(&c), 9);
	cr_assert_eq(eci_cbor_get_array(&c), 2);
	for (int i = 0; i < 2; i++)
		is_list(&c, rows[i], 7);
	cr_expect(!c.bad && c.p == c.end);
	eci_buf_deinit(&b);
	eci_router_free(r);
}
