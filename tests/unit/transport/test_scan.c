/* The marker scanner, line scanner and prompt patterns: every cut, every byte value, each limit and one past it. */
#include "transport/scan.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONCE "k3j9x2ab"
#define MARK "EC:" NONCE ":python3:Linux x86_64\n"

/* Feeds text in pieces of `piece` bytes; returns the offset behind the marker, or -1. */
static long scan(const char *text, size_t n, size_t piece, struct eci_marker *m)
{
	struct eci_marker_scan s;
	eci_marker_scan_init(&s, NONCE);
	memset(m, 0, sizeof *m);
	for (size_t at = 0; at < n;) {
		size_t k = n - at < piece ? n - at : piece;
		bool found;
		size_t used = eci_marker_scan_feed(&s, (const uint8_t *)text + at, k, m, &found);
		at += used;
		if (found)
			return (long)at;
		cr_assert_eq(used, k);
	}
	return -1;
}

static void finds(const char *text, const char *interpreter, const char *system, size_t rest)
{
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		struct eci_marker m;
		long at = scan(text, strlen(text), piece, &m);
		cr_assert_eq(at, (long)(strlen(text) - rest), "%s in pieces of %zu: %ld", text, piece, at);
		cr_assert_str_eq(m.interpreter, interpreter);
		cr_assert_str_eq(m.system, system);
	}
}

static void finds_none(const char *text)
{
	struct eci_marker m;
	cr_assert_eq(scan(text, strlen(text), 1, &m), -1, "%s", text);
	cr_assert_eq(scan(text, strlen(text), strlen(text), &m), -1, "%s", text);
}

Test(marker, is_found)
{
	finds(MARK, "python3", "Linux x86_64", 0);
	finds(MARK "rest", "python3", "Linux x86_64", 4);
	finds("EC:" NONCE ":python2:Linux armv7l\r\n", "python2", "Linux armv7l", 0);
	finds("motd\n\x1b[1mWelcome\x1b[0m\n$ " MARK, "python3", "Linux x86_64", 0);
	finds("EC:" NONCE ":/opt/py/bin/python3.9:Linux x86_64\n", "python3.9", "Linux x86_64", 0);
	finds("EC:" NONCE ":sh:\n", "sh", "", 0);
}

/* The topology's limit, of a name and of the last part of a path. */
Test(marker, names_an_interpreter_of_200_letters)
{
	char name[202], text[300];
	for (size_t past = 0; past <= 1; past++)
		for (size_t folder = 0; folder <= 1; folder++) {
			memset(name, 'p', sizeof name);
			name[200 + past - folder] = '\0';
			(void)snprintf(text, sizeof text, "EC:" NONCE ":%s%s:Linux x86_64\n", folder ? "/" : "", name);
			if (past && !folder)
				finds_none(text);
			else
				finds(text, name, "Linux x86_64", 0);
		}
}

Test(marker, behind_a_false_start)
{
	finds("EC:EC:" NONCE "EC:" NONCE ":" MARK, "python3", "Linux x86_64", 0);
	finds("+ echo EC:" NONCE ":$p:`uname -sm`\n" MARK, "python3", "Linux x86_64", 0);
	finds("EC:" NONCE ":python3:Linux EC:" NONCE ":perl:SunOS i86pc\n", "perl", "SunOS i86pc", 0);
}

Test(marker, is_not_believed)
{
	finds_none("EC:" NONCE ":$p:Linux x86_64\n");
	finds_none("EC:k3j9x2aB:python3:Linux x86_64\n");
	finds_none("EC:" NONCE ":python3:Linux x86_64");
	finds_none("EC:" NONCE "::Linux x86_64\n");
	finds_none("EC:" NONCE ":/usr/bin/:Linux x86_64\n");
	finds_none("EC:" NONCE ":python3\n");
	finds_none("EC:" NONCE ":\n");
	finds_none("EC:" NONCE ":python3:Lin\x01x x86_64\n");
	finds_none("EC:" NONCE ":py thon:Linux\n");
}

Test(marker, widths_at_their_limits)
{
	finds("EC:" NONCE ":sh:123456789012345678901234567890123456789012345678901234567890123\n", "sh",
	      "123456789012345678901234567890123456789012345678901234567890123", 0);
	finds_none("EC:" NONCE ":sh:1234567890123456789012345678901234567890123456789012345678901234\n");
}

