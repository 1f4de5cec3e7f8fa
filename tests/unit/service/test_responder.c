/* The responder over a world in memory: closures and their order, what is sent once a link, bounds, filters, programs,
 * missing names, hostile ones, and that each module is found and compressed once. */
#include "service/service.h"
#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct module {
	const char *name;
	enum eci_module_kind kind;
	const char *source;
	const char *children; /* with blanks between */
};

struct world {
	const struct module *modules;
	size_t count;
	size_t finds, deflates;
	size_t big; /* bytes of every module's "compressed" form, 0: its own */
	bool no_memory;
};

static char **split(const char *text)
{
	size_t n = 0, most = strlen(text) / 2 + 2;
	char **out = calloc(1, most * sizeof(*out) + strlen(text) + 1), *at = (char *)(out + most), *word;

	strcpy(at, text);
	while ((word = strsep(&at, " ")))
		out[n++] = word;
	return out;
}

static int find(void *ctx, const char *name, struct eci_source *out)
{
	struct world *w = ctx;
	size_t i;

	w->finds++;
	if (w->no_memory)
		return -1;
	for (i = 0; i < w->count; i++) {
		const struct module *m = &w->modules[i];

		if (strcmp(m->name, name) != 0)
			continue;
		out->kind = m->kind;
		out->path = malloc(strlen(name) + 8);
		snprintf(out->path, strlen(name) + 8, "%s.path", name);
		if (m->source) {
			out->bytes = (uint8_t *)strdup(m->source);
			out->len = strlen(m->source);
		}
		if (m->children)
			out->children = split(m->children);
	}
	return 0;
}

static void digest(void *ctx, const uint8_t *p, size_t n, uint8_t out[16])
{
	(void)ctx;
	memset(out, (int)n, 16);
	out[0] = n > 2 ? p[2] : out[0];
}

static int pack(void *ctx, struct eci_packing **state, const uint8_t *p, size_t n, struct eci_buf *out, uint8_t sum[16])
{
	struct world *w = ctx;
	size_t i;
	*state = NULL;
	w->deflates++;
	if (!w->big) {
		eci_buf_puts(out, "z:");
		if (eci_buf_append(out, p, n))
			return -1;
		digest(ctx, eci_buf_data(out), eci_buf_len(out), sum);
		return 0;
	}
	if (!eci_buf_reserve(out, w->big))
		return -1;
	for (i = 0; i < w->big; i++)
		out->mem[out->tail + i] = 'z';
	eci_buf_commit(out, w->big);
	digest(ctx, eci_buf_data(out), eci_buf_len(out), sum);
	return 0;
}

static const struct eci_source_ops ops = {find, pack, NULL, digest};

/* "NAME/KIND NAME/KIND ..." of the answer, whose form is checked on the way; "!" and the code when it failed. */
static const char *ask(struct eci_responder *r, uint32_t link, const char *name)
{
	static char text[65536];
	struct eci_buf out = ECI_BUF_NULL;
	int rc = eci_responder_answer(r, link, name, strlen(name), &out);
	struct eci_cbor c = eci_cbor_open(eci_buf_data(&out), eci_buf_len(&out));
	size_t entries, len = 0, n, items, k;
	const uint8_t *bytes;
	const char *s;
	uint64_t kind;

	snprintf(text, sizeof(text), "!%d", rc);
	if (rc == 0) {
		cr_assert_eq(eci_cbor_check(c.p, eci_buf_len(&out), ECI_CBOR_VALUE_ITEMS_MAX), ECI_CBOR_OK);
		for (entries = eci_cbor_get_array(&c); entries > 0; entries--) {
			items = eci_cbor_get_array(&c);
			eci_cbor_get_text(&c, &s, &n);
			kind = eci_cbor_get_uint(&c);
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s/%u", len ? " " : "", (int)n, s,
						(unsigned)kind);
			cr_assert_eq(items, kind == ECI_MOD_MISSING ? 2u : 7u);
			if (kind == ECI_MOD_MISSING)
				continue;
			eci_cbor_get_text(&c, &s, &n);
			eci_cbor_get_bytes(&c, &bytes, &n);
			cr_assert_eq(n, 16);
			for (k = 0; k < 2; k++)
				for (n = eci_cbor_get_array(&c); n > 0; n--)
					eci_cbor_skip(&c);
			eci_cbor_get_bytes(&c, &bytes, &n);
		}
		cr_assert(!c.bad && c.p == c.end);
	}
	eci_buf_deinit(&out);
	return text;
}

