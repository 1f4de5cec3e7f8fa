/* Memory that runs out below the mesh: each allocation of core/ and router/ fails once. A piece of work may fail or
 * meet its deadline; nothing may crash, hang or leak, and with memory again, a mesh must work. And memory that runs out
 * in the mesh, of calloc(3), which here is the test's own (cmake/tests.cmake wraps it). */
#include "core/mem.h"
#include "econtext/copy.h"
#include "mesh/asked.h"
#include "mesh/channel.h"
#include "mesh/copy.h"
#include "mesh_support.h"
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

static atomic_long countdown = -1, failures;
static atomic_size_t least, most = SIZE_MAX; /* bytes: no other allocation is counted down */
static atomic_bool no_calloc;
static atomic_size_t no_calloc_of; /* bytes: nor of so many */

/* In the place of io/mem.c, which the library takes from its archive only when nobody else has them. */
void *eci_mem_alloc(size_t size)
{
	long left = atomic_load(&countdown);
	if (size < atomic_load(&least) || size > atomic_load(&most))
		left = -1;
	while (left >= 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1))
		;
	if (left == 0) {
		atomic_fetch_add(&failures, 1);
		return NULL;
	}
	return malloc(size);
}

void eci_mem_free(void *p)
{
	free(p);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	bool none = atomic_load(&no_calloc) || (n && n * size == atomic_load(&no_calloc_of));
	return none ? NULL : __real_calloc(n, size);
}

Test(memory, every_allocation_of_a_new_mesh)
{
	struct world w = world_open();
	const char *roots[] = {w.dir, NULL};
	ectx_options o = {.topology = w.topology, .roots = roots};
	int refused = 0;
	for (long n = 0; n < 20; n++) {
		ectx_mesh *m = NULL;
		ectx_error err = {0};
		atomic_store(&countdown, n);
		if (ectx_mesh_new(&m, &o, &err) < 0) {
			refused++;
			cr_expect(m == NULL && err.code == ECTX_E_NO_MEMORY && err.status == ECTX_INTERNAL);
		}
		atomic_store(&countdown, -1);
		ectx_mesh_free(m);
	}
	cr_expect(refused > 0, "nothing failed: the hooks are not in use");
	world_close(&w);
}

Test(memory, every_allocation_of_a_connect)
{
	struct world w = world_open();
	for (long n = 0; n < 30; n++) {
		ectx_mesh *m = mesh_over(&w, 0);
		ectx_error err = {0};
		atomic_store(&countdown, n);
		(void)ectx_connect(get(m, "d"), 700, &err);
		atomic_store(&countdown, -1);
		ectx_mesh_free(m);
	}
	cr_expect(atomic_load(&failures) > 0);
	cr_expect(call_int(get(w.mesh, "d"), "work:add", "[1]") == 1);
	world_close(&w);
}

Test(memory, every_allocation_of_a_call)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	ectx_value *args = ectx_array_push(ectx_array(), json("[[1, 2, 3], {\"a\": [1.5, null]}, \"text\"]"));
	int failed = 0;
	for (long n = 0; n < 60; n++) {
		ectx_value *v = NULL;
		ectx_error err = {0};
		if (n % 10 == 0)
			cr_expect(call_int(d, "work:add", "[1]") == 1, "after %ld", n);
		atomic_store(&countdown, n);
		failed += ectx_call(d, "work:echo", args, NULL, 300, &v, &err) != ECTX_OK;
		atomic_store(&countdown, -1);
		ectx_value_free(v);
		ectx_error_clear(&err);
	}
	cr_expect(failed > 0);
	cr_expect(call_int(d, "work:add", "[1]") == 1);
	ectx_value_free(args);
	world_close(&w);
}

static void put_big(const struct world *w, size_t n)
{
	char path[128];
	uint32_t any = 1;
	(void)snprintf(path, sizeof path, "%s/pkg", w->dir);
	cr_assert(mkdir(path, 0755) == 0);
	put_file(path, "__init__.py", "", 0644);
	(void)snprintf(path, sizeof path, "%s/pkg/data.bin", w->dir);
	FILE *f = fopen(path, "w");
	cr_assert(f);
	while (n--) /* it takes more than a slice to compress */
		(void)putc((int)((any = any * 1664525u + 1013904223u) >> 24), f);
	cr_assert(fclose(f) == 0);
}

