/* cli: what every command that reaches something needs, in this order: topology, target names, mesh; and how it ends.
 *
 * A target that does not exist ends the program before anything is started; there is no way from a name to running
 * something here. The end is one function because its order matters: the summary, then the counters (the mesh must
 * still be there), then the mesh, and only when nothing remote is left does the process die of the signal or of the
 * pipe that broke. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/fan.h"
#include "cli/signals.h"

/* Counters are asked from contexts that just answered; ten seconds is a link that died meanwhile. */
#define STATS_LIMIT_MS 10000
/* Signals are looked at this often while one future is waited for; nothing is printed meanwhile, so nobody sees the
 * delay. */
#define LOOK_EVERY_MS 50

int eci_session_topology(struct eci_session *s, const struct eci_opts *o)
{
	ectx_error e = {0};
	char *path = NULL;
	s->topology = o->topology ? ectx_topology_load(o->topology, &e) : ectx_topology_load_default(&path, &e);
	if (!s->topology && !o->topology && !path)
		s->topology = ectx_topology_none();
	free(path);
	if (s->topology)
		return 0;
	if (!e.status)
		e = (ectx_error){.status = ECTX_INTERNAL, .code = ECTX_E_NO_MEMORY};
	return eci_complain(&e);
}

/* The commonest slip: they stand behind the command, and are its arguments. */
static bool targets_follow(const struct eci_opts *o)
{
	for (size_t i = 1; i < o->nargs; i++)
		if (!strncmp(o->args[i], "-w", 2) || !strncmp(o->args[i], "-g", 2))
			return true;
	return false;
}

int eci_session_names(struct eci_session *s, const struct eci_opts *o)
{
	if (!o->targets && !o->groups)
		return eci_usage("%s needs targets: -w TARGETS, or -g GROUPS%s", eci_cmd_text(o->cmd)->name,
				 targets_follow(o) ? ", before the first argument" : "");
	ectx_error e = {0};
	s->names = ectx_topology_select(s->topology, o->targets, o->except, o->groups, &e);
	if (!s->names)
		return eci_complain(&e);
	while (s->names[s->n])
		s->n++;
	if (s->n)
		return 0;
	return eci_usage("no target is left");
}

/* The library takes what is there; whoever names a folder means one. */
static int check_roots(const char *const *roots)
{
	struct stat st;
	for (; roots && *roots; roots++) {
		int r = stat(*roots, &st);
		if (r || !S_ISDIR(st.st_mode))
			return eci_usage("--root %s: %s", *roots, strerror(r ? errno : ENOTDIR));
	}
	return 0;
}

/* Hours of work must not end with a word about a misspelt path: it is tried before anything is started. And what an
 * older run has left must not be taken for this one's, should it end before its own is written. What is no file is not
 * tried: a fifo would be seen to be opened twice. */
static int check_stats(const char *path)
{
	struct stat st;
	if (!path || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return eci_usage("--stats %s: %s", path, strerror(errno)), ECTX_INTERNAL;
	close(fd);
	return 0;
}

/* ^C while a secret is waited for: nothing is to be started with it. */
static int interrupted(void *arg)
{
	(void)arg;
	return eci_signals_interrupts() || eci_signals_ending();
}

/* A host that is reached from here is four descriptors, a connection of a tunnel one: as many as the system lets us.
 * Returns how many there were, for what is started here. */
static unsigned long raise_files(void)
{
	struct rlimit r, most;
	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= r.rlim_max)
		return 0;
	most = (struct rlimit){r.rlim_max, r.rlim_max};
	return setrlimit(RLIMIT_NOFILE, &most) ? 0 : (unsigned long)r.rlim_cur;
}

int eci_session_mesh(struct eci_session *s, const struct eci_opts *o, const char *const *roots)
{
	if (check_roots(o->roots.v))
		return ECTX_USAGE;
	if (check_stats(o->stats))
		return ECTX_INTERNAL;
	static const char *const none[] = {NULL};
	bool serves = o->cmd == ECI_CMD_CALL || o->cmd == ECI_CMD_RUN;
	ectx_options options = {.topology = s->topology,
				.roots = serves ? o->roots.v : none,
				.default_roots = roots,
				.include = o->include.v,
				.exclude = o->exclude.v,
				.override = o->override.v,
				.log_level = o->log_level,
				.title = o->title,
				.ask = eci_ask,
				.give_up = interrupted,
				.files = raise_files()};
	ectx_error e = {0};
	if (eci_signals_init())
		return eci_usage("signals: %s", strerror(errno)), ECTX_INTERNAL;
	if (ectx_mesh_new(&s->mesh, &options, &e)) {
		s->mesh = NULL;
		return eci_complain(&e);
	}
	return 0;
}

