/* mesh: a stream joined to descriptors here, moved by the loop's thread. Guarded by mesh->lock. */
#ifndef ECI_MESH_PUMP_H
#define ECI_MESH_PUMP_H

#include "mesh/stream.h"

struct eci_pump {
	ectx_mesh *mesh;
	struct eci_stream *stream; /* NULL: not yet (eci_pump_start()), or over */
	uint32_t peer;             /* whose the other end is */
	int in, out;               /* may be one socket; -1: closed */
	bool owned;                /* descriptors are closed at the end */
	bool socket;               /* in == out, and it is one: half-closed by shutdown(2) */
	bool cuts;                 /* eci_pump_cuts() */
	bool bytewise;             /* out may block at more than one byte */
	ev_io rd, wr;
	struct eci_buf q; /* for out */
	bool in_over, far_over, out_over, over;
	unsigned round;                 /* in which it was read last */
	bool far_ends_all;              /* the far end's END ends it */
	bool wants_settled, settled;    /* it ends when the far end has done with what was sent */
	char why[160];                  /* how it ended; "" well */
	bool dead;                      /* the stream is, and what it brought is still to be written, or taken */
	bool deaf;                      /* the socket takes no more, and what it still has is to be read */
	ev_timer late;                  /* for how long that may stand still; all is written: when it is looked at */
	int left;                       /* bytes that were not taken yet, when it was looked at, and */
	ev_tstamp moved;                /* since when they are as many */
	bool lost;                      /* it ended because the way there did */
	bool here;                      /* it ended because `in` or `out` failed */
	void (*end)(struct eci_pump *); /* once, in the loop's thread or another's; may free the pump */
	struct eci_pump *next;          /* of those that are over and wait for the loop */
};

extern const struct eci_stream_ops eci_pump_ops; /* for a stream whose arg is the pump */
/* Fills in; nothing moves yet. owned: in and out are closed by it. */
void eci_pump_init(struct eci_pump *p, ectx_mesh *m, int in, int out, bool owned, void (*end)(struct eci_pump *));
/* Of a TCP socket that is ours: until the far end's END was passed on, its peer sees a reset when it is closed, and
 * when this process ends, however that comes about. */
void eci_pump_cuts(struct eci_pump *p);
void eci_pump_start(struct eci_pump *p, struct eci_stream *s, uint32_t peer);
/* Ends it now: the stream is reset with this text (NULL: cancelled); end() is not called. */
void eci_pump_close(struct eci_pump *p, const char *why);
void eci_pumps_turn(ectx_mesh *m); /* the loop's thread, before it looks at descriptors */
void eci_pumps_run(ectx_mesh *m);  /* the loop's thread: ends of those that are over */

#endif
