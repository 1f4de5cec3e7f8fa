/* econtext: futures: one piece of work each, from its start to its one outcome. call.h makes them. See econtext.h for
 * what holds for all functions.
 *
 * A future is the caller's and must be freed, done or not. It ends exactly once, and does not change after that. Any
 * number of threads may wait for it; it must not be freed while one does. It may outlive its mesh. */
#ifndef ECONTEXT_FUTURE_H
#define ECONTEXT_FUTURE_H

#include <stdbool.h>
#include <stddef.h>
#include "econtext/error.h"
#include "econtext/value.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ectx_future ectx_future;

/* Blocks until f is done, up to timeout_ms. true: done. false: not in that time; f goes on. */
bool ectx_future_wait(ectx_future *f, long timeout_ms);

/* Blocks until one of n futures is done, up to timeout_ms. They must be of one mesh; NULL entries are skipped. The
 * index of one that is done (the first, if several are), or -1: not in that time, nothing but NULL to wait for, or out
 * of memory. */
long ectx_future_wait_any(ectx_future *const *v, size_t n, long timeout_ms);

/* Does not block. */
bool ectx_future_done(ectx_future *f);

/* ---- the outcome: only once f is done; does not block; owned by f and valid until ectx_future_free() ---- */

/* Never NULL; status ECTX_OK when all went well. call.h says which errors there are. */
const ectx_error *ectx_future_error(const ectx_future *f);

/* call: the result. tree, trace: see there. NULL: it has none (exec, run, connect, or an error). */
const ectx_value *ectx_future_value(const ectx_future *f);

/* exec, run: 0 to 255, or 128 + the signal that ended it. -1: there is none (another kind, or it did not get that far).
 */
int ectx_future_exit_status(const ectx_future *f);

/* ---- stdin of an exec with input ---- */

/* Sends up to n bytes of p (copied) to its stdin. Blocks until there is room for one, up to timeout_ms: the command
 * must have started, and not be behind by more than its stream's window. How many were taken, 1 to n; 0: none in that
 * time (or n is 0 while it runs); -1: f is done, has no input, or its input was ended. Bytes that the command does not
 * read are dropped without a word, as its exit status says all. From one thread at a time. */
long ectx_future_write(ectx_future *f, const void *p, size_t n, long timeout_ms);

/* The end of its stdin, after all that was written. Once is enough; harmless when f is done. Does not block. */
void ectx_future_end_input(ectx_future *f);

/* ---- a pointer of the program's own ---- */

/* Keeps user with f, and asks for an ECTX_EVENT_DONE: when f ends, or at once if it has. At most one a call of this
 * function, whatever user is. Does not block. */
void ectx_future_set_user(ectx_future *f, void *user);

/* NULL when none was set. Not while another thread sets it. */
void *ectx_future_user(const ectx_future *f);

/* ---- letting go ---- */

/* Ends f at once with `cancelled`: a call that waits is taken back, an exec is killed over there, a call that runs goes
 * on and its answer is dropped. Harmless when f is done. Does not block. */
void ectx_future_cancel(ectx_future *f);

/* Takes f back if nothing was sent for it yet, as while its context is being connected: it ends with `cancelled`,
 * nothing of it was or will be done there, and the result is true. False: it was sent, or is done; it goes on as it
 * was. Does not block. */
bool ectx_future_withdraw(ectx_future *f);

/* Cancels f unless it is done, and frees it with all it owns and its events that nobody has taken yet. Does not block.
 * NULL-safe. */
void ectx_future_free(ectx_future *f);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
