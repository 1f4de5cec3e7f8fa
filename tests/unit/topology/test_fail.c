/* What is said of a failure: quoted text to the last byte that fits, and which word is suggested. */
#include <criterion/criterion.h>
#include <string.h>

#include "topology/base.h"

/* Text that comes from a file is escaped: of what does not fit no half of an escape is left. */
Test(fail, text_is_cut_between_its_escapes)
{
	static const struct {
		int plain, escaped;
		size_t length;
	} cases[] = {{3, 511, 2047}, {3, 512, 2047}, {0, 511, 2044}, {0, 512, 2044}, {4, 511, 2044}, {5, 0, 5}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[1024];
		ectx_error e;
		memset(text, 'x', sizeof text);
		memset(text + cases[i].plain, '\n', (size_t)cases[i].escaped);
		text[cases[i].plain + cases[i].escaped] = 0;
		memset(&e, '!', sizeof e);
		cr_expect_eq(eci_fail_arg(&e, ECTX_E_BAD_ARGUMENT, "%s", text), -1);
		cr_assert_eq(strnlen(e.saw, sizeof e.saw), cases[i].length, "%zu: %zu", i, strlen(e.saw));
		if (cases[i].escaped)
			cr_expect_str_eq(e.saw + cases[i].length - 4, "\\x0a");
		cr_expect_str_eq(e.hint, "", "nothing is left of what was there");
	}
}

/* U+0080 to U+009F are control characters of a terminal as well; what is not seen, or turns text round, hides what a
 * name is; other characters of several bytes are text. */
Test(fail, text_from_a_file_cannot_speak_to_the_terminal)
{
	static const char *const cases[][2] = {
		{"t\xc2\x9b"
		 "31m",
		 "t\\u009b31m"},
		{"\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009f\xc2\xa0"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\x1b[\x7f", "\\x1b[\\x7f"},
		{"web\xe2\x80\x8b"
		 "1",
		 "web\\u200b1"},
		{"\xe2\x80\xae\xe2\x81\xa9\xef\xbb\xbf\xc2\xad\xf3\xa0\x81\x81",
		 "\\u202e\\u2069\\ufeff\\u00ad\\U000e0041"},
		{"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\xe2\x80", "\\xe2\\x80"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ectx_error e;
		cr_expect_eq(eci_fail_arg(&e, ECTX_E_BAD_ARGUMENT, "%s", cases[i][0]), -1);
		cr_expect_str_eq(e.saw, cases[i][1]);
	}
}

static const char *guess(const char *word, const char *const *candidates)
{
	struct eci_guess g = eci_guess_for(word);
	for (; *candidates; candidates++)
		eci_guess_try(&g, *candidates);
	return g.best ? g.best : "";
}
#define GUESS(word, ...) guess(word, (const char *const[]){__VA_ARGS__, NULL})

Test(fail, the_nearest_word_is_suggested)
{
	cr_expect_str_eq(GUESS("relya", "relax", "relay"), "relay", "two that changed places are one slip");
	cr_expect_str_eq(GUESS("ab", "ac", "ba"), "ac", "of equals the first");
	cr_expect_str_eq(GUESS("ab", "cd", "abcd"), "", "one letter of two, no more");
	cr_expect_str_eq(GUESS("abcdef", "abcdxy"), "abcdxy", "a third");
	cr_expect_str_eq(GUESS("abcdef", "abcxyz"), "");
	cr_expect_str_eq(GUESS("abcdefghijklmno", "abcdefghijklxyz"), "abcdefghijklxyz");
	cr_expect_str_eq(GUESS("abcdefghijklmno", "abcdefghijkwxyz"), "", "and three in all");
	cr_expect_str_eq(GUESS("xab", "ab", "xxab", "xabc"), "ab", "a letter too many, or too few");
}

/* Zeros before a number are no letters. */
Test(fail, a_number_with_zeros_is_the_nearest)
{
	cr_expect_str_eq(GUESS("web01", "web02", "web1"), "web1");
	cr_expect_str_eq(GUESS("web1", "web2", "web001"), "web001");
	cr_expect_str_eq(GUESS("a1-01", "a1-02", "a1-1"), "a1-1");
	cr_expect_str_eq(GUESS("01a", "02a", "1a"), "1a");
	cr_expect_str_eq(GUESS("web10", "web11", "web1"), "web11", "a zero behind a digit is one");
	cr_expect_str_eq(GUESS("web10", "web11", "web100"), "web11");
}

Test(fail, a_word_of_64_bytes_is_compared)
{
	for (size_t n = 64; n <= 65; n++)
		for (size_t m = 64; m <= 65; m++) {
			char word[66], candidate[66];
			memset(word, 'x', sizeof word);
			memset(candidate, 'x', sizeof candidate);
			word[0] = 'w';
			word[n] = candidate[m] = 0;
			const char *due = n == 64 && m == 64 ? candidate : "";
			cr_expect_str_eq(GUESS(word, candidate), due, "%zu and %zu", n, m);
		}
}
