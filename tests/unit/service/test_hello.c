/* HELLO: what is read of a parent's and of a child's, and what is answered. */
#include "service/hello.h"
#include <criterion/criterion.h>
#include <string.h>

static bool reads(struct eci_hello *h, const char *body, size_t n, bool from_parent)
{
	struct eci_frame f = {.handle = ECI_H_HELLO, .len = (uint32_t)n, .body = (const uint8_t *)body};
	return eci_hello_read(h, &f, from_parent);
}
#define READS(h, body, from_parent) reads(h, body, sizeof(body) - 1, from_parent)

/* {0: 1, 1: [64, 8], 2: 5000, 3: "x", 4: "T", 5: 1, "k": [1]} */
#define WHOLE "\xA7\x00\x01\x01\x82\x18\x40\x08\x02\x19\x13\x88\x03\x61x\x04\x61T\x05\x01\x61k\x81\x01"

Test(hello, of_a_parent)
{
	struct eci_hello h;
	cr_assert(READS(&h, WHOLE, true));
	cr_expect(h.version == 1 && h.lo == 64 && h.size == 8 && h.idle_ms == 5000);
	cr_expect(h.title_len == 1 && h.title[0] == 'T');
	cr_assert(READS(&h, "\xA2\x01\x84\x18\x40\x08\x09\x61z\x00\x01", true), "further items of the block");
	cr_expect(h.size == 8 && !h.idle_ms && !h.title && !h.title_len);
	cr_assert(READS(&h, "\xA2\x01\x82\x00\x01\x00\x02", true));
	cr_expect(h.version == 2 && h.lo == 0 && h.size == 1);
}

Test(hello, of_a_parent_that_lacks_something)
{
	struct eci_hello h;
	cr_expect_not(READS(&h, "\xA1\x00\x01", true), "no block");
	cr_expect_not(READS(&h, "\xA2\x00\x01\x01\x82\x18\x40\x00", true), "an empty one");
	cr_expect_not(READS(&h, "\xA1\x01\x82\x18\x40\x08", true), "no version");
	cr_expect_not(READS(&h, "\xA2\x00\x61v\x01\x82\x18\x40\x08", true), "a version in words");
	cr_expect_not(READS(&h, "\xA2\x00\x01\x01\x18\x40", true), "no list");
	cr_expect_not(READS(&h, "\xA3\x00\x01\x01\x82\x18\x40\x08\x02\x61x", true), "no number");
	cr_expect_not(READS(&h, "\xA3\x00\x01\x01\x82\x18\x40\x08\x04\x05", true), "no text");
	cr_expect_not(READS(&h, "\xA3\x00\x01\x01\x82\x18\x40\x08", true), "a pair is missing");
	cr_expect_not(READS(&h, "\x80", true), "no map");
	cr_expect_not(READS(&h, "", true));
}

/* Its version alone matters: the same keys are other things, of other types. */
Test(hello, of_a_child)
{
	struct eci_hello h;
	cr_assert(READS(&h, "\xA5\x00\x01\x01\x66native\x02\x61v\x04\x18\x4D\x18\x63\xF6", false));
	cr_expect(h.version == 1 && !h.lo && !h.size && !h.idle_ms && !h.title);
	cr_assert(READS(&h, "\xA1\x00\x00", false) && h.version == 0);
	cr_expect_not(READS(&h, "\xA1\x01\x61n", false));
}

Test(hello, is_answered)
{
	static const uint8_t due[] = "\xA7\x00\x01\x01\x61n\x02\x61v\x03\x61m\x04\x18\x4D\x05\x19\x03\xE8\x06\x61h";
	const struct eci_hello_self self = {
		.agent = "n", .version = "v", .machine = "m", .host = "h", .pid = 77, .uid = 1000};
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_hello h;
	eci_hello_answer(&b, &self);
	cr_assert_eq(eci_buf_len(&b), sizeof due - 1);
	cr_expect_eq(memcmp(eci_buf_data(&b), due, sizeof due - 1), 0);
	cr_expect(reads(&h, (const char *)eci_buf_data(&b), eci_buf_len(&b), false) && h.version == 1);
	eci_buf_deinit(&b);
}

/* As sethostname(2) takes it: text all the same, or the parent ends the link. */
Test(hello, is_answered_by_a_host_whose_name_is_no_utf8)
{
	static const struct {
		const char *is, *said;
	} names[] = {{"h\xF6st", "h?st"}, {"h\xC3\xB6st", "h\xC3\xB6st"}, {"\xFF\xC3", "??"}, {"", ""}};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct eci_hello_self self = {.agent = "n", .version = "v", .machine = "m", .host = names[i].is};
		struct eci_buf b = ECI_BUF_NULL;
		struct eci_hello h;
		size_t n = strlen(names[i].said);
		eci_hello_answer(&b, &self);
		cr_expect(reads(&h, (const char *)eci_buf_data(&b), eci_buf_len(&b), false), "%zu", i);
		cr_assert_gt(eci_buf_len(&b), n);
		cr_expect_eq(memcmp(eci_buf_data(&b) + eci_buf_len(&b) - n, names[i].said, n), 0, "%zu", i);
		eci_buf_deinit(&b);
	}
}
