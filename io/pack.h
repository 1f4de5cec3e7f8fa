/* io: zlib bytes of what is served, and their digest, in slices: the loop's thread has other things to do between. */
#ifndef ECI_IO_PACK_H
#define ECI_IO_PACK_H

#include "core/buf.h"

struct eci_packing;
/* As struct eci_source_ops says (service/service.h). */
int eci_pack(void *ctx, struct eci_packing **state, const uint8_t *p, size_t n, struct eci_buf *out,
	     uint8_t digest[16]);
void eci_pack_stop(struct eci_packing *state);

#endif
