/* Loading: every kind of error with its place and suggestion (errors.golden), limits at and one past, that damaged
 * files never crash, and that 100,000 nodes load in linear time. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/random.h"
#include "topology/topology.h"

static ectx_topology *parse(const char *text, ectx_error *e)
{
	memset(e, 0, sizeof *e);
	return ectx_topology_parse(text, strlen(text), "f.yaml", e);
}

static void refuses_n(const char *text, size_t n, const char *saw, const char *hint)
{
	ectx_error e = {0};
	ectx_topology *t = ectx_topology_parse(text, n, "f.yaml", &e);
	cr_expect(!t, "taken, where \"%s\" is due:\n%.300s", saw, text);
	cr_expect_eq(e.status, ECTX_USAGE);
	cr_expect_eq(e.code, ECTX_E_TOPOLOGY);
	cr_expect_str_eq(e.saw, saw, "got  %s\ndue  %s\nfor\n%.300s", e.saw, saw, text);
	cr_expect_str_eq(e.hint, hint, "got  %s\ndue  %s\nfor\n%.300s", e.hint, hint, text);
	ectx_topology_free(t);
}

static void refuses(const char *text, const char *saw, const char *hint)
{
	refuses_n(text, strlen(text), saw, hint);
}

static void takes(const char *text)
{
	ectx_error e;
	ectx_topology *t = parse(text, &e);
	cr_expect(t, "%s (%s) for\n%.300s", e.saw, e.hint, text);
	ectx_topology_free(t);
}

/* A file beside this one. */
static FILE *beside(const char *name)
{
	char path[1024];
	const char *slash = strrchr(__FILE__, '/');
	snprintf(path, sizeof path, "%.*s/%s", (int)(slash - __FILE__), __FILE__, name);
	FILE *f = fopen(path, "r");
	cr_assert(f, "%s", path);
	return f;
}

Test(load, every_kind_of_error)
{
	FILE *f = beside("errors.golden");
	char line[1024], text[8192] = "", saw[1024] = "";
	bool started = false;
	int cases = 0;
	while (fgets(line, sizeof line, f)) {
		if (line[0] == '\n' && !*text) {
			started = true;
		} else if (started && line[0] == '>') {
			line[strlen(line) - 1] = 0;
			if (*saw) {
				refuses(text, saw, line + 2);
				cases++;
				*saw = *text = 0;
			} else {
				strcpy(saw, line + 2);
			}
		} else if (started) {
			strcat(text, line);
		}
	}
	fclose(f);
	cr_expect_geq(cases, 150);
}

/* A program that has read an empty file may have NULL. */
Test(load, no_text_at_all)
{
	ectx_error err = {0};
	cr_expect(ectx_topology_parse(NULL, 0, "f", &err) == NULL);
	cr_expect(err.code == ECTX_E_TOPOLOGY && strstr(err.saw, "the file is empty"), "%s", err.saw);
}

Test(load, what_is_not_text)
{
	refuses("", "f.yaml:1:1: the file is empty", "start it with \"econtext: 1\" and \"nodes:\"");
	refuses("econtext: 1\nnodes: \x01\n", "f.yaml:2:8: not readable as text: control characters are not allowed",
		"the file must be UTF-8 without control characters");
	refuses("econtext: 1\nnodes:\n  a: \xff\n", "f.yaml:3:6: not readable as text: invalid leading UTF-8 octet",
		"the file must be UTF-8 without control characters");
	refuses_n("econtext: 1\n\0", 13, "f.yaml:2:1: not readable as text: control characters are not allowed",
		  "the file must be UTF-8 without control characters");
	takes("\xef\xbb\xbf"
	      "econtext: 1\nnodes: {a: {}}\n");
}

/* head, then n times item with each "#" for a number and each "$" for the one before it, separated by sep, then tail.
 */
static char *repeated(const char *head, const char *item, const char *sep, int n, const char *tail)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	fputs(head, f);
	for (int i = 0; i < n; i++) {
		fputs(i ? sep : "", f);
		for (const char *p = item; *p; p++) {
			if (*p == '#' || *p == '$')
				fprintf(f, "%d", *p == '#' ? i : i - 1);
			else
				fputc(*p, f);
		}
	}
	fputs(tail, f);
	fclose(f);
	return text;
}

