/* Whether a copy from a context brings what was asked for: the far end says the names, and one that lies would say
 * .bashrc when it was asked for app.log (as scp's hosts once could).
 *
 * The first part of each path is the last name of one of the sources, or fits it where that is a pattern. A pattern is
 * compared byte by byte, as it is expanded there; what the far ends understand in different ways (a backslash, [^x], a
 * class) passes if one of them means it, since it must not fail for who is honest. Of "..", "~" and "~name" only the
 * far end knows the name: a folder has it, and the first that is said is the only one. What is in a folder (SRC/.) has
 * any names. */
#include "mesh/copy_take.h"

#include <stdlib.h>
#include <string.h>

/* Behind the set that begins at p, if c is in it; NULL: it is not. Without an end it is no set. */
static const char *set(const char *p, unsigned char c, bool escapes)
{
	const char *q = p + 1;
	bool without = *q == '!', unsure = *q == '^', first = true, found = false;
	for (q += without || unsure; *q && (*q != ']' || first); first = false) {
		const char class[] = {q[1], ']', 0};
		const char *end = *q == '[' && q[1] && strchr(":.=", q[1]) ? strstr(q + 2, class) : NULL;
		if (end) {
			unsure = true;
			q = end + 2;
			continue;
		}
		q += escapes && *q == '\\' && q[1];
		unsigned char from = (unsigned char)*q++, to = from;
		if (*q == '-' && q[1] && q[1] != ']') {
			to = (unsigned char)q[1];
			q += 2;
		}
		found |= from <= c && c <= to;
	}
	if (!*q)
		return c == '[' ? p + 1 : NULL;
	return unsure || found != without ? q + 1 : NULL;
}

/* Behind what c fits at p; NULL: it does not. */
static const char *one(const char *p, char c, bool escapes)
{
	if (*p == '?')
		return p + 1;
	if (*p == '[')
		return set(p, (unsigned char)c, escapes);
	p += escapes && *p == '\\' && p[1];
	return *p && *p == c ? p + 1 : NULL;
}

/* Only the last star is ever widened, so a long name takes no longer than its length times the pattern's. */
static bool fits(const char *p, const char *s, bool escapes)
{
	const char *star = NULL, *from = NULL;
	if (*s == '.' && *p != '.' && !(escapes && p[0] == '\\' && p[1] == '.'))
		return false; /* a hidden one is meant by its dot only */
	while (*s) {
		const char *next = *p == '*' ? NULL : one(p, *s, escapes);
		if (*p == '*') {
			star = ++p;
			from = s;
		} else if (next) {
			p = next;
			s++;
		} else if (star) {
			p = star;
			s = ++from;
		} else {
			return false;
		}
	}
	while (*p == '*')
		p++;
	return !*p;
}

/* Of source i only the far end knows the name. */
static bool theirs(struct eci_fetch *f, size_t i, const char *name, bool folder)
{
	size_t n = 0;
	while (f->sources[n])
		n++;
	if (!f->given)
		f->given = calloc(n + 1, sizeof *f->given);
	if (!folder || !f->given)
		return false;
	if (!f->given[i])
		f->given[i] = strdup(name);
	return f->given[i] && !strcmp(f->given[i], name);
}

bool eci_fetch_asked(struct eci_fetch *f, const char *path, bool folder)
{
	char name[ECI_PLACE_LONGEST], last[ECI_PLACE_LONGEST];
	size_t len = strcspn(path, "/"), n;
	if (len >= sizeof name)
		return false;
	memcpy(name, path, len);
	name[len] = 0;
	for (size_t i = 0; f->sources[i]; i++) {
		const char *at = eci_source_last(f->sources[i], &n);
		bool home = *f->sources[i] == '~' && at == f->sources[i], up = n == 2 && !strncmp(at, "..", 2);
		if (n >= sizeof last)
			continue;
		memcpy(last, at, n);
		last[n] = 0;
		if (!strcmp(last, ".") || (n ? !strcmp(last, name) : !strcmp(name, "root")) ||
		    fits(last, name, false) || fits(last, name, true) ||
		    ((home || up) && theirs(f, i, name, folder || path[len])))
			return true;
	}
	return false;
}

void eci_fetch_forget(struct eci_fetch *f)
{
	for (size_t i = 0; f->given && f->sources[i]; i++)
		free(f->given[i]);
	free(f->given);
	f->given = NULL;
}
