/* core, private to the CBOR sources: decoding one item's head and payload, shared by the checker and the cursor. */
#ifndef ECI_CORE_CBOR_ITEM_H
#define ECI_CORE_CBOR_ITEM_H

#include "core/cbor.h"

/* Major types (RFC 8949, 3.1), as they stand in the upper three bits of an initial byte. */
enum eci_cbor_major {
	ECI_MAJOR_UINT = 0,
	ECI_MAJOR_NEG = 1,
	ECI_MAJOR_BYTES = 2,
	ECI_MAJOR_TEXT = 3,
	ECI_MAJOR_ARRAY = 4,
	ECI_MAJOR_MAP = 5,
	ECI_MAJOR_TAG = 6,
	ECI_MAJOR_SIMPLE = 7
};
/* Initial bytes of the simple values and the float of the subset; tag numbers of bignums. */
enum {
	ECI_BYTE_FALSE = 0xF4,
	ECI_BYTE_TRUE = 0xF5,
	ECI_BYTE_NULL = 0xF6,
	ECI_BYTE_F64 = 0xFB,
	ECI_TAG_BIGPOS = 2,
	ECI_TAG_BIGNEG = 3
};

/* Reads one item at *p: a scalar with its payload, or the head of an array or map. 0 and *p moved past it, or
 * ECI_CBOR_E_* and *p unchanged. A count of items that could not all fit in what is left (each takes a byte) is
 * ECI_CBOR_E_SHORT, so a count that is returned is below the input's size. UTF-8 is not looked at. */
int eci_cbor_item_read(const uint8_t **p, const uint8_t *end, struct eci_cbor_item *it);

#endif
