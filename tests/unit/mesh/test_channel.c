/* Channels: how large one value may be. What is sent is held to the same limit, which takes seconds to try. */
#include "mesh/copy.h"
#include "mesh_support.h"

/* A value that has begun is waited for, up to 64 MiB; a longer one is none. */
Test(channel, values_are_of_at_most_64_mebibytes)
{
	struct world w = world_open();
	ectx_channel *ch = ectx_channel_new(w.mesh);
	struct ectx_stream *x = eci_channel_stream(ch);
	for (int past = 0; past <= 1; past++) {
		const uint8_t head[] = {4, 0, 0, (uint8_t)past};
		ectx_value *v = NULL;
		ectx_error err = {0};
		eci_lock(w.mesh);
		eci_buf_clear(&x->in);
		cr_assert(eci_buf_append(&x->in, head, 4) == 0);
		eci_unlock(w.mesh);
		cr_expect(ectx_channel_receive(ch, &v, 0, &err) != ECTX_OK && !v);
		cr_expect(err.code == (past ? ECTX_E_CANNOT_TRAVEL : ECTX_E_DEADLINE), "%s", ectx_code_name(err.code));
		ectx_error_clear(&err);
	}
	ectx_channel_free(ch);
	world_close(&w);
}
