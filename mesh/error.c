/* The one part of an error that is not plain data: its detail (a remote traceback), which the library allocates and the
 * caller gives back. It is kept apart from core/error.c because core must link without a libc. */
#include "mesh/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ectx_error_clear(ectx_error *e)
{
	if (!e)
		return;
	free(e->detail);
	memset(e, 0, sizeof *e);
}

void eci_fail_set(struct eci_fail *fail, enum ectx_phase phase, enum ectx_code code, const char *fmt, ...)
{
	va_list ap;
	memset(fail, 0, sizeof *fail);
	fail->phase = phase;
	fail->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(fail->saw, sizeof fail->saw, fmt, ap);
	va_end(ap);
}

void eci_error_from(ectx_error *e, const struct eci_fail *fail, const ectx_context *at)
{
	e->phase = fail->phase;
	e->code = fail->code;
	e->status = ectx_code_status(fail->code);
	e->after_ms = fail->after_ms;
	e->limit_ms = fail->limit_ms;
	eci_context_path(at, e->path, sizeof e->path);
	(void)eci_escape_into(e->saw, sizeof e->saw, fail->saw, strlen(fail->saw));
	(void)snprintf(e->hint, sizeof e->hint, "%s", fail->hint[0] ? fail->hint : ectx_code_hint(fail->code));
}
