/* mesh: a channel, and its place in a call: what channel.c and channel_args.c want of each other. */
#ifndef ECI_MESH_CHANNEL_H
#define ECI_MESH_CHANNEL_H

#include "econtext/channel.h"
#include "mesh/stream.h"

#define ECI_HINT_NO_VALUE "no value came within the limit that was given"

struct ectx_channel {
	ectx_stream *x;
	struct ectx_future *receives; /* wait, in order */
	bool sending;                 /* a thread of the program is: one value at a time */
	bool torn;                    /* a value was cut; written by who sends, with the lock */
	pthread_cond_t sent;          /* until it is not */
	bool given;
	ectx_context *at; /* of the call that it was given to, for people */
	/* in the call that it was given to, while that has not ended; either may go first */
	struct eci_channel_place *place;
	uint32_t group; /* handle of a group that sends to it; 0: none */
	size_t early;   /* bytes of the value at the head whose credit was given back already */
};

struct eci_channel_place {
	ectx_channel *channel;
	size_t index;
	char *key;
};

#endif
