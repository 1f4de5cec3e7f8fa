/* The boot dialogue: from "start this" to "this is a link", for every hop, however far, on the master.
 *
 * Events and bytes come in with the time they happened; actions come out of a small queue in order. No descriptor, no
 * clock, no secret: an ANSWER names one. This file holds its life: attempts, endings, time limits. What the bytes mean
 * is in listen.c, why it failed in verdict.c.
 *
 *  - One process at a time: after KILL the exit is awaited, for a second at most (a root-owned sudo cannot be killed by
 *    its user; it ends when its stdin is closed).
 *  - Nothing is written ahead of the marker but the answer and, in feed mode, the first stage: a shell, or a tool that
 *    has not asked yet, would eat it.
 *  - Another attempt is made in three cases, each bounded: a connection dropped before a password was given (three
 *    times), a tool that wants a terminal (once), and a login that gives no marker (once, fed; only ssh and su start a
 *    login shell, which could ignore our command, and su has not if it says nothing once it has the password: that may
 *    be a refusal, after which it is not given again).
 *  - A target with an image needs no dialogue: once started it is the agent. If it does not start, a shell is tried.
 *  - Silence is measured from the last byte, so that a slow profile is not cut short; but not for ever, as a shell may
 *    print for ever.
 */
#include "transport/dialogue.h"
#include "core/mem.h"
#include <stdio.h>
#include <string.h>

#define END_WAIT_MS 1000u /* for the exit after KILL; the one second that a phase may take beyond its limit */
#define FEED_WAIT_MS \
	2000u /* feed mode with a secret: by then a tool that asks has asked, and has thrown away what came early */
#define STDOUT_ASKS_MS \
	500u /* what looks like a question on su's stdout stands for so long, and nothing is said behind it */
#define NOISE_LIMIT_FACTOR 6u /* a shell that prints forever is given up after so many timeout.shell */
#define NEVER UINT64_MAX

void eci_dlg_push(struct eci_dialogue *d, struct eci_action action)
{
	if (d->queued < ECI_DLG_ACTIONS)
		d->queue[(d->first + d->queued++) % ECI_DLG_ACTIONS] = action;
}

void eci_dlg_enter(struct eci_dialogue *d, enum eci_dialogue_state state, uint64_t now_ms)
{
	d->state = state;
	d->phase_ms = d->last_byte_ms = now_ms;
}

static void over(struct eci_dialogue *d)
{
	bool next = d->fail.phase == ECTX_PHASE_BOOT && eci_agents_failed(d);
	d->state = ECI_DLG_OVER;
	eci_dlg_push(d, (struct eci_action){.kind = next ? ECI_ACT_NEXT_AGENT : ECI_ACT_FAIL, .fail = &d->fail});
}

static void spawn(struct eci_dialogue *d, uint64_t now_ms)
{
	d->answered = d->respawn = false;
	d->echo = 0;
	d->feed_owed = d->feed;
	d->noise_bytes = 0;
	d->cause = d->early = NULL;
	*d->also_line = '\0';
	d->also_any = false;
	eci_marker_scan_init(&d->marker_scan, d->nonce);
	for (size_t i = 0; i < 3; i++)
		eci_line_scan_reset(&d->lines[i]);
	d->passphrases = 0;
	d->noise_from = d->noise.total;
	eci_tail_clear(&d->words);
	eci_recipe_deinit(&d->recipe);
	eci_dlg_enter(d, ECI_DLG_SPAWNING, now_ms);
	int r = d->image ? eci_recipe_image(&d->recipe, d->t)
			 : eci_recipe_make(&d->recipe, d->t, d->mode, d->feed, d->stage);
	if (!r) {
		eci_dlg_push(d, (struct eci_action){.kind = ECI_ACT_SPAWN, .recipe = &d->recipe});
		return;
	}
	if (r == ECI_RECIPE_REFUSED)
		eci_verdict_set(d, d->t->method == ECI_SSH ? ECTX_PHASE_CONNECT : eci_login_phase(d->t),
				ECTX_E_BAD_ARGUMENT, eci_recipe_refusal(d->t, d->stage), NULL, now_ms);
	else
		eci_verdict_set(d, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, NULL, NULL, now_ms);
	over(d);
}

/* Ends what runs; then SPAWN (respawn) or FAIL with d->fail. */
void eci_dlg_end(struct eci_dialogue *d, bool respawn, uint64_t now_ms)
{
	d->state = ECI_DLG_ENDING;
	d->respawn = respawn;
	d->until_ms = now_ms + END_WAIT_MS;
	eci_dlg_push(d, (struct eci_action){.kind = ECI_ACT_KILL});
}

