/* A secret that somebody is asked for: by whatever connects first, and in a time that is nobody's limit. */
#include "io/secret.h"
#include "mesh/secret.h"
#include "mesh_support.h"
#include <fcntl.h>
#include <stdatomic.h>

static const char steps[] = "econtext: 1\n"
			    "secrets: {pw: {prompt: pw}}\n"
			    "nodes:\n"
			    "  n: {local: {}, become: [{as: nobody-of-this-name, method: su, password: pw}]}\n";

struct human {
	int asked, enough;
	long takes_ms;
};
enum { KINDS = 8 };

static int answer(void *arg, const char *prompt, char *buf, size_t cap)
{
	struct human *h = arg;
	(void)prompt;
	h->asked++;
	nap_ms(h->takes_ms);
	(void)snprintf(buf, cap, "x");
	return 0;
}

static int enough(void *arg)
{
	return ((struct human *)arg)->enough;
}

static ectx_mesh *asking(const ectx_topology *t, struct human *h)
{
	ectx_mesh *m = NULL;
	ectx_error err = {0};
	ectx_options o = {.topology = t, .ask = answer, .give_up = enough, .ask_arg = h};
	cr_assert(ectx_mesh_new(&m, &o, &err) == 0, "%s", err.saw);
	return m;
}

/* Starts what connects, of that kind; how it ended. */
static enum ectx_status begin(ectx_context *c, int kind)
{
	const char *argv[] = {"true", NULL}, *sources[] = {"/dev/null", NULL};
	ectx_error err = {0};
	ectx_stream *s = NULL;
	ectx_tunnel *tunnel = NULL;
	ectx_future *f = kind == 0   ? ectx_connect_start(c, WITHIN)
			 : kind == 1 ? ectx_call_start(c, "os:getpid", NULL, NULL, WITHIN)
			 : kind == 2 ? ectx_exec_start(c, &(ectx_exec){.argv = argv}, WITHIN)
			 : kind == 3 ? ectx_trace_start(c, WITHIN)
			 : kind == 4 ? ectx_splice_start(c, "127.0.0.1:1", open("/dev/null", O_RDONLY | O_CLOEXEC),
							 open("/dev/null", O_WRONLY | O_CLOEXEC), WITHIN)
				     : NULL;
	if (kind == 5)
		(void)ectx_stream_open(c, "127.0.0.1:1", WITHIN, &s, &err);
	else if (kind == 6)
		(void)ectx_copy_from(c, sources, "/nonexistent", NULL, NULL, &err);
	else if (kind == 7)
		tunnel = ectx_tunnel_open(c,
					  &(ectx_tunnel_options){.kind = ECTX_TUNNEL_REMOTE,
								 .listen = "127.0.0.1:0",
								 .connect = "127.0.0.1:1"},
					  WITHIN, &err);
	cr_expect(!s && !tunnel);
	enum ectx_status status = f ? error_of(f)->status : err.status;
	ectx_error_clear(&err);
	ectx_future_free(f);
	return status;
}

/* There is no such user, so that no step is made; who has been asked by then is what is looked at. */
Test(secret, whatever_connects_asks)
{
	ectx_error err = {0};
	ectx_topology *t = ectx_topology_parse(steps, strlen(steps), "test", &err);
	for (int kind = 0; kind < KINDS; kind++) {
		struct human h = {0};
		ectx_mesh *m = asking(t, &h);
		enum ectx_status status = begin(get(m, "n:nobody-of-this-name"), kind);
		cr_expect(status == ECTX_REFUSED, "%d: %d", kind, status);
		cr_expect(h.asked == 1, "%d: %d", kind, h.asked);
		ectx_mesh_free(m);
	}
	ectx_topology_free(t);
}

/* Whatever was answered; and who wants it again is asked again. */
Test(secret, what_is_given_up_starts_nothing)
{
	ectx_error err = {0};
	ectx_topology *t = ectx_topology_parse(steps, strlen(steps), "test", &err);
	for (int kind = 0; kind < KINDS; kind++) {
		struct human h = {.enough = 1};
		ectx_mesh *m = asking(t, &h);
		ectx_context *c = get(m, "n:nobody-of-this-name");
		enum ectx_status status = begin(c, kind);
		cr_expect(status == ECTX_INTERRUPTED && h.asked == 1, "%d: %d, asked %d times", kind, status, h.asked);
		eci_lock(m);
		cr_expect(!m->carriers, "%d: something was started", kind);
		eci_unlock(m);
		h.enough = 0;
		status = begin(c, kind);
		cr_expect(status == ECTX_REFUSED && h.asked == 2, "%d: %d, asked %d times", kind, status, h.asked);
		ectx_mesh_free(m);
	}
	ectx_topology_free(t);
}

Test(secret, the_time_of_who_is_asked_is_no_limit)
{
	ectx_error err = {0};
	ectx_topology *t = ectx_topology_parse(steps, strlen(steps), "test", &err);
	struct human h = {.takes_ms = 5100};
	ectx_mesh *m = asking(t, &h);
	(void)ectx_connect(get(m, "n:nobody-of-this-name"), 5000, &err);
	cr_expect(err.status == ECTX_REFUSED, "%s: %s", ectx_code_name(err.code), err.saw);
	ectx_error_clear(&err);
	ectx_mesh_free(m);
	ectx_topology_free(t);
}

