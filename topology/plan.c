/* The plan: from names to the contexts to be made, parents first. Only what is asked for and what lies on its way gets
 * in, each context once however many names need it: items are found by name, so that a plan costs what is in it and not
 * what is declared. What the plan makes up lives in its own arena, the rest is the topology's. */
#include "topology/internal.h"

#include <stdlib.h>
#include <string.h>

#define DIAL_WINDOW 4 /* connections a relay makes at once: below sshd's MaxStartups of 10, measured to fill a link */

struct owned {
	struct eci_arena arena;
	struct eci_names *items; /* by name */
	size_t cap;
};

struct eci_arena *eci_plan_arena(struct eci_plan *p)
{
	struct owned *o = p->owned;
	return &o->arena;
}

/* What was a leaf by the file is a relay by the way that was asked for. */
static void has_children(struct eci_agents *a)
{
	if (a->said || a->count < 2)
		return;
	a->kind[0] = ECI_AGENT_NATIVE;
	a->kind[1] = ECI_AGENT_PYTHON;
}

int eci_plan_push(struct eci_plan *p, struct eci_plan_item item, bool adhoc, size_t *index)
{
	struct owned *o = p->owned;
	if (p->count == o->cap) {
		size_t cap = o->cap ? o->cap * 2 : 16;
		struct eci_plan_item *grown = realloc(p->items, cap * sizeof *grown);
		if (!grown)
			return -1;
		p->items = grown;
		o->cap = cap;
	}
	if (eci_names_add(&o->items, &o->arena, item.name, (uint32_t)p->count, NULL))
		return -1;
	if (adhoc) {
		item.subtree = 1; /* not in the topology: counted into all above it */
		for (size_t i = item.parent; i != SIZE_MAX; i = p->items[i].parent)
			p->items[i].subtree++;
		if (item.parent != SIZE_MAX)
			has_children(&p->items[item.parent].target.agents);
	}
	if (!item.dial_window)
		item.dial_window = DIAL_WINDOW;
	*index = p->count;
	p->items[p->count++] = item;
	return 0;
}

size_t eci_plan_find(const struct eci_plan *p, const char *name)
{
	const struct owned *o = p->owned;
	struct eci_names *n = eci_names_find(o->items, name, strlen(name));
	return n ? eci_names_value(n) : SIZE_MAX;
}

int eci_plan_declared(const ectx_topology *t, uint32_t context, struct eci_plan *p, size_t *index, ectx_error *err)
{
	struct owned *o = p->owned;
	uint32_t way[ECI_DEPTH_MAX + 1];
	size_t n = 0, parent = SIZE_MAX;
	const char *name[ECI_DEPTH_MAX + 1];
	for (uint32_t c = context; c != ECI_NO_CONTEXT; c = t->contexts[c].parent) {
		name[n] = eci_context_name(t, c, &o->arena);
		if (!name[n])
			return eci_fail_memory(err);
		parent = eci_plan_find(p, name[n]);
		if (parent != SIZE_MAX)
			break;
		way[n++] = c;
	}
	while (n-- > 0) {
		const struct eci_context *c = &t->contexts[way[n]];
		const struct eci_setting *window =
			eci_setting_find(t, &t->entries[t->node_entry[c->node]], ECI_SET_DIAL_WINDOW);
		struct eci_plan_item item = {.name = name[n],
					     .parent = parent,
					     .subtree = c->subtree,
					     .dial_window = window ? window->num : 0};
		if (eci_target_make(t, way[n], &o->arena, &item.target) || eci_plan_push(p, item, false, &parent))
			return eci_fail_memory(err);
	}
	*index = parent;
	return 0;
}

int eci_plan_make(const ectx_topology *t, const char *const *names, size_t n, struct eci_plan *out, ectx_error *err)
{
	return eci_plan_make_for(&(struct eci_plan_wait){NULL, NULL}, t, names, n, out, err);
}

int eci_plan_make_for(const struct eci_plan_wait *wait, const ectx_topology *t, const char *const *names, size_t n,
		      struct eci_plan *out, ectx_error *err)
{
	struct owned *o = calloc(1, sizeof *o);
	memset(out, 0, sizeof *out);
	out->owned = o;
	out->wait = wait;
	out->wanted = calloc(n + 1, sizeof *out->wanted);
	int rc = o && out->wanted ? 0 : eci_fail_memory(err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		size_t len = strlen(names[i]);
		if (t->none || strchr(names[i], '/')) {
			rc = eci_adhoc_add(t, names[i], out, &out->wanted[i], err);
			continue;
		}
		uint32_t context = eci_context_find(t, names[i], len);
		rc = context == ECI_NO_CONTEXT ? eci_unknown_target(t, names[i], len, err)
					       : eci_plan_declared(t, context, out, &out->wanted[i], err);
	}
	out->wait = NULL;
	if (rc)
		eci_plan_deinit(out);
	return rc;
}

void eci_plan_deinit(struct eci_plan *p)
{
	struct owned *o = p->owned;
	if (o) {
		eci_names_clear(&o->items);
		eci_arena_deinit(&o->arena);
		free(o);
	}
	free(p->items);
	free(p->wanted);
	*p = (struct eci_plan){0};
}
