/* transport, internal: what was printed on the way, kept for the error that may come of it. */
#ifndef ECI_TRANSPORT_EVIDENCE_H
#define ECI_TRANSPORT_EVIDENCE_H

#include "transport/transport.h"

/* The last ECI_EVIDENCE_MAX bytes of a stream. */
struct eci_tail {
	uint8_t bytes[ECI_EVIDENCE_MAX];
	uint64_t total; /* bytes ever added */
};
void eci_tail_add(struct eci_tail *t, const uint8_t *p, size_t n);
void eci_tail_clear(struct eci_tail *t);
/* Of the last `last` bytes what is kept, oldest first; out has room for ECI_EVIDENCE_MAX bytes. Returns how many. */
size_t eci_tail_copy(const struct eci_tail *t, uint64_t last, uint8_t *out);

/* Printable: control characters (newline too), bytes that are not UTF-8, C1 and bidi controls become \xNN or \u{...},
 * or \n \r \t \e. Writes at most cap bytes with the NUL, never half an escape. Returns the length. */
#define ECI_ESCAPED_MAX (4u * ECI_EVIDENCE_MAX + 1u)
size_t eci_escape(char *out, size_t cap, const uint8_t *p, size_t n);

/* The last lines worth showing of the last `last` bytes, oldest first, joined with " | ", escaped; lines that the
 * method's tool always prints are left out. "" if there is none. */
void eci_tail_last_lines(const struct eci_tail *t, uint64_t last, enum eci_method method, unsigned lines, char *out,
			 size_t cap);

#endif
