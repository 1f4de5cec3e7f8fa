/* cli: call: a Python function at every target.
 *
 * Arguments are typed by looking: what parses as one JSON text is that value, everything else is text (bytes, when it
 * is not UTF-8). So 3 is an integer, "3" with its quotes is text, and /srv needs no quotes. After "--" come keywords,
 * K=V, V typed in the same way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fan.h"

#define CHANNELS_MAX 16 /* of one call */

struct call {
	const char *function;
	ectx_value *args, *kwargs;
	size_t channels[CHANNELS_MAX]; /* which of args are @channel */
	size_t nchannels;
};

static ectx_value *typed(const char *text)
{
	size_t where, n = strlen(text);
	ectx_value *v = ectx_value_from_json(text, n, &where);
	if (!v)
		v = ectx_text_n(text, n);
	return v ? v : ectx_bytes(text, n);
}

/* 0, or an exit status. */
static int read_call(struct call *c, const struct eci_opts *o)
{
	if (!o->nargs)
		return eci_usage("call needs a function: module:function, module:Class.method or ./file.py:function");
	c->function = o->args[0];
	const char *colon = strrchr(c->function, ':');
	if (!colon || colon == c->function || !colon[1])
		return eci_usage("call: %s is not module:function, module:Class.method or ./file.py:function",
				 c->function);
	c->args = ectx_array();
	c->kwargs = ectx_map();
	size_t i = 1;
	for (; i < o->nargs && strcmp(o->args[i], "--"); i++) {
		bool channel = !strcmp(o->args[i], "@channel");
		if (channel && c->nchannels == CHANNELS_MAX)
			return eci_usage("call: at most %d channels", CHANNELS_MAX);
		if (channel)
			c->channels[c->nchannels++] = i - 1;
		if (!ectx_array_push(c->args, channel ? ectx_null() : typed(o->args[i])))
			return eci_usage("call: argument %zu cannot travel", i);
	}
	for (i++; i < o->nargs; i++) {
		const char *equals = strchr(o->args[i], '=');
		if (!equals || equals == o->args[i])
			return eci_usage("call: after -- come keywords, K=V; %s is none", o->args[i]);
		ectx_value *key = ectx_text_n(o->args[i], (size_t)(equals - o->args[i]));
		if (!ectx_map_set(c->kwargs, key, typed(equals + 1)))
			return eci_usage("call: %s cannot travel", o->args[i]);
	}
	return 0;
}

static ectx_future *start_call(struct eci_fan *fan, struct eci_job *job, long timeout_ms)
{
	const struct call *c = fan->arg;
	ectx_channel_arg places[CHANNELS_MAX];
	if (c->nchannels) {
		job->listens = eci_alloc(c->nchannels * sizeof *job->listens);
		for (size_t i = 0; i < c->nchannels; i++) {
			places[i] = (ectx_channel_arg){.channel = ectx_channel_new(fan->mesh), .index = c->channels[i]};
			if (!places[i].channel)
				return NULL;
			job->listens[job->nlistens++] = (struct eci_listen){.channel = places[i].channel};
		}
		return ectx_call_with_start(job->context, c->function, c->args, c->kwargs, places, c->nchannels,
					    timeout_ms);
	}
	return ectx_call_start(job->context, c->function, c->args, c->kwargs, timeout_ms);
}

static void print_item(struct eci_fan *fan, struct eci_job *job, const ectx_value *value)
{
	if (fan->opts->json) {
		eci_json_begin("item");
		eci_json_text("node", job->name, strlen(job->name));
		eci_json_value("value", value);
		eci_json_end();
		return;
	}
	char *text = ectx_value_json(value);
	if (fan->opts->fold) {
		eci_kept_add(&job->kept[0], text ? text : "null", strlen(text ? text : "null"));
		eci_kept_add(&job->kept[0], "\n", 1);
	} else {
		eci_out_printf(1, "%s: ", job->name);
		eci_out_text(1, text ? text : "null");
		eci_out_text(1, "\n");
	}
	free(text);
}

static void print_value(struct eci_fan *fan, struct eci_job *job, const ectx_value *value)
{
	const struct call *c = fan->arg;
	if (fan->opts->json || (c->nchannels && ectx_value_kind(value) == ECTX_NULL))
		return; /* it is in the result event; or nothing but the end of what was said over a channel */
	char *text = ectx_value_json(value);
	const char *shown = text ? text : "null";
	if (fan->opts->fold) {
		eci_kept_add(&job->kept[0], shown, strlen(shown));
	} else {
		eci_out_printf(1, "%s: ", job->name);
		eci_out_text(1, shown);
		eci_out_text(1, "\n");
	}
	free(text);
}

/* The roots of the program in "./file.py:function", to be freed; NULL when it names a module. *status: set when the
 * file cannot be read. */
static const char **program_roots(const char *function, int *status)
{
	const char *colon = strrchr(function, ':');
	size_t n = (size_t)(colon - function);
	if (n < 4 || memcmp(colon - 3, ".py", 3) || !memchr(function, '/', n))
		return NULL;
	char *path = eci_copy(function, n);
	if (access(path, R_OK))
		*status = eci_usage("call: %s cannot be read: %s", path, strerror(errno));
	const char **roots = eci_program_roots(path);
	free(path);
	return roots;
}

int eci_cmd_call(const struct eci_opts *o)
{
	struct call c = {0};
	struct eci_session s = {0};
	struct eci_fan fan = {.start = start_call, .arg = &c, .value = print_value, .item = print_item};
	int status = read_call(&c, o);
	const char **roots = status ? NULL : program_roots(c.function, &status);
	if (!status)
		status = eci_session_open(&s, &fan, o, roots);
	if (!status)
		status = (int)eci_fan_run(&fan);
	status = eci_session_close(&s, &fan, status);
	ectx_value_free(c.args);
	ectx_value_free(c.kwargs);
	free(roots);
	return status;
}
