/* The cursor: every getter on every type, the borders of int64, and that hostile bytes neither crash it nor make it run
 * on. */
#include "core/cbor.h"
#include "tests/support/random.h"
#include "tests/unit/core/cbor_support.h"
#include <criterion/criterion.h>

/* Every type in one message: unsorted maps, nesting, each kind of head. */
static const char *rich =
	"8b a30200018200800082 01f6 1bffffffffffffffff 3903e7 c249010000000000000000 fb3ff199999999999a"
	"4401020304 64f0908591 f4 f5 a3616201616102f6a0 80";

/* The types in the order of the enum, and which getters take them. */
static const char *of_type[] = {"05", "24", "4141", "6141", "80", "a0", "c24100", "c34100", "fb0000000000000000",
				"f4", "f5", "f6"};
enum getter { GET_UINT, GET_INT, GET_BOOL, GET_ARRAY, GET_MAP, GET_BYTES, GET_TEXT, GET_EITHER, GETTERS };
#define BIT(type) (1u << ECI_CBOR_##type)
static const unsigned takes[GETTERS] = {
	BIT(UINT), BIT(UINT) | BIT(NEG),  BIT(FALSE) | BIT(TRUE), BIT(ARRAY), BIT(MAP), BIT(BYTES),
	BIT(TEXT), BIT(BYTES) | BIT(TEXT)};

/* Calls a getter; the sum of its outputs is 0 exactly when all are zeroed. */
static uint64_t get(struct eci_cbor *c, enum getter getter)
{
	const uint8_t *p = (const uint8_t *)"x";
	const char *text = "x";
	size_t n = 7;

	switch (getter) {
	case GET_UINT:
		return eci_cbor_get_uint(c);
	case GET_INT:
		return (uint64_t)eci_cbor_get_int(c);
	case GET_BOOL:
		return eci_cbor_get_bool(c);
	case GET_ARRAY:
		return eci_cbor_get_array(c);
	case GET_MAP:
		return eci_cbor_get_map(c);
	case GET_BYTES:
		return eci_cbor_get_bytes(c, &p, &n) + (p ? 1u : 0u) + n;
	case GET_TEXT:
		return eci_cbor_get_text(c, &text, &n) + (text ? 1u : 0u) + n;
	default:
		return eci_cbor_get_either(c, &p, &n) + (p ? 1u : 0u) + n;
	}
}

Test(cbor_cursor, each_getter_on_each_type)
{
	struct eci_cbor c;
	unsigned type;
	int getter;
	uint8_t *p;
	size_t n;

	for (getter = 0; getter < GETTERS; getter++) {
		for (type = 0; type <= ECI_CBOR_NULL; type++) {
			uint64_t v;

			p = from_hex(of_type[type], &n);
			c = eci_cbor_open(p, n);
			v = get(&c, (enum getter)getter);
			if (takes[getter] & 1u << type) {
				cr_assert(!c.bad && c.p == c.end, "getter %d, type %u", getter, type);
				cr_assert_eq(get(&c, (enum getter)getter), 0, "at the end");
			} else {
				cr_assert_eq(v, 0, "getter %d, type %u", getter, type);
			}
			cr_assert(c.bad);
			cr_assert_eq(get(&c, (enum getter)getter), 0, "bad is sticky");
			cr_assert_not(eci_cbor_skip(&c));
			cr_assert_not(eci_cbor_get_null(&c));
			free(p);
		}
	}
}

