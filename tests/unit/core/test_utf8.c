/* UTF-8: every code point there is, every two- and three-byte sequence against a decoder written the other way round,
 * and the borders that RFC 3629 draws. */
#include "core/cbor.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static size_t encode(uint32_t cp, uint8_t out[4])
{
	if (cp < 0x80) {
		out[0] = (uint8_t)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (uint8_t)(0xC0 | cp >> 6), out[1] = (uint8_t)(0x80 | (cp & 0x3F));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (uint8_t)(0xE0 | cp >> 12), out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
		out[2] = (uint8_t)(0x80 | (cp & 0x3F));
		return 3;
	}
	out[0] = (uint8_t)(0xF0 | cp >> 18), out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
	out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3F)), out[3] = (uint8_t)(0x80 | (cp & 0x3F));
	return 4;
}

Test(utf8, every_code_point_and_its_prefixes)
{
	uint8_t bytes[4];
	uint32_t cp;
	size_t n, cut;

	for (cp = 0; cp < 0x1FFFFF; cp++) {
		n = encode(cp, bytes);
		cr_assert_eq(eci_utf8_valid(bytes, n), cp <= 0x10FFFF && (cp < 0xD800 || cp > 0xDFFF), "U+%04X", cp);
		for (cut = 1; cut < n; cut++)
			cr_assert_not(eci_utf8_valid(bytes, cut));
	}
}

/* The valid strings of exactly three bytes are counted: one character of three, one and two, two and one, three of one.
 */
Test(utf8, every_string_of_three_bytes)
{
	const long one = 128, two = 0x800 - 0x80, three = 0x10000 - 0x800 - 0x800;
	long found = 0;
	uint32_t v;

	for (v = 0; v < 1u << 24; v++) {
		uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

		found += eci_utf8_valid(bytes, 3);
	}
	cr_assert_eq(found, three + 2 * one * two + one * one * one, "%ld", found);
}

Test(utf8, borders)
{
	static const char *bad[] = {"\x80",
				    "\xBF",
				    "\xC0\x80",
				    "\xC1\xBF",
				    "\xC2",
				    "\xC2\x41",
				    "\xC2\xC2",
				    "\xE0\x80\x80",
				    "\xE0\x9F\xBF",
				    "\xED\xA0\x80",
				    "\xED\xBF\xBF",
				    "\xF0\x80\x80\x80",
				    "\xF0\x8F\xBF\xBF",
				    "\xF4\x90\x80\x80",
				    "\xF5\x80\x80\x80",
				    "\xFE",
				    "\xFF",
				    "ok\xE2\x82",
				    "\xE2\x82(",
				    "\xF0\x9F\x98(",
				    "\xF0\x9F(\x80",
				    "\xF8\x88\x80\x80\x80"};
	static const char *good[] = {"",
				     "plain",
				     "\x7F",
				     "\xC2\x80",
				     "\xDF\xBF",
				     "\xE0\xA0\x80",
				     "\xED\x9F\xBF",
				     "\xEE\x80\x80",
				     "\xEF\xBF\xBF",
				     "\xF0\x90\x80\x80",
				     "\xF4\x8F\xBF\xBF",
				     "a\xC3\xBC\xE6\xB0\xB4\xF0\x90\x85\x91z"};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_not(eci_utf8_valid((const uint8_t *)bad[i], strlen(bad[i])), "bad case %zu", i);
	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_assert(eci_utf8_valid((const uint8_t *)good[i], strlen(good[i])), "good case %zu", i);
	cr_assert(eci_utf8_valid((const uint8_t *)"a\0b", 3));
	cr_assert(eci_utf8_valid(NULL, 0));
}
