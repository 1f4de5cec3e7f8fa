/* The schema: which keys there are, of what type, and what becomes of them. Tables, so that the man page, the
 * suggestions and the checks cannot disagree, and so that defaults and nodes are checked by the same lines.
 *
 * A key that the design has and this version has not is in the tables too (ECI_TYPE_LATER): its error says so, instead
 * of calling it unknown or, worse, ignoring it. */
#include "topology/internal.h"

#include <string.h>

/* Versions of clang-format differ about braces in a macro. */
/* clang-format off */
#define LATER(n) {.name = (n), .type = ECI_TYPE_LATER}
/* clang-format on */
#define SET(n, t, i) .name = (n), .type = ECI_TYPE_##t, .id = ECI_SET_##i

static const struct eci_key timeout_keys[] = {{SET("connect", DURATION, T_CONNECT), .min = 1},
					      {SET("auth", DURATION, T_AUTH), .min = 1},
					      {SET("become", DURATION, T_BECOME), .min = 1},
					      {SET("shell", DURATION, T_SHELL), .min = 1},
					      {SET("boot", DURATION, T_BOOT), .min = 1},
					      {SET("idle", DURATION, T_IDLE), .least = ECI_IDLE_MIN},
					      {0}};
static const struct eci_key ssh_keys[] = {{SET("host", HOST, HOST)},
					  {SET("port", NUMBER, PORT), .min = 1, .max = 65535},
					  {SET("user", WORD, USER)},
					  {SET("identity", PATH, IDENTITY)},
					  {SET("config", PATH, CONFIG)},
					  {SET("options", TEXTS, OPTIONS)},
					  {SET("password", SECRET, PASSWORD)},
					  {SET("program", PATH, PROGRAM)},
					  {0}};

static int read_agent(struct eci_load *l, const struct eci_yaml *v);
static int read_dial(struct eci_load *l, const struct eci_yaml *v);
static int read_local(struct eci_load *l, const struct eci_yaml *v);
static int read_ssh(struct eci_load *l, const struct eci_yaml *v);
static int read_groups(struct eci_load *l, const struct eci_yaml *v);
static int read_via(struct eci_load *l, const struct eci_yaml *v);

#define COMMON                                                                                                        \
	{SET("hostkey", CHOICE, HOSTKEY), .choices = "strict|accept-new|off"},                                        \
		{.name = "timeout", .type = ECI_TYPE_MAP, .sub = timeout_keys}, {SET("python", INTERPRETER, PYTHON)}, \
		{SET("title", TEXT, TITLE)}, {SET("feed", BOOL, FEED)},                                               \
		{SET("dial_window", NUMBER, DIAL_WINDOW), .min = 1, .max = 256},                                      \
		{.name = "agent", .type = ECI_TYPE_SPECIAL, .read = read_agent},                                      \
		{SET("native", CHOICE, NATIVE), .choices = "never|auto|always"},                                      \
		{.name = "dial", .type = ECI_TYPE_SPECIAL, .read = read_dial}, LATER("auth"), LATER("grace"),         \
		LATER("use"), LATER("env"), LATER("role"), LATER("cache"), LATER("override")

static const struct eci_key defaults_keys[] = {
	{SET("user", WORD, LOGIN)}, {.name = "ssh", .type = ECI_TYPE_MAP, .sub = ssh_keys}, COMMON, {0}};
static const struct eci_key node_keys[] = {{.name = "via", .type = ECI_TYPE_SPECIAL, .read = read_via},
					   {.name = "ssh", .type = ECI_TYPE_SPECIAL, .read = read_ssh},
					   {.name = "local", .type = ECI_TYPE_SPECIAL, .read = read_local},
					   {.name = "become", .type = ECI_TYPE_SPECIAL, .read = eci_become_read},
					   {.name = "groups", .type = ECI_TYPE_SPECIAL, .read = read_groups},
					   COMMON,
					   LATER("docker"),
					   LATER("podman"),
					   LATER("lxc"),
					   LATER("lxd"),
					   LATER("incus"),
					   LATER("kubectl"),
					   LATER("nspawn"),
					   LATER("machinectl"),
					   LATER("nsenter"),
					   LATER("chroot"),
					   LATER("jail"),
					   LATER("tcp"),
					   LATER("weight"),
					   LATER("tier"),
					   {0}};

static int later(struct eci_load *l, struct eci_spot at, const char *what)
{
	eci_fail_at(l->err, l->t->file, at, "%s: not built yet", what);
	return eci_fail_hint(l->err, "this version has no such thing: leave it out");
}

