/* Listening: bytes of a process that is being booted -> prompts, words that mean something, the marker.
 *
 * The half of the dialogue that looks at bytes. What makes it safe to run unattended:
 *
 *  - A prompt counts only where the tool itself speaks: stderr for sudo and su, the controlling terminal for ssh and
 *    doas, the pty when su insisted on one. Not stdout of pipes, where a user's rc files may print what they like; but
 *    that busybox's su asks there, so that its question counts when it is all that was said and stays so for a while.
 *  - What asks for the current or a new password changes it, and wants no secret of ours: the old one was right.
 *  - A secret is given once. A second prompt, or words of refusal, end the attempt at once; asking again would lock
 *    accounts. Nor does the next attempt give what was refused to this one (target.refused). So such an end is
 *    password-wrong whatever else was said, but that the password was right (ECI_MSG_TAKEN); and what was said before
 *    the question is not why the answer is no good.
 *  - A terminal whose echo somebody left on says the answer, up to its newline: that is kept nowhere. (Where the echo
 * is off, all that comes is the newline, of the tool. The line is looked at as any.)
 *  - Bytes are looked at one by one, so what is done does not depend on how they were cut on their way.
 *  - Nothing is looked for behind the marker: from there on it is protocol, and bytes that come before their time are
 *    an error.
 */
#include "transport/dialogue.h"
#include <stdio.h>
#include <string.h>

#define PASSPHRASES_MAX 4u /* keys of one ssh that are answered; a server cannot make more of them fill the queue */

static bool was_taken(const struct eci_dialogue *d)
{
	return d->cause && d->cause->act == ECI_MSG_TAKEN;
}

/* The question is part of a change of the password: then that is the cause. sudo's own question is our text: any that
 * comes behind its words of an expired password is of the change. */
static bool asks_for_change(struct eci_dialogue *d, const char *line)
{
	if (was_taken(d) && (d->answered || d->t->method == ECI_SUDO))
		return true;
	line += strspn(line, " \t");
	const struct eci_message *m = eci_message_prompt(d->t->method, line);
	if (m && !was_taken(d)) {
		d->cause = m;
		memcpy(d->cause_line, line, strlen(line) + 1);
	}
	return m != NULL;
}

static void on_prompt(struct eci_dialogue *d, const char *line, enum eci_to to, uint64_t now_ms)
{
	char saw[ECI_SCAN_LINE_MAX];
	enum ectx_phase phase = eci_login_phase(d->t);
	if (d->t->method == ECI_SUDO) /* its prompt is our own text, and tells nobody anything */
		snprintf(saw, sizeof saw, "%s", "sudo: a prompt for a password");
	else
		eci_verdict_shown(d, saw, sizeof saw, line, strlen(line));
	if (asks_for_change(d, line)) {
		eci_verdict_cause(d, now_ms);
		eci_dlg_end(d, false, now_ms);
		return;
	}
	if (!d->t->secret) {
		eci_verdict_set(d, phase, ECTX_E_PASSWORD_MISSING, saw, NULL, now_ms);
		eci_dlg_end(d, false, now_ms);
		return;
	}
	if (d->t->refused) {
		eci_verdict_set(d, phase, ECTX_E_PASSWORD_WRONG, "it was refused before, and is not given again", NULL,
				now_ms);
		eci_dlg_end(d, false, now_ms);
		return;
	}
	if (d->answered) {
		if (d->cause)
			eci_verdict_shown(d, saw, sizeof saw, d->cause_line, strlen(d->cause_line));
		eci_verdict_set(d, phase, ECTX_E_PASSWORD_WRONG, saw, NULL, now_ms);
		eci_dlg_end(d, false, now_ms);
		return;
	}
	d->answered = true;
	d->cause = d->early = NULL;
	if (d->state == ECI_DLG_SHELL)
		d->state = ECI_DLG_LOGIN; /* what looked like the shell was the tool */
	eci_dlg_push(d, (struct eci_action){.kind = ECI_ACT_ANSWER, .to = to, .secret = d->t->secret});
	/* On a terminal su flushes the input once more when it has read the password. */
	if (d->mode == ECI_SPAWN_PTY)
		d->quiet_ms = now_ms;
	else
		eci_dlg_feed(d);
}

