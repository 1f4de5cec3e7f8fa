/* The boot dialogue: from "start this" to "this is a link", for every hop, however far, on the master.
 *
 * Events and bytes come in with the time they happened; actions come out of a small queue in order. No descriptor, no
 * clock, no secret: an ANSWER names one. The rules that make it safe to run unattended:
 *
 *  - A prompt counts only where the tool itself speaks: stderr for sudo and su, the controlling terminal for ssh and
 *    doas, the pty when su insisted on one. Never stdout of pipes, where a user's rc files may print what they like.
 *  - A secret is given once. A second prompt, or words of refusal, end the attempt at once; asking again would lock
 *    accounts.
 *  - Nothing is written ahead of the marker but the answer and, in feed mode, the first stage: a shell, or a tool that
 *    has not asked yet, would eat it.
 *  - Bytes are looked at one by one, so the actions do not depend on how they were cut.
 *  - One process at a time: after KILL the exit is awaited, for a second at most (a root-owned sudo cannot be killed by
 *    its user; it ends when its stdin is closed).
 *
 * Another attempt is made in three cases, each bounded: connection dropped before authentication (three times), a tool
 * that wants a terminal (once), and a login that gives no marker (once, fed; only ssh and su have a login shell that
 * could ignore our command).
 */
#include "transport/dialogue.h"
#include "core/mem.h"
#include <string.h>

#define END_WAIT_MS 1000u     /* for the exit after KILL; the one second that a phase may take beyond its limit */
#define FEED_WAIT_MS 2000u    /* feed mode with a secret: a tool that asks has asked by then */
#define NOISE_LIMIT_FACTOR 6u /* a shell that prints forever is given up after so many timeout.shell */
#define NEVER UINT64_MAX

static void push(struct eci_dialogue *d, struct eci_action action)
{
	if (d->queued < ECI_DLG_ACTIONS)
		d->queue[(d->first + d->queued++) % ECI_DLG_ACTIONS] = action;
}

static void enter(struct eci_dialogue *d, enum eci_dialogue_state state, uint64_t now_ms)
{
	d->state = state;
	d->phase_ms = d->last_byte_ms = now_ms;
}

static void over(struct eci_dialogue *d)
{
	d->state = ECI_DLG_OVER;
	push(d, (struct eci_action){.kind = ECI_ACT_FAIL, .fail = &d->fail});
}

