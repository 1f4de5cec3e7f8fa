/* mesh: one copy while it runs (copy_run.c): what its threads share. */
#ifndef ECI_MESH_COPY_RUN_H
#define ECI_MESH_COPY_RUN_H

#include "mesh/copy.h"

#include <semaphore.h>
#include <stdatomic.h>

/* Far ends that are asked for at once. Each may want three parts of the agent first, 16 KiB, and a link queues 1 MiB of
 * calls: what is over is refused there. */
#define ECI_COPY_OPENING_MAX 32u
#define ECI_COPY_LOOK_MS 200 /* how soon whoever waits sees that the copy is to stop */
#define ECI_COPY_OPEN_MS                                                                             \
	60000 /* others wait for one that does not answer, or begin: one that runs calls may be busy \
	       */

/* What is waited for at a context (copy_watch.c). */
enum eci_copy_for {
	ECI_COPY_FOR_NOTHING,
	ECI_COPY_FOR_CONTEXT,
	ECI_COPY_FOR_THREAD,
	ECI_COPY_FOR_BEGIN,
	ECI_COPY_FOR_ROOM,
	ECI_COPY_FOR_ANSWER,
	ECI_COPY_FOR_BYTES
};
struct eci_copy_watch {
	ectx_context *c;
	atomic_uint what;
	atomic_ullong since;          /* ms: something moved last */
	atomic_bool over;             /* how it ended is known */
	unsigned late_for;            /* what it waited for when the limit was over */
	uint64_t told_ms, told_since; /* of the caller's thread: what was told of it, 0: nothing */
};

struct eci_copy {
	const ectx_copy_options *o;
	ectx_mesh *mesh;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned running;              /* threads */
	struct eci_copy_work *waiting; /* what has found no thread yet */
	unsigned unserved;             /* of these no thread could be had for */
	pthread_t caller;              /* whose thread tells */
	uint64_t told_ms;              /* when it did */
	ectx_copy_result result;
	ectx_error first, worst;
	atomic_bool stop;               /* asked where it is waited: eci_copy_stopped() */
	atomic_ullong done, total;      /* bytes */
	sem_t opening;                  /* how many more may ask for their far end, see ECI_COPY_OPENING_MAX */
	struct eci_copy_watch *watches; /* of each context */
	size_t nwatches;
	uint64_t connected_ms; /* all are: the limit counts from here; 0: not yet */
	bool late;             /* the limit is over */
	ectx_pace *pace, *own; /* what it keeps to, NULL: nothing; that if it is nobody else's */
};

/* *result (may be NULL) says that nothing was done yet. -1 with *fail: "" is no path. */
int eci_copy_check(const char *const *sources, const char *dest, ectx_copy_result *result, struct eci_fail *fail);
/* Of n contexts. 0 or -1: memory. */
int eci_copy_begin(struct eci_copy *k, const ectx_copy_options *o, ectx_context *const *contexts, size_t n);
/* A thread of its own for run(arg), or the next that is free where there is none to be had: so it is said of w then,
 * if that is not NULL. */
void eci_copy_thread(struct eci_copy *k, void (*run)(void *arg), void *arg, struct eci_copy_watch *w);
bool eci_copy_stopped(struct eci_copy *k);
void eci_copy_tell(struct eci_copy *k); /* progress, which may say stop, and who stands still */
void eci_copy_wait(struct eci_copy *k); /* until all threads have ended; tells progress meanwhile */
/* The same, and then what is to be returned. */
enum ectx_status eci_copy_finish(struct eci_copy *k, ectx_copy_result *result, ectx_error *err);
/* Something failed: path NULL: all of c. Any thread. e is copied (without its detail). */
void eci_copy_failed(struct eci_copy *k, ectx_context *c, const char *path, const ectx_error *e);
void eci_copy_failed_here(struct eci_copy *k, ectx_context *c, const char *path, const char *why);
/* The same, of a part that stays at path, since it could not be removed. */
void eci_copy_left(struct eci_copy *k, ectx_context *c, const char *path, const char *why);
void eci_copy_folder_failed(struct eci_copy *k, ectx_context *c, const char *path, const char *why);
/* A source: there, or here (c NULL). */
void eci_copy_unreadable(struct eci_copy *k, ectx_context *c, const char *path, const char *why);
/* Of all that was to come to path. */
void eci_copy_refused(struct eci_copy *k, ectx_context *c, const char *path, const char *why);
void eci_copy_arrived(struct eci_copy *k);
/* Something moved there, and this is waited for next. Any thread. */
void eci_copy_moved(struct eci_copy_watch *w, enum eci_copy_for next);
void eci_copy_watch(struct eci_copy *k); /* in the caller's thread: tells who stands still, and stops when it is late */
void eci_copy_late(struct eci_copy *k);  /* if it is: what was not done fails */
void eci_copy_is_late(struct eci_copy *k, const struct eci_copy_watch *w, uint64_t limit_ms); /* this one fails */
/* A few bytes to a far end that waits for them; of a copy from one. false: it took them not in time, it is gone, or the
 * copy is to stop. */
bool eci_copy_say(struct eci_copy *k, struct ectx_stream *x, const void *p, size_t n);
/* Waits as long as the limit wants before n more bytes; false: give up (copy_pace.c). */
bool eci_copy_pace(struct eci_copy *k, size_t n);

/* Whom a copy is with. */
struct eci_copy_peer {
	ectx_context *c;
	const char *algorithm; /* of digests; NULL: none */
	bool gone;             /* it cannot be reached; told already */
	bool no_python;        /* it is there, with a native agent and no Python: a shell copies there */
	bool silent; /* of several: it is there, others wait no longer for its answer; the call is the caller's */
	ectx_future *call;
	uint64_t up_ms; /* since when it could answer; 0: not yet */
};
/* Connects all n of the copy, in its order, side by side, and finds the best algorithm that all have, else for each its
 * own. How many are there; 0 too when the user has given up meanwhile. */
size_t eci_copy_greet(struct eci_copy *k, struct eci_copy_peer *v, size_t n);
/* Waits for the answer of a silent one, in a thread of the copy; its call is freed. */
void eci_copy_greet_late(struct eci_copy *k, struct eci_copy_peer *p, struct eci_copy_watch *w);

#endif
