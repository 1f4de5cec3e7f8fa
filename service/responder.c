/* The responder: answers "send me module X" with X and what X will import next, so that a program of fifty modules
 * costs a few round trips instead of fifty.
 *
 * Everything known is a record, found once and kept for the responder's life; records are made only for what exists, so
 * a remote that asks for a million names costs a million look-ups and no memory. Modules refer to each other by the
 * names of their imports; a record's imports are filled in when it is first sent (entry.c), and hold the packages above
 * it first, because Python imports those first. So the closure of an answer is one breadth-first walk along imports.
 *
 * Per link there is a set of records that were sent over it. A record in the set is neither sent nor walked through
 * again, unless it is the one asked for: a context that asks twice has lost it. The set is a bit a record, so 1,000
 * links and 10,000 modules are a megabyte.
 *
 * An answer is bounded; where it is cut, the rest is asked for when it is needed. Data and listings are made for the
 * answer and forgotten: there may be gigabytes below a root, and relays cache. What is large is compressed over several
 * turns, and until then its question is asked again; of data one at a time, or every link could have 16 MiB held here.
 */
#include "service/responder_impl.h"

#include <stdlib.h>
#include <string.h>

/* A library does not end its program for want of memory: an element that could not be added has no table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct record {
	struct eci_entry entry;
	UT_hash_handle hh; /* by entry.name */
	uint32_t index;
	uint32_t round;  /* of the last walk that reached it */
	bool scanned;    /* entry.imports is filled in */
	bool incomplete; /* memory ran out while it was */
};

struct sent {
	UT_hash_handle hh;
	uint32_t link;
	uint8_t *bits;
	size_t bytes;
};

struct eci_responder {
	const struct eci_source_ops *ops;
	void *ctx;
	struct eci_filter filter;
	struct record *records;
	struct sent *links;
	uint32_t count, round;
	struct eci_entry making; /* data that is being compressed, for a link; its name is NULL if none is */
	uint32_t making_for;
};

struct walk {
	struct record **list;
	size_t count, cap;
};

struct eci_responder *eci_responder_new(const struct eci_source_ops *ops, void *ctx, const char *const *include,
					const char *const *exclude)
{
	struct eci_responder *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->ops = ops;
	r->ctx = ctx;
	if (eci_filter_init(&r->filter, include, exclude)) {
		free(r);
		return NULL;
	}
	return r;
}

void eci_responder_free(struct eci_responder *r)
{
	struct record *rec, *next_rec;
	struct sent *s, *next;

	if (!r)
		return;
	HASH_ITER(hh, r->records, rec, next_rec)
	{
		HASH_DEL(r->records, rec);
		eci_entry_deinit(&rec->entry);
		free(rec);
	}
	HASH_ITER(hh, r->links, s, next)
	{
		HASH_DEL(r->links, s);
		free(s->bits);
		free(s);
	}
	eci_entry_deinit(&r->making);
	eci_filter_deinit(&r->filter);
	free(r);
}

/* ---- what was sent over which link ---- */

static struct sent *sent_over(struct eci_responder *r, uint32_t link)
{
	struct sent *s;

	HASH_FIND(hh, r->links, &link, sizeof(link), s);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (s) {
		s->link = link;
		HASH_ADD(hh, r->links, link, sizeof(s->link), s);
		if (!s->hh.tbl) {
			free(s);
			s = NULL;
		}
	}
	return s;
}

static bool was_sent(const struct sent *s, const struct record *rec)
{
	return rec->index / 8 < s->bytes && (s->bits[rec->index / 8] >> rec->index % 8 & 1);
}

/* Without memory nothing is noted, and the record will be sent once more than needed. */
static void note_sent(struct sent *s, const struct record *rec)
{
	size_t bytes = rec->index / 8 + 64;
	uint8_t *bits;

	if (rec->index / 8 >= s->bytes) {
		bits = realloc(s->bits, bytes);
		if (!bits)
			return;
		memset(bits + s->bytes, 0, bytes - s->bytes);
		s->bits = bits;
		s->bytes = bytes;
	}
	s->bits[rec->index / 8] |= (uint8_t)(1u << rec->index % 8);
}

void eci_responder_forget_link(struct eci_responder *r, uint32_t link)
{
	struct sent *s;

	if (r->making_for == link)
		eci_entry_deinit(&r->making);
	HASH_FIND(hh, r->links, &link, sizeof(link), s);
	if (!s)
		return;
	HASH_DEL(r->links, s);
	free(s->bits);
	free(s);
}

/* ---- records ---- */

static struct record *known(struct eci_responder *r, const char *name)
{
	struct record *rec;

	HASH_FIND_STR(r->records, name, rec);
	return rec;
}

/* Takes entry, also when it fails. */
static struct record *remember(struct eci_responder *r, struct eci_entry *entry)
{
	struct record *rec = calloc(1, sizeof(*rec));

	if (!rec) {
		eci_entry_deinit(entry);
		return NULL;
	}
	rec->entry = *entry;
	HASH_ADD_KEYPTR(hh, r->records, rec->entry.name, strlen(rec->entry.name), rec);
	if (!rec->hh.tbl) {
		eci_entry_deinit(&rec->entry);
		free(rec);
		return NULL;
	}
	rec->index = r->count++;
	return rec;
}

/* Asks the world. 1: *entry is it. 0: there is no such thing (for us). -1: no memory. */
static int find(struct eci_responder *r, const char *name, struct eci_entry *entry)
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

/* The record of a module. 0 with *out NULL: there is none. -1: no memory. */
static int lookup(struct eci_responder *r, const char *name, struct record **out)
{
	struct eci_entry entry;
	int rc;

	*out = known(r, name);
	if (*out)
		return 0;
	rc = find(r, name, &entry);
	if (rc <= 0)
		return rc;
	*out = remember(r, &entry);
	return *out ? 0 : -1;
}

