/* What a leaf behind a relay asks for is large: all of it comes, and in its bytes; others' calls do not wait for it.
 *
 * How much of it went by while none of them was answered is counted, not how long that took: what stands still for a
 * while on a busy machine is the whole way, where nothing goes by, or one of several that are asked. */
#include "mesh/internal.h"
#include "mesh_support.h"

#include <inttypes.h>

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

/* Written so far on the way to c. */
static uint64_t written(ectx_context *c)
{
	struct eci_link_stats s;
	eci_lock(c->mesh);
	eci_link_get_stats(eci_router_link_to(c->mesh->router, c->id), &s);
	eci_unlock(c->mesh);
	return s.bytes_out;
}

static ectx_value *args_of(const char *top)
{
	ectx_value *a = ectx_array();
	cr_assert(a && (!top || ectx_array_push(a, ectx_text(top))) && ectx_array_push(a, ectx_int(MODULES)) &&
		  ectx_array_push(a, ectx_int(FILES)));
	return a;
}

/* What several threads ask for, each of one sibling. */
struct asking {
	ectx_context *leaf;
	pthread_mutex_t lock;
	uint64_t last, longest; /* bytes on the way: at the last answer, and between two */
	unsigned calls;
	bool over;
};

struct one {
	struct asking *all;
	ectx_context *sibling;
	pthread_t thread;
};

static bool answered(struct asking *a)
{
	(void)pthread_mutex_lock(&a->lock);
	uint64_t at = written(a->leaf);
	a->longest = at - a->last > a->longest ? at - a->last : a->longest;
	a->last = at;
	a->calls++;
	bool over = a->over;
	(void)pthread_mutex_unlock(&a->lock);
	return over;
}

static void *ask(void *arg)
{
	struct one *x = arg;
	do {
		nap_ms(1);
		cr_assert(call_int(x->sibling, "os:getpid", NULL) > 0);
	} while (!answered(x->all));
	return NULL;
}

Test(asked, whole_beside_its_siblings_calls)
{
	enum { SIBLINGS = 3 };
	static const char *const names[SIBLINGS] = {"k1", "k2", "k3"};
	struct world w = world_open();
	package(&w);
	struct asking all = {.leaf = get(w.mesh, "b"), .lock = PTHREAD_MUTEX_INITIALIZER};
	struct one each[SIBLINGS];
	ectx_error err = {0};
	ectx_value *v = NULL, *args = args_of(NULL);
	cr_assert(ectx_call(all.leaf, "work:add", NULL, NULL, WITHIN, &v, &err) == ECTX_FAILED);
	ectx_error_clear(&err);
	for (int i = 0; i < SIBLINGS; i++) {
		each[i] = (struct one){.all = &all, .sibling = get(w.mesh, names[i])};
		cr_assert(pid_of(each[i].sibling) > 0);
	}
	uint64_t began = all.last = written(all.leaf);
	ectx_future *f = ectx_call_start(all.leaf, "bigs:take", args, NULL, WITHIN);
	for (int i = 0; i < SIBLINGS; i++)
		cr_assert(pthread_create(&each[i].thread, NULL, ask, &each[i]) == 0);
	cr_assert(error_of(f)->status == ECTX_OK, "%s", ectx_future_error(f)->saw);
	uint64_t bytes = written(all.leaf) - began;
	(void)pthread_mutex_lock(&all.lock);
	all.over = true;
	unsigned calls = all.calls;
	(void)pthread_mutex_unlock(&all.lock);
	for (int i = 0; i < SIBLINGS; i++)
		(void)pthread_join(each[i].thread, NULL);
	ectx_value_free(args);
	char top[128];
	(void)snprintf(top, sizeof top, "%s/big", w.dir);
	args = args_of(top);
	cr_assert(ectx_call(each[0].sibling, "bigs:here", args, NULL, WITHIN, &v, &err) == ECTX_OK, "%s", err.saw);
	cr_expect(strcmp(ectx_value_text(v), ectx_value_text(ectx_future_value(f))) == 0, "other bytes came");
	cr_expect(calls >= 8 && all.longest < bytes / 3,
		  "%u calls beside %" PRIu64 " bytes, %" PRIu64 " while none was answered", calls, bytes, all.longest);
	ectx_value_free(args);
	ectx_value_free(v);
	ectx_future_free(f);
	away(&w);
	world_close(&w);
}
