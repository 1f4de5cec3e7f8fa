/* Helpers that the CBOR tests share. */
#ifndef ECI_TESTS_CBOR_SUPPORT_H
#define ECI_TESTS_CBOR_SUPPORT_H

#include "core/cbor.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of a hexadecimal string (blanks are skipped) in an allocation that ends with them, so that the sanitizer
 * sees a read past the end. To be freed. */
static inline uint8_t *from_hex(const char *hex, size_t *n)
{
	size_t digits = 0, i;
	uint8_t *p, nibble;

	for (i = 0; hex[i]; i++)
		digits += hex[i] != ' ';
	p = calloc(1, digits / 2 ? digits / 2 : 1);
	*n = digits / 2;
	for (i = 0, digits = 0; hex[i]; i++) {
		if (hex[i] == ' ')
			continue;
		nibble = (uint8_t)(isdigit((unsigned char)hex[i]) ? hex[i] - '0' : hex[i] - 'a' + 10);
		p[digits / 2] = (uint8_t)(p[digits / 2] << 4 | nibble);
		digits++;
	}
	return p;
}

/* Writes an item that the cursor has read. */
static inline void put_item(struct eci_buf *b, const struct eci_cbor_item *it)
{
	switch (it->type) {
	case ECI_CBOR_UINT:
		eci_cbor_put_uint(b, it->u64);
		break;
	case ECI_CBOR_NEG:
		eci_cbor_put_neg(b, it->u64);
		break;
	case ECI_CBOR_BYTES:
		eci_cbor_put_bytes(b, it->ptr, it->len);
		break;
	case ECI_CBOR_TEXT:
		eci_cbor_put_text(b, (const char *)it->ptr, it->len);
		break;
	case ECI_CBOR_ARRAY:
		eci_cbor_put_array(b, it->u64);
		break;
	case ECI_CBOR_MAP:
		eci_cbor_put_map(b, it->u64);
		break;
	case ECI_CBOR_BIGPOS:
	case ECI_CBOR_BIGNEG:
		eci_cbor_put_big(b, it->type == ECI_CBOR_BIGNEG, it->ptr, it->len);
		break;
	case ECI_CBOR_FLOAT:
		eci_cbor_put_f64bits(b, it->u64);
		break;
	case ECI_CBOR_FALSE:
	case ECI_CBOR_TRUE:
		eci_cbor_put_bool(b, it->type == ECI_CBOR_TRUE);
		break;
	case ECI_CBOR_NULL:
		eci_cbor_put_null(b);
		break;
	}
}

/* Reads everything in [p, p+n) with the cursor and writes it again. False if the cursor went bad or did not arrive. */
static inline bool reencode(const uint8_t *p, size_t n, struct eci_buf *out)
{
	struct eci_cbor c = eci_cbor_open(p, n);
	struct eci_cbor_item it;

	while (eci_cbor_next(&c, &it))
		put_item(out, &it);
	return !c.bad && c.p == c.end && !out->failed;
}

#endif
