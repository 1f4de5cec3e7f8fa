/* Selecting: order of first mention, groups, exclusion, users; ad-hoc ways, and hosts of ssh_config when there is no
 * file. ssh is a script of the test's own on PATH. Every refusal with its suggestion. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topology/internal.h"

static const char file[] = "econtext: 1\n"
			   "nodes:\n"
			   "  bastion: {}\n"
			   "  web[1-4]: {via: bastion, groups: [web, all]}\n"
			   "  db1: {groups: [db, all], become: [{as: app}, {as: root, method: su}]}\n"
			   "  db2: {groups: [db, all], become: [{as: app}]}\n";

static ectx_topology *parse(void)
{
	ectx_error e = {0};
	ectx_topology *t = ectx_topology_parse(file, strlen(file), "f.yaml", &e);
	cr_assert(t, "%s", e.saw);
	return t;
}

static void gives(const char *select, const char *exclude, const char *groups, const char *expected)
{
	ectx_topology *t = parse();
	ectx_error e = {0};
	char got[512] = "", **names = ectx_topology_select(t, select, exclude, groups, &e);
	cr_assert(names, "%s %s %s: %s", select, exclude, groups, e.saw);
	for (size_t i = 0; names[i]; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "", names[i]);
	cr_expect_str_eq(got, expected, "%s %s %s: got \"%s\"", select, exclude, groups, got);
	free(names);
	ectx_topology_free(t);
}

static void refuses_in(const ectx_topology *t, const char *select, const char *exclude, const char *groups,
		       const char *saw, const char *hint)
{
	ectx_error e = {0};
	char **names = ectx_topology_select(t, select, exclude, groups, &e);
	cr_expect(!names, "%s %s %s was taken", select, exclude, groups);
	cr_expect_eq(e.status, ECTX_USAGE);
	cr_expect_str_eq(e.saw, saw);
	cr_expect_str_eq(e.hint, hint);
	free(names);
}

static void refuses(const char *select, const char *exclude, const char *groups, const char *saw, const char *hint)
{
	ectx_topology *t = parse();
	refuses_in(t, select, exclude, groups, saw, hint);
	ectx_topology_free(t);
}

Test(select, in_order_of_first_mention)
{
	gives("web[3,1],db1,web[1-2]", NULL, NULL, "web3 web1 db1 web2");
	gives("db1:root,db1,db1:app,db1:root", NULL, NULL, "db1:root db1 db1:app");
	gives("db[1-2]:app", NULL, NULL, "db1:app db2:app");
	gives("@*", NULL, NULL, "bastion web1 web2 web3 web4 db1 db2");
	gives("@db", NULL, "web", "db1 db2 web1 web2 web3 web4");
	gives(NULL, NULL, "@db", "db1 db2");
	gives("@db:app", NULL, NULL, "db1:app db2:app");
	gives("@db:root", NULL, NULL, "db1:root");
	gives("@all:root", NULL, NULL, "db1:root");
	gives("@[web,db],!web[1-4]", NULL, NULL, "db1 db2");
}

Test(select, exclusion_wins_wherever_it_stands)
{
	gives("@web,!web2", NULL, NULL, "web1 web3 web4");
	gives("!web2,@web", NULL, NULL, "web1 web3 web4");
	gives("@all,!@web", NULL, NULL, "db1 db2");
	gives("@all", "@web,db2", NULL, "db1");
}

Test(select, a_host_excludes_who_one_becomes_there)
{
	gives("db1:app,db2:app,db1:root", "db1", NULL, "db2:app");
	gives("db1,db1:app,db1:root", "db1:app", NULL, "db1 db1:root");
}

Test(select, refusals)
{
	refuses("web5", NULL, NULL, "no node named \"web5\"", "did you mean \"web1\"?");
	refuses("zzzzzz", NULL, NULL, "no node named \"zzzzzz\"", "no node of that name in f.yaml");
	refuses("*", NULL, NULL, "no node named \"*\"",
		"there are no patterns: write a set, name[1-9], a group, or @* for every node");
	refuses("web?", NULL, NULL, "no node named \"web?\"",
		"there are no patterns: write a set, name[1-9], a group, or @* for every node");
	refuses("web", NULL, NULL, "no node named \"web\"", "it is a group: write \"@web\"");
	refuses("web0003", NULL, NULL, "no node named \"web0003\"", "did you mean \"web3\"?");
	refuses("db1:ap", NULL, NULL, "node \"db1\" has no become step \"ap\"", "did you mean \"db1:app\"?");
	refuses("db1:zzz", NULL, NULL, "node \"db1\" has no become step \"zzz\"",
		"its steps stand under become: of \"db1\"");
	refuses("web1:app", NULL, NULL, "node \"web1\" has no become step \"app\"", "\"web[1-4]\" has no become:");
	refuses("@wbe", NULL, NULL, "no group named \"wbe\"", "did you mean \"@web\"?");
	refuses("@zzzzzz", NULL, NULL, "no group named \"zzzzzz\"",
		"groups are made by groups: of nodes; @* is every node");
	refuses("@web:app", NULL, NULL, "no node of group \"web\" has a become step \"app\"",
		"steps stand under become: of the nodes");
	refuses("web1", "!web1", NULL, "\"!web1\": \"!\" within what is excluded", "name it without the \"!\"");
	refuses(NULL, NULL, "web,!db", "\"web,!db\": no list of groups", "write web,db");
	refuses(NULL, NULL, "", "\"\": no list of groups", "write web,db");
	refuses("!web1", NULL, NULL, "nothing is selected", "say what to take as well: \"@*,!db03\"");
	refuses(NULL, NULL, NULL, "nothing is selected", "name nodes with -w or groups with -g");
	refuses("web1", "web1", NULL, "everything that is selected is excluded",
		"look at -x and at the items with \"!\"");
	refuses("web[1-", NULL, NULL, "\"web[1-\": no closing bracket",
		"write name[1-3]; on a command line quote the set");
	ectx_topology *none = ectx_topology_none();
	refuses_in(none, "@web", NULL, NULL, "no group named \"web\"", "groups need a topology file");
	ectx_error e = {0};
	cr_expect_null(ectx_topology_plan(none, NULL, false, &e));
	cr_expect_str_eq(e.saw, "nothing is selected");
	cr_expect_str_eq(e.hint, "without a topology file name hosts with -w");
	ectx_topology_free(none);
}

/* 1,048,576 of them; one that was named before is none more. */
Test(select, as_many_names_as_contexts)
{
	ectx_topology *t = parse();
	struct eci_selection s = {.named_ok = true, .name_count = (1u << 20) - 1}; /* stands for names */
	ectx_error e = {0};
	cr_assert_eq(eci_selection_reset(t, &s), 0);
	cr_expect_eq(eci_select_into(t, "bastion/x,bastion/x", &s, NULL, &e), 0, "%s", e.saw);
	cr_expect(s.count == 1 && s.name_count == ECI_CONTEXTS_MAX);
	cr_expect_neq(eci_select_into(t, "bastion/y", &s, NULL, &e), 0);
	cr_expect_str_eq(e.saw, "more than 1048576 names");
	cr_expect_eq(eci_select_into(t, "db1", &s, NULL, &e), 0, "a declared one is none of them");
	eci_selection_deinit(&s);
	ectx_topology_free(t);
}

