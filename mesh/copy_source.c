/* What a copy sends: the entries below its sources. The list is made first, so that the total is known and every
 * context gets the same entries with the same numbers; the contents are read as they are sent (copy_feed.c). */
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

void eci_sources_free(struct eci_sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].full);
		free(s->v[i].path);
	}
	free(s->v);
	*s = (struct eci_sources){0};
}
