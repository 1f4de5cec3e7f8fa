/* A copy as values of a channel: preamble/served/econtext_files.py says which. Each goes with its length before it. */
#include "mesh/copy.h"

#include "core/cbor.h"

#include <string.h>
#include <unistd.h>

static void put_value(struct eci_feeder *f, struct eci_buf *value)
{
	size_t n = eci_buf_len(value);
	const uint8_t head[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	(void)eci_buf_append(&f->out, head, sizeof head);
	(void)eci_buf_append(&f->out, eci_buf_data(value), n);
	f->out.failed = f->out.failed || value->failed;
	eci_buf_deinit(value);
}

static void head(struct eci_feeder *f, const struct eci_entry_here *e, uint64_t offset)
{
	static const char *const what[] = {"file", "dir", "link"};
	struct eci_buf b = ECI_BUF_NULL;
	double mtime = (double)e->st.st_mtim.tv_sec + (double)e->st.st_mtim.tv_nsec / 1e9;
	uint64_t bits;
	memcpy(&bits, &mtime, sizeof bits);
	eci_cbor_put_array(&b, e->kind == ECI_ENTRY_FILE ? 6 : e->kind == ECI_ENTRY_DIR ? 4 : 3);
	eci_cbor_put_str(&b, what[e->kind]);
	eci_cbor_put_bytes(&b, e->path, strlen(e->path));
	if (e->kind == ECI_ENTRY_LINK) {
		char target[4096];
		ssize_t n = readlink(e->full, target, sizeof target);
		eci_cbor_put_bytes(&b, target, n > 0 ? (size_t)n : 0);
	} else {
		eci_cbor_put_uint(&b, e->st.st_mode & 07777);
		eci_cbor_put_f64bits(&b, bits);
	}
	if (e->kind == ECI_ENTRY_FILE) {
		eci_cbor_put_uint(&b, f->size);
		eci_cbor_put_uint(&b, offset);
	}
	put_value(f, &b);
}

static void piece(struct eci_feeder *f, const uint8_t *p, size_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_bytes(&b, p, n);
	put_value(f, &b);
}

static void hole(struct eci_feeder *f, uint64_t n)
{
	struct eci_buf b = ECI_BUF_NULL;
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, "hole");
	eci_cbor_put_uint(&b, n);
	put_value(f, &b);
}

static void done(struct eci_feeder *f, bool whole, const uint8_t *sum)
{
	struct eci_buf b = ECI_BUF_NULL;
	(void)whole; /* the far end has counted */
	eci_cbor_put_array(&b, 2);
	eci_cbor_put_str(&b, "done");
	if (sum)
		eci_cbor_put_bytes(&b, sum, ECI_DIGEST_SIZE);
	else
		eci_cbor_put_null(&b);
	put_value(f, &b);
}

const struct eci_feeder_form eci_form_values = {.head = head, .piece = piece, .hole = hole, .done = done};
