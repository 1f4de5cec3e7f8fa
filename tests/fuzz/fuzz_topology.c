/* Fuzz target: the topology loader, node sets, and show. What comes before the first NUL is the file, what follows a
 * node set.
 *
 * Either a topology or an error with its place comes back, never both; a set that expands, folds, and what was folded
 * expands to as many names again. */
#include "econtext/topology.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool promise)
{
	if (!promise)
		abort();
}

/* ectx_error_clear() lives in mesh/. */
static void clear(ectx_error *err)
{
	free(err->detail);
	*err = (ectx_error){0};
}

static size_t count(char **names)
{
	size_t n = 0;
	while (names[n])
		n++;
	return n;
}

static void folds(char **names)
{
	size_t n = count(names);
	char *set = ectx_nodeset_fold((const char *const *)names, n);
	must(set != NULL);
	free(set);
}

static void nodeset(const ectx_topology *t, const char *set)
{
	ectx_error err = {0};
	char **names = ectx_nodeset_expand(set, &err);
	must(names ? err.status == ECTX_OK : err.status == ECTX_USAGE);
	if (names)
		folds(names);
	free(names);
	clear(&err);
	names = ectx_topology_select(t, set, NULL, NULL, &err);
	must(names ? err.status == ECTX_OK : err.status != ECTX_OK);
	if (names) {
		folds(names);
		char *shown = count(names) <= 64 ? ectx_topology_show(t, (const char *const *)names, true, &err) : NULL;
		free(shown);
	}
	free(names);
	clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ectx_error err = {0};
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t n = nul ? (size_t)(nul - data) : size;
	ectx_topology *t = ectx_topology_parse((const char *)data, n, "fuzz", &err);
	must(t ? err.status == ECTX_OK : err.code == ECTX_E_TOPOLOGY || err.code == ECTX_E_NO_MEMORY);
	must(t || err.code == ECTX_E_NO_MEMORY || strncmp(err.saw, "fuzz:", 5) == 0);
	clear(&err);
	if (t) {
		char set[257];
		size_t len = nul ? size - n - 1 : 0;
		len = len < sizeof set ? len : sizeof set - 1;
		memcpy(set, len ? (const void *)(nul + 1) : "", len);
		set[len] = '\0';
		nodeset(t, len ? set : "@all");
		ectx_topology_free(t);
	}
	return 0;
}
