/* service: GET_MODULE as a router answers it: from its cache, or its parent's, once for all who ask (docs/protocol.md
 * section 11). Freestanding. */
#ifndef ECI_SERVICE_MODCACHE_H
#define ECI_SERVICE_MODCACHE_H

#include "router/router.h"

#define ECI_MODCACHE_MAX (64u * 1024u * 1024u) /* bytes of entries; past it the oldest go */
#define ECI_MODCACHE_ENTRIES 65536u            /* and so many: of what is missing each is only a few bytes */
#define ECI_MODULE_NAME_MAX 255u
#define ECI_MODULES_WAITED_MAX 4096u /* questions of a child that wait: as many as of one wait at the master */
/* Of an answer, beside the entry asked for; what is beyond is asked for when it is needed. */
#define ECI_ANSWER_BYTES_MAX (8u * 1024u * 1024u) /* a few seconds of a slow link */
#define ECI_ANSWER_ITEMS_MAX 65536u               /* CBOR items: far below what a body may hold */
#define ECI_ENTRY_ITEMS 8u                        /* of an entry, beside its imports and children */

struct eci_modcache;

struct eci_modcache *eci_modcache_new(struct eci_router *r);
/* A child's GET_MODULE. False: it does not decode, which ends the link. */
bool eci_modcache_deliver(struct eci_modcache *m, const struct eci_frame *f, uint64_t now_ms);
/* Answers those who waited for room (eci_router_full()), as far as there is some: after each round of writing. */
void eci_modcache_turn(struct eci_modcache *m, uint64_t now_ms);
/* The link of this child is gone: what was sent over it and who waits behind it is forgotten. */
void eci_modcache_forget(struct eci_modcache *m, uint32_t child);
uint32_t eci_modcache_count(const struct eci_modcache *m);    /* modules held */
uint32_t eci_modcache_requests(const struct eci_modcache *m); /* sent up */

#endif