#define NODES "econtext: 1\nnodes:\n"

Test(load, limits_of_lists)
{
	struct {
		const char *head, *item, *tail;
		int limit;
		const char *saw, *hint;
	} c[] = {
		{NODES "  a: {groups: [", "g#", "]}\n", 64, "f.yaml:3:15: groups: 65 items, at most 64", "use fewer"},
		{NODES "  a: {ssh: {options: [", "a=#", "]}}\n", 64, "f.yaml:3:22: ssh.options: 65 items, at most 64",
		 "use fewer"},
		{NODES "  a: {become: [", "{as: u#}", "]}\n", 16, "f.yaml:3:15: become: 17 steps, at most 16",
		 "each step is a process on the host: use a shorter chain"},
	};
	for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
		char *at = repeated(c[i].head, c[i].item, ", ", c[i].limit, c[i].tail);
		char *past = repeated(c[i].head, c[i].item, ", ", c[i].limit + 1, c[i].tail);
		takes(at);
		refuses(past, c[i].saw, c[i].hint);
		free(at);
		free(past);
	}
}

Test(load, limits_of_depth)
{
	char *at = repeated(NODES "  n-1: {}\n", "  n#: {via: n$}\n", "", 62, "");
	char *past = repeated(NODES "  n-1: {}\n", "  n#: {via: n$}\n", "", 63, "");
	takes(at);
	refuses(past, "f.yaml:66:3: nodes: \"n62\" is more than 63 hops from the master",
		"nodes and become steps count: use a shorter way");
	free(at);
	free(past);
	/* the second of two, with a step */
	at = repeated(NODES "  n-1: {}\n", "  n#: {via: n$}\n", "", 60, "  x[1-2]: {via: n59, become: [{as: r}]}\n");
	past = repeated(NODES "  n-1: {}\n", "  n#: {via: n$}\n", "", 61,
			"  x[1-2]: {via: [n58, n60], become: [{as: r}]}\n");
	takes(at);
	refuses(past, "f.yaml:65:3: nodes: \"x2\" is more than 63 hops from the master",
		"nodes and become steps count: use a shorter way");
	free(at);
	free(past);
	/* with the root and nodes: 16 and 17 */
	at = repeated(NODES "  a: ", "[", "", 14, "]]]]]]]]]]]]]]\n");
	past = repeated(NODES "  a: ", "[", "", 15, "]]]]]]]]]]]]]]]\n");
	refuses(at, "f.yaml:3:6: nodes: \"a\" is a list, where a map is due",
		"write {via: RELAY} or {ssh: {host: NAME}}");
	refuses(past, "f.yaml:3:20: more than 16 levels of nesting", "nothing in a topology lies so deep");
	free(at);
	free(past);
}

/* The relays that all via: name together: 2,048 nodes with 2,048 relays each are 2^22. */
Test(load, limit_of_relays_named, .timeout = 60)
{
	const char *item = "  n#: {via: 'r[1-2048]'}\n";
	char *at = repeated(NODES "  r[1-2048]: {}\n", item, "", 2048, "");
	char *past = repeated(NODES "  r[1-2048]: {}\n", item, "", 2049, "");
	takes(at);
	refuses(past, "f.yaml:2052:16: via: more than 4194304 relays are named in all",
		"give nodes that share relays one key");
	free(at);
	free(past);
}

