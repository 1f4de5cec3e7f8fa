/* What a plan is and what is told about it: each context once and parents first, the argv that the registered function
 * gives, the secrets by their source and never by value, and where every setting shown comes from. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/topology.h"

static const char file[] = "econtext: 1\n"
			   "secrets:\n"
			   "  app: {env: APP_PW}\n"
			   "  db: {prompt: \"db password\"}\n"
			   "defaults:\n"
			   "  timeout: {boot: 30s}\n"
			   "nodes:\n"
			   "  bastion: {dial_window: 2}\n"
			   "  relay-[a,b]: {via: bastion}\n"
			   "  a[01-03]:\n"
			   "    via: relay-a\n"
			   "    ssh: {host: \"%n.example.net\", port: 2222}\n"
			   "    become:\n"
			   "      - {as: deploy, method: sudo}\n"
			   "      - {as: app, method: sudo, password: app}\n"
			   "      - {as: db, method: su, password: db}\n"
			   "  b01: {via: relay-b}\n";

static ectx_topology *parse(void)
{
	ectx_error e = {0};
	ectx_topology *t = ectx_topology_parse(file, strlen(file), "f.yaml", &e);
	cr_assert(t, "%s", e.saw);
	return t;
}

/* One block: two pointers, then the text. */
static char **fake_argv(const struct eci_target *target, unsigned *round_trips)
{
	const char *text = target->host ? target->host : target->user ? target->user : "it's";
	size_t head = 3 * sizeof(char *), n = strlen(text) + 1;
	char **argv = malloc(head + 4 + n);
	cr_assert(argv);
	argv[0] = memcpy((char *)argv + head, "run", 4);
	argv[1] = memcpy((char *)argv + head + 4, text, n);
	argv[2] = NULL;
	*round_trips = target->method == ECI_SSH ? 5 : 2;
	return argv;
}

static void has(const char *text, const char *part)
{
	cr_expect(strstr(text, part), "no \"%s\" in:\n%s", part, text);
}

Test(plan, has_each_context_once_and_parents_first)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	struct eci_plan p;
	const char *const names[] = {"a02:app", "b01", "a02", "a01", "a02:app"};
	static const char *const all[] = {"bastion", "relay-a", "a02", "a02:deploy",
					  "a02:app", "relay-b", "b01", "a01"};
	cr_assert_eq(eci_plan_make(t, names, 5, &p, &e), 0, "%s", e.saw);
	cr_assert_eq(p.count, 8);
	for (size_t i = 0; i < p.count; i++) {
		cr_expect_str_eq(p.items[i].name, all[i]);
		cr_expect(p.items[i].parent == SIZE_MAX ? i == 0 : p.items[i].parent < i);
	}
	for (size_t i = 0; i < 5; i++)
		cr_expect_str_eq(p.items[p.wanted[i]].name, names[i]);
	/* The whole topology counts, not what is asked for: bastion, two relays, three times four, b01. */
	cr_expect_eq(p.items[0].subtree, 16);
	cr_expect_eq(p.items[1].subtree, 13);
	cr_expect_eq(p.items[2].subtree, 4);
	cr_expect_eq(p.items[4].subtree, 2);
	cr_expect_eq(p.items[0].dial_window, 2);
	cr_expect_eq(p.items[1].dial_window, 4);
	eci_plan_deinit(&p);
	ectx_topology_free(t);
}

Test(plan, resolves_the_target)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	struct eci_plan p;
	const char *const names[] = {"a03:db"};
	cr_assert_eq(eci_plan_make(t, names, 1, &p, &e), 0);
	cr_assert_eq(p.count, 6);
	const struct eci_target *host = &p.items[2].target, *app = &p.items[4].target, *db = &p.items[5].target;
	cr_expect_eq(host->method, ECI_SSH);
	cr_expect_str_eq(host->host, "a03.example.net");
	cr_expect_eq(host->port, 2222);
	cr_expect_eq(host->timeout.boot_ms, 30000);
	cr_expect_eq(host->timeout.connect_ms, 10000);
	cr_expect_eq(app->method, ECI_SUDO);
	cr_expect_str_eq(app->user, "app");
	cr_expect_str_eq(app->secret, "app");
	cr_expect_eq(db->method, ECI_SU);
	cr_expect_eq(db->timeout.boot_ms, 30000);
	cr_expect_null(p.items[3].target.secret);
	eci_plan_deinit(&p);
	ectx_topology_free(t);
}

