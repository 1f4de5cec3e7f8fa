/* A copy while it runs: its threads, what they count.
 *
 * A copy blocks its caller, whose thread does nothing but tell the progress; the work is done in threads, one a stream
 * (a group is one), because it is reading, hashing and waiting for room, in turn. Whoever gives up (progress said so)
 * sets `stop`, and each thread looks at it between two pieces.
 *
 * Where the system gives no more threads (RLIMIT_NPROC, pids.max), what wants one waits for the first that has done its
 * work, or that can be had after all, so that nobody else is held up by it. Without any thread the caller's does the
 * work, one after the other, and tells the progress where it waits. */
#include "mesh/copy_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TELL_MS 200u
#define PATH_SHOWN \
	1024u         /* bytes, its end, of a longer path: the reason stands behind it in `saw`, and must find room */
#define SAY_MS 30000u /* some bytes to somebody who waits for them */

int eci_copy_check(const char *const *sources, const char *dest, ectx_copy_result *result, struct eci_fail *fail)
{
	bool good = *dest != 0;
	if (result)
		*result = (ectx_copy_result){0};
	for (size_t i = 0; sources[i]; i++)
		good &= *sources[i] != 0;
	if (!good) /* the far ends would differ in what it is, and one takes it for the folder that it is in */
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT, "a path is empty: \".\" is the folder there");
	return good ? 0 : -1;
}

int eci_copy_begin(struct eci_copy *k, const ectx_copy_options *o, ectx_context *const *contexts, size_t n)
{
	static const ectx_copy_options none;
	memset(k, 0, sizeof *k);
	k->o = o ? o : &none;
	k->caller = pthread_self();
	k->mesh = contexts[0]->mesh;
	k->nwatches = n;
	k->watches = calloc(n, sizeof *k->watches);
	if (!k->watches)
		return -1;
	for (size_t i = 0; i < n; i++)
		k->watches[i].c = contexts[i];
	if (!k->o->pace && k->o->limit && !(k->own = ectx_pace_new(k->o->limit))) {
		free(k->watches);
		return -1;
	}
	k->pace = k->o->pace ? k->o->pace : k->own;
	eci_cond_init(&k->ended);
	(void)sem_init(&k->opening, 0, ECI_COPY_OPENING_MAX);
	if (pthread_mutex_init(&k->lock, NULL) == 0)
		return 0;
	ectx_pace_free(k->own);
	free(k->watches);
	return -1;
}

struct eci_copy_work {
	struct eci_copy_work *next;
	void (*run)(void *arg);
	void *arg;
};

/* Does what waits, until nothing does. The lock is held, but for the work. */
static void work(struct eci_copy *k)
{
	struct eci_copy_work *w;
	while ((w = k->waiting) != NULL) {
		k->waiting = w->next;
		(void)pthread_mutex_unlock(&k->lock);
		w->run(w->arg);
		free(w);
		(void)pthread_mutex_lock(&k->lock);
	}
}

static void *thread(void *arg)
{
	struct eci_copy *k = arg;
	(void)pthread_mutex_lock(&k->lock);
	work(k);
	k->running--;
	(void)pthread_cond_signal(&k->ended);
	(void)pthread_mutex_unlock(&k->lock);
	return NULL;
}

/* The lock is held. */
static bool add_thread(struct eci_copy *k)
{
	pthread_t id;
	sigset_t all, old; /* signals are for the program's threads */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(&id, NULL, thread, k);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error)
		return false;
	(void)pthread_detach(id);
	k->running++;
	return true;
}

void eci_copy_thread(struct eci_copy *k, void (*run)(void *arg), void *arg, struct eci_copy_watch *w)
{
	struct eci_copy_work *mine = malloc(sizeof *mine), **at = &k->waiting;
	if (!mine) {
		run(arg);
		return;
	}
	*mine = (struct eci_copy_work){.run = run, .arg = arg};
	(void)pthread_mutex_lock(&k->lock);
	while (*at)
		at = &(*at)->next;
	*at = mine;
	if (!add_thread(k)) {
		k->unserved++;
		if (w)
			eci_copy_moved(w, ECI_COPY_FOR_THREAD);
	}
	(void)pthread_mutex_unlock(&k->lock);
}

void eci_copy_tell(struct eci_copy *k)
{
	k->told_ms = eci_now_ms();
	eci_copy_watch(k);
	if (k->o->progress && k->o->progress(k->o->arg, k->done, k->total))
		k->stop = true;
}

bool eci_copy_stopped(struct eci_copy *k)
{
	if (pthread_equal(k->caller, pthread_self()) && eci_now_ms() - k->told_ms >= TELL_MS)
		eci_copy_tell(k);
	return k->stop;
}

