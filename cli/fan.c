/* cli: the fan-out engine.
 *
 * One thread, one loop: start jobs while fewer than -f are under way, take events, and when none is left sleep in
 * poll() on the mesh's descriptor and the signal pipe. A job is: connect (only when -t or -u was given, so that each
 * limit counts its own part; otherwise the library connects within the work and saves a round trip), then the work,
 * then a report.
 *
 * A job is finished at its DONE event, because its output stands before that in the queue. A future that ended before
 * it was given its user pointer has no such event, so each is looked at once after the start, and finished after the
 * queue has been empty once more. Futures are compared by address and then asked whether they are done: an event of one
 * that was freed finds nobody, or somebody who is not done.
 *
 * Invariant: active[0..running) are the jobs with a future; ended + running + not started = n. Nothing here knows the
 * commands. */
#include "cli/fan.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/signals.h"

/* Events taken before starting the next job, drawing and looking at signals get their turn. */
#define BATCH 256
/* How often progress is told while nothing happens: once a second shows life. */
#define TICK_MS 1000
/* How long records are taken behind the last result, if there is no end of them. */
#define LAST_RECORDS_MS 1000

/* The order of exit statuses when several came: 7>6>4>3>5>1; usage of one target (a file that cannot be read) stands
 * above a failure. */
static int rank(enum ectx_status s)
{
	static const enum ectx_status order[] = {ECTX_OK,       ECTX_FAILED,      ECTX_USAGE,
						 ECTX_DEADLINE, ECTX_UNREACHABLE, ECTX_REFUSED,
						 ECTX_UNKNOWN,  ECTX_INTERNAL,    ECTX_INTERRUPTED};
	for (int i = 0; i < (int)(sizeof order / sizeof order[0]); i++)
		if (order[i] == s)
			return i;
	return rank(ECTX_INTERNAL);
}

enum ectx_status eci_fan_worse(enum ectx_status a, enum ectx_status b)
{
	return rank(b) > rank(a) ? b : a;
}

static void let_go(struct eci_fan *fan, struct eci_job *job)
{
	if (!job->future)
		return;
	ectx_future *old = job->future;
	if (ectx_future_done(old)) {
		old = fan->last;
		fan->last = job->future;
	}
	ectx_future_free(old);
	job->future = NULL;
	size_t i = 0;
	while (fan->active[i] != job)
		i++;
	fan->active[i] = fan->active[--fan->running];
}

static void end_job(struct eci_fan *fan, struct eci_job *job)
{
	let_go(fan, job);
	eci_listen_close(job);
	job->state = ECI_JOB_ENDED;
	fan->ended++;
}

/* Among those that were not started. */
static void put_back(struct eci_fan *fan, struct eci_job *job)
{
	let_go(fan, job);
	eci_listen_close(job);
	job->state = ECI_JOB_WAITING;
}

/* ^C came while a secret was waited for: nothing was dialled for it, and nothing runs. */
bool eci_never_begun(const ectx_error *e)
{
	return e->code == ECTX_E_CANCELLED && e->phase == ECTX_PHASE_CONNECT;
}

size_t eci_fan_not_started(const struct eci_fan *fan)
{
	return fan->n - fan->running - fan->ended;
}

static void finish(struct eci_fan *fan, struct eci_job *job, const struct eci_outcome *end)
{
	fan->worst = eci_fan_worse(fan->worst, end->status);
	if (end->status == ECTX_INTERRUPTED && eci_never_begun(end->error)) { /* as those that it was before */
		put_back(fan, job);
		return;
	}
	if (end->status == ECTX_OK && fan->value)
		fan->value(fan, job, end->value);
	eci_report_result(&fan->report, job, end);
	end_job(fan, job);
}

static void finish_error(struct eci_fan *fan, struct eci_job *job, const ectx_error *e)
{
	finish(fan, job, &(struct eci_outcome){.status = e->status ? e->status : ECTX_INTERNAL, .rc = -1, .error = e});
}