Test(cbor_cursor, values)
{
	struct eci_cbor_item it;
	const uint8_t *p;
	const char *text;
	size_t n, len;
	uint8_t *bytes = from_hex(rich, &n);
	struct eci_cbor c = eci_cbor_open(bytes, n);

	cr_assert_eq(eci_cbor_check(bytes, n, 28), ECI_CBOR_OK);
	cr_assert_eq(eci_cbor_check(bytes, n, 27), ECI_CBOR_E_ITEMS);
	cr_assert_eq(eci_cbor_get_array(&c), 11);
	cr_assert_not(eci_cbor_get_null(&c));
	cr_assert_eq(eci_cbor_get_map(&c), 3);
	cr_assert_eq(eci_cbor_get_uint(&c), 2);
	cr_assert_eq(eci_cbor_get_int(&c), 0);
	cr_assert_eq(eci_cbor_get_uint(&c), 1);
	cr_assert(eci_cbor_skip(&c));
	cr_assert_eq(eci_cbor_get_uint(&c), 0);
	cr_assert_eq(eci_cbor_get_array(&c), 2);
	cr_assert_eq(eci_cbor_get_uint(&c), 1);
	cr_assert(eci_cbor_get_null(&c));
	cr_assert_eq(eci_cbor_get_uint(&c), UINT64_MAX);
	cr_assert_eq(eci_cbor_get_int(&c), -1000);
	cr_assert(eci_cbor_next(&c, &it) && it.type == ECI_CBOR_BIGPOS && it.len == 9 && it.ptr[0] == 1);
	cr_assert(eci_cbor_next(&c, &it) && it.type == ECI_CBOR_FLOAT && it.u64 == 0x3ff199999999999a);
	cr_assert(eci_cbor_get_bytes(&c, &p, &len) && len == 4 && p[3] == 4);
	cr_assert(eci_cbor_get_text(&c, &text, &len) && len == 4 && memcmp(text, "\xf0\x90\x85\x91", 4) == 0);
	cr_assert_not(eci_cbor_get_bool(&c));
	cr_assert(eci_cbor_get_bool(&c));
	cr_assert(eci_cbor_skip(&c));
	cr_assert_eq(eci_cbor_get_array(&c), 0);
	cr_assert_not(eci_cbor_get_null(&c));
	cr_assert_not(c.bad);
	cr_assert_not(eci_cbor_next(&c, &it), "the end is not an error");
	cr_assert_not(c.bad);
	cr_assert_not(eci_cbor_skip(&c), "but an item that should be there is");
	cr_assert(c.bad);
	free(bytes);
}

Test(cbor_cursor, int64_borders)
{
	static const struct {
		const char *hex;
		int64_t v;
		bool bad;
	} cases[] = {{"1b7fffffffffffffff", INT64_MAX, false}, {"1b8000000000000000", 0, true},
		     {"3b7fffffffffffffff", INT64_MIN, false}, {"3b8000000000000000", 0, true},
		     {"3bffffffffffffffff", 0, true},          {"20", -1, false}};
	struct eci_cbor c;
	uint8_t *p;
	size_t i, n;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		p = from_hex(cases[i].hex, &n);
		c = eci_cbor_open(p, n);
		cr_assert_eq(eci_cbor_get_int(&c), cases[i].v, "%s", cases[i].hex);
		cr_assert_eq(c.bad, cases[i].bad, "%s", cases[i].hex);
		free(p);
	}
}

/* What put_int writes, get_int reads, at each power of two and beside it. */
Test(cbor_cursor, put_int_and_back)
{
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_cbor c;
	int64_t v;
	int shift, beside, sign;

	for (shift = 0; shift < 64; shift++)
		for (beside = -1; beside <= 1; beside++)
			for (sign = 0; sign < 2; sign++) {
				v = (int64_t)((UINT64_C(1) << shift) + (uint64_t)(int64_t)beside);
				v = sign ? -1 - v : v;
				eci_buf_clear(&b);
				eci_cbor_put_int(&b, v);
				c = eci_cbor_open(eci_buf_data(&b), eci_buf_len(&b));
				cr_assert_eq(eci_cbor_get_int(&c), v);
				cr_assert_not(c.bad);
				cr_assert_eq(eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), 1), ECI_CBOR_OK);
			}
	eci_buf_deinit(&b);
}

/* All that can be done with bytes, whatever they are. The checker's yes must be the cursor's yes. */
static void exercise(const uint8_t *p, size_t n)
{
	struct eci_cbor_item it;
	struct eci_cbor c = eci_cbor_open(p, n);
	int err = eci_cbor_check(p, n, ECI_CBOR_ITEMS_MAX), getter;
	size_t items = 0;

	while (eci_cbor_next(&c, &it))
		cr_assert_leq(++items, n);
	cr_assert(c.p <= c.end);
	if (err == ECI_CBOR_OK)
		cr_assert_not(c.bad);
	c = eci_cbor_open(p, n);
	eci_cbor_skip(&c);
	if (err == ECI_CBOR_OK)
		cr_assert(!c.bad && c.p == c.end);
	for (getter = 0; getter < GETTERS; getter++) {
		c = eci_cbor_open(p, n);
		while (!c.bad)
			get(&c, (enum getter)getter);
		cr_assert(c.p <= c.end);
	}
}

