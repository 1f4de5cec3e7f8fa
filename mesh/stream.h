/* mesh: streams: those of exec and run, those to something outside, and what joins them to descriptors. Guarded by
 * mesh->lock; functions named eci_* want it held. */
#ifndef ECI_MESH_STREAM_H
#define ECI_MESH_STREAM_H

#include "mesh/internal.h"

/* ---- output.c: the streams of exec and run ---- */
bool eci_outputs_open(struct ectx_future *f); /* false: no memory */
void eci_outputs_close(struct ectx_future *f);
void eci_outputs_end_input(struct ectx_future *f);

#endif
