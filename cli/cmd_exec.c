/* cli: exec and run: a command, or a local script, at every target.
 *
 * exec runs argv as it is given: what the user's shell split stays split, and no second shell looks at it. One word
 * alone is different: "du -sh * | sort" can only be meant for a shell, so a single word that holds blanks or characters
 * of shell syntax is run by `sh -c`. A program whose path holds such characters is reached by giving it an argument, or
 * through sh -c oneself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/fan.h"

#define SCRIPT_BYTES_MAX (16u << 20) /* of ectx_run_with_start() */
#define SHELL_SYNTAX " \t\n|&;<>()$`\\\"'*?[]{}#~!"

static ectx_future *start_exec(struct eci_fan *fan, struct eci_job *job, long timeout_ms)
{
	return ectx_exec_start(job->context, fan->arg, timeout_ms);
}

static ectx_future *start_run(struct eci_fan *fan, struct eci_job *job, long timeout_ms)
{
	return ectx_run_with_start(job->context, fan->arg, timeout_ms);
}

/* The size of this terminal, or the classic one when there is none. */
static void terminal_size(ectx_exec *x)
{
	struct winsize size = {0};
	if (ioctl(1, TIOCGWINSZ, &size) && ioctl(2, TIOCGWINSZ, &size))
		size = (struct winsize){0};
	x->rows = size.ws_row ? size.ws_row : 24;
	x->cols = size.ws_col ? size.ws_col : 80;
}

static int one_for_raw(const struct eci_opts *o, const struct eci_session *s)
{
	if (!o->raw || s->n == 1)
		return 0;
	return eci_usage("--raw prints no names: one target, and there are %zu", s->n);
}

int eci_cmd_exec(const struct eci_opts *o)
{
	if (!o->nargs)
		return eci_usage("exec needs a command");
	const char *in_shell[] = {"sh", "-c", o->args[0], NULL};
	bool shell = o->nargs == 1 && strpbrk(o->args[0], SHELL_SYNTAX);
	struct eci_feed feed = {0};
	struct stat st;
	if (o->input && fstat(0, &st) == 0 && S_ISDIR(st.st_mode))
		return eci_usage("exec --stdin: standard input is a folder");
	ectx_exec x = {.input = o->input,
		       .argv = shell ? in_shell : (const char *const *)o->args,
		       .env = o->env.v,
		       .cwd = o->cwd};
	if (o->pty)
		terminal_size(&x);
	struct eci_session s = {0};
	struct eci_fan fan = {.start = start_exec, .arg = &x, .feed = o->input ? &feed : NULL};
	int status = eci_session_open(&s, &fan, o, NULL);
	if (!status)
		status = one_for_raw(o, &s);
	if (!status && o->input && s.n > o->fanout)
		status = eci_usage("exec --stdin gives it to all at once: %zu targets, but -f is %zu", s.n, o->fanout);
	if (!status)
		status = (int)eci_fan_run(&fan);
	status = eci_session_close(&s, &fan, status);
	free(feed.chunk);
	return status;
}

/* Read once, for all: a pipe can be, and a file may be another one soon. One byte more than may be is read. */
static char *read_script(const char *path, size_t *n)
{
	FILE *in = fopen(path, "re");
	char *text = in ? eci_alloc(SCRIPT_BYTES_MAX + 1) : NULL;
	if (in) {
		*n = fread(text, 1, SCRIPT_BYTES_MAX + 1, in);
		if (ferror(in)) {
			free(text);
			text = NULL;
		}
		(void)fclose(in);
	}
	return text;
}

int eci_cmd_run(const struct eci_opts *o)
{
	if (!o->nargs)
		return eci_usage("run needs a script");
	const char *script = o->args[0];
	struct stat st;
	size_t n = 0;
	if (stat(script, &st) == 0 && S_ISDIR(st.st_mode))
		return eci_usage("run: %s is a folder", script);
	char *text = read_script(script, &n);
	if (!text)
		return eci_usage("run: %s cannot be read: %s", script, strerror(errno));
	const char **roots = eci_program_roots(script);
	struct eci_session s = {0};
	ectx_exec x = {.argv = (const char *const *)o->args, .env = o->env.v, .script = text, .script_len = n};
	struct eci_fan fan = {.start = start_run, .arg = &x};
	int status = eci_session_open(&s, &fan, o, roots);
	if (!status)
		status = one_for_raw(o, &s);
	if (!status)
		status = (int)eci_fan_run(&fan);
	status = eci_session_close(&s, &fan, status);
	free(roots);
	free(text);
	return status;
}
