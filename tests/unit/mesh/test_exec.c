/* Commands: status, signal, environment, folder, both streams whole and in order; a program that takes no events holds
 * the source and nobody else; a cancel ends the command. */
#include "mesh/internal.h"
#include "mesh_support.h"

struct output {
	char *text[3];
	size_t len[3];
};

/* Takes events until f is done and no more are there. */
static void collect(ectx_mesh *m, ectx_future *f, struct output *o)
{
	ectx_event *e;
	bool done;
	do {
		done = ectx_future_done(f); /* asked first: what it printed was queued before it was done */
		e = ectx_event_next(m, done ? 0 : 20);
		if (e && e->kind == ECTX_EVENT_OUTPUT && e->future == f) {
			cr_assert(e->stream == 1 || e->stream == 2);
			char **t = &o->text[e->stream];
			*t = realloc(*t, o->len[e->stream] + e->len + 1);
			cr_assert(*t);
			memcpy(*t + o->len[e->stream], e->text, e->len);
			o->len[e->stream] += e->len;
			(*t)[o->len[e->stream]] = 0;
		}
		ectx_event_free(e);
	} while (e || !done);
}

static ectx_future *sh(ectx_context *c, const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	ectx_exec x = {.argv = argv};
	ectx_future *f = ectx_exec_start(c, &x, WITHIN);
	cr_assert(f);
	return f;
}

static void expect(ectx_mesh *m, ectx_future *f, enum ectx_code code, int status, const char *out, const char *err)
{
	struct output o = {0};
	collect(m, f, &o);
	const ectx_error *e = ectx_future_error(f);
	cr_expect(e->code == code, "%s: %s", ectx_code_name(e->code), e->saw);
	cr_expect(ectx_future_exit_status(f) == status, "%d", ectx_future_exit_status(f));
	cr_expect(ectx_future_value(f) == NULL);
	cr_expect_str_eq(o.text[1] ? o.text[1] : "", out);
	cr_expect_str_eq(o.text[2] ? o.text[2] : "", err);
	free(o.text[1]);
	free(o.text[2]);
	ectx_future_free(f);
}

/* What it is called here is put behind what it is of, when that has room; what only looks like it stays. */
Test(exec, an_errno_by_its_number)
{
	static const char *const names[][2] = {{"Error 2", "No such file or directory"},
					       {"ls: Error 13", "ls: Permission denied"},
					       {"Error 1: Error 2", "Error 1: No such file or directory"},
					       {"Error 4095", "Unknown error 4095"},
					       {"", ""},
					       {"Error 0", "Error 0"},
					       {"Error -2", "Error -2"},
					       {"Error 4096", "Error 4096"},
					       {"Error 2 ", "Error 2 "},
					       {"Error ", "Error "},
					       {"an Error 2", "an Error 2"},
					       {": Error 2: ", ": Error 2: "},
					       {"Error 2: the limit is 5", "Error 2: the limit is 5"}};
	char text[64];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		(void)snprintf(text, sizeof text, "%s", names[i][0]);
		eci_name_errno(text, sizeof text);
		cr_expect_str_eq(text, names[i][1]);
	}
	char small[16] = "ls: Error 13";
	eci_name_errno(small, sizeof small);
	cr_expect_str_eq(small, "ls: Permission ");
}

Test(exec, status_signal_environment_and_folder)
{
	struct world w = world_open();
	ectx_context *c = get(w.mesh, "c");
	expect(w.mesh, sh(c, "echo out; echo err >&2"), ECTX_E_NONE, 0, "out\n", "err\n");
	expect(w.mesh, sh(c, "exit 7"), ECTX_E_EXIT_STATUS, 7, "", "");
	expect(w.mesh, sh(c, "exit 255"), ECTX_E_EXIT_STATUS, 255, "", "");
	expect(w.mesh, sh(c, "kill -9 $$"), ECTX_E_SIGNALLED, 128 + 9, "", "");
	const char *argv[] = {"sh", "-c", "echo $A,${HOME-unset}; pwd", NULL}, *env[] = {"A=\xc3\xa9 b", "HOME", NULL};
	ectx_exec x = {.argv = argv, .env = env, .cwd = "/usr"};
	expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_NONE, 0, "\xc3\xa9 b,unset\n/usr\n", "");
	const char *none[] = {"no-such-program-here", NULL}, *empty[] = {NULL}, *bad[] = {"\xff=1", NULL};
	x = (ectx_exec){.argv = none};
	expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_NO_COMMAND, -1, "", "");
	x = (ectx_exec){.argv = empty};
	expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_BAD_ARGUMENT, -1, "", "");
	x = (ectx_exec){.argv = argv, .env = bad};
	expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_BAD_ARGUMENT, -1, "", "");
	world_close(&w);
}

