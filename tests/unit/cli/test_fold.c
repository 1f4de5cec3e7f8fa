/* -b: how much of different texts waits before it is printed. What is printed is this test's own: only that, and when,
 * is looked at. */
#include "cli/fold.h"
#include "cli/opts.h"
#include "cli/out.h"
#include "econtext/topology.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { WAITS = 256 << 20, SMALL = 3 };

static char printed[512];
static size_t len;

void eci_out_bytes(int fd, const char *p, size_t n)
{
	(void)fd;
	cr_assert(n < sizeof printed - len);
	memcpy(printed + len, p, n);
	len += n;
}

void eci_out_remote(int fd, const char *p, size_t n)
{
	eci_out_bytes(fd, p, n);
}

void eci_out_text(int fd, const char *text)
{
	eci_out_bytes(fd, text, strlen(text));
}

void eci_out_printf(int fd, const char *fmt, ...)
{
	(void)fmt; /* its names */
	eci_out_text(fd, "#");
}

char *ectx_nodeset_fold(const char *const *names, size_t n)
{
	return n ? eci_copy(names[0], strlen(names[0])) : NULL;
}

static void add(struct eci_fold *f, const char *text, size_t index)
{
	struct eci_kept k = {0};
	eci_kept_add(&k, text, strlen(text));
	eci_fold_add(f, &k, "node", index, 1);
}

/* All that waits is printed for a new text for which there is no room, and the folding starts again with it. A text
 * that is there already needs none. */
Test(fold, different_texts_of_256_mebibytes_wait)
{
	struct eci_fold f = {0};
	add(&f, "one", 0);
	f.bytes = WAITS - SMALL; /* as if others had come, whose text costs time */
	add(&f, "two", 1);
	cr_expect(len == 0 && f.count == 2 && f.bytes == WAITS);
	add(&f, "two", 2);
	cr_expect(len == 0 && f.count == 2 && f.bytes == WAITS);
	add(&f, "3", 3);
	cr_expect(f.count == 1 && f.bytes == 1, "%zu of %zu bytes", f.count, f.bytes);
	cr_expect(strstr(printed, "one") && strstr(printed, "two") && !strchr(printed, '3'), "%s", printed);
	eci_fold_print(&f, 1);
	cr_expect(f.count == 0 && f.bytes == 0 && strchr(printed, '3'));
}
