/* A file that comes here: written beside its place, checked, renamed.
 *
 * It has no name until it is whole (open(2), O_TMPFILE), where the file system can do that: then not even kill -9
 * leaves half of it. With resume it has one from the start, and what is there of an earlier time is offered to the
 * other end, which says where it goes on; a whole file of the right size in its place is such a beginning too, unless
 * the part is newer: that is what it was to replace, then.
 *
 * Modes and times are set by descriptor, never by name: what lies at a name the other end may have made a link of
 * since. What needs a name, in a folder that may be another user's, is said of its last one, below the folder's own
 * descriptor: the way there may be another by now (copy_folders.c).
 *
 * Invariant: fd >= 0 exactly while bytes are wanted; `error` or `why` says why they are not. */
#include "mesh/copy_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define ITSELF 40
#define MTIME_MAX 1e12 /* seconds: what the other end says is any float */

static const char *name_of(int fd, char itself[ITSELF])
{
	(void)snprintf(itself, ITSELF, "/proc/self/fd/%d", fd);
	return itself;
}

/* Of what the descriptor is of, which may be one of O_PATH. A time that no calendar has (NaN, an infinity, the year
 * 30,000) leaves the time of its making. */
static void set_mtime(int fd, double mtime)
{
	struct timespec t[2];
	char itself[ITSELF];
	if (!(mtime > -MTIME_MAX && mtime < MTIME_MAX))
		return;
	time_t seconds = (time_t)mtime;
	seconds -= (double)seconds > mtime; /* before 1970 as well: tv_nsec is never below 0 */
	t[0].tv_sec = t[1].tv_sec = seconds;
	t[0].tv_nsec = t[1].tv_nsec = (long)((mtime - (double)seconds) * 1e9);
	if (futimens(fd, t)) /* of O_PATH it is not to be had */
		(void)utimensat(AT_FDCWD, name_of(fd, itself), t, 0);
}

int eci_incoming_part(char part[ECI_PLACE_LONGEST], const char *place, const char *extra)
{
	const char *slash = strrchr(place, '/');
	int folder = slash ? (int)(slash - place) + 1 : 0;
	int n = snprintf(part, ECI_PLACE_LONGEST, "%.*s.%.200s.econtext-%s", folder, place, place + folder, extra);
	return n < 0 || (size_t)n >= ECI_PLACE_LONGEST ? ENAMETOOLONG : 0;
}

