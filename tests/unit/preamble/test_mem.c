/* The native agent's memory: its ceiling, which a piece that nobody touches reaches for nothing, and what is kept of
 * it. The rest of that file is tried by running the agent (tests/native). */
#include "preamble/native/native.h"
#include <criterion/criterion.h>

enum { CEILING = 512 << 20, KEPT = 1 << 20, WORD = 8, PAGE = 4096 };

Test(mem, ends_at_512_mebibytes)
{
	void *all = eci_mem_alloc(CEILING - WORD);
	cr_assert(all);
	cr_expect(!eci_mem_alloc(PAGE + 1), "a page more");
	cr_expect(!eci_mem_alloc(1), "a small piece, which needs a chunk");
	eci_mem_free(all);
	cr_expect(!eci_mem_alloc(CEILING - WORD + 1));
	/* In two pieces, with one that is kept for reuse counted too until it is trimmed. */
	void *some = eci_mem_alloc(2 * PAGE - WORD);
	cr_assert(some);
	cr_expect(!eci_mem_alloc(CEILING - WORD - PAGE));
	all = eci_mem_alloc(CEILING - WORD - 2 * PAGE);
	cr_expect(all);
	eci_mem_free(all);
	eci_mem_free(some);
	cr_expect(native_mem_kept() == 2 * PAGE && !eci_mem_alloc(CEILING - WORD));
	native_mem_trim();
	all = eci_mem_alloc(CEILING - WORD);
	cr_expect(all);
	eci_mem_free(all);
}

Test(mem, keeps_a_mebibyte)
{
	void *one = eci_mem_alloc(KEPT - 2 * PAGE - WORD), *two = eci_mem_alloc(2 * PAGE - WORD);
	void *more = eci_mem_alloc(2 * PAGE - WORD);
	cr_assert(one && two && more);
	eci_mem_free(one);
	eci_mem_free(two);
	cr_expect(native_mem_kept() == KEPT);
	eci_mem_free(more);
	cr_expect(native_mem_kept() == KEPT, "for that there is no room");
	native_mem_trim();
	one = eci_mem_alloc(KEPT);
	cr_assert(one);
	eci_mem_free(one);
	cr_expect(native_mem_kept() == 0, "nor for one that is longer by itself");
}
