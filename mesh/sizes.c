/* What a boot costs on the wire, as `econtext preamble --size` prints it: the figures are taken from the very bytes
 * that are sent. */
#include "mesh/internal.h"
#include "preamble/preamble.h"

#include <string.h>

bool ectx_preamble_size(size_t i, const char **name, size_t *bytes)
{
	char command[512];
	if (i == 0) {
		int n = eci_first_stage_command(command, sizeof command, ECI_NONCE_SHOWN, NULL);
		*name = "command";
		*bytes = n < 0 ? 0 : (size_t)n;
		return n >= 0;
	}
	if (i == 1) {
		*name = "python";
		(void)eci_preamble_python(bytes);
		return true;
	}
	size_t parts = 0;
	while (eci_preamble_parts(parts))
		parts++;
	i -= 2;
	if (i < parts) {
		*name = eci_preamble_parts(i)->name;
		*bytes = eci_preamble_parts(i)->len;
		return true;
	}
	/* As the caller prints it: a word for the kind, one for the machine. */
	static const char *const names[][2] = {{"x86_64", "native x86_64"},
					       {"aarch64", "native aarch64"},
					       {"armv7l", "native armv7l"},
					       {"riscv64", "native riscv64"},
					       {"i686", "native i686"}};
	const struct eci_native *native = eci_preamble_native(i - parts);
	if (!native)
		return false;
	*name = native->arch;
	for (size_t k = 0; k < sizeof names / sizeof *names; k++)
		if (strcmp(names[k][0], native->arch) == 0)
			*name = names[k][1];
	*bytes = native->packed_len;
	return true;
}
