/* Intervals and routes against naive models, GRANT, and what may become a child. */
#include "router_support.h"
#include "tests/support/random.h"

/* ---- eci_iv_add against a bitmap ---- */
#define SPACE 2048u

Test(route, interval_sets_against_a_bitmap)
{
	struct eci_random rnd = eci_random_open("interval_sets", 41);
	for (int round = 0; round < 300; round++) {
		struct eci_interval v[ECI_INTERVALS_MAX];
		uint32_t n = 0;
		static uint8_t map[SPACE];
		memset(map, 0, sizeof map);
		uint32_t width = 1 + eci_random_below(&rnd, 60);
		for (int i = 0; i < 60; i++) {
			uint32_t lo = eci_random_below(&rnd, SPACE - 64), hi = lo + eci_random_below(&rnd, width);
			uint32_t had = n;
			bool added = eci_iv_add(v, &n, lo, hi);
			if (!added) { /* refused only when it stands alone and there is no room */
				cr_assert_eq(had, ECI_INTERVALS_MAX);
				for (uint32_t k = lo ? lo - 1 : 0; k <= hi + 1; k++)
					cr_assert_eq(map[k], 0);
				continue;
			}
			memset(map + lo, 1, hi - lo + 1);
			cr_assert_leq(n, ECI_INTERVALS_MAX);
			for (uint32_t k = 1; k < n; k++) /* sorted, disjoint, not adjacent */
				cr_assert(v[k].lo > v[k - 1].hi + 1);
			for (uint32_t k = 0; k < SPACE; k++)
				cr_assert_eq(eci_iv_has(v, n, k), map[k] != 0);
		}
	}
}

Test(route, intervals_at_the_ends_of_the_id_space)
{
	struct eci_interval v[ECI_INTERVALS_MAX];
	uint32_t n = 0;
	cr_assert(eci_iv_add(v, &n, UINT32_MAX - 7, UINT32_MAX));
	cr_assert(eci_iv_add(v, &n, 0, 7));
	cr_assert_eq(n, 2);
	cr_assert(eci_iv_add(v, &n, 8, UINT32_MAX - 8));
	cr_assert(n == 1 && v[0].lo == 0 && v[0].hi == UINT32_MAX);
	cr_assert(eci_iv_add(v, &n, 5, 6));
	cr_assert_eq(n, 1);
}

/* ---- random trees ---- */
struct block {
	uint32_t lo, hi;
	struct eci_link *link;
};

Test(route, lookup_against_a_list)
{
	struct eci_random rnd = eci_random_open("lookup", 42);
	for (int round = 0; round < 40; round++) {
		struct world *w = calloc(1, sizeof *w);
		w->r = eci_router_new(0, 0, &world_ops, w);
		struct block all[200];
		uint32_t n = 0;
		for (int step = 0; step < 600; step++) {
			uint32_t what = eci_random_below(&rnd, 10);
			uint32_t lo = 8 * (1 + eci_random_below(&rnd, 3000)), size = 8u << eci_random_below(&rnd, 4);
			bool meets = false;
			for (uint32_t i = 0; i < n; i++)
				meets = meets || (lo <= all[i].hi && lo + size - 1 >= all[i].lo);
			if (what < 4 && n < 200) {
				struct eci_link *l = eci_router_add_child(w->r, lo, size, NULL);
				cr_assert_eq(l == NULL, meets);
				if (l)
					all[n++] = (struct block){lo, lo + size - 1, l};
			} else if (what < 7 && n && n < 200) {
				struct block b = all[eci_random_below(&rnd, n)];
				bool foreign = false;
				for (uint32_t i = 0; i < n; i++)
					foreign = foreign || (all[i].link != b.link && lo <= all[i].hi &&
							      lo + size - 1 >= all[i].lo);
				int rc = eci_router_grant(w->r, b.lo, lo, size, 0, 0);
				cr_assert(rc == (foreign ? -3 : 0) || rc == -5);
				if (rc == 0)
					all[n++] = (struct block){lo, lo + size - 1, b.link};
			} else if (what == 7 && n) {
				struct eci_link *l = all[eci_random_below(&rnd, n)].link;
				uint32_t kept = 0;
				for (uint32_t i = 0; i < n; i++)
					if (all[i].link != l)
						all[kept++] = all[i];
				n = kept;
				eci_link_lost(l, "eof", "", 0);
			}
			for (int k = 0; k < 20; k++) {
				uint32_t id = eci_random_below(&rnd, 30000);
				struct eci_link *want = NULL;
				for (uint32_t i = 0; i < n; i++)
					if (id >= all[i].lo && id <= all[i].hi)
						want = all[i].link;
				cr_assert_eq(eci_router_link_to(w->r, id), want);
			}
			for (uint32_t i = 1; i < w->r->nroutes; i++)
				cr_assert(w->r->routes[i].lo > w->r->routes[i - 1].hi);
		}
		struct eci_link *prev = NULL;
		uint32_t count = 0;
		for (struct eci_link *l = NULL; (l = eci_router_next_link(w->r, l)); prev = l, count++)
			cr_assert(!prev || eci_link_peer(prev) < eci_link_peer(l));
		uint32_t kids = 0;
		for (uint32_t i = 0, k; i < n; i++) {
			for (k = 0; all[k].link != all[i].link; k++)
				;
			kids += k == i;
		}
		cr_assert_eq(count, kids);
		world_free(w);
	}
}