/* ---- ways that no file declares ---- */

static void path_is(const ectx_topology *t, const char *name, const char *expected)
{
	struct eci_plan p;
	ectx_error e = {0};
	char got[8192] = "";
	cr_assert_eq(eci_plan_make(t, &name, 1, &p, &e), 0, "%s: %s", name, e.saw);
	for (size_t i = 0; i < p.count; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "", p.items[i].name);
	cr_expect_str_eq(got, expected, "%s: got \"%s\"", name, got);
	eci_plan_deinit(&p);
}

static void no_way(const ectx_topology *t, const char *name, const char *saw, const char *hint)
{
	struct eci_plan p;
	ectx_error e = {0};
	cr_expect_neq(eci_plan_make(t, &name, 1, &p, &e), 0, "%s was taken", name);
	cr_expect_str_eq(e.saw, saw);
	cr_expect_str_eq(e.hint, hint);
}

#define WRITE "write HOST, HOST:USER or BASTION/HOST:USER"

Test(adhoc, ways_from_a_declared_node)
{
	ectx_topology *t = parse();
	path_is(t, "bastion/x", "bastion bastion/x");
	path_is(t, "web1/x:root", "bastion web1 web1/x web1/x:root");
	path_is(t, "db1:app/x/me@y:a:b", "db1 db1:app db1:app/x db1:app/x/me@y db1:app/x/me@y:a db1:app/x/me@y:a:b");
	no_way(t, "nowhere/x", "no node named \"nowhere\"", "no node of that name in f.yaml");
	no_way(t, "bastion/-x", "\"bastion/-x\": not a way to a host", WRITE);
	no_way(t, "bastion/$(id)", "\"bastion/$(id)\": not a way to a host", WRITE);
	no_way(t, "bastion//x", "\"bastion/\": not a way to a host", WRITE);
	no_way(t, "bastion/x:-u", "\"bastion/x:-u\": not a way to a user", WRITE);
	no_way(t, "bastion/x:", "\"bastion/x:\": not a way to a user", WRITE);
	ectx_topology_free(t);
}

