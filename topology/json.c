/* The two ways in which text leaves this folder for other programs: JSON strings and words that a shell reads back as
 * they are. Written to a FILE (open_memstream) so that callers mix them with fprintf. Bytes that are not UTF-8 become
 * U+FFFD: JSON has no other way to say them. */
#include "topology/base.h"
#include "core/text.h"

#include <string.h>

void eci_json_string(FILE *f, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	fputc('"', f);
	for (size_t left = strlen(s); left;) {
		uint32_t point = 0;
		size_t n = eci_utf8_next(p, left, &point);
		if (n == 0) {
			fputs("\\ufffd", f);
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			fprintf(f, "\\%c", *p);
		} else if (*p == '\n') {
			fputs("\\n", f);
		} else if (*p < 0x20 || *p == 0x7f) {
			fprintf(f, "\\u%04x", *p);
		} else {
			fwrite(p, 1, n, f);
		}
		p += n;
		left -= n;
	}
	fputc('"', f);
}

void eci_json_strings(FILE *f, const char *const *list)
{
	fputc('[', f);
	for (size_t i = 0; list[i]; i++) {
		fputs(i ? ", " : "", f);
		eci_json_string(f, list[i]);
	}
	fputc(']', f);
}

void eci_shell_quote(FILE *f, const char *s)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
	if (*s && strspn(s, safe) == strlen(s)) {
		fputs(s, f);
		return;
	}
	fputc('\'', f);
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", f);
		else
			fputc(*s, f);
	}
	fputc('\'', f);
}
