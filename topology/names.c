/* Names to numbers: nodes, groups and secrets are looked up by name while loading, selecting and planning; with 100,000
 * nodes anything but a hash is quadratic. A thin face over uthash, so that its macros stand in one file; out of memory
 * is an answer here and not an exit. Entries live in the caller's arena and iterate in order of addition. */
#include "topology/base.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct eci_names {
	const char *name;
	void *data;
	uint32_t value;
	UT_hash_handle hh;
};

int eci_names_add(struct eci_names **head, struct eci_arena *a, const char *name, uint32_t value, void *data)
{
	struct eci_names *n = eci_arena_alloc(a, sizeof *n);
	if (!n)
		return -1;
	n->name = name;
	n->value = value;
	n->data = data;
	HASH_ADD_KEYPTR(hh, *head, n->name, strlen(n->name), n);
	return n->hh.tbl ? 0 : -1;
}

struct eci_names *eci_names_find(struct eci_names *head, const char *name, size_t len)
{
	struct eci_names *n = NULL;
	HASH_FIND(hh, head, name, len, n);
	return n;
}

void eci_names_clear(struct eci_names **head)
{
	HASH_CLEAR(hh, *head);
}

struct eci_names *eci_names_next(const struct eci_names *n)
{
	return n->hh.next;
}

const char *eci_names_name(const struct eci_names *n)
{
	return n->name;
}

uint32_t eci_names_value(const struct eci_names *n)
{
	return n->value;
}

void *eci_names_data(const struct eci_names *n)
{
	return n->data;
}