/* Whoever selects is told, so that nothing is started for the other targets. */
Test(adhoc, what_is_no_way_is_not_selected)
{
	gives("bastion/x,db1:app/y:z,bastion/me@h", NULL, NULL, "bastion/x db1:app/y:z bastion/me@h");
	refuses("web1,nowhere/x", NULL, NULL, "no node named \"nowhere\"", "no node of that name in f.yaml");
	refuses("web1,bastion/-x", NULL, NULL, "\"bastion/-x\": not a way to a host", WRITE);
	refuses("web1", "bastion/x:", NULL, "\"bastion/x:\": not a way to a user", WRITE);
	ectx_topology *t = ectx_topology_none();
	refuses_in(t, "good,-bad", NULL, NULL, "\"-bad\": not a way to a host", WRITE);
	refuses_in(t, "good,a//b", NULL, NULL, "\"a//b\": not a way to a host", WRITE);
	refuses_in(t, "good,a/b:-u", NULL, NULL, "\"a/b:-u\": not a way to a user", WRITE);
	refuses_in(t, "good,@x", NULL, NULL, "no group named \"x\"", "groups need a topology file");
	refuses_in(t, "-u@x", NULL, NULL, "\"-u@x\": not a way to a host", WRITE);
	refuses_in(t, "good,..", NULL, NULL, "\"..\": not a way to a host", WRITE);
	refuses_in(t, "good,u@.", NULL, NULL, "\"u@.\": not a way to a host", WRITE);
	refuses_in(t, "good,a:u@x", NULL, NULL, "\"a:u@x\": not a way to a user", WRITE);
	ectx_topology_free(t);
}

/* A user and a host of 255 bytes each are selected; of either one byte more, and much more. */
Test(adhoc, names_are_selected_up_to_255_bytes)
{
	static const int lengths[][3] = {{255, 255, 1}, {255, 256, 0}, {256, 255, 0}, {254, 257, 0}, {255, 700, 0}};
	ectx_topology *t = ectx_topology_none();
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		char name[1024];
		ectx_error e = {0};
		memset(name, 'x', sizeof name);
		name[lengths[i][0]] = '@';
		name[lengths[i][0] + 1 + lengths[i][1]] = 0;
		char **names = ectx_topology_select(t, name, NULL, NULL, &e);
		cr_expect_eq(names != NULL, lengths[i][2], "%s", name);
		cr_expect_str_eq(e.hint, names ? "" : WRITE);
		free(names);
	}
	ectx_topology_free(t);
}

Test(adhoc, is_at_most_63_hops)
{
	ectx_topology *t = parse();
	char name[1024] = "bastion", past[1100], saw[1200];
	for (int i = 1; i < 63; i++)
		strcat(name, "/x");
	struct eci_plan p;
	ectx_error e = {0};
	const char *one = name;
	cr_assert_eq(eci_plan_make(t, &one, 1, &p, &e), 0, "%s", e.saw);
	cr_expect_eq(p.count, 63);
	eci_plan_deinit(&p);
	snprintf(past, sizeof past, "%s/x", name);
	snprintf(saw, sizeof saw, "\"%s\": more than 63 hops", past);
	no_way(t, past, saw, WRITE);
	ectx_topology_free(t);
}

