/* cli: the one place where a secret is asked from the terminal.
 *
 * /dev/tty, not stdin: stdin may be a pipe. Echo is off from before the prompt until the answer, a signal or the end;
 * suspending and quitting by key are off meanwhile, because both would leave the terminal without echo. Reading waits
 * in poll() beside the signal pipe, so ^C is never lost between a check and the read. The answer goes into the caller's
 * buffer only; the library wipes it.
 *
 * The thread that asks may be one of several (cp fetches from many at once). One asks at a time, which is the library's
 * part; the others go on meanwhile, and the output sees to it that they leave the question alone. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/fan.h"
#include "cli/signals.h"

/* Length of the line read into buf, or -1: end of file, signal, too long. */
static long read_line(int tty, char *buf, size_t cap)
{
	size_t n = 0;
	for (;;) {
		struct pollfd fds[2] = {{.fd = tty, .events = POLLIN}, {.fd = eci_signals_fd(), .events = POLLIN}};
		poll(fds, 2, -1);
		if (eci_signals_interrupts() || eci_signals_ending())
			return -1;
		eci_signals_drain();
		if (!(fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		char c;
		if (read(tty, &c, 1) != 1)
			return -1;
		if (c == '\n' || c == '\r')
			return (long)n;
		if (n + 1 >= cap)
			return -1;
		buf[n++] = c;
	}
}

int eci_ask(void *arg, const char *prompt, char *buf, size_t cap)
{
	(void)arg;
	if (eci_signals_interrupts() || eci_signals_ending())
		return -1;
	char *text = ectx_escape(prompt, strlen(prompt));
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios was;
	if (tty < 0 || tcgetattr(tty, &was)) {
		eci_out_hold();
		eci_out_printf(2, "econtext: no terminal to ask for \"%s\" on\n", text ? text : "");
		eci_out_flush();
		eci_out_release();
		free(text);
		if (tty >= 0)
			close(tty);
		return -1;
	}
	struct termios quiet = was;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	quiet.c_lflag |= ICANON | ISIG;
	quiet.c_cc[VSUSP] = quiet.c_cc[VQUIT] = _POSIX_VDISABLE;
	tcsetattr(tty, TCSAFLUSH, &quiet); /* what was typed before the question is not its answer */
	eci_out_hold();
	eci_out_clear();
	eci_out_question(tty, text ? text : "");
	eci_out_release();
	long n = read_line(tty, buf, cap);
	tcsetattr(tty, TCSANOW, &was);
	eci_out_hold();
	eci_out_answered();
	eci_out_release();
	close(tty);
	free(text);
	if (n >= 0)
		buf[n] = 0;
	else
		memset(buf, 0, cap);
	return n >= 0 ? 0 : -1;
}