/* A link's question that could not be kept, while what it asks for is half compressed: others' data do not wait. */
Test(memory, a_question_that_cannot_be_kept)
{
	static const uint8_t body[] = "\x81\x6cpkg/data.bin";
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d"), *e = get(w.mesh, "e");
	put_file(w.dir, "big.py", "import pkgutil\ndef size(): return len(pkgutil.get_data('pkg', 'data.bin'))\n",
		 0644);
	put_big(&w, 3 << 20);
	cr_assert(call_int(d, "work:add", "[1]") == 1 && call_int(e, "work:add", "[1]") == 1);
	struct eci_frame f = {.src = d->id, .handle = ECI_H_GET_MODULE, .reply_to = 999, .body = body, .len = 14};
	long before = atomic_load(&failures);
	eci_lock(w.mesh);
	w.mesh->asked_ms = 0;
	atomic_store(&countdown, 1); /* the first is for what is compressed */
	eci_asked_take(w.mesh, eci_router_link_to(w.mesh->router, d->id), &f);
	atomic_store(&countdown, -1);
	cr_expect(atomic_load(&failures) == before + 1 && !d->asked, "it was kept");
	eci_unlock(w.mesh);
	ectx_future *size = start(e, "big:size", NULL, 10000);
	cr_expect(ectx_future_wait(size, WITHIN) && ectx_future_error(size)->status == ECTX_OK, "%s",
		  ectx_future_error(size)->saw);
	ectx_future_free(size);
	char command[128];
	(void)snprintf(command, sizeof command, "rm -r %s/pkg", w.dir);
	cr_assert(system(command) == 0);
	world_close(&w);
}

/* Who waits for events only, as the program does. */
Test(memory, an_end_is_told_without_memory)
{
	struct world w = world_open();
	const char *argv[] = {"sh", "-c", "exec cat", NULL};
	ectx_future *f = ectx_exec_start(get(w.mesh, "d"), &(ectx_exec){.argv = argv, .input = true}, WITHIN);
	cr_assert(ectx_future_write(f, "x\n", 2, WITHIN) == 2);
	cr_expect(ectx_future_write(f, "", 0, WITHIN) == 0, "it runs");
	ectx_future_set_user(f, &w);
	atomic_store(&no_calloc, true);
	ectx_future_end_input(f);
	cr_assert(ectx_future_wait(f, WITHIN));
	atomic_store(&no_calloc, false);
	cr_expect(ectx_future_error(f)->code == ECTX_E_NO_MEMORY, "its output had none");
	bool told = false;
	for (ectx_event *e; (e = ectx_event_next(w.mesh, 0)) != NULL; ectx_event_free(e))
		told |= e->kind == ECTX_EVENT_DONE && e->future == f;
	cr_expect(told);
	cr_expect(ectx_future_write(f, "", 0, WITHIN) == -1, "it does not");
	ectx_future_free(f);
	world_close(&w);
}

/* Nor is 0 said by ectx_future_write() when no event could follow it. */
Test(memory, input_that_waits_without_memory)
{
	struct world w = world_open();
	const char *argv[] = {"sleep", "1000", NULL};
	static const char zeroes[65536];
	ectx_future *f = ectx_exec_start(get(w.mesh, "d"), &(ectx_exec){.argv = argv, .input = true}, WITHIN);
	long n = ectx_future_write(f, zeroes, sizeof zeroes, WITHIN);
	cr_assert(n > 0);
	atomic_store(&no_calloc, true);
	while (n > 0)
		n = ectx_future_write(f, zeroes, sizeof zeroes, 0);
	atomic_store(&no_calloc, false);
	cr_expect(n == -1 && ectx_future_done(f), "%ld", n);
	cr_expect(ectx_future_error(f)->code == ECTX_E_NO_MEMORY);
	ectx_future_free(f);
	world_close(&w);
}

/* What is on its way there and back is done with, and nobody else wants any memory. */
static void settle(ectx_context *c)
{
	ectx_future *f = ectx_trace_start(c, WITHIN);
	cr_assert(f && error_of(f)->status == ECTX_OK);
	ectx_future_free(f);
	nap_ms(200); /* an ACK may be owed for as long as ECI_ACK_WITHIN */
}

