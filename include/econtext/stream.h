/* econtext: streams to what a context can reach: TCP and unix sockets, from its network, as its user. See econtext.h
 * for what holds for all functions.
 *
 * An ADDRESS is "HOST:PORT", "[IPV6]:PORT" or "unix:PATH" ("unix:@NAME": abstract), the port from 1 on, the path of at
 * most 107 bytes. Names are resolved where the connection is made: at the context. */
#ifndef ECONTEXT_STREAM_H
#define ECONTEXT_STREAM_H

#include "econtext/future.h"
#include "econtext/mesh.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- one stream, read and written by this program ---- */

typedef struct ectx_stream ectx_stream;

/* Connects at c to address. Blocks until that is done, at most timeout_ms (and the ask callback's time). The caller
 * frees *out. ECTX_OK; or the status, with *err filled and *out NULL: those of connecting to c (call.h), open-failed
 * (saw: why it could not be reached from there), bad-argument. */
enum ectx_status ectx_stream_open(ectx_context *c, const char *address, long timeout_ms, ectx_stream **out,
				  ectx_error *err);
/* Blocks until there is a byte, or the end, up to timeout_ms. 1 to n bytes; 0: the other end has ended its direction;
 * -1: not in that time (errno ETIMEDOUT), or it was reset or lost (errno ECONNRESET; ectx_stream_why()). n is at least
 * 1. Any thread, one at a time. */
long ectx_stream_read(ectx_stream *s, void *buf, size_t n, long timeout_ms);
/* Blocks until there is room for a byte, up to timeout_ms. 1 to n bytes were taken (copied); -1: as above, and EPIPE
 * after ectx_stream_end(). n is at least 1. Any thread, one at a time. */
long ectx_stream_write(ectx_stream *s, const void *p, size_t n, long timeout_ms);
/* Ends this direction; the other goes on. Does not block. */
void ectx_stream_end(ectx_stream *s);
/* Why it was reset or lost; "" while it was not. Valid until it is freed. Does not block. */
const char *ectx_stream_why(const ectx_stream *s);
/* Frees it; one whose two directions have not ended is reset. May be done after ectx_mesh_free(). Does not block.
 * NULL-safe. */
void ectx_stream_free(ectx_stream *s);

/* The same, joined to two descriptors here (or one, given twice) and moved by the mesh's own thread: pipes, sockets,
 * terminals, files; their flags are left alone. What is read from `in` goes there, what comes goes to `out`. The
 * descriptors are the library's from here on, on failure too: it closes them, each when its direction has ended. Done
 * when both have ended and all was written (`in`, a terminal, is not waited for), or with an error: as
 * ectx_stream_open(); later lost-running, open-failed when it was reset, or system when a descriptor fails (`saw`:
 * "reading: " or "writing: " and what errno says). timeout_ms: for connecting. */
ectx_future *ectx_splice_start(ectx_context *c, const char *address, int in, int out, long timeout_ms);

/* ---- tunnels: sockets that listen ---- */

typedef struct ectx_tunnel ectx_tunnel;

enum ectx_tunnel_kind {
	ECTX_TUNNEL_LOCAL,  /* listens here; connections leave at the exit */
	ECTX_TUNNEL_REMOTE, /* listens at the exit; connections leave here */
	ECTX_TUNNEL_SOCKS   /* listens here; each connection says where to (SOCKS 5) */
};

/* Zero-initialise it and set what is wanted. What means nothing for its kind is bad-argument. */
typedef struct ectx_tunnel_options {
	enum ectx_tunnel_kind kind;
	const char *listen;          /* "[HOST:]PORT" or "unix:PATH"; no host: loopback; port 0: any. A HOST that has
					several addresses is its first of version 4, if any; "*": every one of version 4 */
	const char *connect;         /* an ADDRESS; not for SOCKS. REMOTE: of here, resolved now; its first 8
					addresses are tried in order, for each connection, 20 s in all */
	const char *user, *password; /* SOCKS: demand these (RFC 1929: 255 bytes each; password NULL: an empty one);
					user NULL, and no password: anybody who can connect */
} ectx_tunnel_options;

/* Listens, and serves until it is closed. A LOCAL or SOCKS one connects to its exit when somebody comes: timeout_ms is
 * for each who does, until the exit has connected as well (0 and below: a minute). A REMOTE one connects now, and again
 * should the exit be lost; it blocks, at most timeout_ms (below 0: no limit). Blocks for names here, and for the ask
 * callback. Connections that fail are ECTX_EVENT_LOG events of logger "econtext.tunnel". NULL with *err: bad-argument,
 * system (saw says why it cannot listen), open-failed; for REMOTE also those of connecting. */
ectx_tunnel *ectx_tunnel_open(ectx_context *exit, const ectx_tunnel_options *options, long timeout_ms, ectx_error *err);
/* Where it listens, as an ADDRESS. Valid until it is closed, but of a REMOTE one at port 0 it may be another after its
 * exit was lost, which a log event says: the same port is asked for again, and any where it is taken. Does not block.
 */
const char *ectx_tunnel_address(const ectx_tunnel *t);
/* Ends it and its connections: what of a TCP one has not ended is reset, at both ends, as when the program ends without
 * this. Not after ectx_mesh_free(), which does the same but may leave a REMOTE one's socket file. Blocks for REMOTE, at
 * most a second, until the exit listens no more. NULL-safe. */
void ectx_tunnel_close(ectx_tunnel *t);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
