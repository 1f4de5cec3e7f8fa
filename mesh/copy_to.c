/* Copies to contexts: to one by its own stream, to several by a group (cast.c).
 *
 * A context is asked first what digests it has, which also connects it, all at the same time. Then `put` runs there
 * (preamble/served/econtext_files.py) and answers each entry, in order; so what was answered is known exactly, and who
 * leaves the group is served from the first entry that was not: its stream is reset, by which `put` drops what it has
 * of a file, and a new one begins behind it. With resume everybody is served alone, as each has other parts already. */
#include "mesh/copy_run.h"
#include "mesh/event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_MS 60000 /* for `put` to begin: a context that runs calls may be busy */
#define WAIT_MS 200u

/* How far an answer goes, its fourth item. */
enum { ANSWER_ONE, ANSWER_ALL, ANSWER_BELOW };

struct target {
	struct eci_copy *k;
	struct job *job;
	ectx_context *c;
	ectx_channel *ch;
	ectx_future *call;
	const char *algorithm;
	size_t next;          /* entry that will be answered next */
	const bool *left_out; /* the feeder's: what was not said to it; NULL: before there is one */
	bool refused;         /* it said that nothing at all can come there */
	bool gone;            /* nothing more is to be done here */
};

struct job { /* of one ectx_copy_to() */
	struct eci_copy k;
	struct eci_sources s;
	const char *dest;
	bool single;
	struct target *v;
	size_t n;
};

/* ---- calls ---- */

static ectx_value *put_args(const struct target *t, bool resume)
{
	ectx_value *a = ectx_array();
	bool good = a && ectx_array_push(a, ectx_null());
	const char *dest = t->job->dest;
	bool text = eci_utf8_valid((const uint8_t *)dest, strlen(dest));
	good = good && ectx_array_push(a, text ? ectx_text(dest) : ectx_bytes(dest, strlen(dest)));
	good = good && ectx_array_push(a, t->algorithm ? ectx_text(t->algorithm) : ectx_null());
	good = good && ectx_array_push(a, ectx_bool(t->job->single));
	good = good && ectx_array_push(a, ectx_bool(resume));
	if (good)
		return a;
	ectx_value_free(a);
	return NULL;
}

static void fail_code(struct target *t, enum ectx_code code, const char *saw)
{
	struct eci_fail fail = {0};
	ectx_error e = {0};
	eci_fail_set(&fail, ECTX_PHASE_CALL, code, "%s", saw);
	eci_error_from(&e, &fail, t->c);
	eci_copy_failed(&t->job->k, t->c, NULL, &e);
	t->gone = true;
}

static void let_go(struct target *t)
{
	ectx_channel_free(t->ch);
	t->ch = NULL;
	ectx_future_free(t->call);
	t->call = NULL;
}

/* Starts `put`; group 0: no group. */
static bool begin(struct target *t, uint32_t group)
{
	ectx_value *args = put_args(t, t->job->k.o->resume);
	t->ch = args ? ectx_channel_new(t->c->mesh) : NULL;
	if (t->ch) {
		eci_channel_group(t->ch, group);
		t->call = ectx_call_with_start(t->c, "econtext_files:put", args, NULL,
					       &(ectx_channel_arg){.channel = t->ch}, 1, -1);
	}
	ectx_value_free(args);
	if (t->call)
		return true;
	fail_code(t, ECTX_E_NO_MEMORY, "");
	return false;
}

/* ---- answers ---- */

static void answered(struct target *t, const ectx_value *v)
{
	struct eci_sources *s = &t->job->s;
	while (t->next < s->n && t->left_out && t->left_out[t->next])
		t->next++;
	if (t->next == s->n)
		return;
	bool folder = s->v[t->next].kind == ECI_ENTRY_DIR;
	const char *path = s->v[t->next++].path;
	if (ectx_value_kind(v) == ECTX_NULL) {
		eci_copy_arrived(&t->job->k);
		return;
	}
	bool said = ectx_value_kind(v) == ECTX_ARRAY;
	const char *text = said ? ectx_value_text(ectx_array_at(v, 1)) : NULL;
	size_t n = 0;
	const char *there = said ? ectx_value_bytes(ectx_array_at(v, 2), &n) : NULL;
	char *place = there && n ? strndup(there, n) : NULL;
	int64_t how = ANSWER_ONE;
	if (said)
		(void)ectx_value_int(ectx_array_at(v, 3), &how);
	text = text ? text : "it did not arrive";
	if (how == ANSWER_ALL && !t->refused)
		eci_copy_refused(&t->job->k, t->c, place ? place : path, text);
	else if (how == ANSWER_ONE && folder)
		eci_copy_folder_failed(&t->job->k, t->c, place ? place : path, text);
	else if (how == ANSWER_ONE)
		eci_copy_failed_here(&t->job->k, t->c, place ? place : path, text);
	t->refused |= how == ANSWER_ALL;
	free(place);
}

