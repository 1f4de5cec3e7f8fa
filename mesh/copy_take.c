/* What a copy from a context says, done here: files, folders and links, one after the other, below the target.
 *
 * The far end is not trusted with our disk: a path is relative, no part of it is "..", and no link is followed on the
 * way, be it one that it has just made (copy_folders.c). Files are written by copy_in.c.
 *
 * Below a folder that could not be made nothing can come: that is said once, for the folder, as one failure. A folder
 * is ours alone while things come into it; its own mode and time come last, as each thing would change the time.
 */
#include "mesh/copy_take.h"

#include "core/cbor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- where things come to lie ---- */

static bool clean(const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (!n || (n == 1 && *p == '.') || (n == 2 && !strncmp(p, "..", 2)))
			return false;
		p += n;
		if (!*p)
			break;
		if (!*++p)
			return false;
	}
	return *path != 0;
}

/* What of a place is below the folder that is held as the root: dest, or the one that dest is in. */
static const char *below(const struct eci_fetch *f, const char *place)
{
	size_t n = strlen(place), from = f->into ? strlen(f->dest) + 1 : (size_t)(eci_incoming_name(f->dest) - f->dest);
	return place + (from < n ? from : n);
}

/* The folder of f->place, or that one itself, is held. 0 or an errno. */
static int enter(struct eci_fetch *f, const char *place, bool itself)
{
	char root[ECI_PLACE_LONGEST];
	const char *way = below(f, place), *slash = strrchr(way, '/');
	int in = (int)(eci_incoming_name(f->dest) - f->dest);
	int n = f->into ? snprintf(root, sizeof root, "%s", f->dest)
			: snprintf(root, sizeof root, "%.*s", in ? in : 1, in ? f->dest : ".");
	if (n < 0 || (size_t)n >= sizeof root)
		return ENAMETOOLONG;
	/* What was made, or looked for behind a link, has become none since. */
	int error = eci_folders_open(&f->at, root, f->into && (f->contents || !f->folder));
	return error ? error : eci_folders_enter(&f->at, way, itself ? strlen(way) : slash ? (size_t)(slash - way) : 0);
}

/* NULL with f->place, whose folder is held, or why there is none. folder: what comes is one. */
static const char *place_of(struct eci_fetch *f, const ectx_value *v, bool folder)
{
	size_t n = 0;
	const uint8_t *p = ectx_value_bytes(v, &n);
	size_t kept = n < sizeof f->path ? n : sizeof f->path - 1;
	f->place[0] = 0;
	if (p)
		memcpy(f->path, p, kept);
	f->path[p ? kept : 0] = 0; /* whatever is wrong with it is said by this name */
	if (!p || kept < n)
		return strerror(ENAMETOOLONG);
	if (strlen(f->path) != n || !clean(f->path))
		return strerror(EINVAL);
	if (!eci_fetch_asked(f, f->path, folder))
		return "it was not asked for";
	const char *slash = strchr(f->path, '/');
	int w = f->into ? snprintf(f->place, sizeof f->place, "%s/%s", f->dest, f->path)
			: snprintf(f->place, sizeof f->place, "%s%s", f->dest, slash ? slash : "");
	if (w < 0 || (size_t)w >= sizeof f->place)
		return strerror(ENAMETOOLONG);
	int error = enter(f, f->place, false);
	return error ? strerror(error) : NULL;
}

/* ---- entries ---- */

static bool said_of_its_folder(const struct eci_fetch *f)
{
	size_t n = f->missing ? strlen(f->missing) : 0;
	return n && !strncmp(f->path, f->missing, n);
}

/* Whose fault it is that nothing can come to f->place: the other end's, where its name gave none. */
static ectx_context *whose_place(const struct eci_fetch *f)
{
	return *f->place ? NULL : f->c;
}

/* c: whose fault, NULL: ours. at: what it is about, "": the other end's path. */
static void failed(struct eci_fetch *f, ectx_context *c, const char *at, const char *why)
{
	if (!said_of_its_folder(f))
		eci_copy_failed_here(&f->k, c, *at ? at : f->path, why);
}

