/* native: what hosts.c and procs.c share; theory in procs.c. */
#ifndef ECI_NATIVE_PROC_H
#define ECI_NATIVE_PROC_H

#include "preamble/native/native.h"

#define NATIVE_GRACE_MS 250u

enum native_which { OUT = 1, ERR, TTY, IN }; /* of a process's descriptors */

/* ---- procs.c ---- */
void native_proc_end_at(struct native_proc *c, uint32_t ms);   /* so long from now, if nothing was set before */
bool native_proc_signal(const struct native_proc *c, int sig); /* false: it is not ours to kill */
void native_proc_close_in(struct native_proc *c);
int *native_proc_output(struct native_proc *c, int which);
void native_proc_shut(struct native_proc *c, int which); /* an output is at its end, or wanted no more */

/* ---- hosts.c: as service/ calls them, of which ctx is ---- */
void native_proc_cut(void *ctx, void *proc, int which);
void native_proc_free(void *ctx, void *proc);

#endif
