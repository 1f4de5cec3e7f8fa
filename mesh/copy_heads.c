/* What `get` says (preamble/shell/get.sh), as the values that econtext_sources.py would send for it: so copy_from.c
 * needs not know which of the two speaks. */
#include "mesh/copy_run.h"
#include "mesh/copy_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIELD_MS 30000 /* the rest of something that has begun; a host may swap */

static ectx_value *list(const char *what)
{
	ectx_value *v = ectx_array();
	if (v && ectx_array_push(v, ectx_text(what)))
		return v;
	ectx_value_free(v);
	return NULL;
}

static bool add_bytes(ectx_value *v, const char *s)
{
	return v && ectx_array_push(v, ectx_bytes(s, strlen(s)));
}

/* One of the numbers in front of a path. */
static long long number(const char **at, int base)
{
	char *end;
	long long n = strtoll(*at, &end, base);
	*at = *end == ' ' ? end + 1 : end;
	return n;
}

/* "SECONDS FRACTION ", "- 0 ": the host has no word for it, and now is as good as any. */
static double time_of(const char **at)
{
	if (!strncmp(*at, "- 0 ", 4)) {
		*at += 4;
		return (double)time(NULL);
	}
	long long seconds = number(at, 10);
	long ns = 0; /* strtod(3) would ask the locale what a point is */
	for (long weight = 100000000; **at >= '0' && **at <= '9'; ++*at, weight /= 10)
		ns += weight * (**at - '0');
	*at += **at == ' ';
	return (double)seconds + (double)ns / 1e9;
}

static ectx_value *folder_or_file(struct eci_copy_shell *s)
{
	bool file = s->line[0] == 'f';
	const char *at = s->line + 1;
	long long mode = number(&at, 8);
	double mtime = time_of(&at);
	long long size = file ? number(&at, 10) : 0, ask = file ? number(&at, 10) : 0;
	if (size < 0)
		return NULL;
	ectx_value *v = list(file ? "file" : "dir");
	bool good = add_bytes(v, at) && ectx_array_push(v, ectx_int(mode)) && ectx_array_push(v, ectx_float(mtime));
	if (file) {
		s->size = s->left = (uint64_t)size;
		s->in_file = true;
		s->asked = ask == 1;
		good = good && ectx_array_push(v, ectx_int(size)) && ectx_array_push(v, ectx_int(0)) &&
		       ectx_array_push(v, ectx_bool(s->asked));
	}
	if (good)
		return v;
	ectx_value_free(v);
	return NULL;
}

/* `l PATH TARGET`, `e PATH TEXT`: the second is a field of its own. */
static ectx_value *link_or_error(struct eci_copy_shell *s)
{
	bool error = s->line[0] == 'e';
	ectx_value *v = list(error ? "error" : "link");
	bool good = add_bytes(v, s->line + 2) && (!error || ectx_array_push(v, ectx_int(0))) &&
		    eci_shell_line(s, 0, FIELD_MS) > 0;
	char text[1024];
	(void)eci_escape_into(text, sizeof text, s->line, strlen(s->line));
	good = good && (error ? ectx_array_push(v, ectx_text(text)) != NULL : add_bytes(v, s->line));
	if (good)
		return v;
	ectx_value_free(v);
	return NULL;
}

static ectx_value *word(struct eci_copy_shell *s)
{
	switch (s->line[0]) {
	case 'd':
	case 'f':
		return folder_or_file(s);
	case 'l':
	case 'e':
		return link_or_error(s);
	default:
		return NULL;
	}
}

/* "@ N": where the file that was asked about goes on. */
static ectx_value *from(struct eci_copy_shell *s)
{
	const char *at = s->line + 1;
	long long n = strncmp(s->line, "@ ", 2) ? -1 : number(&at, 10);
	s->asked = false;
	if (n < 0 || (uint64_t)n > s->size)
		return NULL;
	s->left = s->size - (uint64_t)n;
	ectx_value *v = list("from");
	if (v)
		(void)ectx_array_push(v, ectx_int(n));
	return v;
}

/* ". DIGEST", ". !" */
static ectx_value *end(struct eci_copy_shell *s)
{
	uint8_t sum[ECI_DIGEST_SIZE];
	s->in_file = false;
	if (strncmp(s->line, ". ", 2) != 0)
		return NULL;
	if (s->line[2] == '!')
		return list("cut");
	const uint8_t *had = eci_shell_digest(s->line + 2, sum);
	ectx_value *v = list("done");
	if (v)
		(void)ectx_array_push(v, had ? ectx_bytes(sum, sizeof sum) : ectx_null());
	return v;
}

static ectx_value *piece(const uint8_t *p, size_t n)
{
	if (n < ECI_COPY_PIECE || p[0] || memcmp(p, p + 1, n - 1) != 0)
		return ectx_bytes(p, n);
	ectx_value *v = list("hole");
	if (v)
		(void)ectx_array_push(v, ectx_int((int64_t)n));
	return v;
}

/* As much of a piece as comes; whole ones where they come fast, so that their zeros can be seen. */
static enum ectx_status some_bytes(struct eci_copy_shell *s, ectx_value **out, long wait_ms)
{
	size_t want = s->left < ECI_COPY_PIECE ? (size_t)s->left : ECI_COPY_PIECE, have = 0;
	uint8_t *p = malloc(want);
	long n = p ? 1 : -1;
	while (n > 0 && have < want && !eci_copy_stopped(s->copy)) {
		n = eci_shell_bytes(s, p + have, want - have, wait_ms);
		have += n > 0 ? (size_t)n : 0;
	}
	s->left -= have;
	*out = have ? piece(p, have) : NULL;
	free(p);
	return *out ? ECTX_OK : n == 0 ? ECTX_DEADLINE : ECTX_FAILED;
}

enum ectx_status eci_shell_value(struct eci_copy_shell *s, ectx_value **out, long wait_ms)
{
	*out = NULL;
	if (s->left && !s->asked)
		return some_bytes(s, out, wait_ms);
	bool lines = s->asked || s->in_file;
	if (!lines && !eci_buf_len(&s->in)) { /* which of the two ends it, its first letter says */
		int r = eci_shell_more(s, wait_ms);
		if (r <= 0)
			return r ? ECTX_FAILED : ECTX_DEADLINE;
	}
	const uint8_t *first = eci_buf_data(&s->in);
	bool short_word = !lines && (*first == 's' || *first == '.');
	int r = eci_shell_line(s, lines || short_word ? '\n' : 0, lines ? wait_ms : FIELD_MS);
	if (r <= 0)
		return r || !lines ? ECTX_FAILED : ECTX_DEADLINE;
	if (short_word && !strcmp(s->line, "."))
		return ECTX_OK;
	*out = s->asked                              ? from(s)
	       : s->in_file                          ? end(s)
	       : short_word && !strcmp(s->line, "s") ? list("several")
						     : word(s);
	return *out ? ECTX_OK : ECTX_FAILED;
}

int eci_shell_have(struct eci_copy_shell *s, uint64_t n, const uint8_t sum[ECI_DIGEST_SIZE])
{
	char line[128];
	int len = snprintf(line, sizeof line, "%llu ", (unsigned long long)n);
	for (size_t i = 0; n && i < ECI_DIGEST_SIZE; i++)
		len += snprintf(line + len, sizeof line - (size_t)len, "%02x", sum[i]);
	line[len++] = '\n';
	return eci_copy_say(s->copy, s->cmd.io, line, (size_t)len) ? 0 : -1;
}
