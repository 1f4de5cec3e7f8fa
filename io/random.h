/* io: randomness, from libsodium. */
#ifndef ECI_IO_RANDOM_H
#define ECI_IO_RANDOM_H

#include <stdint.h>

int eci_random_init(void);           /* before anything else of libsodium; any number of times, any thread. 0 or -1 */
uint32_t eci_random(uint32_t below); /* uniform in [0, below) */

#endif
