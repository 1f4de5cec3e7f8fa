/* Copies to contexts: to one by its own stream, to several by a group (cast.c).
 *
 * A context is asked first what digests it has, which also connects it, all at the same time. Then `put` runs there
 * (preamble/served/econtext_files.py) and answers each entry, in order; so what was answered is known exactly, and who
 * leaves the group is served from the first entry that was not: its stream is reset, by which `put` drops what it has
 * of a file, and a new one begins behind it. With resume everybody is served alone, as each has other parts already;
 * so is one without Python, whose shell is spoken to in another form. */
#include "mesh/copy_target.h"
#include "mesh/event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Has `put`, or the shell, begun there? 1: yes; 0: not yet; -1: it is over, and told. Waits ECI_COPY_LOOK_MS at most.
 */
static int opened(struct eci_copy_target *t)
{
	int r = t->shell ? eci_shell_opened(t) : eci_channel_opened(t->ch, ECI_COPY_LOOK_MS);
	if (t->gone)
		return -1;
	if (r < 0 || eci_copy_stopped(&t->job->k)) {
		eci_target_conclude(t);
		return -1;
	}
	if (r > 0) /* others may be waited for now, and it is not */
		eci_copy_moved(t->watch, ECI_COPY_FOR_NOTHING);
	return r;
}

/* Others wait for it no longer. Several may be asked at once, so the time is counted from when each was. */
static bool holds_up(const struct eci_copy_target *t)
{
	return eci_now_ms() - t->begun_ms >= ECI_COPY_OPEN_MS;
}

/* ---- one by one ---- */

static void unreadable(void *arg, const char *full, int error)
{
	struct eci_copy_job *j = arg;
	eci_copy_unreadable(&j->k, NULL, full,
			    error == ECI_SOURCE_KIND      ? "neither a file nor a folder"
			    : error == ECI_SOURCE_UNSIZED ? "it says 0 bytes, and has more than 16 MiB"
							  : strerror(error));
}

#define NAME_SHOWN 768u /* bytes, its end, of a longer one: beside the other's, see eci_copy_unreadable() */

static void twice(void *arg, const char *full, const char *first)
{
	struct eci_copy_job *j = arg;
	char why[NAME_SHOWN + 80];
	size_t n = strlen(first), from = n > NAME_SHOWN ? n - NAME_SHOWN : 0;
	(void)snprintf(why, sizeof why, "it would replace %s%s, which comes to the same name", from ? "..." : "",
		       first + from);
	eci_copy_unreadable(&j->k, NULL, full, why);
}

static bool stopped(void *arg)
{
	struct eci_copy_job *j = arg;
	return eci_copy_stopped(&j->k);
}

/* Sends what the feeder has; false: the channel is closed, or the user has given up. */
static bool pour(struct eci_copy_target *t, struct eci_feeder *f)
{
	struct ectx_stream *x = eci_target_stream(t);
	uint64_t told = f->sent;
	for (;;) {
		eci_copy_moved(t->watch, ECI_COPY_FOR_NOTHING);
		if (!eci_feeder_more(f))
			break;
		size_t n = eci_buf_len(&f->out);
		if (!eci_copy_pace(&t->job->k, n))
			return false;
		eci_copy_moved(t->watch, ECI_COPY_FOR_ROOM);
		while (n) {
			long w = ectx_stream_write(x, eci_buf_data(&f->out), n, ECI_COPY_LOOK_MS);
			if (w < 0 && (errno != ETIMEDOUT || eci_copy_stopped(&t->job->k)))
				return false;
			if (w > 0) {
				eci_copy_moved(t->watch, ECI_COPY_FOR_ROOM);
				eci_buf_drain(&f->out, (size_t)w);
				n -= (size_t)w;
			}
			if (!eci_target_answers(t, 0))
				return false;
		}
		atomic_fetch_add(&t->job->k.done, f->sent - told);
		told = f->sent;
	}
	return true;
}

/* Begins, in its turn, which it keeps for ECI_COPY_OPEN_MS; or goes on waiting, if it has begun with a group. Who is
 * frozen is found by its link, and ends its call; who is only slow is waited for, and said (copy_watch.c). */
