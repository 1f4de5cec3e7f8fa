/* topo show: what holds for a context and where each value came from: FILE:LINE:COL, "default of the file" by its place
 * under defaults:, or built in. Values are the resolved ones (%n and paths expanded), taken from the same target that
 * the plan has; places come from the settings. */
#include "topology/internal.h"

#include <stdlib.h>
#include <string.h>

struct table {
	FILE *f;
	const ectx_topology *t;
	bool json;
	size_t rows;
};

static void row(struct table *o, const char *key, const char *value, const char *const *list, const char *from)
{
	if (!o->json) {
		size_t width = 0;
		fprintf(o->f, "  %-16s ", key);
		for (size_t i = 0; list && list[i]; i++)
			width += (size_t)fprintf(o->f, "%s%s", i ? ", " : "", list[i]);
		if (!list)
			width = (size_t)fprintf(o->f, "%s", value);
		fprintf(o->f, "%*s  %s\n", width < 28 ? (int)(28 - width) : 0, "", from);
		return;
	}
	fputs(o->rows++ ? ", " : "", o->f);
	eci_json_string(o->f, key);
	fputs(": {\"value\": ", o->f);
	if (list)
		eci_json_strings(o->f, list);
	else
		eci_json_string(o->f, value);
	fputs(", \"from\": ", o->f);
	eci_json_string(o->f, from);
	fputc('}', o->f);
}

static void row_at(struct table *o, const char *key, const char *value, const char *const *list, struct eci_spot at,
		   bool defaults)
{
	char from[600];
	snprintf(from, sizeof from, "%.500s:%u:%u%s", o->t->file, at.line, at.col, defaults ? " (defaults)" : "");
	row(o, key, value, list, from);
}

/* One setting: what was written, else what is built in (NULL: nothing to show). value: the resolved text, if it
 * differs. */
static void setting(struct table *o, const struct eci_entry *e, enum eci_setting_id id, const char *value,
		    const char *built_in, const char *why)
{
	static const char *const names[] = {
#define X(name, text) text,
		ECI_SETTINGS(X)
#undef X
	};
	const struct eci_setting *s = eci_setting_find(o->t, e, id);
	if (s) {
		bool own = s >= e->set.items && s < e->set.items + e->set.count;
		row_at(o, names[id], value ? value : s->text, s->list, s->at, !own);
	} else if (built_in) {
		row(o, names[id], built_in, NULL, why);
	}
}

static void timeouts(struct table *o, const struct eci_entry *e, const struct eci_target *target)
{
	const struct eci_timeouts *v = &target->timeout;
	const uint32_t ms[] = {v->connect_ms, v->auth_ms, v->become_ms, v->shell_ms, v->boot_ms, v->idle_ms};
	for (int i = 0; i < 6; i++) {
		char text[32];
		if (ms[i] % 1000)
			snprintf(text, sizeof text, "%ums", ms[i]);
		else
			snprintf(text, sizeof text, "%us", ms[i] / 1000);
		setting(o, e, (enum eci_setting_id)(ECI_SET_T_CONNECT + i), text, text, "built in");
	}
}

static void ssh(struct table *o, const struct eci_entry *e, const struct eci_target *target)
{
	setting(o, e, ECI_SET_HOST, target->host, target->host, "the node's name");
	setting(o, e, ECI_SET_PORT, NULL, NULL, NULL);
	setting(o, e, ECI_SET_USER, NULL, NULL, NULL);
	setting(o, e, ECI_SET_IDENTITY, target->identity, NULL, NULL);
	setting(o, e, ECI_SET_CONFIG, target->config, NULL, NULL);
	setting(o, e, ECI_SET_OPTIONS, NULL, NULL, NULL);
	setting(o, e, ECI_SET_PASSWORD, NULL, NULL, NULL);
	setting(o, e, ECI_SET_PROGRAM, target->program, "ssh", "built in");
	setting(o, e, ECI_SET_HOSTKEY, NULL, "strict", "built in");
}

