/* Characters: decoding one, and the list of those that text from elsewhere may not bring to a terminal.
 *
 * core/utf8.c answers whether bytes are valid, without code points; here the code point is needed. The definition of
 * valid is taken from there, so that the two cannot differ.
 *
 * What acts: C0 and DEL (cursor, bell, line ends), C1 (CSI and OSC as single characters), the bidirectional controls
 * (they reorder what is read), and the line and paragraph separators (a log line has to stay one line). */
#include "service/utf8.h"
#include "core/cbor.h"

static size_t length(uint8_t lead)
{
	if (lead < 0x80)
		return 1;
	if (lead < 0xE0)
		return 2;
	return lead < 0xF0 ? 3 : 4;
}

size_t eci_utf8_next(const uint8_t *p, size_t n, uint32_t *point)
{
	size_t len = length(p[0]), i;

	if (len > n || !eci_utf8_valid(p, len))
		return 0;
	*point = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
	for (i = 1; i < len; i++)
		*point = *point << 6 | (p[i] & 0x3Fu);
	return len;
}

size_t eci_utf8_put(uint8_t out[4], uint32_t point)
{
	static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
	size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4, i;

	for (i = len - 1; i > 0; i--) {
		out[i] = (uint8_t)(0x80 | (point & 0x3F));
		point >>= 6;
	}
	out[0] = (uint8_t)(lead[len > 1 ? len : 0] | point);
	return len;
}

bool eci_char_acts(uint32_t point)
{
	return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x061C || point == 0x200E ||
	       point == 0x200F || (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}
