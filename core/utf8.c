/* Is this UTF-8 (RFC 3629)? Text strings must be, so that Python 3 can decode every one of them without an error
 * handler: the definition here has to be the strict one. Refused: stray and missing continuation bytes, overlong forms
 * (C0, C1, E0 80-9F, F0 80-8F), surrogates (ED A0-BF), anything above U+10FFFF (F4 90 and up). NUL is a character like
 * others.
 *
 * All of the special cases concern the second byte only: the lead byte determines how many continuation bytes follow
 * and the range of the first of them; the rest are 80-BF. So the check is four comparisons a character, without
 * decoding the code point, and one for ASCII. */
#include "core/cbor.h"

/* The number of continuation bytes after a lead byte above 7F, and the range of the first; 0 for what is no lead byte.
 */
static unsigned follow(uint8_t lead, uint8_t *lo, uint8_t *hi)
{
	*lo = 0x80;
	*hi = 0xBF;
	if (lead >= 0xC2 && lead <= 0xDF)
		return 1;
	if (lead >= 0xE0 && lead <= 0xEF) {
		if (lead == 0xE0)
			*lo = 0xA0;
		if (lead == 0xED)
			*hi = 0x9F;
		return 2;
	}
	if (lead >= 0xF0 && lead <= 0xF4) {
		if (lead == 0xF0)
			*lo = 0x90;
		if (lead == 0xF4)
			*hi = 0x8F;
		return 3;
	}
	return 0;
}

bool eci_utf8_valid(const uint8_t *p, size_t n)
{
	size_t at = 0;
	unsigned more;
	uint8_t lo, hi;

	while (at < n) {
		if (p[at] < 0x80) {
			at++;
			continue;
		}
		more = follow(p[at++], &lo, &hi);
		if (more == 0 || n - at < more)
			return false;
		if (p[at] < lo || p[at] > hi)
			return false;
		at++;
		while (--more > 0) {
			if ((p[at] & 0xC0) != 0x80)
				return false;
			at++;
		}
	}
	return true;
}
