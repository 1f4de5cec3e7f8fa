/* The module cache of a relay between a parent and one child that the test plays: what it keeps, to the byte, and which
 * names it asks for. */
#include "core/cbor.h"
#include "service/modcache.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ME 64u
#define KID 72u
#define NOW 1000u

static struct eci_router *router;
static struct eci_link *up, *kid;
static struct eci_modcache *cache; /* lives as long as its process: there is no end of it to test */

static bool deliver(void *ctx, enum eci_origin from, struct eci_link *l, const struct eci_frame *f)
{
	(void)ctx, (void)from, (void)l;
	return f->handle == ECI_H_GET_MODULE && eci_modcache_deliver(cache, f, NOW);
}

static const char *hello(void *ctx, struct eci_link *l, const struct eci_frame *f)
{
	(void)ctx;
	if (eci_link_is_parent(l)) {
		eci_router_set_block(router, f->dst, 64);
		eci_router_send(router, ECI_CONTROL, 0, f->src, ECI_H_HELLO, 0, "\xA0", 1, NOW);
	}
	return NULL;
}

static const struct eci_router_ops ops = {deliver, hello, NULL, NULL};

static void feed(struct eci_link *l, struct eci_frame f, const void *body, size_t n)
{
	static uint8_t out[ECI_FRAME_HEADER + ECI_FRAME_BODY_MAX];
	f.hops = ECI_HOPS;
	f.auth = f.src;
	f.len = (uint32_t)n;
	eci_frame_pack(out, &f);
	memcpy(out + ECI_FRAME_HEADER, body, n);
	eci_link_feed(l, out, ECI_FRAME_HEADER + n, NOW);
}

/* The last frame with this handle that the router wrote to l, with no more of its body than fits; what was before it is
 * read too. */
static bool last(struct eci_link *l, uint32_t handle, struct eci_frame *out, uint8_t body[1024])
{
	struct eci_buf all = ECI_BUF_NULL;
	struct eci_frame f;
	const uint8_t *p;
	size_t n;
	bool found = false;
	while ((n = eci_link_output(l, &p, 65536))) {
		eci_buf_append(&all, p, n);
		eci_link_wrote(l, n, NOW);
	}
	for (long used; (used = eci_frame_unpack(eci_buf_data(&all), eci_buf_len(&all), &f)) > 0;) {
		if (f.handle == handle) {
			found = true;
			*out = f;
			out->body = memcpy(body, f.body, f.len < 1024 ? f.len : 1024);
		}
		eci_buf_drain(&all, (size_t)used);
	}
	eci_buf_deinit(&all);
	return found;
}

static void setup(void)
{
	struct eci_frame f;
	uint8_t body[1024];
	router = eci_router_new(7, 0, &ops, NULL);
	cache = eci_modcache_new(router);
	up = eci_router_add_parent(router, NULL);
	feed(up, (struct eci_frame){.cls = ECI_CONTROL, .dst = ME, .handle = ECI_H_HELLO}, "\xA0", 1);
	kid = eci_router_add_child(router, KID, 8, NULL);
	cr_assert(eci_link_start(kid, "\xA0", 1, NOW) == 0 && last(kid, ECI_H_HELLO, &f, body));
	feed(kid, (struct eci_frame){.cls = ECI_CONTROL, .dst = ME, .src = KID, .handle = ECI_H_HELLO}, "\xA0", 1);
	cr_assert(eci_link_up(kid) && last(up, ECI_H_HELLO, &f, body));
}

static void teardown(void)
{
	eci_router_free(router);
}

TestSuite(modcache, .init = setup, .fini = teardown);

/* The child asks. What the parent is to answer to, or 0: it was not asked. */
static uint32_t ask(const char *name, size_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_frame f = {.cls = ECI_CALL, .dst = ME, .src = KID, .handle = ECI_H_GET_MODULE, .reply_to = 300};
	uint8_t body[1024];
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_text(&b, name, n);
	feed(kid, f, eci_buf_data(&b), eci_buf_len(&b));
	eci_buf_deinit(&b);
	return last(up, ECI_H_GET_MODULE, &f, body) ? f.reply_to : 0;
}

