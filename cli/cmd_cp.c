/* cli: cp: files to and from contexts.
 *
 * `cp SRC... TARGETS:DST` goes there, `cp TARGETS:SRC... DST` comes here. TARGETS is what -w takes and may hold colons
 * (NODE:USER) as a path may; so the colon that divides is the first with a path behind it ("/", "./", "~", or nothing),
 * else the last. A name here that holds a colon is written with a slash before it, as for scp(1): ./a:b; what
 * begins with "/", "." or "~" is always here.
 *
 * From several there is a thread for each, and the callbacks of all of them come in here: what they share, this struct
 * and the output, is one's who holds the output. */
#include <stdatomic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/causes.h"
#include "cli/fan.h"
#include "cli/signals.h"
#include "econtext/copy.h"

/* Who stands still, or goes on, is waited for so long before it is said: those who stopped for one cause did not stop
 * at one time. */
#define STILL_S 2.0

/* How far a node's files are. */
struct way {
	uint64_t done, total;
};

struct cp {
	const struct eci_opts *o;
	struct eci_session s;
	ectx_copy_options options;
	struct eci_causes causes; /* of files */
	struct eci_failures failures;
	struct eci_report report; /* of log records only */
	ectx_copy_result sum;
	size_t done, unbegun; /* nodes that had their turn; those of them where ^C came while a secret was asked for */
	enum ectx_status worst;
	double started, shown;
	struct { /* who stands still, or goes on, and is still to be said */
		struct eci_strings names;
		const char *why;
		uint64_t ms;
		double since; /* when the first of them was told */
	} still;
	/* from there: several at once */
	const char *const *sources;
	const char *dest;
	atomic_size_t next;
	size_t nways;
	struct way *ways; /* of each node, from there; else the first is that of all */
};

/* A copy that reports: arg of its callbacks. */
struct piece {
	struct cp *cp;
	size_t node;
};

/* Where TARGETS end: at a colon of text, or NULL when it is a path here. */
static const char *divide(const char *text)
{
	const char *colon = strchr(text, ':');
	if (!colon || strchr("/.~", text[0]))
		return NULL;
	for (const char *p = colon; p; p = strchr(p + 1, ':'))
		if (!p[1] || strchr("/.~", p[1]))
			return p;
	return strrchr(text, ':');
}

/* ---- what is told ---- */

/* What all of them have come to; total 0 unless each knows its own. The output is held. */
static struct way sum_of(const struct cp *cp)
{
	struct way sum = {0};
	bool known = true;
	for (size_t i = 0; i < cp->nways; i++) {
		sum.done += cp->ways[i].done;
		sum.total += cp->ways[i].total;
		known = known && cp->ways[i].total;
	}
	if (!known)
		sum.total = 0;
	return sum;
}

/* What was logged there, or lost. The output is held: one thread at a time takes events. */
static void take_records(struct cp *cp)
{
	eci_report_logs(&cp->report, cp->s.mesh);
	eci_out_flush();
}

static void show(struct cp *cp, double now)
{
	char text[120];
	struct way sum = sum_of(cp);
	cp->shown = now;
	double rate = now > cp->started ? (double)sum.done / (now - cp->started) / 1e6 : 0;
	if (cp->o->json) {
		eci_json_begin("progress");
		eci_json_number("bytes", (long long)sum.done);
		eci_json_number("total", (long long)sum.total);
		eci_json_end();
		eci_out_flush();
	} else if (sum.total) {
		snprintf(text, sizeof text, "econtext: %.1f of %.1f MB, %.1f MB/s", (double)sum.done / 1e6,
			 (double)sum.total / 1e6, rate);
		eci_out_progress(text, true);
	} else {
		snprintf(text, sizeof text, "econtext: %.1f MB, %.1f MB/s", (double)sum.done / 1e6, rate);
		eci_out_progress(text, true);
	}
}

/* One line for all that stand still for one reason. The output is held. */
static void say_still(struct cp *cp)
{
	struct eci_strings *names = &cp->still.names;
	char *fold = names->n ? ectx_nodeset_fold(names->v, names->n) : NULL;
	if (fold && cp->still.ms)
		eci_out_printf(2, "econtext: %s: nothing has moved for %llu s: %s\n", fold,
			       (unsigned long long)cp->still.ms / 1000, cp->still.why);
	else if (fold)
		eci_out_printf(2, "econtext: %s: goes on\n", fold);
	if (fold)
		eci_out_flush();
	free(fold);
	names->n = 0;
}

/* Whether this is one with what is still to be said. */
static bool alike(const struct cp *cp, uint64_t ms, const char *why)
{
	uint64_t other = cp->still.ms, apart = ms < other ? other - ms : ms - other;
	return strcmp(why, cp->still.why) == 0 && !ms == !other && (double)apart < STILL_S * 1000;
}

