/* The watcher: a second process that does nothing until the agent is gone, however it went, and then ends what it
 * started.
 *
 * The agent tells it through a pipe each process group that it starts, and each that is done with; end of file means
 * that the agent is gone. Each group is told by the process itself before it executes anything, so there is no moment
 * in which one runs that the watcher does not know.
 *
 * It has a session of its own, and nobody's it is: an agent above us that ends kills the group of the process that it
 * started, at once, and a watcher in that group would go with the agent and leave what this had started. An agent that
 * ends by itself waits for it, so whoever carries us sees our end only when all of it is over; else it holds our
 * outputs until then. Where it is killed, the agent sees its end of the pipe fail, and ends in order.
 *
 * Where we are process 1 (of a container, a namespace), the two change places: the watcher stays that, and the agent is
 * its child. So orphans, which come to process 1, are the watcher's, who ignores SIGCHLD: the kernel waits for them.
 * The agent cannot: it keeps some that have ended (procs.c), and behind the first of these the kernel names nobody.
 *
 * Each group's leader leads a session too, and in that may be other groups, as the jobs of a shell that has job
 * control. They are ended behind the group: /proc says which processes there are, and getsid(2) whose session each is
 * in, in the numbers that kill(2) takes, whatever /proc is mounted there. One pass does for all; where there is no
 * /proc, it is the groups only. What is killed is looked for again until the same are found twice, as one may have
 * forked meanwhile.
 *
 * A signal from the kernel (PR_SET_PDEATHSIG) would not do: it reaches the first process of a group only, and is lost
 * when a program changes its user. */
#include "preamble/native/native.h"

#define ROUNDS 8
#define PID_MAX (1L << 22)
#define RECLEN 16 /* in a struct linux_dirent64: getdents64(2) */
#define NAME 19

int native_leaders[NATIVE_KNOWN_MAX];

void native_watcher_tell(int pid)
{
	if (native.watcher >= 0)
		(void)SYS3(NR_write, native.watcher, &pid, sizeof pid);
}

/* The sum of those it was sent to. Their groups are none of the leaders', which have it already. */
static long sweep(unsigned n, int sig)
{
	long got, pid, sum = 0;
	int fd = (int)SYS3(NR_openat, -100, "/proc", SYS_CLOEXEC);
	while ((got = SYS3(NR_getdents64, fd, native.buf, NATIVE_READ_MAX)) > 0)
		for (const uint8_t *at = native.buf; at < native.buf + got; at += at[RECLEN] + at[RECLEN + 1] * 256u) {
			const char *name = (const char *)at + NAME;
			pid = native_number(&name, name + 8, 10, PID_MAX);
			long sid = SYS1(NR_getsid, pid); /* of -1, what is no process: an error */
			for (unsigned i = 0; i < n; i++)
				if (native_leaders[i] == sid && SYS1(NR_getpgid, pid) != sid) {
					(void)SYS2(NR_kill, pid, sig);
					sum += pid;
				}
		}
	native_close(&fd);
	return sum;
}

void native_sweep(unsigned n, int sig)
{
	long sum = 0, last;
	int rounds = ROUNDS;
	do {
		last = sum;
		sum = sweep(n, sig);
	} while (sig == SYS_SIGKILL && sum != last && --rounds);
}

static _Noreturn void watch(int fd)
{
	int *groups = native_leaders;
	unsigned n = 0, i;
	int pid;
	long got;
	native_signal(SYS_SIGCHLD, SYS_SIG_IGN); /* the kernel waits for whom we are the parent of */
	while ((got = SYS3(NR_read, fd, &pid, sizeof pid)) != 0) {
		if (got != sizeof pid)
			continue;
		for (i = 0; pid < 0 && i < n; i++)
			if (groups[i] == -pid)
				groups[i] = groups[--n];
		if (pid > 0 && n < NATIVE_KNOWN_MAX)
			groups[n++] = pid;
	}
	for (i = 0; i < n; i++)
		(void)SYS2(NR_kill, -groups[i], SYS_SIGKILL);
	if (n) /* else, a leaf's usual end, nothing is asked of all that /proc lists */
		native_sweep(n, SYS_SIGKILL);
	native_exit(0);
}

void native_watcher_start(void)
{
	int ends[2];
	native.watcher = -1;
	if (SYS2(NR_pipe2, ends, SYS_CLOEXEC) < 0)
		return;
	bool init = SYS0(NR_getpid) == 1;
	long pid = SYS5(NR_clone, SYS_SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		(void)SYS0(NR_setsid);
	if (init ? pid > 0 : !pid) {
		native_close(&ends[1]);
		watch(ends[0]);
	}
	native.watcher_pid = (int)pid;
	native_close(&ends[0]);
	if (pid < 0) /* no process to be had: then without */
		native_close(&ends[1]);
	native.watcher = ends[1];
}

void native_watcher_end(void)
{
	int held = native.watcher;
	native_close(&native.watcher);
	if (held >= 0)
		(void)SYS4(NR_wait4, native.watcher_pid, 0, 0, 0);
}
