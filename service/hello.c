/* HELLO as a child reads and answers it, and as a router reads its child's.
 *
 * Keys that are not known are skipped, of whatever type they are: a newer version may have put text there. What a child
 * says of itself beside its version is the master's to read; a router only passes it on. */
#include "service/hello.h"

#include "router/router.h"

/* True if the next item is an integer below 5, which is then consumed. */
static bool take_key(struct eci_cbor *c, uint64_t *key)
{
	struct eci_cbor at = *c;
	struct eci_cbor_item it;
	if (!eci_cbor_next(&at, &it) || it.type != ECI_CBOR_UINT || it.u64 > 4)
		return false;
	*key = it.u64;
	*c = at;
	return true;
}

static void take_value(struct eci_hello *h, struct eci_cbor *c, uint64_t key)
{
	size_t items;
	switch (key) {
	case 1:
		items = eci_cbor_get_array(c);
		h->lo = eci_cbor_get_u32(c);
		h->size = eci_cbor_get_u32(c);
		for (; items > 2; items--)
			(void)eci_cbor_skip(c);
		break;
	case 2:
		h->idle_ms = eci_cbor_get_u32(c);
		break;
	case 4:
		(void)eci_cbor_get_text(c, &h->title, &h->title_len);
		break;
	default:
		(void)eci_cbor_skip(c);
	}
}

bool eci_hello_read(struct eci_hello *h, const struct eci_frame *f, bool from_parent)
{
	struct eci_cbor c = eci_cbor_of(f);
	*h = (struct eci_hello){.version = UINT64_MAX};
	for (size_t pairs = eci_cbor_get_map(&c); pairs && !c.bad; pairs--) {
		uint64_t key = 3;
		if (!take_key(&c, &key))
			(void)eci_cbor_skip(&c);
		if (key == 0)
			h->version = eci_cbor_get_uint(&c);
		else
			take_value(h, &c, from_parent ? key : 3);
	}
	return !c.bad && h->version != UINT64_MAX && (!from_parent || h->size);
}

void eci_hello_answer(struct eci_buf *b, const struct eci_hello_self *self)
{
	const char *const texts[] = {self->agent, self->version, self->machine};
	eci_cbor_put_map(b, 7);
	eci_cbor_put_uint(b, 0);
	eci_cbor_put_uint(b, ECI_PROTOCOL_VERSION);
	for (uint32_t i = 0; i < 3; i++) {
		eci_cbor_put_uint(b, 1 + i);
		eci_cbor_put_str(b, texts[i]);
	}
	eci_cbor_put_uint(b, 4);
	eci_cbor_put_uint(b, self->pid);
	eci_cbor_put_uint(b, 5);
	eci_cbor_put_uint(b, self->uid);
	eci_cbor_put_uint(b, 6);
	eci_text_put(b, self->host); /* sethostname(2) takes any bytes */
}
