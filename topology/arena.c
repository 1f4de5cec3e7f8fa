/* Memory of a topology: thousands of small strings and records that are never freed one by one, so they are cut from
 * chunks and go together. Invariant: what it returns is zeroed and stays where it is until eci_arena_deinit(). A list
 * of malloc blocks would cost 16 bytes and a call for each of 100,000 names. */
#include "topology/base.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 16384 /* small files fit in one or two */
#define ALIGN 16u

struct eci_chunk {
	struct eci_chunk *next;
	size_t used, cap;
	_Alignas(16) unsigned char mem[];
};

void *eci_arena_alloc(struct eci_arena *a, size_t n)
{
	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct eci_chunk *c = a->head;
	if (!c || c->cap - c->used < n) {
		size_t cap = n > CHUNK_BYTES / 4 ? n : CHUNK_BYTES;
		struct eci_chunk *fresh = calloc(1, sizeof *fresh + cap);
		if (!fresh)
			return NULL;
		fresh->cap = cap;
		if (c && cap == n) { /* a big one of its own goes behind, so that the head's room is not lost */
			fresh->next = c->next;
			c->next = fresh;
		} else {
			fresh->next = c;
			a->head = fresh;
		}
		c = fresh;
	}
	void *p = c->mem + c->used;
	c->used += n;
	return p;
}

char *eci_arena_strn(struct eci_arena *a, const char *s, size_t n)
{
	char *p = eci_arena_alloc(a, n + 1);
	if (p)
		memcpy(p, s, n);
	return p;
}

char *eci_arena_fmt(struct eci_arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : eci_arena_alloc(a, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void eci_arena_deinit(struct eci_arena *a)
{
	while (a->head) {
		struct eci_chunk *c = a->head;
		a->head = c->next;
		free(c);
	}
}
