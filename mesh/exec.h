/* mesh: commands (exec.c). */
#ifndef ECI_MESH_EXEC_H
#define ECI_MESH_EXEC_H

#include "mesh/internal.h"

/* As ectx_exec_start(); `command` NULL, or who takes its streams (command.h), which lives as long as the future. */
struct ectx_future *eci_exec_new(ectx_context *c, const ectx_exec *x, long timeout_ms, struct eci_command *command);

#endif
