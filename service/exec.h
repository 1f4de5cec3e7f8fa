/* service: EXEC and its streams (docs/protocol.md sections 4 and 9) for a context written in C. Freestanding: what
 * starts processes and moves bytes is the host's. */
#ifndef ECI_SERVICE_EXEC_H
#define ECI_SERVICE_EXEC_H

#include "router/router.h"

#define ECI_JOBS_MAX 128u      /* commands at once; more are answered `busy` */
#define ECI_JOB_GRACE_MS 2000u /* from SIGTERM to SIGKILL */

struct eci_jobs; /* all commands that run */
struct eci_job;  /* one of them */

struct eci_job_request {
	char **argv, **env; /* as of service/words.h */
	char *cwd;          /* NULL: none */
	uint32_t rows, cols;
	bool pty, input;
};

struct eci_job_host {
	/* Starts it: the host's own object, alive until free(); or NULL and *err (errno), *at_cwd when it is the cwd's.
	 */
	void *(*start)(void *ctx, struct eci_job *j, const struct eci_job_request *q, int *err, bool *at_cwd);
	/* SIGTERM to the process group; SIGKILL, and both outputs cut, ECI_JOB_GRACE_MS later, whatever has ended
	 * by then. Another one changes nothing. */
	void (*cancel)(void *ctx, void *proc);
	void (*cut)(void *ctx, void *proc, int which); /* nobody wants this output any more: close it */
	/* Bytes for its stdin, to be queued; n 0: its end. eci_job_took() says when they went, or never will. */
	void (*input)(void *ctx, void *proc, const uint8_t *p, size_t n);
	const char *(*explain)(void *ctx, int err);
};

struct eci_jobs *eci_jobs_new(struct eci_router *r, const struct eci_job_host *host, void *ctx);
/* A frame for EXEC or CANCEL: true if it was one that is served here. */
bool eci_jobs_deliver(struct eci_jobs *all, const struct eci_frame *f, uint64_t now_ms);

/* ---- what the host reports. which: 1 stdout, 2 stderr ---- */
/* How much may be read from this output now. */
size_t eci_job_room(const struct eci_job *j, int which);
void eci_job_output(struct eci_job *j, int which, const uint8_t *p, size_t n, uint64_t now_ms);
void eci_job_ended(struct eci_job *j, int which, uint64_t now_ms); /* that output is at its end */
void eci_job_took(struct eci_job *j, size_t n, uint64_t now_ms);
/* The process has ended and both outputs were reported to be at their end. Final: j is freed. */
void eci_job_exited(struct eci_job *j, int wait_status, uint64_t now_ms);
void *eci_job_proc(const struct eci_job *j);

#endif
