/* Typed scalars: text from the file becomes what a setting needs, or an error that names the key, the value and what
 * would be right. All types are decided here and nowhere else, because YAML's own guesses ("no" is false, "010" is 8)
 * are exactly what a topology must not have. Words that become arguments of ssh, sudo and the like may not start with
 * "-": they would be read as options. */
#include "topology/internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/interpreter.h"

const char *eci_yaml_kind_name(const struct eci_yaml *v)
{
	static const char *const names[] = {"text", "a list", "a map"};
	return names[v->kind];
}

bool eci_name_valid(const char *s)
{
	size_t n = strlen(s);
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	return n > 0 && n <= ECI_NAME_MAX && s[0] != '-' && strspn(s, chars) == n && strcmp(s, ".") != 0 &&
	       strcmp(s, "..") != 0; /* cp makes a folder of a node's name */
}

int eci_value_number(const char *text, uint32_t *out)
{
	uint64_t n = 0;
	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > UINT32_MAX)
			return -1;
	}
	*out = (uint32_t)n;
	return 0;
}

static int milliseconds(const char *text, uint32_t *ms)
{
	static const struct {
		const char *suffix;
		uint32_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};
	char digits[16];
	size_t n = strspn(text, "0123456789");
	uint32_t v;
	if (n == 0 || n >= sizeof digits)
		return -1;
	memcpy(digits, text, n);
	digits[n] = 0;
	if (eci_value_number(digits, &v))
		return -1;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(text + n, units[i].suffix) != 0)
			continue;
		uint64_t total = (uint64_t)v * units[i].ms;
		if (total > ECI_DURATION_MAX_MS)
			return -1;
		*ms = (uint32_t)total;
		return 0;
	}
	return -1;
}

static int wrong(struct eci_load *l, const char *path, const struct eci_yaml *v, const char *what, const char *hint)
{
	if (v->kind == ECI_YAML_SCALAR)
		eci_fail_at(l->err, l->t->file, v->at, "%s: \"%.100s\" %s", path, v->text, what);
	else
		eci_fail_at(l->err, l->t->file, v->at, "%s: %s, where text is due", path, eci_yaml_kind_name(v));
	return eci_fail_hint(l->err, "%s", hint);
}

static bool control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || eci_is_c1(s))
			return true;
	return false;
}

int eci_value_text(struct eci_load *l, enum eci_type type, const char *path, const struct eci_yaml *v)
{
	if (v->kind != ECI_YAML_SCALAR)
		return wrong(l, path, v, "", "write one value");
	if (!*v->text)
		return wrong(l, path, v, "is empty", "leave the key out, or give it a value");
	if (control(v->text))
		return wrong(l, path, v, "has control characters", "write it in one line");
	if (type == ECI_TYPE_TEXT)
		return 0;
	if (v->text[0] == '-')
		return wrong(l, path, v, "starts with \"-\"", "it would be read as an option");
	if (type == ECI_TYPE_PATH)
		return 0;
	if (type == ECI_TYPE_INTERPRETER && v->text[strspn(v->text, ECI_INTERPRETER_CHARS)])
		return wrong(l, path, v, "has characters that mean something to a shell",
			     "use letters, digits and . _ / + - only");
	if (type == ECI_TYPE_INTERPRETER)
		return strlen(v->text) <= ECI_INTERPRETER_MAX ? 0
							      : wrong(l, path, v, "is longer than 200 bytes",
								      "name it by a shorter path: a link will do");
	if (strpbrk(v->text, " \t"))
		return wrong(l, path, v, "has blanks", "write one word");
	if (type != ECI_TYPE_HOST)
		return 0;
	for (const char *p = strchr(v->text, '%'); p; p = strchr(p + 2, '%'))
		if (p[1] != 'n' && p[1] != '%')
			return wrong(l, path, v, "has an unknown % sequence",
				     "%n is the node's name, %% a percent sign");
	return 0;
}

int eci_value_secret(struct eci_load *l, const char *path, const struct eci_yaml *v)
{
	if (eci_value_text(l, ECI_TYPE_WORD, path, v))
		return -1;
	if (eci_names_find(l->t->secrets, v->text, strlen(v->text)))
		return 0;
	struct eci_guess g = eci_guess_for(v->text);
	for (size_t i = 0; i < l->t->secret_count; i++)
		eci_guess_try(&g, l->t->secret[i].name);
	eci_fail_at(l->err, l->t->file, v->at, "%s: no secret named \"%.100s\" is declared", path, v->text);
	if (g.best)
		return eci_fail_hint(l->err, "did you mean \"%s\"?", g.best);
	return eci_fail_hint(l->err, "declare where it comes from: secrets: {%.100s: {prompt: \"password\"}}", v->text);
}

