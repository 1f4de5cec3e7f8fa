/* Compressing what is served, a slice at a time.
 *
 * 16 MiB take a second to compress, and with unlucky data (four letters in any order) a quarter of a minute; for so
 * long the loop would hear nobody, and everybody would find it silent. So a slice ends when SLICE_MS have passed, and
 * is gone on with in a later turn. The result does not depend on where the slices were cut.
 *
 * Up to FAST_ABOVE the level is 9: a module is compressed once and sent to many. Above it is 1, which is three times as
 * quick, or twenty with the unlucky, for a tenth more bytes: who asks for so much waits, and so does the next. */
#include "io/pack.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#define SLICE_MS 10
#define PIECE (16u << 10)     /* between two looks at the clock: 20 ms with the unlucky */
#define FAST_ABOVE (1u << 20) /* bytes */

struct eci_packing {
	z_stream z;
	crypto_hash_sha256_state sum;
	size_t at;
};

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct eci_packing *begin(size_t n)
{
	struct eci_packing *s = calloc(1, sizeof(*s));

	if (s && deflateInit(&s->z, n > FAST_ABOVE ? Z_BEST_SPEED : Z_BEST_COMPRESSION) != Z_OK) {
		free(s);
		return NULL;
	}
	if (s)
		(void)crypto_hash_sha256_init(&s->sum);
	return s;
}

/* The next piece of p. Z_OK, Z_STREAM_END or an error. */
static int piece(struct eci_packing *s, const uint8_t *p, size_t n, struct eci_buf *out)
{
	size_t in = n - s->at < PIECE ? n - s->at : PIECE, room = deflateBound(&s->z, in) + PIECE, made;
	uint8_t *to = eci_buf_reserve(out, room);
	int rc;

	if (!to)
		return Z_MEM_ERROR;
	s->z.next_in = (Bytef *)(uintptr_t)(p + s->at);
	s->z.avail_in = (uInt)in;
	s->z.next_out = to;
	s->z.avail_out = (uInt)room;
	rc = deflate(&s->z, s->at + in == n ? Z_FINISH : Z_NO_FLUSH);
	s->at += in - s->z.avail_in;
	made = room - s->z.avail_out;
	(void)crypto_hash_sha256_update(&s->sum, to, made);
	eci_buf_commit(out, made);
	return rc;
}

int eci_pack(void *ctx, struct eci_packing **state, const uint8_t *p, size_t n, struct eci_buf *out, uint8_t digest[16])
{
	struct eci_packing *s = *state ? *state : begin(n);
	uint8_t whole[crypto_hash_sha256_BYTES];
	int64_t until = now_ms() + SLICE_MS;
	int rc;

	(void)ctx;
	*state = s;
	if (!s)
		return -1;
	if (!s->at && !eci_buf_reserve(out, n / 2)) /* else it grows, and is copied, many times */
		return -1;
	do
		rc = piece(s, p, n, out);
	while ((rc == Z_OK || rc == Z_BUF_ERROR) && now_ms() < until);
	if (rc == Z_OK || rc == Z_BUF_ERROR)
		return 1;
	(void)crypto_hash_sha256_final(&s->sum, whole);
	memcpy(digest, whole, 16);
	eci_pack_stop(s);
	*state = NULL;
	return rc == Z_STREAM_END ? 0 : -1;
}

void eci_pack_stop(struct eci_packing *state)
{
	if (state)
		(void)deflateEnd(&state->z);
	free(state);
}
