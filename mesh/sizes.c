/* What a boot costs on the wire, as `econtext preamble --size` prints it: the figures are taken from the very bytes
 * that are sent. */
#include "mesh/internal.h"
#include "preamble/preamble.h"

bool ectx_preamble_size(size_t i, const char **name, size_t *bytes)
{
	char command[512];
	if (i == 0) {
		int n = eci_first_stage_command(command, sizeof command, "nonce000", NULL);
		*name = "command";
		*bytes = n < 0 ? 0 : (size_t)n;
		return n >= 0;
	}
	if (i == 1) {
		*name = "python";
		(void)eci_preamble_python(bytes);
		return true;
	}
	const struct eci_part *part = eci_preamble_parts(i - 2);
	if (!part)
		return false;
	*name = part->name;
	*bytes = part->len;
	return true;
}
