/* Text from elsewhere, made harmless: decoding a character, the list of those that may not reach a terminal, and their
 * escapes.
 *
 * core/utf8.c answers whether bytes are valid, without code points; here the code point is needed. The definition of
 * valid is taken from there, so that the two cannot differ.
 *
 * What acts: C0 and DEL (cursor, bell, line ends), C1 (CSI and OSC as single characters), the bidirectional controls
 * (they reorder what is read), the line and paragraph separators (a log line has to stay one line), and what is not
 * seen (a name with one looks like another). A tab is shown as it is, but acts where a name is due, and so it is with
 * the two joiners: Persian is written with them, and what is one emoji of several.
 *
 * What shows a character is one unit, so cutting to a buffer cannot leave half of a sequence that joins with what is
 * printed next. A backslash is not doubled: this is for reading, not for parsing. */
#include "core/text.h"
#include "core/cbor.h"
#include "core/mem.h"

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
	static const struct {
		uint32_t from, to;
	} ranges[] = {{0, 0x1F},          {0x7F, 0x9F},      {0xAD, 0xAD},     {0x34F, 0x34F},   {0x61C, 0x61C},
		      {0x115F, 0x1160},   {0x17B4, 0x17B5},  {0x180B, 0x180F}, {0x200B, 0x200F}, {0x2028, 0x202E},
		      {0x2060, 0x206F},   {0x3164, 0x3164},  {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB},
		      {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}};
	size_t i = 0;
	while (i < sizeof ranges / sizeof *ranges && point > ranges[i].to)
		i++;
	return i < sizeof ranges / sizeof *ranges && point >= ranges[i].from;
}

size_t eci_show(char out[ECI_SHOWN_MAX], const uint8_t *p, size_t n, size_t *used)
{
	uint32_t point = p[0];
	size_t len = eci_utf8_next(p, n, &point);
	bool joins = point == 0x200C || point == 0x200D;

	*used = len ? len : 1;
	if (len && (point == '\t' || joins || !eci_char_acts(point))) {
		memcpy(out, p, len);
		return len;
	}
	size_t digits = len < 2 ? 2 : point < 0x10000 ? 4 : 8;
	out[0] = '\\';
	out[1] = len < 2 ? 'x' : point < 0x10000 ? 'u' : 'U';
	for (size_t i = digits; i > 0; i--, point >>= 4)
		out[1 + i] = "0123456789abcdef"[point & 15];
	return 2 + digits;
}

size_t eci_escape(char *out, size_t cap, const uint8_t *p, size_t n)
{
	size_t o = 0, used;
	char one[ECI_SHOWN_MAX];

	for (size_t at = 0; at < n; at += used) {
		size_t size = eci_show(one, p + at, n - at, &used);
		if (o + size + 1 > cap)
			break;
		memcpy(out + o, one, size);
		o += size;
	}
	if (cap)
		out[o] = '\0';
	return o;
}