/* The agents of `name`, as "np" or "p", in a file of these settings. */
static void agents(const char *settings, const char *name, const char *due)
{
	char text[400], got[3] = "";
	ectx_error err = {0};
	struct eci_plan p;
	snprintf(text, sizeof text, "econtext: 1\n%s", settings);
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "f.yaml", &err);
	cr_assert(t, "%s", err.saw);
	cr_assert_eq(eci_plan_make(t, &name, 1, &p, &err), 0, "%s", err.saw);
	/* The one before it, where the name says so: what is asked of "b/x" is asked of b. */
	const struct eci_target *at = &p.items[strchr(name, '/') ? 0 : p.wanted[0]].target;
	for (uint8_t i = 0; i < at->agents.count; i++)
		got[i] = at->agents.kind[i] == ECI_AGENT_NATIVE ? 'n' : 'p';
	cr_expect_str_eq(got, due, "%s: %s is %s, not %s", settings, name, got, due);
	eci_plan_deinit(&p);
	ectx_topology_free(t);
}

Test(plan, agents_by_children_by_order_and_by_policy)
{
	static const char tree[] = "nodes: {b: {}, a: {via: b, become: [{as: x}, {as: y}]}}";
	agents(tree, "b", "np");
	agents(tree, "a", "np"); /* its become steps are its children */
	agents(tree, "a:x", "np");
	agents(tree, "a:y", "pn");
	agents("nodes: {b: {}}", "b", "pn");
	agents("nodes: {b: {}}", "b/x", "np"); /* a relay by the way that is asked for */
	agents("nodes: {b: {agent: [python, native]}}", "b/x", "pn");
	agents("nodes: {b: {agent: native}}", "b", "n");
	agents("nodes: {b: {agent: [native]}}", "b", "n");
	agents("defaults: {agent: python}\nnodes: {b: {}, a: {via: b}}", "b", "p");
	agents("defaults: {agent: python}\nnodes: {b: {agent: [native, python]}}", "b", "np");
	agents("defaults: {native: never}\nnodes: {b: {}, a: {via: b}}", "b", "p");
	agents("defaults: {native: never}\nnodes: {b: {native: auto}}", "b", "pn");
	agents("nodes: {b: {native: always}}", "b", "n");
	agents("nodes: {b: {native: always, agent: [python, native]}}", "b", "n");
	agents("nodes: {b: {native: never, agent: [native, python]}}", "b", "p");
}

/* Where the master dials, paths are its own: beside the topology, or below its home. Where a relay does, they are the
 * relay's, and its ssh expands them. A program without a slash is looked for by whoever starts it. */
Test(plan, paths_are_those_of_who_dials)
{
	static const char text[] =
		"econtext: 1\n"
		"defaults: {title: T, ssh: {identity: key, config: ~/conf, program: ./ssh}}\n"
		"nodes:\n"
		"  m: {ssh: {host: \"%n%%%n.x\", config: \"~\"}, become: [{as: root, program: ./sudo}]}\n"
		"  r: {via: m, become: [{as: root, program: ./sudo}]}\n"
		"  p: {ssh: {identity: /key, config: ~jdoe/conf, program: ssh}}\n"
		"  l: {local: {}, become: [{as: root, program: ./sudo}]}\n";
	static const char *const names[] = {"m", "m:root", "r", "r:root", "p", "l", "l:root"};
	static const char *const due[][3] = {{"d/key", "/home/me", "d/./ssh"}, {NULL, NULL, "./sudo"},
					     {"key", "~/conf", "./ssh"},       {NULL, NULL, "./sudo"},
					     {"/key", "~jdoe/conf", "ssh"},    {NULL, NULL, NULL},
					     {NULL, NULL, "d/./sudo"}};
	ectx_error e = {0};
	struct eci_plan p;
	setenv("HOME", "/home/me", 1);
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "d/f.yaml", &e);
	cr_assert(t, "%s", e.saw);
	cr_assert_eq(eci_plan_make(t, names, 7, &p, &e), 0);
	for (size_t i = 0; i < 7; i++) {
		const struct eci_target *at = &p.items[p.wanted[i]].target;
		const char *const got[] = {at->identity, at->config, at->program};
		for (int k = 0; k < 3; k++)
			cr_expect(due[i][k] ? got[k] && !strcmp(got[k], due[i][k]) : !got[k], "%s, %d: %s", names[i], k,
				  got[k]);
		cr_expect_str_eq(at->title, "T");
	}
	cr_expect_str_eq(p.items[p.wanted[0]].target.host, "m%m.x");
	cr_expect_null(p.items[p.wanted[5]].target.host, "a local one has none of ssh's");
	eci_plan_deinit(&p);
	ectx_topology_free(t);
}

