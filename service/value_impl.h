/* service, private to the value sources: how a value lies in memory. */
#ifndef ECI_SERVICE_VALUE_IMPL_H
#define ECI_SERVICE_VALUE_IMPL_H

#include "core/buf.h"
#include "core/cbor.h"
#include "econtext/value.h"

struct eci_value_pair {
	ectx_value *key, *item;
};

struct ectx_value {
	enum ectx_kind kind;
	bool flag; /* BOOL: the value; INT, BIGINT: the value is -1 - number, as in CBOR; ARRAY, MAP: it lacks something
		    */
	union {
		uint64_t number; /* INT; negative ones at most INT64_MAX here, so that every INT fits int64 or uint64 */
		double real;
		struct {
			char *mem; /* TEXT, BYTES (a NUL follows); BIGINT: big-endian magnitude without leading zeros */
			size_t len;
		} str;
		struct {
			size_t count;
			union {
				size_t cap;
				ectx_value *next; /* while it waits to be freed */
			};
			ectx_value **items;
		} array;
		struct {
			size_t count;
			union {
				size_t cap;
				ectx_value *next;
			};
			struct eci_value_pair *pairs; /* as they were set */
			uint32_t *order;              /* indices of pairs in the order of their encoded keys */
		} map;
	};
};

/* A value with kind and nothing else. NULL: no memory. */
ectx_value *eci_value_new(enum ectx_kind kind);
/* What was to be put into it, if it is of that kind, was not: it does not travel any more. NULL. */
ectx_value *eci_value_lacks(ectx_value *container, enum ectx_kind kind);
/* A TEXT, BYTES or BIGINT that copies n bytes. */
ectx_value *eci_value_new_str(enum ectx_kind kind, const void *p, size_t n);
/* -1 - magnitude or magnitude, as INT where it fits, else BIGINT. NULL: no memory, or above ECI_CBOR_BIGNUM_MAX. */
ectx_value *eci_value_new_number(bool negative, const uint8_t *magnitude, size_t n);

/* ---- bignums (value_big.c) ---- */
#define ECI_BIG_DIGITS_MAX 9865u /* decimal digits of 2^32768: more cannot fit ECI_CBOR_BIGNUM_MAX bytes */
/* n decimal digits with an optional '-' before them. NULL: no memory, malformed, or too large. */
ectx_value *eci_big_parse(const char *s, size_t n);
/* Appends a BIGINT in decimal. 0, or -1 no memory. */
int eci_big_print(struct eci_buf *b, const ectx_value *v);

/* ---- bytes in JSON (value_base64.c) ---- */
void eci_base64_write(struct eci_buf *b, const uint8_t *p, size_t n);
/* In place: the output is never ahead of the input. False: malformed. */
bool eci_base64_read(char *s, size_t n, size_t *out);

/* ---- maps (value_map.c) ---- */
/* <0, 0, >0 in the order of encoded keys (RFC 8949, 4.2.1). */
int eci_map_key_compare(const ectx_value *a, const ectx_value *b);
/* How many pairs there is to be room for when cap are full; 0: no map is so large. */
size_t eci_map_room_after(size_t cap);
/* Adds a pair unlooked at; eci_map_seal() must follow. Takes both in any case. 0, or -1. */
int eci_map_append(ectx_value *m, ectx_value *key, ectx_value *item);
/* Sorts what was appended; of equal keys the last item stays, at the place of the first. Returns how many pairs went.
 */
size_t eci_map_seal(ectx_value *m);

#endif
