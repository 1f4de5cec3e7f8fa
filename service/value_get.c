/* Reading values: getters and equality. Getters never fail loudly: asked for what a value is not, they return the zero
 * of their type, so that a caller who walks a result of unknown shape needs one check at the end and no crash on the
 * way. NULL stands for null throughout.
 *
 * Equality is that of the encoding, not of Python: 1, 1.0 and true differ, floats are compared by their bits (a NaN is
 * equal to itself, 0.0 is not equal to -0.0). So two values are equal exactly when they travel as the same bytes, which
 * is what round-trip tests and caches need. Maps are equal whatever order they were built in. */
#include "service/value_impl.h"

#include <string.h>

static const ectx_value NULL_VALUE = {.kind = ECTX_NULL};

enum ectx_kind ectx_value_kind(const ectx_value *v)
{
	return v ? v->kind : ECTX_NULL;
}

bool ectx_value_bool(const ectx_value *v)
{
	return v && v->kind == ECTX_BOOL && v->flag;
}

bool ectx_value_int(const ectx_value *v, int64_t *out)
{
	*out = 0;
	if (!v || v->kind != ECTX_INT || v->number > INT64_MAX)
		return false;
	*out = v->flag ? -1 - (int64_t)v->number : (int64_t)v->number;
	return true;
}

bool ectx_value_uint(const ectx_value *v, uint64_t *out)
{
	*out = 0;
	if (!v || v->kind != ECTX_INT || v->flag)
		return false;
	*out = v->number;
	return true;
}

double ectx_value_float(const ectx_value *v)
{
	double d = 0;
	size_t i;

	if (!v)
		return 0;
	switch (v->kind) {
	case ECTX_FLOAT:
		return v->real;
	case ECTX_INT:
		d = (double)v->number;
		return v->flag ? -1 - d : d;
	case ECTX_BIGINT:
		for (i = 0; i < v->str.len; i++)
			d = d * 256 + (uint8_t)v->str.mem[i];
		return v->flag ? -1 - d : d;
	default:
		return 0;
	}
}

const char *ectx_value_text(const ectx_value *v)
{
	return v && v->kind == ECTX_TEXT ? v->str.mem : NULL;
}

const void *ectx_value_bytes(const ectx_value *v, size_t *n)
{
	bool has = v && (v->kind == ECTX_BYTES || v->kind == ECTX_TEXT);

	*n = has ? v->str.len : 0;
	return has ? v->str.mem : NULL;
}

size_t ectx_value_count(const ectx_value *v)
{
	if (v && v->kind == ECTX_ARRAY)
		return v->array.count;
	return v && v->kind == ECTX_MAP ? v->map.count : 0;
}

const ectx_value *ectx_array_at(const ectx_value *v, size_t i)
{
	return v && v->kind == ECTX_ARRAY && i < v->array.count ? v->array.items[i] : NULL;
}

const ectx_value *ectx_map_key(const ectx_value *v, size_t i)
{
	return v && v->kind == ECTX_MAP && i < v->map.count ? v->map.pairs[i].key : NULL;
}

const ectx_value *ectx_map_at(const ectx_value *v, size_t i)
{
	return v && v->kind == ECTX_MAP && i < v->map.count ? v->map.pairs[i].item : NULL;
}

static bool equal(const ectx_value *a, const ectx_value *b, unsigned depth);

static bool equal_arrays(const ectx_value *a, const ectx_value *b, unsigned depth)
{
	size_t i;

	for (i = 0; i < a->array.count; i++)
		if (!equal(a->array.items[i], b->array.items[i], depth + 1))
			return false;
	return true;
}

static bool equal_maps(const ectx_value *a, const ectx_value *b, unsigned depth)
{
	const struct eci_value_pair *x, *y;
	size_t i;

	for (i = 0; i < a->map.count; i++) {
		x = &a->map.pairs[a->map.order[i]];
		y = &b->map.pairs[b->map.order[i]];
		if (eci_map_key_compare(x->key, y->key) != 0 || !equal(x->item, y->item, depth + 1))
			return false;
	}
	return true;
}

static bool equal(const ectx_value *a, const ectx_value *b, unsigned depth)
{
	if (a->kind != b->kind || depth > ECI_CBOR_DEPTH_MAX)
		return false;
	switch (a->kind) {
	case ECTX_NULL:
		return true;
	case ECTX_BOOL:
		return a->flag == b->flag;
	case ECTX_INT:
		return a->flag == b->flag && a->number == b->number;
	case ECTX_FLOAT:
		return memcmp(&a->real, &b->real, sizeof(a->real)) == 0;
	case ECTX_ARRAY:
		return a->array.count == b->array.count && equal_arrays(a, b, depth);
	case ECTX_MAP:
		return a->map.count == b->map.count && equal_maps(a, b, depth);
	default:
		return a->flag == b->flag && a->str.len == b->str.len &&
		       memcmp(a->str.mem, b->str.mem, a->str.len) == 0;
	}
}

bool ectx_value_equal(const ectx_value *a, const ectx_value *b)
{
	return equal(a ? a : &NULL_VALUE, b ? b : &NULL_VALUE, 1);
}
