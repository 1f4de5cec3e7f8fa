/* Copies as a program asks for them: its options and arguments, giving up, and the signals that are its own. What
 * arrives, and how, is tried by tests/cli and tests/streams. */
#include "mesh/copy_in.h"
#include "mesh/copy_target.h"
#include "mesh_support.h"
#include "router/state.h"

#include <fcntl.h>
#include <math.h>

enum { SIZE = 3 << 20 };

static const char *source(const struct world *w, char path[96])
{
	(void)snprintf(path, 96, "%s/source", w->dir);
	char *bytes = malloc(SIZE);
	FILE *f = fopen(path, "w");
	cr_assert(f && bytes);
	memset(bytes, 'x', SIZE);
	cr_assert(fwrite(bytes, 1, SIZE, f) == SIZE && fclose(f) == 0);
	free(bytes);
	return path;
}

static enum ectx_code copy(struct world *w, ectx_context *const *to, size_t n, const ectx_copy_options *o)
{
	char path[96], dest[96];
	const char *sources[] = {source(w, path), NULL};
	ectx_error err = {0};
	(void)snprintf(dest, sizeof dest, "%s/copied", w->dir);
	enum ectx_status s = ectx_copy_to(to, n, sources, dest, o, NULL, &err);
	cr_expect(s == err.status, "%d %d", (int)s, (int)err.status);
	enum ectx_code code = err.code;
	ectx_error_clear(&err);
	return code;
}

/* The two may not be told from each other: one file, one place. */
Test(copy, options_of_zeroes_are_the_defaults)
{
	struct world w = world_open();
	ectx_context *to = get(w.mesh, "d");
	cr_expect(copy(&w, &to, 1, NULL) == ECTX_E_NONE);
	cr_expect(copy(&w, &to, 1, &(ectx_copy_options){0}) == ECTX_E_NONE);
	cr_expect(copy(&w, &to, 1, &(ectx_copy_options){.connect_timeout_ms = -1}) == ECTX_E_NONE);
	world_close(&w);
}

/* Refused, and the result says that nothing was done, whatever was there. */
static void refused(ectx_context *const *to, size_t n, bool from, const char *const *sources, const char *dest)
{
	ectx_error err = {0};
	ectx_copy_result r;
	memset(&r, 0xee, sizeof r);
	enum ectx_status status = from ? ectx_copy_from(*to, sources, dest, NULL, &r, &err)
				       : ectx_copy_to(to, n, sources, dest, NULL, &r, &err);
	cr_expect(status == ECTX_USAGE && err.code == ECTX_E_BAD_ARGUMENT, "%s", ectx_code_name(err.code));
	cr_expect(!r.entries && !r.bytes && !r.failed, "%zu failed", r.failed);
	ectx_error_clear(&err);
}

/* The folder that the far end is in was taken for it, and got a source's mode and time. */
Test(copy, a_path_is_not_empty)
{
	struct world w = world_open();
	ectx_context *to = get(w.mesh, "d");
	char path[96];
	const char *file[] = {source(&w, path), NULL}, *none[] = {"", NULL}, *both[] = {path, "", NULL};
	for (int from = 0; from <= 1; from++) {
		refused(&to, 1, from, file, "");
		refused(&to, 1, from, none, w.dir);
		refused(&to, 1, from, both, w.dir);
	}
	refused(&to, 0, false, file, w.dir);
	world_close(&w);
}

/* One that was named twice was waited for in vain; one of another mesh was spoken to without its lock. */
Test(copy, each_context_once_and_of_one_mesh)
{
	struct world w = world_open();
	ectx_mesh *other = mesh_over(&w, 0);
	ectx_context *twice[] = {get(w.mesh, "a"), get(w.mesh, "d"), get(w.mesh, "a")};
	ectx_context *two[] = {get(w.mesh, "a"), get(other, "d")};
	cr_expect(copy(&w, twice, 3, NULL) == ECTX_E_BAD_ARGUMENT);
	cr_expect(copy(&w, two, 2, NULL) == ECTX_E_BAD_ARGUMENT);
	cr_expect(copy(&w, two, 0, NULL) == ECTX_E_BAD_ARGUMENT);
	cr_expect(copy(&w, twice, 2, NULL) == ECTX_E_NONE);
	ectx_mesh_free(other);
	world_close(&w);
}

static void dress(const char *path, double mtime)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	cr_assert(fd >= 0);
	eci_dress(fd, 0600, mtime);
	cr_expect(close(fd) == 0);
}

