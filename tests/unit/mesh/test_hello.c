/* HELLO at its limits: what does not fit is left out or cut, and the largest is what a child takes. */
#include "core/cbor.h"
#include "mesh/connect.h"
#include "mesh_support.h"

struct hello {
	char title[128], name[64];
	size_t bytes;
};

static char *const no_overrides[] = {NULL};

/* What a context of this name and title is told. */
static struct hello told(ectx_mesh *m, const char *name, const char *title)
{
	ectx_context c = {.mesh = m, .name = (char *)name, .id = UINT32_MAX, .size = UINT32_MAX};
	struct eci_buf b = ECI_BUF_NULL;
	struct hello h = {.bytes = 0};
	const char *text = "";
	size_t n = 0;
	c.target.title = title;
	c.target.timeout.idle_ms = UINT32_MAX;
	eci_hello_put(&c, &b);
	h.bytes = eci_buf_len(&b);
	cr_assert(!b.failed && eci_cbor_check(eci_buf_data(&b), h.bytes, 100) == ECI_CBOR_OK);
	struct eci_cbor r = eci_cbor_open(eci_buf_data(&b), h.bytes);
	for (size_t pairs = eci_cbor_get_map(&r); pairs; pairs--) {
		uint64_t key = eci_cbor_get_uint(&r);
		if ((key == 4 || key == 5) && eci_cbor_get_text(&r, &text, &n))
			(void)snprintf(key == 4 ? h.title : h.name, key == 4 ? sizeof h.title : sizeof h.name, "%.*s",
				       (int)n, text);
		else
			(void)eci_cbor_skip(&r);
	}
	cr_assert(!r.bad && r.p == r.end);
	eci_buf_deinit(&b);
	return h;
}

static const char *letters(char *out, size_t n)
{
	memset(out, 'x', n);
	out[n] = 0;
	return out;
}

Test(hello, a_name_of_40_bytes_and_none_of_41)
{
	ectx_mesh m = {.overrides = (char **)no_overrides};
	char name[64];
	cr_expect(strlen(told(&m, letters(name, 40), "t").name) == 40);
	cr_expect(strlen(told(&m, letters(name, 41), "t").name) == 0);
}

Test(hello, a_title_of_99_bytes_and_no_more)
{
	ectx_mesh m = {.overrides = (char **)no_overrides};
	char title[128], of_pid[32];
	cr_expect(strlen(told(&m, "c", letters(title, 99)).title) == 99);
	cr_expect(strlen(told(&m, "c", letters(title, 100)).title) == 99);
	(void)snprintf(title + 97, 16, "\xC3\xA9");
	cr_expect(strlen(told(&m, "c", title).title) == 99);
	(void)snprintf(title + 97, 16, "x\xC3\xA9");
	(void)snprintf(of_pid, sizeof of_pid, "econtext:%ld", (long)getpid());
	cr_expect_str_eq(told(&m, "c", title).title, of_pid, "not half a character");
}

/* Each override prefix counts with a head of two bytes, the longest that one of them has. */
Test(hello, the_largest_is_taken)
{
	char prefixes[2][64], name[64], title[128];
	char *const overrides[] = {prefixes[0], prefixes[1], NULL};
	ectx_mesh m = {.overrides = (char **)overrides, .log_level = INT32_MAX};
	(void)letters(prefixes[0], 38);
	(void)letters(prefixes[1], 39);
	cr_expect(!eci_overrides_fit((const char *const *)overrides));
	(void)letters(prefixes[1], 38);
	cr_expect(eci_overrides_fit((const char *const *)overrides));
	size_t most = told(&m, letters(name, 40), letters(title, 120)).bytes;
	cr_expect(most <= ECI_HELLO_MAX && most > ECI_HELLO_MAX - 8, "%zu", most);
}
