/* Maps: pairs in the order in which they were set, and beside them an index sorted by encoded key.
 *
 * The index serves three readers: looking a key up is a binary search, encoding writes the pairs as it says, and two
 * maps are compared by walking both. A hash table would serve only the first, and would need a secret seed against
 * keys chosen to collide, since the keys of a result are chosen by a remote program.
 *
 * ectx_map_set() inserts into the index, which moves on average half of it: fine for what a program builds by hand. The
 * decoders do not know their keys' order and can be handed a million of them, so they append everything and sort once
 * (eci_map_seal); keys that come in order, as our own encoders send them, are not even sorted.
 *
 * Invariant between calls: order is a permutation of [0, count), and the keys are strictly ascending along it. */
#include "service/value_impl.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS_FIRST 8u             /* first allocation, as for arrays */
#define PAIRS_MAX (UINT32_MAX / 2) /* indices are 32 bits; a value that travels has at most 524,288 pairs */

/* The order of initial bytes in CBOR. */
static int rank(const ectx_value *v)
{
	switch (v->kind) {
	case ECTX_INT:
	case ECTX_BIGINT: /* as a key only the negative ones of 64 bits, which have a plain head */
		return v->flag ? 1 : 0;
	case ECTX_BYTES:
		return 2;
	case ECTX_TEXT:
		return 3;
	case ECTX_BOOL:
		return v->flag ? 5 : 4;
	case ECTX_NULL:
		return 6;
	default:
		return 7;
	}
}

