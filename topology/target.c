/* What it takes to reach one context: the settings of its node, laid over the defaults, laid over what is built in, as
 * the plain data that transport/ turns into a command. Strings are the topology's where they can be, and the arena's
 * where they are put together (%n, paths). */
#include "topology/internal.h"

#include <stdlib.h>
#include <string.h>

static const struct eci_setting *in(const struct eci_settings *s, enum eci_setting_id id)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].id == id)
			return &s->items[i];
	return NULL;
}

const struct eci_setting *eci_setting_find(const ectx_topology *t, const struct eci_entry *e, enum eci_setting_id id)
{
	const struct eci_setting *s = e ? in(&e->set, id) : NULL;
	if (!s)
		s = in(&t->defaults, id);
	if (!s && id == ECI_SET_USER)
		s = in(&t->defaults, ECI_SET_LOGIN);
	return s;
}

static uint32_t num(const ectx_topology *t, const struct eci_entry *e, enum eci_setting_id id, uint32_t otherwise)
{
	const struct eci_setting *s = eci_setting_find(t, e, id);
	return s ? s->num : otherwise;
}

static const char *text(const ectx_topology *t, const struct eci_entry *e, enum eci_setting_id id)
{
	const struct eci_setting *s = eci_setting_find(t, e, id);
	return s ? s->text : NULL;
}

static char *expand_host(struct eci_arena *a, const char *host, const char *name)
{
	size_t n = strlen(name), len = 1;
	for (const char *p = host; *p; p++)
		len += *p == '%' ? n + 1 : 1;
	char *out = eci_arena_alloc(a, len), *to = out;
	for (const char *p = host; out && *p; p++) {
		if (*p != '%') {
			*to++ = *p;
		} else if (*++p == 'n') {
			memcpy(to, name, n);
			to += n;
		} else {
			*to++ = '%';
		}
	}
	return out;
}

/* Who dials decides whose files are meant: the master's lie relative to the topology; a relay has no topology, and its
 * ssh expands ~. */
static int path(const ectx_topology *t, const char *p, bool from_master, bool program, struct eci_arena *a,
		const char **out)
{
	*out = p;
	if (!p || (program && !strchr(p, '/')) || !from_master)
		return 0;
	*out = eci_path_resolve(a, t->folder, p);
	return *out ? 0 : -1;
}

struct eci_agents eci_agents_default(bool children)
{
	/* A relay in Python costs 10 MB and 100 us a frame, but a leaf is there for Python's sake. */
	struct eci_agents a = {.count = 2, .kind = {ECI_AGENT_PYTHON, ECI_AGENT_NATIVE}};
	if (children) {
		a.kind[0] = ECI_AGENT_NATIVE;
		a.kind[1] = ECI_AGENT_PYTHON;
	}
	return a;
}

struct eci_agents eci_agents_of(const ectx_topology *t, const struct eci_entry *e, bool children)
{
	static const uint8_t kept[] = {
		[ECI_NATIVE_AUTO] = 1u << ECI_AGENT_PYTHON | 1u << ECI_AGENT_NATIVE,
		[ECI_NATIVE_NEVER] = 1u << ECI_AGENT_PYTHON,
		[ECI_NATIVE_ALWAYS] = 1u << ECI_AGENT_NATIVE,
	};
	const struct eci_setting *s = eci_setting_find(t, e, ECI_SET_AGENT);
	struct eci_agents all = eci_agents_default(children), out = {.said = s != NULL};
	if (s) {
		all.count = (uint8_t)(s->num >> 2);
		all.kind[0] = s->num & 1;
		all.kind[1] = s->num >> 1 & 1;
	}
	uint32_t keep = kept[num(t, e, ECI_SET_NATIVE, ECI_NATIVE_AUTO)];
	for (uint8_t i = 0; i < all.count; i++)
		if (keep & 1u << all.kind[i])
			out.kind[out.count++] = all.kind[i];
	return out;
}

