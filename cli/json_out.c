/* cli: --json, NDJSON on stdout: one object a line, each with `event` and `t` (seconds since the epoch), the summary
 * last.
 *
 * Text is written by the library's own JSON writer, so that one place decides what is escaped. A line that is not UTF-8
 * is {"$bytes": base64}, as bytes are everywhere else: nothing is lost and nothing is guessed. */
#include <stdlib.h>
#include <string.h>

#include "cli/fan.h"

void eci_json_begin(const char *event)
{
	eci_out_printf(1, "{\"event\": \"%s\", \"t\": %.3f", event, eci_now());
}

void eci_json_end(void)
{
	eci_out_text(1, "}\n");
}

void eci_json_number(const char *key, long long v)
{
	eci_out_printf(1, ", \"%s\": %lld", key, v);
}

void eci_json_value(const char *key, const ectx_value *v)
{
	char *text = ectx_value_json(v);
	eci_out_printf(1, ", \"%s\": ", key);
	eci_out_text(1, text ? text : "null");
	free(text);
}

void eci_json_text(const char *key, const char *p, size_t n)
{
	ectx_value *v = ectx_text_n(p, n);
	if (!v)
		v = ectx_bytes(p, n);
	eci_json_value(key, v);
	ectx_value_free(v);
}

static void field(const char *key, const char *text, bool first)
{
	ectx_value *v = ectx_text(text);
	if (!v)
		v = ectx_bytes(text, strlen(text));
	char *json = ectx_value_json(v);
	eci_out_printf(1, "%s\"%s\": ", first ? "" : ", ", key);
	eci_out_text(1, json ? json : "null");
	free(json);
	ectx_value_free(v);
}

void eci_json_error(const ectx_error *e)
{
	eci_out_text(1, ", \"error\": {");
	field("path", e->path, true);
	field("phase", ectx_phase_name(e->phase), false);
	field("code", ectx_code_name(e->code), false);
	field("saw", e->saw, false);
	field("hint", *e->hint ? e->hint : ectx_code_hint(e->code), false);
	if (e->after_ms)
		eci_json_number("after_ms", e->after_ms);
	if (e->limit_ms)
		eci_json_number("limit_ms", e->limit_ms);
	if (e->detail)
		field("detail", e->detail, false);
	eci_out_text(1, "}");
}

const char *eci_json_status(enum ectx_status status)
{
	switch (status) {
	case ECTX_OK:
		return "ok";
	case ECTX_UNREACHABLE:
		return "unreachable";
	case ECTX_REFUSED:
		return "refused";
	case ECTX_DEADLINE:
		return "deadline";
	case ECTX_UNKNOWN:
	case ECTX_INTERRUPTED:
		return "unknown";
	case ECTX_FAILED:
	case ECTX_USAGE:
	case ECTX_INTERNAL:
		break;
	}
	return "failed";
}
