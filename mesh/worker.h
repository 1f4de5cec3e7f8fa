/* mesh, internal: the Python beside a native context (worker.c). The mesh's lock is held. */
#ifndef ECI_MESH_WORKER_H
#define ECI_MESH_WORKER_H

#include "mesh/internal.h"

ectx_context *eci_worker_of(ectx_context *c);           /* makes it once; NULL: no memory */
ectx_context *eci_context_shown(const ectx_context *c); /* who stands for it to the program: a worker's host */
bool eci_worker_takes(const struct ectx_future *f);     /* is it the worker's work, as its context is now? */
void eci_worker_give_back(ectx_context *c);             /* c is native no more: what waits for its worker waits for c */

#endif