int eci_value_texts(struct eci_load *l, const char *path, const struct eci_yaml *v, enum eci_type type,
		    const char *const **out, size_t *count)
{
	size_t n = v->kind == ECI_YAML_LIST ? v->count : 1;
	if (v->kind == ECI_YAML_MAP) {
		eci_fail_at(l->err, l->t->file, v->at, "%s: a map, where a list is due", path);
		return eci_fail_hint(l->err, "write [a, b]");
	}
	if (n > ECI_LIST_MAX) {
		eci_fail_at(l->err, l->t->file, v->at, "%s: %zu items, at most %d", path, n, ECI_LIST_MAX);
		return eci_fail_hint(l->err, "use fewer");
	}
	const char **items = eci_arena_alloc(&l->t->arena, (n + 1) * sizeof *items);
	if (!items)
		return eci_fail_memory(l->err);
	size_t i = 0;
	for (const struct eci_yaml *c = v->kind == ECI_YAML_LIST ? v->first : v; c; c = c == v ? NULL : c->next) {
		if (eci_value_text(l, type, path, c))
			return -1;
		items[i] = eci_arena_strn(&l->t->arena, c->text, strlen(c->text));
		if (!items[i++])
			return eci_fail_memory(l->err);
	}
	*out = items;
	if (count)
		*count = n;
	return 0;
}

static int choice(struct eci_load *l, const struct eci_key *key, const char *path, const struct eci_yaml *v,
		  uint32_t *out)
{
	const char *s = key->choices;
	struct eci_guess g = eci_guess_for(v->text);
	char word[8][16];
	for (uint32_t i = 0; s && i < 8; i++) {
		size_t n = strcspn(s, "|");
		snprintf(word[i], sizeof word[i], "%.*s", (int)n, s);
		if (strcmp(word[i], v->text) == 0) {
			*out = i;
			return 0;
		}
		eci_guess_try(&g, word[i]);
		s = s[n] ? s + n + 1 : NULL;
	}
	eci_fail_at(l->err, l->t->file, v->at, "%s: \"%.100s\" is none of %s", path, v->text, key->choices);
	if (g.best)
		return eci_fail_hint(l->err, "did you mean \"%s\"?", g.best);
	return eci_fail_hint(l->err, "write one of %s", key->choices);
}

static int number(struct eci_load *l, const struct eci_key *key, const char *path, const struct eci_yaml *v,
		  uint32_t *out)
{
	if (eci_value_number(v->text, out) == 0 && *out >= key->min && *out <= key->max)
		return 0;
	bool digits = *v->text && !v->text[strspn(v->text, "0123456789")];
	eci_fail_at(l->err, l->t->file, v->at, "%s: \"%.100s\" is not a number from %u to %u", path, v->text, key->min,
		    key->max);
	return eci_fail_hint(l->err, digits ? "stay within these limits" : "write digits only");
}

static int duration(struct eci_load *l, const struct eci_key *key, const char *path, const struct eci_yaml *v,
		    uint32_t *out)
{
	if (milliseconds(v->text, out)) {
		eci_fail_at(l->err, l->t->file, v->at, "%s: \"%.100s\" is not a duration of at most a day", path,
			    v->text);
		return eci_fail_hint(l->err, "write 10s, 500ms or 2m; a bare number is seconds");
	}
	if (*out >= key->min && (!*out || *out >= key->least))
		return 0;
	eci_fail_at(l->err, l->t->file, v->at, "%s: \"%.100s\" leaves no time", path, v->text);
	if (!*out)
		return eci_fail_hint(l->err, "only timeout.idle can be switched off with 0");
	return eci_fail_hint(l->err, "at least %ums; 0 switches it off", key->least);
}

static int boolean(struct eci_load *l, const char *path, const struct eci_yaml *v, uint32_t *out)
{
	*out = strcmp(v->text, "true") == 0;
	if (*out || strcmp(v->text, "false") == 0)
		return 0;
	return wrong(l, path, v, "is neither true nor false", "write true or false");
}

int eci_value_read(struct eci_load *l, const struct eci_key *key, const char *path, const struct eci_yaml *v)
{
	struct eci_setting s = {.id = key->id, .at = v->at};
	int rc;
	if (key->type == ECI_TYPE_TEXTS) {
		rc = eci_value_texts(l, path, v, ECI_TYPE_TEXT, &s.list, NULL);
	} else if (key->type == ECI_TYPE_SECRET) {
		rc = eci_value_secret(l, path, v);
	} else if (eci_value_text(
			   l, key->type == ECI_TYPE_NUMBER || key->type >= ECI_TYPE_BOOL ? ECI_TYPE_TEXT : key->type,
			   path, v)) {
		rc = -1;
	} else {
		switch (key->type) {
		case ECI_TYPE_NUMBER:
			rc = number(l, key, path, v, &s.num);
			break;
		case ECI_TYPE_BOOL:
			rc = boolean(l, path, v, &s.num);
			break;
		case ECI_TYPE_CHOICE:
			rc = choice(l, key, path, v, &s.num);
			break;
		case ECI_TYPE_DURATION:
			rc = duration(l, key, path, v, &s.num);
			break;
		default:
			rc = 0;
		}
	}
	if (rc)
		return -1;
	if (v->kind == ECI_YAML_SCALAR && !(s.text = eci_arena_strn(&l->t->arena, v->text, strlen(v->text))))
		return eci_fail_memory(l->err);
	l->set[key->id] = s;
	l->has[key->id] = true;
	return 0;
}
