/* Shell scripts: `run` of a file whose first line is "#!/bin/sh" or another shell's.
 *
 * They become a command, SHELL -c TEXT NAME ARG..., for EXEC: nothing is written there, no Python is needed, and stdin
 * stays what it is for every command (with `sh -s` it would be the script). The price is the kernel's limit of an
 * argument. A first line is taken as Linux does, a program and one argument, so "#!/bin/sh -e" keeps its meaning.
 *
 * A byte order mark ahead of "#!" is skipped: the kernel does not run such a file, but the shell that one starts it
 * from does, and stumbles over that line only.
 *
 * One that names another language's program is refused: Python would only say that its syntax is wrong. */
#include "mesh/program.h"

#include <stdlib.h>
#include <string.h>

#define SCRIPT_MAX 131071u    /* MAX_ARG_STRLEN of Linux, less its NUL */
#define LINE_MAX_SHEBANG 127u /* what old kernels read of the first line */
#define MARK "\xEF\xBB\xBF"   /* of UTF-8 */

static bool is_shell(const char *path)
{
	static const char *const names[] = {"sh", "ash", "bash", "dash", "ksh", "ksh93", "mksh", "zsh"};
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* The first word of a line, which ends it; *rest: what is behind it. */
static char *word(char *line, char **rest)
{
	line += strspn(line, " \t");
	*rest = line + strcspn(line, " \t");
	if (**rest)
		*(*rest)++ = 0;
	*rest += strspn(*rest, " \t");
	return line;
}

/* Whether this is one that would not run Python: "python3.11", "pypy", "platform-python", "poetry run python" and "uv"
 * would, and of what only env(1) understands (an option, A=b) nothing is known. */
static bool is_other(const char *name, const char *rest)
{
	return *name && *name != '-' && !strchr(name, '=') && !strstr(name, "py") && !strstr(rest, "py") &&
	       strcmp(name, "uv") != 0;
}

/* "#!PROGRAM ARGUMENT" into line; *rest: the argument, "" if there is none; *split: its words are arguments. The
 * program, or NULL if it is no shell; *other: its name if it is no Python either, else NULL. */
static char *first_line(const uint8_t *text, size_t n, char line[LINE_MAX_SHEBANG + 1], char **rest, bool *split,
			const char **other)
{
	const uint8_t *end = memchr(text, '\n', n < LINE_MAX_SHEBANG ? n : LINE_MAX_SHEBANG);
	size_t len = end ? (size_t)(end - text) : n;
	*other = NULL;
	if (n < 2 || memcmp(text, "#!", 2) || len > LINE_MAX_SHEBANG)
		return NULL;
	memcpy(line, text, len);
	while (len && strchr(" \t\r", line[len - 1]))
		len--;
	line[len] = 0;
	char *program = word(line + 2, rest);
	const char *slash = strrchr(program, '/');
	bool path = *program == '/';                       /* else it is a comment like any */
	if (!strcmp(slash ? slash + 1 : program, "env")) { /* finds it on PATH, as EXEC does */
		*split = !strncmp(*rest, "-S", 2);
		program = *split ? word(*rest + 2, rest) : *rest;
		if (!*split)
			*rest = "";
	}
	if (!strcmp(*rest, "-") || !strcmp(*rest, "--"))
		*rest = "";
	if (is_shell(program))
		return program;
	slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;
	*other = path && is_other(name, *rest) ? name : NULL;
	return NULL;
}

const char **eci_script_command(const uint8_t *text, size_t n, const char *const *argv, struct eci_fail *fail)
{
	size_t mark = n > sizeof MARK && !memcmp(text, MARK "#!", sizeof MARK + 1) ? sizeof MARK - 1 : 0;
	text += mark;
	n -= mark;
	bool split = false;
	const char *other, *dot = strrchr(argv[0], '.');
	char line[LINE_MAX_SHEBANG + 1], *rest, *program = first_line(text, n, line, &rest, &split, &other);
	if (!program && other && (!dot || strcmp(dot, ".py") != 0))
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT,
			     "%s: its first line names %s, which is neither a shell nor a Python", argv[0], other);
	if (!program)
		return NULL;
	const char *why = n > SCRIPT_MAX       ? "a shell script of more than 131,071 bytes"
			  : memchr(text, 0, n) ? "a shell script with NUL bytes"
			  : split && strpbrk(rest, "\"'\\$#") /* env(1) would unquote and replace */
				  ? "a first line whose words env -S would change"
				  : NULL;
	if (why) {
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_BAD_ARGUMENT, "%s: %s", argv[0], why);
		return NULL;
	}
	size_t count = 0, used = 0;
	while (argv[count])
		count++;
	/* The pointers, then the words of the first line and the text. */
	size_t most = count + 4 + sizeof line / 2;
	const char **out = malloc(most * sizeof *out + sizeof line + n + 1);
	if (!out) {
		eci_fail_set(fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "%s", argv[0]);
		return NULL;
	}
	char *kept = memcpy((char *)(out + most), line, sizeof line), *script = kept + sizeof line;
	memcpy(script, text, n);
	script[n] = 0;
	out[used++] = kept + (program - line);
	for (char *at = *rest ? kept + (rest - line) : NULL, *next; at && *at; at = next) {
		next = at + strlen(at);
		out[used++] = split ? word(at, &next) : at;
	}
	out[used++] = "-c";
	out[used++] = script;
	for (size_t i = 0; i < count; i++)
		out[used++] = argv[i];
	out[used] = NULL;
	return out;
}
