/* topology: settings, the loaded form, and what loading, selecting and planning share. */
#ifndef ECI_TOPOLOGY_INTERNAL_H
#define ECI_TOPOLOGY_INTERNAL_H

#include "topology/base.h"

/* ---- settings: what defaults and a node can say; a node's own list stands before the defaults' ---- */
#define ECI_SETTINGS(X)                                                \
	X(USER, "ssh.user")                                            \
	X(LOGIN, "user") /* defaults.user: weaker than any ssh.user */ \
	X(HOST, "ssh.host")                                            \
	X(PORT, "ssh.port")                                            \
	X(IDENTITY, "ssh.identity")                                    \
	X(CONFIG, "ssh.config")                                        \
	X(OPTIONS, "ssh.options")                                      \
	X(PASSWORD, "ssh.password")                                    \
	X(PROGRAM, "ssh.program")                                      \
	X(HOSTKEY, "hostkey")                                          \
	X(PYTHON, "python")                                            \
	X(TITLE, "title")                                              \
	X(FEED, "feed")                                                \
	X(AGENT, "agent")                                              \
	X(NATIVE, "native")                                            \
	X(DIAL, "dial")                                                \
	X(DIAL_WINDOW, "dial_window")                                  \
	X(T_CONNECT, "timeout.connect")                                \
	X(T_AUTH, "timeout.auth")                                      \
	X(T_BECOME, "timeout.become")                                  \
	X(T_SHELL, "timeout.shell")                                    \
	X(T_BOOT, "timeout.boot")                                      \
	X(T_IDLE, "timeout.idle")
enum eci_setting_id {
#define X(name, text) ECI_SET_##name,
	ECI_SETTINGS(X)
#undef X
		ECI_SET_COUNT
};
struct eci_setting {
	enum eci_setting_id id;
	struct eci_spot at;
	uint32_t num;            /* numbers, durations in ms, booleans, index of a word */
	const char *text;        /* as written; NULL for lists */
	const char *const *list; /* NULL-terminated */
};
struct eci_settings {
	const struct eci_setting *items;
	size_t count;
};

/* ---- the loaded form ---- */
struct eci_step { /* one become step */
	const char *as;
	enum eci_method method;
	const char *password, *program;
	struct eci_spot at;
};
struct eci_entry { /* one key of nodes: */
	const char *key;
	struct eci_spot at;
	struct eci_settings set;
	const struct eci_yaml *via_yaml;
	struct eci_spot via_at, transport_at, groups_at;
	uint32_t *via; /* contexts */
	size_t via_count;
	bool local;
	const struct eci_step *steps;
	size_t step_count;
	const char *const *groups;
	size_t group_count;
	uint32_t first_node, node_count;
	uint8_t mark; /* cycle search */
	size_t via_next;
};
struct eci_context { /* a node (step 0) or the step-th become step on it; those of a node lie behind each other */
	uint32_t node, parent; /* parent: a context; UINT32_MAX: the master */
	uint32_t subtree;
	uint16_t step, depth; /* depth: hops from the master, from 1 */
};
struct eci_tunnel {
	const char *name, *listen, *exit, *connect; /* connect NULL: SOCKS */
	struct eci_spot exit_at;
};
struct ectx_topology {
	struct eci_arena arena;
	const char *file;   /* as errors name it */
	const char *folder; /* what relative paths start from; "" the current one */
	bool none;          /* ectx_topology_none() */
	struct eci_settings defaults;
	struct eci_entry *entries;
	size_t entry_count;
	const char **node_name; /* by node */
	uint32_t *node_entry, *node_context;
	size_t node_count, node_cap;
	struct eci_context *contexts;
	size_t context_count;
	struct eci_secret *secret;
	size_t secret_count;
	struct eci_tunnel *tunnel;
	size_t tunnel_count;
	struct eci_names *nodes, *groups, *secrets; /* uthash heads */
	struct eci_arena names;
};
struct eci_group {
	const char *name;
	uint32_t *entries;
	size_t count, cap;
};

enum eci_native { ECI_NATIVE_NEVER, ECI_NATIVE_AUTO, ECI_NATIVE_ALWAYS };

/* ---- values.c, schema.c, secrets.c, load.c, nodes.c ---- */
struct eci_load {
	ectx_topology *t;
	ectx_error *err;
	struct eci_arena scratch; /* the YAML tree */
	struct eci_entry *entry;  /* the node being read; NULL: defaults */
	struct eci_setting set[ECI_SET_COUNT];
	bool has[ECI_SET_COUNT];
	size_t via_total;
};
enum eci_type {
	ECI_TYPE_TEXT, /* not empty, no control characters */
	ECI_TYPE_WORD, /* text without blanks that does not start with "-" */
	ECI_TYPE_HOST, /* a word; %n is the node's name */
	ECI_TYPE_PATH,
	ECI_TYPE_INTERPRETER, /* core/interpreter.h */
	ECI_TYPE_NUMBER,
	ECI_TYPE_BOOL,
	ECI_TYPE_CHOICE,
	ECI_TYPE_DURATION,
	ECI_TYPE_TEXTS,   /* a list of texts */
	ECI_TYPE_SECRET,  /* the name of one */
	ECI_TYPE_MAP,     /* keys of its own */
	ECI_TYPE_SPECIAL, /* read by a function */
	ECI_TYPE_LATER    /* designed, not built yet */
};
#define ECI_IDLE_MIN 1000u /* ms: twice the time between two signs of life at least, see ECI_PING_MIN */