Test(route, what_may_be_a_child)
{
	struct world *w = world_relay();
	cr_assert_null(eci_router_add_child(w->r, 64, 8, NULL), "holds my own id");
	cr_assert_null(eci_router_add_child(w->r, 56, 8, NULL), "below my block");
	cr_assert_null(eci_router_add_child(w->r, 120, 16, NULL), "reaches past my block");
	cr_assert_null(eci_router_add_child(w->r, 128, 8, NULL), "after my block");
	cr_assert_null(eci_router_add_child(w->r, 76, 2, NULL), "inside another child's");
	cr_assert_null(eci_router_add_child(w->r, 88, 16, NULL), "meets another child's");
	cr_assert_null(eci_router_add_child(w->r, 112, 0, NULL), "empty");
	cr_assert_null(eci_router_add_child(w->r, UINT32_MAX, 8, NULL), "wraps");
	cr_assert_null(eci_router_add_parent(w->r, NULL), "a second parent");
	struct eci_link *l = eci_router_add_child(w->r, 120, 8, NULL);
	cr_assert_not_null(l);
	cr_assert_eq(eci_router_link_to(w->r, 127), l);
	cr_assert_eq(eci_router_link_to(w->r, 72), w->kid[0]);
	cr_assert_null(eci_router_link_to(w->r, 64));
	world_free(w);
}

/* ---- GRANT ---- */
Test(route, grant_passes_and_is_learnt)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed_pair(w, w->up, 73, 0, ECI_H_GRANT, 300, 4096, 64);
	cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_GRANT && f.dst == 73);
	feed(w, w->up, ECI_CALL, 0, 4159, 0, ECI_H_CALL, 0, "\xF6", 1);
	cr_assert(take(w, w->kid[0], &f) && f.dst == 4159);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 4100, ECI_H_LOG, 0, "\xF6", 1);
	cr_assert(take(w, w->up, &f) && f.src == 4100);
	feed(w, w->up, ECI_CALL, 0, 72, 4100, ECI_H_CALL, 0, "\xF6", 1); /* mine now: not from above */
	cr_assert_eq(w->r->stats.bad_src, 1);
	eci_link_lost(w->kid[0], "eof", "gone", w->now); /* and lost with the link, not bounced up */
	feed(w, w->up, ECI_CALL, 0, 4159, 0, ECI_H_CALL, 301, "\xF6", 1);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 301, "lost", 4159));
	world_free(w);
}

Test(route, grant_for_me)
{
	struct world *w = world_relay();
	struct eci_frame f;
	cr_assert_null(eci_router_add_child(w->r, 4096, 8, NULL));
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 300, 4096, 64);
	cr_assert(take(w, w->up, &f) && f.handle == 300 && f.cls == ECI_CALL && f.len == 1 && f.body[0] == 0xF6);
	cr_assert_not_null(eci_router_add_child(w->r, 4096, 8, NULL));
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GRANT, 300, "\x82\x01", 2);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "bad-body", ME));
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 300, UINT32_MAX, 8);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "bad-body", ME));
	feed_pair(w, w->kid[0], ME, 72, ECI_H_GRANT, 300, 8192, 8);
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 72, 300, "no-authority", ME));
	/* my blocks: 64.., 4096.. and thirty more, then no more */
	for (uint32_t i = 0; i < 30; i++)
		feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 0, 10000 + 100 * i, 8);
	cr_assert_eq(w->r->nown, ECI_INTERVALS_MAX);
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 300, 20000, 8);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "block-exhausted", ME));
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 300, 10008, 8); /* adjacent: merges, so it fits */
	cr_assert(take(w, w->up, &f) && f.handle == 300 && !f.flags);
	world_free(w);
}

