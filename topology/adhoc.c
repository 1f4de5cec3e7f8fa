/* Ad-hoc ways: "bastion/web001:root", [USER@]HOST[:USER...] with "/" between hops. Each hop and each user is a context,
 * named by the text up to it, so that two ways with a common start share it.
 *
 * Without a file the first hop is what the user's ssh_config says, jump hosts included: they become contexts before it.
 * With a file it must be a declared node, which brings its own way and settings; an undeclared first hop is an error,
 * as everywhere. Later hops are dialled by the one before, with a declared node's settings where there is one. Users
 * are reached by sudo without a password, as nothing says otherwise. */
#include "topology/internal.h"

#include <stdio.h>
#include <string.h>

struct way {
	const ectx_topology *t;
	struct eci_plan *p;
	ectx_error *err;
};

static int bad(ectx_error *err, const char *name, const char *what)
{
	eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "\"%.300s\": %s", name, what);
	return eci_fail_hint(err, "write HOST, HOST:USER or BASTION/HOST:USER");
}

static bool host_valid(const char *s)
{
	/* what ssh takes as a host, IPv6 addresses apart (their colons are users here): never an option, never a
	 * command */
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	return *s && *s != '-' && strlen(s) <= ECI_NAME_MAX && strspn(s, chars) == strlen(s) && strcmp(s, ".") != 0 &&
	       strcmp(s, "..") != 0;
}

static int push(struct way *w, const char *name, size_t parent, const struct eci_target *target, size_t *index)
{
	struct eci_plan_item item = {.name = name, .parent = parent, .target = *target};
	size_t depth = 1;
	for (size_t i = parent; i != SIZE_MAX; i = w->p->items[i].parent)
		depth++;
	if (depth > ECI_DEPTH_MAX)
		return bad(w->err, name, "more than 63 hops");
	return eci_plan_push(w->p, item, true, index) ? eci_fail_memory(w->err) : 0;
}

/* [ssh://][USER@]HOST[:PORT] of a ProxyJump; cut in place. */
static int parse_jump(struct way *w, char *text, char **user, char **host, uint32_t *port)
{
	if (strncmp(text, "ssh://", 6) == 0)
		text += 6;
	char *at = strrchr(text, '@'), *colon;
	*user = at ? text : NULL;
	*host = at ? at + 1 : text;
	if (at)
		*at = 0;
	*port = 0;
	colon = strrchr(*host, ':');
	if (colon) {
		*colon = 0;
		if (eci_value_number(colon + 1, port) || *port == 0 || *port > 65535)
			return bad(w->err, *host, "ProxyJump with a port that is none");
	}
	if (!host_valid(*host) || (*user && !host_valid(*user)))
		return bad(w->err, *host, "ProxyJump through a name that cannot be read");
	return 0;
}

static int add_by_config(struct way *w, const char *name, const char *user, const char *host, uint32_t port,
			 size_t parent, unsigned depth, size_t *index);

/* The jump hosts before a host, as contexts; *parent is the last of them. */
static int add_jumps(struct way *w, const char *jumps, unsigned depth, size_t *parent)
{
	struct eci_arena *a = eci_plan_arena(w->p);
	while (*jumps) {
		size_t n = strcspn(jumps, ",");
		char *name = eci_arena_strn(a, jumps, n), *text = eci_arena_strn(a, jumps, n), *user, *host;
		uint32_t port;
		if (!name || !text)
			return eci_fail_memory(w->err);
		if (parse_jump(w, text, &user, &host, &port))
			return -1;
		size_t known = *parent == SIZE_MAX ? eci_plan_find(w->p, name) : SIZE_MAX;
		if (*parent != SIZE_MAX)
			name = eci_arena_fmt(a, "%s/%s", w->p->items[*parent].name, name);
		if (known != SIZE_MAX)
			*parent = known;
		else if (!name)
			return eci_fail_memory(w->err);
		else if (add_by_config(w, name, user, host, port, *parent, depth + 1, parent))
			return -1;
		jumps += n + (jumps[n] == ',');
	}
	return 0;
}

/* A host as ssh -G resolves it. Dialled from here, ssh itself reads the config, so the name stays as it is; dialled
 * from a jump host, which has another config, what the name stands for goes along. */
