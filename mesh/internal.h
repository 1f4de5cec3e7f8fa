/* mesh: what the files of this folder share. Everything here is guarded by mesh->lock unless it says otherwise;
 * functions named eci_* want it held. */
#ifndef ECI_MESH_INTERNAL_H
#define ECI_MESH_INTERNAL_H

#include "econtext/econtext.h"
#include "core/fail.h"
#include "router/stream.h"
#include "service/service.h"
#include "service/spawn.h"
#include "topology/topology.h"
#include "transport/transport.h"
#include "mesh/loop.h"
#include "mesh/wait.h"

#define HASH_NONFATAL_OOM 1 /* a library does not exit(): hh.tbl stays NULL, and that is looked at */
#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>
#include <utlist.h>

#define ECI_BLOCK_FACTOR 8u      /* ids per declared context: room for workers, retries and contexts nobody declared */
#define ECI_MASTER_DIALS 64u     /* children the master dials at once: as many as the default fan-out */
#define ECI_READ_BUF 131072u     /* of a link at once: what a relay writes at once, acknowledged at once */
#define ECI_CLOSE_GRACE_MS 1000u /* for contexts to end by themselves at ectx_mesh_free() */
#define ECI_EVENT_LIMIT 65536u   /* log records kept for a program that does not take them */
#define ECI_EVENT_BYTES (16u << 20) /* of their text: 256 a record, and a record can be 64 KiB */

enum eci_state {
	ECI_IDLE,    /* -> WANTED */
	ECI_WANTED,  /* waits for its parent, or for a place among its dials -> DIALING, IDLE (failed) */
	ECI_DIALING, /* the boot dialogue runs -> BOOTING, IDLE */
	ECI_BOOTING, /* preamble and PROMOTE are on their way; frames may follow -> UP, IDLE */
	ECI_UP       /* HELLO was answered -> IDLE (lost) */
};

struct ectx_context {
	ectx_mesh *mesh;
	char *name;
	ectx_context *parent; /* NULL: the master */
	ectx_context *children, *next_sibling;
	ectx_context *worker; /* of a native context: the Python beside it, made when it is first needed; else NULL */
	ectx_context *host;   /* of a worker: whose it is; else NULL */
	UT_hash_handle by_name, by_id; /* by_id only while id != 0 */
	struct eci_target target;
	uint32_t subtree, dial_window;

	enum eci_state state;
	uint32_t id, size, kept_id, kept_size, kept_below; /* of this incarnation; 0: none. kept_...: see ids.c */
	uint32_t free_lo, free_hi, grants;  /* ids not yet given to children: [lo, hi); how often it got more */
	uint32_t dials, event_slot, nasked; /* dials: children in DIALING */
	struct eci_dialogue *dialogue;
	bool has_relay, has_exec, has_stats, has_stream, has_cancel, has_program; /* parts sent to this incarnation */
	bool in_tree;                  /* a tree or trace has a slot to this incarnation, or had one */
	bool native;                   /* this incarnation runs the native agent; from BOOTING on */
	bool worker_id_taken;          /* id + 1 was given to a worker of this incarnation */
	bool in_work, unsent, spawned; /* a frame of its boot found no room here; SPAWN may still have an event */
	struct ectx_future *ops;       /* under way or waiting here (DL list, prev/next) */
	char agent[16], python[32], arch[32], host_name[65];
	uint64_t started_ms, pid, asked_bytes, asked_from;
	struct eci_name *names;               /* that are being asked for there (resolve.c) */
	struct eci_lines lines[2];            /* what it printed, cut into records */
	struct eci_event_node *dropped;       /* waits to be taken: what was lost there */
	struct eci_ahead *ahead;              /* sent to this incarnation, and not answered yet (ahead.c) */
	struct eci_asked *asked, *asked_last; /* modules that wait to be answered over its link (asked.c) */
	ectx_context *next, *work_next;       /* of mesh->contexts, mesh->work */
};

enum eci_op {
	ECI_OP_CONNECT,
	ECI_OP_CALL,
	ECI_OP_EXEC,
	ECI_OP_RUN,
	ECI_OP_TREE,
	ECI_OP_TRACE,
	ECI_OP_OPEN,
	ECI_OP_SPLICE,
	ECI_OP_RECEIVE
};
enum eci_op_state { ECI_OP_WAITING, ECI_OP_RUNNING, ECI_OP_DONE };

