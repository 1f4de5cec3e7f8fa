/* The decision for an arriving frame: docs/protocol.md section 3, rule by rule, and the authority table of section 5.
 */
#include "router_support.h"

extern long eci_test_fail_after;
static const uint8_t nil[] = {0xF6};
#define FORWARDED(to) (drop_output(w, to))

Test(rules, source_from_a_child_must_lie_behind_it)
{
	struct world *w = world_relay();
	static const uint32_t bad[] = {71, 80, 64, 0, 128, UINT32_MAX};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		feed(w, w->kid[0], ECI_CALL, 0, 0, bad[i], ECI_H_LOG, 5, nil, 1);
	cr_assert_eq(w->r->stats.bad_src, sizeof bad / sizeof *bad);
	cr_assert_eq(FORWARDED(w->up) + FORWARDED(w->kid[0]), 0);
	for (uint32_t src = 72; src < 80; src++)
		feed(w, w->kid[0], ECI_CALL, 0, 0, src, ECI_H_LOG, 0, nil, 1);
	cr_assert_eq(FORWARDED(w->up), 8);
	world_free(w);
}

Test(rules, source_from_the_parent_must_lie_outside_my_blocks)
{
	struct world *w = world_relay();
	static const uint32_t bad[] = {64, 72, 127};
	for (size_t i = 0; i < 3; i++)
		feed(w, w->up, ECI_CALL, 0, 72, bad[i], ECI_H_CALL, 5, nil, 1);
	cr_assert_eq(w->r->stats.bad_src, 3);
	feed(w, w->up, ECI_CALL, 0, 72, 63, ECI_H_CALL, 5, nil, 1);
	feed(w, w->up, ECI_CALL, 0, 72, 128, ECI_H_CALL, 5, nil, 1);
	cr_assert_eq(FORWARDED(w->kid[0]), 2);
	world_free(w);
}

Test(rules, authority_is_stamped_or_checked)
{
	struct world *w = world_relay();
	struct eci_frame f = {.cls = ECI_CALL, .hops = 64, .dst = 0, .src = 72, .auth = 0, .handle = ECI_H_LOG};
	feed_frame(w, w->kid[0], &f); /* the child itself: whatever it says, it acts for itself */
	cr_assert(take(w, w->up, &f));
	cr_assert_eq(f.auth, 72);
	f = (struct eci_frame){.cls = ECI_CALL, .hops = 64, .dst = 0, .src = 73, .auth = 0, .handle = ECI_H_LOG};
	feed_frame(w, w->kid[0], &f); /* a grandchild: its own router stamped it, with somebody behind the link */
	cr_assert_not(take(w, w->up, &f));
	cr_assert_eq(w->r->stats.bad_auth, 1);
	f = (struct eci_frame){.cls = ECI_CALL, .hops = 64, .dst = 0, .src = 73, .auth = 79, .handle = ECI_H_LOG};
	feed_frame(w, w->kid[0], &f);
	cr_assert(take(w, w->up, &f));
	cr_assert_eq(f.auth, 79);
	f = (struct eci_frame){.cls = ECI_CALL, .hops = 64, .dst = 72, .src = 0, .auth = 3, .handle = ECI_H_CALL};
	feed_frame(w, w->up, &f);
	cr_assert(take(w, w->kid[0], &f));
	cr_assert_eq(f.auth, 3);
	world_free(w);
}

Test(rules, hop_limit)
{
	struct world *w = world_relay();
	struct eci_frame f, in = {.cls = ECI_CALL, .dst = 73, .handle = ECI_H_CALL, .reply_to = 300};
	for (in.hops = 0; in.hops <= 1; in.hops++) {
		feed_frame(w, w->up, &in);
		cr_assert(take(w, w->up, &f));
		cr_assert(is_dead(w, &f, 0, 300, "hop-limit", 73));
	}
	in.hops = 2;
	feed_frame(w, w->up, &in);
	cr_assert(take(w, w->kid[0], &f));
	cr_assert_eq(f.hops, 1);
	in.hops = 0;
	in.dst = ME; /* arrived: no hop is needed any more */
	feed_frame(w, w->up, &in);
	cr_assert_eq(w->delivered, 1);
	world_free(w);
}

Test(rules, siblings_do_not_talk)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->kid[0], ECI_CALL, 0, 80, 73, ECI_H_CALL, 301, nil, 1);
	cr_assert_eq(FORWARDED(w->kid[1]), 0);
	cr_assert(take(w, w->kid[0], &f));
	cr_assert(is_dead(w, &f, 73, 301, "no-authority", 80));
	feed(w, w->kid[0], ECI_CALL, 0, 74, 73, ECI_H_CALL, 301, nil, 1); /* back where it came from: the same */
	cr_assert(take(w, w->kid[0], &f));
	cr_assert(is_dead(w, &f, 73, 301, "no-authority", 74));
	world_free(w);
}