static int add_by_config(struct way *w, const char *name, const char *user, const char *host, uint32_t port,
			 size_t parent, unsigned depth, size_t *index)
{
	struct eci_arena *a = eci_plan_arena(w->p);
	struct eci_ssh_host r;
	struct eci_target target;
	if (depth > ECI_JUMPS_MAX) {
		eci_fail_arg(w->err, ECTX_E_BAD_ARGUMENT, "\"%.300s\": ProxyJump of more than %d hosts", host,
			     ECI_JUMPS_MAX);
		return eci_fail_hint(w->err, "two hosts of ssh_config that jump through each other?");
	}
	if (eci_ssh_resolve(a, w->p->wait, user, host, &r, w->err))
		return -1;
	if (parent == SIZE_MAX && r.jump && add_jumps(w, r.jump, depth, &parent))
		return -1;
	if (eci_target_node(w->t, NULL, host, parent == SIZE_MAX, a, &target))
		return eci_fail_memory(w->err);
	target.user = user;
	target.port = port;
	if (parent != SIZE_MAX) {
		target.host = r.hostname;
		target.user = user ? user : r.user;
		target.port = port ? port : r.port;
	}
	return push(w, name, parent, &target, index);
}

/* One hop of the way: text is [USER@]HOST, name what the context is called. */
static int add_hop(struct way *w, const char *name, char *text, bool first, size_t *index)
{
	char *at = strchr(text, '@'), *user = at ? text : NULL, *host = at ? at + 1 : text;
	struct eci_target target;
	if (at)
		*at = 0;
	if (!host_valid(host) || (user && !host_valid(user)))
		return bad(w->err, name, "not a way to a host");
	if (first && w->t->none)
		return add_by_config(w, name, user, host, 0, SIZE_MAX, 0, index);
	uint32_t known = w->t->none ? ECI_NO_CONTEXT : eci_context_find(w->t, host, strlen(host));
	if (first) {
		if (known == ECI_NO_CONTEXT || user)
			return eci_unknown_target(w->t, name, strlen(name), w->err);
		return eci_plan_declared(w->t, known, w->p, index, w->err);
	}
	const struct eci_entry *e =
		known == ECI_NO_CONTEXT ? NULL : &w->t->entries[w->t->node_entry[w->t->contexts[known].node]];
	if (eci_target_node(w->t, e, host, false, eci_plan_arena(w->p), &target))
		return eci_fail_memory(w->err);
	if (user)
		target.user = user;
	return push(w, name, *index, &target, index);
}

/* One user on the hop before. */
static int add_user(struct way *w, const char *name, const char *user, size_t *index)
{
	if (!host_valid(user))
		return bad(w->err, name, "not a way to a user");
	const struct eci_plan_item *on = &w->p->items[*index];
	struct eci_target target = {.method = ECI_SUDO,
				    .user = user,
				    .python = on->target.python,
				    .title = on->target.title,
				    .agents = eci_agents_of(w->t, NULL, false),
				    .timeout = on->target.timeout};
	return push(w, name, *index, &target, index);
}

int eci_adhoc_add(const ectx_topology *t, const char *name, struct eci_plan *p, size_t *index, ectx_error *err)
{
	struct way w = {t, p, err};
	struct eci_arena *a = eci_plan_arena(p);
	bool first = true, user = false;
	*index = SIZE_MAX;
	for (size_t from = 0;;) {
		size_t len = strcspn(name + from, "/:"), end = from + len;
		char *prefix = eci_arena_strn(a, name, end), *text = eci_arena_strn(a, name + from, len);
		if (!prefix || !text)
			return eci_fail_memory(err);
		uint32_t context = t->none ? ECI_NO_CONTEXT : eci_context_find(t, prefix, end);
		size_t known = eci_plan_find(p, prefix);
		int rc = 0;
		if (known != SIZE_MAX)
			*index = known;
		else if (user && context != ECI_NO_CONTEXT)
			rc = eci_plan_declared(t, context, p, index, err); /* a declared step of the first hop */
		else
			rc = user ? add_user(&w, prefix, text, index) : add_hop(&w, prefix, text, first, index);
		if (rc)
			return -1;
		if (!name[end])
			return 0;
		first = first && name[end] == ':';
		user = name[end] == ':';
		if (!user)
			first = false;
		from = end + 1;
	}
}

int eci_adhoc_check(const ectx_topology *t, const char *name, ectx_error *err)
{
	struct eci_plan p;
	if (!t->none) {
		if (eci_plan_make(t, &name, 1, &p, err))
			return -1;
		eci_plan_deinit(&p);
		return 0;
	}
	bool user = false;
	for (size_t from = 0;; from++) {
		/* USER@HOST and a byte more: of what does not fit, what is left is no name either. */
		char word[2 * ECI_NAME_MAX + 3];
		size_t len = strcspn(name + from, "/:");
		snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word), name + from);
		char *at = user ? NULL : strchr(word, '@');
		if (at)
			*at = 0;
		if (!host_valid(word) || (at && !host_valid(at + 1)))
			return bad(err, name, user ? "not a way to a user" : "not a way to a host");
		from += len;
		if (!name[from])
			return 0;
		user = name[from] == ':';
	}
}
