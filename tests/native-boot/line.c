/* line KIND ARCH NONCE ELF-BYTES PACKED-BYTES: the loader for an agent of these sizes. */
#include "preamble/preamble.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	char line[ECI_LOADER_MAX];
	if (argc != 6)
		return 2;
	struct eci_native native = {.arch = argv[2], .elf_len = strtoul(argv[4], NULL, 10)};
	native.packed_len = strtoul(argv[5], NULL, 10);
	if (eci_preamble_loader(line, sizeof line, (enum eci_loader)atoi(argv[1]), &native, argv[3]) < 0)
		return 1;
	return fputs(line, stdout) < 0;
}
