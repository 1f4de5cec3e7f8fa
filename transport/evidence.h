/* transport, internal: what was printed on the way, kept for the error that may come of it. */
#ifndef ECI_TRANSPORT_EVIDENCE_H
#define ECI_TRANSPORT_EVIDENCE_H

#include "core/text.h"
#include "transport/transport.h"

/* The last ECI_EVIDENCE_MAX bytes of a stream. */
struct eci_tail {
	uint8_t bytes[ECI_EVIDENCE_MAX];
	uint64_t total;     /* bytes ever added */
	const char *hidden; /* what is not shown of it (eci_hide()); NULL: nothing */
};
#define ECI_HIDDEN_MIN 4u /* bytes of a secret that is hidden: a shorter one would be found in the tools' own words */
/* Puts *** in the place of the secret, wherever p has it. Returns how many bytes are left. NULL: there is none. */
size_t eci_hide(uint8_t *p, size_t n, const char *secret);

void eci_tail_add(struct eci_tail *t, const uint8_t *p, size_t n);
void eci_tail_clear(struct eci_tail *t);
/* Of the last `last` bytes what is kept, oldest first; out has room for ECI_EVIDENCE_MAX bytes. Returns how many. */
size_t eci_tail_copy(const struct eci_tail *t, uint64_t last, uint8_t *out);

#define ECI_ESCAPED_MAX (4u * ECI_EVIDENCE_MAX + 1u) /* of that, by eci_escape(): a byte is \xNN at most */

/* The last lines worth showing of the last `last` bytes, oldest first, joined with " | ", escaped; lines that the
 * method's tool always prints are left out. "" if there is none. */
void eci_tail_last_lines(const struct eci_tail *t, uint64_t last, enum eci_method method, unsigned lines, char *out,
			 size_t cap);

#endif
