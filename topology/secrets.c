/* Where secrets come from. The file never holds one: a value in it would be copied, committed and logged, so every
 * spelling of "here it is" is refused with the reason. Only recorded here; mesh/ asks, reads and checks modes when a
 * secret is first needed. */
#include "topology/internal.h"

#include <fcntl.h>
#include <string.h>

#define FD_MAX 65535 /* nobody raises RLIMIT_NOFILE beyond for a password */

static const struct eci_key keys[] = {{.name = "prompt"}, {.name = "env"},     {.name = "fd"},
				      {.name = "file"},   {.name = "command"}, {0}};

static int no_value(struct eci_load *l, struct eci_spot at, const char *name)
{
	eci_fail_at(l->err, l->t->file, at, "secrets.%.100s: a secret's value does not belong in the file", name);
	return eci_fail_hint(
		l->err,
		"say where it comes from: {prompt: \"text\"}, {env: NAME}, {fd: N}, {file: PATH} or {command: [..]}");
}

static bool env_name(const char *s)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	if (!*s || !strchr(first, *s))
		return false;
	for (; *s; s++)
		if (!strchr(first, *s) && (*s < '0' || *s > '9'))
			return false;
	return true;
}

static int read_source(struct eci_load *l, const struct eci_yaml *v, const char *path, struct eci_secret *s)
{
	uint32_t fd;
	if (strcmp(v->key, "command") == 0) {
		s->kind = ECI_SECRET_COMMAND;
		if (v->kind != ECI_YAML_LIST || v->count == 0) {
			eci_fail_at(l->err, l->t->file, v->at, "%s: not a list with a program", path);
			return eci_fail_hint(l->err, "no shell reads it: write [pass, show, db/root]");
		}
		return eci_value_texts(l, path, v, ECI_TYPE_TEXT, &s->command, NULL);
	}
	if (eci_value_text(l, strcmp(v->key, "file") == 0 ? ECI_TYPE_PATH : ECI_TYPE_TEXT, path, v))
		return -1;
	if (strcmp(v->key, "fd") == 0) {
		s->kind = ECI_SECRET_FD;
		if (eci_value_number(v->text, &fd) || fd > FD_MAX) {
			eci_fail_at(l->err, l->t->file, v->at, "%s: \"%.100s\" is not a descriptor from 0 to %d", path,
				    v->text, FD_MAX);
			return eci_fail_hint(l->err,
					     "open it on the command line: econtext ... 3<file, and write fd: 3");
		}
		s->fd = (int)fd;
		s->opened = fcntl(s->fd, F_GETFD) >= 0;
		return 0;
	}
	s->kind = strcmp(v->key, "prompt") == 0 ? ECI_SECRET_PROMPT
		  : strcmp(v->key, "env") == 0  ? ECI_SECRET_ENV
						: ECI_SECRET_FILE;
	if (s->kind == ECI_SECRET_ENV && !env_name(v->text)) {
		eci_fail_at(l->err, l->t->file, v->at, "%s: \"%.100s\" is no name of an environment variable", path,
			    v->text);
		return eci_fail_hint(l->err, "write its name, without \"$\"");
	}
	s->text = s->kind == ECI_SECRET_FILE ? eci_path_resolve(&l->t->arena, l->t->folder, v->text)
					     : eci_arena_strn(&l->t->arena, v->text, strlen(v->text));
	return s->text ? 0 : eci_fail_memory(l->err);
}

static int read_secret(struct eci_load *l, const struct eci_yaml *map, struct eci_secret *s)
{
	char path[160], prefix[140];
	if (!eci_name_valid(map->key)) {
		eci_fail_at(l->err, l->t->file, map->key_at, "secrets: \"%.100s\" is no name of a secret", map->key);
		return eci_fail_hint(l->err, "names have letters, digits, \".\", \"_\" and \"-\"");
	}
	if (map->kind != ECI_YAML_MAP)
		return no_value(l, map->at, map->key);
	snprintf(prefix, sizeof prefix, "secrets.%.100s.", map->key);
	for (const struct eci_yaml *v = map->first; v; v = v->next) {
		const struct eci_key *k = keys;
		if (strcmp(v->key, "value") == 0 || strcmp(v->key, "password") == 0)
			return no_value(l, v->key_at, map->key);
		while (k->name && strcmp(k->name, v->key) != 0)
			k++;
		if (!k->name)
			return eci_schema_unknown(l, keys, prefix, v);
		snprintf(path, sizeof path, "%s%s", prefix, v->key);
		if (read_source(l, v, path, s))
			return -1;
	}
	if (map->count != 1) {
		eci_fail_at(l->err, l->t->file, map->key_at, "secrets.%.100s: %zu sources, where one is due", map->key,
			    map->count);
		return eci_fail_hint(
			l->err, "write one of {prompt: \"text\"}, {env: NAME}, {fd: N}, {file: PATH}, {command: [..]}");
	}
	return 0;
}

int eci_secrets_read(struct eci_load *l, const struct eci_yaml *map)
{
	ectx_topology *t = l->t;
	if (map->kind != ECI_YAML_MAP) {
		eci_fail_at(l->err, t->file, map->at, "secrets: %s, where a map is due", eci_yaml_kind_name(map));
		return eci_fail_hint(l->err, "write NAME: {prompt: \"text\"}");
	}
	t->secret = eci_arena_alloc(&t->arena, map->count * sizeof *t->secret);
	if (!t->secret)
		return eci_fail_memory(l->err);
	for (const struct eci_yaml *v = map->first; v; v = v->next) {
		struct eci_secret *s = &t->secret[t->secret_count];
		s->fd = -1;
		s->name = eci_arena_strn(&t->arena, v->key, strlen(v->key));
		if (!s->name)
			return eci_fail_memory(l->err);
		if (read_secret(l, v, s))
			return -1;
		if (eci_names_add(&t->secrets, &t->arena, s->name, (uint32_t)t->secret_count, s))
			return eci_fail_memory(l->err);
		t->secret_count++;
	}
	return 0;
}

const struct eci_secret *eci_topology_secret(const ectx_topology *t, const char *name)
{
	struct eci_names *n = eci_names_find(t->secrets, name, strlen(name));
	return n ? &t->secret[eci_names_value(n)] : NULL;
}

const struct eci_secret *eci_topology_secret_at(const ectx_topology *t, size_t i)
{
	return i < t->secret_count ? &t->secret[i] : NULL;
}