/* The limit of -t is the user's: it says "not reached in time", not "the work took too long". */
ectx_error eci_connect_error(const ectx_error *e, long connect_ms)
{
	ectx_error mine = *e;
	if (e->code == ECTX_E_DEADLINE && connect_ms >= 0) {
		mine.status = ECTX_UNREACHABLE;
		mine.code = ECTX_E_CONNECT_TIMEOUT;
		if (mine.phase == ECTX_PHASE_NONE || mine.phase == ECTX_PHASE_CALL)
			mine.phase = ECTX_PHASE_CONNECT;
		if (!mine.limit_ms)
			mine.limit_ms = (uint32_t)connect_ms;
		if (!mine.after_ms)
			mine.after_ms = mine.limit_ms;
		snprintf(mine.hint, sizeof mine.hint,
			 "not connected within -t: a slow way, a firewall, or a host that is down");
	}
	return mine;
}

static void finish_connect(struct eci_fan *fan, struct eci_job *job, const ectx_error *e)
{
	ectx_error mine = eci_connect_error(e, fan->opts->connect_ms);
	finish_error(fan, job, &mine);
}

static void begin(struct eci_fan *fan, struct eci_job *job, enum eci_job_state state)
{
	const struct eci_opts *o = fan->opts;
	let_go(fan, job);
	job->done = false;
	job->state = state;
	if (state == ECI_JOB_CONNECTING)
		job->future = ectx_connect_start(job->context, o->connect_ms);
	else
		job->future = fan->start(fan, job, o->command_ms);
	job->until = o->command_ms >= 0 ? eci_clock() + (double)o->command_ms / 1000 : 0;
	if (!job->future) {
		finish_error(fan, job, &(ectx_error){.status = ECTX_INTERNAL, .code = ECTX_E_NO_MEMORY});
		return;
	}
	fan->active[fan->running++] = job;
	ectx_future_set_user(job->future, job);
	if (state == ECI_JOB_RUNNING)
		eci_listen_all(job);
	job->check = true;
}

static void launch(struct eci_fan *fan)
{
	struct eci_job *job = &fan->jobs[fan->next++];
	ectx_error e = {0};
	job->context = ectx_context_get(fan->mesh, job->name, &e);
	if (!job->context) {
		finish_error(fan, job, &e);
		ectx_error_clear(&e);
		return;
	}
	bool apart = !fan->start || fan->opts->connect_ms >= 0 || fan->opts->command_ms >= 0;
	begin(fan, job, apart ? ECI_JOB_CONNECTING : ECI_JOB_RUNNING);
}

/* Of a command or function that could not do with what it was given: which of it may have been meant for us, or for a
 * shell. */
static void hint(const struct eci_opts *o, ectx_error *e)
{
	bool blanks =
		o->cmd == ECI_CMD_EXEC && e->code == ECTX_E_NO_COMMAND && o->nargs > 1 && strpbrk(o->args[0], " \t");
	bool call = o->cmd == ECI_CMD_CALL && e->code == ECTX_E_EXCEPTION;
	const char *late = blanks || call ? eci_opts_late(o) : NULL;
	if (late)
		snprintf(e->hint, sizeof e->hint, "%.64s was an argument there: econtext's options stand before the %s",
			 late, call ? "function" : "command");
	else if (blanks)
		snprintf(e->hint, sizeof e->hint,
			 "with arguments behind it that is a program's name, blanks and all; a line for a shell stands "
			 "alone");
}

static void settle(struct eci_fan *fan, struct eci_job *job)
{
	const ectx_error *e = ectx_future_error(job->future);
	if (job->state == ECI_JOB_CONNECTING && e->status != ECTX_OK) {
		finish_connect(fan, job, e);
		return;
	}
	if (job->state == ECI_JOB_CONNECTING && fan->start) {
		begin(fan, job, ECI_JOB_RUNNING);
		return;
	}
	if (job->nlistens && !eci_listen_over(job) &&
	    e->status <= ECTX_FAILED) { /* what was said before it failed, too */
		job->answered = true;
		return;
	}
	const ectx_error *broke = e->status == ECTX_OK ? eci_listen_broke(job) : NULL;
	if (broke) {
		finish_error(fan, job, broke);
		return;
	}
	struct eci_outcome end = {.status = e->status,
				  .rc = ectx_future_exit_status(job->future),
				  .value = ectx_future_value(job->future),
				  .error = e};
	ectx_error mine = *e;
	if (end.status == ECTX_FAILED) {
		hint(fan->opts, &mine);
		end.error = &mine;
	}
	if (end.status == ECTX_OK && end.rc > 0)
		mine.status = end.status = ECTX_FAILED;
	if (end.status == ECTX_FAILED && end.rc > 0 && (e->code == ECTX_E_NONE || e->code == ECTX_E_EXIT_STATUS) &&
	    !*e->saw) {
		mine.code = ECTX_E_EXIT_STATUS;
		mine.phase = ECTX_PHASE_NONE;
		mine.path[0] = 0;
		snprintf(mine.saw, sizeof mine.saw, "exit status %d", end.rc);
		end.error = &mine;
	}
	finish(fan, job, &end);
}