Test(adhoc, a_name_is_at_most_255_bytes)
{
	static const char *const forms[][2] = {
		{"bastion/%s", "a host"}, {"bastion/x:%s", "a user"}, {"bastion/%s@x", "a host"}};
	ectx_topology *t = parse();
	for (size_t i = 0; i < 3; i++) {
		char word[257], name[300], saw[400];
		struct eci_plan p;
		ectx_error e = {0};
		const char *one = name;
		memset(word, 'x', sizeof word);
		word[255] = 0;
		snprintf(name, sizeof name, forms[i][0], word);
		cr_assert_eq(eci_plan_make(t, &one, 1, &p, &e), 0, "%s", e.saw);
		eci_plan_deinit(&p);
		word[255] = 'x';
		word[256] = 0;
		snprintf(name, sizeof name, forms[i][0], word);
		snprintf(saw, sizeof saw, "\"%s\": not a way to %s", name, forms[i][1]);
		no_way(t, name, saw, WRITE);
	}
	ectx_topology_free(t);
}

/* ssh is `script` from now on; in a process of its own, as each test is. */
static void play_ssh(const char *script)
{
	static char dir[] = "/tmp/ectx-ssh-XXXXXX";
	static bool made; /* a name that mkdtemp made may end in X as well */
	char path[64];
	if (!made)
		cr_assert(mkdtemp(dir));
	made = true;
	snprintf(path, sizeof path, "%s/ssh", dir);
	unlink(path);
	if (script) {
		FILE *f = fopen(path, "w");
		cr_assert(f);
		fprintf(f, "#!/bin/sh\nhost=$4\n%s", script);
		fclose(f);
		chmod(path, 0755);
	}
	setenv("PATH", dir, 1); /* what the scripts use is built into sh */
	if (!script)
		rmdir(dir);
}

/* Jump hosts: h0 through none, h1 through h0, h2 through h1 ... */
#define CHAIN                                                                              \
	"n=${host#h}\n"                                                                    \
	"echo \"hostname $host.example.net\"; echo 'user me'; echo 'port 2200'\n"          \
	"case $host in h0 | other) ;; h*) echo \"proxyjump h$((n - 1))\" ;;\n"             \
	"list) echo 'proxyjump a@other:2201,ssh://h0' ;; none) echo 'proxyjump none' ;;\n" \
	"badport) echo 'proxyjump h0:70000' ;; noport) echo 'proxyjump h0:x' ;;\n"         \
	"v6) echo 'proxyjump [::1]:22' ;; esac\n"

Test(ssh_config, jump_hosts_are_contexts)
{
	ectx_topology *t = ectx_topology_none();
	play_ssh(CHAIN);
	path_is(t, "other", "other");
	path_is(t, "none", "none");
	path_is(t, "h2", "h0 h1 h2");
	path_is(t, "list", "a@other:2201 a@other:2201/ssh://h0 list");
	path_is(t, "h1:root", "h0 h1 h1:root");
	no_way(t, "badport", "\"h0\": ProxyJump with a port that is none", WRITE);
	no_way(t, "noport", "\"h0\": ProxyJump with a port that is none", WRITE);
	no_way(t, "v6", "\"[::1]\": ProxyJump through a name that cannot be read", WRITE);
	play_ssh(NULL);
	ectx_topology_free(t);
}

/* Dialled from here by its name, which ssh resolves itself; behind a jump host by what it stands for. What is written
 * goes before what ssh says. */
Test(ssh_config, a_jump_host_is_dialled_by_what_is_known_here)
{
	ectx_topology *t = ectx_topology_none();
	struct eci_plan p;
	ectx_error e = {0};
	const char *name = "list";
	play_ssh(CHAIN);
	cr_assert_eq(eci_plan_make(t, &name, 1, &p, &e), 0, "%s", e.saw);
	cr_assert_eq(p.count, 3);
	const struct eci_target *a = &p.items[0].target, *h0 = &p.items[1].target, *list = &p.items[2].target;
	cr_expect(!strcmp(a->host, "other") && !strcmp(a->user, "a") && a->port == 2201, "%s", a->host);
	cr_expect(!strcmp(h0->host, "h0.example.net") && !strcmp(h0->user, "me") && h0->port == 2200, "%s", h0->host);
	cr_expect(!strcmp(list->host, "list.example.net") && list->method == ECI_SSH, "%s", list->host);
	eci_plan_deinit(&p);
	name = "other";
	cr_assert_eq(eci_plan_make(t, &name, 1, &p, &e), 0, "%s", e.saw);
	a = &p.items[0].target;
	cr_expect(!strcmp(a->host, "other") && !a->user && !a->port, "ssh's own matter");
	eci_plan_deinit(&p);
	play_ssh(NULL);
	ectx_topology_free(t);
}

