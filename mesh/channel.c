/* Channels: values over a stream, each as its length and its bytes (docs/protocol.md section 9.2).
 *
 * A channel is an ectx_stream and a queue of futures that wait for values. Invariant: no future waits while a whole
 * value is there; values that nobody waits for stay in the stream's buffer, unread, so that its credit holds the
 * sender. A value that is larger than the window could never become whole so: of one that has begun, credit is given
 * back as it comes, up to MESSAGE_MAX, which is what it may cost.
 *
 * How one becomes an argument of a call is in channel_args.c. */
#include "mesh/channel.h"
#include "mesh/copy.h"

#include "core/cbor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- receiving ---- */

static const char no_value[] = "what came over the channel is no value";

/* Of one that is over, with no whole value left. */
static const char *why_closed(const ectx_stream *x)
{
	return x->dead ? x->why : "it ended in the middle of a value";
}

const ectx_context *eci_channel_at(const struct ectx_channel *ch)
{
	return ch->x->mesh->closing ? NULL : ch->at; /* which goes with the mesh, and a channel need not */
}

static void closed(struct ectx_future *f, const char *why)
{
	eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_CHANNEL_CLOSED, why, eci_channel_at(f->channel));
}

/* The value at the head, when it is whole. 1: *value (NULL: it is none), 0: not yet. */
static int next_value(ectx_channel *ch, ectx_value **value)
{
	ectx_stream *x = ch->x;
	size_t have = eci_buf_len(&x->in);
	const uint8_t *p = eci_buf_data(&x->in);
	uint32_t n = have >= 4 ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
	*value = NULL;
	if (have < 4)
		return 0;
	if (n <= ECI_MESSAGE_MAX && have < 4u + n) {
		if (x->s && have - ch->early >= ECI_STREAM_WINDOW / 4) {
			eci_stream_took(x->s, have - ch->early, eci_now_ms());
			ch->early = have;
		}
		return 0;
	}
	if (n <= ECI_MESSAGE_MAX && eci_cbor_check(p + 4, n, ECI_CBOR_VALUE_ITEMS_MAX) == 0) {
		struct eci_cbor c = eci_cbor_open(p + 4, n);
		*value = eci_value_decode(&c);
	}
	n = n <= ECI_MESSAGE_MAX ? n + 4 : (uint32_t)have;
	eci_buf_drain(&x->in, n);
	if (x->s && n > ch->early)
		eci_stream_took(x->s, n - ch->early, eci_now_ms());
	ch->early = ch->early > n ? ch->early - n : 0;
	return 1;
}

static void serve(ectx_channel *ch)
{
	ectx_stream *x = ch->x;
	ectx_value *value;
	while (ch->receives) {
		struct ectx_future *f = ch->receives;
		if (next_value(ch, &value)) {
			f->value = value;
			if (value)
				eci_future_done(f);
			else
				eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_CANNOT_TRAVEL, no_value,
						     eci_channel_at(ch));
		} else if (x->far_over && !eci_buf_len(&x->in)) {
			eci_future_done(f);
		} else if (x->far_over || x->dead) {
			closed(f, why_closed(x));
		} else {
			return;
		}
	}
}

static void notify(ectx_stream *x)
{
	serve(x->user);
}

void eci_receive_run(struct ectx_future *f)
{
	ectx_channel *ch = f->channel;
	DL_APPEND2(ch->receives, f, receive_prev, receive_next);
	serve(ch);
}

void eci_receive_close(struct ectx_future *f)
{
	if (f->channel && f->receive_prev)
		DL_DELETE2(f->channel->receives, f, receive_prev, receive_next);
	f->channel = NULL;
}

ectx_future *ectx_channel_receive_start(ectx_channel *ch, long timeout_ms)
{
	ectx_mesh *m = ch->x->mesh;
	struct ectx_future *f = eci_future_new(m, NULL, ECI_OP_RECEIVE, timeout_ms);
	if (!f)
		return NULL;
	f->channel = ch;
	eci_lock(m);
	eci_future_begin(f);
	eci_unlock(m);
	return f;
}

