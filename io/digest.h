/* io: digests of files: BLAKE2b (256 bits, RFC 7693) and SHA-256 (FIPS 180-4), by libsodium. */
#ifndef ECI_IO_DIGEST_H
#define ECI_IO_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define ECI_DIGEST_SIZE 32u

struct eci_digest;
/* "blake2b" or "sha256"; NULL: another, or no memory. Freed by eci_digest_end(). */
struct eci_digest *eci_digest_new(const char *algorithm);
void eci_digest_add(struct eci_digest *d, const void *p, size_t n);
/* out NULL: it is not wanted any more. d NULL-safe. */
void eci_digest_end(struct eci_digest *d, uint8_t out[ECI_DIGEST_SIZE]);

#endif