struct eci_dialogue *eci_dialogue_new(const struct eci_target *t, const char *nonce, const char *stage, uint64_t now_ms)
{
	size_t n = strlen(stage);
	struct eci_dialogue *d = eci_mem_alloc(sizeof *d);
	char *text = eci_mem_alloc(2 * n + 3);
	if (!d || !text) {
		eci_mem_free(d);
		eci_mem_free(text);
		return NULL;
	}
	memset(d, 0, sizeof *d);
	d->t = t;
	d->stage = text;
	memcpy(text, stage, n + 1);
	d->feed_line = text + n + 1;
	memcpy(d->feed_line, stage, n);
	memcpy(d->feed_line + n, "\n", 2);
	strncpy(d->nonce, nonce, ECI_NONCE_LEN);
	eci_sudo_prompt(d->sudo_prompt, stage);
	d->mode = eci_recipe_first_mode(t);
	d->feed = t->feed;
	d->image = t->image != NULL;
	spawn(d, now_ms);
	return d;
}

void eci_dialogue_natives(struct eci_dialogue *d, eci_native_fn has)
{
	d->has_native = has;
}

void eci_dialogue_free(struct eci_dialogue *d)
{
	if (!d)
		return;
	eci_recipe_deinit(&d->recipe);
	eci_mem_free(d->stage);
	eci_mem_free(d->evidence);
	eci_mem_free(d);
}

struct eci_action eci_dialogue_next(struct eci_dialogue *d)
{
	if (!d->queued)
		return (struct eci_action){.kind = ECI_ACT_NONE};
	struct eci_action action = d->queue[d->first];
	d->first = (d->first + 1) % ECI_DLG_ACTIONS;
	d->queued--;
	return action;
}

bool eci_dlg_talking(const struct eci_dialogue *d)
{
	return d->state == ECI_DLG_LOGIN || d->state == ECI_DLG_SHELL;
}

void eci_dlg_feed(struct eci_dialogue *d)
{
	if (!d->feed_owed)
		return;
	d->feed_owed = false;
	eci_dlg_push(d, (struct eci_action){.kind = ECI_ACT_WRITE,
					    .to = ECI_TO_STDIN,
					    .bytes = (const uint8_t *)d->feed_line,
					    .len = strlen(d->feed_line)});
}

/* The password may come over the stdin that the first stage is to be fed to. */
bool eci_asks_on_stdin(const struct eci_target *t)
{
	return t->method == ECI_SUDO || t->method == ECI_SU;
}

void eci_dialogue_started(struct eci_dialogue *d, uint64_t now_ms)
{
	if (d->state != ECI_DLG_SPAWNING)
		return;
	d->quiet_ms = now_ms;
	if (d->image) {
		d->agent = ECI_AGENT_NATIVE;
		eci_dlg_enter(d, ECI_DLG_BOOT, now_ms);
		eci_dlg_push(d, (struct eci_action){.kind = ECI_ACT_PROMOTE, .agent = d->agent, .is_there = true});
		return;
	}
	eci_dlg_enter(d, d->t->method == ECI_LOCAL ? ECI_DLG_SHELL : ECI_DLG_LOGIN, now_ms);
	if (!d->t->secret || !eci_asks_on_stdin(d->t))
		eci_dlg_feed(d);
}

/* No marker: fed, where a login shell could have ignored the command, and once. d->fail says why, if this was the last.
 */
static bool try_fed(struct eci_dialogue *d)
{
	if (d->feed || (d->t->method != ECI_SSH && d->t->method != ECI_SU))
		return false;
	d->feed = true;
	return true;
}

void eci_dlg_no_marker(struct eci_dialogue *d, uint64_t now_ms)
{
	bool again = try_fed(d);
	d->state = ECI_DLG_SHELL; /* what prints so much does not wait to be let in */
	if (!again)
		eci_verdict_timeout(d, now_ms);
	eci_dlg_end(d, again, now_ms);
}

/* ---- endings ---- */

static void dial_again(struct eci_dialogue *d, uint64_t now_ms)
{
	static const uint16_t pauses_ms[ECI_DIAL_TRIES - 1] = {200, 500, 1000};
	d->until_ms = now_ms + pauses_ms[d->dials++];
	d->state = ECI_DLG_PAUSE;
}

/* sudo and doas then find the terminal they insist on, su reads its password from it. */
static bool try_terminal(struct eci_dialogue *d)
{
	if (d->mode != ECI_SPAWN_PIPES || (d->t->method == ECI_DOAS && !d->t->secret))
		return false;
	d->mode = d->t->method == ECI_SU ? ECI_SPAWN_PTY : ECI_SPAWN_CTTY;
	return true;
}

