/* Slots: whose answer is believed, and how they end. */
#include "router_support.h"

static const uint8_t nil[] = {0xF6};

static void notice_with(struct world *w, struct eci_link *l, uint32_t src, uint32_t slot, const char *reason,
			const char *evidence)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 4);
	eci_cbor_put_str(&b, reason);
	eci_cbor_put_uint(&b, 75);
	eci_cbor_put_uint(&b, src);
	eci_cbor_put_str(&b, evidence);
	feed(w, l, ECI_CONTROL, ECI_F_DEAD, eci_router_id(w->r), src, slot, 0, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
}

static void notice_of(struct world *w, struct eci_link *l, uint32_t src, uint32_t slot, const char *reason)
{
	notice_with(w, l, src, slot, reason, "No route to host");
}

static void notice(struct world *w, struct eci_link *l, uint32_t src, uint32_t slot)
{
	notice_of(w, l, src, slot, "lost");
}

Test(slot, one_answer_from_its_respondent)
{
	struct world *w = world_master();
	struct answer a = {0};
	struct eci_frame f;
	uint32_t s = eci_slot_open(w->r, 73, ECI_SLOT_ONCE, on_answer, &a);
	cr_assert_geq(s, ECI_H_FIRST_SLOT);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, s, 0, nil, 1); /* on the way, but not it */
	feed(w, w->kid[1], ECI_CALL, 0, 0, 80, s, 0, nil, 1);
	feed(w, w->kid[0], ECI_CONTROL, 0, 0, 73, s, 0, nil, 1); /* an answer is no control frame */
	cr_assert(a.times == 0 && w->r->stats.bad_reply == 3);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 73, s, 0, "abc", 3);
	cr_assert(a.times == 1 && !a.dead && a.len == 3);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 73, s, 700, "abc", 3); /* a second one: nobody is there */
	cr_assert_eq(a.times, 1);
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 73, 700, "no-handle", 0));
	world_free(w);
}

Test(slot, dead_notice_over_the_right_link)
{
	struct world *w = world_master();
	struct answer a = {0};
	uint32_t s = eci_slot_open(w->r, 75, ECI_SLOT_ONCE, on_answer, &a);
	notice(w, w->kid[1], 80, s);
	cr_assert(a.times == 0 && w->r->stats.bad_reply == 1);
	notice(w, w->kid[0], 72, s); /* the router on the way */
	cr_assert(a.times == 1 && a.dead && a.at == 72);
	cr_assert_str_eq(a.reason, "lost");
	cr_assert_str_eq(a.evidence, "No route to host");
	world_free(w);
}

Test(slot, a_reason_of_32_bytes_and_no_more)
{
	struct world *w = world_master();
	for (int n = 31; n <= 33; n++) {
		struct answer a = {0};
		char reason[40];
		snprintf(reason, sizeof reason, "%0*d", n, 7);
		notice_of(w, w->kid[0], 72, eci_slot_open(w->r, 75, ECI_SLOT_ONCE, on_answer, &a), reason);
		cr_assert_eq(a.times, 1);
		cr_assert_eq(strlen(a.reason), n > 32 ? 32u : (size_t)n);
		cr_assert_eq(strncmp(a.reason, reason, strlen(a.reason)), 0);
	}
	world_free(w);
}

Test(slot, evidence_of_1024_bytes_and_no_more)
{
	struct world *w = world_master();
	for (size_t n = 1023; n <= 1026; n++) {
		struct answer a = {0};
		char text[1030];
		memset(text, 'e', n);
		memcpy(text + n - 2, "\xc3\xa4", 3); /* half a character is none */
		notice_with(w, w->kid[0], 72, eci_slot_open(w->r, 75, ECI_SLOT_ONCE, on_answer, &a), "lost", text);
		cr_assert_eq(a.times, 1);
		cr_assert_eq(strlen(a.evidence), n == 1025 ? 1023 : n < 1025 ? n : 1024);
	}
	world_free(w);
}

