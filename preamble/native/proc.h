/* native: what hosts.c, jobs.c and procs.c share; theory in procs.c. */
#ifndef ECI_NATIVE_PROC_H
#define ECI_NATIVE_PROC_H

#include "preamble/native/native.h"

#define NATIVE_GRACE_MS 250u

/* ---- procs.c ---- */
void native_proc_end_at(struct native_proc *c, uint32_t ms); /* so long from now, if nothing was set before */
/* To its group now, and to the rest of its session in the next turn. False: it is not ours to kill. */
bool native_proc_signal(struct native_proc *c, int sig);
void native_proc_close_in(struct native_proc *c);
void native_proc_shut(struct native_proc *c, int which); /* an output is at its end, or wanted no more */

/* ---- hosts.c ---- */
/* For one of the two. NULL and *err (errno) if it could not be started. */
struct native_proc *native_proc_new(struct eci_spawn *s, struct native_job *j, struct native_plan *plan, int *err);
void native_proc_input(struct native_proc *c, const uint8_t *p, size_t n); /* to be queued; n 0: the end of stdin */
/* SIGTERM to the process group; SIGKILL, and both outputs cut, some time later, whatever has ended by then. Another one
 * changes nothing. */
void native_proc_cancel(struct native_proc *c);
void native_proc_cut(struct native_proc *c, int which); /* nobody wants this output any more */
void native_proc_free(void *ctx, void *proc);

/* ---- jobs.c. which: OUT, ERR ---- */
size_t native_job_room(const struct native_job *j, int which);     /* how much may be read from this output now */
void native_job_output(struct native_job *j, int which, size_t n); /* n bytes of it, in native.buf */
void native_job_ended(struct native_job *j, int which);            /* that output is at its end */
void native_job_took(struct native_job *j, size_t n);              /* of its input */
void native_job_failed(struct native_job *j, const uint8_t *why, size_t n); /* it never was its program; final */
/* The process has ended and both outputs were reported to be at their end. Final: j is freed, or waits for the rest of
 * its input and has nothing to do with the process any more. */
void native_job_exited(struct native_job *j, int wait_status);

#endif
