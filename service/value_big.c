/* Bignums: decimal text <-> the magnitude that travels.
 *
 * Both ways go through an array of 32-bit limbs, least significant first, nine decimal digits at a time: times 10^9
 * plus the next nine digits, or division by 10^9 with the remainder as the last nine. That is quadratic, and it is
 * allowed to be: a bignum has at most 4,096 bytes, so the dearest conversion is about a million steps.
 *
 * The sign is CBOR's, -1 - magnitude: reading a negative number takes one off its absolute value, printing adds one.
 * So -2^32768 still fits the limit, as it does on the wire, though its absolute value has 4,097 bytes. */
#include "service/value_impl.h"

#include <stdio.h>
#include <string.h>

#define CHUNK 1000000000u /* 10^9: the largest power of ten in a limb */
#define CHUNK_DIGITS 9u
#define LIMBS (ECI_CBOR_BIGNUM_MAX / 4 + 2) /* the absolute value of the smallest, and a carry */
#define CHUNKS (ECI_BIG_DIGITS_MAX / CHUNK_DIGITS + 1)

struct limbs {
	uint32_t limb[LIMBS];
	size_t n; /* in use; the highest is not 0 */
};

static void multiply_add(struct limbs *x, uint32_t factor, uint32_t carry)
{
	uint64_t wide;
	size_t i;

	for (i = 0; i < x->n; i++) {
		wide = (uint64_t)x->limb[i] * factor + carry;
		x->limb[i] = (uint32_t)wide;
		carry = (uint32_t)(wide >> 32);
	}
	if (carry)
		x->limb[x->n++] = carry;
}

static uint32_t divide(struct limbs *x, uint32_t divisor)
{
	uint64_t rest = 0;
	size_t i;

	for (i = x->n; i-- > 0;) {
		rest = rest << 32 | x->limb[i];
		x->limb[i] = (uint32_t)(rest / divisor);
		rest %= divisor;
	}
	while (x->n > 0 && x->limb[x->n - 1] == 0)
		x->n--;
	return (uint32_t)rest;
}

/* x is not 0. */
static void subtract_one(struct limbs *x)
{
	size_t i;

	for (i = 0; x->limb[i]-- == 0; i++)
		;
	while (x->n > 0 && x->limb[x->n - 1] == 0)
		x->n--;
}

static ectx_value *from_limbs(const struct limbs *x, bool negative)
{
	uint8_t magnitude[LIMBS * 4];
	size_t i, n = x->n * 4;

	for (i = 0; i < n; i++)
		magnitude[n - 1 - i] = (uint8_t)(x->limb[i / 4] >> (i % 4 * 8));
	return eci_value_new_number(negative, magnitude, n);
}

ectx_value *eci_big_parse(const char *s, size_t n)
{
	struct limbs x = {.n = 0};
	bool negative = n > 0 && *s == '-';
	uint32_t chunk = 0, scale = 1;
	size_t i;

	s += negative;
	n -= negative;
	if (n == 0)
		return NULL;
	for (i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return NULL;
	while (n > 1 && *s == '0')
		s++, n--;
	if (n > ECI_BIG_DIGITS_MAX)
		return NULL;
	for (i = 0; i < n; i++) {
		chunk = chunk * 10 + (uint32_t)(s[i] - '0');
		scale *= 10;
		if (scale == CHUNK || i == n - 1) {
			multiply_add(&x, scale, chunk);
			chunk = 0;
			scale = 1;
		}
	}
	if (x.n == 0)
		negative = false; /* "-0" */
	if (negative)
		subtract_one(&x);
	return from_limbs(&x, negative);
}

int eci_big_print(struct eci_buf *b, const ectx_value *v)
{
	uint32_t chunk[CHUNKS + 1];
	struct limbs x = {.n = 0};
	size_t i, chunks = 0;
	char text[16];

	for (i = 0; i < v->str.len; i++)
		x.limb[i / 4] |= (uint32_t)(uint8_t)v->str.mem[v->str.len - 1 - i] << (i % 4 * 8);
	x.n = (v->str.len + 3) / 4;
	if (v->flag)
		multiply_add(&x, 1, 1);
	while (x.n > 0)
		chunk[chunks++] = divide(&x, CHUNK);
	if (v->flag)
		eci_buf_puts(b, "-");
	for (i = chunks; i-- > 0;) {
		snprintf(text, sizeof(text), i + 1 == chunks ? "%u" : "%09u", chunk[i]);
		eci_buf_puts(b, text);
	}
	return b->failed ? -1 : 0;
}
