/* io: the folders that modules and data are served from, as the world of a responder (service/service.h). */
#ifndef ECI_IO_ROOTS_H
#define ECI_IO_ROOTS_H

#include "service/service.h"

struct eci_roots; /* the ctx of eci_roots_ops */

/* folders: NULL-terminated, searched in this order; what is no folder is left out. Reads none of them yet. NULL: no
 * memory. One thread at a time; finding blocks on the disk. */
struct eci_roots *eci_roots_new(const char *const *folders);
void eci_roots_free(struct eci_roots *r); /* NULL-safe */
/* The path of a folder below them that has more than ECI_FOLDER_ITEMS_MAX items, of which the rest is not seen: each
 * once, in the order in which they were read. NULL: no further one. Valid as long as r. */
const char *eci_roots_cut(struct eci_roots *r);
/* What of this name, a module's, lies there and is not served: an extension module, or bytecode without its source. A
 * path, as long as out has room for; false: nothing, or no memory. */
bool eci_roots_not_source(struct eci_roots *r, const char *module, char *out, size_t room);
extern const struct eci_source_ops eci_roots_ops;

#endif
