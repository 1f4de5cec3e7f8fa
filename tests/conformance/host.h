/* The C implementation under test: router/ and service/spawn on this process's descriptors 0 and 1. */
#ifndef ECI_CONFORMANCE_HOST_H
#define ECI_CONFORMANCE_HOST_H

#include "router/router.h"
#include "service/spawn.h"

#include <poll.h>

#define HOST_POLL_MAX 512 /* three descriptors for each of the processes a vector may start */

struct host_child;

struct host {
	struct eci_router *router;
	struct eci_link *up;
	struct eci_spawns *spawns;
	struct host_child *children;
	const char *end; /* why the process is about to end */
	bool dirty;      /* a link has something to write */
	struct pollfd poll[HOST_POLL_MAX];
	struct {
		struct host_child *child;
		int which;
	} whose[HOST_POLL_MAX];
	nfds_t npoll;
};

uint64_t host_now(void);

extern const struct eci_spawn_host host_children;
void host_child_wake(struct eci_link *link);
void host_children_flush(struct host *h);
void host_children_watch(struct host *h, uint64_t *until);
void host_children_serve(struct host *h);
void host_children_kill(struct host *h);

#endif
