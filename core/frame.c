/* The frame header (docs/protocol.md section 1) and the decoder that cuts frames off the head of a byte stream.
 *
 * The decoder keeps no state: the caller keeps the unread bytes (an eci_buf) and asks again when there are more. So
 * there is nothing to reset and nothing that can disagree with the bytes, and the body is lent from the caller's buffer
 * rather than copied. A caller that waits for `header + length` bytes before it asks would be quadratic in nothing: an
 * unsuccessful attempt reads at most 28 bytes.
 *
 * A bad byte is reported as soon as it is there, not when 28 have come: a peer that speaks something else (a shell's
 * error message, an ssh banner) may send fewer bytes than a header and then wait forever for us.
 *
 * What is checked here is what any frame must satisfy by itself; whether its ids, flags and handle make sense on this
 * link is the router's question. Multi-byte fields are put together from bytes: the header is not aligned in the
 * stream, and a packed struct would tie the wire to the machine. */
#include "core/frame.h"

#include "core/cbor.h"

enum { AT_VERSION = 1, AT_KIND = 2, AT_HOPS = 3, AT_DST = 4, AT_SRC = 8, AT_AUTH = 12 };
enum { AT_HANDLE = 16, AT_REPLY_TO = 20, AT_LENGTH = 24 };

#define CLASS_MASK 0x03u
#define FLAGS_MASK 0x3Cu
#define RESERVED_MASK 0xC0u

void eci_frame_pack(uint8_t out[ECI_FRAME_HEADER], const struct eci_frame *f)
{
	out[0] = ECI_FRAME_MAGIC;
	out[AT_VERSION] = ECI_PROTOCOL_VERSION;
	out[AT_KIND] = (uint8_t)((f->cls & CLASS_MASK) | (f->flags & FLAGS_MASK));
	out[AT_HOPS] = f->hops;
	eci_put32(out + AT_DST, f->dst);
	eci_put32(out + AT_SRC, f->src);
	eci_put32(out + AT_AUTH, f->auth);
	eci_put32(out + AT_HANDLE, f->handle);
	eci_put32(out + AT_REPLY_TO, f->reply_to);
	eci_put32(out + AT_LENGTH, f->len);
}

static bool kind_valid(uint8_t kind)
{
	return (kind & CLASS_MASK) <= ECI_BULK && !(kind & RESERVED_MASK);
}

long eci_frame_unpack(const uint8_t *p, size_t n, struct eci_frame *f)
{
	uint32_t len, len_max;

	if (n > 0 && p[0] != ECI_FRAME_MAGIC)
		return ECI_FRAME_E_BAD;
	if (n > AT_VERSION && p[AT_VERSION] != ECI_PROTOCOL_VERSION)
		return ECI_FRAME_E_BAD;
	if (n > AT_KIND && !kind_valid(p[AT_KIND]))
		return ECI_FRAME_E_BAD;
	if (n < ECI_FRAME_HEADER)
		return 0;
	len = eci_get32(p + AT_LENGTH);
	len_max = (p[AT_KIND] & CLASS_MASK) == ECI_BULK ? ECI_BULK_BODY_MAX : ECI_FRAME_BODY_MAX;
	if (len > len_max)
		return ECI_FRAME_E_BIG;
	if (n - ECI_FRAME_HEADER < len)
		return 0;
	*f = (struct eci_frame){
		.cls = p[AT_KIND] & CLASS_MASK,
		.flags = p[AT_KIND] & FLAGS_MASK,
		.hops = p[AT_HOPS],
		.dst = eci_get32(p + AT_DST),
		.src = eci_get32(p + AT_SRC),
		.auth = eci_get32(p + AT_AUTH),
		.handle = eci_get32(p + AT_HANDLE),
		.reply_to = eci_get32(p + AT_REPLY_TO),
		.len = len,
		.body = p + ECI_FRAME_HEADER,
	};
	return (long)(ECI_FRAME_HEADER + len);
}

struct eci_cbor eci_cbor_of(const struct eci_frame *f)
{
	struct eci_cbor c = eci_cbor_open(f->body, f->len);
	c.bad = eci_cbor_check(f->body, f->len, ECI_CBOR_ITEMS_MAX) != ECI_CBOR_OK;
	return c;
}