/* What a target has of its node, of the defaults, and where neither says it. */
Test(plan, a_target_has_what_is_said_of_it)
{
	static const char text[] = "econtext: 1\n"
				   "defaults: {user: me, feed: true, ssh: {options: [-v], identity: /key}}\n"
				   "nodes:\n"
				   "  a: {ssh: {host: a-name-as-long-as-others-are.example.net}}\n"
				   "  b: {feed: false, ssh: {user: you, port: 22, options: []}}\n"
				   "  c: {ssh: {options: [-4, -C]}}\n";
	static const char *const names[] = {"a", "b", "c"};
	ectx_error e = {0};
	struct eci_plan p;
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "d/f.yaml", &e);
	cr_assert(t, "%s", e.saw);
	cr_assert_eq(eci_plan_make(t, names, 3, &p, &e), 0);
	const struct eci_target *a = &p.items[0].target, *b = &p.items[1].target, *c = &p.items[2].target;
	cr_expect(!strcmp(a->user, "me") && !a->port && a->feed && !strcmp(a->identity, "/key"));
	cr_expect(!strcmp(a->host, "a-name-as-long-as-others-are.example.net"), "%s", a->host);
	cr_expect(a->options && !strcmp(a->options[0], "-v") && !a->options[1]);
	cr_expect(!strcmp(b->user, "you") && b->port == 22 && !b->feed && !b->options);
	cr_expect(!strcmp(c->options[0], "-4") && !strcmp(c->options[1], "-C") && !c->options[2]);
	eci_plan_deinit(&p);
	ectx_topology_free(t);
	t = ectx_topology_parse("econtext: 1\nnodes: {a: {}}", 26, "f.yaml", &e);
	cr_assert_eq(eci_plan_make(t, names, 1, &p, &e), 0);
	a = &p.items[0].target;
	cr_expect(!a->user && !a->port && !a->feed && !a->options && !a->identity && !a->secret && !a->title);
	eci_plan_deinit(&p);
	ectx_topology_free(t);
}

Test(plan, of_nothing_is_empty)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	struct eci_plan p;
	cr_assert_eq(eci_plan_make(t, NULL, 0, &p, &e), 0);
	cr_expect_eq(p.count, 0);
	eci_plan_deinit(&p);
	eci_plan_deinit(&p);
	ectx_topology_free(t);
}

Test(plan, refuses_what_is_not_declared)
{
	static const char *const wrong[][3] = {
		{"a04", "no node named \"a04\"", "did you mean \"a01\"?"},
		{"a01:ap", "node \"a01\" has no become step \"ap\"", "did you mean \"a01:app\"?"},
		{"b01:root", "node \"b01\" has no become step \"root\"", "\"b01\" has no become:"},
	};
	ectx_topology *t = parse();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		ectx_error e = {0};
		struct eci_plan p;
		const char *const names[] = {"bastion", wrong[i][0]};
		cr_assert_eq(eci_plan_make(t, names, 2, &p, &e), -1, "%s was taken", wrong[i][0]);
		cr_expect_eq(e.code, ECTX_E_UNKNOWN_TARGET);
		cr_expect_eq(e.status, ECTX_USAGE);
		cr_expect_str_eq(e.saw, wrong[i][1]);
		cr_expect_str_eq(e.hint, wrong[i][2]);
		cr_expect_null(p.items); /* nothing is left to free */
	}
	ectx_topology_free(t);
}

