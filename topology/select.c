/* Selecting: "web[001-010],@db,!db03,db02:root" becomes contexts in order of first mention, each once.
 *
 * An item is expanded first and looked up then, name by name, so that brackets work everywhere, in groups and users
 * too. Exclusion is decided at the end whatever the order of the items, and excluding a host excludes who one becomes
 * there: whoever writes !db03 does not want db03 touched. A name that is not declared is an error and never a guess. */
#include "topology/internal.h"

#include <stdlib.h>
#include <string.h>

struct choosing {
	const ectx_topology *t;
	struct eci_selection *s;
	ectx_error *err;
};

static int append(struct eci_selection *s, uint32_t item)
{
	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		uint32_t *grown = realloc(s->items, cap * sizeof *grown);
		if (!grown)
			return -1;
		s->items = grown;
		s->cap = cap;
	}
	s->items[s->count++] = item;
	return 0;
}

static int take_context(struct choosing *c, uint32_t context)
{
	if (c->s->seen[context])
		return 0;
	c->s->seen[context] = 1;
	return append(c->s, context) ? eci_fail_memory(c->err) : 0;
}

static int take_name(struct choosing *c, const char *name, size_t len)
{
	struct eci_selection *s = c->s;
	if (eci_names_find(s->names, name, len))
		return 0;
	if (s->name_count == ECI_CONTEXTS_MAX)
		return eci_fail_arg(c->err, ECTX_E_BAD_ARGUMENT, "more than %u names", ECI_CONTEXTS_MAX);
	char *kept = eci_arena_strn(&s->arena, name, len);
	if (kept && eci_adhoc_check(c->t, kept, c->err))
		return -1;
	if (!kept || append(s, ECI_SELECT_NAMED | s->name_count) ||
	    eci_names_add(&s->names, &s->arena, kept, s->name_count, NULL))
		return eci_fail_memory(c->err);
	s->name_count++;
	return 0;
}

static uint32_t step_of(const ectx_topology *t, uint32_t node, const char *user, size_t len)
{
	const struct eci_entry *e = &t->entries[t->node_entry[node]];
	for (size_t i = 0; i < e->step_count; i++)
		if (strlen(e->steps[i].as) == len && memcmp(e->steps[i].as, user, len) == 0)
			return t->node_context[node] + 1 + (uint32_t)i;
	return ECI_NO_CONTEXT;
}

uint32_t eci_context_find(const ectx_topology *t, const char *name, size_t len)
{
	const char *colon = memchr(name, ':', len);
	struct eci_names *n = eci_names_find(t->nodes, name, colon ? (size_t)(colon - name) : len);
	if (!n)
		return ECI_NO_CONTEXT;
	uint32_t node = eci_names_value(n);
	return colon ? step_of(t, node, colon + 1, (size_t)(name + len - colon - 1)) : t->node_context[node];
}

int eci_unknown_target(const ectx_topology *t, const char *name, size_t len, ectx_error *err)
{
	char word[ECI_NAME_MAX + 1];
	snprintf(word, sizeof word, "%.*s", (int)(len > ECI_NAME_MAX ? ECI_NAME_MAX : len), name);
	char *colon = strchr(word, ':');
	if (colon)
		*colon = 0;
	struct eci_names *n = eci_names_find(t->nodes, word, strlen(word));
	if (!n) {
		struct eci_guess g = eci_guess_for(word);
		for (n = t->nodes; n; n = eci_names_next(n))
			eci_guess_try(&g, eci_names_name(n));
		eci_fail_arg(err, ECTX_E_UNKNOWN_TARGET, "no node named \"%s\"", word);
		if (strlen(word) && eci_names_find(t->groups, word, strlen(word)))
			return eci_fail_hint(err, "it is a group: write \"@%s\"", word);
		if (strpbrk(word, "*?"))
			return eci_fail_hint(
				err, "there are no patterns: write a set, name[1-9], a group, or @* for every node");
		if (g.best)
			return eci_fail_hint(err, "did you mean \"%s\"?", g.best);
		return eci_fail_hint(err, "no node of that name in %s", t->file);
	}
	const struct eci_entry *e = &t->entries[t->node_entry[eci_names_value(n)]];
	struct eci_guess g = eci_guess_for(colon ? colon + 1 : "");
	for (size_t i = 0; i < e->step_count; i++)
		eci_guess_try(&g, e->steps[i].as);
	eci_fail_arg(err, ECTX_E_UNKNOWN_TARGET, "node \"%s\" has no become step \"%s\"", word, colon ? colon + 1 : "");
	if (g.best)
		return eci_fail_hint(err, "did you mean \"%s:%s\"?", word, g.best);
	return eci_fail_hint(
		err,
		e->step_count ? "its steps stand under become: of \"%.200s\"" : "\"%.200s\" has no become:", e->key);
}

