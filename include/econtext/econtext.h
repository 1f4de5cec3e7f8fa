/* econtext: a mesh of execution contexts under this program's control.
 *
 * Threads: every function may be called from any thread unless it says otherwise. A mesh has one private thread that
 * runs its loop; calls block the caller only. Several meshes may live in one process. The library never calls exit(),
 * prints nothing, installs no signal handler (SIGPIPE is avoided with MSG_NOSIGNAL or by masking it in the private
 * thread) and has no globals that change. Times are milliseconds; a timeout_ms below 0 means no limit (then only the
 * liveness of the links bounds the wait). */
#ifndef ECONTEXT_ECONTEXT_H
#define ECONTEXT_ECONTEXT_H

#include "econtext/error.h"
#include "econtext/topology.h"
#include "econtext/value.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ectx_mesh ectx_mesh;
typedef struct ectx_context ectx_context; /* owned by its mesh; valid until ectx_mesh_free() */
typedef struct ectx_future ectx_future;

/* ---- the mesh ---- */
typedef struct ectx_options {
	const ectx_topology *topology; /* borrowed for the mesh's life; NULL: as ectx_topology_none() */
	const char *const *roots;      /* NULL-terminated folders that modules are served from; NULL: the current one */
	const char *const *include;    /* NULL-terminated module prefixes to serve; NULL: all */
	const char *const *exclude;    /* never served; NULL: none */
	const char *const *override;   /* prefixes for which served modules win over the remote's own; NULL: none */
	int log_level;                 /* Python's numbers; records below it are not sent; 0: 20 (info) */
	const char *title; /* of remote processes in ps; NULL: the node's, else "econtext:%u@%h:%p" of this process */
	/* Called for a secret {prompt: ...}, at most once per secret, in the thread that starts the connect. Writes a
	 * NUL-terminated answer; returns 0, or -1: not to be had. NULL: prompts cannot be answered. The buffer is wiped
	 * by the library. */
	int (*ask)(void *arg, const char *prompt, char *buf, size_t cap);
	void *ask_arg;
	unsigned event_limit; /* log events kept while nobody takes them (oldest dropped, counted); 0: 65,536 */
} ectx_options;

/* Makes a mesh and starts its thread. No connection is made. 0, or -1 with *err. */
int ectx_mesh_new(ectx_mesh **out, const ectx_options *options, ectx_error *err);
/* Ends every context (SHUTDOWN, then the carriers), fails pending futures with `closed`, joins the thread. Blocks up to
 * 3 s. Futures stay valid until freed. No other call may be under way in another thread. NULL-safe. */
void ectx_mesh_free(ectx_mesh *m);

/* ---- contexts ---- */
/* A declared context by name (NODE, NODE:USER, ad-hoc path). Does not connect. NULL with *err (unknown-target). */
ectx_context *ectx_context_get(ectx_mesh *m, const char *name, ectx_error *err);
const char *ectx_context_name(const ectx_context *c);

/* ---- futures ---- */
/* Waits for f. true: done. false: timeout. */
bool ectx_future_wait(ectx_future *f, long timeout_ms);
/* Index of a done future, or -1 on timeout. n at least 1; NULL entries are skipped. */
long ectx_future_wait_any(ectx_future *const *v, size_t n, long timeout_ms);
bool ectx_future_done(ectx_future *f);
/* Valid once done, until ectx_future_free(): */
const ectx_error *ectx_future_error(const ectx_future *f); /* status ECTX_OK when all went well */
const ectx_value *ectx_future_value(const ectx_future *f); /* call: the result; tree, trace: see there; else NULL */
int ectx_future_exit_status(const ectx_future *f); /* exec, run: 0-255, or 128 + signal; -1 when there is none */
void ectx_future_set_user(ectx_future *f, void *user);
void *ectx_future_user(const ectx_future *f);
/* Lets go of the work: a queued call is taken back, an exec is killed; the future ends with `cancelled` at once.
 * Harmless when done. */
void ectx_future_cancel(ectx_future *f);
void ectx_future_free(ectx_future *f); /* cancels first if it is not done. NULL-safe */

