/* Tunnels: names for what `econtext tunnel NAME` opens. Addresses are checked for their form here, where there is a
 * line to point at; whether they can be listened at or reached is known when they are used. */
#include "topology/internal.h"

#include <string.h>

static const struct eci_key keys[] = {{.name = "listen", .type = ECI_TYPE_WORD},
				      {.name = "exit", .type = ECI_TYPE_WORD},
				      {.name = "connect", .type = ECI_TYPE_WORD},
				      {0}};

/* 0 is any free one: only to listen at. */
static bool port_ok(const char *text, bool listen)
{
	uint32_t n;
	return strlen(text) < 6 && eci_value_number(text, &n) == 0 && n <= 65535 && (n || listen);
}

static bool path_ok(const char *path)
{
	return *path && strlen(path) <= ECI_SUN_PATH_MAX;
}

/* "HOST:PORT", "[V6]:PORT", "unix:PATH", a path with a slash before all as -L takes it; to listen at also "PORT". */
static bool address_ok(const char *text, bool listen)
{
	if (text[0] == '/')
		return path_ok(text);
	if (!strncmp(text, "unix:", 5))
		return path_ok(text + 5);
	const char *colon = strrchr(text, ':');
	if (!colon)
		return listen && port_ok(text, true);
	bool bracketed = colon > text + 1 && text[0] == '[' && colon[-1] == ']';
	if (!bracketed && memchr(text, ':', (size_t)(colon - text)))
		return false;
	return port_ok(colon + 1, listen) && (listen || colon > text);
}

static int read_key(struct eci_load *l, const struct eci_yaml *v, const char *prefix, struct eci_tunnel *t)
{
	const struct eci_key *k = keys;
	char path[160];
	while (k->name && strcmp(k->name, v->key) != 0)
		k++;
	if (!k->name)
		return eci_schema_unknown(l, keys, prefix, v);
	snprintf(path, sizeof path, "%s%s", prefix, v->key);
	if (eci_value_text(l, k->type, path, v))
		return -1;
	const char *text = eci_arena_strn(&l->t->arena, v->text, strlen(v->text));
	if (!text)
		return eci_fail_memory(l->err);
	if (k == &keys[1]) {
		t->exit = text;
		t->exit_at = v->at;
		return 0;
	}
	if (!address_ok(text, k == &keys[0])) {
		eci_fail_at(l->err, l->t->file, v->at, "%s: \"%.100s\" is no address", path, text);
		return eci_fail_hint(
			l->err, k == &keys[0] ? "write PORT, ADDR:PORT, \"[V6]:PORT\" or /PATH of at most 107 bytes"
					      : "write HOST:PORT, \"[V6]:PORT\" or /PATH of at most 107 bytes");
	}
	if (text[0] == '/') {
		text = eci_arena_fmt(&l->t->arena, "unix:%s", text);
		if (!text)
			return eci_fail_memory(l->err);
	}
	*(k == &keys[0] ? &t->listen : &t->connect) = text;
	return 0;
}

static int read_tunnel(struct eci_load *l, const struct eci_yaml *map, struct eci_tunnel *t)
{
	char prefix[140];
	if (!eci_name_valid(map->key)) {
		eci_fail_at(l->err, l->t->file, map->key_at, "tunnels: \"%.100s\" is no name of a tunnel", map->key);
		return eci_fail_hint(l->err, "names have letters, digits, \".\", \"_\" and \"-\"");
	}
	if (map->kind != ECI_YAML_MAP) {
		eci_fail_at(l->err, l->t->file, map->at, "tunnels.%.100s: %s, where a map is due", map->key,
			    eci_yaml_kind_name(map));
		return eci_fail_hint(l->err, "write {listen: PORT, exit: NODE, connect: HOST:PORT}");
	}
	snprintf(prefix, sizeof prefix, "tunnels.%.100s.", map->key);
	for (const struct eci_yaml *v = map->first; v; v = v->next)
		if (read_key(l, v, prefix, t))
			return -1;
	if (t->listen && t->exit)
		return 0;
	eci_fail_at(l->err, l->t->file, map->key_at, "tunnels.%.100s: no %s", map->key, t->listen ? "exit" : "listen");
	return eci_fail_hint(l->err, "write {listen: PORT, exit: NODE, connect: HOST:PORT}");
}

int eci_tunnels_read(struct eci_load *l, const struct eci_yaml *map)
{
	ectx_topology *t = l->t;
	if (map->kind != ECI_YAML_MAP) {
		eci_fail_at(l->err, t->file, map->at, "tunnels: %s, where a map is due", eci_yaml_kind_name(map));
		return eci_fail_hint(l->err, "write NAME: {listen: PORT, exit: NODE, connect: HOST:PORT}");
	}
	t->tunnel = eci_arena_alloc(&t->arena, map->count * sizeof *t->tunnel);
	if (!t->tunnel)
		return eci_fail_memory(l->err);
	for (const struct eci_yaml *v = map->first; v; v = v->next) {
		struct eci_tunnel *x = &t->tunnel[t->tunnel_count];
		x->name = eci_arena_strn(&t->arena, v->key, strlen(v->key));
		if (!x->name)
			return eci_fail_memory(l->err);
		if (read_tunnel(l, v, x))
			return -1;
		if (eci_context_find(t, x->exit, strlen(x->exit)) == ECI_NO_CONTEXT && !strchr(x->exit, '/')) {
			ectx_error near = {0};
			(void)eci_unknown_target(t, x->exit, strlen(x->exit), &near);
			eci_fail_at(l->err, t->file, x->exit_at, "tunnels.%.100s.exit: no node \"%.100s\"", x->name,
				    x->exit);
			return eci_fail_hint(l->err, "%s", near.hint);
		}
		t->tunnel_count++;
	}
	return 0;
}

int ectx_topology_tunnel(const ectx_topology *t, const char *name, ectx_tunnel_spec *out, ectx_error *err)
{
	for (size_t i = 0; i < t->tunnel_count; i++)
		if (!strcmp(t->tunnel[i].name, name)) {
			const struct eci_tunnel *x = &t->tunnel[i];
			*out = (ectx_tunnel_spec){x->listen, x->exit, x->connect};
			return 0;
		}
	*err = (ectx_error){.status = ectx_code_status(ECTX_E_UNKNOWN_TARGET), .code = ECTX_E_UNKNOWN_TARGET};
	snprintf(err->saw, sizeof err->saw, "%.200s: no tunnel of that name", name);
	size_t n = 0;
	for (size_t i = 0; i < t->tunnel_count && n + 200 < sizeof err->hint; i++)
		n += (size_t)snprintf(err->hint + n, sizeof err->hint - n, "%s%.100s",
				      i ? ", " : "there are: ", t->tunnel[i].name);
	if (!t->tunnel_count)
		snprintf(err->hint, sizeof err->hint,
			 "add tunnels: {%.100s: {listen: PORT, exit: NODE, connect: HOST:PORT}}", name);
	return -1;
}
