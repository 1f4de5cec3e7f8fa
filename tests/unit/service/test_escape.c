/* Escaping: what acts on a terminal is shown instead; cutting leaves whole units. */
#include "service/service.h"
#include "econtext/econtext.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *in;
	size_t n;
	const char *out;
} table[] = {
	{"", 0, ""},
	{"plain text~", 11, "plain text~"},
	{"a\tb", 3, "a\tb"},
	{"a\\b", 3, "a\\b"},
	{"\x1b[2J\x07\r\n", 7, "\\x1b[2J\\x07\\x0d\\x0a"},
	{"\0\x1f\x7f", 3, "\\x00\\x1f\\x7f"},
	{"\xc2\x9b\xc2\x80\xc2\x9f\xc2\xa0", 8, "\\u009b\\u0080\\u009f\xc2\xa0"},
	{"\xe2\x80\xae\xe2\x80\xaa\xe2\x81\xa9\xe2\x80\x8e\xd8\x9c", 14, "\\u202e\\u202a\\u2069\\u200e\\u061c"},
	{"\xe2\x80\x8c\xe2\x80\x8d", 6, "\xe2\x80\x8c\xe2\x80\x8d"}, /* joiners */
	{"\xe2\x80\x8b\xc2\xad\xef\xbb\xbf\xf3\xa0\x81\x81", 12, "\\u200b\\u00ad\\ufeff\\U000e0041"},
	{"\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xaf", 9, "\xe2\x80\xa7\\u2028\xe2\x80\xaf"},
	{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
	{"\xff\xc3(\xc0\x80\xed\xa0\x80", 8, "\\xff\\xc3(\\xc0\\x80\\xed\\xa0\\x80"},
	{"\xe2\x82", 2, "\\xe2\\x82"},
	{"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"},
};

Test(escape, table)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char buf[128], *out, *exact = malloc(table[i].n ? table[i].n : 1);

		memcpy(exact, table[i].in, table[i].n);
		out = ectx_escape(exact, table[i].n);
		cr_expect_str_eq(out, table[i].out);
		cr_expect_eq(eci_escape_into(buf, sizeof(buf), exact, table[i].n), strlen(table[i].out));
		cr_expect_str_eq(buf, table[i].out);
		free(out);
		free(exact);
	}
}

/* At every size: NUL-terminated, inside, whole when it fits, else a prefix of whole units and "...". */
Test(escape, every_capacity)
{
	static const char in[] = "ab\x1b\xe2\x82\xac\xff\xe2\x80\xaez";
	static const char *units[] = {"a", "b", "\\x1b", "\xe2\x82\xac", "\\xff", "\\u202e", "z"};
	const size_t whole = 1 + 1 + 4 + 3 + 4 + 6 + 1;
	char *buf, expected[40];
	size_t cap, n, i;

	for (cap = 1; cap <= whole + 3; cap++) {
		buf = malloc(cap);
		n = eci_escape_into(buf, cap, in, sizeof(in) - 1);
		cr_assert(n < cap && buf[n] == '\0');
		expected[0] = '\0';
		for (i = 0; cap >= 4 && i < 7 && (cap > whole || strlen(expected) + strlen(units[i]) + 4 <= cap); i++)
			strcat(expected, units[i]);
		if (cap >= 4 && cap <= whole)
			strcat(expected, "...");
		if (cap >= 4)
			cr_expect_str_eq(buf, expected, "%zu: %s not %s", cap, buf, expected);
		free(buf);
	}
	cr_expect_eq(eci_escape_into(expected, 0, in, 3), 0);
}