/* [bytes, digest], as a value of the channel. */
static bool send_have(struct eci_fetch *f, uint64_t n, const uint8_t sum[ECI_DIGEST_SIZE])
{
	struct eci_buf b = ECI_BUF_NULL;
	(void)eci_buf_append(&b, "\0\0\0\0", 4);
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_uint(&b, n);
	if (n)
		eci_cbor_put_bytes(&b, sum, ECI_DIGEST_SIZE);
	else
		eci_cbor_put_null(&b);
	bool good = !b.failed;
	if (good) {
		b.mem[b.head + 3] = (uint8_t)(eci_buf_len(&b) - 4);
		good = eci_copy_say(&f->k, eci_channel_stream(f->ch), eci_buf_data(&b), eci_buf_len(&b));
	}
	eci_buf_deinit(&b);
	return good;
}

static void say_have(struct eci_fetch *f)
{
	uint8_t sum[ECI_DIGEST_SIZE];
	uint64_t n = eci_incoming_have(&f->file, sum);
	bool said = f->shell ? eci_shell_have(f->shell, n, sum) == 0 : send_have(f, n, sum);
	if (said || f->k.stop) /* who gave up is told of that */
		return;
	eci_copy_refused(&f->k, f->c, f->path, "what is here already could not be said");
	f->refused = true;
}

static void file_failed(struct eci_fetch *f, ectx_context *c, const char *at, const char *why)
{
	if (f->file.left)
		eci_copy_left(&f->k, c, f->file.part, why);
	else
		failed(f, c, at, why);
	f->file.left = false;
}

/* What carries it may have lost some of what was said: no failure of theirs, and no success of ours. */
void eci_fetch_not_ended(struct eci_fetch *f)
{
	eci_incoming_drop(&f->file);
	if (f->begun && !f->k.stop && !f->refused)
		file_failed(f, f->c, f->file.place, "its end was not said");
	f->begun = false;
}

static void begin_file(struct eci_fetch *f, const ectx_value *v)
{
	struct eci_incoming *in = &f->file;
	int64_t mode = 0, size = 0;
	eci_fetch_not_ended(f);
	f->begun = true;
	const char *why = place_of(f, ectx_array_at(v, 1), false);
	in->error = why ? EINVAL : 0;
	in->dir = why ? -1 : fcntl(f->at.fd, F_DUPFD_CLOEXEC, 0);
	if (!why && in->dir < 0)
		in->error = errno;
	(void)ectx_value_int(ectx_array_at(v, 2), &mode);
	(void)ectx_value_int(ectx_array_at(v, 4), &size);
	in->mtime = ectx_value_float(ectx_array_at(v, 3));
	in->mode = (unsigned)mode & 0777; /* no set-user-id of a stranger's choosing */
	in->size = (uint64_t)size;
	if (size < 0 && !in->error)
		in->error = EINVAL;
	in->algorithm = f->algorithm;
	in->keep = f->k.o->resume;
	in->stop = &f->k.stop;
	memcpy(in->place, f->place, sizeof in->place);
	eci_incoming_begin(in);
	if (why)
		in->why = why;
	in->theirs = size < 0 || (why && whose_place(f));
	if (ectx_value_bool(ectx_array_at(v, 6)))
		say_have(f);
}

static void from(struct eci_fetch *f, const ectx_value *v)
{
	int64_t n = 0;
	(void)ectx_value_int(ectx_array_at(v, 1), &n);
	eci_incoming_from(&f->file, (uint64_t)n);
	atomic_fetch_add(&f->k.done, (uint64_t)n);
}

static void end_file(struct eci_fetch *f, const ectx_value *digest)
{
	bool begun = f->begun;
	const char *why = begun ? eci_incoming_end(&f->file, digest) : "an end of what was not begun";
	f->begun = false;
	if (why)
		file_failed(f, !begun || f->file.theirs ? f->c : NULL, f->place, why);
	else
		eci_copy_arrived(&f->k);
}

