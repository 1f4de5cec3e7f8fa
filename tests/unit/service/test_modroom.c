/* When the module cache of a relay makes its answers: a large module for many is more than a router may hold. */
#include "modcache_support.h"

#include "router/state.h"

TestSuite(modroom, .init = setup, .fini = teardown);

static size_t queued(void)
{
	return kid->bulk_bytes + kid->local_bulk;
}

/* The child reads all that there is for it, and acknowledges it; of how many answers it saw the end. */
static unsigned read_all(void)
{
	struct eci_frame f;
	const uint8_t *p;
	size_t n;
	unsigned count = 0;
	while ((n = eci_link_output(kid, &p, WHOLE))) {
		size_t bulk = 0;
		for (size_t at = 0; at < n;) {
			long used = eci_frame_unpack(p + at, n - at, &f);
			cr_assert_gt(used, 0);
			cr_expect_neq(f.flags & ECI_F_DEAD, ECI_F_DEAD);
			count += f.handle == 300 && !(f.flags & ECI_F_MORE);
			bulk += f.cls == ECI_BULK ? (size_t)used : 0;
			at += (size_t)used;
		}
		kid_took(n, bulk);
	}
	return count;
}

enum {
	/* Two answers that are as much as may wait before a third is made: as bodies, and on the link with a head. */
	ROOM = ECI_COLLECT_MAX - ECI_MESSAGE_MAX,
	HALF = (ROOM - ECI_FRAME_HEADER) / 2
};

/* The parent's answer to a question, of so many bytes, as who asked is to have it. */
static void come(uint32_t slot, const char *name, size_t bytes)
{
	struct eci_frame f = {.cls = ECI_BULK, .flags = ECI_F_MORE, .dst = ME, .handle = slot};
	struct eci_buf b = ECI_BUF_NULL;
	cr_assert_neq(slot, 0);
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, name);
	feed_padded(up, f, &b, bytes - eci_buf_len(&b));
}

static void with_room(size_t past)
{
	fetch("b", 70000);
	come(ask("a", 1), "a", HALF + past);
	size_t before = queued();
	cr_assert_eq(before, HALF + past + ECI_FRAME_HEADER);
	cr_assert_eq(ask("b", 1), 0);
	cr_expect_eq(queued() > before, !past);
	cr_assert_eq(ask("b", 1), 0);
	cr_expect_eq(queued(), before + (past ? 0 : 70000 + 1 + ECI_FRAME_HEADER), "there is no room for two");
	before = queued();
	eci_modcache_turn(cache, NOW);
	cr_expect_eq(queued(), before);
	cr_expect_eq(read_all(), past ? 1 : 2);
	eci_modcache_turn(cache, NOW);
	cr_expect_eq(read_all(), past ? 2 : 1);
}

/* As much as a message may have is left of what a router may hold. */
Test(modroom, answers_are_made_while_there_is_room)
{
	with_room(0);
}

Test(modroom, and_wait_when_there_is_a_byte_less)
{
	with_room(1);
}

/* 20 copies of it are more than a router may hold; nobody is told `busy`. */
Test(modroom, all_who_wait_for_a_large_one_get_it)
{
	enum { ALL = 20, BYTES = 9 * 1024 * 1024 };
	unsigned got = 0, rounds = 0;
	uint32_t slot = ask("a", 1);
	for (int i = 1; i < ALL; i++)
		cr_assert_eq(ask("a", 1), 0);
	come(slot, "a", BYTES);
	cr_assert_lt(queued(), (size_t)ROOM);
	for (unsigned n = 1; n; got += n, rounds++) {
		n = read_all();
		eci_modcache_turn(cache, NOW);
	}
	cr_expect_eq(got, ALL);
	cr_expect_gt(rounds, 2);
	cr_expect_eq(eci_modcache_requests(cache), 1);
}

/* Who is gone gets nothing when there is room again. */
Test(modroom, who_is_forgotten_waits_for_no_room)
{
	come(ask("a", 1), "a", HALF + 1);
	cr_assert_eq(ask("a", 1), 0);
	eci_modcache_forget(cache, KID);
	cr_expect_eq(read_all(), 1);
	eci_modcache_turn(cache, NOW);
	cr_expect_eq(read_all(), 0);
}

/* What it waited for is not here any more: it is asked for again, and waited for as before. */
Test(modroom, what_goes_meanwhile_is_asked_for_again)
{
	struct eci_frame f = {0};
	uint8_t body[1024];
	fetch("b", 12);
	come(ask("a", 1), "a", HALF + 1);
	cr_assert_eq(ask("b", 1), 0, "it is here");
	come(ask("c", 1), "c", HALF + ECI_FRAME_HEADER); /* with which they are more than 64 MiB */
	cr_expect_eq(read_all(), 1);
	uint32_t before = eci_modcache_requests(cache);
	eci_modcache_turn(cache, NOW);
	cr_expect_eq(eci_modcache_requests(cache), before + 1);
	cr_assert(last(up, ECI_H_GET_MODULE, &f, body));
	cr_expect(f.len == 3 && !memcmp(body,
					"\x81"
					"ab",
					3));
	answered(f.reply_to, 0,
		 "\x81\x82\x61"
		 "b\0",
		 5);
	cr_expect_eq(read_all(), 1, "c");
	eci_modcache_turn(cache, NOW);
	cr_expect_eq(read_all(), 1, "b");
}
