/* One context that a copy goes to: `put` there (preamble/served/econtext_files.py), what it answers, how it ends. A
 * context without Python is spoken to by a shell (copy_shell_to.c); what follows from an answer is the same.
 *
 * `put` answers each entry, in order; so what was answered is known exactly: `next`. */
#include "mesh/copy_target.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- its beginning and end ---- */

static ectx_value *put_args(const struct eci_copy_target *t, bool resume)
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

void eci_target_fail(struct eci_copy_target *t, enum ectx_code code, const char *saw)
{
	struct eci_fail fail = {0};
	ectx_error e = {0};
	eci_fail_set(&fail, ECTX_PHASE_CALL, code, "%s", saw);
	eci_error_from(&e, &fail, t->c);
	eci_copy_failed(&t->job->k, t->c, NULL, &e);
	t->watch->over = true;
	t->gone = true;
}

void eci_target_let_go(struct eci_copy_target *t)
{
	ectx_channel_free(t->ch);
	t->ch = NULL;
	ectx_future_free(t->call);
	t->call = NULL;
	if (t->shell)
		eci_shell_end(t->shell);
	free(t->shell);
	t->shell = NULL;
}

bool eci_target_begin(struct eci_copy_target *t, uint32_t group)
{
	eci_copy_moved(t->watch, ECI_COPY_FOR_BEGIN);
	t->begun_ms = eci_now_ms();
	if (t->by_shell)
		return eci_shell_put(t);
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
	eci_target_fail(t, ECTX_E_NO_MEMORY, "");
	return false;
}

struct ectx_stream *eci_target_stream(const struct eci_copy_target *t)
{
	return t->shell ? t->shell->cmd.io : eci_channel_stream(t->ch);
}

/* ---- answers ---- */

void eci_target_answered(struct eci_copy_target *t, const char *text, const char *place, long how)
{
	struct eci_sources *s = &t->job->s;
	eci_copy_moved(t->watch, t->watch->what);
	while (t->next < s->n && t->left_out && t->left_out[t->next])
		t->next++;
	if (t->next == s->n)
		return;
	bool folder = s->v[t->next].kind == ECI_ENTRY_DIR;
	const char *path = s->v[t->next++].path;
	if (!text) {
		eci_copy_arrived(&t->job->k);
		return;
	}
	if (how == ECI_ANSWER_ALL && !t->refused)
		eci_copy_refused(&t->job->k, t->c, place ? place : path, text);
	else if (how == ECI_ANSWER_ONE && folder)
		eci_copy_folder_failed(&t->job->k, t->c, place ? place : path, text);
	else if (how == ECI_ANSWER_ONE)
		eci_copy_failed_here(&t->job->k, t->c, place ? place : path, text);
	else if (how == ECI_ANSWER_LEFT)
		eci_copy_left(&t->job->k, t->c, place ? place : path, text);
	t->refused |= how == ECI_ANSWER_ALL;
}

/* null, or [errno, text, place, how]. */
static void take_answer(struct eci_copy_target *t, const ectx_value *v)
{
	bool said = ectx_value_kind(v) == ECTX_ARRAY;
	const char *text = said ? ectx_value_text(ectx_array_at(v, 1)) : NULL;
	size_t n = 0;
	const char *there = said ? ectx_value_bytes(ectx_array_at(v, 2), &n) : NULL;
	char *place = there && n ? strndup(there, n) : NULL;
	int64_t how = ECI_ANSWER_ONE;
	if (said)
		(void)ectx_value_int(ectx_array_at(v, 3), &how);
	if (ectx_value_kind(v) != ECTX_NULL && !text)
		text = "it did not arrive";
	eci_target_answered(t, text, place, (long)how);
	free(place);
}

bool eci_target_answers(struct eci_copy_target *t, long wait_ms)
{
	if (t->shell)
		return eci_shell_answers(t, wait_ms);
	for (;;) {
		ectx_value *v = NULL;
		ectx_error e = {0};
		enum ectx_status r = ectx_channel_receive(t->ch, &v, wait_ms, &e);
		if (r == ECTX_OK && v) {
			take_answer(t, v);
			ectx_value_free(v);
			if (t->refused)
				return false;
			continue;
		}
		ectx_error_clear(&e);
		return r == ECTX_DEADLINE;
	}
}