/* Their modes and times, of those that came in last first; the root is let go of. */
static void dress_folders(struct eci_fetch *f)
{
	while (f->nfolders) {
		struct eci_fetch_folder *d = &f->folders[--f->nfolders];
		if (!enter(f, d->place, true))
			eci_dress(f->at.fd, d->mode, d->mtime);
		free(d->place);
	}
	eci_folders_close(&f->at);
}

/* More came of one pattern: dest is a folder, then. */
static void several(struct eci_fetch *f)
{
	if (f->into)
		return;
	dress_folders(f);
	f->into = true;
	if (mkdir(f->dest, 0777) && !f->folder) {
		eci_copy_refused(&f->k, NULL, f->dest,
				 errno == EEXIST ? "the pattern stands for several, and this is not a folder"
						 : strerror(errno));
		f->refused = true;
	}
}

/* The entry that is dest itself; only where that was asked for, or it would give the folder of dest another mode. */
static bool is_dest(struct eci_fetch *f, const ectx_value *path)
{
	size_t n = 0;
	const char *p = ectx_value_bytes(path, &n);
	if (!f->contents || n != 1 || *p != '.')
		return false;
	(void)snprintf(f->place, sizeof f->place, "%s", f->dest);
	return true;
}

static void folder_failed(struct eci_fetch *f, const char *why)
{
	if (said_of_its_folder(f))
		return;
	eci_copy_folder_failed(&f->k, whose_place(f), *f->place ? f->place : f->path, why);
	free(f->missing);
	f->missing = malloc(strlen(f->path) + 2);
	if (f->missing)
		sprintf(f->missing, "%s/", f->path);
}

/* f->place, which may be there. 0 or an errno. */
static int make_folder(struct eci_fetch *f, bool dest)
{
	struct stat st;
	int at = dest ? AT_FDCWD : f->at.fd, error = 0;
	const char *name = dest ? f->dest : eci_incoming_name(f->place);
	if (mkdirat(at, name, 0700))
		error = errno;
	if (error == EEXIST)
		error = fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
	return error || !dest ? error : enter(f, f->dest, true);
}

static void take_folder(struct eci_fetch *f, const ectx_value *v)
{
	int64_t mode = 0;
	bool dest = is_dest(f, ectx_array_at(v, 1));
	const char *why = dest ? NULL : place_of(f, ectx_array_at(v, 1), true);
	(void)ectx_value_int(ectx_array_at(v, 2), &mode);
	if (!why) {
		int error = make_folder(f, dest);
		why = error ? strerror(error) : NULL;
	}
	if (why && dest) {
		eci_copy_refused(&f->k, NULL, f->place, why);
		f->refused = true;
		return;
	}
	if (why) {
		folder_failed(f, why);
		return;
	}
	if (f->nfolders == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 16;
		struct eci_fetch_folder *grown = realloc(f->folders, cap * sizeof *grown);
		if (!grown) { /* it keeps 0700 */
			failed(f, NULL, f->place, strerror(ENOMEM));
			return;
		}
		f->folders = grown;
		f->cap = cap;
	}
	struct eci_fetch_folder *d = &f->folders[f->nfolders];
	*d = (struct eci_fetch_folder){.place = strdup(f->place), .mode = (unsigned)mode & 0777};
	d->mtime = ectx_value_float(ectx_array_at(v, 3));
	if (!d->place) {
		failed(f, NULL, f->place, strerror(ENOMEM));
		return;
	}
	f->nfolders++;
	eci_copy_arrived(&f->k);
}

static bool contents_asked(const struct eci_fetch *f)
{
	size_t i = 0;
	while (f->sources[i] && !eci_source_contents(f->sources[i]))
		i++;
	return f->sources[i] != NULL;
}

