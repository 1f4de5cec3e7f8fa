/* CBOR: the vectors of RFC 8949 appendix A on both sides of the subset's border, every error, each limit and one past
 * it, the writer's choice of encoding. The cursor is in test_cbor_cursor.c, duplicate keys in large maps in
 * test_cbor_keys.c, random items against libcbor in test_cbor_oracle.c. */
#include "core/cbor.h"
#include "tests/unit/core/cbor_support.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* Appendix A, what the subset holds. All of it is deterministic encoding, so it must come back byte for byte. */
static const char *inside[] = {"00",
			       "01",
			       "0a",
			       "17",
			       "1818",
			       "1819",
			       "1864",
			       "1903e8",
			       "1a000f4240",
			       "1b000000e8d4a51000",
			       "1bffffffffffffffff",
			       "c249010000000000000000",
			       "3bffffffffffffffff",
			       "c349010000000000000000",
			       "20",
			       "29",
			       "3863",
			       "3903e7",
			       "fb3ff199999999999a",
			       "fb7e37e43c8800759c",
			       "fbc010666666666666",
			       "fb7ff0000000000000",
			       "fb7ff8000000000000",
			       "fbfff0000000000000",
			       "f4",
			       "f5",
			       "f6",
			       "40",
			       "4401020304",
			       "60",
			       "6161",
			       "6449455446",
			       "62225c",
			       "62c3bc",
			       "63e6b0b4",
			       "64f0908591",
			       "80",
			       "83010203",
			       "8301820203820405",
			       "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
			       "a0",
			       "a201020304",
			       "a26161016162820203",
			       "826161a161626163",
			       "a56161614161626142616361436164614461656145"};

/* Appendix A, the rest: short floats, undefined, simple values, other tags, indefinite lengths. */
static const char *outside[] = {"f90000",
				"f98000",
				"f93c00",
				"f93e00",
				"f97bff",
				"fa47c35000",
				"fa7f7fffff",
				"f90001",
				"f90400",
				"f9c400",
				"f97c00",
				"f97e00",
				"f9fc00",
				"fa7f800000",
				"fa7fc00000",
				"faff800000",
				"f7",
				"f0",
				"f8ff",
				"c074323031332d30332d32315432303a30343a30305a",
				"c11a514b67b0",
				"c1fb41d452d9e2000000",
				"d74401020304",
				"d818456449455446",
				"d82076687474703a2f2f7777772e6578616d706c652e636f6d",
				"5f42010243030405ff",
				"7f657374726561646d696e67ff",
				"9fff",
				"9f018202039f0405ffff",
				"9f01820203820405ff",
				"83018202039f0405ff",
				"83019f0203ff820405",
				"bf61610161629f0203ffff",
				"826161bf61626163ff",
				"bf6346756ef563416d7421ff"};

static int check_hex(const char *hex)
{
	size_t n;
	uint8_t *p = from_hex(hex, &n);
	int err = eci_cbor_check(p, n, ECI_CBOR_ITEMS_MAX);

	free(p);
	return err;
}

Test(cbor, appendix_a_inside)
{
	struct eci_buf again;
	uint8_t *p;
	size_t i, n;

	for (i = 0; i < COUNT(inside); i++) {
		p = from_hex(inside[i], &n);
		cr_assert_eq(eci_cbor_check(p, n, ECI_CBOR_ITEMS_MAX), ECI_CBOR_OK, "%s", inside[i]);
		again = ECI_BUF_NULL;
		cr_assert(reencode(p, n, &again), "%s", inside[i]);
		cr_assert_eq(eci_buf_len(&again), n, "%s", inside[i]);
		cr_assert_arr_eq(eci_buf_data(&again), p, n, "%s", inside[i]);
		eci_buf_deinit(&again);
		free(p);
	}
}

Test(cbor, appendix_a_outside)
{
	size_t i;

	for (i = 0; i < COUNT(outside); i++)
		cr_assert_eq(check_hex(outside[i]), ECI_CBOR_E_TYPE, "%s", outside[i]);
}

