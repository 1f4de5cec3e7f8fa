/* mesh, internal: what is sent ahead of what needs it (ahead.c). The mesh's lock is held. */
#ifndef ECI_MESH_AHEAD_H
#define ECI_MESH_AHEAD_H

#include "mesh/internal.h"

/* Sends a part of the agent, once; *has is c's has_... of it. Not 0, a code of eci_router_send(): it was not sent, and
 * nothing is to be that needs it. */
int eci_context_part(ectx_context *c, const char *part, bool *has);
/* [lo, lo+size) for c: of its parent's, whose own GRANT of it went before. 0, or a code of eci_router_grant(). */
int eci_ahead_grant(ectx_context *c, uint32_t lo, uint32_t size);
void eci_ahead_forget(ectx_context *c); /* its incarnation is over */

#endif
