/* service: STATS (docs/protocol.md section 10) of a context written in C. Freestanding. */
#ifndef ECI_SERVICE_STATS_H
#define ECI_SERVICE_STATS_H

#include "router/router.h"

struct eci_stats_rest {
	uint64_t modules, requests, dials; /* keys 5 to 7 */
};
/* Appends the answer's body: sums over all links, and a row for each child. */
void eci_stats_put(struct eci_buf *b, struct eci_router *r, const struct eci_stats_rest *rest);

#endif