/* Begins a byte string that takes n bytes with its head; how many are to follow. */
static size_t put_head(struct eci_buf *b, size_t n)
{
	size_t size = n > 24 ? 5 : 1, left = n - size;
	uint8_t head[5] = {0x5A, (uint8_t)(left >> 24), (uint8_t)(left >> 16), (uint8_t)(left >> 8), (uint8_t)left};
	if (size == 1)
		head[0] = (uint8_t)(0x40 + left);
	eci_buf_append(b, head, size);
	return left;
}

/* What b has, which is freed, and behind it a byte string of zeros that takes n bytes with its head, in fragments. */
static void feed_padded(struct eci_link *from, struct eci_frame f, struct eci_buf *b, size_t n)
{
	static const uint8_t zeros[ECI_BULK_BODY_MAX];
	size_t left = put_head(b, n);
	f.flags = ECI_F_MORE;
	feed(from, f, eci_buf_data(b), eci_buf_len(b));
	eci_buf_deinit(b);
	for (; f.flags; left -= n) {
		n = left < sizeof zeros ? left : sizeof zeros;
		f.flags = left > n ? ECI_F_MORE : 0;
		feed(from, f, zeros, n);
	}
}

/* The parent sends an entry of so many bytes for a name that the child asked for; the child is gone before, so that
 * nobody takes a copy of it. */
static void fetch(const char *name, size_t bytes)
{
	uint32_t slot = ask(name, strlen(name));
	struct eci_frame f = {.cls = ECI_BULK, .flags = ECI_F_MORE, .dst = ME, .handle = slot};
	struct eci_buf b = ECI_BUF_NULL;
	cr_assert_neq(slot, 0);
	eci_modcache_forget(cache, KID);
	eci_cbor_put_array(&b, 1);
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, name);
	feed_padded(up, f, &b, bytes - (eci_buf_len(&b) - 1));
}

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
	while ((n = eci_link_output(kid, &p, 65536))) {
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
		eci_link_wrote(kid, n, NOW);
		if (bulk) {
			uint8_t ack[5] = {0x1A, (uint8_t)(bulk >> 24), (uint8_t)(bulk >> 16), (uint8_t)(bulk >> 8),
					  (uint8_t)bulk};
			struct eci_frame a = {.cls = ECI_CONTROL, .dst = ME, .src = KID, .handle = ECI_H_ACK};
			feed(kid, a, ack, sizeof ack);
		}
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

static void ask_much(uint32_t reply_to, const char *name, size_t padding)
{
	struct eci_frame f = {.cls = ECI_BULK, .dst = ME, .src = KID, .handle = ECI_H_GET_MODULE};
	struct eci_buf b = ECI_BUF_NULL;
	f.reply_to = reply_to;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, name);
	feed_padded(kid, f, &b, padding);
}

/* It is passed on as it came, and the parent's link is not for what a child pads it with. */
Test(modcache, a_question_is_one_frame)
{
	struct eci_frame f;
	uint8_t body[1024];
	ask_much(300, "a", ECI_FRAME_BODY_MAX - 3);
	cr_assert(last(up, ECI_H_GET_MODULE, &f, body) && f.cls == ECI_CALL && f.len == ECI_FRAME_BODY_MAX);
	ask_much(300, "b", ECI_FRAME_BODY_MAX - 2);
	cr_assert_not(last(up, ECI_H_GET_MODULE, &f, body));
	cr_assert(last(kid, 300, &f, body) && f.flags == ECI_F_DEAD);
	cr_expect_eq(memcmp(body,
			    "\x84\x68"
			    "bad-body",
			    10),
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
	struct eci_frame f;
	uint8_t body[1024];
	cr_assert(last(kid, 300, &f, body), "nothing");
	cr_expect(f.flags == (dead ? ECI_F_DEAD : 0) && !memcmp(body, begins, n), "%u: %.20s", f.flags, body);
}

static void answered(uint32_t slot, uint8_t flags, const char *body, size_t n)
{
	cr_assert_neq(slot, 0);
	feed(up, (struct eci_frame){.cls = flags ? ECI_CONTROL : ECI_CALL, .flags = flags, .dst = ME, .handle = slot},
	     body, n);
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