/* One that is kept as it was, or is as near to it as the file system comes. */
Test(copy, a_time_that_no_calendar_has_is_not_set)
{
	static const double none[] = {1e12, -1e12, INFINITY, NAN};
	struct world w = world_open();
	char path[96];
	struct stat st;
	const struct timespec before[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	(void)source(&w, path);
	for (size_t i = 0; i < 4; i++) {
		cr_assert(utimensat(AT_FDCWD, path, before, 0) == 0);
		dress(path, none[i]);
		cr_expect(stat(path, &st) == 0 && st.st_mtime == 1000000000, "%g", none[i]);
	}
	for (size_t i = 0; i < 2; i++) {
		cr_assert(utimensat(AT_FDCWD, path, before, 0) == 0);
		dress(path, none[i] + (i ? 1 : -1));
		cr_expect(stat(path, &st) == 0 && st.st_mtime != 1000000000, "%g", none[i]);
	}
	world_close(&w);
}

/* ---- what is there ---- */

/* n entries of one path, with nothing there. */
static struct eci_copy_job asks_about(size_t n, char *path)
{
	struct eci_copy_job j = {.dest = "/proc/nowhere", .s = {.v = calloc(n, sizeof *j.s.v), .n = n}};
	cr_assert(j.s.v);
	for (size_t i = 0; i < n; i++)
		j.s.v[i] = (struct eci_entry_here){.full = path, .path = path, .st.st_size = 3};
	return j;
}

static size_t slices(size_t n, char *path)
{
	struct eci_copy_job j = asks_about(n, path);
	struct eci_copy_target t = {.job = &j};
	size_t count = 0;
	for (size_t at = 0, end; at < n; at = end, count++) {
		ectx_value *v = eci_target_have_args(&t, at, &end);
		cr_assert(v && end > at && end <= n && ectx_value_count(ectx_array_at(v, 2)) == end - at);
		cr_assert(end - at <= ECI_HAVE_ENTRIES);
		ectx_value_free(v);
	}
	free(j.s.v);
	return count;
}

Test(copy, what_is_there_is_asked_for_in_slices)
{
	static char path[4097], some[] = "x";
	memset(path, 'x', sizeof path - 1);
	cr_expect_eq(slices(ECI_HAVE_ENTRIES, some), 1);
	cr_expect_eq(slices(ECI_HAVE_ENTRIES + 1, some), 2);
	cr_expect_eq(slices(400000, some), 20);
	cr_expect_eq(slices(ECI_HAVE_BYTES / 4096, path), 1);
	cr_expect_eq(slices(ECI_HAVE_BYTES / 4096 + 1, path), 2);
}

/* Of the last of many, too. */
Test(copy, each_has_the_answer_that_is_its_own)
{
	enum { N = ECI_HAVE_ENTRIES + 2 };
	struct world w = world_open();
	ectx_context *to = get(w.mesh, "d");
	char none[] = "none", file[] = "file", full[96];
	struct eci_copy_job j = asks_about(N, none);
	cr_assert(eci_copy_begin(&j.k, NULL, &to, 1) == 0);
	struct eci_copy_target t = {.job = &j, .c = to, .watch = j.k.watches, .algorithm = "sha256"};
	put_file(w.dir, "file", "abc", 0644);
	(void)snprintf(full, sizeof full, "%s/file", w.dir);
	j.dest = w.dir;
	for (size_t i = 0; i < N; i += N - 1)
		j.s.v[i].path = file, j.s.v[i].full = full;
	uint64_t *offsets = eci_target_have(&t);
	cr_assert(offsets && !t.gone);
	for (size_t i = 0; i < N; i++)
		cr_assert(offsets[i] == (i % (N - 1) ? 0 : UINT64_MAX), "%zu: %llu", i, (unsigned long long)offsets[i]);
	ectx_error err = {0};
	cr_expect(eci_copy_finish(&j.k, NULL, &err) == ECTX_OK);
	free(offsets);
	free(j.s.v);
	world_close(&w);
}

struct asks {
	struct eci_copy_target t;
	uint64_t *offsets;
	atomic_bool over;
};

static void *ask_there(void *arg)
{
	struct asks *a = arg;
	a->offsets = eci_target_have(&a->t);
	a->over = true;
	return NULL;
}

/* Several dozen ask at once, and the last found the queue here full: that ended them. */
Test(copy, what_finds_our_queue_full_is_asked_again)
{
	enum { N = 64 };
	static char path[4097];
	memset(path, 'x', sizeof path - 1);
	struct world w = world_open();
	ectx_context *to = get(w.mesh, "d");
	cr_assert(copy(&w, &to, 1, &(ectx_copy_options){.resume = true}) == ECTX_E_NONE); /* `have` is there */
	struct eci_copy_job j = asks_about(N, path);
	cr_assert(eci_copy_begin(&j.k, NULL, &to, 1) == 0);
	struct asks a = {.t = {.job = &j, .c = to, .watch = j.k.watches, .algorithm = "sha256"}};
	eci_lock(w.mesh);
	w.mesh->router->blob_bytes += ECI_LOCAL_MAX; /* stands for what the others are asked */
	eci_unlock(w.mesh);
	pthread_t thread;
	cr_assert(pthread_create(&thread, NULL, ask_there, &a) == 0);
	while (!a.over && a.t.watch->what != ECI_COPY_FOR_ROOM)
		(void)poll(NULL, 0, 5);
	eci_lock(w.mesh);
	w.mesh->router->blob_bytes -= ECI_LOCAL_MAX;
	eci_unlock(w.mesh);
	(void)pthread_join(thread, NULL);
	cr_expect(!a.t.gone && a.offsets && !j.k.first.status, "%s", ectx_code_name(j.k.first.code));
	ectx_error err = {0};
	(void)eci_copy_finish(&j.k, NULL, &err);
	ectx_error_clear(&err);
	free(a.offsets);
	free(j.s.v);
	world_close(&w);
}

/* All would be sent again, and what had come before would be gone. */
Test(copy, where_it_cannot_be_asked_nothing_is_resumed)
{
	struct world w = world_open();
	char path[96];
	ectx_context *to = get(w.mesh, "d");
	put_file(w.dir, "spoil.py",
		 "import econtext_files\n"
		 "def have(*args): raise ValueError('spoiled')\n"
		 "def it():\n"
		 "    econtext_files.have = have\n"
		 "    return 0\n",
		 0644);
	cr_assert(call_int(to, "spoil:it", NULL) == 0);
	(void)snprintf(path, sizeof path, "%s/copied", w.dir);
	cr_expect(copy(&w, &to, 1, &(ectx_copy_options){.resume = true}) == ECTX_E_EXCEPTION);
	cr_expect(access(path, F_OK) != 0);
	cr_expect(copy(&w, &to, 1, NULL) == ECTX_E_NONE);
	world_close(&w);
}

/* ---- giving up ---- */
struct impatient {
	ectx_context *frozen; /* while another is connected */
	pid_t pid;
	struct timespec since;
	bool stopped;
};

static int give_up(void *arg, uint64_t done, uint64_t total)
{
	struct impatient *i = arg;
	(void)done;
	if (!i->pid) { /* it does one call after the other: what the copy has asked it is answered */
		i->pid = pid_of(i->frozen);
		cr_assert(kill(i->pid, SIGSTOP) == 0);
	}
	if (total && !i->stopped) {
		i->stopped = true;
		i->since = now();
	}
	return i->stopped;
}

static void give_up_on_a_frozen_one(bool resume)
{
	struct world w = world_open();
	put_file(w.dir, "deaf", "#!/bin/sh\nsleep 1\nexec python3 \"$@\"\n", 0755); /* slow, here */
	ectx_context *to[] = {get(w.mesh, "d"), get(w.mesh, "deaf")};
	struct impatient i = {.frozen = to[0]};
	cr_assert(call_int(to[0], "work:add", "[1]") == 1);
	ectx_copy_options o = {.connect_timeout_ms = -1, .resume = resume, .progress = give_up, .arg = &i};
	cr_expect(copy(&w, to, 2, &o) == ECTX_E_CANCELLED);
	cr_expect(i.stopped && ms_since(&i.since) < 8000, "%ld ms", ms_since(&i.since)); /* it is silent after 15 s */
	cr_expect(kill(i.pid, SIGKILL) == 0);
	world_close(&w);
}

Test(copy, giving_up_does_not_wait_for_who_is_frozen)
{
	give_up_on_a_frozen_one(false);
}

Test(copy, nor_does_a_resumed_one)
{
	give_up_on_a_frozen_one(true);
}

/* ---- the limit for the copying ---- */

/* It was `cancelled`, with nothing told to failed(): what comes in pieces had been taken for all of it. */
Test(copy, one_from_there_that_is_late_is_late)
{
	struct world w = world_open();
	char path[96], dest[96];
	const char *sources[] = {source(&w, path), NULL};
	ectx_error err = {0};
	ectx_copy_result r = {0};
	(void)snprintf(dest, sizeof dest, "%s/fetched", w.dir);
	for (int i = 0; i < 3; i++) {
		ectx_copy_options o = {.limit = SIZE / 16, .timeout_ms = 300};
		(void)ectx_copy_from(get(w.mesh, "d"), sources, dest, &o, &r, &err);
		cr_expect(err.code == ECTX_E_DEADLINE && r.failed == 1, "%s", ectx_code_name(err.code));
		cr_expect(access(dest, F_OK) != 0);
		ectx_error_clear(&err);
	}
	world_close(&w);
}

/* The limit is looked at now and then: who is done by then is not late, and has not been given up. */
Test(copy, who_is_done_when_the_limit_is_looked_at_is_not_late)
{
	struct world w = world_open();
	ectx_context *to = get(w.mesh, "d");
	for (int i = 0; i < 5; i++) {
		enum ectx_code code = copy(&w, &to, 1, &(ectx_copy_options){.timeout_ms = 1});
		cr_expect(code == ECTX_E_NONE || code == ECTX_E_DEADLINE, "%s", ectx_code_name(code));
	}
	world_close(&w);
}

/* ---- how fast ---- */

/* What could have gone while nothing did is not sent all at once by the next, but for a second's worth: else the link
 * is full for as long as it was empty. */
Test(copy, a_pace_does_not_make_up_for_a_pause)
{
	enum { TAKES_MS = 1500, PIECE_MS = 50 };
	struct world w = world_open();
	ectx_context *to = get(w.mesh, "d");
	ectx_pace *pace = ectx_pace_new(SIZE * UINT64_C(1000) / TAKES_MS);
	for (int i = 0; i < 2; i++) {
		uint64_t began = eci_now_ms();
		cr_expect(copy(&w, &to, 1, &(ectx_copy_options){.pace = pace, .limit = 1}) == ECTX_E_NONE);
		uint64_t took = eci_now_ms() - began;
		cr_expect(took >= (uint64_t)(TAKES_MS - PIECE_MS - i * 1000), "%llu ms", (unsigned long long)took);
		if (i == 0)
			nap_ms(TAKES_MS + 500);
	}
	ectx_pace_free(pace);
	world_close(&w);
}

/* One of no rate holds nobody up. */
Test(copy, a_pace_of_nothing_is_none)
{
	struct world w = world_open();
	ectx_context *to = get(w.mesh, "d");
	ectx_pace *pace = ectx_pace_new(0);
	cr_expect(copy(&w, &to, 1, &(ectx_copy_options){.pace = pace, .limit = 1}) == ECTX_E_NONE);
	ectx_pace_free(pace);
	ectx_pace_free(NULL);
	world_close(&w);
}

/* ---- signals ---- */
static pthread_t ours;
static volatile sig_atomic_t here, elsewhere;

static void on_signal(int sig)
{
	(void)sig;
	if (pthread_equal(pthread_self(), ours))
		here++;
	else
		elsewhere++;
}

static int raise_some(void *arg, uint64_t done, uint64_t total)
{
	sigset_t usr1, old;
	int *calls = arg;
	(void)done;
	(void)sigemptyset(&usr1);
	(void)sigaddset(&usr1, SIGUSR1);
	(void)pthread_sigmask(SIG_BLOCK, &usr1, &old); /* who else does not block it would have it now */
	for (int i = 0; total && i < 20; i++)
		(void)kill(getpid(), SIGUSR1);
	nap_ms(20);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	*calls += total != 0;
	return *calls == 3;
}

Test(copy, signals_are_for_the_threads_of_the_program)
{
	struct world w = world_open();
	struct sigaction a = {.sa_handler = on_signal};
	ectx_context *to = get(w.mesh, "d");
	ours = pthread_self();
	cr_assert(sigaction(SIGUSR1, &a, NULL) == 0);
	int calls = 0;
	ectx_copy_options o = {.connect_timeout_ms = -1, .progress = raise_some, .arg = &calls, .limit = SIZE / 16};
	cr_expect(copy(&w, &to, 1, &o) == ECTX_E_CANCELLED);
	cr_expect(here > 0 && elsewhere == 0, "%d, %d", (int)here, (int)elsewhere);
	world_close(&w);
}