/* What is there already, without a future. ECTX_OK and no value: nothing is, or (last) the other side has ended. */
static enum ectx_status receive_now(ectx_channel *ch, ectx_value **value, bool last, ectx_error *err)
{
	ectx_stream *x = ch->x;
	struct eci_fail fail = {.phase = ECTX_PHASE_CALL};
	eci_lock(x->mesh);
	bool queue = ch->receives != NULL;
	*value = NULL;
	int whole = queue ? 0 : next_value(ch, value);
	bool ended = x->far_over && !eci_buf_len(&x->in), dead = x->dead || x->far_over;
	if (whole && !*value)
		eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_CANNOT_TRAVEL, "%s", no_value);
	else if (!whole && last && !ended && dead)
		eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_CHANNEL_CLOSED, "%s", why_closed(x));
	else if (!whole && last && !ended)
		fail = (struct eci_fail){.phase = ECTX_PHASE_CALL, .code = ECTX_E_DEADLINE, .hint = ECI_HINT_NO_VALUE};
	if (fail.code != ECTX_E_NONE)
		eci_error_from(err, &fail, eci_channel_at(ch));
	eci_unlock(x->mesh);
	return fail.code == ECTX_E_NONE ? ECTX_OK : err->status;
}

enum ectx_status ectx_channel_receive(ectx_channel *ch, ectx_value **value, long timeout_ms, ectx_error *err)
{
	enum ectx_status now = receive_now(ch, value, timeout_ms == 0, err);
	if (*value || now != ECTX_OK || timeout_ms == 0)
		return now;
	ectx_future *f = ectx_channel_receive_start(ch, timeout_ms);
	if (!f) {
		struct eci_fail fail = {.code = ECTX_E_NO_MEMORY};
		eci_error_from(err, &fail, NULL);
		return err->status;
	}
	(void)ectx_future_wait(f, -1);
	enum ectx_status status = f->error.status;
	if (status != ECTX_OK)
		*err = f->error;
	*value = f->value;
	f->value = NULL;
	ectx_future_free(f);
	return status;
}

/* ---- sending ----
 * A limit that passes when some of a value was taken leaves the channel torn: what is sent behind that would be read as
 * the rest of it. So nothing more is, and its end is a reset, for the other side not to take it for a whole one. */

static const char cut[] = "cut by its limit in the middle of a value";

static enum ectx_status failed(ectx_channel *ch, ectx_error *err, enum ectx_code code, const char *saw)
{
	struct eci_fail fail = {0};
	eci_fail_set(&fail, ECTX_PHASE_CALL, code, "%s", saw);
	(void)snprintf(fail.hint, sizeof fail.hint, "%s",
		       saw == cut                ? "part of a value was sent: the channel takes nothing more"
		       : code == ECTX_E_DEADLINE ? "nothing of it was sent within the limit that was given"
						 : "");
	eci_lock(ch->x->mesh);
	eci_error_from(err, &fail, eci_channel_at(ch));
	eci_unlock(ch->x->mesh);
	return err->status;
}

/* With some of a value taken, or nothing of it. */
static enum ectx_status late(ectx_channel *ch, bool torn, ectx_error *err)
{
	eci_lock(ch->x->mesh);
	ch->torn = torn;
	eci_unlock(ch->x->mesh);
	return failed(ch, err, ECTX_E_DEADLINE, torn ? cut : "");
}

static enum ectx_status send_all(ectx_channel *ch, const uint8_t *p, size_t n, uint64_t deadline, ectx_error *err)
{
	const size_t all = n;
	if (ch->torn)
		return failed(ch, err, ECTX_E_CHANNEL_CLOSED, cut);
	while (n) {
		uint64_t now = eci_now_ms();
		long left = deadline == UINT64_MAX ? -1 : now < deadline ? (long)(deadline - now) : 0;
		long w = ectx_stream_write(ch->x, p, n, left);
		if (w < 0 && errno == ETIMEDOUT)
			return late(ch, n < all, err);
		if (w < 0)
			return failed(ch, err, ECTX_E_CHANNEL_CLOSED,
				      errno == EPIPE ? "it was ended here" : ectx_stream_why(ch->x));
		p += w;
		n -= (size_t)w;
	}
	return ECTX_OK;
}

/* One value at a time: until who sends has sent, but no longer than the caller may wait. */
static bool begin_sending(ectx_channel *ch, long timeout_ms, uint64_t deadline)
{
	ectx_mesh *m = ch->x->mesh;
	bool in_time = timeout_ms != 0;
	eci_lock(m);
	while (ch->sending && in_time)
		in_time = eci_mesh_sleep(m, &ch->sent, deadline);
	bool ours = !ch->sending;
	ch->sending = true;
	eci_unlock(m);
	return ours;
}

