/* econtext: channels: values between this program and Python code that runs in a context, both ways, while it runs. See
 * econtext.h for what holds for all functions.
 *
 *     ectx_channel *ch = ectx_channel_new(mesh);
 *     ectx_channel_arg arg = {.channel = ch, .index = 1};
 *     f = ectx_call_with_start(c, "./tail.py:follow", args, NULL, &arg, 1, -1);
 *     while (ectx_channel_receive(ch, &v, -1, &err) == ECTX_OK && v) { ... }
 *
 * In the call the argument is an object with send(value), recv(), iteration (until this side has ended), read(n) and
 * write(bytes) for bytes without values, end(), close(), open() (itself), usable in `with`, from any thread; it ends
 * when nobody holds it any more. Either side is held by the other: a sender waits while 256 KiB (more, for who keeps up
 * over a long way) were not taken. */
#ifndef ECONTEXT_CHANNEL_H
#define ECONTEXT_CHANNEL_H

#include "econtext/future.h"
#include "econtext/mesh.h"
#include "econtext/value.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ectx_channel ectx_channel;

/* One that is no call's yet. The caller frees it. NULL: out of memory. Does not block. */
ectx_channel *ectx_channel_new(ectx_mesh *m);

/* Which argument of a call a channel is. */
typedef struct ectx_channel_arg {
	ectx_channel *channel;
	size_t index;    /* of args: what stands there is replaced (put ectx_null() there) */
	const char *key; /* or of kwargs; NULL: index */
} ectx_channel_arg;

/* ectx_call_start() with n channels among its arguments, each given to one call in its life. bad-argument besides: one
 * of another mesh or given before, an argument that is not there, or two for one. They stay the caller's, and live as
 * long as somebody here or there holds them, also after the call has ended. */
ectx_future *ectx_call_with_start(ectx_context *c, const char *function, const ectx_value *args,
				  const ectx_value *kwargs, const ectx_channel_arg *channels, size_t n,
				  long timeout_ms);

/* The next value, as a future for ectx_future_wait_any() and ECTX_EVENT_DONE. Its value is NULL when the other side has
 * ended. Several wait in order; with no time (0) it is had if it has come. Errors: channel-closed (reset, lost, or
 * never given to a call that began), cannot-travel (what came is no value), deadline; closed, begun after
 * ectx_mesh_free(). The path of an error is that of the context which the channel was given to. */
ectx_future *ectx_channel_receive_start(ectx_channel *ch, long timeout_ms);

/* The same, blocking. The caller frees *value; NULL with ECTX_OK: the other side has ended; NULL on failure:
 * as above. */
enum ectx_status ectx_channel_receive(ectx_channel *ch, ectx_value **value, long timeout_ms, ectx_error *err);

/* Sends a value (encoded and copied). Blocks until there is room, up to timeout_ms; the call must have begun. ECTX_OK;
 * deadline, channel-closed (after ectx_mesh_free() too), too-big (64 MiB), cannot-travel (nested deeper than 32, more
 * than 1,048,576 items with itself, an array or map that lacks something, or a map whose keys are one in Python;
 * nothing was sent). A deadline before any of it was taken leaves the channel as it was. One in the middle of it leaves
 * it torn: what is sent later, by any thread, is channel-closed, and what comes can still be received. Any thread;
 * values of several threads are not mixed. */
enum ectx_status ectx_channel_send(ectx_channel *ch, const ectx_value *value, long timeout_ms, ectx_error *err);

/* No more will be sent: the other side's iteration ends. It may go on sending. One that is torn is reset instead, both
 * ways: the other side's next use raises econtext.ChannelClosed. Does not block. */
void ectx_channel_end(ectx_channel *ch);

/* Frees it; if it is not over, the other side's next use raises econtext.ChannelClosed. Not while another thread uses
 * it; futures of it end with channel-closed. May be done after ectx_mesh_free(). Does not block. NULL-safe. */
void ectx_channel_free(ectx_channel *ch);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
