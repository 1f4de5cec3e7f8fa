/* The allocator hooks of core/mem.h in a hosted program: the C library's. They are a file of their own so that tests
 * can put hooks that fail in their place. */
#include "core/mem.h"

#include <stdlib.h>

void *eci_mem_alloc(size_t size)
{
	return malloc(size);
}

void eci_mem_free(void *p)
{
	free(p);
}
