/* cli: options.
 *
 * One table says for every option its letter, its word, whether it takes a value, which commands know it and its line
 * of help; parsing, the help text and the suggestions are made from it, so they cannot disagree. getopt_long is not
 * used because it neither says which option of *which command* was meant nor suggests one, it permutes arguments (GNU)
 * or does not (elsewhere), and it accepts abbreviations that become ambiguous when an option is added.
 *
 * Rules: options stand before the first positional; "--" ends them; letters may be bundled and may carry their value
 * (-bf10); words take
 * "--word value" or "--word=value". Everything after the options is left alone: for exec and run it belongs to somebody
 * else.
 *
 * Values are borrowed from argv, which lives as long as the program; only what is joined is allocated. */
#include "cli/opts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "econtext/error.h"

/* Sixty-four under way is what clush starts with; sshd and one master's descriptors stand it everywhere. */
#define FANOUT_DEFAULT 64
/* Each one under way may hold a carrier, pipes and buffers: more than this is a typing error. */
#define FANOUT_MAX 16384

#define BIT(c) (1u << ECI_CMD_##c)
#define FANNED (BIT(EXEC) | BIT(CALL) | BIT(RUN) | BIT(TREE) | BIT(TRACE))
#define PROXIES (BIT(TUNNEL) | BIT(SOCKS) | BIT(CONNECT) | BIT(CP))
#define TARGETED (FANNED | BIT(TOPO_SHOW) | BIT(TOPO_PLAN))
#define CODED (BIT(CALL) | BIT(RUN))
#define EVERY (BIT(COUNT) - 1u)

struct option {
	char letter;
	const char *word;
	const char *value; /* name of its value in help; NULL: a flag */
	unsigned commands;
	const char *help;
};

static const struct option options[] = {
	{'w', "targets", "TARGETS", TARGETED, "where: nodes, NODE:USER, web[001-010], @group, !not"},
	{'x', "except", "TARGETS", TARGETED, "but not there"},
	{'g', "group", "GROUPS", TARGETED, "the nodes of these groups"},
	{0, "topology", "FILE", TARGETED | PROXIES | BIT(TOPO_CHECK),
	 "the topology file (default: $ECONTEXT_TOPOLOGY, ./econtext.yaml, ~/.config/econtext/topology.yaml)"},
	{'f', "fanout", "N", FANNED | BIT(CP), "at most N under way at once (default 64)"},
	{'t', "connect-timeout", "TIME", FANNED | PROXIES, "limit for connecting: seconds, or 500ms, 2s, 1m"},
	{'u', "command-timeout", "TIME", FANNED | BIT(CP),
	 "limit for the command, or the copy, not counting the connecting"},
	{'b', "fold", NULL, BIT(EXEC) | CODED, "wait, and print equal output once under the folded names"},
	{0, "json", NULL, TARGETED | (PROXIES & ~BIT(CONNECT)), "JSON on stdout, one object a line"},
	{0, "raw", NULL, BIT(EXEC) | BIT(RUN), "the output of one target as it is: any bytes, no names"},
	{0, "pty", NULL, BIT(EXEC), "run the command on a terminal of this one's size"},
	{0, "cwd", "DIR", BIT(EXEC), "run the command in this folder"},
	{0, "env", "K=V", BIT(EXEC) | BIT(RUN),
	 "set a variable for the command or shell script; K alone removes it (may be repeated)"},
	{0, "stdin", NULL, BIT(EXEC), "give this stdin to the command, to each a copy"},
	{0, "resume", NULL, BIT(CP), "keep the part of a file that fails, and go on from such"},
	{0, "limit", "RATE", BIT(CP), "bytes a second, of all together: 500k, 2M"},
	{'L', "local", "[ADDR:]PORT:HOST:PORT", BIT(TUNNEL), "listen here, connect there"},
	{'R', "remote", "[ADDR:]PORT:HOST:PORT", BIT(TUNNEL), "listen there, connect here"},
	{'D', "dynamic", "[ADDR:]PORT", BIT(SOCKS), "listen here (default: port 1080 of loopback)"},
	{0, "exit", "NODE[:USER]", BIT(TUNNEL) | BIT(SOCKS), "the context that connections leave from"},
	{0, "user", "NAME", BIT(SOCKS), "demand this user, and the password of $ECONTEXT_SOCKS_PASSWORD"},
	{0, "root", "DIR", CODED,
	 "serve modules from here (may be repeated; default: the script's folder, else the current one)"},
	{0, "include", "PREFIX", CODED, "serve only modules that begin so (may be repeated)"},
	{0, "exclude", "PREFIX", CODED, "never serve modules that begin so (may be repeated)"},
	{0, "override", "PREFIX", CODED, "served modules that begin so win over the remote's own (may be repeated)"},
	{0, "title", "TEXT", FANNED | PROXIES, "what ps shows of the remote processes"},
	{0, "stats", "FILE", BIT(EXEC) | BIT(CP) | CODED, "at the end write what `tree --json` prints to FILE"},
	{'q', "quiet", NULL, FANNED | PROXIES, "only errors in the log, no progress"},
	{'v', "verbose", NULL, FANNED | PROXIES, "debug records too"},
	{0, "size", NULL, BIT(PREAMBLE), "bytes of the command line and of each part, as really sent"},
	{'h', "help", NULL, EVERY, "this text"},
};
#define OPTION_COUNT (sizeof options / sizeof options[0])