static void on_stalled(void *arg, ectx_context *c, uint64_t ms, const char *why)
{
	const struct piece *piece = arg;
	struct cp *cp = piece->cp;
	if (cp->o->quiet)
		return;
	eci_out_hold();
	if (cp->o->json) {
		eci_json_begin("stalled");
		eci_json_text("node", ectx_context_name(c), strlen(ectx_context_name(c)));
		eci_json_number("seconds", (long long)ms / 1000);
		eci_json_text("why", why, strlen(why));
		eci_json_end();
		eci_out_flush();
	} else {
		if (cp->still.names.n && !alike(cp, ms, why))
			say_still(cp);
		if (!cp->still.names.n) {
			cp->still.why = why;
			cp->still.ms = ms;
			cp->still.since = eci_clock();
		}
		eci_strings_add(&cp->still.names, ectx_context_name(c));
	}
	eci_out_release();
}

/* ^C, or what ends all: nobody is dialled any more. */
static bool signalled(void)
{
	return eci_signals_interrupts() || eci_signals_ending();
}

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
	const struct piece *piece = arg;
	struct cp *cp = piece->cp;
	double now = eci_clock();
	if (signalled())
		return 1;
	eci_out_hold();
	cp->ways[piece->node] = (struct way){done, total};
	take_records(cp);
	if (now - cp->still.since >= STILL_S)
		say_still(cp);
	if (!cp->o->quiet && now - cp->shown >= 0.2 && (cp->o->json || eci_out_terminal()))
		show(cp, now);
	eci_out_release();
	return 0;
}

static void on_failed(void *arg, ectx_context *c, const char *path, const ectx_error *e)
{
	struct cp *cp = ((const struct piece *)arg)->cp;
	const char *node = c ? ectx_context_name(c) : "here";
	eci_out_hold();
	if (eci_never_begun(e)) {
		cp->unbegun++;
	} else if (cp->o->json) {
		eci_json_begin("result");
		eci_json_text("node", node, strlen(node));
		if (path)
			eci_json_text("path", path, strlen(path));
		eci_json_text("status", eci_json_status(e->status), strlen(eci_json_status(e->status)));
		eci_json_error(e);
		eci_json_end();
	} else if (path) {
		eci_causes_add(&cp->causes, node, path, e);
	} else {
		eci_failures_add(&cp->failures, node, 0, e);
	}
	eci_out_release();
}

/* What n nodes have come to. */
static void add(struct cp *cp, size_t n, enum ectx_status status, const ectx_copy_result *r)
{
	eci_out_hold();
	cp->done += n;
	cp->sum.entries += r->entries;
	cp->sum.bytes += r->bytes;
	cp->sum.failed += r->failed;
	cp->worst = eci_fan_worse(cp->worst, status);
	eci_out_release();
}

/* ---- to there ---- */

static void send_all(struct cp *cp, const char *const *sources, const char *dest)
{
	ectx_context **v = eci_alloc(cp->s.n * sizeof(ectx_context *));
	size_t n = 0;
	ectx_error e = {0};
	ectx_copy_result r = {0};
	for (size_t i = 0; i < cp->s.n; i++) {
		v[n] = ectx_context_get(cp->s.mesh, cp->s.names[i], &e);
		if (v[n])
			n++;
		else
			cp->worst = eci_fan_worse(cp->worst, (enum ectx_status)eci_complain(&e));
	}
	enum ectx_status status = ECTX_OK;
	if (n) {
		struct piece all = {.cp = cp};
		ectx_copy_options options = cp->options;
		options.arg = &all;
		status = ectx_copy_to(v, n, sources, dest, &options, &r, &e);
	}
	add(cp, cp->s.n, status, &r);
	free(v);
}

/* ---- from there ---- */

static void *fetch(void *arg)
{
	struct cp *cp = arg;
	for (size_t i; (i = atomic_fetch_add(&cp->next, 1)) < cp->s.n && !signalled();) {
		ectx_error e = {0};
		ectx_copy_result r = {0};
		struct piece mine = {cp, i};
		ectx_copy_options options = cp->options;
		options.arg = &mine;
		ectx_context *c = ectx_context_get(cp->s.mesh, cp->s.names[i], &e);
		char *dest = eci_alloc(strlen(cp->dest) + strlen(cp->s.names[i]) + 3);
		sprintf(dest, "%s", cp->dest);
		if (cp->s.n > 1) { /* one folder a node; an ad-hoc path is a name with slashes */
			sprintf(dest, "%s/%s/", cp->dest, cp->s.names[i]);
			for (char *p = dest + strlen(cp->dest) + 1; p[1]; p++)
				*p = *p == '/' ? '_' : *p;
		}
		if (c)
			add(cp, 1, ectx_copy_from(c, cp->sources, dest, &options, &r, &e), &r);
		else
			on_failed(&mine, NULL, NULL, &e), add(cp, 1, e.status, &r);
		ectx_error_clear(&e);
		free(dest);
	}
	return NULL;
}

