/* Digests: two functions of libsodium behind one face, so that nobody else includes it. */
#include "io/digest.h"

#include <sodium.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct eci_digest {
	int blake;
	crypto_generichash_state *b; /* wants its own alignment */
	crypto_hash_sha256_state s;
};

struct eci_digest *eci_digest_new(const char *algorithm)
{
	int blake = !strcmp(algorithm, "blake2b");
	struct eci_digest *d = blake || !strcmp(algorithm, "sha256") ? calloc(1, sizeof *d) : NULL;
	if (!d)
		return NULL;
	d->blake = blake;
	if (blake) {
		/* sodium_malloc(3) would align it too, for the price of a locked page between two guards: each file has
		 * one. */
		size_t n = crypto_generichash_statebytes(), a = alignof(crypto_generichash_state);
		d->b = aligned_alloc(a, (n + a - 1) / a * a);
		if (!d->b) {
			free(d);
			return NULL;
		}
		(void)crypto_generichash_init(d->b, NULL, 0, ECI_DIGEST_SIZE);
	} else {
		(void)crypto_hash_sha256_init(&d->s);
	}
	return d;
}

void eci_digest_add(struct eci_digest *d, const void *p, size_t n)
{
	if (d->blake)
		(void)crypto_generichash_update(d->b, p, n);
	else
		(void)crypto_hash_sha256_update(&d->s, p, n);
}

void eci_digest_end(struct eci_digest *d, uint8_t out[ECI_DIGEST_SIZE])
{
	if (!d)
		return;
	if (out && d->blake)
		(void)crypto_generichash_final(d->b, out, ECI_DIGEST_SIZE);
	else if (out)
		(void)crypto_hash_sha256_final(&d->s, out);
	free(d->b);
	free(d);
}
