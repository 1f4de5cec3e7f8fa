/* io: where the walk along a name stands (roots.c), and what lies there (place.c). */
#ifndef ECI_IO_PLACE_H
#define ECI_IO_PLACE_H

#include "io/folder.h"
#include "service/service.h"

#define ECI_PY_SUFFIX ".py"
#define ECI_PY_INIT "__init__.py"

struct eci_place {
	struct eci_folder **list; /* as many as there are roots */
	size_t count;
	enum eci_module_kind kind;
	struct eci_folder_item *module; /* kind MODULE: the file, in list[0] */
	bool in_package;                /* a package lies on the way here */
	bool dotted;                    /* every part could be one of a module's name */
};

/* NULL: none, a folder, or strange. */
struct eci_folder_item *eci_file_in(const struct eci_folder *f, struct eci_fence *fence, const char *name);
/* Is this, n bytes, one part of a module's name? */
bool eci_part_valid(const char *part, size_t n);
/* The module or package that p is; the data `file` in it, or the listing ("") of it. *out stays missing when it is
 * none, or may not be read. 0, or -1: no memory, with something in *out perhaps. */
int eci_place_module(struct eci_fence *fence, const struct eci_place *p, struct eci_source *out);
int eci_place_data(struct eci_fence *fence, const struct eci_place *p, const char *file, struct eci_source *out);

#endif
