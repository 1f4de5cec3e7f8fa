/* cli: where a program's imports come from, when no --root says so.
 *
 * As with Python: from the folder that the file lies in, and of a link from that of what it leads to. ~/bin/deploy.py
 * is often a link into a checkout, where its modules are. Behind it comes the link's own folder, which Python does not
 * look into: modules that lie beside a link were found here before its target's were.
 *
 * What a descriptor is open on (/dev/stdin, /dev/fd/3) was not named as a file: its folder is nobody's to give away. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/fan.h"

#define ROOTS_MAX 2

/* The folder of path, into to, which has room for path and is at least two bytes. */
static char *folder(char *to, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash == path ? 1 : (size_t)(slash ? slash - path : 0);
	memcpy(to, n ? path : ".", n ? n : 1);
	to[n ? n : 1] = 0;
	return to;
}

/* What a link leads to, malloc'd, if it is one to a file. */
static char *target(const char *path)
{
	struct stat link, st;
	if (!strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6) || lstat(path, &link) || !S_ISLNK(link.st_mode) ||
	    stat(path, &st) || !S_ISREG(st.st_mode))
		return NULL;
	return realpath(path, NULL);
}

static bool one_folder(const char *a, const char *b)
{
	struct stat x, y;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

const char **eci_program_roots(const char *path)
{
	char *real = target(path);
	size_t own = strlen(path) + 2, n = 0;
	/* The pointers, then the texts. */
	const char **roots = eci_alloc((ROOTS_MAX + 1) * sizeof *roots + own + (real ? strlen(real) + 2 : 0));
	char *text = (char *)(roots + ROOTS_MAX + 1);
	if (real)
		roots[n++] = folder(text + own, real);
	roots[n] = folder(text, path);
	if (n && one_folder(roots[0], roots[n]))
		roots[n] = NULL;
	free(real);
	return roots;
}
