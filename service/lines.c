/* Bytes -> lines. Chunks come as the network cut them; what is complete is handed out at once, what is not waits in a
 * buffer that never holds more than ECI_LINE_MAX bytes: a program that writes without line ends gets its output cut
 * there, between two characters, not collected without bound.
 *
 * A \r that ends a line goes (output from a pty); others stay, the sink escapes them. When there is no memory for the
 * waiting part it is handed out as it is: a line in two pieces is better than a lost one. */
#include "service/service.h"

#include <string.h>

typedef void line_fn(void *arg, const char *line, size_t len);

static void hand_out(const char *line, size_t len, bool ended, line_fn *fn, void *arg)
{
	if (ended && len > 0 && line[len - 1] == '\r')
		len--;
	fn(arg, line, len);
}

static void hand_out_buffer(struct eci_lines *l, bool ended, line_fn *fn, void *arg)
{
	hand_out((const char *)eci_buf_data(&l->buf), eci_buf_len(&l->buf), ended, fn, arg);
	eci_buf_clear(&l->buf);
}

/* n bytes without a newline that end a line, or are cut there. */
static void piece(struct eci_lines *l, const char *p, size_t n, bool ended, line_fn *fn, void *arg)
{
	if (eci_buf_len(&l->buf) == 0) {
		eci_buf_clear(&l->buf); /* an append may have failed before */
		hand_out(p, n, ended, fn, arg);
		return;
	}
	if (eci_buf_append(&l->buf, p, n) == 0) {
		hand_out_buffer(l, ended, fn, arg);
		return;
	}
	hand_out_buffer(l, false, fn, arg);
	hand_out(p, n, ended, fn, arg);
}

/* How many bytes at the end are the start of a UTF-8 character. What is fed is whole characters (a log's text), so the
 * waiting part ends with one. */
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

void eci_lines_feed(struct eci_lines *l, const void *bytes, size_t n, line_fn *fn, void *arg)
{
	const char *p = bytes, *newline;
	size_t len, room;

	while (n > 0) {
		room = ECI_LINE_MAX - eci_buf_len(&l->buf);
		/* One byte more than fits is looked at: a line of exactly the limit is whole. */
		newline = memchr(p, '\n', n < room + 1 ? n : room + 1);
		if (!newline && n <= room) {
			if (eci_buf_append(&l->buf, p, n))
				piece(l, p, n, false, fn, arg);
			return;
		}
		len = newline ? (size_t)(newline - p) : room - unfinished(p, room);
		piece(l, p, len, newline != NULL, fn, arg);
		len += newline != NULL;
		p += len;
		n -= len;
	}
}

void eci_lines_flush(struct eci_lines *l, line_fn *fn, void *arg)
{
	if (eci_buf_len(&l->buf) > 0)
		hand_out_buffer(l, false, fn, arg);
}

void eci_lines_deinit(struct eci_lines *l)
{
	eci_buf_deinit(&l->buf);
}
