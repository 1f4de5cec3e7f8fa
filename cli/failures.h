/* cli: failures, folded over the nodes that share them. */
#ifndef ECI_CLI_FAILURES_H
#define ECI_CLI_FAILURES_H

#include <stddef.h>
#include "econtext/error.h"

struct eci_failures {
	struct eci_failure *v;
	size_t n;
};
/* e is copied. node is borrowed. */
void eci_failures_add(struct eci_failures *f, const char *node, size_t index, const ectx_error *e);
/* Prints the blocks on stderr, and forgets them. */
void eci_failures_print(struct eci_failures *f);
/* What stands after "econtext: " for an error that belongs to no node: a topology that does not load, a target that
 * does not exist. Returns its status. */
int eci_complain(ectx_error *e);

#endif
