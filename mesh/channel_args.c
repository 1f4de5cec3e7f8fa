/* Channels as arguments of a call: where they stand among them, and the handles that the call says there.
 *
 * A channel is given to a call when that call is sent; if it never is, or fails, its channels that nobody has opened
 * over there are closed with the call's reason. Channel and call point to each other through a place, as either may be
 * freed first. */
#include "mesh/ahead.h"
#include "mesh/channel.h"
#include "mesh/copy.h"

#include "core/cbor.h"

#include <stdlib.h>
#include <string.h>

int eci_channels_open(struct ectx_future *f)
{
	struct eci_buf *b = &f->request;
	if (!b->mem)
		return -1;
	b->mem[b->head] = 0x85; /* was an array of four */
	int r = eci_context_part(f->at, "stream", &f->at->has_stream);
	eci_cbor_put_array(b, f->nchannels);
	for (size_t i = 0; i < f->nchannels; i++) {
		struct eci_channel_place *p = &f->channels[i];
		ectx_stream *x = p->channel ? p->channel->x : NULL;
		if (!x) {
			eci_future_fail_code(f, ECTX_PHASE_CALL, ECTX_E_CHANNEL_CLOSED,
					     "it was freed before the call began", f->context);
			return -1;
		}
		x->s = x->dead ? NULL : eci_stream_new(f->mesh->router, f->at->id, 0, &eci_outside_ops, x);
		x->waits = false;
		if (!x->s)
			return -1;
		eci_cbor_put_array(b, 3);
		if (p->key)
			eci_cbor_put_str(b, p->key);
		else
			eci_cbor_put_uint(b, p->index);
		eci_cbor_put_uint(b, eci_stream_handle(x->s));
		eci_cbor_put_uint(b, p->channel->group);
		if (p->channel->group && !r) /* a leaf is in no group without */
			r = eci_context_part(f->at, "relay", &f->at->has_relay);
	}
	return b->failed ? -1 : r;
}

bool eci_channels_in_group(const struct ectx_future *f)
{
	for (size_t i = 0; i < f->nchannels; i++)
		if (f->channels[i].channel && f->channels[i].channel->group)
			return true;
	return false;
}

void eci_channels_drop(struct ectx_future *f, const char *why)
{
	for (size_t i = 0; i < f->nchannels; i++) {
		struct eci_channel_place *p = &f->channels[i];
		ectx_stream *x = p->channel ? p->channel->x : NULL;
		bool opened = x && x->s && eci_stream_far(x->s);
		if (x && why && !opened && x->prev)
			eci_stream_forget(x, why);
		if (p->channel)
			p->channel->place = NULL;
		free(p->key);
	}
	free(f->channels);
	f->channels = NULL;
	f->nchannels = 0;
}

static bool same_place(const ectx_channel_arg *a, const ectx_channel_arg *b)
{
	return a->key ? b->key && !strcmp(a->key, b->key) : !b->key && a->index == b->index;
}

static bool places_fit(const ectx_mesh *m, const ectx_channel_arg *channels, size_t n, const ectx_value *args,
		       const ectx_value *kwargs)
{
	for (size_t i = 0; i < n; i++) {
		const ectx_channel_arg *a = &channels[i];
		if (!a->channel || a->channel->x->mesh != m || a->channel->given)
			return false;
		if (a->key ? !kwargs || !ectx_map_get(kwargs, a->key) : !args || a->index >= ectx_value_count(args))
			return false;
		for (size_t j = 0; j < i; j++)
			if (channels[j].channel == a->channel || same_place(&channels[j], a))
				return false;
	}
	return true;
}

/* Its call has failed before it had a place. */
static void refuse(ectx_channel *ch)
{
	ectx_stream *x = ch->x;
	ch->given = true;
	if (x->prev)
		eci_stream_forget(x, ectx_code_name(ECTX_E_NO_MEMORY));
}

/* 0, or -1: no memory; then the channels are closed, as those of each call that failed. */
static int take_places(struct ectx_future *f, const ectx_channel_arg *channels, size_t n)
{
	struct eci_channel_place *p = calloc(n ? n : 1, sizeof *p);
	bool good = p != NULL;
	for (size_t i = 0; i < n && good; i++) {
		p[i].key = channels[i].key ? strdup(channels[i].key) : NULL;
		p[i].index = channels[i].index;
		good = p[i].key || !channels[i].key;
	}
	f->channels = p;
	f->nchannels = p ? n : 0; /* eci_channels_drop() frees the keys */
	for (size_t i = 0; i < n && good; i++) {
		p[i].channel = channels[i].channel;
		channels[i].channel->given = true;
		channels[i].channel->at = f->context;
		channels[i].channel->place = &p[i];
	}
	for (size_t i = 0; i < n && !good; i++)
		refuse(channels[i].channel);
	return good ? 0 : -1;
}

ectx_future *ectx_call_with_start(ectx_context *c, const char *function, const ectx_value *args,
				  const ectx_value *kwargs, const ectx_channel_arg *channels, size_t n, long timeout_ms)
{
	struct ectx_future *f = eci_future_new(c->mesh, c, ECI_OP_CALL, timeout_ms);
	struct eci_fail fail = {0};
	if (!f)
		return NULL;
	eci_lock(f->mesh); /* for both: another thread may give one of them as well */
	bool good = places_fit(f->mesh, channels, n, args, kwargs);
	if (!good)
		eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_BAD_ARGUMENT,
			     "a channel of another mesh, or given before, or for an argument that is not there or has "
			     "one already");
	if (good && take_places(f, channels, n)) {
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "%s", "");
		good = false;
	}
	eci_unlock(f->mesh);
	good = good && eci_call_prepare(f, function, args, kwargs, &fail) == 0;
	return eci_future_start(f, good ? NULL : &fail);
}