/* The tail that is kept may begin at its border, whatever stood before. */
Test(marker, with_a_long_path)
{
	char text[2000], path[300];
	memset(path, 'd', sizeof path);
	path[0] = '/';
	strcpy(path + 288, "/python3.9");
	for (size_t noise = 0; noise < 1000; noise += 13) {
		struct eci_marker m;
		memset(text, 'x', noise);
		sprintf(text + noise, "EC:%s:%s:Linux x86_64\n", NONCE, path);
		cr_assert_eq(scan(text, strlen(text), 1, &m), (long)strlen(text), "%zu", noise);
		cr_assert_str_eq(m.interpreter, "python3.9");
	}
}

/* Before the marker a line of any length: around the size of the kept tail above all. */
Test(marker, after_a_line_of_any_length)
{
	for (size_t n = 0; n < 1300; n++) {
		char text[1400];
		struct eci_marker m;
		memset(text, 'x', n);
		strcpy(text + n, MARK);
		cr_assert_eq(scan(text, strlen(text), 1, &m), (long)strlen(text), "%zu", n);
		cr_assert_eq(scan(text, strlen(text), strlen(text), &m), (long)strlen(text), "%zu", n);
	}
}

Test(marker, in_200_kib_of_every_byte)
{
	size_t n = 200 * 1024;
	char *text = malloc(n + 64);
	srand(7);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)(i < 4096 ? i : (size_t)rand());
	memcpy(text + n, MARK "after", sizeof MARK + 5);
	for (size_t piece = 1; piece < 70000; piece = piece * 3 + 1) {
		struct eci_marker m;
		cr_assert_eq(scan(text, n + strlen(MARK) + 5, piece, &m), (long)(n + strlen(MARK)));
		cr_assert_str_eq(m.interpreter, "python3");
	}
	free(text);
}

static const char *last_line(struct eci_line_scan *s, const char *text)
{
	for (; *text; text++)
		eci_line_scan_feed(s, (uint8_t)*text);
	return s->text;
}

Test(line, whole_and_partial)
{
	struct eci_line_scan s;
	eci_line_scan_reset(&s);
	cr_assert_str_eq(last_line(&s, "one\r\ntwo"), "two");
	cr_assert(!s.whole);
	cr_assert(eci_line_scan_feed(&s, '\n'));
	cr_assert_str_eq(s.text, "two");
	cr_assert(!eci_line_scan_feed(&s, 0));
	cr_assert_str_eq(s.text, "?");
}

Test(line, keeps_the_end_of_a_long_one)
{
	struct eci_line_scan s;
	eci_line_scan_reset(&s);
	for (unsigned i = 0; i < ECI_SCAN_LINE_MAX; i++)
		eci_line_scan_feed(&s, 'a');
	cr_assert_eq(strlen(s.text), ECI_SCAN_LINE_MAX);
	eci_line_scan_feed(&s, 'b');
	cr_assert_eq(strlen(s.text), ECI_SCAN_LINE_MAX / 2 + 1);
	for (unsigned i = 0; i < 10 * ECI_SCAN_LINE_MAX; i++) {
		eci_line_scan_feed(&s, 'c');
		cr_assert_leq(strlen(s.text), ECI_SCAN_LINE_MAX);
	}
	cr_assert(eci_prompt_is_password(last_line(&s, " Password:")));
}

Test(prompt, patterns)
{
	cr_assert(eci_prompt_is_password("Password:"));
	cr_assert(eci_prompt_is_password("bob@web1's password:"));
	cr_assert(eci_prompt_is_password("(bob@web1) Password:"));
	cr_assert(eci_prompt_is_password("doas (bob@web1) password:"));
	cr_assert(eci_prompt_is_password("Password for bob@web1:"));
	cr_assert(!eci_prompt_is_password("Password"));
	cr_assert(!eci_prompt_is_password("Verification code:"));
	cr_assert(!eci_prompt_is_password("Enter passphrase for key '/k':"));
	cr_assert(!eci_prompt_is_password("Your password expires in 3 days:"));
	cr_assert(eci_prompt_is_passphrase("Enter passphrase for key '/k':"));
	cr_assert(!eci_prompt_is_passphrase("Enter passphrase for key '/k"));
	cr_assert(eci_prompt_is("lecture econtext-" NONCE ":", "econtext-" NONCE ":"));
	cr_assert(!eci_prompt_is("econtext-" NONCE, "econtext-" NONCE ":"));
	cr_assert(!eci_prompt_is("", "x"));
}