Test(load, limits_of_values)
{
	char text[1024], name[300];
	memset(name, 'x', sizeof name);
	name[255] = 0;
	snprintf(text, sizeof text, NODES "  %s: {}\n", name);
	takes(text);
	snprintf(text, sizeof text, NODES "  %sx: {}\n", name);
	ectx_error e;
	cr_expect(!parse(text, &e));
	cr_expect(strstr(e.saw, "is no name of a node"));
	memset(name, 'p', sizeof name);
	name[200] = 0;
	snprintf(text, sizeof text, NODES "  a: {python: %s}\n", name);
	takes(text);
	snprintf(text, sizeof text, NODES "  a: {python: %sp}\n", name);
	cr_expect(!parse(text, &e));
	cr_expect(strstr(e.saw, "is longer than 200 bytes"));
	cr_expect_str_eq(e.hint, "name it by a shorter path: a link will do");
	takes(NODES "  a: {ssh: {port: 1}}\n  b: {ssh: {port: 65535}}\n");
	takes(NODES "  a: {dial_window: 1}\n  b: {dial_window: 256}\n");
	takes(NODES
	      "  a: {timeout: {connect: 1ms, auth: 24h, become: 1440m, shell: 86400, boot: 86400000ms, idle: 0}}\n");
	takes("econtext: 1\nsecrets: {a: {fd: 0}, b: {fd: 65535}}\nnodes: {a: {}}\n");
	takes(NODES "  \"a[1-524288]\": {become: [{as: x}]}\n");
	refuses(NODES "  \"a[1-524288]\": {become: [{as: x}]}\n  b: {}\n",
		"f.yaml:4:3: nodes: more than 1,048,576 contexts",
		"nodes and become steps count: look at the ends of the ranges");
}

Test(load, limit_of_size)
{
	size_t max = 16u << 20;
	char *text = malloc(max + 2);
	memset(text, '\n', max + 1);
	memcpy(text, "econtext: 1\nnodes: {a: {}}\n", 27);
	ectx_error e = {0};
	ectx_topology *t = ectx_topology_parse(text, max, "f.yaml", &e);
	cr_expect(t, "%s", e.saw);
	ectx_topology_free(t);
	refuses_n(text, max + 1, "f.yaml: larger than 16 MiB", "write nodes as sets: web[001-999]");
	free(text);
}

/* Beyond 16 keys duplicates are found by a hash, up to then one by one. */
Test(load, duplicates_in_short_and_long_maps)
{
	for (int n = 1; n < 40; n++)
		for (int k = 0; k < n; k += 5) {
			char tail[64], saw[128];
			snprintf(tail, sizeof tail, "  n%d: {}\n", k);
			snprintf(saw, sizeof saw, "f.yaml:%d:3: duplicate key \"n%d\", first in line %d", n + 3, k,
				 k + 3);
			char *text = repeated(NODES, "  n#: {}\n", "", n, tail);
			refuses(text, saw, "keep one of the two");
			free(text);
		}
}

Test(load, every_setting_is_taken)
{
	takes("econtext: 1\n"
	      "defaults: {user: ops, hostkey: strict, timeout: {connect: 10s, auth: 20s, become: 20s, boot: 20s, idle: "
	      "15s},\n"
	      "  dial: relay, agent: [python], native: auto, python: /usr/bin/python3, title: x, feed: false, "
	      "dial_window: 4,\n"
	      "  ssh: {host: '%n.dc%%', port: 22, user: me, identity: id, config: c, options: [A=b, 'C d'], password: "
	      "p,\n"
	      "        program: ./ssh}}\n"
	      "secrets:\n"
	      "  p: {prompt: \"sudo password\"}\n"
	      "  e: {env: APP_PW09}\n"
	      "  d: {fd: 3}\n"
	      "  f: {file: pw}\n"
	      "  c: {command: [pass, show, x]}\n"
	      "nodes:\n"
	      "  bastion:\n"
	      "  here: {local: {}}\n"
	      "  here2: {local: }\n"
	      "  relay-[a,b]: {via: bastion, agent: python}\n"
	      "  relay-c: {agent: [native, python], native: never}\n"
	      "  relay-d: {agent: native, native: always}\n"
	      "  relay-e: {agent: [python, native], native: always}\n"
	      "  \"web[001-010,20]\": {via: \"relay-[a,b]\", groups: web, hostkey: accept-new, feed: true}\n"
	      "  db: {via: [relay-a, relay-b], become: [{as: jdoe, password: p}, {as: app, method: su, password: e},\n"
	      "       {as: root, method: doas, program: /usr/bin/doas}], groups: [db, prod]}\n"
	      "  behind: {via: 'db:root'}\n"
	      "  \"x,y\": {via: '@db'}\n");
	takes("{\"econtext\": 1, \"nodes\": {\"a\": {\"ssh\": {\"port\": 22}}}}");
	takes("nodes:\n  no: {}\n  yes: {via: no}\n  0x10: {}\n"
	      "econtext: 1\n");
}

