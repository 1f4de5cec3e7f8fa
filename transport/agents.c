/* Agents: which one is booted, and what is said when it cannot be.
 *
 * The marker tells all that the choice needs, in no round trip of its own: the interpreter (a Python can become either
 * agent, perl and sh only the native one) and the machine. So an agent that cannot be is never sent; the order is the
 * target's.
 *
 * Whether a directory may execute, or a policy forbids it, is not known before it is tried. A loader that cannot says
 * one line with a reason on stderr; then, or when the native agent ended before it answered, the next agent of the list
 * gets a new incarnation, because PROMOTE was sent and ids are used once. The other way round nothing is tried: a
 * Python that does not start is a broken host, and to find out later is worse. */
#include "transport/dialogue.h"
#include <stdio.h>
#include <string.h>

#define LOADER_SAYS "econtext: no native agent: "

/* The words of preamble/loader.c. */
static const struct {
	const char *word, *hint;
} reasons[] = {
	{"noexec", "no directory that this user can write to may execute, and memfd is not to be had there"},
	{"no-place", "there is no memfd, and no directory with room that this user can write to"},
	{"no-space", "the directories that may execute are full, or the limit of a file's size (ulimit -f) is too low"},
	{"no-files", "the limit of open files (ulimit -n) is too low there"},
	{"no-tools", "sh alone is not enough: it takes chmod, rm, mkdir, dd and /dev/null"},
	{"exec-denied", "a policy of that host allows installed programs only"},
	{"wrong-format", "its kernel does not run programs of the machine that uname names"},
	{"no-proc", "/proc is not mounted there"},
};

static const char *machine_of(const struct eci_dialogue *d)
{
	/* Nobody else has the system calls of Linux. */
	return strncmp(d->marker.system, "Linux ", 6) ? NULL : d->marker.system + 6;
}

/* For people; where there is no uname the marker has nothing in its place. */
static const char *system_of(const struct eci_dialogue *d)
{
	return d->marker.system[0] ? d->marker.system : "a machine that it could not name: uname is missing there";
}

static bool has_python(const struct eci_dialogue *d)
{
	return strcmp(d->marker.interpreter, "perl") && strcmp(d->marker.interpreter, "sh");
}

static bool possible(const struct eci_dialogue *d, enum eci_agent agent)
{
	const char *machine = machine_of(d);
	return agent == ECI_AGENT_PYTHON ? has_python(d) : machine && d->has_native && d->has_native(machine);
}

static struct eci_agents allowed(const struct eci_dialogue *d)
{
	static const struct eci_agents python = {.count = 1, .kind = {ECI_AGENT_PYTHON}};
	return d->t->agents.count ? d->t->agents : python;
}

/* Of two that cannot be, the error is of the one that was wanted more. */
static enum ectx_code code_of(struct eci_agents list)
{
	return list.kind[0] == ECI_AGENT_NATIVE ? ECTX_E_NO_NATIVE : ECTX_E_NO_PYTHON;
}

/* What was looked for is said where the target names it. */
static int found(const struct eci_dialogue *d, char *out, size_t cap)
{
	const char *slash = d->t->python ? strrchr(d->t->python, '/') : NULL, *name = slash ? slash + 1 : d->t->python;
	bool missing = name && strcmp(name, d->marker.interpreter) != 0;
	return missing ? snprintf(out, cap, "found no %s, only %s", d->t->python, d->marker.interpreter)
		       : snprintf(out, cap, "found only %s", d->marker.interpreter);
}

/* The code's own hint names agent: native, which would be refused, or is what failed. */
static const char forbidden[] = "set python: to a Python of that host, if it has one; a native agent needs none, but "
				"native: never, or agent: python, forbids it";

bool eci_agents_choose(struct eci_dialogue *d, uint64_t now_ms)
{
	struct eci_agents list = allowed(d);
	bool native = false;
	for (uint8_t i = 0; i < list.count; i++) {
		d->agent = (enum eci_agent)list.kind[i];
		if (possible(d, d->agent))
			return true;
		native |= d->agent == ECI_AGENT_NATIVE;
	}
	char saw[2 * ECI_INTERPRETER_MAX + 160];
	int n = native && list.count < 2 ? 0 : found(d, saw, sizeof saw);
	snprintf(saw + n, sizeof saw - (size_t)n, "%s%s",
		 !native          ? ", on "
		 : list.count < 2 ? "no native agent for "
				  : ", and no native agent for ",
		 system_of(d));
	const char *hint = !native ? forbidden : !has_python(d) ? "set python: to an interpreter of that host" : NULL;
	eci_verdict_set(d, ECTX_PHASE_BOOT, code_of(list), saw, hint, now_ms);
	return false;
}

/* What the loader said behind LOADER_SAYS, to the end of its line; NULL: nothing. */
static const char *said(const struct eci_dialogue *d, char out[ECI_EVIDENCE_MAX + 1])
{
	/* On a terminal of its own what it says is no event of its own, but the evidence of the link's end: d->fail. */
	size_t n = eci_tail_copy(&d->words, d->words.total, (uint8_t *)out);
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (!out[i])
			out[i] = '?';
	const char *at = strstr(out, LOADER_SAYS);
	if (!at && (at = strstr(d->fail.saw, LOADER_SAYS)) != NULL)
		at = memcpy(out, at, strlen(at) + 1);
	if (!at)
		return NULL;
	at += strlen(LOADER_SAYS);
	out[strcspn(at, "\r\n\\") + (size_t)(at - out)] = '\0'; /* a backslash: what is escaped already */
	return at;
}

static bool is_followed(const struct eci_dialogue *d)
{
	struct eci_agents list = allowed(d);
	for (uint8_t i = 0; i + 1 < list.count; i++)
		if (list.kind[i] == d->agent)
			return possible(d, (enum eci_agent)list.kind[i + 1]);
	return false;
}

static void tell(struct eci_dialogue *d, const char *line)
{
	char text[ECI_WORDS_MAX];
	const char *hint = "it could not be run";
	struct eci_agents list = allowed(d);
	bool neither = list.count > 1 && !has_python(d);
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
		size_t n = strlen(reasons[i].word);
		if (!strncmp(line, reasons[i].word, n) && line[n] == ':')
			hint = reasons[i].hint;
	}
	eci_verdict_shown(d, text, sizeof text, line, strlen(line));
	d->fail.code = code_of(list);
	int n = neither ? found(d, d->fail.saw, sizeof d->fail.saw) : 0;
	snprintf(d->fail.saw + n, sizeof d->fail.saw - (size_t)n, "%s%s", neither ? ", and no native agent: " : "",
		 text);
	snprintf(d->fail.hint, sizeof d->fail.hint, "%s: %s", hint,
		 has_python(d) ? "set agent: python" : "a Python there would do, set python: if it has one");
}

bool eci_agents_failed(struct eci_dialogue *d)
{
	char text[ECI_EVIDENCE_MAX + 1];
	if (d->agent != ECI_AGENT_NATIVE)
		return false;
	const char *line = said(d, text);
	bool its_own = line || d->fail.code == ECTX_E_BOOT_EXITED || d->fail.code == ECTX_E_PROTOCOL ||
		       d->fail.code == ECTX_E_EARLY_BYTES;
	if (line)
		tell(d, line);
	return its_own && is_followed(d);
}
