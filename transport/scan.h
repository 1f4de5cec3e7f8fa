/* transport, internal: the marker in a stream of noise, and lines that may not end. */
#ifndef ECI_TRANSPORT_SCAN_H
#define ECI_TRANSPORT_SCAN_H

#include "core/interpreter.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECI_NONCE_LEN 8u
#define ECI_MARKER_TAIL 384u /* bytes of a marker line kept: an interpreter given by its path may be long */

struct eci_marker {
	char interpreter[ECI_INTERPRETER_MAX + 1]; /* its name, or the last part of its path */
	char system[64];
};

struct eci_marker_scan {
	char prefix[3 + ECI_NONCE_LEN + 1]; /* "EC:NONCE:", no NUL */
	char tail[2 * ECI_MARKER_TAIL];     /* the end of the line that is being read */
	size_t len;
};
void eci_marker_scan_init(struct eci_marker_scan *s, const char *nonce);
/* Reads up to the end of the first marker line. Returns the bytes read; *found says whether *out was set. */
size_t eci_marker_scan_feed(struct eci_marker_scan *s, const uint8_t *p, size_t n, struct eci_marker *out, bool *found);

#define ECI_SCAN_LINE_MAX 512u /* of a longer line the end is kept: that is where a prompt stands */
struct eci_line_scan {
	char text[ECI_SCAN_LINE_MAX + 1]; /* always NUL-terminated; CR is left out, NUL becomes '?' */
	size_t len;
	bool whole; /* text is a whole line: the next byte starts another */
};
void eci_line_scan_reset(struct eci_line_scan *s);
/* True: text is now a whole line. */
bool eci_line_scan_feed(struct eci_line_scan *s, uint8_t byte);

/* A password prompt of ssh, su or doas at the end of a partial line: "Password:", "bob@web1's password:", "Password for
 * bob:". */
bool eci_prompt_is_password(const char *line);
/* ssh asking for the passphrase of a key. */
bool eci_prompt_is_passphrase(const char *line);
/* The line ends with exactly this text. */
bool eci_prompt_is(const char *line, const char *prompt);

#endif
