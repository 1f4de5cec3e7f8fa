/* The watcher: a second process that does nothing until the agent is gone, however it went, and then ends what it
 * started.
 *
 * It is the process that was booted, and the agent its child, so whoever carries us sees our end only when all of it is
 * over. The agent tells it through a pipe each process group that it starts, and each that is done with; end of file
 * means that the agent is gone. Each group is told by the process itself before it executes anything, so there is no
 * moment in which one runs that the watcher does not know.
 *
 * A signal from the kernel (PR_SET_PDEATHSIG) would not do: it reaches the first process of a group only, and is lost
 * when a program changes its user. Nor the other way: an agent that it kills with its watcher leaves what it started.
 * So the agent sees its end of the pipe fail, and ends in order. */
#include "preamble/native/native.h"

#define KNOWN_MAX 65536u /* more processes than one user may have by default */

void native_watcher_tell(int pid)
{
	if (native.watcher >= 0)
		(void)SYS3(NR_write, native.watcher, &pid, sizeof pid);
}

static _Noreturn void watch(int fd)
{
	static int groups[KNOWN_MAX];
	unsigned n = 0, i;
	int pid;
	long got;
	while ((got = SYS3(NR_read, fd, &pid, sizeof pid)) != 0) {
		if (got != sizeof pid)
			continue;
		for (i = 0; pid < 0 && i < n; i++)
			if (groups[i] == -pid)
				groups[i] = groups[--n];
		if (pid > 0 && n < KNOWN_MAX)
			groups[n++] = pid;
	}
	for (i = 0; i < n; i++)
		(void)SYS2(NR_kill, -groups[i], SYS_SIGKILL);
	native_exit(0);
}

void native_watcher_start(void)
{
	int ends[2];
	native.watcher = -1;
	if (SYS2(NR_pipe2, ends, SYS_CLOEXEC) < 0)
		return;
	long pid = SYS5(NR_clone, SYS_SIGCHLD, 0, 0, 0, 0);
	if (pid > 0) {
		native_close(&ends[1]);
		watch(ends[0]);
	}
	native_close(&ends[0]);
	if (pid < 0) /* no process to be had: then without */
		native_close(&ends[1]);
	native.watcher = ends[1];
}