static bool begin_alone(struct eci_copy_target *t)
{
	sem_t *turn = &t->job->k.opening;
	bool begun = true;
	int r = 0;
	t->left_out = NULL; /* of a group's feeder, which may be gone */
	if (!t->call && !t->shell) {
		while (sem_wait(turn) != 0) /* interrupted; who has it lets go of it within ECI_COPY_OPEN_MS */
			;
		begun = eci_target_begin(t, 0);
		while (begun && !r && !holds_up(t))
			r = opened(t);
		(void)sem_post(turn);
	}
	while (begun && !r)
		r = opened(t);
	return begun && r >= 0;
}

/* What was not known of it when the others began. false: it is gone, and told. */
static bool greet_late(struct eci_copy_target *t)
{
	struct eci_copy_peer p = {.c = t->c, .call = t->greeting};
	eci_copy_greet_late(&t->job->k, &p, t->watch);
	t->greeting = NULL;
	t->gone = p.gone;
	t->by_shell = p.no_python;
	t->algorithm = p.algorithm;
	return !t->gone;
}

static void alone(void *arg)
{
	struct eci_copy_target *t = arg;
	if (t->greeting && !greet_late(t))
		return;
	if (t->watch->what == ECI_COPY_FOR_THREAD)
		eci_copy_moved(t->watch, ECI_COPY_FOR_NOTHING);
	struct eci_copy_job *j = t->job;
	struct eci_feeder *f = calloc(1, sizeof *f);
	bool resume = f && j->k.o->resume;
	uint64_t *offsets = resume && !t->by_shell ? eci_target_have(t) : NULL;
	if (f && !t->gone && begin_alone(t)) {
		if (resume && t->by_shell)
			offsets = eci_shell_have_there(t);
		eci_feeder_init(f, &j->s, t->next, t->algorithm, t->by_shell ? &eci_form_lines : &eci_form_values);
		f->offsets = offsets;
		f->failed = unreadable;
		f->stopped = stopped;
		f->arg = j;
		t->left_out = f->left_out;
		if (pour(t, f))
			ectx_stream_end(eci_target_stream(t));
		eci_target_conclude(t);
		eci_feeder_deinit(f);
	} else if (!f) {
		eci_target_fail(t, ECTX_E_NO_MEMORY, "");
	}
	free(f);
	free(offsets);
}

/* ---- all at once ---- */

static void cast_rest(struct eci_copy_job *j, struct eci_cast *cast, struct eci_copy_target **of)
{
	for (size_t i = 0; i < cast->n; i++) {
		struct eci_copy_target *t = of[i];
		if (cast->v[i].in || !t)
			continue;
		of[i] = NULL;
		if (j->k.stop)
			continue;
		(void)eci_target_answers(t, 0);
		eci_cast_forget(cast, i); /* its stream goes with its channel */
		of[i--] = of[cast->n];
		if (t->refused) {
			eci_target_conclude(t);
			continue;
		}
		eci_target_let_go(t);
		eci_copy_thread(&j->k, alone, t, t->watch);
	}
}

/* Of those who are in: they are not waited for, or only who has no room is. */
static void group_moved(const struct eci_cast *cast, struct eci_copy_target **of, bool waits)
{
	for (size_t i = 0; i < cast->n; i++)
		if (of[i] && cast->v[i].in && !(waits && cast->v[i].dry && of[i]->watch->what))
			eci_copy_moved(of[i]->watch, waits ? ECI_COPY_FOR_ROOM : ECI_COPY_FOR_NOTHING);
}

