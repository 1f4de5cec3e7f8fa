/* router: what a router and its parts consist of, with the limits that the specification leaves to us.
 *
 * Who owns what: a router owns its links, slots, groups and collections; a link owns its queues and flows; a flow owns
 * its items. A child is named by its id wherever the naming side may outlive it (struct eci_item.owed), by pointer
 * where link loss clears the pointer (routes, group members). */
#ifndef ECI_ROUTER_STATE_H
#define ECI_ROUTER_STATE_H

#include "core/buf.h"
#include "core/frame.h"
#include "router/router.h"

#define ECI_ACK_AT 16384u          /* owed bytes that make an ACK due at once: one full bulk frame */
#define ECI_ACK_WITHIN 20u         /* ms an owed ACK may wait for company */
#define ECI_RTT_NEAR 3u            /* ms over the best round trip, or 1/16 of it, that still count as an empty link */
#define ECI_RTT_SLACK 10u          /* ms over it, and 1/4 of it, above which bytes pile up on the way */
#define ECI_PROBE_EVERY 100u       /* ms between extra PINGs on a link that wants credit: quick growth, no flood */
#define ECI_PING_MIN 500u          /* ms */
#define ECI_PING_MAX 5000u         /* ms */
#define ECI_PING_GRAIN 128u        /* ms, a power of two: a link's PINGs go with others', up to this early */
#define ECI_LOST_EVIDENCE_MAX 200u /* bytes of evidence kept with a lost interval: a line of text */
#define ECI_NOTICE_EVIDENCE_MAX 1024u /* bytes of it in a notice: a screen of text, far below a frame */
#define ECI_SCRATCH 2048u             /* a notice with all of its evidence: it is to lack memory in a queue only */
#define ECI_FLOW_BUCKETS 64u          /* chains of a link's flow table: short up to a few hundred streams */
#define ECI_NOTICE_SHARES 64u /* of who gets notices by one link: eight ids, the least block, and who meets them */
#define ECI_MIB (1024u * 1024u)
#define ECI_HELD_MAX (64u * ECI_MIB)  /* forwarded bulk a child link holds: past it its parent ignores PAUSE */
#define ECI_HELD_AT (25u * ECI_MIB)   /* above it the whole link is paused; a hop window and groups may follow */
#define ECI_LOCAL_MAX ECI_COLLECT_MAX /* own bulk that waits here, of frames and of shared bodies each */
#define ECI_SELF_MAX ECI_COLLECT_MAX  /* frames to oneself that wait: the same, one large message must fit */
#define ECI_DROPPED_SOURCES 1024u     /* refused large messages remembered until their last fragment; 72 bytes each */
#define ECI_REASON_MAX 32u            /* longest reason is 15 bytes; a longer one is cut */
#define ECI_NEVER UINT64_MAX

/* A body that several links send: freed with its last item. */
struct eci_blob {
	uint32_t refs;
	size_t len;
	uint8_t mem[];
};

/* One queued bulk frame, or one large message that is cut when its turn comes. */
struct eci_item {
	struct eci_item *next;
	struct eci_frame f;    /* len is the whole body, body points to mem or to blob */
	uint32_t off;          /* bytes of the body that were sent */
	uint32_t owed;         /* id of the child that waits for an ACK of this frame; 0 none */
	uint64_t end;          /* owed: position in the link's output where it ends */
	struct eci_blob *blob; /* the body, if it is shared */
	bool local;            /* made here: not counted against PAUSE, but against ECI_LOCAL_MAX */
	uint8_t mem[];
};

/* An interval that the child asked us to pause. It lives while the child holds it (refs) and, if we passed it on to our
 * parent, until what we hold for it has drained. */
struct eci_pause {
	struct eci_pause *next;
	uint32_t lo, hi;
	uint32_t refs;  /* PAUSEs without their RESUME */
	bool whole;     /* stands for all that came after ECI_PAUSED_MAX */
	bool announced; /* passed on upward */
	size_t held;    /* bytes of the flows that belong to it */
};

struct eci_flow {
	struct eci_flow *chain;       /* same bucket */
	struct eci_flow *prev, *next; /* ring of those that may send, or list of those parked */
	uint32_t src, dst;
	uint32_t key; /* the handle of a stream; 0 for messages */
	bool multicast, parked;
	bool large; /* own large messages and what waits behind them */
	struct eci_pause *pause;
	struct eci_item *head, *tail;
	size_t bytes; /* forwarded (not local) bytes that wait */
	size_t own;   /* own ones */
	uint32_t deficit;
};

struct eci_link {
	struct eci_router *router;
	void *user;
	uint32_t peer;
	bool parent, started, up, broken, woken;

