/* A place among a parent's dials, and one who gets it and cannot begin, as memory runs out at that moment: the next has
 * it then, as one place wakes one. */
#include "core/mem.h"
#include "transport/dialogue.h"
#include "mesh_support.h"

#include <stdatomic.h>

static atomic_int dialogues; /* that were asked for */
static atomic_int refused;   /* which of them has no memory; 0: none */

/* In the place of io/mem.c, which the library takes from its archive only when nobody else has them. */
void *eci_mem_alloc(size_t size)
{
	bool one = size == sizeof(struct eci_dialogue);
	return one && atomic_fetch_add(&dialogues, 1) + 1 == atomic_load(&refused) ? NULL : malloc(size);
}

void eci_mem_free(void *p)
{
	free(p);
}

static const char leaves[] = "econtext: 1\n"
			     "defaults: {native: never}\n"
			     "nodes:\n"
			     "  front: {local: {}, dial_window: 1}\n"
			     "  leaf-[1-4]: {local: {}, via: front}\n";

/* The nth of four has no memory: the others are there. */
static void one_of_four(int nth)
{
	ectx_error err = {0};
	ectx_topology *t = ectx_topology_parse(leaves, sizeof leaves - 1, "test", &err);
	ectx_mesh *m;
	ectx_future *f[4];
	int failed = 0;
	cr_assert(t && ectx_mesh_new(&m, &(ectx_options){.topology = t}, &err) == 0, "%s", err.saw);
	cr_assert(call_int(get(m, "front"), "os:getpid", NULL) > 0);
	atomic_store(&dialogues, 0);
	atomic_store(&refused, nth);
	for (int i = 0; i < 4; i++) {
		char name[] = {'l', 'e', 'a', 'f', '-', (char)('1' + i), 0};
		f[i] = start(get(m, name), "os:getpid", NULL, -1);
	}
	for (int i = 0; i < 4; i++) {
		cr_expect(ectx_future_wait(f[i], WITHIN), "leaf-%d waits for ever", i + 1);
		failed += ectx_future_done(f[i]) && ectx_future_error(f[i])->code == ECTX_E_NO_MEMORY;
	}
	cr_expect(failed == 1 && atomic_load(&dialogues) == 4, "%d, %d", failed, atomic_load(&dialogues));
	for (int i = 0; i < 4; i++)
		ectx_future_free(f[i]);
	ectx_mesh_free(m);
	ectx_topology_free(t);
}

Test(dial, one_that_cannot_begin_leaves_its_place)
{
	one_of_four(3);
}

Test(dial, nor_does_the_first_one_keep_it)
{
	one_of_four(1);
}
