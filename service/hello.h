/* service: HELLO, both ways, for a context written in C (docs/protocol.md section 6). Freestanding. */
#ifndef ECI_SERVICE_HELLO_H
#define ECI_SERVICE_HELLO_H

#include "core/cbor.h"
#include "core/frame.h"

struct eci_hello {
	uint64_t version;
	uint32_t lo, size, idle_ms; /* of a parent's */
	const char *title;          /* in the frame; NULL if there is none */
	size_t title_len;
};

/* What a neighbour's HELLO says. False: it does not decode, or lacks its version (a parent's: its block). */
bool eci_hello_read(struct eci_hello *h, const struct eci_frame *f, bool from_parent);

struct eci_hello_self {
	const char *agent, *version, *machine, *host;
	uint32_t pid, uid;
};
/* The answer to a parent's. */
void eci_hello_answer(struct eci_buf *b, const struct eci_hello_self *self);

#endif
