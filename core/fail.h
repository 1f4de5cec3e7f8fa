/* core: a failure while it travels inside the library; mesh/ adds the hop path and makes an ectx_error of it. */
#ifndef ECI_CORE_FAIL_H
#define ECI_CORE_FAIL_H

#include "econtext/error.h"

struct eci_fail {
	enum ectx_phase phase;
	enum ectx_code code;
	uint32_t after_ms, limit_ms;
	char saw[2048];
	char hint[512]; /* "": the code's default */
};

#endif
