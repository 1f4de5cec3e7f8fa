/* Evidence: the last 4 KiB of what a hop printed, and the line or two of it that explain a failure.
 *
 * A tail is a ring: a site that prints megabytes costs 4 KiB, and the end is what matters, because a failure's words
 * come last. It keeps raw bytes; they are made printable only when somebody looks, as an escape may not be cut in half
 * and most boots succeed. Escaping is strict (no control character, no bidi override gets through), because this text
 * ends on the terminal of an administrator and was written by a machine that may be hostile.
 */
#include "transport/evidence.h"
#include "transport/messages.h"
#include <stdio.h>
#include <string.h>

void eci_tail_clear(struct eci_tail *t)
{
	t->total = 0;
}

void eci_tail_add(struct eci_tail *t, const uint8_t *p, size_t n)
{
	size_t skip = n > ECI_EVIDENCE_MAX ? n - ECI_EVIDENCE_MAX : 0;
	t->total += skip;
	for (size_t i = skip; i < n; i++)
		t->bytes[t->total++ % ECI_EVIDENCE_MAX] = p[i];
}

size_t eci_tail_copy(const struct eci_tail *t, uint64_t last, uint8_t *out)
{
	if (last > t->total)
		last = t->total;
	size_t n = last < ECI_EVIDENCE_MAX ? (size_t)last : ECI_EVIDENCE_MAX;
	for (size_t i = 0; i < n; i++)
		out[i] = t->bytes[(t->total - n + i) % ECI_EVIDENCE_MAX];
	return n;
}

/* Length of the UTF-8 character at p (1 to 4), its value in *c; 0 if it is none. */
static size_t utf8_at(const uint8_t *p, size_t n, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	if (!len || len > n || p[0] > 0xf4)
		return 0;
	*c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return 0;
	return len;
}

static bool harmless(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	/* Direction marks, embeddings and isolates; line and paragraph separators; the byte order mark. */
	return !(c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
		 (c >= 0x2060 && c <= 0x206f) || c == 0xfeff);
}

static int escape_one(char out[16], uint8_t byte, uint32_t c, size_t len)
{
	if (len > 1)
		return snprintf(out, 16, "\\u{%x}", (unsigned)c);
	switch (byte) {
	case '\n':
		return snprintf(out, 16, "\\n");
	case '\r':
		return snprintf(out, 16, "\\r");
	case '\t':
		return snprintf(out, 16, "\\t");
	case 0x1b:
		return snprintf(out, 16, "\\e");
	default:
		return snprintf(out, 16, "\\x%02x", byte);
	}
}

size_t eci_escape(char *out, size_t cap, const uint8_t *p, size_t n)
{
	size_t o = 0;
	for (size_t i = 0; i < n;) {
		uint32_t c = 0;
		char text[16];
		size_t len = utf8_at(p + i, n - i, &c), size = len;
		if (len && harmless(c))
			memcpy(text, p + i, len);
		else
			size = (size_t)escape_one(text, p[i], c, len);
		if (o + size + 1 > cap)
			break;
		memcpy(out + o, text, size);
		o += size;
		i += len ? len : 1;
	}
	if (cap)
		out[o] = '\0';
	return o;
}

static bool worth_showing(enum eci_method method, const uint8_t *p, size_t n)
{
	char line[256];
	size_t i = 0;
	while (i < n && (p[i] == ' ' || p[i] == '\r' || p[i] == '\t'))
		i++;
	if (i == n)
		return false;
	n = n < sizeof line ? n : sizeof line - 1;
	for (i = 0; i < n; i++)
		line[i] = p[i] ? (char)p[i] : '?';
	line[n] = '\0';
	const struct eci_message *m = eci_message_match(method, false, line);
	return !m || m->act > ECI_MSG_LOGIN;
}

void eci_tail_last_lines(const struct eci_tail *t, uint64_t last, enum eci_method method, unsigned lines, char *out,
			 size_t cap)
{
	uint8_t raw[ECI_EVIDENCE_MAX];
	struct {
		size_t at, n;
	} pick[8];
	unsigned picked = 0;
	size_t end = eci_tail_copy(t, last, raw), o = 0;
	out[0] = '\0';
	if (lines > sizeof pick / sizeof *pick)
		lines = sizeof pick / sizeof *pick;
	while (end && picked < lines) {
		size_t start = end;
		while (start && raw[start - 1] != '\n')
			start--;
		size_t n = end - start;
		while (n && (raw[start + n - 1] == '\r' || raw[start + n - 1] == ' '))
			n--;
		if (worth_showing(method, raw + start, n)) {
			pick[picked].at = start;
			pick[picked++].n = n;
		}
		end = start ? start - 1 : 0;
	}
	while (picked-- && o + 4 < cap) {
		if (o) {
			memcpy(out + o, " | ", 4);
			o += 3;
		}
		/* A line of binary must not push the others out. */
		size_t n = pick[picked].n < 512 ? pick[picked].n : 512;
		o += eci_escape(out + o, cap - o, raw + pick[picked].at, n);
	}
}
