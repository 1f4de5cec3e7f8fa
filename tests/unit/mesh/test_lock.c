/* For how long the loop lets callers go first: what it yields is counted, in place of sched_yield(2). */
#include "mesh/internal.h"
#include "mesh_support.h"

enum { LOCK_YIELDS = 64 }; /* loop.c's */

static struct ev_loop *_Atomic loop; /* whose yields are counted */
static atomic_uint longest;

/* Called by the loop's thread alone, between two turns of it. */
int sched_yield(void)
{
	static unsigned turn, run;
	struct ev_loop *l = atomic_load(&loop);
	if (!l)
		return 0;
	run = ev_iteration(l) == turn ? run + 1 : 1;
	turn = ev_iteration(l);
	if (run > atomic_load(&longest))
		atomic_store(&longest, run);
	return 0;
}

/* A caller that wants the lock and does not come to take it: each turn waits for it so often, and goes on. */
Test(lock, the_loop_yields_64_times_and_not_once_more)
{
	struct world w = world_open();
	ectx_context *a = get(w.mesh, "a");
	cr_assert(call_int(a, "work:add", "[1, 2]") == 3);
	eci_lock(w.mesh);
	(void)atomic_fetch_add(&w.mesh->lock_wanted, 1);
	atomic_store(&loop, w.mesh->loop);
	eci_mesh_wake(w.mesh);
	eci_unlock(w.mesh);
	for (struct timespec from = now(); atomic_load(&longest) < LOCK_YIELDS && ms_since(&from) < WITHIN;)
		nap_ms(1);
	cr_expect(call_int(a, "work:add", "[2, 2]") == 4);
	atomic_store(&loop, NULL);
	(void)atomic_fetch_sub(&w.mesh->lock_wanted, 1);
	cr_expect(atomic_load(&longest) == LOCK_YIELDS, "%u", atomic_load(&longest));
	world_close(&w);
}
