/* Fuzz target: the CBOR checker, cursor and writer. Whatever the bytes, the cursor ends inside them. Of bytes that the
 * checker accepts: the cursor reads them to the end, skips them in one step, they hold no more items than allowed;
 * written again they are accepted, and writing that once more changes nothing; and without the last byte they are
 * short. A broken promise aborts. */
#include "core/cbor.h"
#include "tests/unit/core/cbor_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool promise)
{
	if (!promise)
		abort();
}

/* The getters in an order that the input chooses. */
static void read_typed(const uint8_t *data, size_t size)
{
	struct eci_cbor c = eci_cbor_open(data, size);
	const uint8_t *p;
	const char *text;
	size_t n, i;

	for (i = 0; !c.bad && i <= size; i++) {
		switch (data[i % size] % 9) {
		case 0:
			eci_cbor_get_uint(&c);
			break;
		case 1:
			eci_cbor_get_int(&c);
			break;
		case 2:
			eci_cbor_get_bool(&c);
			break;
		case 3:
			must(eci_cbor_get_array(&c) <= size);
			break;
		case 4:
			must(eci_cbor_get_map(&c) <= size / 2);
			break;
		case 5:
			must(eci_cbor_get_bytes(&c, &p, &n) || (!p && !n));
			break;
		case 6:
			must(eci_cbor_get_text(&c, &text, &n) || (!text && !n));
			break;
		case 7:
			must(eci_cbor_get_either(&c, &p, &n) || (!p && !n));
			break;
		default:
			eci_cbor_get_null(&c);
			break;
		}
		must(c.p <= c.end);
	}
}

static void read_again(const uint8_t *data, size_t size, size_t items)
{
	struct eci_buf once = ECI_BUF_NULL, twice = ECI_BUF_NULL;
	struct eci_cbor c = eci_cbor_open(data, size);

	must(eci_cbor_skip(&c) && c.p == c.end);
	must(eci_cbor_check(data, size, (uint32_t)items) == ECI_CBOR_OK);
	must(eci_cbor_check(data, size, (uint32_t)items - 1) == ECI_CBOR_E_ITEMS);
	must(eci_cbor_check(data, size - 1, ECI_CBOR_ITEMS_MAX) == ECI_CBOR_E_SHORT);
	must(reencode(data, size, &once));
	must(eci_cbor_check(eci_buf_data(&once), eci_buf_len(&once), ECI_CBOR_ITEMS_MAX) == ECI_CBOR_OK);
	must(reencode(eci_buf_data(&once), eci_buf_len(&once), &twice));
	must(eci_buf_len(&once) == eci_buf_len(&twice));
	must(memcmp(eci_buf_data(&once), eci_buf_data(&twice), eci_buf_len(&once)) == 0);
	eci_buf_deinit(&once);
	eci_buf_deinit(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eci_cbor c = eci_cbor_open(data, size);
	struct eci_cbor_item it;
	size_t items = 0;
	int err;

	if (size == 0)
		return 0;
	while (eci_cbor_next(&c, &it))
		items++;
	must(c.p <= c.end && items <= size);
	read_typed(data, size);
	err = eci_cbor_check(data, size, ECI_CBOR_ITEMS_MAX);
	must(err <= ECI_CBOR_OK && err >= ECI_CBOR_E_BIG);
	if (err == ECI_CBOR_OK) {
		must(!c.bad && c.p == c.end);
		read_again(data, size, items);
	}
	return 0;
}
