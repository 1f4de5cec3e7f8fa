/* econtext: values that travel: null, booleans, integers of any size, floats, text, bytes, arrays, maps. */
#ifndef ECONTEXT_VALUE_H
#define ECONTEXT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ectx_value ectx_value;
enum ectx_kind { ECTX_NULL, ECTX_BOOL, ECTX_INT, ECTX_BIGINT, ECTX_FLOAT, ECTX_TEXT, ECTX_BYTES, ECTX_ARRAY, ECTX_MAP };

/* Constructors return NULL when out of memory (or when given NULL where a value is due, so that calls nest). None
 * blocks; any thread. */
ectx_value *ectx_null(void);
ectx_value *ectx_bool(bool v);
ectx_value *ectx_int(int64_t v);
ectx_value *ectx_uint(uint64_t v);
ectx_value *ectx_bigint(const char *decimal); /* "-123456789012345678901234567890"; becomes ECTX_INT when it fits; NULL
						 if malformed or above 4,096 bytes of magnitude */
ectx_value *ectx_float(double v);
ectx_value *ectx_text(const char *s); /* must be UTF-8, else NULL */
ectx_value *ectx_text_n(const char *s, size_t n);
ectx_value *ectx_bytes(const void *p, size_t n);
ectx_value *ectx_array(void);
ectx_value *ectx_map(void);
/* Takes v in any case. Returns a, or NULL (a is then still owned by the caller): a is no array, an argument is NULL, or
 * out of memory. An array that lacks something for this does not travel: a call with it is bad-argument, a send over a
 * channel cannot-travel. But a whole that was nested in one expression is NULL then (what it had is lost with it), and
 * NULL for the arguments of a call are none: keep the array, as ectx_text() of bytes from elsewhere may be NULL. */
ectx_value *ectx_array_push(ectx_value *a, ectx_value *v);
/* Takes key and v in any case; of an equal key the item is replaced. Keys are scalars. Returns m, or NULL (m is then
 * still owned by the caller, and does not travel, as above): key is no scalar, an argument is NULL, or out of memory.
 */
ectx_value *ectx_map_set(ectx_value *m, ectx_value *key, ectx_value *v);
/* The same with a key of text (which stays the caller's). */
ectx_value *ectx_map_put(ectx_value *m, const char *key, ectx_value *v);
ectx_value *ectx_value_copy(const ectx_value *v); /* NULL also when nested deeper than 32 */
void ectx_value_free(ectx_value *v);              /* NULL-safe; frees what it contains */

/* Reading. None blocks; several threads may read one value while none changes it. Of NULL, of another kind and past the
 * end: false, 0 or NULL. What is returned lives as long as v does unchanged, and stays v's. */
enum ectx_kind ectx_value_kind(const ectx_value *v); /* ECTX_NULL for NULL */
bool ectx_value_bool(const ectx_value *v);
bool ectx_value_int(const ectx_value *v, int64_t *out); /* false: not an integer that fits */
bool ectx_value_uint(const ectx_value *v, uint64_t *out);
double ectx_value_float(const ectx_value *v);     /* of integers too, rounded */
const char *ectx_value_text(const ectx_value *v); /* NUL-terminated, or NULL when it is not text; lives as long as v */
const void *ectx_value_bytes(const ectx_value *v, size_t *n); /* bytes or text */
size_t ectx_value_count(const ectx_value *v);                 /* items of an array, pairs of a map */
const ectx_value *ectx_array_at(const ectx_value *v, size_t i);
const ectx_value *ectx_map_key(const ectx_value *v, size_t i);
const ectx_value *ectx_map_at(const ectx_value *v, size_t i);
const ectx_value *ectx_map_get(const ectx_value *v, const char *key); /* NULL when absent */
/* Would they travel as the same bytes? 1, 1.0 and true differ, a NaN is equal to itself, maps in any order are equal.
 */
bool ectx_value_equal(const ectx_value *a, const ectx_value *b);

/* One line of JSON, malloc'd (free()), NULL out of memory or nested deeper than 32. Bytes are {"$bytes": base64};
 * non-finite floats "NaN", "Infinity", "-Infinity" bare as Python writes them; map keys that are not text are written
 * as their JSON text in quotes; ", " and ": " separate; non-ASCII stays UTF-8; control, C1 and bidi characters are
 * escaped. */
char *ectx_value_json(const ectx_value *v);
/* Parses one JSON text (whole string). Integers of any size; {"$bytes": ...} becomes bytes. NULL on error; *where gets
 * the offset. Depth 32, 1,048,576 items. */
ectx_value *ectx_value_from_json(const char *s, size_t n, size_t *where);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
