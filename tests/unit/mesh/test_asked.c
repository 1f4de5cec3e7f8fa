/* What a leaf behind a relay asks for is large: all of it comes, and in its bytes; another's calls do not wait for it.
 */
#include "mesh_support.h"

#ifdef __SANITIZE_THREAD__ /* which takes five times as long */
enum { MODULES = 9, FILES = 9 };
#else
enum { MODULES = 24, FILES = 24 }; /* 30 MiB, of which 27 travel */
#endif
enum { TEXT = 1 << 18, DATA = 1 << 20 };

static const char big_py[] =
	"import hashlib, pkgutil\n"
	"def take(modules, files):\n"
	"    import big\n"
	"    h = hashlib.sha256()\n"
	"    for i in range(modules):\n"
	"        h.update(__import__('big.m%d' % i, None, None, ['X']).X.encode('ascii'))\n"
	"    for i in range(files):\n"
	"        h.update(pkgutil.get_data('big', 'f%d' % i))\n"
	"    return h.hexdigest()\n"
	"def here(top, modules, files):\n" /* of what lies there, in a Python that is served nothing of it */
	"    h = hashlib.sha256()\n"
	"    for i in range(modules):\n"
	"        h.update(open('%s/m%d.py' % (top, i), 'rb').read()[3:-2])\n"
	"    for i in range(files):\n"
	"        h.update(open('%s/f%d' % (top, i), 'rb').read())\n"
	"    return h.hexdigest()\n";

static uint32_t state = 1;

static uint8_t any(void)
{
	state = state * 1664525u + 1013904223u;
	return (uint8_t)(state >> 24);
}

static FILE *part(const struct world *w, const char *kind, int i, const char *end)
{
	char path[192];
	(void)snprintf(path, sizeof path, "%s/big/%s%d%s", w->dir, kind, i, end);
	FILE *f = fopen(path, "w");
	cr_assert(f, "%s", path);
	return f;
}

static void package(const struct world *w)
{
	char top[128];
	(void)snprintf(top, sizeof top, "%s/big", w->dir);
	cr_assert(mkdir(top, 0755) == 0);
	put_file(top, "__init__.py", "", 0644);
	put_file(w->dir, "bigs.py", big_py, 0644);
	for (int i = 0; i < MODULES; i++) {
		FILE *f = part(w, "m", i, ".py");
		(void)fputs("X='", f);
		for (int n = 0; n < TEXT; n++)
			(void)putc("0123456789abcdef"[any() & 15], f);
		cr_assert(fputs("'\n", f) >= 0 && fclose(f) == 0);
	}
	for (int i = 0; i < FILES; i++) {
		FILE *f = part(w, "f", i, "");
		for (int n = 0; n < DATA; n++)
			(void)putc(any(), f);
		cr_assert(fclose(f) == 0);
	}
}

static void away(const struct world *w)
{
	char command[192];
	(void)snprintf(command, sizeof command, "rm -r %s/big", w->dir);
	cr_assert(system(command) == 0);
}

static double seconds(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static ectx_value *args_of(const char *top)
{
	ectx_value *a = ectx_array();
	cr_assert(a && (!top || ectx_array_push(a, ectx_text(top))) && ectx_array_push(a, ectx_int(MODULES)) &&
		  ectx_array_push(a, ectx_int(FILES)));
	return a;
}

Test(asked, whole_beside_a_siblings_calls)
{
	struct world w = world_open();
	package(&w);
	ectx_context *leaf = get(w.mesh, "b"), *sibling = get(w.mesh, "k1");
	ectx_error err = {0};
	ectx_value *v = NULL, *args = args_of(NULL);
	cr_assert(ectx_call(leaf, "work:add", NULL, NULL, WITHIN, &v, &err) == ECTX_FAILED);
	ectx_error_clear(&err);
	cr_assert(ectx_call(sibling, "os:getpid", NULL, NULL, WITHIN, &v, &err) == ECTX_OK, "%s", err.saw);
	ectx_value_free(v);
	ectx_future *f = ectx_call_start(leaf, "bigs:take", args, NULL, WITHIN);
	double began = seconds(), longest = 0;
	int calls = 0;
	while (!ectx_future_wait(f, 1)) {
		double at = seconds();
		cr_assert(ectx_call(sibling, "os:getpid", NULL, NULL, WITHIN, &v, &err) == ECTX_OK, "%s", err.saw);
		ectx_value_free(v);
		longest = seconds() - at > longest ? seconds() - at : longest;
		calls++;
	}
	double took = seconds() - began;
	cr_assert(ectx_future_error(f)->status == ECTX_OK, "%s", ectx_future_error(f)->saw);
	ectx_value_free(args);
	char top[128];
	(void)snprintf(top, sizeof top, "%s/big", w.dir);
	args = args_of(top);
	cr_assert(ectx_call(sibling, "bigs:here", args, NULL, WITHIN, &v, &err) == ECTX_OK, "%s", err.saw);
	cr_expect(strcmp(ectx_value_text(v), ectx_value_text(ectx_future_value(f))) == 0, "other bytes came");
	cr_expect(calls >= 8 && longest < took / 3, "%d calls in %.2f s, the longest took %.2f s", calls, took,
		  longest);
	ectx_value_free(args);
	ectx_value_free(v);
	ectx_future_free(f);
	away(&w);
	world_close(&w);
}
