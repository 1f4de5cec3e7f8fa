/* service, private to the responder: all that it knows of (records.c). */
#ifndef ECI_SERVICE_RECORDS_H
#define ECI_SERVICE_RECORDS_H

#include "service/responder_impl.h"

/* A library does not end its program for want of memory: an element that could not be added has no table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct eci_record {
	struct eci_entry entry;
	UT_hash_handle hh; /* by entry.name */
	uint32_t index;    /* in the sets of what was sent */
	uint32_t round;    /* of the last walk that reached it */
	bool scanned;      /* entry.imports is filled in */
	bool incomplete;   /* memory ran out while it was */
};

struct eci_records {
	const struct eci_source_ops *ops;
	void *ctx;
	struct eci_filter filter;
	struct eci_record *by_name;
	uint32_t count; /* that were made: the next one's index */
};

void eci_records_deinit(struct eci_records *r);
struct eci_record *eci_records_known(struct eci_records *r, const char *name);
/* Asks the world. 1: *entry is it. 0: there is no such thing (for us). -1: no memory. */
int eci_records_find(struct eci_records *r, const char *name, struct eci_entry *entry);
/* The record of a module. 0 with *out NULL: there is none. -1: no memory. */
int eci_records_lookup(struct eci_records *r, const char *name, struct eci_record **out);
/* A record of this, in place of what has its name. Takes entry, also when it fails. 0 or -1. */
int eci_records_put(struct eci_records *r, struct eci_entry *entry);
/* Fills in what it imports, once. 0, or -1: no memory. */
int eci_records_scan(struct eci_records *r, struct eci_record *rec);

#endif
