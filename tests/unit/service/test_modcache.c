/* The module cache of a relay between a parent and one child that the test plays: what it keeps, to the byte, and which
 * names it asks for. */
#include "modcache_support.h"

TestSuite(modcache, .init = setup, .fini = teardown);

/* Answered without the parent. */
static bool has(const char *name)
{
	uint32_t before = eci_modcache_requests(cache);
	return !ask(name, strlen(name)) && eci_modcache_requests(cache) == before;
}

Test(modcache, keeps_64_mib_and_not_a_byte_more)
{
	enum { LARGE = 64, SIZE = ECI_MODCACHE_MAX / LARGE };
	fetch("old", 9);
	fetch("older", 12);
	for (int i = 0; i < LARGE; i++) {
		char name[16];
		snprintf(name, sizeof name, "large%d", i);
		fetch(name, SIZE - (i ? 0 : 9 + 12 + 4));
	}
	fetch("x", 4);
	cr_assert_eq(eci_modcache_count(cache), LARGE + 3, "exactly all of it");
	fetch("y", 6);
	cr_assert_eq(eci_modcache_count(cache), LARGE + 3, "the oldest went");
	cr_assert(has("older") && has("x") && has("y"));
	fetch("z", 4);
	cr_assert_eq(eci_modcache_count(cache), LARGE + 3, "6 - 9 + 4: a byte more");
	cr_assert(has("large0") && has("x") && has("y") && has("z"));
	cr_assert(!has("old") && !has("older"));
}

Test(modcache, keeps_65536_entries_and_not_one_more)
{
	char name[16];
	for (unsigned i = 0; i < ECI_MODCACHE_ENTRIES; i++) {
		snprintf(name, sizeof name, "m%05u", i);
		fetch(name, 12);
	}
	cr_assert_eq(eci_modcache_count(cache), ECI_MODCACHE_ENTRIES);
	cr_assert(has("m00000"));
	fetch("x", 12);
	cr_assert_eq(eci_modcache_count(cache), ECI_MODCACHE_ENTRIES, "the oldest went");
	cr_assert(has("m00001") && has("x"));
	cr_assert(!has("m00000"));
}

/* The parent sends these entries for the first of them. */
static void fetch_all(const char *name, struct eci_buf *entries, unsigned count)
{
	uint32_t slot = ask(name, strlen(name));
	struct eci_frame f = {.cls = ECI_BULK, .flags = ECI_F_MORE, .dst = ME, .handle = slot};
	struct eci_buf b = ECI_BUF_NULL;
	cr_assert_neq(slot, 0);
	eci_modcache_forget(cache, KID);
	eci_cbor_put_array(&b, count);
	eci_buf_append(&b, eci_buf_data(entries), eci_buf_len(entries));
	for (size_t n; f.flags; eci_buf_drain(&b, n)) {
		n = eci_buf_len(&b) < ECI_BULK_BODY_MAX ? eci_buf_len(&b) : ECI_BULK_BODY_MAX;
		f.flags = eci_buf_len(&b) > n ? ECI_F_MORE : 0;
		feed(up, f, eci_buf_data(&b), n);
	}
	eci_buf_deinit(&b);
	eci_buf_deinit(entries);
}

/* A package that imports each letter of imports, has so many children and so many bytes; how long it is. */
static size_t put_entry(struct eci_buf *b, const char *name, const char *imports, size_t children, size_t bytes)
{
	static uint8_t zeros[ECI_ANSWER_BYTES_MAX];
	size_t before = eci_buf_len(b);
	eci_cbor_put_array(b, 7);
	eci_cbor_put_str(b, name);
	eci_cbor_put_uint(b, 2);
	eci_cbor_put_str(b, "p");
	eci_cbor_put_bytes(b, zeros, 16);
	eci_cbor_put_array(b, strlen(imports));
	for (; *imports; imports++)
		eci_cbor_put_text(b, imports, 1);
	eci_cbor_put_array(b, children);
	while (children--)
		eci_cbor_put_str(b, "c");
	eci_cbor_put_bytes(b, zeros, bytes);
	return eci_buf_len(b) - before;
}

