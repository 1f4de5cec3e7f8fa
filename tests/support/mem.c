/* The allocator hooks for tests that link a pure layer alone; fail_after makes the Nth allocation from now fail. */
#include "core/mem.h"
#include <stdlib.h>

long eci_test_fail_after = -1;

void *eci_mem_alloc(size_t size)
{
	if (eci_test_fail_after >= 0 && eci_test_fail_after-- == 0)
		return NULL;
	return malloc(size);
}

void eci_mem_free(void *p)
{
	free(p);
}