static void fetch_all(struct cp *cp)
{
	size_t n = cp->s.n < cp->o->fanout ? cp->s.n : cp->o->fanout, made = 0;
	pthread_t *v = eci_alloc(n * sizeof *v);
	if (cp->s.n > 1)
		(void)mkdir(cp->dest, 0777);
	while (made + 1 < n && pthread_create(&v[made], NULL, fetch, cp) == 0)
		made++;
	(void)fetch(cp);
	while (made)
		(void)pthread_join(v[--made], NULL);
	free(v);
}

/* ---- the command ---- */

/* "500k", "2M", "1.5G": bytes a second. 0: not one. */
static uint64_t rate_of(const char *text)
{
	char *end;
	double v = strtod(text, &end);
	static const char units[] = "kMG";
	const char *unit = *end ? strchr(units, *end) : NULL;
	if (unit)
		end++;
	for (; unit && unit >= units; unit--)
		v *= 1000;
	return end == text || *end || !(v >= 1) || v > 1e15 ? 0 : (uint64_t)v;
}

static int run(struct cp *cp, const char *targets, const char *const *sources, const char *dest, bool up)
{
	struct eci_opts o = *cp->o;
	char *copy = eci_copy(targets, strlen(targets));
	o.targets = copy;
	struct eci_fan fan = {0};
	cp->o = cp->report.opts = &o;
	int status = eci_session_open(&cp->s, &fan, &o, NULL);
	if (!status) {
		cp->started = eci_clock();
		cp->nways = up ? 1 : cp->s.n;
		cp->ways = eci_alloc(cp->nways * sizeof *cp->ways);
		cp->sources = sources;
		cp->dest = dest;
		if (up)
			send_all(cp, sources, dest);
		else
			fetch_all(cp);
		take_records(cp);
		say_still(cp);
		eci_out_clear();
		eci_causes_move(&cp->causes, &cp->failures);
		eci_failures_print(&cp->failures);
		status = (int)cp->worst;
		if (o.json) {
			size_t not_started = cp->s.n - cp->done + cp->unbegun;
			eci_json_begin("summary");
			eci_json_number("entries", (long long)cp->sum.entries);
			eci_json_number("bytes", (long long)cp->sum.bytes);
			eci_json_number("failed", (long long)(cp->sum.failed - cp->unbegun));
			if (not_started)
				eci_json_number("not_started", (long long)not_started);
			eci_json_end();
			eci_out_flush();
		}
	}
	status = eci_session_close(&cp->s, &fan, status);
	free(cp->still.names.v);
	free(cp->ways);
	free(copy);
	return status;
}

int eci_cmd_cp(const struct eci_opts *o)
{
	struct cp cp = {
		.o = o,
		.options = {.resume = o->resume, .connect_timeout_ms = o->connect_ms, .timeout_ms = o->command_ms}};
	cp.options.progress = on_progress;
	cp.options.failed = on_failed;
	cp.options.stalled = on_stalled;
	if (o->nargs < 2)
		return eci_usage("cp takes SRC... TARGETS:DST, or TARGETS:SRC... DST");
	uint64_t limit = o->limit ? rate_of(o->limit) : 0;
	if (o->limit && !limit)
		return eci_usage("--limit %s: not a rate; write bytes a second, or 500k, 2M, 1.5G", o->limit);
	size_t last = o->nargs - 1;
	const char *to = divide(o->args[last]), *from = divide(o->args[0]);
	if (to && from)
		return eci_usage("cp: both sides are there; one must be here: ./%s, if it is a path", o->args[0]);
	if (!to && !from)
		return eci_usage("cp: no side is there; write TARGETS:PATH for one");
	const char **sources = eci_alloc((last + 1) * sizeof *sources);
	const char *targets = to ? o->args[last] : o->args[0];
	size_t n = (size_t)((to ? to : from) - targets);
	int status = 0;
	for (size_t i = 0; i < last && !status; i++) {
		const char *colon = divide(o->args[i]);
		if (to && colon)
			status = eci_usage("cp: %s: both sides are there; one must be here: ./%s, if it is a path",
					   o->args[i], o->args[i]);
		else if (from && (!colon || (size_t)(colon - o->args[i]) != n || strncmp(o->args[i], targets, n)))
			status = eci_usage("cp: %s: every source must be of %.*s", o->args[i], (int)n, targets);
		else
			sources[i] = from ? (colon[1] ? colon + 1 : ".") : o->args[i];
	}
	for (size_t i = 0; i <= last && !status; i++)
		if (!o->args[i][0])
			status = eci_usage("cp: a path is empty");
	char *names = eci_copy(targets, n);
	if (!status && !n)
		status = eci_usage("cp: no targets before the colon of %s", targets);
	cp.options.pace = ectx_pace_new(limit); /* of all together, however many are fetched from at once */
	if (!status && !cp.options.pace)
		status = ECTX_INTERNAL;
	if (!status)
		status = run(&cp, names, sources, to ? (to[1] ? to + 1 : ".") : o->args[last], to != NULL);
	ectx_pace_free(cp.options.pace);
	free(names);
	free(sources);
	return status;
}
