/* core: text from elsewhere: one character of UTF-8 at a time, which of them must not reach a terminal, and what is
 * shown in their place. Freestanding. */
#ifndef ECI_CORE_TEXT_H
#define ECI_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the valid character at p (n > 0 bytes are there) with *point set; 0: p starts no valid character. */
size_t eci_utf8_next(const uint8_t *p, size_t n, uint32_t *point);
/* Writes point (not a surrogate, at most U+10FFFF). Returns 1-4. */
size_t eci_utf8_put(uint8_t out[4], uint32_t point);
/* Would it act on a terminal or a line of text, or hide in it, instead of being shown: C0, DEL, C1, bidi controls, line
 * separators, what has no width. */
bool eci_char_acts(uint32_t point);

#define ECI_SHOWN_MAX 10u /* bytes of "\UNNNNNNNN" */
/* What shows the character, or the byte that is none, at p (n > 0 bytes are there); *used bytes of it. No NUL. Returns
 * how many bytes: the character itself, a tab and a joiner too, or \xNN, \uNNNN or \UNNNNNNNN. */
size_t eci_show(char out[ECI_SHOWN_MAX], const uint8_t *p, size_t n, size_t *used);
/* All of p, as far as it fits into cap bytes with a NUL: never half of what shows a character. Returns the length. */
size_t eci_escape(char *out, size_t cap, const uint8_t *p, size_t n);

#endif
