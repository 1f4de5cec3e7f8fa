/* Roots: finds modules, packages, namespace packages, data and listings below a list of folders, as Python's path
 * finder would (PEP 420).
 *
 * A dotted name is walked part by part. Where the walk stands is a place: the folders in which the next part is looked
 * for. At first these are the roots. A part is, in the first folder that has either, a package (a folder with
 * __init__.py: it alone is the next place) or a module (PART.py); else all folders of that name together are a
 * namespace package, provided there is Python somewhere below.
 *
 * Data is found along the same walk, so that pkg/data.txt comes from the pkg that `import pkg` gives. Which data may be
 * read: what lies in a package or below one, or beside a .py file of a namespace package. Not everything below a root:
 * a root can be a home directory, and a remote context asks. Children of a package are told with it, so that a context
 * asks for no submodule that does not exist. A listing names folders with a slash at the end. */
#include "io/roots.h"
#include "io/folder.h"
#include "io/pack.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEARCH_MAX 4096u /* folders read to find out whether there is Python below: a second of a cold disk */
#define SUFFIX ".py"
#define INIT "__init__.py"

struct eci_roots {
	struct eci_folder **folders;
	struct eci_fence fence; /* roots: the real paths of folders, and as many */
	const struct eci_folder *told;
};

struct place {
	struct eci_folder **list; /* as many as there are roots */
	size_t count;
	enum eci_module_kind kind;
	struct eci_folder_item *module; /* kind MODULE: the file, in list[0] */
	bool in_package;                /* a package lies on the way here */
	bool dotted;                    /* every part could be one of a module's name */
};

struct eci_roots *eci_roots_new(const char *const *folders)
{
	struct eci_roots *r = calloc(1, sizeof(*r));
	struct eci_fence *fence;
	struct stat st;
	size_t n = 0, i;

	while (folders[n])
		n++;
	if (!r)
		return NULL;
	r->folders = calloc(n + 1, sizeof(struct eci_folder *));
	fence = &r->fence;
	fence->roots = calloc(n + 1, sizeof(char *));
	for (i = 0; r->folders && fence->roots && i < n; i++) {
		char *real = realpath(folders[i], NULL);

		if (!real || stat(real, &st) || !S_ISDIR(st.st_mode)) {
			free(real);
			continue;
		}
		fence->roots[fence->count] = real;
		r->folders[fence->count] = eci_folder_new(real, "");
		if (!r->folders[fence->count++])
			break;
	}
	if (r->folders && fence->roots && (fence->count == 0 || r->folders[fence->count - 1]))
		return r;
	eci_roots_free(r);
	return NULL;
}

void eci_roots_free(struct eci_roots *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->fence.count; i++) {
		eci_folder_free(r->folders[i]);
		free(r->fence.roots[i]);
	}
	free(r->folders);
	free(r->fence.roots);
	free(r);
}

const char *eci_roots_cut(struct eci_roots *r)
{
	const struct eci_folder *f = r->fence.cut;

	if (f == r->told)
		return NULL;
	while (eci_folder_next_cut(f) != r->told)
		f = eci_folder_next_cut(f);
	r->told = f;
	return eci_folder_real(f);
}

static struct eci_folder_item *file_in(const struct eci_folder *f, const char *name)
{
	struct eci_folder_item *item = eci_folder_find(f, name);

	return item && !item->is_folder ? item : NULL;
}

/* Is this, n bytes, one part of a module's name? */
static bool part_valid(const char *part, size_t n)
{
	return !memchr(part, '.', n) && !memchr(part, '/', n) && eci_module_name_valid(part, n);
}

/* ---- the walk ---- */

static int place_open(struct eci_roots *r, struct place *p)
{
	*p = (struct place){.kind = ECI_MOD_NAMESPACE, .dotted = true};
	p->list = calloc(r->fence.count + 1, sizeof(struct eci_folder *));
	if (!p->list)
		return -1;
	memcpy(p->list, r->folders, r->fence.count * sizeof(struct eci_folder *));
	p->count = r->fence.count;
	return 0;
}

