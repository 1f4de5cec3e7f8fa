/* What a folder holds. This is the second fence around the roots (the first is the form of names, service/names.c): a
 * name that came from elsewhere is compared with names that the disk gave, and only those are ever opened. There is no
 * call here that takes a name and opens it.
 *
 * A folder is read when it is first looked into and never again, so what a mesh serves does not change in its life, and
 * a question about something that is not there costs a binary search. (One that there is no descriptor for is not read
 * yet: it would be empty for ever.) A root may be a home directory, so nothing is read ahead; the one search that goes
 * down (is there Python below?) has a budget.
 *
 * Not taken in at all: hidden names, compiled and extension modules (they fit one interpreter on one machine), sockets,
 * devices and the like, names that are not UTF-8, and symbolic links that lead out of every root. A link's target is
 * resolved when the folder is read and that target is what is opened, without following links then.
 *
 * Behind a guarded fence what is somebody else's is strange: it is remembered, to be named when it is looked for, and
 * is else not there. Its owner is looked at with the folder, and once more of what was opened, which may be another. */
#include "io/folder.h"
#include "core/cbor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 32u /* of the search for Python: deeper than any module's name is worth */

struct eci_folder {
	char *real, *rel;
	struct eci_folder_item *items;
	size_t count, cap;
	bool scanned, strange;
	struct eci_folder *next_cut;
	enum { PYTHON_UNKNOWN, PYTHON_NO, PYTHON_YES } python;
};

/* What says nothing of the disk: later, the same may be there. */
static bool scarce(int error)
{
	return error == ENOMEM || error == EMFILE || error == ENFILE;
}

static char *join(const char *folder, const char *name)
{
	size_t n = strlen(folder) + strlen(name) + 2;
	char *out = malloc(n);

	if (out)
		snprintf(out, n, "%s%s%s", folder, *folder && strcmp(folder, "/") != 0 ? "/" : folder, name);
	return out;
}

struct eci_folder *eci_folder_new(const char *real, const char *rel)
{
	struct eci_folder *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->real = strdup(real);
	f->rel = strdup(rel);
	if (f->real && f->rel)
		return f;
	eci_folder_free(f);
	return NULL;
}

void eci_folder_free(struct eci_folder *f)
{
	size_t i;

	if (!f)
		return;
	for (i = 0; i < f->count; i++) {
		free(f->items[i].name);
		free(f->items[i].real);
		eci_folder_free(f->items[i].folder);
	}
	free(f->items);
	free(f->real);
	free(f->rel);
	free(f);
}

const char *eci_folder_real(const struct eci_folder *f)
{
	return f->real;
}

