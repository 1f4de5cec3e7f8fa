/* Randomness for nonces. libsodium must be initialised once before use (sodium_init(3) is thread-safe and idempotent).
 */
#include "io/random.h"

#include <sodium.h>

int eci_random_init(void)
{
	return sodium_init() < 0 ? -1 : 0;
}

uint32_t eci_random(uint32_t below)
{
	return randombytes_uniform(below);
}
