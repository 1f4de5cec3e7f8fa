/* Values: constructors and getters at the bounds of each type, ownership, maps in any order, bignums, CBOR both ways,
 * random trees. */
#include "service/service.h"
#include "service/value_impl.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ectx_value *round_trip(const ectx_value *v)
{
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_cbor c;
	ectx_value *out;

	cr_assert_eq(eci_value_encode(&b, v), 0);
	cr_assert_eq(eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), ECI_CBOR_VALUE_ITEMS_MAX), ECI_CBOR_OK);
	c = eci_cbor_open(eci_buf_data(&b), eci_buf_len(&b));
	out = eci_value_decode(&c);
	cr_assert(out && c.p == c.end);
	eci_buf_deinit(&b);
	return out;
}

/* Encodes to exactly these bytes, and comes back equal. Frees v. */
static void expect_bytes(ectx_value *v, const char *hex)
{
	struct eci_buf b = ECI_BUF_NULL;
	ectx_value *again = round_trip(v);
	char text[256];
	size_t i;

	cr_assert_eq(eci_value_encode(&b, v), 0);
	for (i = 0; i < eci_buf_len(&b); i++)
		snprintf(text + 2 * i, 3, "%02x", eci_buf_data(&b)[i]);
	cr_expect_str_eq(text, hex);
	cr_expect(ectx_value_equal(v, again), "%s", hex);
	eci_buf_deinit(&b);
	ectx_value_free(again);
	ectx_value_free(v);
}

Test(value, integers)
{
	static const struct {
		const char *decimal, *hex;
		enum ectx_kind kind;
		bool fits_int, fits_uint;
	} table[] = {
		{"0", "00", ECTX_INT, true, true},
		{"-0", "00", ECTX_INT, true, true},
		{"000", "00", ECTX_INT, true, true},
		{"-1", "20", ECTX_INT, true, false},
		{"23", "17", ECTX_INT, true, true},
		{"24", "1818", ECTX_INT, true, true},
		{"9223372036854775807", "1b7fffffffffffffff", ECTX_INT, true, true},
		{"9223372036854775808", "1b8000000000000000", ECTX_INT, false, true},
		{"18446744073709551615", "1bffffffffffffffff", ECTX_INT, false, true},
		{"18446744073709551616", "c249010000000000000000", ECTX_BIGINT, false, false},
		{"-9223372036854775808", "3b7fffffffffffffff", ECTX_INT, true, false},
		{"-9223372036854775809", "3b8000000000000000", ECTX_BIGINT, false, false},
		{"-18446744073709551616", "3bffffffffffffffff", ECTX_BIGINT, false, false},
		{"-18446744073709551617", "c349010000000000000000", ECTX_BIGINT, false, false},
		{"1000000000000000000000", "c2493635c9adc5dea00000", ECTX_BIGINT, false, false},
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		ectx_value *v = ectx_bigint(table[i].decimal);
		int64_t n;
		uint64_t u;

		cr_assert(v);
		cr_expect_eq(ectx_value_kind(v), table[i].kind, "%s", table[i].decimal);
		cr_expect_eq(ectx_value_int(v, &n), table[i].fits_int, "%s", table[i].decimal);
		cr_expect_eq(ectx_value_uint(v, &u), table[i].fits_uint, "%s", table[i].decimal);
		cr_expect_eq(n, table[i].fits_int ? strtoll(table[i].decimal, NULL, 10) : 0);
		cr_expect_eq(u, table[i].fits_uint ? strtoull(table[i].decimal, NULL, 10) : 0);
		cr_expect_float_eq(ectx_value_float(v), strtod(table[i].decimal, NULL), 1e6);
		expect_bytes(v, table[i].hex);
	}
	expect_bytes(ectx_int(INT64_MIN), "3b7fffffffffffffff");
	expect_bytes(ectx_int(INT64_MAX), "1b7fffffffffffffff");
	expect_bytes(ectx_uint(UINT64_MAX), "1bffffffffffffffff");
}

Test(value, bigints_malformed)
{
	static const char *bad[] = {"", "-", "+1", " 1", "1 ", "1.0", "0x1", "--1", "1-", "1e5", "\xd9\xa1"};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_expect_null(ectx_bigint(bad[i]), "%s", bad[i]);
	cr_expect_null(ectx_bigint(NULL));
}

