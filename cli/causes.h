/* cli: failures of single files, folded over the files that share their cause. */
#ifndef ECI_CLI_CAUSES_H
#define ECI_CLI_CAUSES_H

#include "cli/failures.h"

struct eci_causes {
	struct eci_cause **v;
	size_t n;
};
/* e is of path, at a node, and begins with its name; it is copied, without its detail. node is borrowed. */
void eci_causes_add(struct eci_causes *c, const char *node, const char *path, const ectx_error *e);
/* Adds one failure for each node and cause, and forgets them. */
void eci_causes_move(struct eci_causes *c, struct eci_failures *to);

#endif
