/* Where a copy from a context puts things: below a folder that may be another user's, who may change it meanwhile.
 *
 * No link is followed there: each folder on the way is opened from the one before it, and what is done in it is done by
 * that descriptor, so that a folder which becomes a link between two calls is none. (To look at each part first leaves
 * a moment between the look and the use.) The root itself is what the user has called it, by links or not.
 *
 * Invariant: `fd` is of `held`, and is open exactly while `top` is. Two descriptors, however deep the folder is: one
 * that is not below the last is walked to from the root. */
#include "mesh/copy_folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FOLDER (O_PATH | O_DIRECTORY | O_CLOEXEC) /* O_PATH: it need not be readable */

static int hold(struct eci_folders *f, int fd, const char *way, size_t n)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = fd;
	memmove(f->held, way, n);
	f->held[n] = 0;
	return 0;
}

int eci_folders_open(struct eci_folders *f, const char *root, bool plain)
{
	if (f->top >= 0)
		return 0;
	f->top = open(root, FOLDER | (plain ? O_NOFOLLOW : 0));
	int fd = f->top < 0 ? -1 : fcntl(f->top, F_DUPFD_CLOEXEC, 0), error = errno;
	if (fd >= 0)
		return hold(f, fd, "", 0);
	eci_folders_close(f);
	return error;
}

/* One more part. */
static int step(struct eci_folders *f, const char *way, size_t from, size_t to)
{
	char name[ECI_PLACE_LONGEST];
	struct stat st;
	(void)snprintf(name, sizeof name, "%.*s", (int)(to - from), way + from);
	int fd = openat(f->fd, name, FOLDER | O_NOFOLLOW), error = errno;
	if (fd >= 0)
		return hold(f, fd, way, to);
	bool link = fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
	return link ? ELOOP : error;
}

int eci_folders_enter(struct eci_folders *f, const char *way, size_t n)
{
	size_t have = strlen(f->held);
	int error = 0;
	if (n >= sizeof f->held)
		return ENAMETOOLONG;
	if (have > n || memcmp(way, f->held, have) || (have && have < n && way[have] != '/')) {
		int fd = fcntl(f->top, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return errno;
		have = 0;
		(void)hold(f, fd, "", 0);
	}
	while (!error && have < n) {
		size_t from = have ? have + 1 : 0, to = from + strcspn(way + from, "/");
		have = to < n ? to : n;
		error = step(f, way, from, have);
	}
	return error;
}

void eci_folders_close(struct eci_folders *f)
{
	if (f->top >= 0)
		(void)close(f->top);
	if (f->fd >= 0)
		(void)close(f->fd);
	*f = ECI_FOLDERS_NULL;
}
