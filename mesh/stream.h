/* mesh: streams: those of exec and run, those to something outside, and what joins them to descriptors. Guarded by
 * mesh->lock; functions named eci_* want it held. */
#ifndef ECI_MESH_STREAM_H
#define ECI_MESH_STREAM_H

#include "econtext/stream.h"
#include "mesh/internal.h"

/* ---- output.c: the streams of exec and run ---- */
bool eci_outputs_open(struct ectx_future *f); /* false: no memory */
void eci_outputs_close(struct ectx_future *f);
void eci_outputs_end_input(struct ectx_future *f);

/* ---- open.c: a stream to something outside, at a context (OPEN) ---- */
struct eci_address {
	char *host; /* or a path; malloc'd */
	int port;   /* -1: a unix socket */
};
/* "HOST:PORT", "[V6]:PORT", ":PORT" (host ""), "unix:PATH". 0 or -1 with *fail. */
int eci_address_parse(struct eci_address *a, const char *text, struct eci_fail *fail);
/* The same of what one connects to: neither host nor port may be missing. */
int eci_address_parse_to(struct eci_address *a, const char *text, struct eci_fail *fail);

/* Begins: a future of ours (hook), which the caller drops with eci_future_drop(). ops and arg are the stream's (it may
 * speak before the future is done). Done without error: eci_open_take() gives the stream, once. what: OPEN's; with
 * `accept` port is the number and host is NULL. NULL: no memory. Any thread, lock held. */
struct ectx_future *eci_open_start(ectx_context *c, const char *what, const char *host, int64_t port,
				   const struct eci_stream_ops *ops, void *arg, void (*hook)(struct ectx_future *),
				   long timeout_ms);
struct eci_stream *eci_open_take(struct ectx_future *f);
const char *eci_open_text(const struct ectx_future *f); /* what the answer said: an address; "" */
int eci_open_errno(const struct ectx_future *f);        /* why it failed over there, Linux's number; 0: otherwise */
#define ECI_OPEN_NAME_MAX 400u
/* What it opens, for people: "HOST port N", a path; "" of another kind of future, or one that accepts. */
void eci_open_name(const struct ectx_future *f, char *out, size_t cap);
void eci_open_run(struct ectx_future *f);
void eci_open_close(struct ectx_future *f); /* it is done, whatever it became */
void eci_open_free(struct ectx_future *f);

/* ---- channel.c, channel_args.c ---- */
void eci_receive_run(struct ectx_future *f);
void eci_receive_close(struct ectx_future *f);
const ectx_context *eci_channel_at(const struct ectx_channel *ch); /* whom its errors are about; NULL: not known */
/* The fifth item of a CALL; 0 or -1. */
int eci_channels_open(struct ectx_future *f);
bool eci_channels_in_group(const struct ectx_future *f); /* is one of them fed by a group? */
void eci_channels_drop(struct ectx_future *f,
		       const char *why); /* the call never began, or has failed: theirs do so too */

/* ---- splice.c, stream.c ---- */
void eci_splice_run(struct ectx_future *f);
void eci_splice_free(struct eci_splice *s);
struct ectx_stream {
	ectx_mesh *mesh;
	struct ectx_stream *prev, *next; /* of mesh->streams */
	struct eci_stream *s;            /* NULL: dead */
	struct eci_buf in;
	bool far_over, ended, dead;
	bool waits; /* a channel that no call has taken yet: s is to come */
	char why[160];
	pthread_cond_t readable, writable;
	void (*notify)(struct ectx_stream *); /* something has come; NULL: nobody but who reads */
	void *user;
	void (*has_room)(struct ectx_stream *); /* for who waits for several */
	pthread_cond_t *user_cond;
};
extern const struct eci_stream_ops eci_outside_ops; /* for a stream whose arg is an ectx_stream */
struct ectx_stream *eci_stream_make(ectx_mesh *m);  /* without its stream, in no list; NULL: no memory. No lock */
void eci_stream_destroy(struct ectx_stream *x);     /* in no list. No lock */
void eci_stream_forget(struct ectx_stream *x, const char *why); /* the mesh goes, or the program does not want it */

/* ---- resolve.c: names at a context that has no resolver of its own ---- */
#define ECI_NAMES_MAX 32u        /* asked for at once at a context, a quarter of the commands that it runs */
#define ECI_NAMES_WAIT_MAX 1024u /* others that wait for that */
struct eci_lookup;
/* The addresses, one a line ("" none); or error, why getent could not be started, -1: it is not known; or the dead
 * notice that came instead. */
typedef void eci_lookup_fn(void *arg, const char *addresses, int error, const struct eci_answer *dead);
/* Sees to it that `getent ahosts NAME` runs there; done() once, which may be before *out is returned (but not before it
 * is set). 0; ECI_R_NO_MEMORY; ECI_R_BUSY: too many wait. */
int eci_lookup_start(struct eci_lookup **out, ectx_context *at, const char *name, eci_lookup_fn *done, void *arg);
void eci_lookup_free(struct eci_lookup *l); /* NULL-safe */

#endif
