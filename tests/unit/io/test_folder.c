/* How many items of one folder are taken in. readdir(3) and lstat(2) are this test's own: nobody makes 262,145 files.
 */
#include "io/folder.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MANY = 262144 };

static size_t given, given_at_most = MANY + 1;

/* "more" again and again, then as the last that has room "last.py", then one past it. */
struct dirent *readdir(DIR *dir)
{
	static struct dirent entry;
	(void)dir;
	given++;
	(void)snprintf(entry.d_name, sizeof entry.d_name, "%s",
		       given < MANY    ? "more"
		       : given == MANY ? "last.py"
				       : "past.py");
	return given <= given_at_most ? &entry : NULL;
}

int lstat(const char *restrict path, struct stat *restrict st)
{
	(void)path;
	*st = (struct stat){.st_mode = S_IFREG};
	return 0;
}

Test(folder, has_262144_items)
{
	struct eci_folder *f = eci_folder_new(".", "");
	struct eci_fence fence = {0};
	size_t count;
	cr_assert(f && eci_folder_scan(f, &fence) == 0);
	(void)eci_folder_items(f, &count);
	cr_expect(count == MANY, "%zu", count);
	cr_expect(eci_folder_find(f, &fence, "last.py") != NULL);
	cr_expect(eci_folder_find(f, &fence, "past.py") == NULL);
	cr_expect(fence.cut == f && eci_folder_next_cut(f) == NULL, "it is known to be cut");
	eci_folder_free(f);
}

Test(folder, of_262144_items_nothing_is_cut)
{
	struct eci_folder *f = eci_folder_new(".", "");
	struct eci_fence fence = {0};
	given_at_most = MANY;
	cr_assert(f && eci_folder_scan(f, &fence) == 0);
	cr_expect(fence.cut == NULL);
	eci_folder_free(f);
}
