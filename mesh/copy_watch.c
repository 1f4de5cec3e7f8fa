/* What a copy waits for at each of its contexts, and since when: by its threads it is noted, by the caller's looked at.
 *
 * Nothing ends a copy by itself while its links live: a disk that hangs takes nothing, and a relay that loses what it
 * should carry lets nothing come. So whoever waits for STALL_MS is told of, then after twice as long each time, and
 * once when it goes on. What is done here meanwhile (a file is read, a rate is kept to) is nothing that is waited for.
 */
#include "mesh/copy_run.h"

#include <stdio.h>

#define STALL_MS 15000u /* as the program waits before it tells what has failed beside others that run on */
#define STOOD_MS 1000u  /* whose last movement is older did not only come too slowly */

static const char *const what[] = {
	[ECI_COPY_FOR_CONTEXT] = "it has not answered yet",         [ECI_COPY_FOR_BEGIN] = "it does not begin",
	[ECI_COPY_FOR_THREAD] = "no thread can be had for it here", [ECI_COPY_FOR_ROOM] = "it takes no more",
	[ECI_COPY_FOR_ANSWER] = "it does not say what has arrived", [ECI_COPY_FOR_BYTES] = "nothing more comes",
};

void eci_copy_moved(struct eci_copy_watch *w, enum eci_copy_for next)
{
	atomic_store(&w->what, next);
	atomic_store(&w->since, eci_now_ms());
}

static void look(struct eci_copy *k, struct eci_copy_watch *w, uint64_t now)
{
	unsigned kind = atomic_load(&w->what);
	uint64_t since = atomic_load(&w->since), ms = now > since ? now - since : 0;
	if (w->over || k->stop) /* what its threads do now is to end */
		return;
	if (w->told_ms && since != w->told_since) {
		w->told_ms = 0;
		k->o->stalled(k->o->arg, w->c, 0, "");
	}
	if (kind == ECI_COPY_FOR_NOTHING || ms < (w->told_ms ? 2 * w->told_ms : STALL_MS))
		return;
	w->told_ms = ms;
	w->told_since = since;
	k->o->stalled(k->o->arg, w->c, ms, what[kind]);
}

void eci_copy_watch(struct eci_copy *k)
{
	uint64_t now = eci_now_ms();
	for (size_t i = 0; k->o->stalled && i < k->nwatches; i++)
		look(k, &k->watches[i], now);
	if (k->stop || k->o->timeout_ms <= 0 || !k->connected_ms || now - k->connected_ms < (uint64_t)k->o->timeout_ms)
		return;
	for (size_t i = 0; i < k->nwatches; i++)
		if (now - atomic_load(&k->watches[i].since) >= STOOD_MS)
			k->watches[i].late_for = atomic_load(&k->watches[i].what);
	k->late = true;
	k->stop = true;
}

void eci_copy_is_late(struct eci_copy *k, const struct eci_copy_watch *w, uint64_t limit_ms)
{
	struct eci_fail fail = {0};
	ectx_error e = {0};
	eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_DEADLINE, "%s",
		     w->late_for ? what[w->late_for] : "not all of it has been copied");
	fail.limit_ms = fail.after_ms = (uint32_t)limit_ms;
	(void)snprintf(fail.hint, sizeof fail.hint, "not done within the limit that was given: %s",
		       k->o->resume ? "the next --resume goes on from what has come" : "what had arrived is there");
	eci_error_from(&e, &fail, w->c);
	eci_copy_failed(k, w->c, NULL, &e);
}

void eci_copy_late(struct eci_copy *k)
{
	for (size_t i = 0; k->late && i < k->nwatches; i++)
		if (!k->watches[i].over)
			eci_copy_is_late(k, &k->watches[i], (uint64_t)k->o->timeout_ms);
}
