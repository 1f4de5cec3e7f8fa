/* Starting processes.
 *
 * A carrier (ssh, sudo, sh ...) gets a session of its own: its terminal, if it has one, is the one we open for it and
 * never the user's, so that a password prompt comes to us and ^C at the user's terminal does not reach it behind our
 * back.
 *
 * vfork(2), and between it and exec only async-signal-safe calls (signal-safety(7)), as the calling program may have
 * any number of threads and the child runs in its memory: argv, environment and descriptors are all prepared before,
 * and what the child writes is its own part of `struct plan`. A fork would share each page until it is written, so that
 * the parent takes a page fault for all that it touches after every start: 1,000 local contexts took three times as
 * long. The result of exec comes back through a close-on-exec pipe: end of file means it worked, an errno means it did
 * not; so "no such program" is an answer of this function and not an exit status 127 to guess at. Nor is that end
 * waited for: a process that another thread forks meanwhile holds the pipe open for its life, and vfork returns when
 * exec is over, so that what is not there by then does not come.
 *
 * posix_spawn(3) would be shorter, but cannot make a controlling terminal or set the parent-death signal.
 *
 * Pipes rather than a socketpair: SELinux policies refuse sudo and friends on inherited sockets, and a pipe's end of
 * file is what the far end's clean-up hangs on. */
#include "io/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IN, OUT, ERR, EXEC, PIPES }; /* indices of the pipes of one start */
#define WIDE 262144                 /* bytes */

struct plan {
	const char *const *argv;
	char **environ;
	char slave_path[64];
	int pty, slave; /* pty: its master side; slave: of mode PTY that once more, of CTTY the other side */
	int pipe[PIPES][2];
	int stdio[3]; /* the child's own */
	enum eci_proc_mode mode;
	bool survives, image;
	volatile bool shared; /* the child ran in our memory: vfork was none that is a fork, as under some tools */
	pid_t parent;
};

static char **make_environ(const char *const *changes)
{
	extern char **environ;
	size_t n = 0, m = 0;
	while (environ && environ[n])
		n++;
	while (changes && changes[m])
		m++;
	char **out = calloc(n + m + 1, sizeof *out);
	if (!out)
		return NULL;
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		bool changed = false;
		for (size_t j = 0; j < m && !changed; j++) {
			size_t len = strcspn(changes[j], "=");
			changed = !strncmp(environ[i], changes[j], len) && environ[i][len] == '=';
		}
		if (!changed)
			out[k++] = environ[i];
	}
	for (size_t j = 0; j < m; j++)
		if (strchr(changes[j], '='))
			out[k++] = (char *)(uintptr_t)changes[j];
	return out;
}

/* Of those that are open, as far as the system lists them: it goes by their numbers, so that it can be done meanwhile.
 * By the system call, as opendir(3) allocates. */
static bool close_listed(int lowest)
{
	union {
		struct dirent entry; /* the system call's, as off_t has 64 bits */
		char mem[2048];
	} list;
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n = -1;
	while (dir >= 0 && (n = syscall(SYS_getdents64, dir, &list, sizeof list)) > 0) {
		const struct dirent *e;
		for (long at = 0; at < n; at += e->d_reclen) {
			int fd = 0;
			e = (const struct dirent *)(const void *)(list.mem + at);
			for (const char *c = e->d_name; *c >= '0' && *c <= '9'; c++)
				fd = 10 * fd + (*c - '0');
			if (fd >= lowest && fd != dir) /* "." and ".." are 0 */
				(void)close(fd);
		}
	}
	if (dir >= 0)
		(void)close(dir);
	return n == 0;
}

/* Before Linux 5.9 there is no close_range(2), and our limit may be a thousand times what is open. */
static void close_from(int lowest)
{
	if (syscall(SYS_close_range, (unsigned)lowest, ~0u, 0u) == 0 || close_listed(lowest))
		return;
	long max = sysconf(_SC_OPEN_MAX);
	for (int fd = lowest; fd < (max > 0 && max < 65536 ? (int)max : 65536); fd++)
		(void)close(fd);
}

