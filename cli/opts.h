/* cli: the command line as a struct: which command, its options, what is left. */
#ifndef ECI_CLI_OPTS_H
#define ECI_CLI_OPTS_H

#include <stdbool.h>
#include <stddef.h>

enum eci_cmd {
	ECI_CMD_TOPO_CHECK,
	ECI_CMD_TOPO_SHOW,
	ECI_CMD_TOPO_PLAN,
	ECI_CMD_EXEC,
	ECI_CMD_CALL,
	ECI_CMD_RUN,
	ECI_CMD_TREE,
	ECI_CMD_TRACE,
	ECI_CMD_CP,
	ECI_CMD_TUNNEL,
	ECI_CMD_SOCKS,
	ECI_CMD_CONNECT,
	ECI_CMD_PREAMBLE,
	ECI_CMD_COUNT
};

/* A growing list of borrowed strings, NULL-terminated once it holds one. v is NULL while it is empty. */
struct eci_strings {
	const char **v;
	size_t n;
};
void eci_strings_add(struct eci_strings *s, const char *text);

/* Not quite 25 days: milliseconds that a long of 32 bits holds. A longer limit is a typing error. */
#define ECI_LIMIT_MAX_MS 2147483000L

struct eci_opts {
	enum eci_cmd cmd;
	char *targets, *except, *groups; /* several of one option are joined with commas; NULL: not given */
	size_t fanout;
	long connect_ms, command_ms; /* -1: no limit */
	bool command_said;           /* -u was given */
	bool fold, json, raw, size, pty, input, quiet, help;
	int log_level;
	const char *topology, *title, *cwd, *stats;
	bool resume;
	const char *limit, *exit, *local, *remote, *dynamic, *user;
	struct eci_strings roots, include, exclude, override, env;
	char **args; /* what follows the options; NULL-terminated */
	size_t nargs;
};

/* argv[0] is the first word after the command. 0, or -1 after saying on stderr what is wrong. */
int eci_opts_parse(struct eci_opts *o, enum eci_cmd cmd, char **argv);
/* The first option of ours among the arguments, behind the first; NULL: none. */
const char *eci_opts_late(const struct eci_opts *o);
void eci_opts_deinit(struct eci_opts *o);

/* help.c */
struct eci_cmd_text {
	const char *name;    /* "topo check" */
	const char *usage;   /* what follows the name */
	const char *summary; /* one line */
	const char *text;    /* the rest of its help */
};
const struct eci_cmd_text *eci_cmd_text(enum eci_cmd cmd);
void eci_help_all(void);
void eci_help_command(enum eci_cmd cmd);
/* One line for each option that cmd takes, on stdout. */
void eci_opts_help(enum eci_cmd cmd);
/* The one of v[0..n) that was probably meant by word, or NULL when none is near. */
const char *eci_nearest(const char *word, const char *const *v, size_t n);
/* Complains as "econtext: TEXT" on stderr; returns exit status 2. */
int eci_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* malloc and friends that end the program with status 7 when memory is out: a command line tool has no better answer.
 */
void *eci_alloc(size_t n);
void *eci_grow(void *p, size_t n);
char *eci_copy(const char *text, size_t n);

#endif