/* How many entries the child is sent, which acknowledges what comes. */
static unsigned entries_of(const char *name)
{
	struct eci_frame f;
	const uint8_t *p;
	size_t n;
	unsigned count = 0;
	bool first = true;
	cr_assert_eq(ask(name, strlen(name)), 0);
	while ((n = eci_link_output(kid, &p, WHOLE))) {
		size_t bulk = 0;
		for (size_t at = 0; at < n;) {
			long used = eci_frame_unpack(p + at, n - at, &f);
			cr_assert_gt(used, 0);
			if (f.handle == 300 && first)
				count = f.body[0] & 0x1F;
			first = first && f.handle != 300;
			bulk += f.cls == ECI_BULK ? (size_t)used : 0;
			at += (size_t)used;
		}
		kid_took(n, bulk);
	}
	return count;
}

/* What is beyond is no part of the answer, nor counts as sent. */
static void at_answer(size_t children, size_t bytes, bool past)
{
	struct eci_buf b = ECI_BUF_NULL, sized = ECI_BUF_NULL;
	size_t own = put_entry(&sized, "y", "", 0, 70000) - 70000;
	eci_buf_deinit(&sized);
	put_entry(&b, "a", "xy", 0, 1);
	size_t x = put_entry(&b, "x", children ? "y" : "", children / 2 - (children > 0), bytes / 2);
	put_entry(&b, "y", "", children - children / 2 + (children && past), bytes ? bytes - x - own + past : 0);
	put_entry(&b, "d", "y", 0, 1);
	fetch_all("a", &b, 4);
	cr_expect_eq(entries_of("a"), past ? 2 : 3);
	cr_expect_eq(entries_of("d"), past ? 2 : 1);
}

Test(modcache, an_answer_has_8_mib_beside_what_was_asked_for)
{
	at_answer(0, 8 * 1024 * 1024, false);
}

Test(modcache, and_not_a_byte_more)
{
	at_answer(0, 8 * 1024 * 1024, true);
}

Test(modcache, an_answer_has_65536_items_beside_what_was_asked_for)
{
	at_answer(65536 - 16, 0, false);
}

Test(modcache, and_not_an_item_more)
{
	at_answer(65536 - 16, 0, true);
}

Test(modcache, names_of_255_bytes_and_not_a_byte_more)
{
	char name[ECI_MODULE_NAME_MAX + 1];
	struct eci_frame f;
	uint8_t body[1024];
	memset(name, 'a', sizeof name);
	cr_assert_neq(ask(name, sizeof name - 1), 0);
	cr_assert_not(last(kid, 300, &f, body));
	cr_assert_eq(ask(name, sizeof name), 0);
	cr_assert_eq(eci_modcache_requests(cache), 1);
	cr_assert(last(kid, 300, &f, body) && f.flags == ECI_F_DEAD);
	cr_assert_eq(memcmp(body,
			    "\x84\x68"
			    "bad-body",
			    10),
		     0);
}

static void ask_much(uint32_t reply_to, const char *name, size_t padding, uint8_t cls)
{
	static const uint8_t zeros[ECI_FRAME_BODY_MAX];
	struct eci_frame f = {.cls = cls, .dst = ME, .src = KID, .handle = ECI_H_GET_MODULE};
	struct eci_buf b = ECI_BUF_NULL;
	f.reply_to = reply_to;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, name);
	if (cls == ECI_BULK) {
		feed_padded(kid, f, &b, padding);
		return;
	}
	size_t left = put_head(&b, padding);
	eci_buf_append(&b, zeros, left);
	feed(kid, f, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
}

