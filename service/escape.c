/* Escaping: text from elsewhere, made harmless for a terminal.
 *
 * It is done at the sink and nowhere before: what travels and what a program gets is data as it was sent. The unit of
 * output is one character or one whole escape, never a part of either, so cutting to a buffer cannot leave half of a
 * sequence that joins with what is printed next. A backslash is not doubled: this is for reading, not for parsing. */
#include "core/buf.h"
#include "econtext/econtext.h"
#include "service/service.h"
#include "service/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_MAX 8u /* "\uNNNN" and its NUL; a character has at most 4 bytes */
#define CUT "..."   /* what stands at the end of a text that was cut */

/* The unit that shows what is at p (n > 0 bytes are there); *used bytes of it. Returns the unit's length. */
static size_t unit(char out[UNIT_MAX], const uint8_t *p, size_t n, size_t *used)
{
	uint32_t point = 0;
	size_t len = eci_utf8_next(p, n, &point);

	*used = len ? len : 1;
	if (len == 0)
		return (size_t)snprintf(out, UNIT_MAX, "\\x%02x", p[0]);
	if (point == '\t' || !eci_char_acts(point)) {
		memcpy(out, p, len);
		return len;
	}
	return (size_t)snprintf(out, UNIT_MAX, point < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)point);
}

char *ectx_escape(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t at, used, size = 1;
	char one[UNIT_MAX], *out, *to;

	for (at = 0; at < len; at += used)
		size += unit(one, p + at, len - at, &used);
	out = to = malloc(size);
	if (!out)
		return NULL;
	for (at = 0; at < len; at += used) {
		size = unit(one, p + at, len - at, &used);
		memcpy(to, one, size);
		to += size;
	}
	*to = '\0';
	return out;
}

size_t eci_escape_into(char *out, size_t cap, const char *text, size_t n)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t at, used, size, len = 0, fits = 0; /* fits: the longest prefix that leaves room for CUT */
	char one[UNIT_MAX];

	if (cap == 0)
		return 0;
	for (at = 0; at < n; at += used) {
		size = unit(one, p + at, n - at, &used);
		if (len + size >= cap)
			break;
		memcpy(out + len, one, size);
		len += size;
		if (len + sizeof(CUT) <= cap)
			fits = len;
	}
	if (at < n && cap >= sizeof(CUT)) {
		memcpy(out + fits, CUT, sizeof(CUT) - 1);
		len = fits + sizeof(CUT) - 1;
	}
	out[len] = '\0';
	return len;
}