void eci_strings_add(struct eci_strings *s, const char *text)
{
	s->v = eci_grow(s->v, (s->n + 2) * sizeof *s->v);
	s->v[s->n++] = text;
	s->v[s->n] = NULL;
}

static void join(char **list, const char *text)
{
	if (!*list) {
		*list = eci_copy(text, strlen(text));
		return;
	}
	size_t have = strlen(*list), more = strlen(text);
	*list = eci_grow(*list, have + more + 2);
	(*list)[have] = ',';
	memcpy(*list + have + 1, text, more + 1);
}

/* "90", "1.5", "500ms", "2s", "1m" to milliseconds; -1 for 0 (no limit), -2 when it is none of them. */
static long duration_ms(const char *text)
{
	if ((text[0] < '0' || text[0] > '9') && text[0] != '.')
		return -2; /* strtod would take "inf", "nan", blanks and signs */
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return -2;
	char *end;
	double v = strtod(text, &end);
	if (end == text)
		return -2;
	if (!strcmp(end, "") || !strcmp(end, "s"))
		v *= 1000;
	else if (!strcmp(end, "m"))
		v *= 60000;
	else if (strcmp(end, "ms"))
		return -2;
	if (!(v <= ECI_LIMIT_MAX_MS))
		return -2;
	if (v == 0)
		return -1;
	return v < 1 ? 1 : (long)v;
}

static int set_duration(long *out, const char *name, const char *value)
{
	*out = duration_ms(value);
	if (*out >= -1)
		return 0;
	return eci_usage("%s %s: not a time; write seconds, or 500ms, 2s, 1m", name, value);
}

static int set_fanout(struct eci_opts *o, const char *name, const char *value)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno || n < 1 || n > FANOUT_MAX)
		return eci_usage("%s %s: not a number from 1 to %d", name, value, FANOUT_MAX);
	o->fanout = n;
	return 0;
}

static int set_env(struct eci_opts *o, const char *name, const char *value)
{
	if (value[0] == '=' || value[0] == '\0')
		return eci_usage("%s %s: write K=V, or K to remove it", name, value);
	eci_strings_add(&o->env, value);
	return 0;
}

