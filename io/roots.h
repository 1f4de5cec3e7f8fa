/* io: the folders that modules and data are served from, as the world of a responder (service/service.h). */
#ifndef ECI_IO_ROOTS_H
#define ECI_IO_ROOTS_H

#include "service/service.h"

#include <sys/types.h>

struct eci_roots; /* the ctx of eci_roots_ops */

/* folders: NULL-terminated, searched in this order; what is no folder is left out. Reads none of them yet. NULL: no
 * memory. One thread at a time; finding blocks on the disk. */
struct eci_roots *eci_roots_new(const char *const *folders);
void eci_roots_free(struct eci_roots *r); /* NULL-safe */
/* The path of a folder below them that has more than ECI_FOLDER_ITEMS_MAX items, of which the rest is not seen: each
 * once, in the order in which they were read. NULL: no further one. Valid as long as r. */
const char *eci_roots_cut(struct eci_roots *r);
/* Before anything is looked for: of a root that all may write to (o+w) only what is root's or one of these users' is
 * served, each folder and file of it; the rest is not there. */
void eci_roots_guard(struct eci_roots *r, uid_t user, uid_t other);
/* Of a name that was looked for: what lies on the way to it and is not there for that reason, in words, as long as out
 * has room. false: nothing, or no memory. once: nor if it was said before, of whatever name. */
bool eci_roots_strange(struct eci_roots *r, const char *name, bool once, char *out, size_t room);
/* What of this name, a module's, lies there and is not served: an extension module, or bytecode without its source. A
 * path, as long as out has room for; false: nothing, or no memory. */
bool eci_roots_not_source(struct eci_roots *r, const char *module, char *out, size_t room);
extern const struct eci_source_ops eci_roots_ops;

#endif