Test(load, secrets_are_recorded)
{
	ectx_error e;
	const char *text =
		"econtext: 1\nsecrets: {a: {prompt: 'pw?'}, b: {fd: 7}, c: {command: [x, y]}, d: {file: pw}, "
		"e: {file: /pw}}\nnodes: {n: {}}\n";
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "dir/f.yaml", &e);
	cr_assert(t, "%s", e.saw);
	cr_expect(!eci_topology_secret(t, "z"));
	cr_expect_str_eq(eci_topology_secret(t, "a")->text, "pw?");
	cr_expect_eq(eci_topology_secret(t, "a")->kind, ECI_SECRET_PROMPT);
	cr_expect_eq(eci_topology_secret(t, "b")->fd, 7);
	cr_expect_str_eq(eci_topology_secret(t, "c")->command[1], "y");
	cr_expect(!eci_topology_secret(t, "c")->command[2]);
	cr_expect_str_eq(eci_topology_secret(t, "d")->text, "dir/pw");
	cr_expect_str_eq(eci_topology_secret(t, "e")->text, "/pw");
	ectx_topology_free(t);
}

Test(load, files)
{
	ectx_error e = {0};
	cr_expect(!ectx_topology_load("/no/such/file.yaml", &e));
	cr_expect_str_eq(e.saw, "/no/such/file.yaml: No such file or directory");
	cr_expect_str_eq(e.hint, "name a topology file: --topology FILE or $ECONTEXT_TOPOLOGY");
	memset(&e, 0, sizeof e);
	cr_expect(!ectx_topology_load("/", &e));
	cr_expect_str_eq(e.saw, "/: Is a directory");
	cr_expect_str_eq(e.hint, "the file must be readable");
	cr_expect(!ectx_topology_load("/no/such/file.yaml", NULL));
}

Test(load, default_path)
{
	char dir[] = "/tmp/ectx-topology-XXXXXX";
	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	setenv("HOME", dir, 1);
	unsetenv("ECONTEXT_TOPOLOGY");
	cr_expect(!ectx_topology_default_path());
	mkdir(".config", 0700);
	mkdir(".config/econtext", 0700);
	fclose(fopen(".config/econtext/topology.yaml", "w"));
	char *p = ectx_topology_default_path();
	cr_expect(p && strstr(p, "/.config/econtext/topology.yaml"));
	free(p);
	fclose(fopen("econtext.yaml", "w"));
	p = ectx_topology_default_path();
	cr_expect_str_eq(p, "./econtext.yaml");
	free(p);
	setenv("ECONTEXT_TOPOLOGY", "x.yaml", 1);
	p = ectx_topology_default_path();
	cr_expect_str_eq(p, "x.yaml");
	free(p);
	unlink("econtext.yaml");
	unlink(".config/econtext/topology.yaml");
	rmdir(".config/econtext");
	rmdir(".config");
	cr_expect_eq(chdir("/"), 0);
	rmdir(dir);
}

static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#ifdef __SANITIZE_ADDRESS__
enum { MANY = 20000 }; /* whose allocator takes most of the time */
#else
enum { MANY = 100000 };
#endif

/* Written one by one, each with its own via: what is quadratic in entries, nodes or groups shows. */
Test(load, many_nodes, .timeout = 60)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	fputs(NODES, f);
	fputs("  r[0-999]: {}\n", f);
	for (int i = 0; i < MANY; i++)
		fprintf(f, "  n%06d: {via: r%d, groups: [all, g%d]}\n", i, i % 1000, i % 500);
	fclose(f);
	ectx_error e = {0};
	double start = seconds();
	ectx_topology *t = ectx_topology_parse(text, len, "f.yaml", &e);
	cr_assert(t, "%s", e.saw);
	char **names = ectx_topology_select(t, "@all,!n000007", NULL, NULL, &e);
	cr_assert(names, "%s", e.saw);
	size_t n = 0;
	while (names[n])
		n++;
	cr_expect_eq(n, MANY - 1);
	struct eci_plan p;
	cr_assert_eq(eci_plan_make(t, (const char *const *)names, n, &p, &e), 0);
	cr_expect_eq(p.count, MANY - 1 + 1000);
	eci_plan_deinit(&p);
	char *folded = ectx_nodeset_fold((const char *const *)names, n);
	char expected[64];
	(void)snprintf(expected, sizeof expected, "n[000000-000006,000008-%06d]", MANY - 1);
	cr_expect_str_eq(folded, expected);
	double took = seconds() - start;
	cr_expect_lt(took, 20.0, "took %.1f s", took); /* 1 s without sanitizers; quadratic would be hours */
	free(folded);
	free(names);
	ectx_topology_free(t);
	free(text);
}