Test(slot, notice_that_cannot_be_read_is_an_answer_still)
{
	struct world *w = world_master();
	struct answer a = {0};
	uint32_t s = eci_slot_open(w->r, 75, ECI_SLOT_ONCE, on_answer, &a);
	feed(w, w->kid[0], ECI_CONTROL, ECI_F_DEAD, 0, 75, s, 0, "\x84\x61", 2);
	cr_assert(a.times == 1 && a.dead);
	cr_assert_str_eq(a.reason, "bad-body");
	world_free(w);
}

Test(slot, a_relay_waits_for_its_parent_and_ancestors)
{
	struct world *w = world_relay();
	struct answer a = {0}, b = {0};
	uint32_t s = eci_slot_open(w->r, 0, ECI_SLOT_ONCE, on_answer, &a);
	uint32_t t = eci_slot_open(w->r, 9, ECI_SLOT_ONCE, on_answer, &b);
	notice(w, w->kid[0], 72, s);
	cr_assert_eq(a.times, 0);
	feed(w, w->up, ECI_CALL, 0, ME, 0, s, 0, nil, 1);
	cr_assert(a.times == 1 && !a.dead);
	eci_link_lost(w->up, "eof", "master is gone", w->now);
	cr_assert(b.times == 1 && b.dead && b.at == ME);
	cr_assert_str_eq(b.reason, "lost");
	cr_assert_str_eq(b.evidence, "master is gone");
	(void)t;
	world_free(w);
}

Test(slot, many_stays_until_closed_or_dead)
{
	struct world *w = world_master();
	struct answer a = {0};
	uint32_t s = eci_slot_open(w->r, 72, ECI_SLOT_MANY, on_answer, &a);
	for (int i = 1; i <= 3; i++) {
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, s, 0, nil, 1);
		cr_assert_eq(a.times, i);
	}
	notice(w, w->kid[0], 72, s);
	cr_assert(a.times == 4 && a.dead);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, s, 0, nil, 1);
	cr_assert_eq(a.times, 4);
	s = eci_slot_open(w->r, 72, ECI_SLOT_MANY, on_answer, &a);
	eci_slot_close(w->r, s);
	eci_slot_close(w->r, s);
	feed(w, w->kid[0], ECI_CALL, 0, 0, 72, s, 0, nil, 1);
	cr_assert_eq(a.times, 4);
	world_free(w);
}

/* The notice is behind all that was sent from there, which waits for the hop's credit. */
Test(slot, data_for_one_that_was_closed)
{
	struct world *w = world_master();
	struct answer a = {0};
	struct eci_frame f;
	static uint8_t body[ECI_BULK_BODY_MAX];
	enum { FRAMES = 2 * ECI_HOP_WINDOW_MIN / ECI_BULK_BODY_MAX };
	uint32_t s = eci_slot_open(w->r, 72, ECI_SLOT_MANY, on_answer, &a);
	for (int i = 0; i < FRAMES; i++)
		cr_assert_eq(eci_router_send(w->r, ECI_BULK, 0, 72, 700, s, body, sizeof body, w->now), 0);
	cr_assert_eq(eci_router_send(w->r, ECI_BULK, ECI_F_DEAD, 72, 700, s, "\x80", 1, w->now), 0);
	eci_slot_close(w->r, s);
	feed(w, w->kid[0], ECI_BULK, 0, 0, 72, s, 700, nil, 1);
	int came = 0;
	while (take(w, w->kid[0], &f)) {
		if (f.handle != 700)
			continue;
		if (came < FRAMES)
			cr_assert_eq(f.len, sizeof body, "%d", came);
		else if (came == FRAMES)
			cr_assert(f.flags == ECI_F_DEAD && f.len == 1);
		else
			cr_assert(is_dead(w, &f, 72, 700, "no-handle", 0) && f.reply_to == s);
		came++;
		feed_int(w, w->kid[0], 72, ECI_H_ACK, f.len + ECI_FRAME_HEADER);
	}
	cr_assert_eq(came, FRAMES + 2);
	world_free(w);
}

