/* mesh: secrets that steps of the way need (secret.c). */
#ifndef ECI_MESH_SECRET_H
#define ECI_MESH_SECRET_H

#include "mesh/internal.h"

/* Without the lock; asks for what the way to c needs. What could not be had is remembered. False with *fail: the
 * program gave it up, nothing is to be started with it. */
bool eci_secrets_resolve(ectx_context *c, struct eci_fail *fail);
const char *eci_secret_get(ectx_mesh *m, const char *name, const char **why); /* NULL: not to be had */
void eci_secrets_free(ectx_mesh *m);

/* What changes in the environment of what is started here, as eci_proc_start() takes it: these changes (may be NULL),
 * and the variables that hold secrets are not in it. malloc'd, its texts are not; NULL: no memory. */
const char **eci_secret_environ(const ectx_mesh *m, const char *const *changes);

#endif
