/* From entries (the keys of nodes:) to nodes and contexts, and from via to a tree.
 *
 * All nodes share the settings of their entry, so an entry is kept once however many names it has; per node there are a
 * name and three numbers. Everything below is linear in nodes + contexts + names in via (bounded by ECI_VIA_TOTAL_MAX):
 * 100,000 nodes load in well under a second. The cycle search runs over entries, not nodes: every node of an entry may
 * be reached via each of the entry's relays (spread now, failover later), so a cycle of entries is one of nodes. Its
 * post-order is kept: in reverse it is children first, the order in which subtrees add up. */
#include "topology/internal.h"

#include <stdlib.h>
#include <string.h>

#define CYCLE_SHOWN 12 /* names of a cycle that the error lists */

struct declare {
	struct eci_load *l;
	struct eci_entry *e;
	int rc;
};

static int grow_nodes(ectx_topology *t)
{
	if (t->node_count < t->node_cap)
		return 0;
	size_t cap = t->node_cap ? t->node_cap * 2 : 256;
	const char **names = realloc(t->node_name, cap * sizeof *names);
	if (names)
		t->node_name = names;
	uint32_t *entries = realloc(t->node_entry, cap * sizeof *entries);
	if (entries)
		t->node_entry = entries;
	uint32_t *contexts = realloc(t->node_context, cap * sizeof *contexts);
	if (contexts)
		t->node_context = contexts;
	if (!names || !entries || !contexts)
		return -1;
	t->node_cap = cap;
	return 0;
}

static int declare_node(void *arg, const char *name, size_t len)
{
	struct declare *d = arg;
	struct eci_load *l = d->l;
	ectx_topology *t = l->t;
	if (!eci_name_valid(name)) {
		d->rc = eci_fail_at(l->err, t->file, d->e->at, "nodes: \"%.300s\" is no name of a node", name);
		return eci_fail_hint(l->err,
				     "names have letters, digits, \".\", \"_\" and \"-\", at most %d bytes, do not "
				     "start with \"-\", and are not \".\" or \"..\"",
				     ECI_NAME_MAX);
	}
	struct eci_names *old = eci_names_find(t->nodes, name, len);
	if (old) {
		struct eci_entry *first = &t->entries[t->node_entry[eci_names_value(old)]];
		d->rc = eci_fail_at(
			l->err, t->file, d->e->at,
			"nodes: \"%s\" is named twice: by \"%.100s\" in line %u and by \"%.100s\" in line %u", name,
			first->key, first->at.line, d->e->key, d->e->at.line);
		return eci_fail_hint(l->err, "a node belongs to one key: take it out of one of the two");
	}
	if (t->context_count + 1 + d->e->step_count > ECI_CONTEXTS_MAX) {
		d->rc = eci_fail_at(l->err, t->file, d->e->at, "nodes: more than 1,048,576 contexts");
		return eci_fail_hint(l->err, "nodes and become steps count: look at the ends of the ranges");
	}
	char *kept = eci_arena_strn(&t->arena, name, len);
	if (!kept || grow_nodes(t) || eci_names_add(&t->nodes, &t->arena, kept, (uint32_t)t->node_count, NULL)) {
		d->rc = -1;
		return eci_fail_memory(l->err);
	}
	t->node_name[t->node_count] = kept;
	t->node_entry[t->node_count] = (uint32_t)(d->e - t->entries);
	t->node_context[t->node_count] = (uint32_t)t->context_count;
	t->node_count++;
	t->context_count += 1 + d->e->step_count;
	return 0;
}

static int join_group(struct eci_load *l, const char *name, uint32_t entry)
{
	ectx_topology *t = l->t;
	struct eci_names *n = eci_names_find(t->groups, name, strlen(name));
	struct eci_group *g = n ? eci_names_data(n) : NULL;
	if (!g) {
		g = eci_arena_alloc(&t->arena, sizeof *g);
		if (!g || eci_names_add(&t->groups, &t->arena, name, 0, g))
			return eci_fail_memory(l->err);
		g->name = name;
	}
	if (g->count == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 4;
		uint32_t *grown = realloc(g->entries, cap * sizeof *grown);
		if (!grown)
			return eci_fail_memory(l->err);
		g->entries = grown;
		g->cap = cap;
	}
	g->entries[g->count++] = entry;
	return 0;
}

