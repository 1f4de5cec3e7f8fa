/* Values: the tree that call arguments and results are, made and read through include/econtext/value.h.
 *
 * One node is one allocation of a fixed size; text, bytes and items hang from it. Integers keep CBOR's form, a flag and
 * a magnitude with the value being -1 - magnitude when the flag is set: every 64-bit integer that CBOR has fits, and
 * encoding is a copy. INT holds what fits int64 or uint64; everything else is BIGINT, so that a caller who sees INT
 * knows that one of the two getters answers.
 *
 * A container owns what is put into it, and a call that is given a value takes it even when it fails: that is what
 * makes nested constructor calls safe without a check after each. One that lacks what was to be put into it knows so,
 * and does not travel: the arguments behind that would be taken for others.
 *
 * A program may nest values as deeply as it likes, so freeing does not recurse: containers about to be freed form a
 * list through a member that is dead by then. Everything else that walks a tree (copy, equal, JSON, CBOR) recurses and
 * refuses below ECI_CBOR_DEPTH_MAX: deeper values cannot travel anyway. */
#include "service/value_impl.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS_FIRST 8u /* first allocation of a container: most arguments and results have fewer */

ectx_value *eci_value_new(enum ectx_kind kind)
{
	ectx_value *v = calloc(1, sizeof(*v));

	if (v)
		v->kind = kind;
	return v;
}

ectx_value *eci_value_new_str(enum ectx_kind kind, const void *p, size_t n)
{
	ectx_value *v = eci_value_new(kind);

	if (!v)
		return NULL;
	v->str.mem = n < SIZE_MAX ? malloc(n + 1) : NULL;
	if (!v->str.mem) {
		free(v);
		return NULL;
	}
	if (n)
		memcpy(v->str.mem, p, n);
	v->str.mem[n] = '\0';
	v->str.len = n;
	return v;
}

ectx_value *eci_value_new_number(bool negative, const uint8_t *magnitude, size_t n)
{
	uint64_t number = 0;
	ectx_value *v;
	size_t i;

	while (n > 0 && *magnitude == 0)
		magnitude++, n--;
	if (n > ECI_CBOR_BIGNUM_MAX)
		return NULL;
	for (i = 0; i < n && n <= sizeof(number); i++)
		number = number << 8 | magnitude[i];
	if (n > sizeof(number) || (negative && number > INT64_MAX)) {
		v = eci_value_new_str(ECTX_BIGINT, magnitude, n);
	} else {
		v = eci_value_new(ECTX_INT);
		if (v)
			v->number = number;
	}
	if (v)
		v->flag = negative;
	return v;
}

ectx_value *ectx_null(void)
{
	return eci_value_new(ECTX_NULL);
}

ectx_value *ectx_bool(bool b)
{
	ectx_value *v = eci_value_new(ECTX_BOOL);

	if (v)
		v->flag = b;
	return v;
}

ectx_value *ectx_int(int64_t n)
{
	ectx_value *v = eci_value_new(ECTX_INT);

	if (v) {
		v->flag = n < 0;
		v->number = (uint64_t)(n < 0 ? -1 - n : n);
	}
	return v;
}

ectx_value *ectx_uint(uint64_t n)
{
	ectx_value *v = eci_value_new(ECTX_INT);

	if (v)
		v->number = n;
	return v;
}

ectx_value *ectx_bigint(const char *decimal)
{
	return decimal ? eci_big_parse(decimal, strlen(decimal)) : NULL;
}

ectx_value *ectx_float(double d)
{
	ectx_value *v = eci_value_new(ECTX_FLOAT);

	if (v)
		v->real = d;
	return v;
}

ectx_value *ectx_text_n(const char *s, size_t n)
{
	if ((!s && n) || !eci_utf8_valid((const uint8_t *)s, n))
		return NULL;
	return eci_value_new_str(ECTX_TEXT, s, n);
}

ectx_value *ectx_text(const char *s)
{
	return s ? ectx_text_n(s, strlen(s)) : NULL;
}

ectx_value *ectx_bytes(const void *p, size_t n)
{
	return p || n == 0 ? eci_value_new_str(ECTX_BYTES, p, n) : NULL;
}