static int once(void *arg, const char *prompt, char *buf, size_t cap)
{
	struct human *h = arg;
	cr_expect(!strcmp(prompt, "the pw") && cap == ECI_SECRET_MAX, "%s, %zu", prompt, cap);
	if (h->asked++ || h->takes_ms)
		return -1;
	(void)snprintf(buf, cap, "said\nand more"); /* of which the first line counts */
	return 0;
}

/* A context's and its parents', each asked for once in a mesh, whether it was had or not. */
Test(secret, is_kept_with_the_reason_why_there_is_none)
{
	static const char text[] =
		"econtext: 1\n"
		"secrets: {pw: {prompt: the pw}, var: {env: ECTX_TEST_PW}, none: {env: ECTX_TEST_NONE}}\n"
		"nodes:\n"
		"  a: {ssh: {password: pw}}\n"
		"  b: {via: a, ssh: {password: var}, become: [{as: x, password: none}]}\n";
	const char *why;
	ectx_error err = {0};
	(void)setenv("ECTX_TEST_PW", "of the environment", 1);
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "test", &err);
	cr_assert(t, "%s", err.saw);
	for (int refuses = 0; refuses <= 2; refuses++) { /* at last, nobody is there to */
		struct human h = {.takes_ms = refuses};
		ectx_options o = {.topology = t, .ask = refuses < 2 ? once : NULL, .ask_arg = &h};
		ectx_mesh *m = NULL;
		cr_assert(ectx_mesh_new(&m, &o, &err) == 0, "%s", err.saw);
		ectx_context *x = get(m, "b:x"), *a = get(m, "a");
		eci_lock(m);
		cr_expect(!eci_secret_get(m, "pw", &why) && !strcmp(why, "not had"));
		eci_unlock(m);
		struct eci_fail fail;
		cr_expect(eci_secrets_resolve(x, &fail) && eci_secrets_resolve(x, &fail) &&
			  eci_secrets_resolve(a, &fail));
		cr_expect(h.asked == (refuses < 2), "%d", h.asked);
		eci_lock(m);
		const char *pw = eci_secret_get(m, "pw", &why);
		cr_expect(refuses ? !pw && !strcmp(why, "nobody to ask for secret pw") : pw && !strcmp(pw, "said"));
		cr_expect_str_eq(eci_secret_get(m, "var", &why), "of the environment");
		cr_expect(!eci_secret_get(m, "none", &why) && strstr(why, "ECTX_TEST_NONE"), "%s", why);
		eci_unlock(m);
		ectx_mesh_free(m);
	}
	ectx_topology_free(t);
}

/* ---- who does not have to wait ---- */

struct gate {
	ectx_context *behind;
	atomic_bool reached, open, passed;
};

/* Of `slow` somebody has to think, until he may answer. */
static int think(void *arg, const char *prompt, char *buf, size_t cap)
{
	struct gate *g = arg;
	struct timespec from = now();
	if (!strcmp(prompt, "slow")) {
		g->reached = true;
		while (!g->open && ms_since(&from) < WITHIN)
			nap_ms(1);
		g->passed = true;
	}
	(void)snprintf(buf, cap, "x");
	return 0;
}

static void *resolve_behind(void *arg)
{
	struct gate *g = arg;
	struct eci_fail fail;
	cr_expect(eci_secrets_resolve(g->behind, &fail));
	return NULL;
}

/* One who had been asked for another secret held up all that needed one, had or not. */
Test(secret, what_was_had_waits_for_nobody_who_is_asked)
{
	static const char text[] = "econtext: 1\n"
				   "secrets: {pw: {prompt: pw}, slow: {prompt: slow}}\n"
				   "nodes:\n"
				   "  n: {local: {}, become: [{as: x, method: su, password: pw}]}\n"
				   "  s: {local: {}, become: [{as: x, method: su, password: slow}]}\n";
	ectx_error err = {0};
	ectx_topology *t = ectx_topology_parse(text, strlen(text), "test", &err);
	cr_assert(t, "%s", err.saw);
	struct gate g = {0};
	struct eci_fail fail;
	ectx_options o = {.topology = t, .ask = think, .ask_arg = &g};
	ectx_mesh *m = NULL;
	pthread_t thread;
	cr_assert(ectx_mesh_new(&m, &o, &err) == 0, "%s", err.saw);
	ectx_context *c = get(m, "n:x");
	g.behind = get(m, "s:x");
	cr_expect(eci_secrets_resolve(c, &fail));
	cr_assert(pthread_create(&thread, NULL, resolve_behind, &g) == 0);
	struct timespec from = now();
	while (!g.reached && ms_since(&from) < WITHIN)
		nap_ms(1);
	cr_expect(eci_secrets_resolve(c, &fail) && !g.passed, "it waited for the answer");
	g.open = true;
	(void)pthread_join(thread, NULL);
	ectx_mesh_free(m);
	ectx_topology_free(t);
}