/* All that the feeder has, to all who are in. */
static void cast_all(struct eci_copy_job *j, struct eci_cast *cast, struct eci_copy_target **of, struct eci_feeder *f)
{
	uint64_t told = 0;
	while (cast->ins && eci_feeder_more(f) && eci_copy_pace(&j->k, eci_buf_len(&f->out))) {
		while (eci_buf_len(&f->out) && !eci_copy_stopped(&j->k)) {
			size_t n = eci_buf_len(&f->out);
			n = n < ECI_CAST_CHUNK ? n : ECI_CAST_CHUNK;
			int r = eci_cast_write(cast, eci_buf_data(&f->out), n, ECI_COPY_LOOK_MS);
			group_moved(cast, of, r == 0);
			if (r > 0)
				eci_buf_drain(&f->out, n);
			if (r < 0)
				break;
			cast_rest(j, cast, of);
		}
		for (size_t i = 0; i < cast->n; i++) {
			struct eci_copy_target *t = cast->v[i].in ? of[i] : NULL;
			if (t)
				(void)eci_target_answers(t, 0);
			if (t && t->refused)
				eci_cast_leave(cast, i);
		}
		atomic_fetch_add(&j->k.done, (f->sent - told) * cast->ins);
		told = f->sent;
		if (!cast->ins || j->k.stop)
			break;
	}
}

/* Of v, which are not asked yet: so it is with those that have begun. */
static void tell_begun(struct eci_copy_target *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!v[i].apart && !v[i].gone && v[i].ch && v[i].watch->what == ECI_COPY_FOR_BEGIN &&
		    eci_channel_opened(v[i].ch, 0) > 0)
			eci_copy_moved(v[i].watch, ECI_COPY_FOR_NOTHING);
}

/* Begins `put` in all of the group, some at the same time. How many have; who does not in time is left to itself. */
static size_t open_group(struct eci_copy_job *j, uint32_t gid, struct eci_cast_member *v, struct eci_copy_target **of)
{
	size_t n = 0, next = 0, under_way = 0;
	for (size_t i = 0; i < j->n; i++) {
		for (; next < j->n && under_way < ECI_COPY_OPENING_MAX; next++)
			if (!j->v[next].apart && !j->v[next].gone)
				under_way += eci_target_begin(&j->v[next], gid);
		struct eci_copy_target *t = &j->v[i];
		if (t->apart || t->gone)
			continue;
		under_way--;
		int r = 0;
		while (!(r = opened(t)) && !holds_up(t))
			tell_begun(t + 1, next - i - 1);
		if (!r)
			eci_copy_thread(&j->k, alone, t, NULL); /* not what it waits for */
		if (r <= 0)
			continue;
		v[n] = (struct eci_cast_member){.x = eci_channel_stream(t->ch), .id = t->call->at->id};
		of[n++] = t;
	}
	return n;
}

