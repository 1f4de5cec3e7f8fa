/* Which names may be served: prefixes that are included, prefixes that are excluded, and exclusion wins.
 *
 * A prefix "a.b" covers a.b and what lies in it, a.b.c and the data a/b/c.txt, not a.bc. Names with slashes are
 * compared as if the prefix had slashes, without ".py" at the end: a module's source is the same thing as the module.
 */
#include "service/responder_impl.h"

#include <stdlib.h>
#include <string.h>

static char **copy_list(const char *const *list)
{
	size_t n = 0, i;
	char **out;

	while (list[n])
		n++;
	out = calloc(n + 1, sizeof(*out));
	for (i = 0; out && i < n; i++) {
		out[i] = strdup(list[i]);
		if (out[i])
			continue;
		while (i-- > 0)
			free(out[i]);
		free(out);
		return NULL;
	}
	return out;
}

static void free_list(char **list)
{
	size_t i;

	for (i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

int eci_filter_init(struct eci_filter *f, const char *const *include, const char *const *exclude)
{
	*f = (struct eci_filter){NULL, NULL};
	if ((!include || (f->include = copy_list(include))) && (!exclude || (f->exclude = copy_list(exclude))))
		return 0;
	eci_filter_deinit(f);
	return -1;
}

void eci_filter_deinit(struct eci_filter *f)
{
	free_list(f->include);
	free_list(f->exclude);
	*f = (struct eci_filter){NULL, NULL};
}

static char folded(char c, bool path)
{
	return path && c == '.' ? '/' : c;
}

/* Does part, n bytes of a dotted prefix or name, cover whole? Dots of part stand for slashes when whole is a path. */
static bool covers(const char *part, size_t n, const char *whole, size_t len, bool path)
{
	size_t i;

	if (n > len)
		return false;
	for (i = 0; i < n; i++)
		if (part[i] != whole[i] && folded(part[i], path) != whole[i])
			return false;
	return n == len || whole[n] == (path ? '/' : '.');
}

bool eci_filter_allows(const struct eci_filter *f, const char *name)
{
	bool path = strchr(name, '/') != NULL, dotted_above;
	size_t n = strlen(name), i;

	if (path && n > 3 && strcmp(name + n - 3, ".py") == 0)
		n -= 3;
	for (i = 0; f->exclude && f->exclude[i]; i++)
		if (covers(f->exclude[i], strlen(f->exclude[i]), name, n, path))
			return false;
	for (i = 0; f->include && f->include[i]; i++) {
		dotted_above = !path && covers(name, n, f->include[i], strlen(f->include[i]), false);
		if (dotted_above || covers(f->include[i], strlen(f->include[i]), name, n, path))
			return true;
	}
	return !f->include;
}
