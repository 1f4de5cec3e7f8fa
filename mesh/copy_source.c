/* What a copy sends: the entries below its sources, and their bytes as a channel's values.
 *
 * The list is made first, so that the total is known and every context gets the same entries with the same numbers; the
 * contents are read as they are sent. Invariant of the bytes: a file that has begun is always ended with `done`, also
 * when it turns out to be unreadable or shorter: then with no digest, and the far end says what is wrong with it.
 * Blocks of zeros go as `hole`, 64 KiB each, whether the file has them on its disk or not.
 *
 * The values are of preamble/served/econtext_files.py: its text says which there are. */
#include "mesh/copy.h"

#include "core/cbor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the list ---- */

static char *joined(const char *folder, const char *name)
{
	size_t a = strlen(folder), b = strlen(name);
	char *out = malloc(a + b + 2);
	if (!out)
		return NULL;
	memcpy(out, folder, a);
	if (a && folder[a - 1] != '/')
		out[a++] = '/';
	memcpy(out + a, name, b + 1);
	return out;
}

/* Takes full and path, whatever happens. */
static int add(struct eci_sources *s, char *full, char *path, bool follow, eci_source_failed failed, void *arg);

static int add_folder(struct eci_sources *s, const char *full, const char *path, eci_source_failed failed, void *arg)
{
	struct dirent **list;
	int n = scandir(full, &list, NULL, alphasort), r = 0;
	if (n < 0) {
		failed(arg, full, errno);
		return 0;
	}
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		if (r == 0 && strcmp(name, ".") && strcmp(name, ".."))
			r = add(s, joined(full, name), joined(path, name), false, failed, arg);
		free(list[i]);
	}
	free(list);
	return r;
}

static struct eci_entry_here *room_for_one(struct eci_sources *s)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct eci_entry_here *v = realloc(s->v, cap * sizeof *v);
		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	return &s->v[s->n];
}

static int add(struct eci_sources *s, char *full, char *path, bool follow, eci_source_failed failed, void *arg)
{
	struct eci_entry_here *e = full && path ? room_for_one(s) : NULL;
	struct stat st;
	int r = e ? 0 : -1;
	if (r == 0 && (follow ? stat(full, &st) : lstat(full, &st))) {
		failed(arg, full, errno);
		e = NULL;
	}
	if (e && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
		failed(arg, full, ECI_SOURCE_KIND);
		e = NULL;
	}
	if (!e) {
		free(full);
		free(path);
		return r;
	}
	*e = (struct eci_entry_here){.full = full, .path = path, .st = st};
	e->kind = S_ISREG(st.st_mode) ? ECI_ENTRY_FILE : S_ISDIR(st.st_mode) ? ECI_ENTRY_DIR : ECI_ENTRY_LINK;
	s->n++;
	if (e->kind == ECI_ENTRY_FILE)
		s->total += (uint64_t)st.st_size;
	return e->kind == ECI_ENTRY_DIR ? add_folder(s, full, path, failed, arg) : 0;
}

/* "a/b/" and "a/b" are b; "." and "/" are what they resolve to, by its last name. */
static char *last_name(const char *path)
{
	char *real = NULL;
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	size_t from = n;
	while (from && path[from - 1] != '/')
		from--;
	bool dots = (n - from == 1 && path[from] == '.') || (n - from == 2 && !strncmp(path + from, "..", 2));
	if (!dots && n > from)
		return strndup(path + from, n - from);
	real = realpath(path, NULL);
	char *slash = real ? strrchr(real, '/') : NULL;
	char *out = strdup(slash && slash[1] ? slash + 1 : "root");
	free(real);
	return out;
}

int eci_sources_walk(struct eci_sources *s, const char *const *paths, eci_source_failed failed, void *arg)
{
	int r = 0;
	for (size_t i = 0; paths[i] && r == 0; i++)
		r = add(s, strdup(paths[i]), last_name(paths[i]), true, failed, arg);
	return r;
}

void eci_sources_free(struct eci_sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].full);
		free(s->v[i].path);
	}
	free(s->v);
	*s = (struct eci_sources){0};
}

/* ---- the bytes ---- */

void eci_feeder_init(struct eci_feeder *f, struct eci_sources *s, size_t first, const char *algorithm)
{
	*f = (struct eci_feeder){.s = s, .at = first, .fd = -1, .algorithm = algorithm};
}