static void take_link(struct eci_fetch *f, const ectx_value *v)
{
	char target[ECI_PLACE_LONGEST], part[ECI_PLACE_LONGEST], extra[32];
	struct stat st;
	size_t n = 0;
	int error = 0;
	bool left = false;
	const char *p = ectx_value_bytes(ectx_array_at(v, 2), &n);
	const char *why = place_of(f, ectx_array_at(v, 1), false);
	ectx_context *whose = whose_place(f);
	/* A source that is a link is followed there: who sends one in its place would have the next copy to that name
	 * written where it leads. */
	if (!why && !strchr(f->path, '/') && !contents_asked(f)) {
		why = "it is a link there that leads nowhere";
		whose = f->c;
	}
	(void)snprintf(target, sizeof target, "%.*s", (int)n, p ? p : "");
	(void)snprintf(extra, sizeof extra, "%ld", (long)getpid());
	if (!why)
		error = eci_incoming_part(part, f->place, extra);
	if (!why && !error && fstatat(f->at.fd, eci_incoming_name(f->place), &st, AT_SYMLINK_NOFOLLOW) == 0)
		why = eci_incoming_over(&st);
	if (why) {
		failed(f, whose, f->place, why);
		return;
	}
	const char *name = eci_incoming_name(part);
	if (!error && symlinkat(target, f->at.fd, name)) {
		error = errno;
	} else if (!error && renameat(f->at.fd, name, f->at.fd, eci_incoming_name(f->place))) {
		error = errno;
		left = unlinkat(f->at.fd, name, 0);
	}
	if (left) {
		eci_copy_left(&f->k, NULL, part, strerror(error));
	} else if (error) {
		failed(f, NULL, f->place, strerror(error));
	} else {
		eci_copy_arrived(&f->k);
	}
}

static void take_error(struct eci_fetch *f, const ectx_value *v)
{
	size_t n = 0;
	const char *p = ectx_value_bytes(ectx_array_at(v, 1), &n), *text = ectx_value_text(ectx_array_at(v, 3));
	(void)snprintf(f->path, sizeof f->path, "%.*s", (int)n, p ? p : "");
	if (!said_of_its_folder(f))
		eci_copy_unreadable(&f->k, f->c, f->path, text ? text : "it cannot be read");
}

void eci_fetch_take(struct eci_fetch *f, const ectx_value *v)
{
	size_t n = 0;
	int64_t hole = 0;
	const char *what = ectx_value_text(ectx_array_at(v, 0));
	if (ectx_value_kind(v) == ECTX_BYTES || ectx_value_kind(v) == ECTX_TEXT) {
		const uint8_t *p = ectx_value_bytes(v, &n); /* Python 2 says bytes that are text as text */
		eci_incoming_bytes(&f->file, p, n);
		atomic_fetch_add(&f->k.done, n);
	} else if (!what) {
		return;
	} else if (!strcmp(what, "file")) {
		begin_file(f, v);
	} else if (!strcmp(what, "hole")) {
		if (ectx_value_int(ectx_array_at(v, 1), &hole) && hole > 0) {
			eci_incoming_hole(&f->file, (uint64_t)hole);
			atomic_fetch_add(&f->k.done, (uint64_t)hole);
		}
	} else if (!strcmp(what, "done")) {
		end_file(f, ectx_array_at(v, 1));
	} else if (!strcmp(what, "cut")) { /* by a shell, which has made up for it */
		f->file.why = "it became shorter while it was read, or could not be read to its end";
		f->file.theirs = true;
		end_file(f, NULL);
	} else if (!strcmp(what, "dir")) {
		take_folder(f, v);
	} else if (!strcmp(what, "link")) {
		take_link(f, v);
	} else if (!strcmp(what, "from")) {
		from(f, v);
	} else if (!strcmp(what, "several")) {
		several(f);
	} else if (!strcmp(what, "error")) {
		take_error(f, v);
	}
}

/* ---- at the end ---- */

void eci_fetch_init(struct eci_fetch *f)
{
	f->file.fd = f->file.dir = -1;
	f->at = ECI_FOLDERS_NULL;
}

void eci_fetch_settle(struct eci_fetch *f)
{
	eci_incoming_drop(&f->file);
	dress_folders(f);
	free(f->folders);
	free(f->missing);
	eci_fetch_forget(f);
}
