/* cli: output.
 *
 * One buffer serves both descriptors: changing from one to the other flushes it, so that lines of stdout and stderr
 * keep the order they came in when both are one terminal. stdio is not used because a blocked write must be
 * interruptible by the second ^C, must not lose what was half written when it is interrupted by the first, and must
 * tell EPIPE from the rest.
 *
 * A write that blocks blocks the only thread that takes events, and that is wanted: events not taken give no credit
 * back, so the far ends stop reading their commands and nothing piles up anywhere.
 *
 * Nothing here locks: most commands have one thread that writes. Where there are several (cp), each holds the output
 * for as long as its words belong together. The one question that may stand is not waited for with the output held: the
 * others would wait for the answer too, and a record that says why it is asked would not be seen. */
#include "cli/out.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/opts.h"
#include "cli/signals.h"
#include "econtext/econtext.h"

/* One pipe's worth: more would only delay what is shown. */
#define BUFFER_MAX 65536
/* Redrawing more often is flicker and, over ssh, traffic. */
#define PROGRESS_EVERY_S 0.2
/* After the first ^C a reader that has stopped is given so long: waiting for it would make ^C do nothing. */
#define INTERRUPTED_WAIT_MS 1000

static struct {
	char bytes[BUFFER_MAX];
	size_t len;
	int fd;        /* whose bytes they are */
	int errors[3]; /* of each descriptor: who has stopped to read one may still read the other */
	bool drawn;    /* a progress line stands on the terminal */
	double drawn_at;
} out;

static struct {
	const char *text; /* NULL: none stands */
	int tty;
	bool shown;
} question;

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

void eci_out_hold(void)
{
	(void)pthread_mutex_lock(&held);
}

void eci_out_release(void)
{
	(void)pthread_mutex_unlock(&held);
}

