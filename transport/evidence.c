/* Evidence: the last 4 KiB of what a hop printed, and the line or two of it that explain a failure.
 *
 * A tail is a ring: a site that prints megabytes costs 4 KiB, and the end is what matters, because a failure's words
 * come last. It keeps raw bytes; they are made printable only when somebody looks, as an escape may not be cut in half
 * and most boots succeed. Escaping is strict (no control character, no bidi override gets through), because this text
 * ends on the terminal of an administrator and was written by a machine that may be hostile.
 *
 * A tool may repeat the secret that it was given, and what is shown ends in logs: so that is hidden, while the bytes
 * are still raw and whole; the rest of one of which the ring has lost the beginning may stand at its start.
 */
#include "transport/evidence.h"
#include "transport/messages.h"
#include <string.h>

size_t eci_hide(uint8_t *p, size_t n, const char *secret)
{
	static const char shown[] = "***";
	size_t m = secret ? strlen(secret) : 0, out = 0;
	if (m < ECI_HIDDEN_MIN)
		return n;
	for (size_t i = 0; i < n;) {
		if (n - i < m || memcmp(p + i, secret, m) != 0) {
			p[out++] = p[i++];
			continue;
		}
		memcpy(p + out, shown, sizeof shown - 1);
		out += sizeof shown - 1;
		i += m;
	}
	return out;
}

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
	size_t n = eci_tail_copy(t, last, raw), lost = 0, o = 0;
	if (t->hidden && n == sizeof raw && t->total > n)
		lost = strlen(t->hidden) < n ? strlen(t->hidden) : n;
	size_t end = eci_hide(raw + lost, n - lost, t->hidden);
	memmove(raw, raw + lost, end);
	out[0] = '\0';
	if (lines > sizeof pick / sizeof *pick)
		lines = sizeof pick / sizeof *pick;
	while (end && picked < lines) {
		size_t start = end;
		while (start && raw[start - 1] != '\n')
			start--;
		n = end - start;
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
		n = pick[picked].n < 512 ? pick[picked].n : 512;
		o += eci_escape(out + o, cap - o, raw + pick[picked].at, n);
	}
}
