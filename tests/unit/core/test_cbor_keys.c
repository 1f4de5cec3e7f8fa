/* Duplicate keys in maps too large to compare by hand: both ways of looking (sorted, and sorting), against a plain
 * quadratic search; the cost of hostile maps; and what happens when there is no memory to sort. */
#include "core/cbor.h"
#include "tests/support/random.h"
#include "tests/unit/core/cbor_support.h"
#include <criterion/criterion.h>
#include <time.h>

extern long eci_test_fail_after;

/* A map of n integer keys, value null. */
static void put_keys(struct eci_buf *b, const uint32_t *keys, size_t n)
{
	size_t i;

	eci_cbor_put_map(b, n);
	for (i = 0; i < n; i++) {
		eci_cbor_put_uint(b, keys[i]);
		eci_cbor_put_null(b);
	}
}

static int check(const struct eci_buf *b)
{
	return eci_cbor_check(eci_buf_data(b), eci_buf_len(b), ECI_CBOR_VALUE_ITEMS_MAX);
}

static bool any_twice(const uint32_t *keys, size_t n)
{
	size_t i, j;

	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			if (keys[i] == keys[j])
				return true;
	return false;
}

/* Random keys from a range in which about half of the maps have a duplicate; sizes on both sides of the stack's 32. */
Test(cbor_keys, random_maps)
{
	struct eci_random r = eci_random_open("cbor_keys/random_maps", 4);
	struct eci_buf b = ECI_BUF_NULL;
	uint32_t keys[80];
	size_t n, i, twice = 0, round;

	for (round = 0; round < 20000; round++) {
		n = eci_random_below(&r, sizeof(keys) / sizeof(*keys));
		for (i = 0; i < n; i++)
			keys[i] = eci_random_below(&r, (uint32_t)(n * n + 1));
		eci_buf_clear(&b);
		put_keys(&b, keys, n);
		twice += any_twice(keys, n);
		cr_assert_eq(check(&b), any_twice(keys, n) ? ECI_CBOR_E_DUPKEY : ECI_CBOR_OK, "round %zu", round);
	}
	cr_assert(twice > 4000 && twice < 16000, "%zu of 20000 with duplicates", twice);
	eci_buf_deinit(&b);
}

/* For each size about the stack's limit and each pair of places, one duplicate is found wherever it stands. */
Test(cbor_keys, one_duplicate_anywhere)
{
	struct eci_buf b = ECI_BUF_NULL;
	uint32_t keys[34];
	size_t n, i, j;

	for (n = 31; n <= 34; n++)
		for (i = 0; i < n; i++)
			for (j = 0; j <= i; j++) {
				size_t k;

				for (k = 0; k < n; k++)
					keys[k] = (uint32_t)(1000 - 7 * k);
				keys[i] = keys[j];
				eci_buf_clear(&b);
				put_keys(&b, keys, n);
				cr_assert_eq(check(&b), i == j ? ECI_CBOR_OK : ECI_CBOR_E_DUPKEY, "%zu: %zu %zu", n, i,
					     j);
			}
	eci_buf_deinit(&b);
}

/* {..: {..: ...}} to the full depth, each of 40 unsorted keys, the inner map at the last key. dup_at: the level with
 * one. */
static void put_nested(struct eci_buf *b, unsigned level, unsigned levels, unsigned dup_at)
{
	unsigned i;

	for (; level < levels; level++) {
		eci_cbor_put_map(b, 40);
		for (i = 0; i < 39; i++) {
			eci_cbor_put_uint(b, level == dup_at && i == 38 ? 100 : 100 - i);
			eci_cbor_put_uint(b, i);
		}
		eci_cbor_put_str(b, "inner");
	}
	eci_cbor_put_null(b);
}

Test(cbor_keys, nested_unsorted_maps)
{
	struct eci_buf b = ECI_BUF_NULL;
	unsigned dup_at;

	for (dup_at = 0; dup_at <= 31; dup_at++) {
		eci_buf_clear(&b);
		put_nested(&b, 0, 31, dup_at);
		cr_assert_eq(check(&b), dup_at < 31 ? ECI_CBOR_E_DUPKEY : ECI_CBOR_OK, "level %u", dup_at);
	}
	eci_buf_deinit(&b);
}

