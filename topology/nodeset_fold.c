/* Folding: "a01 a02 a03 b01" becomes "a[01-03],b01".
 *
 * A name is literal text and numbers in turn; every number is a dimension. Folding goes dimension by dimension, the
 * last first: names that are equal but for this number become one, with the list of its values as ranges. So "r1n1 r1n2
 * r2n1 r2n2" first becomes "r1n[1-2] r2n[1-2]" and then "r[1-2]n[1-2]". Numbers at one distance are a range as well,
 * "a[1-7/2]": nodes that are spread over several relays fail so. Where a set would be larger than what is read, a new
 * one begins. Invariant: at every step the sets written stand for exactly the names given, so that expanding gives them
 * back (a property test with random sets). Sorting makes equals neighbours; hence n log n for any input. */
#include "topology/base.h"

#include <stdlib.h>
#include <string.h>

#define DIMS_MAX 8    /* numbers of a name that fold, as many as brackets are read; the rest is literal text */
#define DIGITS_MAX 18 /* a longer number is literal text, as when reading */

#define STEPPED_MIN 4 /* "1-7/2" is shorter than "1,3,5,7"; "1,3,5" is read sooner than "1-5/2" */

/* A set: parts 0, 2, 4 ... are literal, odd ones numbers or, once folded, "1-3,5". */
struct set {
	const char *part[2 * DIMS_MAX + 1];
	size_t parts;
	size_t items, names; /* in its brackets together; that it stands for */
	const char *first;   /* the name by which it is ordered */
};

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "9" before "10", "09" before "9" only when all else is equal. */
static int natural(const char *a, const char *b)
{
	const char *x = a, *y = b;
	while (*x && *y) {
		if (!digit(*x) || !digit(*y)) {
			if (*x != *y)
				return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
			x++;
			y++;
			continue;
		}
		x += strspn(x, "0");
		y += strspn(y, "0");
		size_t n = strspn(x, "0123456789"), m = strspn(y, "0123456789");
		if (n != m)
			return n < m ? -1 : 1;
		int c = memcmp(x, y, n);
		if (c)
			return c;
		x += n;
		y += m;
	}
	return *x ? 1 : *y ? -1 : strcmp(a, b);
}

static int by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return natural(*x, *y);
}

static int by_first(const void *a, const void *b)
{
	const struct set *const *x = a, *const *y = b;
	return natural((*x)->first, (*y)->first);
}

/* Order by all parts but one. */
static int but_for(const struct set *a, const struct set *b, size_t dim)
{
	if (a->parts != b->parts)
		return a->parts < b->parts ? -1 : 1;
	for (size_t i = 0; i < a->parts; i++) {
		int c = i == dim ? 0 : strcmp(a->part[i], b->part[i]);
		if (c)
			return c;
	}
	return 0;
}

static int by_rest(const void *a, const void *b, void *dim)
{
	const struct set *const *x = a, *const *y = b;
	size_t d = *(const size_t *)dim;
	int c = but_for(*x, *y, d);
	if (c || (*x)->parts <= d)
		return c ? c : natural((*x)->first, (*y)->first);
	size_t n = strlen((*x)->part[d]), m = strlen((*y)->part[d]); /* by width, then by value: as ranges run */
	return n != m ? (n < m ? -1 : 1) : strcmp((*x)->part[d], (*y)->part[d]);
}

static int split(struct eci_arena *a, const char *name, struct set *s)
{
	size_t dims = 0;
	s->first = name;
	for (const char *p = name, *from = name;;) {
		size_t n = strspn(p, "0123456789");
		if (*p && (n == 0 || n > DIGITS_MAX || dims == DIMS_MAX)) {
			p += n ? n : 1;
			continue;
		}
		if (!(s->part[s->parts++] = eci_arena_strn(a, from, (size_t)(p - from))))
			return -1;
		if (!*p)
			return 0;
		if (!(s->part[s->parts++] = eci_arena_strn(a, p, n)))
			return -1;
		dims++;
		p += n;
		from = p;
	}
}

