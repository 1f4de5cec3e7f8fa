/* What lies in a place: a module, a package with its children, data, or a listing, as a responder is told it.
 *
 * Which data may be read: what lies in a package or below one, or beside a .py file of a namespace package. Not
 * everything below a root: a root can be a home directory, and a remote context asks. Children of a package are told
 * with it, so that a context asks for no submodule that does not exist. A listing names folders with a slash at the
 * end. */
#include "io/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_MAX 4096u /* folders read to find out whether there is Python below: a second of a cold disk */

struct eci_folder_item *eci_file_in(const struct eci_folder *f, struct eci_fence *fence, const char *name)
{
	struct eci_folder_item *item = eci_folder_find(f, fence, name);

	return item && !item->is_folder ? item : NULL;
}

bool eci_part_valid(const char *part, size_t n)
{
	return !memchr(part, '.', n) && !memchr(part, '/', n) && eci_module_name_valid(part, n);
}

/* ---- children ---- */

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
static int add_submodule(struct eci_fence *fence, struct eci_folder *f, struct eci_folder_item *item, unsigned *budget,
			 struct list *l)
{
	size_t n = strlen(item->name), suffix = strlen(ECI_PY_SUFFIX);
	struct eci_folder *below;
	int rc;

	if (!item->is_folder) {
		if (n <= suffix || strcmp(item->name + n - suffix, ECI_PY_SUFFIX) != 0 ||
		    strcmp(item->name, ECI_PY_INIT) == 0 || !eci_part_valid(item->name, n - suffix))
			return 0;
		return list_add(l, item->name, n - suffix, "");
	}
	if (!eci_part_valid(item->name, n))
		return 0;
	below = eci_folder_enter(f, item);
	rc = below ? eci_folder_has_python(below, fence, budget) : -1;
	return rc > 0 ? list_add(l, item->name, n, "") : rc;
}

/* What lies in a place: submodules, or everything. NULL: no memory. */
static char **children(struct eci_fence *fence, const struct eci_place *p, bool everything)
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
			item = items[k].strange ? NULL : eci_folder_find(p->list[i], fence, items[k].name);
			if (!item)
				continue;
			if (everything)
				rc = list_add(&l, item->name, strlen(item->name), item->is_folder ? "/" : "");
			else
				rc = add_submodule(fence, p->list[i], item, &budget, &l);
		}
	}
	if (rc == 0)
		return list_close(&l);
	free(list_close(&l));
	return NULL;
}

/* ---- what is told ---- */

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
static int fill_file(struct eci_fence *fence, const struct eci_folder *f, struct eci_folder_item *item,
		     enum eci_module_kind kind, struct eci_source *out)
{
	int rc = eci_folder_read(f, fence, item, ECI_MODULE_BYTES_MAX, &out->bytes, &out->len);

	if (rc)
		return rc < 0 ? -1 : 0;
	out->path = path_of(f, item->name);
	out->kind = kind;
	return out->path ? 0 : -1;
}

int eci_place_module(struct eci_fence *fence, const struct eci_place *p, struct eci_source *out)
{
	unsigned budget = SEARCH_MAX;
	size_t i;
	int rc = 0;

	if (p->kind == ECI_MOD_MODULE)
		return fill_file(fence, p->list[0], p->module, ECI_MOD_MODULE, out);
	if (p->kind == ECI_MOD_PACKAGE) {
		struct eci_folder_item *init = eci_file_in(p->list[0], fence, ECI_PY_INIT);

		if (init && fill_file(fence, p->list[0], init, ECI_MOD_PACKAGE, out))
			return -1;
		if (out->kind == ECI_MOD_MISSING)
			return 0;
	} else {
		for (i = 0; rc == 0 && i < p->count; i++)
			rc = eci_folder_has_python(p->list[i], fence, &budget);
		if (rc <= 0)
			return rc;
		out->path = path_of(p->list[0], "");
		out->kind = ECI_MOD_NAMESPACE;
		if (!out->path)
			return -1;
	}
	out->children = children(fence, p, false);
	return out->children ? 0 : -1;
}

/* May a remote read what lies here? */
static bool data_allowed(const struct eci_place *p)
{
	const struct eci_folder_item *items;
	size_t i, k, count, n, suffix = strlen(ECI_PY_SUFFIX);

	if (p->in_package)
		return true;
	for (i = 0; p->dotted && i < p->count; i++) {
		items = eci_folder_items(p->list[i], &count);
		for (k = 0; k < count; k++) {
			n = strlen(items[k].name);
			if (!items[k].is_folder && !items[k].strange && n > suffix &&
			    strcmp(items[k].name + n - suffix, ECI_PY_SUFFIX) == 0)
				return true;
		}
	}
	return false;
}

int eci_place_data(struct eci_fence *fence, const struct eci_place *p, const char *file, struct eci_source *out)
{
	struct eci_folder_item *item;
	size_t i;

	if ((p->kind != ECI_MOD_PACKAGE && p->kind != ECI_MOD_NAMESPACE) || !data_allowed(p))
		return 0;
	if (*file == '\0') {
		out->path = path_of(p->list[0], "");
		out->children = children(fence, p, true);
		out->kind = ECI_MOD_LISTING;
		return out->path && out->children ? 0 : -1;
	}
	for (i = 0; i < p->count; i++) {
		item = eci_file_in(p->list[i], fence, file);
		if (item)
			return fill_file(fence, p->list[i], item, ECI_MOD_DATA, out);
	}
	return 0;
}
