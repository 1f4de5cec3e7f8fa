/* One thing that can be served: what was found about it, compressed once, and its form on the wire.
 *
 * It goes through two states. Looked up: the plain bytes are held, because what imports it wants to know only that it
 * exists. Packed: when it is to be sent for the first time its imports are read and its bytes compressed, and the plain
 * bytes go; what is large takes several turns of the loop for that. So a module that is never sent is never compressed,
 * and one that is sent is never read again: a file that changes later is still served as it was, and every context of a
 * mesh runs the same code. */
#include "service/responder_impl.h"

#include <stdlib.h>
#include <string.h>

/* An agent executes a namespace package as it does any other. Parts of it may lie on its own machine, where Python
 * would look for them (PEP 420): below what its parent's path, or sys.path, names ('' is the working directory). They
 * come first, as that machine's own modules do. Python 2.4 syntax. */
#define NAMESPACE_SOURCE                                                                                  \
	"__path__[:0] = (lambda sys, parts: ['%s/%s' % (place or '.', parts[-1]) for place in getattr(\n" \
	"    sys.modules.get('.'.join(parts[:-1])), '__path__', sys.path)])(__import__('sys'), __name__.split('.'))\n"

void eci_source_deinit(struct eci_source *src)
{
	free(src->path);
	free(src->bytes);
	free(src->children);
	memset(src, 0, sizeof(*src));
}

int eci_entry_init(struct eci_entry *e, const char *name, struct eci_source *src)
{
	*e = (struct eci_entry){.kind = src->kind, .path = src->path, .bytes = src->bytes, .len = src->len};
	e->children = src->children;
	memset(src, 0, sizeof(*src));
	e->name = strdup(name);
	if (e->name && e->path)
		return 0;
	eci_entry_deinit(e);
	return -1;
}

void eci_entry_deinit(struct eci_entry *e)
{
	size_t i;

	for (i = 0; i < e->import_count; i++)
		free(e->imports[i]);
	if (e->packing)
		e->stop(e->packing);
	free(e->imports);
	free(e->name);
	free(e->path);
	free(e->bytes);
	free(e->children);
	eci_buf_deinit(&e->zlib);
	memset(e, 0, sizeof(*e));
}

int eci_entry_pack(struct eci_entry *e, const struct eci_source_ops *ops, void *ctx)
{
	static const uint8_t nothing[1];
	bool space = e->kind == ECI_MOD_NAMESPACE;
	const uint8_t *bytes = space ? (const uint8_t *)NAMESPACE_SOURCE : e->bytes;
	size_t len = space ? sizeof(NAMESPACE_SOURCE) - 1 : e->len;
	int rc = 0;

	if (e->packed)
		return 0;
	e->stop = ops->stop;
	if (bytes)
		rc = ops->pack(ctx, &e->packing, bytes, len, &e->zlib, e->digest);
	else
		ops->digest(ctx, nothing, 0, e->digest);
	if (rc < 0)
		eci_buf_deinit(&e->zlib);
	if (rc)
		return rc;
	free(e->bytes);
	e->bytes = NULL;
	e->packed = true;
	return 0;
}

/* Is the child of this name there for others? */
static bool child_allowed(const struct eci_entry *e, const struct eci_filter *f, const char *child)
{
	char full[2 * ECI_MODULE_NAME_MAX + 2];
	size_t n = strlen(e->name), m = strlen(child);
	bool dot = e->kind != ECI_MOD_LISTING; /* whose name ends in a slash */

	if (!f || n + dot + m > ECI_MODULE_NAME_MAX)
		return !f;
	memcpy(full, e->name, n);
	if (dot)
		full[n++] = '.';
	memcpy(full + n, child, m + 1);
	return eci_filter_allows(f, full);
}

static void encode_children(const struct eci_entry *e, const struct eci_filter *f, struct eci_buf *out)
{
	size_t i, count = 0;

	for (i = 0; e->children && e->children[i] && count < ECI_CHILDREN_MAX; i++)
		count += child_allowed(e, f, e->children[i]);
	eci_cbor_put_array(out, count);
	for (i = 0; count > 0; i++) {
		if (!child_allowed(e, f, e->children[i]))
			continue;
		eci_cbor_put_str(out, e->children[i]);
		count--;
	}
}

void eci_entry_encode(const struct eci_entry *e, const struct eci_filter *f, struct eci_buf *out)
{
	size_t i;

	(void)eci_buf_reserve(out, eci_buf_len(&e->zlib) + strlen(e->name) + strlen(e->path) + 64); /* in one step */
	eci_cbor_put_array(out, 7);
	eci_cbor_put_str(out, e->name);
	eci_cbor_put_uint(out, (uint64_t)e->kind);
	eci_cbor_put_str(out, e->path);
	eci_cbor_put_bytes(out, e->digest, sizeof(e->digest));
	eci_cbor_put_array(out, e->import_count);
	for (i = 0; i < e->import_count; i++)
		eci_cbor_put_str(out, e->imports[i]);
	encode_children(e, f, out);
	eci_cbor_put_bytes(out, eci_buf_len(&e->zlib) ? eci_buf_data(&e->zlib) : NULL, eci_buf_len(&e->zlib));
}
