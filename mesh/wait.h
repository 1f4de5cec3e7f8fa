/* mesh: threads that wait for futures (wait.c), and the links they borrow meanwhile (hear.c). Guarded by mesh->lock. */
#ifndef ECI_MESH_WAIT_H
#define ECI_MESH_WAIT_H

#include "econtext/econtext.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

void eci_cond_init(pthread_cond_t *c); /* its deadlines are of the monotonic clock */
/* Both: false when the deadline (UINT64_MAX: none) has passed. The second is for conditions of the mesh's lock: what
 * was queued to links goes out first, and then it comes back at once. */
bool eci_cond_sleep(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t deadline_ms);
bool eci_mesh_sleep(ectx_mesh *m, pthread_cond_t *c, uint64_t deadline_ms);

struct eci_carrier;

struct eci_nudge { /* an eventfd that ends a poll(2); kept by the mesh for the next who needs one */
	int fd;
	struct eci_nudge *next;
};
struct eci_waiter {
	pthread_cond_t cond;
	struct eci_carrier *carrier; /* borrowed: this thread reads it; NULL when it was taken back */
	struct eci_nudge *nudge;     /* has one while it has borrowed */
	int fd;                      /* of the carrier */
	bool polling;                /* sleeps in poll(2) and not on cond */
};

struct eci_wait_node { /* one future that a waiter waits for; lives on the waiter's stack or heap */
	struct eci_waiter *waiter;
	struct eci_wait_node *prev, *next;
};

void eci_waiter_wake(struct eci_waiter *w);
void eci_nudges_free(ectx_mesh *m);

int eci_links_open(ectx_mesh *m);                       /* 0, or -1: no descriptor */
bool eci_links_turn_over(unsigned reads, size_t bytes); /* so much of them is enough for one turn of the loop */
/* The thread of w reads the link that leads to context id from now on: its descriptor, or -1 (there is none, or another
 * has it). Given back before w ends, unless w->carrier has become NULL. */
int eci_carrier_borrow(ectx_mesh *m, uint32_t id, struct eci_waiter *w);
void eci_carrier_read(struct eci_carrier *c); /* what is there; may take the carrier back */
void eci_carrier_return(struct eci_carrier *c);

#endif