static int declare_entry(struct eci_load *l, struct eci_entry *e)
{
	struct declare d = {l, e, 0};
	const char *at = e->key, *end = at + strlen(at), *item;
	size_t len;
	e->first_node = (uint32_t)l->t->node_count;
	while (eci_nodeset_next(&at, end, &item, &len)) {
		struct eci_set_fault fault;
		if (eci_nodeset_item(item, len, declare_node, &d, &fault) == 0)
			continue;
		if (!fault.why)
			return -1;
		eci_fail_at(l->err, l->t->file, e->at, "nodes: \"%.*s\": %s", (int)(len > 200 ? 200 : len), item,
			    fault.why);
		return eci_fail_hint(l->err, "%s", fault.fix);
	}
	e->node_count = (uint32_t)(l->t->node_count - e->first_node);
	for (size_t i = 0; i < e->group_count; i++)
		if (join_group(l, e->groups[i], (uint32_t)(e - l->t->entries)))
			return -1;
	return 0;
}

int eci_nodes_declare(struct eci_load *l)
{
	ectx_topology *t = l->t;
	for (size_t i = 0; i < t->entry_count; i++)
		if (declare_entry(l, &t->entries[i]))
			return -1;
	t->contexts = eci_arena_alloc(&t->arena, t->context_count * sizeof *t->contexts);
	if (!t->contexts)
		return eci_fail_memory(l->err);
	for (uint32_t n = 0; n < t->node_count; n++) {
		const struct eci_entry *e = &t->entries[t->node_entry[n]];
		for (uint32_t s = 0; s <= e->step_count; s++)
			t->contexts[t->node_context[n] + s] =
				(struct eci_context){.node = n,
						     .parent = s ? t->node_context[n] + s - 1 : ECI_NO_CONTEXT,
						     .subtree = 1,
						     .step = (uint16_t)s};
	}
	return 0;
}

/* Errors of a selection speak of arguments; here they get their place in the file. */
static int replace_error(struct eci_load *l, struct eci_spot at)
{
	char saw[1024], hint[sizeof l->err->hint];
	if (!l->err || l->err->code == ECTX_E_NO_MEMORY)
		return -1;
	snprintf(saw, sizeof saw, "%.1000s", l->err->saw);
	memcpy(hint, l->err->hint, sizeof hint);
	eci_fail_at(l->err, l->t->file, at, "via: %s", saw);
	return eci_fail_hint(l->err, "%s", hint);
}

static int resolve_via(struct eci_load *l, struct eci_entry *e, struct eci_selection *s, struct eci_selection *minus)
{
	ectx_topology *t = l->t;
	const struct eci_yaml *y = e->via_yaml;
	if (!y)
		return 0;
	for (const struct eci_yaml *c = y->kind == ECI_YAML_LIST ? y->first : y; c; c = c == y ? NULL : c->next) {
		if (eci_value_text(l, ECI_TYPE_TEXT, "via", c))
			return -1;
		if (eci_select_into(t, c->text, s, minus, l->err))
			return replace_error(l, c->at);
	}
	e->via = eci_arena_alloc(&t->arena, s->count * sizeof *e->via);
	if (!e->via)
		return eci_fail_memory(l->err);
	for (size_t i = 0; i < s->count; i++) {
		uint32_t v = s->items[i];
		if (eci_selection_has(t, minus, v))
			continue;
		e->via[e->via_count++] = v;
		if (&t->entries[t->node_entry[t->contexts[v].node]] != e)
			continue;
		eci_fail_at(l->err, t->file, e->via_at, "via: \"%s\" is reached via itself",
			    t->node_name[t->contexts[v].node]);
		return eci_fail_hint(
			l->err, "name the relay that stands before it, or leave via out when the master reaches it");
	}
	if (e->via_count == 0) {
		eci_fail_at(l->err, t->file, e->via_at, "via: names no node");
		return eci_fail_hint(l->err, "leave via out when the master reaches it");
	}
	l->via_total += e->via_count;
	if (l->via_total > ECI_VIA_TOTAL_MAX) {
		eci_fail_at(l->err, t->file, e->via_at, "via: more than %u relays are named in all", ECI_VIA_TOTAL_MAX);
		return eci_fail_hint(l->err, "give nodes that share relays one key");
	}
	for (uint32_t i = 0; i < e->node_count; i++)
		t->contexts[t->node_context[e->first_node + i]].parent = e->via[i % e->via_count];
	return 0;
}

