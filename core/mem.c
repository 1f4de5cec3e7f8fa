/* What arrays that grow have in common. A refused allocation leaves the old array as it was: whoever wanted more can
 * go on with less. */
#include "core/mem.h"

void *eci_mem_grow(void *old, size_t used, size_t size)
{
	void *grown = eci_mem_alloc(size);
	if (!grown)
		return NULL;
	if (used)
		memcpy(grown, old, used);
	eci_mem_free(old);
	return grown;
}