static void exited_without_marker(struct eci_dialogue *d, int wait_status, uint64_t now_ms)
{
	bool ssh = d->t->method == ECI_SSH, unknown = wait_status < 0;
	bool ssh_failed = ssh && (unknown || (wait_status & 0xff00) == 0xff00);
	bool su_may_refuse = d->t->method == ECI_SU && d->answered && d->state == ECI_DLG_LOGIN;
	/* That it had logged in was a jump host's word, which the user's configuration lets speak. */
	if (ssh_failed && !d->cause && !d->noise_bytes)
		d->cause = d->early;
	/* Words of a tool that did its work are noise: ssh says 255 for its own failures and else the remote status.
	 * Where that is not known, its words are all there is; and if it has none and had logged in, that worked. */
	bool has_cause = d->cause && (!ssh || ssh_failed || (wait_status & 0x7f) || d->cause->act == ECI_MSG_STATUS);
	if (has_cause && d->cause->act == ECI_MSG_TTY && try_terminal(d)) {
		spawn(d, now_ms);
	} else if (has_cause && d->cause->act == ECI_MSG_DROPPED && !d->answered && d->dials + 1 < ECI_DIAL_TRIES) {
		dial_again(d, now_ms);
	} else if (has_cause) {
		eci_verdict_cause(d, now_ms);
		over(d);
	} else if (ssh_failed && d->state == ECI_DLG_LOGIN) {
		eci_verdict_exit(d, ECTX_PHASE_CONNECT, ECTX_E_CONN_DROPPED, wait_status,
				 "ssh gave up before it had logged in: its last words are above", now_ms);
		over(d);
	} else if ((!ssh_failed || unknown) && !su_may_refuse && try_fed(d)) {
		spawn(d, now_ms);
	} else {
		eci_verdict_exit(d, ECTX_PHASE_SHELL, ECTX_E_SHELL_EXITED, wait_status, NULL, now_ms);
		over(d);
	}
}

static void flush_lines(struct eci_dialogue *d, uint64_t now_ms)
{
	for (size_t i = 0; i < 3 && eci_dlg_talking(d); i++)
		if (!d->lines[i].whole && d->lines[i].len)
			eci_dlg_line(d, d->lines[i].text, now_ms);
}

/* The image cannot be executed there: as if there were none. */
static bool try_without_image(struct eci_dialogue *d, uint64_t now_ms)
{
	if (d->state != ECI_DLG_SPAWNING || !d->image)
		return false;
	d->image = false;
	spawn(d, now_ms);
	return true;
}

void eci_dialogue_exited(struct eci_dialogue *d, int wait_status, uint64_t now_ms)
{
	if (try_without_image(d, now_ms))
		return;
	if (d->state == ECI_DLG_SPAWNING)
		eci_dialogue_started(d, now_ms);
	flush_lines(d, now_ms);
	if (eci_dlg_talking(d)) {
		exited_without_marker(d, wait_status, now_ms);
	} else if (d->state == ECI_DLG_ENDING) {
		d->queued = 0; /* its last line, read only now, may have asked for what makes no sense any more */
		if (d->respawn)
			spawn(d, now_ms);
		else
			over(d);
	} else if (d->state == ECI_DLG_BOOT) {
		eci_verdict_exit(d, ECTX_PHASE_BOOT, ECTX_E_BOOT_EXITED, wait_status, NULL, now_ms);
		over(d);
	}
}

void eci_dialogue_spawn_failed(struct eci_dialogue *d, int err, const char *text, uint64_t now_ms)
{
	enum { NOT_FOUND = 2, TOO_MANY = 24 }; /* ENOENT, EMFILE on every system; the number is the relay's, not ours */
	static const char terminal[] = "no terminal: "; /* what every relay says of one, and no program */
	char saw[256];
	const char *program = d->recipe.argv ? d->recipe.argv[0] : "";
	if (d->state != ECI_DLG_SPAWNING || try_without_image(d, now_ms))
		return;
	/* A relay may say which program it was, or just why. */
	size_t n = 0;
	if (!strstr(text, program))
		n = (size_t)snprintf(saw, sizeof saw, "%.100s: ", program);
	eci_escape(saw + n, sizeof saw - n, (const uint8_t *)text, strlen(text));
	enum ectx_phase phase = d->t->method == ECI_SSH ? ECTX_PHASE_CONNECT : eci_login_phase(d->t);
	const char *hint = err == TOO_MANY
				   ? "each host takes four descriptors of the hop before it: raise its limit there "
				     "(ulimit -n), or put a relay in between (via)"
				   : NULL;
	enum ectx_code code = err == NOT_FOUND ? ECTX_E_NO_PROGRAM : ECTX_E_SPAWN_FAILED;
	if (!strncmp(text, terminal, sizeof terminal - 1) && err != TOO_MANY) {
		code = ECTX_E_NO_TTY;
		hint = "a password is given on a terminal, of which the hop before it has none: look at /dev/ptmx and "
		       "/dev/pts there";
	}
	eci_verdict_set(d, phase, code, saw, hint, now_ms);
	over(d);
}

