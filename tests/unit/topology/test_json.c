/* Text for other programs: what JSON takes as it is, and what only as U+FFFD; words that a shell reads back. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "topology/base.h"

static void gives(void (*put)(FILE *f, const char *s), const char *text, const char *due)
{
	char *got = NULL;
	size_t n;
	FILE *f = open_memstream(&got, &n);
	cr_assert(f);
	put(f, text);
	cr_assert(fclose(f) == 0);
	cr_expect_str_eq(got, due, "%s: %s", text, got);
	free(got);
}

#define BAD "\\ufffd"

/* The first and the last of each length, and their neighbours that are none. */
Test(json, utf8_and_what_is_none)
{
	static const char *const good[] = {"\xC2\x80",
					   "\xDF\xBF",
					   "\xE0\xA0\x80",
					   "\xE1\x80\x80",
					   "\xED\x9F\xBF",
					   "\xEE\x80\x80",
					   "\xEF\xBF\xBF",
					   "\xF0\x90\x80\x80",
					   "\xF1\x80\x80\x80",
					   "\xF4\x8F\xBF\xBF",
					   "~",
					   " "};
	static const char *const bad[][2] = {{"\x80", BAD},
					     {"\xBF", BAD},
					     {"\xC1\xBF", BAD BAD},
					     {"\xC2\x7F", BAD "\\u007f"},
					     {"\xC2\xC0", BAD BAD},
					     {"\xE0\x9F\xBF", BAD BAD BAD},
					     {"\xED\xA0\x80", BAD BAD BAD},
					     {"\xE1\x80z", BAD BAD "z"},
					     {"\xF0\x8F\xBF\xBF", BAD BAD BAD BAD},
					     {"\xF4\x90\x80\x80", BAD BAD BAD BAD},
					     {"\xF5\x80\x80\x80", BAD BAD BAD BAD},
					     {"\xF1\x80\x80", BAD BAD BAD},
					     {"\xC2", BAD}};
	char due[64];
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		(void)snprintf(due, sizeof due, "\"%sx\"", good[i]);
		char text[8];
		(void)snprintf(text, sizeof text, "%sx", good[i]);
		gives(eci_json_string, text, due);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		(void)snprintf(due, sizeof due, "\"%s\"", bad[i][1]);
		gives(eci_json_string, bad[i][0], due);
	}
}

Test(json, what_is_escaped)
{
	gives(eci_json_string, "", "\"\"");
	gives(eci_json_string, "a\"b\\c\nd", "\"a\\\"b\\\\c\\nd\"");
	gives(eci_json_string, "\x01\x1f\x7f!", "\"\\u0001\\u001f\\u007f!\"");
}

Test(json, words_for_a_shell)
{
	gives(eci_shell_quote, "", "''");
	gives(eci_shell_quote, "-oUser=a_b@c:%h,/x+1.2", "-oUser=a_b@c:%h,/x+1.2");
	gives(eci_shell_quote, "a b", "'a b'");
	gives(eci_shell_quote, "it's", "'it'\\''s'");
	gives(eci_shell_quote, "~", "'~'");
}
