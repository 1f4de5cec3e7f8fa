/* The cursor reader: walks CBOR that the checker has accepted, without building a tree.
 *
 * Protocol bodies are small arrays and maps that are read once, front to back, into a struct; a tree would be an
 * allocator and an ownership question for nothing. The cursor is two pointers and a sticky flag, so a handler reads all
 * its fields and looks at `bad` once, in the manner of a float's NaN.
 *
 * Invariant: p <= end, and no byte at or past end is ever read, whatever the input. The reader does not trust that the
 * checker ran: every length is compared with what is left before it is used, every count with the bytes left (an item
 * takes at least one), so neither a loop over a count nor skip() can run longer than the input. What it
 * leaves to the checker is what takes more than one item to see: depth, duplicate keys, trailing bytes; and UTF-8.
 *
 * skip() needs no stack: how many items are still to come is one number, whatever their nesting. */
#include "core/cbor.h"
#include "core/cbor_item.h"
#include "core/mem.h"

#define INFO_1 24u /* additional information: the argument is in the next byte; 25, 26, 27: in 2, 4, 8 bytes */
#define INFO_8 27u

static size_t left(const uint8_t *p, const uint8_t *end)
{
	return (size_t)(end - p);
}

/* The initial byte's argument. 28-31 are reserved or indefinite lengths: outside the subset. */
static int read_arg(const uint8_t **p, const uint8_t *end, uint64_t *arg)
{
	uint8_t info = **p & 0x1F;
	size_t bytes, i;
	uint64_t v = 0;

	if (info < INFO_1) {
		*p += 1;
		*arg = info;
		return ECI_CBOR_OK;
	}
	if (info > INFO_8)
		return ECI_CBOR_E_TYPE;
	bytes = (size_t)1 << (info - INFO_1);
	if (left(*p, end) - 1 < bytes)
		return ECI_CBOR_E_SHORT;
	for (i = 1; i <= bytes; i++)
		v = v << 8 | (*p)[i];
	*p += 1 + bytes;
	*arg = v;
	return ECI_CBOR_OK;
}

/* Takes arg bytes of payload. */
static int read_payload(const uint8_t **p, const uint8_t *end, uint64_t arg, struct eci_cbor_item *it)
{
	if (arg > left(*p, end))
		return ECI_CBOR_E_SHORT;
	it->ptr = *p;
	it->len = (size_t)arg;
	*p += it->len;
	return ECI_CBOR_OK;
}

/* What follows the head of a tag: the byte string that is a bignum's magnitude. */
static int read_bignum(const uint8_t **p, const uint8_t *end, uint64_t tag, struct eci_cbor_item *it)
{
	uint64_t arg;
	int err;

	if (tag != ECI_TAG_BIGPOS && tag != ECI_TAG_BIGNEG)
		return ECI_CBOR_E_TYPE;
	if (*p == end)
		return ECI_CBOR_E_SHORT;
	if (**p >> 5 != ECI_MAJOR_BYTES)
		return ECI_CBOR_E_BIG;
	err = read_arg(p, end, &arg);
	if (err)
		return err;
	if (arg > ECI_CBOR_BIGNUM_MAX)
		return ECI_CBOR_E_BIG;
	it->type = tag == ECI_TAG_BIGPOS ? ECI_CBOR_BIGPOS : ECI_CBOR_BIGNEG;
	return read_payload(p, end, arg, it);
}

/* Major type 7. The initial byte decides alone: the one-byte form of simple values is never legal for these. */
static int read_simple(const uint8_t **p, const uint8_t *end, struct eci_cbor_item *it)
{
	switch (**p) {
	case ECI_BYTE_FALSE:
		it->type = ECI_CBOR_FALSE;
		break;
	case ECI_BYTE_TRUE:
		it->type = ECI_CBOR_TRUE;
		break;
	case ECI_BYTE_NULL:
		it->type = ECI_CBOR_NULL;
		break;
	case ECI_BYTE_F64:
		it->type = ECI_CBOR_FLOAT;
		return read_arg(p, end, &it->u64);
	default:
		return ECI_CBOR_E_TYPE;
	}
	*p += 1;
	return ECI_CBOR_OK;
}

static int read_any(const uint8_t **p, const uint8_t *end, struct eci_cbor_item *it)
{
	uint8_t major = **p >> 5;
	uint64_t arg;
	int err;

	if (major == ECI_MAJOR_SIMPLE)
		return read_simple(p, end, it);
	err = read_arg(p, end, &arg);
	if (err)
		return err;
	switch (major) {
	case ECI_MAJOR_BYTES:
	case ECI_MAJOR_TEXT:
		it->type = major == ECI_MAJOR_BYTES ? ECI_CBOR_BYTES : ECI_CBOR_TEXT;
		return read_payload(p, end, arg, it);
	case ECI_MAJOR_TAG:
		return read_bignum(p, end, arg, it);
	case ECI_MAJOR_ARRAY:
	case ECI_MAJOR_MAP:
		it->type = major == ECI_MAJOR_ARRAY ? ECI_CBOR_ARRAY : ECI_CBOR_MAP;
		if (arg > left(*p, end) >> (major == ECI_MAJOR_MAP))
			return ECI_CBOR_E_SHORT;
		break;
	default:
		it->type = major == ECI_MAJOR_UINT ? ECI_CBOR_UINT : ECI_CBOR_NEG;
		break;
	}
	it->u64 = arg;
	return ECI_CBOR_OK;
}