static void together(void *arg)
{
	struct eci_copy_job *j = arg;
	uint32_t gid = eci_cast_gid(j->k.mesh);
	struct eci_cast_member *v = calloc(j->n, sizeof *v);
	struct eci_copy_target **of = calloc(j->n, sizeof(struct eci_copy_target *));
	struct eci_feeder *f = malloc(sizeof *f);
	struct eci_cast cast = {0};
	bool memory = v && of && f;
	size_t n = memory ? open_group(j, gid, v, of) : 0;
	for (size_t i = 0; i < j->n && !memory; i++) /* each has failed: nobody else looks after them */
		if (!j->v[i].apart && !j->v[i].gone)
			eci_target_fail(&j->v[i], ECTX_E_NO_MEMORY, "");
	if (n) {
		(void)eci_cast_init(&cast, j->k.mesh, gid, v, n);
		eci_feeder_init(f, &j->s, 0, of[0]->algorithm, &eci_form_values);
		f->failed = unreadable;
		f->arg = j;
		for (size_t i = 0; i < n; i++)
			of[i]->left_out = f->left_out;
		cast_all(j, &cast, of, f);
		if (!j->k.stop)
			eci_cast_end(&cast);
		cast_rest(j, &cast, of); /* those too who could not be told the end */
		for (size_t i = 0; i < cast.n; i++)
			if (of[i])
				eci_target_conclude(of[i]);
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
static size_t greet(struct eci_copy_job *j)
{
	struct eci_copy_peer *v = calloc(j->n, sizeof *v);
	for (size_t i = 0; v && i < j->n; i++)
		v[i].c = j->v[i].c;
	size_t there = v ? eci_copy_greet(&j->k, v, j->n) : 0;
	for (size_t i = 0; v && i < j->n; i++) {
		j->v[i].gone = v[i].gone;
		j->v[i].by_shell = v[i].no_python;
		j->v[i].algorithm = v[i].algorithm;
		j->v[i].greeting = v[i].silent ? v[i].call : NULL;
		j->v[i].apart = v[i].no_python || j->v[i].greeting;
	}
	if (!v)
		eci_target_fail(&j->v[0], ECTX_E_NO_MEMORY, "");
	free(v);
	return there;
}

/* Whether they can be served as a group: several that have a digest in common. */
static bool alike(const struct eci_copy_job *j)
{
	const char *one = NULL;
	size_t n = 0;
	for (size_t i = 0; i < j->n; i++) {
		if (j->v[i].gone || j->v[i].apart)
			continue;
		if (!j->v[i].algorithm || (one && one != j->v[i].algorithm))
			return false;
		one = j->v[i].algorithm;
		n++;
	}
	return n > 1;
}

static int by_place(const void *a, const void *b)
{
	const ectx_context *one = *(ectx_context *const *)a, *other = *(ectx_context *const *)b;
	const uintptr_t x = (uintptr_t)one, y = (uintptr_t)other;
	return x < y ? -1 : x > y;
}

/* Each context once, and all of one mesh: they share its lock, and two of one would write the same files. */
static int check(ectx_context *const *contexts, size_t n, struct eci_fail *fail)
{
	ectx_context **v = calloc(n ? n : 1, sizeof(ectx_context *));
	if (!v)
		return -1; /* no-memory, as fail says */
	bool good = n != 0;
	for (size_t i = 0; i < n; i++) {
		v[i] = contexts[i];
		good &= v[i]->mesh == v[0]->mesh;
	}
	qsort(v, n, sizeof *v, by_place);
	for (size_t i = 1; i < n; i++)
		good &= v[i] != v[i - 1];
	free(v);
	if (!good)
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     "a copy is to one context or several, of one mesh, each named once");
	return good ? 0 : -1;
}

enum ectx_status ectx_copy_to(ectx_context *const *contexts, size_t n, const char *const *sources, const char *dest,
			      const ectx_copy_options *options, ectx_copy_result *result, ectx_error *err)
{
	struct eci_copy_job j = {.dest = dest, .n = n, .single = sources[0] && !sources[1]};
	j.single = j.single && !eci_source_contents(sources[0]);
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	bool good = eci_copy_check(sources, dest, result, &fail) == 0 && check(contexts, n, &fail) == 0;
	j.v = good ? calloc(n, sizeof *j.v) : NULL;
	if (!j.v || eci_copy_begin(&j.k, options, contexts, n)) {
		free(j.v);
		eci_error_from(err, &fail, NULL);
		return err->status;
	}
	for (size_t i = 0; i < n; i++)
		j.v[i] = (struct eci_copy_target){.job = &j, .c = contexts[i], .watch = &j.k.watches[i]};
	if (eci_sources_walk(&j.s, sources, unreadable, &j) || (!j.single && eci_sources_once(&j.s, twice, &j)))
		eci_target_fail(&j.v[0], ECTX_E_NO_MEMORY, "the list of files");
	size_t there = j.s.n ? greet(&j) : 0;
	j.k.total = j.s.total * there;
	bool group = there && !j.k.o->resume && alike(&j);
	if (group)
		eci_copy_thread(&j.k, together, &j, NULL);
	for (size_t i = 0; there && i < n; i++)
		if ((!group && !j.v[i].gone) || j.v[i].apart) /* one that is silent: not what it waits for */
			eci_copy_thread(&j.k, alone, &j.v[i], j.v[i].greeting ? NULL : j.v[i].watch);
	enum ectx_status status = eci_copy_finish(&j.k, result, err);
	for (size_t i = 0; i < n; i++)
		eci_target_let_go(&j.v[i]);
	eci_sources_free(&j.s);
	free(j.v);
	return status;
}
