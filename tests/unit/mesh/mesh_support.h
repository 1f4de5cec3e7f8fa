/* What the tests of mesh/ share: a topology of local contexts, a mesh over it, and modules that they can call.
 *
 * Every context is a real process of this machine with the real agent: the local method is `sh -c`, as for any other
 * hop. Criterion gives every test a process of its own. */
#ifndef ECI_TESTS_MESH_SUPPORT_H
#define ECI_TESTS_MESH_SUPPORT_H

#include "econtext/econtext.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WITHIN 60000 /* ms: none of this takes long; a test that hangs is to fail by itself */

/*   master ── a ─┬─ b ── c          d: another child of the master; e is frozen in a test, so its idle is short
 *               ├─ k1 ... k3       silent, dumb: interpreters that say nothing, and that end at once; deaf: below
 * Relays run the native agent, or Python where MESH_TEST_NATIVE is "never". */
static const char nodes[] = "econtext: 1\n"
			    "defaults: {native: %s}\n"
			    "nodes:\n"
			    "  a: {local: {}}\n"
			    "  b: {via: a, local: {}}\n"
			    "  c: {via: b, local: {}}\n"
			    "  d: {local: {}}\n"
			    "  e: {local: {}, timeout: {idle: 5s}}\n"
			    "  f: {via: e, local: {}, timeout: {idle: 5s}}\n"
			    "  k[1-3]: {via: a, local: {}}\n"
			    "  silent: {local: {}, python: %s/silent, timeout: {boot: 1s}}\n"
			    "  dumb: {via: a, local: {}, python: %s/dumb, timeout: {boot: 30s}}\n"
			    "  deaf: {local: {}, python: %s/deaf, native: never}\n";

/* A Python behind a program that closes its stdin when there is a file `be-deaf` (`deaf-now`
 * says that it has), and ends when there is a file `end`. */
static const char deaf_py[] = "#!/usr/bin/env python3\n"
			      "import os, select, subprocess, sys\n"
			      "p = subprocess.Popen([sys.executable] + sys.argv[1:], stdin=-1, stdout=-1, bufsize=0)\n"
			      "os.chdir(os.path.dirname(os.path.abspath(__file__)))\n"
			      "ways = {0: p.stdin.fileno(), p.stdout.fileno(): 1}\n"
			      "while not os.path.exists('end'):\n"
			      "    for fd in select.select(list(ways), [], [], .02)[0]:\n"
			      "        s = os.read(fd, 65536) or sys.exit()\n"
			      "        os.write(ways[fd], s)\n"
			      "    if 0 in ways and os.path.exists('be-deaf'):\n"
			      "        del ways[0]\n"
			      "        os.close(0)\n"
			      "        open('deaf-now', 'w').close()\n";

static const char work_py[] = "import os, time, threading, logging, sys\n"
			      "def add(a, b=0): return a + b\n"
			      "def echo(v): return v\n"
			      "def length(v): return len(v)\n"
			      "def blob(n): return b'x' * n\n"
			      "def nap(s): time.sleep(s); return s\n"
			      "def touch(p): open(p, 'w').close()\n"
			      "def wait_for(p):\n"
			      "    while not os.path.exists(p): time.sleep(0.005)\n"
			      "    return True\n"
			      "def fail(what): raise ValueError(what)\n"
			      "def bad(): return object()\n"
			      "def shout(n, size=1):\n"
			      "    for i in range(n): logging.getLogger('w').warning('%05d %s', i, 'y' * size)\n"
			      "def say(n):\n"
			      "    for i in range(n): print('line %d' % i)\n"
			      "    sys.stdout.flush()\n"
			      "def leave(): os._exit(3)\n"
			      "def go_to(d): os.mkdir(d); os.chdir(d); return 0\n";

struct world {
	char dir[64];
	ectx_topology *topology;
	ectx_mesh *mesh;
};

static inline void put_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[192];
	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	cr_assert(f, "%s", path);
	cr_assert(fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0, "%s", path);
}

static inline ectx_mesh *mesh_over(const struct world *w, unsigned event_limit)
{
	const char *roots[] = {w->dir, NULL};
	ectx_options o = {.topology = w->topology, .roots = roots, .event_limit = event_limit};
	ectx_mesh *m;
	ectx_error err = {0};
	cr_assert(ectx_mesh_new(&m, &o, &err) == 0, "%s", err.saw);
	return m;
}