/* No memory for any one of the sorts: the honest error, no leak; and small maps do not ask for any. */
Test(cbor_keys, allocation_failure)
{
	struct eci_buf b = ECI_BUF_NULL;
	uint32_t keys[33];
	long fail;
	int err;
	size_t i;

	put_nested(&b, 0, 31, 31);
	for (fail = 0;; fail++) {
		eci_test_fail_after = fail;
		err = check(&b);
		if (eci_test_fail_after != -1)
			break;
		cr_assert_eq(err, ECI_CBOR_E_MEM, "allocation %ld", fail);
	}
	eci_test_fail_after = -1;
	cr_assert_eq(err, ECI_CBOR_OK);
	cr_assert_eq(fail, 31, "one allocation a map");
	for (i = 0; i < 33; i++)
		keys[i] = (uint32_t)(50 - i);
	eci_buf_clear(&b);
	put_keys(&b, keys, 32);
	eci_test_fail_after = 0;
	cr_assert_eq(check(&b), ECI_CBOR_OK);
	cr_assert_eq(eci_test_fail_after, 0, "32 keys are sorted on the stack");
	eci_test_fail_after = -1;
	eci_buf_clear(&b);
	put_keys(&b, keys, 33);
	eci_test_fail_after = 0;
	cr_assert_eq(check(&b), ECI_CBOR_E_MEM);
	eci_test_fail_after = -1;
	eci_buf_deinit(&b);
}

static double seconds(const struct eci_buf *b, int expected)
{
	clock_t start = clock();

	cr_assert_eq(check(b), expected);
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* The largest map there may be, keys descending: comparing each with each would be 10^11 comparisons. CPU time, with
 * room for sanitizers and a slow machine. */
Test(cbor_keys, hostile_half_a_million_keys)
{
	struct eci_buf b = ECI_BUF_NULL;
	uint32_t i, n = (ECI_CBOR_VALUE_ITEMS_MAX - 1) / 2;

	eci_cbor_put_map(&b, n);
	for (i = n; i-- > 0;) {
		eci_cbor_put_uint(&b, i);
		eci_cbor_put_null(&b);
	}
	cr_assert_lt(seconds(&b, ECI_CBOR_OK), 10.0);
	eci_buf_deinit(&b);
}

/* Long keys that differ only at their ends, and are all of one length: the dearest to compare. */
Test(cbor_keys, hostile_long_keys)
{
	enum { KEYS = 2000, LENGTH = 8192 };
	static uint8_t key[LENGTH];
	struct eci_buf b = ECI_BUF_NULL;
	uint32_t i;

	eci_cbor_put_map(&b, KEYS);
	for (i = KEYS; i-- > 0;) {
		key[LENGTH - 2] = (uint8_t)(i >> 8);
		key[LENGTH - 1] = (uint8_t)i;
		eci_cbor_put_bytes(&b, key, LENGTH);
		eci_cbor_put_null(&b);
	}
	cr_assert_lt(seconds(&b, ECI_CBOR_OK), 10.0);
	eci_buf_deinit(&b);
}

/* Unsorted maps around a large value: each level walks it once more, 30 times in all, not 2^30. */
Test(cbor_keys, hostile_nesting)
{
	enum { LEVELS = 30, ITEMS_A_LEVEL = 4 };
	struct eci_buf b = ECI_BUF_NULL;
	uint32_t i, n = ECI_CBOR_VALUE_ITEMS_MAX - LEVELS * ITEMS_A_LEVEL - 1;

	for (i = 0; i < LEVELS; i++)
		eci_buf_append(&b, "\xa2\x01\x00\x00", 4); /* {1: 0, 0: */
	eci_cbor_put_array(&b, n);
	for (i = 0; i < n; i++)
		eci_cbor_put_null(&b);
	cr_assert_lt(seconds(&b, ECI_CBOR_OK), 20.0);
	eci_buf_deinit(&b);
}