static const struct module project[] = {
	{"prog", ECI_MOD_MODULE, "import os, pkg.a\nfrom pkg import b\nimport single", NULL},
	{"single", ECI_MOD_MODULE, "import sys", NULL},
	{"pkg", ECI_MOD_PACKAGE, "from . import c", "a b c sub"},
	{"pkg.a", ECI_MOD_MODULE, "from .sub import deep\nimport pkg.a", NULL},
	{"pkg.b", ECI_MOD_MODULE, "import prog", NULL},
	{"pkg.c", ECI_MOD_MODULE, "", NULL},
	{"pkg.sub", ECI_MOD_PACKAGE, "", "deep"},
	{"pkg.sub.deep", ECI_MOD_MODULE, "from ..c import thing\nimport space.one", NULL},
	{"space", ECI_MOD_NAMESPACE, NULL, "one"},
	{"space.one", ECI_MOD_MODULE, "", NULL},
	{"lonely.x", ECI_MOD_MODULE, "", NULL},
	{"pkg/data.txt", ECI_MOD_DATA, "import single", NULL},
	{"pkg/", ECI_MOD_LISTING, NULL, "__init__.py a.py data.txt sub/"},
};
/* Versions of clang-format differ about braces in a macro. */
/* clang-format off */
#define WORLD(table) {table, sizeof(table) / sizeof(*table), 0, 0, 0, false}
/* clang-format on */

Test(responder, closure_and_order)
{
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);

	cr_expect_str_eq(ask(r, 1, "prog"), "prog/1 pkg/2 pkg.a/1 pkg.b/1 single/1 pkg.c/1 pkg.sub/2 pkg.sub.deep/1 "
					    "space/3 space.one/1");
	cr_expect_str_eq(ask(r, 1, "prog"), "prog/1", "asked again it is sent again, alone");
	cr_expect_str_eq(ask(r, 1, "pkg.sub.deep"), "pkg.sub.deep/1");
	cr_expect_str_eq(ask(r, 2, "pkg.sub.deep"), "pkg.sub.deep/1 pkg/2 pkg.sub/2 pkg.c/1 space/3 space.one/1",
			 "parents go along");
	cr_expect_str_eq(ask(r, 2, "prog"), "prog/1 pkg.a/1 pkg.b/1 single/1");
	cr_expect_str_eq(ask(r, 3, "lonely.x"), "lonely.x/1");
	eci_responder_forget_link(r, 2);
	eci_responder_forget_link(r, 99);
	cr_expect_str_eq(ask(r, 2, "pkg.c"), "pkg.c/1 pkg/2");
	cr_expect_eq(w.deflates, 11, "each once, a namespace package too: %zu", w.deflates);
	eci_responder_free(r);
}

Test(responder, entry_on_the_wire)
{
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);
	struct eci_buf out = ECI_BUF_NULL;
	struct eci_cbor c;
	ectx_value *v;
	char *json;

	cr_assert_eq(eci_responder_answer(r, 1, "pkg", 3, &out), 0);
	c = eci_cbor_open(eci_buf_data(&out), eci_buf_len(&out));
	v = eci_value_decode(&c);
	json = ectx_value_json(v);
	cr_expect_str_eq(json,
			 "[[\"pkg\", 2, \"pkg.path\", {\"$bytes\": \"ZhEREREREREREREREREREQ==\"}, [\"pkg.c\"], "
			 "[\"a\", \"b\", \"c\", \"sub\"], {\"$bytes\": \"ejpmcm9tIC4gaW1wb3J0IGM=\"}], "
			 "[\"pkg.c\", 1, \"pkg.c.path\", {\"$bytes\": \"AgICAgICAgICAgICAgICAg==\"}, [\"pkg\"], [], "
			 "{\"$bytes\": \"ejo=\"}]]");
	free(json);
	ectx_value_free(v);
	eci_buf_deinit(&out);
	eci_responder_free(r);
}

Test(responder, missing_costs_nothing)
{
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);
	char name[32];
	int i;

	cr_expect_str_eq(ask(r, 1, "absent"), "absent/0");
	cr_expect_str_eq(ask(r, 1, "pkg.absent"), "pkg.absent/0", "and nothing else");
	cr_expect_str_eq(ask(r, 1, "pkg/absent"), "pkg/absent/0");
	for (i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "absent%d", i);
		ask(r, 1, name);
	}
	cr_expect_eq(w.deflates, 0);
	eci_responder_free(r);
}