Test(explain, tells_way_argv_secrets_and_round_trips)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	const char *const names[] = {"a01:db", NULL};
	eci_topology_set_argv(fake_argv);
	char *text = ectx_topology_plan(t, names, false, &e);
	cr_assert(text, "%s", e.saw);
	has(text, "a01:db\n");
	has(text, " master > bastion > relay-a > a01 > a01:deploy > a01:app > a01:db\n");
	has(text, "on master    run bastion\n");
	has(text, "on relay-a   run a01.example.net\n");
	has(text, " app for a01:app: environment variable APP_PW\n");
	has(text, " db for a01:db: asked on the terminal: \"db password\"\n");
	has(text, "round trips  21\n"); /* 3 x 5 + 3 x 2 */
	free(text);
	text = ectx_topology_plan(t, names, true, &e);
	cr_assert(text, "%s", e.saw);
	has(text, "\"path\": [\"bastion\", \"relay-a\", \"a01\", \"a01:deploy\", \"a01:app\", \"a01:db\"]");
	has(text, "\"on\": \"relay-a\", \"method\": \"ssh\", \"argv\": [\"run\", \"a01.example.net\"], \"agents\": "
		  "[\"native\", \"python\"], \"round_trips\": 5}");
	has(text, "{\"name\": \"app\", \"for\": \"a01:app\", \"env\": \"APP_PW\"}");
	has(text, "\"round_trips\": 21}\n");
	free(text);
	eci_topology_set_argv(NULL);
	ectx_topology_free(t);
}

Test(explain, works_before_anything_is_registered)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	const char *const names[] = {"b01", NULL};
	eci_topology_set_argv(NULL);
	char *text = ectx_topology_plan(t, names, false, &e);
	cr_assert(text, "%s", e.saw);
	has(text, "on relay-b   ssh to b01\n");
	free(text);
	text = ectx_topology_plan(t, names, true, &e);
	cr_assert(text, "%s", e.saw);
	has(text, "\"argv\": null");
	free(text);
	ectx_topology_free(t);
}

Test(explain, refuses_what_is_not_declared)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	const char *const names[] = {"a01", "c01", NULL};
	cr_expect_null(ectx_topology_plan(t, names, false, &e));
	cr_expect_eq(e.code, ECTX_E_UNKNOWN_TARGET);
	e = (ectx_error){0};
	cr_expect_null(ectx_topology_show(t, names, true, &e));
	cr_expect_eq(e.code, ECTX_E_UNKNOWN_TARGET);
	ectx_topology_free(t);
}

/* The line of key in what is shown, without the blanks that align it. */
static void line_is(const char *text, const char *key, const char *value, const char *from)
{
	char want[64];
	snprintf(want, sizeof want, "\n  %s ", key);
	const char *line = strstr(text, want);
	cr_assert(line, "no %s in:\n%s", key, text);
	char got_value[128], got_from[128];
	cr_assert_eq(sscanf(line + strlen(want), " %127s %127[^\n]", got_value, got_from), 2);
	cr_expect_str_eq(got_value, value, "%s: %s", key, got_value);
	cr_expect_str_eq(got_from, from, "%s: %s", key, got_from);
}

Test(show, says_where_each_setting_comes_from)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	const char *const names[] = {"a02", NULL};
	char *text = ectx_topology_show(t, names, false, &e);
	cr_assert(text, "%s", e.saw);
	cr_expect_eq(strncmp(text, "a02\n", 4), 0);
	line_is(text, "ssh.host", "a02.example.net", "f.yaml:12:17");
	line_is(text, "ssh.port", "2222", "f.yaml:12:41");
	line_is(text, "timeout.boot", "30s", "f.yaml:6:19 (defaults)");
	line_is(text, "timeout.connect", "10s", "built in");
	line_is(text, "dial_window", "4", "built in");
	free(text);
	text = ectx_topology_show(t, names, true, &e);
	cr_assert(text, "%s", e.saw);
	has(text, "\"ssh.port\": {\"value\": \"2222\", \"from\": \"f.yaml:12:41\"}");
	free(text);
	ectx_topology_free(t);
}