/* Goes to one part, in place: a folder is written over only when it was looked at. 0, or -1 no memory. */
static int step(struct eci_roots *r, struct place *p, const char *part)
{
	char file[ECI_MODULE_NAME_MAX + sizeof(SUFFIX)];
	size_t i, kept = 0;

	snprintf(file, sizeof(file), "%s" SUFFIX, part);
	p->dotted = p->dotted && part_valid(part, strlen(part));
	for (i = 0; i < p->count; i++) {
		struct eci_folder *f = p->list[i], *below = NULL;
		struct eci_folder_item *item, *module;

		if (eci_folder_scan(f, &r->fence))
			return -1;
		item = eci_folder_find(f, part);
		module = file_in(f, file);
		if (item && item->is_folder) {
			below = eci_folder_enter(f, item);
			if (!below || eci_folder_scan(below, &r->fence))
				return -1;
		}
		if (below && file_in(below, INIT)) {
			p->list[0] = below;
			p->count = 1;
			p->kind = ECI_MOD_PACKAGE;
			p->in_package = true;
			return 0;
		}
		if (module) {
			p->list[0] = f;
			p->count = 1;
			p->kind = ECI_MOD_MODULE;
			p->module = module;
			return 0;
		}
		if (below)
			p->list[kept++] = below;
	}
	p->count = kept;
	p->kind = kept ? ECI_MOD_NAMESPACE : ECI_MOD_MISSING;
	return 0;
}

/* Follows n bytes of name, parts between separators. The place it leaves at may be MISSING. 0, or -1 no memory. */
static int walk(struct eci_roots *r, struct place *p, const char *name, size_t n, char separator)
{
	char part[ECI_MODULE_NAME_MAX + 1];
	const char *end = name + n, *stop;
	size_t len;

	while (name < end) {
		if (p->kind != ECI_MOD_PACKAGE && p->kind != ECI_MOD_NAMESPACE) {
			p->kind = ECI_MOD_MISSING;
			return 0;
		}
		stop = memchr(name, separator, (size_t)(end - name));
		len = (size_t)((stop ? stop : end) - name);
		memcpy(part, name, len);
		part[len] = '\0';
		if (step(r, p, part))
			return -1;
		name += len + (stop != NULL);
	}
	return 0;
}

/* ---- what is there ---- */

struct list {
	char **names;
	size_t count, cap, bytes;
};

