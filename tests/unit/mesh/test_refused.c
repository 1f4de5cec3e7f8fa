/* A full queue further down: what it refuses of what goes out ahead of a command, a connection or a child is said to
 * who waits for those, and is sent again with the next one.
 *
 *   master ── r ── leaf ── below
 *
 * leaf is a Python's, which has none of its parts yet, and is frozen while calls fill r's queue for it. What room is
 * left is more than a command takes, and less than the part that it needs. */
#include "shell_support.h"

#define TOPOLOGY                                                             \
	"econtext: 1\n"                                                      \
	"nodes:\n"                                                           \
	"  r: {local: {}, native: %s, timeout: {idle: 60s}}\n"               \
	"  leaf: {via: r, local: {}, native: never, timeout: {idle: 60s}}\n" \
	"  below: {via: leaf, local: {}, native: never}\n"                   \
	"  near: {local: {}, native: never, timeout: {idle: 60s}}\n"
#define CALLS_MAX 400

struct full {
	struct world w;
	ectx_context *r, *leaf; /* r: what answers when all that was sent before is through */
	const char *path;
	pid_t pid;
	ectx_future *calls[CALLS_MAX]; /* they fill the queue */
	size_t ncalls;
};

/* What was sent to r before is through: in its queue, or refused. */
static void until_passed(struct full *x)
{
	if (!x->r)
		return;
	ectx_future *f = ectx_trace_start(x->r, WITHIN);
	cr_assert(f && ectx_future_wait(f, WITHIN) && !ectx_future_error(f)->status);
	ectx_future_free(f);
}

/* Calls with n bytes each, until one is refused. */
static void fill(struct full *x, size_t n)
{
	char *text = malloc(n + 8);
	cr_assert(text);
	(void)sprintf(text, "[\"%0*d\"]", (int)n, 0);
	for (bool taken = true; taken;) {
		cr_assert(x->ncalls < CALLS_MAX);
		ectx_future *f = start(x->leaf, "builtins:len", text, WITHIN);
		until_passed(x);
		taken = !ectx_future_done(f);
		if (taken) {
			x->calls[x->ncalls++] = f;
			continue;
		}
		const ectx_error *e = ectx_future_error(f);
		cr_expect(e->code == ECTX_E_BUSY && !strcmp(e->path, x->path), "%s: %s", e->path, e->saw);
		ectx_future_free(f);
	}
	free(text);
}

static struct full full_open(const char *path)
{
	struct full x = {.w = world_open(), .path = path};
	const char *hop = strstr(path, " > ");
	char text[512];
	ectx_error err = {0};
	const char *native = getenv("MESH_TEST_NATIVE");
	ectx_mesh_free(x.w.mesh);
	ectx_topology_free(x.w.topology);
	(void)snprintf(text, sizeof text, TOPOLOGY, native ? native : "auto");
	x.w.topology = ectx_topology_parse(text, strlen(text), "test", &err);
	cr_assert(x.w.topology, "%s", err.saw);
	x.w.mesh = mesh_over(&x.w, 0);
	x.r = hop ? get(x.w.mesh, "r") : NULL;
	x.leaf = get(x.w.mesh, hop ? hop + 3 : path);
	x.pid = pid_of(x.leaf);
	until_passed(&x);
	cr_assert(kill(x.pid, SIGSTOP) == 0);
	fill(&x, 60000);
	fill(&x, 15000);
	fill(&x, 4000);
	fill(&x, 1500);
	return x;
}

static void thaw(struct full *x)
{
	cr_assert(kill(x->pid, SIGCONT) == 0);
	for (size_t i = 0; i < x->ncalls; i++) {
		const ectx_error *e = error_of(x->calls[i]);
		cr_expect(!e->status, "%s", e->saw);
		ectx_future_free(x->calls[i]);
	}
	x->ncalls = 0;
}

