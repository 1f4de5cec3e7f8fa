/* Follows a file on many hosts: what is appended there is printed here, `NODE: line`, as it comes.
 *
 *     cc follow.c $(pkg-config --cflags --libs econtext) && ./a.out topology.yaml /var/log/syslog web001 web002 ...
 *
 * One channel a host, one future a channel for its next line, and one wait for them all: no thread, no polling. */
#include <econtext/econtext.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host {
	const char *name;
	ectx_channel *channel;
	ectx_future *call, *next;
};

static bool start(ectx_mesh *m, struct host *h, const char *file)
{
	ectx_error err = {0};
	ectx_context *c = ectx_context_get(m, h->name, &err);
	ectx_value *args = ectx_array();
	if (!c || !ectx_array_push(args, ectx_text(file)) || !ectx_array_push(args, ectx_null()))
		return fprintf(stderr, "%s: %s\n", h->name, err.saw), false;
	h->channel = ectx_channel_new(m);
	h->call = ectx_call_with_start(c, "./examples/follow.py:follow", args, NULL,
				       &(ectx_channel_arg){.channel = h->channel, .index = 1}, 1, -1);
	h->next = ectx_channel_receive_start(h->channel, -1);
	ectx_value_free(args);
	return true;
}

/* Prints what has come; false: there will be nothing more. */
static bool print(struct host *h)
{
	const char *line = ectx_value_text(ectx_future_value(h->next));
	if (line) {
		char *safe = ectx_escape(line, strlen(line));
		printf("%s: %s\n", h->name, safe ? safe : "");
		free(safe);
	} else if (ectx_future_wait(h->call, 1000) && ectx_future_error(h->call)->status) {
		const ectx_error *e = ectx_future_error(h->call);
		fprintf(stderr, "%s: %s: %s (%s)\n", h->name, e->path, e->saw, e->hint);
	}
	ectx_future_free(h->next);
	h->next = line ? ectx_channel_receive_start(h->channel, -1) : NULL;
	return line != NULL;
}

int main(int argc, char **argv)
{
	ectx_error err = {0};
	ectx_mesh *m = NULL;
	ectx_topology *t = argc > 3 ? ectx_topology_load(argv[1], &err) : NULL;
	if (!t || ectx_mesh_new(&m, &(ectx_options){.topology = t}, &err))
		return fprintf(stderr, "%s\n", argc > 3 ? err.saw : "TOPOLOGY FILE HOST..."), 1;
	size_t n = (size_t)argc - 3, left = 0;
	struct host *hosts = calloc(n, sizeof *hosts);
	ectx_future **v = calloc(n, sizeof(ectx_future *));
	for (size_t i = 0; hosts && v && i < n; i++) {
		hosts[i].name = argv[i + 3];
		left += start(m, &hosts[i], argv[2]);
	}
	while (left) {
		for (size_t i = 0; i < n; i++)
			v[i] = hosts[i].next;
		long i = ectx_future_wait_any(v, n, -1);
		if (i < 0)
			break;
		left -= !print(&hosts[i]);
		fflush(stdout);
	}
	for (size_t i = 0; hosts && i < n; i++) {
		ectx_future_free(hosts[i].next);
		ectx_future_free(hosts[i].call);
		ectx_channel_free(hosts[i].channel);
	}
	free(hosts);
	free(v);
	ectx_mesh_free(m);
	ectx_topology_free(t);
	return 0;
}
