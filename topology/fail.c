/* Failures of a topology: where (FILE:LINE:COL), what, and what to do about it. Text from the file is quoted in them,
 * so characters that act on a terminal or are not seen are shown as escapes (core/text.c): a file may come from
 * elsewhere. Suggestions are the nearest known word by edit distance, at most a third of the word away:
 * farther ones mislead. */
#include "topology/base.h"
#include "core/text.h"

#include <string.h>

#define GUESS_MAX 64 /* bytes of a word that is compared: longer ones are no slips of a key */

bool eci_is_c1(const char *s)
{
	return (unsigned char)s[0] == 0xc2 && ((unsigned char)s[1] & 0xe0) == 0x80;
}

static void put(char *dst, size_t cap, size_t at, const char *src)
{
	if (at < cap)
		(void)eci_escape(dst + at, cap - at, (const uint8_t *)src, strlen(src));
}

static void start(ectx_error *err, enum ectx_code code)
{
	memset(err, 0, sizeof *err);
	err->status = code == ECTX_E_NO_MEMORY || code == ECTX_E_SYSTEM ? ECTX_INTERNAL
		      : code == ECTX_E_CANCELLED                        ? ECTX_INTERRUPTED
									: ECTX_USAGE;
	err->code = code;
}

static void put_text(char *dst, size_t cap, size_t at, const char *fmt, va_list ap)
{
	char text[1400];
	vsnprintf(text, sizeof text, fmt, ap);
	put(dst, cap, at, text);
}

int eci_fail_at(ectx_error *err, const char *file, struct eci_spot at, const char *fmt, ...)
{
	if (!err)
		return -1;
	char where[512];
	if (at.line)
		snprintf(where, sizeof where, "%.400s:%u:%u: ", file, at.line, at.col);
	else
		snprintf(where, sizeof where, "%.400s: ", file);
	start(err, ECTX_E_TOPOLOGY);
	put(err->saw, sizeof err->saw, 0, where);
	va_list ap;
	va_start(ap, fmt);
	put_text(err->saw, sizeof err->saw, strlen(err->saw), fmt, ap);
	va_end(ap);
	return -1;
}

int eci_fail_arg(ectx_error *err, enum ectx_code code, const char *fmt, ...)
{
	if (!err)
		return -1;
	start(err, code);
	va_list ap;
	va_start(ap, fmt);
	put_text(err->saw, sizeof err->saw, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int eci_fail_hint(ectx_error *err, const char *fmt, ...)
{
	if (!err)
		return -1;
	va_list ap;
	va_start(ap, fmt);
	put_text(err->hint, sizeof err->hint, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int eci_fail_memory(ectx_error *err)
{
	return eci_fail_arg(err, ECTX_E_NO_MEMORY, "out of memory");
}

/* Edit distance with exchanged neighbours counted as one, given up above limit. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m, unsigned limit)
{
	unsigned rows[3][GUESS_MAX + 1];
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *now = rows[i % 3], *up = rows[(i + 2) % 3], *upup = rows[(i + 1) % 3];
		unsigned least = now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned d = up[j - 1] + (a[i - 1] != b[j - 1]);
			if (up[j] + 1 < d)
				d = up[j] + 1;
			if (now[j - 1] + 1 < d)
				d = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && upup[j - 2] + 1 < d)
				d = upup[j - 2] + 1;
			now[j] = d;
			if (d < least)
				least = d;
		}
		if (least > limit)
			return limit + 1;
	}
	return rows[n % 3][m];
}

struct eci_guess eci_guess_for(const char *word)
{
	size_t n = strlen(word);
	unsigned limit = n < 3 ? 1 : (unsigned)(n / 3 < 1 ? 1 : n / 3);
	return (struct eci_guess){word, NULL, limit > 3 ? 4 : limit + 1};
}

static const char *skip_zeros(const char *p, const char *start)
{
	if (p == start || p[-1] < '0' || p[-1] > '9')
		while (*p == '0')
			p++;
	return p;
}

/* web1 and web001: the commonest slip, and too far apart to be one by its letters. */
static bool same_but_for_zeros(const char *a, const char *b)
{
	const char *p = skip_zeros(a, a), *q = skip_zeros(b, b);
	while (*p && *p == *q) {
		p = skip_zeros(p + 1, a);
		q = skip_zeros(q + 1, b);
	}
	return !*p && !*q;
}

void eci_guess_try(struct eci_guess *g, const char *candidate)
{
	if (g->distance && same_but_for_zeros(g->word, candidate)) {
		g->best = candidate;
		g->distance = 0;
	}
	size_t n = strlen(g->word), m = strlen(candidate);
	size_t gap = n > m ? n - m : m - n;
	if (n > GUESS_MAX || m > GUESS_MAX || g->distance == 0 || gap >= g->distance)
		return;
	unsigned d = distance(g->word, n, candidate, m, g->distance - 1);
	if (d < g->distance) {
		g->best = candidate;
		g->distance = d;
	}
}
