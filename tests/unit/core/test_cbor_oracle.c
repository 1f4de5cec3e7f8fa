/* libcbor as the oracle, in both directions, on random items: what our writer writes, libcbor must read as the same
 * tree and write back as the same bytes; what libcbor writes of a random tree, with heads of any width, our checker
 * must accept and our cursor must read as that tree; and whatever our checker accepts of damaged bytes, libcbor must
 * find well-formed too. */
#include "core/cbor.h"
#include "tests/support/random.h"
#include "tests/unit/core/cbor_support.h"
#include <cbor.h>
#include <criterion/criterion.h>

enum { ROUNDS = 20000, DEPTH = 5, WIDTH = 6, STRING = 300 };

static size_t random_string(struct eci_random *r, char out[STRING], bool text)
{
	static const char *const pieces[] = {"a", "Z", "\xc3\xbc", "\xe6\xb0\xb4", "\xf0\x90\x85\x91", " "};
	size_t n = 0, max = eci_random_below(r, 10) ? 30 : STRING - 4, want = eci_random_below(r, (uint32_t)max);
	const char *piece;

	while (n < want) {
		if (text) {
			piece = pieces[eci_random_below(r, 6)];
			memcpy(out + n, piece, strlen(piece));
			n += strlen(piece);
		} else {
			out[n++] = (char)eci_random_u64(r);
		}
	}
	return n;
}

/* ---- one: our writer, libcbor reads ---- */

static void put_random(struct eci_random *r, struct eci_buf *b, int depth, bool key);

static void put_random_container(struct eci_random *r, struct eci_buf *b, int depth)
{
	uint32_t n = eci_random_below(r, WIDTH), i;
	bool map = eci_random_below(r, 2);

	if (map)
		eci_cbor_put_map(b, n);
	else
		eci_cbor_put_array(b, n);
	for (i = 0; i < n; i++) {
		if (map)
			eci_cbor_put_uint(b, 3 * i + eci_random_below(r, 3));
		put_random(r, b, depth - 1, false);
	}
}

static void put_random(struct eci_random *r, struct eci_buf *b, int depth, bool key)
{
	char s[STRING];
	size_t n;

	switch (eci_random_below(r, depth > 0 && !key ? 12 : 9)) {
	case 0:
		eci_cbor_put_uint(b, eci_random_magnitude(r));
		break;
	case 1:
		eci_cbor_put_neg(b, eci_random_magnitude(r));
		break;
	case 2:
		n = random_string(r, s, false);
		eci_cbor_put_bytes(b, s, n);
		break;
	case 3:
		n = random_string(r, s, true);
		eci_cbor_put_text(b, s, n);
		break;
	case 4:
		n = random_string(r, s, false);
		eci_cbor_put_big(b, eci_random_below(r, 2), s, n);
		break;
	case 5:
		eci_cbor_put_f64bits(b, eci_random_u64(r));
		break;
	case 6:
		eci_cbor_put_bool(b, eci_random_below(r, 2));
		break;
	case 7:
		eci_cbor_put_null(b);
		break;
	case 8:
		eci_cbor_put_int(b, (int64_t)eci_random_u64(r) >> eci_random_below(r, 64));
		break;
	default:
		put_random_container(r, b, depth);
		break;
	}
}

/* ---- the comparison: a libcbor tree beside our cursor ---- */

static uint64_t int_of(const cbor_item_t *item)
{
	return cbor_get_int(item);
}

static bool same_bytes(const void *a, size_t a_len, const struct eci_cbor_item *it)
{
	return a_len == it->len && (a_len == 0 || memcmp(a, it->ptr, a_len) == 0);
}

static bool same_float(const cbor_item_t *item, uint64_t bits)
{
	double d = cbor_float_get_float(item);
	uint64_t theirs;

	memcpy(&theirs, &d, sizeof(theirs));
	return theirs == bits;
}

