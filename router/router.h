/* router: what every context is: interval routing, links, classes and queues, hop credit, slots, groups, heartbeats
 * (docs/protocol.md sections 1.1 and 3 to 6). Pure: bytes and times in, bytes and callbacks out; no descriptor, no
 * clock, freestanding. One router is used by one thread at a time. */
#ifndef ECI_ROUTER_H
#define ECI_ROUTER_H

#include "core/buf.h"
#include "core/frame.h"

/* The limits of docs/protocol.md section 12, and why so much. */
#define ECI_INTERVALS_MAX 32u           /* of a link: its grants grow, so that 32 are all of the ids (mesh/ids.c) */
#define ECI_GROUPS_MAX 64u              /* in a router: as many casts at once, each with a list of members */
#define ECI_PAUSED_MAX 64u              /* intervals of a link, each by itself: then it is paused as a whole */
#define ECI_LOST_KEPT 64u               /* lost children whose evidence a router can still tell */
#define ECI_QUEUE_MAX (1024u * 1024u)   /* bytes of control and call of a link: 0.5 s at 2 MB/s */
#define ECI_CONTROL_MAX (2048u * 1024u) /* bytes of control, apart from calls: past it the link ends */
#define ECI_CONTROL_AT 65536u           /* bytes of it for the parent: above, no child is read (eci_link_crowded()) */
#define ECI_NOTICES_AT 524288u /* bytes of control for a child: more than resets of all the streams of a context */
#define ECI_NOTICES_EACH \
	4096u /* bytes of notices to eight ids there, once it is more: of all, a quarter of QUEUE_MAX */
#define ECI_ANSWERS_MAX (16u * 1024u * 1024u) /* bytes of answers on their way up: docs/adr/0007-answers-wait.md */
#define ECI_CALL_RUN_MAX 65536u               /* bytes of calls in a row: then one frame of bulk goes */
#define ECI_HOP_WINDOW_MIN 65536u             /* bytes: four full frames, so that one is on its way while one is read */
#define ECI_HOP_WINDOW_MAX (16u * 1024u * 1024u) /* bytes: 1 Gbit/s with a round trip of 130 ms */
#define ECI_PAUSE_AT 262144u                   /* bytes of bulk that wait for a child: what a stream may send unasked */
#define ECI_RESUME_AT 65536u                   /* bytes: as many as the least hop window */
#define ECI_STREAM_WINDOW 262144u              /* bytes that may come before the first CREDIT */
#define ECI_GROUPS_BYTES (22u * 1024u * 1024u) /* that all groups together may have under way: they heed no PAUSE */
#define ECI_MESSAGE_MAX (64u * 1024u * 1024u)  /* bytes of one message, whole in the memory of who gets it */
#define ECI_COLLECT_MAX (128u * 1024u * 1024u) /* bytes of all that are not yet whole: two of the largest */
#define ECI_COLLECT_SOURCES 32u                /* whose messages an agent collects at once */
#define ECI_COLLECT_SOURCES_MASTER 4096u       /* whom it asked at once: what they say together COLLECT_MAX bounds */
#define ECI_HELLO_MAX 256u                     /* bytes of the body of HELLO */

struct eci_interval {
	uint32_t lo, hi;
}; /* [lo, hi]: hi INCLUSIVE, so that [0, 2^32) fits */

struct eci_router;
struct eci_link;

/* Where a frame for this context came from, in the words of the authority table. */
enum eci_origin { ECI_FROM_SELF, ECI_FROM_PARENT, ECI_FROM_CHILD };

struct eci_router_ops {
	/* A frame (or a whole large message; then cls is ECI_BULK and len may be up to ECI_MESSAGE_MAX) for a fixed
	 * handle that the router does not handle itself: SHUTDOWN, SPAWN..KILL, PART..OPEN, GET_MODULE, LOG.
	 * Authority has been checked. body is valid during the call. Return false if the handle is not served here: the
	 * router answers no-handle. */
	bool (*deliver)(void *ctx, enum eci_origin from, struct eci_link *link, const struct eci_frame *f);
	/* HELLO arrived: from the parent (f is its configuration; answer with eci_router_send()), or from a child
	 * that is up now. Return NULL, or a reason that ends the link ("version", ...). */
	const char *(*hello)(void *ctx, struct eci_link *link, const struct eci_frame *f);
	/* The link has bytes to write and had none. Called at most once until eci_link_output() was drained. */
	void (*wake)(void *ctx, struct eci_link *link);
	/* The router found this link unusable (reason: a name of section 7's event 8). The caller must call
	 * eci_link_lost() soon, from outside of any router call. */
	void (*broken)(void *ctx, struct eci_link *link, const char *reason, const char *detail);
};