struct ectx_future {
	ectx_mesh *mesh;
	ectx_context *context; /* NULL: tree */
	ectx_context *at;      /* where it is done, and listed: context, or the Python worker of it */
	enum eci_op kind;
	enum eci_op_state state;
	struct ectx_future *prev, *next;         /* context->ops, or mesh->loose_ops */
	struct ectx_future *all_prev, *all_next; /* mesh->ops: everything not done */
	struct eci_wait_node *waits;
	uint64_t deadline_ms, timeout_ms; /* UINT64_MAX: none */
	void *user;
	bool done_event; /* an event was queued, or is not wanted yet */
	struct eci_event_node *done_node,
		*input_node; /* for the events DONE and INPUT, which must not find no memory */

	struct eci_buf request; /* encoded CALL, EXEC: ready to send, but for stream handles */
	char *program;          /* run: name it is served under */
	uint32_t slot;
	struct eci_stream *out, *err; /* exec, run */
	struct eci_command *command;  /* exec of our own: takes both; NULL: they become events */
	bool answered, out_open, err_open, input, input_ended, input_wanted, in_program; /* of "./file.py:f" */
	bool terminal, line_open;           /* its input is a terminal, whose last line has begun */
	struct eci_opening *opening;        /* open: what, and the names that are being asked for */
	struct eci_channel_place *channels; /* call: those among its arguments */
	size_t nchannels;
	struct ectx_channel *channel; /* receive: of which; NULL: not any more */
	struct ectx_future *receive_prev, *receive_next;
	struct eci_splice *splice;           /* splice: the descriptors */
	void (*hook)(struct ectx_future *f); /* of a future of our own: once it is done, in the loop's thread */
	struct ectx_future *hook_next;
	struct eci_pending *pending;  /* tree, trace: questions under way */
	unsigned outstanding, events; /* events: of it, in the queue */

	ectx_error error;
	ectx_value *value;
	int exit_status;
};

struct eci_event_node;
struct eci_carrier;
struct eci_secret_value {
	char *name, *value; /* value: sodium_malloc'ed, NULL: not to be had */
	char *why;
	UT_hash_handle hh;
};
struct eci_plan_node {
	struct eci_plan plan;
	struct eci_plan_node *next;
};

struct ectx_mesh {
	atomic_uint refs; /* the program's own, and one a future and an event that it holds: see eci_mesh_unref() */
	pthread_mutex_t lock;
	atomic_uint lock_wanted; /* callers that wait for it */
	pthread_t thread;
	struct ev_loop *loop;
	int wake_fd; /* an eventfd, of wake */
	ev_io wake;
	ev_timer timer;
	ev_prepare prepare;
	uint64_t wake_at_ms, held_ms, held_at; /* when the loop will wake by itself; how late it did, and when */
	bool closing, stop, sleeping, sigpipe; /* sigpipe: a write met EPIPE since it was cleared */
	bool woken;                            /* wake_fd was written, and not read yet */
	bool started, pumps_wait;              /* in this turn of the loop: a process; some were not read */

	struct eci_router *router;
	struct eci_spawns *spawns;
	struct eci_responder *responder;
	struct eci_roots *roots;
	const char *cut_folder;       /* the last of eci_roots_cut() */
	struct eci_carrier *carriers; /* all */
	struct eci_carrier *dirty;    /* have output to flush */
	uint8_t *read_buf;            /* ECI_READ_BUF */
	int links_fd; /* an epoll set: what the links of carriers are read from, unless a caller has borrowed one */
	ev_io links_w;
	struct eci_nudge *nudges;    /* not in use */
	struct eci_pump *pumps_over; /* wait for the loop to end them */
	size_t pumps_left;           /* bytes that may still be read in this turn of the loop */
	unsigned pumps_round;
	struct ectx_tunnel *tunnels;
	struct ectx_stream *streams;

	const ectx_topology *topology;
	ectx_topology *own_topology;
	struct eci_plan_node *plans; /* own the strings of targets */
	char **overrides;
	char *title;
	int log_level;
	int (*ask)(void *, const char *, char *, size_t), (*give_up)(void *);
	void *ask_arg;
	pthread_mutex_t ask_lock; /* one question at a time; taken without `lock` */
	struct eci_secret_value *secrets;

