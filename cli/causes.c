/* cli: what happened to many files for one reason, as one failure.
 *
 * A disk that is full fails every file that is left, with the same words behind its name. So what is kept is the words,
 * for each node, with the first few names and how many there were: memory goes with the different causes, and the block
 * that is printed can be read. Each name is in the output of --json, which the hint says.
 *
 * The words may be another machine's, and different each time: past CAUSES_MAX all that is left is one cause.
 *
 * Nodes whose blocks read the same are folded after that (failures.c). */
#include "cli/causes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/opts.h"
#include "econtext/event.h"

#define NAMES_SHOWN 3u
#define CAUSES_MAX 256u     /* more nobody reads, and each is compared with all */
#define NAMES_LONGEST 1024u /* of all that are shown: the cause must find room behind them in `saw` */

struct eci_cause {
	const char *node;
	ectx_error error; /* of the first */
	size_t files, shown;
	const char *why; /* in the first's `saw`, behind its name */
	char *names;     /* of those that are shown */
};

/* Where in `saw` the cause begins, behind the name and a colon; NULL: it does not begin with the name. */
static const char *cause_in(const ectx_error *e, const char *path)
{
	char *name = ectx_escape(path, strlen(path));
	size_t n = name ? strlen(name) : 0;
	bool good = n && n <= NAMES_LONGEST && !strncmp(e->saw, name, n) && !strncmp(e->saw + n, ": ", 2);
	free(name);
	return good ? e->saw + n + 2 : NULL;
}

static bool same(const struct eci_cause *one, const char *node, const ectx_error *e, const char *why)
{
	const ectx_error *o = &one->error;
	return one->why && why && o->status == e->status && o->code == e->code && !strcmp(one->why, why) &&
	       !strcmp(one->node, node) && !strcmp(o->hint, e->hint) && !strcmp(o->path, e->path);
}

static void add_name(struct eci_cause *one, const char *saw, size_t n)
{
	size_t had = one->names ? strlen(one->names) : 0;
	one->files++;
	if (one->shown == NAMES_SHOWN || (had && had + n + 3 > NAMES_LONGEST))
		return;
	one->names = eci_grow(one->names, had + n + 3);
	sprintf(one->names + had, "%s%.*s", had ? ", " : "", (int)n, saw);
	one->shown++;
}

static struct eci_cause *find(const struct eci_causes *c, const char *node, const ectx_error *e, const char *why)
{
	for (size_t i = 0; i < c->n; i++)
		if (same(c->v[i], node, e, why))
			return c->v[i];
	return c->n > CAUSES_MAX ? c->v[CAUSES_MAX] : NULL;
}

void eci_causes_add(struct eci_causes *c, const char *node, const char *path, const ectx_error *e)
{
	const char *why = cause_in(e, path);
	struct eci_cause *one = find(c, node, e, why);
	if (!one) {
		one = eci_alloc(sizeof *one);
		*one = (struct eci_cause){.node = node, .error = *e};
		one->error.detail = NULL;
		one->why = c->n == CAUSES_MAX ? "more reasons than are told here"
			   : why              ? one->error.saw + (why - e->saw)
					      : NULL;
		c->v = eci_grow(c->v, (c->n + 1) * sizeof(struct eci_cause *));
		c->v[c->n++] = one;
	}
	add_name(one, e->saw, why ? (size_t)(why - e->saw) - 2 : strlen(e->saw));
}

void eci_causes_move(struct eci_causes *c, struct eci_failures *to)
{
	for (size_t i = 0; i < c->n; i++) {
		struct eci_cause *one = c->v[i];
		ectx_error e = one->error;
		if (one->files > 1) {
			char more[40] = "";
			if (one->files > one->shown)
				(void)snprintf(more, sizeof more, " and %zu more", one->files - one->shown);
			(void)snprintf(e.saw, sizeof e.saw, "%s%s: %s", one->names, more, one->why);
		}
		if (one->files > one->shown) {
			size_t n = strlen(e.hint);
			(void)snprintf(e.hint + n, sizeof e.hint - n, "%s--json names each", n ? "; " : "");
		}
		eci_failures_add(to, one->node, 0, &e);
		free(one->names);
		free(one);
	}
	free(c->v);
	*c = (struct eci_causes){0};
}