const char *eci_agents_name(struct eci_agents a)
{
	return a.kind[0] == ECI_AGENT_NATIVE ? "native, python" : "python, native";
}

int eci_target_node(const ectx_topology *t, const struct eci_entry *e, const char *name, bool from_master,
		    struct eci_arena *a, struct eci_target *out)
{
	static const struct eci_timeouts built_in = ECI_TIMEOUTS_DEFAULT;
	memset(out, 0, sizeof *out);
	out->method = e && e->local ? ECI_LOCAL : ECI_SSH;
	out->python = text(t, e, ECI_SET_PYTHON);
	out->title = text(t, e, ECI_SET_TITLE);
	out->agents = eci_agents_of(t, e, false);
	out->feed = num(t, e, ECI_SET_FEED, 0) != 0;
	out->hostkey = (enum eci_hostkey)num(t, e, ECI_SET_HOSTKEY, ECI_HOSTKEY_STRICT);
	out->timeout = (struct eci_timeouts){
		num(t, e, ECI_SET_T_CONNECT, built_in.connect_ms), num(t, e, ECI_SET_T_AUTH, built_in.auth_ms),
		num(t, e, ECI_SET_T_BECOME, built_in.become_ms),   num(t, e, ECI_SET_T_SHELL, built_in.shell_ms),
		num(t, e, ECI_SET_T_BOOT, built_in.boot_ms),       num(t, e, ECI_SET_T_IDLE, built_in.idle_ms)};
	if (out->method == ECI_LOCAL)
		return 0;
	const struct eci_setting *options = eci_setting_find(t, e, ECI_SET_OPTIONS);
	const char *host = text(t, e, ECI_SET_HOST);
	out->user = text(t, e, ECI_SET_USER);
	out->port = num(t, e, ECI_SET_PORT, 0);
	out->secret = text(t, e, ECI_SET_PASSWORD);
	out->options = options && options->list && options->list[0] ? options->list : NULL;
	out->host = host ? expand_host(a, host, name) : name;
	if (!out->host || path(t, text(t, e, ECI_SET_IDENTITY), from_master, false, a, &out->identity) ||
	    path(t, text(t, e, ECI_SET_CONFIG), from_master, false, a, &out->config) ||
	    path(t, text(t, e, ECI_SET_PROGRAM), from_master, true, a, &out->program))
		return -1;
	return 0;
}

bool eci_context_here(const ectx_topology *t, uint32_t context)
{
	for (; context != ECI_NO_CONTEXT; context = t->contexts[context].parent)
		if (!t->entries[t->node_entry[t->contexts[context].node]].local)
			return false;
	return true;
}

int eci_target_make(const ectx_topology *t, uint32_t context, struct eci_arena *a, struct eci_target *out)
{
	const struct eci_context *c = &t->contexts[context];
	const struct eci_entry *e = &t->entries[t->node_entry[c->node]];
	bool here = eci_context_here(t, c->parent);
	if (eci_target_node(t, e, t->node_name[c->node], here, a, out))
		return -1;
	out->agents = eci_agents_of(t, e, c->subtree > 1);
	if (c->step == 0)
		return 0;
	const struct eci_step *s = &e->steps[c->step - 1];
	struct eci_target step = {.method = s->method,
				  .user = s->as,
				  .secret = s->password,
				  .python = out->python,
				  .title = out->title,
				  .agents = out->agents,
				  .timeout = out->timeout};
	*out = step;
	return path(t, s->program, here, true, a, &out->program);
}

char *eci_context_name(const ectx_topology *t, uint32_t context, struct eci_arena *a)
{
	const struct eci_context *c = &t->contexts[context];
	const char *node = t->node_name[c->node];
	if (c->step == 0)
		return eci_arena_strn(a, node, strlen(node));
	return eci_arena_fmt(a, "%s:%s", node, t->entries[t->node_entry[c->node]].steps[c->step - 1].as);
}