	struct eci_interval *iv; /* sorted, disjoint, not adjacent; &iv_one until the first GRANT */
	uint32_t niv;
	struct eci_interval iv_one;

	/* input */
	struct eci_buf in;
	uint64_t heard; /* ms of the last byte */

	/* output */
	struct eci_buf out;     /* the piece that is being written */
	struct eci_buf control; /* packed frames */
	struct eci_buf call;
	size_t held_calls;                   /* bytes of call frames that wait behind large messages */
	uint64_t lost_logs;                  /* lines that found no room here: to be said to the master */
	uint32_t notices[ECI_NOTICE_SHARES]; /* bytes of them, put there since control was empty */
	uint32_t call_run;                   /* call bytes since the last bulk frame */
	uint64_t written;                    /* bytes written so far: base of eci_item.end */
	uint64_t hello_end;                  /* where our HELLO ends among them: a child has nothing to say before */

	struct eci_flow **flows; /* ECI_FLOW_BUCKETS chains, or NULL */
	struct eci_flow *turn;   /* ring of flows that may send */
	struct eci_flow *parked;
	size_t bulk_bytes;                 /* forwarded bytes in all flows */
	size_t active_bytes;               /* of these, in flows that belong to no pause, groups' apart */
	size_t local_bulk;                 /* own bytes in flows */
	struct eci_item *sent, *sent_tail; /* staged, owed to a child once written */
	struct eci_pause *pauses;
	uint32_t npauses; /* without the whole one */
	bool up_paused;   /* the link's intervals are paused at our parent */

	/* hop credit */
	uint32_t window, inflight;
	bool filled;            /* a round trip was too long once: the window goes by quarters */
	bool starved;           /* bulk waited for credit since the last sample */
	uint32_t rtt_best;      /* ms, UINT32_MAX: none yet */
	uint64_t probe_at;      /* parent link: when the probed byte was sent; 0 none */
	uint32_t probe_left;    /* bytes to be acknowledged before the probe is answered */
	uint32_t unacked, owed; /* receiver side: not acknowledged; of these, due */
	uint64_t ack_due;       /* ms or ECI_NEVER */

	/* heartbeat */
	uint32_t idle;
	uint32_t ping_n;
	uint64_t ping_sent; /* ms of the PING that is not answered, 0 none */
	uint64_t ping_next; /* ms */
	uint64_t ping_last; /* ms of the last PING */

	uint32_t rtt_ms;
	struct eci_link_stats stats;   /* the four that are counted */
	bool in_group[ECI_GROUPS_MAX]; /* members of the router's groups lie behind it */
};

struct eci_route {
	uint32_t lo, hi;
	struct eci_link *link;
};

struct eci_lost {
	uint32_t lo, hi;
	char evidence[ECI_LOST_EVIDENCE_MAX + 1];
};

struct eci_slot {
	struct eci_slot *chain;
	struct eci_slot *next, **pprev; /* list of all, or of those that are about to be failed */
	uint32_t handle, respondent;
	enum eci_slot_mode mode;
	eci_slot_fn fn;
	void *arg;
};

struct eci_group {
	uint32_t gid;
	bool used, self;
};

struct eci_collect {
	struct eci_collect *next;
	uint32_t src, dst, handle, reply_to;
	bool multicast, dropping;
	struct eci_buf body;
};

struct eci_router {
	uint32_t id;
	bool master;
	const struct eci_router_ops *ops;
	void *ctx;
	uint64_t now; /* ms: the latest time any caller told */
	uint64_t due; /* ms: eci_router_tick() has nothing to do before */
	uint32_t depth;

	uint32_t nown;
	struct eci_link *parent;
	struct eci_route *routes; /* sorted by lo, disjoint */
	uint32_t nroutes, routes_cap;
	struct eci_lost *lost; /* ring of ECI_LOST_KEPT, or NULL before the first loss */
	uint32_t nlost, lost_at;

	struct eci_slot **slots; /* buckets */
	uint32_t slot_mask, nslots, next_slot;
	struct eci_slot *slot_list, *doomed;
	struct eci_stream *stalled; /* have credit, and wait for the queues */
	uint32_t widened;           /* bytes, all windows of streams together */

	struct eci_collect *collects;
	uint32_t ncollect, ndropping;
	size_t collect_bytes;

	struct eci_item *self, *self_tail;
	size_t self_bytes;
	size_t local_bytes, blob_bytes; /* own bulk that waits: frames; shared bodies, also of what is passed on */
	struct eci_buf scratch;         /* a body under construction: filled and copied at once */
	struct eci_router_stats stats;
	/* Last: what lies in front of them is near, and cheaper to name. */
	struct eci_interval own[ECI_INTERVALS_MAX];
	struct eci_group groups[ECI_GROUPS_MAX];
};

#endif
