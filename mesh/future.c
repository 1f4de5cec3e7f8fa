/* Futures: one piece of work each, from start to its one outcome.
 *
 *     WAITING (for its context) -> RUNNING (sent) -> DONE
 *
 * A future is listed with its context while it is not done, so that losing the context ends it, and in mesh->ops for
 * its deadline. It ends exactly once: eci_future_done() is the only way to DONE, closes the slots (so nothing can
 * answer any more) and wakes who waits.
 *
 * The owner is the caller: done or not, only ectx_future_free() frees it. How it fails is in fail.c, who waits for it
 * in wait.c. */
#include "mesh/ahead.h"
#include "mesh/connect.h"
#include "mesh/event.h"
#include "mesh/secret.h"
#include "mesh/stream.h"
#include "mesh/worker.h"

#include <stdlib.h>
#include <string.h>

struct ectx_future *eci_future_new(ectx_mesh *m, ectx_context *c, enum eci_op kind, long timeout_ms)
{
	struct ectx_future *f = calloc(1, sizeof *f);
	if (!f || !(f->done_node = calloc(1, sizeof *f->done_node))) {
		free(f);
		return NULL;
	}
	eci_mesh_ref(m);
	f->mesh = m;
	f->context = f->at = c;
	f->kind = kind;
	f->exit_status = -1;
	f->done_event = true; /* until somebody sets a user pointer */
	f->timeout_ms = timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms;
	f->deadline_ms = UINT64_MAX;
	return f;
}

struct ectx_future *eci_future_start(struct ectx_future *f, const struct eci_fail *malformed)
{
	if (!f)
		return NULL;
	static const struct eci_fail unsaid = {.code = ECTX_E_NO_MEMORY};
	struct eci_fail given_up;
	if (malformed && !malformed->code) /* it is no success, whatever it is */
		malformed = &unsaid;
	if (!malformed && f->context && !eci_secrets_resolve(f->context, &given_up))
		malformed = &given_up;
	eci_lock(f->mesh);
	if (!malformed) {
		eci_future_begin(f);
	} else { /* it is the caller's alone yet */
		eci_error_from(&f->error, malformed, NULL);
		f->state = ECI_OP_DONE;
		eci_channels_drop(f, malformed == &given_up ? "it was given up" : "the call is malformed");
		eci_buf_deinit(&f->request);
	}
	eci_unlock(f->mesh);
	return f;
}

/* What is asked for is here already. */
static bool is_there(const struct ectx_future *f)
{
	return f->kind == ECI_OP_CONNECT && f->at->state == ECI_UP;
}

void eci_future_begin(struct ectx_future *f)
{
	ectx_mesh *m = f->mesh;
	if (f->timeout_ms != UINT64_MAX) /* from now: who was asked for a secret before has taken what time it took */
		f->deadline_ms = eci_now_ms() + f->timeout_ms;
	DL_APPEND2(m->ops, f, all_prev, all_next);
	if (f->at)
		DL_APPEND(f->at->ops, f);
	else
		DL_APPEND(m->loose_ops, f);
	if (m->closing) {
		eci_future_fail_code(f, ECTX_PHASE_NONE, ECTX_E_CLOSED, "", NULL);
		return;
	}
	bool no_time = f->deadline_ms <= eci_now_ms() && !is_there(f); /* nothing is begun for such */
	if (!no_time || f->kind == ECI_OP_RECEIVE)                     /* that only takes what has come */
		eci_future_proceed(f);
	if (no_time && f->state != ECI_OP_DONE)
		eci_future_expire(f);
	if (f->state != ECI_OP_DONE && f->deadline_ms != UINT64_MAX)
		eci_wake_by(m, f->deadline_ms);
}

/* To the worker, if it is the worker's work now. */
static void move_to_worker(struct ectx_future *f)
{
	if (!eci_worker_takes(f))
		return;
	ectx_context *w = eci_worker_of(f->context);
	if (!w) {
		eci_future_fail_code(f, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "", f->context);
		return;
	}
	DL_DELETE(f->at->ops, f);
	f->at = w;
	DL_APPEND(w->ops, f);
}

/* A large message goes in class bulk, one frame of which may pass the PROMOTE before it (64 KiB of calls in a row). */
static bool wants_up(const struct ectx_future *f)
{
	return f->at && (f->kind == ECI_OP_CONNECT || eci_buf_len(&f->request) > ECI_FRAME_BODY_MAX / 2);
}