static void end_sending(ectx_channel *ch)
{
	ectx_mesh *m = ch->x->mesh;
	eci_lock(m);
	ch->sending = false;
	(void)pthread_cond_signal(&ch->sent);
	eci_unlock(m);
}

enum ectx_status ectx_channel_send(ectx_channel *ch, const ectx_value *value, long timeout_ms, ectx_error *err)
{
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : eci_now_ms() + (uint64_t)timeout_ms;
	struct eci_buf b = ECI_BUF_NULL;
	enum ectx_status status;
	(void)eci_buf_append(&b, "\0\0\0\0", 4);
	int r = eci_value_encode(&b, value) || !eci_value_suits_python(value);
	size_t n = eci_buf_len(&b) - 4;
	if (!r && !b.failed && n <= ECI_MESSAGE_MAX)
		r = eci_cbor_check(eci_buf_data(&b) + 4, n, ECI_CBOR_VALUE_ITEMS_MAX);
	if (b.failed) {
		status = failed(ch, err, ECTX_E_NO_MEMORY, "");
	} else if (r || n > ECI_MESSAGE_MAX) {
		status = failed(ch, err, r ? ECTX_E_CANNOT_TRAVEL : ECTX_E_TOO_BIG, "");
	} else if (!begin_sending(ch, timeout_ms, deadline)) {
		status = failed(ch, err, ECTX_E_DEADLINE, "another thread sends over it");
	} else {
		for (int i = 0; i < 4; i++)
			b.mem[b.head + (size_t)i] = (uint8_t)(n >> (24 - 8 * i));
		status = send_all(ch, eci_buf_data(&b), n + 4, deadline, err);
		end_sending(ch);
	}
	eci_buf_deinit(&b);
	return status;
}

void ectx_channel_end(ectx_channel *ch)
{
	ectx_stream *x = ch->x;
	eci_lock(x->mesh);
	bool torn = ch->torn;
	if (torn && x->s && !x->dead)
		eci_stream_fail(x->s, cut, ""); /* the reason is what called code is told */
	eci_unlock(x->mesh);
	if (!torn)
		ectx_stream_end(x);
}

/* ---- life ---- */

ectx_channel *ectx_channel_new(ectx_mesh *m)
{
	ectx_channel *ch = calloc(1, sizeof *ch);
	if (ch && !(ch->x = eci_stream_make(m))) {
		free(ch);
		ch = NULL;
	}
	if (!ch)
		return NULL;
	eci_cond_init(&ch->sent);
	ch->x->notify = notify;
	ch->x->user = ch;
	ch->x->waits = true;
	eci_lock(m);
	DL_APPEND(m->streams, ch->x);
	eci_unlock(m);
	return ch;
}

void ectx_channel_free(ectx_channel *ch)
{
	if (!ch)
		return;
	ectx_stream *x = ch->x;
	eci_lock(x->mesh);
	if (x->prev)
		eci_stream_forget(x, "it was freed");
	x->notify = NULL;
	if (ch->place)
		ch->place->channel = NULL;
	while (ch->receives)
		closed(ch->receives, "it was freed");
	eci_unlock(x->mesh);
	eci_stream_destroy(x);
	(void)pthread_cond_destroy(&ch->sent);
	free(ch);
}

struct ectx_stream *eci_channel_stream(struct ectx_channel *ch)
{
	return ch->x;
}

void eci_channel_group(struct ectx_channel *ch, uint32_t gid)
{
	ch->group = gid ? ECI_CAST_HANDLE(gid) : 0;
}

int eci_channel_opened(struct ectx_channel *ch, long timeout_ms)
{
	ectx_stream *x = ch->x;
	uint64_t deadline = eci_now_ms() + (uint64_t)timeout_ms;
	eci_lock(x->mesh);
	bool in_time = true;
	while (in_time && (x->waits || (x->s && !x->dead && !eci_stream_far(x->s))))
		in_time = eci_mesh_sleep(x->mesh, &x->writable, deadline);
	bool wait = x->waits || (x->s && !x->dead);
	int r = !wait ? -1 : x->s && eci_stream_far(x->s) ? 1 : 0;
	eci_unlock(x->mesh);
	return r;
}