int eci_cbor_item_read(const uint8_t **p, const uint8_t *end, struct eci_cbor_item *it)
{
	const uint8_t *at = *p;
	int err;

	*it = (struct eci_cbor_item){0};
	if (at == end)
		return ECI_CBOR_E_SHORT;
	err = read_any(&at, end, it);
	if (err) {
		*it = (struct eci_cbor_item){0};
		return err;
	}
	*p = at;
	return ECI_CBOR_OK;
}

bool eci_cbor_next(struct eci_cbor *c, struct eci_cbor_item *it)
{
	*it = (struct eci_cbor_item){0};
	if (c->bad || c->p == c->end)
		return false;
	if (eci_cbor_item_read(&c->p, c->end, it) != ECI_CBOR_OK)
		c->bad = true;
	return !c->bad;
}

bool eci_cbor_skip(struct eci_cbor *c)
{
	struct eci_cbor_item it;
	uint64_t todo = 1;

	while (todo > 0 && !c->bad) {
		todo--;
		if (!eci_cbor_next(c, &it))
			c->bad = true;
		else if (it.type == ECI_CBOR_ARRAY)
			todo += it.u64;
		else if (it.type == ECI_CBOR_MAP)
			todo += it.u64 * 2;
		/* Nested counts add up; this keeps the sum from wrapping and ends a hopeless walk early. */
		if (todo > left(c->p, c->end))
			c->bad = true;
	}
	return !c->bad;
}

/* The next item, which must be of type a or b. */
static bool take(struct eci_cbor *c, struct eci_cbor_item *it, enum eci_cbor_type a, enum eci_cbor_type b)
{
	if (eci_cbor_next(c, it) && (it->type == a || it->type == b))
		return true;
	c->bad = true;
	*it = (struct eci_cbor_item){0};
	return false;
}

uint64_t eci_cbor_get_uint(struct eci_cbor *c)
{
	struct eci_cbor_item it;

	take(c, &it, ECI_CBOR_UINT, ECI_CBOR_UINT);
	return it.u64;
}

uint32_t eci_cbor_get_u32(struct eci_cbor *c)
{
	uint64_t v = eci_cbor_get_uint(c);

	c->bad = c->bad || v > UINT32_MAX;
	return (uint32_t)v;
}

int64_t eci_cbor_get_int(struct eci_cbor *c)
{
	struct eci_cbor_item it;

	if (!take(c, &it, ECI_CBOR_UINT, ECI_CBOR_NEG))
		return 0;
	if (it.u64 > INT64_MAX) {
		c->bad = true;
		return 0;
	}
	return it.type == ECI_CBOR_UINT ? (int64_t)it.u64 : -1 - (int64_t)it.u64;
}

bool eci_cbor_get_bool(struct eci_cbor *c)
{
	struct eci_cbor_item it;

	return take(c, &it, ECI_CBOR_FALSE, ECI_CBOR_TRUE) && it.type == ECI_CBOR_TRUE;
}

size_t eci_cbor_get_array(struct eci_cbor *c)
{
	struct eci_cbor_item it;

	take(c, &it, ECI_CBOR_ARRAY, ECI_CBOR_ARRAY);
	return (size_t)it.u64; /* at most the bytes left */
}

size_t eci_cbor_get_map(struct eci_cbor *c)
{
	struct eci_cbor_item it;

	take(c, &it, ECI_CBOR_MAP, ECI_CBOR_MAP);
	return (size_t)it.u64;
}

static bool get_string(struct eci_cbor *c, const uint8_t **p, size_t *n, enum eci_cbor_type a, enum eci_cbor_type b)
{
	struct eci_cbor_item it;
	bool ok = take(c, &it, a, b);

	*p = it.ptr;
	*n = it.len;
	return ok;
}

bool eci_cbor_get_bytes(struct eci_cbor *c, const uint8_t **p, size_t *n)
{
	return get_string(c, p, n, ECI_CBOR_BYTES, ECI_CBOR_BYTES);
}

bool eci_cbor_get_text(struct eci_cbor *c, const char **p, size_t *n)
{
	const uint8_t *bytes;
	bool ok = get_string(c, &bytes, n, ECI_CBOR_TEXT, ECI_CBOR_TEXT);

	*p = (const char *)bytes;
	return ok;
}

bool eci_cbor_get_either(struct eci_cbor *c, const uint8_t **p, size_t *n)
{
	return get_string(c, p, n, ECI_CBOR_BYTES, ECI_CBOR_TEXT);
}

bool eci_cbor_get_null(struct eci_cbor *c)
{
	if (c->bad || c->p == c->end || *c->p != ECI_BYTE_NULL)
		return false;
	c->p++;
	return true;
}
