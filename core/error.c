/* Names, hints and statuses of phases and codes.
 *
 * Everything is expanded from the two X-macros of error.h, so that the enum, the text that a program matches on, and
 * the exit status cannot drift apart: a code that lacks one of them does not compile. The tables are plain constant
 * data and the file is freestanding, because the native agent reports failures with the same words.
 *
 * A number out of range is not an assertion failure: these numbers come over the wire from peers that may be newer than
 * we are, and the caller is usually already reporting an error. It gets the text of NONE or an internal status.
 */
#include "econtext/error.h"
#include <stddef.h>

static const char *const phase_names[] = {
#define X(name, text) text,
	ECTX_PHASES(X)
#undef X
};

static const struct {
	const char *name, *hint;
	enum ectx_status status;
} codes[] = {
#define X(id, text, code_status, code_hint) {text, code_hint, ECTX_##code_status},
	ECTX_CODES(X)
#undef X
};

static size_t phase_index(enum ectx_phase phase)
{
	return (size_t)phase < sizeof phase_names / sizeof *phase_names ? (size_t)phase : 0;
}

static size_t code_index(enum ectx_code code)
{
	return (size_t)code < sizeof codes / sizeof *codes ? (size_t)code : 0;
}

const char *ectx_phase_name(enum ectx_phase phase)
{
	return phase_names[phase_index(phase)];
}

const char *ectx_code_name(enum ectx_code code)
{
	return codes[code_index(code)].name;
}

const char *ectx_code_hint(enum ectx_code code)
{
	return codes[code_index(code)].hint;
}

enum ectx_status ectx_code_status(enum ectx_code code)
{
	if ((size_t)code >= sizeof codes / sizeof *codes)
		return ECTX_INTERNAL;
	return codes[code].status;
}
