/* Memory that runs out in a function of the library, in the thread that called it or in all: each allocation fails
 * once, of malloc(3), calloc(3), realloc(3) and strdup(3), which here are the test's own (cmake/tests.cmake wraps
 * them). What fails says that it was for memory, and nothing that failed is a success. */
#include "mesh/channel.h"
#include "mesh_support.h"
#include <stdatomic.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);

static _Thread_local long left = -1; /* allocations that this thread is still given; below 0: any number */
static _Thread_local bool for_good, failed;
static atomic_long anywhere = -1; /* the same, of all threads */
static void (*when_places)(void); /* called once, by who allocates the places of a call's channels */

static bool none(void)
{
	long n = atomic_load(&anywhere);
	while (n >= 0 && !atomic_compare_exchange_weak(&anywhere, &n, n - 1))
		;
	if (n == 0)
		return true;
	if (left < 0 || left-- > 0)
		return false;
	left = for_good ? 0 : -1;
	failed = true;
	return true;
}

static void give(long n)
{
	left = n;
	failed = false;
}

/* Whether one was refused since give(). */
static bool enough(void)
{
	left = -1;
	return failed;
}

void *__wrap_malloc(size_t size)
{
	return none() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	void (*hook)(void) = n == 1 && size == sizeof(struct eci_channel_place) ? when_places : NULL;
	if (hook) {
		when_places = NULL;
		hook();
	}
	return none() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return none() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return none() ? NULL : __real_strdup(s);
}

/* A Python script that was not run has not ended well. */
Test(no_memory, a_run)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	const char *argv[] = {"s", "a", "\xff", NULL};
	static const char first[] = "pass\n";
	ectx_future *f = ectx_run_with_start(d, &(ectx_exec){argv, .script = first, .script_len = 5}, WITHIN);
	cr_assert(error_of(f)->status == ECTX_OK, "%s", error_of(f)->saw);
	ectx_future_free(f);
	bool some = true;
	for (long n = 0; some; n++) {
		char script[64];
		(void)snprintf(script, sizeof script, "import sys; sys.exit(7) # %ld\n", n); /* new there */
		ectx_exec x = {argv, .script = script, .script_len = strlen(script)};
		give(n);
		f = ectx_run_with_start(d, &x, WITHIN);
		some = enough();
		cr_assert(f || some);
		if (!f)
			continue;
		const ectx_error *e = error_of(f);
		cr_expect(e->code == ECTX_E_NO_MEMORY ||
				  (e->code == ECTX_E_EXIT_STATUS && ectx_future_exit_status(f) == 7),
			  "%ld: %s %s, exit status %d", n, ectx_code_name(e->code), e->saw, ectx_future_exit_status(f));
		ectx_future_free(f);
	}
	world_close(&w);
}

/* Of what was begun with memory for n requests, in way i. Frees f; none is right where some request was refused. */
static void well_or_no_memory(ectx_future *f, bool some, int i, long n)
{
	cr_assert(f || some);
	if (!f)
		return;
	const ectx_error *e = error_of(f);
	cr_expect(e->status == ECTX_OK || e->code == ECTX_E_NO_MEMORY, "%d, %ld: %s %s", i, n, ectx_code_name(e->code),
		  e->saw);
	ectx_future_free(f);
}

/* It is not the fault of the arguments, nor of the file. */
Test(no_memory, a_call)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	ectx_value *args = json("[[{\"b\": 1, \"a\": [2.5, null]}]]");
	char file[128];
	(void)snprintf(file, sizeof file, "%s/work.py:echo", w.dir);
	cr_assert(call_int(d, "work:add", "[1]") == 1);
	for (int i = 0; i < 4; i++) {
		bool some = true;
		for (long n = 0; some; n++) {
			for_good = i & 2; /* a buffer asks again, for less */
			give(n);
			ectx_future *f = ectx_call_start(d, i & 1 ? file : "work:echo", args, NULL, WITHIN);
			some = enough();
			well_or_no_memory(f, some, i, n);
		}
	}
	ectx_value_free(args);
	world_close(&w);
}

/* Nor is a queue full, where there was no memory for what is sent. */
Test(no_memory, a_command)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	const char *argv[] = {"true", NULL};
	cr_assert(call_int(d, "work:add", "[1]") == 1);
	for (int i = 0; i < 2; i++) {
		bool some = true;
		for (long n = 0; some; n++) {
			for_good = i;
			give(n);
			ectx_future *f = ectx_exec_start(d, &(ectx_exec){.argv = argv}, WITHIN);
			some = enough();
			well_or_no_memory(f, some, i, n);
		}
	}
	world_close(&w);
}

