/* The responder: answers "send me module X" with X and what X will import next, so that a program of fifty modules
 * costs a few round trips instead of fifty.
 *
 * What can be sent are records (records.c), each with the names of its imports. So the closure of an answer is one
 * breadth-first walk along imports.
 *
 * Per link there is a set of records that were sent over it. A record in the set is neither sent nor walked through
 * again, unless it is the one asked for: a context that asks twice has lost it. The set is a bit a record, so 1,000
 * links and 10,000 modules are a megabyte.
 *
 * An answer is bounded; where it is cut, the rest is asked for when it is needed. Data and listings are made for the
 * answer and forgotten: there may be gigabytes below a root, and relays cache. What is large is compressed over several
 * turns, and until then its question is asked again; of data one at a time, or every link could have 16 MiB held here.
 */
#include "service/records.h"

#include <stdlib.h>
#include <string.h>

struct sent {
	UT_hash_handle hh;
	uint32_t link;
	uint8_t *bits;
	size_t bytes;
};

/* A program that calls have named: what was served under its stem first. */
struct program {
	UT_hash_handle hh;
	uint8_t sum[16];
	bool served; /* there is a record of it under the stem */
	char stem[];
};

/* Bits, by a hash, of the names that were answered to be missing. Names are the remote's, so they are not kept; that
 * one is taken for missing which was not costs a program its shorter name. */
#define MISSING_BITS 65536u

struct eci_responder {
	struct eci_records records;
	struct program *programs;
	struct sent *links;
	uint32_t round;
	struct eci_entry making; /* data that is being compressed, for a link; its name is NULL if none is */
	uint32_t making_for;
	uint8_t missing[MISSING_BITS / 8];
};

struct walk {
	struct eci_record **list;
	size_t count, cap;
};

struct eci_responder *eci_responder_new(const struct eci_source_ops *ops, void *ctx, const char *const *include,
					const char *const *exclude)
{
	struct eci_responder *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->records.ops = ops;
	r->records.ctx = ctx;
	if (eci_filter_init(&r->records.filter, include, exclude)) {
		free(r);
		return NULL;
	}
	return r;
}