/* Takes answers, up to wait_ms for each; false: there will be none any more. */
static bool take_answers(struct target *t, long wait_ms)
{
	for (;;) {
		ectx_value *v = NULL;
		ectx_error e = {0};
		enum ectx_status r = ectx_channel_receive(t->ch, &v, wait_ms, &e);
		if (r == ECTX_OK && v) {
			answered(t, v);
			ectx_value_free(v);
			if (t->refused)
				return false;
			continue;
		}
		ectx_error_clear(&e);
		return r == ECTX_DEADLINE;
	}
}

/* The end of a put that was told all: its last answers, its outcome. */
static void conclude(struct target *t)
{
	while (!t->job->k.stop && !t->refused && take_answers(t, WAIT_MS))
		;
	while (!t->job->k.stop && !t->refused && !ectx_future_wait(t->call, WAIT_MS))
		;
	const ectx_error *e = ectx_future_error(t->call);
	if (t->refused) {
		; /* said already; what still runs there ends with its channel */
	} else if (ectx_future_done(t->call) && e->status != ECTX_OK) {
		eci_copy_failed(&t->job->k, t->c, NULL, e);
	} else if (!t->job->k.stop) {
		struct eci_sources *s = &t->job->s;
		for (; t->next < s->n; t->next++)
			if (!t->left_out || !t->left_out[t->next])
				eci_copy_failed_here(&t->job->k, t->c, s->v[t->next].path, "nothing was said of it");
	}
	t->gone = true;
	let_go(t);
}

/* ---- resume ---- */

static ectx_value *have_args(const struct target *t)
{
	ectx_value *a = put_args(t, false), *out = ectx_array(), *list = ectx_array();
	bool good = a && out && list;
	for (size_t i = t->next; good && i < t->job->s.n; i++) {
		const struct eci_entry_here *e = &t->job->s.v[i];
		ectx_value *pair = ectx_array();
		good = pair && ectx_array_push(pair, ectx_bytes(e->path, strlen(e->path))) &&
		       ectx_array_push(pair, ectx_int(e->kind == ECI_ENTRY_FILE ? (int64_t)e->st.st_size : -2));
		good = ectx_array_push(list, pair) && good;
	}
	if (good) {
		const char *dest = t->job->dest;
		bool text = eci_utf8_valid((const uint8_t *)dest, strlen(dest));
		good = ectx_array_push(out, text ? ectx_text(dest) : ectx_bytes(dest, strlen(dest))) &&
		       ectx_array_push(out, ectx_bool(t->job->single)) && ectx_array_push(out, list);
		list = NULL;
		good = good && ectx_array_push(out, t->algorithm ? ectx_text(t->algorithm) : ectx_null());
	}
	ectx_value_free(a);
	ectx_value_free(list);
	if (good)
		return out;
	ectx_value_free(out);
	return NULL;
}

/* Whether the first n bytes here have this digest. */
static bool same_here(const struct target *t, const char *full, uint64_t n, const ectx_value *digest)
{
	size_t len = 0;
	const uint8_t *sum = ectx_value_bytes(digest, &len);
	if (!sum || len != ECI_DIGEST_SIZE || !t->algorithm)
		return false;
	struct eci_digest *d = eci_digest_new(t->algorithm);
	FILE *f = d ? fopen(full, "rbe") : NULL;
	uint8_t *piece = malloc(ECI_COPY_PIECE), mine[ECI_DIGEST_SIZE];
	size_t got = 1;
	while (f && piece && n && got) {
		got = fread(piece, 1, n < ECI_COPY_PIECE ? (size_t)n : ECI_COPY_PIECE, f);
		eci_digest_add(d, piece, got);
		n -= got;
	}
	eci_digest_end(d, mine);
	if (f)
		(void)fclose(f);
	free(piece);
	return f && n == 0 && memcmp(mine, sum, sizeof mine) == 0;
}

