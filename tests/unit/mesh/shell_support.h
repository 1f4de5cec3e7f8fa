/* Shell commands in a context, for tests of mesh/. */
#ifndef ECI_TESTS_SHELL_SUPPORT_H
#define ECI_TESTS_SHELL_SUPPORT_H

#include "mesh_support.h"

/* Status and output of a shell command there, its last newline cut off. */
static inline int shell(ectx_mesh *m, ectx_context *c, const char *script, char *out, size_t cap)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	ectx_future *f = ectx_exec_start(c, &(ectx_exec){.argv = argv}, WITHIN);
	size_t n = 0;
	ectx_event *e;
	bool done;
	do {
		done = ectx_future_done(f); /* asked first: what it printed was queued before it was done */
		e = ectx_event_next(m, done ? 0 : 20);
		if (e && e->kind == ECTX_EVENT_OUTPUT && n + e->len < cap) {
			memcpy(out + n, e->text, e->len);
			n += e->len;
		}
		ectx_event_free(e);
	} while (e || !done);
	out[n && out[n - 1] == '\n' ? n - 1 : n] = 0;
	int status = ectx_future_exit_status(f);
	ectx_future_free(f);
	return status;
}

/* The agent's own process: pid_of() is that of the Python beside it, where it is native. */
static inline pid_t agent_pid(ectx_mesh *m, ectx_context *c)
{
	char out[32];
	cr_assert(shell(m, c, "echo $PPID", out, sizeof out) == 0);
	return (pid_t)atol(out);
}

#endif
