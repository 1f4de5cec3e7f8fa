/* service: SPAWN, RAW, PROMOTE and KILL (docs/protocol.md section 7) for a context written in C: the master, for its
 * own children, and the native agent. Freestanding: what starts and moves bytes is the host's. */
#ifndef ECI_SERVICE_SPAWN_H
#define ECI_SERVICE_SPAWN_H

#include "router/router.h"

#define ECI_RAW_WINDOW 65536u  /* bytes not acknowledged, each way: a boot dialogue and a preamble fit in easily */
#define ECI_STDERR_AFTER 4096u /* of stderr once promoted: evidence, not a data path */

struct eci_spawns; /* all processes that one router has started */
struct eci_spawn;  /* one of them */

struct eci_spawn_host {
	/* Starts argv (env: "K=V" and "K" to unset); NULL and *err (errno; the terminal's: negative) if it could not.
	 * The result is the host's own object, alive until free(). *pid 0: whether it is that program shows later, by
	 * eci_spawn_begun(). */
	void *(*start)(void *ctx, struct eci_spawn *s, const char *const *argv, const char *const *env, int mode,
		       int *err, int *pid);
	void (*write)(void *ctx, void *proc, bool tty, const uint8_t *p,
		      size_t n); /* queue; eci_spawn_written() as it goes out */
	void (*close_stdin)(void *ctx, void *proc);
	void (*pause)(void *ctx, void *proc, bool on); /* stop or go on reading its output */
	void (*kill)(void *ctx, void *proc);           /* SIGKILL; eci_spawn_exited() follows */
	void (*attach)(void *ctx, void *proc,
		       struct eci_link *link);      /* stdin and stdout belong to the link now, NULL: no longer */
	void (*free)(void *ctx, void *proc);        /* has ended, or start is taken back */
	const char *(*explain)(void *ctx, int err); /* what an errno means: strerror(3) */
};

struct eci_spawns *eci_spawns_new(struct eci_router *r, const struct eci_spawn_host *host, void *ctx);
void eci_spawns_free(struct eci_spawns *s); /* the host's processes are not ended by this */
uint64_t eci_spawns_dials(const struct eci_spawns *s);
/* A frame for SPAWN..KILL: true if it was one. */
bool eci_spawns_deliver(struct eci_spawns *s, const struct eci_frame *f, uint64_t now_ms);

/* ---- what the host reports ---- */
/* It is its program now (n 0), or never will be: why is the end of that event then, as eci_words_why() writes it, and s
 * and the host's object are freed: false. */
bool eci_spawn_begun(struct eci_spawn *s, int pid, const uint8_t *why, size_t n, uint64_t now_ms);
void eci_spawn_output(struct eci_spawn *s, int which /* 1 out, 2 err, 3 tty */, const uint8_t *p, size_t n,
		      uint64_t now_ms);
/* What comes over its link, before that is fed with it. What the link begins with is no frame where somebody else
 * speaks, a tool or an interpreter: then it is output, as before. */
void eci_spawn_hears(struct eci_spawn *s, const uint8_t *p, size_t n, uint64_t now_ms);
void eci_spawn_written(struct eci_spawn *s, size_t n, uint64_t now_ms);
/* It has ended and all its output was reported. Final: s and the host's object are freed. */
void eci_spawn_exited(struct eci_spawn *s, int wait_status, uint64_t now_ms); /* -1: not known */
/* The router finds the link unusable, or it answered HELLO (body). */
void eci_spawn_broken(struct eci_spawn *s, const char *reason, const char *detail);
void eci_spawn_up(struct eci_spawn *s, const uint8_t *hello, size_t n, uint64_t now_ms);
void *eci_spawn_proc(const struct eci_spawn *s);     /* what start() returned */
uint32_t eci_spawn_child(const struct eci_spawn *s); /* the first id of its block */

#endif
