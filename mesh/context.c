/* Contexts: names to objects, objects to ids.
 *
 * A context object lives as long as its mesh and is known by name; what comes and goes is its incarnation: a state, a
 * block of ids, a process. The objects form the declared tree (parent, children), made from plans as names are first
 * asked for, so a topology of 100,000 nodes costs what is used of it.
 *
 * The path in an error is the way of names from the first hop to the context that failed. */
#include "mesh/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ectx_context *by_name(ectx_mesh *m, const char *name)
{
	ectx_context *c;
	HASH_FIND(by_name, m->by_name, name, strlen(name), c);
	return c;
}

ectx_context *eci_context_add(ectx_mesh *m, const char *name, ectx_context *parent)
{
	ectx_context *c = calloc(1, sizeof *c);
	if (!c || !(c->name = strdup(name))) {
		free(c);
		return NULL;
	}
	c->mesh = m;
	c->parent = parent;
	c->subtree = 1;
	c->dial_window = 4;
	c->next = m->contexts;
	m->contexts = c;
	ectx_context **siblings = parent ? &parent->children : &m->roots_of_tree;
	while (*siblings) /* in order of declaration: the tree is shown so */
		siblings = &(*siblings)->next_sibling;
	*siblings = c;
	return c;
}

static ectx_context *add(ectx_mesh *m, const struct eci_plan_item *item, ectx_context *parent)
{
	ectx_context *c = eci_context_add(m, item->name, parent);
	if (!c)
		return NULL;
	c->target = item->target;
	c->subtree = item->subtree ? item->subtree : 1;
	if (item->dial_window)
		c->dial_window = item->dial_window;
	HASH_ADD_KEYPTR(by_name, m->by_name, c->name, strlen(c->name), c);
	return c->by_name.tbl ? c : NULL; /* without memory for its name it stays, unused, until the mesh goes */
}

/* The contexts of a plan that do not exist yet, parents first; the one that was asked for. The mesh keeps the plan. */
static ectx_context *add_plan(ectx_mesh *m, struct eci_plan_node *node)
{
	ectx_context **made = calloc(node->plan.count, sizeof(ectx_context *)), *wanted = NULL;
	bool ok = made != NULL;
	node->next = m->plans;
	m->plans = node;
	for (size_t i = 0; i < node->plan.count && ok; i++) {
		const struct eci_plan_item *item = &node->plan.items[i];
		made[i] = by_name(m, item->name);
		if (!made[i])
			made[i] = add(m, item, item->parent == SIZE_MAX ? NULL : made[item->parent]);
		ok = made[i] != NULL;
	}
	if (ok)
		wanted = made[node->plan.wanted[0]];
	free(made);
	return wanted;
}

ectx_context *eci_context_of_id(ectx_mesh *m, uint32_t id)
{
	ectx_context *c;
	HASH_FIND(by_id, m->by_id, &id, sizeof id, c);
	return c;
}

static size_t path_into(const ectx_context *c, char *out, size_t cap)
{
	if (c->host)
		return path_into(c->host, out, cap);
	size_t n = c->parent ? path_into(c->parent, out, cap) : 0;
	int w = n < cap ? snprintf(out + n, cap - n, "%s%s", n ? " > " : "", c->name) : 0;
	n += w > 0 ? (size_t)w : 0;
	return n < cap ? n : cap - 1;
}

void eci_context_path(const ectx_context *c, char *out, size_t cap)
{
	out[0] = 0;
	if (c)
		(void)path_into(c, out, cap);
}

bool eci_context_reachable(const ectx_context *c)
{
	return c == NULL || c->state == ECI_UP || c->state == ECI_BOOTING;
}

/* Nothing was lost yet if a native agent cannot be: the next agent takes its place (connect.c). What has been sent to
 * it by then would have to be sent again, so nothing is. */
bool eci_context_settled(const ectx_context *c)
{
	if (!c || c->state == ECI_UP)
		return true;
	bool may_change = c->native && c->target.agents.count > 1 && c->target.agents.kind[0] == ECI_AGENT_NATIVE;
	return c->state == ECI_BOOTING && !may_change;
}

uint32_t eci_context_id(const ectx_context *c)
{
	return c ? c->id : 0;
}

const ectx_context *eci_context_below(const ectx_context *c, uint32_t id)
{
	while (c && c->parent && c->parent->id != id && c->id != id)
		c = c->parent;
	return c;
}

void eci_work(ectx_context *c)
{
	if (c->in_work)
		return;
	c->in_work = true;
	c->work_next = c->mesh->work;
	c->mesh->work = c;
	eci_mesh_wake(c->mesh);
}

ectx_context *ectx_context_get(ectx_mesh *m, const char *name, ectx_error *err)
{
	eci_lock(m);
	ectx_context *c = by_name(m, name);
	eci_unlock(m);
	if (c)
		return c;
	/* Without the lock: a plan may have to ask ssh -G. Two threads may plan the same; the first one's is used. */
	const struct eci_plan_wait wait = {m->give_up, m->ask_arg};
	struct eci_plan_node *node = calloc(1, sizeof *node);
	if (node && eci_plan_make_for(&wait, m->topology, &name, 1, &node->plan, err) < 0) {
		free(node);
		return NULL;
	}
	if (node) {
		eci_lock(m);
		c = add_plan(m, node);
		eci_unlock(m);
	}
	if (!c) {
		struct eci_fail fail = {0};
		eci_fail_set(&fail, ECTX_PHASE_NONE, ECTX_E_NO_MEMORY, "%s", name);
		eci_error_from(err, &fail, NULL);
	}
	return c;
}

const char *ectx_context_name(const ectx_context *c)
{
	return c->name;
}