/* Every row that the file's own line is given for; and that of what no file says. */
Test(show, all_that_is_said_of_a_node_and_of_a_step)
{
	static const char text[] = "econtext: 1\n"
				   "secrets: {pw: {prompt: p}}\n"
				   "nodes:\n"
				   "  r: {}\n"
				   "  a:\n"
				   "    via: r\n"
				   "    ssh: {user: u, options: [-4], password: pw, identity: k}\n"
				   "    groups: [g]\n"
				   "    become: [{as: x, method: su, password: pw}]\n"
				   "  h: {local: {}}\n";
	const char *const node[] = {"a", NULL}, *const step[] = {"a:x", NULL}, *const other[] = {"h", NULL};
	const char *const adhoc[] = {"a/u@b", NULL};
	ectx_error e = {0};
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "f.yaml", &e);
	cr_assert(t, "%s", e.saw);
	char *out = ectx_topology_show(t, node, false, &e);
	line_is(out, "via", "r", "f.yaml:6:10");
	line_is(out, "transport", "ssh", "f.yaml:7:5");
	line_is(out, "ssh.user", "u", "f.yaml:7:17");
	line_is(out, "ssh.options", "-4", "f.yaml:7:29");
	line_is(out, "ssh.password", "pw", "f.yaml:7:45");
	line_is(out, "ssh.program", "ssh", "built in");
	line_is(out, "hostkey", "strict", "built in");
	line_is(out, "groups", "g", "f.yaml:8:13");
	line_is(out, "feed", "false", "built in");
	free(out);
	out = ectx_topology_show(t, step, false, &e);
	line_is(out, "become.as", "x", "f.yaml:9:19");
	line_is(out, "become.method", "su", "f.yaml:9:19");
	line_is(out, "become.password", "pw", "f.yaml:9:19");
	line_is(out, "parent", "a", "the step before");
	free(out);
	out = ectx_topology_show(t, other, false, &e);
	line_is(out, "via", "master", "built in");
	line_is(out, "transport", "local", "f.yaml:10:7");
	cr_expect_null(strstr(out, "ssh."));
	free(out);
	out = ectx_topology_show(t, adhoc, false, &e);
	line_is(out, "via", "a", "ad hoc");
	line_is(out, "transport", "ssh", "ad hoc");
	line_is(out, "ssh.host", "b", "ad hoc");
	line_is(out, "ssh.user", "u", "ad hoc");
	cr_expect_null(strstr(out, "ssh.port"));
	free(out);
	ectx_topology_free(t);
}

Test(show, agents_as_they_are_built_in_or_written)
{
	ectx_error err = {0};
	const char *text = "econtext: 1\ndefaults: {native: never}\n"
			   "nodes: {r: {}, a: {via: r, agent: [python, native]}}\n";
	const char *const names[] = {"r", "a", NULL};
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "f.yaml", &err);
	cr_assert(t, "%s", err.saw);
	char *out = ectx_topology_show(t, names, false, &err);
	cr_assert(out, "%s", err.saw);
	has(out, "  agent            native, python                built in, it has children\n");
	has(out, "  agent            python, native                f.yaml:3:35\n");
	has(out, "  native           never                         f.yaml:2:20 (defaults)\n");
	free(out);
	out = ectx_topology_plan(t, names, false, &err);
	cr_assert(out, "%s", err.saw);
	has(out, " sends the Python agent\n");
	cr_expect_null(strstr(out, "native"));
	free(out);
	ectx_topology_free(t);
}

Test(plan, a_native_agent_that_its_parent_has)
{
	ectx_error err = {0};
	const char *text = "econtext: 1\n"
			   "defaults: {agent: native}\n"
			   "nodes:\n"
			   "  top: {local: {}}\n"
			   "  under: {via: top, local: {}}\n"
			   "  named: {via: top, local: {}, python: python3}\n"
			   "  py: {via: top, local: {}, agent: python}\n"
			   "  below: {via: py, local: {}}\n"
			   "  far: {}\n";
	const char *const names[] = {"top", NULL}, *const under[] = {"under", NULL};
	const char *const others[] = {"named", "py", "below", "far"};
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "f.yaml", &err);
	cr_assert(t, "%s", err.saw);
	char *out = ectx_topology_plan(t, names, false, &err);
	has(out, " (neither, where the master can execute the native agent that it has)\n");
	free(out);
	out = ectx_topology_plan(t, under, false, &err);
	has(out, " (neither, where top can execute the native agent that it has)\n");
	free(out);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		const char *const one[] = {others[i], NULL};
		out = ectx_topology_plan(t, one, false, &err);
		cr_assert(out, "%s", err.saw);
		cr_expect_eq(strstr(out, "where the master") != NULL, i != 3, "%s", out); /* top is on the way */
		cr_expect_null(strstr(out, "where top"), "%s", out);
		cr_expect_null(strstr(out, "where py"), "%s", out);
		free(out);
	}
	ectx_topology_free(t);
}

Test(show, of_no_names_is_of_all)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	char *text = ectx_topology_show(t, NULL, true, &e);
	cr_assert(text, "%s", e.saw);
	size_t lines = 0;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	cr_expect_eq(lines, 16);
	has(text, "{\"name\": \"a03:db\", ");
	free(text);
	ectx_topology_free(t);
	t = ectx_topology_none();
	cr_expect_null(ectx_topology_show(t, NULL, false, &e));
	cr_expect_eq(e.status, ECTX_USAGE);
	ectx_topology_free(t);
}