static void failed(struct eci_copy_target *t, const ectx_error *e)
{
	ectx_error mine;
	if (t->shell)
		eci_shell_why(t->shell, &mine);
	eci_copy_failed(&t->job->k, t->c, NULL, t->shell ? &mine : e);
}

/* Who was stopped may have been done with all: what it has said is here then. */
static bool all_is_known(struct eci_copy_target *t, ectx_future *run)
{
	const struct eci_sources *s = &t->job->s;
	if (!t->job->k.stop || t->refused)
		return true;
	if (!ectx_future_done(run))
		return false;
	(void)eci_target_answers(t, 0);
	size_t next = t->next;
	while (next < s->n && t->left_out && t->left_out[next])
		next++;
	return next == s->n || t->refused || ectx_future_error(run)->status != ECTX_OK;
}

void eci_target_conclude(struct eci_copy_target *t)
{
	ectx_future *run = t->shell ? t->shell->cmd.future : t->call;
	eci_copy_moved(t->watch, ECI_COPY_FOR_ANSWER);
	while (!eci_copy_stopped(&t->job->k) && !t->refused && eci_target_answers(t, ECI_COPY_LOOK_MS))
		;
	/* A shell that has said what it must not may never end. */
	uint64_t until = t->shell ? eci_now_ms() + ECI_SHELL_END_MS : UINT64_MAX;
	while (!eci_copy_stopped(&t->job->k) && !t->refused && eci_now_ms() < until &&
	       !ectx_future_wait(run, ECI_COPY_LOOK_MS))
		;
	const ectx_error *e = ectx_future_error(run);
	if (t->refused) {
		; /* said already; what still runs there ends with its channel */
	} else if (ectx_future_done(run) ? e->status != ECTX_OK : t->shell && !t->job->k.stop) {
		failed(t, e);
	} else if (!t->job->k.stop) {
		struct eci_sources *s = &t->job->s;
		for (; t->next < s->n; t->next++)
			if (!t->left_out || !t->left_out[t->next])
				eci_copy_failed_here(&t->job->k, t->c, s->v[t->next].path, "nothing was said of it");
	}
	t->watch->over = all_is_known(t, run);
	eci_copy_moved(t->watch, ECI_COPY_FOR_NOTHING);
	t->gone = true;
	eci_target_let_go(t);
}

/* ---- resume ---- */

ectx_value *eci_target_have_args(const struct eci_copy_target *t, size_t first, size_t *end)
{
	const struct eci_sources *s = &t->job->s;
	ectx_value *out = ectx_array(), *list = ectx_array();
	bool good = out && list;
	size_t i = first, bytes = 0;
	for (; good && i < s->n && i - first < ECI_HAVE_ENTRIES && bytes < ECI_HAVE_BYTES; i++) {
		const struct eci_entry_here *e = &s->v[i];
		size_t n = strlen(e->path);
		ectx_value *pair = ectx_array();
		good = pair && ectx_array_push(pair, ectx_bytes(e->path, n)) &&
		       ectx_array_push(pair, ectx_int(e->kind == ECI_ENTRY_FILE ? (int64_t)e->st.st_size : -2));
		good = ectx_array_push(list, pair) && good;
		bytes += n;
	}
	*end = i;
	if (good) {
		const char *dest = t->job->dest;
		bool text = eci_utf8_valid((const uint8_t *)dest, strlen(dest));
		good = ectx_array_push(out, text ? ectx_text(dest) : ectx_bytes(dest, strlen(dest))) &&
		       ectx_array_push(out, ectx_bool(t->job->single)) && ectx_array_push(out, list);
		list = NULL;
		good = good && ectx_array_push(out, t->algorithm ? ectx_text(t->algorithm) : ectx_null());
	}
	ectx_value_free(list);
	if (good)
		return out;
	ectx_value_free(out);
	return NULL;
}