static uint64_t key_number(const ectx_value *v)
{
	uint64_t n = 0;
	size_t i;

	if (v->kind == ECTX_INT)
		return v->number;
	for (i = 0; i < v->str.len; i++)
		n = n << 8 | (uint8_t)v->str.mem[i];
	return n;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int eci_map_key_compare(const ectx_value *a, const ectx_value *b)
{
	uint64_t x, y;
	int order = rank(a) - rank(b);

	if (order)
		return order;
	switch (a->kind) {
	case ECTX_INT:
	case ECTX_BIGINT:
		return compare_u64(key_number(a), key_number(b));
	case ECTX_BYTES:
	case ECTX_TEXT:
		order = compare_u64(a->str.len, b->str.len);
		return order ? order : memcmp(a->str.mem, b->str.mem, a->str.len);
	case ECTX_FLOAT:
		memcpy(&x, &a->real, sizeof(x));
		memcpy(&y, &b->real, sizeof(y));
		return compare_u64(x, y);
	default:
		return 0;
	}
}

static bool key_allowed(const ectx_value *key)
{
	return key->kind != ECTX_ARRAY && key->kind != ECTX_MAP &&
	       (key->kind != ECTX_BIGINT || key->str.len <= sizeof(uint64_t));
}

size_t eci_map_room_after(size_t cap)
{
	size_t more = cap ? cap * 2 : PAIRS_FIRST;

	return more > PAIRS_MAX ? 0 : more;
}

static int grow(ectx_value *m)
{
	size_t cap = eci_map_room_after(m->map.cap);
	struct eci_value_pair *pairs;
	uint32_t *order;

	if (m->map.count < m->map.cap)
		return 0;
	if (!cap)
		return -1;
	pairs = realloc(m->map.pairs, cap * sizeof(*pairs));
	if (!pairs)
		return -1;
	m->map.pairs = pairs;
	order = realloc(m->map.order, cap * sizeof(*order));
	if (!order)
		return -1;
	m->map.order = order;
	m->map.cap = cap;
	return 0;
}

/* A usable pair for m? If not, both are freed. */
static bool accept(const ectx_value *m, ectx_value *key, ectx_value *item)
{
	bool ok = m && m->kind == ECTX_MAP && key && item && item != m && key_allowed(key);

	if (!ok) {
		if (key != m)
			ectx_value_free(key);
		if (item != m)
			ectx_value_free(item);
	}
	return ok;
}

int eci_map_append(ectx_value *m, ectx_value *key, ectx_value *item)
{
	if (!accept(m, key, item))
		return -1;
	if (grow(m)) {
		ectx_value_free(key);
		ectx_value_free(item);
		return -1;
	}
	m->map.order[m->map.count] = (uint32_t)m->map.count;
	m->map.pairs[m->map.count++] = (struct eci_value_pair){key, item};
	return 0;
}

/* qsort's comparison sees elements only, so what is sorted carries the keys. */
struct entry {
	const ectx_value *key;
	uint32_t index;
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = eci_map_key_compare(x->key, y->key);

	return order ? order : compare_u64(x->index, y->index);
}

/* Pairs whose key was set to NULL go; order is rebuilt to match. */
static void close_gaps(ectx_value *m, struct entry *sorted, size_t left)
{
	uint32_t *place = m->map.order; /* old index -> new one, until the end */
	size_t i, to = 0;

	for (i = 0; i < m->map.count; i++) {
		place[i] = (uint32_t)to;
		if (m->map.pairs[i].key)
			m->map.pairs[to++] = m->map.pairs[i];
	}
	for (i = 0; i < left; i++)
		sorted[i].index = place[sorted[i].index];
	for (i = 0; i < left; i++)
		m->map.order[i] = sorted[i].index;
	m->map.count = left;
}

static bool ascending(const ectx_value *m)
{
	size_t i;

	for (i = 1; i < m->map.count; i++)
		if (eci_map_key_compare(m->map.pairs[i - 1].key, m->map.pairs[i].key) >= 0)
			return false;
	return true;
}

size_t eci_map_seal(ectx_value *m)
{
	size_t i, to = 0, count = m->map.count;
	struct eci_value_pair *old, *keep;
	struct entry *sorted;

	if (ascending(m))
		return 0;
	sorted = malloc(count * sizeof(*sorted));
	if (!sorted)
		return SIZE_MAX;
	for (i = 0; i < count; i++)
		sorted[i] = (struct entry){m->map.pairs[i].key, (uint32_t)i};
	qsort(sorted, count, sizeof(*sorted), compare_entries);
	for (i = 0; i < count; i++) {
		if (to == 0 || eci_map_key_compare(sorted[to - 1].key, sorted[i].key) != 0) {
			sorted[to++] = sorted[i];
			continue;
		}
		keep = &m->map.pairs[sorted[to - 1].index];
		old = &m->map.pairs[sorted[i].index];
		ectx_value_free(keep->item);
		keep->item = old->item;
		ectx_value_free(old->key);
		*old = (struct eci_value_pair){NULL, NULL};
	}
	close_gaps(m, sorted, to);
	free(sorted);
	return count - to;
}

/* Where key stands in the order, or would. */
static size_t find(const ectx_value *m, const ectx_value *key, bool *found)
{
	size_t lo = 0, hi = m->map.count, mid;
	int order;

	*found = false;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		order = eci_map_key_compare(m->map.pairs[m->map.order[mid]].key, key);
		if (order == 0) {
			*found = true;
			return mid;
		}
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool holds(const ectx_value *m, const ectx_value *key)
{
	bool found;

	(void)find(m, key, &found);
	return found;
}

/* The integer that a float is. False: it is none, or none that can be a key. */
static bool integer_of(double real, ectx_value *out)
{
	const double end = 18446744073709551616.0; /* 2^64 */
	double size = real < 0 ? -real : real;

	*out = (ectx_value){.kind = ECTX_INT, .flag = real < 0};
	if (!(size < end)) { /* NaN too */
		out->number = UINT64_MAX;
		return real == -end;
	}
	out->number = (uint64_t)size;
	if ((double)out->number != size)
		return false;
	out->number -= out->flag;
	return true;
}

/* Whether two keys are one in Python. */
static bool keys_meet(const ectx_value *m)
{
	for (size_t i = m->map.count; i-- > 0;) { /* booleans, null and floats come last */
		const ectx_value *key = m->map.pairs[m->map.order[i]].key;
		ectx_value same;

		if (key->kind == ECTX_BOOL)
			same = (ectx_value){.kind = ECTX_INT, .number = key->flag};
		else if (key->kind != ECTX_FLOAT && key->kind != ECTX_NULL)
			return false;
		else if (key->kind == ECTX_NULL || !integer_of(key->real, &same))
			continue;
		if (holds(m, &same))
			return true;
		if (key->kind == ECTX_BOOL || same.flag || same.number > 1)
			continue;
		same = (ectx_value){.kind = ECTX_BOOL, .flag = same.number};
		if (holds(m, &same))
			return true;
		same = (ectx_value){.kind = ECTX_FLOAT, .real = -key->real}; /* 0.0 and -0.0 */
		if (key->real == 0 && holds(m, &same))
			return true;
	}
	return false;
}

bool eci_value_suits_python(const ectx_value *v)
{
	size_t i;

	if (v && v->kind == ECTX_ARRAY)
		for (i = 0; i < v->array.count; i++)
			if (!eci_value_suits_python(v->array.items[i]))
				return false;
	if (!v || v->kind != ECTX_MAP)
		return true;
	for (i = 0; i < v->map.count; i++)
		if (!eci_value_suits_python(v->map.pairs[i].item))
			return false;
	return !keys_meet(v);
}

ectx_value *ectx_map_set(ectx_value *m, ectx_value *key, ectx_value *item)
{
	struct eci_value_pair *pair;
	uint32_t *order;
	bool found;
	size_t at;

	if (!accept(m, key, item))
		return eci_value_lacks(m, ECTX_MAP);
	at = find(m, key, &found);
	if (found) {
		pair = &m->map.pairs[m->map.order[at]];
		ectx_value_free(key);
		ectx_value_free(pair->item);
		pair->item = item;
		return m;
	}
	if (eci_map_append(m, key, item))
		return eci_value_lacks(m, ECTX_MAP);
	order = m->map.order;
	memmove(order + at + 1, order + at, (m->map.count - 1 - at) * sizeof(*order));
	order[at] = (uint32_t)(m->map.count - 1);
	return m;
}

ectx_value *ectx_map_put(ectx_value *m, const char *key, ectx_value *item)
{
	return ectx_map_set(m, ectx_text(key), item);
}

const ectx_value *ectx_map_get(const ectx_value *m, const char *key)
{
	ectx_value probe = {.kind = ECTX_TEXT};
	bool found;
	size_t at;

	if (!m || m->kind != ECTX_MAP || !key)
		return NULL;
	/* Only read, through a const pointer; the copy that a text value would be is spared. */
	memcpy(&probe.str.mem, &key, sizeof(key));
	probe.str.len = strlen(key);
	at = find(m, &probe, &found);
	return found ? m->map.pairs[m->map.order[at]].item : NULL;
}