static int take_node(struct choosing *c, uint32_t node, const char *user, size_t user_len, size_t *taken)
{
	uint32_t context = user ? step_of(c->t, node, user, user_len) : c->t->node_context[node];
	if (context == ECI_NO_CONTEXT)
		return 0;
	(*taken)++;
	return take_context(c, context);
}

/* @group, @group:USER (its members that have such a step), @* for all. */
static int take_group(struct choosing *c, const char *name, size_t len)
{
	const ectx_topology *t = c->t;
	const char *colon = memchr(name, ':', len), *user = colon ? colon + 1 : NULL;
	size_t n = colon ? (size_t)(colon - name) : len, user_len = colon ? (size_t)(name + len - user) : 0, taken = 0;
	if (n == 1 && name[0] == '*') {
		for (uint32_t i = 0; i < t->node_count; i++)
			if (take_node(c, i, user, user_len, &taken))
				return -1;
	} else {
		struct eci_names *found = eci_names_find(t->groups, name, n);
		if (!found) {
			char word[ECI_NAME_MAX + 1];
			snprintf(word, sizeof word, "%.*s", (int)(n > ECI_NAME_MAX ? ECI_NAME_MAX : n), name);
			struct eci_guess g = eci_guess_for(word);
			for (struct eci_names *k = t->groups; k; k = eci_names_next(k))
				eci_guess_try(&g, eci_names_name(k));
			eci_fail_arg(c->err, ECTX_E_UNKNOWN_TARGET, "no group named \"%s\"", word);
			if (g.best)
				return eci_fail_hint(c->err, "did you mean \"@%s\"?", g.best);
			return eci_fail_hint(c->err, t->none ? "groups need a topology file"
							     : "groups are made by groups: of nodes; @* is every node");
		}
		const struct eci_group *g = eci_names_data(found);
		for (size_t i = 0; i < g->count; i++) {
			const struct eci_entry *e = &t->entries[g->entries[i]];
			for (uint32_t k = 0; k < e->node_count; k++)
				if (take_node(c, e->first_node + k, user, user_len, &taken))
					return -1;
		}
	}
	if (taken || !user)
		return 0;
	eci_fail_arg(c->err, ECTX_E_UNKNOWN_TARGET, "no node of group \"%.*s\" has a become step \"%.*s\"", (int)n,
		     name, (int)user_len, user);
	return eci_fail_hint(c->err, "steps stand under become: of the nodes");
}

static int take(void *arg, const char *name, size_t len)
{
	struct choosing *c = arg;
	if (name[0] == '@')
		return take_group(c, name + 1, len - 1);
	if (c->t->none || memchr(name, '/', len)) {
		if (c->s->named_ok)
			return take_name(c, name, len);
		eci_fail_arg(c->err, ECTX_E_BAD_ARGUMENT, "\"%.200s\": an ad-hoc path cannot stand here", name);
		return eci_fail_hint(c->err, "declare the node");
	}
	uint32_t context = eci_context_find(c->t, name, len);
	return context == ECI_NO_CONTEXT ? eci_unknown_target(c->t, name, len, c->err) : take_context(c, context);
}

int eci_select_into(const ectx_topology *t, const char *list, struct eci_selection *plus, struct eci_selection *minus,
		    ectx_error *err)
{
	const char *at = list, *end = list + strlen(list), *item;
	size_t len;
	while (eci_nodeset_next(&at, end, &item, &len)) {
		bool negative = len && item[0] == '!';
		struct choosing c = {t, negative ? minus : plus, err};
		struct eci_set_fault fault;
		if (negative && !minus) {
			eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "\"%.*s\": \"!\" within what is excluded",
				     (int)(len > 200 ? 200 : len), item);
			return eci_fail_hint(err, "name it without the \"!\"");
		}
		if (eci_nodeset_item(item + negative, len - negative, take, &c, &fault) == 0)
			continue;
		if (!fault.why)
			return -1;
		eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "\"%.*s\": %s", (int)(len > 200 ? 200 : len), item, fault.why);
		return eci_fail_hint(err, "%s", fault.fix);
	}
	return 0;
}

bool eci_selection_has(const ectx_topology *t, const struct eci_selection *minus, uint32_t context)
{
	return minus->seen[context] || minus->seen[t->node_context[t->contexts[context].node]];
}

int eci_selection_reset(const ectx_topology *t, struct eci_selection *s)
{
	if (!s->seen)
		s->seen = calloc(t->context_count + 1, 1);
	for (size_t i = 0; i < s->count; i++)
		if (!(s->items[i] & ECI_SELECT_NAMED))
			s->seen[s->items[i]] = 0;
	s->count = 0;
	return s->seen ? 0 : -1;
}

void eci_selection_deinit(struct eci_selection *s)
{
	eci_names_clear(&s->names);
	eci_arena_deinit(&s->arena);
	free(s->items);
	free(s->seen);
	*s = (struct eci_selection){0};
}