/* A terminal's size has 16 bits a side; more was cut to them over there. */
Test(exec, a_terminal_of_a_size_that_there_is)
{
	struct world w = world_open();
	ectx_context *c = get(w.mesh, "c");
	const char *argv[] = {"stty", "size", NULL};
	ectx_exec x = {.argv = argv, .rows = 65535, .cols = 1, .input = true};
	expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_NONE, 0, "65535 1\r\n", "");
	x.rows = 65536;
	expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_BAD_ARGUMENT, -1, "", "");
	x = (ectx_exec){.argv = argv, .rows = 1, .cols = 65536};
	expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_BAD_ARGUMENT, -1, "", "");
	world_close(&w);
}

/* A map has a key once: what came twice was a breach of the protocol over there. */
Test(exec, the_last_word_on_a_variable_counts)
{
	struct world w = world_open();
	const char *names[] = {"c", "a"}; /* one of each agent */
	const char *argv[] = {"sh", "-c", "echo $A,${B-unset},$AB", NULL};
	const char *env[] = {"A=1", "B=1", "AB=4", "A", "A=3", "B", NULL};
	const char *nameless[] = {"=1", NULL}, *empty[] = {"", NULL};
	for (int i = 0; i < 2; i++) {
		ectx_context *c = get(w.mesh, names[i]);
		ectx_exec x = {.argv = argv, .env = env};
		expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_NONE, 0, "3,unset,4\n", "");
		x.env = nameless;
		expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_BAD_ARGUMENT, -1, "", "");
		x.env = empty;
		expect(w.mesh, ectx_exec_start(c, &x, WITHIN), ECTX_E_BAD_ARGUMENT, -1, "", "");
	}
	world_close(&w);
}

Test(exec, two_mebibytes_arrive_whole)
{
	struct world w = world_open();
	struct output o = {0};
	ectx_future *f = sh(get(w.mesh, "b"), "seq 1 300000; seq 1 1000 >&2");
	collect(w.mesh, f, &o);
	cr_assert(ectx_future_error(f)->status == ECTX_OK, "%s: %s: %s, after %zu bytes", ectx_future_error(f)->path,
		  ectx_phase_name(ectx_future_error(f)->phase), ectx_future_error(f)->saw, o.len[1]);
	char *at = o.text[1];
	for (long i = 1; i <= 300000; i++)
		cr_assert(at && strtol(at, &at, 10) == i && *at++ == '\n', "line %ld", i);
	cr_expect(*at == 0);
	cr_expect(o.len[2] == 3893, "%zu", o.len[2]);
	free(o.text[1]);
	free(o.text[2]);
	ectx_future_free(f);
	world_close(&w);
}

/* Nobody takes events: what is kept here is at most the stream's window, and a frame. */
Test(exec, output_that_is_not_taken_stays_at_its_source)
{
	enum { MOST = 262144 + 16384 };
	struct world w = world_open();
	ectx_context *b = get(w.mesh, "b");
	ectx_event *taken[4096];
	cr_expect(call_int(b, "work:add", "[1]") == 1); /* their Pythons are there: what is timed below are calls */
	cr_expect(call_int(get(w.mesh, "a"), "work:add", "[1]") == 1);
	ectx_future *f = sh(b, "echo $$ >&2; exec yes");
	size_t n = 0, bytes = 0;
	pid_t pid = 0;
	while ((bytes < 200000 || !pid) && n < 4096) { /* all that comes is kept, none is given back */
		taken[n] = ectx_event_next(w.mesh, WITHIN);
		cr_assert(taken[n] && taken[n]->kind == ECTX_EVENT_OUTPUT);
		if (taken[n]->stream == 2 && taken[n]->len)
			pid = (pid_t)atoi(taken[n]->text);
		bytes += taken[n]->stream == 1 ? taken[n]->len : 0;
		n++;
	}
	struct timespec from = now();
	cr_expect(call_int(b, "work:add", "[1]") == 1);
	cr_expect(call_int(get(w.mesh, "a"), "work:add", "[1]") == 1);
	cr_expect(ms_since(&from) < 5000, "calls beside a stopped stream: %ld ms", ms_since(&from));
	for (ectx_event *e; n < 4096 && (e = ectx_event_next(w.mesh, 300)); bytes += e->len)
		taken[n++] = e;
	cr_expect(bytes <= MOST, "%zu bytes are here", bytes);
	for (size_t i = 0; i < n; i++) /* and on it goes */
		ectx_event_free(taken[i]);
	ectx_event *more = ectx_event_next(w.mesh, WITHIN);
	cr_expect(more && more->kind == ECTX_EVENT_OUTPUT);
	ectx_event_free(more);
	cr_assert(pid > 0);
	ectx_future_cancel(f);
	cr_expect(ectx_future_error(f)->code == ECTX_E_CANCELLED);
	cr_expect(gone(pid, 8000), "a cancelled command runs on");
	ectx_future_free(f);
	cr_expect(call_int(b, "work:add", "[1]") == 1);
	world_close(&w);
}

