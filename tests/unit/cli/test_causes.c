/* cp: how many names a block shows, and which failures share one. The failures that come out are this test's own. */
#include "cli/causes.h"

#include "econtext/event.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_LONGEST = 1024 };

static ectx_error got[258];
static size_t n;

void eci_failures_add(struct eci_failures *f, const char *node, size_t index, const ectx_error *e)
{
	(void)f;
	(void)node;
	(void)index;
	cr_assert(n < sizeof got / sizeof *got);
	got[n++] = *e;
}

char *ectx_escape(const char *text, size_t len)
{
	return strndup(text, len);
}

static void add(struct eci_causes *c, const char *node, const char *path, const char *why)
{
	ectx_error e = {.status = ECTX_FAILED, .code = ECTX_E_COPY_FAILED, .hint = "hint"};
	(void)snprintf(e.saw, sizeof e.saw, "%s: %s", path, why);
	eci_causes_add(c, node, path, &e);
}

static void moved(struct eci_causes *c, size_t want)
{
	struct eci_failures none = {0};
	n = 0;
	eci_causes_move(c, &none);
	cr_assert(n == want && !c->v, "%zu", n);
}

Test(causes, three_names_are_shown_and_what_is_more_is_counted)
{
	struct eci_causes c = {0};
	add(&c, "a", "f1", "full");
	moved(&c, 1);
	cr_assert_str_eq(got[0].saw, "f1: full");
	for (int i = 0; i < 3; i++)
		add(&c, "a", (const char *[]){"f1", "f2", "f3"}[i], "full");
	moved(&c, 1);
	cr_assert_str_eq(got[0].saw, "f1, f2, f3: full");
	cr_assert_str_eq(got[0].hint, "hint");
	for (int i = 0; i < 4; i++)
		add(&c, "a", (const char *[]){"f1", "f2", "f3", "f4"}[i], "full");
	moved(&c, 1);
	cr_assert_str_eq(got[0].saw, "f1, f2, f3 and 1 more: full");
	cr_assert_str_eq(got[0].hint, "hint; --json names each");
}

Test(causes, another_node_or_another_cause_is_another_failure)
{
	struct eci_causes c = {0};
	add(&c, "a", "f1", "full");
	add(&c, "b", "f1", "full");
	add(&c, "a", "f2", "denied");
	add(&c, "a", "f3", "full");
	moved(&c, 3);
	cr_assert_str_eq(got[0].saw, "f1, f3: full");
}

Test(causes, names_have_room_for_so_much)
{
	struct eci_causes c = {0};
	char name[NAMES_LONGEST + 2];
	memset(name, 'x', sizeof name);
	name[NAMES_LONGEST - 3] = 0;
	add(&c, "a", name, "full");
	add(&c, "a", "f2", "full"); /* no room for its name */
	moved(&c, 1);
	cr_assert(!strncmp(got[0].saw, name, strlen(name)));
	cr_assert_str_eq(got[0].saw + strlen(name), " and 1 more: full");
	name[NAMES_LONGEST - 3] = 'x';
	name[NAMES_LONGEST + 1] = 0;
	add(&c, "a", name, "full"); /* longer than all may be: by itself */
	add(&c, "a", name, "full");
	moved(&c, 2);
	cr_assert(strlen(got[0].saw) == strlen(name) + strlen(": full"));
}

/* ", f2" fits behind a name of that length, and no longer name's. */
Test(causes, names_have_room_to_the_byte)
{
	char name[NAMES_LONGEST + 2];
	for (int past = 0; past <= 1; past++) {
		struct eci_causes c = {0};
		memset(name, 'x', sizeof name);
		name[NAMES_LONGEST - 5 + past] = 0;
		add(&c, "a", name, "full");
		add(&c, "a", "f2", "full");
		moved(&c, 1);
		cr_assert_str_eq(got[0].saw + strlen(name), past ? " and 1 more: full" : ", f2: full");
		name[NAMES_LONGEST - 5 + past] = 'x';
		name[NAMES_LONGEST + past] = 0;
		add(&c, "a", name, "full");
		add(&c, "a", name, "full");
		moved(&c, past ? 2 : 1);
	}
}

static void add_different(struct eci_causes *c, int many)
{
	for (int i = 0; i < many; i++) {
		char why[16];
		(void)snprintf(why, sizeof why, "%d", i);
		add(c, "a", "f", why);
	}
}

Test(causes, what_is_beyond_256_of_them_is_one)
{
	struct eci_causes c = {0};
	add_different(&c, 256);
	add(&c, "a", "g", "255");
	moved(&c, 256);
	cr_assert_str_eq(got[254].saw, "f: 254");
	cr_assert_str_eq(got[255].saw, "f, g: 255");
	add_different(&c, 258);
	moved(&c, 257);
	cr_assert_str_eq(got[255].saw, "f: 255");
	cr_assert_str_eq(got[256].saw, "f, f: more reasons than are told here");
}
