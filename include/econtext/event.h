/* econtext: events: output of commands, log records, ends of futures, in the order of their arrival. See econtext.h for
 * what holds for all functions.
 *
 * A program that runs commands must take its events; what is not taken is bounded: output stays at its source (each
 * stream has 256 KiB under way, more where it is taken fast over a long way, up to 16 MiB and for all together 64 MiB
 * more), log records push out the oldest (ectx_options.event_limit). */
#ifndef ECONTEXT_EVENT_H
#define ECONTEXT_EVENT_H

#include <stddef.h>
#include <stdint.h>
#include "econtext/future.h"
#include "econtext/mesh.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum ectx_event_kind {
	ECTX_EVENT_OUTPUT,  /* bytes of an exec or run */
	ECTX_EVENT_LOG,     /* a record of Python's logging, a printed line, or a word of ours
			     * (loggers econtext.tunnel, and econtext.modules, which has no context) */
	ECTX_EVENT_DONE,    /* future is done; only for those given to ectx_future_set_user() */
	ECTX_EVENT_DROPPED, /* `dropped` log records and printed lines were thrown away since the last such event; what
			     * was lost over there is told with the next record that comes from there */
	ECTX_EVENT_INPUT    /* future takes input again, after an ectx_future_write() that returned 0 */
};

/* Read-only; all that it points to lives as long as the event, but context (the mesh's) and future (the caller's). */
typedef struct ectx_event {
	enum ectx_event_kind kind;
	ectx_context *context; /* OUTPUT, LOG, DONE, INPUT; NULL when it is not known any more, or a word of ours (LOG),
				  or of a tree or a channel (DONE); DROPPED: where, or on whose way to its parent; NULL:
				  here, as nobody took them */
	ectx_future *future;   /* OUTPUT, DONE, INPUT */
	int stream;            /* OUTPUT: 1 stdout, 2 stderr */
	int level;             /* LOG: 10 debug, 20 info, 30 warning, 40 error, 50 critical */
	const char *logger;    /* LOG: its name; "stdout", "stderr" for what was printed */
	const char *text; /* OUTPUT: bytes; LOG: text. A NUL follows in any case. As it was sent, NOT escaped: remote
			     text is data, ectx_escape() makes it fit for a terminal */
	size_t len;       /* of text, in bytes */
	uint64_t dropped; /* DROPPED */
} ectx_event;

/* Blocks until there is an event, up to timeout_ms. The caller owns it: ectx_event_free(). NULL: none in that time (or
 * out of memory for a DROPPED, which then comes later). One thread at a time. */
ectx_event *ectx_event_next(ectx_mesh *m, long timeout_ms);

/* Frees it; for OUTPUT this is what lets the source send more. Any thread, also after ectx_mesh_free(). Does not block.
 * NULL-safe. */
void ectx_event_free(ectx_event *e);

/* A descriptor that is readable while an event waits, for poll() together with others: then take events with
 * ectx_event_next(m, 0) until it returns NULL. Owned by the mesh: do not read, write or close it. Does not block. */
int ectx_event_fd(ectx_mesh *m);

/* Copies len bytes of text so that a terminal shows them and does nothing else: C0, C1, DEL, bidi controls, what has no
 * width and invalid UTF-8 become \xNN, \uNNNN or \UNNNNNNNN; tab stays. malloc'd, NUL-terminated; NULL when out of
 * memory. Does not block. */
char *ectx_escape(const char *text, size_t len);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
