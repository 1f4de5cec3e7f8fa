/* The byte queue against a plain array as a model, its bound on memory, and what it does when memory runs out. */
#include "core/buf.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

extern long eci_test_fail_after;

static void expect(const struct eci_buf *b, const char *s)
{
	cr_assert_eq(eci_buf_len(b), strlen(s), "%zu bytes, not %zu", eci_buf_len(b), strlen(s));
	cr_assert(strlen(s) == 0 || memcmp(eci_buf_data(b), s, strlen(s)) == 0);
}

Test(buf, null_object)
{
	struct eci_buf b = ECI_BUF_NULL;

	expect(&b, "");
	eci_buf_drain(&b, 0);
	eci_buf_clear(&b);
	eci_buf_deinit(&b);
	eci_buf_deinit(&b);
	cr_assert_null(b.mem);
	cr_assert_eq(b.cap, 0);
}

Test(buf, queue_order)
{
	struct eci_buf b = ECI_BUF_NULL;

	cr_assert_eq(eci_buf_puts(&b, "hello "), 0);
	cr_assert_eq(eci_buf_append(&b, "world!", 5), 0);
	expect(&b, "hello world");
	eci_buf_drain(&b, 6);
	expect(&b, "world");
	cr_assert_eq(eci_buf_append(&b, NULL, 0), 0);
	cr_assert_eq(eci_buf_puts(&b, ""), 0);
	eci_buf_drain(&b, 5);
	expect(&b, "");
	cr_assert_eq(b.tail, 0, "an emptied queue starts over at the front");
	cr_assert_eq(eci_buf_puts(&b, "again"), 0);
	expect(&b, "again");
	eci_buf_deinit(&b);
	expect(&b, "");
	cr_assert_eq(eci_buf_puts(&b, "anew"), 0);
	expect(&b, "anew");
	eci_buf_deinit(&b);
}

Test(buf, reserve_and_commit)
{
	struct eci_buf b = ECI_BUF_NULL;
	uint8_t *p = eci_buf_reserve(&b, 0);

	cr_assert_not_null(p, "a reservation of nothing has an address");
	p = eci_buf_reserve(&b, 100);
	memset(p, 'x', 100);
	eci_buf_commit(&b, 3);
	expect(&b, "xxx");
	p = eci_buf_reserve(&b, 2);
	memcpy(p, "yz", 2);
	expect(&b, "xxx");
	eci_buf_commit(&b, 2);
	expect(&b, "xxxyz");
	eci_buf_deinit(&b);
}

Test(buf, clear_keeps_memory)
{
	struct eci_buf b = ECI_BUF_NULL;
	uint8_t *mem;

	eci_buf_puts(&b, "something");
	mem = b.mem;
	eci_buf_clear(&b);
	expect(&b, "");
	eci_buf_puts(&b, "else");
	cr_assert_eq(b.mem, mem);
	eci_buf_deinit(&b);
}

/* Any sequence of operations does what an array would, and the allocation stays below four times the most ever held. */
Test(buf, model)
{
	static uint8_t model[1 << 16], bytes[700];
	struct eci_random r = eci_random_open("buf/model", 1);
	size_t len = 0, peak = 64, n;
	struct eci_buf b = ECI_BUF_NULL;
	int i;

	for (i = 0; i < 100000; i++) {
		if (eci_random_below(&r, 2) && len + sizeof(bytes) < sizeof(model)) {
			n = eci_random_below(&r, eci_random_below(&r, 8) ? 20 : sizeof(bytes));
			memset(bytes, i, n);
			cr_assert_eq(eci_buf_append(&b, bytes, n), 0);
			memcpy(model + len, bytes, n);
			len += n;
		} else if (len > 0) {
			n = 1 + eci_random_below(&r, (uint32_t)(len < 900 ? len : 900));
			eci_buf_drain(&b, n);
			len -= n;
			memmove(model, model + n, len);
		}
		if (peak < len)
			peak = len;
		cr_assert_eq(eci_buf_len(&b), len);
		cr_assert(len == 0 || memcmp(eci_buf_data(&b), model, len) == 0);
		cr_assert(b.head <= b.tail && b.tail <= b.cap);
		cr_assert_lt(b.cap, 4 * peak, "%zu bytes allocated for %zu", b.cap, peak);
	}
	eci_buf_deinit(&b);
}