static void take(struct eci_fan *fan, const ectx_event *e)
{
	if (e->kind == ECTX_EVENT_LOG || e->kind == ECTX_EVENT_DROPPED) {
		eci_report_log(&fan->report, e);
		return;
	}
	fan->reached = fan->reached || (fan->last && e->future == fan->last);
	for (size_t i = 0; i < fan->running; i++) {
		struct eci_job *job = fan->active[i];
		if (eci_listen_heard(fan, job, e)) {
			if (job->answered && eci_listen_over(job))
				settle(fan, job);
			return;
		}
		if (job->future != e->future)
			continue;
		if (e->kind == ECTX_EVENT_OUTPUT)
			eci_report_output(&fan->report, job, e->stream, e->text, e->len);
		else if (e->kind == ECTX_EVENT_DONE && ectx_future_done(job->future))
			settle(fan, job); /* not at an older event for its input: output stands between */
		return;
	}
}

/* Returns true when the queue was empty. */
static bool drain(struct eci_fan *fan)
{
	for (int i = 0; i < BATCH; i++) {
		ectx_event *e = ectx_event_next(fan->mesh, 0);
		if (!e)
			return true;
		take(fan, e);
		ectx_event_free(e);
		if (eci_out_error() || eci_signals_must_end())
			return false;
	}
	return false;
}

/* Jobs that nobody will tell about. The queue was empty a moment ago. Returns true when it must be emptied again before
 * sleeping. */
static bool look(struct eci_fan *fan)
{
	bool again = false;
	for (size_t i = fan->running; i-- > 0;) { /* downwards: who ends is replaced by one that was looked at */
		struct eci_job *job = fan->active[i];
		if (job->done) {
			settle(fan, job);
			again = true;
		} else if (job->check) {
			job->check = false;
			job->done = ectx_future_done(job->future);
			again |= job->done;
		}
	}
	return again;
}

static void progress(struct eci_fan *fan, bool force)
{
	char text[96];
	size_t waiting = fan->n - fan->next;
	/* what tree and trace print is one object a context or hop, and nothing else */
	if (fan->opts->quiet ||
	    (fan->opts->json && (fan->opts->cmd == ECI_CMD_TREE || fan->opts->cmd == ECI_CMD_TRACE)))
		return;
	if (fan->opts->json) {
		static double last;
		double now = eci_clock();
		if (last <= 0)
			last = now;
		if (now - last < TICK_MS / 1000.0)
			return;
		last = now;
		eci_json_begin("progress");
		eci_json_number("done", (long long)fan->ended);
		eci_json_number("running", (long long)fan->running);
		eci_json_number("total", (long long)fan->n);
		eci_json_end();
		return;
	}
	if (fan->n < 2 || !eci_out_terminal())
		return;
	snprintf(text, sizeof text, "econtext: %zu of %zu done, %zu running, %zu waiting", fan->ended, fan->n,
		 fan->running, waiting);
	eci_out_progress(text, force);
}

static void rest(struct eci_fan *fan)
{
	struct pollfd fds[3] = {{.fd = ectx_event_fd(fan->mesh), .events = POLLIN},
				{.fd = eci_signals_fd(), .events = POLLIN},
				{.fd = eci_feed_wants(fan) ? 0 : -1, .events = POLLIN}};
	int overdue = eci_report_overdue(&fan->report), stalled = eci_feed_overdue(fan);
	if (overdue < 0 || (stalled >= 0 && stalled < overdue))
		overdue = stalled;
	if (poll(fds, 3, fan->opts->json ? TICK_MS : overdue) > 0 && fds[2].revents)
		eci_feed_read(fan);
	eci_signals_drain();
}

/* What has not begun on its target never does: those are counted as not started. (Of `tree` connecting is all there
 * is.) */
static void withdraw(struct eci_fan *fan)
{
	for (size_t i = fan->running; fan->start && i-- > 0;) {
		struct eci_job *job = fan->active[i];
		if (job->state == ECI_JOB_CONNECTING || ectx_future_withdraw(job->future))
			put_back(fan, job);
	}
}

