/* mesh: the folders that a copy from a context comes into (copy_folders.c). */
#ifndef ECI_MESH_COPY_FOLDERS_H
#define ECI_MESH_COPY_FOLDERS_H

#include "mesh/copy_in.h"

struct eci_folders {
	int top, fd;                  /* the root; the folder that is held, whose fd it is until the next is entered */
	char held[ECI_PLACE_LONGEST]; /* its way from the root, "" for that */
};
#define ECI_FOLDERS_NULL ((struct eci_folders){.top = -1, .fd = -1})

/* Where the root is held already, nothing. plain: it is no link. 0 or an errno. */
int eci_folders_open(struct eci_folders *f, const char *root, bool plain);
/* Holds the folder of which `way` below the root has n bytes. 0 or an errno: ELOOP where a link is on it. */
int eci_folders_enter(struct eci_folders *f, const char *way, size_t n);
void eci_folders_close(struct eci_folders *f); /* idempotent */

#endif