/* What is there already: offsets by entry; UINT64_MAX: all of it. NULL: nothing known. */
static uint64_t *ask_have(struct target *t)
{
	struct eci_sources *s = &t->job->s;
	uint64_t *offsets = calloc(s->n ? s->n : 1, sizeof *offsets);
	ectx_value *args = have_args(t), *v = NULL;
	ectx_error e = {0};
	if (offsets && args && ectx_call(t->c, "econtext_files:have", args, NULL, -1, &v, &e) == ECTX_OK)
		for (size_t i = t->next; i < s->n && i - t->next < ectx_value_count(v); i++) {
			const ectx_value *pair = ectx_array_at(v, i - t->next);
			int64_t n = 0;
			(void)ectx_value_int(ectx_array_at(pair, 0), &n);
			uint64_t size = (uint64_t)s->v[i].st.st_size, part = n < 0 ? size : (uint64_t)n;
			if (s->v[i].kind == ECI_ENTRY_FILE && n && part <= size &&
			    same_here(t, s->v[i].full, part, ectx_array_at(pair, 1)))
				offsets[i] = n < 0 ? UINT64_MAX : part;
		}
	ectx_error_clear(&e);
	ectx_value_free(args);
	ectx_value_free(v);
	return offsets;
}

/* ---- one by one ---- */

static void unreadable(void *arg, const char *full, int error)
{
	struct job *j = arg;
	eci_copy_failed_here(&j->k, NULL, full,
			     error == ECI_SOURCE_KIND      ? "neither a file nor a folder"
			     : error == ECI_SOURCE_UNSIZED ? "it says 0 bytes, and has more than 16 MiB"
							   : strerror(error));
}

/* Sends what the feeder has; false: the channel is closed, or the user has given up. */
static bool pour(struct target *t, struct eci_feeder *f)
{
	struct ectx_stream *x = eci_channel_stream(t->ch);
	uint64_t told = f->sent;
	while (eci_feeder_more(f)) {
		size_t n = eci_buf_len(&f->out);
		if (!eci_copy_pace(&t->job->k, n))
			return false;
		while (n) {
			long w = ectx_stream_write(x, eci_buf_data(&f->out), n, WAIT_MS);
			if (w < 0 && (errno != ETIMEDOUT || t->job->k.stop))
				return false;
			if (w > 0) {
				eci_buf_drain(&f->out, (size_t)w);
				n -= (size_t)w;
			}
			if (!take_answers(t, 0))
				return false;
		}
		atomic_fetch_add(&t->job->k.done, f->sent - told);
		told = f->sent;
	}
	return true;
}

static void alone(void *arg)
{
	struct target *t = arg;
	struct job *j = t->job;
	struct eci_feeder *f = malloc(sizeof *f);
	uint64_t *offsets = f && j->k.o->resume ? ask_have(t) : NULL;
	if (f && begin(t, 0)) {
		eci_feeder_init(f, &j->s, t->next, t->algorithm);
		f->offsets = offsets;
		f->failed = unreadable;
		f->arg = j;
		t->left_out = f->left_out;
		if (pour(t, f))
			ectx_channel_end(t->ch);
		conclude(t);
		eci_feeder_deinit(f);
	}
	free(f);
	free(offsets);
}

/* ---- all at once ---- */

static void cast_rest(struct job *j, struct eci_cast *cast, struct target **of)
{
	for (size_t i = 0; i < cast->n; i++) {
		struct target *t = of[i];
		if (cast->v[i].in || !t)
			continue;
		of[i] = NULL;
		if (j->k.stop)
			continue;
		(void)take_answers(t, 0);
		cast->v[i].x->has_room = NULL;
		cast->v[i] = cast->v[cast->n - 1]; /* its stream goes with its channel */
		of[i] = of[cast->n - 1];
		cast->n--;
		i--;
		if (t->refused) {
			conclude(t);
			continue;
		}
		let_go(t);
		eci_copy_thread(&j->k, alone, t);
	}
}

/* All that the feeder has, to all who are in. */
static void cast_all(struct job *j, struct eci_cast *cast, struct target **of, struct eci_feeder *f)
{
	uint64_t told = 0;
	while (cast->ins && eci_feeder_more(f) && eci_copy_pace(&j->k, eci_buf_len(&f->out))) {
		while (eci_buf_len(&f->out) && !j->k.stop) {
			size_t n = eci_buf_len(&f->out);
			n = n < ECI_CAST_CHUNK ? n : ECI_CAST_CHUNK;
			int r = eci_cast_write(cast, eci_buf_data(&f->out), n, WAIT_MS);
			if (r > 0)
				eci_buf_drain(&f->out, n);
			if (r < 0)
				break;
			cast_rest(j, cast, of);
		}
		for (size_t i = 0; i < cast->n; i++) {
			if (cast->v[i].in)
				(void)take_answers(of[i], 0);
			if (cast->v[i].in && of[i]->refused)
				eci_cast_leave(cast, i);
		}
		atomic_fetch_add(&j->k.done, (f->sent - told) * cast->ins);
		told = f->sent;
		if (!cast->ins || j->k.stop)
			break;
	}
}

