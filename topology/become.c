/* Become chains: each step of a list is a context of its own, started by the one before it. What one becomes is the
 * step's name on its node (a01:app), so it must be there once; sudo is assumed because nearly everybody means it. */
#include "topology/internal.h"

#include <string.h>

static int complain(struct eci_load *l, struct eci_spot at, const char *what, const char *hint)
{
	eci_fail_at(l->err, l->t->file, at, "%s", what);
	return eci_fail_hint(l->err, "%s", hint);
}

static int read_method(struct eci_load *l, const struct eci_yaml *v, enum eci_method *out)
{
	static const struct {
		const char *name;
		enum eci_method method;
	} methods[] = {{"sudo", ECI_SUDO}, {"su", ECI_SU}, {"doas", ECI_DOAS}};
	if (eci_value_text(l, ECI_TYPE_WORD, "become.method", v))
		return -1;
	struct eci_guess g = eci_guess_for(v->text);
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (strcmp(methods[i].name, v->text) == 0) {
			*out = methods[i].method;
			return 0;
		}
		eci_guess_try(&g, methods[i].name);
	}
	eci_fail_at(l->err, l->t->file, v->at, "become.method: \"%.100s\" is none of sudo|su|doas", v->text);
	if (g.best)
		return eci_fail_hint(l->err, "did you mean \"%s\"?", g.best);
	return eci_fail_hint(l->err, "write one of sudo|su|doas");
}

static int read_step(struct eci_load *l, const struct eci_yaml *map, struct eci_step *s)
{
	static const struct eci_key keys[] = {{.name = "as", .type = ECI_TYPE_WORD},
					      {.name = "method", .type = ECI_TYPE_CHOICE},
					      {.name = "password", .type = ECI_TYPE_SECRET},
					      {.name = "program", .type = ECI_TYPE_PATH},
					      {0}};
	if (map->kind != ECI_YAML_MAP) {
		eci_fail_at(l->err, l->t->file, map->at, "become: %s, where a step is due", eci_yaml_kind_name(map));
		return eci_fail_hint(l->err, "write - {as: USER, method: sudo}");
	}
	s->method = ECI_SUDO;
	s->at = map->at;
	for (const struct eci_yaml *v = map->first; v; v = v->next) {
		const char **text = NULL;
		if (strcmp(v->key, "as") == 0) {
			if (eci_value_text(l, ECI_TYPE_WORD, "become.as", v))
				return -1;
			text = &s->as;
		} else if (strcmp(v->key, "method") == 0) {
			if (read_method(l, v, &s->method))
				return -1;
		} else if (strcmp(v->key, "password") == 0) {
			if (eci_value_secret(l, "become.password", v))
				return -1;
			text = &s->password;
		} else if (strcmp(v->key, "program") == 0) {
			if (eci_value_text(l, ECI_TYPE_PATH, "become.program", v))
				return -1;
			text = &s->program;
		} else {
			return eci_schema_unknown(l, keys, "become.", v);
		}
		if (text && !(*text = eci_arena_strn(&l->t->arena, v->text, strlen(v->text))))
			return eci_fail_memory(l->err);
		if (text == &s->as)
			s->at = v->at;
	}
	if (!s->as)
		return complain(l, map->at, "become: a step without \"as\"", "say who one becomes: {as: root}");
	if (!eci_name_valid(s->as)) {
		eci_fail_at(l->err, l->t->file, s->at, "become.as: \"%.100s\" is no name of a user", s->as);
		return eci_fail_hint(l->err, "names have letters, digits, \".\", \"_\" and \"-\"");
	}
	return 0;
}

int eci_become_read(struct eci_load *l, const struct eci_yaml *v)
{
	if (v->kind != ECI_YAML_LIST) {
		eci_fail_at(l->err, l->t->file, v->at, "become: %s, where a list is due", eci_yaml_kind_name(v));
		return eci_fail_hint(l->err, "write - {as: USER, method: sudo} for each step");
	}
	if (v->count > ECI_BECOME_MAX) {
		eci_fail_at(l->err, l->t->file, v->at, "become: %zu steps, at most %d", v->count, ECI_BECOME_MAX);
		return eci_fail_hint(l->err, "each step is a process on the host: use a shorter chain");
	}
	struct eci_step *steps = eci_arena_alloc(&l->t->arena, v->count * sizeof *steps);
	if (!steps)
		return eci_fail_memory(l->err);
	size_t n = 0;
	for (const struct eci_yaml *c = v->first; c; c = c->next, n++) {
		if (read_step(l, c, &steps[n]))
			return -1;
		for (size_t i = 0; i < n; i++)
			if (strcmp(steps[i].as, steps[n].as) == 0) {
				eci_fail_at(l->err, l->t->file, steps[n].at,
					    "become: \"%.100s\" twice, first in line %u", steps[n].as,
					    steps[i].at.line);
				return eci_fail_hint(l->err,
						     "a step is addressed by its user (NODE:%.100s): one step each",
						     steps[n].as);
			}
	}
	l->entry->steps = steps;
	l->entry->step_count = n;
	return 0;
}
