/* core: a growable byte queue: append at the tail, drain at the head. One contiguous allocation. */
#ifndef ECI_CORE_BUF_H
#define ECI_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct eci_buf {
	uint8_t *mem; /* allocation, or NULL */
	size_t head;  /* first unread byte */
	size_t tail;  /* one past the last byte */
	size_t cap;   /* bytes allocated */
	bool failed;  /* an append found no memory: sticky until eci_buf_clear() */
};
#define ECI_BUF_NULL ((struct eci_buf){0})

static inline size_t eci_buf_len(const struct eci_buf *b)
{
	return b->tail - b->head;
}
static inline const uint8_t *eci_buf_data(const struct eci_buf *b)
{
	return b->mem ? b->mem + b->head : NULL; /* NULL + 0 is undefined in C11 */
}

/* Makes room for n more bytes and returns where they go (valid until the next append), or NULL and sets failed. */
uint8_t *eci_buf_reserve(struct eci_buf *b, size_t n);
void eci_buf_commit(struct eci_buf *b, size_t n);               /* n of the reserved bytes were written */
int eci_buf_append(struct eci_buf *b, const void *p, size_t n); /* 0, or -1 out of memory (failed is set) */
int eci_buf_puts(struct eci_buf *b, const char *s);             /* the same, a C string without its NUL */
void eci_buf_drain(struct eci_buf *b, size_t n);                /* forget n bytes at the head; n <= len */
void eci_buf_clear(struct eci_buf *b);                          /* empty, keeps memory */
void eci_buf_deinit(struct eci_buf *b);                         /* frees; legal on NULL object, idempotent */

#endif
