/* cli: what goes to stdout and stderr, in order, by whole lines. */
#ifndef ECI_CLI_OUT_H
#define ECI_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>

/* Appends to the output of fd (1 or 2). Kept until eci_out_flush(), or until it is much. Blocks while the reader does.
 */
void eci_out_bytes(int fd, const char *p, size_t n);
/* The same of what a remote wrote beside a node's name, one line or more: on a terminal what acts there is escaped. */
void eci_out_remote(int fd, const char *p, size_t n);
void eci_out_text(int fd, const char *text);
void eci_out_printf(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void eci_out_flush(void);
/* 0, or the errno of the first write that failed: nothing is written since then. EINTR: given up because the user said
 * so. */
int eci_out_error(void);
/* Colour and redrawn lines are wanted on stderr. */
bool eci_out_colour(void);
bool eci_out_terminal(void);
/* One line on stderr that the next output removes; only on a terminal, a few times a second. force: draw it now. */
void eci_out_progress(const char *text, bool force);
void eci_out_clear(void); /* flushes, and removes that line */
/* Where several threads write or draw: each for as long as what it has to say belongs together. Not twice by one. */
void eci_out_hold(void);
void eci_out_release(void);
/* A question stands on the terminal from here until it is answered, with nothing drawn over it; what must be said
 * meanwhile stands above it. text is kept until then. Both while the output is held, but not between. */
void eci_out_question(int tty, const char *text);
void eci_out_answered(void);
double eci_now(void);   /* seconds since the epoch */
double eci_clock(void); /* seconds, of a clock that nobody sets */

/* Bytes of one stream of one node until they make a line. */
struct eci_split {
	char *buf;
	size_t len, cap;
};
/* Longest line that is kept together: a longer one is given in pieces of this size, so that a node cannot fill the
 * memory here. */
#define ECI_SPLIT_MAX 65536
/* cut: not ended by a newline (the stream's end, or too long). */
typedef void (*eci_split_fn)(void *arg, const char *line, size_t n, bool cut);
void eci_split_feed(struct eci_split *l, const char *p, size_t n, eci_split_fn fn, void *arg);
void eci_split_end(struct eci_split *l, eci_split_fn fn, void *arg); /* gives the rest, frees */

#endif