/* name is the option as it was written, for messages. */
static int apply(struct eci_opts *o, const struct option *opt, const char *name, const char *value)
{
	const char *w = opt->word;
	struct {
		const char *word;
		bool *flag;
		const char **text;
		char **list;
		struct eci_strings *strings;
	} plain[] = {
		{"targets", NULL, NULL, &o->targets, NULL},   {"except", NULL, NULL, &o->except, NULL},
		{"group", NULL, NULL, &o->groups, NULL},      {"topology", NULL, &o->topology, NULL, NULL},
		{"title", NULL, &o->title, NULL, NULL},       {"cwd", NULL, &o->cwd, NULL, NULL},
		{"stats", NULL, &o->stats, NULL, NULL},       {"root", NULL, NULL, NULL, &o->roots},
		{"include", NULL, NULL, NULL, &o->include},   {"exclude", NULL, NULL, NULL, &o->exclude},
		{"override", NULL, NULL, NULL, &o->override}, {"fold", &o->fold, NULL, NULL, NULL},
		{"json", &o->json, NULL, NULL, NULL},         {"pty", &o->pty, NULL, NULL, NULL},
		{"size", &o->size, NULL, NULL, NULL},         {"help", &o->help, NULL, NULL, NULL},
		{"stdin", &o->input, NULL, NULL, NULL},       {"exit", NULL, &o->exit, NULL, NULL},
		{"local", NULL, &o->local, NULL, NULL},       {"remote", NULL, &o->remote, NULL, NULL},
		{"resume", &o->resume, NULL, NULL, NULL},     {"limit", NULL, &o->limit, NULL, NULL},
		{"dynamic", NULL, &o->dynamic, NULL, NULL},   {"user", NULL, &o->user, NULL, NULL},
		{"raw", &o->raw, NULL, NULL, NULL},
	};
	if (value && !*value && strcmp(w, "env"))
		return eci_usage("%s needs a value that is not empty", name);
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
		if (strcmp(w, plain[i].word))
			continue;
		bool way = !strcmp(w, "local") || !strcmp(w, "remote") || !strcmp(w, "dynamic") || !strcmp(w, "exit");
		if (way && *plain[i].text)
			return eci_usage("%s stands twice: one tunnel at a time", name);
		if (plain[i].flag)
			*plain[i].flag = true;
		else if (plain[i].text)
			*plain[i].text = value;
		else if (plain[i].list)
			join(plain[i].list, value);
		else
			eci_strings_add(plain[i].strings, value);
		return 0;
	}
	if (!strcmp(w, "fanout"))
		return set_fanout(o, name, value);
	if (!strcmp(w, "connect-timeout"))
		return set_duration(&o->connect_ms, name, value);
	if (!strcmp(w, "command-timeout")) {
		o->command_said = true;
		return set_duration(&o->command_ms, name, value);
	}
	if (!strcmp(w, "env"))
		return set_env(o, name, value);
	o->quiet = !strcmp(w, "quiet");
	o->log_level = o->quiet ? 40 : 10;
	return 0;
}

static int unknown(enum eci_cmd cmd, const char *name)
{
	const char *words[OPTION_COUNT];
	size_t n = 0;
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (options[i].commands & (1u << cmd))
			words[n++] = options[i].word;
	const char *command = eci_cmd_text(cmd)->name;
	const char *near = name[1] == '-' ? eci_nearest(name + 2, words, n) : NULL;
	if (near)
		return eci_usage("%s has no option %s; did you mean --%s?", command, name, near);
	return eci_usage("%s has no option %s; see econtext help %s", command, name, command);
}

/* Looks for the option with this letter (or, letter 0, with the word of n bytes) that cmd takes. */
static const struct option *find(enum eci_cmd cmd, char letter, const char *word, size_t n)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option *p = &options[i];
		if (!(p->commands & (1u << cmd)))
			continue;
		if (letter ? p->letter == letter : strlen(p->word) == n && !memcmp(p->word, word, n))
			return p;
	}
	return NULL;
}

