/* Finding the marker in noise, and prompts at the end of unfinished lines.
 *
 * The marker is `EC:NONCE:INTERPRETER:SYSTEM MACHINE` and a newline, and anything at all may stand before it, on the
 * same line too (a prompt without newline, 200 KiB of binary). Only the end of the current line is kept; when its
 * newline comes, the last prefix in it is looked at. So the scanner needs a fixed number of bytes whatever a site
 * prints, and it cannot miss a marker that stands behind a false start of itself.
 *
 * A marker is believed only if what follows the prefix has its exact shape: a shell that echoes its command line shows
 * `EC:NONCE:$p:`, and `$` is not a character of an interpreter's name.
 *
 * Prompts are looked for byte by byte, not chunk by chunk: whether a password goes out must not depend on how the bytes
 * were cut on their way through five hops.
 */
#include "transport/scan.h"
#include <string.h>

void eci_marker_scan_init(struct eci_marker_scan *s, const char *nonce)
{
	*s = (struct eci_marker_scan){0};
	memcpy(s->prefix, "EC:", 3);
	for (size_t i = 0; i < ECI_NONCE_LEN && nonce[i]; i++)
		s->prefix[3 + i] = nonce[i];
	s->prefix[3 + ECI_NONCE_LEN] = ':';
}

static bool name_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("._+-/", c);
}

/* [p, end): "INTERPRETER:SYSTEM MACHINE", the newline and a CR before it cut off. */
static bool parse_marker(const char *p, const char *end, struct eci_marker *out)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));
	if (!colon || colon == p)
		return false;
	const char *name = p;
	for (const char *c = p; c < colon; c++) {
		if (!*c || !name_char(*c))
			return false;
		if (*c == '/')
			name = c + 1;
	}
	size_t name_len = (size_t)(colon - name);
	size_t system_len = (size_t)(end - colon - 1);
	if (!name_len || name_len >= sizeof out->interpreter || system_len >= sizeof out->system)
		return false;
	for (const char *c = colon + 1; c < end; c++)
		if (*c < 0x20 || *c > 0x7e)
			return false;
	memset(out, 0, sizeof *out);
	memcpy(out->interpreter, name, name_len);
	memcpy(out->system, colon + 1, system_len);
	return true;
}

static bool line_has_marker(const struct eci_marker_scan *s, struct eci_marker *out)
{
	size_t n = s->len, m = sizeof s->prefix;
	const char *end = s->tail + n;
	if (n && end[-1] == '\r')
		end--;
	for (size_t i = n; i >= m; i--)
		if (!memcmp(s->tail + i - m, s->prefix, m))
			return s->tail + i <= end && parse_marker(s->tail + i, end, out);
	return false;
}

size_t eci_marker_scan_feed(struct eci_marker_scan *s, const uint8_t *p, size_t n, struct eci_marker *out, bool *found)
{
	*found = false;
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			*found = line_has_marker(s, out);
			s->len = 0;
			if (*found)
				return i + 1;
			continue;
		}
		if (s->len == sizeof s->tail) {
			memmove(s->tail, s->tail + s->len - ECI_MARKER_TAIL, ECI_MARKER_TAIL);
			s->len = ECI_MARKER_TAIL;
		}
		s->tail[s->len++] = (char)p[i];
	}
	return n;
}

void eci_line_scan_reset(struct eci_line_scan *s)
{
	s->len = 0;
	s->text[0] = '\0';
	s->whole = false;
}

bool eci_line_scan_feed(struct eci_line_scan *s, uint8_t byte)
{
	if (s->whole)
		eci_line_scan_reset(s);
	if (byte == '\n') {
		s->whole = true;
		return true;
	}
	if (byte == '\r')
		return false;
	if (s->len == ECI_SCAN_LINE_MAX) {
		memmove(s->text, s->text + ECI_SCAN_LINE_MAX / 2, ECI_SCAN_LINE_MAX / 2);
		s->len = ECI_SCAN_LINE_MAX / 2;
	}
	s->text[s->len++] = byte ? (char)byte : '?';
	s->text[s->len] = '\0';
	return false;
}

bool eci_prompt_is(const char *line, const char *prompt)
{
	size_t n = strlen(line), m = strlen(prompt);
	return m <= n && !memcmp(line + n - m, prompt, m);
}

bool eci_prompt_is_password(const char *line)
{
	/* Without the first letter: both "Password" and "password", and no case table is needed. */
	if (eci_prompt_is(line, "assword:"))
		return true;
	const char *at = strstr(line, "assword for ");
	return at && eci_prompt_is(at, ":");
}

bool eci_prompt_is_passphrase(const char *line)
{
	return strstr(line, "Enter passphrase for ") && eci_prompt_is(line, ":");
}
