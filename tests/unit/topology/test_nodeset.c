/* Node sets: the language at each of its edges, folding, and that expanding what was folded gives the same names. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "econtext/topology.h"
#include "tests/support/random.h"

static void expands(const char *set, const char *expected)
{
	ectx_error e = {0};
	char **names = ectx_nodeset_expand(set, &e);
	cr_assert(names, "%s: %s", set, e.saw);
	char got[4096] = "";
	for (size_t i = 0; names[i]; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "", names[i]);
	cr_expect_str_eq(got, expected, "%s: got \"%s\", not \"%s\"", set, got, expected);
	free(names);
}

static size_t counts(const char *set)
{
	ectx_error e = {0};
	char **names = ectx_nodeset_expand(set, &e);
	size_t n = 0;
	cr_assert(names, "%s: %s", set, e.saw);
	while (names[n])
		n++;
	free(names);
	return n;
}

static void refuses(const char *set, const char *saw, const char *hint)
{
	ectx_error e = {0};
	char **names = ectx_nodeset_expand(set, &e);
	cr_expect(!names, "%.100s was taken", set);
	cr_expect_eq(e.status, ECTX_USAGE);
	cr_expect_eq(e.code, ECTX_E_BAD_ARGUMENT);
	cr_expect(strstr(e.saw, saw), "%.100s: \"%s\", not \"%s\"", set, e.saw, saw);
	cr_expect_str_eq(e.hint, hint);
	free(names);
}

Test(nodeset, ranges)
{
	expands("a", "a");
	expands("web[001-003]", "web001 web002 web003");
	expands("web[1-3,7]", "web1 web2 web3 web7");
	expands("a[08-11]", "a08 a09 a10 a11");
	expands("a[8-11]", "a8 a9 a10 a11");
	expands("a[099-101]", "a099 a100 a101");
	expands("a[01-100/33]", "a01 a34 a67 a100");
	expands("a[1-9/3]", "a1 a4 a7");
	expands("a[5-5]", "a5");
	expands("a[0-1]", "a0 a1");
	expands("a[00,0]", "a00 a0");
	expands("a[999999999999999999]", "a999999999999999999");
}

Test(nodeset, names_and_several_brackets)
{
	expands("relay-[a,b]", "relay-a relay-b");
	expands("[ro,full]", "ro full");
	expands("r[1-2]n[01-02]", "r1n01 r1n02 r2n01 r2n02");
	expands("[a,b][1-2].x", "a1.x a2.x b1.x b2.x");
	expands("a[foo-bar,1a]", "afoo-bar a1a");
	expands("a[01-02]:root", "a01:root a02:root");
	expands("a:[x,y]", "a:x a:y");
	expands("a, b ,c[1,2]", "a b c1 c2");
	expands("b/c[1-2]", "b/c1 b/c2");
}

Test(nodeset, malformed)
{
	refuses("", "an empty name", "look for a comma too many");
	refuses("a,,b", "\"\": an empty name", "look for a comma too many");
	refuses("a,", "an empty name", "look for a comma too many");
	refuses("a[1-3", "\"a[1-3\": no closing bracket", "write name[1-3]; on a command line quote the set");
	refuses("a]", "a \"]\" without a \"[\"", "write name[1-3]");
	refuses("a[1[2]]", "a bracket within brackets", "write name[1-3][5-6]");
	refuses("a[]", "an empty item in brackets", "write [1-3,5] or [a,b]");
	refuses("a[1,]", "an empty item in brackets", "write [1-3,5] or [a,b]");
	refuses("a[1-]", "a range without an end", "write [1-9]");
	refuses("a[3-1]", "a range that ends before it starts", "write the smaller number first");
	refuses("a[1-010]", "the two ends of a range are padded differently", "write [001-010]");
	refuses("a[001-10]", "the two ends of a range are padded differently", "write [001-010]");
	refuses("a[1-9/0]", "a step must be a number of at least 1 behind a range", "write [1-9/2]");
	refuses("a[1-9/]", "a step must be a number of at least 1 behind a range", "write [1-9/2]");
	refuses("a[1/2]", "a step must be a number of at least 1 behind a range", "write [1-9/2]");
	refuses("a[a-c]", "letters have no ranges", "write the names: [a,b,c]");
	refuses("a[x y]", "a character that no name has, in brackets",
		"names have letters, digits, \".\", \"_\" and \"-\"");
	refuses("a[1000000000000000000]", "a number of more than 18 digits", "use fewer digits");
	refuses("a[1-1000000000000000000]", "a number of more than 18 digits", "use fewer digits");
	refuses("a[1-2/1000000000000000000]", "a number of more than 18 digits", "use fewer digits");
}

Test(nodeset, limits)
{
	static char text[40000];
	cr_expect_eq(counts("a[1-1048576]"), 1048576);
	refuses("a[1-1048577]", "more than 1,048,576 names", "look at the ends of the range");
	refuses("a[1-2048][1-513]", "more than 1,048,576 names", "look at the ends of the range");
	refuses("a[0-999999999999999999]", "more than 1,048,576 names", "look at the ends of the range");
	refuses("a[1-1048576],b", "more than 1,048,576 names", "split the set");
	expands("[1][1][1][1][1][1][1][1]", "11111111");
	refuses("[1][1][1][1][1][1][1][1][1]", "more than 8 brackets in one name", "use fewer");
	strcpy(text, "a[");
	for (int i = 0; i < 4096; i++)
		strcat(text + i, i ? ",1" : "1");
	strcat(text, "]");
	cr_expect_eq(counts(text), 4096);
	strcpy(text + strlen(text) - 1, ",1]");
	refuses(text, "more than 4,096 items in brackets", "split the set");
	memset(text, 'x', 1024);
	text[1023] = 0;
	cr_expect_eq(counts(text), 1);
	text[1023] = 'x';
	text[1024] = 0;
	refuses(text, "a name of more than 1,023 bytes", "use a shorter name");
}

static void folds(const char *names, const char *expected)
{
	char copy[1024];
	const char *list[64];
	size_t n = 0;
	snprintf(copy, sizeof copy, "%s", names);
	for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
		list[n++] = p;
	char *got = ectx_nodeset_fold(list, n);
	cr_expect_str_eq(got, expected);
	free(got);
}

Test(nodeset, folding)
{
	folds("", "");
	folds("a01 a02 a03 a04 b01", "a[01-04],b01");
	folds("b01 a04 a02 a01 a03", "a[01-04],b01");
	folds("a1 a1 a1", "a1");
	folds("a1 a3 a4 a9 a10 a11", "a[1,3-4,9-11]");
	folds("a1 a3 a5", "a[1,3,5]"); /* one less than what a step is for */
	folds("a1 a3 a5 a7", "a[1-7/2]");
	folds("a098 a100 a102 a104 a105 a106", "a[098-104/2,105-106]");
	folds("a1 a2 a4 a6 a8 a11", "a[1-2,4,6,8,11]");
	folds("a3 a13 a23 a33 b3 b13 b23 b33", "a[3-33/10],b[3-33/10]");
	folds("a8 a9 a10 a08 a09", "a[8-9,08-10]");
	folds("a08 a09 a10", "a[08-10]");
	folds("a99 a100 a101", "a[99-101]");
	folds("a099 a100 a101", "a[099-101]");
	folds("r1n1 r1n2 r2n1 r2n2", "r[1-2]n[1-2]");
	folds("r1n1 r1n2 r2n1", "r1n[1-2],r2n1");
	folds("a01:root a02:root a02:app", "a[01-02]:root,a02:app");
	folds("relay-a relay-b bastion", "bastion,relay-a,relay-b");
	folds("web10 web9 db2 web11", "db2,web[9-11]");
	folds("a02x a1y a10 b", "a1y,a02x,a10,b");
	folds("10.0.0.1 10.0.0.2 10.0.0.3", "10.0.0.[1-3]");
	folds("bastion/w1 bastion/w2", "bastion/w[1-2]");
	folds("x1234567890123456789012 x1234567890123456789013", "x1234567890123456789012,x1234567890123456789013");
}