/* ---- what contexts do: start forms never block on the network (they may block on the ask callback); NULL only when
 * out of memory: every other failure is the future's. All connect what is not connected. timeout_ms counts from now and
 * includes connecting. ---- */
ectx_future *ectx_connect_start(ectx_context *c, long timeout_ms);
/* function: "module:function", "module:Class.method", "./file.py:function" (the file is read now). args: array or NULL,
 * kwargs: map or NULL; both copied. */
ectx_future *ectx_call_start(ectx_context *c, const char *function, const ectx_value *args, const ectx_value *kwargs,
			     long timeout_ms);

typedef struct ectx_exec {
	const char *const *argv; /* NULL-terminated */
	const char *const *env;  /* "K=V" to set, "K" to unset; NULL: none */
	const char *cwd;         /* NULL: unchanged */
	unsigned rows, cols;     /* both nonzero: on a pty of that size (all output is stdout) */
} ectx_exec;
/* Output arrives as ECTX_EVENT_OUTPUT events, all of it before the future is done. */
ectx_future *ectx_exec_start(ectx_context *c, const ectx_exec *x, long timeout_ms);
/* Runs a local Python script there: argv[0] is the script's path here, read now. Output as for exec. */
ectx_future *ectx_run_start(ectx_context *c, const char *const *argv, long timeout_ms);
/* Array of maps, one a live context (keys of `tree --json`: name, id, parent, transport, agent, arch, python, state,
 * rtt_us, frames_in, frames_out, bytes_in, bytes_out, queued_bytes, modules_cached, requests_up, dials), the master
 * first, then depth first. */
ectx_future *ectx_tree_start(ectx_mesh *m, long timeout_ms);
/* Array of maps {name, id, rtt_us}, one for each hop from the first to c. */
ectx_future *ectx_trace_start(ectx_context *c, long timeout_ms);

/* ---- blocking forms: 0, or the status with *err (not NULL) ---- */
enum ectx_status ectx_connect(ectx_context *c, long timeout_ms, ectx_error *err);
enum ectx_status ectx_call(ectx_context *c, const char *function, const ectx_value *args, const ectx_value *kwargs,
			   long timeout_ms, ectx_value **result /* NULL: not wanted; the caller frees it */,
			   ectx_error *err);

/* ---- events: output, logs, ends ---- */
enum ectx_event_kind {
	ECTX_EVENT_OUTPUT, /* bytes of an exec or run; end of a stream: len 0 */
	ECTX_EVENT_LOG,
	ECTX_EVENT_DONE, /* future is done (only for futures of exec, run, call, connect that were given a user pointer
			    before they ended) */
	ECTX_EVENT_DROPPED /* `dropped` log records were thrown away since the last such event */
};
typedef struct ectx_event {
	enum ectx_event_kind kind;
	ectx_context *context;
	ectx_future *future; /* OUTPUT, DONE */
	int stream;          /* OUTPUT: 1 stdout, 2 stderr */
	int level;           /* LOG: 10 debug, 20 info, 30 warning, 40 error, 50 critical */
	const char *logger;  /* LOG: "stdout", "stderr" for what code printed */
	const char *text; /* OUTPUT: bytes; LOG: text, one line, as it was sent (NOT escaped: remote text is data; see
			     ectx_escape) */
	size_t len;
	uint64_t dropped;
} ectx_event;
/* The next event, waiting up to timeout_ms; NULL on timeout. Output not taken stays at its source: credit goes back
 * when the event is freed. One thread at a time. */
ectx_event *ectx_event_next(ectx_mesh *m, long timeout_ms);
void ectx_event_free(ectx_event *e);
/* A descriptor that is readable while an event waits, for poll() with other descriptors. Owned by the mesh; do not read
 * it. */
int ectx_event_fd(ectx_mesh *m);

/* Writes text so that a terminal shows it and does nothing else: C0, C1, DEL, bidi controls and invalid UTF-8 become
 * \xNN or \uNNNN; tab stays. malloc'd. */
char *ectx_escape(const char *text, size_t len);

/* ---- the preamble, for the curious: NAME and bytes as really sent. Returns false past the end. i = 0 is `command`, 1
 * `python`, then parts. ---- */
bool ectx_preamble_size(size_t i, const char **name, size_t *bytes);
const char *ectx_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