static const struct {
	const char *hex;
	int err;
} cases[] = {
	/* heads that are not the shortest are accepted */
	{"1800", 0},
	{"1900ff", 0},
	{"1b0000000000000001", 0},
	{"580161", 0},
	{"9b000000000000000100", 0},
	{"d8024101", 0},
	{"c240", 0},
	/* too short */
	{"", ECI_CBOR_E_SHORT},
	{"18", ECI_CBOR_E_SHORT},
	{"19ff", ECI_CBOR_E_SHORT},
	{"1affffff", ECI_CBOR_E_SHORT},
	{"1bffffffffffffff", ECI_CBOR_E_SHORT},
	{"41", ECI_CBOR_E_SHORT},
	{"5bffffffffffffffff61", ECI_CBOR_E_SHORT},
	{"5affffffff61", ECI_CBOR_E_SHORT},
	{"7b8000000000000000", ECI_CBOR_E_SHORT},
	{"81", ECI_CBOR_E_SHORT},
	{"8200", ECI_CBOR_E_SHORT},
	{"a100", ECI_CBOR_E_SHORT},
	{"a2000000", ECI_CBOR_E_SHORT},
	{"9bffffffffffffffff00", ECI_CBOR_E_SHORT},
	{"9b800000000000000000", ECI_CBOR_E_SHORT},
	{"bb80000000000000010000", ECI_CBOR_E_SHORT}, /* twice the count wraps to 2 */
	{"bbffffffffffffffff0000", ECI_CBOR_E_SHORT},
	{"c2", ECI_CBOR_E_SHORT},
	{"c241", ECI_CBOR_E_SHORT},
	{"fb00000000000000", ECI_CBOR_E_SHORT},
	/* too long */
	{"0000", ECI_CBOR_E_TRAILING},
	{"8000", ECI_CBOR_E_TRAILING},
	{"810000", ECI_CBOR_E_TRAILING},
	{"a00000", ECI_CBOR_E_TRAILING},
	{"f6f6", ECI_CBOR_E_TRAILING},
	/* outside the subset */
	{"1c", ECI_CBOR_E_TYPE},
	{"1d", ECI_CBOR_E_TYPE},
	{"1e", ECI_CBOR_E_TYPE},
	{"1f", ECI_CBOR_E_TYPE},
	{"3f", ECI_CBOR_E_TYPE},
	{"5cff", ECI_CBOR_E_TYPE},
	{"dfff", ECI_CBOR_E_TYPE},
	{"ff", ECI_CBOR_E_TYPE},
	{"f814", ECI_CBOR_E_TYPE}, /* false, in the long form that is never legal */
	{"f820", ECI_CBOR_E_TYPE},
	{"fc", ECI_CBOR_E_TYPE},
	{"c000", ECI_CBOR_E_TYPE},
	{"c44101", ECI_CBOR_E_TYPE},
	{"81ff", ECI_CBOR_E_TYPE},
	{"82009fff", ECI_CBOR_E_TYPE},
	{"c25f4101ff", ECI_CBOR_E_TYPE},
	/* bignums */
	{"c200", ECI_CBOR_E_BIG},
	{"c26101", ECI_CBOR_E_BIG},
	{"c38101", ECI_CBOR_E_BIG},
	{"c2c24101", ECI_CBOR_E_BIG},
	{"c2591001", ECI_CBOR_E_BIG},
	/* text */
	{"6180", ECI_CBOR_E_UTF8},
	{"62c080", ECI_CBOR_E_UTF8},
	{"63eda080", ECI_CBOR_E_UTF8},
	{"8161ff", ECI_CBOR_E_UTF8},
	{"a161ff00", ECI_CBOR_E_UTF8},
	{"41ff", 0},
	/* keys */
	{"a18000", ECI_CBOR_E_KEY},
	{"a1a000", ECI_CBOR_E_KEY},
	{"a1c2410100", ECI_CBOR_E_KEY},
	{"a1c3410100", ECI_CBOR_E_KEY},
	{"a200008100f6", ECI_CBOR_E_KEY},
	{"a70000200040006000f400f600fb000000000000000000", 0},
	{"a1008100", 0},
	{"a100a10000", 0},
	/* duplicates: neighbours, apart, of each type, in long heads, nested */
	{"a200000000", ECI_CBOR_E_DUPKEY},
	{"a3000001000000", ECI_CBOR_E_DUPKEY},
	{"a3010000000100", ECI_CBOR_E_DUPKEY},
	{"a220002000", ECI_CBOR_E_DUPKEY},
	{"a240004000", ECI_CBOR_E_DUPKEY},
	{"a2616100616100", ECI_CBOR_E_DUPKEY},
	{"a2f400f400", ECI_CBOR_E_DUPKEY},
	{"a2f600f600", ECI_CBOR_E_DUPKEY},
	{"a2fb000000000000000000fb000000000000000000", ECI_CBOR_E_DUPKEY},
	{"a20000180000", ECI_CBOR_E_DUPKEY},
	{"a3020001001900020 0", ECI_CBOR_E_DUPKEY},
	{"a261610078016100", ECI_CBOR_E_DUPKEY},
	{"82a10000a200000000", ECI_CBOR_E_DUPKEY},
	{"a101a200000000", ECI_CBOR_E_DUPKEY},
	{"a20100 00a3010000000100", ECI_CBOR_E_DUPKEY},
	{"a2 01a3010000000100 0000", ECI_CBOR_E_DUPKEY},
	/* not duplicates: text and bytes, 1 and 1.0 and true, prefixes, the same key in two maps; sorted or not */
	{"a24161006161 00", 0},
	{"a3010 0fb3ff000000000000000f500", 0},
	{"a361610062616100426161f6", 0},
	{"a3626161006161004100f6", 0},
	{"82a10000a10000", 0},
	{"a201a101000000", 0},
	{"a3020001000000", 0},
	{"a3f600f500f400", 0},
};

