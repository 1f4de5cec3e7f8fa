/* Starting a process, on pipes or terminals.
 *
 * It gets a session and a process group of its own, default signals, and descriptors 0 to 2 only, since all of ours are
 * close-on-exec. What exec(2) says comes back through a pipe that a success closes: so "no such program" is an answer
 * and not an exit status 127 to guess at. Nobody waits for it: a program or a folder may lie where a server is gone,
 * and whole trees hang on a relay. Between fork and exec the child works on its own copy of our memory and may
 * allocate.
 *
 * The terminal's path is made from its number in this mount namespace's /dev/pts; the first terminal that a session's
 * leader opens becomes its own. */
#include "preamble/native/native.h"
#include "service/words.h"

enum { TIOCSCTTY = 0x540E, TIOCSWINSZ = 0x5414, TIOCGPTN = (int)0x80045430, TIOCSPTLCK = 0x40045431 };
enum { AT_FDCWD = -100 };
#define WHAT_MAX 1024 /* of a program in what is said of it: a pipe takes that in one piece */

#define PATH_DEFAULT "/usr/bin:/bin"

void native_close(int *fd)
{
	if (*fd >= 0)
		(void)SYS1(NR_close, *fd);
	*fd = -1;
}

/* Kernels before 5.9, and containers that forbid what is younger than they are, have no close_range(2). */
void native_close_from(int fd)
{
	if (SYS3(NR_close_range, fd, -1, 0) < 0)
		for (; fd <= native.top; fd++)
			(void)SYS1(NR_close, fd);
}

int native_seen(int fd)
{
	if (fd > native.top)
		native.top = fd;
	return fd;
}

static int open_at(const char *path, int flags)
{
	return native_seen((int)SYS3(NR_openat, AT_FDCWD, path, flags | SYS_CLOEXEC));
}

static size_t length(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

/* The value in "K=V" if s is of the variable that `like` ("K=V" or "K") is of, else NULL. */
static const char *value_of(const char *s, const char *like)
{
	while (*like && *like != '=' && *s == *like)
		s++, like++;
	return (!*like || *like == '=') && *s == '=' ? s + 1 : NULL;
}

/* ---- after fork ---- */

static const char **make_environ(char *const *changes)
{
	size_t n = 0, m = 0, k = 0;
	while (native.environ[n])
		n++;
	while (changes && changes[m])
		m++;
	const char **out = eci_mem_alloc((n + m + 1) * sizeof *out);
	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		bool changed = false;
		for (size_t j = 0; j < m; j++)
			changed = changed || value_of(native.environ[i], changes[j]);
		if (!changed)
			out[k++] = native.environ[i];
	}
	for (size_t j = 0; j < m; j++)
		if (value_of(changes[j], changes[j]))
			out[k++] = changes[j];
	out[k] = NULL;
	return out;
}

/* Executes path, or as a script without a first line, as a shell does it. Returns an errno. */
static int execute(const char *path, char *const *argv, const char *const *env)
{
	long err = -SYS3(NR_execve, path, argv, env);
	if (err != SYS_ENOEXEC)
		return (int)err;
	size_t n = 0;
	while (argv[n])
		n++;
	const char **v = eci_mem_alloc((n + 2) * sizeof *v);
	if (!v)
		return SYS_ENOMEM;
	v[0] = "/bin/sh";
	v[1] = path;
	memcpy(v + 2, argv + 1, n * sizeof *v);
	return (int)-SYS3(NR_execve, v[0], v, env);
}

/* Looks for argv[0] along PATH of env. The most telling errno: not allowed, before not there. */
static int search(char *const *argv, const char *const *env)
{
	const char *path = PATH_DEFAULT, *name = argv[0], *p;
	int err = SYS_ENOENT;
	for (p = name; *p && *p != '/'; p++)
		;
	if (*p)
		return execute(name, argv, env);
	for (size_t i = 0; env[i]; i++)
		if (value_of(env[i], "PATH"))
			path = value_of(env[i], "PATH");
	char *full = eci_mem_alloc(length(path) + length(name) + 3);
	if (!full || !*name)
		return full ? SYS_ENOENT : SYS_ENOMEM;
	for (;;) {
		size_t n = 0;
		for (; *path && *path != ':'; path++)
			full[n++] = *path;
		if (!n)
			full[n++] = '.';
		full[n++] = '/';
		memcpy(full + n, name, length(name) + 1);
		int e = execute(full, argv, env);
		if (e != SYS_ENOENT && e != SYS_ENOTDIR)
			err = e;
		if (!*path++)
			return err;
	}
}

void native_schedule(int policy)
{
	int priority = 0;
	(void)SYS3(NR_sched_setscheduler, 0, policy, &priority);
}