static inline struct world world_open(void)
{
	struct world w = {0};
	char text[2048];
	ectx_error err = {0};
	const char *tmp = getenv("TMPDIR");
	(void)snprintf(w.dir, sizeof w.dir, "%s/mesh-test-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	cr_assert(mkdtemp(w.dir), "%s", w.dir);
	const char *native = getenv("MESH_TEST_NATIVE");
	(void)snprintf(text, sizeof text, nodes, native ? native : "auto", w.dir, w.dir, w.dir);
	put_file(w.dir, "work.py", work_py, 0644);
	put_file(w.dir, "silent", "#!/bin/sh\nexec sleep 1000\n", 0755);
	put_file(w.dir, "deaf", deaf_py, 0755);
	put_file(w.dir, "dumb", "#!/bin/sh\necho never again >&2\nexit 7\n", 0755);
	w.topology = ectx_topology_parse(text, strlen(text), "test", &err);
	cr_assert(w.topology, "%s", err.saw);
	w.mesh = mesh_over(&w, 0);
	return w;
}

static inline void world_close(struct world *w)
{
	ectx_mesh_free(w->mesh);
	ectx_topology_free(w->topology);
	DIR *d = opendir(w->dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[400];
		(void)snprintf(path, sizeof path, "%s/%s", w->dir, e->d_name);
		if (e->d_name[0] != '.')
			(void)unlink(path);
	}
	(void)closedir(d);
	(void)rmdir(w->dir);
}

static inline ectx_context *get(ectx_mesh *m, const char *name)
{
	ectx_error err = {0};
	ectx_context *c = ectx_context_get(m, name, &err);
	cr_assert(c, "%s: %s", name, err.saw);
	return c;
}

/* args: JSON array or NULL */
static inline ectx_value *json(const char *text)
{
	size_t where;
	ectx_value *v = text ? ectx_value_from_json(text, strlen(text), &where) : NULL;
	cr_assert(!text || v, "%s", text ? text : "");
	return v;
}

static inline ectx_future *start(ectx_context *c, const char *function, const char *args, long timeout_ms)
{
	ectx_value *v = json(args);
	ectx_future *f = ectx_call_start(c, function, v, NULL, timeout_ms);
	cr_assert(f);
	ectx_value_free(v);
	return f;
}

static inline enum ectx_status call(ectx_context *c, const char *function, const char *args, ectx_value **result,
				    ectx_error *err)
{
	ectx_value *v = json(args);
	enum ectx_status s = ectx_call(c, function, v, NULL, WITHIN, result, err);
	ectx_value_free(v);
	return s;
}

static inline int64_t call_int(ectx_context *c, const char *function, const char *args)
{
	ectx_value *v = NULL;
	ectx_error err = {0};
	int64_t n = -1;
	enum ectx_status s = call(c, function, args, &v, &err);
	cr_assert(s == ECTX_OK, "%s: %s %s %s", function, err.path, ectx_code_name(err.code), err.saw);
	cr_assert(ectx_value_int(v, &n), "%s", function);
	ectx_value_free(v);
	return n;
}

static inline pid_t pid_of(ectx_context *c)
{
	return (pid_t)call_int(c, "os:getpid", NULL);
}

static inline long ms_since(const struct timespec *t)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000;
}

static inline struct timespec now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t;
}

static inline void nap_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* A file's coming to be is an event that a context can make: `work:touch`. */
static inline bool appears(const char *path, long within_ms)
{
	struct timespec from = now();
	while (access(path, F_OK) != 0) {
		if (ms_since(&from) > within_ms)
			return false;
		nap_ms(5);
	}
	return true;
}

static inline bool gone(pid_t pid, long within_ms)
{
	struct timespec from = now();
	while (kill(pid, 0) == 0) {
		if (ms_since(&from) > within_ms)
			return false;
		nap_ms(10);
	}
	return true;
}

/* Who comes to a socket that listens. */
static inline int accepted(int server)
{
	cr_assert(poll(&(struct pollfd){.fd = server, .events = POLLIN}, 1, WITHIN) == 1, "nobody comes");
	return accept(server, NULL, NULL);
}

/* The error that a future ended with, waited for. */
static inline const ectx_error *error_of(ectx_future *f)
{
	cr_assert(ectx_future_wait(f, WITHIN), "the future does not end");
	return ectx_future_error(f);
}

#endif
