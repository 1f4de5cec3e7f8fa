/* core: the CBOR subset of docs/protocol.md section 2: a writer that appends to a buffer, a checker, a cursor reader.
 */
#ifndef ECI_CORE_CBOR_H
#define ECI_CORE_CBOR_H

#include "core/buf.h"

#define ECI_CBOR_DEPTH_MAX \
	32u /* outermost item is depth 1; deeper than any sane value, shallow enough for a small stack */
#define ECI_CBOR_ITEMS_MAX 65536u         /* items in a protocol message */
#define ECI_CBOR_VALUE_ITEMS_MAX 1048576u /* items in a call argument or result */
#define ECI_CBOR_BIGNUM_MAX 4096u         /* bytes of a bignum's magnitude */

enum eci_cbor_type {
	ECI_CBOR_UINT,   /* u64 */
	ECI_CBOR_NEG,    /* -1 - u64 */
	ECI_CBOR_BYTES,  /* ptr, len */
	ECI_CBOR_TEXT,   /* ptr, len: valid UTF-8 */
	ECI_CBOR_ARRAY,  /* u64 items follow */
	ECI_CBOR_MAP,    /* u64 pairs follow */
	ECI_CBOR_BIGPOS, /* ptr, len: big-endian magnitude */
	ECI_CBOR_BIGNEG, /* -1 - magnitude */
	ECI_CBOR_FLOAT,  /* f64bits (IEEE 754; no floating point is done in core) */
	ECI_CBOR_FALSE,
	ECI_CBOR_TRUE,
	ECI_CBOR_NULL
};

struct eci_cbor_item {
	enum eci_cbor_type type;
	uint64_t u64;       /* integer, item or pair count, or the bits of a float */
	const uint8_t *ptr; /* into the input */
	size_t len;
};

/* ---- writer: each appends one head (and payload); errors are sticky in b->failed ---- */
void eci_cbor_put_uint(struct eci_buf *b, uint64_t v);
void eci_cbor_put_int(struct eci_buf *b, int64_t v);
void eci_cbor_put_neg(struct eci_buf *b, uint64_t v); /* -1 - v */
void eci_cbor_put_bytes(struct eci_buf *b, const void *p, size_t n);
void eci_cbor_put_text(struct eci_buf *b, const char *p, size_t n); /* caller vouches for UTF-8 */
void eci_cbor_put_str(struct eci_buf *b, const char *s);            /* C string */
void eci_cbor_put_array(struct eci_buf *b, uint64_t n);
void eci_cbor_put_map(struct eci_buf *b, uint64_t n); /* caller writes keys in sorted order */
void eci_cbor_put_big(struct eci_buf *b, bool negative, const void *magnitude, size_t n);
void eci_cbor_put_f64bits(struct eci_buf *b, uint64_t bits);
void eci_cbor_put_bool(struct eci_buf *b, bool v);
void eci_cbor_put_null(struct eci_buf *b);

/* ---- checker: is [p, p+n) exactly one well-formed item of the subset? 0, or a negative error below. Iterative,
 * bounded stack. Duplicate map keys are found by comparing encoded keys. Names for messages: eci_cbor_strerror(). ----
 */
enum {
	ECI_CBOR_OK = 0,
	ECI_CBOR_E_SHORT = -1,
	ECI_CBOR_E_TRAILING = -2,
	ECI_CBOR_E_TYPE = -3,
	ECI_CBOR_E_DEPTH = -4,
	ECI_CBOR_E_ITEMS = -5,
	ECI_CBOR_E_DUPKEY = -6,
	ECI_CBOR_E_KEY = -7,
	ECI_CBOR_E_UTF8 = -8,
	ECI_CBOR_E_BIG = -9,
	ECI_CBOR_E_MEM = -10 /* a large map with unsorted keys, and no memory to sort them */
};
int eci_cbor_check(const uint8_t *p, size_t n, uint32_t items_max);
const char *eci_cbor_strerror(int err);
bool eci_utf8_valid(const uint8_t *p, size_t n);

/* ---- cursor over bytes that eci_cbor_check() accepted (on others it fails safely, never reads past the end) ---- */
struct eci_cbor {
	const uint8_t *p, *end;
	bool bad; /* sticky: something was not there or not of the type asked */
};
static inline struct eci_cbor eci_cbor_open(const uint8_t *p, size_t n)
{
	return (struct eci_cbor){p, n ? p + n : p, false};
}
/* Over a body that is checked first (as a protocol message): bad from the start if it is not what it must be. */
struct eci_frame;
struct eci_cbor eci_cbor_of(const struct eci_frame *f);
bool eci_cbor_next(struct eci_cbor *c, struct eci_cbor_item *it); /* one head; false at the end or on error */
bool eci_cbor_skip(struct eci_cbor *c);                           /* one whole item */
/* Typed getters: consume one item; on another type set bad and return 0/false. A false getter leaves outputs zeroed. */
uint64_t eci_cbor_get_uint(struct eci_cbor *c);
uint32_t eci_cbor_get_u32(struct eci_cbor *c); /* bad above UINT32_MAX */
int64_t eci_cbor_get_int(struct eci_cbor *c);  /* bad outside int64 */
bool eci_cbor_get_bool(struct eci_cbor *c);
size_t eci_cbor_get_array(struct eci_cbor *c);
size_t eci_cbor_get_map(struct eci_cbor *c);
bool eci_cbor_get_bytes(struct eci_cbor *c, const uint8_t **p, size_t *n);
bool eci_cbor_get_text(struct eci_cbor *c, const char **p, size_t *n);      /* not NUL terminated */
bool eci_cbor_get_either(struct eci_cbor *c, const uint8_t **p, size_t *n); /* bytes or text */
bool eci_cbor_get_null(
	struct eci_cbor *c); /* true and consumed if the next item is null; else false, not consumed, not bad */

#endif