/* A value goes with its length before it. */
static void put_value(struct eci_feeder *f, const struct eci_buf *value)
{
	size_t n = eci_buf_len(value);
	const uint8_t head[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	(void)eci_buf_append(&f->out, head, sizeof head);
	(void)eci_buf_append(&f->out, eci_buf_data(value), n);
	f->out.failed = f->out.failed || value->failed;
}

static void put_head(struct eci_feeder *f, const struct eci_entry_here *e, uint64_t offset)
{
	static const char *const what[] = {"file", "dir", "link"};
	struct eci_buf b = ECI_BUF_NULL;
	double mtime = (double)e->st.st_mtim.tv_sec + (double)e->st.st_mtim.tv_nsec / 1e9;
	uint64_t bits;
	memcpy(&bits, &mtime, sizeof bits);
	eci_cbor_put_array(&b, e->kind == ECI_ENTRY_FILE ? 6 : e->kind == ECI_ENTRY_DIR ? 4 : 3);
	eci_cbor_put_str(&b, what[e->kind]);
	eci_cbor_put_bytes(&b, e->path, strlen(e->path));
	if (e->kind == ECI_ENTRY_LINK) {
		char target[4096];
		ssize_t n = readlink(e->full, target, sizeof target);
		eci_cbor_put_bytes(&b, target, n > 0 ? (size_t)n : 0);
	} else {
		eci_cbor_put_uint(&b, e->st.st_mode & 07777);
		eci_cbor_put_f64bits(&b, bits);
	}
	if (e->kind == ECI_ENTRY_FILE) {
		eci_cbor_put_uint(&b, (uint64_t)e->st.st_size);
		eci_cbor_put_uint(&b, offset);
	}
	put_value(f, &b);
	eci_buf_deinit(&b);
}

static void put_done(struct eci_feeder *f, bool whole)
{
	struct eci_buf b = ECI_BUF_NULL;
	uint8_t sum[ECI_DIGEST_SIZE];
	bool has = f->digest != NULL;
	eci_digest_end(f->digest, sum);
	f->digest = NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, "done");
	if (has && whole)
		eci_cbor_put_bytes(&b, sum, sizeof sum);
	else
		eci_cbor_put_null(&b);
	put_value(f, &b);
	eci_buf_deinit(&b);
	(void)close(f->fd);
	f->fd = -1;
	f->at++;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static void put_piece(struct eci_feeder *f, size_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	if (n == ECI_COPY_PIECE && all_zero(f->piece, n)) {
		eci_cbor_put_array(&b, 2);
		eci_cbor_put_str(&b, "hole");
		eci_cbor_put_uint(&b, n);
	} else {
		eci_cbor_put_bytes(&b, f->piece, n);
	}
	put_value(f, &b);
	eci_buf_deinit(&b);
}

/* Reads up to n bytes and counts them into the digest. */
static ssize_t read_some(struct eci_feeder *f, uint64_t n)
{
	ssize_t got;
	do
		got = read(f->fd, f->piece, n < ECI_COPY_PIECE ? (size_t)n : ECI_COPY_PIECE);
	while (got < 0 && errno == EINTR);
	if (got > 0 && f->digest)
		eci_digest_add(f->digest, f->piece, (size_t)got);
	return got;
}

static void begin_file(struct eci_feeder *f, struct eci_entry_here *e)
{
	f->fd = open(e->full, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0) {
		e->unreadable = true;
		if (f->failed)
			f->failed(f->arg, e->full, errno);
		f->at++;
		return;
	}
	(void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	f->digest = f->algorithm ? eci_digest_new(f->algorithm) : NULL;
	uint64_t from = f->offsets ? f->offsets[f->at] : 0;
	f->offset = 0;
	while (f->offset < from) { /* what is there already: for the digest only */
		ssize_t n = read_some(f, from - f->offset);
		if (n <= 0)
			break;
		f->offset += (uint64_t)n;
	}
	f->sent += f->offset;
	put_head(f, e, f->offset);
}

static void go_on(struct eci_feeder *f, const struct eci_entry_here *e)
{
	uint64_t left = (uint64_t)e->st.st_size - f->offset;
	ssize_t n = left ? read_some(f, left) : 0;
	if (n <= 0) {
		put_done(f, n == 0 && left == 0);
		return;
	}
	f->offset += (uint64_t)n;
	f->sent += (uint64_t)n;
	put_piece(f, (size_t)n);
}

bool eci_feeder_more(struct eci_feeder *f)
{
	while (!eci_buf_len(&f->out) && f->at < f->s->n && !f->out.failed) {
		struct eci_entry_here *e = &f->s->v[f->at];
		if (f->fd >= 0) {
			go_on(f, e);
		} else if (e->unreadable) {
			f->at++;
		} else if (e->kind == ECI_ENTRY_FILE) {
			begin_file(f, e);
		} else {
			put_head(f, e, 0);
			f->at++;
		}
	}
	return eci_buf_len(&f->out) > 0;
}

void eci_feeder_deinit(struct eci_feeder *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	eci_digest_end(f->digest, NULL);
	eci_buf_deinit(&f->out);
}
