/* The strict subset of YAML as a small tree, made from libyaml's events.
 *
 * Events instead of libyaml's documents: each carries line and column, and scalars stay the text that was written, so
 * that "no" is a word and not false. What would make one text mean another (aliases, anchors, tags, merge keys, a
 * second document, duplicate keys) is refused here, with its place; types and keys are the schema's business. Depth is
 * bounded, so that walking the tree may recurse; the tree lives in the caller's arena. */
#include "topology/base.h"

#include <string.h>
#include <yaml.h>

#define SCAN_MAX 16 /* keys of a map that are compared one by one; a longer map gets a hash */

struct level {
	struct eci_yaml *node;
	const char *key; /* a key that waits for its value */
	struct eci_spot key_at;
	struct eci_names *keys; /* once the map is longer than SCAN_MAX */
};
struct reader {
	struct eci_arena *arena;
	const char *file;
	ectx_error *err;
	struct level stack[ECI_YAML_DEPTH_MAX];
	size_t depth;
	struct eci_yaml *root;
};

static struct eci_spot spot(yaml_mark_t m)
{
	return (struct eci_spot){(uint32_t)m.line + 1, (uint32_t)m.column + 1};
}

static const char *hint_for(const char *problem, const char *context, char bad)
{
	if (strstr(problem, "cannot start any token"))
		return bad == '\t' ? "indent with spaces, not with tabs"
				   : "quote it: \"@group\", \"%n.example.net\" and \"`\" cannot stand bare";
	if (strstr(problem, "node content") && bad == ':')
		return "quote text that begins with \":\": {host: \"::1\"}";
	if (context && strstr(context, "flow mapping"))
		return "close the { }; names with brackets need quotes inside it: {via: \"relay[1-2]\"}";
	if (context && strstr(context, "flow sequence"))
		return "close the [ ]; names with brackets need quotes inside it: [\"relay[1-2]\"]";
	if (strstr(problem, "mapping values are not allowed"))
		return "a \": \" too many, or a missing line break; quote text that contains \": \"";
	if (strstr(problem, "block mapping") || strstr(problem, "block collection") ||
	    strstr(problem, "expected key") || (context && strstr(context, "block")))
		return "look at the indentation of this line and the one above";
	if (strstr(problem, "tag") || (context && strstr(context, "tag")))
		return "tags are not used here: quote text that starts with \"!\"";
	if ((context && strstr(context, "quoted scalar")) || strstr(problem, "escape"))
		return "look for the missing quote, or write the text in single quotes";
	if (strstr(problem, "alias") || strstr(problem, "anchor") ||
	    (context && (strstr(context, "alias") || strstr(context, "anchor"))))
		return "aliases and anchors are not used here: quote text that starts with \"*\" or \"&\"";
	return "see econtext-topology(5) for the subset of YAML that is read";
}

/* Reader errors (encoding) have only an offset. */
static struct eci_spot spot_of_offset(const char *text, size_t n, size_t offset)
{
	struct eci_spot at = {1, 1};
	for (size_t i = 0; i < offset && i < n; i++) {
		at.col++;
		if (text[i] == '\n')
			at = (struct eci_spot){at.line + 1, 1};
	}
	return at;
}

static int syntax(struct reader *r, const yaml_parser_t *p, const char *text, size_t n)
{
	if (p->error == YAML_MEMORY_ERROR)
		return eci_fail_memory(r->err);
	if (p->error == YAML_READER_ERROR) {
		eci_fail_at(r->err, r->file, spot_of_offset(text, n, p->problem_offset), "not readable as text: %s",
			    p->problem);
		return eci_fail_hint(r->err, "the file must be UTF-8 without control characters");
	}
	const char *problem = p->problem ? p->problem : "not YAML";
	char since[40] = "";
	if (p->context && p->context_mark.line != p->problem_mark.line)
		snprintf(since, sizeof since, " from line %zu", p->context_mark.line + 1);
	eci_fail_at(r->err, r->file, spot(p->problem_mark), "%s%s%s%s", problem, p->context ? ", " : "",
		    p->context ? p->context : "", since);
	char bad = p->problem_mark.index < n ? text[p->problem_mark.index] : 0;
	return eci_fail_hint(r->err, "%s", hint_for(problem, p->context, bad));
}

static int refuse(struct reader *r, struct eci_spot at, const char *what, const char *hint)
{
	eci_fail_at(r->err, r->file, at, "%s", what);
	return eci_fail_hint(r->err, "%s", hint);
}

static int duplicate(struct reader *r, const char *key, struct eci_spot at, struct eci_spot before)
{
	eci_fail_at(r->err, r->file, at, "duplicate key \"%s\", first in line %u", key, before.line);
	return eci_fail_hint(r->err, "keep one of the two");
}

