/* For imports_oracle.py: reads lines "SELF PACKAGE PATH", prints what the import scan tells of each file, one line
 * each. */
#include "service/service.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (16u * 1024u * 1024u) /* as ECI_MODULE_BYTES_MAX */

static void print(void *arg, const char *name)
{
	(void)arg;
	printf("%s ", name);
}

int main(void)
{
	static char line[8192], self[4096], path[4096];
	uint8_t *source = malloc(FILE_MAX);
	int package;

	while (source && fgets(line, sizeof(line), stdin)) {
		FILE *f;
		size_t n;

		if (sscanf(line, "%4095s %d %4095s", self, &package, path) != 3 || !(f = fopen(path, "rb")))
			return 1;
		n = fread(source, 1, FILE_MAX, f);
		fclose(f);
		eci_imports_scan(self, package != 0, source, n, print, NULL);
		printf("\n");
	}
	free(source);
	return 0;
}
