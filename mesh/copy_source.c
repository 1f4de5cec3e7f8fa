/* What a copy sends: the entries below its sources. The list is made first, so that the total is known and every
 * context gets the same entries with the same numbers; the contents are read as they are sent (copy_feed.c).
 *
 * Each name is sent once: of several sources that have it the first, as with cp(1), since the others would replace what
 * has just come. Folders of one name become one. */
#include "mesh/copy.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *joined(const char *folder, const char *name)
{
	size_t a = strlen(folder), b = strlen(name);
	char *out = malloc(a + b + 2);
	if (!out)
		return NULL;
	memcpy(out, folder, a);
	if (a && folder[a - 1] != '/')
		out[a++] = '/';
	memcpy(out + a, name, b + 1);
	return out;
}

/* Takes full and path, whatever happens. */
static int add(struct eci_sources *s, char *full, char *path, bool follow, eci_source_failed failed, void *arg);

static int add_folder(struct eci_sources *s, const char *full, const char *path, eci_source_failed failed, void *arg)
{
	struct dirent **list;
	int n = scandir(full, &list, NULL, alphasort), r = 0;
	if (n < 0) {
		failed(arg, full, errno);
		return 0;
	}
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		if (r == 0 && strcmp(name, ".") && strcmp(name, ".."))
			r = add(s, joined(full, name), joined(strcmp(path, ".") ? path : "", name), false, failed, arg);
		free(list[i]);
	}
	free(list);
	return r;
}

static struct eci_entry_here *room_for_one(struct eci_sources *s)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct eci_entry_here *v = realloc(s->v, cap * sizeof *v);
		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	return &s->v[s->n];
}

static int add(struct eci_sources *s, char *full, char *path, bool follow, eci_source_failed failed, void *arg)
{
	struct eci_entry_here *e = full && path ? room_for_one(s) : NULL;
	struct stat st;
	int r = e ? 0 : -1;
	if (r == 0 && (follow ? stat(full, &st) : lstat(full, &st))) {
		failed(arg, full, errno);
		e = NULL;
	}
	if (e && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
		failed(arg, full, ECI_SOURCE_KIND);
		e = NULL;
	}
	if (!e) {
		free(full);
		free(path);
		return r;
	}
	*e = (struct eci_entry_here){.full = full, .path = path, .st = st};
	e->kind = S_ISREG(st.st_mode) ? ECI_ENTRY_FILE : S_ISDIR(st.st_mode) ? ECI_ENTRY_DIR : ECI_ENTRY_LINK;
	s->n++;
	if (e->kind == ECI_ENTRY_FILE)
		s->total += (uint64_t)st.st_size;
	return e->kind == ECI_ENTRY_DIR ? add_folder(s, full, path, failed, arg) : 0;
}

const char *eci_source_last(const char *path, size_t *n)
{
	size_t to = strlen(path);
	while (to > 1 && path[to - 1] == '/')
		to--;
	size_t from = to;
	while (from && path[from - 1] != '/')
		from--;
	*n = to - from;
	return path + from;
}

bool eci_source_contents(const char *path)
{
	size_t n;
	const char *last = eci_source_last(path, &n);
	return n == 1 && *last == '.';
}

/* "a/b/" and "a/b" are b; "a/." is ".", the contents; ".." and "/" are what they resolve to, by its last name. */
static char *last_name(const char *path)
{
	size_t n;
	const char *last = eci_source_last(path, &n);
	if (n && (n != 2 || strncmp(last, "..", 2) != 0))
		return strndup(last, n);
	char *real = realpath(path, NULL);
	char *slash = real ? strrchr(real, '/') : NULL;
	char *out = strdup(slash && slash[1] ? slash + 1 : "root");
	free(real);
	return out;
}

int eci_sources_walk(struct eci_sources *s, const char *const *paths, eci_source_failed failed, void *arg)
{
	int r = 0;
	for (size_t i = 0; paths[i] && r == 0; i++)
		r = add(s, strdup(paths[i]), last_name(paths[i]), true, failed, arg);
	return r;
}

/* ---- several of one name ---- */

static int by_path(const void *a, const void *b)
{
	const struct eci_entry_here *const *x = a, *const *y = b;
	int order = strcmp((*x)->path, (*y)->path);
	return order ? order : *x < *y ? -1 : *x > *y;
}

/* Leaves it out, and what is below it: that stands behind it. */
static void leave_out(const struct eci_sources *s, bool *out, size_t i)
{
	const char *path = s->v[i].path;
	size_t n = strlen(path);
	out[i] = true;
	if (s->v[i].kind == ECI_ENTRY_DIR)
		while (++i < s->n && !strncmp(s->v[i].path, path, n) && s->v[i].path[n] == '/')
			out[i] = true;
}

static void remove_left_out(struct eci_sources *s, const bool *out)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct eci_entry_here *e = &s->v[i];
		if (!out[i]) {
			s->v[kept++] = *e;
			continue;
		}
		if (e->kind == ECI_ENTRY_FILE)
			s->total -= (uint64_t)e->st.st_size;
		free(e->full);
		free(e->path);
	}
	s->n = kept;
}

int eci_sources_once(struct eci_sources *s, eci_source_twice twice, void *arg)
{
	struct eci_entry_here **by = calloc(s->n + 1, sizeof *by), *first = NULL;
	bool *out = calloc(s->n + 1, sizeof *out);
	bool good = by && out;
	for (size_t i = 0; good && i < s->n; i++)
		by[i] = &s->v[i];
	if (good)
		qsort(by, s->n, sizeof(struct eci_entry_here *), by_path);
	for (size_t i = 0; good && i < s->n; i++) {
		struct eci_entry_here *e = by[i];
		size_t at = (size_t)(e - s->v);
		if (out[at]) /* with its folder, which stood before it */
			continue;
		if (!first || strcmp(first->path, e->path) != 0) {
			first = e;
			continue;
		}
		if (first->kind == ECI_ENTRY_DIR && e->kind == ECI_ENTRY_DIR)
			continue;
		if (first->st.st_dev != e->st.st_dev || first->st.st_ino != e->st.st_ino)
			twice(arg, e->full, first->full);
		leave_out(s, out, at);
	}
	if (good)
		remove_left_out(s, out);
	free(by);
	free(out);
	return good ? 0 : -1;
}

void eci_sources_free(struct eci_sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].full);
		free(s->v[i].path);
	}
	free(s->v);
	*s = (struct eci_sources){0};
}
