/* mesh: programs that `run` and `call ./file` bring along (modules.c), and scripts for a shell (script.c). */
#ifndef ECI_MESH_PROGRAM_H
#define ECI_MESH_PROGRAM_H

#include "mesh/internal.h"

uint8_t *eci_file_read(const char *file, size_t *n, struct eci_fail *fail); /* malloc'd; NULL with *fail. No lock */
/* Serves n bytes of `file` as `stem`, or what it is else called; name: as what, see service.h: the same bytes as the
 * same, however often they are run. 0 or -1 with *fail. Takes the lock. */
int eci_program_serve(ectx_mesh *m, const char *stem, const char *file, const uint8_t *bytes, size_t n,
		      char name[ECI_MODULE_NAME_MAX + 1], struct eci_fail *fail);
/* Reads and serves what a call names. 0 or -1 with *fail. Takes the lock. */
int eci_program_add(ectx_mesh *m, const char *stem, const char *file, char name[ECI_MODULE_NAME_MAX + 1],
		    struct eci_fail *fail);

/* The command that runs this script, when its first line names a shell: one malloc'd block; else NULL, and *fail is set
 * if it is one that cannot be sent. argv: what stands for $0 and its arguments; it must live as long as the result. */
const char **eci_script_command(const uint8_t *text, size_t n, const char *const *argv, struct eci_fail *fail);

#endif
