/* Memory: the allocator hooks of core/, and the four functions that a compiler may call.
 *
 * Small pieces come from chunks and go back to a list of their size class (four classes to a power of two, so a fifth
 * is wasted at most); what is larger is mapped by itself. A freed one is kept for the next frame, up to KEPT_MAX,
 * because mapping, and above all touching, fresh pages costs more than the frame; all are unmapped when the loop has
 * slept for a second, so that a burst of bulk does not stay with us. Every piece has its class or its mapped length in
 * the word before it. Nothing is merged: the sizes that a router asks for are few.
 *
 * CEILING bounds the whole: what the protocol's own limits allow (128 MiB in collection, with a copy as a buffer grows)
 * and no more. Past it every caller finds no memory, and each has a way to live with that: `busy`, or a link's end. */
#include "preamble/native/native.h"

#define CEILING (512u * 1024u * 1024u)
#define CHUNK 32768u
#define SMALL_MAX 4096u /* larger ones are mapped */
#define CLASSES 40u
#define KEPT_MAX 1048576u /* bytes of mapped pieces that wait for reuse: the frames of a near link's window */

struct piece {
	size_t size; /* the word before what the caller has */
	struct piece *next;
};

static struct {
	uint8_t *at, *end; /* what is left of the chunk */
	size_t mapped;
	void *freed[CLASSES];
	struct piece *kept;
	size_t kept_bytes;
} heap;

static void *map(size_t n)
{
	if (n > CEILING - heap.mapped)
		return NULL;
	/* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS */
	long p = SYS6(NR_mmap, 0, n, 3, 0x22, -1, 0);
	if (p < 0 && p > -4096)
		return NULL;
	heap.mapped += n;
	return (void *)p;
}

static void unmap(void *p, size_t n)
{
	heap.mapped -= n;
	(void)SYS2(NR_munmap, p, n);
}

/* A mapped piece of at least n bytes, and not of more than twice as many. */
static void *reuse(size_t n)
{
	for (struct piece **at = &heap.kept, *p; (p = *at) != NULL; at = &p->next)
		if (p->size >= n && p->size / 2 <= n) {
			*at = p->next;
			heap.kept_bytes -= p->size;
			return p;
		}
	return NULL;
}

/* The class of a size and, in *n, the class's own: the three upper bits are kept, rounded up. */
static unsigned class_of(size_t *n)
{
	unsigned shift = 2, top;
	while ((*n - 1) >> shift >= 8)
		shift++;
	top = (unsigned)((*n - 1) >> shift) + 1; /* 1 to 8 */
	*n = (size_t)top << shift;
	return (shift - 2) * 4 + top - 1;
}

void *eci_mem_alloc(size_t size)
{
	size_t n = size + sizeof(uint64_t);
	size_t *p;
	if (n < size)
		return NULL;
	if (n > SMALL_MAX) {
		n = (n + 4095) & ~(size_t)4095;
		p = reuse(n);
		if (!p) {
			p = map(n);
			if (!p)
				return NULL;
			*p = n;
		}
		return (uint8_t *)p + sizeof(uint64_t);
	}
	n = (n + 15) & ~(size_t)15;
	unsigned class = class_of(&n);
	p = heap.freed[class];
	if (p) {
		heap.freed[class] = *(void **)p;
	} else {
		if ((size_t)(heap.end - heap.at) < n) {
			uint8_t *chunk = map(CHUNK);
			if (!chunk)
				return NULL;
			heap.at = chunk;
			heap.end = chunk + CHUNK;
		}
		p = (size_t *)(void *)heap.at;
		heap.at += n;
	}
	*p = class;
	return (uint8_t *)p + sizeof(uint64_t);
}

void eci_mem_free(void *mem)
{
	if (!mem)
		return;
	size_t *p = (size_t *)(void *)((uint8_t *)mem - sizeof(uint64_t));
	size_t n = *p;
	if (n > SMALL_MAX && n <= KEPT_MAX - heap.kept_bytes) {
		struct piece *kept = (void *)p;
		kept->next = heap.kept;
		heap.kept = kept;
		heap.kept_bytes += n;
		return;
	}
	if (n > SMALL_MAX) {
		unmap(p, n);
		return;
	}
	*(void **)p = heap.freed[n];
	heap.freed[n] = p;
}

size_t native_mem_kept(void)
{
	return heap.kept_bytes;
}

void native_mem_trim(void)
{
	while (heap.kept) {
		struct piece *p = heap.kept;
		heap.kept = p->next;
		heap.kept_bytes -= p->size;
		unmap(p, p->size);
	}
}

/* A compiler that finds one of these loops may make it a call of the function it stands in; these flags forbid it. */
#define PLAIN __attribute__((used, optimize("no-tree-loop-distribute-patterns")))

PLAIN void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
#if defined(__x86_64__) || defined(__i386__)
	void *to = dst;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(n) : : "memory");
#else
	uint8_t *d = dst;
	const uint8_t *s = src;
	if ((((uintptr_t)d | (uintptr_t)s) & (sizeof(long) - 1)) == 0)
		for (; n >= sizeof(long); n -= sizeof(long), d += sizeof(long), s += sizeof(long))
			*(long *)(void *)d = *(const long *)(const void *)s;
	while (n--)
		*d++ = *s++;
#endif
	return dst;
}

PLAIN void *memmove(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;
	if (d <= s || d >= s + n)
		return memcpy(dst, src, n);
	while (n--)
		d[n] = s[n];
	return dst;
}

PLAIN void *memset(void *dst, int c, size_t n)
{
	uint8_t *d = dst;
	while (n--)
		*d++ = (uint8_t)c;
	return dst;
}

PLAIN int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
