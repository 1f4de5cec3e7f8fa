/* The native agent (work in progress). */
#include "preamble/native/sys.h"

static volatile int keep;
void native_main(long *stack);
__attribute__((noreturn, used)) void native_main(long *stack)
{
	keep = stack != NULL;
	for (;;)
		SYS1(NR_exit, 0);
}
