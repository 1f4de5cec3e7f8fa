/* The decision for an arriving frame, where one condition of it is all that stands between two answers (test_rules.c
 * has its rules), and what else router.c lets nobody do. */
#include "router_support.h"

extern long eci_test_fail_after;
static const uint8_t zeros[60000]; /* more than a queue has room for without an allocation */

/* The parent would take its src for a forgery, and who sent it would hear nothing. */
Test(decision, what_came_down_is_not_sent_up_again)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->up, ECI_CALL, 0, 5000, 0, 300, 9, "\xF6", 1);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 9, "no-route", 5000));
	cr_assert_not(take(w, w->up, &f));
	world_free(w);
}

/* A notice about a GRANT has its handle, and perhaps a block in its body, and gives nothing. */
Test(decision, a_dead_grant_gives_no_block)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->up, ECI_CALL, ECI_F_DEAD, 72, 0, ECI_H_GRANT, 0, "\x82\x18\x70\x08", 4); /* [112, 8] */
	cr_assert(take(w, w->kid[0], &f) && f.handle == ECI_H_GRANT && f.flags & ECI_F_DEAD);
	cr_expect_eq(w->kid[0]->niv, 1);
	feed(w, w->up, ECI_CALL, 0, 72, 0, ECI_H_GRANT, 0, "\x82\x18\x70\x08", 4);
	cr_expect_eq(w->kid[0]->niv, 2);
	world_free(w);
}

/* Nobody waits for a LOG: one that finds no room is counted, and not answered, though it names a slot. */
Test(decision, a_log_that_is_lost_is_not_answered)
{
	struct world *w = world_relay();
	struct eci_frame f;
	(void)drop_output(w, w->up);
	eci_test_fail_after = 0;
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, ECI_H_LOG, 701, zeros, sizeof zeros);
	cr_assert_eq(eci_test_fail_after, -1, "an allocation failed");
	cr_expect_eq(w->up->lost_logs, 1);
	cr_expect_not(take(w, w->kid[0], &f));
	world_free(w);
}

/* A parent that says it is us would be its own child. */
Test(decision, a_hello_from_ones_own_id)
{
	struct world w = {.now = 1000};
	w.r = eci_router_new(7, 0, &world_ops, &w);
	w.up = eci_router_add_parent(w.r, &w);
	feed(&w, w.up, ECI_CONTROL, 0, ME, ME, ECI_H_HELLO, 0, "\xA0", 1);
	cr_expect(w.broken == 1 && w.broken_link == w.up);
	cr_expect_str_eq(w.reason, "bad-hello");
	eci_router_free(w.r);
	eci_buf_deinit(&w.wires[KIDS].bytes);
	for (int i = 0; i < KIDS; i++)
		eci_buf_deinit(&w.wires[i].bytes);
}

Test(decision, a_block_beyond_the_last_id_is_none)
{
	struct eci_router *r = eci_router_new(7, 8, &world_ops, NULL);
	eci_router_set_block(r, UINT32_MAX - 7u, 9);
	eci_router_set_block(r, 100, 0);
	cr_expect_eq(eci_router_id(r), 7);
	eci_router_set_block(r, UINT32_MAX - 7u, 8);
	cr_expect_eq(eci_router_id(r), UINT32_MAX - 7u);
	eci_router_free(r);
}

/* What a notice is written into is there from the beginning: without it, who waits would not even lose the link. */
Test(decision, no_memory_for_a_notice_is_the_links_end)
{
	struct world *w = world_relay();
	struct eci_frame f = {.src = 72, .dst = ME, .reply_to = 9};
	char evidence[ECI_NOTICE_EVIDENCE_MAX + 2];
	memset(evidence, 'x', sizeof evidence - 1);
	evidence[sizeof evidence - 1] = 0;
	(void)drop_output(w, w->kid[0]);
	eci_test_fail_after = 0;
	eci_router_dead(w->r, &f, "block-exhausted", evidence, w->now);
	cr_assert_eq(eci_test_fail_after, -1, "an allocation failed");
	cr_assert(w->broken == 1 && w->broken_link == w->kid[0]);
	cr_expect_str_eq(w->reason, "queue-overflow");
	world_free(w);
}

/* What a link that has failed is given would be lost to all others. */
Test(decision, a_block_for_a_link_that_has_failed)
{
	struct world *w = world_master();
	struct eci_frame f;
	cr_expect_eq(eci_router_grant(w->r, 72, 4096, 8, 777, w->now), 0);
	cr_expect(take(w, w->kid[0], &f) && f.handle == ECI_H_GRANT && f.reply_to == 777);
	eci_link_break(w->kid[0], "eof", "");
	cr_expect_eq(eci_router_grant(w->r, 72, 8192, 8, 777, w->now), -3);
	cr_expect_eq(w->kid[0]->niv, 2);
	cr_expect_eq(eci_router_grant(w->r, 80, 8192, 8, 0, w->now), 0);
	world_free(w);
}

/* Who calls may have read the clock before another did. */
Test(decision, time_does_not_go_back)
{
	struct world *w = world_relay();
	(void)eci_router_tick(w->r, 5000);
	(void)eci_router_tick(w->r, 4000);
	cr_expect_eq(w->r->now, 5000);
	world_free(w);
}
