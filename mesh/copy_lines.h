/* mesh: what a copy says to a shell, and what that answers (copy_lines.c; preamble/shell says what there is). */
#ifndef ECI_MESH_COPY_LINES_H
#define ECI_MESH_COPY_LINES_H

#include "mesh/command.h"
#include "mesh/copy.h"

#define ECI_SHELL_LINE_MAX 16384u /* three digits a byte of the longest path, and words */

#define ECI_RUN_MAX (1u << 20) /* bytes promised at once: as many zeros are kept in memory if they do not come */

/* n bytes as a word of such a line: what is not plain in it is \0 and three octal digits. */
void eci_plain_put(struct eci_buf *b, const char *p, size_t n);

/* A copy's command while it runs. */
struct eci_copy_shell {
	struct eci_command cmd;
	ectx_context *context; /* where it is */
	const char *script;    /* what it runs */
	struct eci_copy *copy; /* whose it is: asked whether to go on, wherever it is waited */
	struct eci_buf in;     /* read, not taken */
	char line[ECI_SHELL_LINE_MAX];
	const char *algorithm; /* NULL: it has no digests */
	uint64_t left;         /* from there: bytes of a file that are to come */
	uint64_t size;         /* of that file */
	bool asked, in_file;   /* it waits for what is here; its end is to come */
};

/* Runs `script` ("put", "get") at c with these arguments. false: no memory. */
bool eci_shell_begin(struct eci_copy_shell *s, struct eci_copy *k, ectx_context *c, const char *script,
		     const char *const *args);
/* Waits for its greeting. 1: it is there; 0: not in wait_ms; -1: it is over, or is another program. */
int eci_shell_greeted(struct eci_copy_shell *s, long wait_ms);
void eci_shell_end(struct eci_copy_shell *s);
/* Reads something into s->in. 1; 0: nothing in wait_ms, or the copy is to stop (so in all that waits); -1: it is over.
 */
int eci_shell_more(struct eci_copy_shell *s, long wait_ms);
/* What comes next up to `last`, into s->line, NUL-terminated and without it. 1; 0: not in wait_ms; -1: it is over. */
int eci_shell_line(struct eci_copy_shell *s, char last, long wait_ms);
/* 1 to n bytes into p; 0: none in wait_ms; -1: it is over. */
long eci_shell_bytes(struct eci_copy_shell *s, uint8_t *p, size_t n, long wait_ms);
/* Why it ended, when it should not have. Who has said that all is over, or what it must not, may take ECI_SHELL_END_MS
 * to end. */
#define ECI_SHELL_END_MS 5000
void eci_shell_why(const struct eci_copy_shell *s, ectx_error *e);

/* A digest in hexadecimal digits into sum; NULL: it is none. */
const uint8_t *eci_shell_digest(const char *hex, uint8_t sum[ECI_DIGEST_SIZE]);

/* The next of what `get` says, as the value that econtext_sources.py would send for it. ECTX_OK with *out, or NULL at
 * its end; ECTX_DEADLINE: not in wait_ms; another: it is over, or it said what it must not. */
enum ectx_status eci_shell_value(struct eci_copy_shell *s, ectx_value **out, long wait_ms);
/* So much of the file it asked for is here. 0 or -1. */
int eci_shell_have(struct eci_copy_shell *s, uint64_t n, const uint8_t sum[ECI_DIGEST_SIZE]);

#endif
