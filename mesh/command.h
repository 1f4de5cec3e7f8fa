/* mesh: a command at a context that this library itself talks to, on its stdin and stdout (command.c). */
#ifndef ECI_MESH_COMMAND_H
#define ECI_MESH_COMMAND_H

#include "mesh/stream.h"

struct eci_command {
	struct ectx_stream *io; /* read it, write it, end it: any thread, one at a time each way */
	struct ectx_future *future;
	char said[200]; /* the beginning of what it wrote to stderr */
	size_t nsaid;
};

/* Runs argv at c. What fails is the future's error, and then io is dead. false: no memory. May ask for secrets, as
 * ectx_exec_start() does. No lock. */
bool eci_command_start(struct eci_command *x, ectx_context *c, const char *const *argv, long timeout_ms);
/* Ends it, if it still runs. No lock. Harmless for one that did not start. */
void eci_command_free(struct eci_command *x);

/* ---- what output.c tells it; with the lock ---- */
void eci_command_joined(struct eci_command *x, struct eci_stream *s); /* NULL: not any more */
void eci_command_stdout(struct eci_command *x, struct eci_stream *s, const uint8_t *p, size_t n);
void eci_command_stderr(struct eci_command *x, const uint8_t *p, size_t n);

#endif
