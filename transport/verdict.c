/* Verdicts: from what was seen to (phase, code, evidence, hint).
 *
 * Kept apart from the dialogue because they answer different questions: dialogue.c decides what to do next and never
 * looks at words it does not need for that; this file only explains. The rules:
 *  - saw is the line of the tool that tells most (messages.c), with a line beside it that explains it (a key file that
 *    could not be read; of a connection that was dropped, what a ProxyCommand said last); without such a line, the last
 * lines of stderr and terminal, then the last of the noise;
 *  - the exit status is added where the words alone do not say that the thing ended; how a Python agent ended is told
 *    by its watcher, among the words;
 *  - it has no secret that was given: what a tool repeats of it is hidden (evidence.c);
 *  - it has no nonce: sudo prints the command that it refuses, and a hundred hosts that refuse it are one failure;
 *  - after_ms is the time since the phase began, so that a hop that waited for its turn is not blamed for it.
 */
#include "transport/dialogue.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum ectx_phase eci_login_phase(const struct eci_target *t)
{
	return t->method == ECI_SSH ? ECTX_PHASE_AUTH : t->method == ECI_LOCAL ? ECTX_PHASE_SHELL : ECTX_PHASE_BECOME;
}

uint32_t eci_state_limit_ms(const struct eci_dialogue *d)
{
	const struct eci_timeouts *limit = &d->t->timeout;
	switch (d->state) {
	case ECI_DLG_LOGIN:
		if (d->t->method != ECI_SSH)
			return limit->become_ms;
		return limit->connect_ms && limit->auth_ms ? limit->connect_ms + limit->auth_ms : 0;
	case ECI_DLG_SHELL:
		return limit->shell_ms;
	case ECI_DLG_SPAWNING:
	case ECI_DLG_BOOT:
		return limit->boot_ms;
	default:
		return 0;
	}
}

