/* Waiting for futures.
 *
 * A waiter is listed at each future it waits for, so that ending one future wakes one thread and not all. It sleeps in
 * one of two ways. If the link its answer comes by is free, it borrows it and sleeps in poll(2) on the link itself: the
 * answer wakes this thread and no other, which spares a call the hand-over from the loop's thread, the dearest step of
 * a short call. Else the loop, or another borrower, reads for it, and it sleeps on a condition variable.
 *
 * Invariant: a link has one reader, the loop or a borrower; a borrower does all that the loop would do with what it
 * reads, under the same lock, for whomever it is, and leaves to the loop only what needs its thread (the end of a
 * process, timers). A borrower's poll is ended by an eventfd, since a closed descriptor would not end it; it belongs to
 * the mesh, so that it never is another descriptor by then. */
#include "mesh/internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* ---- conditions ---- */

void eci_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(c, &attr);
	(void)pthread_condattr_destroy(&attr);
}

bool eci_cond_sleep(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t deadline_ms)
{
	if (deadline_ms == UINT64_MAX)
		return pthread_cond_wait(c, lock) == 0;
	struct timespec t = {.tv_sec = (time_t)(deadline_ms / 1000), .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
	return pthread_cond_timedwait(c, lock, &t) != ETIMEDOUT;
}

bool eci_mesh_sleep(ectx_mesh *m, pthread_cond_t *c, uint64_t deadline_ms)
{
	if (m->dirty) {
		eci_unlock(m);
		eci_lock(m);
		return true;
	}
	return eci_cond_sleep(c, &m->lock, deadline_ms);
}

void eci_waiter_wake(struct eci_waiter *w)
{
	const uint64_t one = 1;
	if (!w->polling)
		(void)pthread_cond_signal(&w->cond);
	else if (write(w->nudge->fd, &one, sizeof one) < 0)
		return; /* EAGAIN: it is being woken */
}

/* ---- eventfds ---- */

static struct eci_nudge *take_nudge(ectx_mesh *m)
{
	struct eci_nudge *n = m->nudges;
	if (n) {
		m->nudges = n->next;
		return n;
	}
	n = calloc(1, sizeof *n);
	if (n && (n->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		free(n);
		n = NULL;
	}
	return n;
}

void eci_nudges_free(ectx_mesh *m)
{
	while (m->nudges) {
		struct eci_nudge *n = m->nudges;
		m->nudges = n->next;
		(void)close(n->fd);
		free(n);
	}
}

/* ---- on a link; false: the time is over ---- */

static bool sleep_on_link(ectx_mesh *m, struct eci_waiter *w, uint64_t deadline_ms)
{
	struct pollfd p[2] = {{.fd = w->fd, .events = POLLIN}, {.fd = w->nudge->fd, .events = POLLIN}};
	uint64_t now = deadline_ms == UINT64_MAX ? 0 : eci_now_ms(), left = deadline_ms - now;
	if (now >= deadline_ms)
		return false;
	w->polling = true;
	eci_unlock(m);
	int n = poll(p, 2, deadline_ms == UINT64_MAX ? -1 : left < INT_MAX ? (int)left : INT_MAX);
	eci_lock(m);
	w->polling = false;
	uint64_t count;
	if (n > 0 && p[1].revents && read(w->nudge->fd, &count, sizeof count) < 0)
		return true;
	if (n > 0 && p[0].revents && w->carrier)
		eci_carrier_read(w->carrier);
	return true;
}

/* ---- borrowing a link while waiting ---- */

static void borrow(ectx_mesh *m, struct eci_waiter *w, const ectx_future *f)
{
	if (m->booting || m->closing || f->state != ECI_OP_RUNNING || !f->context || !f->context->id ||
	    !(w->nudge = take_nudge(m)))
		return;
	w->fd = eci_carrier_borrow(m, f->context->id, w);
}

static void give_back(ectx_mesh *m, struct eci_waiter *w)
{
	if (w->carrier)
		eci_carrier_return(w->carrier);
	if (w->nudge) {
		w->nudge->next = m->nudges;
		m->nudges = w->nudge;
	}
}

/* ---- waiting ---- */

static long first_done(ectx_future *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] && v[i]->state == ECI_OP_DONE)
			return (long)i;
	return -1;
}

static long wait_enlisted(ectx_mesh *m, struct eci_waiter *w, ectx_future *const *v, size_t n, uint64_t deadline)
{
	long done;
	bool in_time = true;
	while ((done = first_done(v, n)) < 0 && in_time)
		in_time = w->carrier ? sleep_on_link(m, w, deadline) : eci_cond_sleep(&w->cond, &m->lock, deadline);
	return done;
}

static void waiter_init(struct eci_waiter *w)
{
	*w = (struct eci_waiter){.fd = -1};
	eci_cond_init(&w->cond);
}

/* Futures of one mesh; nodes: n of them. */
static long wait_any(ectx_future *const *v, size_t n, struct eci_wait_node *nodes, long timeout_ms)
{
	const ectx_future *f = NULL;
	for (size_t i = 0; i < n && !f; i++)
		f = v[i];
	if (!f)
		return -1;
	ectx_mesh *m = f->mesh;
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : eci_now_ms() + (uint64_t)timeout_ms;
	eci_lock(m);
	long done = first_done(v, n);
	if (done < 0 && timeout_ms != 0) {
		if (m->dirty) { /* write what the start form queued before sleeping */
			eci_unlock(m);
			eci_lock(m);
		}
		struct eci_waiter w;
		waiter_init(&w);
		for (size_t i = 0; i < n; i++) {
			nodes[i].waiter = &w;
			if (v[i])
				DL_APPEND(v[i]->waits, &nodes[i]);
		}
		borrow(m, &w, f);
		done = wait_enlisted(m, &w, v, n, deadline);
		give_back(m, &w);
		for (size_t i = 0; i < n; i++)
			if (v[i])
				DL_DELETE(v[i]->waits, &nodes[i]);
		(void)pthread_cond_destroy(&w.cond);
	}
	eci_unlock(m);
	return done;
}

static size_t room_of(const struct ectx_future *f)
{
	return f->state == ECI_OP_RUNNING && f->input && f->out ? eci_stream_room(f->out) : 0;
}

size_t eci_future_wait_room(struct ectx_future *f, long timeout_ms)
{
	ectx_mesh *m = f->mesh;
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : eci_now_ms() + (uint64_t)timeout_ms;
	size_t room = room_of(f);
	if (room || timeout_ms == 0)
		return room;
	struct eci_waiter w;
	waiter_init(&w);
	struct eci_wait_node node = {.waiter = &w};
	DL_APPEND(f->waits, &node);
	bool in_time = true;
	while (!(room = room_of(f)) && in_time && f->state != ECI_OP_DONE && f->input)
		in_time = eci_cond_sleep(&w.cond, &m->lock, deadline);
	DL_DELETE(f->waits, &node);
	(void)pthread_cond_destroy(&w.cond);
	return room;
}

bool ectx_future_wait(ectx_future *f, long timeout_ms)
{
	struct eci_wait_node node;
	return wait_any(&f, 1, &node, timeout_ms) == 0;
}

long ectx_future_wait_any(ectx_future *const *v, size_t n, long timeout_ms)
{
	struct eci_wait_node *nodes = calloc(n ? n : 1, sizeof *nodes);
	long done = nodes ? wait_any(v, n, nodes, timeout_ms) : -1;
	free(nodes);
	return done;
}
