/* cli: tree and trace: what is connected, and the way to a context with the time per hop.
 *
 * tree connects its targets and then shows every live context, the ones on the way too. The table is made from the same
 * values that --json prints; a key that is absent (an older agent) is a dash, never an error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fan.h"
#include "cli/signals.h"

/* Counters come from contexts that were just connected. */
#define TREE_LIMIT_MS 30000
/* Deeper trees are indented no further: the name must stay readable. */
#define INDENT_MAX 20

static const char *text_of(const ectx_value *map, const char *key)
{
	const char *text = ectx_value_text(ectx_map_get(map, key));
	return text && *text ? text : "-";
}

static void print_rtt(char *to, size_t cap, const ectx_value *v)
{
	int64_t us;
	if (!ectx_value_int(v, &us))
		snprintf(to, cap, "-");
	else if (us < 10000)
		snprintf(to, cap, "%.2f ms", (double)us / 1000);
	else
		snprintf(to, cap, "%.0f ms", (double)us / 1000);
}

static void print_size(char *to, size_t cap, const ectx_value *v)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	uint64_t n;
	if (!ectx_value_uint(v, &n)) {
		snprintf(to, cap, "-");
		return;
	}
	double d = (double)n;
	size_t unit = 0;
	while (d >= 1024 && unit < 4) {
		d /= 1024;
		unit++;
	}
	snprintf(to, cap, unit ? "%.1f %s" : "%.0f %s", d, units[unit]);
}

/* Depth of entry i: one more than the entry before it that is its parent. Parents stand first. */
static size_t depth_of(const ectx_value *tree, size_t i, const size_t *depths)
{
	const ectx_value *parent = ectx_map_get(ectx_array_at(tree, i), "parent");
	if (!parent || ectx_value_kind(parent) == ECTX_NULL)
		return 0;
	for (size_t j = i; j-- > 0;) {
		const ectx_value *one = ectx_array_at(tree, j);
		if (ectx_value_equal(ectx_map_get(one, "id"), parent) ||
		    ectx_value_equal(ectx_map_get(one, "name"), parent))
			return depths[j] + 1;
	}
	return 0;
}

static void print_table(const ectx_value *tree)
{
	size_t n = ectx_value_count(tree), *depths = eci_alloc((n + 1) * sizeof *depths), width = strlen("CONTEXT");
	for (size_t i = 0; i < n; i++) {
		depths[i] = depth_of(tree, i, depths);
		size_t indent = depths[i] < INDENT_MAX ? 2 * depths[i] : 2 * INDENT_MAX;
		size_t wide = indent + strlen(text_of(ectx_array_at(tree, i), "name"));
		if (wide > width)
			width = wide;
	}
	eci_out_printf(1, "%-*s  %-7s %-8s %-9s %10s %10s %10s\n", (int)width, "CONTEXT", "AGENT", "PYTHON", "STATE",
		       "RTT", "IN", "OUT");
	for (size_t i = 0; i < n; i++) {
		const ectx_value *one = ectx_array_at(tree, i);
		char rtt[32], in[32], out[32];
		print_rtt(rtt, sizeof rtt, ectx_map_get(one, "rtt_us"));
		print_size(in, sizeof in, ectx_map_get(one, "bytes_in"));
		print_size(out, sizeof out, ectx_map_get(one, "bytes_out"));
		int indent = (int)(2 * (depths[i] < INDENT_MAX ? depths[i] : INDENT_MAX));
		eci_out_printf(1, "%*s%-*s  %-7s %-8s %-9s %10s %10s %10s\n", indent, "", (int)width - indent,
			       text_of(one, "name"), text_of(one, "agent"), text_of(one, "python"),
			       text_of(one, "state"), rtt, in, out);
	}
	free(depths);
}

/* -u, 0 being no limit as everywhere; without it ours. */
static long limit_of(const struct eci_opts *o)
{
	if (o->command_ms >= 0)
		return o->command_ms;
	return o->command_said ? ECI_LIMIT_MAX_MS : TREE_LIMIT_MS;
}

static int show_tree(struct eci_fan *fan, int status)
{
	ectx_future *f = ectx_tree_start(fan->mesh, limit_of(fan->opts));
	if (!f)
		return ECTX_INTERNAL;
	if (!eci_session_wait(f)) {
		ectx_future_free(f);
		return ECTX_INTERRUPTED;
	}
	ectx_error e = *ectx_future_error(f);
	const ectx_value *tree = ectx_future_value(f);
	if (e.status != ECTX_OK) {
		e.detail = NULL; /* the future's */
		status = eci_complain(&e);
	} else if (fan->opts->json) {
		for (size_t i = 0; i < ectx_value_count(tree); i++) {
			char *text = ectx_value_json(ectx_array_at(tree, i));
			eci_out_text(1, text ? text : "null");
			eci_out_text(1, "\n");
			free(text);
		}
	} else {
		print_table(tree);
	}
	ectx_future_free(f);
	eci_out_flush();
	return status;
}

int eci_cmd_tree(const struct eci_opts *o)
{
	if (o->nargs)
		return eci_usage("tree takes no argument %s; targets follow -w", o->args[0]);
	struct eci_session s = {0};
	struct eci_fan fan = {0};
	int status = eci_session_open(&s, &fan, o, NULL);
	if (!status) {
		status = (int)eci_fan_run(&fan);
		if (status != ECTX_INTERRUPTED && !fan.stop && !eci_out_error())
			status = show_tree(&fan, status);
	}
	return eci_session_close(&s, &fan, status);
}

static ectx_future *start_trace(struct eci_fan *fan, struct eci_job *job, long timeout_ms)
{
	(void)fan;
	return ectx_trace_start(job->context, timeout_ms);
}

static void print_trace(struct eci_fan *fan, struct eci_job *job, const ectx_value *hops)
{
	size_t n = ectx_value_count(hops);
	if (n && ectx_value_kind(ectx_map_get(ectx_array_at(hops, n - 1), "rtt_us")) == ECTX_NULL)
		fan->worst = eci_fan_worse(fan->worst, ECTX_DEADLINE); /* which hops answered is shown all the same */
	for (size_t i = 0; i < ectx_value_count(hops); i++) {
		const ectx_value *hop = ectx_array_at(hops, i);
		if (fan->opts->json) {
			ectx_value *line = ectx_value_copy(hop);
			ectx_map_put(line, "target", ectx_text(job->name));
			ectx_map_put(line, "hop", ectx_int((int64_t)i + 1));
			char *text = ectx_value_json(line);
			eci_out_text(1, text ? text : "null");
			eci_out_text(1, "\n");
			free(text);
			ectx_value_free(line);
			continue;
		}
		char rtt[32];
		print_rtt(rtt, sizeof rtt, ectx_map_get(hop, "rtt_us"));
		eci_out_printf(1, "%s: %2zu  %-24s %10s\n", job->name, i + 1, text_of(hop, "name"), rtt);
	}
}

int eci_cmd_trace(const struct eci_opts *o)
{
	if (o->nargs)
		return eci_usage("trace takes no argument %s; targets follow -w", o->args[0]);
	struct eci_session s = {0};
	struct eci_fan fan = {.start = start_trace, .value = print_trace};
	/* A limit of its own makes the connecting a step apart: the boot is no part of the last hop's time. */
	struct eci_opts apart = *o;
	apart.command_ms = limit_of(o);
	int status = eci_session_open(&s, &fan, &apart, NULL);
	if (!status)
		status = (int)eci_fan_run(&fan);
	return eci_session_close(&s, &fan, status);
}