Test(responder, data_and_listings)
{
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);

	cr_expect_str_eq(ask(r, 1, "pkg/data.txt"), "pkg/data.txt/4", "data imports nothing");
	cr_expect_str_eq(ask(r, 1, "pkg/data.txt"), "pkg/data.txt/4");
	cr_expect_str_eq(ask(r, 1, "pkg/"), "pkg//5");
	eci_responder_free(r);
}

Test(responder, malformed_names)
{
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);
	struct eci_random rnd = eci_random_open("malformed_names", 9);
	struct eci_buf out = ECI_BUF_NULL;
	char name[300];
	int i;

	cr_expect_str_eq(ask(r, 1, "../prog"), "!-2");
	cr_expect_str_eq(ask(r, 1, ""), "!-2");
	cr_expect_str_eq(ask(r, 1, "/etc/passwd"), "!-2");
	memset(name, 'a', sizeof(name));
	cr_expect_eq(eci_responder_answer(r, 1, name, 255, &out), 0);
	eci_buf_clear(&out);
	cr_expect_eq(eci_responder_answer(r, 1, name, 256, &out), -2);
	cr_expect_eq(eci_responder_answer(r, 1, "prog\0x", 6, &out), -2);
	w.finds = 0;
	for (i = 0; i < 10000; i++) {
		size_t n = eci_random_below(&rnd, 40), k;

		for (k = 0; k < n; k++)
			name[k] = "./\\a\0%:"[eci_random_below(&rnd, 7)];
		eci_buf_clear(&out);
		if (eci_responder_answer(r, 1, name, n, &out) == -2)
			cr_assert_eq(eci_buf_len(&out), 0);
	}
	eci_buf_deinit(&out);
	eci_responder_free(r);
}

Test(responder, filters)
{
	static const char *const include[] = {"pkg.sub", "single", NULL}, *const exclude[] = {"pkg.a", "pkg.sub.deep",
											      NULL};
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, include, NULL);

	cr_expect_str_eq(ask(r, 1, "prog"), "prog/0");
	cr_expect_str_eq(ask(r, 1, "pkg"), "pkg/2", "above an included one, but not its imports");
	cr_expect_str_eq(ask(r, 1, "pkg.b"), "pkg.b/0");
	cr_expect_str_eq(ask(r, 1, "pkg/data.txt"), "pkg/data.txt/0");
	cr_expect_str_eq(ask(r, 1, "pkg.sub.deep"), "pkg.sub.deep/1 pkg.sub/2");
	cr_expect_str_eq(ask(r, 1, "singleton"), "singleton/0");
	eci_responder_free(r);
	r = eci_responder_new(&ops, &w, NULL, exclude);
	cr_expect_str_eq(ask(r, 1, "prog"), "prog/1 pkg/2 pkg.b/1 single/1 pkg.c/1");
	cr_expect_str_eq(ask(r, 1, "pkg.a"), "pkg.a/0");
	cr_expect_str_eq(ask(r, 1, "pkg/a.py"), "pkg/a.py/0");
	cr_expect_str_eq(ask(r, 1, "pkg.sub"), "pkg.sub/2");
	eci_responder_free(r);
}

/* Children that are filtered away are not told either. */
Test(responder, filtered_children)
{
	static const char *const exclude[] = {"pkg.a", "pkg.sub", NULL};
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, exclude);
	static const char *const asked[] = {"pkg", "pkg/"};
	static const char *const told[] = {"[\"b\", \"c\"]", "[\"__init__.py\", \"data.txt\"]"};
	int i;

	for (i = 0; i < 2; i++) {
		struct eci_buf out = ECI_BUF_NULL;
		struct eci_cbor c;
		ectx_value *v;
		char *json;

		cr_assert_eq(eci_responder_answer(r, 1, asked[i], strlen(asked[i]), &out), 0);
		c = eci_cbor_open(eci_buf_data(&out), eci_buf_len(&out));
		v = eci_value_decode(&c);
		json = ectx_value_json(ectx_array_at(ectx_array_at(v, 0), 5));
		cr_expect_str_eq(json, told[i]);
		free(json);
		ectx_value_free(v);
		eci_buf_deinit(&out);
	}
	eci_responder_free(r);
}

