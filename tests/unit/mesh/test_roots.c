/* A root with more in it than is taken in: the program is told where, once, and so is the call that misses something.
 * readdir(3) and lstat(2) are this test's own: nobody makes 262,145 files. */
#include "io/folder.h"
#include "mesh_support.h"

#include <dlfcn.h>
#include <fcntl.h>

static size_t before; /* so many "more" come before what there is */

struct dirent *readdir(DIR *dir)
{
	static struct dirent more = {.d_name = "more"};
	if (!before) { /* with _FILE_OFFSET_BITS this function is readdir64 too */
		struct dirent *(*real)(DIR *) = (struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
		return real(dir);
	}
	before--;
	return &more;
}

int lstat(const char *restrict path, struct stat *restrict st)
{
	const char *name = strrchr(path, '/');
	if (!name || strcmp(name, "/more") != 0)
		return fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
	*st = (struct stat){.st_mode = S_IFREG};
	return 0;
}

static void misses(ectx_mesh *m, const char *name, const char *function, const char *folder)
{
	ectx_error err = {0};
	cr_assert(call(get(m, name), function, NULL, NULL, &err) != ECTX_OK);
	cr_expect(err.code == ECTX_E_EXCEPTION && strstr(err.saw, "No module named"), "%s", err.saw);
	cr_expect(!folder == !err.hint[0] && (!folder || strstr(err.hint, folder)), "%s", err.hint);
	ectx_error_clear(&err);
}

Test(roots, what_is_not_served_is_said)
{
	struct world w = world_open();
	const char *name = strrchr(w.dir, '/');
	before = ECI_FOLDER_ITEMS_MAX;
	misses(w.mesh, "b", "work:add", name);
	misses(w.mesh, "d", "elsewhere:add", name);
	ectx_event *e = ectx_event_next(w.mesh, 0);
	cr_assert(e && e->kind == ECTX_EVENT_LOG && !e->context && e->level == 30);
	cr_expect(strstr(e->text, name) && strstr(e->text, "262144"), "%s", e->text);
	ectx_event_free(e);
	cr_expect(ectx_event_next(w.mesh, 0) == NULL, "it is said again");
	world_close(&w);
}

Test(roots, of_what_is_served_nothing_is_said)
{
	struct world w = world_open();
	before = ECI_FOLDER_ITEMS_MAX - 20; /* what there is has room */
	cr_expect(call_int(get(w.mesh, "d"), "work:add", "[1]") == 1);
	misses(w.mesh, "d", "elsewhere:add", NULL);
	cr_expect(ectx_event_next(w.mesh, 0) == NULL);
	world_close(&w);
}
