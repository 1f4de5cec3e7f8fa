/* What the tests of what a copy takes share: a folder, a copy that has no context, and what its other end might say. */
#ifndef ECI_TESTS_TAKE_SUPPORT_H
#define ECI_TESTS_TAKE_SUPPORT_H

#include "mesh/copy_take.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world {
	struct eci_fetch f;
	ectx_copy_options o;
	char dir[64], dest[96];
	int told;
	char path[ECI_PLACE_LONGEST + 64], saw[2048], hint[512]; /* of what failed last */
};

static inline void on_failed(void *arg, ectx_context *c, const char *path, const ectx_error *e)
{
	struct world *w = arg;
	(void)c;
	w->told++;
	(void)snprintf(w->path, sizeof w->path, "%s", path);
	(void)snprintf(w->saw, sizeof w->saw, "%s", e->saw);
	(void)snprintf(w->hint, sizeof w->hint, "%s", e->hint);
}

/* Into a folder DIR/to, or (one) as DIR/to. */
static inline struct world *open_world(bool into)
{
	static const char *const any[] = {"src/.", NULL};
	struct world *w = calloc(1, sizeof *w);
	cr_assert_not_null(w);
	const char *tmp = getenv("TMPDIR");
	(void)snprintf(w->dir, sizeof w->dir, "%s/take-test-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	cr_assert(mkdtemp(w->dir));
	(void)snprintf(w->dest, sizeof w->dest, "%s/to", w->dir);
	cr_assert(!into || mkdir(w->dest, 0755) == 0);
	w->o = (ectx_copy_options){.failed = on_failed, .arg = w};
	w->f.k.o = &w->o;
	w->f.dest = w->dest;
	w->f.sources = any;
	w->f.into = w->f.folder = into;
	eci_fetch_init(&w->f);
	cr_assert(pthread_mutex_init(&w->f.k.lock, NULL) == 0);
	return w;
}

static inline void close_world(struct world *w)
{
	char command[256];
	eci_fetch_settle(&w->f);
	(void)pthread_mutex_destroy(&w->f.k.lock);
	(void)snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -r %s", w->dir, w->dir);
	cr_expect(system(command) == 0);
	free(w);
}

static inline const char *in(const struct world *w, const char *name)
{
	static char path[4][1024];
	static int at;
	at = (at + 1) % 4;
	(void)snprintf(path[at], sizeof path[at], "%s/%s", w->dest, name);
	return path[at];
}

static inline void say(struct world *w, ectx_value *v)
{
	cr_assert_not_null(v);
	eci_fetch_take(&w->f, v);
	ectx_value_free(v);
}

/* [WORD, path, mode, mtime, size, 0, asks] */
static inline ectx_value *entry(const char *word, const void *path, size_t n, int64_t mode, int64_t size, bool asks)
{
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text(word)) && ectx_array_push(v, ectx_bytes(path, n)) &&
		  ectx_array_push(v, ectx_int(mode)) && ectx_array_push(v, ectx_float(1e9)) &&
		  ectx_array_push(v, ectx_int(size)) && ectx_array_push(v, ectx_int(0)) &&
		  ectx_array_push(v, ectx_bool(asks)));
	return v;
}

static inline void begin(struct world *w, const char *path, int64_t size)
{
	say(w, entry("file", path, strlen(path), 0644, size, false));
}

static inline void done(struct world *w)
{
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text("done")) && ectx_array_push(v, ectx_null()));
	say(w, v);
}

static inline void file(struct world *w, const char *path, const char *bytes)
{
	begin(w, path, (int64_t)strlen(bytes));
	say(w, ectx_bytes(bytes, strlen(bytes)));
	done(w);
}

static inline void folder(struct world *w, const char *path, int64_t mode)
{
	say(w, entry("dir", path, strlen(path), mode, 0, false));
}

static inline void link_to(struct world *w, const char *path, const char *target)
{
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text("link")) && ectx_array_push(v, ectx_bytes(path, strlen(path))) &&
		  ectx_array_push(v, ectx_bytes(target, strlen(target))));
	say(w, v);
}

static inline void unreadable(struct world *w, const char *path, const char *why)
{
	ectx_value *v = ectx_array();
	cr_assert(v && ectx_array_push(v, ectx_text("error")) && ectx_array_push(v, ectx_bytes(path, strlen(path))) &&
		  ectx_array_push(v, ectx_int(13)) && ectx_array_push(v, ectx_text(why)));
	say(w, v);
}

static inline bool holds(const char *path, const char *bytes)
{
	char got[256];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(got, 1, sizeof got, f) : 0;
	return f && fclose(f) == 0 && n == strlen(bytes) && !memcmp(got, bytes, n);
}

static inline mode_t mode_of(const char *path)
{
	struct stat st;
	return lstat(path, &st) ? 0 : st.st_mode & 07777;
}

#endif
