/* topology: what its files are made with: limits, arena, failures, names, node sets, the YAML tree. */
#ifndef ECI_TOPOLOGY_BASE_H
#define ECI_TOPOLOGY_BASE_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "topology/topology.h"

#define ECI_FILE_MAX (16u << 20) /* bytes of a topology file: 100,000 nodes written one by one are 8 MiB */
#define ECI_YAML_DEPTH_MAX 16    /* nested collections: the deepest key of the schema is at 6 */
#define ECI_CONTEXTS_MAX                                                                                    \
	(1u << 20)        /* contexts declared: block ids are 8 x the subtree in 32 bits, with room to grow \
			   */
#define ECI_NAME_MAX 255  /* bytes of a node name: DNS allows 253 */
#define ECI_BECOME_MAX 16 /* steps of one become chain: each costs a process and a link; hop limit of a frame */
#define ECI_LIST_MAX 64   /* items of groups and ssh.options */
#define ECI_VIA_TOTAL_MAX (1u << 22)  /* relays named by all via: together: bounds the work of a hostile file */
#define ECI_DEPTH_MAX 63              /* hops from the master: a frame's hop limit is 64 (protocol.md) */
#define ECI_JUMPS_MAX 16              /* ProxyJump hops of one host: a longer chain is a loop in ssh_config */
#define ECI_DURATION_MAX_MS 86400000u /* a day */

/* ---- arena.c: memory that lives as long as its owner ---- */
struct eci_arena {
	struct eci_chunk *head;
};
void *eci_arena_alloc(struct eci_arena *a, size_t n); /* zeroed, aligned for any object; NULL: out of memory */
char *eci_arena_strn(struct eci_arena *a, const char *s, size_t n);
char *eci_arena_fmt(struct eci_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void eci_arena_deinit(struct eci_arena *a);

/* ---- fail.c: each returns -1, so that it can stand behind `return`; err may be NULL ---- */
struct eci_spot {
	uint32_t line, col; /* from 1; line 0: not in a file */
};
int eci_fail_at(ectx_error *err, const char *file, struct eci_spot at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int eci_fail_arg(ectx_error *err, enum ectx_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int eci_fail_hint(ectx_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* after one of the above */
int eci_fail_memory(ectx_error *err);
bool eci_is_c1(const char *s); /* a control character of two bytes, U+0080 to U+009F, which a terminal obeys as well */

/* The candidate nearest to word, if it is near enough to be a slip: fed one by one, so that no list is needed. */
struct eci_guess {
	const char *word, *best;
	unsigned distance;
};
struct eci_guess eci_guess_for(const char *word);
void eci_guess_try(struct eci_guess *g, const char *candidate);

/* ---- nodeset.c ---- */
#define ECI_SET_ITEMS_MAX 4096 /* comma-separated items of one item's brackets together */
/* Calls each(name) for every name of one item ("web[1-3]", no comma outside brackets). each returns 0, or -1 to stop.
 * On malformed input *why says what is wrong and *fix how to write it; both static text. Returns 0 or -1 (why NULL:
 * each stopped it). */
typedef int (*eci_name_fn)(void *arg, const char *name, size_t len);
struct eci_set_fault {
	const char *why, *fix;
};
int eci_nodeset_item(const char *item, size_t len, eci_name_fn each, void *arg, struct eci_set_fault *fault);
/* Cuts the next item off a comma list: *at moves behind it; false at the end. Blanks around it are dropped. */
bool eci_nodeset_next(const char **at, const char *end, const char **item, size_t *len);

/* ---- nodeset_list.c: a growing list of names that ends as one block ---- */
struct eci_list {
	char *text; /* names, each with its NUL */
	size_t text_len, text_cap, count;
	bool full; /* the limit of names was reached */
};
int eci_list_add(void *list, const char *name, size_t len); /* an eci_name_fn; -1: full, or out of memory */
char **eci_list_block(const struct eci_list *l);            /* NULL: out of memory */
void eci_list_deinit(struct eci_list *l);

/* ---- json.c ---- */
void eci_json_string(FILE *f, const char *s);
void eci_json_strings(FILE *f, const char *const *list); /* NULL-terminated; an array */
void eci_shell_quote(FILE *f, const char *s);

/* ---- yaml.c ---- */
enum eci_yaml_kind { ECI_YAML_SCALAR, ECI_YAML_LIST, ECI_YAML_MAP };
struct eci_yaml {
	enum eci_yaml_kind kind;
	bool plain;       /* a scalar without quotes */
	const char *text; /* scalar */
	const char *key;  /* in a map */
	struct eci_spot at, key_at;
	struct eci_yaml *first, *last, *next;
	size_t count;
};
struct eci_yaml *eci_yaml_parse(struct eci_arena *a, const char *text, size_t n, const char *file, ectx_error *err);

/* ---- names.c: hashes from name to number, iterated in order of addition ---- */
struct eci_names;
int eci_names_add(struct eci_names **head, struct eci_arena *a, const char *name, uint32_t value,
		  void *data); /* -1: no memory */
struct eci_names *eci_names_find(struct eci_names *head, const char *name, size_t len);
void eci_names_clear(struct eci_names **head);
struct eci_names *eci_names_next(const struct eci_names *n);
const char *eci_names_name(const struct eci_names *n);
uint32_t eci_names_value(const struct eci_names *n);
void *eci_names_data(const struct eci_names *n);

#endif