static void together(void *arg)
{
	struct job *j = arg;
	uint32_t gid = eci_cast_gid(j->k.mesh);
	struct eci_cast_member *v = calloc(j->n, sizeof *v);
	struct target **of = calloc(j->n, sizeof(struct target *));
	struct eci_feeder *f = malloc(sizeof *f);
	struct eci_cast cast = {0};
	size_t n = 0;
	for (size_t i = 0; v && of && f && i < j->n; i++)
		if (!j->v[i].gone)
			(void)begin(&j->v[i], gid);
	for (size_t i = 0; v && of && f && i < j->n; i++) {
		struct target *t = &j->v[i];
		if (t->gone)
			continue;
		if (!eci_channel_opened(t->ch, OPEN_MS)) {
			conclude(t);
			continue;
		}
		v[n] = (struct eci_cast_member){.x = eci_channel_stream(t->ch), .id = t->call->at->id};
		of[n++] = t;
	}
	if (n) {
		(void)eci_cast_init(&cast, j->k.mesh, gid, v, n);
		eci_feeder_init(f, &j->s, 0, of[0]->algorithm);
		f->failed = unreadable;
		f->arg = j;
		for (size_t i = 0; i < n; i++)
			of[i]->left_out = f->left_out;
		cast_all(j, &cast, of, f);
		cast_rest(j, &cast, of);
		if (!j->k.stop)
			eci_cast_end(&cast);
		for (size_t i = 0; i < cast.n; i++)
			if (of[i])
				conclude(of[i]);
		cast.n = 0; /* their streams are gone */
		eci_cast_deinit(&cast);
		eci_feeder_deinit(f);
	}
	free(f);
	free(of);
	free(v);
}

/* ---- begin ---- */

/* Connects all. How many there are. */
static size_t greet(struct job *j)
{
	struct eci_copy_peer *v = calloc(j->n, sizeof *v);
	for (size_t i = 0; v && i < j->n; i++)
		v[i].c = j->v[i].c;
	size_t there = v ? eci_copy_greet(&j->k, v, j->n) : 0;
	for (size_t i = 0; v && i < j->n; i++) {
		j->v[i].gone = v[i].gone;
		j->v[i].algorithm = v[i].algorithm;
	}
	if (!v)
		fail_code(&j->v[0], ECTX_E_NO_MEMORY, "");
	free(v);
	return there;
}

static bool alike(const struct job *j)
{
	const char *one = NULL;
	for (size_t i = 0; i < j->n; i++) {
		if (j->v[i].gone)
			continue;
		if (!j->v[i].algorithm || (one && one != j->v[i].algorithm))
			return false;
		one = j->v[i].algorithm;
	}
	return true;
}

enum ectx_status ectx_copy_to(ectx_context *const *contexts, size_t n, const char *const *sources, const char *dest,
			      const ectx_copy_options *options, ectx_copy_result *result, ectx_error *err)
{
	struct job j = {.dest = dest, .n = n, .single = sources[0] && !sources[1]};
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	j.v = calloc(n ? n : 1, sizeof *j.v);
	if (!j.v || !n || eci_copy_begin(&j.k, options, contexts[0]->mesh)) {
		free(j.v);
		eci_error_from(err, &fail, NULL);
		return err->status;
	}
	for (size_t i = 0; i < n; i++)
		j.v[i] = (struct target){.job = &j, .c = contexts[i]};
	if (eci_sources_walk(&j.s, sources, unreadable, &j))
		fail_code(&j.v[0], ECTX_E_NO_MEMORY, "the list of files");
	size_t there = j.s.n ? greet(&j) : 0;
	j.k.total = j.s.total * there;
	if (there > 1 && !j.k.o->resume && alike(&j))
		eci_copy_thread(&j.k, together, &j);
	else
		for (size_t i = 0; there && i < n; i++)
			if (!j.v[i].gone)
				eci_copy_thread(&j.k, alone, &j.v[i]);
	enum ectx_status status = eci_copy_finish(&j.k, result, err);
	for (size_t i = 0; i < n; i++)
		let_go(&j.v[i]);
	eci_sources_free(&j.s);
	free(j.v);
	return status;
}
