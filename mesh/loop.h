/* mesh: the lock and the loop (loop.c). Included by internal.h. */
#ifndef ECI_MESH_LOOP_H
#define ECI_MESH_LOOP_H

#include "econtext/econtext.h"

uint64_t eci_now_ms(void); /* monotonic */
void eci_lock(ectx_mesh *m);
void eci_unlock(ectx_mesh *m);    /* flushes what was queued to links first */
void eci_mesh_wake(ectx_mesh *m); /* makes the loop look again; from any thread */
void eci_wake_by(ectx_mesh *m, uint64_t when_ms);
int eci_loop_start(ectx_mesh *m);     /* makes the loop and its thread; 0 or not */
uint64_t eci_mesh_held(ectx_mesh *m); /* ms for which the loop could not run, when that is over just now; else 0 */

#endif