Test(responder, programs)
{
	static const char *const include[] = {"single", NULL};
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, include, NULL);
	static const char source[] = "import single\nfrom . import nothing", other[] = "import absent";

	cr_assert_eq(eci_responder_add(r, "prog", "./prog.py", (const uint8_t *)source, strlen(source)), 0);
	cr_assert_eq(eci_responder_add(r, "econtext:main/s.py", "/x/s.py", (const uint8_t *)source, strlen(source)), 0);
	cr_expect_str_eq(ask(r, 1, "prog"), "prog/1 single/1", "shadows the roots, filters do not apply");
	cr_expect_str_eq(ask(r, 2, "econtext:main/s.py"), "econtext:main/s.py/1 single/1");
	cr_assert_eq(eci_responder_add(r, "prog", "./prog.py", (const uint8_t *)other, strlen(other)), 0);
	cr_expect_str_eq(ask(r, 1, "prog"), "prog/1");
	cr_assert_eq(eci_responder_add(r, "empty", "./empty.py", NULL, 0), 0);
	cr_expect_str_eq(ask(r, 1, "empty"), "empty/1");
	eci_responder_free(r);
}

static const char *called(struct eci_responder *r, const char *stem, const char *source)
{
	static char name[ECI_MODULE_NAME_MAX + 1];
	cr_assert_eq(eci_responder_add_program(r, stem, "p.py", (const uint8_t *)source, strlen(source), name), 0);
	return name;
}

/* A stem is a program's name where nobody was told anything else of it; a call of the same bytes changes nothing. */
Test(responder, called_programs)
{
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);
	for (uint32_t link = 1; link < 3; link++) {
		cr_expect_str_eq(called(r, "twice", "x = 1"), "twice");
		cr_expect_str_eq(ask(r, link, "twice"), "twice/1");
	}
	cr_expect_eq(w.deflates, 1);
	cr_expect_eq(strlen(called(r, "twice", "y = 22")), strlen("twice_") + 32);
	cr_expect_str_eq(ask(r, 1, "asked"), "asked/0");
	cr_expect_eq(strlen(called(r, "asked", "x = 1")), strlen("asked_") + 32, "relays keep that there is none");
	eci_responder_free(r);
}

/* Fifty modules of 1 MiB: the one asked for and 8 MiB of others; the rest when it is asked for. */
Test(responder, bounded_answer)
{
	static struct module many[51];
	static char names[51][16], source[51 * 16];
	struct world w = {many, 51, 0, 0, 1024 * 1024, false};
	struct eci_responder *r;
	const char *answer;
	size_t i, n = 0;

	for (i = 0; i < 51; i++) {
		snprintf(names[i], sizeof(names[i]), "m%02zu", i);
		many[i] = (struct module){names[i], ECI_MOD_MODULE, i ? "" : source, NULL};
		if (i)
			n += (size_t)snprintf(source + n, sizeof(source) - n, "import m%02zu\n", i);
	}
	r = eci_responder_new(&ops, &w, NULL, NULL);
	answer = ask(r, 1, "m00");
	cr_expect_str_eq(answer, "m00/1 m01/1 m02/1 m03/1 m04/1 m05/1 m06/1 m07/1 m08/1");
	cr_expect_str_eq(ask(r, 1, "m08"), "m08/1");
	cr_expect_str_eq(ask(r, 1, "m09"), "m09/1", "was not marked as sent");
	cr_expect_str_eq(ask(r, 1, "m00"), "m00/1 m10/1 m11/1 m12/1 m13/1 m14/1 m15/1 m16/1 m17/1");
	eci_responder_free(r);
}

/* 8 MiB of others to the byte, twice 4 MiB, and one byte more, thrice a third of that. */
Test(responder, bytes_of_one_answer)
{
	static const struct module modules[] = {{"two", ECI_MOD_MODULE, "import a, b", NULL},
						{"three", ECI_MOD_MODULE, "import a, b, c", NULL},
						{"a", ECI_MOD_MODULE, "", NULL},
						{"b", ECI_MOD_MODULE, "", NULL},
						{"c", ECI_MOD_MODULE, "", NULL}};
	int past;

	for (past = 0; past <= 1; past++) {
		struct world w = {modules, 5, 0, 0, (8 * 1024 * 1024 + (size_t)past) / (past ? 3 : 2), false};
		struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);

		cr_expect_str_eq(ask(r, 1, past ? "three" : "two"), past ? "three/1 a/1 b/1" : "two/1 a/1 b/1");
		eci_responder_free(r);
	}
}

