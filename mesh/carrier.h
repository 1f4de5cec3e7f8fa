/* mesh: a carrier, and what carrier.c (start, end), flush.c (towards it) and hear.c (from it) want of each other. */
#ifndef ECI_MESH_CARRIER_H
#define ECI_MESH_CARRIER_H

#include "io/proc.h"
#include "mesh/internal.h"

#define ECI_END_GRACE_S 0.25 /* once: see eci_carrier_grace() */
#define ECI_REAP_POLL_S 0.05 /* where pidfd_open(2) is missing */

struct eci_carrier {
	ectx_mesh *mesh;
	struct eci_spawn *spawn;
	struct eci_proc proc;
	struct eci_link *link;
	struct eci_buf in_q, tty_q;
	ev_io out, err, tty, in_w, tty_w, pid;
	ev_timer poll;
	uint64_t grace_ms; /* when it has had its time to exit by itself; 0: nothing says that it ought to */
	bool exited, in_dead, is_dirty, stdin_done, wide;
	enum { DEAF, BY_LOOP, BY_LINKS, BORROWED } out_is; /* who hears its stdout */
	struct eci_waiter *borrower;                       /* BORROWED */
	int wait_status;
	struct eci_carrier *prev, *next, *dirty_next;
};

void eci_carrier_dirty(struct eci_carrier *c); /* it has something to flush */
/* Has its stdout heard, in the way that is right for what it is now, or not. */
void eci_carrier_hear(struct eci_carrier *c, bool on);
void eci_carrier_eof(struct eci_carrier *c, ev_io *w,
		     int *fd); /* one of its outputs ended, or is not wanted any more */
void eci_carrier_readable(struct ev_loop *loop, ev_io *w, int events);
void eci_carrier_check_end(struct eci_carrier *c); /* reports its end when all of it is over; frees c then */
void eci_carrier_close_stdin(struct eci_carrier *c);
/* It has so long to exit by itself from now on, if it had no such time yet; then it is ended. */
void eci_carrier_grace(struct eci_carrier *c, double seconds);

#endif