/* Returns an errno, and in *what what has it; the terminal's is negative. */
static int become(struct native_plan *plan, int pipes[NATIVE_FDS][2], const char *terminal, char **what)
{
	int v[3] = {pipes[IN][0], pipes[OUT][1], pipes[ERR][1]};
	uint64_t zero[4] = {0};
	(void)SYS0(NR_setsid);
	native_watcher_tell((int)SYS0(NR_getpid));
	(void)SYS2(NR_prctl, 1, SYS_SIGKILL); /* PR_SET_PDEATHSIG */
	native_schedule(0);                   /* as others are, and not as a relay */
	for (int i = 1; i <= SYS_SIGNALS; i++)
		native_signal(i, SYS_SIG_DFL);
	(void)SYS4(NR_sigprocmask, 2, zero, 0, 8); /* SIG_SETMASK */
	if (plan->mode) {
		int fd = open_at(terminal, SYS_RDWR);
		if (fd < 0)
			return fd;
		(void)SYS3(NR_ioctl, fd, TIOCSCTTY, 0);
		if (plan->mode == 1)
			v[0] = v[1] = v[2] = fd;
	}
	if (!plan->input)
		v[0] = open_at("/dev/null", SYS_RDWR);
	if (v[0] < 0)
		return -v[0];
	for (int i = 0; i < 3; i++) {
		long got = SYS3(NR_dup3, v[i], i, 0);
		if (got < 0)
			return (int)-got;
	}
	/* Whoever stands still from here on holds nothing of ours open. */
	(void)SYS3(NR_dup3, pipes[SAID][1], 3, SYS_CLOEXEC);
	pipes[SAID][1] = 3;
	native_close_from(4);
	(void)SYS4(NR_prlimit64, 0, SYS_NOFILE, native.nofile, 0);
	if (plan->cwd) {
		*what = plan->cwd[0];
		long err = -SYS1(NR_chdir, *what);
		if (err)
			return (int)err;
		*what = plan->argv[0];
	}
	const char **env = make_environ(plan->env);
	return env ? search(plan->argv, env) : SYS_ENOMEM;
}

/* ---- before and after ---- */

/* A terminal's master side, and the path of the other. */
static int open_terminal(char *path, const struct native_plan *plan)
{
	uint16_t size[4] = {(uint16_t)plan->rows, (uint16_t)plan->cols};
	int zero = 0;
	unsigned n;
	int fd = open_at("/dev/ptmx", SYS_RDWR | SYS_NOCTTY);
	if (fd < 0)
		return fd;
	(void)SYS3(NR_ioctl, fd, TIOCSPTLCK, &zero);
	int err = (int)SYS3(NR_ioctl, fd, TIOCGPTN, &n);
	if (err < 0) { /* any number would name another's terminal */
		native_close(&fd);
		return err;
	}
	if (size[0])
		(void)SYS3(NR_ioctl, fd, TIOCSWINSZ, size);
	memcpy(path, "/dev/pts/", 9);
	*native_digits(path + 9, n, false) = 0;
	return fd;
}

/* Returns an errno; the terminal's is negative. */
static int prepare(const struct native_plan *plan, int pipes[NATIVE_FDS][2], char *terminal)
{
	long err;
	for (int i = OUT; i < NATIVE_FDS; i++) {
		bool wanted = i == SAID || (plan->mode != 1 && i != TTY && (i != IN || plan->input));
		err = wanted ? SYS2(NR_pipe2, pipes[i], SYS_CLOEXEC) : 0;
		if (err < 0)
			return (int)-err;
		(void)native_seen(pipes[i][1]);
	}
	if (!plan->mode)
		return 0;
	int fd = open_terminal(terminal, plan);
	pipes[TTY][0] = fd;
	return fd < 0 ? fd : 0;
}

static int run(struct native_proc *p, struct native_plan *plan, int pipes[NATIVE_FDS][2], const char *terminal)
{
	long pid = SYS5(NR_clone, SYS_SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return (int)-pid;
	if (!pid) {
		char *what = plan->argv[0];
		struct eci_buf why = ECI_BUF_NULL;
		int err = become(plan, pipes, terminal, &what);
		if (length(what) > WHAT_MAX)
			what[WHAT_MAX] = 0;
		eci_words_why(&why, what, native_explain, NULL, err);
		(void)SYS3(NR_write, pipes[SAID][1], eci_buf_data(&why), eci_buf_len(&why));
		native_exit(127);
	}
	p->pid = (int)pid;
	return 0;
}

static int keep(int *fd)
{
	int got = *fd;
	*fd = -1;
	if (got >= 0)
		(void)SYS3(NR_fcntl, got, SYS_F_SETFL, SYS_NONBLOCK);
	return got;
}

int native_start(struct native_proc *p, struct native_plan *plan)
{
	int pipes[NATIVE_FDS][2];
	char terminal[32];
	memset(pipes, 255, sizeof pipes);
	memset(p->fd, 255, sizeof p->fd);
	int err = prepare(plan, pipes, terminal);
	if (!err)
		err = run(p, plan, pipes, terminal);
	for (int i = OUT; i < NATIVE_FDS && !err; i++)
		p->fd[i] = keep(&pipes[i][i == IN]);
	if (plan->mode == 1) {
		p->fd[IN] = p->fd[OUT] = p->fd[TTY];
		p->fd[TTY] = -1;
	} else if (plan->mode && !err) {
		/* Nobody else holds the terminal once exec has closed the child's own: then it would end at once. */
		p->fd[SLAVE] = open_at(terminal, SYS_RDWR | SYS_NOCTTY);
	}
	for (int i = OUT; i < NATIVE_FDS; i++) {
		native_close(&pipes[i][0]);
		native_close(&pipes[i][1]);
	}
	return err;
}

/* In a number: whoever reads it to people has the words (eci_name_errno()). */
const char *native_explain(void *ctx, int err)
{
	(void)ctx;
	static char text[64];
	const char *lead = "Error ";
	uint64_t n = (uint64_t)(unsigned)err;
	if (err == SYS_EMFILE) { /* the limit is what the user has to raise */
		lead = "Too many open files: the limit is ";
		n = native.nofile[2];
	}
	size_t at = length(lead);
	memcpy(text, lead, at);
	*native_digits(text + at, n > UINT32_MAX ? UINT32_MAX : (uint32_t)n, false) = 0;
	return text;
}