/* Its context is reachable. */
static void run(struct ectx_future *f)
{
	f->state = ECI_OP_RUNNING;
	switch (f->kind) {
	case ECI_OP_CONNECT:
		eci_future_done(f);
		break;
	case ECI_OP_CALL:
		eci_call_run(f);
		break;
	case ECI_OP_EXEC:
		eci_exec_run(f);
		break;
	case ECI_OP_RUN:
		eci_run_run(f);
		break;
	case ECI_OP_TREE:
		eci_tree_run(f);
		break;
	case ECI_OP_TRACE:
		eci_trace_run(f);
		break;
	case ECI_OP_OPEN:
		eci_open_run(f);
		break;
	case ECI_OP_RECEIVE:
		eci_receive_run(f);
		break;
	case ECI_OP_SPLICE:
		eci_splice_run(f);
		break;
	}
}

void eci_future_proceed(struct ectx_future *f)
{
	move_to_worker(f);
	if (f->state != ECI_OP_WAITING)
		return;
	if (wants_up(f) ? f->at->state == ECI_UP : eci_context_settled(f->at))
		run(f);
	else
		eci_context_want(f->at);
}

/* ---- the end ---- */

static void close_slots(struct ectx_future *f)
{
	if (f->slot)
		eci_slot_close(f->mesh->router, f->slot);
	f->slot = 0;
	eci_outputs_close(f);
	eci_open_close(f);
	eci_receive_close(f);
	eci_channels_drop(f, f->error.status ? ectx_code_name(f->error.code) : NULL);
	if (f->splice)
		eci_splice_free(f->splice);
	eci_pending_free(f);
}

static void delist(struct ectx_future *f)
{
	DL_DELETE2(f->mesh->ops, f, all_prev, all_next);
	if (f->at)
		DL_DELETE(f->at->ops, f);
	else
		DL_DELETE(f->mesh->loose_ops, f);
}

void eci_future_done(struct ectx_future *f)
{
	if (f->state == ECI_OP_DONE)
		return;
	f->state = ECI_OP_DONE;
	delist(f);
	close_slots(f);
	eci_buf_deinit(&f->request);
	if (!f->done_event)
		eci_event_done(f);
	eci_future_rouse(f);
	if (f->hook) {
		f->hook_next = f->mesh->hooked;
		f->mesh->hooked = f;
		eci_mesh_wake(f->mesh);
	}
}

void eci_futures_hooks(ectx_mesh *m)
{
	while (m->hooked) {
		struct ectx_future *f = m->hooked;
		m->hooked = f->hook_next;
		f->hook(f);
	}
}

void eci_future_rouse(struct ectx_future *f)
{
	struct eci_wait_node *w;
	DL_FOREACH(f->waits, w)
	eci_waiter_wake(w->waiter);
}

bool ectx_future_done(ectx_future *f)
{
	eci_lock(f->mesh);
	bool done = f->state == ECI_OP_DONE;
	eci_unlock(f->mesh);
	return done;
}

/* ---- what it was; no lock: a done future does not change ---- */

const ectx_error *ectx_future_error(const ectx_future *f)
{
	return &f->error;
}

const ectx_value *ectx_future_value(const ectx_future *f)
{
	return f->value;
}

int ectx_future_exit_status(const ectx_future *f)
{
	return f->exit_status;
}

void ectx_future_set_user(ectx_future *f, void *user)
{
	eci_lock(f->mesh);
	f->user = user;
	f->done_event = false;
	if (!f->done_node) /* one was told: this call asks for another */
		f->done_node = calloc(1, sizeof *f->done_node);
	if (f->state == ECI_OP_DONE)
		eci_event_done(f);
	eci_unlock(f->mesh);
}

void *ectx_future_user(const ectx_future *f)
{
	return f->user;
}

/* What a future owns, but its place in the mesh. */
static void dispose(struct ectx_future *f)
{
	ectx_error_clear(&f->error);
	ectx_value_free(f->value);
	free(f->program);
	free(f->done_node);
	free(f->input_node);
	free(f);
}

void eci_future_drop(struct ectx_future *f)
{
	struct ectx_future **at = &f->mesh->hooked;
	f->hook = NULL;
	eci_future_cancel(f);
	while (*at && *at != f)
		at = &(*at)->hook_next;
	if (*at)
		*at = f->hook_next;
	eci_mesh_unref(f->mesh); /* never the last: the mesh lives */
	eci_open_free(f);
	dispose(f);
}

void ectx_future_free(ectx_future *f)
{
	if (!f)
		return;
	ectx_mesh *m = f->mesh;
	ectx_future_cancel(f);
	eci_lock(m);
	eci_events_forget(f);
	eci_unlock(m);
	dispose(f);
	eci_mesh_unref(m);
}
