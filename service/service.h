/* service: calls, module serving and text records, without I/O. Above core and router, below mesh. Hosted C (malloc),
 * unlike core and router. */
#ifndef ECI_SERVICE_H
#define ECI_SERVICE_H

#include "core/buf.h"
#include "core/cbor.h"
#include "core/fail.h"
#include "econtext/value.h"
#include "service/modcache.h" /* ECI_MODULE_NAME_MAX */

/* ---- values <-> CBOR (value_cbor.c) ---- */
/* Appends v. 0, or -1 (no memory, or deeper than ECI_CBOR_DEPTH_MAX). */
int eci_value_encode(struct eci_buf *b, const ectx_value *v);
/* Whether no map in v, which was encoded, has two keys that are one in Python, where 1, 1.0 and True are equal: such a
 * map becomes no dict, and the agent would call it a body that does not decode. */
bool eci_value_suits_python(const ectx_value *v); /* value_map.c */
/* One item at the cursor. NULL: malformed or no memory. */
ectx_value *eci_value_decode(struct eci_cbor *c);

/* ---- calls (call.c) ---- */
/* "module:name" or "./file.py:name" -> parts; file targets give module "./STEM". 0, or -1 with fail (bad-argument).
 * Outputs are malloc'd. */
int eci_call_parse(const char *function, char **module, char **name, char **file, struct eci_fail *fail);
int eci_call_encode(struct eci_buf *b, const char *module, const char *name, const ectx_value *args,
		    const ectx_value *kwargs);
/* Body of an answer: result in *value, or *fail (exception, cannot-travel, not-found, no-memory) and *detail
 * (traceback, malloc'd). 0 value, 1 fail, -1 malformed. */
int eci_call_decode(const uint8_t *p, size_t n, ectx_value **value, struct eci_fail *fail, char **detail);

/* ---- modules (responder.c, imports.c) ---- */
enum eci_module_kind {
	ECI_MOD_MISSING,
	ECI_MOD_MODULE,
	ECI_MOD_PACKAGE,
	ECI_MOD_NAMESPACE,
	ECI_MOD_DATA,
	ECI_MOD_LISTING
};
struct eci_source {
	enum eci_module_kind kind;
	char *path;     /* relative to the root; malloc'd */
	uint8_t *bytes; /* inflated content; malloc'd; NULL for namespace and listing */
	size_t len;
	char **children; /* NULL-terminated, one malloc'd block, or NULL: direct submodules (package, namespace) or
			    names (listing; folders end in '/') */
};
struct eci_packing;
/* What a responder needs from the world; io/roots.c implements it for real folders. */
struct eci_source_ops {
	/* Looks name (dotted module, or data path with '/', or listing ending in '/') up in what the roots hold; out
	 * zeroed when missing. 0 or -1 (no memory, or no descriptor). Names have been checked for form. */
	int (*find)(void *ctx, const char *name, struct eci_source *out);
	/* Appends p as zlib bytes, and says the first half of their SHA-256, as much at a time as one turn of the loop
	 * may take. 1: it is not done, and goes on with the same arguments; *state is NULL before, and after 0 (done)
	 * or -1 (no memory). stop: it is not wanted any more. */
	int (*pack)(void *ctx, struct eci_packing **state, const uint8_t *p, size_t n, struct eci_buf *out,
		    uint8_t digest[16]);
	void (*stop)(struct eci_packing *state);
	void (*digest)(void *ctx, const uint8_t *p, size_t n, uint8_t out[16]); /* of what has no bytes */
};
#define ECI_MODULE_BYTES_MAX (16u * 1024u * 1024u) /* inflated */
struct eci_responder;
struct eci_responder *eci_responder_new(const struct eci_source_ops *ops, void *ctx, const char *const *include,
					const char *const *exclude);
void eci_responder_free(struct eci_responder *r);
/* A program served under a name of our own choice (./p.py -> its stem; scripts of `run` -> "econtext:main/NAME"):
 * source is copied, path is what __file__ shows. It shadows roots. 0 or -1. */
int eci_responder_add(struct eci_responder *r, const char *name, const char *path, const uint8_t *source, size_t len);
/* The same for a program that a call names by its file. name: under what it is served, which is its stem, or where that
 * was served with other bytes before, the stem and a digest of these. 0; -1 no memory; -2 the name is too long. */
int eci_responder_add_program(struct eci_responder *r, const char *stem, const char *path, const uint8_t *source,
			      size_t len, char name[ECI_MODULE_NAME_MAX + 1]);
/* Answer to GET_MODULE `name` from the child link whose key is `link`: the entry and what it imports, recursively, that
 * was not sent over that link before (docs/protocol.md section 11). Appends the CBOR body to out. 0; -1 no memory; -2
 * malformed name (answer `bad-body`); 1: some of it is still being compressed, or another link's is: nothing was
 * appended, and the same is asked again in the next turn, before anything else for that link. */
int eci_responder_answer(struct eci_responder *r, uint32_t link, const char *name, size_t len, struct eci_buf *out);
void eci_responder_forget_link(struct eci_responder *r, uint32_t link);
/* Imports that Python source names (import a.b, from x import y (x and x.y both are candidates), relative forms
 * resolved against module/package name `self`), by scanning tokens, not by executing: strings, comments, continuation
 * lines, parentheses, try blocks, function bodies are understood. Calls fn for each candidate dotted name, maybe
 * repeatedly. */
void eci_imports_scan(const char *self, bool self_is_package, const uint8_t *src, size_t n,
		      void (*fn)(void *arg, const char *name), void *arg);
bool eci_module_name_valid(const char *name,
			   size_t len); /* dotted identifiers (ASCII or UTF-8 letters), or a data path: no empty, "." or
					   ".." component, no leading '/', no NUL, no backslash */

/* ---- text (lines.c, escape.c) ---- */
/* Assembles a byte stream into lines; a line above ECI_LINE_MAX is cut there. fn gets each line without its newline
 * (and without a final \r). */
#define ECI_LINE_MAX 65536u
struct eci_lines {
	struct eci_buf buf;
};
void eci_lines_feed(struct eci_lines *l, const void *p, size_t n, void (*fn)(void *arg, const char *line, size_t len),
		    void *arg);
void eci_lines_flush(struct eci_lines *l, void (*fn)(void *arg, const char *line, size_t len),
		     void *arg); /* the unfinished last line, if any */
void eci_lines_deinit(struct eci_lines *l);
/* ectx_escape() into a fixed buffer: always NUL-terminated, cut at a character, "..." when cut. Returns bytes written.
 */
size_t eci_escape_into(char *out, size_t cap, const char *p, size_t n);

#endif
