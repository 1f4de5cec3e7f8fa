/* The shell at the other end of a copy, on a host without Python: it is run, and what it says is read.
 *
 * Invariant: `in` holds what was read and not taken, at most a line or a piece; what a line says of bytes to come is
 * counted in `left`, so that a file's bytes are never taken for words, nor words for bytes. */
#include "mesh/copy_run.h"
#include "mesh/copy_lines.h"

#include "preamble/preamble.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static long read_some(struct eci_copy_shell *s, uint8_t *p, size_t n, long wait_ms)
{
	for (;; wait_ms -= ECI_COPY_LOOK_MS) {
		long got = ectx_stream_read(s->cmd.io, p, n, wait_ms < ECI_COPY_LOOK_MS ? wait_ms : ECI_COPY_LOOK_MS);
		if (got >= 0 || errno != ETIMEDOUT)
			return got > 0 ? got : -1;
		if (wait_ms <= ECI_COPY_LOOK_MS || eci_copy_stopped(s->copy))
			return 0;
	}
}

int eci_shell_more(struct eci_copy_shell *s, long wait_ms)
{
	uint8_t piece[16384];
	long n = read_some(s, piece, sizeof piece, wait_ms);
	return n > 0 ? eci_buf_append(&s->in, piece, (size_t)n) ? -1 : 1 : (int)n;
}

int eci_shell_line(struct eci_copy_shell *s, char last, long wait_ms)
{
	for (;;) {
		size_t have = eci_buf_len(&s->in), n = 0;
		const uint8_t *p = eci_buf_data(&s->in), *end = have ? memchr(p, last, have) : NULL;
		n = end ? (size_t)(end - p) : have;
		if (n >= sizeof s->line)
			return -1;
		if (end) {
			memcpy(s->line, p, n);
			s->line[n] = 0;
			eci_buf_drain(&s->in, n + 1);
			return 1;
		}
		int r = eci_shell_more(s, eci_copy_stopped(s->copy) ? 0 : wait_ms);
		if (r <= 0)
			return r;
	}
}

long eci_shell_bytes(struct eci_copy_shell *s, uint8_t *p, size_t n, long wait_ms)
{
	size_t have = eci_buf_len(&s->in);
	if (!have)
		return read_some(s, p, n, wait_ms);
	n = n < have ? n : have;
	memcpy(p, eci_buf_data(&s->in), n);
	eci_buf_drain(&s->in, n);
	return (long)n;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const uint8_t *eci_shell_digest(const char *hex, uint8_t sum[ECI_DIGEST_SIZE])
{
	for (size_t i = 0; i < ECI_DIGEST_SIZE; i++) {
		int high = digit(hex[2 * i]), low = high < 0 ? -1 : digit(hex[2 * i + 1]);
		if (low < 0)
			return NULL;
		sum[i] = (uint8_t)(high << 4 | low);
	}
	return hex[2 * ECI_DIGEST_SIZE] ? NULL : sum;
}

/* ---- beginning and end ---- */

void eci_shell_why(const struct eci_copy_shell *s, ectx_error *e)
{
	const ectx_error *its = s->cmd.future ? ectx_future_error(s->cmd.future) : NULL;
	struct eci_fail fail = {0};
	*e = (ectx_error){0};
	eci_fail_set(&fail, ECTX_PHASE_CALL, ECTX_E_COPY_FAILED, "%s", "");
	eci_error_from(e, &fail, s->context);
	if (its && ectx_future_done(s->cmd.future) && its->status != ECTX_OK) {
		*e = *its;
		e->detail = NULL;
	}
	bool over = !its || ectx_future_done(s->cmd.future);
	char said[sizeof s->cmd.said * 4 + 1] = "";
	size_t n = strcspn(s->cmd.said, "\n");
	(void)eci_escape_into(said, sizeof said, s->cmd.said, n);
	if (!its || its->status == ECTX_OK || e->code == ECTX_E_EXIT_STATUS)
		(void)snprintf(e->saw, sizeof e->saw, "the shell that copies there %s%s%s",
			       over ? "ended early" : "said what it must not", *said ? ": " : "", said);
}

int eci_shell_greeted(struct eci_copy_shell *s, long wait_ms)
{
	size_t n = strlen(s->script);
	int r = eci_shell_line(s, '\n', wait_ms);
	if (r <= 0)
		return r;
	const char *name = s->line + sizeof "econtext-" - 1;
	if (strncmp(s->line, "econtext-", sizeof "econtext-" - 1) || strncmp(name, s->script, n) || name[n] != ' ')
		return -1;
	s->algorithm = !strcmp(name + n + 1, "sha256") ? "sha256" : NULL;
	return 1;
}

bool eci_shell_begin(struct eci_copy_shell *s, struct eci_copy *k, ectx_context *c, const char *script,
		     const char *const *args)
{
	size_t n = 0;
	while (args[n])
		n++;
	const char **argv = calloc(n + 5, sizeof *argv);
	if (argv) {
		argv[0] = "sh";
		argv[1] = "-c";
		argv[2] = eci_preamble_shell(script);
		argv[3] = script;
		memcpy(argv + 4, args, n * sizeof *argv);
	}
	s->copy = k;
	s->context = c;
	s->script = script;
	bool begun = argv && eci_command_start(&s->cmd, c, argv, -1);
	free(argv);
	return begun;
}

void eci_shell_end(struct eci_copy_shell *s)
{
	eci_command_free(&s->cmd);
	eci_buf_deinit(&s->in);
}