Test(exec, a_deadline_ends_the_command)
{
	struct world w = world_open();
	ectx_context *d = get(w.mesh, "d");
	const char *argv[] = {"sh", "-c", "echo $$; exec sleep 1000", NULL};
	ectx_exec x = {.argv = argv};
	const char *nothing[] = {"true",
				 NULL}; /* what runs commands is there then: the deadline is the command's alone */
	ectx_future *f = ectx_exec_start(d, &(ectx_exec){.argv = nothing}, WITHIN);
	cr_assert(error_of(f)->status == ECTX_OK, "%s", ectx_future_error(f)->saw);
	ectx_future_free(f);
	pid_t pid = 0;
	for (uint32_t limit = 1500; !pid && limit < WITHIN; limit *= 2) { /* it may not have begun by then */
		f = ectx_exec_start(d, &x, limit);
		cr_expect(error_of(f)->code == ECTX_E_DEADLINE, "%s", ectx_code_name(ectx_future_error(f)->code));
		for (ectx_event *e; (e = ectx_event_next(w.mesh, 0)); ectx_event_free(e))
			if (e->kind == ECTX_EVENT_OUTPUT && e->len)
				pid = (pid_t)atoi(e->text);
		ectx_future_free(f);
	}
	cr_assert(pid > 0);
	cr_expect(gone(pid, 8000), "the command runs on");
	world_close(&w);
}

Test(exec, a_script_with_arguments)
{
	struct world w = world_open();
	char path[128];
	(void)snprintf(path, sizeof path, "%s/prog.py", w.dir);
	put_file(w.dir, "prog.py", "import sys\nprint(' '.join(sys.argv[1:]))\nsys.exit(len(sys.argv))\n", 0644);
	const char *argv[] = {path, "a", "\xc3\xa9", NULL};
	ectx_future *f = ectx_run_start(get(w.mesh, "c"), argv, WITHIN);
	cr_assert(f);
	expect(w.mesh, f, ECTX_E_EXIT_STATUS, 3, "a \xc3\xa9\n", "");
	const char *none[] = {"/no/such/script.py", NULL};
	f = ectx_run_start(get(w.mesh, "c"), none, WITHIN);
	expect(w.mesh, f, ECTX_E_BAD_ARGUMENT, -1, "", "");
	f = ectx_run_start(get(w.mesh, "c"), none + 1, WITHIN);
	cr_expect_str_eq(error_of(f)->saw, "no script is named");
	expect(w.mesh, f, ECTX_E_BAD_ARGUMENT, -1, "", "");
	f = ectx_run_start(get(w.mesh, "c"), NULL, WITHIN);
	expect(w.mesh, f, ECTX_E_BAD_ARGUMENT, -1, "", "");
	world_close(&w);
}

/* The same script, run again, is there already, and what the last run left open is closed; it was kept each time. */
Test(exec, a_script_is_there_once_however_often_it_is_run)
{
	struct world w = world_open();
	char path[128];
	(void)snprintf(path, sizeof path, "%s/prog.py", w.dir);
	put_file(w.dir, "prog.py", "f = open('/etc/passwd')\n", 0644);
	char first[64] = "", text[64];
	for (int i = 0; i < 4; i++) {
		ectx_future *f = ectx_run_start(get(w.mesh, "d"), (const char *const[]){path, NULL}, WITHIN);
		cr_assert(f && error_of(f)->status == ECTX_OK, "%s", ectx_future_error(f)->saw);
		ectx_future_free(f);
		f = start(get(w.mesh, "d"), "builtins:eval",
			  "[\"len([x for x in __import__('sys').modules if 'program' in x]) * "
			  "1000 + len(__import__('os').listdir('/proc/self/fd'))\"]",
			  WITHIN);
		cr_assert(error_of(f)->status == ECTX_OK, "%s", ectx_future_error(f)->saw);
		char *said = ectx_value_json(ectx_future_value(f));
		(void)snprintf(text, sizeof text, "%s", said);
		free(said);
		ectx_future_free(f);
		if (i == 0)
			(void)snprintf(first, sizeof first, "%s", text);
		cr_expect(i == 0 || strcmp(text, first) == 0, "%s, and then %s", first, text);
	}
	world_close(&w);
}

/* Of a run without a name: whatever its script's length, it is refused. */
Test(exec, a_script_without_a_name)
{
	enum { MOST = 16 << 20 };
	struct world w = world_open();
	char *script = calloc(1, MOST + 1);
	for (int i = 0; i < 2; i++) {
		ectx_exec x = {.script = script, .script_len = i ? MOST + 1 : 5};
		ectx_future *f = ectx_run_with_start(get(w.mesh, "d"), &x, WITHIN);
		cr_expect(error_of(f)->code == ECTX_E_BAD_ARGUMENT);
		cr_expect_str_eq(error_of(f)->saw, "no script is named");
		ectx_future_free(f);
	}
	free(script);
	world_close(&w);
}
