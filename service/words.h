/* service: argv and environment as they travel (docs/protocol.md sections 7 and 9). Freestanding. */
#ifndef ECI_SERVICE_WORDS_H
#define ECI_SERVICE_WORDS_H

#include "core/cbor.h"

/* The array at the cursor as a NULL-terminated argv: one allocation, eci_mem_free() it. NULL when it is none, is empty,
 * a word is neither text nor bytes or holds a NUL, or memory is out. */
char **eci_words_argv(struct eci_cbor *c);
/* The map at the cursor as changes to an environment: "K=V" to set, "K" to unset (null). The same, but may be empty. */
char **eci_words_env(struct eci_cbor *c);
/* Writes why a program did not start, as EXEC's answer and SPAWN's event have it: "WHAT: WHY" and the errno. */
void eci_words_why(struct eci_buf *b, const char *what, const char *why, int err);
/* The word at the cursor, as an argv of one. */
char **eci_words_one(struct eci_cbor *c);

#endif
