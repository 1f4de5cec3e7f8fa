/* Roots: finds modules, packages, namespace packages, data and listings below a list of folders, as Python's path
 * finder would (PEP 420).
 *
 * A dotted name is walked part by part. Where the walk stands is a place: the folders in which the next part is looked
 * for. At first these are the roots. A part is, in the first folder that has either, a package (a folder with
 * __init__.py: it alone is the next place) or a module (PART.py); else all folders of that name together are a
 * namespace package, provided there is Python somewhere below.
 *
 * Data is found along the same walk, so that pkg/data.txt comes from the pkg that `import pkg` gives. What lies where
 * the walk ends, and which of it may be read, is in place.c. */
#include "io/roots.h"
#include "io/pack.h"
#include "io/place.h"

#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct eci_roots {
	struct eci_folder **folders;
	struct eci_fence fence; /* roots: the real paths of folders, and as many */
	const struct eci_folder *told;
	bool told_strange;
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

/* ---- the walk ---- */

static int place_open(struct eci_roots *r, struct eci_place *p)
{
	*p = (struct eci_place){.kind = ECI_MOD_NAMESPACE, .dotted = true};
	p->list = calloc(r->fence.count + 1, sizeof(struct eci_folder *));
	if (!p->list)
		return -1;
	memcpy(p->list, r->folders, r->fence.count * sizeof(struct eci_folder *));
	p->count = r->fence.count;
	return 0;
}

/* Goes to one part, in place: a folder is written over only when it was looked at. 0, or -1 no memory. */
static int step(struct eci_roots *r, struct eci_place *p, const char *part)
{
	char file[ECI_MODULE_NAME_MAX + sizeof(ECI_PY_SUFFIX)];
	size_t i, kept = 0;

	snprintf(file, sizeof(file), "%s" ECI_PY_SUFFIX, part);
	p->dotted = p->dotted && eci_part_valid(part, strlen(part));
	for (i = 0; i < p->count; i++) {
		struct eci_folder *f = p->list[i], *below = NULL;
		struct eci_folder_item *item, *module;

		if (eci_folder_scan(f, &r->fence))
			return -1;
		item = eci_folder_find(f, &r->fence, part);
		module = eci_file_in(f, &r->fence, file);
		if (item && item->is_folder) {
			below = eci_folder_enter(f, item);
			if (!below || eci_folder_scan(below, &r->fence))
				return -1;
		}
		if (below && eci_file_in(below, &r->fence, ECI_PY_INIT)) {
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
static int walk(struct eci_roots *r, struct eci_place *p, const char *name, size_t n, char separator)
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

/* ---- what is not served ---- */

void eci_roots_guard(struct eci_roots *r, uid_t user, uid_t other)
{
	struct stat st;
	size_t i;

	r->fence.owners[0] = user;
	r->fence.owners[1] = other;
	for (i = 0; i < r->fence.count; i++)
		r->fence.guarded |= stat(r->fence.roots[i], &st) == 0 && (st.st_mode & S_IWOTH);
}

bool eci_roots_strange(struct eci_roots *r, const char *name, bool once, char *out, size_t room)
{
	const char *slash = strrchr(name, '/'), *in;
	size_t n = slash ? (size_t)(slash - name) : strlen(name), i;
	struct eci_fence *fence = &r->fence;
	struct eci_place p;

	if (!fence->guarded || (once && r->told_strange) || !eci_module_name_valid(name, strlen(name)) ||
	    place_open(r, &p))
		return false;
	fence->strange_in = NULL;
	if (walk(r, &p, name, n, slash ? '/' : '.') || !slash)
		p.count = 0;
	for (i = 0; i < p.count; i++)
		(void)eci_file_in(p.list[i], fence, slash + 1);
	free(p.list);
	if (!fence->strange_in)
		return false;
	in = eci_folder_real(fence->strange_in);
	for (i = 0; i + 1 < fence->count && strncmp(in, fence->roots[i], strlen(fence->roots[i])) != 0;)
		i++;
	(void)snprintf(out, room,
		       "%s%s%s is not served: it is neither yours nor root's, in a folder that everybody may write to; "
		       "if it is meant, name that: --root %s",
		       in, fence->strange ? "/" : "", fence->strange ? fence->strange->name : "", fence->roots[i]);
	r->told_strange |= once;
	return true;
}

/* NAME.so, NAME.cpython-311-x86_64-linux-gnu.so, NAME.pyc. */
static bool is_binary(const char *file, const char *name, size_t n)
{
	const char *end = strrchr(file, '.');

	return strncmp(file, name, n) == 0 && file[n] == '.' && (strcmp(end, ".so") == 0 || strcmp(end, ".pyc") == 0);
}

/* A folder's items are without these, so it is read again. */
static bool binary_in(const char *folder, const char *name, char *out, size_t room)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		found = is_binary(entry->d_name, name, strlen(name));
		if (found)
			(void)snprintf(out, room, "%s/%s", folder, entry->d_name);
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

bool eci_roots_not_source(struct eci_roots *r, const char *module, char *out, size_t room)
{
	const char *dot = strrchr(module, '.'), *name = dot ? dot + 1 : module;
	struct eci_place p;
	bool found = false;
	size_t i;

	if (!eci_module_name_valid(module, strlen(module)) || place_open(r, &p))
		return false;
	if (dot && (walk(r, &p, module, (size_t)(dot - module), '.') || p.kind == ECI_MOD_MODULE))
		p.count = 0;
	for (i = 0; !found && i < p.count; i++)
		found = binary_in(eci_folder_real(p.list[i]), name, out, room);
	free(p.list);
	return found;
}

/* ---- the world of a responder ---- */

static int find(void *ctx, const char *name, struct eci_source *out)
{
	struct eci_roots *r = ctx;
	const char *slash = strrchr(name, '/');
	struct eci_place p;
	int rc;

	*out = (struct eci_source){.kind = ECI_MOD_MISSING};
	/* The form has been checked by the caller; the buffers here rely on its length. */
	if (!eci_module_name_valid(name, strlen(name)))
		return 0;
	rc = place_open(r, &p);
	if (rc == 0)
		rc = slash ? walk(r, &p, name, (size_t)(slash - name), '/') : walk(r, &p, name, strlen(name), '.');
	if (rc == 0 && p.kind != ECI_MOD_MISSING)
		rc = slash ? eci_place_data(&r->fence, &p, slash + 1, out) : eci_place_module(&r->fence, &p, out);
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