/* Whether the first n bytes here have this digest. */
static bool same_here(const struct eci_copy_target *t, const char *full, uint64_t n, const uint8_t *sum)
{
	struct eci_digest *d = t->algorithm ? eci_digest_new(t->algorithm) : NULL;
	FILE *f = d ? fopen(full, "rbe") : NULL;
	uint8_t *piece = malloc(ECI_COPY_PIECE), mine[ECI_DIGEST_SIZE];
	size_t got = 1;
	while (f && piece && n && got && !eci_copy_stopped(&t->job->k)) {
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

void eci_target_had(const struct eci_copy_target *t, uint64_t *offsets, size_t i, int64_t n, const uint8_t *sum)
{
	const struct eci_entry_here *e = &t->job->s.v[i];
	uint64_t size = (uint64_t)e->st.st_size, part = n < 0 ? size : (uint64_t)n;
	if (e->kind == ECI_ENTRY_FILE && n && part <= size && sum && same_here(t, e->full, part, sum))
		offsets[i] = n < 0 ? UINT64_MAX : part;
}

/* What was answered of entries [first, end). */
static void take_slice(const struct eci_copy_target *t, uint64_t *offsets, size_t first, size_t end,
		       const ectx_value *v)
{
	for (size_t i = first; i < end && i - first < ectx_value_count(v); i++) {
		const ectx_value *pair = ectx_array_at(v, i - first);
		int64_t n = 0;
		size_t len = 0;
		const uint8_t *sum = ectx_value_bytes(ectx_array_at(pair, 1), &len);
		(void)ectx_value_int(ectx_array_at(pair, 0), &n);
		eci_target_had(t, offsets, i, n, len == ECI_DIGEST_SIZE ? sum : NULL);
	}
}

/* Our own queue has no room for it: others are asked as much at the same time. Until there is some, or the copy is to
 * stop; `have` changes nothing, so that it may be asked again wherever on the way it was refused. */
static bool to_be_repeated(struct eci_copy_target *t, ectx_future *f)
{
	if (!ectx_future_done(f) || ectx_future_error(f)->code != ECTX_E_BUSY || eci_copy_stopped(&t->job->k))
		return false;
	if (t->watch->what != ECI_COPY_FOR_ROOM)
		eci_copy_moved(t->watch, ECI_COPY_FOR_ROOM);
	(void)poll(NULL, 0, ECI_COPY_LOOK_MS);
	return true;
}

/* The answer to this slice, or what there is of it when the copy is to stop. NULL: memory. */
static ectx_future *ask_slice(struct eci_copy_target *t, const ectx_value *args)
{
	ectx_future *f = NULL;
	do {
		ectx_future_free(f);
		f = ectx_call_start(t->c, "econtext_files:have", args, NULL, -1);
		while (f && !eci_copy_stopped(&t->job->k) && !ectx_future_wait(f, ECI_COPY_LOOK_MS))
			;
	} while (f && to_be_repeated(t, f));
	return f;
}

/* Asks for entries from first on; where the next ones begin, or 0: it has failed, and that is told. Else `put` would
 * empty what has come of them before. */
static size_t have_slice(struct eci_copy_target *t, uint64_t *offsets, size_t first)
{
	size_t end = 0;
	ectx_value *args = eci_target_have_args(t, first, &end);
	eci_copy_moved(t->watch, ECI_COPY_FOR_ANSWER);
	ectx_future *f = args ? ask_slice(t, args) : NULL;
	eci_copy_moved(t->watch, ECI_COPY_FOR_NOTHING); /* what it has is hashed here */
	if (!f) {
		eci_target_fail(t, ECTX_E_NO_MEMORY, "");
		end = 0;
	} else if (ectx_future_done(f) && ectx_future_error(f)->status != ECTX_OK) {
		failed(t, ectx_future_error(f));
		t->watch->over = true;
		t->gone = true;
		end = 0;
	} else if (ectx_future_done(f)) {
		take_slice(t, offsets, first, end, ectx_future_value(f));
	}
	ectx_future_free(f);
	ectx_value_free(args);
	return end;
}

uint64_t *eci_target_have(struct eci_copy_target *t)
{
	struct eci_sources *s = &t->job->s;
	uint64_t *offsets = calloc(s->n ? s->n : 1, sizeof *offsets);
	if (!offsets)
		eci_target_fail(t, ECTX_E_NO_MEMORY, "");
	for (size_t at = t->next; !t->gone && at < s->n && !eci_copy_stopped(&t->job->k);)
		at = have_slice(t, offsets, at);
	return offsets;
}
