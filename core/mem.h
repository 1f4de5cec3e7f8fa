/* core: the two allocator hooks that everything freestanding uses; the host program defines them. */
#ifndef ECI_CORE_MEM_H
#define ECI_CORE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* eci_mem_alloc: size bytes, uninitialised, or NULL. eci_mem_free: takes NULL. Hosted builds: malloc and free
 * (io/mem.c). */
void *eci_mem_alloc(size_t size);
void eci_mem_free(void *p);
/* size bytes that begin with the used ones of old, which is freed; or NULL, and old is as it was. */
void *eci_mem_grow(void *old, size_t used, size_t size);

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
