/* The checker: is this exactly one well-formed item of the subset? Everything that reads a body may then trust it.
 *
 * It is one loop over the items with an explicit stack of open containers. Recursion would put the stack's depth, in
 * the native agent a few KiB, into the sender's hands; here it is 31 small entries (an item at depth 32 can hold none).
 * Counts are charged when a container opens, not as its items come, so a hostile count is refused at its head.
 * Every strict prefix of a well-formed item is ECI_CBOR_E_SHORT and nothing else.
 *
 * Duplicate keys. Comparing each key with all before it is quadratic: a 1 MiB map would take minutes. Our own writers
 * sort their keys, so each key is compared with the one before it: strictly ascending means no duplicates, in linear
 * time and no memory. The contract lets others send unsorted keys; a map where the order broke is gone through once
 * more when it closes: its keys' addresses are collected, merge-sorted, neighbours compared. Merge sort and not heap or
 * quick sort, because its bound holds in bytes: comparing is only dear between keys of the same type and length, and in
 * one merge pass the k keys of one length L take part in at most 2k such comparisons, so a pass costs no more than
 * twice the keys' bytes, whatever they are: O(size log keys) in all. Collecting walks a map's content once per unsorted
 * map around it, 32 times at most. Up to 32 keys are sorted on the stack, more in a passing allocation of two pointers
 * a key.
 *
 * Keys are compared by type, then argument, then payload: for shortest heads that is the order of the encoded bytes
 * (RFC 8949, 4.2.1), and it also finds a key that comes twice with heads of different lengths. Equality is CBOR's: 1
 * and 1.0 differ. */
#include "core/cbor.h"
#include "core/cbor_item.h"
#include "core/mem.h"

#define SORT_ON_STACK 32u /* keys; every map of the protocol has fewer */

struct level {
	const uint8_t *first; /* the container's first item */
	const uint8_t *key;   /* map: the key before this one, NULL at the first */
	uint32_t left;        /* items still to come, keys and values alike */
	uint32_t count;       /* items in all */
	bool map;
	bool unsorted;
};

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* The order of initial bytes; types are declared in the order of major types, but for the simple values. */
static int rank(enum eci_cbor_type type)
{
	return type == ECI_CBOR_FLOAT ? ECI_CBOR_NULL + 1 : (int)type;
}

/* Two keys that were read before, so reading cannot fail. <0, 0, >0. */
static int compare_keys(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
	struct eci_cbor_item x, y;
	int order;

	eci_cbor_item_read(&a, end, &x);
	eci_cbor_item_read(&b, end, &y);
	order = rank(x.type) - rank(y.type);
	if (order == 0)
		order = compare_u64(x.u64, y.u64);
	if (order == 0)
		order = compare_u64(x.len, y.len);
	if (order == 0 && x.len > 0)
		order = memcmp(x.ptr, y.ptr, x.len);
	return order;
}

/* Merges the sorted runs from[lo, mid) and from[mid, hi) into to[lo, hi). True if a key is in both. */
static bool merge(const uint8_t **to, const uint8_t **from, size_t lo, size_t mid, size_t hi, const uint8_t *end)
{
	size_t a = lo, b = mid, out;
	int order;

	for (out = lo; out < hi; out++) {
		if (a == mid) {
			to[out] = from[b++];
		} else if (b == hi) {
			to[out] = from[a++];
		} else {
			order = compare_keys(from[a], from[b], end);
			if (order == 0)
				return true;
			to[out] = order < 0 ? from[a++] : from[b++];
		}
	}
	return false;
}

/* keys[0, n) to be sorted, with keys[n, 2n) as scratch. True if two are equal: some merge finds them side by side. */
static bool sort_finds_equal(const uint8_t **keys, size_t n, const uint8_t *end)
{
	const uint8_t **from = keys, **to = keys + n, **swap;
	size_t width, lo, mid, hi;

	for (width = 1; width < n; width *= 2) {
		for (lo = 0; lo < n; lo = hi) {
			mid = lo + width < n ? lo + width : n;
			hi = mid + width < n ? mid + width : n;
			if (merge(to, from, lo, mid, hi, end))
				return true;
		}
		swap = from, from = to, to = swap;
	}
	return false;
}

