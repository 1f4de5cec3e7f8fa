/* transport: recipes (options -> argv, environment, pipes or pty, prompts) and the one boot dialogue, played on the
 * master for every hop however far. Pure: no descriptor, no clock, no secret value passes through (an ANSWER action
 * names the secret). */
#ifndef ECI_TRANSPORT_H
#define ECI_TRANSPORT_H

#include "core/fail.h"
#include "core/interpreter.h"
#include "core/target.h"

enum eci_spawn_mode {
	ECI_SPAWN_PIPES = 0,
	ECI_SPAWN_PTY = 1,
	ECI_SPAWN_CTTY = 2
}; /* as SPAWN's mode in docs/protocol.md section 7 */

#define ECI_EVIDENCE_MAX 4096u         /* noise kept */
#define ECI_MARKER_SCAN_MAX (1u << 20) /* bytes of noise before the marker that are tolerated */
#define ECI_DIAL_TRIES \
	4u /* first try and three more for a connection dropped before authentication: after 200, 500, 1000 ms */

/* The argv (NULL-terminated, one malloc'd block: free()) that starts target t in this mode with the first stage `stage`
 * (FIRST STAGE text of docs/boot.md, no single quote); feed: the command is plain `sh`. env: NULL-terminated, static:
 * "K=V" to set (LC_MESSAGES=C for tools whose messages we read), "K" to remove. 0; negative: out of memory, or a host
 * or user that no tool may be given (empty, begins with '-', blanks); out->argv is NULL then. */
struct eci_recipe {
	char **argv;
	const char *const *env;
	enum eci_spawn_mode mode;
};
int eci_recipe_make(struct eci_recipe *out, const struct eci_target *t, enum eci_spawn_mode mode, bool feed,
		    const char *stage);
void eci_recipe_deinit(struct eci_recipe *r);
enum eci_spawn_mode eci_recipe_first_mode(const struct eci_target *t);
unsigned eci_recipe_round_trips(const struct eci_target *t);

/* What stands in the place of a nonce where one is shown: in `topo plan`, and in evidence, which must read the same for
 * all hosts that fail alike. */
#define ECI_NONCE_SHOWN "nonce000"

/* How a process ended, in words: `exit status 3`, `ended by signal 9`; "" where the wait status is negative: not known.
 */
void eci_ended_how(char *out, size_t cap, int wait_status);

struct eci_dialogue;
/* stage: FIRST STAGE for this nonce (8 characters); copied. t is borrowed for the dialogue's life. NULL: no memory. */
struct eci_dialogue *eci_dialogue_new(const struct eci_target *t, const char *nonce, const char *stage,
				      uint64_t now_ms);
void eci_dialogue_free(struct eci_dialogue *d);
/* Is there a native agent for what uname -m says? Without this there is none for any. Before the first event. */
typedef bool (*eci_native_fn)(const char *machine);
void eci_dialogue_natives(struct eci_dialogue *d, eci_native_fn has);

enum eci_action_kind {
	ECI_ACT_NONE,
	ECI_ACT_SPAWN,   /* start recipe; after an earlier one ended */
	ECI_ACT_KILL,    /* end the process that runs; its exit event is awaited (then perhaps SPAWN again, or FAIL) */
	ECI_ACT_WRITE,   /* bytes to `to` */
	ECI_ACT_ANSWER,  /* value of secret `secret` and a newline to `to`; the secret not there:
			    eci_dialogue_no_secret() */
	ECI_ACT_PROMOTE, /* marker seen: send what makes `agent` out of interpreter, then PROMOTE */
	ECI_ACT_NEXT_AGENT, /* over, as FAIL, but the next of the target's agents may do: a new dialogue without the
			       first one. After PROMOTE only, so in a new incarnation */
	ECI_ACT_FAIL /* over; fail says why. Nothing runs any more (the KILL was awaited, or nothing was started) */
};
enum eci_to { ECI_TO_STDIN = 0, ECI_TO_TTY = 1 }; /* RAW op */
struct eci_action {
	enum eci_action_kind kind;
	const struct eci_recipe *recipe;
	enum eci_to to;
	const uint8_t *bytes;
	size_t len;
	const char *secret;
	enum eci_agent agent; /* PROMOTE */
	bool is_there;        /* PROMOTE: that agent runs already, nothing makes it */
	/* PROMOTE: python3, python, python2, or the override's last part; for the native agent also perl and sh */
	char interpreter[ECI_INTERPRETER_MAX + 1];
	char system[64];             /* PROMOTE: `uname -sm` */
	const struct eci_fail *fail; /* FAIL, NEXT_AGENT */
};
/* Next thing to do, in order; kind NONE when there is nothing. Call after new and after every event. Pointers live
 * until the next call into d. */
struct eci_action eci_dialogue_next(struct eci_dialogue *d);

enum eci_from { ECI_OUT = 1, ECI_ERR = 2, ECI_TTY = 3 }; /* as events 1 to 3 */
void eci_dialogue_started(struct eci_dialogue *d, uint64_t now_ms);
void eci_dialogue_bytes(struct eci_dialogue *d, enum eci_from from, const uint8_t *p, size_t n, uint64_t now_ms);
void eci_dialogue_exited(struct eci_dialogue *d, int wait_status, uint64_t now_ms);                 /* -1: not known */
void eci_dialogue_spawn_failed(struct eci_dialogue *d, int err, const char *text, uint64_t now_ms); /* event 7 */
void eci_dialogue_no_secret(struct eci_dialogue *d, const char *why, uint64_t now_ms);
/* This is what answers: no error shows it, should somebody say it back. Borrowed for the dialogue's life. */
void eci_dialogue_gives(struct eci_dialogue *d, const char *secret);
void eci_dialogue_up(struct eci_dialogue *d, uint64_t now_ms); /* event 6: done; only evidence is kept from now on */
/* event 8 before up: fails with phase boot (reason eof, early-bytes, ...), or version, or hello. */
void eci_dialogue_link_lost(struct eci_dialogue *d, const char *reason, int wait_status, const char *evidence,
			    uint64_t now_ms);
/* The hop before is not there yet: a SPAWN waits for it, and its time has not begun. */
void eci_dialogue_held(struct eci_dialogue *d, uint64_t now_ms);
/* This program itself was stopped: nobody else has used up the time. */
void eci_dialogue_stood(struct eci_dialogue *d, uint64_t now_ms);
/* Time limits; returns the absolute time of the next one or UINT64_MAX. */
uint64_t eci_dialogue_tick(struct eci_dialogue *d, uint64_t now_ms);
/* The last lines of what was said, printable, for errors after boot: of this attempt, or since its marker; "" for none.
 */
const char *eci_dialogue_evidence(struct eci_dialogue *d);
/* Takes what was given out of a text that came otherwise. */
void eci_dialogue_hide(const struct eci_dialogue *d, char *text);

#endif
