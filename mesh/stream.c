/* A stream that the program reads and writes itself.
 *
 * Invariant: what came and was not read is in `in`, at most the window that was granted; reading gives it back. Reader
 * and writer sleep on one condition variable each, so that neither wakes the other; whoever reads the link (the loop,
 * or a caller that borrowed it) signals them. */
#include "mesh/stream.h"
#include "mesh/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void tell(ectx_stream *x)
{
	(void)pthread_cond_signal(&x->readable);
	if (x->notify)
		x->notify(x);
}

/* Both directions are over. Why is written once, and shown from then on only: it is read without the lock. */
static void die(ectx_stream *x, const char *why)
{
	if (!x->dead) {
		(void)strncpy(x->why, why, sizeof x->why - 1);
		eci_name_errno(x->why, sizeof x->why);
	}
	x->dead = true;
	x->waits = false; /* for a call that never was */
	(void)pthread_cond_signal(&x->writable);
}

/* What could not be queued is missing: the other end is not to take the rest for all. Without a way it is told of a
 * loss anyway. */
static bool queued(ectx_stream *x, int r)
{
	if (r && r != ECI_R_NO_ROUTE)
		eci_stream_fail(x->s, "reset", "no memory");
	return r == 0;
}

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	ectx_stream *x = arg;
	if (eci_buf_append(&x->in, p, n)) {
		eci_stream_free(x->s, "reset", "no memory", eci_now_ms());
		x->s = NULL;
		die(x, "no memory");
	}
	tell(x);
}

static void on_end(void *arg)
{
	ectx_stream *x = arg;
	x->far_over = true;
	tell(x);
}

static void on_room(void *arg)
{
	ectx_stream *x = arg;
	if (x->ended) /* before the other end said where to */
		(void)queued(x, eci_stream_end(x->s, eci_now_ms()));
	(void)pthread_cond_signal(&x->writable);
	if (x->has_room)
		x->has_room(x);
}

static void on_dead(void *arg, const struct eci_answer *a)
{
	ectx_stream *x = arg;
	die(x, *a->evidence ? a->evidence : a->reason);
	if (x->has_room)
		x->has_room(x);
	tell(x);
}

const struct eci_stream_ops eci_outside_ops = {.data = on_data, .ended = on_end, .room = on_room, .dead = on_dead};

static uint64_t deadline_of(long timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : eci_now_ms() + (uint64_t)timeout_ms;
}

long ectx_stream_read(ectx_stream *x, void *buf, size_t n, long timeout_ms)
{
	ectx_mesh *m = x->mesh;
	uint64_t deadline = deadline_of(timeout_ms);
	bool in_time = timeout_ms != 0;
	long got = -1;
	eci_lock(m);
	while (!eci_buf_len(&x->in) && !x->far_over && !x->dead && in_time)
		in_time = eci_mesh_sleep(m, &x->readable, deadline);
	size_t have = eci_buf_len(&x->in);
	if (have) {
		n = n < have ? n : have;
		memcpy(buf, eci_buf_data(&x->in), n);
		eci_buf_drain(&x->in, n);
		if (x->s)
			eci_stream_took(x->s, n, eci_now_ms());
		got = (long)n;
	} else if (x->far_over) {
		got = 0;
	}
	int error = x->dead ? ECONNRESET : ETIMEDOUT;
	eci_unlock(m);
	if (got < 0)
		errno = error;
	return got;
}

long ectx_stream_write(ectx_stream *x, const void *p, size_t n, long timeout_ms)
{
	ectx_mesh *m = x->mesh;
	uint64_t deadline = deadline_of(timeout_ms);
	bool in_time = timeout_ms != 0;
	size_t room = 0;
	int error = ETIMEDOUT;
	eci_lock(m);
	while ((x->s || x->waits) && !x->dead && !x->ended && !(room = x->s ? eci_stream_room(x->s) : 0) && in_time)
		in_time = eci_mesh_sleep(m, &x->writable, deadline);
	if (x->ended)
		error = EPIPE;
	else if (x->dead || (!x->s && !x->waits))
		error = ECONNRESET;
	n = n < room ? n : room;
	if (room && !queued(x, eci_stream_send(x->s, p, n, eci_now_ms()))) {
		room = 0;
		error = ECONNRESET;
	}
	eci_unlock(m);
	if (room)
		return (long)n;
	errno = error;
	return -1;
}

void ectx_stream_end(ectx_stream *x)
{
	eci_lock(x->mesh);
	x->ended = true;
	if (x->s && eci_stream_far(x->s)) /* else on_room() does it */
		(void)queued(x, eci_stream_end(x->s, eci_now_ms()));
	(void)pthread_cond_signal(&x->writable);
	eci_unlock(x->mesh);
}

const char *ectx_stream_why(const ectx_stream *x)
{
	eci_lock(x->mesh);
	const char *why = x->dead ? x->why : "";
	eci_unlock(x->mesh);
	return why;
}

void eci_stream_forget(struct ectx_stream *x, const char *why)
{
	eci_stream_free(x->s, "cancelled", NULL, eci_now_ms());
	x->s = NULL;
	die(x, why);
	DL_DELETE(x->mesh->streams, x);
	x->prev = NULL;
	tell(x);
}

void eci_stream_destroy(ectx_stream *x)
{
	(void)pthread_cond_destroy(&x->readable);
	(void)pthread_cond_destroy(&x->writable);
	eci_buf_deinit(&x->in);
	ectx_mesh *m = x->mesh;
	free(x);
	eci_mesh_unref(m);
}

void ectx_stream_free(ectx_stream *x)
{
	if (!x)
		return;
	eci_lock(x->mesh);
	if (x->prev)
		eci_stream_forget(x, "");
	eci_unlock(x->mesh);
	eci_stream_destroy(x);
}

ectx_stream *eci_stream_make(ectx_mesh *m)
{
	ectx_stream *x = calloc(1, sizeof *x);
	if (!x)
		return NULL;
	eci_cond_init(&x->readable);
	eci_cond_init(&x->writable);
	eci_mesh_ref(m);
	x->mesh = m;
	return x;
}

enum ectx_status ectx_stream_open(ectx_context *c, const char *address, long timeout_ms, ectx_stream **out,
				  ectx_error *err)
{
	ectx_mesh *m = c->mesh;
	struct eci_address a = {0};
	struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
	ectx_stream *x = eci_stream_make(m);
	struct ectx_future *f = NULL;
	*out = NULL;
	if (x && eci_address_parse_to(&a, address, &fail) == 0 && eci_secrets_resolve(c, &fail)) {
		eci_lock(m);
		f = eci_open_start(c, a.port < 0 ? "unix" : "tcp", a.host, a.port, &eci_outside_ops, x, NULL,
				   timeout_ms);
		eci_unlock(m);
	}
	if (f) {
		(void)ectx_future_wait(f, -1);
		eci_lock(m);
		*err = f->error;
		f->error.detail = NULL;
		x->s = err->status == ECTX_OK ? eci_open_take(f) : NULL;
		if (x->s) {
			DL_APPEND(m->streams, x);
			*out = x;
		}
		eci_future_drop(f);
		eci_unlock(m);
	} else {
		eci_error_from(err, &fail, NULL);
	}
	free(a.host);
	if (x && !*out)
		eci_stream_destroy(x);
	return err->status;
}