int eci_schema_unknown(struct eci_load *l, const struct eci_key *keys, const char *prefix, const struct eci_yaml *v)
{
	eci_fail_at(l->err, l->t->file, v->key_at, "unknown key \"%s%.100s\"", prefix, v->key);
	if (keys == node_keys || keys == defaults_keys)
		for (const struct eci_key *k = ssh_keys; k->name; k++)
			if (strcmp(k->name, v->key) == 0)
				return eci_fail_hint(l->err, "it belongs to ssh: ssh: {%s: ...}", v->key);
	struct eci_guess g = eci_guess_for(v->key);
	for (const struct eci_key *k = keys; k->name; k++)
		if (k->type != ECI_TYPE_LATER)
			eci_guess_try(&g, k->name);
	if (g.best)
		return eci_fail_hint(l->err, "did you mean \"%s\"?", g.best);
	char list[400] = "";
	size_t n = 0;
	for (const struct eci_key *k = keys; k->name && n + 32 < sizeof list; k++)
		if (k->type != ECI_TYPE_LATER)
			n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", k->name);
	return eci_fail_hint(l->err, "known here: %s", list);
}

static int read_map(struct eci_load *l, const struct eci_key *keys, const char *prefix, const struct eci_yaml *map)
{
	if (map->kind != ECI_YAML_MAP) {
		eci_fail_at(l->err, l->t->file, map->at, "%.*s: %s, where a map is due",
			    prefix[0] ? (int)strlen(prefix) - 1 : 8, prefix[0] ? prefix : "topology",
			    eci_yaml_kind_name(map));
		return eci_fail_hint(l->err, "write {%s: ...}", keys[0].name ? keys[0].name : "key");
	}
	for (const struct eci_yaml *v = map->first; v; v = v->next) {
		const struct eci_key *k = keys;
		while (k->name && strcmp(k->name, v->key) != 0)
			k++;
		char path[128];
		snprintf(path, sizeof path, "%s%.60s", prefix, v->key);
		int rc;
		if (!k->name) {
			rc = eci_schema_unknown(l, keys, prefix, v);
		} else if (k->type == ECI_TYPE_LATER) {
			rc = later(l, v->key_at, path);
		} else if (k->type == ECI_TYPE_SPECIAL) {
			rc = k->read(l, v);
		} else if (k->type == ECI_TYPE_MAP) {
			snprintf(path, sizeof path, "%s%.60s.", prefix, v->key);
			rc = read_map(l, k->sub, path, v);
		} else {
			rc = eci_value_read(l, k, path, v);
		}
		if (rc)
			return -1;
	}
	return 0;
}

int eci_schema_take(struct eci_load *l, struct eci_settings *out)
{
	size_t n = 0;
	for (size_t i = 0; i < ECI_SET_COUNT; i++)
		n += l->has[i];
	struct eci_setting *items = eci_arena_alloc(&l->t->arena, n * sizeof *items);
	if (!items)
		return eci_fail_memory(l->err);
	out->items = items;
	out->count = n;
	for (size_t i = 0; i < ECI_SET_COUNT; i++) {
		if (l->has[i])
			*items++ = l->set[i];
		l->has[i] = false;
	}
	return 0;
}

int eci_schema_defaults(struct eci_load *l, const struct eci_yaml *map)
{
	return read_map(l, defaults_keys, "defaults.", map);
}

int eci_schema_node(struct eci_load *l, const struct eci_yaml *map)
{
	return read_map(l, node_keys, "", map);
}

static int transport(struct eci_load *l, const struct eci_yaml *v)
{
	struct eci_entry *e = l->entry;
	if (e->transport_at.line) {
		eci_fail_at(l->err, l->t->file, v->key_at, "two transports: %s, and %s in line %u", v->key,
			    e->local ? "local" : "ssh", e->transport_at.line);
		return eci_fail_hint(l->err, "keep one of the two");
	}
	e->transport_at = v->key_at;
	return 0;
}

static int read_ssh(struct eci_load *l, const struct eci_yaml *v)
{
	if (transport(l, v))
		return -1;
	return read_map(l, ssh_keys, "ssh.", v);
}

static int read_local(struct eci_load *l, const struct eci_yaml *v)
{
	static const struct eci_key none[] = {{0}};
	if (transport(l, v))
		return -1;
	l->entry->local = true;
	if (v->kind == ECI_YAML_MAP && v->first) {
		eci_fail_at(l->err, l->t->file, v->first->key_at, "unknown key \"local.%.100s\"", v->first->key);
		return eci_fail_hint(l->err, "local has no settings: write local: {}");
	}
	if (v->kind == ECI_YAML_SCALAR && !*v->text && v->plain)
		return 0; /* "local:" with nothing behind it */
	return read_map(l, none, "local.", v);
}