/* What could not be sent is missing there: the command is no success. */
Test(memory, input_that_cannot_be_sent)
{
	struct world w = world_open();
	const char *argv[] = {"cat", NULL};
	ectx_context *d = get(w.mesh, "d");
	ectx_future *f = ectx_exec_start(d, &(ectx_exec){.argv = argv, .input = true}, WITHIN);
	cr_assert(ectx_future_write(f, "x\n", 2, WITHIN) == 2);
	ectx_event *e = ectx_event_next(w.mesh, WITHIN);
	cr_assert(e && e->kind == ECTX_EVENT_OUTPUT && e->len == 2);
	ectx_event_free(e);
	settle(d);
	atomic_store(&countdown, 0);
	cr_expect(ectx_future_write(f, "y\n", 2, 0) == -1);
	atomic_store(&countdown, -1);
	ectx_future_end_input(f);
	cr_expect(ectx_future_wait(f, WITHIN) && ectx_future_error(f)->code == ECTX_E_NO_MEMORY);
	ectx_future_free(f);
	world_close(&w);
}

/* A socket that listens, and what to connect to. */
static int listening(char to[40])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 1) == 0 &&
		  getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	(void)snprintf(to, 40, "127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
	return fd;
}

/* Whether what came there, which was something, ended by a reset. */
static bool is_reset(int fd)
{
	char buf[64];
	ssize_t n;
	while ((n = read(fd, buf, sizeof buf)) > 0)
		;
	(void)close(fd);
	return n < 0;
}

/* Of a stream bytes or its end cannot be sent: the other end is not to take what came for all. */
Test(memory, a_stream_that_cannot_be_sent)
{
	struct world w = world_open();
	char to[40];
	ectx_error err = {0};
	ectx_context *d = get(w.mesh, "d");
	for (int bytes = 0; bytes < 2; bytes++) {
		ectx_stream *x = NULL;
		int server = listening(to);
		cr_assert(ectx_stream_open(d, to, WITHIN, &x, &err) == ECTX_OK, "%s", err.saw);
		int end = accepted(server);
		char came[2];
		cr_assert(ectx_stream_write(x, "x\n", 2, WITHIN) == 2);
		cr_assert(recv(end, came, sizeof came, MSG_WAITALL) == sizeof came);
		settle(d);
		atomic_store(&countdown, 0);
		if (bytes)
			cr_expect(ectx_stream_write(x, "y\n", 2, 0) == -1);
		ectx_stream_end(x);
		atomic_store(&countdown, -1);
		cr_expect(is_reset(end), "it was taken for whole");
		cr_expect_str_eq(ectx_stream_why(x), "no memory");
		ectx_stream_free(x);
		(void)close(server);
	}
	world_close(&w);
}

/* Nor what a descriptor had. */
Test(memory, a_splice_whose_end_cannot_be_sent)
{
	struct world w = world_open();
	char to[40], c;
	int server = listening(to), ends[2];
	long before = atomic_load(&failures);
	cr_assert(pipe(ends) == 0);
	ectx_context *d = get(w.mesh, "d");
	ectx_future *f = ectx_splice_start(d, to, ends[0], 1, WITHIN);
	int end = accepted(server);
	cr_assert(write(ends[1], "x", 1) == 1 && read(end, &c, 1) == 1);
	settle(d);
	atomic_store(&countdown, 0);
	(void)close(ends[1]);
	for (int i = 0; i < WITHIN && atomic_load(&failures) == before; i++)
		nap_ms(1);
	atomic_store(&countdown, -1);
	cr_expect(atomic_load(&failures) == before + 1);
	cr_expect(is_reset(end), "it was taken for whole");
	cr_expect(ectx_future_wait(f, WITHIN) && ectx_future_error(f)->status != ECTX_OK);
	ectx_future_free(f);
	(void)close(server);
	(void)close(ends[0]);
	world_close(&w);
}

/* A call that failed closes its channel, at whichever allocation, if nobody has opened it: who waits is told. */
static bool given_to_what_fails(ectx_context *d, const ectx_value *args)
{
	ectx_error err = {0};
	ectx_value *v = NULL;
	ectx_channel *ch = ectx_channel_new(d->mesh);
	cr_assert(ch);
	ectx_future *f = ectx_call_with_start(d, "work:echo", args, NULL, &(ectx_channel_arg){.channel = ch}, 1, 300);
	bool failed = f && ectx_future_wait(f, WITHIN) && ectx_future_error(f)->status != ECTX_OK;
	atomic_store(&countdown, -1);
	atomic_store(&no_calloc_of, 0);
	if (failed) {
		int opened = eci_channel_opened(ch, 0); /* 1: over there it was before the call failed */
		cr_expect(opened);
		cr_expect(opened > 0 || ectx_channel_receive(ch, &v, 100, &err) != ECTX_DEADLINE);
		ectx_value_free(v);
	}
	ectx_error_clear(&err);
	ectx_future_free(f);
	ectx_channel_free(ch);
	return failed;
}

