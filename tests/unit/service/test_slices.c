/* The responder where compressing takes several turns: it is asked again, one link's data at a time, and what is begun
 * is given up with its link. The world has every name: a path with a slash is data. */
#include "service/service.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS = 3 }; /* that each takes */

struct eci_packing {
	unsigned left;
};
static int packing, packed;

static int find(void *ctx, const char *name, struct eci_source *out)
{
	(void)ctx;
	if (strstr(name, "absent"))
		return 0;
	out->kind = strchr(name, '/') ? ECI_MOD_DATA : ECI_MOD_MODULE;
	out->path = strdup(name);
	out->bytes = (uint8_t *)strdup(strcmp(name, "first") ? "" : "import second");
	out->len = strlen((char *)out->bytes);
	return 0;
}

static void stop(struct eci_packing *state)
{
	packing--;
	free(state);
}

static int pack(void *ctx, struct eci_packing **state, const uint8_t *p, size_t n, struct eci_buf *out, uint8_t sum[16])
{
	(void)ctx;
	if (!*state) {
		*state = malloc(sizeof **state);
		(*state)->left = TURNS;
		packing++;
	}
	if (--(*state)->left)
		return 1;
	stop(*state);
	*state = NULL;
	packed++;
	memset(sum, 0, 16);
	return eci_buf_append(out, p, n);
}

static void digest(void *ctx, const uint8_t *p, size_t n, uint8_t out[16])
{
	(void)ctx, (void)p, (void)n;
	memset(out, 0, 16);
}

static const struct eci_source_ops ops = {find, pack, stop, digest};

/* Entries in the answer; -1: there is none yet. */
static int ask(struct eci_responder *r, uint32_t link, const char *name)
{
	struct eci_buf out = ECI_BUF_NULL;
	int rc = eci_responder_answer(r, link, name, strlen(name), &out);
	struct eci_cbor c = eci_cbor_open(eci_buf_data(&out), eci_buf_len(&out));
	int n = rc ? -1 : (int)eci_cbor_get_array(&c);

	cr_expect(rc == 0 || (rc == 1 && !eci_buf_len(&out)), "%d", rc);
	eci_buf_deinit(&out);
	return n;
}

Test(slices, modules_are_made_for_all)
{
	struct eci_responder *r = eci_responder_new(&ops, NULL, NULL, NULL);

	packing = packed = 0;
	cr_expect_eq(ask(r, 1, "first"), -1);
	cr_expect_eq(ask(r, 2, "first"), -1, "the same one for another link");
	cr_expect_eq(ask(r, 2, "first"), -1, "what it imports");
	cr_expect_eq(ask(r, 1, "first"), -1);
	cr_expect_eq(ask(r, 1, "first"), 2, "nothing counts as sent before");
	cr_expect_eq(ask(r, 2, "first"), 2);
	cr_expect(packed == 2 && packing == 0);
	cr_expect_eq(ask(r, 1, "third"), -1);
	cr_expect_eq(packing, 1);
	eci_responder_free(r);
	cr_expect_eq(packing, 0, "what was begun is given up");
}

Test(slices, data_of_one_link_at_a_time)
{
	struct eci_responder *r = eci_responder_new(&ops, NULL, NULL, NULL);

	packing = packed = 0;
	cr_expect_eq(ask(r, 1, "a/b"), -1);
	cr_expect_eq(ask(r, 2, "a/b"), -1);
	cr_expect_eq(ask(r, 1, "a/b"), -1);
	cr_expect_eq(ask(r, 2, "a/b"), -1, "not done for the first");
	cr_expect_eq(ask(r, 1, "a/b"), 1);
	cr_expect_eq(ask(r, 2, "a/b"), -1);
	cr_expect_eq(packing, 1);
	cr_expect_eq(ask(r, 2, "a/absent"), 1, "the link has another question: that one is gone");
	cr_expect_eq(packing, 0);
	cr_expect_eq(ask(r, 1, "a/b"), -1);
	eci_responder_forget_link(r, 2);
	cr_expect_eq(packing, 1);
	eci_responder_forget_link(r, 1);
	cr_expect_eq(packing, 0);
	cr_expect_eq(ask(r, 2, "a/b"), -1, "free for another");
	eci_responder_free(r);
	cr_expect_eq(packing, 0);
}