static uint32_t elapsed(uint64_t from_ms, uint64_t now_ms)
{
	uint64_t ms = now_ms > from_ms ? now_ms - from_ms : 0;
	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static uint32_t phase_limit(const struct eci_dialogue *d, enum ectx_phase phase)
{
	switch (phase) {
	case ECTX_PHASE_CONNECT:
	case ECTX_PHASE_BANNER:
		return d->t->timeout.connect_ms;
	case ECTX_PHASE_AUTH:
		return d->t->timeout.auth_ms;
	case ECTX_PHASE_BECOME:
		return d->t->timeout.become_ms;
	case ECTX_PHASE_SHELL:
		return d->t->timeout.shell_ms;
	case ECTX_PHASE_BOOT:
	case ECTX_PHASE_VERSION:
		return d->t->timeout.boot_ms;
	default:
		return 0;
	}
}

static void hide_nonce(char *text, const char *nonce)
{
	for (; *nonce && (text = strstr(text, nonce)) != NULL; text += ECI_NONCE_LEN)
		memcpy(text, ECI_NONCE_SHOWN, ECI_NONCE_LEN);
}

void eci_verdict_set(struct eci_dialogue *d, enum ectx_phase phase, enum ectx_code code, const char *saw,
		     const char *hint, uint64_t now_ms)
{
	d->fail = (struct eci_fail){.phase = phase, .code = code, .limit_ms = phase_limit(d, phase)};
	d->fail.after_ms = elapsed(d->phase_ms, now_ms);
	if (saw)
		snprintf(d->fail.saw, sizeof d->fail.saw, "%s", saw);
	hide_nonce(d->fail.saw, d->nonce);
	if (hint)
		snprintf(d->fail.hint, sizeof d->fail.hint, "%s", hint);
}

size_t eci_verdict_shown(const struct eci_dialogue *d, char *out, size_t cap, const void *said, size_t n)
{
	uint8_t raw[ECI_EVIDENCE_MAX], *p = raw;
	n = n < sizeof raw ? n : sizeof raw;
	memcpy(raw, said, n);
	for (; n && (*p == ' ' || *p == '\t'); n--)
		p++;
	return eci_escape(out, cap, p, eci_hide(p, n, d->words.hidden));
}

void eci_ended_how(char *out, size_t cap, int wait_status)
{
	int signo = wait_status & 0x7f;
	if (wait_status < 0)
		*out = '\0';
	else if (signo)
		snprintf(out, cap, "ended by signal %d", signo);
	else
		snprintf(out, cap, "exit status %d", wait_status >> 8 & 0xff);
}

/* The watcher of a Python agent says on stderr how the agent ended: "status 768" (docs/boot.md). */
static void name_end(char *words, size_t cap)
{
	static const char mark[] = "status ";
	char how[40], rest[ECI_WORDS_MAX], *at = strstr(words, mark), *end;
	if (!at || (at > words && (at < words + 3 || strncmp(at - 3, " | ", 3))))
		return;
	long status = strtol(at + sizeof mark - 1, &end, 10);
	if (end == at + sizeof mark - 1 || (*end && *end != ' ') || status < 0 || status > 0xffff)
		return;
	eci_ended_how(how, sizeof how, (int)status);
	snprintf(rest, sizeof rest, "%s", end);
	snprintf(at, cap - (size_t)(at - words), "%s%s", how, rest);
}

void eci_verdict_words(const struct eci_dialogue *d, char *out, size_t cap)
{
	eci_tail_last_lines(&d->words, d->words.total, d->t->method, 3, out, cap);
	if (!*out)
		eci_tail_last_lines(&d->noise, d->noise.total - d->noise_from, d->t->method, 2, out, cap);
	name_end(out, cap);
}

const char eci_passphrase_hint[] = "a key that wants a passphrase is not used: add it to an agent (ssh-add) on the hop "
				   "that dials, or set ssh.identity";

/* A refusal means something else when the password was given, or none was declared. */
static void refine_cause(const struct eci_dialogue *d, enum ectx_phase *phase, enum ectx_code *code, const char **hint)
{
	bool takes_password = strstr(d->cause_line, "password") || strstr(d->cause_line, "keyboard-interactive");
	if (d->cause->act == ECI_MSG_DROPPED && d->answered) { /* some servers refuse so */
		*phase = ECTX_PHASE_AUTH;
		*code = ECTX_E_PASSWORD_WRONG;
		*hint = "the connection was closed once the password was given, which is not given again";
	} else if (*code == ECTX_E_PASSWORD_WRONG && !d->answered) {
		*code = ECTX_E_BECOME_REFUSED;
	} else if (*code == ECTX_E_AUTH_REFUSED && strstr(d->cause_line, "Permission denied (")) {
		if (d->answered)
			*code = ECTX_E_PASSWORD_WRONG;
		else if (!d->t->secret && takes_password && !strstr(d->cause_line, "publickey"))
			*code = ECTX_E_PASSWORD_MISSING;
		else if (!d->t->secret && takes_password)
			*hint = "no key that it accepts, but it takes a password: set ssh.identity, or ssh.password";
		else if (*d->also_line && strstr(d->also_line, "not accessible"))
			*hint = "the identity file is not there on the hop that dials: check ssh.identity";
		else if (d->passphrases)
			*hint = eci_passphrase_hint;
	} else if (*code == ECTX_E_NO_TTY && d->mode == ECI_SPAWN_PIPES && !d->t->secret) {
		*code = ECTX_E_PASSWORD_MISSING;
	}
}

void eci_verdict_cause(struct eci_dialogue *d, uint64_t now_ms)
{
	enum ectx_phase phase = d->cause->phase;
	enum ectx_code code = d->cause->code;
	const char *hint = d->cause->hint;
	char saw[2 * ECI_SCAN_LINE_MAX + 8];
	refine_cause(d, &phase, &code, &hint);
	size_t n = eci_verdict_shown(d, saw, ECI_SCAN_LINE_MAX, d->cause_line, strlen(d->cause_line));
	bool beside = *d->also_line && (!d->also_any || d->cause->act == ECI_MSG_DROPPED);
	if (beside && n + 4 < sizeof saw) {
		memcpy(saw + n, " | ", 4);
		eci_verdict_shown(d, saw + n + 3, sizeof saw - n - 3, d->also_line, strlen(d->also_line));
	}
	eci_verdict_set(d, phase, code, saw, hint, now_ms);
}

void eci_verdict_exit(struct eci_dialogue *d, enum ectx_phase phase, enum ectx_code code, int wait_status,
		      const char *hint, uint64_t now_ms)
{
	char words[ECI_WORDS_MAX], how[40], saw[ECI_WORDS_MAX + 100];
	eci_verdict_words(d, words, sizeof words);
	eci_ended_how(how, sizeof how, wait_status);
	if (*words && *how)
		snprintf(saw, sizeof saw, "%s (%s)", words, how);
	else if (*words)
		snprintf(saw, sizeof saw, "%s", words);
	else
		snprintf(saw, sizeof saw, "no output%s%s", *how ? ", " : "", how);
	eci_verdict_set(d, phase, code, saw, hint, now_ms);
}

/* sudo takes PAM's question for its own where sudoers says so: then it is not the text that an answer waits for. */
static bool sudo_asks_otherwise(const struct eci_dialogue *d)
{
	const struct eci_line_scan *s = &d->lines[ECI_ERR - 1];
	size_t n = s->len;
	while (n && s->text[n - 1] == ' ')
		n--;
	return d->t->method == ECI_SUDO && d->state == ECI_DLG_LOGIN && !d->answered && !s->whole && n &&
	       s->text[n - 1] == ':';
}

static const char otherwise_hint[] =
	"sudo asks in other words than it was told to: sudoers there must not have !passprompt_override";

void eci_verdict_timeout(struct eci_dialogue *d, uint64_t now_ms)
{
	char words[ECI_WORDS_MAX];
	enum ectx_phase phase = ECTX_PHASE_SHELL;
	enum ectx_code code = ECTX_E_SHELL_SILENT;
	uint32_t limit = eci_state_limit_ms(d);
	/* It had let us in, but for that: what it waits for is the new password. */
	if (d->state == ECI_DLG_LOGIN && d->answered && d->cause && d->cause->act == ECI_MSG_TAKEN) {
		eci_verdict_cause(d, now_ms);
		return;
	}
	eci_verdict_words(d, words, sizeof words);
	if (d->state == ECI_DLG_BOOT) {
		phase = ECTX_PHASE_BOOT;
		code = ECTX_E_BOOT_TIMEOUT;
	} else if (d->state == ECI_DLG_LOGIN) {
		phase = eci_login_phase(d->t);
		code = d->t->method == ECI_SSH ? ECTX_E_AUTH_TIMEOUT : ECTX_E_BECOME_TIMEOUT;
	}
	const char *saw = *words ? words : "no output";
	if (d->state == ECI_DLG_SPAWNING) {
		phase = d->t->method == ECI_SSH ? ECTX_PHASE_CONNECT : eci_login_phase(d->t);
		code = ECTX_E_SPAWN_FAILED;
		saw = "the hop before it does not say whether it has started it";
	}
	eci_verdict_set(d, phase, code, saw, sudo_asks_otherwise(d) ? otherwise_hint : NULL, now_ms);
	d->fail.limit_ms = limit;
}

/* ssh's own words of the way are no last words of what was at its end. */
static const char *boot_hint(const struct eci_dialogue *d)
{
	char words[ECI_WORDS_MAX];
	eci_verdict_words(d, words, sizeof words);
	if (!*words)
		return "it ended before the agent answered, and nothing says why: was it killed, or the way to it "
		       "lost?";
	for (char *line = words, *end; d->t->method == ECI_SSH && line; line = end ? end + 3 : NULL) {
		end = strstr(line, " | ");
		if (end)
			*end = '\0';
		const struct eci_message *m = eci_message_match(ECI_SSH, true, line);
		if (m && m->act == ECI_MSG_CAUSE)
			return m->hint;
	}
	return NULL;
}

/* The link's own limit, where that is the shorter one. */
static const char silent_hint[] = "nothing came from the agent for timeout.idle, which counts while it boots, too";

void eci_verdict_link(struct eci_dialogue *d, const char *reason, int wait_status, const char *evidence,
		      uint64_t now_ms)
{
	static const struct {
		const char *reason;
		enum ectx_phase phase;
		enum ectx_code code;
	} reasons[] = {
		{"eof", ECTX_PHASE_BOOT, ECTX_E_BOOT_EXITED},
		{"killed", ECTX_PHASE_BOOT, ECTX_E_BOOT_EXITED},
		{"early-bytes", ECTX_PHASE_BOOT, ECTX_E_EARLY_BYTES},
		{"bad-frame", ECTX_PHASE_BOOT,
		 ECTX_E_EARLY_BYTES}, /* before its HELLO: it is not the agent that speaks */
		{"silent", ECTX_PHASE_BOOT, ECTX_E_BOOT_TIMEOUT},
		{"version", ECTX_PHASE_VERSION, ECTX_E_VERSION_MISMATCH},
	};
	enum ectx_phase phase = ECTX_PHASE_BOOT;
	enum ectx_code code = ECTX_E_PROTOCOL;
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (!strcmp(reason, reasons[i].reason)) {
			phase = reasons[i].phase;
			code = reasons[i].code;
		}
	bool silent = code == ECTX_E_BOOT_TIMEOUT;
	if (code == ECTX_E_BOOT_EXITED || silent) {
		if (evidence && *evidence && !d->words.total)
			eci_tail_add(&d->words, (const uint8_t *)evidence, strlen(evidence));
		/* Of one that was silent the status says only that it was killed for that. */
		eci_verdict_exit(d, phase, code, silent ? -1 : wait_status, silent ? silent_hint : boot_hint(d),
				 now_ms);
		if (silent)
			d->fail.limit_ms = d->t->timeout.idle_ms;
		return;
	}
	char saw[1200];
	size_t n = (size_t)snprintf(saw, sizeof saw, "%.64s%s", reason, evidence && *evidence ? ": " : "");
	if (evidence)
		eci_verdict_shown(d, saw + n, sizeof saw - n, evidence, strlen(evidence));
	eci_verdict_set(d, phase, code, saw, NULL, now_ms);
}
