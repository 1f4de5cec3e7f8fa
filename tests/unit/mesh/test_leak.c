/* What is left over: descriptors, memory and processes after hundreds of connects, losses and meshes. */
#include "mesh_support.h"
#include <malloc.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MESHES = 8, LOSSES = 10, CALLS = 100 }; /* they find a leak at once */
#else
enum { MESHES = 16, LOSSES = 66, CALLS = 300 };
#endif

static int descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	cr_assert(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* Bytes that malloc has given out; 0 under a sanitizer, which finds leaks by itself. */
static size_t held(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 0;
#else
	return mallinfo2().uordblks;
#endif
}

static void round_of(const struct world *w)
{
	static const char *const names[] = {"a", "d", "k1", "k2", "k3"};
	ectx_future *f[5];
	ectx_mesh *m = mesh_over(w, 0);
	for (int i = 0; i < 5; i++)
		f[i] = ectx_connect_start(get(m, names[i]), WITHIN);
	for (int i = 0; i < 5; i++) {
		cr_assert(error_of(f[i])->status == ECTX_OK, "%s: %s", names[i], ectx_future_error(f[i])->saw);
		ectx_future_free(f[i]);
	}
	ectx_mesh_free(m);
}

/* 17 rounds of 5 contexts: 85 connects and disconnects. */
Test(leak, meshes_leave_nothing)
{
	struct world w = world_open();
	round_of(&w); /* what the first one loads stays */
	int fds = descriptors();
	size_t bytes = held();
	for (int i = 0; i < MESHES; i++)
		round_of(&w);
	cr_expect(descriptors() == fds, "%d descriptors, %d before", descriptors(), fds);
	cr_expect(held() < bytes + 16384, "%zu bytes, %zu before", held(), bytes);
	world_close(&w);
}

/* Each number of free descriptors up to one that is enough for a context: an error or what was asked for, and the
 * program goes on. */
Test(leak, at_the_limit_of_descriptors)
{
	struct world w = world_open();
	struct rlimit old, low;
	int made = 0, refused = 0, connected = 0, fds = descriptors(), top = dup(0);
	(void)close(top);
	cr_assert(getrlimit(RLIMIT_NOFILE, &old) == 0);
	for (int n = 0; n < 24; n++) {
		ectx_mesh *m = NULL;
		ectx_error err = {0};
		low = (struct rlimit){(rlim_t)(top + n), old.rlim_max};
		cr_assert(setrlimit(RLIMIT_NOFILE, &low) == 0);
		if (ectx_mesh_new(&m, &(ectx_options){.topology = w.topology}, &err) < 0) {
			refused++;
			cr_expect(m == NULL && err.code == ECTX_E_NO_MEMORY);
		} else {
			made++;
			connected += ectx_connect(get(m, "d"), WITHIN, &err) == ECTX_OK;
			cr_expect(!err.status || err.code == ECTX_E_SPAWN_FAILED, "%d: %s: %s", n,
				  ectx_code_name(err.code), err.saw);
		}
		ectx_mesh_free(m);
		cr_assert(setrlimit(RLIMIT_NOFILE, &old) == 0);
	}
	cr_expect(refused > 0 && connected > 0 && connected < made);
	cr_expect(descriptors() == fds, "%d descriptors, %d before", descriptors(), fds);
	world_close(&w);
}

static void lose(ectx_context *d)
{
	ectx_error err = {0};
	ectx_error_clear(&err);
	cr_assert(call(d, "work:leave", NULL, NULL, &err) == ECTX_UNKNOWN, "%s: %s", ectx_code_name(err.code), err.saw);
}

Test(leak, losses_leave_nothing)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	for (int i = 0; i < 5; i++)
		lose(d);
	int fds = descriptors();
	size_t bytes = held();
	for (int i = 0; i < LOSSES; i++) /* more than a router remembers as lost */
		lose(d);
	cr_expect(descriptors() == fds, "%d descriptors, %d before", descriptors(), fds);
	cr_expect(held() < bytes + 65536, "%zu bytes, %zu before", held(), bytes);
	cr_expect(call_int(d, "work:add", "[1]") == 1);
	world_close(&w);
}

Test(leak, calls_leave_nothing)
{
	struct world w = world_open();
	ectx_context *b = get(w.mesh, "b");
	ectx_error err = {0};
	size_t bytes = 0;
	for (int i = 0; i < CALLS; i++) {
		(void)call_int(b, "work:add", "[1]");
		cr_assert(call(b, "work:fail", "[\"x\"]", NULL, &err) == ECTX_FAILED);
		ectx_error_clear(&err);
		cr_assert(call(b, "work:blob", "[100000]", NULL, &err) == ECTX_OK);
		if (i == CALLS / 3)
			bytes = held();
	}
	cr_expect(held() < bytes + 65536, "%zu bytes, %zu before", held(), bytes);
	world_close(&w);
}