static atomic_ulong limit_files; /* 0: as it is */

void eci_proc_limit_files(unsigned long soft)
{
	atomic_store(&limit_files, soft);
}

/* Behind close_from(): no descriptor that is still wanted is above it. */
static void set_limit(void)
{
	struct rlimit r;
	unsigned long soft = atomic_load(&limit_files);
	if (!soft || getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = soft < r.rlim_max ? soft : r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

static _Noreturn void give_up(int fd, int err)
{
	(void)!write(fd, &err, sizeof err);
	_exit(127);
}

/* In the child, after vfork: async-signal-safe calls only, and nothing written that the parent reads. */
static _Noreturn void become(struct plan *p)
{
	int report = p->pipe[EXEC][1];
	(void)setsid();
	if (!p->survives)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != p->parent)
		_exit(127);
	if (p->mode != ECI_PROC_PIPES) {
		int slave = open(p->slave_path, O_RDWR); /* the first terminal a session leader opens becomes its own */
		if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
			give_up(report, -errno);
		if (p->mode == ECI_PROC_PTY)
			p->stdio[0] = p->stdio[1] = p->stdio[2] = slave;
	}
	for (int i = 0; i < 3; i++) { /* out of the way of 0 to 2 first, as they may be among them */
		p->stdio[i] = fcntl(p->stdio[i], F_DUPFD_CLOEXEC, 3);
		if (p->stdio[i] < 0)
			give_up(report, errno);
	}
	int high = fcntl(report, F_DUPFD_CLOEXEC, 3);
	if (high < 0)
		give_up(report, errno);
	report = high;
	for (int i = 0; i < 3; i++)
		if (dup2(p->stdio[i], i) < 0)
			give_up(report, errno);
	if (dup3(report, 3, O_CLOEXEC) < 0 && report != 3)
		give_up(report, errno);
	close_from(4);
	set_limit();
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)(p->image ? execve : execvpe)(p->argv[0], (char *const *)(uintptr_t)p->argv, p->environ);
	give_up(3, errno);
}

static int open_pty(char *path, size_t cap)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (grantpt(fd) == 0 && unlockpt(fd) == 0 && ptsname_r(fd, path, cap) == 0)
		return fd;
	int err = errno;
	(void)close(fd);
	errno = err;
	return -1;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static int keep(int *slot)
{
	int fd = *slot;
	*slot = -1;
	return fd;
}

static int unblock(int fd)
{
	return fd < 0 ? 0 : fcntl(fd, F_SETFL, O_NONBLOCK | (fcntl(fd, F_GETFL) & ~O_NONBLOCK));
}

static int run(struct eci_proc *p, struct plan *plan)
{
	sigset_t all, old; /* no handler of the program may run in the child */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t pid = vfork(); /* NOLINT: it is what is wanted; become() never returns */
	if (pid == 0) {
		plan->shared = true;
		become(plan); /* NOLINT(clang-analyzer-unix.Vfork): it calls what signal-safety(7) allows */
	}
	int err = errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return err;
	shut(&plan->pipe[EXEC][1]);
	if (plan->shared)
		(void)unblock(plan->pipe[EXEC][0]);
	int child_err = 0;
	ssize_t n;
	do
		n = read(plan->pipe[EXEC][0], &child_err, sizeof child_err);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof child_err) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return child_err ? child_err : EIO;
	}
	p->pid = pid;
	p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
	if (p->pidfd >= 0)
		(void)fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
	return 0;
}