Test(slot, thousands_are_found_and_never_reused)
{
	struct world *w = world_master();
	static struct answer a[5000];
	static uint32_t s[5000];
	for (int i = 0; i < 5000; i++) {
		s[i] = eci_slot_open(w->r, 72, ECI_SLOT_ONCE, on_answer, &a[i]);
		cr_assert(!i || s[i] > s[i - 1]);
		if (i % 3 == 0)
			eci_slot_close(w->r, s[i]);
	}
	for (int i = 4999; i >= 0; i--)
		feed(w, w->kid[0], ECI_CALL, 0, 0, 72, s[i], 0, nil, 1);
	for (int i = 0; i < 5000; i++)
		cr_assert_eq(a[i].times, i % 3 != 0);
	w->r->next_slot = UINT32_MAX; /* around the end of the numbers, past one still in use */
	uint32_t last = eci_slot_open(w->r, 72, ECI_SLOT_ONCE, on_answer, &a[0]);
	uint32_t again = eci_slot_open(w->r, 72, ECI_SLOT_ONCE, on_answer, &a[0]);
	cr_assert(last == UINT32_MAX && again == ECI_H_FIRST_SLOT);
	w->r->next_slot = UINT32_MAX;
	cr_assert_eq(eci_slot_open(w->r, 72, ECI_SLOT_ONCE, on_answer, &a[0]), ECI_H_FIRST_SLOT + 1);
	world_free(w);
}

/* ---- loss ---- */
static struct world *the_world;
static uint32_t chain[4];
static int chain_calls;

/* Closes its successors and opens a new slot for the respondent that was just lost. */
static void on_chain(void *arg, const struct eci_answer *a)
{
	chain_calls++;
	cr_assert(a->dead && !a->f);
	cr_assert_null(eci_slot_find(the_world->r, chain[(uintptr_t)arg]), "freed before its function is called");
	for (int i = 0; i < 4; i++)
		eci_slot_close(the_world->r, chain[i]);
	cr_assert_neq(eci_slot_open(the_world->r, 72, ECI_SLOT_ONCE, on_chain, NULL), 0);
	cr_assert_eq(eci_router_send(the_world->r, ECI_CALL, 0, 72, ECI_H_CALL, 300, nil, 1, the_world->now), -3);
}

Test(slot, functions_may_close_and_open_while_a_link_is_lost)
{
	the_world = world_master();
	struct answer other = {0};
	eci_slot_open(the_world->r, 80, ECI_SLOT_ONCE, on_answer, &other);
	for (uintptr_t i = 0; i < 4; i++)
		chain[i] = eci_slot_open(the_world->r, 72 + (uint32_t)i, ECI_SLOT_ONCE, on_chain, (void *)i);
	eci_link_lost(the_world->kid[0], "silent", "no byte for 15 s", the_world->now);
	cr_assert_eq(chain_calls, 1);
	cr_assert_eq(other.times, 0);
	world_free(the_world);
}

Test(slot, all_behind_a_lost_link_and_nobody_else)
{
	struct world *w = world_master();
	struct answer a[64] = {{0}};
	eci_router_grant(w->r, 72, 4096, 8, 0, w->now);
	for (uint32_t i = 0; i < 64; i++)
		eci_slot_open(w->r, i < 60 ? 64 + i : 4060 + i * 1, i % 2 ? ECI_SLOT_MANY : ECI_SLOT_ONCE, on_answer,
			      &a[i]);
	struct answer granted = {0};
	eci_slot_open(w->r, 4100, ECI_SLOT_ONCE, on_answer, &granted);
	eci_link_lost(w->kid[0], "eof", "", w->now);
	for (uint32_t i = 0; i < 60; i++)
		cr_assert_eq(a[i].times, i >= 8 && i < 16, "slot for %u", 64 + i);
	cr_assert(granted.times == 1 && granted.dead && granted.at == 0);
	cr_assert_str_eq(granted.evidence, "eof", "without evidence, the reason");
	world_free(w);
}

