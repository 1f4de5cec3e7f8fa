/* topo plan: for each context the way there, what is executed at each hop, which secrets will be asked for and what it
 * costs in round trips. It explains the very plan that mesh/ would play, and argv comes from transport/ through a
 * function that mesh/ sets, so that nothing here can disagree with what happens. */
#include "topology/internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_WIDTH 12 /* of the first column: "round trips", or "on NAME" of a usual length */

static _Atomic(eci_argv_fn) argv_fn;

void eci_topology_set_argv(eci_argv_fn fn)
{
	atomic_store(&argv_fn, fn);
}

const char *eci_method_name(enum eci_method m)
{
	static const char *const names[] = {"local", "ssh", "sudo", "su", "doas"};
	return names[m];
}

struct way { /* indices of items, outermost first */
	size_t item[ECI_DEPTH_MAX * 2];
	size_t count;
};

static void find_way(const struct eci_plan *p, size_t item, struct way *w)
{
	w->count = 0;
	for (size_t i = item; i != SIZE_MAX && w->count < sizeof w->item / sizeof *w->item; i = p->items[i].parent)
		w->item[w->count++] = i;
	for (size_t i = 0; i < w->count / 2; i++) {
		size_t last = w->item[w->count - 1 - i];
		w->item[w->count - 1 - i] = w->item[i];
		w->item[i] = last;
	}
}

static char **argv_of(const struct eci_plan_item *item, unsigned *round_trips)
{
	eci_argv_fn fn = atomic_load(&argv_fn);
	*round_trips = 0;
	return fn ? fn(&item->target, round_trips) : NULL;
}

/* How a secret is had, for people. */
static void tell_source(FILE *f, const struct eci_secret *s)
{
	switch (s->kind) {
	case ECI_SECRET_PROMPT:
		fprintf(f, "asked on the terminal: \"%s\"", s->text);
		break;
	case ECI_SECRET_ENV:
		fprintf(f, "environment variable %s", s->text);
		break;
	case ECI_SECRET_FD:
		fprintf(f, "descriptor %d", s->fd);
		break;
	case ECI_SECRET_FILE:
		fprintf(f, "file %s", s->text);
		break;
	case ECI_SECRET_COMMAND:
		fputs("command", f);
		for (size_t i = 0; s->command[i]; i++) {
			fputc(' ', f);
			eci_shell_quote(f, s->command[i]);
		}
	}
}

static void text_secrets(FILE *f, const ectx_topology *t, const struct eci_plan *p, const struct way *w)
{
	const char *label = "secrets";
	for (size_t i = 0; i < w->count; i++) {
		const struct eci_plan_item *item = &p->items[w->item[i]];
		const struct eci_secret *s = item->target.secret ? eci_topology_secret(t, item->target.secret) : NULL;
		if (!s)
			continue;
		fprintf(f, "  %-*s %s for %s: ", LABEL_WIDTH, label, s->name, item->name);
		tell_source(f, s);
		fputc('\n', f);
		label = "";
	}
}

/* What is sent once a shell answers. */
static const char *agents_text(struct eci_agents a)
{
	if (a.count < 2)
		return a.count && a.kind[0] == ECI_AGENT_NATIVE ? "sends the native" : "sends the Python";
	return a.kind[0] == ECI_AGENT_NATIVE ? "sends the native, else the Python"
					     : "sends the Python, else the native";
}

static void text_one(FILE *f, const ectx_topology *t, const struct eci_plan *p, size_t index)
{
	struct way w;
	unsigned total = 0;
	find_way(p, index, &w);
	fprintf(f, "%s\n  %-*s master", p->items[index].name, LABEL_WIDTH, "path");
	for (size_t i = 0; i < w.count; i++)
		fprintf(f, " > %s", p->items[w.item[i]].name);
	fputc('\n', f);
	for (size_t i = 0; i < w.count; i++) {
		const struct eci_plan_item *item = &p->items[w.item[i]];
		char label[512];
		unsigned trips;
		snprintf(label, sizeof label, "on %.500s", i ? p->items[w.item[i - 1]].name : "master");
		char **argv = argv_of(item, &trips);
		fprintf(f, "  %-*s", LABEL_WIDTH, label);
		for (char **a = argv; a && *a; a++) {
			fputc(' ', f);
			eci_shell_quote(f, *a);
		}
		if (!argv)
			fprintf(f, " %s to %s", eci_method_name(item->target.method), item->name);
		fprintf(f, "\n  %-*s %s agent\n", LABEL_WIDTH, "", agents_text(item->target.agents));
		if (eci_target_takes_image(&item->target) &&
		    (!i || p->items[w.item[i - 1]].target.agents.kind[0] == ECI_AGENT_NATIVE))
			fprintf(f, "  %-*s (neither, where %s can execute the native agent that it has)\n", LABEL_WIDTH,
				"", i ? p->items[w.item[i - 1]].name : "the master");
		free(argv);
		total += trips;
	}
	text_secrets(f, t, p, &w);
	fprintf(f, "  %-*s %u\n", LABEL_WIDTH, "round trips", total);
}