Test(cbor, every_error)
{
	size_t i;

	for (i = 0; i < COUNT(cases); i++)
		cr_assert_eq(check_hex(cases[i].hex), cases[i].err, "%s: %s, expected %s", cases[i].hex,
			     eci_cbor_strerror(check_hex(cases[i].hex)), eci_cbor_strerror(cases[i].err));
}

Test(cbor, every_error_has_its_own_text)
{
	int a, b;

	for (a = ECI_CBOR_E_MEM - 1; a <= ECI_CBOR_OK; a++)
		for (b = ECI_CBOR_E_MEM - 1; b < a; b++)
			cr_assert_str_neq(eci_cbor_strerror(a), eci_cbor_strerror(b));
	cr_assert_str_eq(eci_cbor_strerror(1), eci_cbor_strerror(ECI_CBOR_E_MEM - 1));
}

/* n containers of the given opening bytes around one item. */
static int check_nested(const char *open, size_t open_len, unsigned n, const char *item)
{
	struct eci_buf b = ECI_BUF_NULL;
	int err;

	while (n-- > 0)
		eci_buf_append(&b, open, open_len);
	eci_buf_puts(&b, item);
	err = eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), ECI_CBOR_ITEMS_MAX);
	eci_buf_deinit(&b);
	return err;
}

Test(cbor, depth_limit)
{
	cr_assert_eq(ECI_CBOR_DEPTH_MAX, 32);
	cr_assert_eq(check_nested("\x81", 1, 31, "\x01"), ECI_CBOR_OK);
	cr_assert_eq(check_nested("\x81", 1, 31, "\x80"), ECI_CBOR_OK);
	cr_assert_eq(check_nested("\x81", 1, 32, "\x01"), ECI_CBOR_E_DEPTH);
	cr_assert_eq(check_nested("\x81", 1, 32, "\x80"), ECI_CBOR_E_DEPTH);
	cr_assert_eq(check_nested("\xa1\x01", 2, 31, "\xa0"), ECI_CBOR_OK);
	cr_assert_eq(check_nested("\xa1\x01", 2, 32, "\x01"), ECI_CBOR_E_DEPTH);
	cr_assert_eq(check_nested("\x81", 1, 60000, "\x01"), ECI_CBOR_E_DEPTH);
	cr_assert_eq(check_nested("\x81", 1, 30, "\xc2\x41\x01"), ECI_CBOR_OK);
	cr_assert_eq(check_nested("\x81", 1, 31, "\xc2\x41\x01"), ECI_CBOR_OK, "a bignum is one item");
}

static int check_array_of(uint32_t n, bool map, uint32_t items_max)
{
	struct eci_buf b = ECI_BUF_NULL;
	uint32_t i;
	int err;

	if (map)
		eci_cbor_put_map(&b, n);
	else
		eci_cbor_put_array(&b, n);
	for (i = 0; i < n; i++) {
		if (map)
			eci_cbor_put_uint(&b, i);
		eci_cbor_put_null(&b);
	}
	err = eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), items_max);
	eci_buf_deinit(&b);
	return err;
}

Test(cbor, items_limit)
{
	static const uint32_t maxima[] = {1, 2, 3, 24, 257, ECI_CBOR_ITEMS_MAX, ECI_CBOR_VALUE_ITEMS_MAX};
	size_t i;

	cr_assert_eq(ECI_CBOR_ITEMS_MAX, 65536);
	cr_assert_eq(ECI_CBOR_VALUE_ITEMS_MAX, 1048576);
	for (i = 0; i < COUNT(maxima); i++) {
		uint32_t max = maxima[i], pairs = (max - 1) / 2;

		cr_assert_eq(check_array_of(max - 1, false, max), ECI_CBOR_OK, "%u", max);
		cr_assert_eq(check_array_of(max, false, max), ECI_CBOR_E_ITEMS, "%u", max);
		cr_assert_eq(check_array_of(pairs, true, max), ECI_CBOR_OK, "%u", max);
		cr_assert_eq(check_array_of(pairs + 1, true, max), ECI_CBOR_E_ITEMS, "%u", max);
	}
	cr_assert_eq(eci_cbor_check((const uint8_t *)"\x00", 1, 0), ECI_CBOR_E_ITEMS);
	/* Items count wherever they are: [[0, 0], [0, 0]] holds seven. */
	cr_assert_eq(eci_cbor_check((const uint8_t *)"\x82\x82\0\0\x82\0\0", 7, 7), ECI_CBOR_OK);
	cr_assert_eq(eci_cbor_check((const uint8_t *)"\x82\x82\0\0\x82\0\0", 7, 6), ECI_CBOR_E_ITEMS);
}