/* ---- life ---- */
/* size 0 with id 0 means the master, which owns everything. A non-master starts with no block if size is 0 and takes it
 * from its own HELLO handling. */
struct eci_router *eci_router_new(uint32_t id, uint32_t size, const struct eci_router_ops *ops, void *ctx);
void eci_router_free(struct eci_router *r); /* NULL-safe; frees links, slots (without calling them) */
uint32_t eci_router_id(const struct eci_router *r);
void eci_router_set_block(struct eci_router *r, uint32_t lo, uint32_t size); /* a non-master, on HELLO */

/* ---- links ---- */
/* Whether [lo, lo+size) could be a child's: inside this router's blocks, without its own id, no other child's. */
bool eci_router_is_free(const struct eci_router *r, uint32_t lo, uint32_t size);
/* A link to a child that owns [lo, lo+size): NULL if out of memory or if that is not free. */
struct eci_link *eci_router_add_child(struct eci_router *r, uint32_t lo, uint32_t size, void *user);
struct eci_link *eci_router_add_parent(struct eci_router *r, void *user); /* at most one; never for the master */
void *eci_link_user(const struct eci_link *l);
uint32_t eci_link_peer(const struct eci_link *l); /* first id of a child; a parent's id once known, else 0 */
bool eci_link_is_parent(const struct eci_link *l);
void eci_link_set_idle(struct eci_link *l, uint32_t idle_ms); /* 0: no heartbeat */
/* Child link: queues HELLO with this body and lets frames flow behind it; no control frame may have been sent to the
 * child before. From now on input is frames. 0; -1: too long, a second one, or no memory (then the link is broken). */
int eci_link_start(struct eci_link *l, const void *hello, size_t n, uint64_t now_ms);
bool eci_link_up(const struct eci_link *l); /* the peer's HELLO has come */

/* Input. Bytes are copied only when a frame is incomplete. Ends by itself after a fatal error (ops->broken was called).
 */
void eci_link_feed(struct eci_link *l, const uint8_t *p, size_t n, uint64_t now_ms);
/* A good max for eci_link_output(): a pipe's worth of bulk, and no frame is left by a few bytes. */
#define ECI_PIECE_MAX (4 * (ECI_FRAME_HEADER + ECI_BULK_BODY_MAX))
/* Output: up to max bytes are gathered into one contiguous piece whose address is stored; 0 when there is nothing to do
 * now. The piece stays valid and is the same until eci_link_wrote() takes n bytes off it (n may be short; the rest is
 * offered again). */
size_t eci_link_output(struct eci_link *l, const uint8_t **p, size_t max);
void eci_link_wrote(struct eci_link *l, size_t n, uint64_t now_ms);
/* Of the parent's: so much control waits there that what children say is better read later. */
bool eci_link_crowded(const struct eci_link *l);
/* The carrier is gone: queued frames are dropped, slots and streams whose respondent lies behind it end with `lost` and
 * this evidence, the interval is remembered as lost (reason NULL: not, as it never was a context's), the link is freed.
 * The parent link's loss ends every slot. */
void eci_link_lost(struct eci_link *l, const char *reason, const char *evidence, uint64_t now_ms);

/* ---- sending ---- */
/* Why something was not sent, or a block or a group not made. */
enum eci_refusal {
	ECI_R_NO_MEMORY = -1,
	ECI_R_TOO_BIG = -2,         /* a group: more ranges than a frame holds */
	ECI_R_NO_ROUTE = -3,        /* a block: or it is another child's */
	ECI_R_BUSY = -4,            /* a queue is full */
	ECI_R_BLOCK_EXHAUSTED = -5, /* the link has too many blocks */
	ECI_R_GROUP_LIMIT = -6
};
/* From this context to dst (itself included: delivered from eci_router_tick() or before return, never re-entrantly
 * inside a deliver callback of the same frame). src, auth, hops are filled in. Bodies above ECI_FRAME_BODY_MAX are cut
 * into fragments (section 1.1). Body is copied. 0 (also when dst's link has failed and was not yet taken away: then it
 * ends the slots behind it), or one of enum eci_refusal: then nothing was sent. */
int eci_router_send(struct eci_router *r, uint8_t cls, uint8_t flags, uint32_t dst, uint32_t handle, uint32_t reply_to,
		    const void *body, size_t len, uint64_t now_ms);
/* The same as a call frame without flags, of a body that was written and is freed, whatever comes of it. -1 if it could
 * not be written; nothing is sent to slot 0. Who waits at the slot for what cannot be sent is told `busy`. */
