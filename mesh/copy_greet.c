/* The beginning of a copy: its contexts are asked what digests they have, which also connects them, all at the same
 * time.
 *
 * One that is there and has no Python says so here, by the worker that could not be booted.
 *
 * What the user gave as a limit is for connecting: who is not there in time was not reached, and nothing has run.
 *
 * One that is there and does not answer may be slow: what it runs for that comes over its line first, and a Python that
 * runs calls may be busy. So it counts against the limit for the copying, if there is one, but never before GREET_MS,
 * which that takes as a part of the connecting. Others wait for it no longer than for one that does not begin: it is
 * left to itself then, and served alone once it has answered. */
#include "mesh/copy_run.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {"blake2b", "sha256"}; /* best first */
#define NAMES (sizeof names / sizeof *names)
#define GREET_MS 15000u /* as long as nothing is said of it (copy_watch.c) */

static bool has(const ectx_value *list, const char *name)
{
	for (size_t i = 0; i < ectx_value_count(list); i++) {
		const char *s = ectx_value_text(ectx_array_at(list, i));
		if (s && !strcmp(s, name))
			return true;
	}
	return false;
}

static void failed(struct eci_copy *k, struct eci_copy_peer *p, const ectx_error *e)
{
	ectx_error mine = *e;
	p->gone = true;
	if (e->code == ECTX_E_DEADLINE && k->o->connect_timeout_ms > 0) {
		mine.code = ECTX_E_CONNECT_TIMEOUT;
		mine.status = ectx_code_status(mine.code);
		if (mine.phase == ECTX_PHASE_NONE || mine.phase == ECTX_PHASE_CALL)
			mine.phase = ECTX_PHASE_CONNECT;
		(void)snprintf(mine.hint, sizeof mine.hint,
			       "not connected within the limit that was given: a slow way, a firewall, or a host that "
			       "is down");
	}
	eci_copy_failed(k, p->c, NULL, &mine);
}

/* Is the context itself up, and only its worker not to be had? */
static bool lacks_python(const ectx_context *c, const ectx_error *e)
{
	if (e->code != ECTX_E_NO_PYTHON)
		return false;
	eci_lock(c->mesh);
	bool lacks = c->native && eci_context_reachable(c);
	eci_unlock(c->mesh);
	return lacks;
}

/* Those that were done before they were asked are not waited for; since when the others could be is noted. */
static void tell(struct eci_copy *k, struct eci_copy_peer *v)
{
	eci_lock(k->mesh);
	for (size_t i = 0; i < k->nwatches; i++) {
		const ectx_context *at = v[i].call ? v[i].call->at : NULL;
		bool up = at && at->state == ECI_UP && !at->native; /* whose calls are its Python's */
		v[i].up_ms = !up ? 0 : v[i].up_ms ? v[i].up_ms : eci_now_ms();
	}
	eci_unlock(k->mesh);
	for (size_t i = 0; i < k->nwatches; i++)
		if (k->watches[i].what && v[i].call && ectx_future_done(v[i].call))
			eci_copy_moved(&k->watches[i], ECI_COPY_FOR_NOTHING);
	eci_copy_tell(k);
}

/* How long one that is there may be silent, ms. */
static uint64_t limit_of(const struct eci_copy *k)
{
	uint64_t limit = k->o->timeout_ms > 0 ? (uint64_t)k->o->timeout_ms : UINT64_MAX;
	return limit > GREET_MS ? limit : GREET_MS;
}

static bool silent_for(const struct eci_copy_peer *p, uint64_t ms)
{
	return p->up_ms && eci_now_ms() - p->up_ms >= ms;
}

/* What it has answered, or why it has not. */
static void greeted(struct eci_copy *k, struct eci_copy_peer *p, struct eci_copy_watch *w)
{
	static const ectx_error no_memory = {.status = ECTX_INTERNAL, .code = ECTX_E_NO_MEMORY};
	bool stop = k->stop;
	eci_copy_moved(w, ECI_COPY_FOR_NOTHING);
	if (!p->call)
		failed(k, p, &no_memory);
	else if (stop)
		p->gone = true;
	else if (lacks_python(p->c, ectx_future_error(p->call)))
		p->no_python = true;
	else if (ectx_future_error(p->call)->status != ECTX_OK)
		failed(k, p, ectx_future_error(p->call));
	for (size_t a = 0; !p->gone && a < NAMES && !p->algorithm; a++)
		if (has(ectx_future_value(p->call), names[a]))
			p->algorithm = names[a];
	w->over = p->gone && !stop; /* nothing is known of it, then */
}

static void await(struct eci_copy *k, struct eci_copy_peer *v, size_t i)
{
	struct eci_copy_peer *p = &v[i];
	struct eci_copy_watch *w = &k->watches[i];
	uint64_t most = limit_of(k), others = k->nwatches > 1 && most > ECI_COPY_OPEN_MS ? ECI_COPY_OPEN_MS : most;
	while (p->call && !k->stop && !silent_for(p, others) && !ectx_future_wait(p->call, ECI_COPY_LOOK_MS))
		tell(k, v);
	if (!p->call || k->stop || ectx_future_done(p->call)) {
		greeted(k, p, w);
	} else if (silent_for(p, most)) {
		w->late_for = ECI_COPY_FOR_CONTEXT;
		eci_copy_is_late(k, w, most);
		w->over = p->gone = true;
	} else {
		p->silent = true;
	}
}

void eci_copy_greet_late(struct eci_copy *k, struct eci_copy_peer *p, struct eci_copy_watch *w)
{
	while (!eci_copy_stopped(k) && !ectx_future_wait(p->call, ECI_COPY_LOOK_MS))
		;
	greeted(k, p, w);
	ectx_future_free(p->call);
	p->call = NULL;
}

/* An algorithm that all have whose answer is here, for a group. */
static void agree(struct eci_copy_peer *v, size_t n)
{
	for (size_t a = 0; a < NAMES; a++) {
		bool all = true;
		for (size_t i = 0; i < n; i++)
			all &= v[i].gone || v[i].silent || v[i].no_python ||
			       has(ectx_future_value(v[i].call), names[a]);
		for (size_t i = 0; all && i < n; i++)
			v[i].algorithm = v[i].silent ? NULL : names[a];
		if (all)
			break;
	}
}

size_t eci_copy_greet(struct eci_copy *k, struct eci_copy_peer *v, size_t n)
{
	size_t there = 0;
	long limit = k->o->connect_timeout_ms > 0 ? k->o->connect_timeout_ms : -1;
	for (size_t i = 0; i < n; i++) {
		v[i].call = ectx_call_start(v[i].c, "econtext_files:algorithms", NULL, NULL, limit);
		eci_copy_moved(&k->watches[i], ECI_COPY_FOR_CONTEXT);
	}
	for (size_t i = 0; i < n; i++) {
		await(k, v, i);
		there += !v[i].gone;
	}
	k->connected_ms = eci_now_ms();
	agree(v, n);
	for (size_t i = 0; i < n; i++) {
		if (v[i].silent && !k->stop)
			continue;
		ectx_future_free(v[i].call);
		v[i].call = NULL;
	}
	return k->stop ? 0 : there;
}