static void is_busy(const ectx_error *e, const char *what)
{
	cr_expect(e->code == ECTX_E_BUSY, "%s: %s: %s", what, ectx_code_name(e->code), e->saw);
	cr_expect_str_eq(e->path, "r > leaf", "%s: %s", what, e->path);
	cr_expect(strstr(e->saw, "busy") == e->saw, "%s: %s", what, e->saw);
}

Test(refused, a_part_for_a_command)
{
	struct full x = full_open("r > leaf");
	const char *argv[] = {"echo", "there", NULL};
	char out[64];
	ectx_future *f = ectx_exec_start(x.leaf, &(ectx_exec){.argv = argv}, WITHIN);
	until_passed(&x);
	if (!ectx_future_done(f)) /* without a word of the part, the command is what is answered */
		thaw(&x);
	is_busy(error_of(f), "exec");
	ectx_future_free(f);
	thaw(&x);
	cr_expect(shell(x.w.mesh, x.leaf, "echo there", out, sizeof out) == 0);
	cr_expect_str_eq(out, "there");
	world_close(&x.w);
}

Test(refused, a_part_for_a_connection)
{
	struct full x = full_open("r > leaf");
	ectx_stream *s = NULL;
	ectx_error e = {0};
	struct timespec from = now();
	(void)ectx_stream_open(x.leaf, "127.0.0.1:1", 4000, &s, &e);
	cr_expect(ms_since(&from) < 3000);
	is_busy(&e, "a stream");
	thaw(&x);
	(void)ectx_stream_open(x.leaf, "127.0.0.1:1", WITHIN, &s, &e);
	cr_expect(e.code == ECTX_E_OPEN_FAILED, "%s: %s", ectx_code_name(e.code), e.saw);
	world_close(&x.w);
}

/* Its function is not called with nothing in the channel's place. */
Test(refused, a_part_for_a_channel)
{
	struct full x = full_open("r > leaf");
	char mark[128], args[160];
	(void)snprintf(mark, sizeof mark, "%s/mark", x.w.dir);
	(void)snprintf(args, sizeof args, "[\"%s\", 511]", mark);
	ectx_channel *ch = ectx_channel_new(x.w.mesh);
	ectx_value *v = json(args);
	ectx_future *f = ectx_call_with_start(x.leaf, "os:mkdir", v, NULL,
					      &(ectx_channel_arg){.channel = ch, .index = 1}, 1, WITHIN);
	until_passed(&x);
	if (!ectx_future_done(f))
		thaw(&x);
	is_busy(error_of(f), "a call with a channel");
	ectx_future_free(f);
	ectx_value_free(v);
	ectx_channel_free(ch);
	thaw(&x);
	cr_expect(call_int(x.leaf, "builtins:len", "[\"abc\"]") == 3);
	cr_expect(access(mark, F_OK) != 0, "it was called");
	(void)rmdir(mark);
	world_close(&x.w);
}

Test(refused, a_part_for_a_child)
{
	struct full x = full_open("r > leaf");
	ectx_context *below = get(x.w.mesh, "below");
	ectx_future *f = ectx_connect_start(below, WITHIN);
	if (!ectx_future_wait(f, 5000)) /* it begins in another thread, when that comes to it */
		thaw(&x);
	is_busy(error_of(f), "a child");
	ectx_future_free(f);
	thaw(&x);
	cr_expect(call_int(below, "builtins:len", "[\"abc\"]") == 3);
	world_close(&x.w);
}

/* By the master itself. */
Test(refused, a_question_of_tree)
{
	struct full x = full_open("near");
	fill(&x, 100);
	ectx_future *f = ectx_tree_start(x.w.mesh, 5000);
	cr_expect(error_of(f)->status == ECTX_OK, "%s", ectx_code_name(ectx_future_error(f)->code));
	cr_expect(ectx_value_count(ectx_future_value(f)) == 2);
	ectx_future_free(f);
	thaw(&x);
	world_close(&x.w);
}
