/* What the tests of processes share. */
#ifndef ECI_TEST_PROC_SUPPORT_H
#define ECI_TEST_PROC_SUPPORT_H

#include "io/proc.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Reads a descriptor to its end, at most 20 s. */
static inline size_t read_all(int fd, char *out, size_t cap)
{
	size_t n = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (n + 1 < cap && poll(&p, 1, 20000) == 1) {
		ssize_t r = read(fd, out + n, cap - 1 - n);
		if (r < 0 && errno == EAGAIN)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	out[n] = '\0';
	return n;
}

static inline int ended(struct eci_proc *p)
{
	int status = -1;
	struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};

	for (int i = 0; i < 4000 && !eci_proc_reap(p, &status); i++)
		(void)(p->pidfd >= 0 ? poll(&fd, 1, 5) : usleep(5000));
	cr_assert(p->pid < 0, "it does not end");
	return status;
}

#endif