/* It is passed on as it came; more is not even collected, whatever a child pads it with. */
Test(modcache, a_question_is_one_frame)
{
	struct eci_frame f;
	uint8_t body[1024];
	ask_much(300, "a", ECI_FRAME_BODY_MAX - 3, ECI_CALL);
	cr_assert(last(up, ECI_H_GET_MODULE, &f, body) && f.cls == ECI_CALL && f.len == ECI_FRAME_BODY_MAX);
	ask_much(300, "b", ECI_FRAME_BODY_MAX - 2, ECI_BULK);
	cr_assert_not(last(up, ECI_H_GET_MODULE, &f, body));
	cr_assert(last(kid, 300, &f, body) && f.flags == ECI_F_DEAD);
	cr_expect_eq(memcmp(body,
			    "\x84\x67"
			    "too-big",
			    9),
		     0);
}

/* Each costs memory until the parent answers. */
Test(modcache, a_childs_4096_questions_wait_and_no_more)
{
	struct eci_frame f;
	uint8_t body[1024];
	cr_assert_neq(ask("a", 1), 0);
	for (uint32_t i = 1; i < 4096; i++)
		cr_assert_eq(ask(i % 2 ? "a" : "b", 1) != 0, i == 2, "%u", i);
	cr_assert_not(last(kid, 300, &f, body));
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(ask(i ? "a" : "c", 1), 0);
		cr_assert(last(kid, 300, &f, body) && f.flags == ECI_F_DEAD);
		cr_expect_eq(memcmp(body,
				    "\x84\x64"
				    "busy",
				    6),
			     0);
	}
}

/* What the child is told of the slot that it named: how its answer begins, or the reason of a dead one. */
static void told(const char *begins, size_t n, bool dead)
{
	struct eci_frame f = {0};
	uint8_t body[1024];
	cr_assert(last(kid, 300, &f, body), "nothing");
	cr_expect(f.flags == (dead ? ECI_F_DEAD : 0) && !memcmp(body, begins, n), "%u: %.20s", f.flags, body);
}

/* A child that is gone waits no more; who else does gets the answer. */
Test(modcache, only_who_is_forgotten_waits_no_more)
{
	struct eci_frame f;
	uint8_t body[1024];
	uint32_t slot = ask("a", 1);
	eci_modcache_forget(cache, KID);
	answered(slot, 0,
		 "\x81\x82\x61"
		 "a\0",
		 5);
	cr_assert_not(last(kid, 300, &f, body));
	slot = ask("b", 1);
	eci_modcache_forget(cache, KID + 1);
	answered(slot, 0,
		 "\x81\x82\x61"
		 "b\0",
		 5);
	told("\x81\x82\x61"
	     "b\0",
	     5, false);
}

Test(modcache, why_there_is_none)
{
	static const char lost[] = "\x84\x64"
				   "lost\0\0\x60",
			  bad[] = "\x84\x68"
				  "bad-body";
	answered(ask("a", 1), ECI_F_DEAD, lost, 9);
	told(lost, 6, true);
	answered(ask("a", 1), 0, "\x81\x82\x61", 3);
	told(bad, 10, true);
	answered(ask("a", 1), 0,
		 "\x81\x82\x61"
		 "b\0",
		 5);
	told(bad, 10, true);
	cr_expect(has("b"), "what came instead is kept");
}

/* An answer of nothing would be taken for one. */
extern long eci_test_fail_after;
Test(modcache, without_memory_for_an_answer)
{
	struct eci_frame f = {.cls = ECI_CALL, .dst = ME, .src = KID, .handle = ECI_H_GET_MODULE, .reply_to = 300};
	uint8_t body[1024];
	answered(ask("a", 1), 0,
		 "\x81\x82\x61"
		 "a\0",
		 5);
	told("\x81", 1, false);
	for (long n = 0; n < 4; n++) {
		eci_modcache_forget(cache, KID);
		eci_test_fail_after = n;
		feed(kid, f,
		     "\x81\x61"
		     "a",
		     3);
		eci_test_fail_after = -1;
		if (last(kid, 300, &f, body))
			cr_expect(f.flags == ECI_F_DEAD || body[0] == 0x81, "%ld: %02x", n, body[0]);
		f = (struct eci_frame){
			.cls = ECI_CALL, .dst = ME, .src = KID, .handle = ECI_H_GET_MODULE, .reply_to = 300};
	}
}