void eci_responder_free(struct eci_responder *r)
{
	struct sent *s, *next;
	struct program *p, *after;

	if (!r)
		return;
	HASH_ITER(hh, r->programs, p, after)
	{
		HASH_DEL(r->programs, p);
		free(p);
	}
	HASH_ITER(hh, r->links, s, next)
	{
		HASH_DEL(r->links, s);
		free(s->bits);
		free(s);
	}
	eci_entry_deinit(&r->making);
	eci_records_deinit(&r->records);
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

static bool was_sent(const struct sent *s, const struct eci_record *rec)
{
	return rec->index / 8 < s->bytes && (s->bits[rec->index / 8] >> rec->index % 8 & 1);
}

/* Without memory nothing is noted, and the record will be sent once more than needed. */
static void note_sent(struct sent *s, const struct eci_record *rec)
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

int eci_responder_add(struct eci_responder *r, const char *name, const char *path, const uint8_t *source, size_t len)
{
	struct eci_source src = {.kind = ECI_MOD_MODULE, .path = strdup(path), .bytes = malloc(len ? len : 1)};
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
	return eci_records_put(&r->records, &entry);
}

static uint32_t missing_bit(const char *name)
{
	uint32_t hash = 2166136261u;

	while (*name)
		hash = (hash ^ (uint8_t)*name++) * 16777619u;
	return (hash ^ hash >> 16) % MISSING_BITS;
}

static bool was_missing(const struct eci_responder *r, const char *name)
{
	uint32_t bit = missing_bit(name);

	return r->missing[bit / 8] >> bit % 8 & 1;
}

/* The entry of stem, made with this sum if there was none, and with one that nothing has where contexts and relays may
 * know the stem already: as a module of the roots, or as missing. NULL: no memory. */
static struct program *program_of(struct eci_responder *r, const char *stem, const uint8_t sum[16])
{
	size_t n = strlen(stem);
	struct program *p;

	HASH_FIND_STR(r->programs, stem, p);
	if (p)
		return p;
	p = calloc(1, sizeof(*p) + n + 1);
	if (!p)
		return NULL;
	if (!eci_records_known(&r->records, stem) && !was_missing(r, stem))
		memcpy(p->sum, sum, sizeof(p->sum));
	memcpy(p->stem, stem, n);
	HASH_ADD_KEYPTR(hh, r->programs, p->stem, n, p);
	if (!p->hh.tbl) {
		free(p);
		return NULL;
	}
	return p;
}

/* Contexts load a name once, and relays keep what they have of it: other bytes have another name, whether of another
 * file or of the same one since it was edited. */
int eci_responder_add_program(struct eci_responder *r, const char *stem, const char *path, const uint8_t *source,
			      size_t len, char name[ECI_MODULE_NAME_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	size_t n = strlen(stem), i;
	uint8_t sum[16];
	struct program *p;

	r->records.ops->digest(r->records.ctx, source, len, sum);
	p = program_of(r, stem, sum);
	if (!p || n > ECI_MODULE_NAME_MAX)
		return p ? -2 : -1;
	memcpy(name, stem, n + 1);
	if (memcmp(p->sum, sum, sizeof(sum)) != 0) {
		if (n + 1 + 2 * sizeof(sum) > ECI_MODULE_NAME_MAX)
			return -2;
		name[n++] = '_';
		for (i = 0; i < sizeof(sum); i++) {
			name[n++] = digits[sum[i] >> 4];
			name[n++] = digits[sum[i] & 15];
		}
		name[n] = '\0';
		if (eci_records_known(&r->records, name))
			return 0;
		return eci_responder_add(r, name, path, source, len);
	}
	/* Nor is its record made anew for each call: it may be half compressed, for a context that waits for it. */
	if (!p->served && eci_responder_add(r, name, path, source, len))
		return -1;
	p->served = true;
	return 0;
}

/* ---- answers ---- */

static int walk_add(struct walk *w, struct eci_record *rec, uint32_t round)
{
	struct eci_record **list;

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
	struct eci_record *rec, *found;

	for (at = 0; at < w->count; at++) {
		rec = w->list[at];
		rc = eci_records_scan(&r->records, rec);
		rc = rc ? rc : eci_entry_pack(&rec->entry, r->records.ops, r->records.ctx);
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
			found = eci_records_known(&r->records, rec->entry.imports[i]);
			if (found && !was_sent(s, found) && walk_add(w, found, r->round))
				return -1;
		}
	}
	return 0;
}

static int answer_module(struct eci_responder *r, uint32_t link, struct eci_record *rec, struct eci_buf *out)
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
			eci_entry_encode(&w.list[i]->entry, &r->records.filter, out);
			note_sent(s, w.list[i]);
		}
		rc = out->failed ? -1 : 0;
	}
	free(w.list);
	return rc;
}

static void answer_missing(struct eci_responder *r, const char *name, struct eci_buf *out)
{
	uint32_t bit = missing_bit(name);

	r->missing[bit / 8] |= (uint8_t)(1u << bit % 8);
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
		rc = eci_records_find(&r->records, name, e);
	r->making_for = link;
	if (rc < 0)
		return -1;
	if (rc == 0) {
		answer_missing(r, name, out);
	} else {
		rc = eci_entry_pack(e, r->records.ops, r->records.ctx);
		if (rc > 0)
			return 1;
		eci_cbor_put_array(out, 1);
		eci_entry_encode(e, &r->records.filter, out);
		eci_entry_deinit(e);
		if (rc)
			return -1;
	}
	return out->failed ? -1 : 0;
}

int eci_responder_answer(struct eci_responder *r, uint32_t link, const char *name, size_t len, struct eci_buf *out)
{
	char text[ECI_MODULE_NAME_MAX + 1];
	struct eci_record *rec;

	if (!eci_module_name_valid(name, len))
		return -2;
	memcpy(text, name, len);
	text[len] = '\0';
	rec = eci_records_known(&r->records, text);
	if (!rec && strchr(text, '/'))
		return answer_data(r, link, text, out);
	if (!rec && eci_records_lookup(&r->records, text, &rec))
		return -1;
	if (rec)
		return answer_module(r, link, rec, out);
	answer_missing(r, text, out);
	return out->failed ? -1 : 0;
}
