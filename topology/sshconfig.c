/* What the user's ssh_config makes of a host: asked of ssh itself (ssh -G), because Match, Include, canonical names and
 * tokens are its business and change with its version. One short child per new host, with its output read to the end,
 * and waited for, to a deadline (Match exec may run anything); its error text is the evidence when it fails. It does
 * not outlive who waits for it, however that ends (PR_SET_PDEATHSIG, which posix_spawn(3) does not know). */
#include "topology/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX 65536  /* ssh -G prints about 4 KiB */
#define DEADLINE_MS 10000 /* ssh -G takes some 10 ms; what takes this long hangs */
#define LOOK_MS 200       /* from one look at whether it is still wanted to the next */
#define NAP_NS 50000000   /* the longest */

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool given_up(const struct eci_plan_wait *w)
{
	return w->give_up && w->give_up(w->arg);
}

static _Noreturn void give_up(int report)
{
	int err = errno;
	(void)!write(report, &err, sizeof err);
	_exit(127);
}

/* In the child, after vfork: async-signal-safe calls only. No handler of the program may run in it; what was ignored
 * stays so. */
static _Noreturn void become(char *const argv[], pid_t parent, int out, int report)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	out = fcntl(out, F_DUPFD_CLOEXEC, 3); /* out of the way of 0 to 2 */
	report = fcntl(report, F_DUPFD_CLOEXEC, 3);
	int null = open("/dev/null", O_RDONLY);
	if (out < 0 || report < 0 || null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		give_up(report);
	if (null > 2)
		(void)close(null);
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction now;
		if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			(void)signal(sig, SIG_DFL);
	}
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	give_up(report);
}

/* 0, or an errno. */
static int start(char *const argv[], int out, pid_t *pid)
{
	int report[2], err = 0;
	if (pipe2(report, O_CLOEXEC))
		return errno;
	const pid_t parent = getpid();
	sigset_t all, old;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t child = vfork(); /* NOLINT: it is what is wanted; become() never returns */
	if (child == 0)
		become(argv, parent, out, report[1]); /* NOLINT(clang-analyzer-unix.Vfork): signal-safety(7) */
	if (child < 0)
		err = errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)close(report[1]);
	ssize_t n = 0;
	while (child > 0 && (n = read(report[0], &err, sizeof err)) < 0 && errno == EINTR)
		;
	(void)close(report[0]);
	while (n > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	*pid = child;
	return err;
}

/* All output up to the limit; 1: there was more of it, -1: the deadline passed, -2: it was given up. */
static int collect(int fd, const struct eci_plan_wait *w, char *buf, size_t cap, int64_t end)
{
	size_t n = 0;
	bool more = false;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = end - now_ms();
		if (left <= 0)
			return -1;
		if (poll(&p, 1, left < LOOK_MS ? (int)left : LOOK_MS) < 0 && errno != EINTR)
			break;
		if (!p.revents && given_up(w))
			return -2;
		if (!p.revents)
			continue;
		char rest[512];
		ssize_t got = n + 1 < cap ? read(fd, buf + n, cap - 1 - n) : read(fd, rest, sizeof rest);
		if (got == 0 || (got < 0 && errno != EINTR))
			break;
		if (got > 0 && n + 1 < cap)
			n += (size_t)got;
		else
			more = more || got > 0;
	}
	buf[n] = 0;
	return more;
}

/* How it ended, -1 where somebody else has waited for it; one that has closed its output and lives on is killed at the
 * deadline, or when it is given up. 0; -1, -2: it was. */
