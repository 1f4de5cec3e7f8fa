/* router: the functions that the files of this folder share. Nobody outside includes it (tests of this folder may). */
#ifndef ECI_ROUTER_INTERNAL_H
#define ECI_ROUTER_INTERNAL_H

#include "core/cbor.h"
#include "core/mem.h"
#include "router/router.h"
#include "router/state.h"

/* What only a master's router does: it owns all ids, sends to itself and to groups, and has streams that must not be
 * held where they are read. No router of the native agent is one, so its compiler drops all of that. */
#ifdef ECI_NATIVE
enum { ECI_MASTER_TOO = false };
#else
enum { ECI_MASTER_TOO = true };
#endif

/* What may be missing elsewhere, and never is in a native agent: an owner's hooks, the parent link. */
#define ECI_HAS(x) (!ECI_MASTER_TOO || (x))

static inline uint32_t eci_wire(uint32_t len)
{
	return ECI_FRAME_HEADER + len;
}

/* How much of a NUL-terminated text (or NULL) goes into max bytes without half a character at the end. */
size_t eci_text_cut(const char *text, size_t max); /* send.c */

/* ---- interval.c ---- */
bool eci_iv_has(const struct eci_interval *v, uint32_t n, uint32_t id);
bool eci_iv_inside(const struct eci_interval *v, uint32_t n, uint32_t lo, uint32_t hi);
/* Adds [lo, hi] and merges; false if that would make more than ECI_INTERVALS_MAX. v has room for that many. */
bool eci_iv_add(struct eci_interval *v, uint32_t *n, uint32_t lo, uint32_t hi);
struct eci_link *eci_route_find(const struct eci_router *r, uint32_t id);
bool eci_route_meets(const struct eci_router *r, uint32_t lo, uint32_t hi, const struct eci_link *except);
int eci_route_rebuild(struct eci_router *r, struct eci_link *l); /* the table takes l's intervals; 0, -1 */
void eci_route_remove(struct eci_router *r, struct eci_link *l);
int eci_link_grant(struct eci_link *l, uint32_t lo, uint32_t hi); /* 0, or of enum eci_refusal */
void eci_lost_add(struct eci_router *r, uint32_t lo, uint32_t hi, const char *evidence);
const char *eci_lost_find(const struct eci_router *r, uint32_t id); /* evidence, or NULL */
struct eci_link *eci_kid_find(const struct eci_router *r, uint32_t peer);
struct eci_link *eci_kid_above(const struct eci_router *r, uint32_t id); /* the next in order; 0: the first; NULL */

/* ---- router.c ---- */
void eci_router_enter(struct eci_router *r, uint64_t now_ms);
void eci_router_leave(struct eci_router *r); /* outermost: delivers what waits for oneself */
void eci_receive(struct eci_link *l, struct eci_frame *f);
void eci_due(struct eci_router *r, uint64_t at);

/* ---- deliver.c ---- */
bool eci_handle_local(uint32_t handle);
const char *eci_handle_refuse(struct eci_router *r, enum eci_origin from, const struct eci_link *l,
			      const struct eci_frame *f); /* NULL: may be delivered */
void eci_deliver(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f);
void eci_deliver_whole(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f);
bool eci_read_pair(const struct eci_frame *f, uint64_t *a, uint64_t *b); /* [a, b, ...] */
bool eci_read_block(const struct eci_frame *f, struct eci_interval *v);  /* GRANT's [lo, size] */

/* ---- send.c ---- */
void eci_link_break(struct eci_link *l, const char *reason, const char *detail);
void eci_wake(struct eci_link *l);
/* A link-local control frame: a, [a] or [a, b], by how many items. */
void eci_tell(struct eci_link *l, uint32_t handle, unsigned items, uint64_t a, uint64_t b);
int eci_tell_scratch(struct eci_link *l, uint32_t handle); /* the same of what is in scratch; codes of eci_link_put() */
/* A frame of this context's own. */
struct eci_frame eci_own_frame(const struct eci_router *r, enum eci_class cls, uint32_t dst, uint32_t handle,
			       const struct eci_buf *body);
/* Queues a frame on a link; owed as in struct eci_item. blob: its body, to be shared, or NULL. 0 or a code of
 * eci_router_send(). */