/* One or two names; num has their bits in order, the first one lowest, and above them how many: see eci_agents_of(). */
static int read_agent(struct eci_load *l, const struct eci_yaml *v)
{
	static const struct eci_key agent = {SET("agent", CHOICE, AGENT), .choices = "python|native"};
	static const struct eci_key list = {SET("agent", TEXTS, AGENT)};
	uint32_t bits = 0, n = 0, seen = 0;
	struct eci_setting whole = {.id = ECI_SET_AGENT};
	if (v->kind != ECI_YAML_SCALAR) {
		if (eci_value_read(l, &list, "agent", v))
			return -1;
		whole = l->set[ECI_SET_AGENT];
	}
	for (const struct eci_yaml *c = v->kind == ECI_YAML_LIST ? v->first : v; c; c = c == v ? NULL : c->next) {
		if (eci_value_read(l, &agent, "agent", c))
			return -1;
		uint32_t kind = l->set[ECI_SET_AGENT].num;
		if (seen & 1u << kind) {
			eci_fail_at(l->err, l->t->file, c->at, "agent: \"%s\" twice", c->text);
			return eci_fail_hint(l->err, "name each agent once, the one to be tried first in front");
		}
		seen |= 1u << kind;
		bits |= kind << n++;
	}
	if (!n) {
		eci_fail_at(l->err, l->t->file, v->at, "agent: names none");
		return eci_fail_hint(l->err, "write one of python|native, or both: [native, python]");
	}
	if (v->kind != ECI_YAML_SCALAR)
		l->set[ECI_SET_AGENT] = whole;
	l->set[ECI_SET_AGENT].num = bits | n << 2;
	return 0;
}

int eci_schema_agents(struct eci_load *l)
{
	const struct eci_entry *e = l->entry;
	if (eci_agents_of(l->t, e, false).count)
		return 0;
	/* Only a list of one that the policy forbids is empty. The place is the narrower of the two. */
	const struct eci_setting *agent = eci_setting_find(l->t, e, ECI_SET_AGENT);
	const struct eci_setting *native = eci_setting_find(l->t, e, ECI_SET_NATIVE);
	bool own = e && agent >= e->set.items && agent < e->set.items + e->set.count;
	bool never = native->num == ECI_NATIVE_NEVER;
	eci_fail_at(l->err, l->t->file, own ? agent->at : native->at, "native: %s, and agent names only %s",
		    native->text, never ? "native" : "python");
	return eci_fail_hint(l->err,
			     never ? "write agent: python, or native: auto" : "write agent: native, or native: auto");
}

static int read_dial(struct eci_load *l, const struct eci_yaml *v)
{
	static const struct eci_key dial = {SET("dial", CHOICE, DIAL), .choices = "relay|master"};
	if (eci_value_read(l, &dial, "dial", v))
		return -1;
	return l->set[ECI_SET_DIAL].num ? later(l, v->at, "dial: master") : 0;
}

static int read_groups(struct eci_load *l, const struct eci_yaml *v)
{
	struct eci_entry *e = l->entry;
	if (eci_value_texts(l, "groups", v, ECI_TYPE_WORD, &e->groups, &e->group_count))
		return -1;
	e->groups_at = v->at;
	const struct eci_yaml *c = v->kind == ECI_YAML_LIST ? v->first : v;
	for (size_t i = 0; i < e->group_count; i++, c = c->next) {
		if (!eci_name_valid(e->groups[i])) {
			eci_fail_at(l->err, l->t->file, c->at, "groups: \"%.100s\" is no name of a group",
				    e->groups[i]);
			return eci_fail_hint(
				l->err,
				"names have letters, digits, \".\", \"_\" and \"-\"; the \"@\" is for selecting");
		}
		for (size_t k = 0; k < i; k++)
			if (strcmp(e->groups[i], e->groups[k]) == 0) {
				eci_fail_at(l->err, l->t->file, c->at, "groups: \"%.100s\" twice", e->groups[i]);
				return eci_fail_hint(l->err, "keep one of the two");
			}
	}
	return 0;
}

/* Kept until all nodes are known. */
static int read_via(struct eci_load *l, const struct eci_yaml *v)
{
	for (const struct eci_yaml *c = v->kind == ECI_YAML_LIST ? v->first : NULL; c; c = c->next)
		if (c->kind == ECI_YAML_MAP)
			return later(l, c->at, "via with weights and tiers");
	l->entry->via_yaml = v;
	l->entry->via_at = v->at;
	return 0;
}
