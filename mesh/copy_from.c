/* Copies from a context: `get` there, and what it sends written here.
 *
 * The far end is not trusted with our disk: a path is relative, no part of it is "..", and what would pass through a
 * symbolic link that it has just made is opened without following one. A file is written under a name of its own beside
 * its place, checked, and renamed; what fails leaves nothing. */
#include "mesh/copy_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 200u
#define PATH_LONGEST 4096u

struct fetch {
	struct eci_copy k;
	ectx_context *c;
	ectx_channel *ch;
	const char *dest, *algorithm;
	bool into; /* dest is a folder that things come into */
	/* the file that is coming */
	int fd;
	char place[PATH_LONGEST], part[PATH_LONGEST + 40], path[PATH_LONGEST];
	uint64_t size, at;
	unsigned mode;
	double mtime;
	struct eci_digest *digest;
	int error; /* why it does not */
	const char *why;
	/* folders, whose modes and times come last */
	struct folder {
		char *place;
		unsigned mode;
		double mtime;
	} * folders;
	size_t nfolders, cap;
};

/* ---- where things come to lie ---- */

static bool clean(const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (!n || (n == 1 && *p == '.') || (n == 2 && !strncmp(p, "..", 2)))
			return false;
		p += n;
		if (*p && !*++p)
			return false;
	}
	return *path != 0;
}

/* No part of a place below dest is a symbolic link: one could lead anywhere. */
static bool plain_way(const struct fetch *f, const char *place)
{
	char way[PATH_LONGEST];
	struct stat st;
	size_t n = strlen(place), from = f->into ? strlen(f->dest) + 1 : strlen(f->dest);
	memcpy(way, place, n + 1);
	for (size_t i = from; i < n; i++) {
		if (way[i] != '/')
			continue;
		way[i] = 0;
		if (lstat(way, &st) == 0 && S_ISLNK(st.st_mode))
			return false;
		way[i] = '/';
	}
	return true;
}

/* 0 with f->place, or an errno. */
static int place_of(struct fetch *f, const ectx_value *v)
{
	size_t n = 0;
	const uint8_t *p = ectx_value_bytes(v, &n);
	if (!p || n >= sizeof f->path)
		return ENAMETOOLONG;
	memcpy(f->path, p, n);
	f->path[n] = 0;
	if (strlen(f->path) != n || !clean(f->path))
		return EINVAL;
	const char *slash = strchr(f->path, '/');
	int w = f->into ? snprintf(f->place, sizeof f->place, "%s/%s", f->dest, f->path)
			: snprintf(f->place, sizeof f->place, "%s%s", f->dest, slash ? slash : "");
	if (w < 0 || (size_t)w >= sizeof f->place)
		return ENAMETOOLONG;
	return plain_way(f, f->place) ? 0 : ELOOP;
}

static void set_times(int fd, const char *place, double mtime)
{
	struct timespec t[2];
	t[0].tv_sec = t[1].tv_sec = (time_t)mtime;
	t[0].tv_nsec = t[1].tv_nsec = (long)((mtime - (double)t[0].tv_sec) * 1e9);
	if (fd >= 0)
		(void)futimens(fd, t);
	else
		(void)utimensat(AT_FDCWD, place, t, AT_SYMLINK_NOFOLLOW);
}

/* ---- entries ---- */

static void failed(struct fetch *f, const char *why)
{
	eci_copy_failed_here(&f->k, f->c, f->path, why);
}

static void drop(struct fetch *f)
{
	if (f->fd >= 0) {
		(void)close(f->fd);
		(void)unlink(f->part);
	}
	f->fd = -1;
	eci_digest_end(f->digest, NULL);
	f->digest = NULL;
}

static void begin_file(struct fetch *f, const ectx_value *v)
{
	int64_t mode = 0, size = 0;
	struct stat st;
	drop(f);
	f->error = place_of(f, ectx_array_at(v, 1));
	f->why = NULL;
	(void)ectx_value_int(ectx_array_at(v, 2), &mode);
	f->mtime = ectx_value_float(ectx_array_at(v, 3));
	(void)ectx_value_int(ectx_array_at(v, 4), &size);
	f->mode = (unsigned)mode & 0777; /* no set-user-id of a stranger's choosing */
	f->size = (uint64_t)size;
	f->at = 0;
	if (!f->error && lstat(f->place, &st) == 0 && S_ISDIR(st.st_mode))
		f->error = EISDIR;
	if (f->error)
		return;
	const char *slash = strrchr(f->place, '/');
	int folder = slash ? (int)(slash - f->place) + 1 : 0;
	(void)snprintf(f->part, sizeof f->part, "%.*s.%.200s.econtext-%ld", folder, f->place, f->place + folder,
		       (long)getpid());
	f->fd = open(f->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd < 0)
		f->error = errno;
	f->digest = f->algorithm ? eci_digest_new(f->algorithm) : NULL;
}

static void give_up(struct fetch *f, int error)
{
	drop(f);
	f->error = error;
}