/* May a prompt come from there, and where does its answer go? */
static bool prompt_place(const struct eci_dialogue *d, enum eci_from from, enum eci_to *to)
{
	*to = eci_asks_on_stdin(d->t) ? ECI_TO_STDIN : ECI_TO_TTY;
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

static bool is_prompt(const struct eci_dialogue *d, const char *line)
{
	if (d->t->method == ECI_SUDO && !was_taken(d))
		return eci_prompt_is(line, d->sudo_prompt);
	return eci_prompt_is_password(line) || (d->t->method == ECI_SUDO && eci_prompt_is(line, d->sudo_prompt));
}

/* True: the partial line was a prompt and has been dealt with. */
static bool partial_line(struct eci_dialogue *d, enum eci_from from, const char *line, uint64_t now_ms)
{
	enum eci_to to;
	if (!prompt_place(d, from, &to))
		return false;
	if (is_prompt(d, line)) {
		on_prompt(d, d->echo == (int)from ? "a prompt for a password" : line, to, now_ms);
		if (d->answered && (to == ECI_TO_TTY || d->mode == ECI_SPAWN_PTY))
			d->echo = (int)from;
		return true;
	}
	if (d->t->method == ECI_SSH && eci_prompt_is_passphrase(line)) {
		/* Not what the secret is for: an empty one makes ssh go on to the next key or method. */
		if (d->passphrases++ >= PASSPHRASES_MAX) {
			char saw[ECI_SCAN_LINE_MAX];
			eci_verdict_shown(d, saw, sizeof saw, line, strlen(line));
			eci_verdict_set(d, ECTX_PHASE_AUTH, ECTX_E_AUTH_REFUSED, saw, eci_passphrase_hint, now_ms);
			eci_dlg_end(d, false, now_ms);
			return true;
		}
		eci_dlg_push(d, (struct eci_action){
					.kind = ECI_ACT_WRITE, .to = to, .bytes = (const uint8_t *)"\n", .len = 1});
		return true;
	}
	return false;
}

/* Of ssh alone: what its ProxyCommand says, or a refusal that a jump host's login has hidden (see
 * exited_without_marker(); what else is said then may well be the remote side's). */
static void unknown_line(struct eci_dialogue *d, bool login, const char *line)
{
	if (d->t->method != ECI_SSH || d->cause || !line[strspn(line, " \t\r")])
		return;
	const struct eci_message *m = eci_message_match(ECI_SSH, false, line);
	if (!m && login && (!*d->also_line || d->also_any)) {
		memcpy(d->also_line, line, strlen(line) + 1);
		d->also_any = true;
	} else if (m && m->act == ECI_MSG_CAUSE && m->phase == ECTX_PHASE_AUTH && (!d->early || m < d->early)) {
		memcpy(d->cause_line, line, strlen(line) + 1);
		d->early = m;
	}
}

void eci_dlg_line(struct eci_dialogue *d, const char *line, uint64_t now_ms)
{
	line += strspn(line, " \t"); /* the blank of "Password: " before it */
	bool login = d->state == ECI_DLG_LOGIN;
	const struct eci_message *m = eci_message_match(d->t->method, d->t->method == ECI_SSH && !login, line);
	if (!m)
		unknown_line(d, login, line);
	if (!m || m->act == ECI_MSG_CHATTER)
		return;
	if (m->act == ECI_MSG_LOGIN) {
		if (login)
			eci_dlg_enter(d, ECI_DLG_SHELL, now_ms);
		return;
	}
	if (m->act == ECI_MSG_ALSO) {
		memcpy(d->also_line, line, strlen(line) + 1);
		d->also_any = false;
		return;
	}
	/* Entries stand in the order of what they tell; a refusal of the password tells most. */
	bool refused = m->act == ECI_MSG_NOW && d->answered && d->cause && d->cause->act != ECI_MSG_TAKEN;
	if (!d->cause || m < d->cause || refused) {
		d->cause = m;
		memcpy(d->cause_line, line, strlen(line) + 1);
	}
	if (m->act == ECI_MSG_NOW) {
		eci_verdict_cause(d, now_ms);
		eci_dlg_end(d, false, now_ms);
	}
}

static void spoken(struct eci_dialogue *d, enum eci_from from, uint8_t byte, uint64_t now_ms)
{
	struct eci_line_scan *s = &d->lines[from - 1];
	if (d->echo != (int)from)
		eci_tail_add(&d->words, &byte, 1);
	else if (byte == '\n')
		d->echo = 0;
	if (eci_line_scan_feed(s, byte)) {
		eci_dlg_line(d, s->text, now_ms);
	} else if (byte == ':' && partial_line(d, from, s->text, now_ms)) {
		/* Nobody echoes the newline of an answer: what comes next is a line of its own. */
		eci_line_scan_reset(s);
		eci_tail_add(&d->words, (const uint8_t *)"\n", 1);
		eci_tail_add(&d->noise, (const uint8_t *)"\n", 1);
	}
}

/* ---- the marker ---- */

static void on_marker(struct eci_dialogue *d, uint64_t now_ms)
{
	struct eci_action promote = {.kind = ECI_ACT_PROMOTE};
	eci_dlg_enter(d, ECI_DLG_BOOT, now_ms);
	if (!eci_agents_choose(d, now_ms)) {
		eci_dlg_end(d, false, now_ms);
		return;
	}
	promote.agent = d->agent;
	memcpy(promote.interpreter, d->marker.interpreter, sizeof promote.interpreter);
	memcpy(promote.system, d->marker.system, sizeof promote.system);
	/* What the tools said is settled: from here on stderr is the interpreter's. */
	eci_tail_clear(&d->words);
	d->noise_from = d->noise.total;
	eci_dlg_push(d, promote);
}

static void early_bytes(struct eci_dialogue *d, const uint8_t *p, size_t n, uint64_t now_ms)
{
	char saw[256];
	eci_verdict_shown(d, saw, sizeof saw, p, n);
	eci_verdict_set(d, ECTX_PHASE_BOOT, ECTX_E_EARLY_BYTES, saw, NULL, now_ms);
	eci_dlg_end(d, false, now_ms);
}

static void on_stdout(struct eci_dialogue *d, uint8_t byte, uint64_t now_ms)
{
	bool found;
	eci_marker_scan_feed(&d->marker_scan, &byte, 1, &d->marker, &found);
	if (found)
		on_marker(d, now_ms);
	else if (++d->noise_bytes > ECI_MARKER_SCAN_MAX)
		eci_dlg_no_marker(d, now_ms);
	else if (d->mode == ECI_SPAWN_PTY)
		spoken(d, ECI_OUT, byte, now_ms);
}

/* Pipes: output of ssh or su means that it has let us in, and a login shell speaks. Unless su, which prints some of
 * PAM's messages there, has yet to ask; nor does the newline that busybox's prints behind the answer say that it was
 * right. sudo and doas start no login shell: up to the marker all is theirs or PAM's, which may wait for somebody. */
static bool output_means_shell(const struct eci_dialogue *d, const uint8_t *p, size_t n)
{
	bool blank = true;
	if (d->state != ECI_DLG_LOGIN || d->mode == ECI_SPAWN_PTY)
		return false;
	if (d->t->method != ECI_SU)
		return d->t->method == ECI_SSH;
	for (size_t i = 0; i < n; i++)
		blank = blank && (p[i] == '\n' || p[i] == '\r' || p[i] == ' ');
	return !blank && (!d->t->secret || d->answered);
}

bool eci_dlg_stdout_may_ask(const struct eci_dialogue *d)
{
	static const char prompt[] = "Password: ";
	uint8_t said[sizeof prompt];
	uint64_t n = d->noise.total - d->noise_from;
	return d->t->method == ECI_SU && d->mode == ECI_SPAWN_PIPES && !d->answered && eci_dlg_talking(d) &&
	       n == d->noise_bytes && (n == sizeof prompt - 1 || n == sizeof prompt - 2) &&
	       eci_tail_copy(&d->noise, n, said) == n && !memcmp(said, prompt, (size_t)n);
}

void eci_dlg_stdout_asks(struct eci_dialogue *d, uint64_t now_ms)
{
	eci_tail_add(&d->noise, (const uint8_t *)"\n", 1);
	on_prompt(d, "Password:", ECI_TO_STDIN, now_ms);
}

void eci_dialogue_bytes(struct eci_dialogue *d, enum eci_from from, const uint8_t *p, size_t n, uint64_t now_ms)
{
	size_t i = 0, echoed = 0;
	if (!n || d->state == ECI_DLG_OVER)
		return;
	while (d->echo == (int)from && echoed < n && p[echoed] != '\n')
		echoed++;
	eci_tail_add(&d->noise, p + echoed, n - echoed); /* (no echo comes in one piece with the question) */
	eci_dialogue_started(d, now_ms);
	d->last_byte_ms = now_ms;
	if (from == ECI_OUT && output_means_shell(d, p, n))
		eci_dlg_enter(d, ECI_DLG_SHELL, now_ms);
	while (i < n && eci_dlg_talking(d)) {
		if (from == ECI_OUT)
			on_stdout(d, p[i++], now_ms);
		else
			spoken(d, from, p[i++], now_ms);
	}
	if (i == n || (d->state != ECI_DLG_BOOT && d->state != ECI_DLG_UP))
		return;
	if (from != ECI_OUT)
		eci_tail_add(&d->words, p + i, n - i);
	else if (d->state == ECI_DLG_BOOT)
		early_bytes(d, p + i, n - i, now_ms);
}
