/* Fuzz target: the frame decoder. The first byte chooses how the rest is cut into pieces; decoding the pieces as they
 * come must give what decoding all at once gives, each header must be what packing its frame gives, and no frame may
 * end beyond the input. A broken promise aborts. */
#include "core/cbor.h"
#include "core/frame.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool promise)
{
	if (!promise)
		abort();
}

/* Decodes what is there; adds the frames to *frames and drains them. The error that ended it, or 0: more is needed. */
static long decode(struct eci_buf *in, size_t *frames)
{
	uint8_t head[ECI_FRAME_HEADER];
	struct eci_frame f;
	long used;

	while ((used = eci_frame_unpack(eci_buf_data(in), eci_buf_len(in), &f)) > 0) {
		must((size_t)used == ECI_FRAME_HEADER + f.len && (size_t)used <= eci_buf_len(in));
		must(f.len <= (f.cls == ECI_BULK ? ECI_BULK_BODY_MAX : ECI_FRAME_BODY_MAX) && f.cls <= ECI_BULK);
		must(f.body == eci_buf_data(in) + ECI_FRAME_HEADER);
		eci_frame_pack(head, &f);
		must(memcmp(head, eci_buf_data(in), sizeof(head)) == 0);
		eci_cbor_check(f.body, f.len, ECI_CBOR_ITEMS_MAX);
		eci_buf_drain(in, (size_t)used);
		++*frames;
	}
	must(used == 0 || used == ECI_FRAME_E_BAD || used == ECI_FRAME_E_BIG);
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eci_buf whole = ECI_BUF_NULL, pieces = ECI_BUF_NULL;
	size_t piece, at, n, frames_whole = 0, frames_pieces = 0;
	long end_whole, end_pieces = 0;

	if (size == 0)
		return 0;
	piece = 1 + data[0];
	data++, size--;
	must(eci_buf_append(&whole, data, size) == 0);
	end_whole = decode(&whole, &frames_whole);
	for (at = 0; at < size && end_pieces == 0; at += n) {
		n = size - at < piece ? size - at : piece;
		must(eci_buf_append(&pieces, data + at, n) == 0);
		end_pieces = decode(&pieces, &frames_pieces);
	}
	must(end_whole == end_pieces && frames_whole == frames_pieces);
	must(end_whole < 0 || eci_buf_len(&whole) == eci_buf_len(&pieces));
	eci_buf_deinit(&whole);
	eci_buf_deinit(&pieces);
	return 0;
}