/* A map that is known to be well-formed, whose keys were not ascending. */
static int check_unsorted(const struct level *map, const uint8_t *end)
{
	const uint8_t *on_stack[2 * SORT_ON_STACK], **keys = on_stack;
	size_t n = map->count / 2, i;
	struct eci_cbor c = {map->first, end, false};
	bool equal;

	if (n > SORT_ON_STACK)
		keys = eci_mem_alloc(2 * n * sizeof(*keys));
	if (!keys)
		return ECI_CBOR_E_MEM;
	for (i = 0; i < n; i++) {
		keys[i] = c.p;
		eci_cbor_skip(&c);
		eci_cbor_skip(&c);
	}
	equal = sort_finds_equal(keys, n, end);
	if (keys != on_stack)
		eci_mem_free(keys);
	return equal ? ECI_CBOR_E_DUPKEY : ECI_CBOR_OK;
}

/* The item at `at` is about to count as a key of l: may it be one, and does the order hold? */
static int check_key(struct level *l, const struct eci_cbor_item *it, const uint8_t *at, const uint8_t *end)
{
	int order;

	switch (it->type) {
	case ECI_CBOR_ARRAY:
	case ECI_CBOR_MAP:
	case ECI_CBOR_BIGPOS:
	case ECI_CBOR_BIGNEG:
		return ECI_CBOR_E_KEY;
	default:
		break;
	}
	if (l->key && !l->unsorted) {
		order = compare_keys(l->key, at, end);
		if (order == 0)
			return ECI_CBOR_E_DUPKEY;
		l->unsorted = order > 0;
	}
	l->key = at;
	return ECI_CBOR_OK;
}

int eci_cbor_check(const uint8_t *p, size_t n, uint32_t items_max)
{
	struct level stack[ECI_CBOR_DEPTH_MAX], *top = stack;
	const uint8_t *end = n ? p + n : p, *at;
	uint32_t credit = items_max;
	struct eci_cbor_item it;
	uint64_t count;
	int err;

	/* The bottom of the stack is a list of one item that nothing encloses. */
	if (credit == 0)
		return ECI_CBOR_E_ITEMS;
	credit--;
	*top = (struct level){.first = p, .left = 1, .count = 1};
	for (;;) {
		while (top->left == 0) {
			err = top->unsorted ? check_unsorted(top, end) : ECI_CBOR_OK;
			if (err)
				return err;
			if (top == stack)
				return p == end ? ECI_CBOR_OK : ECI_CBOR_E_TRAILING;
			top--;
		}
		at = p;
		err = eci_cbor_item_read(&p, end, &it);
		if (err == ECI_CBOR_OK && it.type == ECI_CBOR_TEXT && !eci_utf8_valid(it.ptr, it.len))
			err = ECI_CBOR_E_UTF8;
		/* In a map an even number of items to come means that this one is a key. */
		if (err == ECI_CBOR_OK && top->map && top->left % 2 == 0)
			err = check_key(top, &it, at, end);
		if (err)
			return err;
		top->left--;
		if (it.type != ECI_CBOR_ARRAY && it.type != ECI_CBOR_MAP)
			continue;
		count = it.type == ECI_CBOR_MAP ? it.u64 * 2 : it.u64;
		if (count == 0)
			continue;
		if (count > credit)
			return ECI_CBOR_E_ITEMS;
		if (top == stack + ECI_CBOR_DEPTH_MAX - 1)
			return ECI_CBOR_E_DEPTH;
		credit -= (uint32_t)count;
		*++top = (struct level){
			.first = p, .left = (uint32_t)count, .count = (uint32_t)count, .map = it.type == ECI_CBOR_MAP};
	}
}

const char *eci_cbor_strerror(int err)
{
	switch (err) {
	case ECI_CBOR_OK:
		return "no error";
	case ECI_CBOR_E_SHORT:
		return "ends in the middle of an item";
	case ECI_CBOR_E_TRAILING:
		return "bytes after the item";
	case ECI_CBOR_E_TYPE:
		return "a type or encoding outside the subset";
	case ECI_CBOR_E_DEPTH:
		return "nested too deeply";
	case ECI_CBOR_E_ITEMS:
		return "too many items";
	case ECI_CBOR_E_DUPKEY:
		return "a map key occurs twice";
	case ECI_CBOR_E_KEY:
		return "a map key is an array, a map or a tag";
	case ECI_CBOR_E_UTF8:
		return "a text string is not valid UTF-8";
	case ECI_CBOR_E_BIG:
		return "a bignum is too long or not a byte string";
	case ECI_CBOR_E_MEM:
		return "no memory to compare the keys of a map";
	default:
		return "unknown error";
	}
}