int eci_responder_add(struct eci_responder *r, const char *name, const char *path, const uint8_t *source, size_t len)
{
	struct eci_source src = {.kind = ECI_MOD_MODULE, .path = strdup(path), .bytes = malloc(len ? len : 1)};
	struct record *old = known(r, name);
	struct eci_entry entry;

	if (!src.path || !src.bytes) {
		eci_source_deinit(&src);
		return -1;
	}
	if (len)
		memcpy(src.bytes, source, len);
	src.len = len;
	if (eci_entry_init(&entry, name, &src))
		return -1;
	/* What stands there was perhaps sent; its index dies with it, so the new one counts as not sent. */
	if (old) {
		HASH_DEL(r->records, old);
		eci_entry_deinit(&old->entry);
		free(old);
	}
	return remember(r, &entry) ? 0 : -1;
}

/* ---- imports ---- */

struct collecting {
	struct eci_responder *r;
	struct record *rec;
};

/* One candidate of the scan: if it exists and is not there yet, it becomes an import of rec. */
static void add_import(void *arg, const char *name)
{
	struct collecting *c = arg;
	struct eci_entry *e = &c->rec->entry;
	struct record *found;
	char **imports;
	size_t i;

	if (c->rec->incomplete || strcmp(name, e->name) == 0 || !eci_module_name_valid(name, strlen(name)))
		return;
	if (lookup(c->r, name, &found)) {
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

static int scan(struct eci_responder *r, struct record *rec)
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

/* ---- answers ---- */

static int walk_add(struct walk *w, struct record *rec, uint32_t round)
{
	struct record **list;

	if (rec->round == round)
		return 0;
	if (w->count == w->cap) {
		list = realloc(w->list, (w->cap * 2 + 16) * sizeof(*list));
		if (!list)
			return -1;
		w->list = list;
		w->cap = w->cap * 2 + 16;
	}
	rec->round = round;
	w->list[w->count++] = rec;
	return 0;
}

/* Fills w with what the answer holds: the first is the one asked for. 1: something of it is not compressed yet. */
static int closure(struct eci_responder *r, const struct sent *s, struct walk *w)
{
	size_t at, i, children, bytes = 0, items = 0;
	int rc;
	struct record *rec, *found;

	for (at = 0; at < w->count; at++) {
		rec = w->list[at];
		rc = scan(r, rec);
		rc = rc ? rc : eci_entry_pack(&rec->entry, r->ops, r->ctx);
		if (rc)
			return rc;
		for (children = 0; rec->entry.children && rec->entry.children[children];)
			children++;
		if (at > 0) {
			bytes += eci_buf_len(&rec->entry.zlib);
			items += ECI_ENTRY_ITEMS + rec->entry.import_count + children;
		}
		if (bytes > ECI_ANSWER_BYTES_MAX || items > ECI_ANSWER_ITEMS_MAX) {
			w->count = at;
			return 0;
		}
		for (i = 0; i < rec->entry.import_count; i++) {
			found = known(r, rec->entry.imports[i]);
			if (found && !was_sent(s, found) && walk_add(w, found, r->round))
				return -1;
		}
	}
	return 0;
}

static int answer_module(struct eci_responder *r, uint32_t link, struct record *rec, struct eci_buf *out)
{
	struct sent *s = sent_over(r, link);
	struct walk w = {NULL, 0, 0};
	size_t i;
	int rc = -1;

	r->round++;
	if (s && walk_add(&w, rec, r->round) == 0)
		rc = closure(r, s, &w);
	if (rc == 0) {
		eci_cbor_put_array(out, w.count);
		for (i = 0; i < w.count; i++) {
			eci_entry_encode(&w.list[i]->entry, &r->filter, out);
			note_sent(s, w.list[i]);
		}
		rc = out->failed ? -1 : 0;
	}
	free(w.list);
	return rc;
}

static void answer_missing(const char *name, struct eci_buf *out)
{
	eci_cbor_put_array(out, 1);
	eci_cbor_put_array(out, 2);
	eci_cbor_put_str(out, name);
	eci_cbor_put_uint(out, ECI_MOD_MISSING);
}

static int answer_data(struct eci_responder *r, uint32_t link, const char *name, struct eci_buf *out)
{
	struct eci_entry *e = &r->making;
	int rc = 1;

	if (e->name && r->making_for != link)
		return 1;
	if (e->name && strcmp(e->name, name) != 0)
		eci_entry_deinit(e);
	if (!e->name)
		rc = find(r, name, e);
	r->making_for = link;
	if (rc < 0)
		return -1;
	if (rc == 0) {
		answer_missing(name, out);
	} else {
		rc = eci_entry_pack(e, r->ops, r->ctx);
		if (rc > 0)
			return 1;
		eci_cbor_put_array(out, 1);
		eci_entry_encode(e, &r->filter, out);
		eci_entry_deinit(e);
		if (rc)
			return -1;
	}
	return out->failed ? -1 : 0;
}

int eci_responder_answer(struct eci_responder *r, uint32_t link, const char *name, size_t len, struct eci_buf *out)
{
	char text[ECI_MODULE_NAME_MAX + 1];
	struct record *rec;

	if (!eci_module_name_valid(name, len))
		return -2;
	memcpy(text, name, len);
	text[len] = '\0';
	rec = known(r, text);
	if (!rec && strchr(text, '/'))
		return answer_data(r, link, text, out);
	if (!rec && lookup(r, text, &rec))
		return -1;
	if (rec)
		return answer_module(r, link, rec, out);
	answer_missing(text, out);
	return out->failed ? -1 : 0;
}