/* A native context has the name asked for by a command; a Python one asks itself. */
Test(no_memory, an_open)
{
	struct world w = world_open();
	ectx_context *at[] = {get(w.mesh, "d"), get(w.mesh, "a")};
	ectx_error e = {0};
	for (int i = 0; i < 4; i++) {
		bool some = true;
		cr_assert(ectx_connect(at[i & 1], WITHIN, &e) == ECTX_OK);
		for (long n = 0; some; n++) {
			ectx_stream *s = NULL;
			for_good = i & 2;
			give(n);
			(void)ectx_stream_open(at[i & 1], "localhost:1", WITHIN, &s, &e); /* nobody listens there */
			some = enough();
			cr_expect(!s && (e.code == ECTX_E_OPEN_FAILED || (some && e.code == ECTX_E_NO_MEMORY)),
				  "%d, %ld: %s %s", i, n, ectx_code_name(e.code), e.saw);
			ectx_error_clear(&e);
		}
	}
	world_close(&w);
}

/* Nor of the answer, which is read by the mesh's thread. */
Test(no_memory, an_answer)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	ectx_value *args = json("[[{\"b\": 1, \"a\": [2.5, null], \"c\": \"text\"}]]");
	cr_assert(call_int(d, "work:add", "[1]") == 1);
	bool some = true;
	for (long n = 0; some; n++) {
		atomic_store(&anywhere, n);
		ectx_future *f = ectx_call_start(d, "work:echo", args, NULL, 1000);
		bool done = f && ectx_future_wait(f, WITHIN);
		some = atomic_exchange(&anywhere, -1) < 0;
		cr_assert(done || some);
		enum ectx_code code = done ? ectx_future_error(f)->code : ECTX_E_NO_MEMORY;
		cr_expect(code == ECTX_E_NONE || code == ECTX_E_NO_MEMORY || code == ECTX_E_DEADLINE, "%ld: %s %s", n,
			  ectx_code_name(code), ectx_future_error(f)->saw);
		ectx_future_free(f);
	}
	ectx_value_free(args);
	world_close(&w);
}

/* An end that could not be sent would leave the command waiting for it. The terminal's is a character, and then the
 * stream's end. */
Test(no_memory, the_end_of_input)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	const char *argv[] = {"cat", NULL};
	for (int i = 0; i < 3; i++) {
		ectx_exec x = {argv, .input = true, .rows = i ? 24 : 0, .cols = i ? 80 : 0};
		ectx_future *f = ectx_exec_start(d, &x, WITHIN);
		cr_assert(ectx_future_write(f, "abc", 3, WITHIN) == 3);
		ectx_future *t = ectx_trace_start(d, WITHIN); /* all that was sent has gone */
		cr_assert(error_of(t)->status == ECTX_OK);
		ectx_future_free(t);
		nap_ms(200); /* nor is an ACK owed */
		give(i == 2);
		ectx_future_end_input(f);
		cr_expect(enough(), "%d: nothing was allocated", i);
		cr_expect(error_of(f)->code == ECTX_E_NO_MEMORY, "%d: %s %s", i, ectx_code_name(error_of(f)->code),
			  error_of(f)->saw);
		ectx_future_free(f);
	}
	world_close(&w);
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

/* What a tree or trace says is whole. */
static void expect_whole(ectx_future *f, long n, size_t rows, size_t keys)
{
	if (!f)
		return;
	const ectx_error *e = error_of(f);
	const ectx_value *v = ectx_future_value(f);
	bool none_or_all = e->status == ECTX_OK ? ectx_value_count(v) == rows : e->code == ECTX_E_NO_MEMORY;
	cr_expect(none_or_all, "%ld: %s, %zu rows", n, ectx_code_name(e->code), ectx_value_count(v));
	for (size_t i = 0; i < ectx_value_count(v); i++)
		cr_expect(ectx_value_count(ectx_array_at(v, i)) == keys, "%ld: %zu keys of row %zu", n,
			  ectx_value_count(ectx_array_at(v, i)), i);
	ectx_future_free(f);
}

Test(no_memory, a_tree)
{
	struct world w = world_open();
	bool some = true;
	for (long n = 0; some; n++) { /* of the master alone: at once */
		give(n);
		ectx_future *f = ectx_tree_start(w.mesh, WITHIN);
		some = enough();
		cr_assert(f || some);
		expect_whole(f, n, 1, 17);
	}
	world_close(&w);
}

/* Whichever thread has the last answer. */
Test(no_memory, a_trace)
{
	struct world w = world_open();
	ectx_context *b = get(w.mesh, "b");
	cr_assert(call_int(b, "work:add", "[1]") == 1);
	bool some = true;
	for (long n = 0; some; n++) {
		atomic_store(&anywhere, n);
		ectx_future *f = ectx_trace_start(b, 1000);
		cr_expect(!f || ectx_future_wait(f, WITHIN));
		some = atomic_exchange(&anywhere, -1) < 0;
		cr_assert(f || some);
		expect_whole(f, n, 2, 3);
	}
	world_close(&w);
}
