/* Copies from a context: `get` there (of a shell, where there is no Python: copy_heads.c), and what it sends written
 * here.
 *
 * The far end is not trusted with our disk: a path is relative, no part of it is "..", and what would pass through a
 * symbolic link that it has just made is opened without following one. Files are written by copy_in.c.
 *
 * Below a folder that could not be made nothing can come: that is said once, for the folder, and only counted after. */
#include "mesh/copy_in.h"
#include "mesh/copy_lines.h"
#include "mesh/copy_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 200u
#define HAVE_MS 30000 /* some bytes to somebody who waits for them */
#define PATH_LONGEST ECI_PLACE_LONGEST

struct fetch {
	struct eci_copy k;
	ectx_context *c;
	ectx_channel *ch;
	struct eci_copy_shell *shell; /* instead of ch */
	char *dest;
	const char *algorithm;
	bool into, folder; /* dest is one that things come into; it is there */
	bool contents;     /* what is in a folder was asked for: its entry "." is dest */
	bool refused;      /* nothing can come */
	bool ended;        /* all was said */
	bool begun;        /* a file whose end was not said */
	char path[PATH_LONGEST], place[PATH_LONGEST];
	struct eci_incoming file; /* that is coming */
	char *missing;            /* a folder that is not there, with a slash */
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
	f->place[0] = 0;
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

/* ---- entries ---- */

static bool said_of_its_folder(const struct fetch *f)
{
	size_t n = f->missing ? strlen(f->missing) : 0;
	return n && !strncmp(f->path, f->missing, n);
}

/* at: what it is about, NULL: the other end's path. */
static void failed(struct fetch *f, const char *at, const char *why)
{
	if (!said_of_its_folder(f))
		eci_copy_failed_here(&f->k, f->c, at && *at ? at : f->path, why);
}

static bool send_have(struct fetch *f, uint64_t n, const uint8_t sum[ECI_DIGEST_SIZE])
{
	ectx_value *v = ectx_array();
	ectx_error e = {0};
	bool good = v && ectx_array_push(v, ectx_int((int64_t)n)) &&
		    ectx_array_push(v, n ? ectx_bytes(sum, ECI_DIGEST_SIZE) : ectx_null());
	good = good && ectx_channel_send(f->ch, v, HAVE_MS, &e) == ECTX_OK;
	ectx_error_clear(&e);
	ectx_value_free(v);
	return good;
}

static void say_have(struct fetch *f)
{
	uint8_t sum[ECI_DIGEST_SIZE];
	uint64_t n = eci_incoming_have(&f->file, sum);
	if (f->shell ? eci_shell_have(f->shell, n, sum) == 0 : send_have(f, n, sum))
		return;
	eci_copy_refused(&f->k, f->c, f->path, "what is here already could not be said");
	f->refused = true;
}

/* What carries it may have lost some of what was said: no failure of theirs, and no success of ours. */
static void not_ended(struct fetch *f)
{
	if (f->begun && !f->k.stop && !f->refused)
		failed(f, f->file.place, "its end was not said");
	f->begun = false;
	eci_incoming_drop(&f->file);
}

static void begin_file(struct fetch *f, const ectx_value *v)
{
	struct eci_incoming *in = &f->file;
	int64_t mode = 0, size = 0;
	not_ended(f);
	f->begun = true;
	in->error = place_of(f, ectx_array_at(v, 1));
	(void)ectx_value_int(ectx_array_at(v, 2), &mode);
	(void)ectx_value_int(ectx_array_at(v, 4), &size);
	in->mtime = ectx_value_float(ectx_array_at(v, 3));
	in->mode = (unsigned)mode & 0777; /* no set-user-id of a stranger's choosing */
	in->size = (uint64_t)size;
	if (size < 0 && !in->error)
		in->error = EINVAL;
	in->algorithm = f->algorithm;
	in->keep = f->k.o->resume;
	memcpy(in->place, f->place, sizeof in->place);
	eci_incoming_begin(in);
	if (ectx_value_bool(ectx_array_at(v, 6)))
		say_have(f);
}

static void from(struct fetch *f, const ectx_value *v)
{
	int64_t n = 0;
	(void)ectx_value_int(ectx_array_at(v, 1), &n);
	eci_incoming_from(&f->file, (uint64_t)n);
	atomic_fetch_add(&f->k.done, (uint64_t)n);
}

static void end_file(struct fetch *f, const ectx_value *digest)
{
	const char *why = f->begun ? eci_incoming_end(&f->file, digest) : "an end of what was not begun";
	f->begun = false;
	if (why)
		failed(f, f->place, why);
	else
		eci_copy_arrived(&f->k);
}

/* More came of one pattern: dest is a folder, then. */
static void several(struct fetch *f)
{
	if (f->into)
		return;
	f->into = true;
	if (mkdir(f->dest, 0777) && !f->folder) {
		eci_copy_refused(&f->k, f->c, f->dest,
				 errno == EEXIST ? "the pattern stands for several, and this is not a folder"
						 : strerror(errno));
		f->refused = true;
	}
}

/* The entry that is dest itself; only where that was asked for, or it would give the folder of dest another mode. */
static bool is_dest(struct fetch *f, const ectx_value *path)
{
	size_t n = 0;
	const char *p = ectx_value_bytes(path, &n);
	if (!f->contents || n != 1 || *p != '.')
		return false;
	(void)snprintf(f->place, sizeof f->place, "%s", f->dest);
	return true;
}

static void take_folder(struct fetch *f, const ectx_value *v)
{
	int64_t mode = 0;
	struct stat st;
	bool dest = is_dest(f, ectx_array_at(v, 1));
	int error = dest ? 0 : place_of(f, ectx_array_at(v, 1));
	(void)ectx_value_int(ectx_array_at(v, 2), &mode);
	if (!error && mkdir(f->place, 0700)) {
		error = errno;
		if (error == EEXIST)
			error = lstat(f->place, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
	}
	if (error && dest) {
		eci_copy_refused(&f->k, f->c, f->place, strerror(error));
		f->refused = true;
		return;
	}
	if (error) {
		if (said_of_its_folder(f))
			return;
		eci_copy_folder_failed(&f->k, f->c, *f->place ? f->place : f->path, strerror(error));
		free(f->missing);
		f->missing = malloc(strlen(f->path) + 2);
		if (f->missing)
			sprintf(f->missing, "%s/", f->path);
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
	char target[PATH_LONGEST], part[PATH_LONGEST], extra[32];
	size_t n = 0;
	const char *p = ectx_value_bytes(ectx_array_at(v, 2), &n);
	int error = place_of(f, ectx_array_at(v, 1));
	(void)snprintf(target, sizeof target, "%.*s", (int)n, p ? p : "");
	(void)snprintf(extra, sizeof extra, "%ld", (long)getpid());
	error = error ? error : eci_incoming_part(part, f->place, extra);
	if (!error && symlink(target, part)) {
		error = errno;
	} else if (!error && rename(part, f->place)) {
		error = errno;
		(void)unlink(part);
	}
	if (error) {
		failed(f, f->place, strerror(error));
	} else {
		eci_copy_arrived(&f->k);
	}
}

static void take_error(struct fetch *f, const ectx_value *v)
{
	size_t n = 0;
	const char *p = ectx_value_bytes(ectx_array_at(v, 1), &n), *text = ectx_value_text(ectx_array_at(v, 3));
	(void)snprintf(f->path, sizeof f->path, "%.*s", (int)n, p ? p : "");
	if (!said_of_its_folder(f))
		eci_copy_unreadable(&f->k, f->c, f->path, text ? text : "it cannot be read");
}

static void take(struct fetch *f, const ectx_value *v)
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
	good = good && ectx_array_push(a, ectx_bool(f->k.o->resume));
	ectx_value_free(list);
	if (good)
		return a;
	ectx_value_free(a);
	return NULL;
}

static void settle(struct fetch *f)
{
	eci_incoming_drop(&f->file);
	while (f->nfolders) {
		struct folder *d = &f->folders[--f->nfolders];
		eci_dress(d->place, d->mode, d->mtime);
		free(d->place);
	}
	free(f->folders);
	free(f->missing);
}

static void run(void *arg)
{
	struct fetch *f = arg;
	enum ectx_status r = ECTX_OK;
	while (!f->k.stop && !f->refused) {
		ectx_value *v = NULL;
		ectx_error e = {0};
		r = f->shell ? eci_shell_value(f->shell, &v, WAIT_MS) : ectx_channel_receive(f->ch, &v, WAIT_MS, &e);
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
	f->ended = r == ECTX_OK;
	settle(f);
}

static void fetch_by_shell(struct fetch *f, const char *const *sources)
{
	size_t n = 0;
	ectx_error e = {.status = ECTX_INTERNAL, .code = ECTX_E_NO_MEMORY};
	while (sources[n])
		n++;
	const char **args = calloc(n + 2, sizeof *args);
	f->shell = calloc(1, sizeof *f->shell);
	bool begun = false;
	if (args && f->shell) {
		args[0] = f->k.o->resume ? "1" : "0";
		memcpy(args + 1, sources, n * sizeof *args);
		begun = eci_shell_begin(f->shell, f->c, "get", args, &f->k.stop, &e) == 0;
	}
	free(args);
	if (begun) {
		f->algorithm = f->shell->algorithm;
		eci_copy_thread(&f->k, run, f);
	}
	eci_copy_wait(&f->k);
	if (begun && !f->ended && !f->k.stop && !f->refused)
		(void)ectx_future_wait(f->shell->cmd.future, ECI_SHELL_END_MS);
	if (begun && !f->ended)
		eci_shell_why(f->shell, &e);
	if (!f->ended && !f->k.stop && !f->refused)
		eci_copy_failed(&f->k, f->c, NULL, &e);
	if (f->shell)
		eci_shell_end(f->shell);
	free(f->shell);
}

static void fetch_all(struct fetch *f, const char *const *sources)
{
	ectx_value *args = get_args(f, sources);
	f->ch = args ? ectx_channel_new(f->c->mesh) : NULL;
	ectx_future *call = f->ch ? ectx_call_with_start(f->c, "econtext_sources:get", args, NULL,
							 &(ectx_channel_arg){.channel = f->ch}, 1, -1)
				  : NULL;
	ectx_value_free(args);
	if (call)
		eci_copy_thread(&f->k, run, f);
	ectx_error error = {0};
	struct eci_fail fail = {0};
	eci_copy_wait(&f->k);
	/* It has no answer for us when its channel broke, but perhaps the reason. */
	uint64_t until = f->ended ? UINT64_MAX : eci_now_ms() + ECI_SHELL_END_MS;
	while (call && !f->k.stop && !f->refused && !ectx_future_wait(call, WAIT_MS) && eci_now_ms() < until)
		eci_copy_tell(&f->k);
	if (f->refused) {
		; /* said already; what still runs there ends with its channel */
	} else if (!call) {
		error.status = ECTX_INTERNAL;
		error.code = ECTX_E_NO_MEMORY;
		eci_copy_failed(&f->k, f->c, NULL, &error);
	} else if (ectx_future_done(call) && ectx_future_error(call)->status != ECTX_OK) {
		eci_copy_failed(&f->k, f->c, NULL, ectx_future_error(call));
	} else if (!f->ended && !f->k.stop) { /* it was all said there, and not all of it can be read here */
		eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_PROTOCOL,
			     "what came is no copy: bytes were lost, or mixed up");
		eci_error_from(&error, &fail, f->c);
		eci_copy_failed(&f->k, f->c, NULL, &error);
		ectx_error_clear(&error);
	} else if (f->begun) {
		not_ended(f);
	}
	ectx_channel_free(f->ch);
	ectx_future_free(call);
}

/* The folder that things come into; not before the context is there, so that nothing is left of one that is not. What
 * is to have the contents of one folder is made when they come. */
static bool make_dest(struct fetch *f, const char *const *sources)
{
	bool one = sources[0] && !sources[1] && f->contents;
	f->into = f->into || one || (sources[0] && sources[1]);
	if (!f->into || f->folder || one || mkdir(f->dest, 0777) == 0)
		return true;
	struct stat st;
	int error = errno;
	if (error == EEXIST && stat(f->dest, &st) == 0)
		error = S_ISDIR(st.st_mode) ? 0 : ENOTDIR; /* another was quicker */
	if (error)
		eci_copy_refused(&f->k, NULL, f->dest, strerror(error));
	return !error;
}

enum ectx_status ectx_copy_from(ectx_context *c, const char *const *sources, const char *dest,
				const ectx_copy_options *options, ectx_copy_result *result, ectx_error *err)
{
	struct fetch *f = calloc(1, sizeof *f);
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	if (!f || eci_copy_begin(&f->k, options, c->mesh)) {
		free(f);
		eci_error_from(err, &fail, NULL);
		return err->status;
	}
	f->c = c;
	f->file.fd = -1;
	for (size_t i = 0; sources[i]; i++)
		f->contents |= eci_source_contents(sources[i]);
	struct eci_copy_peer peer = {.c = c};
	f->dest = eci_incoming_dest(dest, f->contents, &f->folder);
	f->into = f->folder || (*dest && dest[strlen(dest) - 1] == '/');
	if (!f->dest)
		eci_copy_failed_here(&f->k, NULL, dest, "no memory");
	else if (eci_copy_greet(&f->k, &peer, 1) && make_dest(f, sources)) {
		f->algorithm = peer.algorithm;
		if (peer.no_python)
			fetch_by_shell(f, sources);
		else
			fetch_all(f, sources);
	}
	enum ectx_status status = eci_copy_finish(&f->k, result, err);
	free(f->dest);
	free(f);
	return status;
}
