/* A program that waits for children which are not its own, as a thread of it with waitpid(-1) does, libev's default
 * loop, and the kernel for who ignores SIGCHLD: an exit status that is lost by that is never one of success, and what
 * is said of a failure is what it would be otherwise. Whoever is first has a status: none of this depends on who that
 * is. */
#include "mesh_support.h"

#include <stdatomic.h>
#include <sys/wait.h>

/* In the place of the real ones: each writes down that it ran, or what it was given. */
static const char ssh[] =
	"#!/bin/sh\n"
	"echo ran >>\"$0.log\"\n"
	"case \"$*\" in *closed*) echo 'ssh: connect to host closed port 22: Connection refused' >&2 ;;\n"
	"*) echo 'me@strict: Permission denied (publickey).' >&2 ;; esac\n"
	"exit 255\n";
static const char su[] = "#!/bin/sh\n"
			 "printf 'Password: ' >&2; read -r x; echo \"$x\" >>\"$0.log\"\n"
			 "echo 'su: Authentication failure' >&2; exit 1\n";

static const char reaped_nodes[] =
	"econtext: 1\n"
	"secrets: {pw: {command: [sh, -c, 'echo what failed has printed; exit 1']}}\n"
	"nodes:\n"
	"  closed: {ssh: {host: closed}}\n"
	"  strict: {ssh: {host: strict}}\n"
	"  n: {local: {}, native: never, become: [{as: nobody-of-this-name, method: su, password: pw}]}\n";

static atomic_bool over;

static void *reaps(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		if (waitpid(-1, NULL, 0) < 0)
			nap_ms(1);
	return NULL;
}

/* The lines that it wrote, each of which begins so. */
static int lines_of(const struct world *w, const char *tool, const char *begin)
{
	char path[128], line[128];
	int n = 0;
	(void)snprintf(path, sizeof path, "%s/%s.log", w->dir, tool);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f)) {
		cr_expect(!strncmp(line, begin, strlen(begin)), "%s was given %s", tool, line);
		n++;
	}
	if (f)
		(void)fclose(f);
	return n;
}

static void fails_as(const struct world *w, const char *name, enum ectx_code code, const char *saw)
{
	ectx_error err = {0};
	ectx_mesh *m = mesh_over(w, 0); /* one that has failed is not tried again at once */
	cr_expect(ectx_connect(get(m, name), WITHIN, &err) != 0);
	cr_expect(err.code == code && strstr(err.saw, saw), "%s: %s: %s", name, ectx_code_name(err.code), err.saw);
	ectx_error_clear(&err);
	ectx_mesh_free(m);
}

static void all_fail(int times)
{
	struct world w = {0};
	ectx_error err = {0};
	char path[4096];
	(void)snprintf(w.dir, sizeof w.dir, "/tmp/mesh-test-reaped-%d", (int)getpid());
	cr_assert(mkdir(w.dir, 0700) == 0);
	put_file(w.dir, "ssh", ssh, 0755);
	put_file(w.dir, "su", su, 0755);
	const char *old = getenv("PATH");
	(void)snprintf(path, sizeof path, "%s:%s", w.dir, old ? old : "/usr/bin:/bin");
	cr_assert(setenv("PATH", path, 1) == 0);
	w.topology = ectx_topology_parse(reaped_nodes, strlen(reaped_nodes), "test", &err);
	cr_assert(w.topology, "%s", err.saw);
	for (int i = 0; i < times; i++) {
		fails_as(&w, "closed", ECTX_E_CONN_REFUSED, "Connection refused");
		fails_as(&w, "strict", ECTX_E_AUTH_REFUSED, "Permission denied");
		fails_as(&w, "n:nobody-of-this-name", ECTX_E_SECRET, "secret pw: sh: ");
	}
	cr_expect_eq(lines_of(&w, "ssh", "ran"), 2 * times, "each once");
	cr_expect_eq(lines_of(&w, "su", "no line begins so"), 0);
	world_close(&w);
}

Test(reaped, by_a_thread_of_the_program)
{
	pthread_t thread;
	cr_assert(pthread_create(&thread, NULL, reaps, NULL) == 0);
	all_fail(4);
	atomic_store(&over, true);
	cr_assert(pthread_join(thread, NULL) == 0);
}

Test(reaped, by_the_kernel)
{
	(void)signal(SIGCHLD, SIG_IGN);
	all_fail(1);
}
