/* cli: signals.
 *
 * Handlers only count and write a byte into a pipe that the event loop polls; all decisions are made in main code. They
 * are set without SA_RESTART, so that a write into a pipe nobody reads, or the reading of a password, comes back with
 * EINTR and can be given up.
 *
 * SIGPIPE is caught, not ignored: a caught signal is default again after exec, an ignored one stays ignored in ssh and
 * all it starts. The write then fails with EPIPE, remote work is ended in order, and the process dies of a real SIGPIPE
 * like any other filter (status 141). */
#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "econtext/error.h"

static volatile sig_atomic_t interrupts, ending;
static int wake[2] = {-1, -1};

static void note(int sig)
{
	int saved = errno;
	if (sig == SIGINT) {
		if (interrupts < 2)
			interrupts++;
	} else if (sig != SIGPIPE) {
		ending = sig;
	}
	if (sig != SIGPIPE) {
		ssize_t n = write(wake[1], "", 1); /* full: a byte is there already */
		(void)n;
	}
	errno = saved;
}

int eci_signals_init(void)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
		return -1;
	for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
		struct sigaction now, sa = {.sa_handler = note};
		sigemptyset(&sa.sa_mask);
		if (sigaction(caught[i], NULL, &now))
			return -1;
		/* nohup, and a shell's background job, must keep what they set */
		if (now.sa_handler == SIG_IGN && caught[i] != SIGPIPE)
			continue;
		if (sigaction(caught[i], &sa, NULL))
			return -1;
	}
	return 0;
}

int eci_signals_fd(void)
{
	return wake[0];
}

void eci_signals_drain(void)
{
	char some[64];
	while (read(wake[0], some, sizeof some) > 0)
		;
}

int eci_signals_interrupts(void)
{
	return interrupts;
}
int eci_signals_ending(void)
{
	return ending;
}
bool eci_signals_must_end(void)
{
	return interrupts >= 2 || ending;
}

void eci_signals_die(int sig)
{
	sigset_t one;
	signal(sig, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	raise(sig);
	_exit(ECTX_INTERNAL);
}
