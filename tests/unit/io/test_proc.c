/* Starting processes: what the child gets, what comes back when it cannot be started, its terminal, and that nothing is
 * left over, at the limit of descriptors too. */
#include "proc_support.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int sh(char *out, size_t cap, const char *script, const char *const *env, enum eci_proc_mode mode)
{
	struct eci_proc p;
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	int err = eci_proc_start(&p, argv, env, mode);

	cr_assert(err == 0, "%s", strerror(err));
	read_all(p.out, out, cap);
	int status = ended(&p);
	eci_proc_close(&p);
	eci_proc_close(&p);
	return status;
}

static int descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");

	cr_assert(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A file that may be executed and is no program: others are read by a shell, as execvp(3) has it; an image is not. */
Test(proc, an_image_is_no_script)
{
	char path[64], out[64];
	(void)snprintf(path, sizeof path, "/tmp/econtext-image.%ld", (long)getpid());
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	cr_assert(fd >= 0 && dprintf(fd, "echo a shell") > 0);
	(void)close(fd);
	for (unsigned image = 0; image <= 1; image++) {
		struct eci_proc p;
		const char *argv[] = {path, NULL};
		int err = eci_proc_start(&p, argv, NULL, ECI_PROC_PIPES | image * ECI_PROC_IMAGE);
		cr_expect(err == (image ? ENOEXEC : 0), "%s", strerror(err));
		if (err)
			continue;
		read_all(p.out, out, sizeof out);
		cr_expect(ended(&p) == 0 && !strcmp(out, "a shell\n"), "%s", out);
		eci_proc_close(&p);
	}
	(void)unlink(path);
}

Test(proc, three_pipes_and_a_status)
{
	struct eci_proc p;
	const char *argv[] = {"sh", "-c", "read x; echo got $x; echo bad >&2; exit 7", NULL};
	char out[64], err[64];

	cr_assert(eci_proc_start(&p, argv, NULL, ECI_PROC_PIPES) == 0);
	cr_expect(p.tty < 0 && p.slave < 0);
	cr_expect(fcntl(p.in, F_GETFL) & O_NONBLOCK && fcntl(p.out, F_GETFL) & O_NONBLOCK);
	cr_expect(fcntl(p.in, F_GETFD) & FD_CLOEXEC && fcntl(p.pidfd, F_GETFD) & FD_CLOEXEC);
	cr_expect(write(p.in, "it\n", 3) == 3);
	read_all(p.out, out, sizeof(out));
	read_all(p.err, err, sizeof(err));
	cr_expect_str_eq(out, "got it\n");
	cr_expect_str_eq(err, "bad\n");
	int status = ended(&p);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	eci_proc_kill(&p); /* harmless once reaped */
	eci_proc_close(&p);
}

Test(proc, what_cannot_be_started_is_an_errno)
{
	struct eci_proc p;
	const char *none[] = {"no-such-program-here", NULL}, *dir[] = {"/tmp", NULL}, *file[] = {"/etc/passwd", NULL};
	int before = descriptors();

	for (int i = 0; i < 20; i++) {
		cr_expect(eci_proc_start(&p, none, NULL, ECI_PROC_PIPES) == ENOENT);
		cr_expect(eci_proc_start(&p, dir, NULL, ECI_PROC_CTTY) == EACCES);
		cr_expect(eci_proc_start(&p, file, NULL, ECI_PROC_PTY) == EACCES);
	}
	cr_expect(descriptors() == before, "%d, %d before", descriptors(), before);
	cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child was left");
}

Test(proc, environment_is_changed_not_replaced)
{
	const char *const env[] = {"ECI_A=new", "ECI_B", "ECI_C=", NULL};
	char out[128];

	setenv("ECI_A", "old", 1);
	setenv("ECI_B", "old", 1);
	setenv("ECI_AB", "kept", 1);
	sh(out, sizeof(out), "echo \"$ECI_A,${ECI_B-unset},${ECI_C-unset},$ECI_AB\"", env, ECI_PROC_PIPES);
	cr_expect_str_eq(out, "new,unset,,kept\n");
	cr_expect_str_eq(getenv("ECI_A"), "old");
}

/* Descriptors that the program did not mark close-on-exec are not inherited either; nor are handlers and masks. */
Test(proc, the_child_has_descriptors_0_to_2_and_default_signals)
{
	char out[256];
	sigset_t set;
	int high = fcntl(0, F_DUPFD, 100);

	sigfillset(&set);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* No pipeline for the first: the shell would have an end of it for a moment. */
	sh(out, sizeof(out), "ls /proc/$$/fd; grep -E 'Sig(Blk|Ign)' /proc/$$/status | tr -s '\\t\\n' '  '", NULL,
	   ECI_PROC_PIPES);
	cr_expect(strncmp(out, "0\n1\n2\n", 6) == 0 && (out[6] == 'S' || !strncmp(out + 6, "10\n", 3)), "%s", out);
	cr_expect(strstr(out, "SigBlk: 0000000000000000") && strstr(out, "SigIgn: 0000000000000000"), "%s", out);
	/* A shell may set its mask first: once more without one. */
	struct eci_proc p;
	const char *argv[] = {"grep", "-E", "Sig(Blk|Ign)", "/proc/self/status", NULL};
	cr_assert(eci_proc_start(&p, argv, NULL, ECI_PROC_PIPES) == 0);
	read_all(p.out, out, sizeof out);
	cr_expect_str_eq(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	cr_expect(ended(&p) == 0);
	eci_proc_close(&p);
	close(high);
}

/* Started by a program that has none of 0 to 2, so that what is made for the child has these numbers: it gets its own
 * all the same, and that there is no such program comes back. Nothing is asserted before ours are there again. */
Test(proc, without_descriptors_0_to_2)
{
	struct eci_proc p;
	const char *argv[] = {"/bin/sh", "-c", "cat; echo out; echo err >&2", NULL},
		   *none[] = {"/no/such/program", NULL};
	char out[64] = "", err[64] = "";
	int kept[3], starts;
	enum eci_proc_mode mode = ECI_PROC_PIPES;
	for (int i = 0; i < 3; i++)
		cr_assert((kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 100)) >= 100);
	for (int i = 0; i < 3; i++)
		(void)close(i);
	starts = eci_proc_start(&p, argv, NULL, mode);
	if (!starts) {
		starts = write(p.in, "in\n", 3) == 3 ? 0 : errno;
		(void)close(p.in);
		p.in = -1;
		read_all(p.out, out, sizeof out);
		read_all(p.err, err, sizeof err);
		(void)waitpid(p.pid, NULL, 0);
		eci_proc_close(&p);
	}
	int fails[3] = {0};
	for (; mode <= ECI_PROC_CTTY; mode++)
		fails[mode] = eci_proc_start(&p, none, NULL, mode);
	for (int i = 0; i < 3; i++)
		cr_assert(dup2(kept[i], i) == i && close(kept[i]) == 0);
	cr_expect(starts == 0, "%s", strerror(starts));
	cr_expect_str_eq(out, "in\nout\n");
	cr_expect_str_eq(err, "err\n");
	for (int i = 0; i < 3; i++)
		cr_expect(fails[i] == ENOENT, "%d: %d", i, fails[i]);
}

Test(proc, a_session_of_its_own)
{
	char out[64];
	int pid = 0, pgrp = 0, sid = 0;

	sh(out, sizeof(out), "echo $$ $(cut -d' ' -f5,6 /proc/$$/stat)", NULL, ECI_PROC_PIPES);
	cr_assert(sscanf(out, "%d %d %d", &pid, &pgrp, &sid) == 3, "%s", out);
	cr_expect(pid == pgrp && pid == sid);
}

Test(proc, a_pty_is_stdin_stdout_and_stderr)
{
	char out[128];

	sh(out, sizeof(out), "test -t 0 && test -t 1 && test -t 2 && echo yes >/dev/tty", NULL, ECI_PROC_PTY);
	cr_expect_str_eq(out, "yes\r\n");
}

Test(proc, pipes_with_a_controlling_terminal)
{
	struct eci_proc p;
	const char *argv[] = {"sh", "-c", "test -t 0 || echo pipe; echo ask >/dev/tty; read x </dev/tty; echo $x",
			      NULL};
	char out[64], tty[64];

	cr_assert(eci_proc_start(&p, argv, NULL, ECI_PROC_CTTY) == 0);
	cr_expect(write(p.tty, "answer\n", 7) == 7);
	read_all(p.out, out, sizeof(out));
	cr_expect_str_eq(out, "pipe\nanswer\n");
	cr_expect(ended(&p) == 0);
	read_all(p.tty, tty, sizeof(tty));
	cr_expect(strstr(tty, "ask"), "%s", tty);
	eci_proc_close(&p);
}

/* Of a program that has raised its own, with many open. */
Test(proc, the_limit_of_descriptors_that_was_said)
{
	const char *argv[] = {"sh", "-c", "ulimit -Sn; ulimit -Hn", NULL};
	char out[64], wanted[64];
	struct rlimit r;
	cr_assert(getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_max >= 200);
	r.rlim_cur = r.rlim_max = 200;
	cr_assert(setrlimit(RLIMIT_NOFILE, &r) == 0);
	while (dup(0) < 150)
		;
	static const struct {
		unsigned long said;
		int gets;
	} cases[] = {{0, 200}, {64, 64}, {200, 200}, {201, 200}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct eci_proc p;
		eci_proc_limit_files(cases[i].said);
		for (int mode = 0; mode < 3; mode++) {
			cr_assert(eci_proc_start(&p, argv, NULL, (unsigned)mode) == 0);
			int n = snprintf(wanted, sizeof wanted, mode == 1 ? "%d\r\n200\r\n" : "%d\n200\n",
					 cases[i].gets);
			cr_expect(read_all(p.out, out, (size_t)n + 1) == (size_t)n && !memcmp(out, wanted, (size_t)n),
				  "%s", wanted);
			ended(&p);
			eci_proc_close(&p);
		}
	}
}

/* As before Linux 5.9: close_range(2) is not there; and who closes a number that nothing here has is killed. For this
 * process, and what it starts; false: it cannot be done. */
static bool without_close_range(unsigned beyond)
{
	const size_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(offsetof(struct seccomp_data, args) + low)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, beyond, 1, 2),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* Each start closed all that its limit allows, 65,536, with ours raised. */
Test(proc, what_is_open_is_closed_and_nothing_else)
{
	enum { BEYOND = 1000, HIGH = 700 };
	struct rlimit r;
	char out[64];
	cr_assert(getrlimit(RLIMIT_NOFILE, &r) == 0);
	r.rlim_cur = r.rlim_max;
	if (r.rlim_max <= BEYOND || setrlimit(RLIMIT_NOFILE, &r) || !without_close_range(BEYOND))
		return;
	cr_assert(dup2(0, HIGH) == HIGH); /* stays open on exec */
	while (dup(0) < 300)              /* more than one list holds */
		;
	for (int mode = 0; mode < 3; mode++) {
		int status = sh(out, sizeof out, "cd /proc/self/fd; echo *", NULL, (enum eci_proc_mode)mode);
		cr_expect(status == 0, "%d", status); /* 3: the folder */
		cr_expect(!strncmp(out, "0 1 2 3", 7) && strchr("\r\n", out[7]), "%s", out);
	}
}

/* Each number of free descriptors up to one that is enough: an errno, or a process with all that it should have; and
 * none is lost. */
Test(proc, at_the_limit_of_descriptors)
{
	struct rlimit old, low;
	const char *argv[] = {"echo", "up", NULL};
	char out[8];
	int before = descriptors(), started = 0, refused = 0, top = dup(0);

	close(top);
	cr_assert(getrlimit(RLIMIT_NOFILE, &old) == 0);
	for (int mode = 0; mode < 3; mode++) {
		for (int free_fds = 0; free_fds < 16; free_fds++) {
			struct eci_proc p;
			low = (struct rlimit){(rlim_t)(top + free_fds), old.rlim_max};
			cr_assert(setrlimit(RLIMIT_NOFILE, &low) == 0);
			int err = eci_proc_start(&p, argv, NULL, (unsigned)mode);
			cr_assert(setrlimit(RLIMIT_NOFILE, &old) == 0);
			if (err == 0) {
				started++;
				cr_expect(read_all(p.out, out, 3) == 2 && !memcmp(out, "up", 2), "mode %d, %d", mode,
					  free_fds);
				cr_expect((p.slave >= 0) == (mode == ECI_PROC_CTTY));
				ended(&p);
				eci_proc_close(&p);
			} else {
				refused++;
				cr_expect(abs(err) == EMFILE, "%s", strerror(abs(err)));
			}
		}
	}
	cr_expect(started > 0 && refused > 0);
	cr_expect(descriptors() == before, "%d, %d before", descriptors(), before);
	cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child was left");
}

Test(proc, a_full_pipe_holds_more)
{
	int p[2], old;
	cr_assert_eq(pipe(p), 0);
	old = fcntl(p[1], F_GETPIPE_SZ);
	eci_proc_widen(p[1]);
	cr_expect(fcntl(p[0], F_GETPIPE_SZ) >= old);
	if (geteuid() == 0) /* nobody limits it */
		cr_expect_eq(fcntl(p[0], F_GETPIPE_SZ), 262144);
	close(p[0]);
	close(p[1]);
	eci_proc_widen(-1); /* nothing */
}

static pid_t holder;

/* In place of libc's, which eci_proc_start calls when the pipe that tells of exec is there: as if another thread of the
 * program forked just then. */
int posix_openpt(int flags)
{
	if (holder == -1) {
		holder = fork();
		if (holder == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* of a test that fails nothing is left */
			(void)alarm(60);
			for (;;)
				pause();
		}
	}
	return open("/dev/ptmx", flags);
}

/* It holds all that was open, for as long as it likes. */
Test(proc, a_process_forked_meanwhile_holds_nothing_up, .timeout = 40)
{
	struct eci_proc p;
	int status;
	const char *sleeps[] = {"sleep", "100", NULL}, *none[] = {"/no/such/program", NULL};

	holder = -1;
	cr_expect_eq(eci_proc_start(&p, sleeps, NULL, ECI_PROC_PTY), 0);
	cr_assert_gt(holder, 0);
	eci_proc_kill(&p);
	status = ended(&p);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%d", status);
	eci_proc_close(&p);
	pid_t first = holder;
	holder = -1;
	cr_expect_eq(eci_proc_start(&p, none, NULL, ECI_PROC_PTY), ENOENT);
	for (int i = 0; i < 2; i++) {
		pid_t one = i ? holder : first;
		cr_expect(kill(one, SIGKILL) == 0 && waitpid(one, NULL, 0) == one);
	}
}