Test(memory, a_channel_of_a_call_that_failed)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	ectx_value *args = ectx_array_push(ectx_array(), ectx_null());
	int failed = 0;
	cr_expect(call_int(d, "work:add", "[1]") == 1);
	for (long n = 0; n < 30; n++) {
		atomic_store(&countdown, n);
		failed += given_to_what_fails(d, args);
	}
	cr_expect(failed > 0);
	atomic_store(&no_calloc_of, sizeof(struct eci_channel_place));
	cr_expect(given_to_what_fails(d, args));
	ectx_value_free(args);
	world_close(&w);
}

/* To the first n of two, where calloc() has none of so many bytes. */
static void copy_without(size_t n, size_t bytes)
{
	struct world w = world_open();
	ectx_context *v[] = {get(w.mesh, "d"), get(w.mesh, "e")};
	char from[96], to[96];
	ectx_error err = {0};
	ectx_copy_result r = {0};
	put_file(w.dir, "file", "content", 0644);
	(void)snprintf(from, sizeof from, "%s/file", w.dir);
	(void)snprintf(to, sizeof to, "%s/copy", w.dir);
	const char *sources[] = {from, NULL};
	atomic_store(&no_calloc_of, bytes);
	enum ectx_status status = ectx_copy_to(v, n, sources, to, NULL, &r, &err);
	atomic_store(&no_calloc_of, 0);
	cr_expect(status == ECTX_INTERNAL && err.code == ECTX_E_NO_MEMORY, "%d %s", (int)status,
		  ectx_code_name(err.code));
	cr_expect(r.failed == n && access(to, F_OK) != 0, "%llu", (unsigned long long)r.failed);
	world_close(&w);
}

/* A group for which there is no memory has failed, each of it: it is no copy of nothing. */
Test(memory, a_copy_to_a_group)
{
	copy_without(2, 2 * sizeof(struct eci_cast_member));
}

/* Of what goes to a group one chunk cannot be sent: each is served alone from then on. */
Test(memory, a_copy_to_a_group_that_fails_on_its_way)
{
	enum { SIZE = 3 << 20 };
	static char bytes[SIZE], got[SIZE];
	struct world w = world_open();
	ectx_context *v[] = {get(w.mesh, "d"), get(w.mesh, "e")};
	char from[96], to[96], command[256];
	for (int i = 0; i < 2; i++) { /* each has its own place: its folder */
		(void)snprintf(to, sizeof to, "[\"%s/%c\"]", w.dir, "de"[i]);
		cr_assert(call_int(v[i], "work:go_to", to) == 0);
	}
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i >> 12 ^ i);
	(void)snprintf(from, sizeof from, "%s/file", w.dir);
	FILE *f = fopen(from, "w");
	cr_assert(f && fwrite(bytes, 1, SIZE, f) == SIZE && fclose(f) == 0);
	const char *sources[] = {from, NULL};
	atomic_store(&least, ECI_CAST_CHUNK + 1);
	atomic_store(&most, ECI_CAST_CHUNK + 64);
	long before = atomic_load(&failures);
	atomic_store(&countdown, 20);
	ectx_error err = {0};
	ectx_copy_options o = {.timeout_ms = WITHIN};
	enum ectx_status status = ectx_copy_to(v, 2, sources, "copy", &o, NULL, &err);
	atomic_store(&countdown, -1);
	atomic_store(&least, 0);
	atomic_store(&most, SIZE_MAX);
	cr_expect(status == ECTX_OK && atomic_load(&failures) == before + 1, "%s %s, %ld", ectx_code_name(err.code),
		  err.saw, atomic_load(&failures));
	for (int i = 0; i < 2; i++) {
		(void)snprintf(to, sizeof to, "%s/%c/copy", w.dir, "de"[i]);
		f = fopen(to, "r");
		cr_expect(f && fread(got, 1, SIZE, f) == SIZE && !memcmp(bytes, got, SIZE), "%s", to);
		if (f)
			(void)fclose(f);
	}
	(void)snprintf(command, sizeof command, "rm -r %s/d %s/e", w.dir, w.dir);
	cr_expect(system(command) == 0);
	world_close(&w);
}

Test(memory, a_copy_to_one)
{
	copy_without(1, sizeof(struct eci_feeder));
}