static void interrupted(struct eci_fan *fan)
{
	withdraw(fan);
	bool unread = eci_out_error() != 0; /* so what they would print has nowhere to go */
	fan->stop = true;
	eci_report_flush(&fan->report);
	const char *next = !fan->running ? ""
			   : unread      ? "; nobody reads the output: those that run are ended"
					 : "; ^C again ends those that run";
	eci_out_printf(2, "econtext: interrupted: %zu done, %zu running, %zu not started%s\n", fan->ended, fan->running,
		       eci_fan_not_started(fan), next);
	eci_out_flush();
}

void eci_fan_break(struct eci_fan *fan, const ectx_error *why)
{
	fan->stop = true;
	for (size_t i = 0; i < fan->running; i++)
		ectx_future_cancel(fan->active[i]->future);
	while (fan->running && why)
		finish_error(fan, fan->active[0], why);
	while (fan->running)
		end_job(fan, fan->active[0]);
}

/* By ^C, or because nobody reads what they print: no failure, but the end of a filter. */
static void kill_all(struct eci_fan *fan)
{
	bool enough = eci_out_error() == EPIPE && !eci_signals_interrupts() && !eci_signals_ending();
	eci_fan_break(fan, enough ? NULL : &(ectx_error){.status = ECTX_INTERRUPTED, .code = ECTX_E_CANCELLED});
}

/* reached is set when all that waits now was taken. */
static void mark(struct eci_fan *fan)
{
	fan->reached = !fan->last;
	if (fan->last)
		ectx_future_set_user(fan->last, fan);
}

/* What nobody is to see any more, as far as it is there. */
static void drop_records(struct eci_fan *fan)
{
	uint64_t lost = 0;
	mark(fan);
	for (ectx_event *e; !fan->reached && (e = ectx_event_next(fan->mesh, 0)) != NULL; ectx_event_free(e)) {
		lost += e->kind == ECTX_EVENT_LOG ? 1 : e->kind == ECTX_EVENT_DROPPED ? e->dropped : 0;
		fan->reached = e->future == fan->last;
	}
	if (lost)
		eci_report_log(&fan->report, &(ectx_event){.kind = ECTX_EVENT_DROPPED, .dropped = lost});
}

/* Those that came with the last results, and what comes meanwhile; but who logs without end does not keep us. */
static void last_records(struct eci_fan *fan)
{
	double until = eci_clock() + LAST_RECORDS_MS / 1000.0;
	bool empty = false;
	mark(fan);
	while (!empty && (!fan->reached || eci_clock() < until)) {
		empty = drain(fan);
		if (eci_out_error() || eci_signals_must_end())
			return;
	}
	if (!empty)
		drop_records(fan);
}

enum ectx_status eci_fan_run(struct eci_fan *fan)
{
	fan->report.opts = fan->opts;
	fan->active = eci_alloc(fan->opts->fanout * sizeof *fan->active);
	fan->report.started = eci_clock();
	while (fan->running || (fan->next < fan->n && !fan->stop)) {
		while (!fan->stop && fan->running < fan->opts->fanout && fan->next < fan->n &&
		       !eci_signals_interrupts())
			launch(fan);
		bool empty = drain(fan);
		bool again = empty ? look(fan) : true;
		if (eci_out_error() || eci_signals_must_end())
			break;
		if (eci_signals_interrupts() && !fan->stop)
			interrupted(fan);
		bool more = fan->running < fan->opts->fanout && fan->next < fan->n && !fan->stop;
		eci_out_flush();
		if (fan->running || more) /* behind the last result comes the summary */
			progress(fan, false);
		eci_out_flush();
		if (!again && !more && fan->running)
			rest(fan);
	}
	if (eci_out_error() == EINTR && !eci_signals_must_end() && !fan->stop)
		interrupted(fan);
	if (eci_out_error() || eci_signals_must_end())
		kill_all(fan);
	else
		last_records(fan);
	eci_report_flush(&fan->report);
	return fan->worst;
}

void eci_fan_deinit(struct eci_fan *fan)
{
	for (size_t i = 0; i < fan->n; i++) {
		struct eci_job *job = &fan->jobs[i];
		ectx_future_free(job->future);
		eci_listen_close(job);
		for (int s = 0; s < 2; s++) {
			free(job->lines[s].buf);
			free(job->kept[s].buf);
		}
	}
	ectx_future_free(fan->last);
	free(fan->jobs);
	free(fan->active);
}
