/* A byte queue in one allocation: [0, head) was drained, [head, tail) is unread, [tail, cap) is free.
 *
 * Invariant: head <= tail <= cap, mem is NULL exactly when cap is 0, and an empty queue has head == tail == 0 (drain
 * sees to it), so that a queue which is emptied regularly never moves a byte.
 *
 * When the free end is too short there are two ways out. Moving the unread bytes to the front costs len, and is only
 * taken when at least len bytes were drained since the last move: then each byte pays for one move at most, and the
 * queue is linear however it is cut up. Else the allocation doubles. Moving whenever it would fit looks thriftier, but
 * a nearly full queue that takes and gives ten bytes at a time would then move everything each time. The rule keeps cap
 * below four times the most bytes ever held. If the larger allocation is refused, the exact size and then a move are
 * tried before giving up: a host that is short of memory should lose speed first.
 *
 * A chain of chunks would spare the copy, but every reader (frame decoder, CBOR cursor, write()) wants contiguous
 * bytes, and bodies are bounded to 64 KiB.
 *
 * A failed append is sticky: later appends are refused as well, so that what the queue holds is always a prefix of what
 * was meant. That lets a writer put twenty items and look at `failed` once. */
#include "core/buf.h"
#include "core/mem.h"

#define CAP_MIN 64u /* a header and a small body; below this doubling is all overhead */

static void to_front(struct eci_buf *b)
{
	size_t len = eci_buf_len(b);

	memmove(b->mem, b->mem + b->head, len);
	b->head = 0;
	b->tail = len;
}

static bool reallocate(struct eci_buf *b, size_t cap)
{
	size_t len = eci_buf_len(b);
	uint8_t *mem = eci_mem_alloc(cap);

	if (!mem)
		return false;
	if (len)
		memcpy(mem, b->mem + b->head, len);
	eci_mem_free(b->mem);
	*b = (struct eci_buf){.mem = mem, .tail = len, .cap = cap};
	return true;
}

static bool make_room(struct eci_buf *b, size_t n)
{
	size_t len = eci_buf_len(b), cap = CAP_MIN;

	/* Half the address space: more cannot be one object, and doubling below cannot wrap. */
	if (n > SIZE_MAX / 2 - len)
		return false;
	if (b->mem && b->head >= len && len + n <= b->cap) {
		to_front(b);
		return true;
	}
	if (cap < b->cap * 2)
		cap = b->cap * 2;
	if (cap < len + n)
		cap = len + n;
	if (reallocate(b, cap))
		return true;
	if (len + n <= b->cap) {
		to_front(b);
		return true;
	}
	return cap > len + n && reallocate(b, len + n);
}

uint8_t *eci_buf_reserve(struct eci_buf *b, size_t n)
{
	if (b->failed)
		return NULL;
	/* With no allocation yet, a reservation of 0 must still have an address to return. */
	if ((!b->mem || b->cap - b->tail < n) && !make_room(b, n)) {
		b->failed = true;
		return NULL;
	}
	return b->mem + b->tail;
}

void eci_buf_commit(struct eci_buf *b, size_t n)
{
	b->tail += n;
}

int eci_buf_append(struct eci_buf *b, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		return b->failed ? -1 : 0;
	to = eci_buf_reserve(b, n);
	if (!to)
		return -1;
	memcpy(to, p, n);
	eci_buf_commit(b, n);
	return 0;
}

int eci_buf_puts(struct eci_buf *b, const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return eci_buf_append(b, s, n);
}

void eci_buf_drain(struct eci_buf *b, size_t n)
{
	b->head += n;
	if (b->head == b->tail)
		b->head = b->tail = 0;
}

void eci_buf_clear(struct eci_buf *b)
{
	b->head = b->tail = 0;
	b->failed = false;
}

void eci_buf_deinit(struct eci_buf *b)
{
	eci_mem_free(b->mem);
	*b = ECI_BUF_NULL;
}