void eci_copy_wait(struct eci_copy *k)
{
	(void)pthread_mutex_lock(&k->lock);
	while (k->running || k->waiting) {
		k->unserved = k->waiting ? k->unserved : 0;
		if (k->unserved && add_thread(k))
			k->unserved--;
		else if (!k->running)
			work(k);
		if (k->running)
			(void)eci_cond_sleep(&k->ended, &k->lock, eci_now_ms() + TELL_MS);
		(void)pthread_mutex_unlock(&k->lock);
		eci_copy_tell(k);
		(void)pthread_mutex_lock(&k->lock);
	}
	(void)pthread_mutex_unlock(&k->lock);
}

enum ectx_status eci_copy_finish(struct eci_copy *k, ectx_copy_result *result, ectx_error *err)
{
	eci_copy_wait(k);
	eci_copy_late(k);
	if (k->stop && !k->late && !k->first.status) { /* late, and nothing failed: all had been done by then */
		struct eci_fail fail = {.code = ECTX_E_CANCELLED};
		eci_error_from(&k->first, &fail, NULL);
		k->worst = k->first;
	}
	k->result.bytes = k->done;
	if (result)
		*result = k->result;
	if (k->first.status)
		*err = k->first;
	(void)pthread_cond_destroy(&k->ended);
	(void)pthread_mutex_destroy(&k->lock);
	(void)sem_destroy(&k->opening);
	ectx_pace_free(k->own);
	free(k->watches);
	return k->worst.status;
}

/* Of several the graver: 7>6>4>3>5>1. */
static int rank(enum ectx_status s)
{
	static const enum ectx_status order[] = {ECTX_OK,          ECTX_FAILED,  ECTX_USAGE,   ECTX_DEADLINE,
						 ECTX_UNREACHABLE, ECTX_REFUSED, ECTX_UNKNOWN, ECTX_INTERNAL};
	for (int i = 0; i < (int)(sizeof order / sizeof *order); i++)
		if (order[i] == s)
			return i;
	return (int)s;
}

void eci_copy_failed(struct eci_copy *k, ectx_context *c, const char *path, const ectx_error *e)
{
	(void)pthread_mutex_lock(&k->lock);
	k->result.failed++;
	if (!k->first.status)
		k->first = *e;
	if (rank(e->status) > rank(k->worst.status))
		k->worst = *e;
	k->first.detail = k->worst.detail = NULL;
	if (k->o->failed)
		k->o->failed(k->o->arg, c, path, e);
	(void)pthread_mutex_unlock(&k->lock);
}

static void tell_failed(struct eci_copy *k, ectx_context *c, const char *path, const char *why, const char *hint)
{
	struct eci_fail fail = {0};
	ectx_error e = {0};
	size_t n = strlen(path), from = n > PATH_SHOWN ? n - PATH_SHOWN : 0;
	eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_COPY_FAILED, "%s%s: %s", from ? "..." : "", path + from, why);
	(void)snprintf(fail.hint, sizeof fail.hint, "%s", hint);
	eci_error_from(&e, &fail, c);
	eci_copy_failed(k, c, path, &e);
}

void eci_copy_failed_here(struct eci_copy *k, ectx_context *c, const char *path, const char *why)
{
	tell_failed(k, c, path, why,
		    k->o->resume ? "nothing of it was left there but what the next --resume goes on from" : "");
}

void eci_copy_left(struct eci_copy *k, ectx_context *c, const char *path, const char *why)
{
	tell_failed(k, c, path, why, "what had come of it is left there: it could not be removed");
}

void eci_copy_unreadable(struct eci_copy *k, ectx_context *c, const char *path, const char *why)
{
	tell_failed(k, c, path, why, "look at the source: nothing was sent of it");
}

void eci_copy_folder_failed(struct eci_copy *k, ectx_context *c, const char *path, const char *why)
{
	tell_failed(k, c, path, why, "nothing below it was copied");
}

void eci_copy_refused(struct eci_copy *k, ectx_context *c, const char *path, const char *why)
{
	tell_failed(k, c, path, why, "nothing was copied there");
}

void eci_copy_arrived(struct eci_copy *k)
{
	(void)pthread_mutex_lock(&k->lock);
	k->result.entries++;
	(void)pthread_mutex_unlock(&k->lock);
}

/* An end that waits for them has room at once; one that does not, and asks on and on, is not waited for for ever. */
bool eci_copy_say(struct eci_copy *k, struct ectx_stream *x, const void *p, size_t n)
{
	uint64_t until = eci_now_ms() + SAY_MS;
	const uint8_t *at = p;
	for (size_t i = 0; i < k->nwatches; i++)
		eci_copy_moved(&k->watches[i], ECI_COPY_FOR_ROOM);
	while (n && !eci_copy_stopped(k)) {
		uint64_t now = eci_now_ms();
		long left = now < until ? (long)(until - now) : 0;
		long w = ectx_stream_write(x, at, n, left < ECI_COPY_LOOK_MS ? left : ECI_COPY_LOOK_MS);
		if (w < 0 && (errno != ETIMEDOUT || !left))
			return false;
		at += w > 0 ? w : 0;
		n -= w > 0 ? (size_t)w : 0;
	}
	return !n;
}