/* All that takes a descriptor here, so that nothing runs when there is none. An errno; the terminal's is negative. */
static int prepare(struct plan *plan)
{
	int count = plan->mode == ECI_PROC_PTY ? 0 : EXEC;
	for (int i = 0; i < count; i++)
		if (pipe2(plan->pipe[i], O_CLOEXEC) < 0)
			return errno;
	if (pipe2(plan->pipe[EXEC], O_CLOEXEC) < 0)
		return errno;
	if (plan->mode != ECI_PROC_PIPES) {
		plan->pty = open_pty(plan->slave_path, sizeof plan->slave_path);
		if (plan->pty < 0)
			return -errno;
		/* CTTY: nobody else holds it once the child's own is closed by exec: then it would end at once. */
		plan->slave = plan->mode == ECI_PROC_PTY ? fcntl(plan->pty, F_DUPFD_CLOEXEC, 3)
							 : open(plan->slave_path, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (plan->slave < 0)
			return -errno;
	}
	plan->stdio[0] = plan->pipe[IN][0];
	plan->stdio[1] = plan->pipe[OUT][1];
	plan->stdio[2] = plan->pipe[ERR][1];
	return 0;
}

int eci_proc_start(struct eci_proc *p, const char *const *argv, const char *const *env, unsigned flags)
{
	const enum eci_proc_mode mode = flags & ~(ECI_PROC_SURVIVES | ECI_PROC_IMAGE);
	*p = ECI_PROC_NULL;
	struct plan plan = {.argv = argv,
			    .mode = mode,
			    .survives = flags & ECI_PROC_SURVIVES,
			    .image = flags & ECI_PROC_IMAGE,
			    .parent = getpid(),
			    .pty = -1,
			    .slave = -1};
	for (int i = 0; i < PIPES; i++)
		plan.pipe[i][0] = plan.pipe[i][1] = -1;
	plan.environ = make_environ(env);
	int err = plan.environ ? prepare(&plan) : ENOMEM;
	if (!err)
		err = run(p, &plan);
	if (!err && mode == ECI_PROC_PTY) {
		p->in = keep(&plan.pty);
		p->out = keep(&plan.slave);
	} else if (!err) {
		p->in = keep(&plan.pipe[IN][1]);
		p->out = keep(&plan.pipe[OUT][0]);
		p->err = keep(&plan.pipe[ERR][0]);
		p->tty = keep(&plan.pty);
		p->slave = keep(&plan.slave);
	}
	if (!err && (unblock(p->in) < 0 || unblock(p->out) < 0 || unblock(p->err) < 0 || unblock(p->tty) < 0))
		err = errno;
	for (int i = 0; i < PIPES; i++) {
		shut(&plan.pipe[i][0]);
		shut(&plan.pipe[i][1]);
	}
	shut(&plan.pty);
	shut(&plan.slave);
	free(plan.environ);
	if (err && p->pid > 0) {
		eci_proc_kill(p);
		(void)waitpid(p->pid, NULL, 0);
		eci_proc_close(p);
	}
	return err;
}

bool eci_proc_reap(struct eci_proc *p, int *wait_status)
{
	if (p->pid <= 0)
		return true;
	pid_t got = waitpid(p->pid, wait_status, WNOHANG);
	if (got == 0 || (got < 0 && errno == EINTR))
		return false;
	if (got < 0)
		*wait_status = -1; /* somebody else waited for it: the status is lost, the end is not */
	p->pid = -1;
	shut(&p->pidfd);
	shut(&p->slave);
	return true;
}

/* While it is ours to wait for, ended or not, the kernel gives its number to nobody else. The program may have waited
 * for it, though, or ignore SIGCHLD. */
void eci_proc_kill(const struct eci_proc *p)
{
	siginfo_t any;
	if (p->pid > 0 && waitid(P_PID, (id_t)p->pid, &any, WEXITED | WNOHANG | WNOWAIT) == 0) {
		(void)kill(-p->pid, SIGKILL);
		(void)kill(p->pid, SIGKILL);
	}
}

void eci_proc_close(struct eci_proc *p)
{
	shut(&p->in);
	shut(&p->out);
	shut(&p->err);
	shut(&p->tty);
	shut(&p->slave);
	shut(&p->pidfd);
}

void eci_proc_widen(int fd)
{
	(void)fcntl(fd, F_SETPIPE_SZ, WIDE);
}
