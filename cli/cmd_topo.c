/* cli: topo check, show, plan: what the file says and what would happen; nothing is connected. */
#include <stdlib.h>
#include <string.h>

#include "cli/fan.h"

static int check(const struct eci_opts *o)
{
	if (o->nargs > 1 || (o->nargs && o->topology))
		return eci_usage("topo check takes one file");
	const char *given = o->nargs ? o->args[0] : o->topology;
	char *path = NULL;
	ectx_error e = {0};
	ectx_topology *t = given ? ectx_topology_load(given, &e) : ectx_topology_load_default(&path, &e);
	if (!given && !path)
		return eci_usage("no topology file: neither $ECONTEXT_TOPOLOGY, nor ./econtext.yaml, nor "
				 "~/.config/econtext/topology.yaml");
	int status = t ? 0 : eci_complain(&e);
	if (t)
		eci_out_printf(1, "%s: ok\n", given ? given : path);
	eci_out_flush();
	ectx_topology_free(t);
	free(path);
	return eci_early_end(status);
}

int eci_cmd_topo(const struct eci_opts *o)
{
	if (o->cmd == ECI_CMD_TOPO_CHECK)
		return check(o);
	if (o->nargs)
		return eci_usage("%s takes no argument %s; targets follow -w", eci_cmd_text(o->cmd)->name, o->args[0]);
	char everything[] = "@*";
	struct eci_session s = {0};
	int status = eci_session_topology(&s, o);
	/* without targets: all of them, which the library knows by NULL */
	struct eci_opts all = *o;
	if (o->except && !o->targets && !o->groups)
		all.targets = everything;
	if (!status && (all.targets || all.groups))
		status = eci_session_names(&s, &all);
	if (!status) {
		ectx_error e = {0};
		const char *const *names = (const char *const *)s.names;
		char *text = o->cmd == ECI_CMD_TOPO_SHOW ? ectx_topology_show(s.topology, names, o->json, &e)
							 : ectx_topology_plan(s.topology, names, o->json, &e);
		if (text) {
			size_t n = strlen(text);
			eci_out_bytes(1, text, n);
			if (n && text[n - 1] != '\n')
				eci_out_text(1, "\n");
		} else {
			status = eci_complain(&e);
		}
		free(text);
	}
	eci_out_flush();
	return eci_session_close(&s, NULL, status);
}