static int take_key(struct reader *r, struct level *top, const yaml_event_t *e)
{
	struct eci_spot at = spot(e->start_mark);
	const char *text = (const char *)e->data.scalar.value;
	if (strcmp(text, "<<") == 0 && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return refuse(r, at, "merge keys (<<) are not read", "write the keys out, or use defaults:");
	const char *key = eci_arena_strn(r->arena, text, e->data.scalar.length);
	if (!key)
		return eci_fail_memory(r->err);
	if (top->node->count < SCAN_MAX) {
		for (const struct eci_yaml *c = top->node->first; c; c = c->next)
			if (strcmp(c->key, key) == 0)
				return duplicate(r, key, at, c->key_at);
	} else {
		if (!top->keys)
			for (struct eci_yaml *c = top->node->first; c; c = c->next)
				if (eci_names_add(&top->keys, r->arena, c->key, c->key_at.line, NULL))
					return eci_fail_memory(r->err);
		struct eci_names *old = eci_names_find(top->keys, key, strlen(key));
		if (old)
			return duplicate(r, key, at, (struct eci_spot){eci_names_value(old), 1});
		if (eci_names_add(&top->keys, r->arena, key, at.line, NULL))
			return eci_fail_memory(r->err);
	}
	top->key = key;
	top->key_at = at;
	return 0;
}

static int add(struct reader *r, struct eci_yaml *node)
{
	if (r->depth == 0) {
		r->root = node;
		return 0;
	}
	struct level *top = &r->stack[r->depth - 1];
	if (top->node->kind == ECI_YAML_MAP) {
		node->key = top->key;
		node->key_at = top->key_at;
		top->key = NULL;
	}
	if (top->node->last)
		top->node->last->next = node;
	else
		top->node->first = node;
	top->node->last = node;
	top->node->count++;
	return 0;
}

static int scalar(struct reader *r, const yaml_event_t *e)
{
	struct eci_spot at = spot(e->start_mark);
	struct level *top = r->depth ? &r->stack[r->depth - 1] : NULL;
	if (e->data.scalar.tag)
		return refuse(r, at, "tags are not read", "quote text that starts with \"!\": \"!db03\"");
	if (e->data.scalar.anchor)
		return refuse(r, at, "anchors are not read",
			      "quote text that starts with \"&\", or write it out twice");
	if (memchr(e->data.scalar.value, 0, e->data.scalar.length))
		return refuse(r, at, "a NUL character in text", "remove the \\0");
	if (top && top->node->kind == ECI_YAML_MAP && !top->key)
		return take_key(r, top, e);
	struct eci_yaml *node = eci_arena_alloc(r->arena, sizeof *node);
	if (!node ||
	    !(node->text = eci_arena_strn(r->arena, (const char *)e->data.scalar.value, e->data.scalar.length)))
		return eci_fail_memory(r->err);
	node->kind = ECI_YAML_SCALAR;
	node->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->at = at;
	return add(r, node);
}

static int open_collection(struct reader *r, const yaml_event_t *e, enum eci_yaml_kind kind)
{
	struct eci_spot at = spot(e->start_mark);
	bool map = kind == ECI_YAML_MAP;
	if (map ? e->data.mapping_start.tag != NULL : e->data.sequence_start.tag != NULL)
		return refuse(r, at, "tags are not read", "remove it");
	if (map ? e->data.mapping_start.anchor != NULL : e->data.sequence_start.anchor != NULL)
		return refuse(r, at, "anchors are not read", "write the keys out, or use defaults:");
	if (r->depth && r->stack[r->depth - 1].node->kind == ECI_YAML_MAP && !r->stack[r->depth - 1].key)
		return refuse(r, at, "a key must be text", "quote a key that starts with \"[\" or \"{\"");
	if (r->depth == ECI_YAML_DEPTH_MAX)
		return refuse(r, at, "more than 16 levels of nesting", "nothing in a topology lies so deep");
	struct eci_yaml *node = eci_arena_alloc(r->arena, sizeof *node);
	if (!node)
		return eci_fail_memory(r->err);
	node->kind = kind;
	node->at = at;
	add(r, node);
	r->stack[r->depth++] = (struct level){.node = node};
	return 0;
}

static void close_collection(struct reader *r)
{
	eci_names_clear(&r->stack[--r->depth].keys);
}

static int take(struct reader *r, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return scalar(r, e);
	case YAML_MAPPING_START_EVENT:
		return open_collection(r, e, ECI_YAML_MAP);
	case YAML_SEQUENCE_START_EVENT:
		return open_collection(r, e, ECI_YAML_LIST);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		close_collection(r);
		return 0;
	case YAML_ALIAS_EVENT:
		return refuse(r, spot(e->start_mark), "aliases are not read",
			      "quote text that starts with \"*\", or write it out twice");
	case YAML_DOCUMENT_START_EVENT:
		if (r->root)
			return refuse(r, spot(e->start_mark), "a second document",
				      "one file holds one topology: remove the \"---\"");
		return 0;
	default:
		return 0;
	}
}

struct eci_yaml *eci_yaml_parse(struct eci_arena *a, const char *text, size_t n, const char *file, ectx_error *err)
{
	struct reader r = {.arena = a, .file = file, .err = err};
	yaml_parser_t p;
	if (!yaml_parser_initialize(&p)) {
		eci_fail_memory(err);
		return NULL;
	}
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
	int rc = 0;
	bool end = false;
	while (rc == 0 && !end) {
		yaml_event_t e;
		if (!yaml_parser_parse(&p, &e)) {
			rc = syntax(&r, &p, text, n);
			break;
		}
		end = e.type == YAML_STREAM_END_EVENT;
		rc = take(&r, &e);
		yaml_event_delete(&e);
	}
	while (r.depth)
		close_collection(&r);
	yaml_parser_delete(&p);
	if (rc == 0 && !r.root)
		rc = refuse(&r, (struct eci_spot){1, 1}, "the file is empty",
			    "start it with \"econtext: 1\" and \"nodes:\"");
	return rc ? NULL : r.root;
}