Test(cbor_cursor, every_prefix_is_short)
{
	size_t n, cut;
	uint8_t *p = from_hex(rich, &n), *exact;
	struct eci_cbor c;

	for (cut = 0; cut < n; cut++) {
		exact = malloc(cut + 1);
		memcpy(exact + 1, p, cut);
		cr_assert_eq(eci_cbor_check(exact + 1, cut, ECI_CBOR_ITEMS_MAX), ECI_CBOR_E_SHORT, "%zu bytes", cut);
		c = eci_cbor_open(exact + 1, cut);
		cr_assert_not(eci_cbor_skip(&c));
		cr_assert(c.bad);
		exercise(exact + 1, cut);
		free(exact);
	}
	free(p);
}

Test(cbor_cursor, every_byte_takes_every_value)
{
	size_t n, at;
	uint8_t *p = from_hex(rich, &n), was;
	int value;

	for (at = 0; at < n; at++) {
		was = p[at];
		for (value = 0; value < 256; value++) {
			p[at] = (uint8_t)value;
			exercise(p, n);
		}
		p[at] = was;
	}
	cr_assert_eq(eci_cbor_check(p, n, ECI_CBOR_ITEMS_MAX), ECI_CBOR_OK);
	free(p);
}

/* Short strings of random bytes, with heads of containers more often than chance would have them. */
Test(cbor_cursor, random_bytes)
{
	struct eci_random r = eci_random_open("cbor_cursor/random_bytes", 3);
	size_t n, at;
	uint8_t *p;
	long i, good = 0;

	for (i = 0; i < 100000; i++) {
		n = eci_random_below(&r, 24);
		p = malloc(n ? n : 1);
		for (at = 0; at < n; at++) {
			p[at] = (uint8_t)eci_random_u64(&r);
			if (eci_random_below(&r, 3) == 0)
				p[at] = (uint8_t)(0x80 | (p[at] & 0x21));
		}
		exercise(p, n);
		good += eci_cbor_check(p, n, 100) == ECI_CBOR_OK;
		free(p);
	}
	cr_assert_gt(good, 1000, "%ld accepted: the bytes are too wild to test anything", good);
}

/* Counts that add up beyond 64 bits must neither wrap nor be looped over. */
Test(cbor_cursor, skip_does_not_believe_counts)
{
	struct eci_buf b = ECI_BUF_NULL;
	struct eci_cbor c;
	int i;

	for (i = 0; i < 1000; i++)
		eci_cbor_put_array(&b, 400);
	c = eci_cbor_open(eci_buf_data(&b), eci_buf_len(&b));
	cr_assert_not(eci_cbor_skip(&c));
	cr_assert_lt(c.p - eci_buf_data(&b), 100, "ended as soon as it was hopeless");
	c = eci_cbor_open((const uint8_t *)"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9);
	cr_assert_eq(eci_cbor_get_array(&c), 0);
	c = eci_cbor_open((const uint8_t *)"\xbb\x80\0\0\0\0\0\0\1\0\0", 11);
	cr_assert_eq(eci_cbor_get_map(&c), 0);
	eci_buf_deinit(&b);
}

/* No bytes at all, as of an empty body: nothing there, and no arithmetic on a null pointer (the sanitizer's word). */
Test(cbor_cursor, no_bytes)
{
	struct eci_cbor c = eci_cbor_open(NULL, 0);
	struct eci_cbor_item it;

	cr_assert_eq(eci_cbor_check(NULL, 0, 1), ECI_CBOR_E_SHORT);
	cr_assert_not(eci_cbor_next(&c, &it));
	cr_assert_not(eci_cbor_get_null(&c));
	cr_assert_not(c.bad);
	cr_assert_not(eci_cbor_skip(&c));
	cr_assert(c.bad);
}
