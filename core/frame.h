/* core: the frame header codec and the incremental decoder (docs/protocol.md section 1). */
#ifndef ECI_CORE_FRAME_H
#define ECI_CORE_FRAME_H

#include "core/buf.h"

#define ECI_FRAME_HEADER 28u
#define ECI_FRAME_MAGIC 0xECu
#define ECI_PROTOCOL_VERSION 1u
#define ECI_FRAME_BODY_MAX 65536u /* one read's worth; larger messages are fragments */
#define ECI_BULK_BODY_MAX 16384u  /* what an urgent frame may have to wait for */
#define ECI_HOPS 64u              /* deeper than any tree that works; stops a loop */

enum eci_class { ECI_CONTROL = 0, ECI_CALL = 1, ECI_BULK = 2 };
enum { ECI_F_DEAD = 0x04, ECI_F_MULTICAST = 0x08, ECI_F_MORE = 0x10, ECI_F_END = 0x20 };

struct eci_frame {
	uint8_t cls;   /* enum eci_class */
	uint8_t flags; /* ECI_F_* */
	uint8_t hops;
	uint32_t dst, src, auth, handle, reply_to;
	uint32_t len;
	const uint8_t *body; /* borrowed */
};

/* Handles below 256 (section 5). */
enum eci_handle {
	ECI_H_HELLO = 1,
	ECI_H_PING = 2,
	ECI_H_PONG = 3,
	ECI_H_ACK = 4,
	ECI_H_PAUSE = 5,
	ECI_H_RESUME = 6,
	ECI_H_ECHO = 7,
	ECI_H_SHUTDOWN = 8,
	ECI_H_GRANT = 9,
	ECI_H_GROUP = 10,
	ECI_H_UNGROUP = 11,
	ECI_H_SPAWN = 16,
	ECI_H_RAW = 17,
	ECI_H_PROMOTE = 18,
	ECI_H_KILL = 19,
	ECI_H_PART = 24,
	ECI_H_CALL = 25,
	ECI_H_CANCEL = 26,
	ECI_H_EXEC = 27,
	ECI_H_STATS = 28,
	ECI_H_OPEN = 29,
	ECI_H_GET_MODULE = 32,
	ECI_H_LOG = 33,
	ECI_H_CREDIT = 34,
	ECI_H_FIRST_SLOT = 256
};

void eci_frame_pack(uint8_t out[ECI_FRAME_HEADER], const struct eci_frame *f);

/* Reads one frame from the head of [p, p+n). Returns bytes consumed (header + body; f->body points into p), 0 if more
 * bytes are needed, ECI_FRAME_E_BAD (magic, version, class, reserved bits) or ECI_FRAME_E_BIG (length). */
enum { ECI_FRAME_E_BAD = -1, ECI_FRAME_E_BIG = -2 };
long eci_frame_unpack(const uint8_t *p, size_t n, struct eci_frame *f);

static inline uint32_t eci_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}
static inline void eci_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

#endif