static void json_secrets(FILE *f, const ectx_topology *t, const struct eci_plan *p, const struct way *w)
{
	static const char *const kinds[] = {"prompt", "env", "fd", "file", "command"};
	bool any = false;
	for (size_t i = 0; i < w->count; i++) {
		const struct eci_plan_item *item = &p->items[w->item[i]];
		const struct eci_secret *s = item->target.secret ? eci_topology_secret(t, item->target.secret) : NULL;
		if (!s)
			continue;
		fprintf(f, "%s{\"name\": ", any ? ", " : "");
		eci_json_string(f, s->name);
		fputs(", \"for\": ", f);
		eci_json_string(f, item->name);
		fprintf(f, ", \"%s\": ", kinds[s->kind]);
		if (s->kind == ECI_SECRET_FD)
			fprintf(f, "%d", s->fd);
		else if (s->kind == ECI_SECRET_COMMAND)
			eci_json_strings(f, s->command);
		else
			eci_json_string(f, s->text);
		fputc('}', f);
		any = true;
	}
}

static void json_agents(FILE *f, struct eci_agents a)
{
	fputs(", \"agents\": [", f);
	for (uint8_t i = 0; i < a.count; i++)
		fprintf(f, "%s\"%s\"", i ? ", " : "", a.kind[i] == ECI_AGENT_NATIVE ? "native" : "python");
	fputc(']', f);
}

static void json_one(FILE *f, const ectx_topology *t, const struct eci_plan *p, size_t index)
{
	struct way w;
	unsigned total = 0;
	find_way(p, index, &w);
	fputs("{\"name\": ", f);
	eci_json_string(f, p->items[index].name);
	fputs(", \"path\": [", f);
	for (size_t i = 0; i < w.count; i++) {
		fputs(i ? ", " : "", f);
		eci_json_string(f, p->items[w.item[i]].name);
	}
	fputs("], \"hops\": [", f);
	for (size_t i = 0; i < w.count; i++) {
		const struct eci_plan_item *item = &p->items[w.item[i]];
		unsigned trips;
		char **argv = argv_of(item, &trips);
		fprintf(f, "%s{\"name\": ", i ? ", " : "");
		eci_json_string(f, item->name);
		fputs(", \"on\": ", f);
		eci_json_string(f, i ? p->items[w.item[i - 1]].name : "master");
		fprintf(f, ", \"method\": \"%s\", \"argv\": ", eci_method_name(item->target.method));
		if (argv)
			eci_json_strings(f, (const char *const *)argv);
		else
			fputs("null", f);
		json_agents(f, item->target.agents);
		fprintf(f, ", \"round_trips\": %u}", trips);
		free(argv);
		total += trips;
	}
	fputs("], \"secrets\": [", f);
	json_secrets(f, t, p, &w);
	fprintf(f, "], \"round_trips\": %u}\n", total);
}

char *ectx_topology_plan(const ectx_topology *t, const char *const *names, bool json, ectx_error *err)
{
	struct eci_plan p;
	size_t n;
	char *text = NULL;
	size_t len;
	if (eci_plan_for_show(t, names, &p, &n, err))
		return NULL;
	FILE *f = open_memstream(&text, &len);
	for (size_t i = 0; f && i < n; i++)
		(json ? json_one : text_one)(f, t, &p, p.wanted[i]);
	if (!f || fclose(f)) {
		free(text);
		text = NULL;
		eci_fail_memory(err);
	}
	eci_plan_deinit(&p);
	return text;
}
