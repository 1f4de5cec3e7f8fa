/* Which scripts a shell runs, and with what command. */
#include "mesh_support.h"
#include "mesh/program.h"

/* The command of a script, its words joined with "|", TEXT for the text; "" if it is none. */
static const char *command(const char *text, size_t n, struct eci_fail *fail)
{
	static char out[512];
	const char *const argv[] = {"dir/s", "a b", NULL};
	memset(fail, 0, sizeof *fail);
	const char **v = eci_script_command((const uint8_t *)text, n, argv, fail);
	size_t used = 0;
	out[0] = 0;
	for (size_t i = 0; v && v[i]; i++)
		used += (size_t)snprintf(out + used, sizeof out - used, "%s%s", i ? "|" : "",
					 strcmp(v[i], text) ? v[i] : "TEXT");
	free(v);
	return out;
}

#define MARK "\xEF\xBB\xBF"

Test(script, first_lines)
{
	static const struct {
		const char *text, *due;
	} cases[] = {
		{"#!/bin/sh\necho", "/bin/sh|-c|TEXT|dir/s|a b"},
		{"#!/bin/sh", "/bin/sh|-c|TEXT|dir/s|a b"},
		{"#! /usr/bin/bash -eu \r\necho", "/usr/bin/bash|-eu|-c|TEXT|dir/s|a b"},
		{"#!/bin/sh -\n", "/bin/sh|-c|TEXT|dir/s|a b"},
		{"#!/usr/bin/env bash\n", "bash|-c|TEXT|dir/s|a b"},
		{"#!/usr/bin/env -S bash -e \t -o pipefail \r\n", "bash|-e|-o|pipefail|-c|TEXT|dir/s|a b"},
		{"#!/usr/bin/env -Sbash\n", "bash|-c|TEXT|dir/s|a b"},
		{"#!/usr/bin/env -S python3 -u 'x'\n", ""},
		{"#!/usr/bin/env -S\n", ""},
		{"#!sh\n", "sh|-c|TEXT|dir/s|a b"},
		{"#!/usr/bin/env python3\n", ""},
		{"#!/usr/bin/python3\nprint(1)\n", ""},
		{"#!/usr/bin/env\n", ""},
		{"#!", ""},
		{"#", ""},
		{"", ""},
		{"import os\n#!/bin/sh\n", ""},
		{MARK "#!/usr/bin/env python3\n", ""},
		{MARK "#!", ""},
		{MARK, ""},
		{MARK "x", ""},
		{"\xEF\xBB#!/bin/sh\n", ""},
		{" #!/bin/sh\n", ""},
	};
	struct eci_fail fail;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *got = command(cases[i].text, strlen(cases[i].text), &fail);
		cr_expect_str_eq(got, cases[i].due, "%s: %s", cases[i].text, got);
		cr_expect_eq(fail.code, ECTX_E_NONE);
	}
}

