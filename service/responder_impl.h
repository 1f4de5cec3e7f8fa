/* service, private to the responder: what is kept about one thing that can be served. */
#ifndef ECI_SERVICE_RESPONDER_IMPL_H
#define ECI_SERVICE_RESPONDER_IMPL_H

#include "service/service.h"

struct eci_filter {
	char **include; /* NULL: everything */
	char **exclude;
};
/* May this name be served? What lies above an included prefix may too: it must be imported first. */
bool eci_filter_allows(const struct eci_filter *f, const char *name);
int eci_filter_init(struct eci_filter *f, const char *const *include, const char *const *exclude);
void eci_filter_deinit(struct eci_filter *f);

struct eci_entry {
	char *name;
	enum eci_module_kind kind;
	char *path;
	uint8_t *bytes; /* until it is packed */
	size_t len;
	char **children;             /* NULL, or NULL-terminated in one block */
	struct eci_packing *packing; /* begun, not done */
	void (*stop)(struct eci_packing *state);
	struct eci_buf zlib;
	uint8_t digest[16];
	char **imports; /* NULL-terminated, each malloc'd; set by eci_entry_set_imports() */
	size_t import_count;
	bool packed;
};
#define ECI_CHILDREN_MAX 32768u /* names in one entry: its items stay well below what one body may hold */

/* Takes everything out of src, even when it fails. 0 or -1 (no memory). */
int eci_entry_init(struct eci_entry *e, const char *name, struct eci_source *src);
void eci_entry_deinit(struct eci_entry *e);
/* Compresses it and forgets the plain bytes. 0, -1, or 1: not done yet. */
int eci_entry_pack(struct eci_entry *e, const struct eci_source_ops *ops, void *ctx);
/* Appends it as docs/protocol.md section 11 says. Children that the filter refuses are left out; NULL allows all. */
void eci_entry_encode(const struct eci_entry *e, const struct eci_filter *f, struct eci_buf *out);
void eci_source_deinit(struct eci_source *src);

#endif