static int await(pid_t pid, const struct eci_plan_wait *w, int *status, int64_t end)
{
	struct timespec nap = {.tv_nsec = 200000}; /* it mostly ends at once */
	bool gone;
	for (;;) {
		bool late = now_ms() >= end;
		gone = !late && nap.tv_nsec >= NAP_NS && given_up(w);
		pid_t got = waitpid(pid, status, WNOHANG);
		if (got < 0 && errno != EINTR)
			*status = -1;
		if (got > 0 || *status < 0)
			return 0;
		if (late || gone)
			break;
		(void)nanosleep(&nap, NULL);
		if (nap.tv_nsec < NAP_NS)
			nap.tv_nsec *= 2;
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return gone ? -2 : -1;
}

static int run(char *const argv[], const struct eci_plan_wait *wait, char *buf, size_t cap, ectx_error *err)
{
	int fds[2];
	pid_t pid;
	if (pipe2(fds, O_CLOEXEC))
		return eci_fail_arg(err, ECTX_E_SYSTEM, "ssh -G: no pipe: errno %d", errno);
	int no = start(argv, fds[1], &pid);
	close(fds[1]);
	if (no) {
		close(fds[0]);
		eci_fail_arg(err, no == ENOENT ? ECTX_E_NO_PROGRAM : ECTX_E_SYSTEM,
			     "ssh -G could not be started: errno %d", no);
		if (err)
			err->phase = ECTX_PHASE_RESOLVE;
		return eci_fail_hint(err, "install an ssh client, or give a topology file");
	}
	int64_t end = now_ms() + DEADLINE_MS;
	int rc = collect(fds[0], wait, buf, cap, end), status = 0;
	close(fds[0]);
	int ended = await(pid, wait, &status, rc < 0 ? 0 : end);
	if (rc == -2 || ended == -2)
		return eci_fail_arg(err, ECTX_E_CANCELLED, "ssh -G %s: it was given up", argv[4]);
	if (rc < 0 || ended) {
		eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "ssh -G %s: no answer within 10 s", argv[4]);
		return eci_fail_hint(err, "look for Match exec in ssh_config");
	}
	if (status < 0) { /* half an answer may look like one */
		eci_fail_arg(err, ECTX_E_SYSTEM, "ssh -G %s: this program has taken its exit status", argv[4]);
		return eci_fail_hint(err,
				     "waitpid(-1), ev_default_loop() and an ignored SIGCHLD take it: wait for your "
				     "own children only");
	}
	if (status == 0 && rc) /* half an answer may lack the jump host */
		return eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "ssh -G %s: an answer of more than 64 KiB", argv[4]);
	if (status == 0)
		return 0;
	if (WIFSIGNALED(status)) { /* ^C, which all of the terminal's programs are sent, is one who wants it no more */
		bool ours = WTERMSIG(status) == SIGINT;
		return eci_fail_arg(err, ours ? ECTX_E_CANCELLED : ECTX_E_SYSTEM, "ssh -G %s: ended by signal %d",
				    argv[4], WTERMSIG(status));
	}
	eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "ssh -G %s: %.300s", argv[4], buf);
	return eci_fail_hint(err, "ssh cannot read its configuration: try ssh -G %s", argv[4]);
}

static char *value(struct eci_arena *a, const char *out, const char *key)
{
	size_t n = strlen(key);
	for (const char *p = out; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return eci_arena_strn(a, p + n + 1, strcspn(p + n + 1, "\n"));
	return NULL;
}

int eci_ssh_resolve(struct eci_arena *a, const struct eci_plan_wait *wait, const char *user, const char *host,
		    struct eci_ssh_host *out, ectx_error *err)
{
	char *words[] = {eci_arena_strn(a, host, strlen(host)),
			 user ? eci_arena_fmt(a, "-oUser=%s", user) : eci_arena_strn(a, "-x", 2)};
	char *argv[] = {(char[]){"ssh"}, (char[]){"-G"}, words[1], (char[]){"--"}, words[0], NULL};
	char *buf = malloc(OUTPUT_MAX + 1);
	if (!buf || !words[0] || !words[1]) {
		free(buf);
		return eci_fail_memory(err);
	}
	int rc = run(argv, wait, buf, OUTPUT_MAX + 1, err);
	if (rc == 0) {
		const char *port = value(a, buf, "port");
		memset(out, 0, sizeof *out);
		out->hostname = value(a, buf, "hostname");
		out->user = value(a, buf, "user");
		out->jump = value(a, buf, "proxyjump");
		if (out->jump && (strcmp(out->jump, "none") == 0 || !*out->jump))
			out->jump = NULL;
		if (!out->hostname || !port || eci_value_number(port, &out->port))
			rc = eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "ssh -G %s: an answer that cannot be read", host);
		else if (out->hostname[0] == '-')
			rc = eci_fail_arg(err, ECTX_E_BAD_ARGUMENT, "ssh -G %s: a host name that starts with \"-\"",
					  host);
	}
	free(buf);
	return rc;
}
