/* A secret that somebody is asked for: by whatever connects first, and in a time that is nobody's limit. */
#include "mesh_support.h"

static const char steps[] = "econtext: 1\n"
			    "secrets: {pw: {prompt: pw}}\n"
			    "nodes:\n"
			    "  n: {local: {}, become: [{as: nobody-of-this-name, method: su, password: pw}]}\n";

struct human {
	int asked;
	long takes_ms;
};

static int answer(void *arg, const char *prompt, char *buf, size_t cap)
{
	struct human *h = arg;
	(void)prompt;
	h->asked++;
	nap_ms(h->takes_ms);
	(void)snprintf(buf, cap, "x");
	return 0;
}

static ectx_mesh *asking(const ectx_topology *t, struct human *h)
{
	ectx_mesh *m = NULL;
	ectx_error err = {0};
	ectx_options o = {.topology = t, .ask = answer, .ask_arg = h};
	cr_assert(ectx_mesh_new(&m, &o, &err) == 0, "%s", err.saw);
	return m;
}

/* There is no such user, so that no step is made; who has been asked by then is what is looked at. */
Test(secret, whatever_connects_asks)
{
	ectx_error err = {0};
	ectx_topology *t = ectx_topology_parse(steps, strlen(steps), "test", &err);
	const char *argv[] = {"true", NULL}, *sources[] = {"/dev/null", NULL};
	for (int kind = 0; kind < 6; kind++) {
		struct human h = {0};
		ectx_mesh *m = asking(t, &h);
		ectx_context *c = get(m, "n:nobody-of-this-name");
		ectx_stream *s = NULL;
		ectx_future *f = kind == 0   ? ectx_connect_start(c, WITHIN)
				 : kind == 1 ? ectx_call_start(c, "os:getpid", NULL, NULL, WITHIN)
				 : kind == 2 ? ectx_exec_start(c, &(ectx_exec){.argv = argv}, WITHIN)
				 : kind == 3 ? ectx_trace_start(c, WITHIN)
					     : NULL;
		if (f)
			cr_expect(error_of(f)->status == ECTX_REFUSED, "%d: %s", kind, error_of(f)->saw);
		else if (kind == 4)
			(void)ectx_stream_open(c, "127.0.0.1:1", WITHIN, &s, &err);
		else
			(void)ectx_copy_from(c, sources, "/nonexistent", NULL, NULL, &err);
		cr_expect(h.asked == 1, "%d: %d", kind, h.asked);
		ectx_error_clear(&err);
		ectx_future_free(f);
		ectx_mesh_free(m);
	}
	ectx_topology_free(t);
}

Test(secret, the_time_of_who_is_asked_is_no_limit)
{
	ectx_error err = {0};
	ectx_topology *t = ectx_topology_parse(steps, strlen(steps), "test", &err);
	struct human h = {.takes_ms = 3100};
	ectx_mesh *m = asking(t, &h);
	(void)ectx_connect(get(m, "n:nobody-of-this-name"), 3000, &err);
	cr_expect(err.status == ECTX_REFUSED, "%s: %s", ectx_code_name(err.code), err.saw);
	ectx_error_clear(&err);
	ectx_mesh_free(m);
	ectx_topology_free(t);
}