/* A file in which bytes are changed, removed, doubled or cut off is an error or a topology, and nothing else. */
Test(load, damaged_files_never_crash, .timeout = 60)
{
	struct eci_random r = eci_random_open("damaged", (uint64_t)time(NULL));
	FILE *f = beside("../../lab/topology.yaml");
	static char whole[16384], text[16384];
	size_t len = fread(whole, 1, sizeof whole / 2, f), taken = 0;
	fclose(f);
	for (int round = 0; round < 3000; round++) {
		size_t n = len;
		memcpy(text, whole, len);
		for (uint32_t k = 1 + eci_random_below(&r, 4); k > 0 && n > 1; k--) {
			static const char marks[] = "[]{}:,-&*!@%\"'#|>\n\t \\019a\x80";
			size_t at = eci_random_below(&r, (uint32_t)n), m = 1 + eci_random_below(&r, 20);
			m = at + m > n ? n - at : m;
			switch (eci_random_below(&r, 5)) {
			case 0:
				text[at] = (char)eci_random_below(&r, 256);
				break;
			case 1:
				text[at] = marks[eci_random_below(&r, sizeof marks - 1)];
				break;
			case 2:
				memmove(text + at, text + at + m, n - at - m);
				n -= m;
				break;
			case 3:
				memmove(text + at + m, text + at, n - at);
				n += m;
				break;
			default:
				n = eci_random_below(&r, 8) ? n : at;
			}
		}
		ectx_error e = {0};
		char *exact = malloc(n ? n : 1); /* so that a read past the end is seen */
		memcpy(exact, text, n);
		ectx_topology *t = ectx_topology_parse(exact, n, "f.yaml", &e);
		free(exact);
		cr_assert(t || (e.status == ECTX_USAGE && *e.saw && *e.hint), "%s", e.saw);
		if (t) {
			char *plan = ectx_topology_plan(t, NULL, round % 2, &e);
			cr_assert(plan, "%s", e.saw);
			free(plan);
			taken++;
		}
		ectx_topology_free(t);
	}
	cr_expect_gt(taken, 0);
}

Test(load, a_tunnel_is_a_port_or_a_path_as_for_L)
{
	ectx_error e;
	ectx_topology *t = parse("econtext: 1\nnodes: {a: {}}\ntunnels:\n"
				 "  u: {listen: /tmp/a, exit: a, connect: /run/b}\n"
				 "  v: {listen: \"unix:/tmp/a\", exit: a, connect: \"h:1\"}\n",
				 &e);
	cr_assert(t, "%s", e.saw);
	ectx_tunnel_spec spec;
	cr_assert_eq(ectx_topology_tunnel(t, "u", &spec, &e), 0);
	cr_expect_str_eq(spec.listen, "unix:/tmp/a");
	cr_expect_str_eq(spec.connect, "unix:/run/b");
	cr_assert_eq(ectx_topology_tunnel(t, "v", &spec, &e), 0);
	cr_expect_str_eq(spec.listen, "unix:/tmp/a");
	cr_expect_str_eq(spec.connect, "h:1");
	ectx_topology_free(t);
}

/* One past it: errors.golden. */
Test(load, a_path_as_long_as_a_unix_socket_can_have)
{
	char text[512], path[ECI_SUN_PATH_MAX + 1] = "/";
	ectx_error e;
	memset(path + 1, 'x', ECI_SUN_PATH_MAX - 1);
	path[ECI_SUN_PATH_MAX] = 0;
	(void)snprintf(text, sizeof text,
		       "econtext: 1\nnodes: {a: {}}\ntunnels:\n"
		       "  u: {listen: %s, exit: a, connect: \"unix:%s\"}\n",
		       path, path);
	ectx_topology *t = parse(text, &e);
	cr_expect(t, "%s", e.saw);
	ectx_topology_free(t);
}