Test(ssh_config, jump_hosts_have_a_limit)
{
	ectx_topology *t = ectx_topology_none();
	struct eci_plan p;
	ectx_error e = {0};
	const char *at = "h16", *past = "h17";
	play_ssh(CHAIN);
	cr_expect_eq(eci_plan_make(t, &at, 1, &p, &e), 0, "%s", e.saw);
	cr_expect_eq(p.count, 17);
	eci_plan_deinit(&p);
	no_way(t, past, "\"h0\": ProxyJump of more than 16 hosts",
	       "two hosts of ssh_config that jump through each other?");
	play_ssh(NULL);
	ectx_topology_free(t);
}

/* What ssh prints is read up to 64 KiB. Of more, what stands last may be what matters: it is refused. */
Test(ssh_config, an_answer_has_a_limit)
{
	ectx_topology *t = ectx_topology_none();
	char script[128], saw[400];
	const int rest = (int)strlen("port 22\n.\nhostname h") - 1;
	for (int past = 0; past <= 1; past++) {
		snprintf(script, sizeof script, "echo 'port 22'; printf '%%%ds\\nhostname h'\n", 65536 - rest + past);
		play_ssh(script);
		if (past)
			no_way(t, "a", "ssh -G a: an answer of more than 64 KiB", "");
		else
			path_is(t, "a", "a");
	}
	play_ssh("printf '%200000s\\n'; exit 255\n");
	snprintf(saw, sizeof saw, "ssh -G a: %300s", "");
	no_way(t, "a", saw, "ssh cannot read its configuration: try ssh -G a");
	play_ssh(NULL);
	ectx_topology_free(t);
}

Test(ssh_config, what_ssh_cannot_say)
{
	ectx_topology *t = ectx_topology_none();
	play_ssh("echo 'line 3: Bad configuration option: fo'; exit 255\n");
	no_way(t, "a", "ssh -G a: line 3: Bad configuration option: fo\\x0a",
	       "ssh cannot read its configuration: try ssh -G a");
	play_ssh("echo 'user me'\n");
	no_way(t, "a", "ssh -G a: an answer that cannot be read", "");
	play_ssh("echo 'port 22'\n");
	no_way(t, "a", "ssh -G a: an answer that cannot be read", "");
	play_ssh("echo \"$1 $2 $3 $4 $#\" >&2; exit 1\n");
	no_way(t, "me@a", "ssh -G a: -G -oUser=me -- a 4\\x0a", "ssh cannot read its configuration: try ssh -G a");
	play_ssh("read a && echo 'hostname a'; echo 'port 22'\n"); /* from stdin, which is nobody's */
	no_way(t, "a", "ssh -G a: an answer that cannot be read", "");
	play_ssh("echo 'hostname -oX'; echo 'port 22'\n");
	no_way(t, "a", "ssh -G a: a host name that starts with \"-\"", "");
	play_ssh(NULL);
	no_way(t, "a", "ssh -G could not be started: errno 2", "install an ssh client, or give a topology file");
	ectx_topology_free(t);
}

/* What it printed may be half an answer, or none that looks like one. */
Test(ssh_config, an_answer_whose_exit_status_is_taken)
{
	static const char *const scripts[] = {"echo 'hostname a'; echo 'port 22'\n",
					      "echo 'hostname a'; echo 'port 22'; exit 255\n", "kill -9 $$\n"};
	ectx_topology *t = ectx_topology_none();
	(void)signal(SIGCHLD, SIG_IGN); /* then the kernel takes it, as a thread that waits for any child may */
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		play_ssh(scripts[i]);
		no_way(t, "a", "ssh -G a: this program has taken its exit status",
		       "waitpid(-1), ev_default_loop() and an ignored SIGCHLD take it: wait for your own children "
		       "only");
	}
	play_ssh(NULL);
	ectx_topology_free(t);
}