Test(rules, nobody_there_is_no_route_and_gone_is_lost)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->up, ECI_CALL, 0, 100, 0, ECI_H_CALL, 302, nil, 1);
	cr_assert(take(w, w->kid[2], &f));
	feed(w, w->up, ECI_CALL, 0, 112, 0, ECI_H_CALL, 302, nil, 1);
	cr_assert(take(w, w->up, &f));
	cr_assert(is_dead(w, &f, 0, 302, "no-route", 112));
	cr_assert_str_eq(dead_evidence(&f), "");
	eci_link_lost(w->kid[2], "eof", "Connection reset by web1", w->now);
	feed(w, w->up, ECI_CALL, 0, 100, 0, ECI_H_CALL, 302, nil, 1);
	cr_assert(take(w, w->up, &f));
	cr_assert(is_dead(w, &f, 0, 302, "lost", 100));
	cr_assert_str_eq(dead_evidence(&f), "Connection reset by web1");
	world_free(w);
}

Test(rules, dead_notices_only_where_an_answer_is_awaited)
{
	struct world *w = world_relay();
	feed(w, w->up, ECI_CALL, 0, 112, 0, ECI_H_CALL, 0, nil, 1);
	feed(w, w->up, ECI_CONTROL, ECI_F_DEAD, 112, 0, 400, 302, nil, 1);
	feed(w, w->up, ECI_CALL, 0, ME, 0, 99, 0, nil, 1);
	cr_assert_eq(FORWARDED(w->up), 0);
	world_free(w);
}

Test(rules, everything_else_goes_to_the_parent)
{
	struct world *w = world_relay();
	struct eci_frame f;
	static const uint32_t dst[] = {0, 63, 128, UINT32_MAX};
	for (size_t i = 0; i < 4; i++) {
		feed(w, w->kid[0], ECI_CALL, 0, dst[i], 72, ECI_H_LOG, 0, nil, 1);
		cr_assert(take(w, w->up, &f));
		cr_assert_eq(f.dst, dst[i]);
		cr_assert_eq(f.hops, ECI_HOPS - 1);
	}
	world_free(w);
}

Test(rules, a_master_has_no_parent)
{
	struct world *w = world_master();
	struct eci_frame f;
	cr_assert_null(eci_router_add_parent(w->r, w));
	feed(w, w->kid[0], ECI_CALL, 0, 5000, 72, ECI_H_LOG, 303, nil, 1);
	cr_assert(take(w, w->kid[0], &f));
	cr_assert(is_dead(w, &f, 72, 303, "no-route", 5000));
	world_free(w);
}

Test(rules, only_64_losses_are_remembered)
{
	struct world *w = world_master();
	struct eci_frame f;
	char text[16];
	for (uint32_t i = 0; i <= ECI_LOST_KEPT; i++) {
		struct eci_link *l = eci_router_add_child(w->r, 1024 + i * 8, 8, NULL);
		snprintf(text, sizeof text, "loss %u", i);
		eci_link_lost(l, "eof", text, w->now);
	}
	struct answer a = {0};
	feed(w, w->kid[0], ECI_CALL, 0, 1024, 72, ECI_H_LOG, 303, nil, 1); /* the 65th pushed it out */
	cr_assert(take(w, w->kid[0], &f));
	cr_assert(is_dead(w, &f, 72, 303, "no-route", 1024));
	feed(w, w->kid[0], ECI_CALL, 0, 1039, 72, ECI_H_LOG, 303, nil, 1);
	cr_assert(take(w, w->kid[0], &f));
	cr_assert(is_dead(w, &f, 72, 303, "lost", 1039));
	cr_assert_str_eq(dead_evidence(&f), "loss 1");
	(void)a;
	world_free(w);
}

Test(rules, evidence_is_bounded_and_stays_text)
{
	struct world *w = world_relay();
	struct eci_frame f;
	char text[400];
	memset(text, 'x', sizeof text);
	text[199] = '\xC3', text[200] = '\xA9', text[399] = 0; /* a character across the border */
	eci_link_lost(w->kid[0], "eof", text, w->now);
	eci_link_lost(w->kid[1], "eof", "caf\xE9 (latin-1)", w->now);
	feed(w, w->up, ECI_CALL, 0, 72, 0, ECI_H_CALL, 302, nil, 1);
	cr_assert(take(w, w->up, &f));
	cr_assert_eq(eci_cbor_check(f.body, f.len, 100), 0);
	cr_assert_eq(strlen(dead_evidence(&f)), 199);
	feed(w, w->up, ECI_CALL, 0, 80, 0, ECI_H_CALL, 302, nil, 1);
	cr_assert(take(w, w->up, &f));
	cr_assert_eq(eci_cbor_check(f.body, f.len, 100), 0);
	cr_assert_str_eq(dead_evidence(&f), "caf? (latin-1)");
	world_free(w);
}

