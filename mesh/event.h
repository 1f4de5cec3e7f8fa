/* mesh: the queue of events (event.c). Guarded by mesh->lock. */
#ifndef ECI_MESH_EVENT_H
#define ECI_MESH_EVENT_H

#include "mesh/internal.h"

struct eci_event_node {
	ectx_event ev; /* first: an ectx_event* is one of these */
	struct eci_event_node *prev, *next;
	struct eci_event_node *log_prev, *log_next; /* LOG: of mesh->logs */
	ectx_mesh *mesh;
	uint32_t slot; /* OUTPUT: whose credit this holds */
	char *owned;   /* text, then logger */
};

void eci_event_log(ectx_mesh *m, ectx_context *c, int level, const char *logger, size_t logger_len, const char *text,
		   size_t len);
/* What c says is lost there, or was on its way through it. c NULL: not known any more. */
void eci_event_dropped(ectx_mesh *m, ectx_context *c, uint64_t lines);
void eci_event_output(struct ectx_future *f, int stream, uint32_t slot, const uint8_t *p, size_t n);
void eci_event_done(struct ectx_future *f);
bool eci_event_want_input(struct ectx_future *f); /* makes sure that the next one has memory; false: there is none */
void eci_event_input(struct ectx_future *f);
void eci_events_forget(struct ectx_future *f);
void eci_events_free_all(ectx_mesh *m);

#endif
