/* Reading a topology file: text -> YAML tree -> entries and settings -> nodes -> tree. The root's keys may come in any
 * order in the file, but are read in the order in which they need one another: secrets before what names them, defaults
 * before nodes. The YAML tree is scratch; what remains lives in the topology's arena. On any failure everything is
 * freed and the caller gets the first error, with its place. */
#include "topology/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct eci_key root_keys[] = {{.name = "econtext"},
					   {.name = "defaults"},
					   {.name = "secrets"},
					   {.name = "nodes"},
					   {.name = "tunnels"},
					   {.name = "profiles", .type = ECI_TYPE_LATER},
					   {.name = "include", .type = ECI_TYPE_LATER},
					   {.name = "nodes_from", .type = ECI_TYPE_LATER},
					   {.name = "overrides", .type = ECI_TYPE_LATER},
					   {0}};

char *eci_path_resolve(struct eci_arena *a, const char *folder, const char *path)
{
	if (path[0] == '~' && (path[1] == '/' || path[1] == 0)) {
		const char *home = getenv("HOME");
		return eci_arena_fmt(a, "%s%s", home ? home : "", path + 1);
	}
	if (path[0] == '/' || path[0] == '~' || !*folder)
		return eci_arena_strn(a, path, strlen(path));
	return eci_arena_fmt(a, "%s/%s", folder, path);
}

static int read_version(struct eci_load *l, const struct eci_yaml *root, const struct eci_yaml *v)
{
	if (!v) {
		eci_fail_at(l->err, l->t->file, root->at, "no format version");
		return eci_fail_hint(l->err, "add the line \"econtext: 1\"");
	}
	if (v->kind == ECI_YAML_SCALAR && strcmp(v->text, "1") == 0)
		return 0;
	if (v->kind != ECI_YAML_SCALAR)
		eci_fail_at(l->err, l->t->file, v->at, "econtext: %s, where a number is due", eci_yaml_kind_name(v));
	else
		eci_fail_at(l->err, l->t->file, v->at,
			    "econtext: \"%.100s\" is a format that this version does not know", v->text);
	return eci_fail_hint(l->err, "the format is 1");
}

static int read_entry(struct eci_load *l, const struct eci_yaml *v, struct eci_entry *e)
{
	e->at = v->key_at;
	e->key = eci_arena_strn(&l->t->arena, v->key, strlen(v->key));
	if (!e->key)
		return eci_fail_memory(l->err);
	l->entry = e;
	bool bare = v->kind == ECI_YAML_SCALAR && v->plain && !*v->text; /* "bastion:" alone: all as by default */
	if (!bare && v->kind != ECI_YAML_MAP) {
		eci_fail_at(l->err, l->t->file, v->at, "nodes: \"%.100s\" is %s, where a map is due", v->key,
			    eci_yaml_kind_name(v));
		return eci_fail_hint(l->err, "write {via: RELAY} or {ssh: {host: NAME}}");
	}
	if (!bare && eci_schema_node(l, v))
		return -1;
	return eci_schema_take(l, &e->set) ? -1 : eci_schema_agents(l);
}

static int read_nodes(struct eci_load *l, const struct eci_yaml *root, const struct eci_yaml *v)
{
	ectx_topology *t = l->t;
	if (!v || (v->kind == ECI_YAML_MAP && v->count == 0) || (v->kind == ECI_YAML_SCALAR && !*v->text)) {
		eci_fail_at(l->err, t->file, v ? v->at : root->at, "no nodes");
		return eci_fail_hint(l->err, "add nodes: {NAME: {ssh: {host: NAME}}}");
	}
	if (v->kind != ECI_YAML_MAP) {
		eci_fail_at(l->err, t->file, v->at, "nodes: %s, where a map is due", eci_yaml_kind_name(v));
		return eci_fail_hint(l->err, "write NAME: {ssh: {host: NAME}}, one a line");
	}
	t->entries = eci_arena_alloc(&t->arena, v->count * sizeof *t->entries);
	if (!t->entries)
		return eci_fail_memory(l->err);
	for (const struct eci_yaml *c = v->first; c; c = c->next)
		if (read_entry(l, c, &t->entries[t->entry_count++]))
			return -1;
	return eci_nodes_declare(l) ? -1 : eci_nodes_connect(l);
}

