/* conformance_agent [PART]: writes what is sent after the first stage's marker, or a PART's zlib source, to stdout.
 *
 * The runner boots the Python agent with the bytes that the program sends, so it asks the built library for them and
 * not the source tree. */
#include "preamble/preamble.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	size_t n = 0;
	const uint8_t *p = argc > 1 ? eci_preamble_part(argv[1], &n) : eci_preamble_python(&n);
	if (!p) {
		(void)fprintf(stderr, "conformance_agent: no part %s\n", argv[1]);
		return 1;
	}
	return fwrite(p, 1, n, stdout) == n && fflush(stdout) == 0 ? 0 : 1;
}