/* A queue that is always nearly full must not move its bytes for each append: moves happen once per len drained. */
Test(buf, steady_queue_moves_rarely)
{
	struct eci_buf b = ECI_BUF_NULL;
	size_t head, moves = 0;
	uint8_t block[1000] = {0};
	int i;

	eci_buf_append(&b, block, sizeof(block));
	for (i = 0; i < 100000; i++) {
		eci_buf_drain(&b, 10);
		head = b.head;
		eci_buf_append(&b, block, 10);
		moves += b.head < head;
	}
	cr_assert_leq(moves, 100000 / 100 + 1, "%zu moves", moves);
	eci_buf_deinit(&b);
}

Test(buf, failure_is_sticky_and_keeps_the_prefix)
{
	struct eci_buf b = ECI_BUF_NULL;

	eci_buf_puts(&b, "kept");
	cr_assert_null(eci_buf_reserve(&b, SIZE_MAX));
	cr_assert(b.failed);
	cr_assert_eq(eci_buf_puts(&b, "x"), -1);
	cr_assert_eq(eci_buf_append(&b, NULL, 0), -1);
	cr_assert_null(eci_buf_reserve(&b, 0));
	expect(&b, "kept");
	eci_buf_clear(&b);
	cr_assert_eq(eci_buf_puts(&b, "fresh"), 0);
	expect(&b, "fresh");
	eci_buf_deinit(&b);
	cr_assert_not(b.failed);
}

Test(buf, half_the_address_space_is_refused_without_asking)
{
	struct eci_buf b = ECI_BUF_NULL;

	eci_buf_puts(&b, "1234");
	eci_test_fail_after = 0;
	cr_assert_null(eci_buf_reserve(&b, SIZE_MAX / 2 - 3));
	cr_assert_eq(eci_test_fail_after, 0, "the allocator was asked");
	eci_buf_clear(&b);
	eci_buf_puts(&b, "1234");
	cr_assert_null(eci_buf_reserve(&b, SIZE_MAX / 2 - 4));
	cr_assert_eq(eci_test_fail_after, -1, "the largest legal size reaches the allocator");
	eci_buf_deinit(&b);
}

/* When doubling is refused, the exact size is tried; when that would not be larger, the bytes are moved. */
Test(buf, doubling_refused)
{
	struct eci_buf b = ECI_BUF_NULL;
	uint8_t block[64] = {0};

	eci_buf_append(&b, block, 64);
	cr_assert_eq(b.cap, 64);
	eci_test_fail_after = 0;
	cr_assert_eq(eci_buf_append(&b, block, 1), 0);
	cr_assert_eq(b.cap, 65);
	eci_buf_drain(&b, 5);
	uint8_t *mem = b.mem;
	eci_test_fail_after = 0;
	cr_assert_eq(eci_buf_append(&b, block, 5), 0);
	cr_assert_eq(b.cap, 65);
	cr_assert_eq(b.mem, mem, "moved, not allocated anew");
	cr_assert_eq(b.head, 0);
	cr_assert_eq(eci_buf_len(&b), 65);
	eci_buf_deinit(&b);
}

/* The Nth allocation fails, for every N that a series of appends makes; each append is larger than a doubling, so that
 * there is no second attempt. What was appended before stays, and nothing leaks (the sanitizer's word). */
Test(buf, every_allocation_fails_once)
{
	static uint8_t block[4 * 4 * 4 * 4 * 4 * 4 * 100];
	struct eci_buf b;
	size_t n, len;
	long fail;
	int done;

	memset(block, 'b', sizeof(block));
	for (fail = 0, done = 0; !done; fail++) {
		b = ECI_BUF_NULL;
		len = 0;
		eci_test_fail_after = fail;
		for (n = 100; n <= sizeof(block) && eci_buf_append(&b, block, n) == 0; n *= 4)
			len += n;
		done = n > sizeof(block);
		cr_assert_eq(b.failed, !done);
		cr_assert_eq(eci_test_fail_after == -1, !done);
		eci_test_fail_after = -1;
		cr_assert_eq(eci_buf_len(&b), len);
		cr_assert(len == 0 || memcmp(eci_buf_data(&b), block, 100) == 0);
		eci_buf_deinit(&b);
	}
	cr_assert_eq(fail, 8, "seven sizes, seven failures, one success");
}