Test(cbor, bignum_limit)
{
	static uint8_t magnitude[ECI_CBOR_BIGNUM_MAX + 2] = {0, 0xFF};
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_cbor_item it;
	struct eci_cbor c;

	cr_assert_eq(ECI_CBOR_BIGNUM_MAX, 4096);
	eci_cbor_put_big(&b, true, magnitude, 4097); /* a leading zero, then 4,096 bytes */
	cr_assert_not(b.failed);
	cr_assert_eq(eci_buf_len(&b), 1 + 3 + 4096);
	cr_assert_eq(eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), 1), ECI_CBOR_OK);
	c = eci_cbor_open(eci_buf_data(&b), eci_buf_len(&b));
	cr_assert(eci_cbor_next(&c, &it));
	cr_assert(it.type == ECI_CBOR_BIGNEG && it.len == 4096 && it.ptr[0] == 0xFF);
	eci_buf_clear(&b);
	eci_cbor_put_big(&b, true, magnitude + 1, 4097);
	cr_assert(b.failed);
	cr_assert_eq(eci_buf_len(&b), 0);
	eci_buf_clear(&b);
	eci_buf_append(&b, "\xc2\x59\x10\x01", 4);
	eci_buf_append(&b, magnitude, 4097);
	cr_assert_eq(eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), 1), ECI_CBOR_E_BIG);
	c = eci_cbor_open(eci_buf_data(&b), eci_buf_len(&b));
	cr_assert_not(eci_cbor_next(&c, &it));
	cr_assert(c.bad);
	eci_buf_deinit(&b);
}

/* One value, one encoding: a bignum that fits 64 bits is written as an integer. */
Test(cbor, small_bignums_are_integers)
{
	static const uint8_t bytes[] = {0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
	struct eci_buf b = ECI_BUF_NULL;

	eci_cbor_put_big(&b, false, bytes, 0);
	eci_cbor_put_big(&b, false, bytes, 2);
	eci_cbor_put_big(&b, true, bytes, 2);
	eci_cbor_put_big(&b, false, bytes, 3);
	eci_cbor_put_big(&b, true, bytes, 10);
	cr_assert_eq(eci_buf_len(&b), 14);
	cr_assert_arr_eq(eci_buf_data(&b), "\x00\x00\x20\x18\xff\x3b\xff\xff\xff\xff\xff\xff\xff\xff", 14);
	eci_buf_deinit(&b);
}

/* The largest argument of each width and the next one, in each major type that takes a bare argument. */
Test(cbor, heads_are_the_shortest)
{
	static const struct {
		uint64_t arg;
		const char *bytes;
		size_t n;
	} heads[] = {{0, "\x00", 1},
		     {23, "\x17", 1},
		     {24, "\x18\x18", 2},
		     {0xFF, "\x18\xff", 2},
		     {0x100, "\x19\x01\x00", 3},
		     {0xFFFF, "\x19\xff\xff", 3},
		     {0x10000, "\x1a\x00\x01\x00\x00", 5},
		     {UINT32_MAX, "\x1a\xff\xff\xff\xff", 5},
		     {UINT64_C(1) << 32, "\x1b\x00\x00\x00\x01\x00\x00\x00\x00", 9},
		     {UINT64_MAX, "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 9}};
	static void (*const put[])(struct eci_buf *, uint64_t) = {eci_cbor_put_uint,  eci_cbor_put_neg, NULL, NULL,
								  eci_cbor_put_array, eci_cbor_put_map};
	struct eci_buf b = ECI_BUF_NULL;
	size_t i, major;

	for (major = 0; major < COUNT(put); major++) {
		for (i = 0; put[major] && i < COUNT(heads); i++) {
			eci_buf_clear(&b);
			put[major](&b, heads[i].arg);
			cr_assert_eq(eci_buf_len(&b), heads[i].n, "major %zu, head %zu", major, i);
			cr_assert_eq(eci_buf_data(&b)[0], (uint8_t)heads[i].bytes[0] | major << 5);
			cr_assert_arr_eq(eci_buf_data(&b) + 1, heads[i].bytes + 1, heads[i].n - 1);
		}
	}
	eci_buf_deinit(&b);
}