/* +-2^32768 and their neighbours: the largest magnitude has 4,096 bytes. */
Test(value, bigint_limit)
{
	static uint8_t digits[9866];
	static char text[9868];
	ectx_value *v;
	size_t n = 1, i, k;
	char *json;

	digits[0] = 1;
	for (i = 0; i < 32768; i++) {
		unsigned carry = 0;

		for (k = 0; k < n; k++) {
			carry += digits[k] * 2u;
			digits[k] = (uint8_t)(carry % 10);
			carry /= 10;
		}
		if (carry)
			digits[n++] = (uint8_t)carry;
	}
	cr_assert_eq(n, 9865);
	text[0] = '-';
	for (i = 0; i < n; i++)
		text[1 + i] = (char)('0' + digits[n - 1 - i]);
	cr_expect_null(ectx_bigint(text + 1), "2^32768 has 4,097 bytes");
	v = ectx_bigint(text); /* -2^32768 is -1 - (2^32768 - 1) */
	cr_assert(v);
	json = ectx_value_json(v);
	cr_expect_str_eq(json, text);
	free(json);
	ectx_value_free(v);
	cr_assert_eq(text[9865], '6');
	text[9865] = '5';
	v = ectx_bigint(text + 1); /* 2^32768 - 1 */
	cr_assert(v);
	json = ectx_value_json(v);
	cr_expect_str_eq(json, text + 1);
	free(json);
	ectx_value_free(v);
	text[9865] = '7';
	cr_expect_null(ectx_bigint(text), "-2^32768 - 1");
}

Test(value, other_scalars)
{
	ectx_value *v;
	size_t n;

	expect_bytes(ectx_null(), "f6");
	expect_bytes(ectx_bool(true), "f5");
	expect_bytes(ectx_bool(false), "f4");
	expect_bytes(ectx_float(1.1), "fb3ff199999999999a");
	expect_bytes(ectx_float((double)NAN), "fb7ff8000000000000");
	expect_bytes(ectx_float(-0.0), "fb8000000000000000");
	expect_bytes(ectx_text("\xc3\xbc"), "62c3bc");
	expect_bytes(ectx_text_n("a\0b", 3), "63610062");
	expect_bytes(ectx_bytes("\xff", 1), "41ff");
	expect_bytes(ectx_bytes(NULL, 0), "40");
	expect_bytes(ectx_text(""), "60");
	cr_expect_null(ectx_text("\xff"));
	cr_expect_null(ectx_text("\xed\xa0\x80"));
	cr_expect_null(ectx_text(NULL));
	cr_expect_null(ectx_bytes(NULL, 1));
	v = ectx_text_n("a\0b", 3);
	cr_expect_eq(strlen(ectx_value_text(v)), 1);
	cr_expect(memcmp(ectx_value_bytes(v, &n), "a\0b", 4) == 0 && n == 3);
	ectx_value_free(v);
	v = ectx_bytes("x", 1);
	cr_expect_null(ectx_value_text(v));
	cr_expect(ectx_value_bytes(v, &n) && n == 1);
	ectx_value_free(v);
}

Test(value, getters_of_the_wrong_kind)
{
	ectx_value *all[] = {NULL, ectx_null(), ectx_bool(true), ectx_text("t"), ectx_array(), ectx_map()};
	int64_t n;
	uint64_t u;
	size_t i, len;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		cr_expect(!ectx_value_int(all[i], &n) && n == 0);
		cr_expect(!ectx_value_uint(all[i], &u) && u == 0);
		cr_expect(ectx_value_float(all[i]) == 0);
		cr_expect_eq(ectx_value_bool(all[i]), i == 2);
		cr_expect_eq(ectx_value_text(all[i]) != NULL, i == 3);
		cr_expect_eq(ectx_value_bytes(all[i], &len) != NULL, i == 3);
		cr_expect_eq(ectx_value_count(all[i]), 0);
		cr_expect(!ectx_array_at(all[i], 0) && !ectx_map_key(all[i], 0) && !ectx_map_at(all[i], 0));
		cr_expect_null(ectx_map_get(all[i], "x"));
		ectx_value_free(all[i]);
	}
	cr_expect_eq(ectx_value_kind(NULL), ECTX_NULL);
	cr_expect_null(ectx_value_copy(NULL));
	ectx_value_free(NULL);
}

