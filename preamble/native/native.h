/* native: what the files of this folder share. */
#ifndef ECI_NATIVE_H
#define ECI_NATIVE_H

#include "core/buf.h"
#include "core/mem.h"
#include "preamble/native/sys.h"
#include "router/router.h"
#include "service/modcache.h"
#include "service/spawn.h"

#define NATIVE_READ_MAX 65536u /* a pipe's worth */

struct native_poll {
	int fd;
	short events, revents;
};

struct native_job; /* of jobs.c */

/* Its descriptors. SLAVE is the terminal's other side, held until the process has ended; SAID is where it says why it
 * is not the program that it should be, and ends when it is. */
enum native_which { SLAVE, OUT, ERR, TTY, IN, SAID, NATIVE_FDS };

/* A process that we have started: a spawn's or a job's. */
struct native_proc {
	struct native_proc *next;
	struct eci_spawn *spawn; /* one of these two */
	struct native_job *job;
	struct eci_link *link; /* once promoted: in and out are its */
	int pid;               /* also its group's */
	int fd[NATIVE_FDS];    /* by native_which; -1: none, or closed; IN is OUT for a terminal */
	int status;
	struct eci_buf in_q, tty_q;
	bool paused, stdin_done, blocked, exited, over, wide;
	int sweep;       /* the signal that its group was sent, and the rest of its session is yet to be; or 0 */
	uint64_t end_at; /* ms: no longer waited for its outputs after this; a command's grace is over; 0: not yet */
};

struct native_state {
	struct eci_router *router;
	struct eci_link *up;
	struct eci_spawns *spawns;
	struct eci_modcache *modules;
	struct native_proc *procs;
	char *const *environ;
	char *args; /* our own argument area, for the title */
	size_t args_len;
	const char *end;    /* why we are about to end */
	bool dirty;         /* a link has something to write */
	bool wide;          /* the parent's pipe was widened */
	uint64_t now;       /* ms, of this turn */
	uint32_t unread_us; /* since the clock was read, about */
	int watcher_pid;
	int watcher;        /* pipe to the watcher; -1 before there is one */
	int signals;        /* signalfd for SIGCHLD */
	uint64_t nofile[3]; /* the limit of descriptors as it was, for what we start (some walk through them all), and
			     * its upper bound again: the last two are ours */
	int top;            /* no descriptor of ours is above it */
	int npoll, poll_cap;
	struct native_poll *poll;
	int info[32]; /* a siginfo_t, as waitid(2) left it */
	uint8_t buf[NATIVE_READ_MAX];
};
/* At a place that agent.ld keeps, and not where the linker likes: so it is named by the same bytes in every
 * instruction, which deflate finds. */
#define NATIVE_AT 0x500000
#define native (*(struct native_state *)NATIVE_AT)

/* ---- start.c ---- */
struct native_plan {
	char **argv, **env;  /* as of service/words.h; env may be NULL: no changes */
	char **cwd;          /* of one word; NULL: ours */
	uint32_t mode;       /* SPAWN's: 0 pipes, 1 terminal, 2 pipes and a terminal */
	uint32_t rows, cols; /* of the terminal, 0: as it comes */
	uint32_t input;      /* 0: /dev/null in its place */
};
/* Begins it and fills in p's descriptors and pid. 0, or an errno; what fails later comes by SAID. */
int native_start(struct native_proc *p, struct native_plan *plan);
void native_close(int *fd);
const char *native_explain(void *ctx, int err);
void native_close_from(int fd); /* it and all above */
int native_seen(int fd);        /* fd, which may be the highest; native.top */

/* ---- mem.c ---- */
size_t native_mem_kept(void); /* bytes that wait for reuse */
void native_mem_trim(void);   /* gives them back */

/* ---- address.c ---- */
char *native_digits(char *to, uint32_t v, bool hex); /* without a NUL; its end */
/* A number in this base of at most `max`; -1: none. *p moves past it. */
long native_number(const char **p, const char *end, unsigned base, long max);

/* ---- procs.c ---- */
extern const struct eci_spawn_host native_spawn_host;
void native_procs_flush(void);
/* Writes what a link has for this descriptor: 1 all of it, 0 the descriptor is full, -1 nobody reads it any more. */
int native_flush(struct eci_link *link, int fd);
/* n bytes that were read from there, in native.buf; wide: its pipe was widened. */
void native_feed(struct eci_link *link, int fd, size_t n, bool *wide);
void native_procs_watch(uint64_t *until);
void native_procs_serve(int first, int last); /* their entries in native.poll: [first, last) */
void native_procs_reap(void);
void native_procs_kill(void);
void native_watch(int fd, short events);

/* ---- jobs.c ---- */
bool native_jobs_deliver(const struct eci_frame *f); /* EXEC, and CANCEL, of a socket too: true, it was */

/* ---- watcher.c ---- */
/* Becomes two processes; returns in the agent, which is the new one where we were process 1. */
void native_watcher_start(void);
void native_schedule(int policy);       /* of this process and what it forks: sched(7) */
void native_watcher_end(void);          /* all that it knows is ended now */
#define NATIVE_KNOWN_MAX 65536u         /* more processes than one user may have by default */
void native_watcher_tell(int pid);      /* a group to end when we are gone; -pid: no longer */
void native_sweep(unsigned n, int sig); /* to the sessions of the first n of native_leaders; native.buf is lost */
extern int native_leaders[];

/* ---- agent.c ---- */
_Noreturn void native_exit(int status);
void native_signal(int sig, unsigned how); /* SYS_SIG_DFL, SYS_SIG_IGN */

#endif
