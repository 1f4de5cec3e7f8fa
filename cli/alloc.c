/* cli: memory and complaints that every file needs.
 *
 * A command line program that is out of memory has nothing better to do than to end: remote work ends with it, because
 * every agent ends when its link does. So allocation never fails for the callers, who stay readable. The library is not
 * treated so: it returns errors. */
#include "cli/opts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "econtext/error.h"

void *eci_grow(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);
	if (!q) {
		fputs("econtext: out of memory\n", stderr);
		exit(ECTX_INTERNAL);
	}
	return q;
}

void *eci_alloc(size_t n)
{
	void *p = eci_grow(NULL, n);
	memset(p, 0, n ? n : 1);
	return p;
}

char *eci_copy(const char *text, size_t n)
{
	char *p = eci_grow(NULL, n + 1);
	memcpy(p, text, n);
	p[n] = 0;
	return p;
}

int eci_usage(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("econtext: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return ECTX_USAGE;
}

/* Edit distance with two rows; words here are short. Longer ones are simply not near. */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 40 };
	size_t row[LONGEST + 1], na = strlen(a), nb = strlen(b);
	if (na > LONGEST || nb > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = corner + (a[i - 1] != b[j - 1]);
			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

const char *eci_nearest(const char *word, const char *const *v, size_t n)
{
	const char *near = NULL;
	size_t best = 3; /* two wrong letters are a slip, three another word */
	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, v[i]);
		if (d < best && d < strlen(v[i])) {
			best = d;
			near = v[i];
		}
	}
	return near;
}
