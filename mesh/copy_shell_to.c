/* A copy to a context that has no Python: by preamble/shell/put.sh, which says what is spoken.
 *
 * It is served alone, never in a group, and its answers are read while it is written to, for otherwise both ends could
 * wait for room. Where it has no sha256sum, nothing is verified but the size, and nothing is gone on from. */
#include "mesh/copy_target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool eci_shell_put(struct eci_copy_target *t)
{
	const struct eci_copy_job *j = t->job;
	const char *const args[] = {j->dest, j->single ? "1" : "0", j->k.o->resume ? "1" : "0", NULL};
	t->shell = calloc(1, sizeof *t->shell);
	if (t->shell && eci_shell_begin(t->shell, &t->job->k, t->c, "put", args))
		return true;
	eci_target_let_go(t);
	eci_target_fail(t, ECTX_E_NO_MEMORY, "");
	return false;
}

int eci_shell_opened(struct eci_copy_target *t)
{
	struct eci_copy *k = &t->job->k;
	int r = eci_shell_greeted(t->shell, ECI_COPY_LOOK_MS);
	t->algorithm = t->shell->algorithm;
	if (r < 0 && !eci_copy_stopped(k)) {
		ectx_error e;
		eci_shell_why(t->shell, &e);
		eci_copy_failed(k, t->c, NULL, &e);
		t->watch->over = true;
	}
	if (r >= 0 && !eci_copy_stopped(k))
		return r;
	t->gone = true;
	eci_target_let_go(t);
	return -1;
}

/* ---- answers ---- */

/* Octal digits, three a byte, into what they stand for; "-": nothing. */
static char *place_of(const char *octal)
{
	size_t n = strlen(octal) / 3;
	char *out = octal[strspn(octal, "01234567")] ? NULL : malloc(n + 1);
	for (size_t i = 0; out && i < n; i++) {
		const char *p = octal + 3 * i;
		out[i] = (char)(unsigned char)((p[0] - '0') << 6 | (p[1] - '0') << 3 | (p[2] - '0'));
	}
	if (out)
		out[n] = 0;
	return out;
}

/* "+", or "- HOW PLACE TEXT". */
static void take_answer(struct eci_copy_target *t, char *line)
{
	char *how = line + 2, *place = *line == '-' ? strchr(how, ' ') : NULL,
	     *text = place ? strchr(place + 1, ' ') : NULL;
	if (*line == '+' || !text) {
		eci_target_answered(t, *line == '+' ? NULL : "it did not arrive", NULL, ECI_ANSWER_ONE);
		return;
	}
	*place++ = *text++ = 0;
	char shown[1024], *where = place_of(place);
	(void)eci_escape_into(shown, sizeof shown, text, strlen(text));
	eci_target_answered(t, shown, where, strtol(how, NULL, 10));
	free(where);
}

bool eci_shell_answers(struct eci_copy_target *t, long wait_ms)
{
	int r;
	while ((r = eci_shell_line(t->shell, '\n', wait_ms)) > 0) {
		take_answer(t, t->shell->line);
		if (t->refused)
			return false;
	}
	return r == 0;
}

/* ---- resume ---- */

/* "= N DIGEST" to entry i. */
static void had(struct eci_copy_target *t, uint64_t *offsets, size_t i)
{
	uint8_t sum[ECI_DIGEST_SIZE];
	char *end;
	if (strncmp(t->shell->line, "= ", 2) != 0)
		return;
	long long n = strtoll(t->shell->line + 2, &end, 10);
	if (*end == ' ')
		eci_target_had(t, offsets, i, n, eci_shell_digest(end + 1, sum));
}

static void put_question(struct eci_buf *b, const struct eci_entry_here *e)
{
	char head[40];
	int n = snprintf(head, sizeof head, "? %llu ", (unsigned long long)e->st.st_size);
	(void)eci_buf_append(b, head, (size_t)n);
	eci_plain_put(b, e->path, strlen(e->path));
	(void)eci_buf_append(b, "\n", 1);
}

/* The next file from *i on, whose question was or is to be sent. */
static bool next_file(const struct eci_copy_target *t, size_t *i)
{
	const struct eci_sources *s = &t->job->s;
	while (*i < s->n && s->v[*i].kind != ECI_ENTRY_FILE)
		++*i;
	return *i < s->n;
}

uint64_t *eci_shell_have_there(struct eci_copy_target *t)
{
	struct eci_sources *s = &t->job->s;
	uint64_t *offsets = calloc(s->n ? s->n : 1, sizeof *offsets);
	struct eci_buf out = ECI_BUF_NULL;
	size_t asked = t->next, answered = t->next;
	int r = 0;
	if (!offsets || !t->algorithm)
		return offsets;
	eci_copy_moved(t->watch, ECI_COPY_FOR_ANSWER);
	while (r >= 0 && next_file(t, &answered) && !eci_copy_stopped(&t->job->k)) {
		if (!eci_buf_len(&out) && next_file(t, &asked))
			put_question(&out, &s->v[asked++]);
		if (eci_buf_len(&out)) {
			long w = ectx_stream_write(t->shell->cmd.io, eci_buf_data(&out), eci_buf_len(&out), 0);
			if (w > 0)
				eci_buf_drain(&out, (size_t)w);
			else if (w < 0 && errno != ETIMEDOUT)
				break;
		}
		bool all_said = !eci_buf_len(&out) && !next_file(t, &asked);
		while ((r = eci_shell_line(t->shell, '\n', all_said || eci_buf_len(&out) ? ECI_COPY_LOOK_MS : 0)) > 0 &&
		       next_file(t, &answered)) {
			eci_copy_moved(t->watch, ECI_COPY_FOR_NOTHING); /* it is hashed here */
			had(t, offsets, answered++);
			eci_copy_moved(t->watch, ECI_COPY_FOR_ANSWER);
		}
	}
	eci_copy_moved(t->watch, ECI_COPY_FOR_NOTHING);
	eci_buf_deinit(&out);
	return offsets;
}
