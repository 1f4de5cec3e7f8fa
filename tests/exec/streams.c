/* What the command line cannot show of exec: bytes as they are, a program that stops taking output, many commands at
 * once, large values; on local contexts one to four levels deep. Prints a line for each check; tests/exec/run counts.
 *
 * streams TOPOLOGY FILE: FILE holds the bytes that `cat` is to bring. */
#include <econtext/econtext.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 60000
#define AT_ONCE 50
#define GROWTH_KB 4096 /* what a stopped stream may cost a process on its way */

static ectx_mesh *mesh;
static ectx_context *level[5];
static int failures;

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	failures += !ok;
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static ectx_future *start(ectx_context *c, const char *const *argv)
{
	ectx_exec x = {.argv = argv};
	ectx_future *f = ectx_exec_start(c, &x, LIMIT_MS);
	ectx_future_set_user(f, f);
	return f;
}

struct output {
	char *data[3];
	size_t len[3];
};

static void keep(struct output *o, const ectx_event *e)
{
	char *p = realloc(o->data[e->stream], o->len[e->stream] + e->len + 1);
	if (!p)
		abort();
	memcpy(p + o->len[e->stream], e->text, e->len);
	o->len[e->stream] += e->len;
	p[o->len[e->stream]] = 0;
	o->data[e->stream] = p;
}

/* Takes events until f is done, or its second stream has a whole line (`line`). */
static void take(ectx_future *f, struct output *o, bool line)
{
	for (;;) {
		ectx_event *e = ectx_event_next(mesh, LIMIT_MS);
		if (!e)
			return;
		bool mine = e->future == f, done = mine && e->kind == ECTX_EVENT_DONE;
		if (mine && e->kind == ECTX_EVENT_OUTPUT)
			keep(o, e);
		ectx_event_free(e);
		if (done || (line && o->len[2] && o->data[2][o->len[2] - 1] == '\n'))
			return;
	}
}

static void let_go(ectx_future *f, struct output *o)
{
	ectx_future_free(f);
	free(o->data[1]);
	free(o->data[2]);
}

static char *read_file(const char *path, size_t *n)
{
	FILE *in = fopen(path, "rb");
	char *p = malloc(16u << 20);
	if (!in || !p)
		exit(2);
	*n = fread(p, 1, 16u << 20, in);
	fclose(in);
	return p;
}

static void bytes(const char *path)
{
	size_t n;
	char *want = read_file(path, &n), what[64];
	for (int i = 1; i < 5; i++) {
		struct output o = {0};
		ectx_future *f = start(level[i], (const char *[]){"cat", path, NULL});
		take(f, &o, false);
		snprintf(what, sizeof what, "%zu random bytes from depth %d", n, i);
		check(o.len[1] == n && memcmp(o.data[1], want, n) == 0 && o.len[2] == 0 &&
			      ectx_future_exit_status(f) == 0,
		      what);
		let_go(f, &o);
	}
	free(want);
}

static void statuses(void)
{
	int wrong = 0;
	for (int base = 0; base < 256; base += AT_ONCE) {
		ectx_future *f[AT_ONCE];
		int n = base + AT_ONCE < 256 ? AT_ONCE : 256 - base;
		for (int i = 0; i < n; i++) {
			char script[32];
			snprintf(script, sizeof script, "exit %d", base + i);
			f[i] = start(level[1 + i % 4], (const char *[]){"sh", "-c", script, NULL});
		}
		for (int i = 0; i < n; i++) {
			wrong += !ectx_future_wait(f[i], LIMIT_MS) || ectx_future_exit_status(f[i]) != base + i;
			ectx_future_free(f[i]);
		}
	}
	check(wrong == 0, "statuses 0 to 255, fifty commands at once");
}

static void large_values(void)
{
	static const size_t sizes[] = {65500, 65536, 1 << 20, 5 << 20};
	for (int i = 1; i < 5; i += 3)
		for (size_t k = 0; k < 4; k++) {
			char *s = malloc(sizes[k] + 1), what[80];
			if (!s)
				abort();
			for (size_t j = 0; j < sizes[k]; j++)
				s[j] = (char)('a' + (j * 7 + j / 1000) % 26);
			s[sizes[k]] = 0;
			ectx_value *args = ectx_array(), *result = NULL;
			ectx_array_push(args, ectx_text(s));
			ectx_array_push(args, ectx_text(s));
			ectx_error e = {0};
			(void)ectx_call(level[i], "operator:concat", args, NULL, LIMIT_MS, &result, &e);
			const char *t = ectx_value_text(result);
			snprintf(what, sizeof what, "two arguments of %zu bytes, and both back, at depth %d", sizes[k],
				 i);
			check(t && strlen(t) == 2 * sizes[k] && memcmp(t, s, sizes[k]) == 0 &&
				      memcmp(t + sizes[k], s, sizes[k]) == 0,
			      what);
			if (e.code)
				printf("# %s %s: %s\n", e.path, ectx_code_name(e.code), e.saw);
			ectx_value_free(result);
			ectx_value_free(args);
			ectx_error_clear(&e);
			free(s);
		}
}

