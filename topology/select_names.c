/* The public face of selecting: -w, -x and -g become one array of names. */
#include "topology/internal.h"

#include <stdlib.h>
#include <string.h>

/* "-g web,db" is "@web,@db". */
static int take_groups(const ectx_topology *t, const char *groups, struct eci_selection *plus, ectx_error *err)
{
	const char *at = groups, *end = groups + strlen(groups), *item;
	size_t len;
	while (eci_nodeset_next(&at, end, &item, &len)) {
		char *list = NULL;
		if (len && item[0] == '@') {
			item++;
			len--;
		}
		if (len == 0 || item[0] == '!') {
			eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "\"%.200s\": no list of groups", groups);
			return eci_fail_hint(err, "write web,db");
		}
		if (asprintf(&list, "@%.*s", (int)len, item) < 0)
			return eci_fail_memory(err);
		int rc = eci_select_into(t, list, plus, NULL, err);
		free(list);
		if (rc)
			return -1;
	}
	return 0;
}

/* Named so, or one who is become on a host that is. */
static bool excluded(struct eci_names *minus, const char *name)
{
	const char *slash = strrchr(name, '/');
	for (const char *p = strchr(slash ? slash : name, ':'); p; p = strchr(p + 1, ':'))
		if (eci_names_find(minus, name, (size_t)(p - name)))
			return true;
	return eci_names_find(minus, name, strlen(name));
}

static int collect(const ectx_topology *t, const struct eci_selection *plus, const struct eci_selection *minus,
		   struct eci_list *l)
{
	struct eci_names *next = plus->names;
	struct eci_arena a = {NULL};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < plus->count; i++) {
		const char *name;
		if (plus->items[i] & ECI_SELECT_NAMED) {
			name = eci_names_name(next); /* both are in order of addition */
			next = eci_names_next(next);
			if (excluded(minus->names, name))
				continue;
		} else {
			if (eci_selection_has(t, minus, plus->items[i]))
				continue;
			name = eci_context_name(t, plus->items[i], &a);
		}
		rc = name ? eci_list_add(l, name, strlen(name)) : -1;
	}
	eci_arena_deinit(&a);
	return rc;
}

char **ectx_topology_select(const ectx_topology *t, const char *select, const char *exclude, const char *groups,
			    ectx_error *err)
{
	struct eci_selection plus = {.named_ok = true}, minus = {.named_ok = true};
	struct eci_list l = {0};
	char **out = NULL;
	int rc = eci_selection_reset(t, &plus) || eci_selection_reset(t, &minus) ? eci_fail_memory(err) : 0;
	if (rc == 0 && select)
		rc = eci_select_into(t, select, &plus, &minus, err);
	if (rc == 0 && groups)
		rc = take_groups(t, groups, &plus, err);
	if (rc == 0 && exclude)
		rc = eci_select_into(t, exclude, &minus, NULL, err);
	if (rc == 0 && plus.count == 0) {
		rc = eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "nothing is selected");
		eci_fail_hint(err, minus.count ? "say what to take as well: \"@*,!db03\""
					       : "name nodes with -w or groups with -g");
	}
	if (rc == 0 && collect(t, &plus, &minus, &l))
		rc = eci_fail_memory(err);
	if (rc == 0 && l.count == 0) {
		rc = eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "everything that is selected is excluded");
		eci_fail_hint(err, "look at -x and at the items with \"!\"");
	}
	if (rc == 0 && !(out = eci_list_block(&l)))
		eci_fail_memory(err);
	eci_list_deinit(&l);
	eci_selection_deinit(&plus);
	eci_selection_deinit(&minus);
	return out;
}
