/* Lines: however the bytes are cut, the same lines come out; the limit and one past it; ends and the unfinished rest.
 */
#include "service/service.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 65536 };

struct got {
	struct eci_buf text; /* each line, then "|" */
	size_t count, longest;
};

static void take(void *arg, const char *line, size_t len)
{
	struct got *g = arg;

	eci_buf_append(&g->text, line, len);
	eci_buf_puts(&g->text, "|");
	g->count++;
	if (len > g->longest)
		g->longest = len;
}

static void expect(struct got *g, const char *text)
{
	cr_expect(eci_buf_len(&g->text) == strlen(text) && memcmp(eci_buf_data(&g->text), text, strlen(text)) == 0,
		  "%.*s not %s", (int)eci_buf_len(&g->text), (const char *)eci_buf_data(&g->text), text);
}

Test(lines, every_cut)
{
	static const char in[] = "one\n\ntwo\r\n\r\nth\rree\n\r\r\nrest";
	size_t a, b, n = sizeof(in) - 1;

	for (a = 0; a <= n; a++)
		for (b = a; b <= n; b++) {
			struct eci_lines l = {ECI_BUF_NULL};
			struct got g = {.count = 0};

			eci_lines_feed(&l, in, a, take, &g);
			eci_lines_feed(&l, in + a, b - a, take, &g);
			eci_lines_feed(&l, in + b, n - b, take, &g);
			expect(&g, "one||two||th\rree|\r|");
			eci_lines_flush(&l, take, &g);
			eci_lines_flush(&l, take, &g);
			expect(&g, "one||two||th\rree|\r|rest|");
			eci_lines_deinit(&l);
			eci_buf_deinit(&g.text);
		}
}

Test(lines, limit)
{
	struct eci_random r = eci_random_open("limit", 5);
	char *long_line = malloc(3 * LONGEST);
	int round;

	memset(long_line, 'x', 3 * LONGEST);
	for (round = 0; round < 40; round++) {
		struct eci_lines l = {ECI_BUF_NULL};
		struct got g = {.count = 0};
		size_t over = (size_t)(round % 3), at = 0, n = LONGEST + over + 1, step;

		long_line[n - 1] = '\n';
		while (at < n) {
			step = 1 + eci_random_below(&r, LONGEST + 2);
			step = step < n - at ? step : n - at;
			eci_lines_feed(&l, long_line + at, step, take, &g);
			cr_assert_leq(eci_buf_len(&l.buf), LONGEST);
			at += step;
		}
		cr_expect_eq(g.count, over ? 2 : 1, "%zu bytes over", over);
		cr_expect_eq(g.longest, LONGEST);
		cr_expect_eq(eci_buf_len(&g.text), LONGEST + over + g.count);
		cr_expect_eq(eci_buf_len(&l.buf), 0);
		long_line[n - 1] = 'x';
		eci_lines_deinit(&l);
		eci_buf_deinit(&g.text);
	}
	free(long_line);
}

Test(lines, binary)
{
	struct eci_lines l = {ECI_BUF_NULL};
	struct got g = {.count = 0};

	eci_lines_feed(&l, "a\0b\n\0\n", 6, take, &g);
	cr_expect_eq(g.count, 2);
	cr_expect(eci_buf_len(&g.text) == 6 && memcmp(eci_buf_data(&g.text), "a\0b|\0|", 6) == 0);
	eci_lines_flush(&l, take, &g);
	cr_expect_eq(g.count, 2);
	eci_lines_deinit(&l);
	eci_buf_deinit(&g.text);
}

static void count_bytes(void *arg, const char *line, size_t len)
{
	(void)line;
	*(size_t *)arg += len;
}

/* Without memory a line comes in pieces, and nothing is lost. */
Test(lines, no_memory)
{
	struct eci_lines l = {.buf = {.failed = true}};
	size_t bytes = 0;

	eci_lines_feed(&l, "abc", 3, count_bytes, &bytes);
	cr_expect_eq(bytes, 3);
	eci_lines_feed(&l, "def", 3, count_bytes, &bytes);
	cr_expect_eq(bytes, 3, "recovers");
	l.buf.failed = true;
	eci_lines_feed(&l, "ghi\nj", 5, count_bytes, &bytes);
	eci_lines_flush(&l, count_bytes, &bytes);
	cr_expect_eq(bytes, 10);
	eci_lines_deinit(&l);
}

Test(lines, cut_between_characters)
{
	static const char *const characters[] = {"\xC3\xA9", "\xE2\x98\x83", "\xF0\x9F\x98\x80"};
	for (size_t shift = 0; shift < 4; shift++)
		for (size_t i = 0; i < 3; i++) {
			struct eci_lines l = {ECI_BUF_NULL};
			struct got g = {.count = 0};
			eci_lines_feed(&l, "xxx", shift, take, &g);
			for (size_t n = 0; n < 3 * LONGEST; n += strlen(characters[i]))
				eci_lines_feed(&l, characters[i], strlen(characters[i]), take, &g);
			eci_lines_flush(&l, take, &g);
			cr_expect(eci_utf8_valid(eci_buf_data(&g.text), eci_buf_len(&g.text)), "%zu %zu", shift, i);
			cr_expect_leq(g.longest, LONGEST);
			cr_expect_geq(g.count, 3);
			eci_lines_deinit(&l);
			eci_buf_deinit(&g.text);
		}
}
