/* Scripts for boot dialogues: what happens ('>') and what the dialogue must do about it ('='), one a line.
 *
 *   > started                       > err|out|tty TEXT       > exit N     > signal N      > at MS      > up
 *   > nospawn ERRNO TEXT            > nosecret WHY           > lost REASON [EVIDENCE]
 *   > taken (it exited, and its status is not known)
 *   = spawn pipes|pty|ctty [feed|image]   = kill   = write stdin|tty TEXT   = answer stdin|tty SECRET   = promote
 * INTERPRETER|image [native] = fail|next PHASE CODE [TEXT in saw, or TEXT$ the whole of it]
 *
 * Every action must be asked for by a line, in order, right behind the event that causes it. The same script is played
 * with its bytes whole, one by one, and cut at random, and must do the same each time. */
#ifndef TESTS_TRANSPORT_SCRIPT_H
#define TESTS_TRANSPORT_SCRIPT_H

#include "transport/transport.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_NONCE "k3j9x2ab"
#define SCRIPT_STAGE "echo EC:k3j9x2ab:$p:`uname -sm`;read -r l"
#define SCRIPT_GIVEN "tr0ub4dor" /* the secret */
#define SCRIPT_IMAGE "/proc/7/fd/5"
#define SCRIPT_MARK "EC:k3j9x2ab:python3:Linux x86_64\n"

struct script {
	const char *name;
	struct eci_target target;
	const char *lines[40];
};

/* Targets and lines that many scripts have. */
#define SSH .method = ECI_SSH, .host = "web1", .timeout = ECI_TIMEOUTS_DEFAULT
#define SUDO .method = ECI_SUDO, .user = "app", .timeout = ECI_TIMEOUTS_DEFAULT
#define SU .method = ECI_SU, .user = "db", .timeout = ECI_TIMEOUTS_DEFAULT
#define DOAS .method = ECI_DOAS, .user = "app", .timeout = ECI_TIMEOUTS_DEFAULT
#define LOCAL .method = ECI_LOCAL, .timeout = ECI_TIMEOUTS_DEFAULT
#define PW .secret = "pw"
#define AGENTS(n, ...) .agents = {.count = (n), .kind = {__VA_ARGS__}}
#define NATIVE AGENTS(1, ECI_AGENT_NATIVE)
#define NATIVE_FIRST AGENTS(2, ECI_AGENT_NATIVE, ECI_AGENT_PYTHON)
#define PYTHON_FIRST AGENTS(2, ECI_AGENT_PYTHON, ECI_AGENT_NATIVE)
#define OK_AUTH "> err Authenticated to 10.0.0.1 ([10.0.0.1]:22) using \"publickey\".\r\n"
#define FEED "= write stdin " SCRIPT_STAGE "\n"
#define PROMPT "> err econtext-k3j9x2ab:"
#define MARK "> out " SCRIPT_MARK
#define MARK_OF(what) "> out EC:k3j9x2ab:" what "\n"

#define PLAY(group, array)                                                \
	Test(dialogue, group)                                             \
	{                                                                 \
		for (size_t i = 0; i < sizeof array / sizeof *array; i++) \
			script_play(&array[i]);                           \
	}

static const char *const modes[] = {"pipes", "pty", "ctty"};

static inline bool is_fed(const struct eci_recipe *r)
{
	for (char **a = r->argv; *a; a++)
		if (strstr(*a, SCRIPT_STAGE))
			return false;
	return true;
}

static inline bool is_image(const struct eci_recipe *r)
{
	return !strcmp(r->argv[0], SCRIPT_IMAGE) && r->argv[1] && strspn(r->argv[1], " ") >= 100 && !r->argv[1][110] &&
	       !r->argv[2];
}

/* One line for an action, as above. */
static inline void script_describe(const struct eci_action *a, char *out, size_t cap)
{
	const char *to = a->to == ECI_TO_TTY ? "tty" : "stdin";
	*out = '\0';
	switch (a->kind) {
	case ECI_ACT_NONE:
		break;
	case ECI_ACT_SPAWN:
		snprintf(out, cap, "spawn %s%s", modes[a->recipe->mode],
			 is_image(a->recipe) ? " image"
			 : is_fed(a->recipe) ? " feed"
					     : "");
		break;
	case ECI_ACT_KILL:
		snprintf(out, cap, "kill");
		break;
	case ECI_ACT_WRITE:
		snprintf(out, cap, "write %s %.*s", to, (int)a->len, (const char *)a->bytes);
		break;
	case ECI_ACT_ANSWER:
		snprintf(out, cap, "answer %s %s", to, a->secret);
		break;
	case ECI_ACT_PROMOTE:
		snprintf(out, cap, "promote %s%s", a->is_there ? "image" : a->interpreter,
			 a->agent == ECI_AGENT_NATIVE ? " native" : "");
		break;
	case ECI_ACT_NEXT_AGENT:
	case ECI_ACT_FAIL:
		snprintf(out, cap, "%s %s %s %.400s", a->kind == ECI_ACT_FAIL ? "fail" : "next",
			 ectx_phase_name(a->fail->phase), ectx_code_name(a->fail->code), a->fail->saw);
		break;
	}
}

struct player {
	const struct script *script;
	struct eci_dialogue *d;
	unsigned seed; /* 0 whole, 1 byte by byte, else at random */
	uint64_t now_ms;
	char done[16][600]; /* actions not asked for yet */
	size_t n;
};

