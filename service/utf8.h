/* service: one character of UTF-8 at a time, and which characters must not reach a terminal. */
#ifndef ECI_SERVICE_UTF8_H
#define ECI_SERVICE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the valid character at p (n > 0 bytes are there) with *point set; 0: p starts no valid character. */
size_t eci_utf8_next(const uint8_t *p, size_t n, uint32_t *point);
/* Writes point (not a surrogate, at most U+10FFFF). Returns 1-4. */
size_t eci_utf8_put(uint8_t out[4], uint32_t point);
/* Would it act on a terminal or a line of text instead of being shown: C0, DEL, C1, bidi controls, line separators. */
bool eci_char_acts(uint32_t point);

#endif
