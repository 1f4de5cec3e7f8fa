/* native: OPEN (docs/protocol.md section 9.1): connections and listening sockets. */
#ifndef ECI_NATIVE_SOCKETS_H
#define ECI_NATIVE_SOCKETS_H

#include "preamble/native/native.h"

/* As the kernel has it: the family first, in the machine's own order, over bytes[0..1]. */
struct native_address {
	union {
		uint16_t family;
		uint8_t bytes[112];
	};
	unsigned len;
};
#define NATIVE_ADDRESS_TEXT 112

bool native_address_tcp(struct native_address *a, const char *host, size_t n, unsigned port); /* false: a name */
bool native_address_unix(struct native_address *a, const char *path, size_t n);
/* "ADDRESS PORT", or a path. How many bytes. */
size_t native_address_text(const struct native_address *a, char out[NATIVE_ADDRESS_TEXT]);

bool native_socks_deliver(const struct eci_frame *f);    /* OPEN: true, it was */
bool native_socks_cancel(uint32_t src, uint64_t handle); /* true: that was one of them */
void native_socks_watch(uint64_t *until);
void native_socks_serve(void);
void native_socks_end(void); /* removes what is in file systems */

#endif
