/* cli: signals as counts and a descriptor. */
#ifndef ECI_CLI_SIGNALS_H
#define ECI_CLI_SIGNALS_H

#include <stdbool.h>

/* Catches INT, TERM, HUP, QUIT and PIPE. 0, or -1 with errno. Once, before any thread is made. */
int eci_signals_init(void);
/* Readable once a signal came; drained by eci_signals_drain(). */
int eci_signals_fd(void);
void eci_signals_drain(void);
/* How often ^C was pressed. */
int eci_signals_interrupts(void);
/* TERM, HUP or QUIT came: that one; else 0. */
int eci_signals_ending(void);
/* End now: twice ^C, or one of those. A write that blocks is given up then. */
bool eci_signals_must_end(void);
/* Ends the process by sig as if it had never been caught, so that the caller's shell sees why. */
_Noreturn void eci_signals_die(int sig);

#endif