void eci_dialogue_no_secret(struct eci_dialogue *d, const char *why, uint64_t now_ms)
{
	if (!eci_dlg_talking(d))
		return;
	eci_verdict_set(d, eci_login_phase(d->t), ECTX_E_SECRET, why, NULL, now_ms);
	eci_dlg_end(d, false, now_ms);
}

void eci_dialogue_gives(struct eci_dialogue *d, const char *secret)
{
	d->words.hidden = d->noise.hidden = secret;
}

void eci_dialogue_hide(const struct eci_dialogue *d, char *text)
{
	text[eci_hide((uint8_t *)text, strlen(text), d->words.hidden)] = '\0';
}

void eci_dialogue_up(struct eci_dialogue *d, uint64_t now_ms)
{
	if (d->state == ECI_DLG_BOOT)
		eci_dlg_enter(d, ECI_DLG_UP, now_ms);
}

void eci_dialogue_link_lost(struct eci_dialogue *d, const char *reason, int wait_status, const char *evidence,
			    uint64_t now_ms)
{
	if (d->state == ECI_DLG_ENDING) {
		eci_dialogue_exited(d, wait_status, now_ms);
	} else if (d->state == ECI_DLG_BOOT) {
		eci_verdict_link(d, reason, wait_status, evidence, now_ms);
		over(d);
	}
}

/* ---- time ---- */

static uint64_t after(uint64_t from_ms, uint64_t limit_ms)
{
	return limit_ms ? from_ms + limit_ms : NEVER;
}

static uint64_t deadline(const struct eci_dialogue *d)
{
	uint64_t limit = eci_state_limit_ms(d), at = NEVER;
	switch (d->state) {
	case ECI_DLG_SPAWNING:
	case ECI_DLG_LOGIN:
	case ECI_DLG_BOOT:
		at = after(d->phase_ms, limit);
		break;
	case ECI_DLG_SHELL:
		at = after(d->last_byte_ms, limit);
		if (after(d->phase_ms, limit * NOISE_LIMIT_FACTOR) < at)
			at = after(d->phase_ms, limit * NOISE_LIMIT_FACTOR);
		break;
	case ECI_DLG_PAUSE:
	case ECI_DLG_ENDING:
		return d->until_ms;
	default:
		return NEVER;
	}
	uint64_t next = NEVER;
	if (eci_dlg_stdout_may_ask(d))
		next = d->last_byte_ms + STDOUT_ASKS_MS;
	else if (d->feed_owed && eci_dlg_talking(d))
		next = d->quiet_ms + FEED_WAIT_MS;
	return next < at ? next : at;
}

void eci_dialogue_held(struct eci_dialogue *d, uint64_t now_ms)
{
	if (d->state == ECI_DLG_SPAWNING)
		d->phase_ms = now_ms;
}

void eci_dialogue_stood(struct eci_dialogue *d, uint64_t now_ms)
{
	d->phase_ms = d->last_byte_ms = now_ms;
}

uint64_t eci_dialogue_tick(struct eci_dialogue *d, uint64_t now_ms)
{
	if (now_ms < deadline(d))
		return deadline(d);
	bool may_ask = eci_dlg_stdout_may_ask(d);
	if (may_ask && now_ms >= d->last_byte_ms + STDOUT_ASKS_MS) {
		eci_dlg_stdout_asks(d, now_ms);
	} else if (!may_ask && d->feed_owed && eci_dlg_talking(d)) {
		eci_dlg_feed(d);
	} else if (d->state == ECI_DLG_PAUSE) {
		spawn(d, now_ms);
	} else if (d->state == ECI_DLG_ENDING) {
		/* It does not end. What was to come next cannot: its id is still taken. */
		if (d->respawn)
			eci_verdict_set(d, ECTX_PHASE_SHELL, ECTX_E_SHELL_SILENT, "it did not end when killed", NULL,
					now_ms);
		over(d);
	} else if (d->state == ECI_DLG_SHELL) {
		eci_dlg_no_marker(d, now_ms);
	} else {
		eci_verdict_timeout(d, now_ms);
		eci_dlg_end(d, false, now_ms);
	}
	return deadline(d);
}

const char *eci_dialogue_evidence(struct eci_dialogue *d)
{
	/* Most dialogues are never asked, and a mesh keeps thousands of them. */
	if (!d->evidence)
		d->evidence = eci_mem_alloc(ECI_WORDS_MAX);
	if (!d->evidence)
		return "";
	eci_verdict_words(d, d->evidence, ECI_WORDS_MAX);
	return d->evidence;
}
