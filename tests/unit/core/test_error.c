/* Names, hints and statuses: each there, none twice, and numbers from a newer peer are survived. */
#include "econtext/error.h"
#include <criterion/criterion.h>
#include <string.h>

static const char *const codes[] = {
#define X(id, text, status, hint) text,
	ECTX_CODES(X)
#undef X
};
enum { CODES = sizeof codes / sizeof *codes };

Test(error, codes_have_their_names_and_no_two_the_same)
{
	for (int i = 0; i < CODES; i++) {
		cr_assert_str_eq(ectx_code_name((enum ectx_code)i), codes[i]);
		for (int k = 0; k < i; k++)
			cr_assert_str_neq(codes[i], codes[k]);
	}
	cr_assert_str_eq(ectx_code_name(ECTX_E_NO_PYTHON), "no-python");
	cr_assert_str_eq(ectx_phase_name(ECTX_PHASE_RESOLVE), "resolve");
	cr_assert_str_eq(ectx_phase_name(ECTX_PHASE_LOST), "lost");
}

Test(error, statuses_are_those_of_the_program)
{
	cr_assert_eq(ectx_code_status(ECTX_E_NONE), ECTX_OK);
	cr_assert_eq(ectx_code_status(ECTX_E_PASSWORD_WRONG), 4);
	cr_assert_eq(ectx_code_status(ECTX_E_NO_PYTHON), 3);
	cr_assert_eq(ectx_code_status(ECTX_E_LOST_RUNNING), 6);
	cr_assert(strstr(ectx_code_hint(ECTX_E_NO_PYTHON), "agent: native"));
}

Test(error, numbers_out_of_range)
{
	cr_assert_str_eq(ectx_code_name((enum ectx_code)CODES), "");
	cr_assert_str_eq(ectx_code_hint((enum ectx_code)CODES), "");
	cr_assert_eq(ectx_code_status((enum ectx_code)CODES), ECTX_INTERNAL);
	cr_assert_str_eq(ectx_phase_name((enum ectx_phase)(ECTX_PHASE_LOST + 1)), "");
	cr_assert_str_eq(ectx_phase_name((enum ectx_phase)UINT32_MAX), "");
}
