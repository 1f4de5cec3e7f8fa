/* native: what the files of OPEN share among themselves; theory in sockets.c. */
#ifndef ECI_NATIVE_SOCK_H
#define ECI_NATIVE_SOCK_H

#include "core/cbor.h"
#include "preamble/native/arch_sockets.h"
#include "preamble/native/sockets.h"
#include "router/stream.h"

#define NATIVE_PATIENCE 20000u /* ms: for connect(2), and of an ARRIVED one */
#define NATIVE_FULL 25u        /* ms: between tries to connect to who is full, and looks at what is still to be taken */

enum {
	SOL_SOCKET = 1,
	SO_REUSEADDR = 2,
	SO_ERROR = 4,
	SO_OOBINLINE = 10,
	SO_LINGER = 13,
	IPPROTO_TCP = 6,
	TCP_NODELAY = 1,
	TCP_INFO = 11,
	TCP_CLOSE = 7,
	SIOCOUTQ = 0x5411
};
enum { ENXIO = 6, EINVAL = 22, ETIMEDOUT = 110, ECONNREFUSED = 111, EINPROGRESS = 115 };

enum state { CONNECTING, OPEN, LISTENING, ARRIVED };

struct sock {
	struct sock *next;
	enum state state;
	int fd, at; /* at: in native.poll; -1 not */
	uint32_t src, slot;
	uint32_t far, near; /* LISTENING: the event slot; ours, which learns that it is gone */
	struct eci_stream *stream;
	struct sock *listener;
	uint32_t number; /* ARRIVED: which; LISTENING: how many wait; CONNECTING: tries left, 0: it has begun;
			    reset: bytes that were not taken */
	uint64_t until;  /* ms, 0 none: CONNECTING: tried again then; ARRIVED, reset: given up; LISTENING: rests until
			    then */
	struct eci_buf q;
	long failed; /* OPEN: errno of the write that was the last */
	bool in_over, far_over, out_over, gone, reset;
	bool file; /* LISTENING: there is one, which is ours to remove */
	struct native_address address;
};

/* ---- sockets.c ---- */
extern struct sock *native_socks;
extern uint32_t native_socks_count; /* all but ARRIVED ones, which ARRIVED_MAX bounds */
/* The first of the list now; f: whose request it answers, or NULL. NULL: no memory. */
struct sock *native_sock_new(enum state state, int fd, const struct eci_frame *f);

void native_sock_abort(struct sock *s, int on); /* closed, it is a reset */

/* ---- connection.c ---- */
void native_sock_put_address(struct eci_buf *b, const struct native_address *a);
void native_sock_good(struct sock *s, uint32_t near); /* answers its request */
void native_sock_bad(struct sock *s, long error);     /* the same, and it is gone */
void native_sock_flush(struct sock *s);               /* to the kernel, as much as it takes */
void native_sock_take(struct sock *s);                /* from it, as much as its stream has room for */
void native_sock_joined(struct sock *s);              /* it is connected: its stream may flow */
void native_sock_connected(struct sock *s);           /* connect(2) is over, well or not */

/* ---- opening.c ---- */
void native_sock_connect(struct sock *s);
void native_sock_came(struct sock *l); /* somebody, to one that listens */

#endif
