/* service: a SOCKS server's side of its handshake (RFC 1928, RFC 1929): CONNECT to an IPv4 or IPv6 address or a name,
 * with no authentication or with one user and password. Pure: bytes in, bytes out. */
#ifndef ECI_SERVICE_SOCKS_H
#define ECI_SERVICE_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECI_SOCKS_MESSAGE_MAX 513u /* RFC 1929: two lengths, two strings, a version */
#define ECI_SOCKS_REPLY_SIZE 10u

enum eci_socks_step {
	ECI_SOCKS_MORE,    /* wants more bytes */
	ECI_SOCKS_CONNECT, /* host and port are set: eci_socks_reply() answers when it is known how that went */
	ECI_SOCKS_REFUSED  /* close it, after writing out */
};

struct eci_socks {
	const char *user, *password; /* borrowed; NULL: no authentication */
	int stage;
	uint8_t in[ECI_SOCKS_MESSAGE_MAX];
	size_t n;
	uint8_t out[16]; /* to be written, at most 2 + 2 + 10 bytes; the caller empties it (out_len = 0) */
	size_t out_len;
	char host[256];
	int port;
	const char *why; /* refused: for people */
};

/* Takes bytes of [p, p+n), never one beyond the handshake: what follows is the connection's. *used: how many. */
enum eci_socks_step eci_socks_feed(struct eci_socks *s, const uint8_t *p, size_t n, size_t *used);
/* The reply to CONNECT: error is errno's value at the exit (Linux's numbers), or -1 for anything else; 0: connected. */
void eci_socks_reply(uint8_t out[ECI_SOCKS_REPLY_SIZE], int error);

#endif