static int list_add(struct list *l, const char *name, size_t len, const char *after)
{
	size_t cap = l->cap * 2 + 16, size = len + strlen(after) + 1;
	char **names;

	if (l->count == l->cap) {
		names = realloc(l->names, cap * sizeof(*names));
		if (!names)
			return -1;
		l->names = names;
		l->cap = cap;
	}
	l->names[l->count] = malloc(size);
	if (!l->names[l->count])
		return -1;
	snprintf(l->names[l->count++], size, "%.*s%s", (int)len, name, after);
	l->bytes += size;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted and without repetition, in one block. Empties l. NULL: no memory. */
static char **list_close(struct list *l)
{
	char **out = malloc((l->count + 1) * sizeof(*out) + l->bytes), *text;
	size_t i, n = 0, size;

	if (l->count)
		qsort(l->names, l->count, sizeof(*l->names), compare_names);
	text = out ? (char *)(out + l->count + 1) : NULL;
	for (i = 0; out && i < l->count; i++) {
		if (n > 0 && strcmp(out[n - 1], l->names[i]) == 0)
			continue;
		size = strlen(l->names[i]) + 1;
		out[n++] = memcpy(text, l->names[i], size);
		text += size;
	}
	if (out)
		out[n] = NULL;
	for (i = 0; i < l->count; i++)
		free(l->names[i]);
	free(l->names);
	return out;
}

/* Adds item if it is a submodule. 0, or -1 no memory. */
static int add_submodule(struct eci_roots *r, struct eci_folder *f, struct eci_folder_item *item, unsigned *budget,
			 struct list *l)
{
	size_t n = strlen(item->name), suffix = strlen(SUFFIX);
	struct eci_folder *below;
	int rc;

	if (!item->is_folder) {
		if (n <= suffix || strcmp(item->name + n - suffix, SUFFIX) != 0 || strcmp(item->name, INIT) == 0 ||
		    !part_valid(item->name, n - suffix))
			return 0;
		return list_add(l, item->name, n - suffix, "");
	}
	if (!part_valid(item->name, n))
		return 0;
	below = eci_folder_enter(f, item);
	rc = below ? eci_folder_has_python(below, &r->fence, budget) : -1;
	return rc > 0 ? list_add(l, item->name, n, "") : rc;
}

/* What lies in a place: submodules, or everything. NULL: no memory. */
static char **children(struct eci_roots *r, const struct place *p, bool everything)
{
	struct list l = {NULL, 0, 0, 0};
	unsigned budget = SEARCH_MAX;
	const struct eci_folder_item *items;
	struct eci_folder_item *item;
	size_t i, k, count;
	int rc = 0;

	for (i = 0; rc == 0 && i < p->count; i++) {
		items = eci_folder_items(p->list[i], &count);
		for (k = 0; rc == 0 && k < count; k++) {
			item = eci_folder_find(p->list[i], items[k].name);
			if (everything)
				rc = list_add(&l, item->name, strlen(item->name), item->is_folder ? "/" : "");
			else
				rc = add_submodule(r, p->list[i], item, &budget, &l);
		}
	}
	if (rc == 0)
		return list_close(&l);
	free(list_close(&l));
	return NULL;
}

static char *path_of(const struct eci_folder *f, const char *name)
{
	const char *rel = eci_folder_rel(f);
	size_t n = strlen(rel) + strlen(name) + 2;
	char *out = malloc(n);

	if (out)
		snprintf(out, n, "%s%s%s", rel, *rel && *name ? "/" : "", name);
	return out;
}

/* Reads a file into out; it stays missing when it cannot be read. 0, or -1 no memory. */
static int fill_file(const struct eci_folder *f, const struct eci_folder_item *item, enum eci_module_kind kind,
		     struct eci_source *out)
{
	int rc = eci_folder_read(f, item, ECI_MODULE_BYTES_MAX, &out->bytes, &out->len);

	if (rc)
		return rc < 0 ? -1 : 0;
	out->path = path_of(f, item->name);
	out->kind = kind;
	return out->path ? 0 : -1;
}

static int fill_module(struct eci_roots *r, const struct place *p, struct eci_source *out)
{
	unsigned budget = SEARCH_MAX;
	size_t i;
	int rc = 0;

	if (p->kind == ECI_MOD_MODULE)
		return fill_file(p->list[0], p->module, ECI_MOD_MODULE, out);
	if (p->kind == ECI_MOD_PACKAGE) {
		if (fill_file(p->list[0], file_in(p->list[0], INIT), ECI_MOD_PACKAGE, out))
			return -1;
		if (out->kind == ECI_MOD_MISSING)
			return 0;
	} else {
		for (i = 0; rc == 0 && i < p->count; i++)
			rc = eci_folder_has_python(p->list[i], &r->fence, &budget);
		if (rc <= 0)
			return rc;
		out->path = path_of(p->list[0], "");
		out->kind = ECI_MOD_NAMESPACE;
		if (!out->path)
			return -1;
	}
	out->children = children(r, p, false);
	return out->children ? 0 : -1;
}

/* May a remote read what lies here? */
static bool data_allowed(const struct place *p)
{
	const struct eci_folder_item *items;
	size_t i, k, count, n, suffix = strlen(SUFFIX);

	if (p->in_package)
		return true;
	for (i = 0; p->dotted && i < p->count; i++) {
		items = eci_folder_items(p->list[i], &count);
		for (k = 0; k < count; k++) {
			n = strlen(items[k].name);
			if (!items[k].is_folder && n > suffix && strcmp(items[k].name + n - suffix, SUFFIX) == 0)
				return true;
		}
	}
	return false;
}

static int fill_data(struct eci_roots *r, const struct place *p, const char *file, struct eci_source *out)
{
	struct eci_folder_item *item;
	size_t i;

	if ((p->kind != ECI_MOD_PACKAGE && p->kind != ECI_MOD_NAMESPACE) || !data_allowed(p))
		return 0;
	if (*file == '\0') {
		out->path = path_of(p->list[0], "");
		out->children = children(r, p, true);
		out->kind = ECI_MOD_LISTING;
		return out->path && out->children ? 0 : -1;
	}
	for (i = 0; i < p->count; i++) {
		item = file_in(p->list[i], file);
		if (item)
			return fill_file(p->list[i], item, ECI_MOD_DATA, out);
	}
	return 0;
}

/* ---- the world of a responder ---- */

static int find(void *ctx, const char *name, struct eci_source *out)
{
	struct eci_roots *r = ctx;
	const char *slash = strrchr(name, '/');
	struct place p;
	int rc;

	*out = (struct eci_source){.kind = ECI_MOD_MISSING};
	/* The form has been checked by the caller; the buffers here rely on its length. */
	if (!eci_module_name_valid(name, strlen(name)))
		return 0;
	rc = place_open(r, &p);
	if (rc == 0)
		rc = slash ? walk(r, &p, name, (size_t)(slash - name), '/') : walk(r, &p, name, strlen(name), '.');
	if (rc == 0 && p.kind != ECI_MOD_MISSING)
		rc = slash ? fill_data(r, &p, slash + 1, out) : fill_module(r, &p, out);
	free(p.list);
	if (rc) {
		free(out->path);
		free(out->bytes);
		free(out->children);
		*out = (struct eci_source){.kind = ECI_MOD_MISSING};
	}
	return rc;
}

static void digest(void *ctx, const uint8_t *p, size_t n, uint8_t out[16])
{
	uint8_t whole[crypto_hash_sha256_BYTES];

	(void)ctx;
	crypto_hash_sha256(whole, p, n);
	memcpy(out, whole, 16);
}

const struct eci_source_ops eci_roots_ops = {find, eci_pack, eci_pack_stop, digest};