Test(slot, a_loss_further_down_is_told_by_range)
{
	struct world *w = world_master();
	struct answer a[3] = {{0}};
	for (uint32_t i = 0; i < 3; i++)
		eci_slot_open(w->r, 97 + i, ECI_SLOT_ONCE, on_answer, &a[i]);
	eci_router_fail(w->r, 98, 98, 96, "exited", w->now);
	cr_assert(a[0].times == 0 && a[1].times == 1 && a[2].times == 0);
	cr_assert(a[1].at == 96 && !strcmp(a[1].reason, "lost") && !strcmp(a[1].evidence, "exited"));
	world_free(w);
}

/* ---- to oneself ---- */
static int depth, deepest, rounds;
static bool self_deliver(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	struct world *w = ctx;
	cr_assert(from == ECI_FROM_SELF && !link);
	deepest = ++depth > deepest ? depth : deepest;
	if (++rounds < 5)
		eci_router_send(w->r, ECI_CALL, 0, f->src, ECI_H_SPAWN, f->reply_to, f->body, f->len, w->now);
	else
		eci_router_send(w->r, ECI_CALL, 0, f->src, f->reply_to, 0, f->body, f->len, w->now);
	depth--;
	return true;
}

Test(slot, frames_to_oneself_come_before_return_and_never_nested)
{
	static const struct eci_router_ops ops = {self_deliver, NULL, NULL, NULL};
	struct world *w = calloc(1, sizeof *w);
	struct answer a = {0};
	w->r = eci_router_new(0, 0, &ops, w);
	uint32_t s = eci_slot_open(w->r, 0, ECI_SLOT_ONCE, on_answer, &a);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 0, ECI_H_SPAWN, s, "ab", 2, 1), 0);
	cr_assert(rounds == 5 && deepest == 1);
	cr_assert(a.times == 1 && !a.dead && a.len == 2);
	/* refused by the authority table: the notice comes the same way */
	s = eci_slot_open(w->r, 0, ECI_SLOT_ONCE, on_answer, &a);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 0, ECI_H_LOG, s, "ab", 2, 1), 0);
	cr_assert(a.times == 2 && a.dead && !strcmp(a.reason, "no-authority"));
	/* large: whole, as bulk */
	s = eci_slot_open(w->r, 0, ECI_SLOT_ONCE, on_answer, &a);
	uint8_t *big = calloc(1, 1000000);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 0, ECI_H_ECHO, s, big, 1000000, 1), 0);
	cr_assert(a.times == 3 && a.len == 1000000);
	free(big);
	world_free(w);
}

/* Sends to itself, while a frame is under way and as much waits as leaves room for 10 bytes. */
static uint8_t zeros[ECI_FRAME_BODY_MAX + 1];
static int flood_rc[4];
static bool flood_deliver(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f)
{
	static const size_t sizes[] = {11, 10, 0, ECI_FRAME_BODY_MAX + 1};
	struct world *w = ctx;
	(void)from, (void)link;
	if (w->delivered++)
		return true;
	w->r->self_bytes += ECI_SELF_MAX - eci_wire(10); /* stands for frames: they would be 128 MiB */
	for (int i = 0; i < 4; i++)
		flood_rc[i] = eci_router_send(w->r, ECI_CALL, 0, 0, f->handle, 0, zeros, sizes[i], 1);
	cr_assert_eq(w->r->self_bytes, ECI_SELF_MAX);
	w->r->self_bytes -= ECI_SELF_MAX - eci_wire(10);
	return true;
}

Test(slot, what_waits_for_oneself_is_bounded)
{
	static const struct eci_router_ops ops = {flood_deliver, NULL, NULL, NULL};
	struct world *w = calloc(1, sizeof *w);
	w->r = eci_router_new(0, 0, &ops, w);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 0, ECI_H_SPAWN, 0, NULL, 0, 1), 0);
	cr_assert_eq(flood_rc[0], -4, "a byte more");
	cr_assert_eq(flood_rc[1], 0, "exactly all of it");
	cr_assert(flood_rc[2] == -4 && flood_rc[3] == -4);
	cr_assert(w->delivered == 2 && w->r->self_bytes == 0);
	world_free(w);
}

