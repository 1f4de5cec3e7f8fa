/* transport, internal: the state of one boot dialogue, shared by dialogue.c (what is done) and verdict.c (why it
 * failed). */
#ifndef ECI_TRANSPORT_DIALOGUE_H
#define ECI_TRANSPORT_DIALOGUE_H

#include "transport/evidence.h"
#include "transport/messages.h"
#include "transport/recipe.h"
#include "transport/scan.h"

/* Permitted transitions:
 *   SPAWNING -> LOGIN | SHELL | OVER | BOOT and SPAWNING (an image)
 *   LOGIN    -> SHELL | BOOT | ENDING | SPAWNING | PAUSE | OVER
 *   SHELL    -> LOGIN (a password prompt after all) | BOOT | ENDING | SPAWNING | OVER
 *   PAUSE    -> SPAWNING | OVER
 *   ENDING   -> SPAWNING | OVER
 *   BOOT     -> UP | ENDING | OVER
 * When the relay is lost, there is no transition: who made the dialogue frees it. */
enum eci_dialogue_state {
	ECI_DLG_SPAWNING, /* SPAWN was given, nothing heard yet */
	ECI_DLG_LOGIN,    /* the tool runs and has not let us in, as far as can be seen */
	ECI_DLG_SHELL,    /* we are in; the marker is awaited */
	ECI_DLG_PAUSE,    /* waiting before dialling again */
	ECI_DLG_ENDING,   /* KILL was given, the exit is awaited */
	ECI_DLG_BOOT,     /* PROMOTE was given */
	ECI_DLG_UP,
	ECI_DLG_OVER
};

#define ECI_DLG_ACTIONS 8u /* most that one event can cause: an answer, a line, a kill; with room */

struct eci_dialogue {
	const struct eci_target *t;
	char *stage;     /* malloc'd: the text, and behind it... */
	char *feed_line; /* ...text and newline */
	char nonce[ECI_NONCE_LEN + 1];
	char sudo_prompt[ECI_SUDO_PROMPT_MAX];
	struct eci_recipe recipe;
	enum eci_dialogue_state state;

	/* the attempt */
	enum eci_spawn_mode mode;
	bool feed, feed_owed; /* owed: the first stage was not written yet */
	bool image;           /* the target's image is started, and no shell */
	bool answered;
	int echo;              /* enum eci_from: what comes from there may be the answer, up to a newline; 0: nothing */
	unsigned dials;        /* attempts that were dropped before authentication */
	bool respawn;          /* ENDING: to SPAWN again, not to fail */
	uint64_t quiet_ms;     /* from when the first stage waits for a prompt that may come */
	uint64_t phase_ms;     /* when the state began */
	uint64_t last_byte_ms; /* any stream; the state's start at first */
	uint64_t until_ms;     /* PAUSE, ENDING */
	uint64_t noise_bytes;  /* on stdout, of this attempt */
	uint64_t noise_from;   /* d->noise.total when the attempt began; when its marker was seen */
	unsigned passphrases;  /* prompts for one */
	struct eci_marker_scan marker_scan;
	struct eci_line_scan lines[3]; /* by enum eci_from - 1 */
	const struct eci_message *cause;
	const struct eci_message *early; /* without a cause: an entry of before the login, for cause_line */
	char cause_line[ECI_SCAN_LINE_MAX + 1];
	char also_line[ECI_SCAN_LINE_MAX + 1];
	bool also_any; /* also_line is a line that no entry knows */

	struct eci_tail noise; /* everything, in order of arrival */
	struct eci_tail words; /* where the tools speak: stderr and terminal */
	char *evidence;        /* of eci_dialogue_evidence(), made when asked for */

	struct eci_marker marker;
	eci_native_fn has_native;
	enum eci_agent agent; /* BOOT, UP: the one that was chosen */
	struct eci_action queue[ECI_DLG_ACTIONS];
	unsigned first, queued;
	struct eci_fail fail;
};

/* dialogue.c */
void eci_dlg_push(struct eci_dialogue *d, struct eci_action action);
void eci_dlg_enter(struct eci_dialogue *d, enum eci_dialogue_state state, uint64_t now_ms);
/* Ends what runs; then SPAWN (respawn) or FAIL with d->fail. */
void eci_dlg_end(struct eci_dialogue *d, bool respawn, uint64_t now_ms);
/* A process runs and has not given its marker. */
bool eci_dlg_talking(const struct eci_dialogue *d);
/* Writes the first stage if it is owed. */
void eci_dlg_feed(struct eci_dialogue *d);
/* There will be no marker: ends the attempt, for another one or for good. */
void eci_dlg_no_marker(struct eci_dialogue *d, uint64_t now_ms);
/* The password may come over the stdin that the first stage is fed to. */
bool eci_asks_on_stdin(const struct eci_target *t);

/* listen.c: a line of a tool, whole or the last. */
void eci_dlg_line(struct eci_dialogue *d, const char *line, uint64_t now_ms);
/* All that su has said is what may be its question, on stdout; if that stands, it is. */
bool eci_dlg_stdout_may_ask(const struct eci_dialogue *d);
void eci_dlg_stdout_asks(struct eci_dialogue *d, uint64_t now_ms);

/* agents.c */
/* What is to be booted, of what the target allows and the marker says can be; false: nothing, and d->fail says why. */
bool eci_agents_choose(struct eci_dialogue *d, uint64_t now_ms);
/* The boot failed as d->fail says: was it the native agent's, and can the agent after it be booted? d->fail gets the
 * reason that the loader gave, if it gave one. */
bool eci_agents_failed(struct eci_dialogue *d);

/* verdict.c */
/* The last lines, wherever they were said; since the marker, once it was seen. "" if there are none. */
#define ECI_WORDS_MAX 1600u
void eci_verdict_words(const struct eci_dialogue *d, char *out, size_t cap);
/* eci_escape() of a line, or other bytes, that was said, without blanks before it and the secret that was given. */
size_t eci_verdict_shown(const struct eci_dialogue *d, char *out, size_t cap, const void *said, size_t n);
/* Sets d->fail; saw and hint may be NULL. phase_limit 0: the phase has none. */
void eci_verdict_set(struct eci_dialogue *d, enum ectx_phase phase, enum ectx_code code, const char *saw,
		     const char *hint, uint64_t now_ms);
extern const char eci_passphrase_hint[];
/* The same from the message that stands as the cause. */
void eci_verdict_cause(struct eci_dialogue *d, uint64_t now_ms);
/* From how it ended: nothing that was printed explains it. */
void eci_verdict_exit(struct eci_dialogue *d, enum ectx_phase phase, enum ectx_code code, int wait_status,
		      const char *hint, uint64_t now_ms);
/* A limit of the current state passed. */
void eci_verdict_timeout(struct eci_dialogue *d, uint64_t now_ms);
/* The link went before HELLO was answered. */
void eci_verdict_link(struct eci_dialogue *d, const char *reason, int wait_status, const char *evidence,
		      uint64_t now_ms);
/* The phase in which a password is asked for: auth for ssh, become for the others. */
enum ectx_phase eci_login_phase(const struct eci_target *t);
/* How long the current state may last in all (not the silence inside it); 0: no limit. */
uint32_t eci_state_limit_ms(const struct eci_dialogue *d);

#endif