Test(rules, evidence_of_a_loss_of_200_bytes_and_no_more)
{
	struct world *w = world_relay();
	struct eci_frame f;
	char text[ECI_LOST_EVIDENCE_MAX + 2];
	for (int i = 0; i <= 1; i++) {
		memset(text, 'x', sizeof text);
		text[ECI_LOST_EVIDENCE_MAX + (size_t)i] = 0;
		eci_link_lost(w->kid[i], "eof", text, w->now);
		feed(w, w->up, ECI_CALL, 0, 72 + 8 * (uint32_t)i, 0, ECI_H_CALL, 302, nil, 1);
		cr_assert(take(w, w->up, &f));
		cr_assert_eq(strlen(dead_evidence(&f)), 200);
	}
	world_free(w);
}

/* What it is cut to, of so many bytes with a character of two bytes at `at`. */
static size_t noticed(struct world *w, size_t n, size_t at)
{
	struct eci_frame f, in = {.cls = ECI_CALL, .dst = ME, .reply_to = 302};
	char text[1200];
	memset(text, 'x', sizeof text);
	memcpy(text + at, "\xC3\xA9", 2);
	text[n] = 0;
	eci_router_dead(w->r, &in, "busy", text, w->now);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 302, "busy", ME));
	cr_assert_eq(eci_cbor_check(f.body, f.len, 100), 0);
	size_t kept = strlen(dead_evidence(&f));
	cr_assert_eq(memcmp(dead_evidence(&f), text, kept), 0);
	return kept;
}

Test(rules, evidence_in_a_notice_of_1024_bytes_and_no_more)
{
	struct world *w = world_relay();
	cr_assert_eq(noticed(w, 1024, 0), 1024);
	cr_assert_eq(noticed(w, 1025, 0), 1024);
	cr_assert_eq(noticed(w, 1024, 1022), 1024);
	cr_assert_eq(noticed(w, 1025, 1022), 1024, "its last byte is the last that fits");
	cr_assert_eq(noticed(w, 1025, 1023), 1023, "no half of it");
	world_free(w);
}

/* ---- section 5 ---- */
enum { FROM_P = 1, FROM_A = 2, FROM_C = 4, FROM_S = 8, FROM_SELF_ = 16 };
struct rule {
	uint32_t handle;
	int may;
};
static const struct rule rules[] = {
	{ECI_H_SHUTDOWN, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_SPAWN, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_RAW, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_PROMOTE, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_KILL, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_PART, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_CALL, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_CANCEL, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_EXEC, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_STATS, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_OPEN, FROM_P | FROM_A | FROM_SELF_},
	{ECI_H_GET_MODULE, FROM_C},
	{ECI_H_LOG, FROM_C | FROM_S},
};

Test(rules, authority_table)
{
	static const int who[] = {FROM_P, FROM_A, FROM_C, FROM_S, FROM_SELF_};
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		for (size_t k = 0; k < 5; k++) {
			struct world *w = world_relay();
			struct eci_link *l = who[k] <= FROM_A ? w->up : w->kid[0];
			uint32_t src = who[k] == FROM_P ? 0 : who[k] == FROM_A ? 9 : who[k] == FROM_C ? 72 : 73;
			struct answer a = {0};
			bool may = rules[i].may & who[k];
			if (who[k] == FROM_SELF_) {
				uint32_t slot = eci_slot_open(w->r, ME, ECI_SLOT_ONCE, on_answer, &a);
				int rc = eci_router_send(w->r, ECI_CALL, 0, ME, rules[i].handle, slot, nil, 1, w->now);
				cr_assert_eq(rc, 0);
			} else {
				feed(w, l, ECI_CALL, 0, ME, src, rules[i].handle, 300, nil, 1);
			}
			cr_assert_eq(w->delivered, may ? 1 : 0, "handle %u from %d", rules[i].handle, who[k]);
			struct eci_frame f;
			if (!may && who[k] != FROM_SELF_) {
				cr_assert(take(w, l, &f));
				cr_assert(is_dead(w, &f, src, 300, "no-authority", ME));
			} else if (!may) {
				cr_assert(a.times == 1 && !strcmp(a.reason, "no-authority"));
			}
			world_free(w);
		}
}

