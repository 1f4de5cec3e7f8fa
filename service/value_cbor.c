/* Values <-> CBOR. Encoding is deterministic (docs/protocol.md section 2): maps are written along their sorted index.
 *
 * Decoding is safe on any bytes, but does not look for everything that eci_cbor_check() does (the number of items, what
 * follows the item); what came from elsewhere is checked as a whole before a value is read out of it. Depth is looked
 * at here as well, because it is this code's stack. */
#include "service/service.h"
#include "service/value_impl.h"

#include <string.h>

static int encode(struct eci_buf *b, const ectx_value *v, unsigned depth);

static int encode_items(struct eci_buf *b, const ectx_value *v, unsigned depth)
{
	size_t i;

	eci_cbor_put_array(b, v->array.count);
	for (i = 0; i < v->array.count; i++)
		if (encode(b, v->array.items[i], depth + 1))
			return -1;
	return 0;
}

static int encode_pairs(struct eci_buf *b, const ectx_value *v, unsigned depth)
{
	const struct eci_value_pair *pair;
	size_t i;

	eci_cbor_put_map(b, v->map.count);
	for (i = 0; i < v->map.count; i++) {
		pair = &v->map.pairs[v->map.order[i]];
		if (encode(b, pair->key, depth + 1) || encode(b, pair->item, depth + 1))
			return -1;
	}
	return 0;
}

static void encode_float(struct eci_buf *b, double real)
{
	uint64_t bits;

	memcpy(&bits, &real, sizeof(bits));
	eci_cbor_put_f64bits(b, bits);
}

static int encode(struct eci_buf *b, const ectx_value *v, unsigned depth)
{
	if (depth > ECI_CBOR_DEPTH_MAX || b->failed)
		return -1;
	switch (v->kind) {
	case ECTX_NULL:
		eci_cbor_put_null(b);
		break;
	case ECTX_BOOL:
		eci_cbor_put_bool(b, v->flag);
		break;
	case ECTX_INT:
		if (v->flag)
			eci_cbor_put_neg(b, v->number);
		else
			eci_cbor_put_uint(b, v->number);
		break;
	case ECTX_BIGINT:
		eci_cbor_put_big(b, v->flag, v->str.mem, v->str.len);
		break;
	case ECTX_FLOAT:
		encode_float(b, v->real);
		break;
	case ECTX_TEXT:
		eci_cbor_put_text(b, v->str.mem, v->str.len);
		break;
	case ECTX_BYTES:
		eci_cbor_put_bytes(b, v->str.mem, v->str.len);
		break;
	case ECTX_ARRAY:
		return v->flag ? -1 : encode_items(b, v, depth);
	case ECTX_MAP:
		return v->flag ? -1 : encode_pairs(b, v, depth);
	}
	return b->failed ? -1 : 0;
}

int eci_value_encode(struct eci_buf *b, const ectx_value *v)
{
	if (v)
		return encode(b, v, 1);
	eci_cbor_put_null(b);
	return b->failed ? -1 : 0;
}

static ectx_value *decode(struct eci_cbor *c, unsigned depth);

static ectx_value *decode_items(struct eci_cbor *c, uint64_t count, unsigned depth)
{
	ectx_value *v = ectx_array();

	for (; v && count > 0; count--) {
		if (ectx_array_push(v, decode(c, depth + 1)))
			continue;
		ectx_value_free(v);
		return NULL;
	}
	return v;
}

static ectx_value *decode_pairs(struct eci_cbor *c, uint64_t count, unsigned depth)
{
	ectx_value *v = ectx_map(), *key;

	for (; v && count > 0; count--) {
		key = decode(c, depth + 1);
		if (key && eci_map_append(v, key, decode(c, depth + 1)) == 0)
			continue;
		ectx_value_free(v);
		return NULL;
	}
	if (v && eci_map_seal(v)) { /* a key that came twice */
		ectx_value_free(v);
		return NULL;
	}
	return v;
}

static ectx_value *decode_number(const struct eci_cbor_item *it)
{
	uint8_t magnitude[8];
	size_t i;

	if (it->type == ECI_CBOR_BIGPOS || it->type == ECI_CBOR_BIGNEG)
		return eci_value_new_number(it->type == ECI_CBOR_BIGNEG, it->ptr, it->len);
	for (i = 0; i < sizeof(magnitude); i++)
		magnitude[i] = (uint8_t)(it->u64 >> (56 - 8 * i));
	return eci_value_new_number(it->type == ECI_CBOR_NEG, magnitude, sizeof(magnitude));
}

static ectx_value *decode_float(uint64_t bits)
{
	double real;

	memcpy(&real, &bits, sizeof(real));
	return ectx_float(real);
}

static ectx_value *decode(struct eci_cbor *c, unsigned depth)
{
	struct eci_cbor_item it;

	if (depth > ECI_CBOR_DEPTH_MAX || !eci_cbor_next(c, &it))
		return NULL;
	switch (it.type) {
	case ECI_CBOR_UINT:
	case ECI_CBOR_NEG:
	case ECI_CBOR_BIGPOS:
	case ECI_CBOR_BIGNEG:
		return decode_number(&it);
	case ECI_CBOR_BYTES:
		return ectx_bytes(it.ptr, it.len);
	case ECI_CBOR_TEXT:
		return ectx_text_n((const char *)it.ptr, it.len);
	case ECI_CBOR_ARRAY:
		return decode_items(c, it.u64, depth);
	case ECI_CBOR_MAP:
		return decode_pairs(c, it.u64, depth);
	case ECI_CBOR_FLOAT:
		return decode_float(it.u64);
	case ECI_CBOR_FALSE:
	case ECI_CBOR_TRUE:
		return ectx_bool(it.type == ECI_CBOR_TRUE);
	case ECI_CBOR_NULL:
		return ectx_null();
	}
	return NULL;
}

ectx_value *eci_value_decode(struct eci_cbor *c)
{
	ectx_value *v = decode(c, 1);

	if (!v)
		c->bad = true;
	return v;
}