	ectx_context *contexts, *by_name, *by_id, *roots_of_tree, *asked_next;
	ectx_context *work;
	uint32_t last_gid, cast_widened;
	uint32_t next_id, dials;               /* dials: children of the master in DIALING */
	unsigned booting;                      /* contexts whose dialogue has time limits */
	int image_fd;                          /* image.c; -1: there is none */
	char image[40], machine[32], user[33]; /* of titles */
	struct ectx_future *ops, *loose_ops, *hooked;
	uint64_t ops_next_ms; /* no deadline is earlier than this */

	struct eci_event_node *events, *logs; /* logs: those of them that are records */
	pthread_cond_t event_cond;
	int event_fd;
	unsigned log_events, event_limit;
	size_t log_bytes;
	uint64_t dropped, asked_ms; /* asked_ms: spent in this turn of the loop on answers (asked.c) */
};

/* ---- mesh.c ---- */
/* After ectx_mesh_free() an empty mesh stays, lock and all, until the last future and event of it are freed, so that
 * they need no rule about what outlives what. Neither wants the lock. */
void eci_mesh_ref(ectx_mesh *m);
void eci_mesh_unref(ectx_mesh *m);
/* As eci_router_send(); of a body that failed too it is no memory. What is not looked at comes back by other ways. */
int eci_send(ectx_mesh *m, uint8_t cls, uint32_t dst, uint32_t handle, uint32_t reply_to, const struct eci_buf *body);

/* ---- carrier.c, flush.c: processes of the master's own children ---- */
extern const struct eci_spawn_host eci_carrier_host;
void eci_carriers_flush(ectx_mesh *m, bool in_loop);
void eci_carrier_wake(void *mesh, struct eci_link *link); /* router op */
void eci_carrier_broken(void *mesh, struct eci_link *link, const char *reason, const char *detail);
bool eci_carriers_end(ectx_mesh *m, bool kill); /* true: none is left */

/* ---- context.c ---- */
ectx_context *eci_context_of_id(ectx_mesh *m, uint32_t id);
void eci_context_path(const ectx_context *c, char *out, size_t cap);
bool eci_context_reachable(const ectx_context *c); /* frames may be sent to it */
bool eci_context_settled(const ectx_context *c);   /* the same, and its agent will be no other */
uint32_t eci_context_id(const ectx_context *c);    /* of NULL: the master's */
void eci_work(ectx_context *c);

ectx_context *eci_context_add(ectx_mesh *m, const char *name, ectx_context *parent); /* in no table; NULL: no memory */

/* ---- connect.c ---- */
void eci_context_want(ectx_context *c);
void eci_context_advance(ectx_context *c);
void eci_context_tick(ectx_context *c, uint64_t now, uint64_t *next);
/* c and all below it are gone: their work ends with this error, its path is c's. */
void eci_context_down(ectx_context *c, const struct eci_fail *fail);
char **eci_connect_argv(const struct eci_target *t, unsigned *round_trips);

#include "mesh/future.h"

/* ---- call.c, exec.c, tree.c: what a running future sends ---- */
void eci_call_run(struct ectx_future *f);
/* Encodes the request, and serves the program it names. 0, or -1 with *fail. No lock. */
int eci_call_prepare(struct ectx_future *f, const char *function, const ectx_value *args, const ectx_value *kwargs,
		     struct eci_fail *fail);
void eci_exec_run(struct ectx_future *f);
void eci_run_run(struct ectx_future *f);
void eci_tree_run(struct ectx_future *f);
void eci_tree_expire(struct ectx_future *f); /* of a trace too: with what has come */
void eci_trace_run(struct ectx_future *f);
void eci_pending_free(struct ectx_future *f);

/* ---- modules.c: GET_MODULE and LOG ---- */
void eci_lines_end(ectx_context *c); /* what it printed without a newline, before a result */
bool eci_serve(ectx_mesh *m, struct eci_link *link, const struct eci_frame *f);

/* ---- error.c ---- */
void eci_error_from(ectx_error *e, const struct eci_fail *fail, const ectx_context *at);
void eci_fail_set(struct eci_fail *fail, enum ectx_phase phase, enum ectx_code code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
