/* The one part of an error that is not plain data: its detail (a remote traceback), which the library allocates and the
 * caller gives back. It is kept apart from core/error.c because core must link without a libc. */
#include "econtext/error.h"
#include <stdlib.h>
#include <string.h>

void ectx_error_clear(ectx_error *e)
{
	if (!e)
		return;
	free(e->detail);
	memset(e, 0, sizeof *e);
}
