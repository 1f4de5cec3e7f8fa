/* service: GET_MODULE as a router answers it: from its cache, or its parent's, once for all who ask (docs/protocol.md
 * section 11). Freestanding. */
#ifndef ECI_SERVICE_MODCACHE_H
#define ECI_SERVICE_MODCACHE_H

#include "router/router.h"

#define ECI_MODCACHE_MAX (64u * 1024u * 1024u) /* bytes of entries; past it the oldest go */
#define ECI_MODCACHE_ENTRIES 65536u            /* and so many: of what is missing each is only a few bytes */
#define ECI_MODULE_NAME_MAX 255u

struct eci_modcache;

struct eci_modcache *eci_modcache_new(struct eci_router *r);
/* A child's GET_MODULE. False: it does not decode, which ends the link. */
bool eci_modcache_deliver(struct eci_modcache *m, const struct eci_frame *f, uint64_t now_ms);
/* The link of this child is gone: what was sent over it and who waits behind it is forgotten. */
void eci_modcache_forget(struct eci_modcache *m, uint32_t child);
uint32_t eci_modcache_count(const struct eci_modcache *m);    /* modules held */
uint32_t eci_modcache_requests(const struct eci_modcache *m); /* sent up */

#endif