static int fail_cycle(struct eci_load *l, struct eci_entry *const *stack, size_t from, size_t depth)
{
	ectx_topology *t = l->t;
	char text[1024];
	const struct eci_entry *last = stack[depth - 1];
	const char *start = t->node_name[t->contexts[last->via[last->via_next - 1]].node];
	size_t n = (size_t)snprintf(text, sizeof text, "%.60s", start);
	for (size_t i = from; i < depth && n + 128 < sizeof text; i++) {
		const char *name = t->node_name[t->contexts[stack[i]->via[stack[i]->via_next - 1]].node];
		if (i - from == CYCLE_SHOWN && i + 1 < depth) {
			n += (size_t)snprintf(text + n, sizeof text - n, " via ... via %.60s", start);
			break;
		}
		n += (size_t)snprintf(text + n, sizeof text - n, " via %.60s", name);
	}
	eci_fail_at(l->err, t->file, stack[from]->via_at, "via: a cycle: %s", text);
	return eci_fail_hint(l->err, "one of them must be reached without the others");
}

/* Depth first over entries; order gets them with what they are reached by before them. */
static int visit(struct eci_load *l, struct eci_entry *root, struct eci_entry **stack, struct eci_entry **order,
		 size_t *count)
{
	enum { NEW, OPEN, DONE };
	ectx_topology *t = l->t;
	size_t depth = 0;
	if (root->mark == DONE)
		return 0;
	root->mark = OPEN;
	stack[depth++] = root;
	while (depth) {
		struct eci_entry *e = stack[depth - 1];
		if (e->via_next == e->via_count) {
			e->mark = DONE;
			order[(*count)++] = e;
			depth--;
			continue;
		}
		struct eci_entry *next = &t->entries[t->node_entry[t->contexts[e->via[e->via_next++]].node]];
		if (next->mark == OPEN) {
			size_t from = 0;
			while (stack[from] != next)
				from++;
			return fail_cycle(l, stack, from, depth);
		}
		if (next->mark == NEW) {
			next->mark = OPEN;
			stack[depth++] = next;
		}
	}
	return 0;
}

/* Parents come first in order, so depths go down it; too deep a tree could not be addressed. */
static int set_depths(struct eci_load *l, struct eci_entry *const *order, size_t count)
{
	ectx_topology *t = l->t;
	for (size_t i = 0; i < count; i++) {
		const struct eci_entry *e = order[i];
		for (uint32_t c = t->node_context[e->first_node],
			      end = c + e->node_count * (uint32_t)(e->step_count + 1);
		     c < end; c++) {
			uint32_t parent = t->contexts[c].parent;
			unsigned depth = parent == ECI_NO_CONTEXT ? 1 : t->contexts[parent].depth + 1u;
			if (depth > ECI_DEPTH_MAX) {
				eci_fail_at(l->err, t->file, e->at,
					    "nodes: \"%s\" is more than %d hops from the master",
					    t->node_name[t->contexts[c].node], ECI_DEPTH_MAX);
				return eci_fail_hint(l->err, "nodes and become steps count: use a shorter way");
			}
			t->contexts[c].depth = (uint16_t)depth;
		}
	}
	return 0;
}

static void add_subtrees(ectx_topology *t, struct eci_entry *const *order, size_t count)
{
	for (size_t i = count; i-- > 0;) {
		const struct eci_entry *e = order[i];
		for (uint32_t n = e->first_node; n < e->first_node + e->node_count; n++)
			for (size_t s = e->step_count + 1; s-- > 0;) {
				const struct eci_context *c = &t->contexts[t->node_context[n] + s];
				if (c->parent != ECI_NO_CONTEXT)
					t->contexts[c->parent].subtree += c->subtree;
			}
	}
}

int eci_nodes_connect(struct eci_load *l)
{
	ectx_topology *t = l->t;
	struct eci_selection s = {0}, minus = {0};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < t->entry_count; i++) {
		rc = eci_selection_reset(t, &s) || eci_selection_reset(t, &minus)
			     ? eci_fail_memory(l->err)
			     : resolve_via(l, &t->entries[i], &s, &minus);
	}
	eci_selection_deinit(&s);
	eci_selection_deinit(&minus);
	struct eci_entry **stack = eci_arena_alloc(&l->scratch, t->entry_count * sizeof(struct eci_entry *));
	struct eci_entry **order = eci_arena_alloc(&l->scratch, t->entry_count * sizeof(struct eci_entry *));
	size_t count = 0;
	if (rc == 0 && (!stack || !order))
		rc = eci_fail_memory(l->err);
	for (size_t i = 0; rc == 0 && i < t->entry_count; i++)
		rc = visit(l, &t->entries[i], stack, order, &count);
	if (rc == 0)
		rc = set_depths(l, order, count);
	if (rc == 0)
		add_subtrees(t, order, count);
	return rc;
}
