/* The beginning of a copy: its contexts are asked what digests they have, which also connects them, all at the same
 * time.
 *
 * One that is there and has no Python says so here, by the worker that could not be booted.
 *
 * What the user gave as a limit is for connecting: who is not there in time was not reached, and nothing has run. */
#include "mesh/copy_run.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {"blake2b", "sha256"}; /* best first */
#define NAMES (sizeof names / sizeof *names)

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

/* Those that were done before they were asked are not waited for. */
static void tell(struct eci_copy *k, const struct eci_copy_peer *v)
{
	for (size_t i = 0; i < k->nwatches; i++)
		if (k->watches[i].what && v[i].call && ectx_future_done(v[i].call))
			eci_copy_moved(&k->watches[i], ECI_COPY_FOR_NOTHING);
	eci_copy_tell(k);
}

static void await(struct eci_copy *k, struct eci_copy_peer *v, size_t i)
{
	struct eci_copy_peer *p = &v[i];
	static const ectx_error no_memory = {.status = ECTX_INTERNAL, .code = ECTX_E_NO_MEMORY};
	while (p->call && !k->stop && !ectx_future_wait(p->call, ECI_COPY_LOOK_MS))
		tell(k, v);
	eci_copy_moved(&k->watches[i], ECI_COPY_FOR_NOTHING);
	if (!p->call)
		failed(k, p, &no_memory);
	else if (k->stop)
		p->gone = true;
	else if (lacks_python(p->c, ectx_future_error(p->call)))
		p->no_python = true;
	else if (ectx_future_error(p->call)->status != ECTX_OK)
		failed(k, p, ectx_future_error(p->call));
	for (size_t a = 0; !p->gone && a < NAMES && !p->algorithm; a++)
		if (has(ectx_future_value(p->call), names[a]))
			p->algorithm = names[a];
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
		k->watches[i].over = v[i].gone;
		there += !v[i].gone;
	}
	k->connected_ms = eci_now_ms();
	for (size_t a = 0; a < NAMES; a++) { /* one that all have, for a group */
		bool all = true;
		for (size_t i = 0; i < n; i++)
			all &= v[i].gone || v[i].no_python || has(ectx_future_value(v[i].call), names[a]);
		for (size_t i = 0; all && i < n; i++)
			v[i].algorithm = names[a];
		if (all)
			break;
	}
	for (size_t i = 0; i < n; i++)
		ectx_future_free(v[i].call);
	return k->stop ? 0 : there;
}
