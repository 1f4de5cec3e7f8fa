/* The CBOR writer: appends one item's head, and payload if it has one, to a buffer.
 *
 * What it writes is the deterministic encoding of docs/protocol.md section 2 by construction: heads are the shortest,
 * lengths are definite, a float has 64 bits, and an integer that fits 64 bits is never a bignum, whichever function it
 * was handed to (one value, one encoding: digests and duplicate keys depend on it). Two things it cannot see are
 * left to the caller: that a map's keys come sorted, and that as many items follow as the head promised.
 *
 * Items are written front to back, so the count of an array must be known before its first item. The callers are
 * messages with a fixed shape, and converters that can count first; patching a reserved head would make it longer than
 * the shortest.
 *
 * Errors are sticky in the buffer (core/buf.c): nothing is appended after the first failure, the caller looks once. */
#include "core/cbor.h"
#include "core/cbor_item.h"
#include "core/mem.h"

#define HEAD_MAX 9u /* initial byte and a 64-bit argument */

static void put_head(struct eci_buf *b, enum eci_cbor_major major, uint64_t arg)
{
	uint8_t head[HEAD_MAX];
	unsigned bytes, i;
	uint8_t info;

	if (arg < 24)
		bytes = 0, info = (uint8_t)arg;
	else if (arg <= UINT8_MAX)
		bytes = 1, info = 24;
	else if (arg <= UINT16_MAX)
		bytes = 2, info = 25;
	else if (arg <= UINT32_MAX)
		bytes = 4, info = 26;
	else
		bytes = 8, info = 27;
	head[0] = (uint8_t)((unsigned)major << 5 | info);
	for (i = 0; i < bytes; i++)
		head[1 + i] = (uint8_t)(arg >> (8 * (bytes - 1 - i)));
	eci_buf_append(b, head, 1 + bytes);
}

static void put_byte(struct eci_buf *b, uint8_t byte)
{
	eci_buf_append(b, &byte, 1);
}

void eci_cbor_put_uint(struct eci_buf *b, uint64_t v)
{
	put_head(b, ECI_MAJOR_UINT, v);
}

void eci_cbor_put_neg(struct eci_buf *b, uint64_t v)
{
	put_head(b, ECI_MAJOR_NEG, v);
}

void eci_cbor_put_int(struct eci_buf *b, int64_t v)
{
	if (v >= 0)
		eci_cbor_put_uint(b, (uint64_t)v);
	else
		eci_cbor_put_neg(b, (uint64_t)(-1 - v));
}

void eci_cbor_put_bytes(struct eci_buf *b, const void *p, size_t n)
{
	put_head(b, ECI_MAJOR_BYTES, n);
	eci_buf_append(b, p, n);
}

void eci_cbor_put_text(struct eci_buf *b, const char *p, size_t n)
{
	put_head(b, ECI_MAJOR_TEXT, n);
	eci_buf_append(b, p, n);
}

void eci_cbor_put_str(struct eci_buf *b, const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	eci_cbor_put_text(b, s, n);
}

void eci_cbor_put_array(struct eci_buf *b, uint64_t n)
{
	put_head(b, ECI_MAJOR_ARRAY, n);
}

void eci_cbor_put_map(struct eci_buf *b, uint64_t n)
{
	put_head(b, ECI_MAJOR_MAP, n);
}

/* Leading zeros are dropped, and what fits 64 bits becomes an integer. A magnitude above ECI_CBOR_BIGNUM_MAX cannot
 * travel: it fails the buffer, as no receiver would take the message. */
void eci_cbor_put_big(struct eci_buf *b, bool negative, const void *magnitude, size_t n)
{
	const uint8_t *p = magnitude;
	uint64_t v = 0;
	size_t i;

	while (n > 0 && *p == 0)
		p++, n--;
	if (n > ECI_CBOR_BIGNUM_MAX) {
		b->failed = true;
	} else if (n > sizeof(v)) {
		put_head(b, ECI_MAJOR_TAG, negative ? ECI_TAG_BIGNEG : ECI_TAG_BIGPOS);
		eci_cbor_put_bytes(b, p, n);
	} else {
		for (i = 0; i < n; i++)
			v = v << 8 | p[i];
		put_head(b, negative ? ECI_MAJOR_NEG : ECI_MAJOR_UINT, v);
	}
}

void eci_cbor_put_f64bits(struct eci_buf *b, uint64_t bits)
{
	uint8_t out[HEAD_MAX] = {ECI_BYTE_F64};
	unsigned i;

	for (i = 0; i < 8; i++)
		out[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
	eci_buf_append(b, out, sizeof(out));
}

void eci_cbor_put_bool(struct eci_buf *b, bool v)
{
	put_byte(b, v ? ECI_BYTE_TRUE : ECI_BYTE_FALSE);
}

void eci_cbor_put_null(struct eci_buf *b)
{
	put_byte(b, ECI_BYTE_NULL);
}