/* Not its own script, and not Python's either; what may be is. */
Test(script, another_language)
{
	static const struct {
		const char *text, *name;
	} cases[] = {
		{"#!/usr/bin/perl\nprint", "perl"},
		{"#! /usr/bin/perl -w \r\n", "perl"},
		{"#!/usr/bin/env ruby\n", "ruby"},
		{"#!/usr/bin/env -S node --no-warnings\n", "node"},
		{"#!/opt/happy/bin/lua", "lua"},
		{"#!/bin/shell\n", "shell"},
		{"#!/usr/bin/env -S uv run --script\n", NULL},
		{"#!/usr/bin/env -S poetry run python\n", NULL},
		{"#!/usr/bin/env -S A=b ruby\n", NULL},
		{"#!/usr/bin/env -i ruby\n", NULL},
		{"#!/usr/libexec/platform-python -s\n", NULL},
		{"#!/opt/pypy3.10/bin/pypy3\n", NULL},
		{"#! perl is not here\n", NULL},
		{"#!/bin/\n", NULL},
		{" #!/usr/bin/perl\n", NULL},
		{MARK "#!/usr/bin/perl\n", "perl"},
	};
	struct eci_fail fail;
	char said[128];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_str_empty(command(cases[i].text, strlen(cases[i].text), &fail));
		(void)snprintf(said, sizeof said,
			       "dir/s: its first line names %s, which is neither a shell nor a Python",
			       cases[i].name ? cases[i].name : "");
		cr_expect_eq(fail.code, cases[i].name ? ECTX_E_BAD_ARGUMENT : ECTX_E_NONE, "%s", cases[i].text);
		cr_expect(!cases[i].name || !strcmp(fail.saw, said), "%s", fail.saw);
	}
	const char *const named[] = {"dir/s.py", NULL}; /* whose name says what it is */
	fail = (struct eci_fail){0};
	cr_expect_null(eci_script_command((const uint8_t *)"#!/usr/bin/perl\n", 16, named, &fail));
	cr_expect_eq(fail.code, ECTX_E_NONE);
}

/* The shell is not given it: it would look for a command of that name. */
Test(script, a_byte_order_mark_is_no_part)
{
	static const char text[] = MARK "#!/bin/sh -e\necho";
	const char *const argv[] = {"s", NULL};
	struct eci_fail fail = {0};
	const char **v = eci_script_command((const uint8_t *)text, sizeof text - 1, argv, &fail);
	cr_assert(v && fail.code == ECTX_E_NONE);
	cr_expect_str_eq(v[0], "/bin/sh");
	cr_expect_str_eq(v[1], "-e");
	cr_expect_str_eq(v[3], text + 3);
	free(v);
}

Test(script, a_first_line_longer_than_kernels_read_is_none)
{
	char text[200];
	struct eci_fail fail;
	for (size_t blanks = 117; blanks <= 119; blanks++) {
		/* 127 bytes in all are the last that fit */
		size_t n = (size_t)snprintf(text, sizeof text, "#!%*s/bin/sh", (int)blanks, "");
		cr_expect_eq(n, blanks + 9);
		cr_expect_eq(*command(text, n, &fail) != 0, n <= 127, "%zu", n);
	}
}

/* At most 127 bytes of them. */
Test(script, many_words_for_env)
{
	char text[200] = "#!/usr/bin/env -Ssh";
	struct eci_fail fail;
	while (strlen(text) < 127)
		(void)strcat(text, " x");
	text[127] = 0;
	const char *got = command(text, 127, &fail);
	cr_expect(!strncmp(got, "sh|x|x|x|", 9) && strstr(got, "|x|x|-c|TEXT|dir/s|a b"), "%s", got);
}

Test(script, what_env_would_change_is_refused)
{
	struct eci_fail fail;
	cr_expect_str_empty(command("#!/usr/bin/env -S bash -c 'a b'\n", 32, &fail));
	cr_expect_eq(fail.code, ECTX_E_BAD_ARGUMENT);
	cr_expect_str_eq(fail.saw, "dir/s: a first line whose words env -S would change");
}

Test(script, limit_and_nul)
{
	size_t most = 131071;
	char *text = malloc(most + 2);
	struct eci_fail fail;
	cr_assert(text);
	memset(text, 'x', most + 1);
	text[most + 1] = 0;
	memcpy(text, "#!/bin/sh\n", 10);
	text[most] = 0;
	(void)command(text, most, &fail);
	cr_expect_eq(fail.code, ECTX_E_NONE);
	text[most] = 'x';
	cr_expect_str_empty(command(text, most + 1, &fail));
	cr_expect_eq(fail.code, ECTX_E_BAD_ARGUMENT);
	cr_expect_str_empty(command("#!/bin/sh\n\0x", 12, &fail));
	cr_expect_eq(fail.code, ECTX_E_BAD_ARGUMENT);
	free(text);
}
