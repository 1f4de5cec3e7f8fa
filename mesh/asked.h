/* mesh: what contexts ask the master for (asked.c). With the lock. */
#ifndef ECI_MESH_ASKED_H
#define ECI_MESH_ASKED_H

#include "mesh/internal.h"

void eci_asked_take(ectx_mesh *m, struct eci_link *link, const struct eci_frame *f); /* a GET_MODULE */
/* A turn of the loop begins: answers one that waits of each link. When to look again; UINT64_MAX: nothing waits. */
uint64_t eci_asked_turn(ectx_mesh *m, uint64_t now);
void eci_asked_forget(ectx_context *c); /* its link is gone */

#endif