static double seconds(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double eci_now(void)
{
	return seconds(CLOCK_REALTIME);
}

double eci_clock(void)
{
	return seconds(CLOCK_MONOTONIC);
}

static void write_all(int fd, const char *p, size_t n)
{
	int *error = &out.errors[fd];
	while (n && !*error) {
		size_t now = n;
		if (eci_signals_interrupts() || eci_signals_must_end()) { /* what can be written is, but nobody is
									      waited for any more, or not for long */
			struct pollfd one = {.fd = fd, .events = POLLOUT};
			if (poll(&one, 1, eci_signals_must_end() ? 0 : INTERRUPTED_WAIT_MS) != 1)
				*error = EINTR;
			if (now > PIPE_BUF)
				now = PIPE_BUF; /* so much a writable pipe takes without blocking */
		}
		ssize_t w = *error ? -1 : write(fd, p, now);
		if (w >= 0) {
			p += w;
			n -= (size_t)w;
		} else if (*error) {
			return;
		} else if (errno == EAGAIN) { /* somebody shares the descriptor and made it non-blocking */
			struct pollfd one = {.fd = fd, .events = POLLOUT};
			poll(&one, 1, -1);
			if (eci_signals_must_end())
				*error = EINTR;
		} else if (errno != EINTR || eci_signals_must_end()) {
			*error = errno;
		}
	}
}

static void erase(void)
{
	if (!out.drawn)
		return;
	out.drawn = false;
	write_all(2, "\r\033[K", 4);
}

/* To the terminal of the question. That it fails is no error of the output. */
static void tell(const char *text)
{
	size_t n = strlen(text);
	while (n) {
		ssize_t w = write(question.tty, text, n);
		if (w <= 0)
			return;
		text += w;
		n -= (size_t)w;
	}
}

static void ask(void)
{
	tell(question.text);
	tell(": ");
	question.shown = true;
}

void eci_out_question(int tty, const char *text)
{
	question.tty = tty;
	question.text = text;
	ask();
}

void eci_out_answered(void)
{
	tell("\n");
	question.text = NULL;
}

/* Writes above what stands on the terminal: a line of progress goes for good, a question is asked again below. */
static void put(const char *p, size_t n)
{
	bool above = question.text && isatty(out.fd);
	erase();
	if (above && question.shown) {
		tell(eci_out_terminal() ? "\r\033[K" : "\n");
		question.shown = false;
	}
	write_all(out.fd, p, n);
	if (above && p[n - 1] == '\n')
		ask();
}

void eci_out_flush(void)
{
	if (out.len)
		put(out.bytes, out.len);
	out.len = 0;
}

void eci_out_clear(void)
{
	eci_out_flush();
	erase();
}

void eci_out_bytes(int fd, const char *p, size_t n)
{
	if (out.fd != fd || out.len + n > BUFFER_MAX)
		eci_out_flush();
	out.fd = fd;
	if (n > BUFFER_MAX) {
		put(p, n);
		return;
	}
	memcpy(out.bytes + out.len, p, n);
	out.len += n;
}

void eci_out_remote(int fd, const char *p, size_t n)
{
	static int terminal[3]; /* 0: not asked yet; 1: it is one; -1: it is none */
	if (!terminal[fd])
		terminal[fd] = isatty(fd) ? 1 : -1;
	if (terminal[fd] < 0) {
		eci_out_bytes(fd, p, n);
		return;
	}
	for (const char *end = p + n;;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *last = nl ? nl : end;
		if (last > p && last[-1] == '\r') /* with the newline behind it, it does nothing */
			last--;
		char *text = ectx_escape(p, (size_t)(last - p));
		eci_out_text(fd, text ? text : "");
		free(text);
		if (!nl)
			return;
		eci_out_bytes(fd, "\n", 1);
		p = nl + 1;
	}
}

void eci_out_text(int fd, const char *text)
{
	eci_out_bytes(fd, text, strlen(text));
}

void eci_out_printf(int fd, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	char small[512];
	int n = vsnprintf(small, sizeof small, fmt, ap);
	if (n >= 0 && (size_t)n < sizeof small) {
		eci_out_bytes(fd, small, (size_t)n);
	} else if (n >= 0) {
		char *large = eci_alloc((size_t)n + 1);
		vsnprintf(large, (size_t)n + 1, fmt, again);
		eci_out_bytes(fd, large, (size_t)n);
		free(large);
	}
	va_end(again);
	va_end(ap);
}

int eci_out_error(void)
{
	return out.errors[1] ? out.errors[1] : out.errors[2];
}

bool eci_out_terminal(void)
{
	const char *term = getenv("TERM");
	return isatty(2) && term && *term && strcmp(term, "dumb") != 0;
}

bool eci_out_colour(void)
{
	const char *no = getenv("NO_COLOR");
	return !(no && *no) && eci_out_terminal();
}

void eci_out_progress(const char *text, bool force)
{
	double now = eci_clock();
	if (question.text || (!force && now - out.drawn_at < PROGRESS_EVERY_S))
		return;
	eci_out_flush();
	out.drawn_at = now;
	/* one row, or what wraps stays behind; the last column is left free for the cursor */
	struct winsize w = {0};
	size_t n = strlen(text);
	if (ioctl(2, TIOCGWINSZ, &w) == 0 && w.ws_col && n >= w.ws_col)
		n = w.ws_col - 1u;
	write_all(2, "\r", 1);
	write_all(2, text, n);
	write_all(2, "\033[K", 3);
	out.drawn = true;
}

/* How many bytes at the end are the start of a UTF-8 character. */
static size_t unfinished(const char *p, size_t n)
{
	for (size_t i = 1; i <= 3 && i <= n; i++) {
		unsigned char c = (unsigned char)p[n - i];
		if (c >= 0xC0)
			return (c < 0xE0 ? 2u : c < 0xF0 ? 3u : 4u) > i ? i : 0;
		if (c < 0x80)
			break;
	}
	return 0;
}

void eci_split_feed(struct eci_split *l, const char *p, size_t n, eci_split_fn fn, void *arg)
{
	while (n) {
		const char *nl = memchr(p, '\n', n);
		size_t take = nl ? (size_t)(nl - p) : n;
		if (take > ECI_SPLIT_MAX - l->len) {
			take = ECI_SPLIT_MAX - l->len;
			nl = NULL;
		}
		if (nl && !l->len) { /* the usual case: a whole line, given without a copy */
			fn(arg, p, take, false);
		} else {
			if (l->len + take > l->cap) {
				l->cap = l->len + take < 1024
						 ? 1024
						 : (l->len + take > ECI_SPLIT_MAX / 2 ? ECI_SPLIT_MAX
										      : 2 * (l->len + take));
				l->buf = eci_grow(l->buf, l->cap);
			}
			memcpy(l->buf + l->len, p, take);
			l->len += take;
			if (nl || (l->len == ECI_SPLIT_MAX && n > take)) {
				/* A character that is cut would be text in neither piece. */
				size_t rest = nl ? 0 : unfinished(l->buf, l->len);
				fn(arg, l->buf, l->len - rest, !nl);
				memmove(l->buf, l->buf + l->len - rest, rest);
				l->len = rest;
			}
		}
		p += take + (nl != NULL);
		n -= take + (nl != NULL);
	}
}

void eci_split_end(struct eci_split *l, eci_split_fn fn, void *arg)
{
	if (l->len)
		fn(arg, l->buf, l->len, true);
	free(l->buf);
	*l = (struct eci_split){0};
}