int eci_session_open(struct eci_session *s, struct eci_fan *fan, const struct eci_opts *o, const char *const *roots)
{
	int rc = eci_session_topology(s, o);
	if (!rc)
		rc = eci_session_names(s, o);
	if (!rc)
		rc = eci_session_mesh(s, o, roots);
	if (rc)
		return rc;
	fan->mesh = s->mesh;
	fan->opts = o;
	fan->n = s->n;
	fan->jobs = eci_alloc(s->n * sizeof *fan->jobs);
	for (size_t i = 0; i < s->n; i++) {
		fan->jobs[i].name = s->names[i];
		fan->jobs[i].index = i;
	}
	return 0;
}

bool eci_session_wait(ectx_future *f)
{
	while (!ectx_future_wait(f, LOOK_EVERY_MS))
		if (eci_signals_interrupts() || eci_signals_ending())
			return false;
	return true;
}

static int write_stats(ectx_mesh *mesh, const char *path)
{
	ectx_future *f = ectx_tree_start(mesh, STATS_LIMIT_MS);
	int rc = 0;
	size_t silent = 0;
	FILE *to = NULL;
	while (f && !eci_signals_must_end() && !ectx_future_wait(f, LOOK_EVERY_MS))
		; /* one ^C is why it ends in order, and no reason to give up */
	if (f && ectx_future_done(f) && ectx_future_error(f)->status == ECTX_OK) {
		const ectx_value *tree = ectx_future_value(f);
		to = fopen(path, "we");
		for (size_t i = 0; to && i < ectx_value_count(tree); i++) {
			const char *state = ectx_value_text(ectx_map_get(ectx_array_at(tree, i), "state"));
			silent += state && !strcmp(state, "silent");
			char *text = ectx_value_json(ectx_array_at(tree, i));
			fprintf(to, "%s\n", text ? text : "null");
			free(text);
		}
		if (!to || ferror(to))
			rc = eci_usage("--stats %s: %s", path, strerror(errno));
	} else {
		rc = eci_usage("--stats %s: the contexts did not answer", path);
	}
	if (to && fclose(to) && !rc)
		rc = eci_usage("--stats %s: %s", path, strerror(errno));
	if (silent && !rc)
		rc = eci_usage("--stats %s: %zu of the contexts did not answer", path, silent);
	ectx_future_free(f);
	return rc ? ECTX_INTERNAL : 0;
}

int eci_early_end(int status)
{
	int broken = eci_out_error();
	if (eci_signals_ending())
		eci_signals_die(eci_signals_ending());
	if (eci_signals_interrupts())
		return ECTX_INTERRUPTED;
	if (broken == EPIPE)
		eci_signals_die(SIGPIPE);
	if (broken && broken != EINTR) {
		eci_usage("writing: %s", strerror(broken));
		return ECTX_INTERNAL;
	}
	return status;
}

int eci_session_close(struct eci_session *s, struct eci_fan *fan, int status)
{
	if (fan && fan->report.started > 0 && fan->opts->json && fan->opts->cmd != ECI_CMD_TREE &&
	    fan->opts->cmd != ECI_CMD_TRACE)
		eci_report_summary(&fan->report, eci_fan_not_started(fan));
	eci_out_clear();
	if (s->mesh && fan && fan->opts->stats && !eci_signals_must_end() && !eci_out_error()) {
		int rc = write_stats(s->mesh, fan->opts->stats);
		if (rc)
			status = rc;
	}
	if (fan)
		eci_fan_deinit(fan);
	ectx_mesh_free(s->mesh);
	free(s->names);
	ectx_topology_free(s->topology);
	*s = (struct eci_session){0};
	return eci_early_end(status);
}
