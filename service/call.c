/* Calls: the target as a user writes it, the request, and the answer (docs/protocol.md section 8).
 *
 * A target is module:name, or FILE.py:name where FILE has a slash in it. The slash decides, not the suffix: "prog.py:f"
 * could as well be a module py in a package prog, and guessing would run one when the other was meant. A file's stem
 * becomes the name under which its module is served, so it has to be an identifier.
 *
 * Answers come from code that is not ours. They are checked whole before anything is read; what they say about a
 * failure is evidence, escaped into a bounded text. The traceback stays as it was sent, it has lines: whoever prints it
 * escapes line by line. */
#include "service/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEM_SUFFIX ".py"
#define SAW_MAX 1024u /* of a target that is quoted in an error: enough to recognise it */

enum answer { ANSWER_VALUE = 0, ANSWER_RAISED = 1 };
enum raised { RAISED_BY_FUNCTION = 0, RAISED_CANNOT_TRAVEL = 1, RAISED_NOT_FOUND = 2 };

/* What an agent has no words for: it finds that it could not take the value back itself. The bounds are
 * docs/protocol.md's.
 */
static const char beyond[] =
	"a list or dict as a key, or more than 64 MiB, 1,048,576 items, 32 levels or 4,096 bytes of an integer";

/* How Python ends its complaint about text that stands for bytes of no UTF-8, as os.listdir() has it. */
static const char surrogates[] = "surrogates not allowed";

static int refuse(struct eci_fail *fail, const char *function, const char *hint)
{
	*fail = (struct eci_fail){.phase = ECTX_PHASE_CALL, .code = ECTX_E_BAD_ARGUMENT};
	eci_escape_into(fail->saw, SAW_MAX, function, strlen(function));
	snprintf(fail->hint, sizeof(fail->hint), "%s", hint);
	return -1;
}

/* A name that looks into an object: identifiers with dots between. */
static bool name_valid(const char *name, size_t len)
{
	return !memchr(name, '/', len) && eci_module_name_valid(name, len);
}

/* Where the stem of a program's path starts; *len its length. NULL when it does not end in .py. */
static const char *stem_of(const char *path, size_t n, size_t *len)
{
	const char *slash = memrchr(path, '/', n);
	const char *stem = slash ? slash + 1 : path;
	size_t rest = n - (size_t)(stem - path), suffix = strlen(STEM_SUFFIX);

	if (rest <= suffix || memcmp(stem + rest - suffix, STEM_SUFFIX, suffix) != 0)
		return NULL;
	*len = rest - suffix;
	return stem;
}

/* "./STEM", malloc'd. */
static char *program_module(const char *stem, size_t len)
{
	char *out = malloc(len + 3);

	if (out)
		snprintf(out, len + 3, "./%.*s", (int)len, stem);
	return out;
}

int eci_call_parse(const char *function, char **module, char **name, char **file, struct eci_fail *fail)
{
	const char *colon = strrchr(function, ':'), *stem;
	size_t n = colon ? (size_t)(colon - function) : 0, len = 0;

	*module = *name = *file = NULL;
	if (!colon || n == 0 || !name_valid(colon + 1, strlen(colon + 1)))
		return refuse(fail, function, "a function is named MODULE:FUNCTION or ./FILE.py:FUNCTION");
	stem = stem_of(function, n, &len);
	if (memchr(function, '/', n)) {
		if (!stem || memchr(stem, '.', len) || !name_valid(stem, len))
			return refuse(fail, function, "the file's name must be an identifier followed by .py");
		*module = program_module(stem, len);
		*file = strndup(function, n);
	} else if (stem) {
		return refuse(fail, function, "a file is named with its folder: ./FILE.py:FUNCTION");
	} else if (!name_valid(function, n)) {
		return refuse(fail, function, "the module's name must be identifiers with dots between");
	} else {
		*module = strndup(function, n);
	}
	*name = strdup(colon + 1);
	if (*module && *name && (*file || !memchr(function, '/', n)))
		return 0;
	free(*module);
	free(*name);
	free(*file);
	*module = *name = *file = NULL;
	*fail = (struct eci_fail){.phase = ECTX_PHASE_CALL, .code = ECTX_E_NO_MEMORY};
	return -1;
}

static bool keys_are_text(const ectx_value *kwargs)
{
	size_t n = ectx_value_count(kwargs);

	if (ectx_value_kind(kwargs) != ECTX_MAP)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!ectx_value_text(ectx_map_key(kwargs, i)))
			return false;
	return true;
}

int eci_call_encode(struct eci_buf *b, const char *module, const char *name, const ectx_value *args,
		    const ectx_value *kwargs)
{
	size_t before = eci_buf_len(b);
	int rc = 0;

	if ((args && ectx_value_kind(args) != ECTX_ARRAY) || (kwargs && !keys_are_text(kwargs)))
		return -1;
	eci_cbor_put_array(b, 4);
	eci_cbor_put_str(b, module);
	eci_cbor_put_str(b, name);
	if (args)
		rc |= eci_value_encode(b, args);
	else
		eci_cbor_put_array(b, 0);
	if (kwargs)
		rc |= eci_value_encode(b, kwargs);
	else
		eci_cbor_put_map(b, 0);
	if (rc || !eci_value_suits_python(args) || !eci_value_suits_python(kwargs))
		return -1;
	/* Each may be within the bounds, and both of them in an array not. */
	return b->failed || eci_cbor_check(eci_buf_data(b) + before, eci_buf_len(b) - before,
					   ECI_CBOR_VALUE_ITEMS_MAX) != ECI_CBOR_OK
		       ? -1
		       : 0;
}