const char *eci_folder_rel(const struct eci_folder *f)
{
	return f->rel;
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

static bool name_taken_in(const char *name)
{
	const char *p;

	for (p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7F || *p == '\\')
			return false;
	return name[0] != '.' && strcmp(name, "__pycache__") != 0 && !ends_in(name, ".pyc") && !ends_in(name, ".pyo") &&
	       !ends_in(name, ".so") && !ends_in(name, ".pyd") && eci_utf8_valid((const uint8_t *)name, strlen(name));
}

static bool in_roots(const char *real, const struct eci_fence *fence)
{
	size_t i, n;

	for (i = 0; i < fence->count; i++) {
		n = strlen(fence->roots[i]);
		if (strncmp(real, fence->roots[i], n) == 0 &&
		    (real[n] == '/' || real[n] == '\0' || strcmp(fence->roots[i], "/") == 0))
			return true;
	}
	return false;
}

static bool is_strange(const struct eci_fence *fence, uid_t owner)
{
	return fence->guarded && owner != 0 && owner != fence->owners[0] && owner != fence->owners[1];
}

/* What is it? 1 with all but the name of item; 0: nothing to take in; -1: no memory. */
static int classify(const char *path, const struct eci_fence *fence, struct eci_folder_item *item)
{
	struct stat st;

	if (lstat(path, &st))
		return 0;
	item->strange = is_strange(fence, st.st_uid);
	if (S_ISLNK(st.st_mode)) {
		item->real = realpath(path, NULL);
		if (!item->real)
			return errno == ENOMEM ? -1 : 0;
		if (!in_roots(item->real, fence) || lstat(item->real, &st)) {
			free(item->real);
			item->real = NULL;
			return 0;
		}
		item->strange = item->strange || is_strange(fence, st.st_uid);
	}
	item->is_folder = S_ISDIR(st.st_mode);
	if (item->is_folder || S_ISREG(st.st_mode))
		return 1;
	free(item->real);
	item->real = NULL;
	return 0;
}

/* 0 or -1 no memory. */
static int take_in(struct eci_folder *f, const char *name, const struct eci_fence *fence)
{
	struct eci_folder_item item = {.name = NULL}, *items;
	char *path = join(f->real, name);
	int rc = path ? classify(path, fence, &item) : -1;

	free(path);
	if (rc <= 0)
		return rc;
	item.name = strdup(name);
	if (item.name && f->count == f->cap) {
		items = realloc(f->items, (f->cap * 2 + 16) * sizeof(*items));
		if (items) {
			f->items = items;
			f->cap = f->cap * 2 + 16;
		}
	}
	if (!item.name || f->count == f->cap) {
		free(item.name);
		free(item.real);
		return -1;
	}
	f->items[f->count++] = item;
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	const struct eci_folder_item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void note_strange(struct eci_fence *fence, const struct eci_folder *f, const struct eci_folder_item *item)
{
	fence->strange_in = f;
	fence->strange = item;
}

/* NULL with *rc: 0 it cannot be read, or is strange; -1 no memory, or no descriptor. */
static DIR *open_folder(struct eci_folder *f, const struct eci_fence *fence, int *rc)
{
	int fd = open(f->real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY);
	struct stat st;
	DIR *dir;

	*rc = fd < 0 && scarce(errno) ? -1 : 0;
	f->strange = fd >= 0 && *f->rel && (fstat(fd, &st) || is_strange(fence, st.st_uid));
	dir = fd >= 0 && !f->strange ? fdopendir(fd) : NULL;
	if (fd >= 0 && !dir) {
		*rc = !f->strange && scarce(errno) ? -1 : 0;
		close(fd);
	}
	return dir;
}

int eci_folder_scan(struct eci_folder *f, struct eci_fence *fence)
{
	const struct dirent *entry;
	bool cut = false;
	DIR *dir;
	int rc = 0;

	if (f->strange)
		note_strange(fence, f, NULL);
	if (f->scanned)
		return 0;
	dir = open_folder(f, fence, &rc);
	if (rc)
		return rc;
	if (f->strange)
		note_strange(fence, f, NULL);
	while (dir && rc == 0 && !cut && (entry = readdir(dir)))
		if (name_taken_in(entry->d_name)) {
			cut = f->count == ECI_FOLDER_ITEMS_MAX;
			rc = cut ? 0 : take_in(f, entry->d_name, fence);
		}
	if (dir)
		closedir(dir);
	if (cut) {
		f->next_cut = fence->cut;
		fence->cut = f;
	}
	if (f->count)
		qsort(f->items, f->count, sizeof(*f->items), compare_items);
	f->scanned = true; /* also a part of it, when memory ran out: reading on would double what is there */
	return rc;
}

struct eci_folder *eci_folder_next_cut(const struct eci_folder *f)
{
	return f->next_cut;
}

const struct eci_folder_item *eci_folder_items(const struct eci_folder *f, size_t *count)
{
	*count = f->count;
	return f->items;
}

struct eci_folder_item *eci_folder_find(const struct eci_folder *f, struct eci_fence *fence, const char *name)
{
	size_t lo = 0, hi = f->count, mid;
	int order;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		order = strcmp(f->items[mid].name, name);
		if (order == 0 && !f->items[mid].strange)
			return &f->items[mid];
		if (order == 0) {
			note_strange(fence, f, &f->items[mid]);
			return NULL;
		}
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

struct eci_folder *eci_folder_enter(const struct eci_folder *f, struct eci_folder_item *item)
{
	char *real, *rel;

	if (item->folder)
		return item->folder;
	real = item->real ? strdup(item->real) : join(f->real, item->name);
	rel = join(f->rel, item->name);
	if (real && rel)
		item->folder = eci_folder_new(real, rel);
	free(real);
	free(rel);
	return item->folder;
}

static int search(struct eci_folder *f, struct eci_fence *fence, unsigned *budget, unsigned depth)
{
	struct eci_folder *below;
	int rc = 0;
	size_t i;

	if (f->python != PYTHON_UNKNOWN)
		return f->python == PYTHON_YES;
	if (*budget == 0 || depth > DEPTH_MAX)
		return 0;
	--*budget;
	if (eci_folder_scan(f, fence))
		return -1;
	for (i = 0; rc == 0 && i < f->count; i++)
		rc = !f->items[i].is_folder && !f->items[i].strange && ends_in(f->items[i].name, ".py");
	for (i = 0; rc == 0 && i < f->count; i++) {
		/* What cannot be part of a module's name is not searched. */
		if (!f->items[i].is_folder || f->items[i].strange || f->items[i].real ||
		    strpbrk(f->items[i].name, ".- "))
			continue;
		below = eci_folder_enter(f, &f->items[i]);
		rc = below ? search(below, fence, budget, depth + 1) : -1;
	}
	if (rc >= 0 && *budget > 0)
		f->python = rc ? PYTHON_YES : PYTHON_NO;
	return rc;
}

int eci_folder_has_python(struct eci_folder *f, struct eci_fence *fence, unsigned *budget)
{
	return search(f, fence, budget, 0);
}

/* All of fd, whose size is said. 0, 1 (not readable, or larger), -1 no memory. */
static int read_all(int fd, size_t size, uint8_t **bytes, size_t *len)
{
	ssize_t got = 1;
	size_t room = size + 1; /* one more than there should be: it may have grown */

	*bytes = malloc(room);
	if (!*bytes)
		return -1;
	*len = 0;
	while (*len < room && got != 0) {
		got = read(fd, *bytes + *len, room - *len);
		if (got > 0)
			*len += (size_t)got;
		else if (got < 0 && errno != EINTR)
			return 1;
	}
	return *len == room; /* somebody is writing to it */
}

int eci_folder_read(const struct eci_folder *f, struct eci_fence *fence, struct eci_folder_item *item, size_t max,
		    uint8_t **bytes, size_t *len)
{
	char *path = item->real ? strdup(item->real) : join(f->real, item->name);
	struct stat st;
	int fd, rc;

	*bytes = NULL;
	*len = 0;
	if (!path)
		return -1;
	/* O_NONBLOCK: what was a file when the folder was read may be a FIFO now. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	rc = fd < 0 && scarce(errno) ? -1 : 1;
	free(path);
	if (fd < 0)
		return rc;
	rc = fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < 0 || (uintmax_t)st.st_size > max;
	if (rc == 0 && is_strange(fence, st.st_uid)) {
		item->strange = true;
		note_strange(fence, f, item);
		rc = 1;
	}
	if (rc == 0)
		rc = read_all(fd, (size_t)st.st_size, bytes, len);
	close(fd);
	if (rc) {
		free(*bytes);
		*bytes = NULL;
		*len = 0;
	}
	return rc;
}