/* Is b the number that is step after a in the range that start began? */
static bool follows(const char *start, const char *a, const char *b, unsigned long long step)
{
	char next[24];
	int width = start[0] == '0' && start[1] ? (int)strlen(start) : 0;
	snprintf(next, sizeof next, "%0*llu", width, strtoull(a, NULL, 10) + step);
	return step && strcmp(next, b) == 0;
}

/* The values of one dimension of n sets, in order, as ranges: at most `most` of them. *n becomes how many sets that
 * are, *count the ranges. */
static char *ranges(struct eci_arena *a, struct set *const *sets, size_t *n, size_t dim, size_t most, size_t *count)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	size_t i = 0;
	*count = 0;
	for (size_t k; i < *n && *count < most; i = k, ++*count) {
		const char *start = sets[i]->part[dim];
		unsigned long long step = 0;
		if (i + 1 < *n)
			step = strtoull(sets[i + 1]->part[dim], NULL, 10) - strtoull(start, NULL, 10);
		for (k = i + 1; k < *n && follows(start, sets[k - 1]->part[dim], sets[k]->part[dim], step); k++)
			;
		if (step != 1 && k - i < STEPPED_MIN)
			k = i + 1;
		fprintf(f, "%s%s", i ? "," : "", start);
		if (k > i + 1)
			fprintf(f, "-%s", sets[k - 1]->part[dim]);
		if (k > i + 1 && step > 1)
			fprintf(f, "/%llu", step);
	}
	*n = i;
	char *kept = fclose(f) == 0 ? eci_arena_strn(a, text, len) : NULL;
	free(text);
	return kept;
}

/* One dimension; returns how many sets are left, SIZE_MAX: no memory. */
static size_t fold_dim(struct eci_arena *a, struct set **sets, size_t n, size_t dim)
{
	size_t left = 0;
	qsort_r(sets, n, sizeof *sets, by_rest, &dim);
	for (size_t i = 0, k; i < n; i = k) {
		struct set *s = sets[i];
		size_t same = 1, most = ECI_CONTEXTS_MAX / s->names, items = 0;
		while (s->items < ECI_SET_ITEMS_MAX && same < most && i + same < n && s->parts > dim &&
		       but_for(s, sets[i + same], dim) == 0)
			same++;
		if (same > 1 && !(s->part[dim] = ranges(a, sets + i, &same, dim, ECI_SET_ITEMS_MAX - s->items, &items)))
			return SIZE_MAX;
		for (k = i + 1; k < i + same; k++)
			if (natural(sets[k]->first, s->first) < 0)
				s->first = sets[k]->first;
		s->items += items;
		s->names *= same;
		sets[left++] = s;
	}
	return left;
}

static char *write_sets(struct set *const *sets, size_t n)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		fputs(i ? "," : "", f);
		for (size_t k = 0; k < sets[i]->parts; k++) {
			bool folded = k % 2 && strpbrk(sets[i]->part[k], ",-");
			fprintf(f, folded ? "[%s]" : "%s", sets[i]->part[k]);
		}
	}
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static char *fold(struct eci_arena *a, const char **names, size_t n)
{
	struct set *all = eci_arena_alloc(a, n * sizeof *all);
	struct set **sets = eci_arena_alloc(a, n * sizeof(struct set *));
	size_t count = 0;
	if (!all || !sets)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (i && strcmp(names[i], names[i - 1]) == 0)
			continue;
		sets[count] = &all[count];
		all[count].names = 1;
		if (split(a, names[i], sets[count++]))
			return NULL;
	}
	for (size_t d = DIMS_MAX; count != SIZE_MAX && d-- > 0;)
		count = fold_dim(a, sets, count, 2 * d + 1);
	if (count == SIZE_MAX)
		return NULL;
	qsort(sets, count, sizeof *sets, by_first);
	return write_sets(sets, count);
}

char *ectx_nodeset_fold(const char *const *names, size_t n)
{
	struct eci_arena a = {NULL};
	const char **sorted = eci_arena_alloc(&a, (n + 1) * sizeof *sorted);
	char *out = NULL;
	if (sorted) {
		if (n)
			memcpy(sorted, names, n * sizeof *sorted);
		qsort(sorted, n, sizeof *sorted, by_name);
		out = fold(&a, sorted, n);
	}
	eci_arena_deinit(&a);
	return out;
}