static void spawn(struct eci_dialogue *d, uint64_t now_ms)
{
	d->answered = d->respawn = false;
	d->feed_owed = d->feed;
	d->noise_bytes = 0;
	d->cause = NULL;
	*d->also_line = '\0';
	eci_marker_scan_init(&d->marker_scan, d->nonce);
	for (size_t i = 0; i < 3; i++)
		eci_line_scan_reset(&d->lines[i]);
	eci_tail_clear(&d->words);
	eci_recipe_deinit(&d->recipe);
	d->start_ms = now_ms;
	enter(d, ECI_DLG_SPAWNING, now_ms);
	int r = eci_recipe_make(&d->recipe, d->t, d->mode, d->feed, d->stage);
	if (!r) {
		push(d, (struct eci_action){.kind = ECI_ACT_SPAWN, .recipe = &d->recipe});
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
static void end(struct eci_dialogue *d, bool respawn, uint64_t now_ms)
{
	d->state = ECI_DLG_ENDING;
	d->respawn = respawn;
	d->until_ms = now_ms + END_WAIT_MS;
	push(d, (struct eci_action){.kind = ECI_ACT_KILL});
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
	spawn(d, now_ms);
	return d;
}

void eci_dialogue_free(struct eci_dialogue *d)
{
	if (!d)
		return;
	eci_recipe_deinit(&d->recipe);
	eci_mem_free(d->stage);
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

static bool talking(const struct eci_dialogue *d)
{
	return d->state == ECI_DLG_LOGIN || d->state == ECI_DLG_SHELL;
}

static void feed_now(struct eci_dialogue *d)
{
	if (!d->feed_owed)
		return;
	d->feed_owed = false;
	push(d, (struct eci_action){.kind = ECI_ACT_WRITE,
				    .to = ECI_TO_STDIN,
				    .bytes = (const uint8_t *)d->feed_line,
				    .len = strlen(d->feed_line)});
}

/* The password may come over the stdin that the first stage is to be fed to. */
static bool asks_on_stdin(const struct eci_target *t)
{
	return t->method == ECI_SUDO || t->method == ECI_SU;
}

void eci_dialogue_started(struct eci_dialogue *d, uint64_t now_ms)
{
	if (d->state != ECI_DLG_SPAWNING)
		return;
	d->start_ms = now_ms;
	enter(d, d->t->method == ECI_LOCAL ? ECI_DLG_SHELL : ECI_DLG_LOGIN, now_ms);
	if (!d->t->secret || !asks_on_stdin(d->t))
		feed_now(d);
}

/* ---- prompts and messages ---- */

static void on_prompt(struct eci_dialogue *d, const char *line, enum eci_to to, uint64_t now_ms)
{
	char saw[ECI_LINE_MAX];
	enum ectx_phase phase = eci_login_phase(d->t);
	eci_escape(saw, sizeof saw, (const uint8_t *)line, strlen(line));
	if (!d->t->secret) {
		eci_verdict_set(d, phase, ECTX_E_PASSWORD_MISSING, saw, NULL, now_ms);
		end(d, false, now_ms);
		return;
	}
	if (d->answered) {
		if (d->cause)
			eci_verdict_cause(d, now_ms);
		else
			eci_verdict_set(d, phase, ECTX_E_PASSWORD_WRONG, saw, NULL, now_ms);
		end(d, false, now_ms);
		return;
	}
	d->answered = true;
	if (d->state == ECI_DLG_SHELL)
		d->state =
			ECI_DLG_LOGIN; /* what looked like the shell was the tool: su prints PAM's messages on stdout */
	push(d, (struct eci_action){.kind = ECI_ACT_ANSWER, .to = to, .secret = d->t->secret});
	feed_now(d);
}

/* May a prompt come from there, and where does its answer go? */
static bool prompt_place(const struct eci_dialogue *d, enum eci_from from, enum eci_to *to)
{
	*to = asks_on_stdin(d->t) ? ECI_TO_STDIN : ECI_TO_TTY;
	switch (d->t->method) {
	case ECI_SUDO:
		return from != ECI_OUT || d->mode == ECI_SPAWN_PTY;
	case ECI_SU:
		return from == (d->mode == ECI_SPAWN_PTY ? ECI_OUT : ECI_ERR);
	case ECI_SSH:
	case ECI_DOAS:
		return from == ECI_TTY;
	case ECI_LOCAL:
		break;
	}
	return false;
}

/* True: the partial line was a prompt and has been dealt with. */
static bool partial_line(struct eci_dialogue *d, enum eci_from from, const char *line, uint64_t now_ms)
{
	enum eci_to to;
	if (!prompt_place(d, from, &to))
		return false;
	if (d->t->method == ECI_SUDO ? eci_prompt_is(line, d->sudo_prompt) : eci_prompt_is_password(line)) {
		on_prompt(d, line, to, now_ms);
		return true;
	}
	if (d->t->method == ECI_SSH && eci_prompt_is_passphrase(line)) {
		/* Not what the secret is for: an empty one makes ssh go on to the next method. */
		push(d, (struct eci_action){.kind = ECI_ACT_WRITE, .to = to, .bytes = (const uint8_t *)"\n", .len = 1});
		return true;
	}
	return false;
}

static void whole_line(struct eci_dialogue *d, const char *line, uint64_t now_ms)
{
	bool login = d->state == ECI_DLG_LOGIN;
	const struct eci_message *m = eci_message_match(d->t->method, d->t->method == ECI_SSH && !login, line);
	if (!m || m->act == ECI_MSG_CHATTER)
		return;
	if (m->act == ECI_MSG_LOGIN) {
		if (login)
			enter(d, ECI_DLG_SHELL, now_ms);
		return;
	}
	if (m->act == ECI_MSG_ALSO) {
		memcpy(d->also_line, line, strlen(line) + 1);
		return;
	}
	/* Entries stand in the order of what they tell. */
	if (!d->cause || m < d->cause) {
		d->cause = m;
		memcpy(d->cause_line, line, strlen(line) + 1);
	}
	if (m->act == ECI_MSG_NOW) {
		eci_verdict_cause(d, now_ms);
		end(d, false, now_ms);
	}
}

static void spoken(struct eci_dialogue *d, enum eci_from from, uint8_t byte, uint64_t now_ms)
{
	struct eci_line_scan *s = &d->lines[from - 1];
	if (eci_line_scan_feed(s, byte))
		whole_line(d, s->text, now_ms);
	else if (byte == ':' && partial_line(d, from, s->text, now_ms))
		eci_line_scan_reset(s);
}

/* ---- the marker ---- */

static void on_marker(struct eci_dialogue *d, uint64_t now_ms)
{
	struct eci_action promote = {.kind = ECI_ACT_PROMOTE};
	enter(d, ECI_DLG_BOOT, now_ms);
	if (!strcmp(d->marker.interpreter, "perl") || !strcmp(d->marker.interpreter, "sh")) {
		char saw[128];
		size_t n = 0;
		for (const char *parts[] = {"found ", d->marker.interpreter, " only, on ", d->marker.system, NULL},
				**p = parts;
		     *p; p++) {
			size_t len = strlen(*p);
			memcpy(saw + n, *p, len + 1);
			n += len;
		}
		eci_verdict_set(d, ECTX_PHASE_BOOT, ECTX_E_NO_PYTHON, saw, NULL, now_ms);
		end(d, false, now_ms);
		return;
	}
	memcpy(promote.interpreter, d->marker.interpreter, sizeof promote.interpreter);
	memcpy(promote.system, d->marker.system, sizeof promote.system);
	eci_tail_clear(&d->words); /* what the tools said is settled: from here on stderr is the interpreter's */
	push(d, promote);
}

static void early_bytes(struct eci_dialogue *d, const uint8_t *p, size_t n, uint64_t now_ms)
{
	char saw[256];
	eci_escape(saw, sizeof saw, p, n);
	eci_verdict_set(d, ECTX_PHASE_BOOT, ECTX_E_EARLY_BYTES, saw, NULL, now_ms);
	end(d, false, now_ms);
}

static void on_stdout(struct eci_dialogue *d, const uint8_t *p, size_t n, uint64_t now_ms)
{
	bool tool_speaks_here = d->mode == ECI_SPAWN_PTY;
	if (!tool_speaks_here && d->state == ECI_DLG_LOGIN && (!asks_on_stdin(d->t) || !d->t->secret || d->answered))
		enter(d, ECI_DLG_SHELL, now_ms);
	for (size_t i = 0; i < n && talking(d); i++) {
		bool found;
		eci_marker_scan_feed(&d->marker_scan, p + i, 1, &d->marker, &found);
		if (found) {
			on_marker(d, now_ms);
			if (i + 1 < n && d->state == ECI_DLG_BOOT)
				early_bytes(d, p + i + 1, n - i - 1, now_ms);
			return;
		}
		if (tool_speaks_here)
			spoken(d, ECI_OUT, p[i], now_ms);
	}
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

static void no_marker(struct eci_dialogue *d, uint64_t now_ms)
{
	bool again = try_fed(d);
	if (!again)
		eci_verdict_timeout(d, now_ms);
	end(d, again, now_ms);
}

void eci_dialogue_bytes(struct eci_dialogue *d, enum eci_from from, const uint8_t *p, size_t n, uint64_t now_ms)
{
	if (!n || d->state == ECI_DLG_OVER)
		return;
	eci_tail_add(&d->noise, p, n);
	if (from != ECI_OUT)
		eci_tail_add(&d->words, p, n);
	if (d->state == ECI_DLG_SPAWNING)
		eci_dialogue_started(d, now_ms);
	d->last_byte_ms = now_ms;
	if (from == ECI_OUT && d->state == ECI_DLG_BOOT) {
		early_bytes(d, p, n, now_ms);
	} else if (from == ECI_OUT && talking(d)) {
		d->noise_bytes += n;
		on_stdout(d, p, n, now_ms);
		if (talking(d) && d->noise_bytes > ECI_MARKER_SCAN_MAX)
			no_marker(d, now_ms);
	} else {
		for (size_t i = 0; i < n && talking(d); i++)
			spoken(d, from, p[i], now_ms);
	}
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
	bool ssh = d->t->method == ECI_SSH, ssh_failed = ssh && wait_status != 0 && (wait_status & 0xff00) == 0xff00;
	/* Words of a tool that did its work are noise: ssh says 255 for its own failures and else the remote status. */
	bool has_cause = d->cause && (!ssh || ssh_failed || (wait_status & 0x7f));
	if (has_cause && d->cause->act == ECI_MSG_TTY && try_terminal(d)) {
		spawn(d, now_ms);
	} else if (has_cause && d->cause->act == ECI_MSG_DROPPED && d->dials + 1 < ECI_DIAL_TRIES) {
		dial_again(d, now_ms);
	} else if (has_cause) {
		eci_verdict_cause(d, now_ms);
		over(d);
	} else if (ssh_failed && d->state == ECI_DLG_LOGIN) {
		eci_verdict_exit(d, ECTX_PHASE_CONNECT, ECTX_E_CONN_DROPPED, wait_status,
				 "ssh gave up before it had logged in: its last words are above", now_ms);
		over(d);
	} else if (!ssh_failed && try_fed(d)) {
		spawn(d, now_ms);
	} else {
		eci_verdict_exit(d, ECTX_PHASE_SHELL, ECTX_E_SHELL_EXITED, wait_status, NULL, now_ms);
		over(d);
	}
}

static void flush_lines(struct eci_dialogue *d, uint64_t now_ms)
{
	for (size_t i = 0; i < 3 && talking(d); i++)
		if (!d->lines[i].whole && d->lines[i].len)
			whole_line(d, d->lines[i].text, now_ms);
}

void eci_dialogue_exited(struct eci_dialogue *d, int wait_status, uint64_t now_ms)
{
	if (d->state == ECI_DLG_SPAWNING)
		eci_dialogue_started(d, now_ms);
	flush_lines(d, now_ms);
	if (talking(d)) {
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
	enum { NOT_FOUND = 2 }; /* ENOENT on every system; the number is the relay's, not ours */
	char saw[256];
	if (d->state != ECI_DLG_SPAWNING)
		return;
	eci_escape(saw, sizeof saw, (const uint8_t *)text, strlen(text));
	enum ectx_phase phase = d->t->method == ECI_SSH ? ECTX_PHASE_CONNECT : eci_login_phase(d->t);
	eci_verdict_set(d, phase, err == NOT_FOUND ? ECTX_E_NO_PROGRAM : ECTX_E_SPAWN_FAILED, saw, NULL, now_ms);
	over(d);
}

void eci_dialogue_no_secret(struct eci_dialogue *d, const char *why, uint64_t now_ms)
{
	if (!talking(d))
		return;
	eci_verdict_set(d, eci_login_phase(d->t), ECTX_E_SECRET, why, NULL, now_ms);
	end(d, false, now_ms);
}

void eci_dialogue_up(struct eci_dialogue *d, uint64_t now_ms)
{
	if (d->state == ECI_DLG_BOOT)
		enter(d, ECI_DLG_UP, now_ms);
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

void eci_dialogue_relay_lost(struct eci_dialogue *d, const char *evidence, uint64_t now_ms)
{
	if (d->state == ECI_DLG_OVER || d->state == ECI_DLG_UP)
		return;
	eci_verdict_set(d, ECTX_PHASE_LOST, ECTX_E_LOST, evidence, NULL, now_ms);
	d->queued = 0;
	over(d);
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
	if (d->feed_owed && d->start_ms + FEED_WAIT_MS < at && talking(d))
		at = d->start_ms + FEED_WAIT_MS;
	return at;
}

uint64_t eci_dialogue_tick(struct eci_dialogue *d, uint64_t now_ms)
{
	if (now_ms < deadline(d))
		return deadline(d);
	if (d->feed_owed && talking(d)) {
		feed_now(d);
	} else if (d->state == ECI_DLG_PAUSE) {
		spawn(d, now_ms);
	} else if (d->state == ECI_DLG_ENDING) {
		/* It does not end. What was to come next cannot: its id is still taken. */
		if (d->respawn)
			eci_verdict_set(d, ECTX_PHASE_SHELL, ECTX_E_SHELL_SILENT, "it did not end when killed", NULL,
					now_ms);
		over(d);
	} else if (d->state == ECI_DLG_SHELL) {
		no_marker(d, now_ms);
	} else {
		eci_verdict_timeout(d, now_ms);
		end(d, false, now_ms);
	}
	return deadline(d);
}

const char *eci_dialogue_evidence(struct eci_dialogue *d)
{
	uint8_t raw[ECI_EVIDENCE_MAX];
	size_t n = eci_tail_copy(&d->noise, raw);
	eci_escape(d->escaped, sizeof d->escaped, raw, n);
	return d->escaped;
}
