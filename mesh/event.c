/* Events: what a program takes with ectx_event_next().
 *
 * Bounded in three ways: output holds stream credit until its event is freed, so a program that stops reading stops the
 * source; log records beyond event_limit, or beyond ECI_EVENT_BYTES of them, push the oldest out, counted; a future
 * makes one DONE at most each time it is asked for; one DROPPED of a context waits at most, which what it says next is
 * added to.
 *
 * What is pushed out, or forgotten with its future, is found without a walk past all that the program does not take:
 * records have a list of their own, and a future knows how many it has.
 *
 * Who waits for nothing but events would wait for ever for one that found no memory: DONE's is made with its future
 * (another where it is asked for again), INPUT's before ectx_future_write() says 0. */
#include "mesh/event.h"
#include "mesh/worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static void post(ectx_mesh *m, struct eci_event_node *n)
{
	bool was_empty = m->events == NULL;
	n->mesh = m;
	DL_APPEND(m->events, n);
	if (n->ev.kind == ECTX_EVENT_LOG)
		DL_APPEND2(m->logs, n, log_prev, log_next);
	if (n->ev.future)
		n->ev.future->events++;
	if (was_empty) {
		const uint64_t one = 1;
		(void)!write(m->event_fd, &one, sizeof one);
		(void)pthread_cond_signal(&m->event_cond);
	}
}

static void take(ectx_mesh *m, struct eci_event_node *n)
{
	DL_DELETE(m->events, n);
	if (n->ev.kind == ECTX_EVENT_DROPPED)
		n->ev.context->dropped = NULL;
	if (n->ev.future)
		n->ev.future->events--;
	if (n->ev.kind == ECTX_EVENT_LOG) {
		DL_DELETE2(m->logs, n, log_prev, log_next);
		m->log_events--;
		m->log_bytes -= n->ev.len;
	}
	if (!m->events) {
		uint64_t count;
		(void)!read(m->event_fd, &count, sizeof count);
	}
}

static void drop_oldest_log(ectx_mesh *m)
{
	struct eci_event_node *n = m->logs;
	m->dropped++;
	take(m, n);
	free(n->owned);
	free(n);
}

void eci_event_dropped(ectx_mesh *m, ectx_context *c, uint64_t lines)
{
	c = eci_context_shown(c);
	struct eci_event_node *n = c ? c->dropped : NULL;
	if (!n && c && (n = calloc(1, sizeof *n)) != NULL) {
		n->ev = (ectx_event){.kind = ECTX_EVENT_DROPPED, .context = c};
		c->dropped = n;
		post(m, n);
	}
	if (n)
		n->ev.dropped += lines;
	else
		m->dropped += lines;
}

void eci_event_log(ectx_mesh *m, ectx_context *c, int level, const char *logger, size_t logger_len, const char *text,
		   size_t len)
{
	struct eci_event_node *n = calloc(1, sizeof *n);
	char *owned = n ? malloc(len + logger_len + 2) : NULL;
	if (!owned) {
		free(n);
		m->dropped++;
		return;
	}
	memcpy(owned, text, len);
	owned[len] = 0;
	memcpy(owned + len + 1, logger, logger_len);
	owned[len + 1 + logger_len] = 0;
	n->owned = owned;
	n->ev = (ectx_event){.kind = ECTX_EVENT_LOG,
			     .context = eci_context_shown(c),
			     .level = level,
			     .logger = owned + len + 1,
			     .text = owned,
			     .len = len};
	post(m, n);
	m->log_events++;
	m->log_bytes += len;
	while (m->log_events > m->event_limit || m->log_bytes > ECI_EVENT_BYTES)
		drop_oldest_log(m);
}

void eci_event_output(struct ectx_future *f, int stream, uint32_t slot, const uint8_t *p, size_t len)
{
	struct eci_event_node *n = calloc(1, sizeof *n);
	char *owned = n ? malloc(len + 1) : NULL;
	if (!owned) {
		free(n);
		eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_NO_MEMORY, "output", f->context);
		return;
	}
	memcpy(owned, p, len);
	owned[len] = 0;
	n->owned = owned;
	n->slot = slot;
	n->ev = (ectx_event){.kind = ECTX_EVENT_OUTPUT,
			     .context = f->context,
			     .future = f,
			     .stream = stream,
			     .text = owned,
			     .len = len};
	post(f->mesh, n);
}

void eci_event_done(struct ectx_future *f)
{
	struct eci_event_node *n = f->done_node;
	if (!n || f->done_event)
		return;
	f->done_event = true;
	f->done_node = NULL;
	n->ev = (ectx_event){.kind = ECTX_EVENT_DONE, .context = f->context, .future = f};
	post(f->mesh, n);
}

void eci_event_input(struct ectx_future *f)
{
	struct eci_event_node *n = f->input_node;
	f->input_node = NULL;
	n->ev = (ectx_event){.kind = ECTX_EVENT_INPUT, .context = f->context, .future = f};
	post(f->mesh, n);
}

bool eci_event_want_input(struct ectx_future *f)
{
	if (!f->input_node)
		f->input_node = calloc(1, sizeof *f->input_node);
	return f->input_node != NULL;
}

void eci_events_forget(struct ectx_future *f)
{
	struct eci_event_node *n, *next;
	DL_FOREACH_SAFE(f->mesh->events, n, next)
	{
		if (!f->events)
			break;
		if (n->ev.future != f)
			continue;
		take(f->mesh, n);
		free(n->owned);
		free(n);
	}
}

void eci_events_free_all(ectx_mesh *m)
{
	struct eci_event_node *n, *next;
	DL_FOREACH_SAFE(m->events, n, next)
	{
		DL_DELETE(m->events, n);
		free(n->owned);
		free(n);
	}
}

static struct eci_event_node *dropped_event(ectx_mesh *m)
{
	struct eci_event_node *n = calloc(1, sizeof *n);
	if (n) {
		n->mesh = m;
		n->ev = (ectx_event){.kind = ECTX_EVENT_DROPPED, .dropped = m->dropped};
		m->dropped = 0;
	}
	return n;
}

ectx_event *ectx_event_next(ectx_mesh *m, long timeout_ms)
{
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : eci_now_ms() + (uint64_t)timeout_ms;
	struct eci_event_node *n = NULL;
	bool in_time = timeout_ms != 0;
	eci_lock(m);
	if (m->dropped)
		n = dropped_event(m);
	while (!n && !m->events && in_time)
		in_time = eci_cond_sleep(&m->event_cond, &m->lock, deadline);
	if (!n && m->events) {
		n = m->events;
		take(m, n);
	}
	eci_unlock(m);
	if (!n)
		return NULL;
	eci_mesh_ref(m);
	return &n->ev;
}

void ectx_event_free(ectx_event *e)
{
	if (!e)
		return;
	struct eci_event_node *n = (struct eci_event_node *)e;
	if (n->slot) {
		eci_lock(n->mesh);
		/* Else the mesh was freed before. */
		struct eci_stream *s = n->mesh->router ? eci_stream_find(n->mesh->router, n->slot) : NULL;
		if (s)
			eci_stream_took(s, e->len, eci_now_ms());
		eci_unlock(n->mesh);
	}
	eci_mesh_unref(n->mesh);
	free(n->owned);
	free(n);
}

int ectx_event_fd(ectx_mesh *m)
{
	return m->event_fd;
}