static inline void collect(struct player *p)
{
	for (struct eci_action a = eci_dialogue_next(p->d); a.kind != ECI_ACT_NONE; a = eci_dialogue_next(p->d)) {
		cr_assert_lt(p->n, 16);
		script_describe(&a, p->done[p->n++], sizeof p->done[0]);
		if (a.kind == ECI_ACT_ANSWER)
			eci_dialogue_gives(p->d, SCRIPT_GIVEN);
	}
}

static inline void deliver(struct player *p, enum eci_from from, const char *text)
{
	size_t n = strlen(text);
	unsigned state = p->seed;
	for (size_t at = 0; at < n;) {
		size_t k = n - at;
		state = state * 1103515245 + 12345;
		if (p->seed == 1)
			k = 1;
		else if (p->seed && k > 1)
			k = 1 + (state >> 16) % k;
		eci_dialogue_bytes(p->d, from, (const uint8_t *)text + at, k, p->now_ms);
		collect(p);
		at += k;
	}
}

static const char *word_is(const char *line, const char *word)
{
	size_t n = strlen(word);
	if (strncmp(line, word, n) || (line[n] && line[n] != ' '))
		return NULL;
	return line[n] ? line + n + 1 : line + n;
}

static inline void end_event(struct player *p, const char *line)
{
	const char *rest;
	char reason[32];
	if ((rest = word_is(line, "exit")))
		eci_dialogue_exited(p->d, atoi(rest) << 8, p->now_ms);
	else if ((rest = word_is(line, "signal")))
		eci_dialogue_exited(p->d, atoi(rest), p->now_ms);
	else if (word_is(line, "taken"))
		eci_dialogue_exited(p->d, -1, p->now_ms);
	else if ((rest = word_is(line, "nospawn")))
		eci_dialogue_spawn_failed(p->d, atoi(rest), strchr(rest, ' ') + 1, p->now_ms);
	else if ((rest = word_is(line, "nosecret")))
		eci_dialogue_no_secret(p->d, rest, p->now_ms);
	else if ((rest = word_is(line, "lost"))) {
		sscanf(rest, "%31s", reason);
		eci_dialogue_link_lost(p->d, reason, -1, strchr(rest, ' ') ? strchr(rest, ' ') + 1 : "", p->now_ms);
	} else
		cr_assert_fail("%s: what is '%s'?", p->script->name, line);
}

static inline void event(struct player *p, const char *line)
{
	const char *rest;
	if ((rest = word_is(line, "err")))
		deliver(p, ECI_ERR, rest);
	else if ((rest = word_is(line, "out")))
		deliver(p, ECI_OUT, rest);
	else if ((rest = word_is(line, "tty")))
		deliver(p, ECI_TTY, rest);
	else if (word_is(line, "started"))
		eci_dialogue_started(p->d, p->now_ms);
	else if (word_is(line, "up"))
		eci_dialogue_up(p->d, p->now_ms);
	else if ((rest = word_is(line, "at"))) {
		p->now_ms = strtoull(rest, NULL, 10);
		uint64_t next = eci_dialogue_tick(p->d, p->now_ms);
		cr_assert_gt(next, p->now_ms, "%s: a limit in the past after '%s'", p->script->name, line);
	} else
		end_event(p, line);
	collect(p);
}

static inline void expect(struct player *p, const char *line)
{
	cr_assert_gt(p->n, 0, "%s (%u): nothing was done, expected '%s'", p->script->name, p->seed, line);
	char *got = p->done[0], wanted[600], *third = NULL;
	snprintf(wanted, sizeof wanted, "%s", line);
	/* fail PHASE CODE TEXT: TEXT stands somewhere in the evidence. */
	bool ends = !strncmp(wanted, "fail ", 5) || !strncmp(wanted, "next ", 5);
	if (ends && (third = strchr(wanted + 5, ' ')) && (third = strchr(third + 1, ' ')))
		*third++ = '\0';
	size_t n = strlen(wanted), m = third ? strlen(third) : 0;
	bool same = !ends ? !strcmp(got, wanted) : !strncmp(got, wanted, n) && got[n] == ' ';
	bool whole = m && third[m - 1] == '$';
	if (whole)
		third[m - 1] = '\0';
	cr_assert(same && (!third || (whole ? !strcmp(got + n + 1, third) : strstr(got, third) != NULL)),
		  "%s (%u): did '%s', expected '%s'", p->script->name, p->seed, got, line);
	memmove(p->done[0], p->done[1], sizeof p->done - sizeof p->done[0]);
	p->n--;
}

static inline bool script_has_native(const char *machine)
{
	return !strcmp(machine, "x86_64");
}

static inline void play(const struct script *s, unsigned seed)
{
	struct player p = {.script = s, .seed = seed};
	p.d = eci_dialogue_new(&s->target, SCRIPT_NONCE, SCRIPT_STAGE, 0);
	cr_assert_not_null(p.d);
	eci_dialogue_natives(p.d, script_has_native);
	collect(&p);
	for (const char *const *l = s->lines; *l; l++) {
		if (**l == '=') {
			expect(&p, *l + 2);
			continue;
		}
		cr_assert_eq(p.n, 0, "%s (%u): did '%s' before '%s'", s->name, seed, p.done[0], *l);
		event(&p, *l + 2);
	}
	cr_assert_eq(p.n, 0, "%s (%u): did '%s' at the end", s->name, seed, p.done[0]);
	eci_dialogue_free(p.d);
}

/* Plays it in every cut; fails the test that calls it. */
static inline void script_play(const struct script *s)
{
	for (unsigned seed = 0; seed < 20; seed++)
		play(s, seed);
}

#endif
