/* cli: exec --stdin: what comes on stdin goes to every target.
 *
 * One chunk at a time is read and offered to all; the next is read when all have taken it, so the slowest command sets
 * the pace and nothing is kept for it. A target that has ended takes anything. Nobody waits: a command that takes no
 * more says so with an event when it does again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fan.h"

#define CHUNK 65536

/* True: it has all of the chunk, and knows of the end. */
static bool give(struct eci_feed *feed, struct eci_job *job)
{
	if (job->state == ECI_JOB_ENDED || job->input_ended)
		return true;
	if (job->state != ECI_JOB_RUNNING)
		return false;
	while (job->input_at < feed->n) {
		long n = ectx_future_write(job->future, feed->chunk + job->input_at, feed->n - job->input_at, 0);
		if (n == 0)
			return false;
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
		all &= give(feed, &fan->jobs[i]);
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
	if (n < 0) { /* part of it was given: not what was meant to be run */
		fan->worst = ECTX_INTERNAL;
		eci_usage("reading standard input: %s", strerror(errno));
	}
	feed->n = n > 0 ? (size_t)n : 0;
	feed->over = n <= 0;
	for (size_t i = 0; i < fan->n; i++)
		fan->jobs[i].input_at = 0;
}
