/* The responder's records: everything known is one, found once and kept for the responder's life; they are made only
 * for what exists, so a remote that asks for a million names costs a million look-ups and no memory.
 *
 * Modules refer to each other by the names of their imports; a record's imports are filled in when it is first sent
 * (entry.c), and hold the packages above it first, because Python imports those first. */
#include "service/records.h"

#include <stdlib.h>
#include <string.h>

void eci_records_deinit(struct eci_records *r)
{
	struct eci_record *rec, *next;

	HASH_ITER(hh, r->by_name, rec, next)
	{
		HASH_DEL(r->by_name, rec);
		eci_entry_deinit(&rec->entry);
		free(rec);
	}
	eci_filter_deinit(&r->filter);
}

struct eci_record *eci_records_known(struct eci_records *r, const char *name)
{
	struct eci_record *rec;

	HASH_FIND_STR(r->by_name, name, rec);
	return rec;
}

/* Takes entry, also when it fails. */
static struct eci_record *remember(struct eci_records *r, struct eci_entry *entry)
{
	struct eci_record *rec = calloc(1, sizeof(*rec));

	if (!rec) {
		eci_entry_deinit(entry);
		return NULL;
	}
	rec->entry = *entry;
	HASH_ADD_KEYPTR(hh, r->by_name, rec->entry.name, strlen(rec->entry.name), rec);
	if (!rec->hh.tbl) {
		eci_entry_deinit(&rec->entry);
		free(rec);
		return NULL;
	}
	rec->index = r->count++;
	return rec;
}

int eci_records_find(struct eci_records *r, const char *name, struct eci_entry *entry)
{
	struct eci_source src = {.kind = ECI_MOD_MISSING};

	if (!eci_filter_allows(&r->filter, name))
		return 0;
	if (r->ops->find(r->ctx, name, &src))
		return -1;
	if (src.kind == ECI_MOD_MISSING || src.len > ECI_MODULE_BYTES_MAX || !src.path) {
		eci_source_deinit(&src);
		return 0;
	}
	return eci_entry_init(entry, name, &src) ? -1 : 1;
}

int eci_records_lookup(struct eci_records *r, const char *name, struct eci_record **out)
{
	struct eci_entry entry;
	int rc;

	*out = eci_records_known(r, name);
	if (*out)
		return 0;
	rc = eci_records_find(r, name, &entry);
	if (rc <= 0)
		return rc;
	*out = remember(r, &entry);
	return *out ? 0 : -1;
}

int eci_records_put(struct eci_records *r, struct eci_entry *entry)
{
	struct eci_record *old = eci_records_known(r, entry->name);

	if (old) {
		HASH_DEL(r->by_name, old);
		eci_entry_deinit(&old->entry);
		free(old);
	}
	return remember(r, entry) ? 0 : -1;
}

/* ---- imports ---- */

struct collecting {
	struct eci_records *r;
	struct eci_record *rec;
};

/* One candidate of the scan: if it exists and is not there yet, it becomes an import of rec. */
static void add_import(void *arg, const char *name)
{
	struct collecting *c = arg;
	struct eci_entry *e = &c->rec->entry;
	struct eci_record *found;
	char **imports;
	size_t i;

	if (c->rec->incomplete || strcmp(name, e->name) == 0 || !eci_module_name_valid(name, strlen(name)))
		return;
	if (eci_records_lookup(c->r, name, &found)) {
		c->rec->incomplete = true;
		return;
	}
	if (!found)
		return;
	for (i = 0; i < e->import_count; i++)
		if (strcmp(e->imports[i], name) == 0)
			return;
	imports = realloc(e->imports, (e->import_count + 1) * sizeof(*imports));
	if (imports) {
		e->imports = imports;
		imports[e->import_count] = strdup(name);
		if (imports[e->import_count]) {
			e->import_count++;
			return;
		}
	}
	c->rec->incomplete = true;
}

int eci_records_scan(struct eci_records *r, struct eci_record *rec)
{
	struct collecting c = {r, rec};
	char above[ECI_MODULE_NAME_MAX + 1];
	size_t i;

	if (rec->scanned)
		return 0;
	rec->incomplete = false;
	for (i = 0; rec->entry.name[i] && !strchr(rec->entry.name, '/'); i++) {
		if (rec->entry.name[i] == '.') {
			above[i] = '\0';
			add_import(&c, above);
		}
		above[i] = rec->entry.name[i];
	}
	if (rec->entry.bytes && rec->entry.kind != ECI_MOD_DATA)
		eci_imports_scan(rec->entry.name, rec->entry.kind == ECI_MOD_PACKAGE, rec->entry.bytes, rec->entry.len,
				 add_import, &c);
	rec->scanned = !rec->incomplete;
	return rec->scanned ? 0 : -1;
}