static bool same(cbor_item_t *item, struct eci_cbor *c)
{
	struct eci_cbor_item it;
	cbor_item_t *tagged;
	size_t i;
	bool ok;

	if (!eci_cbor_next(c, &it))
		return false;
	switch (it.type) {
	case ECI_CBOR_UINT:
		return cbor_isa_uint(item) && int_of(item) == it.u64;
	case ECI_CBOR_NEG:
		return cbor_isa_negint(item) && int_of(item) == it.u64;
	case ECI_CBOR_BYTES:
		return cbor_isa_bytestring(item) &&
		       same_bytes(cbor_bytestring_handle(item), cbor_bytestring_length(item), &it);
	case ECI_CBOR_TEXT:
		return cbor_isa_string(item) && same_bytes(cbor_string_handle(item), cbor_string_length(item), &it);
	case ECI_CBOR_BIGPOS:
	case ECI_CBOR_BIGNEG:
		if (!cbor_isa_tag(item) || cbor_tag_value(item) != (it.type == ECI_CBOR_BIGPOS ? 2 : 3))
			return false;
		tagged = cbor_tag_item(item);
		ok = cbor_isa_bytestring(tagged) &&
		     same_bytes(cbor_bytestring_handle(tagged), cbor_bytestring_length(tagged), &it);
		cbor_decref(&tagged);
		return ok;
	case ECI_CBOR_FLOAT:
		return cbor_is_float(item) && cbor_float_get_width(item) == CBOR_FLOAT_64 && same_float(item, it.u64);
	case ECI_CBOR_FALSE:
	case ECI_CBOR_TRUE:
		return cbor_is_bool(item) && cbor_get_bool(item) == (it.type == ECI_CBOR_TRUE);
	case ECI_CBOR_NULL:
		return cbor_is_null(item);
	case ECI_CBOR_ARRAY:
		if (!cbor_isa_array(item) || cbor_array_size(item) != it.u64)
			return false;
		for (i = 0; i < it.u64; i++)
			if (!same(cbor_array_handle(item)[i], c))
				return false;
		return true;
	default:
		if (!cbor_isa_map(item) || cbor_map_size(item) != it.u64)
			return false;
		for (i = 0; i < it.u64; i++)
			if (!same(cbor_map_handle(item)[i].key, c) || !same(cbor_map_handle(item)[i].value, c))
				return false;
		return true;
	}
}

Test(cbor_oracle, libcbor_reads_what_we_write)
{
	struct eci_random r = eci_random_open("cbor_oracle/libcbor_reads_what_we_write", 5);
	struct eci_buf b = ECI_BUF_NULL;
	struct cbor_load_result result;
	unsigned char *theirs;
	cbor_item_t *item;
	struct eci_cbor c;
	size_t n, size;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		eci_buf_clear(&b);
		put_random(&r, &b, DEPTH, false);
		n = eci_buf_len(&b);
		cr_assert_eq(eci_cbor_check(eci_buf_data(&b), n, ECI_CBOR_ITEMS_MAX), ECI_CBOR_OK, "round %d", round);
		item = cbor_load(eci_buf_data(&b), n, &result);
		cr_assert_not_null(item, "round %d: libcbor error %d", round, (int)result.error.code);
		cr_assert_eq(result.read, n, "round %d", round);
		c = eci_cbor_open(eci_buf_data(&b), n);
		cr_assert(same(item, &c), "round %d", round);
		cr_assert_eq(c.p, c.end);
		cr_assert_eq(cbor_serialize_alloc(item, &theirs, &size), n, "round %d", round);
		cr_assert_arr_eq(theirs, eci_buf_data(&b), n, "round %d", round);
		free(theirs);
		cbor_decref(&item);
	}
	eci_buf_deinit(&b);
}

/* ---- two: libcbor writes, our checker and cursor read ---- */

static cbor_item_t *build_int(struct eci_random *r, bool negative)
{
	uint64_t v = eci_random_magnitude(r);
	cbor_item_t *item;

	/* Often wider than need be. */
	switch (eci_random_below(r, 4)) {
	case 0:
		item = cbor_build_uint8((uint8_t)v);
		break;
	case 1:
		item = cbor_build_uint16((uint16_t)v);
		break;
	case 2:
		item = cbor_build_uint32((uint32_t)v);
		break;
	default:
		item = cbor_build_uint64(v);
		break;
	}
	if (negative)
		cbor_mark_negint(item);
	return item;
}

static cbor_item_t *build(struct eci_random *r, int depth);

static cbor_item_t *build_container(struct eci_random *r, int depth)
{
	uint32_t n = eci_random_below(r, WIDTH), i;
	bool map = eci_random_below(r, 2);
	cbor_item_t *item = map ? cbor_new_definite_map(n) : cbor_new_definite_array(n);

	for (i = 0; i < n; i++) {
		cbor_item_t *value = build(r, depth - 1), *key;

		if (map) {
			/* Descending or ascending, never twice. */
			key = cbor_build_uint32((n & 1 ? 100 - 3 * i : 3 * i) + eci_random_below(r, 3));
			cr_assert(cbor_map_add(item, (struct cbor_pair){cbor_move(key), cbor_move(value)}));
		} else {
			cr_assert(cbor_array_push(item, cbor_move(value)));
		}
	}
	return item;
}

