/* mesh, internal: what the files that connect a context share: connect.c (its life), actions.c (what the dialogue
 * wants, as frames), image.c, hello.c and ids.c. The mesh's lock is held. */
#ifndef ECI_MESH_CONNECT_H
#define ECI_MESH_CONNECT_H

#include "mesh/internal.h"

#define ECI_STAGE_MAX 512u

/* ids.c */
uint32_t eci_ids_wanted(const ectx_context *c); /* size of the block that a new incarnation of c gets */
/* Gives c its block, out of its parent's. 0, -1: none is left, or a code of eci_router_grant(). */
int eci_ids_take(ectx_context *c);
void eci_ids_keep(ectx_context *c); /* for its next attempt: nobody knows them any more */

/* hello.c */
void eci_user_name(char *out, size_t cap);                     /* who runs this program, by the name he goes by */
bool eci_title_fits(const char *title);                        /* as in a topology; NULL: none */
bool eci_overrides_fit(const char *const *prefixes);           /* in a HELLO; NULL: none */
void eci_hello_put(const ectx_context *c, struct eci_buf *b);  /* what c is told first */
uint64_t eci_hello_take(ectx_context *c, struct eci_cbor *b);  /* what it answers, into c; its protocol version */
void eci_text_take(struct eci_cbor *b, char *out, size_t cap); /* the next item, a text, escaped */

/* context.c */
/* The context on the way to c that router `id` speaks of when it says that a frame cannot go on: the one just below. */
const ectx_context *eci_context_below(const ectx_context *c, uint32_t id);

/* image.c */
#define ECI_IMAGE_UNTRIED (-2)
const char *eci_image_for(ectx_context *c);           /* the native agent that its parent can execute; NULL: none */
const char *eci_image_machine(const ectx_context *c); /* as uname -m names it */
void eci_image_close(ectx_mesh *m);

/* actions.c */
void eci_actions_pump(ectx_context *c); /* does what the dialogue wants by now */
void eci_send_raw_ack(ectx_context *c, size_t n);
void eci_send_kill(ectx_context *c);
void eci_random_name(char out[9]); /* 8 characters of [0-9a-z]; guessed by nobody */

/* connect.c */
/* eci_context_down() of one with a link: if this program was stopped for so long that all ends by it, that is said. */
void eci_context_lost(ectx_context *c, const struct eci_fail *fail);
/* A frame of its boot, or what went ahead of one, could not be sent, or was refused by router a->at. */
void eci_context_refused(ectx_context *c, const struct eci_answer *a);
void eci_context_promoted(ectx_context *c); /* PROMOTE is on its way: DIALING -> BOOTING */
/* The first of its agents cannot be booted there, the next one may: BOOTING -> WANTED. */
void eci_context_next_agent(ectx_context *c, const struct eci_fail *why);

#endif