Test(route, thirty_two_intervals_a_link)
{
	struct world *w = world_master();
	for (uint32_t i = 1; i < ECI_INTERVALS_MAX; i++)
		cr_assert_eq(eci_router_grant(w->r, 72, 1000 + 100 * i, 8, 0, w->now), 0);
	cr_assert_eq(eci_router_grant(w->r, 72, 9000, 8, 0, w->now), -5);
	cr_assert_eq(eci_router_grant(w->r, 72, 1108, 8, 0, w->now), 0, "adjacent to [1100, 1108)");
	cr_assert_eq(eci_router_grant(w->r, 72, 80, 8, 0, w->now), -3, "another child's");
	cr_assert_eq(eci_router_grant(w->r, 500, 9000, 8, 0, w->now), -3, "nobody there");
	cr_assert_eq(drop_output(w, w->kid[0]), 32);
	world_free(w);
}

Test(route, grant_past_a_full_link_is_answered)
{
	struct world *w = world_relay();
	struct eci_frame f;
	for (uint32_t i = 1; i < ECI_INTERVALS_MAX; i++)
		feed_pair(w, w->up, 72, 0, ECI_H_GRANT, 300, 1000 + 100 * i, 8);
	cr_assert_eq(drop_output(w, w->kid[0]), 31);
	feed_pair(w, w->up, 72, 0, ECI_H_GRANT, 300, 9000, 8);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "block-exhausted", 72));
	feed_pair(w, w->up, 72, 0, ECI_H_GRANT, 300, 80, 8);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "no-authority", 72));
	feed(w, w->up, ECI_CONTROL, 0, 72, 0, ECI_H_GRANT, 300, "\xF6", 1);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "bad-body", 72));
	cr_assert_eq(drop_output(w, w->kid[0]), 0);
	world_free(w);
}

/* No block that holds my own id, at either end. */
Test(route, grant_of_my_own_id)
{
	struct world *w = world_relay();
	struct eci_frame f;
	static const uint64_t lo[] = {ME, ME - 7};
	for (size_t i = 0; i < 2; i++) {
		feed_pair(w, w->up, 72, 0, ECI_H_GRANT, 300, lo[i], 8);
		cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "no-authority", 72));
	}
	cr_assert_eq(drop_output(w, w->kid[0]), 0);
	world_free(w);
}

/* The first block beyond a child's own has an array of its own, and the table of routes must grow: whichever has no
 * memory, all is as it was. */
extern long eci_test_fail_after;
Test(route, grant_without_memory)
{
	for (long n = 0; n < 2; n++) {
		struct world *w = world_relay();
		w->r->routes_cap = w->r->nroutes;
		eci_test_fail_after = n;
		cr_assert_eq(eci_link_grant(w->kid[0], 4096, 4103), -1, "%ld", n);
		eci_test_fail_after = -1;
		cr_assert(w->kid[0]->niv == 1 && !eci_iv_has(w->r->own, w->r->nown, 4096));
		cr_assert_eq(eci_link_grant(w->kid[0], 4096, 4103), 0);
		cr_assert_eq(eci_router_link_to(w->r, 4103), w->kid[0]);
		world_free(w);
	}
}

/* Lost is what lay in a lost link's block; what is beside it was never there. */
Test(route, beside_a_lost_block)
{
	struct world *w = world_relay();
	struct eci_frame f;
	eci_link_lost(w->kid[2], "eof", "", w->now);
	for (uint32_t id = 95; id <= 112; id++) {
		feed(w, w->up, ECI_CALL, 0, id, 0, ECI_H_CALL, 301, "\xF6", 1);
		cr_assert(take(w, w->up, &f));
		cr_assert(is_dead(w, &f, 0, 301, id == 95 || id == 112 ? "no-route" : "lost", id));
	}
	world_free(w);
}

/* To the last id, and not around it. */
Test(route, grant_up_to_the_last_id)
{
	static const uint64_t bad[][2] = {
		{UINT32_MAX - 6u, 8}, {UINT64_C(1) << 32, 8}, {UINT64_MAX - 3, 8}, {2, UINT64_MAX}, {4096, 0}};
	struct world *w = world_relay();
	struct eci_frame f;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		for (uint32_t to = ME; to <= 72; to += 8) {
			feed_pair(w, w->up, to, 0, ECI_H_GRANT, 300, bad[i][0], bad[i][1]);
			cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "bad-body", to), "%zu", i);
		}
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 300, UINT32_MAX - 7u, 8);
	cr_assert(take(w, w->up, &f) && f.handle == 300 && !f.flags);
	cr_assert(eci_iv_has(w->r->own, w->r->nown, UINT32_MAX));
	world_free(w);
}
