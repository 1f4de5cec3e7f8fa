/* Escaping: text from elsewhere, made harmless for a terminal.
 *
 * It is done at the sink and nowhere before: what travels and what a program gets is data as it was sent. What is shown
 * in the place of what is core/text.c's. */
#include "core/buf.h"
#include "core/text.h"
#include "econtext/event.h"
#include "service/service.h"

#include <stdlib.h>
#include <string.h>

#define CUT "..." /* what stands at the end of a text that was cut */

char *ectx_escape(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t at, used, size = 1;
	char one[ECI_SHOWN_MAX], *out, *to;

	for (at = 0; at < len; at += used)
		size += eci_show(one, p + at, len - at, &used);
	out = to = malloc(size);
	if (!out)
		return NULL;
	for (at = 0; at < len; at += used) {
		size = eci_show(one, p + at, len - at, &used);
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
	char one[ECI_SHOWN_MAX];

	if (cap == 0)
		return 0;
	for (at = 0; at < n; at += used) {
		size = eci_show(one, p + at, n - at, &used);
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
