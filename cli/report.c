/* cli: what the user sees of a job: lines as they come, folded blocks, JSON, or nothing but its bytes.
 *
 * Only this file knows the forms. Lines: NODE: text, to the stream they came from. Folded: kept, and printed by
 * eci_report_flush(). JSON: one event a line of output, everything on stdout. Failures of the first two forms are
 * folded blocks on stderr at the end (or at ^C). Of lines, which may go on for ever (`tail -f`), they come sooner: when
 * no target has ended for a while, as no other is likely to share what failed. */
#include <string.h>

#include "cli/fan.h"

/* ectx_options.event_limit, when it is not set. */
#define RECORDS_MAX 65536

/* Longer than timeout.connect by default, which hosts that do not answer have in common. */
#define OVERDUE_MS 15000

struct to {
	struct eci_report *report;
	struct eci_job *job;
	int stream;
};

static void line(void *arg, const char *text, size_t n, bool cut)
{
	struct to *to = arg;
	const struct eci_opts *o = to->report->opts;
	if (o->pty && n && text[n - 1] == '\r')
		n--; /* a terminal ends its lines with both */
	if (o->json) {
		eci_json_begin("output");
		eci_json_text("node", to->job->name, strlen(to->job->name));
		eci_json_text("stream", to->stream == 2 ? "stderr" : "stdout", 6);
		eci_json_text("text", text, n);
		if (cut)
			eci_out_text(1, ", \"partial\": true");
		eci_json_end();
		return;
	}
	if (o->fold) {
		struct eci_kept *kept = &to->job->kept[to->stream - 1];
		eci_kept_add(kept, text, n);
		if (!cut)
			eci_kept_add(kept, "\n", 1);
		return;
	}
	eci_out_text(to->stream, to->job->name);
	eci_out_bytes(to->stream, ": ", 2);
	eci_out_remote(to->stream, text, n);
	eci_out_bytes(to->stream, "\n", 1);
}

void eci_report_output(struct eci_report *r, struct eci_job *job, int stream, const char *p, size_t n)
{
	struct to to = {r, job, stream == 2 ? 2 : 1};
	struct eci_split *lines = &job->lines[to.stream - 1];
	if (r->opts->raw && n)
		eci_out_bytes(to.stream, p, n);
	else if (n)
		eci_split_feed(lines, p, n, line, &to);
	else
		eci_split_end(lines, line, &to);
}

void eci_report_log(struct eci_report *r, const ectx_event *e)
{
	/* Logging is filtered where it happens; what code printed comes whatever the level. */
	if (e->kind == ECTX_EVENT_LOG && e->level < r->opts->log_level)
		return;
	if (r->opts->json)
		eci_log_json(e);
	else
		eci_log_line(e);
}

void eci_report_logs(struct eci_report *r, ectx_mesh *m)
{
	ectx_event *e;
	for (int i = 0; i < RECORDS_MAX && (e = ectx_event_next(m, 0)) != NULL; i++) {
		if (e->kind == ECTX_EVENT_LOG || e->kind == ECTX_EVENT_DROPPED)
			eci_report_log(r, e);
		ectx_event_free(e);
	}
}

static void count(struct eci_report *r, enum ectx_status status)
{
	switch (status) {
	case ECTX_OK:
		r->ok++;
		break;
	case ECTX_UNREACHABLE:
		r->unreachable++;
		break;
	case ECTX_REFUSED:
		r->refused++;
		break;
	case ECTX_DEADLINE:
		r->deadline++;
		break;
	case ECTX_UNKNOWN:
	case ECTX_INTERRUPTED: /* ended by us while it ran: nobody knows how far it came */
		r->unknown++;
		break;
	case ECTX_FAILED:
	case ECTX_USAGE:
	case ECTX_INTERNAL:
		r->failed++;
		break;
	}
}

static void result_json(struct eci_job *job, const struct eci_outcome *end)
{
	eci_json_begin("result");
	eci_json_text("node", job->name, strlen(job->name));
	const char *word = eci_json_status(end->status);
	eci_json_text("status", word, strlen(word));
	if (end->rc >= 0)
		eci_json_number("rc", end->rc);
	else if (end->status == ECTX_OK && end->value)
		eci_json_value("value", end->value);
	if (end->status != ECTX_OK && end->error->code != ECTX_E_EXIT_STATUS)
		eci_json_error(end->error);
	eci_json_end();
}

void eci_report_result(struct eci_report *r, struct eci_job *job, const struct eci_outcome *end)
{
	for (int stream = 1; stream <= 2; stream++) {
		struct to to = {r, job, stream};
		eci_split_end(&job->lines[stream - 1], line, &to);
		if (r->opts->fold)
			eci_fold_add(&r->folds[stream - 1], &job->kept[stream - 1], job->name, job->index, stream);
	}
	count(r, end->status);
	r->last = eci_clock();
	if (r->opts->json && r->opts->cmd != ECI_CMD_TREE && r->opts->cmd != ECI_CMD_TRACE)
		result_json(job, end);
	else if (end->status != ECTX_OK)
		eci_failures_add(&r->failures, job->name, job->index, end->error);
}

void eci_report_flush(struct eci_report *r)
{
	for (int stream = 1; stream <= 2; stream++)
		eci_fold_print(&r->folds[stream - 1], stream);
	eci_failures_print(&r->failures);
	eci_out_flush();
}

int eci_report_overdue(struct eci_report *r)
{
	if (!r->failures.n || r->opts->fold)
		return -1;
	int left = OVERDUE_MS - (int)((eci_clock() - r->last) * 1000);
	if (left > 0)
		return left;
	eci_failures_print(&r->failures);
	return -1;
}

void eci_report_summary(struct eci_report *r, size_t not_started)
{
	eci_json_begin("summary");
	eci_json_number("ok", (long long)r->ok);
	eci_json_number("failed", (long long)r->failed);
	eci_json_number("unreachable", (long long)r->unreachable);
	eci_json_number("refused", (long long)r->refused);
	eci_json_number("deadline", (long long)r->deadline);
	eci_json_number("unknown", (long long)r->unknown);
	if (not_started)
		eci_json_number("not_started", (long long)not_started);
	eci_out_printf(1, ", \"seconds\": %.3f", eci_clock() - r->started);
	eci_json_end();
	eci_out_flush();
}