int eci_link_put(struct eci_link *l, const struct eci_frame *f, uint32_t owed, bool local, struct eci_blob *blob);
int eci_route_put(struct eci_router *r, const struct eci_frame *f); /* an own single frame, to wherever dst is */
/* The link that leads to dst; NULL: oneself, or of a block of this router's own that no child has. */
struct eci_link *eci_way_to(const struct eci_router *r, uint32_t dst);

/* ---- queue.c ---- */
int eci_fifo_put(struct eci_buf *b, const struct eci_frame *f);
bool eci_is_large(const struct eci_frame *f); /* more than a frame of its class: only of this context's own */
int eci_bulk_put(struct eci_link *l, const struct eci_frame *f, uint32_t owed, bool local, struct eci_blob *blob);
bool eci_bulk_ready(struct eci_link *l); /* a bulk frame may go now */
int eci_bulk_emit(struct eci_link *l);   /* appends the next one to l->out; after eci_bulk_ready() */
void eci_bulk_clear(struct eci_link *l);
void eci_item_free(struct eci_router *r, struct eci_item *it);
struct eci_item *eci_item_new(const struct eci_frame *f, uint32_t owed, bool local, struct eci_blob *blob);
struct eci_blob *eci_blob_new(struct eci_router *r, const void *body, size_t len);
void eci_blob_drop(struct eci_router *r, struct eci_blob *b);

/* ---- flow.c ---- */
#define ECI_QUANTUM eci_wire(ECI_BULK_BODY_MAX)
struct eci_flow *eci_flow_find(const struct eci_link *l, const struct eci_frame *f, bool large);
struct eci_flow *eci_flow_get(struct eci_link *l, const struct eci_frame *f, bool large); /* makes it; NULL no memory */
void eci_flow_free(struct eci_link *l, struct eci_flow *w);
void eci_flow_park(struct eci_link *l, struct eci_flow *w, bool park);

/* ---- link.c ---- */
void eci_link_free(struct eci_link *l);

/* ---- credit.c ---- */
void eci_credit_sent(struct eci_link *l, uint32_t size);
bool eci_credit_got(struct eci_link *l, uint32_t size); /* false: the link was ended */
void eci_credit_owe(struct eci_link *l, uint32_t size);
void eci_credit_settle(struct eci_link *l); /* after some of it: sends an ACK that is due */
void eci_credit_acked(struct eci_link *l, uint64_t n);
void eci_credit_sample(struct eci_link *l, uint32_t rtt_ms);
void eci_credit_flush(struct eci_link *l);

/* ---- pause.c ---- */
void eci_pause_got(struct eci_link *l, uint32_t lo, uint32_t hi);
void eci_resume_got(struct eci_link *l, uint32_t lo, uint32_t hi);
void eci_pause_join(struct eci_link *l, struct eci_flow *w); /* a new flow */
void eci_pause_count(struct eci_link *l, struct eci_flow *w, uint32_t added, uint32_t taken);
void eci_pause_move(struct eci_link *l, const struct eci_interval *v, uint32_t n); /* its intervals are to be these */
void eci_pause_clear(struct eci_link *l, bool tell);

/* ---- collect.c ---- */
bool eci_collect_take(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f);
void eci_collect_forget(struct eci_router *r, const struct eci_link *l); /* NULL: all */

/* ---- slot.c ---- */
struct eci_slot *eci_slot_find(const struct eci_router *r, uint32_t handle);
void eci_slot_take(struct eci_router *r, enum eci_origin from, struct eci_link *l, const struct eci_frame *f);
void eci_slot_fail(struct eci_router *r, const struct eci_interval *v, uint32_t n, uint32_t at, const char *reason,
		   const char *evidence);                                                  /* n 0: all */
void eci_slot_refuse(struct eci_router *r, const struct eci_frame *f, const char *reason); /* f, its answer, is lost */
void eci_slot_free_all(struct eci_router *r);

/* ---- stream.c ---- */
bool eci_stream_credit(struct eci_router *r, const struct eci_frame *f); /* false: it is no stream's */
void eci_streams_tick(struct eci_router *r);

/* ---- group.c ---- */
bool eci_group_got(struct eci_router *r, const struct eci_frame *f); /* false: it does not decode */
void eci_group_multicast(struct eci_router *r, struct eci_link *from, struct eci_frame *f);
struct eci_group *eci_group_find(struct eci_router *r, uint32_t gid);

/* ---- beat.c ---- */
void eci_beat_start(struct eci_link *l);
void eci_beat_pong(struct eci_link *l, uint64_t n);
void eci_beat_want(struct eci_link *l); /* the link wants credit: measure soon */

#endif