/* All names of so many numbers, each 1 or 2, fold to `expected`, which stands for as many. */
static void folds_numbers(int numbers, const char *expected)
{
	static char text[512][24];
	const char *list[512];
	size_t n = (size_t)1 << numbers;
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < numbers; k++)
			snprintf(text[i] + 2 * k, 3, "%c%d", 'a' + k, 1 + (i >> k & 1 ? 1 : 0));
		list[i] = text[i];
	}
	char *got = ectx_nodeset_fold(list, n);
	cr_expect_str_eq(got, expected);
	cr_expect_eq(counts(got), n);
	free(got);
}

#define EIGHT "a[1-2]b[1-2]c[1-2]d[1-2]e[1-2]f[1-2]g[1-2]h[1-2]"

Test(nodeset, folding_has_limits)
{
	folds_numbers(8, EIGHT);
	folds_numbers(9, EIGHT "i1," EIGHT "i2");
	folds("x123456789012345678 x123456789012345679", "x[123456789012345678-123456789012345679]");
	expands("x[123456789012345678-123456789012345679]", "x123456789012345678 x123456789012345679");
	folds("x1234567890123456788 x1234567890123456789", "x1234567890123456788,x1234567890123456789");
	expands("x1234567890123456788,x1234567890123456789", "x1234567890123456788 x1234567890123456789");
	folds("x999999999999999999 x1000000000000000000", "x999999999999999999,x1000000000000000000");
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, once each. */
static size_t normal(char **names, size_t n)
{
	size_t left = 0;
	qsort(names, n, sizeof *names, compare);
	for (size_t i = 0; i < n; i++)
		if (left == 0 || strcmp(names[i], names[left - 1]) != 0)
			names[left++] = names[i];
	return left;
}

/* Random names that are likely to be neighbours, with and without padding, up to three numbers. */
static void random_name(struct eci_random *r, char *out, size_t cap)
{
	static const char *const words[] = {"a", "web-", "r", "n", ".", ""};
	size_t n = 0;
	int parts = 1 + (int)eci_random_below(r, 3);
	for (int i = 0; i < parts; i++)
		n += (size_t)snprintf(out + n, cap - n, "%s%0*u", words[eci_random_below(r, i ? 5 : 3)],
				      (int)eci_random_below(r, 4), (unsigned)eci_random_below(r, 13));
	if (eci_random_below(r, 3) == 0)
		snprintf(out + n, cap - n, "%s", eci_random_below(r, 2) ? ":root" : "x");
}

static void comes_back(char **names, size_t n)
{
	char *set = ectx_nodeset_fold((const char *const *)names, n);
	ectx_error e = {0};
	char **back = set ? ectx_nodeset_expand(set, &e) : NULL;
	size_t got = 0;
	cr_assert(back, "%.2000s: %s", set, e.saw);
	while (back[got])
		got++;
	n = normal(names, n);
	cr_assert_eq(normal(back, got), got, "%.2000s names something twice", set);
	cr_assert_eq(got, n, "%.2000s", set);
	for (size_t i = 0; i < n; i++)
		cr_assert_str_eq(back[i], names[i], "%.2000s", set);
	free(back);
	free(set);
}

Test(nodeset, fold_then_expand_gives_the_same_names)
{
	struct eci_random r = eci_random_open("fold", (uint64_t)time(NULL));
	for (int round = 0; round < 300; round++) {
		size_t n = 1 + eci_random_below(&r, 200);
		static char text[200][64];
		char *names[200];
		for (size_t i = 0; i < n; i++) {
			random_name(&r, text[i], sizeof text[i]);
			names[i] = text[i];
		}
		comes_back(names, n);
	}
}

static void folds_many(unsigned count, unsigned of, unsigned places)
{
	static char text[40000][24];
	static char *names[40000];
	struct eci_random r = eci_random_open("fold many", (uint64_t)time(NULL));
	for (unsigned i = 0; i < count; i++) {
		unsigned which = (unsigned)eci_random_below(&r, of), place = (unsigned)eci_random_below(&r, places);
		(void)snprintf(text[i], sizeof text[i], "r%un%06u", 2 * place + place / 5, which);
		names[i] = text[i];
	}
	comes_back(names, count);
}

/* One item of a set has no more than 4,096 in its brackets together. */
Test(nodeset, what_folds_to_more_than_one_item_takes)
{
	static char text[4093 * 5][24];
	static char *names[4093 * 5];
	for (unsigned n = 4096; n <= 4098; n++) { /* no two are neighbours, nor more at one distance */
		for (unsigned i = 0; i < n; i++) {
			(void)snprintf(text[i], sizeof text[i], "a%u", 3 * i + (i % 2));
			names[i] = text[i];
		}
		char *set = ectx_nodeset_fold((const char *const *)names, n);
		unsigned sets = 0;
		for (const char *p = set; (p = strchr(p, '[')); p++)
			sets++;
		cr_expect_eq(sets + (n == 4097), n > 4096 ? 2 : 1, "%u: %u", n, sets);
		free(set);
		comes_back(names, n);
	}
	for (unsigned n = 4092; n <= 4093; n++) { /* so many in one bracket, and in the other the four of 0-1,4,9,16 */
		for (unsigned i = 0; i < n * 5; i++) {
			(void)snprintf(text[i], sizeof text[i], "a%ub%u", i % 5 * (i % 5), i / 5 * 3 + i / 5 % 2);
			names[i] = text[i];
		}
		comes_back(names, n * 5);
	}
	folds_many(12000, 30000, 1);
	folds_many(40000, 5000, 12);
}