/* Something of 16 MiB is there; of a byte more it is not. */
Test(responder, bytes_of_one_entry)
{
	size_t most = 16 * 1024 * 1024;
	char *text = malloc(most + 2);
	struct module modules[] = {{"at/16", ECI_MOD_DATA, text + 1, NULL}, {"past/16", ECI_MOD_DATA, text, NULL}};
	struct world w = WORLD(modules);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);

	memset(text, 'x', most + 1);
	text[most + 1] = '\0';
	w.big = 1;
	cr_expect_str_eq(ask(r, 1, "at/16"), "at/16/4");
	cr_expect_str_eq(ask(r, 1, "past/16"), "past/16/0");
	eci_responder_free(r);
	free(text);
}

/* The children that the first entry of an answer tells. */
static size_t children_told(struct eci_responder *r, const char *name)
{
	struct eci_buf out = ECI_BUF_NULL;
	struct eci_cbor c;
	size_t i, n;

	cr_assert_eq(eci_responder_answer(r, 1, name, strlen(name), &out), 0);
	c = eci_cbor_open(eci_buf_data(&out), eci_buf_len(&out));
	cr_assert_eq(eci_cbor_get_array(&c), 1);
	cr_assert_eq(eci_cbor_get_array(&c), 7);
	for (i = 0; i < 5; i++)
		eci_cbor_skip(&c);
	n = eci_cbor_get_array(&c);
	cr_assert(!c.bad);
	eci_buf_deinit(&out);
	return n;
}

/* "c c c ...": n children. */
static char *many_children(size_t n)
{
	char *text = malloc(2 * n);
	size_t i;

	for (i = 0; i < n; i++)
		memcpy(text + 2 * i, "c ", 2);
	text[2 * n - 1] = '\0';
	return text;
}

Test(responder, children_of_one_entry)
{
	struct module packages[] = {{"at", ECI_MOD_PACKAGE, "", many_children(32768)},
				    {"past", ECI_MOD_PACKAGE, "", many_children(32769)}};
	struct world w = WORLD(packages);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);

	cr_expect_eq(children_told(r, "at"), 32768);
	cr_expect_eq(children_told(r, "past"), 32768);
	eci_responder_free(r);
	free((char *)packages[0].children);
	free((char *)packages[1].children);
}

/* 65,536 items beside the entry asked for, of which 8 are any entry's own and one is an import. */
Test(responder, items_of_one_answer)
{
	int past;

	for (past = 0; past <= 1; past++) {
		struct module modules[] = {{"prog", ECI_MOD_MODULE, "import one, two", NULL},
					   {"one", ECI_MOD_PACKAGE, "import two", many_children(32767)},
					   {"two", ECI_MOD_PACKAGE, "", many_children((size_t)(32768 - 16 + past))}};
		struct world w = WORLD(modules);
		struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);

		cr_expect_str_eq(ask(r, 1, "prog"), past ? "prog/1 one/2" : "prog/1 one/2 two/2");
		eci_responder_free(r);
		free((char *)modules[1].children);
		free((char *)modules[2].children);
	}
}

/* A thousand links, each with its own set. */
Test(responder, many_links)
{
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);
	uint32_t link;

	for (link = 0; link < 1000; link++)
		cr_assert_str_eq(ask(r, link * 8, "pkg.c"), "pkg.c/1 pkg/2");
	for (link = 0; link < 1000; link++)
		cr_assert_str_eq(ask(r, link * 8, "pkg"), "pkg/2");
	eci_responder_free(r);
}

Test(responder, no_memory_is_not_missing)
{
	struct world w = WORLD(project);
	struct eci_responder *r = eci_responder_new(&ops, &w, NULL, NULL);
	w.no_memory = true;
	cr_expect_str_eq(ask(r, 1, "prog"), "!-1");
	w.no_memory = false;
	ask(r, 2, "single");
	w.no_memory = true;
	cr_expect_str_eq(ask(r, 1, "pkg/data.txt"), "!-1");
	cr_expect_str_eq(ask(r, 1, "single"), "single/1", "what is known needs no world");
	w.no_memory = false;
	cr_expect_str_eq(ask(r, 3, "pkg.c"), "pkg.c/1 pkg/2");
	eci_responder_free(r);
}
