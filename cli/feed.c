/* cli: exec --stdin: what comes on stdin goes to every target.
 *
 * One chunk at a time is read and offered to all; the next is read when all have taken it, so the slowest command sets
 * the pace and nothing is kept for it. A target that has ended, or will not be started, takes anything. Nobody waits: a
 * command that takes no more says so with an event when it does again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fan.h"

#define CHUNK 65536
/* As for copies (mesh/copy_watch.c): who takes nothing for so long is told, then after twice as long each time. */
#define STALL_S 15

/* True: it has all of the chunk, and knows of the end; or nobody will ask it to. */
static bool give(const struct eci_fan *fan, struct eci_job *job)
{
	struct eci_feed *feed = fan->feed;
	if (job->state == ECI_JOB_ENDED || job->input_ended || (job->state == ECI_JOB_WAITING && fan->stop))
		return true;
	if (job->state != ECI_JOB_RUNNING)
		return false;
	while (job->input_at < feed->n) {
		long n = ectx_future_write(job->future, feed->chunk + job->input_at, feed->n - job->input_at, 0);
		if (n == 0)
			return false;
		feed->moved = eci_clock();
		job->input_at = n < 0 ? feed->n : job->input_at + (size_t)n; /* it is over: its outcome says how */
	}
	if (feed->over) {
		ectx_future_end_input(job->future);
		job->input_ended = true;
	}
	return true;
}

bool eci_feed_wants(struct eci_fan *fan)
{
	struct eci_feed *feed = fan->feed;
	if (!feed)
		return false;
	bool all = true;
	for (size_t i = 0; i < fan->n; i++)
		all &= give(fan, &fan->jobs[i]);
	return all && !feed->over;
}

void eci_feed_read(struct eci_fan *fan)
{
	struct eci_feed *feed = fan->feed;
	if (!feed->chunk)
		feed->chunk = eci_alloc(CHUNK);
	ssize_t n = read(0, feed->chunk, CHUNK);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) { /* part of it was given: not what was meant to be run, and no end that a command may act on */
		ectx_error e = {.status = ECTX_INTERNAL, .code = ECTX_E_SYSTEM};
		(void)snprintf(e.saw, sizeof e.saw, "reading standard input: %s", strerror(errno));
		eci_fan_break(fan, &e);
		return;
	}
	feed->n = (size_t)n;
	feed->over = !n;
	feed->moved = eci_clock();
	for (size_t i = 0; i < fan->n; i++)
		fan->jobs[i].input_at = 0;
}

static bool stands(const struct eci_fan *fan, const struct eci_job *job)
{
	return job->state == ECI_JOB_RUNNING && !job->input_ended && job->input_at < fan->feed->n;
}

static void tell(struct eci_fan *fan, double waited)
{
	static const char why[] = "it takes no input";
	struct eci_strings names = {0};
	for (size_t i = 0; i < fan->n; i++)
		if (stands(fan, &fan->jobs[i]))
			eci_strings_add(&names, fan->jobs[i].name);
	char *fold = fan->opts->json ? NULL : ectx_nodeset_fold(names.v, names.n);
	if (fold)
		eci_out_printf(2, "econtext: %s: nothing has moved for %.0f s: %s\n", fold, waited, why);
	for (size_t i = 0; fan->opts->json && i < names.n; i++) {
		eci_json_begin("stalled");
		eci_json_text("node", names.v[i], strlen(names.v[i]));
		eci_json_number("seconds", (long long)waited);
		eci_json_text("why", why, sizeof why - 1);
		eci_json_end();
	}
	eci_out_flush();
	free(fold);
	free(names.v);
}

int eci_feed_overdue(struct eci_fan *fan)
{
	struct eci_feed *feed = fan->feed;
	bool some = false;
	for (size_t i = 0; feed && !some && i < fan->n; i++)
		some = stands(fan, &fan->jobs[i]);
	if (!some || fan->opts->quiet || fan->opts->raw)
		return -1;
	double waited = eci_clock() - feed->moved;
	if (waited < feed->told_s)
		feed->told_s = 0;
	double next = feed->told_s > 0 ? 2 * feed->told_s : STALL_S;
	if (waited >= next) {
		tell(fan, waited);
		feed->told_s = waited;
		next = 2 * waited;
	}
	return (int)((next - waited) * 1000) + 1;
}
