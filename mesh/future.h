/* mesh: futures from within (future.c, fail.c). Guarded by mesh->lock. Included by internal.h, which has the types. */
#ifndef ECI_MESH_FUTURE_H
#define ECI_MESH_FUTURE_H

struct ectx_future *eci_future_new(ectx_mesh *m, ectx_context *c, enum eci_op kind, long timeout_ms);
/* A new one (NULL: nothing) begins, once the secrets on its way are known; or it ends at once, with `malformed`. No
 * lock. Returns f. */
struct ectx_future *eci_future_start(struct ectx_future *f, const struct eci_fail *malformed);
void eci_future_begin(struct ectx_future *f);   /* enlist; run now or when its context is up */
void eci_future_proceed(struct ectx_future *f); /* WAITING: runs if it can, else sees to it that it will */
void eci_future_rouse(struct ectx_future *f);   /* who waits for it looks again */
size_t eci_future_wait_room(struct ectx_future *f, long timeout_ms); /* of its input; 0: none in time, or it is done */
void eci_future_done(struct ectx_future *f);                         /* error and value are set */
void eci_future_drop(struct ectx_future *f); /* frees one of our own, done or not; the mesh lives */
void eci_futures_hooks(ectx_mesh *m);        /* the loop's thread */

/* ---- fail.c ---- */
void eci_future_fail(struct ectx_future *f, const struct eci_fail *fail, const ectx_context *at);
void eci_future_fail_code(struct ectx_future *f, enum ectx_phase phase, enum ectx_code code, const char *saw,
			  const ectx_context *at);
void eci_future_unsent(struct ectx_future *f, enum ectx_phase phase, int r); /* r: what eci_send() returned */
#define ECI_REASON_NO_MEMORY "no-memory" /* of an answer that was made here: no router says so */
void eci_future_dead(struct ectx_future *f, const struct eci_answer *a);
/* In what an agent said why something cannot be: where a native one has but the number, `Error 2` or `PROGRAM: Error 2`
 * (preamble/native/start.c), what that is called here. */
void eci_name_errno(char *text, size_t cap);
/* Its answer has come, an array: *c is in it. False: it has failed, with this phase if the answer is malformed. */
bool eci_future_heard(struct ectx_future *f, const struct eci_answer *a, enum ectx_phase phase, struct eci_cbor *c);
void eci_cancel(ectx_context *at, uint32_t slot); /* takes back what was asked of it with this slot for the answer */
void eci_future_expire(struct ectx_future *f);    /* its deadline has passed */
void eci_future_cancel(struct ectx_future *f);    /* harmless when it is done */
/* Those whose deadline has passed; the next one. */
uint64_t eci_futures_expire(ectx_mesh *m, uint64_t now);
void eci_futures_fail_all(ectx_mesh *m, enum ectx_code code);

#endif