struct eci_key {
	const char *name;
	enum eci_type type;
	enum eci_setting_id id;
	uint32_t min, max;   /* numbers; durations: min 1 or 0 */
	uint32_t least;      /* durations: of what is not 0 */
	const char *choices; /* "strict|accept-new|off" */
	const struct eci_key *sub;
	int (*read)(struct eci_load *l, const struct eci_yaml *v);
};
int eci_value_read(struct eci_load *l, const struct eci_key *key, const char *path, const struct eci_yaml *v);
int eci_value_text(struct eci_load *l, enum eci_type type, const char *path, const struct eci_yaml *v);
int eci_value_secret(struct eci_load *l, const char *path, const struct eci_yaml *v);
int eci_value_number(const char *text, uint32_t *out); /* digits only; -1 */
int eci_value_texts(struct eci_load *l, const char *path, const struct eci_yaml *v, enum eci_type type,
		    const char *const **out, size_t *count);
const char *eci_yaml_kind_name(const struct eci_yaml *v);
bool eci_name_valid(const char *s);
int eci_schema_defaults(struct eci_load *l, const struct eci_yaml *map);
int eci_schema_node(struct eci_load *l, const struct eci_yaml *map);
int eci_schema_agents(struct eci_load *l);                         /* after take: does the policy leave an agent? */
int eci_schema_take(struct eci_load *l, struct eci_settings *out); /* what has been read since begin */
int eci_schema_unknown(struct eci_load *l, const struct eci_key *keys, const char *prefix, const struct eci_yaml *v);
int eci_become_read(struct eci_load *l, const struct eci_yaml *v);
int eci_secrets_read(struct eci_load *l, const struct eci_yaml *map);
int eci_tunnels_read(struct eci_load *l, const struct eci_yaml *map); /* after the nodes */
int eci_nodes_declare(struct eci_load *l);
int eci_nodes_connect(struct eci_load *l);
char *eci_path_resolve(struct eci_arena *a, const char *folder, const char *path); /* relative to folder; ~ expanded */

/* ---- select.c ---- */
#define ECI_NO_CONTEXT UINT32_MAX
uint32_t eci_context_find(const ectx_topology *t, const char *name, size_t len);
int eci_unknown_target(const ectx_topology *t, const char *name, size_t len, ectx_error *err);
/* What a comma list names, in order of first mention: contexts, and (with ECI_SELECT_NAMED) ad-hoc names. */
#define ECI_SELECT_NAMED 0x80000000u /* or'ed to an index into named */
struct eci_selection {
	uint32_t *items;
	size_t count, cap;
	uint8_t *seen; /* one byte a context */
	bool named_ok; /* names that are no contexts are taken (ad-hoc paths, or there is no topology) */
	struct eci_names *names;
	struct eci_arena arena; /* of names */
	uint32_t name_count;
};
/* Adds what list names to *plus, what it names behind a "!" to *minus (NULL: refused). */
int eci_select_into(const ectx_topology *t, const char *list, struct eci_selection *plus, struct eci_selection *minus,
		    ectx_error *err);
bool eci_selection_has(const ectx_topology *t, const struct eci_selection *minus, uint32_t context); /* or its host */
int eci_selection_reset(const ectx_topology *t, struct eci_selection *s); /* empty it; -1: no memory */
void eci_selection_deinit(struct eci_selection *s);

/* ---- plan.c ---- */
const struct eci_setting *eci_setting_find(const ectx_topology *t, const struct eci_entry *e, enum eci_setting_id id);
int eci_target_make(const ectx_topology *t, uint32_t context, struct eci_arena *a,
		    struct eci_target *out); /* -1: no memory */
/* The ssh or local target of a node called name with the settings of e (none: the defaults only). */
int eci_target_node(const ectx_topology *t, const struct eci_entry *e, const char *name, bool from_master,
		    struct eci_arena *a, struct eci_target *out);
/* The agents of a node (e NULL: of one that nobody declared), in order: what `agent` says, else what suits a node with
 * or without children, less what `native` forbids. count 0: nothing is left. */
struct eci_agents eci_agents_of(const ectx_topology *t, const struct eci_entry *e, bool children);
struct eci_agents eci_agents_default(bool children);
/* For show, of the default ones: "native, python" or "python, native"; static. */
const char *eci_agents_name(struct eci_agents a);
bool eci_context_here(const ectx_topology *t, uint32_t context); /* on the master's own machine */
char *eci_context_name(const ectx_topology *t, uint32_t context, struct eci_arena *a);
int eci_plan_push(struct eci_plan *p, struct eci_plan_item item, bool adhoc, size_t *index); /* -1: no memory */
struct eci_arena *eci_plan_arena(struct eci_plan *p);
/* adhoc.c: bastion/web001:root, or a plain host without a file. Appends its contexts to the plan; *index is the last.
 */
int eci_adhoc_add(const ectx_topology *t, const char *name, struct eci_plan *p, size_t *index, ectx_error *err);
/* Whether it is such a way, as far as can be told without asking ssh: before anything is started. */
int eci_adhoc_check(const ectx_topology *t, const char *name, ectx_error *err);
size_t eci_plan_find(const struct eci_plan *p, const char *name); /* SIZE_MAX: not there */
int eci_plan_declared(const ectx_topology *t, uint32_t context, struct eci_plan *p, size_t *index, ectx_error *err);
/* explain.c, show.c */
const char *eci_method_name(enum eci_method m);
int eci_plan_for_show(const ectx_topology *t, const char *const *names, struct eci_plan *p, size_t *n, ectx_error *err);
/* sshconfig.c: what ssh -G says. */
struct eci_ssh_host {
	const char *hostname, *user, *jump; /* jump: NULL none */
	uint32_t port;
};
int eci_ssh_resolve(struct eci_arena *a, const struct eci_plan_wait *wait, const char *user, const char *host,
		    struct eci_ssh_host *out, ectx_error *err);

#endif