static cbor_item_t *build(struct eci_random *r, int depth)
{
	char s[STRING];
	uint64_t bits;
	size_t n;
	double d;

	switch (eci_random_below(r, depth > 0 ? 11 : 8)) {
	case 0:
	case 1:
		return build_int(r, eci_random_below(r, 2));
	case 2:
		n = random_string(r, s, false);
		return cbor_build_bytestring((unsigned char *)s, n);
	case 3:
		n = random_string(r, s, true);
		return cbor_build_stringn(s, n);
	case 4:
		n = random_string(r, s, false);
		return cbor_build_tag(2 + eci_random_below(r, 2),
				      cbor_move(cbor_build_bytestring((unsigned char *)s, n)));
	case 5:
		bits = eci_random_u64(r) & ~(UINT64_C(1) << 62); /* no NaN: libcbor writes one of its own */
		memcpy(&d, &bits, sizeof(d));
		return cbor_build_float8(d);
	case 6:
		return cbor_build_bool(eci_random_below(r, 2));
	case 7:
		return cbor_new_null();
	default:
		return build_container(r, depth);
	}
}

Test(cbor_oracle, we_read_what_libcbor_writes)
{
	struct eci_random r = eci_random_open("cbor_oracle/we_read_what_libcbor_writes", 6);
	struct eci_buf once = ECI_BUF_NULL, twice = ECI_BUF_NULL;
	unsigned char *bytes;
	cbor_item_t *item;
	struct eci_cbor c;
	size_t n, size;
	int round, err;

	for (round = 0; round < ROUNDS; round++) {
		item = build(&r, DEPTH);
		n = cbor_serialize_alloc(item, &bytes, &size);
		err = eci_cbor_check(bytes, n, ECI_CBOR_ITEMS_MAX);
		cr_assert_eq(err, ECI_CBOR_OK, "round %d: %s", round, eci_cbor_strerror(err));
		c = eci_cbor_open(bytes, n);
		cr_assert(same(item, &c), "round %d", round);
		cr_assert_eq(c.p, c.end);
		/* Written again it is deterministic: writing that again changes nothing. */
		eci_buf_clear(&once);
		eci_buf_clear(&twice);
		cr_assert(reencode(bytes, n, &once));
		cr_assert_eq(eci_cbor_check(eci_buf_data(&once), eci_buf_len(&once), ECI_CBOR_ITEMS_MAX), ECI_CBOR_OK);
		cr_assert(reencode(eci_buf_data(&once), eci_buf_len(&once), &twice));
		cr_assert_eq(eci_buf_len(&once), eci_buf_len(&twice));
		cr_assert_arr_eq(eci_buf_data(&once), eci_buf_data(&twice), eci_buf_len(&once));
		free(bytes);
		cbor_decref(&item);
	}
	eci_buf_deinit(&once);
	eci_buf_deinit(&twice);
}

/* ---- three: the subset is a subset ---- */

Test(cbor_oracle, damaged_bytes)
{
	struct eci_random r = eci_random_open("cbor_oracle/damaged_bytes", 7);
	struct eci_buf b = ECI_BUF_NULL;
	struct cbor_load_result result;
	long accepted = 0, round;
	cbor_item_t *item;
	struct eci_cbor c;
	size_t n, flips;
	uint8_t *p;

	for (round = 0; round < ROUNDS; round++) {
		eci_buf_clear(&b);
		put_random(&r, &b, 3, false);
		n = eci_buf_len(&b);
		p = malloc(n);
		memcpy(p, eci_buf_data(&b), n);
		for (flips = 1 + eci_random_below(&r, 3); flips > 0; flips--)
			p[eci_random_below(&r, (uint32_t)n)] ^= (uint8_t)(1u << eci_random_below(&r, 8));
		if (eci_cbor_check(p, n, ECI_CBOR_ITEMS_MAX) == ECI_CBOR_OK) {
			accepted++;
			item = cbor_load(p, n, &result);
			cr_assert_not_null(item, "round %ld: libcbor error %d", round, (int)result.error.code);
			cr_assert_eq(result.read, n);
			c = eci_cbor_open(p, n);
			cr_assert(same(item, &c) && c.p == c.end, "round %ld", round);
			cbor_decref(&item);
		}
		free(p);
	}
	cr_assert(accepted > ROUNDS / 20 && accepted < ROUNDS, "%ld accepted", accepted);
	eci_buf_deinit(&b);
}