const char *eci_incoming_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static int nameless(int dir)
{
	return access("/proc/self/fd", X_OK) ? -1 : openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static void again(struct eci_incoming *f)
{
	eci_digest_end(f->digest, NULL);
	f->digest = f->algorithm ? eci_digest_new(f->algorithm) : NULL;
	f->at = 0;
}

/* What a link of this name leads to, where that is *st; malloc'd, or NULL and *why. What /proc/self/fd says of a pipe
 * or of a deleted file is no name, or by now another's: only what is the same under its name can be replaced there. */
static char *led_to(const char *link, const struct stat *st, const char **why)
{
	struct stat named;
	*why = eci_incoming_over(st);
	char *real = *why ? NULL : realpath(link, NULL);
	int error = real ? 0 : errno;
	if (real && stat(real, &named) == 0 && named.st_dev == st->st_dev && named.st_ino == st->st_ino)
		return real;
	free(real);
	if (!*why)
		*why = error && error != ENOENT ? strerror(error) : "what it leads to has no name";
	return NULL;
}

char *eci_incoming_dest(const char *dest, bool contents, bool *folder, const char **why)
{
	struct stat st, itself;
	size_t n = strlen(dest);
	*folder = stat(dest, &st) == 0 && S_ISDIR(st.st_mode);
	*why = NULL;
	char *out = strdup(dest);
	while (out && n > 1 && out[n - 1] == '/')
		out[--n] = 0;
	bool leads = out && (contents || !*folder) && lstat(out, &itself) == 0 && S_ISLNK(itself.st_mode) &&
		     stat(dest, &st) == 0;
	if (out && !leads)
		return out;
	free(out);
	if (!leads) {
		*why = strerror(ENOMEM);
		return NULL;
	}
	return led_to(dest, &st, why);
}

/* A part is one copy's alone, or what another writes into it would be in the file: it is locked (where the file system
 * can do that), and still has its name then. */
static bool alone(int fd, int dir, const char *part)
{
	struct stat mine, named;
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return false;
	return fstat(fd, &mine) == 0 && fstatat(dir, part, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

/* One that lies there already: another user's may be read by him, another name's is that file too. */
static bool ours(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1;
}

static void open_part(struct eci_incoming *f)
{
	static const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	const char *part = eci_incoming_name(f->part);
	again(f);
	f->fd = f->keep ? -1 : nameless(f->dir);
	f->named = f->fd < 0;
	if (f->fd < 0)
		f->fd = openat(f->dir, part, flags | (f->keep ? 0 : O_EXCL), 0600);
	if (f->fd < 0)
		f->error = errno;
	else if (f->keep && !ours(f->fd))
		f->why = "what is there of an earlier time is not a file of your own";
	else if (f->keep && !alone(f->fd, f->dir, part))
		f->why = "another copy to this name is under way";
	if (f->why) {
		(void)close(f->fd);
		f->fd = -1;
	}
}

const char *eci_incoming_over(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISLNK(st->st_mode) || S_ISDIR(st->st_mode)
		       ? NULL
		       : "what is there is neither a file nor a link";
}

void eci_incoming_begin(struct eci_incoming *f)
{
	char extra[32] = "part";
	struct stat st;
	f->why = NULL;
	f->theirs = f->whole = false;
	f->at = 0;
	f->fd = -1;
	bool there = fstatat(f->dir, eci_incoming_name(f->place), &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (there && S_ISDIR(st.st_mode))
		f->error = EISDIR;
	else if (there)
		f->why = eci_incoming_over(&st);
	if (!f->keep)
		(void)snprintf(extra, sizeof extra, "%ld", (long)getpid());
	if (!f->error && !f->why)
		f->error = eci_incoming_part(f->part, f->place, extra);
	if (!f->error && !f->why)
		open_part(f);
}

/* ---- resume ---- */

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

static bool count(struct eci_incoming *f, int fd, uint64_t n, uint8_t sum[ECI_DIGEST_SIZE])
{
	uint8_t *piece = malloc(ECI_COPY_PIECE);
	struct eci_digest *d = piece ? eci_digest_new(f->algorithm) : NULL;
	ssize_t got = 1;
	while (d && n && got > 0 && !(f->stop && *f->stop)) {
		got = pread(fd, piece, n < ECI_COPY_PIECE ? (size_t)n : ECI_COPY_PIECE, (off_t)f->at);
		if (got <= 0)
			break;
		eci_digest_add(d, piece, (size_t)got);
		eci_digest_add(f->digest, piece, (size_t)got);
		f->at += (uint64_t)got;
		n -= (uint64_t)got;
	}
	bool good = d && n == 0;
	eci_digest_end(d, sum);
	free(piece);
	return good;
}

uint64_t eci_incoming_have(struct eci_incoming *f, uint8_t sum[ECI_DIGEST_SIZE])
{
	struct stat st, part;
	if (f->fd < 0 || !f->digest)
		return 0;
	int there = openat(f->dir, eci_incoming_name(f->place), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	f->whole = there >= 0 && fstat(there, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size;
	uint64_t n = fstat(f->fd, &part) == 0 ? (uint64_t)part.st_size : 0;
	if (f->whole && n && later(&part.st_ctim, &st.st_ctim))
		f->whole = false;
	else if (f->whole)
		n = f->size;
	n = n < f->size ? n : f->size;
	if (!n || !count(f, f->whole ? there : f->fd, n, sum)) {
		again(f);
		f->whole = false;
		n = 0;
	}
	if (there >= 0)
		(void)close(there);
	return n;
}

void eci_incoming_from(struct eci_incoming *f, uint64_t n)
{
	if (f->fd < 0)
		return;
	if (!n || n != f->at) {
		f->whole = false;
		again(f);
	}
	if (!f->whole && (ftruncate(f->fd, (off_t)f->at) || lseek(f->fd, (off_t)f->at, SEEK_SET) < 0))
		f->error = errno;
}

/* ---- bytes ---- */

void eci_incoming_drop(struct eci_incoming *f)
{
	struct stat st;
	bool kept = f->keep && !f->whole && f->fd >= 0 && fstat(f->fd, &st) == 0 && st.st_size;
	if (f->fd >= 0) {
		if (f->named && !kept) /* while it is locked */
			f->left = unlinkat(f->dir, eci_incoming_name(f->part), 0) && errno != ENOENT;
		(void)close(f->fd);
	}
	if (f->dir >= 0)
		(void)close(f->dir);
	f->fd = f->dir = -1;
	eci_digest_end(f->digest, NULL);
	f->digest = NULL;
}

static void give_up(struct eci_incoming *f, int error)
{
	eci_incoming_drop(f);
	f->error = error;
}

/* n more of what comes. False: they are not wanted, or are more than there were to be. */
static bool expected(struct eci_incoming *f, uint64_t n)
{
	if (f->fd < 0)
		return false;
	if (n > f->size - f->at) {
		f->keep = false; /* nothing to go on from */
		eci_incoming_drop(f);
		f->why = "more came than was announced";
		f->theirs = true;
		return false;
	}
	f->at += n;
	return true;
}

void eci_incoming_bytes(struct eci_incoming *f, const uint8_t *p, size_t n)
{
	if (!expected(f, n))
		return;
	if (f->digest)
		eci_digest_add(f->digest, p, n);
	while (n) {
		ssize_t w = write(f->fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			give_up(f, errno);
			return;
		}
		p += w;
		n -= (size_t)w;
	}
}

void eci_incoming_hole(struct eci_incoming *f, uint64_t n)
{
	static const uint8_t zeros[4096];
	if (!expected(f, n <= ECI_COPY_HOLE_MOST ? n : UINT64_MAX)) /* one that asks for a day of hashing is none */
		return;
	if (lseek(f->fd, (off_t)n, SEEK_CUR) < 0)
		give_up(f, errno);
	for (; n && f->digest; n -= n < sizeof zeros ? n : sizeof zeros)
		eci_digest_add(f->digest, zeros, n < sizeof zeros ? (size_t)n : sizeof zeros);
}

/* ---- the end ---- */

static void check(struct eci_incoming *f, const ectx_value *digest)
{
	uint8_t mine[ECI_DIGEST_SIZE];
	size_t len = 0;
	const uint8_t *sum = ectx_value_bytes(digest, &len);
	bool summed = f->digest != NULL;
	eci_digest_end(f->digest, summed ? mine : NULL);
	f->digest = NULL;
	if (f->error || f->why)
		return;
	if (f->at != f->size)
		f->why = "it became shorter while it was read, or could not be read to its end";
	else if (summed && (!sum || len != sizeof mine || memcmp(mine, sum, sizeof mine)))
		f->why = "the digest is wrong: it was changed meanwhile, or on the way";
	if (f->why) {
		f->theirs = true;
		f->keep = false; /* nothing to go on from */
	}
}

/* Gives it its name. */
static int put_in_place(struct eci_incoming *f)
{
	char itself[ITSELF];
	const char *part = eci_incoming_name(f->part);
	if (ftruncate(f->fd, (off_t)f->size) || fchmod(f->fd, f->mode))
		return errno;
	set_mtime(f->fd, f->mtime);
	if (!f->named && linkat(AT_FDCWD, name_of(f->fd, itself), f->dir, part, AT_SYMLINK_FOLLOW))
		return errno;
	f->named = true;
	return renameat(f->dir, part, f->dir, eci_incoming_name(f->place)) ? errno : 0;
}

void eci_dress(int fd, unsigned mode, double mtime)
{
	struct stat st;
	char itself[ITSELF];
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		(void)chmod(name_of(fd, itself), mode);
		set_mtime(fd, mtime);
	}
}

static void dress_whole(const struct eci_incoming *f)
{
	int fd =
		openat(f->dir, eci_incoming_name(f->place), O_PATH | O_NOFOLLOW | O_CLOEXEC); /* it may be unreadable */
	if (fd < 0)
		return;
	eci_dress(fd, f->mode, f->mtime);
	(void)close(fd);
}

const char *eci_incoming_end(struct eci_incoming *f, const ectx_value *digest)
{
	check(f, digest);
	if (!f->error && !f->why && f->whole) {
		dress_whole(f);
		eci_incoming_drop(f);
		return NULL;
	}
	if (!f->error && !f->why)
		f->error = put_in_place(f);
	if (f->error || f->why) {
		eci_incoming_drop(f);
		return f->why ? f->why : strerror(f->error);
	}
	(void)close(f->fd);
	f->fd = -1;
	eci_incoming_drop(f);
	return NULL;
}