/* ---- memory ---- */
extern long eci_test_fail_after;

/* As much as is open at once, however many were. */
Test(slot, the_table_is_for_those_that_are_open)
{
	struct world *w = world_master();
	struct answer a = {0};
	uint32_t s = eci_slot_open(w->r, 73, ECI_SLOT_ONCE, on_answer, &a);
	for (int i = 0; i < 1000; i++)
		eci_slot_close(w->r, eci_slot_open(w->r, 73, ECI_SLOT_ONCE, on_answer, &a));
	cr_assert_eq(w->r->slot_mask, 15);
	eci_test_fail_after = 0;
	cr_assert_eq(eci_slot_open(w->r, 73, ECI_SLOT_ONCE, on_answer, &a), 0);
	eci_test_fail_after = -1;
	feed(w, w->kid[0], ECI_CALL, 0, 0, 73, s, 0, nil, 1);
	cr_assert_eq(a.times, 1);
	world_free(w);
}

/* ---- what a slot's function does ---- */
static void send_home(void *arg, const struct eci_answer *a)
{
	struct world *w = arg;
	cr_assert(a->dead);
	cr_assert_eq(eci_router_send(w->r, ECI_CALL, 0, 0, ECI_H_SPAWN, 0, NULL, 0, w->now), 0);
	cr_assert_eq(w->delivered, 0, "not inside of it");
}

Test(slot, what_it_sends_to_itself_comes_when_it_is_done)
{
	struct world *w = world_master();
	(void)eci_slot_open(w->r, 75, ECI_SLOT_ONCE, send_home, w);
	eci_router_fail(w->r, 75, 75, 72, "gone", w->now);
	cr_assert_eq(w->delivered, 1);
	world_free(w);
}

/* Of what is below nobody above knows anything, even where nobody leads there any more. */
Test(slot, a_parent_says_nothing_of_ones_own_block)
{
	struct world *w = world_relay();
	struct answer a = {0};
	uint32_t s = eci_slot_open(w->r, 120, ECI_SLOT_ONCE, on_answer, &a);
	notice(w, w->up, 0, s);
	cr_assert(a.times == 0 && w->r->stats.bad_reply == 1);
	s = eci_slot_open(w->r, 300, ECI_SLOT_ONCE, on_answer, &a);
	notice(w, w->kid[0], 72, s);
	cr_assert(a.times == 0 && w->r->stats.bad_reply == 2);
	notice(w, w->up, 0, s);
	cr_assert(a.times == 1 && a.dead);
	world_free(w);
}

/* ---- streams ---- */
Test(slot, credit_is_for_the_streams_respondent)
{
	struct world *w = world_master();
	struct eci_frame f;
	struct answer a = {0};
	uint32_t s = eci_slot_open(w->r, 73, ECI_SLOT_MANY, on_answer, &a);
	feed_pair(w, w->kid[0], 0, 72, ECI_H_CREDIT, 300, s, 5);
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 72, 300, "no-authority", 0));
	feed_pair(w, w->kid[0], 0, 73, ECI_H_CREDIT, 300, s + 1, 5);
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 73, 300, "no-handle", 0));
	feed(w, w->kid[0], ECI_CONTROL, 0, 0, 73, ECI_H_CREDIT, 300, "\x81\x01", 2);
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 73, 300, "bad-body", 0));
	cr_assert_eq(w->delivered, 0);
	feed_pair(w, w->kid[0], 0, 73, ECI_H_CREDIT, 300, s, 5);
	cr_assert(take(w, w->kid[0], &f) && is_dead(w, &f, 73, 300, "no-handle", 0), "a slot that is no stream");
	cr_assert_eq(w->delivered, 0);
	world_free(w);
}
