/* A repeatable random source for tests: xorshift64*, one state a test, its seed printed so that a failure can be
 * repeated. */
#ifndef ECI_TESTS_RANDOM_H
#define ECI_TESTS_RANDOM_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

struct eci_random {
	uint64_t state;
};

static inline struct eci_random eci_random_open(const char *test, uint64_t seed)
{
	printf("%s: seed %" PRIu64 "\n", test, seed);
	return (struct eci_random){seed * UINT64_C(0x9E3779B97F4A7C15) | 1};
}

static inline uint64_t eci_random_u64(struct eci_random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * UINT64_C(0x2545F4914F6CDD1D);
}

/* 0 .. n-1 */
static inline uint32_t eci_random_below(struct eci_random *r, uint32_t n)
{
	return (uint32_t)((eci_random_u64(r) >> 32) % n);
}

/* Every magnitude equally often: uniform numbers would nearly always have nine-byte heads. */
static inline uint64_t eci_random_magnitude(struct eci_random *r)
{
	return eci_random_u64(r) >> eci_random_below(r, 64);
}

#endif