static void declared(struct table *o, uint32_t context, const struct eci_plan *p, const struct eci_plan_item *item)
{
	const ectx_topology *t = o->t;
	const struct eci_context *c = &t->contexts[context];
	const struct eci_entry *e = &t->entries[t->node_entry[c->node]];
	const struct eci_target *target = &item->target;
	row_at(o, "node", e->key, NULL, e->at, false);
	if (c->step) {
		const struct eci_step *s = &e->steps[c->step - 1];
		row_at(o, "become.as", s->as, NULL, s->at, false);
		row_at(o, "become.method", eci_method_name(s->method), NULL, s->at, false);
		if (s->password)
			row_at(o, "become.password", s->password, NULL, s->at, false);
		if (s->program)
			row_at(o, "become.program", target->program, NULL, s->at, false);
		row(o, "parent", p->items[item->parent].name, NULL, "the step before");
	} else {
		if (item->parent == SIZE_MAX)
			row(o, "via", "master", NULL, "built in");
		else
			row_at(o, "via", p->items[item->parent].name, NULL, e->via_at, false);
		if (e->transport_at.line)
			row_at(o, "transport", e->local ? "local" : "ssh", NULL, e->transport_at, false);
		else
			row(o, "transport", "ssh", NULL, "built in");
		if (!e->local)
			ssh(o, e, target);
	}
	if (e->group_count)
		row_at(o, "groups", NULL, e->groups, e->groups_at, false);
	setting(o, e, ECI_SET_AGENT, NULL, eci_agents_name(eci_agents_default(c->subtree > 1)),
		c->subtree > 1 ? "built in, it has children" : "built in, it has no children");
	setting(o, e, ECI_SET_NATIVE, NULL, "auto", "built in");
	setting(o, e, ECI_SET_PYTHON, NULL, NULL, NULL);
	setting(o, e, ECI_SET_TITLE, NULL, NULL, NULL);
	if (!c->step)
		setting(o, e, ECI_SET_FEED, NULL, "false", "built in");
	setting(o, e, ECI_SET_DIAL, NULL, "relay", "built in");
	char window[16];
	snprintf(window, sizeof window, "%u", item->dial_window);
	setting(o, e, ECI_SET_DIAL_WINDOW, NULL, window, "built in");
	timeouts(o, e, target);
}

/* A context that no file declares: what was made of its name. */
static void adhoc(struct table *o, const struct eci_plan *p, const struct eci_plan_item *item)
{
	const char *from = o->t->none ? "ssh_config" : "ad hoc";
	char port[16];
	row(o, "via", item->parent == SIZE_MAX ? "master" : p->items[item->parent].name, NULL, from);
	row(o, "transport", eci_method_name(item->target.method), NULL, from);
	if (item->target.host)
		row(o, "ssh.host", item->target.host, NULL, from);
	if (item->target.user)
		row(o, item->target.method == ECI_SSH ? "ssh.user" : "become.as", item->target.user, NULL, from);
	if (item->target.port) {
		snprintf(port, sizeof port, "%u", item->target.port);
		row(o, "ssh.port", port, NULL, from);
	}
}

static void one(struct table *o, const struct eci_plan *p, size_t index)
{
	const struct eci_plan_item *item = &p->items[index];
	if (o->json) {
		fputs("{\"name\": ", o->f);
		eci_json_string(o->f, item->name);
		fputs(", \"settings\": {", o->f);
		o->rows = 0;
	} else {
		fprintf(o->f, "%s\n", item->name);
	}
	uint32_t context =
		strchr(item->name, '/') ? ECI_NO_CONTEXT : eci_context_find(o->t, item->name, strlen(item->name));
	if (context == ECI_NO_CONTEXT)
		adhoc(o, p, item);
	else
		declared(o, context, p, item);
	if (o->json)
		fputs("}}\n", o->f);
}

/* NULL names are all that is declared. */
int eci_plan_for_show(const ectx_topology *t, const char *const *names, struct eci_plan *p, size_t *n, ectx_error *err)
{
	struct eci_arena a = {NULL};
	const char **all = NULL;
	size_t count = 0;
	if (!names) {
		if (t->none) {
			eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "nothing is selected");
			return eci_fail_hint(err, "without a topology file name hosts with -w");
		}
		names = all = eci_arena_alloc(&a, (t->context_count + 1) * sizeof *all);
		for (uint32_t i = 0; all && i < t->context_count; i++)
			if (!(all[i] = eci_context_name(t, i, &a)))
				all = NULL;
		if (!all) {
			eci_arena_deinit(&a);
			return eci_fail_memory(err);
		}
	}
	while (names[count])
		count++;
	*n = count;
	int rc = eci_plan_make(t, names, count, p, err);
	eci_arena_deinit(&a);
	return rc;
}

char *ectx_topology_show(const ectx_topology *t, const char *const *names, bool json, ectx_error *err)
{
	struct eci_plan p;
	char *text = NULL;
	size_t len, n;
	if (eci_plan_for_show(t, names, &p, &n, err))
		return NULL;
	struct table o = {.f = open_memstream(&text, &len), .t = t, .json = json};
	for (size_t i = 0; o.f && i < n; i++)
		one(&o, &p, p.wanted[i]);
	if (!o.f || fclose(o.f)) {
		free(text);
		text = NULL;
		eci_fail_memory(err);
	}
	eci_plan_deinit(&p);
	return text;
}