Test(rules, unknown_and_unserved_handles)
{
	struct world *w = world_relay();
	struct eci_frame f;
	static const uint32_t unknown[] = {0, 12, 15, 20, 23, 30, 31, 33 + 2, 255, 256, 70000, UINT32_MAX};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		feed(w, w->up, ECI_CALL, 0, ME, 0, unknown[i], 300, nil, 1);
		cr_assert(take(w, w->up, &f));
		cr_assert(is_dead(w, &f, 0, 300, "no-handle", ME));
	}
	cr_assert_eq(w->delivered, 0);
	w->served = false;
	feed(w, w->up, ECI_CALL, 0, ME, 0, ECI_H_CALL, 300, nil, 1);
	cr_assert_eq(w->delivered, 1);
	cr_assert(take(w, w->up, &f));
	cr_assert(is_dead(w, &f, 0, 300, "no-handle", ME));
	world_free(w);
}

Test(rules, link_local_handles_are_never_forwarded)
{
	static const uint32_t local[] = {1, 2, 3, 4, 5, 6, 10, 11, 32};
	struct eci_frame f;
	for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
		struct world *w = world_relay();
		feed(w, w->up, ECI_CONTROL, 0, 72, 0, local[i], 300, nil, 1);
		cr_assert(take(w, w->up, &f));
		cr_assert(is_dead(w, &f, 0, 300, "no-authority", 72));
		feed(w, w->kid[0], ECI_CONTROL, 0, 0, 72, local[i], 300, nil, 1);
		cr_assert(take(w, w->kid[0], &f));
		cr_assert(is_dead(w, &f, 72, 300, "no-authority", 0));
		cr_assert_eq(FORWARDED(w->up) + FORWARDED(w->kid[0]), 0);
		/* and one that is addressed to me must be from the neighbour itself */
		feed(w, w->up, ECI_CONTROL, 0, ME, 9, local[i], 300, nil, 1);
		cr_assert(take(w, w->up, &f));
		cr_assert(is_dead(w, &f, 9, 300, "no-authority", ME));
		cr_assert_eq(eci_router_send(w->r, ECI_CONTROL, 0, 73, local[i], 0, nil, 1, w->now), -3);
		cr_assert_eq(w->broken, 0);
		world_free(w);
	}
}

Test(rules, a_dead_frame_is_no_request)
{
	struct world *w = world_relay();
	feed(w, w->up, ECI_CONTROL, ECI_F_DEAD, ME, 0, ECI_H_SHUTDOWN, 0, nil, 1);
	feed(w, w->up, ECI_CONTROL, ECI_F_DEAD, ME, 0, ECI_H_ACK, 0, "\x18\xFF", 2);
	cr_assert_eq(w->delivered, 0);
	cr_assert_eq(w->broken, 0);
	world_free(w);
}

Test(rules, echo)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->up, ECI_CALL, 0, ME, 0, ECI_H_ECHO, 300, "not cbor", 8);
	cr_assert(take(w, w->up, &f));
	cr_assert(f.cls == ECI_CALL && f.handle == 300 && f.dst == 0 && f.src == ME && f.len == 8);
	cr_assert_eq(memcmp(f.body, "not cbor", 8), 0);
	feed(w, w->kid[0], ECI_CALL, 0, ME, 72, ECI_H_ECHO, 300, "x", 1);
	cr_assert(take(w, w->kid[0], &f));
	cr_assert(is_dead(w, &f, 72, 300, "no-authority", ME));
	feed(w, w->up, ECI_CALL, 0, ME, 0, ECI_H_ECHO, 0, "x", 1);
	cr_assert_eq(FORWARDED(w->up), 0, "nobody waits for it");
	world_free(w);
}

/* An answer that finds no room is one all the same. */
Test(rules, echo_without_room_for_the_answer)
{
	static const uint8_t zeros[ECI_FRAME_BODY_MAX];
	struct world *w = world_relay();
	struct eci_frame f;
	const int n = ECI_ANSWERS_MAX / sizeof zeros + 1;
	int whole = 0, busy = 0;
	for (int i = 0; i < n; i++)
		feed(w, w->up, ECI_CALL, 0, ME, 0, ECI_H_ECHO, 300, zeros, sizeof zeros);
	while (take(w, w->up, &f)) {
		whole += f.cls == ECI_CALL;
		busy += f.cls == ECI_CONTROL && is_dead(w, &f, 0, 300, "busy", ME);
	}
	cr_assert(whole < n && whole + busy == n, "%d, %d", whole, busy);
	world_free(w);
}