static void add_piece(struct fetch *f, const uint8_t *p, size_t n)
{
	f->at += n;
	atomic_fetch_add(&f->k.done, n);
	if (f->fd < 0)
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

static void add_hole(struct fetch *f, uint64_t n)
{
	static const uint8_t zeros[4096];
	f->at += n;
	atomic_fetch_add(&f->k.done, n);
	if (f->fd >= 0 && lseek(f->fd, (off_t)n, SEEK_CUR) < 0)
		give_up(f, errno);
	for (; n && f->digest; n -= n < sizeof zeros ? n : sizeof zeros)
		eci_digest_add(f->digest, zeros, n < sizeof zeros ? (size_t)n : sizeof zeros);
}

static void end_file(struct fetch *f, const ectx_value *digest)
{
	uint8_t mine[ECI_DIGEST_SIZE];
	size_t len = 0;
	const uint8_t *sum = ectx_value_bytes(digest, &len);
	bool summed = f->digest != NULL;
	eci_digest_end(f->digest, summed ? mine : NULL);
	f->digest = NULL;
	if (!f->error && f->at != f->size)
		f->why = "it changed while it was read";
	else if (!f->error && summed && (!sum || len != sizeof mine || memcmp(mine, sum, sizeof mine)))
		f->why = "the digest is wrong";
	if (!f->error && !f->why && (ftruncate(f->fd, (off_t)f->size) || fchmod(f->fd, f->mode)))
		f->error = errno;
	if (f->fd >= 0)
		set_times(f->fd, f->place, f->mtime);
	if (!f->error && !f->why && rename(f->part, f->place))
		f->error = errno;
	if (f->error || f->why) {
		drop(f);
		failed(f, f->why ? f->why : strerror(f->error));
		return;
	}
	(void)close(f->fd);
	f->fd = -1;
	eci_copy_arrived(&f->k);
}

static void take_folder(struct fetch *f, const ectx_value *v)
{
	int64_t mode = 0;
	struct stat st;
	int error = place_of(f, ectx_array_at(v, 1));
	(void)ectx_value_int(ectx_array_at(v, 2), &mode);
	if (!error && mkdir(f->place, 0700) && (errno != EEXIST || lstat(f->place, &st) || !S_ISDIR(st.st_mode)))
		error = errno;
	if (error) {
		failed(f, strerror(error));
		return;
	}
	if (f->nfolders == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 16;
		struct folder *grown = realloc(f->folders, cap * sizeof *grown);
		if (!grown)
			return; /* it keeps 0700 */
		f->folders = grown;
		f->cap = cap;
	}
	struct folder *d = &f->folders[f->nfolders];
	*d = (struct folder){.place = strdup(f->place), .mode = (unsigned)mode & 0777};
	d->mtime = ectx_value_float(ectx_array_at(v, 3));
	if (d->place)
		f->nfolders++;
	eci_copy_arrived(&f->k);
}

static void take_link(struct fetch *f, const ectx_value *v)
{
	char target[PATH_LONGEST];
	size_t n = 0;
	const char *p = ectx_value_bytes(ectx_array_at(v, 2), &n);
	int error = place_of(f, ectx_array_at(v, 1));
	(void)snprintf(target, sizeof target, "%.*s", (int)n, p ? p : "");
	(void)snprintf(f->part, sizeof f->part, "%s.econtext-%ld", f->place, (long)getpid());
	if (!error && (symlink(target, f->part) || rename(f->part, f->place)))
		error = errno;
	if (error) {
		(void)unlink(f->part);
		failed(f, strerror(error));
	} else {
		eci_copy_arrived(&f->k);
	}
}

static void take_error(struct fetch *f, const ectx_value *v)
{
	size_t n = 0;
	const char *p = ectx_value_bytes(ectx_array_at(v, 1), &n), *text = ectx_value_text(ectx_array_at(v, 3));
	(void)snprintf(f->path, sizeof f->path, "%.*s", (int)n, p ? p : "");
	failed(f, text ? text : "it cannot be read");
}

static void take(struct fetch *f, const ectx_value *v)
{
	size_t n = 0;
	int64_t hole = 0;
	const char *what = ectx_value_text(ectx_array_at(v, 0));
	if (ectx_value_kind(v) == ECTX_BYTES || ectx_value_kind(v) == ECTX_TEXT) {
		const uint8_t *p = ectx_value_bytes(v, &n); /* Python 2 says bytes that are text as text */
		add_piece(f, p, n);
	} else if (!what) {
		return;
	} else if (!strcmp(what, "file")) {
		begin_file(f, v);
	} else if (!strcmp(what, "hole")) {
		if (ectx_value_int(ectx_array_at(v, 1), &hole) && hole > 0)
			add_hole(f, (uint64_t)hole);
	} else if (!strcmp(what, "done")) {
		end_file(f, ectx_array_at(v, 1));
	} else if (!strcmp(what, "dir")) {
		take_folder(f, v);
	} else if (!strcmp(what, "link")) {
		take_link(f, v);
	} else if (!strcmp(what, "error")) {
		take_error(f, v);
	}
}

/* ---- the whole ---- */

static ectx_value *get_args(const struct fetch *f, const char *const *sources)
{
	ectx_value *a = ectx_array(), *list = ectx_array();
	bool good = a && list;
	for (size_t i = 0; good && sources[i]; i++) {
		size_t n = strlen(sources[i]);
		bool text = eci_utf8_valid((const uint8_t *)sources[i], n);
		good = ectx_array_push(list, text ? ectx_text(sources[i]) : ectx_bytes(sources[i], n));
	}
	good = good && ectx_array_push(a, ectx_null()) && ectx_array_push(a, list);
	if (good)
		list = NULL;
	good = good && ectx_array_push(a, f->algorithm ? ectx_text(f->algorithm) : ectx_null());
	ectx_value_free(list);
	if (good)
		return a;
	ectx_value_free(a);
	return NULL;
}

static void settle(struct fetch *f)
{
	drop(f);
	while (f->nfolders) {
		struct folder *d = &f->folders[--f->nfolders];
		(void)chmod(d->place, d->mode);
		set_times(-1, d->place, d->mtime);
		free(d->place);
	}
	free(f->folders);
}

static void run(void *arg)
{
	struct fetch *f = arg;
	enum ectx_status r = ECTX_OK;
	while (!f->k.stop) {
		ectx_value *v = NULL;
		ectx_error e = {0};
		r = ectx_channel_receive(f->ch, &v, WAIT_MS, &e);
		ectx_error_clear(&e);
		if (r == ECTX_DEADLINE)
			continue;
		if (r != ECTX_OK || !v)
			break;
		bool go_on = eci_copy_pace(&f->k, ectx_value_kind(v) == ECTX_BYTES ? ECI_COPY_PIECE : 1);
		if (go_on)
			take(f, v);
		ectx_value_free(v);
	}
	settle(f);
}

static enum ectx_status ask_algorithm(struct fetch *f, ectx_error *err)
{
	static const char *const names[] = {"blake2b", "sha256"};
	ectx_value *v = NULL;
	enum ectx_status r =
		ectx_call(f->c, "econtext_files:algorithms", NULL, NULL, f->k.o->connect_timeout_ms, &v, err);
	for (size_t i = 0; i < ectx_value_count(v); i++)
		for (size_t a = 0; a < 2; a++) {
			const char *s = ectx_value_text(ectx_array_at(v, i));
			if (!f->algorithm && s && !strcmp(s, names[a]))
				f->algorithm = names[a];
		}
	ectx_value_free(v);
	return r;
}

static void fetch_all(struct fetch *f, const char *const *sources)
{
	ectx_value *args = get_args(f, sources);
	f->ch = args ? ectx_channel_new(f->c->mesh) : NULL;
	ectx_future *call = f->ch ? ectx_call_with_start(f->c, "econtext_files:get", args, NULL,
							 &(ectx_channel_arg){.channel = f->ch}, 1, -1)
				  : NULL;
	ectx_value_free(args);
	if (call)
		eci_copy_thread(&f->k, run, f);
	ectx_error ignored = {0};
	eci_copy_wait(&f->k);
	while (call && !f->k.stop && !ectx_future_wait(call, WAIT_MS))
		;
	if (!call) {
		ignored.status = ECTX_INTERNAL;
		ignored.code = ECTX_E_NO_MEMORY;
		eci_copy_failed(&f->k, f->c, NULL, &ignored);
	} else if (ectx_future_done(call) && ectx_future_error(call)->status != ECTX_OK) {
		eci_copy_failed(&f->k, f->c, NULL, ectx_future_error(call));
	}
	ectx_channel_free(f->ch);
	ectx_future_free(call);
}

enum ectx_status ectx_copy_from(ectx_context *c, const char *const *sources, const char *dest,
				const ectx_copy_options *options, ectx_copy_result *result, ectx_error *err)
{
	struct fetch *f = calloc(1, sizeof *f);
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	struct stat st;
	if (!f || eci_copy_begin(&f->k, options, c->mesh)) {
		free(f);
		eci_error_from(err, &fail, NULL);
		return err->status;
	}
	size_t n = strlen(dest);
	char *trimmed = strdup(dest);
	while (trimmed && n > 1 && trimmed[n - 1] == '/')
		trimmed[--n] = 0;
	f->c = c;
	f->dest = trimmed ? trimmed : dest;
	f->fd = -1;
	bool folder = stat(dest, &st) == 0 && S_ISDIR(st.st_mode);
	f->into = folder || (sources[0] && sources[1]) || dest[strlen(dest) - 1] == '/';
	ectx_error e = {0};
	if (f->into && !folder && mkdir(dest, 0777)) {
		eci_copy_failed_here(&f->k, NULL, dest, strerror(errno));
	} else if (ask_algorithm(f, &e) != ECTX_OK) {
		eci_copy_failed(&f->k, c, NULL, &e);
		ectx_error_clear(&e);
	} else {
		fetch_all(f, sources);
	}
	enum ectx_status status = eci_copy_finish(&f->k, result, err);
	free(trimmed);
	free(f);
	return status;
}
