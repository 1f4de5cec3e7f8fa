/* cli: call with @channel: what comes over the channels of a call is printed as it comes.
 *
 * Each channel has one future for its next value; its end is an event like that of any other. A job with channels has
 * ended when its call has and they have; and not well if one of them broke, as what did not come is not known. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/fan.h"

/* Milliseconds; -1: no limit. */
static long left(const struct eci_job *job)
{
	double ms = (job->until - eci_clock()) * 1000;
	return job->until <= 0 ? -1 : ms < 0 ? 0 : (long)ms;
}

static void listen_on(const struct eci_job *job, struct eci_listen *l)
{
	l->next = ectx_channel_receive_start(l->channel, left(job));
	if (l->next)
		ectx_future_set_user(l->next, l);
	else
		l->broke = (ectx_error){.status = ECTX_INTERNAL, .code = ECTX_E_NO_MEMORY};
}

static const ectx_error deadline = {.status = ECTX_DEADLINE, .code = ECTX_E_DEADLINE, .phase = ECTX_PHASE_CALL};

/* Whoever sends there learns that nobody listens any more. */
static void broken(const struct eci_fan *fan, struct eci_job *job, struct eci_listen *l, const ectx_error *why)
{
	l->broke = *why;
	l->broke.detail = NULL;
	if (l->broke.code == ECTX_E_DEADLINE) /* the user's limit, and not what was left of it */
		l->broke.after_ms = l->broke.limit_ms = (uint32_t)fan->opts->command_ms;
	if (!*l->broke.path)
		snprintf(l->broke.path, sizeof l->broke.path, "%s", job->name);
	ectx_channel_free(l->channel);
	l->channel = NULL;
}

void eci_listen_all(struct eci_job *job)
{
	for (size_t i = 0; i < job->nlistens; i++)
		if (!job->listens[i].next)
			listen_on(job, &job->listens[i]);
}

bool eci_listen_over(const struct eci_job *job)
{
	for (size_t i = 0; i < job->nlistens; i++)
		if (job->listens[i].next)
			return false;
	return true;
}

const ectx_error *eci_listen_broke(const struct eci_job *job)
{
	for (size_t i = 0; i < job->nlistens; i++)
		if (job->listens[i].broke.status != ECTX_OK)
			return &job->listens[i].broke;
	return NULL;
}

void eci_listen_close(struct eci_job *job)
{
	for (size_t i = 0; i < job->nlistens; i++) {
		ectx_future_free(job->listens[i].next);
		ectx_channel_free(job->listens[i].channel);
	}
	free(job->listens);
	job->listens = NULL;
	job->nlistens = 0;
}

bool eci_listen_heard(struct eci_fan *fan, struct eci_job *job, const ectx_event *e)
{
	for (size_t i = 0; i < job->nlistens; i++) {
		struct eci_listen *l = &job->listens[i];
		if (!l->next || l->next != e->future || !ectx_future_done(l->next))
			continue;
		const ectx_value *value = ectx_future_value(l->next);
		if (value && fan->item)
			fan->item(fan, job, value);
		/* Within the limit of the call: what it began may go on sending for ever, and one is always there. */
		bool late = value && left(job) == 0, more = value && !late;
		if (late)
			broken(fan, job, l, &deadline);
		else if (ectx_future_error(l->next)->status != ECTX_OK)
			broken(fan, job, l, ectx_future_error(l->next));
		ectx_future_free(l->next);
		l->next = NULL;
		if (more)
			listen_on(job, l);
		return true;
	}
	return false;
}
