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