ectx_value *ectx_array(void)
{
	return eci_value_new(ECTX_ARRAY);
}

ectx_value *ectx_map(void)
{
	return eci_value_new(ECTX_MAP);
}

ectx_value *eci_value_lacks(ectx_value *container, enum ectx_kind kind)
{
	if (container && container->kind == kind)
		container->flag = true;
	return NULL;
}

ectx_value *ectx_array_push(ectx_value *a, ectx_value *v)
{
	ectx_value **items;
	size_t cap;

	if (!a || !v || a->kind != ECTX_ARRAY || a == v) {
		if (a != v)
			ectx_value_free(v);
		return eci_value_lacks(a, ECTX_ARRAY);
	}
	if (a->array.count == a->array.cap) {
		cap = a->array.cap ? a->array.cap * 2 : ITEMS_FIRST;
		items = cap <= SIZE_MAX / sizeof(*items) ? realloc(a->array.items, cap * sizeof(*items)) : NULL;
		if (!items) {
			ectx_value_free(v);
			return eci_value_lacks(a, ECTX_ARRAY);
		}
		a->array.items = items;
		a->array.cap = cap;
	}
	a->array.items[a->array.count++] = v;
	return a;
}

static ectx_value *copy(const ectx_value *v, unsigned depth);

static ectx_value *copy_array(const ectx_value *v, unsigned depth)
{
	ectx_value *out = ectx_array();
	size_t i;

	for (i = 0; out && i < v->array.count; i++) {
		if (ectx_array_push(out, copy(v->array.items[i], depth + 1)))
			continue;
		ectx_value_free(out);
		return NULL;
	}
	if (out)
		out->flag = v->flag;
	return out;
}

static ectx_value *copy_map(const ectx_value *v, unsigned depth)
{
	const struct eci_value_pair *pair = v->map.pairs;
	ectx_value *out = ectx_map();
	size_t i;

	for (i = 0; out && i < v->map.count; i++, pair++) {
		if (eci_map_append(out, copy(pair->key, depth + 1), copy(pair->item, depth + 1)) == 0)
			continue;
		ectx_value_free(out);
		return NULL;
	}
	if (out)
		out->flag = v->flag;
	if (out && out->map.count)
		memcpy(out->map.order, v->map.order, v->map.count * sizeof(*v->map.order));
	return out;
}

static ectx_value *copy(const ectx_value *v, unsigned depth)
{
	ectx_value *out;

	if (depth > ECI_CBOR_DEPTH_MAX)
		return NULL;
	switch (v->kind) {
	case ECTX_TEXT:
	case ECTX_BYTES:
	case ECTX_BIGINT:
		out = eci_value_new_str(v->kind, v->str.mem, v->str.len);
		if (out)
			out->flag = v->flag;
		return out;
	case ECTX_ARRAY:
		return copy_array(v, depth);
	case ECTX_MAP:
		return copy_map(v, depth);
	default:
		out = eci_value_new(v->kind);
		if (out)
			*out = *v;
		return out;
	}
}

ectx_value *ectx_value_copy(const ectx_value *v)
{
	return v ? copy(v, 1) : NULL;
}

/* Frees v; if it has items, they are left to the caller's list first. */
static void release(ectx_value *v, ectx_value **list)
{
	if (v->kind == ECTX_ARRAY || v->kind == ECTX_MAP) {
		v->array.next = *list; /* the same place in both, and the capacity is of no more use */
		*list = v;
		return;
	}
	if (v->kind == ECTX_TEXT || v->kind == ECTX_BYTES || v->kind == ECTX_BIGINT)
		free(v->str.mem);
	free(v);
}

void ectx_value_free(ectx_value *v)
{
	ectx_value *list = NULL;
	size_t i;

	if (v)
		release(v, &list);
	while ((v = list)) {
		list = v->array.next;
		if (v->kind == ECTX_ARRAY) {
			for (i = 0; i < v->array.count; i++)
				release(v->array.items[i], &list);
			free(v->array.items);
		} else {
			for (i = 0; i < v->map.count; i++) {
				release(v->map.pairs[i].key, &list);
				release(v->map.pairs[i].item, &list);
			}
			free(v->map.pairs);
			free(v->map.order);
		}
		free(v);
	}
}
