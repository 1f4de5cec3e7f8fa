/* Memory that is asked for at a bad time, or is not had: of calloc(3), which here is the test's own (cmake/tests.cmake
 * wraps it). */
#include "mesh/channel.h"
#include "mesh_support.h"

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static void (*when_places)(void); /* called once, by who allocates the places of a call's channels */

void *__wrap_calloc(size_t n, size_t size)
{
	void (*hook)(void) = n == 1 && size == sizeof(struct eci_channel_place) ? when_places : NULL;
	if (hook) {
		when_places = NULL;
		hook();
	}
	return __real_calloc(n, size);
}

static struct {
	ectx_context *context;
	ectx_value *args;
	ectx_channel *channel;
	ectx_future *second;
} both;

/* Unless it may not come in between. */
static void give_it_as_well(void)
{
	if (pthread_mutex_trylock(&both.context->mesh->lock))
		return;
	(void)pthread_mutex_unlock(&both.context->mesh->lock);
	both.second = ectx_call_with_start(both.context, "work:echo", both.args, NULL,
					   &(ectx_channel_arg){.channel = both.channel}, 1, 0);
}

/* Another thread comes at the worst time: a channel is one call's all the same. */
Test(no_memory, a_channel_given_twice)
{
	struct world w = world_open();
	both.context = get(w.mesh, "d");
	both.args = ectx_array_push(ectx_array(), ectx_null());
	both.channel = ectx_channel_new(w.mesh);
	ectx_channel_arg arg = {.channel = both.channel};
	when_places = give_it_as_well;
	ectx_future *f = ectx_call_with_start(both.context, "work:echo", both.args, NULL, &arg, 1, 0);
	cr_assert(!when_places, "it was not tried");
	if (!both.second)
		both.second = ectx_call_with_start(both.context, "work:echo", both.args, NULL, &arg, 1, 0);
	bool one = error_of(f)->code == ECTX_E_BAD_ARGUMENT, two = error_of(both.second)->code == ECTX_E_BAD_ARGUMENT;
	cr_expect(one != two, "refused: %d, %d", one, two);
	ectx_future_free(f);
	ectx_future_free(both.second);
	ectx_channel_free(both.channel);
	ectx_value_free(both.args);
	world_close(&w);
}