int eci_router_send_buf(struct eci_router *r, uint32_t dst, uint32_t slot, uint32_t reply_to, struct eci_buf *body,
			uint64_t now_ms);
/* So much of this context's own large messages waits, to dst and to all, that another to dst is better made later: one
 * of any size finds room where this is false. As with streams, n who read nothing hold an (n + 1)th of it each, and
 * there is as much for one more. */
bool eci_router_full(const struct eci_router *r, uint32_t dst);
/* As CBOR text, of what need not be text (a program's raw output, a host's name): at most ECI_NOTICE_EVIDENCE_MAX
 * bytes, and where it is no UTF-8 a `?` for each byte that is not ASCII. */
void eci_text_put(struct eci_buf *s, const char *text);
/* Answer to a request frame with a dead notice of this reason; does nothing if it has reply_to 0 or DEAD. */
void eci_router_dead(struct eci_router *r, const struct eci_frame *f, const char *reason, const char *evidence,
		     uint64_t now_ms);

/* ---- slots (streams: stream.h): local handles from ECI_H_FIRST_SLOT up, used again after 2^32 - 256 others at the
 * soonest ---- */
struct eci_answer {
	const struct eci_frame *f; /* NULL when the answer is a loss */
	bool dead;                 /* a dead notice, or a loss */
	const char *reason;        /* dead: NUL-terminated reason */
	uint32_t at;               /* dead: id of the router that said so (this one for a loss) */
	const char *evidence;      /* dead: NUL-terminated text, may be "" */
};
enum eci_slot_mode {
	ECI_SLOT_ONCE, /* one final answer, then the slot is gone (freed before fn is called) */
	ECI_SLOT_MANY  /* event slots and streams: stays until eci_slot_close() or a dead answer */
};
typedef void (*eci_slot_fn)(void *arg, const struct eci_answer *a);
/* A slot whose answers must come from `respondent`. 0 if out of memory. */
uint32_t eci_slot_open(struct eci_router *r, uint32_t respondent, enum eci_slot_mode mode, eci_slot_fn fn, void *arg);
void eci_slot_close(struct eci_router *r, uint32_t slot); /* unknown slots are ignored; fn is not called */
/* Ends every slot whose respondent lies in [lo, hi] with reason `lost`, said by `at`: what the master does when a
 * router below reports (event 8) that a link is gone that is none of its own. */
void eci_router_fail(struct eci_router *r, uint32_t lo, uint32_t hi, uint32_t at, const char *evidence,
		     uint64_t now_ms);

/* ---- routes ---- */
/* Gives [lo, lo+size) to dst's branch: adds it to the child link that leads there and sends GRANT. 0, or one of enum
 * eci_refusal. */
int eci_router_grant(struct eci_router *r, uint32_t dst, uint32_t lo, uint32_t size, uint32_t reply_to,
		     uint64_t now_ms);
/* Master: makes group gid of these ids (sorted intervals) and announces it; 0, or one of enum eci_refusal. Then
 * eci_router_send() with ECI_F_MULTICAST and dst = gid. */
int eci_router_group(struct eci_router *r, uint32_t gid, const struct eci_interval *v, size_t n, uint64_t now_ms);
void eci_router_ungroup(struct eci_router *r, uint32_t gid, uint64_t now_ms);
/* None of this context's own bulk for the group and that handle there waits in a queue to some of its members. */
bool eci_router_group_gone(struct eci_router *r, uint32_t gid, uint32_t handle);

/* ---- time ---- */
/* Does what is due (heartbeats, idle links, late ACKs) and returns the absolute time of the next thing, or UINT64_MAX.
 */
uint64_t eci_router_tick(struct eci_router *r, uint64_t now_ms);

/* ---- figures ---- */
struct eci_link_stats {
	uint64_t peer; /* from here on in the order of a row of STATS (service/stats.c) */
	uint64_t frames_in, frames_out, bytes_in, bytes_out, queued_bytes;
	uint64_t rtt_us; /* last heartbeat or 0 (ms resolution times 1000); the row's last */
};
struct eci_router_stats { /* in the order of STATS too */
	uint64_t bad_src, bad_auth, bad_reply, no_group, dropped_logs;
};
void eci_link_get_stats(const struct eci_link *l, struct eci_link_stats *out);
void eci_router_get_stats(const struct eci_router *r, struct eci_router_stats *out);
struct eci_link *eci_router_next_link(struct eci_router *r,
				      struct eci_link *prev); /* NULL starts; children only, in order of ids */
struct eci_link *eci_router_parent(struct eci_router *r);
struct eci_link *eci_router_link_to(struct eci_router *r, uint32_t dst); /* child link that leads to dst, or NULL */

#endif