/* What is handed over is taken in any case: ASan tells what leaks or is freed twice. */
Test(value, ownership)
{
	ectx_value *a = ectx_array(), *m = ectx_map(), *s = ectx_text("s");

	cr_expect_null(ectx_array_push(NULL, ectx_int(1)));
	cr_expect_null(ectx_array_push(s, ectx_int(1)));
	cr_expect_null(ectx_array_push(a, NULL));
	cr_expect_null(ectx_array_push(a, ectx_text("\xff")));
	cr_expect_null(ectx_array_push(a, a));
	cr_expect_null(ectx_map_set(NULL, ectx_int(1), ectx_int(2)));
	cr_expect_null(ectx_map_set(m, NULL, ectx_int(2)));
	cr_expect_null(ectx_map_set(m, ectx_int(1), NULL));
	cr_expect_null(ectx_map_set(m, ectx_int(1), m));
	cr_expect_null(ectx_map_set(m, m, ectx_int(1)));
	cr_expect_null(ectx_map_set(a, ectx_int(1), ectx_int(1)));
	cr_expect_null(ectx_map_set(m, ectx_array(), ectx_int(1)));
	cr_expect_null(ectx_map_set(m, ectx_map(), ectx_int(1)));
	cr_expect_null(ectx_map_set(m, ectx_bigint("18446744073709551616"), ectx_int(1)));
	cr_expect_null(ectx_map_put(m, NULL, ectx_int(1)));
	cr_expect_null(ectx_map_put(m, "\xff", ectx_int(1)));
	cr_expect_eq(ectx_value_count(a) + ectx_value_count(m), 0);
	cr_expect_eq(ectx_map_set(m, ectx_bigint("-18446744073709551616"), ectx_int(1)), m);
	cr_expect_eq(ectx_map_put(m, "a", ectx_array_push(ectx_array(), ectx_int(1))), m);
	cr_expect_eq(ectx_map_put(m, "a", ectx_int(2)), m, "replaces");
	cr_expect_eq(ectx_value_count(m), 2);
	ectx_value_free(a);
	ectx_value_free(m);
	ectx_value_free(s);
}

/* The order of encoded keys: ints, negatives, bytes, text by length then bytes, simple values, floats. */
Test(value, map_order)
{
	ectx_value *m = ectx_map(), *again;

	ectx_map_set(m, ectx_float(0.5), ectx_int(9));
	ectx_map_set(m, ectx_null(), ectx_int(8));
	ectx_map_set(m, ectx_bool(true), ectx_int(7));
	ectx_map_set(m, ectx_bool(false), ectx_int(6));
	ectx_map_put(m, "aa", ectx_int(5));
	ectx_map_put(m, "b", ectx_int(4));
	ectx_map_set(m, ectx_bytes("zz", 2), ectx_int(3));
	ectx_map_set(m, ectx_int(-1), ectx_int(2));
	ectx_map_set(m, ectx_int(1000), ectx_int(1));
	ectx_map_set(m, ectx_int(10), ectx_int(0));
	cr_expect_eq(ectx_value_kind(ectx_map_key(m, 0)), ECTX_FLOAT, "keeps the order of setting");
	again = ectx_value_copy(m);
	cr_expect(ectx_value_equal(m, again));
	ectx_value_free(again);
	expect_bytes(m, "aa0a001903e801200242"
			"7a7a0361620462616105f406f507f608fb3fe000000000000009");
}

Test(value, map_many_keys)
{
	struct eci_random r = eci_random_open("map_many_keys", 11);
	ectx_value *m = ectx_map(), *other = ectx_map();
	char key[16];
	int64_t n;
	unsigned i;

	for (i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "k%u", eci_random_below(&r, 2000));
		ectx_map_put(m, key, ectx_int(i));
	}
	for (i = 0; i < ectx_value_count(m); i++) {
		size_t back = ectx_value_count(m) - 1 - i;

		ectx_value_int(ectx_map_at(m, back), &n);
		ectx_map_set(other, ectx_value_copy(ectx_map_key(m, back)), ectx_int(n));
		cr_assert_eq(ectx_map_get(m, ectx_value_text(ectx_map_key(m, back))), ectx_map_at(m, back));
	}
	cr_expect_null(ectx_map_get(m, "absent"));
	cr_expect(ectx_value_equal(m, other));
	ectx_map_put(other, "k1", ectx_text("differs"));
	cr_expect(!ectx_value_equal(m, other));
	ectx_value_free(m);
	ectx_value_free(other);
}