static long rss_kb(long pid)
{
	char path[64], line[256];
	long kb = -1;
	snprintf(path, sizeof path, "/proc/%ld/status", pid);
	FILE *in = fopen(path, "r");
	while (in && fgets(line, sizeof line, in))
		(void)sscanf(line, "VmRSS: %ld", &kb);
	if (in)
		fclose(in);
	return kb;
}

static long pid_of(ectx_context *c)
{
	ectx_value *v = NULL;
	ectx_error e = {0};
	int64_t pid = 0;
	if (ectx_call(c, "os:getpid", NULL, NULL, LIMIT_MS, &v, &e) == ECTX_OK)
		(void)ectx_value_int(v, &pid);
	ectx_value_free(v);
	ectx_error_clear(&e);
	return (long)pid;
}

/* The process that relays: a call is answered by a Python beside it, where the agent is native. */
static long agent_of(ectx_context *c)
{
	struct output o = {0};
	ectx_future *f = start(c, (const char *[]){"sh", "-c", "echo $PPID", NULL});
	take(f, &o, false);
	long pid = strtol(o.data[1] ? o.data[1] : "0", NULL, 10);
	let_go(f, &o);
	return pid;
}

static bool gone(long pid)
{
	for (int i = 0; i < 500; i++) {
		if (kill((pid_t)pid, 0) != 0)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return false;
}

static void stopped_reader(void)
{
	long pid[5] = {0}, before[5];
	for (int i = 1; i < 5; i++)
		pid[i] = pid_of(level[i]) ? agent_of(level[i]) : 0;
	struct output o = {0};
	ectx_future *f = start(level[4], (const char *[]){"sh", "-c", "echo $$ >&2; exec yes", NULL});
	take(f, &o, true);
	long yes = strtol(o.data[2] ? o.data[2] : "0", NULL, 10);
	check(yes > 1, "the first output says who runs");
	for (int i = 0; i < 5; i++)
		before[i] = rss_kb(i ? pid[i] : (long)getpid());
	/* Nobody takes events from here on. Calls to every level, while the stream stands: what is between must be
	 * free.
	 */
	double worst = 0, from = now_ms();
	for (int n = 0; n < 100 || now_ms() - from < 3000; n++) {
		double t = now_ms();
		if (!pid_of(level[1 + n % 4]))
			worst = 1e9;
		if (now_ms() - t > worst)
			worst = now_ms() - t;
	}
	check(worst < 1500, "calls beside a stream that stands");
	long most = 0;
#ifdef __SANITIZE_ADDRESS__
	const int first = 1; /* here what was freed is kept for a while: the program's own size says nothing */
#else
	const int first = 0;
#endif
	for (int i = first; i < 5; i++) {
		long grown = rss_kb(i ? pid[i] : (long)getpid()) - before[i];
		if (grown > most)
			most = grown;
	}
	check(most < GROWTH_KB, "no process on the way grows");
	printf("# slowest call %.1f ms, most growth %ld KiB\n", worst, most);
	size_t had = o.len[1];
	while (o.len[1] < had + (4u << 20)) {
		ectx_event *e = ectx_event_next(mesh, LIMIT_MS);
		if (!e)
			break;
		if (e->future == f && e->kind == ECTX_EVENT_OUTPUT)
			keep(&o, e);
		ectx_event_free(e);
	}
	check(o.len[1] >= had + (4u << 20), "it goes on when somebody reads");
	ectx_future_cancel(f);
	check(gone(yes), "cancelled: the command ends");
	let_go(f, &o);
	struct output two = {0};
	f = start(level[4], (const char *[]){"sh", "-c", "echo $$ >&2; exec yes", NULL});
	take(f, &two, true);
	yes = strtol(two.data[2] ? two.data[2] : "0", NULL, 10);
	ectx_mesh_free(mesh);
	check(yes > 1 && gone(yes), "the mesh is freed: the command ends");
	let_go(f, &two);
}

int main(int argc, char **argv)
{
	ectx_error e = {0};
	if (argc != 3)
		return 2;
	ectx_topology *t = ectx_topology_load(argv[1], &e);
	if (!t || ectx_mesh_new(&mesh, &(ectx_options){.topology = t}, &e) != 0)
		return 2;
	for (int i = 1; i < 5; i++) {
		char name[8];
		snprintf(name, sizeof name, "l%d", i);
		level[i] = ectx_context_get(mesh, name, &e);
	}
	bytes(argv[2]);
	statuses();
	large_values();
	stopped_reader();
	ectx_topology_free(t);
	return failures != 0;
}
