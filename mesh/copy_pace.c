/* How fast copies may be: one of them, or all that share a pace.
 *
 * A pace says of each byte when its time is: so many since it began, at the rate. Whoever has some more takes the next
 * time that nobody has, and waits for it without the lock; so however many threads there are, what has gone by any
 * moment is what the rate gives, and one piece.
 *
 * Time in which nobody had anything (a host is reached, a file is read for its digest) is not made up for but for a
 * second: else the rate would be kept on the average, and broken for as long as nothing had moved. */
#include "mesh/copy_run.h"

#include <stdlib.h>
#include <time.h>

/* Longer than what a busy machine keeps a thread waiting, or the rate would not be reached there. */
#define MADE_UP_MS 1000u

struct ectx_pace {
	pthread_mutex_t lock;
	uint64_t limit;       /* bytes a second; 0: none */
	uint64_t from, given; /* ms: since when so many bytes have got their time; from 0: none yet */
};

ectx_pace *ectx_pace_new(uint64_t limit)
{
	ectx_pace *p = calloc(1, sizeof *p);
	if (p && pthread_mutex_init(&p->lock, NULL)) {
		free(p);
		p = NULL;
	}
	if (p)
		p->limit = limit;
	return p;
}

void ectx_pace_free(ectx_pace *p)
{
	if (p)
		(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

/* When the next n bytes may go. */
static uint64_t next(ectx_pace *p, size_t n, uint64_t now)
{
	(void)pthread_mutex_lock(&p->lock);
	uint64_t due = p->from + p->given * 1000 / p->limit;
	if (!p->from || due + MADE_UP_MS < now) {
		due = p->from ? now - MADE_UP_MS : now;
		p->from = due;
		p->given = 0;
	}
	p->given += n;
	(void)pthread_mutex_unlock(&p->lock);
	return due;
}

bool eci_copy_pace(struct eci_copy *k, size_t n)
{
	if (!k->pace || !k->pace->limit)
		return !k->stop;
	uint64_t now = eci_now_ms(), due = next(k->pace, n, now);
	while (now < due && !eci_copy_stopped(k)) {
		uint64_t ms = due - now < ECI_COPY_LOOK_MS ? due - now : ECI_COPY_LOOK_MS;
		const struct timespec t = {.tv_nsec = (long)ms * 1000000};
		(void)nanosleep(&t, NULL);
		now = eci_now_ms();
	}
	return !k->stop;
}
