/* mesh: what contexts ask the master for (asked.c). With the lock. */
#ifndef ECI_MESH_ASKED_H
#define ECI_MESH_ASKED_H

#include "mesh/internal.h"

void eci_asked_take(ectx_mesh *m, struct eci_link *link, const struct eci_frame *f); /* a GET_MODULE */
/* A turn of the loop begins: answers one that waits of each link. True: there are more, for the next turn. */
bool eci_asked_turn(ectx_mesh *m);
void eci_asked_forget(ectx_context *c); /* its link is gone */

#endif