Test(value, equality)
{
	ectx_value *all[] = {ectx_null(),
			     ectx_bool(false),
			     ectx_bool(true),
			     ectx_int(0),
			     ectx_int(1),
			     ectx_int(-1),
			     ectx_float(1),
			     ectx_float(0.0),
			     ectx_float(-0.0),
			     ectx_text(""),
			     ectx_text("1"),
			     ectx_bytes("1", 1),
			     ectx_bytes("", 0),
			     ectx_array(),
			     ectx_map(),
			     ectx_bigint("99999999999999999999"),
			     ectx_bigint("-99999999999999999999"),
			     ectx_array_push(ectx_array(), ectx_int(1)),
			     ectx_map_put(ectx_map(), "1", ectx_int(1))};
	size_t i, k, n = sizeof(all) / sizeof(*all);

	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++)
			cr_expect_eq(ectx_value_equal(all[i], all[k]), i == k, "%zu %zu", i, k);
	cr_expect(ectx_value_equal(NULL, all[0]));
	for (i = 0; i < n; i++)
		ectx_value_free(all[i]);
}

static ectx_value *nest(unsigned depth)
{
	ectx_value *v = ectx_int(1);

	while (--depth > 0)
		v = depth % 2 ? ectx_array_push(ectx_array(), v) : ectx_map_put(ectx_map(), "k", v);
	return v;
}

Test(value, depth)
{
	ectx_value *v = nest(32), *copy = ectx_value_copy(v);
	struct eci_buf b = ECI_BUF_NULL;
	char *json = ectx_value_json(v);

	cr_expect(copy && json && ectx_value_equal(v, copy));
	free(json);
	cr_expect_eq(eci_value_encode(&b, v), 0);
	cr_expect_eq(eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), 1000), ECI_CBOR_OK);
	ectx_value_free(v);
	ectx_value_free(copy);
	eci_buf_clear(&b);
	v = nest(33);
	cr_expect_null(ectx_value_copy(v));
	cr_expect_null(ectx_value_json(v));
	cr_expect_eq(eci_value_encode(&b, v), -1);
	ectx_value_free(v);
	ectx_value_free(nest(200000)); /* freed without recursion */
	eci_buf_deinit(&b);
}

/* Decoding takes what the checker takes: unsorted keys, long heads; and refuses on its own what it must not trust. */
Test(value, decode)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool ok;
	} table[] = {
		{"\xa2\x02\x00\x01\x00", 5, true},
		{"\xa2\x01\x00\x01\x00", 5, false},
		{"\xa2\x18\x01\x00\x01\x00", 6, false},
		{"\xa1\x80\x00", 3, false},
		{"\xa1\xa0\x00", 3, false},
		{"\x1b\x00\x00\x00\x00\x00\x00\x00\x01", 9, true},
		{"\xc2\x42\x00\x01", 4, true},
		{"\x82\x01", 2, false},
		{"\x61\xff", 2, false},
		{"\x9f\xff", 2, false},
		{"\xc0\x00", 2, false},
		{"\xf9\x00\x00", 3, false},
		{"", 0, false},
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		uint8_t *exact = malloc(table[i].n ? table[i].n : 1);
		struct eci_cbor c;
		ectx_value *v;

		memcpy(exact, table[i].bytes, table[i].n);
		c = eci_cbor_open(exact, table[i].n);
		v = eci_value_decode(&c);
		cr_expect_eq(v != NULL, table[i].ok, "%zu", i);
		cr_expect_eq(c.bad, !table[i].ok, "%zu", i);
		ectx_value_free(v);
		free(exact);
	}
}