static int read_root(struct eci_load *l, const struct eci_yaml *root)
{
	const struct eci_yaml *part[5] = {NULL}; /* in the order of root_keys */
	if (root->kind != ECI_YAML_MAP) {
		eci_fail_at(l->err, l->t->file, root->at, "topology: %s, where a map is due", eci_yaml_kind_name(root));
		return eci_fail_hint(l->err, "start the file with \"econtext: 1\" and \"nodes:\"");
	}
	for (const struct eci_yaml *v = root->first; v; v = v->next) {
		size_t i = 0;
		while (root_keys[i].name && strcmp(root_keys[i].name, v->key) != 0)
			i++;
		if (!root_keys[i].name)
			return eci_schema_unknown(l, root_keys, "", v);
		if (root_keys[i].type == ECI_TYPE_LATER) {
			eci_fail_at(l->err, l->t->file, v->key_at, "%s: not built yet", v->key);
			return eci_fail_hint(l->err, "this version has no such thing: leave it out");
		}
		part[i] = v;
	}
	if (read_version(l, root, part[0]))
		return -1;
	if (part[2] && eci_secrets_read(l, part[2]))
		return -1;
	if (part[1] && (eci_schema_defaults(l, part[1]) || eci_schema_take(l, &l->t->defaults) || eci_schema_agents(l)))
		return -1;
	if (read_nodes(l, root, part[3]))
		return -1;
	return part[4] ? eci_tunnels_read(l, part[4]) : 0;
}

static ectx_topology *make(const char *name, const char *folder, size_t folder_len)
{
	ectx_topology *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->file = eci_arena_strn(&t->arena, name, strlen(name));
	t->folder = eci_arena_strn(&t->arena, folder, folder_len);
	if (t->file && t->folder)
		return t;
	ectx_topology_free(t);
	return NULL;
}

ectx_topology *ectx_topology_parse(const char *text, size_t n, const char *name_for_errors, ectx_error *err)
{
	ectx_error ignored;
	struct eci_load l = {.err = err ? err : &ignored};
	const char *name = name_for_errors ? name_for_errors : "topology";
	const char *slash = strrchr(name, '/');
	l.t = make(name, name, !slash ? 0 : slash == name ? 1 : (size_t)(slash - name));
	if (!l.t) {
		eci_fail_memory(err);
		return NULL;
	}
	text = text ? text : "";                              /* of an empty file that a program has read */
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* editors of some systems begin files so */
		text += 3;
		n -= 3;
	}
	int rc = 0;
	if (n > ECI_FILE_MAX) {
		rc = eci_fail_at(l.err, l.t->file, (struct eci_spot){0}, "larger than 16 MiB");
		eci_fail_hint(l.err, "write nodes as sets: web[001-999]");
	}
	const struct eci_yaml *root = rc ? NULL : eci_yaml_parse(&l.scratch, text, n, l.t->file, l.err);
	if (!root || read_root(&l, root)) {
		ectx_topology_free(l.t);
		l.t = NULL;
	}
	eci_arena_deinit(&l.scratch);
	return l.t;
}

#define HERE "./econtext.yaml"

uid_t eci_topology_caller(void)
{
	const char *asked = geteuid() == 0 ? getenv("SUDO_UID") : NULL;
	char *end = NULL;
	unsigned long uid = asked && *asked ? strtoul(asked, &end, 10) : 0;
	return end && !*end && (uid_t)uid == uid ? (uid_t)uid : geteuid();
}

/* Who may have written what the caller obeys: he himself, root, and who asked sudo to be root. */
static bool trusted(uid_t owner)
{
	return owner == geteuid() || owner == 0 || owner == eci_topology_caller();
}

