/* service: requests to start something, with their argv and environment, as they travel (docs/protocol.md sections 7
 * and 9). Freestanding. */
#ifndef ECI_SERVICE_WORDS_H
#define ECI_SERVICE_WORDS_H

#include "core/cbor.h"

/* The array at the cursor as a NULL-terminated argv: one allocation, eci_mem_free() it. NULL when it is none, is empty,
 * a word is neither text nor bytes or holds a NUL, or memory is out. */
char **eci_words_argv(struct eci_cbor *c);
/* Writes why a program did not start, as EXEC's answer and SPAWN's event have it: "WHAT: WHY" and the errno. A negative
 * one is of the terminal that it was to have, whatever the program: "no terminal: WHY". */
void eci_words_why(struct eci_buf *b, const char *what, const char *(*explain)(void *ctx, int err), void *ctx, int err);

/* What a request's map has under one of its keys, and where in the struct it goes. A key that is not there leaves what
 * is there; so does null, from ECI_FIELD_MAY_BE_NULL on. */
enum eci_field {
	ECI_FIELD_U32,  /* uint32_t */
	ECI_FIELD_ARGV, /* char **, eci_mem_free() it; so are ENV and WORD */
	ECI_FIELD_MAY_BE_NULL,
	ECI_FIELD_BOOL = ECI_FIELD_MAY_BE_NULL, /* uint32_t, 0 or 1 */
	ECI_FIELD_ENV,  /* a map of changes to an environment: "K=V" to set, "K" to unset (null) */
	ECI_FIELD_WORD, /* an argv of one */
	ECI_FIELD_SIZE  /* uint32_t[3]: 1, and an array of two numbers */
};
struct eci_word {
	uint8_t type, at; /* enum eci_field, offset */
};
/* Reads the map at the cursor into *to; key k is words[k]. False when it does not decode: then some were read. */
bool eci_words_read(struct eci_cbor *c, void *to, const struct eci_word *words, size_t n);

#endif