static ectx_value *random_value(struct eci_random *r, unsigned depth)
{
	char bytes[32];
	ectx_value *v, *key, *item;
	uint32_t n, kind = eci_random_below(r, depth < 5 ? 10 : 8), i;
	uint64_t bits;
	double d;

	switch (kind) {
	case 0:
		return ectx_null();
	case 1:
		return ectx_bool(eci_random_below(r, 2));
	case 2:
		return ectx_int((int64_t)eci_random_magnitude(r) * (eci_random_below(r, 2) ? 1 : -1));
	case 3:
		return ectx_uint(eci_random_magnitude(r));
	case 4:
		bits = eci_random_u64(r);
		memcpy(&d, &bits, sizeof(d));
		return ectx_float(d);
	case 5:
	case 6:
		n = eci_random_below(r, sizeof(bytes));
		for (i = 0; i < n; i++)
			bytes[i] = (char)(kind == 5 ? 0x20 + eci_random_below(r, 0x5f) : eci_random_below(r, 256));
		return kind == 5 ? ectx_text_n(bytes, n) : ectx_bytes(bytes, n);
	case 7:
		snprintf(bytes, sizeof(bytes), "-%" PRIu64 "%010u", eci_random_magnitude(r),
			 eci_random_below(r, 1000000000));
		return ectx_bigint(bytes + eci_random_below(r, 2));
	case 8:
		v = ectx_array();
		for (n = eci_random_below(r, 6); n > 0; n--)
			ectx_array_push(v, random_value(r, depth + 1));
		return v;
	default:
		v = ectx_map();
		for (n = eci_random_below(r, 6); n > 0; n--) {
			key = random_value(r, 9);
			item = random_value(r, depth + 1);
			if (ectx_value_kind(key) == ECTX_BIGINT && key->str.len > sizeof(bits)) { /* no key */
				ectx_value_free(key);
				key = ectx_null();
			}
			cr_assert(ectx_map_set(v, key, item));
		}
		return v;
	}
}

Test(value, random_trees)
{
	struct eci_random r = eci_random_open("random_trees", 3);
	ectx_value *v, *again, *copy;
	char *json;
	int i;

	for (i = 0; i < 5000; i++) {
		v = random_value(&r, 0);
		again = round_trip(v);
		copy = ectx_value_copy(again);
		cr_assert(ectx_value_equal(v, again) && ectx_value_equal(v, copy));
		json = ectx_value_json(v);
		cr_assert(json && !strchr(json, '\n'));
		free(json);
		ectx_value_free(v);
		ectx_value_free(again);
		ectx_value_free(copy);
	}
}

/* Half a million keys against their order: sorted once, not inserted one by one. */
Test(value, hostile_map, .timeout = 20)
{
	struct eci_buf b = ECI_BUF_NULL;
	const uint32_t count = 500000;
	struct eci_cbor c;
	ectx_value *v;
	uint32_t i;

	eci_cbor_put_map(&b, count);
	for (i = count; i-- > 0;) {
		eci_cbor_put_uint(&b, i);
		eci_cbor_put_null(&b);
	}
	cr_assert_eq(eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), ECI_CBOR_VALUE_ITEMS_MAX), ECI_CBOR_OK);
	c = eci_cbor_open(eci_buf_data(&b), eci_buf_len(&b));
	v = eci_value_decode(&c);
	cr_assert(v);
	cr_expect_eq(ectx_value_count(v), count);
	ectx_value_free(v);
	eci_buf_deinit(&b);
}

Test(value, buffer_that_failed)
{
	ectx_value *v = nest(20);
	struct eci_buf b = {.failed = true};

	cr_expect_eq(eci_value_encode(&b, v), -1);
	cr_expect_eq(eci_value_encode(&b, NULL), -1);
	eci_buf_deinit(&b);
	ectx_value_free(v);
}

/* Indices are 32 bits: a map grows to 2^30 pairs, which nobody has made, and no further. */
Test(value, a_map_has_an_end)
{
	cr_expect_eq(eci_map_room_after(1u << 29), 1u << 30);
	cr_expect_eq(eci_map_room_after(1u << 30), 0);
	ectx_value *m = ectx_map();
	m->map.count = m->map.cap = 1u << 30;
	cr_expect_eq(eci_map_append(m, ectx_int(1), ectx_int(1)), -1);
	cr_expect(m->map.count == 1u << 30 && m->map.cap == 1u << 30 && !m->map.pairs);
	m->map.count = m->map.cap = 0;
	ectx_value_free(m);
}