/* The file of the working directory says what runs (command: of a secret), and the caller may not know that it lies
 * there: so it is taken only from who could make him run things anyway. What was opened is asked, and the entry, which
 * may be a link of somebody else's to a file of the caller's. NULL, or what is wrong. */
static const char *distrusted(int fd)
{
	struct stat file, entry, folder;
	if (fstat(fd, &file) || lstat(HERE, &entry) || stat(".", &folder))
		return strerror(errno);
	if (!trusted(file.st_uid) || !trusted(entry.st_uid))
		return "it is neither yours nor root's";
	if (file.st_mode & S_IWOTH)
		return "everybody may write to it";
	if (folder.st_mode & S_IWOTH &&
	    (!(folder.st_mode & S_ISVTX) || file.st_uid != geteuid() || entry.st_uid != geteuid()))
		return "everybody may write to its folder";
	return NULL;
}

/* found: in the working directory, and not named by anybody. */
static char *read_file(const char *path, bool found, size_t *n, ectx_error *err)
{
	FILE *f = fopen(path, "rbe");
	const char *wrong = f && found ? distrusted(fileno(f)) : NULL;
	if (wrong) {
		fclose(f);
		eci_fail_at(err, path, (struct eci_spot){0}, "not taken from the working directory: %s", wrong);
		eci_fail_hint(err, "if it is meant, name it: --topology %s", path);
		return NULL;
	}
	char *text = NULL;
	size_t cap = 0;
	*n = 0;
	bool ok = f != NULL;
	while (ok && *n <= ECI_FILE_MAX) {
		if (cap - *n < 4096) {
			cap = cap ? cap * 2 : 65536;
			char *grown = realloc(text, cap);
			if (!grown) {
				ok = false;
				errno = ENOMEM;
				break;
			}
			text = grown;
		}
		size_t got = fread(text + *n, 1, cap - *n, f);
		*n += got;
		if (got == 0) {
			ok = !ferror(f);
			break;
		}
	}
	if (!ok) {
		int no = errno;
		eci_fail_at(err, path, (struct eci_spot){0}, "%s", strerror(no));
		eci_fail_hint(err, "%s",
			      no == ENOENT ? "name a topology file: --topology FILE or $ECONTEXT_TOPOLOGY"
					   : "the file must be readable");
		free(text);
		text = NULL;
	}
	if (f)
		fclose(f);
	return text;
}

static ectx_topology *load(const char *path, bool found, ectx_error *err)
{
	size_t n;
	char *text = read_file(path, found, &n, err);
	if (!text)
		return NULL;
	ectx_topology *t = ectx_topology_parse(text, n, path, err);
	free(text);
	return t;
}

ectx_topology *ectx_topology_load(const char *path, ectx_error *err)
{
	return load(path, false, err);
}

ectx_topology *ectx_topology_load_default(char **path, ectx_error *err)
{
	const char *env = getenv("ECONTEXT_TOPOLOGY");
	*path = ectx_topology_default_path();
	return *path ? load(*path, !(env && *env) && strcmp(*path, HERE) == 0, err) : NULL;
}

char *ectx_topology_default_path(void)
{
	const char *env = getenv("ECONTEXT_TOPOLOGY"), *home = getenv("HOME");
	char *path = NULL;
	if (env && *env)
		return strdup(env);
	if (access(HERE, F_OK) == 0)
		return strdup(HERE);
	if (home && asprintf(&path, "%s/.config/econtext/topology.yaml", home) >= 0 && access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

ectx_topology *ectx_topology_none(void)
{
	ectx_topology *t = make("(no topology)", "", 0);
	if (t)
		t->none = true;
	return t;
}

void ectx_topology_free(ectx_topology *t)
{
	if (!t)
		return;
	for (struct eci_names *n = t->groups; n; n = eci_names_next(n)) {
		struct eci_group *g = eci_names_data(n);
		free(g->entries);
	}
	eci_names_clear(&t->nodes);
	eci_names_clear(&t->groups);
	eci_names_clear(&t->secrets);
	free(t->node_name);
	free(t->node_entry);
	free(t->node_context);
	eci_arena_deinit(&t->arena);
	free(t);
}