static int parse_word(struct eci_opts *o, char ***argv)
{
	const char *arg = *(*argv)++;
	size_t n = strcspn(arg + 2, "=");
	const struct option *opt = find(o->cmd, 0, arg + 2, n);
	char *name = eci_copy(arg, n + 2);
	const char *value = arg[n + 2] == '=' ? arg + n + 3 : NULL;
	int rc = 0;
	if (!opt)
		rc = unknown(o->cmd, name);
	else if (!opt->value && value)
		rc = eci_usage("%s takes no value", name);
	else if (opt->value && !value && !(value = *(*argv)++))
		rc = eci_usage("%s needs a value: %s", name, opt->value);
	if (!rc)
		rc = apply(o, opt, name, value);
	free(name);
	return rc;
}

static int parse_letters(struct eci_opts *o, char ***argv)
{
	const char *arg = *(*argv)++;
	for (const char *p = arg + 1; *p; p++) {
		char name[3] = {'-', *p, 0};
		const struct option *opt = find(o->cmd, *p, NULL, 0);
		if (!opt)
			return unknown(o->cmd, p == arg + 1 && p[1] ? arg : name);
		const char *value = NULL;
		if (opt->value) {
			value = p[1] ? p + 1 : *(*argv)++;
			if (!value)
				return eci_usage("%s needs a value: %s", name, opt->value);
		}
		if (apply(o, opt, name, value))
			return -1;
		if (opt->value)
			break;
	}
	return 0;
}

const char *eci_opts_late(const struct eci_opts *o)
{
	for (size_t i = 1; i < o->nargs; i++) {
		const char *arg = o->args[i];
		bool is_word = arg[0] == '-' && arg[1] == '-';
		if (arg[0] == '-' && arg[1] &&
		    find(o->cmd, is_word ? 0 : arg[1], is_word ? arg + 2 : NULL, is_word ? strcspn(arg + 2, "=") : 0))
			return arg;
	}
	return NULL;
}

/* Of commands whose arguments are not another program's: an option of ours among them is one that came too late. For cp
 * it would be a file's name, and be made; who means that writes ./-q, or -- first. */
static int none_behind(const struct eci_opts *o)
{
	if (o->cmd == ECI_CMD_EXEC || o->cmd == ECI_CMD_CALL || o->cmd == ECI_CMD_RUN)
		return 0;
	const char *late = eci_opts_late(o);
	if (late)
		return eci_usage("%s: %s stands too late: options stand before the first argument",
				 eci_cmd_text(o->cmd)->name, late);
	return 0;
}

int eci_opts_parse(struct eci_opts *o, enum eci_cmd cmd, char **argv)
{
	bool ended = false;
	*o = (struct eci_opts){
		.cmd = cmd, .fanout = FANOUT_DEFAULT, .connect_ms = -1, .command_ms = -1, .log_level = 20};
	while (*argv && (*argv)[0] == '-' && (*argv)[1]) {
		if (!strcmp(*argv, "--")) {
			argv++;
			ended = true;
			break;
		}
		if ((*argv)[1] == '-' ? parse_word(o, &argv) : parse_letters(o, &argv))
			return -1;
	}
	o->args = argv;
	while (argv[o->nargs])
		o->nargs++;
	if (!ended && none_behind(o))
		return -1;
	if (o->json && o->fold)
		return eci_usage("-b and --json do not go together: fold what --json prints yourself"), -1;
	if (o->raw && (o->json || o->fold))
		return eci_usage("--raw prints the output as it is: not with %s", o->json ? "--json" : "-b"), -1;
	return 0;
}

void eci_opts_deinit(struct eci_opts *o)
{
	free(o->targets);
	free(o->except);
	free(o->groups);
	free(o->roots.v);
	free(o->include.v);
	free(o->exclude.v);
	free(o->override.v);
	free(o->env.v);
}

void eci_opts_help(enum eci_cmd cmd)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option *p = &options[i];
		if (!(p->commands & (1u << cmd)))
			continue;
		char left[64], letter[5] = "    ";
		if (p->letter)
			snprintf(letter, sizeof letter, "-%c, ", p->letter);
		snprintf(left, sizeof left, "%s--%s%s%s", letter, p->word, p->value ? " " : "",
			 p->value ? p->value : "");
		printf("  %-28s  %s\n", left, p->help);
	}
}
