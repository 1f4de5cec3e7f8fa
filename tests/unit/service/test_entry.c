/* The form of one thing that is served, and which of its children are told to whom a filter allows less. */
#include "service/responder_impl.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The children that are told of an entry with a name of n letters (of a listing: and a slash) that has two children,
 * one of m letters and one that is a letter longer. */
static size_t told(enum eci_module_kind kind, size_t n, size_t m, bool filtered)
{
	static const char *const include[] = {"a", NULL};
	char name[300], first[300], second[300], path[] = "p";
	char *children[] = {first, second, NULL};
	struct eci_entry e = {.kind = kind, .name = name, .path = path, .children = children};
	struct eci_filter f;
	struct eci_buf b = ECI_BUF_NULL;
	memset(name, 'x', sizeof name);
	memset(first, 'y', sizeof first);
	memset(second, 'y', sizeof second);
	memcpy(name, kind == ECI_MOD_LISTING ? "a/" : "a.", 2);
	if (kind == ECI_MOD_LISTING)
		name[n - 1] = '/';
	name[n] = first[m] = second[m + 1] = 0;
	cr_assert_eq(eci_filter_init(&f, include, NULL), 0);
	eci_entry_encode(&e, filtered ? &f : NULL, &b);
	eci_filter_deinit(&f);
	cr_assert_eq(eci_cbor_check(eci_buf_data(&b), eci_buf_len(&b), ECI_CBOR_VALUE_ITEMS_MAX), ECI_CBOR_OK);
	struct eci_cbor c = eci_cbor_open(eci_buf_data(&b), eci_buf_len(&b));
	cr_assert_eq(eci_cbor_get_array(&c), 7);
	for (int i = 0; i < 5; i++)
		cr_assert(eci_cbor_skip(&c));
	size_t count = eci_cbor_get_array(&c);
	cr_assert(!c.bad);
	eci_buf_deinit(&b);
	return count;
}

/* A name that can be served has 255 bytes: with the dot, which what lies in a folder has not. */
Test(entry, children_up_to_the_longest_name)
{
	cr_expect_eq(told(ECI_MOD_PACKAGE, 10, 243, true), 2);
	cr_expect_eq(told(ECI_MOD_PACKAGE, 10, 244, true), 1);
	cr_expect_eq(told(ECI_MOD_PACKAGE, 10, 245, true), 0);
	cr_expect_eq(told(ECI_MOD_LISTING, 10, 244, true), 2);
	cr_expect_eq(told(ECI_MOD_LISTING, 10, 245, true), 1);
	cr_expect_eq(told(ECI_MOD_LISTING, 10, 246, true), 0);
	cr_expect_eq(told(ECI_MOD_PACKAGE, 10, 280, false), 2, "who is allowed all is told all");
}

/* Packing that takes three turns, or fails in the second. */
static int turns, stopped, fails;

static int pack(void *ctx, struct eci_packing **state, const uint8_t *p, size_t n, struct eci_buf *out, uint8_t sum[16])
{
	(void)ctx, (void)p, (void)n, (void)sum;
	*state = ++turns < 3 ? (struct eci_packing *)&turns : NULL;
	cr_assert_eq(eci_buf_append(out, "z", 1), 0);
	if (turns == 2 && fails)
		*state = NULL;
	return *state ? 1 : turns == 3 ? 0 : -1;
}

static void stop(struct eci_packing *state)
{
	cr_expect_eq((void *)state, (void *)&turns);
	stopped++;
}

Test(entry, packing_goes_on_and_is_stopped)
{
	const struct eci_source_ops ops = {.pack = pack, .stop = stop};
	static const int due[][3] = {{1, 1, 0}, {1, -1, 0}, {1, 0, 0}};
	for (int way = 0; way < 3; way++) { /* to its end; it fails; it is given up */
		struct eci_source src = {.kind = ECI_MOD_MODULE, .path = strdup("p"), .len = 1};
		struct eci_entry e;
		src.bytes = (uint8_t *)strdup("x");
		turns = stopped = 0;
		fails = way == 1;
		cr_assert_eq(eci_entry_init(&e, "m", &src), 0);
		cr_expect(!src.path && !src.bytes, "it is the entry's");
		for (int i = 0; i < 3 - way; i++)
			cr_expect_eq(eci_entry_pack(&e, &ops, NULL), due[way][i], "%d: %d", way, i);
		cr_expect_eq(e.packed, way == 0);
		cr_expect_eq(eci_buf_len(&e.zlib), way == 0 ? 3 : way == 1 ? 0 : 1);
		cr_expect(way ? e.bytes != NULL : !e.bytes, "the plain bytes stay until then");
		if (way == 0)
			cr_expect(eci_entry_pack(&e, &ops, NULL) == 0 && turns == 3, "once");
		eci_entry_deinit(&e);
		cr_expect_eq(stopped, way == 2);
	}
}
