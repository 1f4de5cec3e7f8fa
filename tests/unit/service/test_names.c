/* Names: what may be asked for, and ten thousand hostile ones that may not. */
#include "service/service.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static bool valid(const char *name, size_t n)
{
	char *exact = malloc(n ? n : 1);
	bool ok;

	memcpy(exact, name, n);
	ok = eci_module_name_valid(exact, n);
	free(exact);
	return ok;
}

Test(names, accepted)
{
	static const char *good[] = {"a",
				     "_",
				     "a1",
				     "a.b.c",
				     "__main__",
				     "\xc3\xa9.\xe4\xb8\xad",
				     "a/b",
				     "a/b.txt",
				     "a/",
				     "a/b/",
				     "pkg/data dir/x-1.txt",
				     "econtext:main/s.py",
				     "a/...",
				     "a/..b",
				     "a/.b",
				     "a/b.tar.gz",
				     "\xf0\x9f\x98\x80/x"};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_expect(valid(good[i], strlen(good[i])), "%s", good[i]);
}

Test(names, refused)
{
	static const char *bad[] = {"",
				    ".",
				    "..",
				    "/",
				    "//",
				    "a.",
				    ".a",
				    "a..b",
				    "1",
				    "a.1",
				    "a-b",
				    "a b",
				    " a",
				    "a ",
				    "/a",
				    "a//b",
				    "a//",
				    "./a",
				    "../a",
				    "a/.",
				    "a/..",
				    "a/./b",
				    "a/../b",
				    "a/b/..",
				    "a/../",
				    "..\\a",
				    "a\\b",
				    "a/b\\c",
				    "C:\\a",
				    "a:b",
				    "a\n",
				    "a/b\n",
				    "a/\x1b",
				    "a/\x7f",
				    "a\xff",
				    "a/\xff",
				    "a/\xed\xa0\x80",
				    "a/\xc0\xae\xc0\xae/b",
				    "a/\xe2\x80\xae",
				    "a\xc2\x9b",
				    "~",
				    "~/a/..",
				    "a.*",
				    "$HOME",
				    "%2e%2e",
				    "a;b"};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_expect(!valid(bad[i], strlen(bad[i])), "%s", bad[i]);
	cr_expect(!valid("a\0b", 3));
	cr_expect(!valid("a/\0", 3));
	cr_expect(!valid("a/b\0.py", 7));
}

Test(names, length)
{
	char text[257];

	memset(text, 'a', sizeof(text));
	cr_expect(valid(text, 255));
	cr_expect(!valid(text, 256));
	text[1] = '/';
	cr_expect(valid(text, 255));
	cr_expect(!valid(text, 256));
	memset(text, 0xC3, sizeof(text));
	cr_expect(!valid(text, 255));
}

/* Whatever is accepted with a slash has no component that goes up or stays, is not absolute, has no NUL and no
 * backslash. */
Test(names, ten_thousand_hostile)
{
	static const char *parts[] = {"..",  ".",      "/",    "//",  "\\",       "a",
				      "etc", "passwd", ".ssh", "%2e", "\xc0\xae", "\xe2\x80\xa5",
				      " ",   "\n",     "~",    "pkg", ".py",      "\x01"};
	struct eci_random r = eci_random_open("ten_thousand_hostile", 42);
	char text[600];
	size_t n, i, accepted = 0;
	int round;

	for (round = 0; round < 10000; round++) {
		n = 0;
		for (i = eci_random_below(&r, round % 50 ? 8 : 40); i-- > 0;) {
			const char *part = parts[eci_random_below(&r, sizeof(parts) / sizeof(*parts))];

			memcpy(text + n, part, strlen(part));
			n += strlen(part);
			if (eci_random_below(&r, 2))
				text[n++] = eci_random_below(&r, 30) ? '/' : '\0';
		}
		if (!valid(text, n))
			continue;
		accepted++;
		text[n] = '\0';
		cr_assert(strlen(text) == n && n > 0 && n <= ECI_MODULE_NAME_MAX);
		cr_assert(text[0] != '/' && !strchr(text, '\\') && !strstr(text, "//"));
		cr_assert(strncmp(text, "../", 3) && strncmp(text, "./", 2) && !strstr(text, "/../") &&
			  !strstr(text, "/./"));
		cr_assert(strcmp(text, "..") && strcmp(text, "."));
		cr_assert(n < 3 || strcmp(text + n - 3, "/.."));
		cr_assert(n < 2 || strcmp(text + n - 2, "/."));
	}
	cr_expect(accepted > 50, "the generator makes some that pass: %zu", accepted);
}