Test(rules, echo_without_memory_for_the_answer)
{
	static const uint8_t zeros[ECI_FRAME_BODY_MAX];
	struct world *w = world_relay();
	struct eci_frame f;
	eci_test_fail_after = 0;
	feed(w, w->up, ECI_CALL, 0, ME, 0, ECI_H_ECHO, 300, zeros, sizeof zeros);
	cr_assert_eq(eci_test_fail_after, -1, "an allocation failed");
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "busy", ME));
	cr_assert_not(take(w, w->up, &f));
	world_free(w);
}

/* A pair is a list of two: not of one, and what follows the list is none of it. */
Test(rules, a_list_of_one_is_no_pair)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed(w, w->up, ECI_CONTROL, 0, ME, 0, ECI_H_GRANT, 300, "\x81\x19\x10\x00\x18\x40", 6);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "bad-body", ME));
	feed(w, w->kid[0], ECI_CONTROL, 0, ME, 72, ECI_H_PAUSE, 0, "\x81\x18\x48\x18\x50", 5);
	cr_assert(w->broken == 1 && !strcmp(w->reason, "bad-body"));
	world_free(w);
}

/* The last id there is, and the last of ours. */
Test(rules, a_block_of_the_last_id)
{
	struct world *w = world_relay();
	struct eci_frame f;
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 300, UINT32_MAX, 2);
	cr_assert(take(w, w->up, &f) && is_dead(w, &f, 0, 300, "bad-body", ME));
	feed_pair(w, w->up, ME, 0, ECI_H_GRANT, 300, UINT32_MAX, 1);
	cr_assert(take(w, w->up, &f) && f.handle == 300 && !f.flags);
	cr_assert_not_null(eci_router_add_child(w->r, UINT32_MAX, 1, w));
	world_free(w);
}

static void say_hello(struct eci_link *l, uint64_t now)
{
	const uint8_t *p;
	cr_assert_eq(eci_link_start(l, "\xA0", 1, now), 0);
	eci_link_wrote(l, eci_link_output(l, &p, 65536), now);
}

Test(rules, first_frame_must_be_the_neighbours_hello)
{
	struct bad {
		uint8_t cls, flags;
		uint32_t dst, src, handle;
	} bad[] = {{ECI_CONTROL, 0, ME, 72, ECI_H_PONG},           {ECI_CONTROL, 0, ME, 73, ECI_H_HELLO},
		   {ECI_CONTROL, 0, 0, 72, ECI_H_HELLO},           {ECI_CALL, 0, ME, 72, ECI_H_HELLO},
		   {ECI_CONTROL, ECI_F_DEAD, ME, 72, ECI_H_HELLO}, {ECI_CALL, 0, 0, 72, ECI_H_LOG}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct world *w = world_relay();
		struct eci_link *l = eci_router_add_child(w->r, 120, 8, w);
		say_hello(l, w->now);
		uint32_t src = bad[i].src + 48;
		feed(w, l, bad[i].cls, bad[i].flags, bad[i].dst, src, bad[i].handle, 0, "\xA0", 1);
		cr_assert(w->broken == 1 && w->broken_link == l);
		cr_assert_str_eq(w->reason, "bad-hello");
		cr_assert_eq(w->hellos, 0);
		world_free(w);
	}
}

Test(rules, a_child_has_nothing_to_say_before_it_was_greeted)
{
	struct world *w = world_relay();
	struct eci_link *l = eci_router_add_child(w->r, 120, 8, w);
	eci_link_start(l, "\xA0", 1, w->now);
	const uint8_t *p;
	size_t n = eci_link_output(l, &p, 65536);
	eci_link_wrote(l, n - 1, w->now);
	feed(w, l, ECI_CONTROL, 0, ME, 120, ECI_H_HELLO, 0, "\xA0", 1);
	cr_assert(w->broken == 1 && w->hellos == 0);
	cr_assert_str_eq(w->reason, "early-bytes");
	world_free(w);
}

Test(rules, hello_may_be_refused_by_the_program)
{
	struct world *w = world_relay();
	struct eci_link *l = eci_router_add_child(w->r, 120, 8, w);
	say_hello(l, w->now);
	w->hello_refusal = "version";
	feed(w, l, ECI_CONTROL, 0, ME, 120, ECI_H_HELLO, 0, "\xA0", 1);
	cr_assert(w->broken == 1 && w->hellos == 1);
	cr_assert_str_eq(w->reason, "version");
	world_free(w);
}