static bool begins(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

/* Of a value that cannot travel: takes the agent's own frames out of a traceback, which say nothing to anybody; they
 * have no file. False: no others are there. */
static bool without_ours(char *trace)
{
	char *to = trace;
	bool ours = false, any = false, others = false;
	for (const char *line = trace, *end; *line; line = end) {
		end = line + strcspn(line, "\n");
		end += *end != 0;
		if (begins(line, "  File \""))
			ours = begins(line, "  File \"<string>\", ");
		else if (!begins(line, "  ")) /* else what belongs to the frame before */
			ours = false;
		any |= ours;
		others |= !ours && begins(line, "  File \"");
		if (!ours) {
			memmove(to, line, (size_t)(end - line));
			to += end - line;
		}
	}
	*to = 0;
	return others || !any;
}

/* As a C string, malloc'd: a NUL, which Python prints as it is, is written as \x00. */
static char *without_nuls(const char *s, size_t len)
{
	size_t nuls = 0;
	for (size_t i = 0; i < len; i++)
		nuls += !s[i];
	char *out = malloc(len + 3 * nuls + 1), *to = out;
	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (s[i])
			*to++ = s[i];
		else
			to = stpcpy(to, "\\x00");
	}
	*to = '\0';
	return out;
}

static bool ends_in(const char *s, size_t len, const char *end)
{
	size_t n = strlen(end);
	return len >= n && memcmp(s + len - n, end, n) == 0;
}

/* [type, message, traceback, kind], of which the array's head and its 1 are read. */
static int decode_raised(struct eci_cbor *c, struct eci_fail *fail, char **detail)
{
	const char *type, *message, *trace;
	size_t type_len, message_len, trace_len, len;
	uint64_t kind;

	eci_cbor_get_text(c, &type, &type_len);
	eci_cbor_get_text(c, &message, &message_len);
	eci_cbor_get_text(c, &trace, &trace_len);
	kind = eci_cbor_get_uint(c);
	if (c->bad)
		return -1;
	*fail = (struct eci_fail){.phase = ECTX_PHASE_CALL, .code = ECTX_E_EXCEPTION};
	if (kind == RAISED_CANNOT_TRAVEL)
		fail->code = ECTX_E_CANNOT_TRAVEL;
	if (kind == RAISED_NOT_FOUND)
		fail->code = ECTX_E_NOT_FOUND;
	len = eci_escape_into(fail->saw, sizeof(fail->saw) / 2, type, type_len);
	if (message_len)
		len += (size_t)snprintf(fail->saw + len, 3, ": ");
	len += eci_escape_into(fail->saw + len, sizeof(fail->saw) - len, message, message_len);
	if (kind == RAISED_CANNOT_TRAVEL && ends_in(message, message_len, ": "))
		(void)snprintf(fail->saw + len, sizeof(fail->saw) - len, "%s", beyond);
	if (ends_in(message, message_len, surrogates))
		(void)snprintf(
			fail->hint, sizeof(fail->hint), "%s",
			"text that is not UTF-8, as a file's name may be: os.fsencode() makes it bytes, which travel");
	if (trace_len)
		*detail = without_nuls(trace, trace_len); /* without memory the failure is still told */
	if (*detail && kind == RAISED_CANNOT_TRAVEL && !without_ours(*detail)) {
		free(*detail);
		*detail = NULL;
	}
	return 1;
}

static int no_memory(struct eci_fail *fail)
{
	*fail = (struct eci_fail){.phase = ECTX_PHASE_CALL, .code = ECTX_E_NO_MEMORY};
	return 1;
}

int eci_call_decode(const uint8_t *p, size_t n, ectx_value **value, struct eci_fail *fail, char **detail)
{
	struct eci_cbor c = eci_cbor_open(p, n);
	size_t items;
	uint64_t answer;
	int err;

	*value = NULL;
	*detail = NULL;
	err = eci_cbor_check(p, n, ECI_CBOR_VALUE_ITEMS_MAX);
	if (err == ECI_CBOR_E_DUPKEY) {
		/* The agent has looked at its answer, but to Python no NaN is another, and a dict may have several. */
		*fail = (struct eci_fail){.phase = ECTX_PHASE_CALL, .code = ECTX_E_CANNOT_TRAVEL};
		(void)snprintf(fail->saw, sizeof(fail->saw), "%s, as NaN may in a dict", eci_cbor_strerror(err));
		return 1;
	}
	if (err == ECI_CBOR_E_MEM)
		return no_memory(fail);
	if (err != ECI_CBOR_OK)
		return -1;
	items = eci_cbor_get_array(&c);
	answer = eci_cbor_get_uint(&c);
	if (c.bad)
		return -1;
	if (answer == ANSWER_RAISED && items >= 5)
		return decode_raised(&c, fail, detail);
	if (answer != ANSWER_VALUE || items < 2)
		return -1;
	*value = eci_value_decode(&c); /* checked: it can want nothing but memory */
	return *value ? 0 : no_memory(fail);
}
